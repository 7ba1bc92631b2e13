-- rename table : s.old -> s.t; in place; 
-- rename column text: note -> text; in place; 
-- add column amount: None -> DECIMAL(12,2); in place; 
-- note: views and queries that use an earlier name need the new one

-- s.t on local: changes of the table

BEGIN;

-- 1. rename the table: the live table has its earlier name, s.old
ALTER TABLE "s"."old" RENAME TO "t";

-- 2. rename the column note to text: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "note" TO "text";

-- 3. add the column amount: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "amount" DECIMAL(12,2);

-- 4. rename the table's loads: loads that are committed are not repeated under the new name
UPDATE "loader"."loads"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 's'
  AND table_name = 'old';

-- 5. rename the table's files: files that are loaded are not loaded again under the new name
UPDATE "loader"."files"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 's'
  AND table_name = 'old';

COMMIT;
