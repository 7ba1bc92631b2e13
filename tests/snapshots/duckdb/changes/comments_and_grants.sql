-- comment note: None -> Why.; in place; 
-- comment : None -> One row.; in place; 

-- s.t on local: changes of the table

BEGIN;

-- 1. comment on note: the spec's description
COMMENT ON COLUMN "s"."t"."note" IS 'Why.';

-- 2. comment on the table: the spec's description
COMMENT ON TABLE "s"."t" IS 'One row.';

COMMIT;
