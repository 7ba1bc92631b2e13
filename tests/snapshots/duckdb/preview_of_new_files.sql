-- s.t on local (duckdb): append of the whole table
-- stages arrow/none files in .loader/staging/s.t/<load id>
-- a load takes only files that the ledger does not know (source: {load: new})

-- create the ledger's schema (only when it is missing): for the ledger
CREATE SCHEMA IF NOT EXISTS "loader";

-- create the ledger (only when it is missing): the record of all loads
CREATE TABLE IF NOT EXISTS "loader"."loads" (
    load_id VARCHAR NOT NULL,
    table_schema VARCHAR NOT NULL,
    table_name VARCHAR NOT NULL,
    asset_key VARCHAR NOT NULL,
    slice VARCHAR,
    write_disposition VARCHAR NOT NULL,
    rows_loaded BIGINT NOT NULL,
    bytes_staged BIGINT NOT NULL,
    files INTEGER NOT NULL,
    manifest VARCHAR,
    spec_hash VARCHAR NOT NULL,
    loader_version VARCHAR NOT NULL,
    loaded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rows_inserted BIGINT,
    rows_updated BIGINT,
    rows_unchanged BIGINT,
    rows_skipped BIGINT,
    rows_collapsed BIGINT,
    column_figures VARCHAR,
    columns_changed VARCHAR,
    rows_deleted BIGINT,
    rows_closed BIGINT,
    rows_rejected BIGINT,
    rejects VARCHAR
);

-- create the ledger of files (only when it is missing): the files of each load
CREATE TABLE IF NOT EXISTS "loader"."files" (
    "load_id" VARCHAR,
    "table_schema" VARCHAR,
    "table_name" VARCHAR,
    "file_path" VARCHAR,
    "file_bytes" BIGINT,
    "file_modified" BIGINT,
    "file_version" VARCHAR,
    "partition_key" VARCHAR,
    "replaced_by" VARCHAR
);

BEGIN;

-- 1. look for this load: a committed load is not repeated
SELECT slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE load_id = '<load id>'
  AND table_schema = 's'
  AND table_name = 't';

-- 2. record the files: they commit together with their rows
INSERT INTO "loader"."files" (
    load_id, table_schema, table_name, file_path, file_bytes, file_modified, file_version, partition_key
)
VALUES
    ('<load id>', 's', 't', NULL /* path */, NULL /* bytes */, NULL /* time */, NULL /* version */, NULL /* partition */);

-- 3. look for files loaded meanwhile: each file is loaded once
SELECT count(*), min(file_path)
FROM "loader"."files"
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id <> '<load id>'
  AND replaced_by IS NULL
  AND (file_path IN (SELECT file_path FROM "loader"."files" WHERE load_id = '<load id>' AND table_schema = 's' AND table_name = 't'));

-- 4. note which files are replaced: the ledger knows which files the rows of the table are from
UPDATE "loader"."files"
SET replaced_by = '<load id>'
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id <> '<load id>'
  AND replaced_by IS NULL
  AND (file_path IN (SELECT file_path FROM "loader"."files" WHERE load_id = '<load id>' AND table_schema = 's' AND table_name = 't'));

-- 5. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "s";

-- 6. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "s"."t" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 7. create the stage: rows are verified before they are inserted into the table
CREATE TEMPORARY TABLE "loader_stage" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 8. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "loader_stage" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM ".loader/staging/s.t/<load id>/part-*.arrow";

-- 9. verify values: the stage must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("id"), min("id"), max("id"), sum("id"),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("at"), min(epoch_us("at")), max(epoch_us("at")), sum(epoch_us("at")),
    count(*) - count("seen"), min(epoch_us("seen")), max(epoch_us("seen")), sum(epoch_us("seen")),
    count(*) - count("carrier"), sum(strlen("carrier")), min(encode("carrier")), max(encode("carrier")),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount")
FROM "loader_stage";

-- 10. count before: the number of rows in the whole table
SELECT count(*) FROM "s"."t";

-- 11. insert the rows: all rows of the load
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM "loader_stage";

-- 12. count: the whole table must have grown by the staged rows
SELECT count(*) FROM "s"."t";

-- 13. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 14. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    '<load id>', 's', 't', 's/t',
    NULL, 'append',
    NULL /* rows staged */, NULL /* bytes staged */, NULL /* files staged */, '.loader/staging/s.t/<load id>/manifest.json',
    '6d5a6e1481e577ecfc8cc604ead48f605ae5f3af5d849769ab6e11a090d5f745', '1.0', now(),
    NULL /* figures of the columns */, NULL,
    NULL /* rows rejected */, NULL /* rejected rows */;

COMMIT;
