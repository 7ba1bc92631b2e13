"""Staged files hold exactly what was written, as DuckDB and PyArrow read them."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import ExecuteError, StageError
from loader.spec.model import Staging
from loader.staging.encoders.base import JSON_METADATA
from loader.staging.encoders.open import file_suffix, open_writer
from loader.warehouse.duckdb.arrow_files import ArrowFiles
from loader.warehouse.duckdb.driver import DuckDBSession

CODECS = {
    "parquet": ("snappy", "zstd", "gzip", "none"),
    "csv": ("gzip", "zstd", "none"),
    "json": ("gzip", "zstd", "none"),
    "arrow": ("none", "lz4", "zstd"),
}
STAGINGS = [
    Staging(format=form, compression=codec) for form, codecs in CODECS.items() for codec in codecs
]
CSV, JSON = (Staging(format=form, compression="none") for form in ("csv", "json"))
PARQUET = Staging(format="parquet")

UTC = pa.timestamp("us", "UTC")
TEXTS = ["", "\\N", '"', '""', "\n", "\r", "\r\n", ",", "\\", '\\"', "\0", "\x1f", "\ufeff", "NULL"]
WORDS = st.lists(st.sampled_from([*TEXTS, "é", "😀", "\u2028", "a"]), max_size=6).map("".join)
ANY_TEXT = WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda units: Decimal(f"{units}E-{scale}"))


def _floats(width: Any) -> st.SearchStrategy[float]:
    return st.floats(width=width)


COLUMNS: dict[str, tuple[pa.DataType, str, st.SearchStrategy[Any]]] = {
    "smallint": (pa.int16(), "SMALLINT", st.integers(-(2**15), 2**15 - 1)),
    "integer": (pa.int32(), "INTEGER", st.integers(-(2**31), 2**31 - 1)),
    "bigint": (pa.int64(), "BIGINT", st.integers(-(2**63), 2**63 - 1)),
    "money": (pa.decimal128(5, 2), "DECIMAL(5,2)", _decimals(5, 2)),
    "exact": (pa.decimal128(15, 15), "DECIMAL(15,15)", _decimals(15, 15)),
    "whole": (pa.decimal128(38, 0), "DECIMAL(38,0)", _decimals(38, 0)),
    "long": (pa.decimal128(38, 10), "DECIMAL(38,10)", _decimals(38, 10)),
    "fine": (pa.decimal128(38, 37), "DECIMAL(38,37)", _decimals(38, 37)),
    "real": (pa.float32(), "REAL", _floats(32)),
    "double": (pa.float64(), "DOUBLE", _floats(64)),
    "boolean": (pa.bool_(), "BOOLEAN", st.booleans()),
    "text": (pa.string(), "VARCHAR", ANY_TEXT),
    "large": (pa.large_string(), "VARCHAR", ANY_TEXT),
    "date": (pa.date32(), "DATE", st.dates()),
    "time": (pa.time64("us"), "TIME", st.times()),
    "stamp": (pa.timestamp("us"), "TIMESTAMP", st.datetimes()),
    "instant": (UTC, "TIMESTAMPTZ", st.integers(*YEARS)),
    "bytes": (pa.binary(), "BLOB", st.binary(max_size=20)),
    'a "b", \\é': (pa.string(), "VARCHAR", ANY_TEXT),
}
SCHEMA = pa.schema([pa.field(name, kind) for name, (kind, _, _) in COLUMNS.items()])
ROW = st.tuples(*(st.none() | values for _, _, values in COLUMNS.values()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the files of all examples."""
    return tmp_path_factory.mktemp("formats")


def _write(path: Path, staging: Staging, *batches: pa.RecordBatch, schema: Any = None) -> Path:
    with path.open("wb") as sink:
        writer = open_writer(staging, sink, schema or batches[0].schema)
        for batch in batches:
            writer.write(batch)
        writer.close()
    return path


