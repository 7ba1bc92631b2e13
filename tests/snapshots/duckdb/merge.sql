-- s.t on local (duckdb): merge of the whole table
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
    "day" DATE NOT NULL,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 4. create the stage: rows are matched with the table's by key
CREATE TEMPORARY TABLE "loader_stage" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 5. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "loader_stage" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM ".loader/staging/s.t/load-1/run-1/part-*.arrow";

-- 6. verify values: the stage must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("id"), min("id"), max("id"), sum("id"),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("at"), min(epoch_us("at")), max(epoch_us("at")), sum(epoch_us("at")),
    count(*) - count("seen"), min(epoch_us("seen")), max(epoch_us("seen")), sum(epoch_us("seen")),
    count(*) - count("carrier"), sum(strlen("carrier")), min(encode("carrier")), max(encode("carrier")),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount")
FROM "loader_stage";

-- 7. compare with the table: counts the new, changed and unchanged rows
CREATE TEMPORARY TABLE "loader_merge" AS
SELECT
    count(CASE WHEN outcome = 'inserted' THEN 1 END) AS rows_inserted,
    count(CASE WHEN outcome = 'updated' THEN 1 END) AS rows_updated,
    count(CASE WHEN outcome = 'unchanged' THEN 1 END) AS rows_unchanged,
    count(CASE WHEN outcome = 'skipped' THEN 1 END) AS rows_skipped,
    0 AS rows_collapsed,
    (SELECT count(*) FROM "s"."t") AS rows_before
FROM (
  SELECT CASE
    WHEN "s"."t"."id" IS NULL THEN 'inserted'
    WHEN ("loader_stage"."at" = "s"."t"."at" OR ("loader_stage"."at" IS NULL AND "s"."t"."at" IS NULL))
      AND ("loader_stage"."seen" = "s"."t"."seen" OR ("loader_stage"."seen" IS NULL AND "s"."t"."seen" IS NULL))
      AND ("loader_stage"."carrier" = "s"."t"."carrier" OR ("loader_stage"."carrier" IS NULL AND "s"."t"."carrier" IS NULL))
      AND ("loader_stage"."amount" = "s"."t"."amount" OR ("loader_stage"."amount" IS NULL AND "s"."t"."amount" IS NULL)) THEN 'unchanged'
    ELSE 'updated' END AS outcome
  FROM "loader_stage"
  LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage"."id" AND "s"."t"."day" = "loader_stage"."day"
) AS outcomes;

-- 8. count the merge: each row of the load must match at most one row of the table
SELECT rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, rows_before
FROM "loader_merge";

-- 9. delete matching rows: rows with a key of the load are replaced
DELETE FROM "s"."t"
USING "loader_stage"
WHERE "s"."t"."id" = "loader_stage"."id" AND "s"."t"."day" = "loader_stage"."day";

-- 10. insert the rows: all rows of the load
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM "loader_stage";

-- 11. look for missing keys: every key of the load must be in the table exactly once
SELECT count(CASE WHEN "s"."t"."id" IS NULL THEN 1 END)
    + count(*) - (SELECT count(*) FROM "loader_stage")
FROM "loader_stage"
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage"."id" AND "s"."t"."day" = "loader_stage"."day";

-- 12. count after: the table must have grown by the inserted rows
SELECT count(*) FROM "s"."t";

-- 13. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 14. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'merge',
    1000, 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    'cd4c5207d65152c2f7f9c12b0b8ab08dc548ef90cac47b32b68b1cc5edb9d389', '1.0', now(),
    NULL, NULL,
    0, NULL,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
FROM "loader_merge";

-- 15. drop the counts: no longer needed
DROP TABLE "loader_merge";

COMMIT;
