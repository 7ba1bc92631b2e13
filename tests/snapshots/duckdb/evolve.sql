-- s.t on local (duckdb): replace of the whole table
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

BEGIN;

-- 1. look for this load: a committed load is not repeated
SELECT slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE load_id = 'load-1'
  AND table_schema = 's'
  AND table_name = 't';

-- 2. add the column carrier: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "carrier" VARCHAR DEFAULT 'AA';

-- 3. add the column at: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "at" TIMESTAMP DEFAULT CAST(timezone('UTC', current_timestamp) AS TIMESTAMP);

-- 4. comment on at: the spec's description
COMMENT ON COLUMN "s"."t"."at" IS 'When.';

-- 5. add the column doc: the spec has it, but the live table does not
ALTER TABLE "s"."t" ADD COLUMN "doc" JSON;

-- 6. delete all rows: replace reloads the table; DELETE, since TRUNCATE would commit
DELETE FROM "s"."t";

-- 7. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "s"."t" ("day", "carrier", "at", "doc", "raw")
SELECT "day", "carrier", "at", "doc", "raw"
FROM ".loader/staging/s.t/load-1/run-1/part-*.arrow";

-- 8. verify values: the whole table must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("carrier"), sum(strlen("carrier")), min(encode("carrier")), max(encode("carrier")),
    count(*) - count("at"), min(epoch_us("at")), max(epoch_us("at")), sum(epoch_us("at")),
    count(*) - count("doc"), sum(strlen("doc")),
    count(*) - count("raw"), sum(octet_length("raw"))
FROM "s"."t";

-- 9. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'replace',
    1000, 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    '1590385ad8a740178447152f0880a407e2b3a306ee116b7b4ed76662e6028b8a', '1.0', now(),
    NULL, '{"added": ["carrier", "at", "doc"]}',
    0, NULL;

COMMIT;