def _bytes(folder: Path, staging: Staging, **columns: pa.Array) -> bytes:
    batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
    return _write(folder / "bytes", staging, batch).read_bytes()


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    # Python's decimals only fit their type from a list that starts with the longest.
    arrays = [
        pa.array(
            [None if value is None else pa.scalar(value, field.type) for value in column]
        ).cast(field.type)
        for column, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _read(path: Path, staging: Staging, declared: dict[str, str]) -> pa.Table:
    """Read a file with DuckDB, as the templates do."""
    text = {name: kind if kind != "BLOB" else "VARCHAR" for name, kind in declared.items()}
    columns = ", ".join(f"{_literal(name)}: {_literal(kind)}" for name, kind in text.items())
    compression = f"compression = {_literal(staging.compression)}"
    source = {
        "parquet": "read_parquet(?)",
        "arrow": "attached",
        "csv": f"""read_csv(?, auto_detect = false, header = true, delim = ',', quote = '"',
            escape = '"', nullstr = '\\N', allow_quoted_nulls = false, new_line = '\\n',
            parallel = false, columns = {{{columns}}}, {compression})""",
        "json": f"""read_json(?, format = 'newline_delimited', auto_detect = false,
            columns = {{{columns}}}, {compression})""",
    }[staging.format]
    # Arrow hands binary over as it is; the text formats write it as hex.
    names = {name: '"' + name.replace('"', '""') + '"' for name in declared}
    plain = ", ".join(
        f"unhex({names[name]}) AS {names[name]}"
        if kind == "BLOB" and staging.format not in ("parquet", "arrow")
        else names[name]
        for name, kind in declared.items()
    )
    with duckdb.connect() as connection:
        connection.execute("SET timezone = 'America/New_York'")
        query = f"SELECT {plain} FROM {source}"
        if staging.format == "arrow":
            connection.register("attached", ArrowFiles([path]))
            return connection.sql(query).to_arrow_table()
        return connection.sql(query, params=[str(path)]).to_arrow_table()


def _values(column: pa.ChunkedArray) -> list[str]:
    """Values so that NaN equals itself and -0.0 is not 0.0."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return [repr(value) for value in column.to_pylist()]


def _assert_equal(found: pa.Table, written: pa.RecordBatch) -> None:
    assert found.column_names == written.schema.names
    for name in found.column_names:
        assert _values(found[name]) == _values(pa.chunked_array([written[name]])), name


def _finite(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without the numbers that JSON has no form for."""
    arrays = [
        pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        if pa.types.is_floating(column.type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


@pytest.mark.parametrize("staging", STAGINGS, ids=lambda s: f"{s.format}-{s.compression}")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_duckdb_reads_back_what_was_written(
    folder: Path, staging: Staging, rows: list[tuple[Any, ...]]
) -> None:
    """All values of all types come back equal, in each format with each compression."""
    batch = _finite(_batch(rows)) if staging.format == "json" else _batch(rows)
    path = _write(folder / f"all.{file_suffix(staging)}", staging, batch, batch.slice(1))
    declared = {name: kind for name, (_, kind, _) in COLUMNS.items()}
    both = pa.concat_batches([batch, batch.slice(1)])
    _assert_equal(_read(path, staging, declared), both)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.none() | ANY_TEXT, min_size=1))
def test_pyarrow_reads_back_text(folder: Path, texts: list[str | None]) -> None:
    """A second reader agrees about quotes, escapes, line ends and NULL."""
    batch = pa.record_batch({"n": list(range(len(texts))), "text": pa.array(texts, pa.string())})
    csv = pyarrow.csv.read_csv(
        _write(folder / "second.csv", CSV, batch),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            null_values=["\\N"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types=batch.schema,
        ),
    )
    assert csv["text"].to_pylist() == texts
    lines = _write(folder / "second.json", JSON, batch).read_text("utf-8").split("\n")
    assert [json.loads(line)["text"] for line in lines[:-1]] == texts


def test_csv_spelling(folder: Path) -> None:
    """CSV quotes text and binary only, and writes NULL as a bare backslash and N."""
    assert _bytes(
        folder,
        CSV,
        text=pa.array(["", "\\N", None, 'a"b']),
        day=pa.array([date(1, 2, 3), None, None, None], pa.date32()),
        stamp=pa.array([datetime(2020, 1, 2, 3, 4, 5, 6), None, None, None], pa.timestamp("us")),
        instant=pa.array([0, None, None, None], UTC),
        clock=pa.array([time(1, 2, 3), None, None, None], pa.time64("us")),
        tiny=pa.array([Decimal("-0.0000000001"), None, Decimal(2), None], pa.decimal128(12, 10)),
        real=pa.array([1e20, float("nan"), float("inf"), float("-inf")], pa.float32()),
        yes=pa.array([True, False, None, None]),
        raw=pa.array([b"\xff\0", b"", None, None]),
    ).decode() == (
        '"text","day","stamp","instant","clock","tiny","real","yes","raw"\n'
        '"",0001-02-03,2020-01-02 03:04:05.000006,1970-01-01 00:00:00.000000+00,'
        '01:02:03.000000,-0.0000000001,1e+20,true,"ff00"\n'
        '"\\N",\\N,\\N,\\N,\\N,\\N,NaN,false,""\n'
        "\\N,\\N,\\N,\\N,\\N,2.0000000000,Infinity,\\N,\\N\n"
        '"a""b",\\N,\\N,\\N,\\N,\\N,-Infinity,\\N,\\N\n'
    )


def test_json_spelling(folder: Path) -> None:
    """JSON has all keys in each line, and quotes whole columns whose type a double may not hold."""
    assert _bytes(
        folder,
        JSON,
        **{'a"é': pa.array(['x\\"\n\t\x01é', None])},
        day=pa.array([date(1, 2, 3), None], pa.date32()),
        money=pa.array([Decimal("1.50"), None], pa.decimal128(15, 2)),
        long=pa.array([Decimal("1.50"), None], pa.decimal128(16, 2)),
        big=pa.array([1, None], pa.int64()),
        int=pa.array([-1, None], pa.int32()),
        double=pa.array([-0.0, None]),
        yes=pa.array([True, None]),
        raw=pa.array([b"\xff\0", None]),
    ).decode() == (
        '{"a\\"é":"x\\\\\\"\\n\\t\\u0001é","day":"0001-02-03","money":"1.50","long":"1.50",'
        '"big":"1","int":-1,"double":-0.0,"yes":true,"raw":"ff00"}\n'
        '{"a\\"é":null,"day":null,"money":null,"long":null,'
        '"big":null,"int":null,"double":null,"yes":null,"raw":null}\n'
    )


def test_json_for_other_readers_has_numbers() -> None:
    """JSON lines that `loader read` writes quote only decimals that a double would not hold."""
    columns = {
        "money": pa.array([Decimal("1.50")], pa.decimal128(15, 2)),
        "long": pa.array([Decimal("1.50")], pa.decimal128(16, 2)),
        "big": pa.array([2**63 - 1], pa.int64()),
    }
    batch = pa.record_batch(columns)
    sink = io.BytesIO()
    writer = open_writer(JSON, sink, batch.schema, json_numbers=True)
    writer.write(batch)
    assert sink.getvalue() == b'{"money":1.50,"long":"1.50","big":9223372036854775807}\n'


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(JSON_VALUES, min_size=1), indent=st.none() | st.integers(0, 2))
def test_json_columns_are_embedded(folder: Path, values: list[Any], indent: int | None) -> None:
    """JSON text marked as such is a value of its line, not a string, however it is laid out."""
    field = pa.field("doc", pa.string(), metadata=JSON_METADATA)
    texts = pa.array([json.dumps(value, indent=indent) for value in values])
    batch = pa.record_batch([texts], schema=pa.schema([field]))
    lines = _write(folder / "doc.json", JSON, batch).read_bytes().splitlines()
    assert [json.loads(line)["doc"] for line in lines] == values
    csv = _write(folder / "doc.csv", CSV, batch)
    assert _read(csv, CSV, {"doc": "VARCHAR"})["doc"].to_pylist() == texts.to_pylist()


