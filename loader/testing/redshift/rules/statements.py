"""Rules of statements: transactions, MERGE, and what PostgreSQL has that Redshift lacks."""

from __future__ import annotations

from loader.testing.redshift.rules.rule import Rule, imitated, refused

_T = "CREATE TABLE t (a integer, b varchar(10))"
_S = "CREATE TABLE s (a integer, b varchar(10))"
_PATIENCE = "SET statement_timeout TO 300"
_MERGE = "r_MERGE"
_UNSUPPORTED = "c_unsupported-postgresql-features"
_WRITES = "multi-warehouse-writes-sql-statements"
_NO_WRITES = "multi-warehouse-writes-sql-statements-unsupported"
_SHARES = "considerations-datashare-reads-writes"
_SHARED = ("CREATE SCHEMA shared.{schema}", "CREATE TABLE shared.{schema}.t (a int, b varchar(9))")
_BOTH = "WHEN MATCHED THEN UPDATE SET b = s.b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)"

TRANSACTIONS: tuple[Rule, ...] = (
    imitated(
        "TRUNCATE commits, and all that came before it", "r_TRUNCATE",
        _T, "BEGIN", "INSERT INTO t VALUES (1, 'x')", "CREATE TABLE u (a int)", "TRUNCATE t",
        "ROLLBACK", "SELECT count(*) FROM u", gives="0",
    ),
    refused(
        "VACUUM runs outside of a transaction block", "r_VACUUM_command",
        _T, "BEGIN", "VACUUM t", error="cannot run inside a transaction block",
    ),
    refused(
        "ALTER TABLE APPEND runs outside of a transaction block", "r_ALTER_TABLE_APPEND",
        _T, _S, "BEGIN", "ALTER TABLE t APPEND FROM s",
        error="cannot run inside a transaction block",
    ),
    imitated(
        "isolation words are read and ignored: transactions are snapshots", "r_BEGIN",
        "BEGIN ISOLATION LEVEL READ COMMITTED", "SHOW transaction_isolation",
        gives="repeatable read",
    ),
    refused(
        "after an error a transaction takes nothing but its end", "r_BEGIN",
        "BEGIN", "?SELECT 1 / 0", "SELECT 1", error="current transaction is aborted",
    ),
    refused(
        "there are no savepoints", _UNSUPPORTED,
        "BEGIN", "SAVEPOINT one", error="not supported",
    ),
    refused(
        "LOCK has one mode", "r_LOCK",
        _T, "BEGIN", "LOCK TABLE t IN SHARE MODE", error="syntax error",
    ),
    refused(
        "readers wait for the lock of an ALTER TABLE", "r_LOCK",
        _T, "other: BEGIN", "other: ALTER TABLE {schema}.t ADD COLUMN c int", _PATIENCE,
        "SELECT * FROM t", error="statement timeout",
    ),
    refused(
        "writers wait for LOCK", "r_LOCK",
        _T, "other: BEGIN", "other: LOCK {schema}.t", _PATIENCE,
        "INSERT INTO t VALUES (1, 'x')", error="statement timeout",
    ),
    imitated(
        "after LOCK a transaction sees what was committed before", "r_LOCK",
        _T, "BEGIN", "other: INSERT INTO {schema}.t VALUES (1, 'x')", "LOCK t", "SELECT * FROM t",
        gives="1 | x",
    ),
    refused(
        "of two transactions that change the same rows, the later one fails",
        "r_STV_DB_ISOLATION_LEVEL",
        _T, "INSERT INTO t VALUES (1, 'x')", "BEGIN", "SELECT count(*) FROM t",
        "other: DELETE FROM {schema}.t", "DELETE FROM t", error="1023",
    ),
)  # fmt: skip

_READ = "SELECT count(*) FROM t"
_CROSSED = ("other: BEGIN", "other: SELECT count(*) FROM {schema}.s")

SERIALIZABLE: tuple[Rule, ...] = (
    refused(
        "of transactions that read what the other writes, the last one is refused",
        "c_serial_isolation",
        "redshift.isolation = 'serializable'", _T, _S, "BEGIN", _READ, *_CROSSED,
        "other: INSERT INTO {schema}.t VALUES (1, 'x')", "INSERT INTO s VALUES (1, 'x')",
        error="Serializable isolation violation on table",
    ),
    imitated(
        "the level of the database is shown", "r_STV_DB_ISOLATION_LEVEL",
        "redshift.isolation = 'serializable'",
        "SELECT DISTINCT trim(isolation_level) FROM stv_db_isolation_level",
        gives="Serializable",
    ),
)  # fmt: skip

