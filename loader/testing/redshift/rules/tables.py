"""Rules of tables: how they are made, what their columns may be, and how they are altered."""

from __future__ import annotations

from loader.testing.redshift.rules.rule import Rule, imitated, refused

_T = "CREATE TABLE t (a integer, b varchar(10))"
_NEW = "r_CREATE_TABLE_NEW"
_ENCODINGS = "c_Compression_encodings"
_TEXT = "r_Character_types"
_NUMBERS = "r_Numeric_types201"
_ALTER = "r_ALTER_TABLE"
_COLUMNS = "r_SVV_REDSHIFT_COLUMNS"

CREATE: tuple[Rule, ...] = (
    refused(
        "a column is not called like a system column", "c_unsupported-postgresql-features",
        "CREATE TABLE t (xmin int)", error="conflicts with a system column name",
    ),
    refused(
        "a DEFAULT calls no function of the leader node", "c_SQL_functions_leader_node_only",
        "CREATE TABLE t (a int, b varchar(20) DEFAULT current_schema())",
        error="not supported on Redshift tables",
    ),
    refused(
        "DISTSTYLE KEY needs a DISTKEY", _NEW,
        "CREATE TABLE t (a int) DISTSTYLE KEY", error="requires a DISTKEY",
    ),
    refused(
        "a DISTKEY needs DISTSTYLE KEY, or none", _NEW,
        "CREATE TABLE t (a int DISTKEY) DISTSTYLE ALL", error="cannot be specified with",
    ),
    refused(
        "a table has one DISTKEY column", _NEW,
        "CREATE TABLE t (a int DISTKEY, b int DISTKEY)", error="only one DISTKEY",
    ),
    refused(
        "SUPER, VARBYTE and spatial columns are no sort or distribution keys", _NEW,
        "CREATE TABLE t (a super) SORTKEY (a)", error="cannot be a SORTKEY",
    ),
    refused(
        "an interleaved sort key has at most 8 columns", _NEW,
        "CREATE TABLE t (a int, b int, c int, d int, e int, f int, g int, h int, i int)"
        " INTERLEAVED SORTKEY (a, b, c, d, e, f, g, h, i)", error="at most 8 columns",
    ),
    refused(
        "an IDENTITY column is INTEGER or BIGINT", _NEW,
        "CREATE TABLE t (a smallint IDENTITY(1, 1))", error="must be of type INTEGER or BIGINT",
    ),
    refused(
        "no INSERT sets an IDENTITY column", _NEW,
        "CREATE TABLE t (a int IDENTITY(1, 1), b int)", "INSERT INTO t VALUES (1, 2)",
        error="cannot set an identity column",
    ),
    refused(
        "a DEFAULT has no subquery", _NEW,
        "CREATE TABLE t (a int DEFAULT (SELECT 1))", error="cannot use subquery in DEFAULT",
    ),
    refused(
        "there are no CHECK constraints", _NEW,
        "CREATE TABLE t (a int, CHECK (a > 0))", error="CHECK constraints are not supported",
    ),
    refused(
        "LIKE copies the layout, so none can be given", _NEW,
        _T, "CREATE TABLE u (LIKE t) DISTSTYLE EVEN", error="LIKE copies the table attributes",
    ),
    refused(
        "a temporary table has no schema name", _NEW,
        "CREATE TEMP TABLE public.t (a int)", error="may not specify a schema name",
    ),
    imitated(
        "primary keys are not enforced, but make columns NOT NULL", _NEW,
        "CREATE TABLE t (a int PRIMARY KEY)", "INSERT INTO t VALUES (1), (1)",
        "SELECT count(*) FROM t", gives="2",
    ),
    imitated(
        "LIKE leaves defaults out unless they are included", _NEW,
        "CREATE TABLE t (a int, b int DEFAULT 7)", "CREATE TABLE u (LIKE t)",
        "INSERT INTO u (a) VALUES (1)", "SELECT b FROM u", gives="NULL",
    ),
)  # fmt: skip

