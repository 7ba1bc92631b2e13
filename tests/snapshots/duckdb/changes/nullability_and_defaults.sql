-- nullability note: NULL -> NOT NULL; rebuild; 
-- default amount: None -> 0; rebuild; 

-- s.t on local: changes of the table

BEGIN;

-- 1. count before: the number of rows to copy
SELECT count(*) FROM "s"."t";

-- 2. create the new table: the table as the spec declares it, under a temporary name
CREATE TABLE "s"."loader_new_df4ee02178481c0d" (
    "id" INTEGER NOT NULL,
    "note" VARCHAR NOT NULL,
    "amount" DECIMAL(12,2) DEFAULT 0
);

-- 3. copy the rows: all rows, with conversions where types change
INSERT INTO "s"."loader_new_df4ee02178481c0d" ("id", "note", "amount")
SELECT
    "id",
    "note",
    "amount"
FROM "s"."t";

-- 4. count the rows: no row may be lost or duplicated
SELECT count(*) FROM "s"."loader_new_df4ee02178481c0d";

-- 5. drop the old table: the new table replaces it; fails if other objects depend on it
DROP TABLE "s"."t";

-- 6. rename the new table: it replaces the old table
ALTER TABLE "s"."loader_new_df4ee02178481c0d" RENAME TO "t";

COMMIT;
