"""Staged files against the columns of a table: what loads, and what Redshift refuses."""

from __future__ import annotations

import csv
import gzip
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.testing.redshift.files.staged import LiveColumn, check_column_list, read_manifest, rows
from loader.testing.redshift.refusals import LoadError, Refusal
from loader.testing.redshift.statements.copy_unload import CopyStatement, parse_copy

ROLE = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'"
URL = "s3://bucket/load/0.parquet"
TIMESTAMP = "timestamp without time zone"
TIMESTAMPTZ = "timestamp with time zone"


def copying(options: str, columns: str = "") -> CopyStatement:
    return parse_copy(f"COPY s.t {columns} FROM 's3://bucket/load/m.json' {ROLE} {options}")


PARQUET = copying("FORMAT PARQUET SERIALIZETOJSON MANIFEST")


def column(data_type: str, name: str = "c", *, nullable: bool = True, **facts: bool) -> LiveColumn:
    return LiveColumn(
        name, data_type, nullable, **{"has_default": False, "identity": False} | facts
    )


def parquet(*columns: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    names = [f"x{number}" for number in range(len(columns))]
    pq.write_table(pa.table(list(columns), names=names), sink, **options)
    return sink.getvalue()


def load(copy: CopyStatement, columns: list[LiveColumn], data: bytes) -> list[list[str]]:
    """The fields PostgreSQL would read."""
    text = b"".join(rows(copy, columns, data, URL)).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def value(data_type: str, array: pa.Array, **options: Any) -> str:
    """What the only value of a Parquet file becomes."""
    (fields,) = load(PARQUET, [column(data_type)], parquet(array, **options))
    return fields[0]


DECIMAL = pa.array([Decimal("1.50")])
NESTED = pa.array([{"a": [1, None], "b": 'ü"', "c": Decimal("1.50")}])

LOADED = [
    # F§2: type by type
    ("smallint", pa.array([1], pa.int16()), "1"),
    ("smallint", pa.array([1], pa.int8()), "1"),
    ("integer", pa.array([-1], pa.int32()), "-1"),
    ("bigint", pa.array([2**62]), str(2**62)),
    ("numeric(9,2)", DECIMAL.cast(pa.decimal128(9, 2)), "1.50"),
    ("numeric(38,2)", DECIMAL.cast(pa.decimal128(38, 2)), "1.50"),
    ("real", pa.array([0.1], pa.float32()), "0.1"),
    ("double precision", pa.array([float("nan")]), "nan"),
    ("boolean", pa.array([True]), "true"),
    ("character(3)", pa.array(["ab"]), "ab"),
    ("character varying(4)", pa.array(["üü"]), "üü"),
    ("character varying(40)", pa.array(['a"b\n\\N,']), 'a"b\n\\N,'),
    ("character varying(4)", pa.array(["a"]).dictionary_encode(), "a"),
    ("character varying(4)", pa.array(["a"], pa.large_string()), "a"),
    ("date", pa.array([0], pa.date32()), "1970-01-01"),
    ("date", pa.array([0], pa.date64()), "1970-01-01"),
    (TIMESTAMP, pa.array([1], pa.timestamp("us")), "1970-01-01 00:00:00.000001"),
    (TIMESTAMP, pa.array([1], pa.timestamp("ms")), "1970-01-01 00:00:00.001000"),
    (TIMESTAMP, pa.array([1], pa.timestamp("s")), "1970-01-01 00:00:01.000000"),
    (TIMESTAMP, pa.array([0], pa.timestamp("us", "Asia/Tokyo")), "1970-01-01 00:00:00.000000"),
    (TIMESTAMPTZ, pa.array([0], pa.timestamp("us", "Asia/Tokyo")), "1970-01-01 00:00:00.000000+00"),
    (TIMESTAMPTZ, pa.array([1], pa.timestamp("ms", "UTC")), "1970-01-01 00:00:00.001000+00"),
    ("binary varying(2)", pa.array([b"\x00\xff"]), "\\x00ff"),
    ("super", NESTED, '{"a":[1,null],"b":"ü\\"","c":1.50}'),
    ("super", pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '{"k":1}'),
    ("super", pa.array(['{"a": 1}']), '"{\\"a\\": 1}"'),
    ("bigint", pa.array([None], pa.int64()), "\\N"),
]


@pytest.mark.parametrize(("data_type", "array", "expected"), LOADED)
def test_parquet_values_load(data_type: str, array: pa.Array, expected: str) -> None:
    """A Parquet column of the table's own type loads, its value unchanged."""
    assert value(data_type, array) == expected


def test_int96_loads_into_timestamp() -> None:
    """INT96 is an old form of TIMESTAMP that Redshift reads (F§2.2)."""
    array = pa.array([1], pa.timestamp("us"))
    found = value(TIMESTAMP, array, use_deprecated_int96_timestamps=True)
    assert found == "1970-01-01 00:00:00.000001"


INCOMPATIBLE = [
    # F§2: no coercion
    ("integer", pa.array([1])),
    ("bigint", pa.array([1], pa.int32())),
    ("smallint", pa.array([1], pa.int32())),
    ("integer", pa.array([1], pa.int16())),
    ("real", pa.array([1.0])),
    ("double precision", pa.array([1.0], pa.float32())),
    ("real", pa.array([1.0], pa.float16())),
    ("bigint", pa.array([1.0])),
    ("numeric(9,2)", pa.array([1.5])),
    ("numeric(9,0)", pa.array([1], pa.int32())),
    ("double precision", DECIMAL.cast(pa.decimal128(9, 2))),
    ("boolean", pa.array([1], pa.int32())),
    ("character varying(9)", pa.array([1])),
    ("character varying(9)", pa.array([b"a"])),
    ("character varying(9)", pa.array([0], pa.date32())),
    ("integer", pa.array(["1"])),
    ("date", pa.array(["2020-01-01"])),
    ("date", pa.array([0], pa.timestamp("us"))),
    (TIMESTAMP, pa.array([0], pa.date32())),
    (TIMESTAMP, pa.array([0])),
    (TIMESTAMPTZ, pa.array([0], pa.timestamp("us"))),
    # F§2.3: unsigned and null
    ("smallint", pa.array([1], pa.uint8())),
    ("integer", pa.array([1], pa.uint32())),
    ("bigint", pa.array([1], pa.uint64())),
    ("integer", pa.array([None])),
    ("character varying(9)", pa.array([None])),
    # F§2: types with no form in Parquet, FLBA for VARBYTE
    ("time without time zone", pa.array([0], pa.time64("us"))),
    ("time without time zone", pa.array(["00:00:00"])),
    ("time with time zone", pa.array(["00:00:00+00"])),
    ("geometry", pa.array(["00"])),
    ("geography", pa.array([b"00"])),
    ("hllsketch", pa.array(["00"])),
    ("interval year to month", pa.array(["1"])),
    ("binary varying(2)", pa.array([b"ab"], pa.binary(2))),
    ("binary varying(2)", pa.array(["ab"])),
    # F§2.4: nested
    ("character varying(99)", pa.array([[1]])),
    ("super", pa.array([1])),
    ("super", pa.array([{"a": 0}], pa.struct({"a": pa.timestamp("ns")}))),
    ("super", pa.array([{"a": 1}], pa.struct({"a": pa.uint8()}))),
]


@pytest.mark.parametrize(("data_type", "array"), INCOMPATIBLE)
def test_parquet_is_not_coerced(data_type: str, array: pa.Array) -> None:
    """A Parquet column of another type than the table's is a Spectrum Scan Error 15007."""
    with pytest.raises(Refusal) as caught:
        value(data_type, array)
    assert (caught.value.message, caught.value.code) == ("Spectrum Scan Error", "XX000")
    said = "has an incompatible Parquet schema for column 's3://bucket/load/m.json.c'. Column type:"
    assert said in caught.value.detail
    assert "code:      15007" in caught.value.detail
    assert "Parquet schema:\noptional" in caught.value.detail


REFUSED_FILES = [
    # F§2.1
    (
        "numeric(18,2)",
        DECIMAL.cast(pa.decimal128(30, 2)),
        "invalid type length. Expecting: 8 len in file: 13",
    ),
    ("numeric(9,2)", DECIMAL.cast(pa.decimal128(9, 3)), "scale that does not match"),
    ("numeric(9,2)", DECIMAL.cast(pa.decimal128(8, 2)), "precision that does not match"),
    # F§2.2
    (TIMESTAMP, pa.array([0], pa.timestamp("ns")), "nanosecond timestamps"),
    (TIMESTAMPTZ, pa.array([0], pa.timestamp("ns", "UTC")), "nanosecond timestamps"),
    # F§2.4
    ("super", pa.array([[(1, 1)]], pa.map_(pa.int64(), pa.int64())), "keys of maps"),
]


@pytest.mark.parametrize(("data_type", "array", "said"), REFUSED_FILES)
def test_parquet_files_are_refused(data_type: str, array: pa.Array, said: str) -> None:
    """Decimals of another shape and nanoseconds are refused before any value is read."""
    with pytest.raises(Refusal) as caught:
        value(data_type, array)
    assert said in caught.value.detail


BAD_VALUES = [
    # F§2.3: bytes, not characters
    (
        column("character varying(3)"),
        pa.array(["abc", "äb", "ää"]),
        3,
        "The length of the data column c is longer than the length defined in the table. "
        "Table: 3, Data: 4",
    ),
    (column("character(2)"), pa.array(["ab", "abc"]), 2, "Table: 2, Data: 3"),
    (
        column("character(4)"),
        pa.array(["ab", "ä"]),
        2,
        "Multibyte character not supported for CHAR",
    ),
    (column("binary varying(1)"), pa.array([b"a", b"ab"]), 2, "Table: 1, Data: 2"),
    (column("character varying(9)"), pa.array(["a", "a\0b"]), 2, "NUL in the text"),
    # F§3.1: NOT NULL is enforced
    (column("bigint", nullable=False), pa.array([1, None]), 2, "Missing data for not-null field"),
    # F§2.1: DECIMAL(19) is kept in 64 bits
    (
        column("numeric(19,0)"),
        pa.array([Decimal(2**63 - 1), Decimal(2**63)], pa.decimal128(19, 0)),
        2,
        "Numeric overflow",
    ),
    # F§2.4
    (column("super"), pa.array([["a"], ["ä" * 40_000]]), 2, "longer than 65535 bytes"),
    (column("super"), pa.array([[0.5], [float("nan")]]), 2, "NaN"),
]


@pytest.mark.parametrize(("live", "array", "line", "said"), BAD_VALUES)
def test_parquet_values_are_refused(
    live: LiveColumn, array: pa.Array, line: int, said: str
) -> None:
    """A value that does not fit its column is told with its row, value and reason."""
    with pytest.raises(LoadError) as caught:
        load(PARQUET, [live], parquet(array))
    error = caught.value
    assert (error.message, error.file, error.line, error.column) == (
        "Spectrum Scan Error",
        URL,
        line,
        "c",
    )
    assert said in error.reason
    assert said in error.detail


def test_the_row_of_a_late_value() -> None:
    """Rows are counted over the whole file, not over what is read at once."""
    array = pa.array(["ok"] * 70_000 + ["too long"])
    with pytest.raises(LoadError) as caught:
        load(PARQUET, [column("character varying(2)")], parquet(array))
    assert (caught.value.line, caught.value.raw_value) == (70_001, "too long")


def test_parquet_columns_are_taken_by_position() -> None:
    """Names in the file are ignored; a wrong count is a 15007 (F§2.5)."""
    two = parquet(pa.array([1]), pa.array(["a"]))
    live = [column("bigint", "b"), column("character varying(9)", "a")]
    assert load(PARQUET, live, two) == [["1", "a"]]
    with pytest.raises(Refusal) as caught:
        load(PARQUET, live[:1], two)
    said = "Unmatched number of columns between table and file. Table columns: 1, Data columns: 2"
    assert said in caught.value.detail
    longer = [*live, column("date", "z")]
    with pytest.raises(Refusal) as caught:
        load(PARQUET, longer, two)
    assert "Table columns: 3, Data columns: 2" in caught.value.detail
    filled = copying("FORMAT PARQUET FILLRECORD MANIFEST")
    assert load(filled, longer, two) == [["1", "a", "\\N"]]


def test_super_needs_serializetojson() -> None:
    """Without SERIALIZETOJSON neither nested columns nor SUPER load from Parquet (F§2.4)."""
    plain = copying("FORMAT PARQUET")
    with pytest.raises(Refusal, match="requires SERIALIZETOJSON option"):
        check_column_list(plain, [column("super")])
    with pytest.raises(Refusal) as caught:
        load(plain, [column("super")], parquet(NESTED))
    assert "Unreachable - Invalid type: 4000" in caught.value.detail


def test_what_is_no_parquet() -> None:
    """Any other bytes are a Spectrum Scan Error."""
    with pytest.raises(Refusal, match="Spectrum Scan Error"):
        load(PARQUET, [column("bigint")], b"id\n1\n")


CSV = copying("CSV IGNOREHEADER 1 NULL AS '\\\\N' DATEFORMAT 'auto' TIMEFORMAT 'auto' MANIFEST")


@pytest.mark.parametrize(
    ("data_type", "field", "expected"),
    [
        ("integer", "-7", "-7"),
        ("integer", "", "\\N"),
        ("integer", "\\N", "\\N"),
        ("numeric(5,2)", "-123.459", "-123.45"),
        ("numeric(5,2)", "0.001", "0.00"),
        ("numeric(2,2)", "0.5", "0.5"),
        ("double precision", "1e-5", "1e-5"),
        ("boolean", "true", "true"),
        ("date", "2020-02-29", "2020-02-29"),
        (TIMESTAMP, "2020-01-01 23:59:59.123456", "2020-01-01 23:59:59.123456"),
        (TIMESTAMP, "2020-01-01T23:59:59", "2020-01-01T23:59:59"),
        (TIMESTAMP, "2020-01-01", "2020-01-01"),
        (TIMESTAMPTZ, "2020-01-01 23:59:59+00", "2020-01-01 23:59:59+00"),
        (TIMESTAMPTZ, "2020-01-01T23:59:59Z", "2020-01-01T23:59:59Z"),
        ("time without time zone", "23:59:59.5", "23:59:59.5"),
        ("time with time zone", "23:59:59+02", "23:59:59+02"),
        ("character varying(9)", '"a ""b"""', 'a "b"'),
        ("character varying(9)", '"a\nb"', "a\nb"),
        ("character varying(9)", '""', ""),
        ("character varying(9)", '"\\N"', "\\N"),
        ("binary varying(2)", "00fF", "\\x00fF"),
        ("super", '"{""a"": 1.50}"', '{"a": 1.50}'),
        ("geometry", "0101", "0101"),
    ],
)
def test_csv_fields_load(data_type: str, field: str, expected: str) -> None:
    """A CSV field loads as COPY would read it; excess decimals are cut off (F§1.2)."""
    data = f'"c","z"\n{field},1\n'.encode()
    found = load(CSV, [column(data_type), column("integer", "z")], data)
    assert found == [[expected, "1"]]


def test_null_and_its_text_stay_apart() -> None:
    r"""NULL is a bare ``\N`` in what PostgreSQL reads, and the text ``\N`` is quoted."""
    out = b"".join(rows(CSV, [column("character varying(9)")], b'c\n\\N\n"\\N"\n', URL))
    assert out == b'\\N\n"\\N"\n'


BAD_FIELDS = [
    ("integer", "x", 1207, "Invalid digit"),
    ("integer", "1.0", 1207, "Invalid digit"),
    ("smallint", "32768", 1204, "Overflow"),
    ("bigint", "9223372036854775808", 1204, "Overflow"),
    ("numeric(5,2)", "1234", 1204, "Overflow"),
    ("numeric(5,2)", "1e2", 1207, "Invalid digit"),
    ("real", "1,5".replace(",", "_"), 1208, "Float"),
    ("boolean", "maybe", 1210, "boolean"),
    ("date", "2020-02-30", 1205, "date"),
    ("date", "01/02/2020", 1205, "Date"),
    (TIMESTAMP, "2020-01-01 24:61:00", 1206, "timestamp"),
    (TIMESTAMPTZ, "yesterday", 1206, "timestamp"),
    ("time without time zone", "25:00:00", 1206, "time"),
    ("character varying(3)", "ää", 1204, "String length exceeds DDL length"),
    ("character(3)", "ä", 1220, "Multibyte"),
    ("binary varying(2)", "0g", 1219, "hexadecimal"),
    ("binary varying(2)", "000", 1219, "hexadecimal"),
    ("binary varying(2)", "000000", 1204, "exceeds"),
    ("super", "{", 1216, "Invalid JSON"),
    ("super", "NaN", 1216, "Invalid JSON"),
]


@pytest.mark.parametrize(("data_type", "field", "code", "said"), BAD_FIELDS)
def test_csv_fields_are_refused(data_type: str, field: str, code: int, said: str) -> None:
    """A CSV field that does not load is told with its line, raw value and reason (F§7)."""
    data = f"c\n\\N\n{field}\n".encode()
    with pytest.raises(LoadError) as caught:
        load(CSV, [column(data_type)], data)
    error = caught.value
    assert error.message == (
        "Load into table 't' failed. Check 'sys_load_error_detail' system table for details."
    )
    assert (error.line, error.error_code, error.column) == (3, code, "c")
    assert (error.raw_value, error.raw_line, error.column_type) == (field, field, data_type)
    assert said in error.reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [("1", "Delimiter not found"), ("1,2,3", "Extra column(s) found")],
)
def test_csv_rows_have_all_their_fields(row: str, reason: str) -> None:
    """A row with too few or too many fields does not load."""
    with pytest.raises(LoadError) as caught:
        load(CSV, [column("integer", "a"), column("integer", "b")], f"a,b\n1,2\n{row}\n".encode())
    assert (caught.value.line, caught.value.reason) == (3, reason)


