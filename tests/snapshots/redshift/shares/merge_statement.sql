-- s.t on prod (redshift): merge of the whole table
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
    "id" bigint NOT NULL,
    "day" date,
    "at" timestamp,
    "seen" timestamptz,
    "carrier" varchar(2),
    "amount" decimal(12,2),
    PRIMARY KEY ("id")
);

-- 5. create the stage: rows are matched with the table's by key
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

-- 9. compare with the table: counts the new, changed and unchanged rows
CREATE TEMPORARY TABLE "loader_merge" AS
SELECT
    count(CASE WHEN outcome = 'inserted' THEN 1 END) AS rows_inserted,
    count(CASE WHEN outcome = 'updated' THEN 1 END) AS rows_updated,
    count(CASE WHEN outcome = 'unchanged' THEN 1 END) AS rows_unchanged,
    count(CASE WHEN outcome = 'skipped' THEN 1 END) AS rows_skipped,
    0 AS rows_collapsed,
    (SELECT count(*) FROM "shared"."s"."t") AS rows_before
FROM (
  SELECT CASE
    WHEN "t"."id" IS NULL THEN 'inserted'
    WHEN ("loader_stage"."day" = "t"."day" OR ("loader_stage"."day" IS NULL AND "t"."day" IS NULL))
      AND ("loader_stage"."at" = "t"."at" OR ("loader_stage"."at" IS NULL AND "t"."at" IS NULL))
      AND ("loader_stage"."seen" = "t"."seen" OR ("loader_stage"."seen" IS NULL AND "t"."seen" IS NULL))
      AND ("loader_stage"."carrier" = "t"."carrier" OR ("loader_stage"."carrier" IS NULL AND "t"."carrier" IS NULL))
      AND ("loader_stage"."amount" = "t"."amount" OR ("loader_stage"."amount" IS NULL AND "t"."amount" IS NULL)) THEN 'unchanged'
    ELSE 'updated' END AS outcome
  FROM "loader_stage"
  LEFT JOIN "shared"."s"."t" ON "t"."id" = "loader_stage"."id"
) AS outcomes;

-- 10. count the merge: each row of the load must match at most one row of the table
SELECT rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, rows_before
FROM "loader_merge";

-- 11. merge: existing keys are updated, new ones inserted
MERGE INTO "shared"."s"."t"
USING "loader_stage"
ON "t"."id" = "loader_stage"."id"
WHEN MATCHED THEN UPDATE SET
    "day" = "loader_stage"."day",
    "at" = "loader_stage"."at",
    "seen" = "loader_stage"."seen",
    "carrier" = "loader_stage"."carrier",
    "amount" = "loader_stage"."amount"
WHEN NOT MATCHED THEN INSERT ("id", "day", "at", "seen", "carrier", "amount")
VALUES ("loader_stage"."id", "loader_stage"."day", "loader_stage"."at", "loader_stage"."seen", "loader_stage"."carrier", "loader_stage"."amount");

-- 12. look for missing keys: every key of the load must be in the table exactly once
SELECT count(CASE WHEN "t"."id" IS NULL THEN 1 END)
    + count(*) - (SELECT count(*) FROM "loader_stage")
FROM "loader_stage"
LEFT JOIN "shared"."s"."t" ON "t"."id" = "loader_stage"."id";

-- 13. count after: the table must have grown by the inserted rows
SELECT count(*) FROM "shared"."s"."t";

-- 14. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 15. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "shared"."loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
VALUES (
    'load-1', NULL, 1000,
    20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
);

-- 16. record the load: for `loader history`; no load reads it
INSERT INTO "shared"."loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'merge',
    1000, 20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json',
    'c13ae8d14ac60b04a4e9586541fd71d8d7b9470e70b0be843cd38b15007c51eb', '1.0', getdate(),
    NULL, NULL,
    0, NULL,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
FROM "loader_merge";

-- 17. drop the counts: no longer needed
DROP TABLE "loader_merge";

COMMIT;
