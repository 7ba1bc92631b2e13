-- encoding note: raw -> zstd; in place; 
-- encoding amount: raw -> az64; in place; 
-- dist : even -> id; in place; 
-- sort : compound (id) -> compound (note, id); in place; 

-- s.t on prod: changes of the table

BEGIN;

-- 1. change the distribution: the live table has even
ALTER TABLE "s"."t" ALTER DISTSTYLE KEY DISTKEY "id";

-- 2. change the sort key: the live table has compound (id)
ALTER TABLE "s"."t" ALTER COMPOUND SORTKEY ("note", "id");

-- 3. change the encodings: the spec's encodings
ALTER TABLE "s"."t" ALTER COLUMN "note" ENCODE ZSTD, ALTER COLUMN "amount" ENCODE AZ64;

COMMIT;
