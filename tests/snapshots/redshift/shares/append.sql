-- s.t on prod (redshift): append of the whole table
-- stages parquet/snappy files in s3://bucket/loader/s.t/load-1/run-1

-- label the queries: SYS_QUERY_HISTORY shows it as query_label
SET QUERY_GROUP TO 'loader load-1';

-- create the ledger's schema (only when it is missing): for the ledger
CREATE SCHEMA IF NOT EXISTS "shared"."loader";

-- create the ledger (only when it is missing): the record of all loads
CREATE TABLE IF NOT EXISTS "shared"."loader"."loads" (
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
CREATE TABLE IF NOT EXISTS "shared"."loader"."loads_s_t" (
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
INSERT INTO "shared"."loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
SELECT load_id, slice, rows_loaded, bytes_staged, files, manifest
FROM "shared"."loader"."loads"
WHERE table_schema = 's'
  AND table_name = 't'
  AND load_id NOT IN (SELECT load_id FROM "shared"."loader"."loads_s_t");

-- make the row to update: a datashare has no LOCK: loads of the table update the row to take turns
INSERT INTO "shared"."loader"."loads_s_t" (load_id, rows_loaded, bytes_staged, files)
SELECT '', 0, 0, -1
WHERE NOT EXISTS (SELECT 1 FROM "shared"."loader"."loads_s_t" WHERE files < 0);

BEGIN;

-- 1. lock the ledger of the table: loads of one table wait for each other; readers never wait
UPDATE "shared"."loader"."loads_s_t" SET rows_loaded = 0 WHERE files < 0;

-- 2. look for this load: a committed load is not repeated
SELECT slice, rows_loaded, bytes_staged, files, manifest
FROM "shared"."loader"."loads_s_t"
WHERE load_id = 'load-1' AND files >= 0;

-- 3. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "shared"."s";

-- 4. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "shared"."s"."t" (
    "id" bigint,
    "day" date,
    "at" timestamp,
    "seen" timestamptz,
    "carrier" varchar(2),
    "amount" decimal(12,2)
);

-- 5. create the stage: rows are verified before they are inserted into the table
CREATE TEMPORARY TABLE "loader_stage" (
    "id" bigint,
    "day" date,
    "at" timestamp,
    "seen" timestamptz,
    "carrier" varchar(2),
    "amount" decimal(12,2)
);

-- 6. copy: load the staged files
COPY "loader_stage" ("id", "day", "at", "seen", "carrier", "amount")
FROM 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
IAM_ROLE 'arn:aws:iam::123456789012:role/loader'
FORMAT AS PARQUET
MANIFEST;

-- 7. count copied rows: COPY must have loaded exactly the staged rows
SELECT pg_last_copy_count();

-- 8. verify values: the stage must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("id"), min("id"), max("id"), sum("id"),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("at"), min(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "at")), max(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "at")), sum(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "at")),
    count(*) - count("seen"), min(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "seen" AT TIME ZONE 'UTC')), max(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "seen" AT TIME ZONE 'UTC')), sum(datediff(microsecond, TIMESTAMP '1970-01-01 00:00:00', "seen" AT TIME ZONE 'UTC')),
    count(*) - count("carrier"), sum(octet_length("carrier")), sum(1000 * ascii("carrier") + ascii(right("carrier", 1))),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount")
FROM "loader_stage";

-- 9. count before: the number of rows in the whole table
SELECT count(*) FROM "shared"."s"."t";

-- 10. insert the rows: all rows of the load
INSERT INTO "shared"."s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM "loader_stage";

-- 11. count: the whole table must have grown by the staged rows
SELECT count(*) FROM "shared"."s"."t";

-- 12. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 13. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "shared"."loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
VALUES (
    'load-1', NULL, 1000,
    20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
);

-- 14. record the load: for `loader history`; no load reads it
INSERT INTO "shared"."loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'append',
    1000, 20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json',
    '6b130c5a57931777e7b6028443020d41e0c20025c486db6d6da9c3f5dcb3412d', '1.0', getdate(),
    NULL, NULL,
    0, NULL;

COMMIT;
