-- s.t on prod (redshift): replace day=2013-01-01
-- loads 1 CSV file in place: lines of text, which SQL splits and casts; the manifest is kept in s3://bucket/loader/s.t/load-1/run-1

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
    "id" bigint,
    "day" date,
    "at" timestamp,
    "seen" timestamptz,
    "carrier" varchar(2),
    "amount" decimal(12,2)
);

-- 5. delete the slice: replace reloads this slice; other rows stay
DELETE FROM "s"."t"
WHERE "day" >= DATE '2013-01-01'
  AND "day" < DATE '2013-01-02';

-- 6. read the lines: whole lines: what splits them is below
CREATE TEMPORARY TABLE "loader_lines" (line varchar(65535));

-- 7. copy the lines: whole lines: what splits them is below
COPY "loader_lines" (line)
FROM 's3://bucket/loader/s.t/load-1/run-1/manifest.json'
IAM_ROLE 'arn:aws:iam::123456789012:role/loader'
DELIMITER '\001'
IGNOREBLANKLINES
IGNOREHEADER 1
MANIFEST;

-- 8. count copied lines: all lines that COPY has read must be there
SELECT pg_last_copy_count();

-- 9. count the lines: all lines that COPY has read must be there
SELECT count(*) FROM "loader_lines";

-- 10. look for bad lines: each line must be a row
SELECT
    count(*) AS rows_found,
    count(CASE WHEN CASE
        WHEN line IS NULL OR strpos(line, chr(13)) > 0 OR strpos(line, chr(10)) > 0
            OR octet_length(line) > 65534 THEN TRUE
        WHEN strpos(line, '"') = 0
            THEN length(line) - length(replace(line, ',', '')) <> 5
        ELSE NOT ("line" ~ '^(([^,"][^,]*|"([^"]|"")*")?([,]([^,"][^,]*|"([^"]|"")*")?){5})$')
    END THEN 1 END) AS "bad_1"
FROM (
    SELECT rtrim(line, chr(13)) AS line
    FROM "loader_lines"
    WHERE line IS NULL OR length(rtrim(line, chr(13))) > 0
) AS found;

-- 11. create the fields: as text, since casts round and guess
CREATE TEMPORARY TABLE "loader_fields" (
    "id" varchar(256),
    "day" varchar(256),
    "at" varchar(256),
    "seen" varchar(256),
    "carrier" varchar(6),
    "amount" varchar(256)
);

-- 12. split the lines: by the rules of CSV, which the lines above were held against
INSERT INTO "loader_fields" ("id", "day", "at", "seen", "carrier", "amount")
SELECT
    CAST(CASE
        WHEN "id" = '""' THEN NULL
        WHEN substr("id", 1, 1) = '"'
            THEN replace(substr("id", 2, length("id") - 2), '""', '"')
        WHEN md5("id") = md5('NA') THEN NULL
        WHEN length("id") = 0 THEN NULL
        ELSE "id"
    END AS varchar(256)),
    CAST(CASE
        WHEN "day" = '""' THEN NULL
        WHEN substr("day", 1, 1) = '"'
            THEN replace(substr("day", 2, length("day") - 2), '""', '"')
        WHEN md5("day") = md5('NA') THEN NULL
        WHEN length("day") = 0 THEN NULL
        ELSE "day"
    END AS varchar(256)),
    CAST(CASE
        WHEN "at" = '""' THEN NULL
        WHEN substr("at", 1, 1) = '"'
            THEN replace(substr("at", 2, length("at") - 2), '""', '"')
        WHEN md5("at") = md5('NA') THEN NULL
        WHEN length("at") = 0 THEN NULL
        ELSE "at"
    END AS varchar(256)),
    CAST(CASE
        WHEN "seen" = '""' THEN NULL
        WHEN substr("seen", 1, 1) = '"'
            THEN replace(substr("seen", 2, length("seen") - 2), '""', '"')
        WHEN md5("seen") = md5('NA') THEN NULL
        WHEN length("seen") = 0 THEN NULL
        ELSE "seen"
    END AS varchar(256)),
    CAST(CASE
        WHEN substr("carrier", 1, 1) = '"'
            THEN replace(substr("carrier", 2, length("carrier") - 2), '""', '"')
        WHEN md5("carrier") = md5('NA') THEN NULL
        WHEN length("carrier") = 0 THEN NULL
        ELSE "carrier"
    END AS varchar(6)),
    CAST(CASE
        WHEN "amount" = '""' THEN NULL
        WHEN substr("amount", 1, 1) = '"'
            THEN replace(substr("amount", 2, length("amount") - 2), '""', '"')
        WHEN md5("amount") = md5('NA') THEN NULL
        WHEN length("amount") = 0 THEN NULL
        ELSE "amount"
    END AS varchar(256))
