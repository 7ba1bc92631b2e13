-- s.t on local (duckdb): scd2 of the whole table
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
    "amount" DECIMAL(12,2),
    "note" JSON DEFAULT NULL,
    "valid_from" DATE NOT NULL,
    "until" DATE,
    "is_current" BOOLEAN DEFAULT true NOT NULL
);

-- 4. comment on valid_from (only when it is missing): the spec's description
COMMENT ON COLUMN "s"."t"."valid_from" IS 'From when this version holds.';

-- 5. comment on until (only when it is missing): the spec's description
COMMENT ON COLUMN "s"."t"."until" IS 'When this version ended; NULL in the current one.';

-- 6. comment on is_current (only when it is missing): the spec's description
COMMENT ON COLUMN "s"."t"."is_current" IS 'Whether this is the current version.';

-- 7. create the stage: rows are compared with the history of their keys
CREATE TEMPORARY TABLE "loader_stage" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 8. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "loader_stage" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM ".loader/staging/s.t/load-1/run-1/part-*.arrow";

-- 9. verify values: the stage must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("id"), min("id"), max("id"), sum("id"),
    count(*) - count("day"), min("day" - DATE '1970-01-01'), max("day" - DATE '1970-01-01'), sum("day" - DATE '1970-01-01'),
    count(*) - count("at"), min(epoch_us("at")), max(epoch_us("at")), sum(epoch_us("at")),
    count(*) - count("seen"), min(epoch_us("seen")), max(epoch_us("seen")), sum(epoch_us("seen")),
    count(*) - count("carrier"), sum(strlen("carrier")), min(encode("carrier")), max(encode("carrier")),
    count(*) - count("amount"), min("amount"), max("amount"), sum("amount")
FROM "loader_stage";

-- 10. find the versions: each row of the load holds from a time
CREATE TEMPORARY TABLE "loader_versions" AS
SELECT "id", "day", "at", "seen", "carrier", "amount",
    "day" AS "valid_from"
FROM (
  SELECT "id", "day", "at", "seen", "carrier", "amount",
    row_number() OVER (PARTITION BY "id", "day" ORDER BY "day") AS loader_nth
  FROM "loader_stage"
) AS ranked
WHERE loader_nth = 1;

-- 11. look for ties: rows with the same key and the same day must be identical
SELECT count(*)
FROM "loader_stage"
JOIN "loader_versions" ON "loader_versions"."id" = "loader_stage"."id" AND "loader_versions"."day" = "loader_stage"."day"
WHERE CASE WHEN ("loader_stage"."at" = "loader_versions"."at" OR ("loader_stage"."at" IS NULL AND "loader_versions"."at" IS NULL))
      AND ("loader_stage"."seen" = "loader_versions"."seen" OR ("loader_stage"."seen" IS NULL AND "loader_versions"."seen" IS NULL))
      AND ("loader_stage"."carrier" = "loader_versions"."carrier" OR ("loader_stage"."carrier" IS NULL AND "loader_versions"."carrier" IS NULL))
      AND ("loader_stage"."amount" = "loader_versions"."amount" OR ("loader_stage"."amount" IS NULL AND "loader_versions"."amount" IS NULL)) THEN 0 ELSE 1 END = 1;

-- 12. look for other times: a snapshot has the same day in all rows
SELECT count(DISTINCT "valid_from") - 1, CAST(min("valid_from") AS varchar), CAST(max("valid_from") AS varchar)
FROM "loader_versions";

-- 13. look for later versions: a snapshot must not be older than the history
SELECT count(*)
FROM "s"."t"
WHERE "valid_from" > (SELECT max("valid_from") FROM "loader_versions")
  OR "until" > (SELECT max("valid_from") FROM "loader_versions");