TYPES: tuple[Rule, ...] = (
    refused(
        "VARCHAR has at most 65,535 bytes", _TEXT,
        "CREATE TABLE t (a varchar(65536))", error="cannot exceed 65535",
    ),
    refused(
        "CHAR has at most 4,096 bytes", _TEXT,
        "CREATE TABLE t (a char(4097))", error="cannot exceed 4096",
    ),
    imitated(
        "TEXT is VARCHAR(256)", _TEXT,
        "CREATE TABLE t (a text)",
        "SELECT data_type FROM svv_redshift_columns WHERE schema_name = '{schema}'",
        gives="character varying(256)",
    ),
    imitated(
        "comparisons of VARCHAR ignore blanks at the end", _TEXT,
        _T, "INSERT INTO t VALUES (1, 'x '), (2, 'x')",
        "SELECT count(DISTINCT b), min(length(b)) FROM t", gives="1 | 1",
    ),
    refused(
        "DECIMAL has at most 38 digits", _NUMBERS,
        "CREATE TABLE t (a decimal(39, 0))", error="must be between 1 and 38",
    ),
    refused(
        "DECIMAL has at most 37 digits after the point", _NUMBERS,
        "CREATE TABLE t (a decimal(38, 38))", error="must be between 0 and 37",
    ),
    refused(
        "VARBYTE has at most 16,777,216 bytes", "r_VARBYTE_type",
        "CREATE TABLE t (a varbyte(16777217))", error="cannot exceed 16777216",
    ),
    refused(
        "types that only PostgreSQL has do not exist", "c_unsupported-postgresql-datatypes",
        "CREATE TABLE t (a jsonb)", error='type "jsonb" does not exist',
    ),
    refused(
        "there are no arrays", "c_unsupported-postgresql-datatypes",
        "CREATE TABLE t (a int[])", error="syntax error",
    ),
    refused(
        "AZ64 encodes numbers, dates and times only", _ENCODINGS,
        "CREATE TABLE t (a varchar(9) ENCODE AZ64)", error="invalid encoding type",
    ),
    refused(
        "TEXT255 encodes VARCHAR only", _ENCODINGS,
        "CREATE TABLE t (a char(9) ENCODE TEXT255)", error="invalid encoding type",
    ),
    imitated(
        "one ENCODE ends ENCODE AUTO: the other columns get the defaults", _ENCODINGS,
        "CREATE TABLE t (a int, b varchar(9), c varchar(9) ENCODE ZSTD)",
        "SELECT encoding FROM svv_redshift_columns WHERE schema_name = '{schema}' ORDER BY 1",
        gives="az64; lzo; zstd",
    ),
    imitated(
        "names fold to lower case, inside double quotes too", "r_names",
        'CREATE TABLE "T" ("A" int)', "SELECT a FROM t", gives="",
    ),
)  # fmt: skip

