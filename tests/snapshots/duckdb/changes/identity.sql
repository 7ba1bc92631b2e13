-- identity n: IDENTITY(1, 1) -> IDENTITY(5, -2); rebuild; 

-- s.t on local: changes of the table

BEGIN;

-- 1. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 2. create the sequence of n: generates its values
CREATE SEQUENCE IF NOT EXISTS "s"."t_n_seq_5_-2" START WITH 5 INCREMENT BY -2
    MINVALUE -9223372036854775807 MAXVALUE 9223372036854775807;

-- 3. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" INTEGER NOT NULL,
    "n" BIGINT DEFAULT nextval('"s"."t_n_seq_5_-2"') NOT NULL
);

-- 4. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "n")
SELECT
    "id",
    "n"
FROM "s"."t";

-- 5. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 6. drop the old table: the new table replaces it; fails if other objects depend on it
DROP TABLE "s"."t";

-- 7. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

COMMIT;