-- 14. compare with the history: orders the rows of the load and the versions of their keys, and compares neighbours
CREATE TEMPORARY TABLE "loader_timeline" AS
SELECT "loader_events"."id", loader_at, loader_kind, loader_until, loader_base,
  CASE
    WHEN loader_kind < 2 THEN 'version'
    WHEN loader_kind = 2 AND loader_kind_before = 1
      AND ("loader_versions"."at" = "s"."t"."at" OR ("loader_versions"."at" IS NULL AND "s"."t"."at" IS NULL))
      AND ("loader_versions"."seen" = "s"."t"."seen" OR ("loader_versions"."seen" IS NULL AND "s"."t"."seen" IS NULL))
      AND ("loader_versions"."carrier" = "s"."t"."carrier" OR ("loader_versions"."carrier" IS NULL AND "s"."t"."carrier" IS NULL))
      AND ("loader_versions"."amount" = "s"."t"."amount" OR ("loader_versions"."amount" IS NULL AND "s"."t"."amount" IS NULL)) THEN 'unchanged'
    WHEN loader_kind = 2 AND loader_kind_before = 2
      AND ("loader_versions"."at" = "loader_previous"."at" OR ("loader_versions"."at" IS NULL AND "loader_previous"."at" IS NULL))
      AND ("loader_versions"."seen" = "loader_previous"."seen" OR ("loader_versions"."seen" IS NULL AND "loader_previous"."seen" IS NULL))
      AND ("loader_versions"."carrier" = "loader_previous"."carrier" OR ("loader_versions"."carrier" IS NULL AND "loader_previous"."carrier" IS NULL))
      AND ("loader_versions"."amount" = "loader_previous"."amount" OR ("loader_versions"."amount" IS NULL AND "loader_previous"."amount" IS NULL)) THEN 'unchanged'
    WHEN loader_kind_before = 1 AND loader_at_before = loader_at THEN 'updated'
    ELSE 'inserted'
  END AS loader_outcome
FROM (
  SELECT "id", loader_at, loader_kind, loader_until,
    lag(loader_at) OVER (PARTITION BY "id" ORDER BY loader_at, loader_kind) AS loader_at_before,
    lag(loader_kind) OVER (PARTITION BY "id" ORDER BY loader_at, loader_kind) AS loader_kind_before,
    max(CASE WHEN loader_kind = 1 THEN loader_at END) OVER (PARTITION BY "id" ORDER BY loader_at, loader_kind ROWS UNBOUNDED PRECEDING) AS loader_base
  FROM (
    SELECT "id", "valid_from" AS loader_at, 2 AS loader_kind, CAST(NULL AS DATE) AS loader_until
    FROM "loader_versions"
    UNION ALL
    SELECT "s"."t"."id", "s"."t"."valid_from", 1, "s"."t"."until"
    FROM "s"."t"
    JOIN (
      SELECT "id", min("valid_from") AS loader_first
      FROM "loader_versions"
      GROUP BY "id"
    ) AS "loader_firsts" ON "s"."t"."id" = "loader_firsts"."id"
    UNION ALL
    SELECT "s"."t"."id", "s"."t"."until", 0, NULL
    FROM "s"."t"
    JOIN (
      SELECT "id", min("valid_from") AS loader_first
      FROM "loader_versions"
      GROUP BY "id"
    ) AS "loader_firsts" ON "s"."t"."id" = "loader_firsts"."id" AND "s"."t"."until" IS NOT NULL
  ) AS times
) AS "loader_events"
LEFT JOIN "loader_versions" ON "loader_versions"."id" = "loader_events"."id"
  AND "loader_versions"."valid_from" = loader_at AND loader_kind >= 2
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_events"."id"
  AND "s"."t"."valid_from" = loader_at_before AND loader_kind >= 2 AND loader_kind_before = 1
LEFT JOIN "loader_versions" AS "loader_previous" ON "loader_previous"."id" = "loader_events"."id"
  AND "loader_previous"."valid_from" = loader_at_before AND loader_kind >= 2 AND loader_kind_before = 2;

-- 15. find the changes: a version ends when the next one of its key begins, or when the key is not in the load
CREATE TEMPORARY TABLE "loader_changes" AS
SELECT "id", loader_at, loader_kind, loader_end, loader_base
FROM (
  SELECT "id", loader_at, loader_kind, loader_until, loader_base,
    lead(loader_at) OVER (PARTITION BY "id" ORDER BY loader_at, loader_kind) AS loader_end
  FROM "loader_timeline"
  WHERE loader_outcome IN ('version', 'inserted', 'deleted')
) AS events
WHERE loader_kind = 2
  OR (loader_kind = 1 AND (loader_end < loader_until OR (loader_until IS NULL AND loader_end IS NOT NULL)))
