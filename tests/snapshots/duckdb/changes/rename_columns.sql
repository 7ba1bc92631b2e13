-- rename column number: id -> number; in place; 
-- rename column price: amount -> price; in place; 
-- rename column amount: note -> amount; in place; 
-- add column more: None -> VARCHAR; in place; 
-- note: views and queries that use an earlier name need the new one

-- s.t on local: changes of the table

BEGIN;

-- 1. rename the column id to number: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "id" TO "number";

-- 2. rename the column amount to price: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "amount" TO "price";

-- 3. rename the column note to amount: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "note" TO "amount";

-- 4. add the column more: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "more" VARCHAR;

COMMIT;
