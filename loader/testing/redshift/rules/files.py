"""Rules of COPY and UNLOAD; the test makes the files that statements name."""

from __future__ import annotations

from loader.testing.redshift.rules.rule import Rule, imitated, refused

_T = "CREATE TABLE t (a integer, b varchar(10))"
_COLUMNAR = "copy-usage_notes-copy-from-columnar"
_FORMAT = "copy-parameters-data-format"
_ROLE = "copy-parameters-authorization"
_MANIFEST = "loading-data-files-using-manifest"
_COLUMNS = "copy-parameters-column-mapping"
_UNLOAD = "r_UNLOAD"


def _copy(file: str, options: str, table: str = "t", role: str = "{role}") -> str:
    return f"COPY {table} FROM '{{s3}}/{file}' IAM_ROLE '{role}' {options}"


def _unload(options: str, query: str = "SELECT a, b FROM t") -> str:
    return f"UNLOAD ('{query}') TO '{{s3}}/{{schema}}/' IAM_ROLE '{{role}}' {options}"


COPY: tuple[Rule, ...] = (
    refused(
        "the role must be attached to the warehouse", _ROLE,
        _T, _copy("rows.csv", "CSV", role="arn:aws:iam::123456789012:role/other"),
        error="is not authorized to assume IAM Role",
    ),
    refused(
        "there is one way to authorize", _ROLE,
        _T, _copy("rows.csv", "ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b' CSV"), error="conflicting",
    ),
    refused(
        "COPY of Parquet takes no option of text files", _COLUMNAR,
        _T, _copy("rows.parquet", "FORMAT PARQUET NULL AS 'x'"),
        error="NULL AS argument is not supported for PARQUET",
    ),
    refused(
        "COPY of Parquet takes no REGION", "dlt-hub/dlt#2349",
        _T, _copy("rows.parquet", "FORMAT PARQUET REGION 'us-east-1'"),
        error="REGION argument is not supported for PARQUET",
    ),
    refused(
        "CSV excludes ESCAPE, FIXEDWIDTH and REMOVEQUOTES", _FORMAT,
        _T, _copy("rows.csv", "CSV ESCAPE"), error="not compatible with CSV",
    ),
    refused(
        "a prefix without files is an error", "copy-parameters-data-source-s3",
        _T, _copy("none", "CSV"), error="does not exist",
    ),
    imitated(
        "a name is a prefix: more files may begin so", "copy-parameters-data-source-s3",
        _T, _copy("twice", "CSV"), "SELECT count(*) FROM t", gives="2",
    ),
    imitated(
        "the rows of the last COPY can be asked for", "PG_LAST_COPY_COUNT",
        _T, _copy("rows.csv", "CSV"), "SELECT pg_last_copy_count()", gives="2",
    ),
    refused(
        "a manifest of Parquet has the length of each file",
        "awslabs/aws-lambda-redshift-loader#221",
        _T, _copy("no-length.manifest", "FORMAT PARQUET MANIFEST"), error="Spectrum Scan Error",
    ),
    refused(
        "a mandatory file of a manifest must be there", _MANIFEST,
        _T, _copy("missing.manifest", "CSV MANIFEST"), error="The specified key does not exist",
    ),
    imitated(
        "an optional file of a manifest may be missing", _MANIFEST,
        _T, _copy("optional.manifest", "CSV MANIFEST"), "SELECT count(*) FROM t", gives="0",
    ),
    refused(
        "an IDENTITY column is loaded with EXPLICIT_IDS only", _COLUMNS,
        "CREATE TABLE t (a int IDENTITY(1, 1), b varchar(10))",
        _copy("rows.csv", "CSV", "t (a, b)"), error="cannot set an identity column",
    ),
    refused(
        "a NOT NULL column without a default is in the column list", _COLUMNS,
        "CREATE TABLE t (a int NOT NULL, b varchar(10), c int)",
        _copy("rows.csv", "CSV", "t (c, b)"), error="is not in the column list",
    ),
)  # fmt: skip

