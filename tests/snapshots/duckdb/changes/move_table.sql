-- rename table : elsewhere.t -> s.t; rebuild; 
-- rename column text: note -> text; in place; 
-- note: views and queries that use an earlier name need the new one

-- s.t on local: changes of the table

BEGIN;

-- 1. count before: the number of rows to copy
SELECT count(*) FROM "elsewhere"."t";

-- 2. create the schema: for the new table
CREATE SCHEMA IF NOT EXISTS "s";

-- 3. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" INTEGER NOT NULL,
    "text" VARCHAR
);

-- 4. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "text")
SELECT
    "id",
    "note"
FROM "elsewhere"."t";

-- 5. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 6. keep the old table: its rows stay until --drop-old or `loader clean` drops it
ALTER TABLE "elsewhere"."t" RENAME TO "loader_old_ce7d8293e05cce32_yyyymmddthhmmssz";

-- 7. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 8. comment on the old table: `loader clean` recognises it by its name and this comment
COMMENT ON TABLE "elsewhere"."loader_old_ce7d8293e05cce32_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt elsewhere.t';

-- 9. rename the table's loads: loads that are committed are not repeated under the new name
UPDATE "loader"."loads"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 'elsewhere'
  AND table_name = 't';

-- 10. rename the table's files: files that are loaded are not loaded again under the new name
UPDATE "loader"."files"
SET table_schema = 's', table_name = 't'
WHERE table_schema = 'elsewhere'
  AND table_name = 't';

COMMIT;
