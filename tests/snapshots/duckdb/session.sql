-- s.t on local (duckdb): replace of the whole table
-- stages arrow/none files in .loader/staging/s.t/load-1/run-1
-- the hook `refresh_view` is skipped: it has no template for DuckDB

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

-- hook analyze: a hook of the spec, before the rows are loaded
ANALYZE "s"."t";

BEGIN;

-- 1. look for this load: a committed load is not repeated
SELECT slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE load_id = 'load-1'
  AND table_schema = 's'
  AND table_name = 't';

-- 2. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "s";

-- 3. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "s"."t" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 4. hook analyze: a hook of the spec, before the rows are loaded
ANALYZE "s"."t";

-- 5. delete all rows: replace reloads the table; DELETE, since TRUNCATE would commit
DELETE FROM "s"."t";

-- 6. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM ".loader/staging/s.t/load-1/run-1/part-*.arrow";

-- 7. verify values: the whole table must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("id"), min("id"), max("id"), sum("id"),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("at"), min(epoch_us("at")), max(epoch_us("at")), sum(epoch_us("at")),
    count(*) - count("seen"), min(epoch_us("seen")), max(epoch_us("seen")), sum(epoch_us("seen")),
    count(*) - count("carrier"), sum(strlen("carrier")), min(encode("carrier")), max(encode("carrier")),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount")
FROM "s"."t";

-- 8. hook analyze: a hook of the spec, after the rows are loaded
ANALYZE "s"."t";

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
    '9884ef840292f119c91c9a32bb27b931dfd49cb49542ec995f0bf61cfbbe51ce', '1.0', now(),
    NULL, NULL,
    0, NULL;

COMMIT;
