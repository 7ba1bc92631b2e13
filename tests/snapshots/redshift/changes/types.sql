-- type id: integer -> bigint; rebuild; 
-- type note: varchar(20) -> date; rebuild; empty text becomes NULL, other text that is not a valid date fails, times of day are lost
-- type amount: decimal(12,2) -> decimal(14,3); rebuild; 
-- type flag: boolean -> varchar(5); rebuild; 
-- type at: timestamp -> date; rebuild; the times of day are lost
-- type doc: super -> varchar(100); rebuild; longer documents fail

-- s.t on prod: changes of the table

BEGIN;

-- 1. lock the table: no writes while the table is being changed
LOCK "s"."t";

-- 2. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 3. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" bigint NOT NULL,
    "note" date,
    "amount" decimal(14,3),
    "flag" varchar(5),
    "at" date,
    "doc" varchar(100)
)
DISTSTYLE AUTO;

-- 4. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "note", "amount", "flag", "at", "doc")
SELECT
    CAST("id" AS bigint),
    CAST(NULLIF(trim("note"), '') AS date),
    CAST("amount" AS decimal(14,3)),
    CASE WHEN "flag" THEN 'true' WHEN NOT "flag" THEN 'false' END,
    CAST("at" AS date),
    json_serialize("doc")
FROM "s"."t";

-- 5. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 6. keep the old table: its rows stay until --drop-old or `loader clean` drops it
ALTER TABLE "s"."t" RENAME TO "loader_old_df4ee02178481c0d_yyyymmddthhmmssz";

-- 7. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 8. comment on the old table: `loader clean` recognises it by its name and this comment
COMMENT ON TABLE "s"."loader_old_df4ee02178481c0d_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt s.t
Kept too.';

-- 9. comment on the table: the live table's own comment
COMMENT ON TABLE "s"."t" IS 'Kept too.';

-- 10. comment on flag: the live column's own comment
COMMENT ON COLUMN "s"."t"."flag" IS 'Kept.';

COMMIT;
