-- rename column text: note -> text; in place; 
-- type text: varchar(20) -> date; rebuild; empty text becomes NULL, other text that is not a valid date fails, times of day are lost
-- note: bound views follow a rename; late-binding views and queries need the new name, and a materialized view of a renamed column must be created again

-- s.t on prod: changes of the table

BEGIN;

-- 1. lock the table: no writes while the table is being changed
LOCK "s"."t";

-- 2. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 3. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" integer NOT NULL,
    "text" date,
    "amount" decimal(12,2)
)
DISTSTYLE AUTO;

-- 4. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "text", "amount")
SELECT
    "id",
    CAST(NULLIF(trim("note"), '') AS date),
    "amount"
FROM "s"."t";

-- 5. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 6. keep the old table: its rows stay until --drop-old or `loader clean` drops it
ALTER TABLE "s"."t" RENAME TO "loader_old_df4ee02178481c0d_yyyymmddthhmmssz";

-- 7. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 8. comment on the old table: `loader clean` recognises it by its name and this comment
COMMENT ON TABLE "s"."loader_old_df4ee02178481c0d_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt s.t';

-- 9. comment on amount: the live column's own comment
COMMENT ON COLUMN "s"."t"."amount" IS 'Kept.';

COMMIT;