def test_large_documents_do_not_load_from_csv() -> None:
    """SUPER values above 1 MB load from JSON, and not from CSV (r_SUPER_type)."""
    document = "[" + "1," * 524_288 + "1]"
    live = [column("super")]
    assert list(rows(copying("FORMAT JSON 'auto'"), live, f'{{"c": {document}}}'.encode(), URL))
    with pytest.raises(LoadError) as caught:
        list(rows(copying("FORMAT CSV"), live, f'"{document}"'.encode(), URL))
    assert "above 1 MB" in caught.value.reason


def test_csv_must_be_utf8() -> None:
    """Invalid UTF-8 is told with its line."""
    with pytest.raises(LoadError) as caught:
        load(CSV, [column("character varying(9)")], b"c\nok\n\xff\n")
    assert (caught.value.line, caught.value.error_code) == (3, 1220)


def test_csv_options_change_fields() -> None:
    """What COPY is asked to do with text, it does: cut, trim, take blanks as NULL."""
    cut = copying("CSV TRUNCATECOLUMNS")
    assert load(cut, [column("character varying(3)")], "ää\n".encode()) == [["ä"]]
    blank = copying("CSV BLANKSASNULL TRIMBLANKS EMPTYASNULL")
    assert load(blank, [column("character varying(3)")], b'a \n"  "\n') == [["a"], ["\\N"]]
    epoch = copying("CSV TIMEFORMAT 'epochsecs'")
    assert load(epoch, [column(TIMESTAMPTZ)], b"1\n") == [["1970-01-01 00:00:01.000000+00"]]


