-- s.t on prod (redshift): replace of the whole table
-- stages parquet/snappy files in s3://bucket/loader/s.t/load-1/run-1

-- label the queries: SYS_QUERY_HISTORY shows it as query_label
SET QUERY_GROUP TO 'loader load-1';

-- create the ledger's schema (only when it is missing): for the ledger
CREATE SCHEMA IF NOT EXISTS "loader";

-- create the ledger (only when it is missing): the record of all loads
CREATE TABLE IF NOT EXISTS "loader"."loads" (
    load_id varchar(128) NOT NULL,
    table_schema varchar(127) NOT NULL,
    table_name varchar(127) NOT NULL,
    asset_key varchar(1024) NOT NULL,
    slice varchar(4096),
    write_disposition varchar(16) NOT NULL,
    rows_loaded bigint NOT NULL,
    bytes_staged bigint NOT NULL,
    files integer NOT NULL,
    manifest varchar(2048),
    spec_hash varchar(64) NOT NULL,
    loader_version varchar(64) NOT NULL,
    loaded_at timestamp NOT NULL,
    rows_inserted bigint,
    rows_updated bigint,
    rows_unchanged bigint,
    rows_skipped bigint,
    rows_collapsed bigint,
    column_figures varchar(65535),
    columns_changed varchar(65535),
    rows_deleted bigint,
    rows_closed bigint,
    rows_rejected bigint,
    rejects varchar(65535)
)
DISTSTYLE AUTO
SORTKEY ("loaded_at");

-- create the ledger of the table (only when it is missing): loads of the table lock it to wait for each other; readers never wait
CREATE TABLE IF NOT EXISTS "loader"."loads_s_t" (
    load_id varchar(128) NOT NULL,
    slice varchar(4096),
    rows_loaded bigint NOT NULL,
    bytes_staged bigint NOT NULL,
    files integer NOT NULL,
    manifest varchar(2048)
)
DISTSTYLE AUTO
SORTKEY ("load_id");

-- copy earlier loads of the table (only when it is missing): from a ledger that an earlier version made
INSERT INTO "loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
SELECT load_id, slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id NOT IN (SELECT load_id FROM "loader"."loads_s_t");

BEGIN;

-- 1. lock the ledger of the table: loads of one table wait for each other; readers never wait
LOCK "loader"."loads_s_t";

-- 2. look for this load: a committed load is not repeated
SELECT slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads_s_t"
WHERE load_id = 'load-1';

-- 3. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "s";

-- 4. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "s"."t" (
    "id" bigint IDENTITY(1, 1) NOT NULL,
    "day" date ENCODE AZ64 NOT NULL,
    "carrier" varchar(2) DEFAULT 'AA' ENCODE ZSTD,
    "at" timestamp DEFAULT getdate(),
    "doc" super,
    "raw" varbyte(16)
)
DISTSTYLE KEY DISTKEY ("carrier")
INTERLEAVED SORTKEY ("day", "carrier");

-- 5. comment on the table (only when it is missing): the spec's description
COMMENT ON TABLE "s"."t" IS 'One row per order; it''s \\ small.';

-- 6. comment on at (only when it is missing): the spec's description
COMMENT ON COLUMN "s"."t"."at" IS 'When.';

-- 7. delete all rows: replace reloads the table; DELETE, since TRUNCATE would commit
DELETE FROM "s"."t";

-- 8. copy: load the staged files
COPY "s"."t" ("day", "carrier", "at", "doc", "raw")
FROM 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
IAM_ROLE 'arn:aws:iam::123456789012:role/loader'
FORMAT AS PARQUET
SERIALIZETOJSON
MANIFEST;

-- 9. count copied rows: COPY must have loaded exactly the staged rows
SELECT pg_last_copy_count();

-- 10. verify values: the whole table must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("carrier"), sum(octet_length("carrier")), sum(1000 * ascii("carrier") + ascii(right("carrier", 1))),
    count(*) - count("at"), min(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "at")), max(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "at")), sum(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "at")),
    count(*) - count("doc"),
    count(*) - count("raw"), sum(octet_length("raw"))
FROM "s"."t";

-- 11. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
VALUES (
    'load-1', NULL, 1000,
    20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
);

-- 12. record the load: for `loader history`; no load reads it
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'replace',
    1000, 20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json',
    'c1e7a9032ddacaeec9a0c3b94d32b6a0f369171ccab9f31dd64611cc4a32b7d6', '1.0', getdate(),
    NULL, NULL,
    0, NULL;

COMMIT;
