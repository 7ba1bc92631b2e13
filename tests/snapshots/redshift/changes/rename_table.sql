-- rename table : s.old -> s.t; in place; 
-- rename column text: note -> text; in place; 
-- widen column text: varchar(20) -> varchar(40); before_transaction; 
-- add column amount: None -> decimal(12,2); in place; 
-- note: bound views follow a rename; late-binding views and queries need the new name, and a materialized view of a renamed column must be created again

-- s.t on prod: changes of the table

-- widen the column text: the live column is varchar(20); this cannot run inside the transaction
ALTER TABLE "s"."old" ALTER COLUMN "note" TYPE varchar(40);

BEGIN;

-- 1. lock the ledger of the table: its loads in the ledger are renamed too: none of them may be at work
LOCK "loader"."loads_s_old";

-- 2. lock the table: no writes while the table is being changed
LOCK "s"."old";

-- 3. rename the table: the live table has its earlier name, s.old
ALTER TABLE "s"."old" RENAME TO "t";

-- 4. rename the column note to text: the live column has its earlier name
ALTER TABLE "s"."t" RENAME COLUMN "note" TO "text";

-- 5. add the column amount: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "amount" decimal(12,2);

-- 6. rename the table's loads: loads that are committed are not repeated under the new name
UPDATE "loader"."loads"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 's'
  AND table_name = 'old';

-- 7. rename the table's files: files that are loaded are not loaded again under the new name
UPDATE "loader"."files_s_old"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 's'
  AND table_name = 'old';

-- 8. copy the files to it: the table has one of its new name too
INSERT INTO "loader"."files_s_t" ("load_id", "table_schema", "table_name", "file_path", "file_bytes", "file_modified", "file_version", "partition_key", "replaced_by")
SELECT "load_id", "table_schema", "table_name", "file_path", "file_bytes", "file_modified", "file_version", "partition_key", "replaced_by"
FROM "loader"."files_s_old";

-- 9. drop the earlier one: the table has one of its new name too
DROP TABLE IF EXISTS "loader"."files_s_old";

-- 10. rename the ledger of the table: its loads look for their ids there
ALTER TABLE "loader"."loads_s_old" RENAME TO "loads_s_t";

COMMIT;