def test_compression_is_the_one_named() -> None:
    """GZIP and ZSTD files are read as such, and nothing else passes for them."""
    plain = b"c\n1\n"
    packed = copying("CSV IGNOREHEADER 1 GZIP")
    assert load(packed, [column("integer")], gzip.compress(plain)) == [["1"]]
    with pytest.raises(Refusal, match="not gzip compressed"):
        load(packed, [column("integer")], plain)
    zstd = copying("CSV IGNOREHEADER 1 ZSTD")
    assert load(zstd, [column("integer")], pa.compress(plain, "zstd", asbytes=True)) == [["1"]]
    with pytest.raises(Refusal, match="not zstd compressed"):
        load(zstd, [column("integer")], plain)


@pytest.mark.parametrize("data", [b"", b"c\n"])
def test_a_csv_file_without_rows(data: bytes) -> None:
    """An empty file and a header alone load nothing."""
    assert load(CSV, [column("integer")], data) == []


JSON = copying("JSON 'auto' MANIFEST")
OF_JSON = [column("integer", "id"), column("character varying(20)", "name"), column("super", "doc")]


def test_json_objects_load() -> None:
    """Keys match lower-case names exactly, nested values stay documents, the rest is NULL."""
    data = (
        '{"id": 1, "name": "a\\nb", "doc": {"k": [1.50, "z"]}, "more": 0}\n'
        '{"ID": 2, "name": {"a": 1}, "doc": "text"} {"doc": null}\n'
    )
    assert load(JSON, OF_JSON, data.encode()) == [
        ["1", "a\nb", '{"k": [1.50, "z"]}'],
        ["\\N", '{"a": 1}', '"text"'],
        ["\\N", "\\N", "\\N"],
    ]


