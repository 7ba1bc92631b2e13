-- s.t on prod (redshift): merge of the whole table
-- stages csv/zstd files in s3://bucket/loader/s.t/load-1/run-1

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
FORMAT AS CSV
IGNOREHEADER 1
NULL AS '\\N'
DATEFORMAT 'auto'
TIMEFORMAT 'auto'
ZSTD
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

-- 9. keep the last of each key: keeps the last row of each key; NULL sorts before every value
CREATE TEMPORARY TABLE "loader_stage_last" AS
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM (
  SELECT "id", "day", "at", "seen", "carrier", "amount",
    row_number() OVER (PARTITION BY "id" ORDER BY "at" DESC NULLS LAST, "seen" DESC NULLS LAST) AS nth
  FROM "loader_stage"
) AS ranked
WHERE nth = 1;

-- 10. look for ties: rows with the same key and the same at, seen must be identical
SELECT count(*)
FROM "loader_stage"
JOIN "loader_stage_last" ON "loader_stage_last"."id" = "loader_stage"."id"
  AND ("loader_stage"."at" = "loader_stage_last"."at" OR ("loader_stage"."at" IS NULL AND "loader_stage_last"."at" IS NULL))
  AND ("loader_stage"."seen" = "loader_stage_last"."seen" OR ("loader_stage"."seen" IS NULL AND "loader_stage_last"."seen" IS NULL))
WHERE CASE WHEN ("loader_stage"."day" = "loader_stage_last"."day" OR ("loader_stage"."day" IS NULL AND "loader_stage_last"."day" IS NULL))
      AND ("loader_stage"."at" = "loader_stage_last"."at" OR ("loader_stage"."at" IS NULL AND "loader_stage_last"."at" IS NULL))
      AND ("loader_stage"."seen" = "loader_stage_last"."seen" OR ("loader_stage"."seen" IS NULL AND "loader_stage_last"."seen" IS NULL))
      AND ("loader_stage"."carrier" = "loader_stage_last"."carrier" OR ("loader_stage"."carrier" IS NULL AND "loader_stage_last"."carrier" IS NULL))
      AND ("loader_stage"."amount" = "loader_stage_last"."amount" OR ("loader_stage"."amount" IS NULL AND "loader_stage_last"."amount" IS NULL)) THEN 0 ELSE 1 END = 1;

-- 11. compare with the table: counts the new, changed, unchanged and older rows
CREATE TEMPORARY TABLE "loader_merge" AS
SELECT
    count(CASE WHEN outcome = 'inserted' THEN 1 END) AS rows_inserted,
    count(CASE WHEN outcome = 'updated' THEN 1 END) AS rows_updated,
    count(CASE WHEN outcome = 'unchanged' THEN 1 END) AS rows_unchanged,
    count(CASE WHEN outcome = 'skipped' THEN 1 END) AS rows_skipped,
    (SELECT count(*) FROM "loader_stage") - (SELECT count(*) FROM "loader_stage_last") AS rows_collapsed,
    (SELECT count(*) FROM "s"."t") AS rows_before
FROM (
  SELECT CASE
    WHEN "s"."t"."id" IS NULL THEN 'inserted'
    WHEN ("s"."t"."at" IS NOT NULL AND ("loader_stage_last"."at" IS NULL OR "loader_stage_last"."at" < "s"."t"."at"))
    OR (("loader_stage_last"."at" = "s"."t"."at" OR ("loader_stage_last"."at" IS NULL AND "s"."t"."at" IS NULL)) AND "s"."t"."seen" IS NOT NULL AND ("loader_stage_last"."seen" IS NULL OR "loader_stage_last"."seen" < "s"."t"."seen")) THEN 'skipped'
    WHEN ("loader_stage_last"."day" = "s"."t"."day" OR ("loader_stage_last"."day" IS NULL AND "s"."t"."day" IS NULL))
      AND ("loader_stage_last"."at" = "s"."t"."at" OR ("loader_stage_last"."at" IS NULL AND "s"."t"."at" IS NULL))
      AND ("loader_stage_last"."seen" = "s"."t"."seen" OR ("loader_stage_last"."seen" IS NULL AND "s"."t"."seen" IS NULL))
      AND ("loader_stage_last"."carrier" = "s"."t"."carrier" OR ("loader_stage_last"."carrier" IS NULL AND "s"."t"."carrier" IS NULL))
      AND ("loader_stage_last"."amount" = "s"."t"."amount" OR ("loader_stage_last"."amount" IS NULL AND "s"."t"."amount" IS NULL)) THEN 'unchanged'
    ELSE 'updated' END AS outcome
  FROM "loader_stage_last"
  LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage_last"."id"
) AS outcomes;

-- 12. count the merge: each row of the load must match at most one row of the table
SELECT rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, rows_before
FROM "loader_merge";

-- 13. skip older rows: rows older than the table's by at, seen are not written
DELETE FROM "loader_stage_last"
USING "s"."t"
WHERE "s"."t"."id" = "loader_stage_last"."id"
  AND (("s"."t"."at" IS NOT NULL AND ("loader_stage_last"."at" IS NULL OR "loader_stage_last"."at" < "s"."t"."at"))
    OR (("loader_stage_last"."at" = "s"."t"."at" OR ("loader_stage_last"."at" IS NULL AND "s"."t"."at" IS NULL)) AND "s"."t"."seen" IS NOT NULL AND ("loader_stage_last"."seen" IS NULL OR "loader_stage_last"."seen" < "s"."t"."seen")));

-- 14. delete matching rows: rows with a key of the load are replaced
DELETE FROM "s"."t"
USING "loader_stage_last"
WHERE "s"."t"."id" = "loader_stage_last"."id";

-- 15. insert the rows: all rows of the load
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM "loader_stage_last";

-- 16. look for missing keys: every key of the load must be in the table exactly once
SELECT count(CASE WHEN "s"."t"."id" IS NULL THEN 1 END)
    + count(*) - (SELECT count(*) FROM "loader_stage_last")
FROM "loader_stage_last"
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage_last"."id";

-- 17. count after: the table must have grown by the inserted rows
SELECT count(*) FROM "s"."t";

-- 18. drop the stage: no longer needed
DROP TABLE "loader_stage_last";

-- 19. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 20. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
VALUES (
    'load-1', NULL, 1000,
    20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
);

-- 21. record the load: for `loader history`; no load reads it
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'merge',
    1000, 20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json',
    '8663568379def41ca31415d87dbc76ca6ab63f56ea72c3ef71bf3ea19cfbcdf7', '1.0', getdate(),
    NULL, NULL,
    0, NULL,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
FROM "loader_merge";

-- 22. drop the counts: no longer needed
DROP TABLE "loader_merge";

COMMIT;