ALTER: tuple[Rule, ...] = (
    refused(
        "a VARCHAR of the sort key is not widened", "estuary/connectors#4893",
        "CREATE TABLE t (a int, b varchar(10)) SORTKEY (b)",
        "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)", error="found unexpected dependency",
    ),
    refused(
        "a VARCHAR that a view uses is not widened", _ALTER,
        _T, "CREATE VIEW v AS SELECT b FROM t",
        "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)", error="used by a view",
    ),
    refused(
        "a table that a foreign key references is dropped with CASCADE only", "r_DROP_TABLE",
        "CREATE TABLE t (a int NOT NULL PRIMARY KEY)",
        "CREATE TABLE u (a int REFERENCES t (a))", "DROP TABLE t",
        error="other objects depend on it",
    ),
    refused(
        "one statement adds one column", _ALTER,
        _T, "ALTER TABLE t ADD COLUMN c int, ADD COLUMN d int", error="syntax error",
    ),
    refused(
        "a column is not added IF NOT EXISTS", _ALTER,
        _T, "ALTER TABLE t ADD COLUMN IF NOT EXISTS c int", error="syntax error",
    ),
    refused(
        "an added NOT NULL column has a default", _ALTER,
        _T, "ALTER TABLE t ADD COLUMN c int NOT NULL", error="non-null default expression",
    ),
    refused(
        "an added column is no key and no IDENTITY", _ALTER,
        _T, "ALTER TABLE t ADD COLUMN c int SORTKEY", error="does not support SORTKEY",
    ),
    refused(
        "of a column's type only the size of VARCHAR changes", _ALTER,
        _T, "ALTER TABLE t ALTER COLUMN a TYPE bigint", error="only the size of a VARCHAR",
    ),
    refused(
        "the size of a column changes outside of a transaction block", _ALTER,
        _T, "BEGIN", "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)",
        error="cannot run inside a transaction block",
    ),
    refused(
        "a column shrinks to its longest value at most", _ALTER,
        _T, "INSERT INTO t VALUES (1, 'abcdef')", "ALTER TABLE t ALTER COLUMN b TYPE varchar(5)",
        error="value too long",
    ),
    refused(
        "a column with a default, a key or BYTEDICT, RUNLENGTH or TEXT encoding keeps its size",
        _ALTER, "CREATE TABLE t (b varchar(9) DEFAULT 'x')",
        "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)", error="it has a default",
    ),
    refused(
        "NOT NULL is neither set nor dropped", _ALTER,
        _T, "ALTER TABLE t ALTER COLUMN a SET NOT NULL", error="syntax error",
    ),
    refused(
        "a DEFAULT is neither set nor dropped", _ALTER,
        _T, "ALTER TABLE t ALTER COLUMN a SET DEFAULT 1", error="syntax error",
    ),
    refused(
        "a sort key column is not dropped", _ALTER,
        "CREATE TABLE t (a int, b int) SORTKEY (a)", "ALTER TABLE t DROP COLUMN a",
        error="cannot drop sortkey column",
    ),
    refused(
        "a distribution key column is not dropped", _ALTER,
        "CREATE TABLE t (a int, b int) DISTKEY (a)", "ALTER TABLE t DROP COLUMN a",
        error="cannot drop distkey column",
    ),
    refused(
        "the only column is not dropped", _ALTER,
        "CREATE TABLE t (a int)", "ALTER TABLE t DROP COLUMN a", error="cannot drop the only",
    ),
    refused(
        "a primary key has NOT NULL columns", _ALTER,
        _T, "ALTER TABLE t ADD PRIMARY KEY (a)", error="must be NOT NULL",
    ),
    refused(
        "an encoding is not stated twice", _ALTER,
        "CREATE TABLE t (a int ENCODE ZSTD)", "ALTER TABLE t ALTER COLUMN a ENCODE ZSTD",
        error="is already encoded",
    ),
    refused(
        "a table with an interleaved sort key keeps its distribution", _ALTER,
        "CREATE TABLE t (a int, b int) INTERLEAVED SORTKEY (a)",
        "ALTER TABLE t ALTER DISTSTYLE ALL", error="interleaved sort key",
    ),
    refused(
        "a table is renamed to a bare name", _ALTER,
        _T, "ALTER TABLE t RENAME TO public.u", error="syntax error",
    ),
    refused(
        "a view keeps its table from being dropped", "r_DROP_TABLE",
        _T, "CREATE VIEW v AS SELECT a FROM t", "DROP TABLE t", error="other objects depend on it",
    ),
    imitated(
        "a late-binding view holds on to nothing", "r_CREATE_VIEW",
        _T, "CREATE VIEW v AS SELECT a FROM {schema}.t WITH NO SCHEMA BINDING",
        "DROP TABLE t", "SELECT count(*) FROM pg_views WHERE schemaname = '{schema}'", gives="1",
    ),
    imitated(
        "the layout is in the catalog", _COLUMNS,
        "CREATE TABLE t (a int DISTKEY, b int) SORTKEY (b)",
        "SELECT column_name, distkey, sortkey FROM svv_redshift_columns"
        " WHERE schema_name = '{schema}' ORDER BY 1", gives="a | True | 0; b | False | 1",
    ),
    imitated(
        "PG_TABLE_DEF shows the schemas of the search_path only", "r_PG_TABLE_DEF",
        _T, "SET search_path TO public",
        "SELECT count(*) FROM pg_table_def WHERE schemaname = '{schema}'", gives="0",
    ),
)  # fmt: skip
