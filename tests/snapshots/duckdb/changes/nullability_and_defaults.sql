-- nullability note: NULL -> NOT NULL; rebuild; 
-- default amount: None -> 0; rebuild; 

-- s.t on local: changes of the table

BEGIN;

-- 1. count before: how many rows are to be copied
SELECT count(*) FROM "s"."t";

-- 2. create the new table: the table as the spec declares it, under a name of its own
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" INTEGER NOT NULL,
    "note" VARCHAR NOT NULL,
    "amount" DECIMAL(12,2) DEFAULT 0
);

-- 3. copy the rows: every row, its values converted where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "note", "amount")
SELECT
    "id",
    "note",
    "amount"
FROM "s"."t";

-- 4. count the rows: none may be lost or doubled
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 5. keep the old table: what it was stays, until --drop-old or `loader clean` drops it
ALTER TABLE "s"."t" RENAME TO "loader_old_df4ee02178481c0d_yyyymmddthhmmssz";

-- 6. rename the new table: now it is the table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

-- 7. comment on the old table: `loader clean` knows it by its name and this
COMMENT ON TABLE "s"."loader_old_df4ee02178481c0d_yyyymmddthhmmssz" IS 'Kept by Loader when it rebuilt s.t';

COMMIT;