STATEMENTS: tuple[Rule, ...] = (
    imitated(
        "a declared primary key is trusted: DISTINCT returns what is there twice",
        "t_Defining_constraints",
        "CREATE TABLE t (a int NOT NULL PRIMARY KEY)", "INSERT INTO t VALUES (1), (1)",
        "SELECT DISTINCT a FROM {schema}.t", gives="1; 1",
    ),
    refused(
        "no function of the leader node works on rows of a table",
        "c_SQL_functions_leader_node_only",
        "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "SELECT a, now() FROM t",
        error="not supported on Redshift tables",
    ),
    refused(
        "there is no DISTINCT ON", "c_unsupported-postgresql-features",
        "CREATE TABLE t (a int)", "SELECT DISTINCT ON (a) a FROM t", error="syntax error",
    ),
    refused(
        "VARCHAR(n) holds n bytes in INSERT too", "r_Character_types",
        "CREATE TABLE t (a varchar(2))", "INSERT INTO t VALUES ('\u00e9\u00e9')",
        error="value too long",
    ),
    refused(
        "there are no indexes", _UNSUPPORTED,
        _T, "CREATE INDEX i ON t (a)", error='SQL command "CREATE INDEX" not supported',
    ),
    refused(
        "there is no ON CONFLICT", _UNSUPPORTED,
        _T, "INSERT INTO t VALUES (1, 'x') ON CONFLICT DO NOTHING", error="syntax error",
    ),
    refused(
        "there is no RETURNING", _UNSUPPORTED,
        _T, "DELETE FROM t RETURNING a", error="syntax error",
    ),
    refused(
        "TRUNCATE takes one table", "r_TRUNCATE",
        _T, _S, "TRUNCATE t, s", error="syntax error",
    ),
    refused(
        "a boolean is not cast to text", "r_Boolean_type",
        "SELECT true::varchar", error="cannot cast type boolean",
    ),
    imitated(
        "a backslash is an escape in a literal",
        "dlt-hub/dlt:dlt/common/data_writers/escape.py",
        r"SELECT 'it\'s'", gives="it's",
    ),
    imitated(
        "GETDATE() and SYSDATE are there", "r_GETDATE",
        "SELECT getdate() IS NOT NULL, sysdate IS NOT NULL", gives="True | True",
    ),
    imitated(
        "NVL is COALESCE", "r_NVL_function",
        "SELECT nvl(NULL, 'x')", gives="x",
    ),
    imitated(
        "JSON_PARSE makes a SUPER", "JSON_PARSE",
        """SELECT json_serialize(json_parse('{"a": [1, 2]}'))""", gives='{"a":[1,2]}',
    ),
    imitated(
        "what is granted to groups and roles is told from users", "r_SVV_RELATION_PRIVILEGES",
        _T, "GRANT SELECT ON t TO PUBLIC",
        "SELECT identity_type, privilege_type FROM svv_relation_privileges"
        " WHERE namespace_name = '{schema}' AND identity_type = 'public'", gives="public | SELECT",
    ),
)  # fmt: skip

MERGE: tuple[Rule, ...] = (
    refused(
        "the target of MERGE has no alias", _MERGE,
        _T, _S, f"MERGE INTO t AS x USING s ON x.a = s.a {_BOTH}", error="syntax error",
    ),
    refused(
        "MERGE has both arms", _MERGE,
        _T, _S, "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", error="needs both",
    ),
    refused(
        "an arm of MERGE has no condition", _MERGE,
        _T, _S, "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.a > 1 THEN DELETE"
        " WHEN NOT MATCHED THEN INSERT VALUES (s.a, s.b)", error="syntax error",
    ),
    refused(
        "MERGE matches by equality", _MERGE,
        _T, _S, f"MERGE INTO t USING s ON t.a > s.a {_BOTH}", error="by equality only",
    ),
    refused(
        "the source of MERGE does not read its target", _MERGE,
        _T, f"MERGE INTO t USING (SELECT a, b FROM t) s ON t.a = s.a {_BOTH}",
        error="cannot read its target",
    ),
    imitated(
        "MERGE updates what matches and inserts the rest", _MERGE,
        _T, _S, "INSERT INTO t VALUES (1, 'old')", "INSERT INTO s VALUES (1, 'new'), (2, 'more')",
        f"MERGE INTO t USING s ON t.a = s.a {_BOTH}", "SELECT a, b FROM t ORDER BY a",
        gives="1 | new; 2 | more",
    ),
)  # fmt: skip