@pytest.mark.parametrize(
    ("data_type", "number", "read"),
    [
        ("numeric(38,20)", "0.1", "0.10000000000000000555"),
        ("numeric(38,20)", '"0.1"', "0.1"),
        ("numeric(38,0)", "12345678901234567890", "12345678901234567168"),
        ("bigint", "9007199254740993", "9007199254740992"),
        ("bigint", '"9007199254740993"', "9007199254740993"),
        ("double precision", "0.1", "0.1"),
    ],
)
def test_json_numbers_go_through_a_double(data_type: str, number: str, read: str) -> None:
    """A number of JSON is read as a double, digits in quotes are not (F§1.2)."""
    copy = copying("FORMAT JSON 'auto'")
    assert load(copy, [column(data_type)], f'{{"c": {number}}}'.encode()) == [[read]]


def test_json_options() -> None:
    """'auto ignorecase' folds the keys; 'noshred' puts the object into one SUPER column."""
    folded = copying("JSON 'auto ignorecase'")
    assert load(folded, OF_JSON[:1], b'{"ID": 2}') == [["2"]]
    whole = copying("JSON 'noshred'")
    assert load(whole, OF_JSON[2:], b'{"ID": 2}') == [['{"ID": 2}']]
    with pytest.raises(Refusal, match="exactly one SUPER column"):
        load(whole, OF_JSON, b"{}")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"id": 1}\n{"id": "x"}', 2, "Invalid digit"),
        ('{"id": 1}\n\n{"id": true}', 3, "Invalid digit"),
        ('{"name": "' + "x" * 21 + '"}', 1, "String length exceeds DDL length"),
        ('{"id": 1}\n{"id": 1', 2, "Invalid JSON"),
        ('{"id": 1}, {"id": 2}', 1, "Invalid JSON"),
        ("[1]", 1, "Invalid JSON"),
        ('{"doc": [NaN]}', 1, "Invalid JSON"),
        ('{"doc": "' + "x" * (4 << 20) + '"}', 1, "longer than 4194304 bytes"),
        ('{"name": "a\\u0000b"}', 1, "NUL"),
    ],
)
def test_json_is_refused(text: str, line: int, said: str) -> None:
    """An object that is malformed, too long, or has a wrong value is told with its line."""
    with pytest.raises(LoadError) as caught:
        load(JSON, OF_JSON, text.encode())
    assert caught.value.line == line
    assert said in caught.value.reason