VALUES: tuple[Rule, ...] = (
    refused(
        "Parquet is not coerced: its type is the column's", "bluelabsio/records-mover#85",
        "CREATE TABLE t (a bigint, b varchar(10))", _copy("rows.parquet", "FORMAT PARQUET"),
        error="incompatible Parquet schema",
    ),
    refused(
        "a Parquet file has as many columns as the table", _COLUMNAR,
        "CREATE TABLE t (a integer)", _copy("rows.parquet", "FORMAT PARQUET"),
        error="Unmatched number of columns",
    ),
    imitated(
        "columns of Parquet go by position, whatever their names", _COLUMNAR,
        "CREATE TABLE t (x integer, y varchar(10))", _copy("rows.parquet", "FORMAT PARQUET"),
        "SELECT x, y FROM t ORDER BY x", gives="1 | a; 2 | b",
    ),
    refused(
        "nanoseconds would be stored as other times", "apache/arrow#38000",
        "CREATE TABLE t (a timestamp)", _copy("nanoseconds.parquet", "FORMAT PARQUET"),
        error="nanosecond timestamps",
    ),
    refused(
        "a DECIMAL of Parquet has the bytes of its precision", "G-Research/ParquetSharp#252",
        "CREATE TABLE t (a decimal(18, 2))", _copy("decimal-30.parquet", "FORMAT PARQUET"),
        error="invalid type length",
    ),
    refused(
        "VARCHAR(n) has n bytes, not characters", "aws/aws-sdk-pandas#280",
        "CREATE TABLE t (a varchar(3))", _copy("umlauts.parquet", "FORMAT PARQUET"),
        error="longer than the length defined",
    ),
    refused(
        "SUPER comes from Parquet with SERIALIZETOJSON", "ingest-super",
        "CREATE TABLE t (a integer, b super)", _copy("rows.parquet", "FORMAT PARQUET"),
        error="requires SERIALIZETOJSON",
    ),
    refused(
        "a field that is not of its column's type fails the load", "r_STL_LOAD_ERRORS",
        "CREATE TABLE t (a integer, b integer)", _copy("rows.csv", "CSV"),
        error="sys_load_error_detail",
    ),
    imitated(
        "the system tables know file, line, column and value of it", "SYS_LOAD_ERROR_DETAIL",
        "CREATE TABLE t (a integer, b integer)", "?" + _copy("rows.csv", "CSV"),
        "SELECT line_number, trim(column_name), trim(error_message) FROM sys_load_error_detail"
        " WHERE session_id = pg_backend_pid() ORDER BY query_id DESC LIMIT 1",
        gives="1 | b | Invalid digit, Type: Integer",
    ),
    imitated(
        "without a format there is a delimiter, and quotes are text", _FORMAT,
        _T, _copy("quotes.txt", "DELIMITER '\\174'"), "SELECT b FROM t", gives='"a,\\b"',
    ),
    imitated(
        "excess digits are cut off unless ROUNDEC is given", "copy-parameters-data-conversion",
        "CREATE TABLE t (a decimal(4, 1))", _copy("digits.csv", "CSV"), "SELECT a FROM t",
        gives="1.9",
    ),
    imitated(
        "keys of JSON match lower-case names", "copy-usage_notes-copy-from-json",
        _T, _copy("rows.json", "FORMAT JSON 'auto'"), "SELECT a, b FROM t", gives="1 | NULL",
    ),
)  # fmt: skip

UNLOAD: tuple[Rule, ...] = (
    refused(
        "a LIMIT is inside a subselect", _UNLOAD,
        _T, _unload("FORMAT PARQUET", "SELECT a FROM t LIMIT 1"), error="Limit clause",
    ),
    refused(
        "the place must be empty", _UNLOAD,
        _T, "INSERT INTO t VALUES (1, 'x')",
        _unload("FORMAT PARQUET ALLOWOVERWRITE"), _unload("FORMAT PARQUET"), error="is not empty",
    ),
    refused(
        "Parquet takes no option of text files", _UNLOAD,
        _T, _unload("FORMAT PARQUET HEADER"), error="HEADER is not supported",
    ),
    refused(
        "VARBYTE is not unloaded to Parquet", _UNLOAD,
        "CREATE TABLE t (a varbyte(4))", _unload("FORMAT PARQUET", "SELECT a FROM t"),
        error="is not supported for PARQUET",
    ),
    imitated(
        "what is unloaded can be loaded", _UNLOAD,
        _T, "INSERT INTO t VALUES (1, 'x')", _unload("FORMAT PARQUET CLEANPATH"),
        _copy("{schema}/", "FORMAT PARQUET"), "SELECT count(*) FROM t", gives="2",
    ),
)  # fmt: skip
