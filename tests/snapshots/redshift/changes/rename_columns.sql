-- rename column number: id -> number; in place; 
-- rename column price: amount -> price; in place; 
-- rename column amount: note -> amount; in place; 
-- add column more: None -> varchar(20); in place; 
-- note: bound views follow a rename; late-binding views and queries need the new name, and a materialized view of a renamed column must be created again

-- s.t on prod: changes of the table

BEGIN;

-- 1. rename the column id to number: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "id" TO "number";

-- 2. rename the column amount to price: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "amount" TO "price";

-- 3. rename the column note to amount: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "note" TO "amount";

-- 4. add the column more: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "more" varchar(20);

COMMIT;