SHARES: tuple[Rule, ...] = (
    imitated(
        "tables of a datashare are written with three-part names", _WRITES,
        *_SHARED, "INSERT INTO shared.{schema}.t VALUES (1, 'x'), (2, 'y')",
        "UPDATE shared.{schema}.t SET b = 'z' WHERE a = 1",
        "DELETE FROM shared.{schema}.t WHERE a = 2",
        "SELECT a, b FROM shared.{schema}.t", gives="1 | z",
    ),
    imitated(
        "a consumer adds, renames and drops columns", _WRITES,
        *_SHARED, "ALTER TABLE shared.{schema}.t ADD COLUMN c int",
        "ALTER TABLE shared.{schema}.t RENAME COLUMN c TO d",
        "ALTER TABLE shared.{schema}.t DROP COLUMN a",
        "SELECT b, d FROM shared.{schema}.t", gives="",
    ),
    refused(
        "a consumer alters no column, layout or owner", _WRITES,
        *_SHARED, "ALTER TABLE shared.{schema}.t ALTER COLUMN b TYPE varchar(20)",
        error="not supported through a datashare",
    ),
    refused(
        "a consumer locks nothing", _WRITES,
        *_SHARED, "BEGIN", "LOCK shared.{schema}.t", error="not supported through a datashare",
    ),
    refused(
        "a consumer vacuums nothing", _WRITES,
        *_SHARED, "VACUUM shared.{schema}.t", error="not supported through a datashare",
    ),
    refused(
        "a consumer comments on nothing", _WRITES,
        *_SHARED, "COMMENT ON TABLE shared.{schema}.t IS 'x'",
        error="not supported through a datashare",
    ),
    refused(
        "COPY into a datashare has no COMPUPDATE", _WRITES,
        *_SHARED, "COPY shared.{schema}.t FROM '{s3}/rows.csv' IAM_ROLE '{role}' CSV"
        " COMPUPDATE OFF",
        error="not supported through a datashare",
    ),
    refused(
        "no table of a datashare has an interleaved sort key", _NO_WRITES,
        *_SHARED, "CREATE TABLE shared.{schema}.u (a int) INTERLEAVED SORTKEY (a)",
        error="not supported through a datashare",
    ),
    refused(
        "a consumer makes no table LIKE another", _NO_WRITES,
        *_SHARED, "CREATE TABLE shared.{schema}.u (LIKE shared.{schema}.t)",
        error="not supported through a datashare",
    ),
    refused(
        "a consumer makes no views in a datashare", _SHARES,
        *_SHARED, "CREATE VIEW shared.{schema}.v AS SELECT a FROM shared.{schema}.t",
        error="not supported through a datashare",
    ),
    refused(
        "a transaction writes to one database", _SHARES,
        *_SHARED, _T, "BEGIN", "INSERT INTO shared.{schema}.t VALUES (1, 'x')",
        "INSERT INTO t VALUES (1, 'x')", error="one database only",
    ),
    imitated(
        "TRUNCATE through a datashare is part of its transaction", _SHARES,
        *_SHARED, "INSERT INTO shared.{schema}.t VALUES (1, 'x')", "BEGIN",
        "TRUNCATE shared.{schema}.t", "ROLLBACK", "SELECT a FROM shared.{schema}.t", gives="1",
    ),
    imitated(
        "the columns of datashares are in SVV_ALL_COLUMNS", "r_SVV_ALL_COLUMNS",
        *_SHARED, "SELECT column_name, data_type, character_maximum_length FROM svv_all_columns"
        " WHERE database_name = 'shared' AND schema_name = '{schema}' ORDER BY ordinal_position",
        gives="a | integer | NULL; b | character varying | 9",
    ),
)  # fmt: skip
