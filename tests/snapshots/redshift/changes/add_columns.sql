-- add column at: None -> timestamp; in place; 
-- add column flag: None -> boolean; in place; 
-- add column doc: None -> super; in place; 

-- s.t on prod: changes of the table

BEGIN;

-- 1. add the column at: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "at" timestamp DEFAULT getdate();

-- 2. add the column flag: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "flag" boolean DEFAULT true NOT NULL;

-- 3. add the column doc: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "doc" super;

-- 4. comment on doc: the spec's description
COMMENT ON COLUMN "s"."t"."doc" IS 'It''s \\ all.';

COMMIT;
