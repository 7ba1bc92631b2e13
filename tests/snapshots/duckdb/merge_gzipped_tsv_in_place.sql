-- s.t on local (duckdb): merge of the whole table
-- loads 1 CSV file in place: lines of text, which SQL splits and casts; the manifest is kept in .loader/staging/s.t/load-1/run-1

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

-- 4. create the stage: rows are matched with the table's by key
CREATE TEMPORARY TABLE "loader_stage" (
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 5. read the lines: whole lines: what splits them is below
CREATE TEMPORARY VIEW "loader_lines" AS
SELECT CASE WHEN rest IS NULL THEN line END AS line
FROM read_csv([
    's3://b/x.tsv.gz'
], header = false, skip = 0, auto_detect = false, delim = chr(1), quote = '', escape = '', comment = '',
    nullstr = chr(10), null_padding = true, ignore_errors = false, strict_mode = true, normalize_names = false,
    hive_partitioning = false, hive_types_autocast = false, union_by_name = false, filename = false,
    max_line_size = 16777216, buffer_size = 33554432, compression = 'gzip', columns = {'line': 'VARCHAR', 'rest': 'VARCHAR'});

-- 6. look for bad lines: each line must be a row
SELECT
    count(*) AS rows_found,
    count(CASE WHEN CASE
        WHEN line IS NULL OR strpos(line, chr(13)) > 0 OR strpos(line, chr(10)) > 0
            OR strlen(line) > 16777216 THEN TRUE
        WHEN strpos(line, '''') = 0
            THEN length(line) - length(replace(line, '	', '')) <> 6
        ELSE NOT regexp_full_match("line", '([^	''][^	]*|''([^'']|'''')*'')?([	]([^	''][^	]*|''([^'']|'''')*'')?){6}')
    END THEN 1 END) AS "bad_1"
FROM (
    SELECT rtrim(line, chr(13)) AS line
    FROM "loader_lines"
    WHERE line IS NULL OR length(rtrim(line, chr(13))) > 0
) AS found;

-- 7. create the fields: as text, since casts round and guess
CREATE TEMPORARY TABLE "loader_fields" (
    "id" VARCHAR,
    "day" VARCHAR,
    "at" VARCHAR,
    "seen" VARCHAR,
    "carrier" VARCHAR,
    "amount" VARCHAR
);

-- 8. split the lines: by the rules of CSV, which the lines above were held against
INSERT INTO "loader_fields" ("id", "day", "at", "seen", "carrier", "amount")
SELECT
    CAST(CASE
        WHEN substr("id", 1, 1) = ''''
            THEN replace(substr("id", 2, length("id") - 2), '''''', '''')
        ELSE "id"
    END AS VARCHAR),
    CAST(CASE
        WHEN substr("day", 1, 1) = ''''
            THEN replace(substr("day", 2, length("day") - 2), '''''', '''')
        ELSE "day"
    END AS VARCHAR),
    CAST(CASE
        WHEN substr("at", 1, 1) = ''''
            THEN replace(substr("at", 2, length("at") - 2), '''''', '''')
        ELSE "at"
    END AS VARCHAR),
    CAST(CASE
        WHEN substr("seen", 1, 1) = ''''
            THEN replace(substr("seen", 2, length("seen") - 2), '''''', '''')
        ELSE "seen"
    END AS VARCHAR),
    CAST(CASE
        WHEN substr("carrier", 1, 1) = ''''
            THEN replace(substr("carrier", 2, length("carrier") - 2), '''''', '''')
        ELSE "carrier"
    END AS VARCHAR),
    CAST(CASE
        WHEN substr("amount", 1, 1) = ''''
            THEN replace(substr("amount", 2, length("amount") - 2), '''''', '''')
        ELSE "amount"
    END AS VARCHAR)
FROM (
    SELECT fields[7] AS "id", fields[6] AS "day", fields[5] AS "at", fields[4] AS "seen", fields[3] AS "carrier", fields[2] AS "amount"
    FROM (
    SELECT CASE WHEN strpos(line, '''') = 0
            THEN string_split(line, '	')
            ELSE regexp_extract_all(line || '	', '(([^	''][^	]*|''([^'']|'''')*'')?)[	]', 1)
        END AS fields
    FROM (
    SELECT rtrim(line, chr(13)) AS line
    FROM "loader_lines"
    WHERE line IS NULL OR length(rtrim(line, chr(13))) > 0
    ) AS found
    ) AS listed
) AS split;

-- 9. drop the lines: no longer needed
DROP VIEW "loader_lines";

-- 10. look for bad values: values must be what staging would let through
SELECT
    count(*) AS rows_found,
    count(CASE WHEN "id" IS NULL THEN 1 END) AS "bad_1",
    count(CASE WHEN NOT regexp_full_match("id", '[-+]?0{0,18}([0-9]{1,18}|[0-8][0-9]{18}|9[0-1][0-9]{17}|92[0-1][0-9]{16}|922[0-2][0-9]{15}|9223[0-2][0-9]{14}|92233[0-6][0-9]{13}|922337[0-1][0-9]{12}|92233720[0-2][0-9]{10}|922337203[0-5][0-9]{9}|9223372036[0-7][0-9]{8}|92233720368[0-4][0-9]{7}|922337203685[0-3][0-9]{6}|9223372036854[0-6][0-9]{5}|92233720368547[0-6][0-9]{4}|922337203685477[0-4][0-9]{3}|9223372036854775[0-7][0-9]{2}|922337203685477580[0-6]|9223372036854775807)|-0{0,18}9223372036854775808') THEN 1 END) AS "bad_2",
    count(CASE WHEN NOT regexp_full_match("day", '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)') THEN 1 END) AS "bad_3",
    count(CASE WHEN NOT regexp_full_match("at", '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?)?') THEN 1 END) AS "bad_4",
    count(CASE WHEN NOT regexp_full_match("seen", '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[-+]00(:?00)?)|((000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?[-+](0[0-9]|1[0-4])(:?[0-5][0-9])?') THEN 1 END) AS "bad_5",
    count(CASE WHEN strlen("carrier") > 2 THEN 1 END) AS "bad_6",
    count(CASE WHEN NOT regexp_full_match("amount", '[-+]?(0{0,18}[0-9]{1,10}([,][0-9]{1,2}0{0,18})?|[,][0-9]{1,2}0{0,18})') THEN 1 END) AS "bad_7"
FROM "loader_fields";

-- 11. insert the rows: every field matches the pattern of its type, so that no cast changes a value
INSERT INTO "loader_stage" ("id", "day", "at", "seen", "carrier", "amount")
SELECT
    CAST("id" AS BIGINT),
    CAST("day" AS DATE),
    CAST(replace("at", 'T', ' ') AS TIMESTAMP),
    CAST(replace(replace("seen", 'T', ' '), 'Z', '+00') AS TIMESTAMP WITH TIME ZONE),
    "carrier",
    CAST(replace("amount", ',', '.') AS DECIMAL(12,2))
FROM "loader_fields";

-- 12. look for duplicate keys: each primary key must be there once
SELECT count(*) FROM (
    SELECT count(*)
    FROM "loader_stage"
    GROUP BY "id"
    HAVING count(*) > 1
) AS repeated;

-- 13. compare with the table: counts the new, changed and unchanged rows
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
    WHEN ("loader_stage"."day" = "s"."t"."day" OR ("loader_stage"."day" IS NULL AND "s"."t"."day" IS NULL))
      AND ("loader_stage"."at" = "s"."t"."at" OR ("loader_stage"."at" IS NULL AND "s"."t"."at" IS NULL))
      AND ("loader_stage"."seen" = "s"."t"."seen" OR ("loader_stage"."seen" IS NULL AND "s"."t"."seen" IS NULL))
      AND ("loader_stage"."carrier" = "s"."t"."carrier" OR ("loader_stage"."carrier" IS NULL AND "s"."t"."carrier" IS NULL))
      AND ("loader_stage"."amount" = "s"."t"."amount" OR ("loader_stage"."amount" IS NULL AND "s"."t"."amount" IS NULL)) THEN 'unchanged'
    ELSE 'updated' END AS outcome
  FROM "loader_stage"
  LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage"."id"
) AS outcomes;

-- 14. count the merge: each row of the load must match at most one row of the table
SELECT rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed, rows_before
FROM "loader_merge";

-- 15. delete matching rows: rows with a key of the load are replaced
DELETE FROM "s"."t"
USING "loader_stage"
WHERE "s"."t"."id" = "loader_stage"."id";

-- 16. insert the rows: all rows of the load
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT "id", "day", "at", "seen", "carrier", "amount"
FROM "loader_stage";

-- 17. look for missing keys: every key of the load must be in the table exactly once
SELECT count(CASE WHEN "s"."t"."id" IS NULL THEN 1 END)
    + count(*) - (SELECT count(*) FROM "loader_stage")
FROM "loader_stage"
LEFT JOIN "s"."t" ON "s"."t"."id" = "loader_stage"."id";

-- 18. count after: the table must have grown by the inserted rows
SELECT count(*) FROM "s"."t";

-- 19. drop the stage: no longer needed
DROP TABLE "loader_stage";

-- 20. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
)
SELECT
    'load-1', 's', 't', 's/t',
    NULL, 'merge',
    (SELECT count(*) FROM "loader_fields"), 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    '3586e350d6d2f55b3415d0b4d744d722ea7b778ddb8d6300ab90b50bb5b26cf5', '1.0', now(),
    NULL, NULL,
    0, NULL,
    rows_inserted, rows_updated, rows_unchanged, rows_skipped, rows_collapsed
FROM "loader_merge";

-- 21. drop the counts: no longer needed
DROP TABLE "loader_merge";

-- 22. drop the fields: no longer needed
DROP TABLE "loader_fields";

COMMIT;
