-- type id: INTEGER -> BIGINT; rebuild; 
-- type note: VARCHAR -> DATE; rebuild; empty text becomes NULL, other text that is not a valid date fails, times of day are lost
-- type amount: DECIMAL(12,2) -> DECIMAL(14,3); rebuild; 
-- type flag: BOOLEAN -> VARCHAR; rebuild; 
-- type at: TIMESTAMP -> DATE; rebuild; the times of day are lost
-- type doc: JSON -> VARCHAR; rebuild; longer documents fail

-- s.t on local: changes of the table

BEGIN;

-- 1. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 2. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" BIGINT NOT NULL,
    "note" DATE,
    "amount" DECIMAL(14,3),
    "flag" VARCHAR,
    "at" DATE,
    "doc" VARCHAR
);

-- 3. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "note", "amount", "flag", "at", "doc")
SELECT
    CAST("id" AS BIGINT),
    CASE WHEN year(CAST(NULLIF(trim("note"), '') AS DATE)) BETWEEN 1 AND 9999 THEN CAST(trim("note") AS DATE)
         WHEN trim("note") <> '' THEN error('column note: not a valid date: ' || "note") END,
    CAST("amount" AS DECIMAL(14,3)),
    CASE WHEN "flag" THEN 'true' WHEN NOT "flag" THEN 'false' END,
    CAST("at" AS DATE),
    CAST("doc" AS VARCHAR)
FROM "s"."t";

-- 4. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 5. keep the old table: its rows stay until --drop-old or `loader clean` drops it
ALTER TABLE "s"."t" RENAME TO "loader_old_df4ee02178481c0d_yyyymmddthhmmssz";

-- 6. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 7. comment on the old table: `loader clean` recognises it by its name and this comment
COMMENT ON TABLE "s"."loader_old_df4ee02178481c0d_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt s.t
Kept too.';

-- 8. comment on the table: the live table's own comment
COMMENT ON TABLE "s"."t" IS 'Kept too.';

-- 9. comment on flag: the live column's own comment
COMMENT ON COLUMN "s"."t"."flag" IS 'Kept.';

COMMIT;