def test_slices_are_written_as_such(folder: Path) -> None:
    """Rows before and behind a slice do not show, in types that are written from raw buffers."""
    column = pa.array([b"a", None, b"bc", b"", b"d", None])
    tiny = pa.array([Decimal("1E-9")] * 3 + [Decimal("-2E-9"), None, None], pa.decimal128(18, 9))
    for start, length in itertools.product(range(6), range(1, 4)):
        part, small = column.slice(start, length), tiny.slice(start, length)
        csv = _bytes(folder, CSV, raw=part, tiny=small).decode().splitlines()[1:]
        hexes = ["\\N" if value is None else f'"{value.hex()}"' for value in part.to_pylist()]
        plain = ["\\N" if value is None else f"{value:f}" for value in small.to_pylist()]
        assert csv == [f"{raw},{tiny}" for raw, tiny in zip(hexes, plain, strict=True)]


@pytest.mark.parametrize("staging", [CSV, JSON], ids=["csv", "json"])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([2_932_897], pa.date32()),
        pa.array([-719_163], pa.date32()),
        pa.array([YEARS[1] + 1], pa.timestamp("us")),
        pa.array([YEARS[0] - 1], UTC),
    ],
    ids=str,
)
def test_years_without_spelling_are_refused(
    folder: Path, staging: Staging, column: pa.Array
) -> None:
    """A text format refuses years that readers would take for others."""
    with pytest.raises(StageError, match=r"column `when`: .* years before 1 or after 9999"):
        _bytes(folder, staging, when=column)


@pytest.mark.parametrize("staging", [CSV, JSON], ids=["csv", "json"])
@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.timestamp("ns"), pa.float16(), pa.null()], ids=str
)
def test_types_without_spelling_are_refused(
    folder: Path, staging: Staging, kind: pa.DataType
) -> None:
    """A text format refuses types it has no form for, and names the column and the way out."""
    with pytest.raises(StageError, match=r"column `odd`: .* files cannot hold") as caught:
        _bytes(folder, staging, odd=pa.array([None], kind))
    assert "parquet" in str(caught.value.hint)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_json_refuses_numbers_without_form(folder: Path, value: float) -> None:
    """NaN and infinities cannot be JSON, and are never turned into null."""
    with pytest.raises(StageError, match="column `x`: JSON cannot represent"):
        _bytes(folder, JSON, x=pa.array([1.0, value]))


