-- widen column note: varchar(20) -> varchar(40); rebuild; 

-- s.t on prod: changes of the table

BEGIN;

-- 1. lock the table: nobody may write into what is about to be replaced
LOCK "s"."t";

-- 2. count before: how many rows are to be copied
SELECT count(*) FROM "s"."t";

-- 3. create the new table: the table as the spec declares it, under a name of its own
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" integer NOT NULL,
    "note" varchar(40) DEFAULT 'x'
)
DISTSTYLE AUTO;

-- 4. copy the rows: every row, its values converted where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "note")
SELECT
    "id",
    "note"
FROM "s"."t";

-- 5. count the rows: none may be lost or doubled
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 6. keep the old table: what it was stays, until --drop-old or `loader clean` drops it
ALTER TABLE "s"."t" RENAME TO "loader_old_df4ee02178481c0d_yyyymmddthhmmssz";

-- 7. rename the new table: now it is the table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 8. comment on the old table: `loader clean` knows it by its name and this
COMMENT ON TABLE "s"."loader_old_df4ee02178481c0d_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt s.t';

COMMIT;