UNION ALL
SELECT "s"."t"."id", "s"."t"."valid_from", 1, (SELECT max("valid_from") FROM "loader_versions"), NULL
FROM "s"."t"
LEFT JOIN "loader_versions" ON "loader_versions"."id" = "s"."t"."id"
WHERE "loader_versions"."id" IS NULL
  AND "s"."t"."until" IS NULL;

-- 16. count the changes: counts the new, changed, unchanged and late rows, and the versions that end
CREATE TEMPORARY TABLE "loader_merge" AS
SELECT
    count(CASE WHEN loader_outcome = 'inserted' THEN 1 END) AS rows_inserted,
    count(CASE WHEN loader_outcome = 'updated' THEN 1 END) AS rows_updated,
    count(CASE WHEN loader_outcome IN ('unchanged', 'nothing') THEN 1 END) AS rows_unchanged,
    count(CASE WHEN loader_outcome = 'late' THEN 1 END) AS rows_skipped,
    (SELECT count(*) FROM "loader_stage") - (SELECT count(*) FROM "loader_versions") AS rows_collapsed,
    count(CASE WHEN loader_outcome = 'deleted' THEN 1 END) AS rows_deleted,
    (SELECT count(*) FROM "loader_changes" WHERE loader_kind = 1 AND loader_end > loader_at) AS rows_closed,
    (SELECT count(*) FROM "loader_changes" WHERE loader_kind = 1 AND loader_end <= loader_at) AS rows_removed,
    (SELECT count(*) FROM "s"."t") AS rows_before
FROM "loader_timeline";

-- 17. count the history: each row of the load must have become one of these
SELECT rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, "rows_deleted", "rows_closed", "rows_removed", rows_before
FROM "loader_merge";

-- 18. correct versions: the load has other values for the same day
UPDATE "s"."t" SET
    "day" = "loader_versions"."day",
    "at" = "loader_versions"."at",
    "seen" = "loader_versions"."seen",
    "carrier" = "loader_versions"."carrier",
    "amount" = "loader_versions"."amount"
FROM "loader_versions"
JOIN "loader_timeline" ON "loader_timeline"."id" = "loader_versions"."id"
  AND "loader_timeline".loader_at = "loader_versions"."valid_from"
WHERE "s"."t"."id" = "loader_versions"."id"
  AND "s"."t"."valid_from" = "loader_versions"."valid_from"
  AND "loader_timeline".loader_outcome = 'updated';

-- 19. close versions: a newer version begins, or the key is not in the load
UPDATE "s"."t" SET
    "until" = "loader_changes".loader_end,
    "is_current" = FALSE
FROM "loader_changes"
WHERE "s"."t"."id" = "loader_changes"."id"
  AND "s"."t"."valid_from" = "loader_changes".loader_at
  AND "loader_changes".loader_kind = 1;

-- 20. insert versions: the rows of the load that differ from what held before; the load has no note, so they take over the values there
INSERT INTO "s"."t" (
    "id", "day", "at", "seen", "carrier", "amount", "note",
    "valid_from", "until", "is_current"
)
SELECT
    "loader_versions"."id",
    "loader_versions"."day",
    "loader_versions"."at",
    "loader_versions"."seen",
    "loader_versions"."carrier",
    "loader_versions"."amount",
    "loader_previous"."note",
    loader_at, loader_end, CASE WHEN loader_end IS NULL THEN TRUE ELSE FALSE END
FROM "loader_versions"
JOIN "loader_changes" ON "loader_changes"."id" = "loader_versions"."id"
  AND loader_at = "loader_versions"."valid_from" AND loader_kind = 2
JOIN "s"."t" AS "loader_previous" ON "loader_previous"."id" = "loader_versions"."id"
  AND "loader_previous"."valid_from" = loader_base;

