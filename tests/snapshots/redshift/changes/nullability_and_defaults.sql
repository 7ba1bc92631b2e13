-- nullability note: NULL -> NOT NULL; rebuild; 
-- default amount: None -> 0; rebuild; 

-- s.t on prod: changes of the table

BEGIN;

-- 1. lock the table: no writes while the table is being changed
LOCK "s"."t";

-- 2. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 3. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" integer NOT NULL,
    "note" varchar(20) NOT NULL,
    "amount" decimal(12,2) DEFAULT 0
)
DISTSTYLE AUTO;

-- 4. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "note", "amount")
SELECT
    "id",
    "note",
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

COMMIT;
