-- s.t on local (duckdb): replace day=2013-01-01
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
    "id" BIGINT,
    "day" DATE,
    "at" TIMESTAMP,
    "seen" TIMESTAMP WITH TIME ZONE,
    "carrier" VARCHAR,
    "amount" DECIMAL(12,2)
);

-- 4. delete the slice: replace reloads this slice; other rows stay
DELETE FROM "s"."t"
WHERE "day" >= DATE '2013-01-01'
  AND "day" < DATE '2013-01-02';

-- 5. read the lines: whole lines: what splits them is below
CREATE TEMPORARY VIEW "loader_lines" AS
SELECT CASE WHEN rest IS NULL THEN line END AS line
FROM read_csv([
    's3://b/x.csv'
], header = false, skip = 1, auto_detect = false, delim = chr(1), quote = '', escape = '', comment = '',
    nullstr = chr(10), null_padding = true, ignore_errors = false, strict_mode = true, normalize_names = false,
    hive_partitioning = false, hive_types_autocast = false, union_by_name = false, filename = false,
    max_line_size = 16777216, buffer_size = 33554432, compression = 'none', columns = {'line': 'VARCHAR', 'rest': 'VARCHAR'});

-- 6. look for bad lines: each line must be a row
SELECT
    count(*) AS rows_found,
    count(CASE WHEN CASE
        WHEN line IS NULL OR strpos(line, chr(13)) > 0 OR strpos(line, chr(10)) > 0
            OR strlen(line) > 16777216 THEN TRUE
        WHEN strpos(line, '"') = 0
            THEN length(line) - length(replace(line, ',', '')) <> 5
        ELSE NOT regexp_full_match("line", '([^,"][^,]*|"([^"]|"")*")?([,]([^,"][^,]*|"([^"]|"")*")?){5}')
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
        WHEN "id" = '""' THEN NULL
        WHEN substr("id", 1, 1) = '"'
            THEN replace(substr("id", 2, length("id") - 2), '""', '"')
        WHEN md5("id") = md5('NA') THEN NULL
        WHEN length("id") = 0 THEN NULL
        ELSE "id"
    END AS VARCHAR),
    CAST(CASE
        WHEN "day" = '""' THEN NULL
        WHEN substr("day", 1, 1) = '"'
            THEN replace(substr("day", 2, length("day") - 2), '""', '"')
        WHEN md5("day") = md5('NA') THEN NULL
        WHEN length("day") = 0 THEN NULL
        ELSE "day"
    END AS VARCHAR),
    CAST(CASE
        WHEN "at" = '""' THEN NULL
        WHEN substr("at", 1, 1) = '"'
            THEN replace(substr("at", 2, length("at") - 2), '""', '"')
        WHEN md5("at") = md5('NA') THEN NULL
        WHEN length("at") = 0 THEN NULL
        ELSE "at"
    END AS VARCHAR),
    CAST(CASE
        WHEN "seen" = '""' THEN NULL
        WHEN substr("seen", 1, 1) = '"'
            THEN replace(substr("seen", 2, length("seen") - 2), '""', '"')
        WHEN md5("seen") = md5('NA') THEN NULL
        WHEN length("seen") = 0 THEN NULL
        ELSE "seen"
    END AS VARCHAR),
    CAST(CASE
        WHEN substr("carrier", 1, 1) = '"'
            THEN replace(substr("carrier", 2, length("carrier") - 2), '""', '"')
        WHEN md5("carrier") = md5('NA') THEN NULL
        WHEN length("carrier") = 0 THEN NULL
        ELSE "carrier"
    END AS VARCHAR),
    CAST(CASE
        WHEN "amount" = '""' THEN NULL
        WHEN substr("amount", 1, 1) = '"'
            THEN replace(substr("amount", 2, length("amount") - 2), '""', '"')
        WHEN md5("amount") = md5('NA') THEN NULL
        WHEN length("amount") = 0 THEN NULL
        ELSE "amount"
    END AS VARCHAR)
FROM (
    SELECT fields[1] AS "id", fields[2] AS "day", fields[3] AS "at", fields[4] AS "seen", fields[5] AS "carrier", fields[6] AS "amount"
    FROM (
    SELECT CASE WHEN strpos(line, '"') = 0
            THEN string_split(line, ',')
            ELSE regexp_extract_all(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1)
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
    count(CASE WHEN NOT regexp_full_match("id", '[-+]?0{0,18}([0-9]{1,18}|[0-8][0-9]{18}|9[0-1][0-9]{17}|92[0-1][0-9]{16}|922[0-2][0-9]{15}|9223[0-2][0-9]{14}|92233[0-6][0-9]{13}|922337[0-1][0-9]{12}|92233720[0-2][0-9]{10}|922337203[0-5][0-9]{9}|9223372036[0-7][0-9]{8}|92233720368[0-4][0-9]{7}|922337203685[0-3][0-9]{6}|9223372036854[0-6][0-9]{5}|92233720368547[0-6][0-9]{4}|922337203685477[0-4][0-9]{3}|9223372036854775[0-7][0-9]{2}|922337203685477580[0-6]|9223372036854775807)|-0{0,18}9223372036854775808') THEN 1 END) AS "bad_1",
    count(CASE WHEN NOT regexp_full_match("day", '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)') THEN 1 END) AS "bad_2",
    count(CASE WHEN NOT regexp_full_match("at", '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?)?') THEN 1 END) AS "bad_3",
    count(CASE WHEN NOT regexp_full_match("seen", '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[-+]00(:?00)?)|((000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?[-+](0[0-9]|1[0-4])(:?[0-5][0-9])?') THEN 1 END) AS "bad_4",
    count(CASE WHEN strlen("carrier") > 2 THEN 1 END) AS "bad_5",
    count(CASE WHEN NOT regexp_full_match("amount", '[-+]?(0{0,18}[0-9]{1,10}([.][0-9]{1,2}0{0,18})?|[.][0-9]{1,2}0{0,18})') THEN 1 END) AS "bad_6"
FROM "loader_fields";

-- 11. insert the rows: every field matches the pattern of its type, so that no cast changes a value
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT
    CAST("id" AS BIGINT),
    CAST("day" AS DATE),
    CAST(replace("at", 'T', ' ') AS TIMESTAMP),
    CAST(replace(replace("seen", 'T', ' '), 'Z', '+00') AS TIMESTAMP WITH TIME ZONE),
    "carrier",
    CAST("amount" AS DECIMAL(12,2))
FROM "loader_fields";

-- 12. count: the slice day=2013-01-01 must hold exactly the staged rows
SELECT count(*) FROM "s"."t"
WHERE "day" >= DATE '2013-01-01'
  AND "day" < DATE '2013-01-02';

-- 13. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    'day=2013-01-01', 'replace',
    (SELECT count(*) FROM "loader_fields"), 20000, 2, '.loader/staging/s.t/load-1/run-1/manifest.json',
    'deeea4d6e77b2705ae245163a42ece7ad1da47b7484cc831a347cf3e39626047', '1.0', now(),
    NULL, NULL,
    0, NULL;

-- 14. drop the fields: no longer needed
DROP TABLE "loader_fields";

COMMIT;