@pytest.mark.parametrize("data_type", ["time without time zone", "binary varying(2)", "geometry"])
def test_types_without_a_form_in_json(data_type: str) -> None:
    """TIME, VARBYTE and GEOMETRY do not come from JSON (F§2)."""
    with pytest.raises(Refusal, match="COPY of JSON cannot load"):
        load(JSON, [column(data_type)], b"{}")


def manifest(*entries: Any) -> bytes:
    return json.dumps({"entries": list(entries)}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        # F§1.4
        (manifest({"url": "s3://b/k", "mandatory": True}), "does not have 'meta' key"),
        (manifest({"url": "s3://b/k", "meta": {}}), "does not have 'content_length'"),
        (manifest({"url": "s3://b/k", "meta": {"content_length": "9"}}), "content_length"),
        (manifest({"url": "/b/k"}), "no S3 url"),
        (manifest(), "no list `entries`"),
        (b"[]", "no list `entries`"),
        (gzip.compress(manifest({"url": "s3://b/k"}), mtime=0), "nor may it be compressed"),
    ],
)
def test_manifests_are_refused(data: bytes, said: str) -> None:
    """A manifest that is malformed, compressed, or without the lengths Parquet needs is refused."""
    with pytest.raises(Refusal) as caught:
        read_manifest(data, "parquet")
    assert said in caught.value.detail


