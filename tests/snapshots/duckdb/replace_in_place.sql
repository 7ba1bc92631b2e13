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

-- 2. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "s";

-- 3. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "s"."t" (
    "id" BIGINT NOT NULL,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 4. delete all rows: replace reloads the table; DELETE, since TRUNCATE would commit
DELETE FROM "s"."t";

-- 5. copy: load the files from where they lie
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM read_parquet([
    '/lake/it''s [[]1].parquet', 's3://b/x'
], binary_as_string = false,
    hive_partitioning = false, hive_types_autocast = false, union_by_name = false, filename = false);

-- 6. count: the whole table must hold exactly the staged rows
SELECT count(*) FROM "s"."t";

-- 7. look for long values: no value may be longer than its column takes
SELECT count(too_long), min(too_long) FROM (
    SELECT CASE
        WHEN strlen("carrier") > 2 THEN 'carrier'
    END AS too_long
    FROM "s"."t") AS checked;

-- 8. look for duplicate keys: each primary key must be there once
SELECT count(*) FROM (
    SELECT count(*)
    FROM "s"."t"
    GROUP BY "id"
    HAVING count(*) > 1
) AS repeated;

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
    '3aacf408f6cedd184f1f4883c11728ed008e3780cd95a1fb402f15fe3b2b2747', '1.0', now(),
    NULL, NULL,
    0, NULL;

COMMIT;
