-- s.t on prod (redshift): merge of the whole table
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
    "carrier" varchar(2),
    "amount" decimal(12,2),
    "op" varchar(1)
);

-- 6. copy: load the staged files
COPY "loader_stage" ("id", "day", "at", "carrier", "amount", "op")
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
    count(*) - count("carrier"), sum(octet_length("carrier")), sum(1000 * ascii("carrier") + ascii(right("carrier", 1))),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount"),
    count(*) - count("op"), sum(octet_length("op")), sum(1000 * ascii("op") + ascii(right("op", 1)))
FROM "loader_stage";

-- 9. mark the deletes: rows with op = 'D' are deletes
CREATE TEMPORARY TABLE "loader_rows" AS
SELECT "id", "day", "at", "carrier", "amount", "op",
    CASE WHEN op = 'D' THEN CAST(sysdate AS timestamptz) END AS "seen"
FROM "loader_stage";

-- 10. compare with the table: counts the new, changed, unchanged and older rows
CREATE TEMPORARY TABLE "loader_merge" AS
SELECT
    count(CASE WHEN outcome = 'inserted' THEN 1 END) AS rows_inserted,
    count(CASE WHEN outcome = 'updated' THEN 1 END) AS rows_updated,
    count(CASE WHEN outcome IN ('unchanged', 'nothing') THEN 1 END) AS rows_unchanged,
    count(CASE WHEN outcome = 'skipped' THEN 1 END) AS rows_skipped,
    (SELECT count(*) FROM "loader_stage") - (SELECT count(*) FROM "loader_rows") AS rows_collapsed,
    count(CASE WHEN outcome = 'deleted' THEN 1 END) AS rows_deleted,
    count(CASE WHEN outcome = 'nothing' THEN 1 END) AS rows_nothing,
    (SELECT count(*) FROM "s"."t") AS rows_before
FROM (
  SELECT CASE
    WHEN "s"."t"."id" IS NULL THEN 'inserted'
    WHEN ("s"."t"."at" IS NOT NULL AND ("loader_rows"."at" IS NULL OR "loader_rows"."at" < "s"."t"."at")) THEN 'skipped'
    WHEN "loader_rows"."seen" IS NOT NULL AND "s"."t"."seen" IS NOT NULL
      AND ("loader_rows"."at" = "s"."t"."at" OR ("loader_rows"."at" IS NULL AND "s"."t"."at" IS NULL)) THEN 'nothing'
    WHEN "loader_rows"."seen" IS NOT NULL THEN 'deleted'
    WHEN ("loader_rows"."day" = "s"."t"."day" OR ("loader_rows"."day" IS NULL AND "s"."t"."day" IS NULL))
      AND ("loader_rows"."at" = "s"."t"."at" OR ("loader_rows"."at" IS NULL AND "s"."t"."at" IS NULL))
      AND ("loader_rows"."carrier" = "s"."t"."carrier" OR ("loader_rows"."carrier" IS NULL AND "s"."t"."carrier" IS NULL))
      AND ("loader_rows"."amount" = "s"."t"."amount" OR ("loader_rows"."amount" IS NULL AND "s"."t"."amount" IS NULL))
      AND ("loader_rows"."seen" = "s"."t"."seen" OR ("loader_rows"."seen" IS NULL AND "s"."t"."seen" IS NULL)) THEN 'unchanged'
    ELSE 'updated' END AS outcome
  FROM "loader_rows"
  LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_rows"."id"
) AS outcomes;

-- 11. count the merge: each row of the load must match at most one row of the table
SELECT rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, "rows_deleted", "rows_nothing", rows_before
FROM "loader_merge";

-- 12. skip older rows: rows older than the table's by at are not written
DELETE FROM "loader_rows"
USING "s"."t"
WHERE "s"."t"."id" = "loader_rows"."id"
  AND (("s"."t"."at" IS NOT NULL AND ("loader_rows"."at" IS NULL OR "loader_rows"."at" < "s"."t"."at")));

-- 13. mark deleted rows: the rows stay, with a mark in seen
UPDATE "s"."t" SET
    "seen" = coalesce("s"."t"."seen", "loader_rows"."seen"),
    "at" = "loader_rows"."at"
FROM "loader_rows"
WHERE "s"."t"."id" = "loader_rows"."id"
  AND "loader_rows"."seen" IS NOT NULL;

-- 14. look for deleted keys: every deleted row must be marked
SELECT count(CASE WHEN "s"."t"."seen" IS NOT NULL THEN NULL ELSE 1 END)
FROM "loader_rows"
JOIN "s"."t" ON "s"."t"."id" = "loader_rows"."id"
WHERE "loader_rows"."seen" IS NOT NULL;

-- 15. set the deletes apart: the other rows are written
DELETE FROM "loader_rows"
USING "s"."t"
WHERE "s"."t"."id" = "loader_rows"."id"
  AND "loader_rows"."seen" IS NOT NULL;

-- 16. delete matching rows: rows with a key of the load are replaced
DELETE FROM "s"."t"
USING "loader_rows"
WHERE "s"."t"."id" = "loader_rows"."id";

-- 17. insert the rows: all rows of the load
INSERT INTO "s"."t" ("id", "day", "at", "carrier", "amount", "seen")
SELECT "id", "day", "at", "carrier", "amount", "seen"
FROM "loader_rows";

-- 18. look for missing keys: every key of the load must be in the table exactly once
SELECT count(CASE WHEN "s"."t"."id" IS NULL THEN 1 END)
    + count(*) - (SELECT count(*) FROM "loader_rows")
FROM "loader_rows"
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_rows"."id";

-- 19. count after: the table must have grown by the inserted rows
SELECT count(*) FROM "s"."t";

-- 20. drop the stage: no longer needed
DROP TABLE "loader_rows";

-- 21. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 22. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
VALUES (
    'load-1', NULL, 1000,
    20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
);

-- 23. record the load: for `loader history`; no load reads it
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, "rows_deleted"
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'merge',
    1000, 20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json',
    '55c205ccba63782eb3070358ab667ce3bed316a258165d6d5fc03efd2cc01685', '1.0', getdate(),
    NULL, NULL,
    0, NULL,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, "rows_deleted"
FROM "loader_merge";

-- 24. drop the counts: no longer needed
DROP TABLE "loader_merge";

COMMIT;
