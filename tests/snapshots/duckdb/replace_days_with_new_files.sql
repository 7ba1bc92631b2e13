-- s.t on local (duckdb): replace day=2013-01-01..2013-01-02
-- stages arrow/none files in .loader/staging/s.t/load-1/run-1

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
WHERE load_id = 'load-1'
  AND table_schema = 's'
  AND table_name = 't';

-- 2. record the files: they commit together with their rows
INSERT INTO "loader"."files" (
    load_id, table_schema, table_name, file_path, file_bytes, file_modified, file_version, partition_key
)
VALUES
    ('load-1', 's', 't', 'in/it''s [1].csv', 12, 1700000000000000000, 'sha256:ab\c', '2013-01-01'),
    ('load-1', 's', 't', 's3://bucket/in/b.csv', 0, NULL, '5d41402abc4b2a76b9719d911017c592', '2013-01-01');

-- 3. look for files loaded meanwhile: each file is loaded once
SELECT count(*), min(file_path)
FROM "loader"."files"
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id <> 'load-1'
  AND replaced_by IS NULL
  AND (file_path IN (SELECT file_path FROM "loader"."files" WHERE load_id = 'load-1' AND table_schema = 's' AND table_name = 't')
    OR partition_key IN ('2013-01-01', '2013-01-02'))
  AND load_id NOT IN ('load-0', 'it''s');

-- 4. note which files are replaced: the ledger knows which files the rows of the table are from
UPDATE "loader"."files"
SET replaced_by = 'load-1'
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id <> 'load-1'
  AND replaced_by IS NULL
  AND (file_path IN (SELECT file_path FROM "loader"."files" WHERE load_id = 'load-1' AND table_schema = 's' AND table_name = 't')
    OR partition_key IN ('2013-01-01', '2013-01-02'));

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

-- 7. delete the slice: replace reloads this slice; other rows stay
DELETE FROM "s"."t"
WHERE "day" >= DATE '2013-01-01'
  AND "day" < DATE '2013-01-03';

-- 8. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM ".loader/staging/s.t/load-1/run-1/part-*.arrow";

-- 9. verify values: the slice day=2013-01-01..2013-01-02 must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("id"), min("id"), max("id"), sum("id"),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("at"), min(epoch_us("at")), max(epoch_us("at")), sum(epoch_us("at")),
    count(*) - count("seen"), min(epoch_us("seen")), max(epoch_us("seen")), sum(epoch_us("seen")),
    count(*) - count("carrier"), sum(strlen("carrier")), min(encode("carrier")), max(encode("carrier")),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount")
FROM "s"."t"
WHERE "day" >= DATE '2013-01-01'
  AND "day" < DATE '2013-01-03';

-- 10. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    'day=2013-01-01..2013-01-02', 'replace',
    1000, 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    '746b23411767a5e93c35162327849b1b532c5166c4459e6d52bcb85267d27ea0', '1.0', now(),
    NULL, NULL,
    0, NULL;

COMMIT;
