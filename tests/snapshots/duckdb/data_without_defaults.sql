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

-- 3. create the sequence of id (only when it is missing): generates its values
CREATE SEQUENCE IF NOT EXISTS "s"."t_id_seq_1_1" START WITH 1 INCREMENT BY 1
    MINVALUE -9223372036854775807 MAXVALUE 9223372036854775807;

-- 4. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "s"."t" (
    "id" BIGINT DEFAULT nextval('"s"."t_id_seq_1_1"') NOT NULL,
    "day" DATE NOT NULL,
    "carrier" VARCHAR DEFAULT 'AA',
    "at" TIMESTAMP DEFAULT CAST(timezone('UTC', current_timestamp) AS TIMESTAMP),
    "doc" JSON,
    "raw" BLOB
);

-- 5. comment on the table (only when it is missing): the spec's description
COMMENT ON TABLE "s"."t" IS 'One row per order; it''s \ small.';

-- 6. comment on at (only when it is missing): the spec's description
COMMENT ON COLUMN "s"."t"."at" IS 'When.';

-- 7. delete all rows: replace reloads the table; DELETE, since TRUNCATE would commit
DELETE FROM "s"."t";

-- 8. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "s"."t" ("day", "doc", "raw")
SELECT "day", "doc", "raw"
FROM ".loader/staging/s.t/load-1/run-1/part-*.arrow";

-- 9. verify values: the whole table must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("doc"), sum(strlen("doc")),
    count(*) - count("raw"), sum(octet_length("raw"))
FROM "s"."t";

-- 10. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'replace',
    1000, 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    'c1e7a9032ddacaeec9a0c3b94d32b6a0f369171ccab9f31dd64611cc4a32b7d6', '1.0', now(),
    NULL, NULL,
    0, NULL;

COMMIT;