FROM (
    SELECT
        CASE WHEN strpos(line, '"') = 0
            THEN split_part(line, ',', 1)
            ELSE rtrim(regexp_substr(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1, 1), ',')
        END AS "id",
        CASE WHEN strpos(line, '"') = 0
            THEN split_part(line, ',', 2)
            ELSE rtrim(regexp_substr(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1, 2), ',')
        END AS "day",
        CASE WHEN strpos(line, '"') = 0
            THEN split_part(line, ',', 3)
            ELSE rtrim(regexp_substr(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1, 3), ',')
        END AS "at",
        CASE WHEN strpos(line, '"') = 0
            THEN split_part(line, ',', 4)
            ELSE rtrim(regexp_substr(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1, 4), ',')
        END AS "seen",
        CASE WHEN strpos(line, '"') = 0
            THEN split_part(line, ',', 5)
            ELSE rtrim(regexp_substr(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1, 5), ',')
        END AS "carrier",
        CASE WHEN strpos(line, '"') = 0
            THEN split_part(line, ',', 6)
            ELSE rtrim(regexp_substr(line || ',', '(([^,"][^,]*|"([^"]|"")*")?)[,]', 1, 6), ',')
        END AS "amount"
    FROM (
    SELECT rtrim(line, chr(13)) AS line
    FROM "loader_lines"
    WHERE line IS NULL OR length(rtrim(line, chr(13))) > 0
    ) AS found
) AS split;

-- 13. drop the lines: no longer needed
DROP TABLE "loader_lines";

-- 14. look for bad values: values must be what staging would let through
SELECT
    count(*) AS rows_found,
    count(CASE WHEN NOT ("id" ~ '^([-+]?0{0,18}([0-9]{1,18}|[0-8][0-9]{18}|9[0-1][0-9]{17}|92[0-1][0-9]{16}|922[0-2][0-9]{15}|9223[0-2][0-9]{14}|92233[0-6][0-9]{13}|922337[0-1][0-9]{12}|92233720[0-2][0-9]{10}|922337203[0-5][0-9]{9}|9223372036[0-7][0-9]{8}|92233720368[0-4][0-9]{7}|922337203685[0-3][0-9]{6}|9223372036854[0-6][0-9]{5}|92233720368547[0-6][0-9]{4}|922337203685477[0-4][0-9]{3}|9223372036854775[0-7][0-9]{2}|922337203685477580[0-6]|9223372036854775807)|-0{0,18}9223372036854775808)$') THEN 1 END) AS "bad_1",
    count(CASE WHEN NOT ("day" ~ '^(((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29))$') THEN 1 END) AS "bad_2",
    count(CASE WHEN NOT ("at" ~ '^(((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?)?)$') THEN 1 END) AS "bad_3",
    count(CASE WHEN NOT ("seen" ~ '^(((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[-+]00(:?00)?)|((000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29)[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?[-+](0[0-9]|1[0-4])(:?[0-5][0-9])?)$') THEN 1 END) AS "bad_4",
    count(CASE WHEN octet_length("carrier") > 2 THEN 1 END) AS "bad_5",
    count(CASE WHEN NOT ("amount" ~ '^([-+]?(0{0,18}[0-9]{1,10}([.][0-9]{1,2}0{0,18})?|[.][0-9]{1,2}0{0,18}))$') THEN 1 END) AS "bad_6"
FROM "loader_fields";

-- 15. insert the rows: every field matches the pattern of its type, so that no cast changes a value
INSERT INTO "s"."t" ("id", "day", "at", "seen", "carrier", "amount")
SELECT
    CAST("id" AS bigint),
    CAST("day" AS date),
    CAST(replace("at", 'T', ' ') AS timestamp),
    CAST(replace(replace("seen", 'T', ' '), 'Z', '+00') AS timestamptz),
    "carrier",
    CAST("amount" AS decimal(12,2))
FROM "loader_fields";

-- 16. count: the slice day=2013-01-01 must hold exactly the staged rows
SELECT count(*) FROM "s"."t"
WHERE "day" >= DATE '2013-01-01'
  AND "day" < DATE '2013-01-02';

-- 17. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads_s_t" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
SELECT
    'load-1', 'day=2013-01-01', (SELECT count(*) FROM "loader_fields"),
    20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json';

-- 18. record the load: for `loader history`; no load reads it
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 's', 't', 's/t',
    'day=2013-01-01', 'replace',
    (SELECT count(*) FROM "loader_fields"), 20000, 2, 's3://bucket/loader/s.t/load-1/run-1/manifest.json',
    'deeea4d6e77b2705ae245163a42ece7ad1da47b7484cc831a347cf3e39626047', '1.0', getdate(),
    NULL, NULL,
    0, NULL;

-- 19. drop the fields: no longer needed
DROP TABLE "loader_fields";

COMMIT;
