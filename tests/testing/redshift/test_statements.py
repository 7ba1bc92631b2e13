"""COPY, UNLOAD and what kind a statement is: what Redshift takes, and what it refuses."""

from __future__ import annotations

import pytest

from loader.testing.redshift.refusals import Refusal
from loader.testing.redshift.statements.copy_unload import kind, parse_copy, parse_unload

ROLE = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'"


def copy_of(options: str, target: str = "s.t") -> str:
    return f"COPY {target} FROM 's3://bucket/load/manifest.json' {options}"


REFUSED_COPIES = [
    # F§1.1: the columnar list
    (
        f"{ROLE} FORMAT AS PARQUET REGION 'eu-west-1'",
        "REGION argument is not supported for PARQUET",
    ),
    (f"{ROLE} PARQUET REGION AS 'eu-west-1' MANIFEST", "REGION argument is not supported"),
    (f"{ROLE} FORMAT PARQUET COMPUPDATE OFF", "COMPUPDATE argument is not supported for PARQUET"),
    (f"{ROLE} FORMAT PARQUET MAXERROR 5", "MAXERROR argument is not supported for PARQUET"),
    (f"{ROLE} FORMAT PARQUET IGNOREALLERRORS", "IGNOREALLERRORS argument is not supported"),
    (f"{ROLE} FORMAT PARQUET ACCEPTANYDATE", "ACCEPTANYDATE argument is not supported"),
    (f"{ROLE} FORMAT PARQUET NOLOAD", "NOLOAD argument is not supported"),
    (f"{ROLE} FORMAT PARQUET EMPTYASNULL", "EMPTYASNULL argument is not supported"),
    (f"{ROLE} FORMAT PARQUET NULL AS 'x'", "NULL AS argument is not supported"),
    (f"{ROLE} FORMAT PARQUET TRUNCATECOLUMNS", "TRUNCATECOLUMNS argument is not supported"),
    (f"{ROLE} FORMAT PARQUET TIMEFORMAT 'auto'", "TIMEFORMAT argument is not supported"),
    (f"{ROLE} FORMAT PARQUET IGNOREHEADER 1", "IGNOREHEADER argument is not supported"),
    (f"{ROLE} FORMAT PARQUET DELIMITER ','", "DELIMITER argument is not supported"),
    (f"{ROLE} FORMAT PARQUET GZIP", "GZIP argument is not supported for PARQUET"),
    (f"{ROLE} FORMAT PARQUET ZSTD", "ZSTD argument is not supported for PARQUET"),
    (f"{ROLE} FORMAT CSV SERIALIZETOJSON", "SERIALIZETOJSON is not compatible with CSV"),
    (f"{ROLE} FORMAT JSON SERIALIZETOJSON", "SERIALIZETOJSON is not compatible with JSON"),
    # F§1.2: conflicts of the text formats
    (f"{ROLE} CSV ESCAPE", "ESCAPE is not compatible with CSV"),
    (f"{ROLE} CSV REMOVEQUOTES", "REMOVEQUOTES is not compatible with CSV"),
    (f"{ROLE} CSV FIXEDWIDTH 'a:1'", "FIXEDWIDTH is not compatible with CSV"),
    (f"{ROLE} JSON 'auto' DELIMITER '|'", "DELIMITER is not compatible with JSON"),
    (f"{ROLE} JSON 'auto' QUOTE '|'", "QUOTE is not compatible with JSON"),
    (f"{ROLE} JSON 'Auto'", "Invalid JSON format option"),
    (f"{ROLE} CSV GZIP ZSTD", "GZIP and ZSTD cannot be used together"),
    (f"{ROLE} CSV MAXERROR 1 IGNOREALLERRORS", "cannot be used together"),
    (f"{ROLE} CSV MAXERROR 100001", "MAXERROR must be between 0 and 100000"),
    (f"{ROLE} CSV JSON 'auto'", "conflicting or redundant options"),
    (f"{ROLE} CSV READRATIO 50", "READRATIO is not supported for COPY from S3"),
    (f"{ROLE} CSV ENCRYPTED", "ENCRYPTED is not supported for COPY from S3"),
    (f"{ROLE} CSV GZIP GZIP", "conflicting or redundant options: GZIP"),
    # F§1.3: authorization
    ("FORMAT AS PARQUET MANIFEST", "Must specify credentials"),
    (f"{ROLE} CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/x' CSV", "conflicting"),
    (f"{ROLE} ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b' CSV", "conflicting"),
    ("ACCESS_KEY_ID 'a' CSV", "must be given together"),
    ("IAM_ROLE 'loader' CSV", "Invalid IAM role"),
    (
        "IAM_ROLE 'arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b' CSV",
        "Invalid",
    ),
    # The grammar
    (f"{ROLE} FORMAT AS PARQUET MANIFST", 'syntax error at or near "MANIFST"'),
    (f"{ROLE} FORMAT AS MANIFEST", "syntax error"),
    (f"{ROLE} CSV NULL 'x'", "syntax error"),
    (f"{ROLE} DELIMITER ',' QUOTE '%'", "QUOTE is not compatible with TEXT"),
    (f"{ROLE} CSV IGNOREHEADER one", "syntax error"),
    (f"{ROLE} CSV; SELECT 1", "cannot insert multiple commands"),
    # What the stand-in says it does not implement
    (f"{ROLE} DELIMITER ',' ESCAPE", "does not implement ESCAPE with a delimiter"),
    (f"{ROLE} FORMAT ORC", "does not implement COPY of ORC"),
    (f"{ROLE} JSON 's3://bucket/paths.json'", "does not implement COPY of JSON with a jsonpaths"),
    (f"{ROLE} CSV MAXERROR 5", "does not implement a COPY that tolerates errors"),
    (f"{ROLE} CSV NOLOAD", "does not implement the COPY option NOLOAD"),
    (f"{ROLE} CSV DATEFORMAT 'DD/MM/YYYY'", "does not implement DATEFORMAT"),
    (f"{ROLE} CSV EMPTYASNULL NULL AS 'x'", "does not implement EMPTYASNULL together"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED_COPIES)
def test_copy_refuses_what_redshift_refuses(options: str, said: str) -> None:
    """An option that the format does not take, or a bad combination, is refused by its name."""
    with pytest.raises(Refusal) as caught:
        parse_copy(copy_of(options))
    assert said in caught.value.message


@pytest.mark.parametrize(
    "options",
    [
        f"{ROLE} FORMAT AS PARQUET MANIFEST",
        f"{ROLE} FORMAT PARQUET SERIALIZETOJSON MANIFEST;",
        f"{ROLE} PARQUET FILLRECORD ACCEPTINVCHARS AS '?' STATUPDATE ON EXPLICIT_IDS",
        f"{ROLE} FORMAT PARQUET MAXERROR 0",
        "IAM_ROLE default AS PARQUET",
        "CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/x' FORMAT PARQUET",
        "ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b' SESSION_TOKEN 'c' FORMAT PARQUET",
        f"{ROLE} CSV QUOTE AS '''' DELIMITER '|' REGION 'eu-west-1' COMPUPDATE PRESET GZIP",
        f"{ROLE} CSV TRUNCATECOLUMNS BLANKSASNULL TRIMBLANKS ROUNDEC ENCODING UTF8",
        f"{ROLE} JSON 'auto ignorecase' TIMEFORMAT 'epochmillisecs' ZSTD MANIFEST",
        f"{ROLE} FORMAT JSON",
    ],
)
def test_copy_takes_what_redshift_takes(options: str) -> None:
    """Every legal pair of option and format is read."""
    assert parse_copy(copy_of(options)).url == "s3://bucket/load/manifest.json"


def test_copy_as_data() -> None:
    """All there is in a COPY is told, names as PostgreSQL stores them, literals unescaped."""
    copy = parse_copy(
        """-- load
        COPY "S"."T" ("Id", "a""b", "line
break", "naïve") FROM 's3://bucket/it''s/manifest.json' IAM_ROLE 'arn:aws:iam::123456789012:role/r'
        FORMAT AS CSV IGNOREHEADER 1 NULL AS '\\\\N' DATEFORMAT 'auto' TIMEFORMAT 'auto'
        GZIP MANIFEST"""
    )
    assert (copy.schema, copy.table) == ("s", "t")
    assert copy.columns == ("id", 'a"b', "line\nbreak", "naïve")
    assert (copy.url, copy.format) == ("s3://bucket/it's/manifest.json", "csv")
    assert (copy.header_lines, copy.null_as, copy.compression) == (1, "\\N", "gzip")
    assert copy.manifest
    assert not copy.serialize_to_json
    assert {"MANIFEST", "GZIP", "NULL"} <= copy.options


def test_a_single_backslash_escapes() -> None:
    r"""``NULL AS '\N'`` is the text ``N``: a backslash escapes inside a literal (F§3.3)."""
    assert parse_copy(copy_of(f"{ROLE} CSV NULL AS '\\N'")).null_as == "N"


def test_long_names_keep_apart() -> None:
    """Names of 64 to 127 bytes that differ at their ends stay two; beyond 127 they are one."""
    first, second, third = ("c" * 100 + "1", "c" * 100 + "2", "c" * 127 + "x")
    copy = parse_copy(copy_of(f"{ROLE} PARQUET", f"t ({first}, {second}, {third})"))
    assert copy.columns is not None
    assert len(set(copy.columns)) == 3
    assert all(len(name.encode()) <= 63 for name in copy.columns)
    assert parse_copy(copy_of(f"{ROLE} PARQUET", f't ("{third}y")')).columns == (copy.columns[2],)


def test_a_column_is_listed_once() -> None:
    """Names that fold to the same are the same column."""
    with pytest.raises(Refusal, match="specified more than once"):
        parse_copy(copy_of(f"{ROLE} PARQUET", 't (a, "A")'))


def unload(options: str, query: str = "SELECT * FROM t") -> str:
    return f"UNLOAD ('{query}') TO 's3://bucket/prefix/' {ROLE} {options}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        # F§8
        ("FORMAT PARQUET HEADER", "HEADER is not supported for UNLOAD to PARQUET"),
        ("FORMAT PARQUET DELIMITER ','", "DELIMITER is not supported for UNLOAD to PARQUET"),
        ("FORMAT PARQUET NULL AS 'x'", "NULL AS is not supported for UNLOAD to PARQUET"),
        ("FORMAT PARQUET GZIP", "GZIP is not supported for UNLOAD to PARQUET"),
        ("FORMAT PARQUET ALLOWOVERWRITE CLEANPATH", "ALLOWOVERWRITE and CLEANPATH"),
        ("FORMAT PARQUET MAXFILESIZE 1 MB", "MAXFILESIZE must be between"),
        ("FORMAT PARQUET MAXFILESIZE 7 GB", "MAXFILESIZE must be between"),
        ("FORMAT CSV ROWGROUPSIZE 32 MB", "ROWGROUPSIZE is only supported"),
        # r_UNLOAD: ENCRYPTED is for keys of KMS
        ("FORMAT PARQUET KMS_KEY_ID 'k'", "KMS_KEY_ID requires the ENCRYPTED option"),
        ("FORMAT PARQUET ENCRYPTED", "only supported with KMS_KEY_ID or AUTO"),
        ("FORMAT PARQUET ENCRYPTED AUTO KMS_KEY_ID 'k'", "AUTO cannot be used with KMS_KEY_ID"),
        ("FORMAT ORC", "UNLOAD format ORC is not supported"),
        ("FORMAT PARQUET OVERWRITE", 'syntax error at or near "OVERWRITE"'),
    ],
)
def test_unload_refuses_what_redshift_refuses(options: str, said: str) -> None:
    """An option that the format does not take, or a size out of bounds, is refused."""
    with pytest.raises(Refusal) as caught:
        parse_unload(unload(options))
    assert said in caught.value.message


