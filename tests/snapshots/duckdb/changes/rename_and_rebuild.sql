-- rename column text: note -> text; in place; 
-- type text: VARCHAR -> DATE; rebuild; empty text becomes NULL, other text that is not a valid date fails, times of day are lost
-- note: views and queries that use an earlier name need the new one

-- s.t on local: changes of the table

BEGIN;

-- 1. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 2. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" INTEGER NOT NULL,
    "text" DATE,
    "amount" DECIMAL(12,2)
);

-- 3. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "text", "amount")
SELECT
    "id",
    CASE WHEN year(CAST(NULLIF(trim("note"), '') AS DATE)) BETWEEN 1 AND 9999 THEN CAST(trim("note") AS DATE)
         WHEN trim("note") <> '' THEN error('column note: not a valid date: ' || "note") END,
    "amount"
FROM "s"."t";

-- 4. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 5. keep the old table: its rows stay until --drop-old or `loader clean` drops it
ALTER TABLE "s"."t" RENAME TO "loader_old_df4ee02178481c0d_yyyymmddthhmmssz";

-- 6. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 7. comment on the old table: `loader clean` recognises it by its name and this comment
COMMENT ON TABLE "s"."loader_old_df4ee02178481c0d_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt s.t';

-- 8. comment on amount: the live column's own comment
COMMENT ON COLUMN "s"."t"."amount" IS 'Kept.';

COMMIT;
