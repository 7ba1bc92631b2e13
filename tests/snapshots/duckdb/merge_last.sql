-- s.t on local (duckdb): merge of the whole table
-- stages csv/zstd files in .loader/staging/s.t/load-1/run-1

-- create the ledger's schema (only when it is missing): the ledger's place
CREATE SCHEMA IF NOT EXISTS "loader";

-- create the ledger (only when it is missing): what was loaded, and when
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
    loaded_at TIMESTAMP WITH TIME ZONE NOT NULL
);

BEGIN;

-- 1. look for this load: one that is there is not done twice
SELECT table_schema, table_name, slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE load_id = 'load-1';

-- 2. create the schema (only when it is missing): the table's place
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

-- 4. create the stage: rows meet the table's by key
CREATE TEMPORARY TABLE "loader_stage" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 5. copy: load the staged files
INSERT INTO "loader_stage" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM read_csv('.loader/staging/s.t/load-1/run-1/part-*', header = true, auto_detect = false, delim = ',', quote = '"', escape = '"',
    nullstr = '\N', allow_quoted_nulls = false, new_line = '\n', parallel = false,
    null_padding = false, ignore_errors = false, all_varchar = false, normalize_names = false,
    hive_partitioning = false, hive_types_autocast = false, union_by_name = false, filename = false,
    max_line_size = 67108864, buffer_size = 67108864, compression = 'zstd', columns = {'id': 'BIGINT', 'day': 'DATE', 'at': 'TIMESTAMP', 'seen': 'TIMESTAMP WITH TIME ZONE', 'carrier': 'VARCHAR', 'amount': 'DECIMAL(12,2)'});

-- 6. keep the last of each key: of the rows of one key the last stays
CREATE TEMPORARY TABLE "loader_stage_last" AS
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM (
  SELECT "id", "day", "at", "seen", "carrier", "amount",
    row_number() OVER (PARTITION BY "id" ORDER BY "at" DESC, "seen" DESC) AS nth
  FROM "loader_stage"
) AS ranked
WHERE nth = 1;

-- 7. delete matching rows: rows with a key of the load are replaced
DELETE FROM "s"."t"
USING "loader_stage_last"
WHERE "s"."t"."id" = "loader_stage_last"."id";

-- 8. insert the rows: all rows of the load
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM "loader_stage_last";

-- 9. look for missing keys: every key of the load must be in the table
SELECT count(*)
FROM "loader_stage_last"
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage_last"."id"
WHERE "s"."t"."id" IS NULL;

-- 10. drop the stage: it served its purpose
DROP TABLE "loader_stage_last";

-- 11. drop the stage: it served its purpose
DROP TABLE "loader_stage";

-- 12. record the load: its id commits with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'merge',
    1000, 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    '8663568379def41ca31415d87dbc76ca6ab63f56ea72c3ef71bf3ea19cfbcdf7', '1.0', now();

COMMIT;
