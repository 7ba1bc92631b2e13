-- se"lect; --.ta'ble \ ü on prod (redshift): replace d; --=2013-01-01|l b=it's  \
-- stages parquet/snappy files in s3://bucket/loader/se_lect__--.ta_ble____-b9967f26/load-1/run-1

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
CREATE TABLE IF NOT EXISTS "loader"."loads_se_lect__--_ta_ble____-6f4f9a7f" (
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
INSERT INTO "loader"."loads_se_lect__--_ta_ble____-6f4f9a7f" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
SELECT load_id, slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads"
WHERE table_schema = 'se"lect; --'
  AND table_name = 'ta''ble
\\ ü'
  AND load_id NOT IN (SELECT load_id FROM "loader"."loads_se_lect__--_ta_ble____-6f4f9a7f");

BEGIN;

-- 1. lock the ledger of the table: loads of one table wait for each other; readers never wait
LOCK "loader"."loads_se_lect__--_ta_ble____-6f4f9a7f";

-- 2. look for this load: a committed load is not repeated
SELECT slice, rows_loaded, bytes_staged, files, manifest
FROM "loader"."loads_se_lect__--_ta_ble____-6f4f9a7f"
WHERE load_id = 'load-1';

-- 3. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "se""lect; --";

-- 4. grant usage to user:o'ne"two (only when it is missing): grants on the table need it
GRANT USAGE ON SCHEMA "se""lect; --" TO "o'ne""two";

-- 5. grant usage to role:r; DROP (only when it is missing): grants on the table need it
GRANT USAGE ON SCHEMA "se""lect; --" TO ROLE "r; DROP";

-- 6. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "se""lect; --"."ta'ble
\ ü" (
    "a""b" bigint NOT NULL,
    "line
break" varchar(20),
    "drop table t; --" date,
    "{{ 7 * 7 }}" boolean,
    "naïve 名前 🚀" decimal(9,2),
    "select" varchar(256) DEFAULT 'it''s; {{ x }}'
)
DISTSTYLE KEY DISTKEY ("a""b")
SORTKEY ("line
break");

-- 7. comment on the table (only when it is missing): the spec's description
COMMENT ON TABLE "se""lect; --"."ta'ble
\ ü" IS 'line one

''; DROP TABLE t; --\\';

-- 8. comment on a"b (only when it is missing): the spec's description
COMMENT ON COLUMN "se""lect; --"."ta'ble
\ ü"."a""b" IS 'it''s \\ a "text";

-- done';

-- 9. grant select to user:o'ne"two (only when it is missing): the spec's grants
GRANT SELECT ON "se""lect; --"."ta'ble
\ ü" TO "o'ne""two";

-- 10. grant select to role:r; DROP (only when it is missing): the spec's grants
GRANT SELECT ON "se""lect; --"."ta'ble
\ ü" TO ROLE "r; DROP";

-- 11. look for other spellings: rows whose key is another text that compares equal would be deleted too
SELECT count(*), min("line
break")
FROM "se""lect; --"."ta'ble
\ ü"
WHERE ("drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\\'))
  AND NOT ("drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND md5("line
break") IN (md5('it''s

\\')));

-- 12. delete the slice: replace reloads this slice; other rows stay
DELETE FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\\');

-- 13. copy: load the staged files
COPY "se""lect; --"."ta'ble
\ ü" ("a""b", "line
break", "drop table t; --", "{{ 7 * 7 }}", "naïve 名前 🚀", "select")
FROM 's3://bucket/loader/se_lect__--.ta_ble____-b9967f26/load-1/run-1/manifest.json'
IAM_ROLE 'arn:aws:iam::123456789012:role/loader'
FORMAT AS PARQUET
MANIFEST;

-- 14. count copied rows: COPY must have loaded exactly the staged rows
SELECT pg_last_copy_count();

-- 15. verify values: the slice d; --=2013-01-01|l b=it's  \ must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("a""b"), min("a""b"), max("a""b"), sum("a""b"),
    count(*) - count("line
break"), sum(octet_length("line
break")), sum(1000 * ascii("line
break") + ascii(right("line
break", 1))),
    count(*) - count("drop table t; --"), min("drop table t; --" - DATE '1970-01-01'), max("drop table t; --" - DATE '1970-01-01'), sum("drop table t; --" - DATE '1970-01-01'),
    count(*) - count("{{ 7 * 7 }}"), count(CASE WHEN "{{ 7 * 7 }}" THEN 1 END),
    count(*) - count("naïve 名前 🚀"), min("naïve 名前 🚀"), max("naïve 名前 🚀"), sum("naïve 名前 🚀"),
    count(*) - count("select"), sum(octet_length("select")), sum(1000 * ascii("select") + ascii(right("select", 1)))
FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\\');

-- 16. check evil name: must be = 0
SELECT count(CASE WHEN "line
break" IS NULL THEN 1 END)
FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\\');

-- 17. check invalid_values line break: must be = 0
SELECT count(CASE WHEN "line
break" NOT IN ('a''b', '\\') THEN 1 END)
FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\\');

-- 18. record the load for the table: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads_se_lect__--_ta_ble____-6f4f9a7f" (load_id, slice, rows_loaded, bytes_staged, files, manifest)
VALUES (
    'load-1', 'd; --=2013-01-01|l
b=it''s

\\', 1000,
    20000, 2, 's3://bucket/loader/se_lect__--.ta_ble____-b9967f26/load-1/run-1/manifest.json'
);

-- 19. record the load: for `loader history`; no load reads it
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 'se"lect; --', 'ta''ble
\\ ü', 'se"lect; --/ta''ble
\\ ü',
    'd; --=2013-01-01|l
b=it''s

\\', 'replace',
    1000, 20000, 2, 's3://bucket/loader/se_lect__--.ta_ble____-b9967f26/load-1/run-1/manifest.json',
    'a36d7b01d2c9fc61b5df0bd6c0ae8d482b9910786880093008da2b5a57939c44', '1.0', getdate(),
    NULL, NULL,
    0, NULL;

COMMIT;