def test_unload_has_no_limit_at_its_top() -> None:
    """LIMIT must be inside a subselect (F§8)."""
    with pytest.raises(Refusal, match="Limit clause is not supported"):
        parse_unload(unload("FORMAT PARQUET", "SELECT * FROM t LIMIT 5"))
    assert parse_unload(unload("FORMAT PARQUET", "SELECT * FROM (SELECT 1 LIMIT 5) AS x"))


def test_unload_needs_a_role() -> None:
    """Without authorization there is no UNLOAD."""
    with pytest.raises(Refusal, match="Must specify credentials"):
        parse_unload("UNLOAD ('SELECT 1') TO 's3://bucket/p' FORMAT PARQUET")


def test_unload_as_data() -> None:
    """All there is in an UNLOAD is told; a Parquet file's size is a multiple of 32 MB."""
    found = parse_unload(
        unload(
            "FORMAT AS PARQUET MANIFEST VERBOSE ALLOWOVERWRITE PARALLEL OFF MAXFILESIZE 100 MB",
            "SELECT ''a\\\\\\\\b'' FROM t",
        )
    )
    assert found.query == r"SELECT 'a\\b' FROM t"
    assert (found.url, found.format) == ("s3://bucket/prefix/", "parquet")
    assert found.manifest
    assert found.verbose
    assert found.allow_overwrite
    assert not found.cleanpath
    assert not found.parallel
    assert found.max_file_size == 96 << 20


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("-- a\n/* b /* c */ */ copy t from 's3://b/k'", "copy"),
        ("Unload ('select 1')", "unload"),
        ("begin transaction", "begin"),
        ("START TRANSACTION", "begin"),
        ("END", "commit"),
        ("commit;", "commit"),
        ("ABORT", "rollback"),
        ("rollback", "rollback"),
        ("truncate t", "truncate"),
        ("(select 1)", "other"),
        ("select 'copy'", "other"),
        ("", "other"),
        ("select 'open", "other"),
    ],
)
def test_kinds(sql: str, expected: str) -> None:
    """The first word tells, whatever its case and the comments before it."""
    assert kind(sql) == expected
