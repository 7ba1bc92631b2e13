-- add column at: None -> TIMESTAMP; in place; 
-- add column flag: None -> BOOLEAN; in place; 
-- add column doc: None -> JSON; in place; 

-- s.t on local: changes of the table

BEGIN;

-- 1. add the column at: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "at" TIMESTAMP DEFAULT CAST(timezone('UTC', current_timestamp) AS TIMESTAMP);

-- 2. add the column flag: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "flag" BOOLEAN DEFAULT true;

-- 3. set flag NOT NULL: NOT NULL cannot be set when the column is added
ALTER TABLE "s"."t" ALTER COLUMN "flag" SET NOT NULL;

-- 4. add the column doc: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "doc" JSON;

-- 5. comment on doc: the spec's description
COMMENT ON COLUMN "s"."t"."doc" IS 'It''s \ all.';

COMMIT;