-- 21. insert versions: the rows of the load that differ from what held before, of keys without a version before
INSERT INTO "s"."t" (
    "id", "day", "at", "seen", "carrier", "amount",
    "valid_from", "until", "is_current"
)
SELECT
    "loader_versions"."id",
    "loader_versions"."day",
    "loader_versions"."at",
    "loader_versions"."seen",
    "loader_versions"."carrier",
    "loader_versions"."amount",
    loader_at, loader_end, CASE WHEN loader_end IS NULL THEN TRUE ELSE FALSE END
FROM "loader_versions"
JOIN "loader_changes" ON "loader_changes"."id" = "loader_versions"."id"
  AND loader_at = "loader_versions"."valid_from" AND loader_kind = 2
WHERE loader_base IS NULL;

-- 22. remove versions: versions that end when they begin never held
DELETE FROM "s"."t"
USING "loader_changes"
WHERE "s"."t"."id" = "loader_changes"."id"
  AND "s"."t"."valid_from" = "loader_changes".loader_at
  AND "loader_changes".loader_kind = 1
  AND "loader_changes".loader_end <= "loader_changes".loader_at;

-- 23. look for missing rows: each row of the load must be what the history says of its time
SELECT count(CASE WHEN "s"."t"."id" IS NULL THEN 1 END)
    + count(*) - (SELECT count(*) FROM "loader_timeline" WHERE loader_kind >= 2 AND loader_outcome <> 'late')
FROM "loader_versions"
JOIN "loader_timeline" ON "loader_timeline"."id" = "loader_versions"."id"
  AND loader_at = "loader_versions"."valid_from" AND loader_kind >= 2 AND loader_outcome <> 'late'
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_versions"."id"
  AND "s"."t"."valid_from" <= loader_at
  AND ("s"."t"."until" IS NULL OR "s"."t"."until" > loader_at)
  AND (("loader_versions"."at" = "s"."t"."at" OR ("loader_versions"."at" IS NULL AND "s"."t"."at" IS NULL))
      AND ("loader_versions"."seen" = "s"."t"."seen" OR ("loader_versions"."seen" IS NULL AND "s"."t"."seen" IS NULL))
      AND ("loader_versions"."carrier" = "s"."t"."carrier" OR ("loader_versions"."carrier" IS NULL AND "s"."t"."carrier" IS NULL))
      AND ("loader_versions"."amount" = "s"."t"."amount" OR ("loader_versions"."amount" IS NULL AND "s"."t"."amount" IS NULL)));

-- 24. look for broken histories: versions of a key must not overlap, and only the last one is current
SELECT count(*) FROM (
  SELECT "s"."t"."valid_from" AS begins, "s"."t"."until" AS ends, "s"."t"."is_current" AS is_open,
    lead("s"."t"."valid_from") OVER (PARTITION BY "s"."t"."id" ORDER BY "s"."t"."valid_from") AS next_begins
  FROM "s"."t"
  JOIN (SELECT DISTINCT "id" FROM "loader_versions") AS "loader_loaded" ON "s"."t"."id" = "loader_loaded"."id"
) AS versions
WHERE ends <= begins
  OR next_begins <= begins
  OR next_begins < ends
  OR (ends IS NULL AND (next_begins IS NOT NULL OR NOT is_open))
  OR (ends IS NOT NULL AND is_open);

-- 25. look for absent keys: no key that is not in the load may be current
SELECT count(*)
FROM "s"."t"
LEFT JOIN "loader_versions" ON "loader_versions"."id" = "s"."t"."id"
WHERE "loader_versions"."id" IS NULL
  AND "s"."t"."until" IS NULL;

-- 26. count after: the table must have grown by the inserted versions
SELECT count(*) FROM "s"."t";

-- 27. drop a work table: no longer needed
DROP TABLE "loader_changes";

-- 28. drop a work table: no longer needed
DROP TABLE "loader_timeline";

-- 29. drop a work table: no longer needed
DROP TABLE "loader_versions";

-- 30. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 31. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, "rows_deleted", "rows_closed"
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'scd2',
    1000, 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    'a6972ec3ce9d638707e41f0f7e9a7555ec98d13fc43559ce3d3b8bd29fd76975', '1.0', now(),
    NULL, NULL,
    0, NULL,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, "rows_deleted", "rows_closed"
FROM "loader_merge";

-- 32. drop the counts: no longer needed
DROP TABLE "loader_merge";

COMMIT;
