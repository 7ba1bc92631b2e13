-- rename table : elsewhere.t -> s.t; rebuild; 
-- rename column text: note -> text; in place; 
-- note: bound views follow a rename; late-binding views and queries need the new name, and a materialized view of a renamed column must be created again

-- s.t on prod: changes of the table

BEGIN;

-- 1. lock the ledger of the table: its loads in the ledger are renamed too: none of them may be at work
LOCK "loader"."loads_elsewhere_t";

-- 2. lock the table: no writes while the table is being changed
LOCK "elsewhere"."t";

-- 3. count before: the number of rows to copy
SELECT count(*) FROM "elsewhere"."t";

-- 4. create the schema: for the new table
CREATE SCHEMA IF NOT EXISTS "s";

-- 5. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" integer NOT NULL,
    "text" varchar(20)
)
DISTSTYLE AUTO;

-- 6. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "text")
SELECT
    "id",
    "note"
FROM "elsewhere"."t";

-- 7. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 8. keep the old table: its rows stay until --drop-old or `loader clean` drops it
ALTER TABLE "elsewhere"."t" RENAME TO "loader_old_ce7d8293e05cce32_yyyymmddthhmmssz";

-- 9. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 10. comment on the old table: `loader clean` recognises it by its name and this comment
COMMENT ON TABLE "elsewhere"."loader_old_ce7d8293e05cce32_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt elsewhere.t';

-- 11. rename the table's loads: loads that are committed are not repeated under the new name
UPDATE "loader"."loads"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 'elsewhere'
  AND table_name = 't';

-- 12. rename the table's files: files that are loaded are not loaded again under the new name
UPDATE "loader"."files_elsewhere_t"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 'elsewhere'
  AND table_name = 't';

-- 13. copy the files to it: the table has one of its new name too
INSERT INTO "loader"."files_s_t" ("load_id", "table_schema", "table_name", "file_path", "file_bytes", "file_modified", "file_version", "partition_key", "replaced_by")
SELECT "load_id", "table_schema", "table_name", "file_path", "file_bytes", "file_modified", "file_version", "partition_key", "replaced_by"
FROM "loader"."files_elsewhere_t";

-- 14. drop the earlier one: the table has one of its new name too
DROP TABLE IF EXISTS "loader"."files_elsewhere_t";

-- 15. copy the loads to it: the table has a ledger of its new name too
INSERT INTO "loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
SELECT load_id, slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id NOT IN (SELECT load_id FROM "loader"."loads_s_t");

-- 16. drop the earlier ledger: the table has a ledger of its new name too
DROP TABLE IF EXISTS "loader"."loads_elsewhere_t";

COMMIT;