@pytest.mark.parametrize("staging", STAGINGS, ids=lambda s: f"{s.format}-{s.compression}")
def test_a_file_without_rows_is_a_file(folder: Path, staging: Staging) -> None:
    """A writer that gets no rows, or empty batches, leaves a file that reads as no rows."""
    batch = pa.record_batch({"a": pa.array([], pa.int64())})
    path = _write(folder / "empty", staging, batch, schema=batch.schema)
    assert _read(path, staging, {"a": "BIGINT"}).num_rows == 0


def test_suffixes() -> None:
    """File names end as readers expect of the format and its compression."""
    assert [file_suffix(staging) for staging in STAGINGS] == [
        *["parquet"] * 4,
        *["csv.gz", "csv.zst", "csv"],
        *["json.gz", "json.zst", "json"],
        *["arrow"] * 3,
    ]


def test_gzip_files_hold_no_time_and_no_name(folder: Path) -> None:
    """The same rows give the same bytes, whenever and wherever they are written."""
    staging = Staging(format="csv", compression="gzip")
    data = _bytes(folder, staging, a=pa.array([1]))
    assert data[3] == 0
    assert data[4:8] == bytes(4)
    assert gzip.decompress(data) == b'"a"\n1\n'


def test_parquet_types_are_those_redshift_reads(folder: Path) -> None:
    """Decimals are fixed bytes of their precision, times are µs, and no Arrow schema is kept."""
    path = _write(folder / "types.parquet", PARQUET, _batch([]), schema=SCHEMA)
    metadata = pq.read_metadata(path)
    found = {
        column.path: (column.physical_type, column.length, str(column.logical_type))
        for column in map(metadata.schema.column, range(metadata.num_columns))
    }
    assert not metadata.metadata
    assert found["money"][:2] == ("FIXED_LEN_BYTE_ARRAY", 3)
    assert found["long"][:2] == ("FIXED_LEN_BYTE_ARRAY", 16)
    assert found["smallint"][0] == "INT32"
    assert "bitWidth=16" in found["smallint"][2]
    assert found["stamp"][0] == "INT64"
    assert "timeUnit=microseconds" in found["stamp"][2]
    assert "isAdjustedToUTC=true" in found["instant"][2]
    assert found["bytes"][0] == "BYTE_ARRAY"
    assert found["bytes"][2] == "None"


def test_parquet_row_groups_are_large(folder: Path) -> None:
    """Small batches are collected: one row group for many, cut by bytes and not by rows."""
    narrow = pa.record_batch({"n": pa.array(range(1000), pa.int64())})
    path = _write(folder / "narrow.parquet", PARQUET, *[narrow] * 500)
    metadata = pq.read_metadata(path)
    # Whole groups of the size DuckDB stores, then what is left.
    rows = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert rows == [4 * 122_880, 500_000 - 4 * 122_880]
    assert metadata.row_group(0).column(0).statistics.has_min_max
    wide = pa.record_batch({"text": pa.array(["x" * 65_535] * 64)})
    path = _write(folder / "wide.parquet", PARQUET, *[wide] * 24)
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(n).num_rows * 65_535 for n in range(metadata.num_row_groups)]
    assert len(sizes) == 3
    assert max(sizes) < 40 << 20


def test_attached_files_are_scanned_as_often_as_asked(tmp_path: Path) -> None:
    """Attached Arrow files are all read, in order, in each scan; without any it is an error."""
    staging = Staging(format="arrow")
    for number in (1, 0):
        batch = pa.RecordBatch.from_pydict({"a": [number * 2, number * 2 + 1]})
        _write(tmp_path / f"part-0000{number}.arrow", staging, batch)
    with duckdb.connect() as connection:
        session = DuckDBSession(connection)
        name = f"{tmp_path}/part-*.arrow"
        for _ in range(2):  # a rollback drops the view, and a retry makes it again
            session.begin()
            session.attach(name)
            for _ in range(2):
                assert session.execute(f'SELECT a FROM "{name}"') == [(0,), (1,), (2,), (3,)]
            session.rollback()
        with pytest.raises(ExecuteError, match="no files match"):
            session.attach(f"{tmp_path}/other-*.arrow")
        (tmp_path / "part-00000.arrow").write_bytes(b"no Arrow file")
        with pytest.raises(ExecuteError, match="cannot read the staged files"):
            session.attach(name)