def test_manifest_entries() -> None:
    """A file is optional unless it says otherwise, and counts as often as it is named (F§1.4)."""
    one = {"url": "s3://b/k", "mandatory": True, "meta": {"content_length": 9}}
    found = read_manifest(manifest(one, one), "parquet")
    assert [(entry.url, entry.mandatory, entry.content_length) for entry in found] == [
        ("s3://b/k", True, 9)
    ] * 2
    (loose,) = read_manifest(manifest({"url": "s3://b/k"}), "csv")
    assert (loose.mandatory, loose.content_length) == (False, None)


LIVE = [
    column("bigint", "id", nullable=False, identity=True),
    column("date", "day", nullable=False),
    column("integer", "n"),
    column("integer", "filled", nullable=False, has_default=True),
]


@pytest.mark.parametrize(
    ("listed", "options", "expected"),
    [
        ("", "CSV", ["day", "n", "filled"]),
        ("", "CSV EXPLICIT_IDS", ["id", "day", "n", "filled"]),
        ("(n, day)", "CSV", ["n", "day"]),
        ("(day, id)", "CSV EXPLICIT_IDS", ["day", "id"]),
    ],
)
def test_column_lists(listed: str, options: str, expected: list[str]) -> None:
    """Fields go to the listed columns in their order, or to all that are no identity (F§1.6)."""
    found = check_column_list(copying(options, listed), LIVE)
    assert [column.name for column in found] == expected


@pytest.mark.parametrize(
    ("listed", "options", "said"),
    [
        ("(day, nowhere)", "CSV", 'column "nowhere" of relation "t" does not exist'),
        ("(n)", "CSV", 'column "day" is NOT NULL'),
        ("(id, day)", "CSV", "cannot set an identity column"),
        ("(day)", "CSV EXPLICIT_IDS", "is not in the list"),
    ],
)
def test_column_lists_are_refused(listed: str, options: str, said: str) -> None:
    """Unknown columns, identity without EXPLICIT_IDS, and left-out NOT NULL columns (F§1.6)."""
    with pytest.raises(Refusal) as caught:
        check_column_list(copying(options, listed), LIVE)
    assert said in caught.value.message
