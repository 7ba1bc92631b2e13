-- se"lect; --.ta'ble \ ü on local (duckdb): replace d; --=2013-01-01|l b=it's  \
-- stages arrow/none files in .loader/staging/se_lect__--.ta_ble____-b9967f26/load-1/run-1

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
  AND table_schema = 'se"lect; --'
  AND table_name = 'ta''ble
\ ü';

-- 2. create the schema (only when it is missing): for the table
CREATE SCHEMA IF NOT EXISTS "se""lect; --";

-- 3. create the table (only when it is missing): as the spec declares it
CREATE TABLE IF NOT EXISTS "se""lect; --"."ta'ble
\ ü" (
    "a""b" BIGINT NOT NULL,
    "line
break" VARCHAR,
    "drop table t; --" DATE,
    "{{ 7 * 7 }}" BOOLEAN,
    "naïve 名前 🚀" DECIMAL(9,2),
    "select" VARCHAR DEFAULT 'it''s; {{ x }}'
);

-- 4. comment on the table (only when it is missing): the spec's description
COMMENT ON TABLE "se""lect; --"."ta'ble
\ ü" IS 'line one

''; DROP TABLE t; --\';

-- 5. comment on a"b (only when it is missing): the spec's description
COMMENT ON COLUMN "se""lect; --"."ta'ble
\ ü"."a""b" IS 'it''s \ a "text";

-- done';

-- 6. look for other spellings: rows whose key is another text that compares equal would be deleted too
SELECT count(*), min("line
break")
FROM "se""lect; --"."ta'ble
\ ü"
WHERE ("drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\'))
  AND NOT ("drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND md5("line
break") IN (md5('it''s

\')));

-- 7. delete the slice: replace reloads this slice; other rows stay
DELETE FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\');

-- 8. copy: load the staged files, which the session attaches under the name of their path
INSERT INTO "se""lect; --"."ta'ble
\ ü" ("a""b", "line
break", "drop table t; --", "{{ 7 * 7 }}", "naïve 名前 🚀", "select")
SELECT "a""b", "line
break", "drop table t; --", "{{ 7 * 7 }}", "naïve 名前 🚀", "select"
FROM ".loader/staging/se_lect__--.ta_ble____-b9967f26/load-1/run-1/part-*.arrow";

-- 9. verify values: the slice d; --=2013-01-01|l b=it's  \ must hold exactly the staged rows, with their values
SELECT
    count(*),
    count(*) - count("a""b"), min("a""b"), max("a""b"), sum("a""b"),
    count(*) - count("line
break"), sum(strlen("line
break")), min(encode("line
break")), max(encode("line
break")),
    count(*) - count("drop table t; --"), min("drop table t; --" - DATE '1970-01-01'), max("drop table t; --" - DATE '1970-01-01'), sum("drop table t; --" - DATE '1970-01-01'),
    count(*) - count("{{ 7 * 7 }}"), count(CASE WHEN "{{ 7 * 7 }}" THEN 1 END),
    count(*) - count("naïve 名前 🚀"), min("naïve 名前 🚀"), max("naïve 名前 🚀"), sum("naïve 名前 🚀"),
    count(*) - count("select"), sum(strlen("select")), min(encode("select")), max(encode("select"))
FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\');

-- 10. check evil name: must be = 0
SELECT count(CASE WHEN "line
break" IS NULL THEN 1 END)
FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\');

-- 11. check invalid_values line break: must be = 0
SELECT count(CASE WHEN "line
break" NOT IN ('a''b', '\') THEN 1 END)
FROM "se""lect; --"."ta'ble
\ ü"
WHERE "drop table t; --" >= DATE '2013-01-01'
  AND "drop table t; --" < DATE '2013-01-02'
  AND "line
break" IN ('it''s

\');

-- 12. record the load: its id commits together with its rows: exactly once
INSERT INTO "loader"."loads" (
    load_id, table_schema, table_name, asset_key, slice, write_disposition,
    rows_loaded, bytes_staged, files, manifest, spec_hash, loader_version, loaded_at,
    column_figures, columns_changed, rows_rejected, rejects
)
SELECT
    'load-1', 'se"lect; --', 'ta''ble
\ ü', 'se"lect; --/ta''ble
\ ü',
    'd; --=2013-01-01|l
b=it''s

\', 'replace',
    1000, 20000, 2, '.loader/staging/se_lect__--.ta_ble____-b9967f26/load-1/run-1/manifest.json',
    'a36d7b01d2c9fc61b5df0bd6c0ae8d482b9910786880093008da2b5a57939c44', '1.0', now(),
    NULL, NULL,
    0, NULL;

COMMIT;
