"""Specs where nobody has written one: from frames, from live tables, from files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.data.chunk import Chunk, Frame
from loader.data.frames import open_frame
from loader.errors import FrameError, LoaderError, PlanError, SourceError, SpecError
from loader.inference import from_files
from loader.inference.guesses import NOTHING, Guess, NoTypeError, merge_guesses
from loader.inference.infer import (
    declared,
    infer_files,
    infer_live,
    infer_spec,
    table_name,
    to_yaml,
)
from loader.plan.live_table import LiveColumn, LiveTable
from loader.project import Project
from loader.spec.catalog import read_entry
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.registry import get_adapter
from tests.conftest import MakeProject, redshift_target

ROOT = Path(__file__).parents[2]
DUCKDB, REDSHIFT = get_adapter("duckdb").dialect, get_adapter("redshift").dialect


def infer(frame: object, live: LiveTable | None = None, **options: Any) -> TableSpec:
    """The spec of a frame."""
    return infer_spec(frame, live, dialect=DUCKDB, schema="s", name="t", **options)[0]


def types(spec: TableSpec) -> dict[str, str]:
    """The columns of a spec and their types."""
    return {column.name: str(column.data_type) for column in spec.columns}


def type_of(values: Any) -> str:
    """The type that a frame of one column suggests for it."""
    frame = {"a": values}
    return types(infer(pa.table(frame) if isinstance(values, pa.Array) else pd.DataFrame(frame)))[
        "a"
    ]


def refusal(frame: object, live: LiveTable | None = None, **options: Any) -> str:
    """What inference is refused with."""
    with pytest.raises(LoaderError) as caught:
        infer(frame, live, **options)
    return str(caught.value)


def objects(*values: object) -> Any:
    """A pandas column of objects."""
    return pd.Series(values, dtype=object)


# ---------------------------------------------------------------- types of frames

ARROW: list[tuple[Any, str]] = [
    (pa.int8(), "smallint"),
    (pa.uint8(), "smallint"),
    (pa.int16(), "smallint"),
    (pa.uint16(), "integer"),
    (pa.int32(), "integer"),
    (pa.uint32(), "bigint"),
    (pa.int64(), "bigint"),
    (pa.uint64(), "decimal(20,0)"),
    (pa.float16(), "real"),
    (pa.float32(), "real"),
    (pa.float64(), "double precision"),
    (pa.bool_(), "boolean"),
    (pa.bool8(), "boolean"),
    (pa.decimal128(12, 2), "decimal(12,2)"),
    (pa.decimal128(38, 37), "decimal(38,37)"),
    (pa.decimal128(5, -2), "decimal(7,0)"),
    (pa.decimal256(30, 4), "decimal(30,4)"),
    (pa.date32(), "date"),
    (pa.date64(), "date"),
    (pa.timestamp("s"), "timestamp"),
    (pa.timestamp("ns"), "timestamp"),
    (pa.timestamp("us", "Europe/Berlin"), "timestamptz"),
    (pa.time32("s"), "time"),
    (pa.time64("ns"), "time"),
    (pa.string(), "varchar(65535)"),
    (pa.large_string(), "varchar(65535)"),
    (pa.string_view(), "varchar(65535)"),
    (pa.dictionary(pa.int8(), pa.string()), "varchar(65535)"),
    (pa.dictionary(pa.int8(), pa.int32()), "integer"),
    (pa.run_end_encoded(pa.int32(), pa.int16()), "smallint"),
    (pa.uuid(), "varchar(65535)"),
    (pa.json_(), "varchar(65535)"),
    (pa.binary(), "varbyte(1024000)"),
    (pa.large_binary(), "varbyte(1024000)"),
    (pa.binary(4), "varbyte(1024000)"),
    (pa.struct({"x": pa.int8()}), "super"),
    (pa.list_(pa.int8()), "super"),
    (pa.large_list(pa.int8()), "super"),
    (pa.list_(pa.int8(), 2), "super"),
    (pa.map_(pa.string(), pa.int8()), "super"),
]


@pytest.mark.parametrize(("arrow", "expected"), ARROW, ids=[str(a) for a, _ in ARROW])
def test_arrow_types_become_the_types_that_hold_them(arrow: Any, expected: str) -> None:
    """Every type has the narrowest counterpart, whether there are rows, values, or neither."""
    empty = pa.table({"a": pa.nulls(0, arrow)})
    nulls = pa.table({"a": pa.nulls(2, arrow)})
    assert types(infer(empty)) == types(infer(nulls)) == {"a": expected}


NOW = datetime(2026, 1, 2, 3, 4, 5)
OBJECTS: list[tuple[Any, str]] = [
    (objects(1, None), "bigint"),
    (objects(2**63 - 1, -(2**63)), "bigint"),
    (objects(2**63), "decimal(38,0)"),
    (objects(1, 1.5), "double precision"),
    (objects(Decimal("1.5"), Decimal("2.255"), 7), "decimal(38,3)"),
    (objects(Decimal("NaN"), Decimal("1E+3")), "decimal(38,0)"),
    (objects("x", None), "varchar(65535)"),
    (objects('{"json": 1}'), "varchar(65535)"),
    (objects("x", np.str_("y")), "varchar(65535)"),
    (objects(UUID(int=1)), "varchar(65535)"),
    (objects(b"x", bytearray(b"y")), "varbyte(1024000)"),
    (objects(True, None), "boolean"),
    (objects(date(2026, 1, 1)), "date"),
    (objects(NOW, pd.Timestamp(NOW)), "timestamp"),
    (objects(NOW, date(2026, 1, 1)), "timestamp"),
    (objects(NOW.replace(tzinfo=UTC)), "timestamptz"),
    (objects(time(1)), "time"),
    (objects(time(1, tzinfo=UTC)), "timetz"),
    (objects({"a": 1}, [1], None), "super"),
    (objects(np.array([1, 2])), "super"),
    (objects(np.int16(1), 2), "bigint"),
    (objects(np.float32(1.5)), "real"),
    (objects(np.bool_(True)), "boolean"),
    (objects(np.datetime64("2026-01-01")), "timestamp"),
    (objects(None, None), "varchar(65535)"),
    (pd.Categorical(["x", "y"]), "varchar(65535)"),
    (pd.array([1, None], dtype="Int16"), "smallint"),
    (pd.array([True, None], dtype="boolean"), "boolean"),
    (pd.Series(["x", None], dtype="string"), "varchar(65535)"),
    (pd.Series([1, None]), "double precision"),
    (pd.to_datetime(["2026-01-01"]), "timestamp"),
    (pd.to_datetime(["2026-01-01"], utc=True), "timestamptz"),
]


@pytest.mark.parametrize(("values", "expected"), OBJECTS, ids=[str(o[1]) for o in OBJECTS])
def test_pandas_columns_are_typed_by_their_values(values: Any, expected: str) -> None:
    """A column of objects has the type of what it holds, with room for more of it."""
    assert type_of(values) == expected


def test_polars_frames_have_types() -> None:
    """Categoricals and enums are text, and lazy frames are frames, even without rows."""
    frame = pl.DataFrame(
        {
            "c": pl.Series(["x", None], dtype=pl.Categorical),
            "e": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"])),
            "d": pl.Series([Decimal("1.25"), None]),
            "n": [None, None],
        }
    )
    expected = {"c": "varchar(65535)", "e": "varchar(65535)", "n": "varchar(65535)"}
    assert {**types(infer(frame)), "d": ""} == {**expected, "d": ""}
    assert types(infer(frame))["d"].startswith("decimal(38,")
    empty = pl.LazyFrame(schema={"a": pl.UInt32, "b": pl.Categorical})
    assert types(infer(empty)) == {"a": "bigint", "b": "varchar(65535)"}


REFUSED: list[tuple[Any, str]] = [
    (pa.array([1], pa.duration("s")), "`a` holds durations.*number of seconds"),
    (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "`a` holds durations"),
    (pa.array([Decimal(1)], pa.decimal256(40, 2)), "`a` holds decimals of 40 digits, 2 of them"),
    (pa.array([], pa.decimal128(38, 38)), "38 of them after the point; Redshift allows 38 and 37"),
    (pa.nulls(0, pa.dense_union([pa.field("x", pa.int8())])), "`a` is of the type dense_union"),
    (objects(timedelta(1)), "`a` holds durations"),
    (objects(np.timedelta64(1, "s")), "`a` holds durations"),
    (objects(1, "x"), "`a` holds whole numbers and text"),
    (objects("x", {"a": 1}), "`a` holds text and lists or objects"),
    (objects(True, 1), "`a` holds booleans and whole numbers"),
    (objects(Decimal(1), 1.5), "`a` holds decimals and floats"),
    (objects(NOW, NOW.replace(tzinfo=UTC)), "zone and timestamps without a time zone"),
    (objects(date(2026, 1, 1), "2026-01-01"), "`a` holds dates and text"),
    (objects({1, 2}), "`a` holds objects of the class set"),
    (objects(1j), "`a` holds objects of the class complex"),
    (objects(Path("x")), "`a` holds objects of the class pathlib"),
    (objects(Decimal("1e30"), Decimal("1e-20")), "`a` holds decimals of 51 digits"),
    (objects(10**5000), "`a` holds decimals of"),
    (pd.period_range("2026", periods=1), "`a` is of the type extension"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[r[1] for r in REFUSED])
def test_columns_without_a_type_are_refused_by_name(values: Any, message: str) -> None:
    """What no type holds, and what is of two kinds, is an error that names the column."""
    frame = {"a": values}
    made = pa.table(frame) if isinstance(values, pa.Array) else pd.DataFrame(frame)
    with pytest.raises(FrameError, match=message) as caught:
        infer(made)
    assert caught.value.hint == "change these columns, or write a table spec"


def test_all_that_is_wrong_with_the_columns_is_told_at_once() -> None:
    """Types and names are judged together, and the error carries them as rows."""
    frame = pa.table(
        [[1], [2], pa.array([3], pa.duration("s")), [4], [5]],
        names=["A", "a", "d", "x" * 128, ""],
    )
    with pytest.raises(FrameError) as caught:
        infer(frame)
    assert [row["column"] for row in caught.value.details] == ["a", "x" * 128, "", "d"]
    for part in (
        "4 columns do not fit",
        "`a` differs from `A` only in case",
        "a name of 128 bytes",
    ):
        assert part in str(caught.value)


def test_what_is_no_frame_and_what_has_no_columns_is_refused() -> None:
    """Nothing is inferred from nothing."""
    assert "is not a frame" in refusal("x")
    frames: list[Any] = [iter([]), pd.DataFrame(), pd.DataFrame(index=[1])]
    for nothing in frames:
        assert "the data has no columns" in refusal(nothing)


def test_a_frame_without_rows_and_types_is_refused() -> None:
    """What nothing is known of is no text: a table made so would refuse all later data."""
    assert "`a` has no type: the frame has no rows and no schema" in refusal(
        pd.DataFrame({"a": objects()})
    )
    assert "`a` has no type" in refusal(open_frame(pa.table({"a": pa.array([], pa.int8())})))
    assert "`a` has no type" in refusal(iter([pa.table({"a": pa.array([], pa.int8())})]))


# ---------------------------------------------------------------- nothing is lost


def test_a_stream_is_handed_back_whole() -> None:
    """Inference reads one chunk of a stream, and the frame still has all of them."""
    read = []

    def batches() -> Iterator[pa.Table]:
        for number in range(3):
            read.append(number)
            yield pa.table({"A": [number] * 65_536})

    spec, frame = infer_spec(batches(), dialect=DUCKDB, schema="s", name="t")
    assert types(spec) == {"a": "bigint"}
    assert read == [0]
    assert frame.columns == ("A",)
    chunks = list(frame.chunks)
    found = dict.fromkeys(chunk.columns["A"][0].as_py() for chunk in chunks)
    assert list(found) == [0, 1, 2]
    assert [chunk.first_row for chunk in chunks] == [1, 65_537, 131_073]


def test_the_number_of_rows_stays_known() -> None:
    """What a frame says of itself is handed on."""
    _, frame = infer_spec(pa.table({"a": [1, 2]}), dialect=DUCKDB, schema="s", name="t")
    assert frame.rows == 2


# ---------------------------------------------------------------- names, keys, partitions


def test_names_are_matched_whatever_their_case() -> None:
    """The table's names are lower case; what is not found by that is renamed in the spec."""
    spec = infer(pd.DataFrame({"FlightDate": [1], "STRASSE": [1], "straße": [1], "Ärger": [1]}))
    assert [column.name for column in spec.columns] == [
        "flightdate",
        "strasse",
        "straße",
        "ärger",
    ]
    assert spec.source.columns == {"strasse": "STRASSE"}


def test_keys_and_partitions_are_taken_over(make_project: MakeProject) -> None:
    """A key is never null, a bare column needs no type, and case is no matter."""
    frame = pa.table({"Day": [date(2026, 1, 1)], "shop": ["x"], "n": [1]})
    spec = infer(
        frame,
        asset_key="a/b/c",
        primary_key=["Day", "shop"],
        partition_by=[
            {"name": "date", "expr": "Day", "grain": "day"},
            {"name": "s", "expr": "shop"},
        ],
        write_disposition="merge",
    )
    assert spec.asset_key == "a/b/c"
    assert [column.nullable for column in spec.columns] == [False, False, True]
    assert [dimension.column for dimension in spec.dimensions] == ["day", "shop"]
    assert spec.write_disposition == "merge"
    assert "there is no column `dy`" in refusal(frame, partition_by=[{"expr": "dy"}])
    assert "it needs a `data_type`" in refusal(frame, partition_by=[{"expr": "n + 1"}])
    typed = infer(frame, partition_by=[{"expr": "n % 7", "data_type": "integer"}])
    assert str(typed.dimensions[0].data_type) == "integer"


def test_what_is_asked_for_must_go_with_the_columns() -> None:
    """The spec keeps all rules, and what it breaks is told as of the inferred spec."""
    with pytest.raises(SpecError) as caught:
        infer_spec(pa.table({"a": [1]}), dialect=DUCKDB, schema="S", name="t", primary_key=["b"])
    told = str(caught.value)
    assert "the spec inferred for S.t" in told
    assert "write `s`" in told


def test_staging_is_of_a_format_that_carries_all_columns() -> None:
    """Parquet, unless a type or documents without one shape need another format."""
    clock, shaped, free = pa.array([time(1)]), pa.array([[1]]), objects([1], {"a": 2})
    mapped = pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8()))
    assert infer(pa.table({"a": [1]})).staging.format == "auto"
    assert infer(pa.table({"a": clock})).staging.format == "csv"
    assert infer(pa.table({"a": shaped})).staging.format == "auto"
    assert infer(pa.table({"a": shaped, "b": clock})).staging.format == "csv"
    assert infer(pa.table({"a": mapped})).staging.format == "json"
    assert infer(pd.DataFrame({"a": free})).staging.format == "json"
    binary = pd.DataFrame({"a": free, "b": objects(b"x", b"y")})
    assert infer(binary).staging.format == "csv"


# ---------------------------------------------------------------- live tables

LIVE = LiveTable(
    (
        LiveColumn("Id", "BIGINT", nullable=False),
        LiveColumn("amount", "INTEGER", nullable=True),
        LiveColumn("made", "TIMESTAMP", nullable=False, has_default=True),
    )
)


def test_a_live_table_goes_before_the_frame() -> None:
    """Its types, order and NOT NULL stay; columns that it lacks come last, for drift to tell."""
    frame = pd.DataFrame({"new": [1.5], "AMOUNT": [None], "id": [1]})
    spec = infer(frame, LIVE)
    assert types(spec) == {"id": "bigint", "amount": "integer", "new": "double precision"}
    assert [column.nullable for column in spec.columns] == [False, True, True]


def test_a_default_of_the_warehouse_is_left_to_it() -> None:
    """A column with a default is part of the spec only when the data has it."""
    assert "made" in types(infer(pd.DataFrame({"id": [1], "amount": [1], "made": [NOW]}), LIVE))
    assert "made" not in types(infer(pd.DataFrame({"id": [1], "amount": [1]}), LIVE))
    assert "amount" in types(infer(pd.DataFrame({"id": [1]}), LIVE))


def test_a_name_of_a_system_column_is_changed_once() -> None:
    """What no Redshift column can be called gets another name, the same one each time."""
    frame = pd.DataFrame({"oid": [1], "x": [2]})
    first = infer(frame, primary_key=["oid"])
    live = LiveTable(
        tuple(LiveColumn(column.name, "BIGINT", column.nullable) for column in first.columns)
    )
    for spec in (first, infer(frame, live, primary_key=["oid"])):
        assert [column.name for column in spec.columns] == ["oid_", "x"]
        assert (spec.primary_key, spec.source.columns) == (("oid_",), {"oid_": "oid"})


def test_columns_of_the_live_table_need_no_type_of_the_frame() -> None:
    """An empty frame, or one of mixed objects, is judged by the live types when it is loaded."""
    frame = pd.DataFrame({"id": objects(), "amount": objects()})
    assert types(infer(frame, LIVE)) == {"id": "bigint", "amount": "integer"}
    assert types(infer(iter([]), LIVE)) == {
        "id": "bigint",
        "amount": "integer",
        "made": "timestamp",
    }
    mixed = pd.DataFrame({"id": objects(1, "x"), "amount": [1, 2]})
    assert types(infer(mixed, LIVE)) == {"id": "bigint", "amount": "integer"}
    assert "`new` has no type" in refusal(frame.assign(new=objects()), LIVE)


def live_type(kind: str, dialect: Any = DUCKDB) -> str:
    """The type of a live column as a spec says it."""
    live = LiveTable((LiveColumn("a", kind, nullable=True),))
    return types(infer_live(live, dialect=dialect, schema="s", name="t"))["a"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("VARCHAR", "varchar(65535)"),
        ("DECIMAL(18,2)", "decimal(18,2)"),
        ("HUGEINT", "decimal(38,0)"),
        ("UBIGINT", "decimal(20,0)"),
        ("UTINYINT", "smallint"),
        ("FLOAT", "real"),
        ("TIMESTAMP WITH TIME ZONE", "timestamptz"),
        ("TIMESTAMP_NS", "timestamp"),
        ("TIME", "time"),
        ("TIME WITH TIME ZONE", "timetz"),
        ("BLOB", "varbyte(1024000)"),
        ("JSON", "super"),
        ("UUID", "varchar(36)"),
        ("ENUM('a', 'b)')", "varchar(2)"),
        ("ENUM('it''s', 'ü')", "varchar(4)"),
        ("ENUM()", "varchar(1)"),
        ("STRUCT(a INTEGER, b VARCHAR[])", "super"),
        ("INTEGER[]", "super"),
        ("DECIMAL(18,2)[3]", "super"),
        ("MAP(VARCHAR, INTEGER)", "super"),
        ("INTERVAL", "interval day to second"),
    ],
)
def test_types_of_duckdb_as_specs_say_them(kind: str, expected: str) -> None:
    """What DuckDB's catalog holds is a type that a spec declares."""
    assert live_type(kind) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("character varying(40)", "varchar(40)"),
        ("character varying", "varchar(65535)"),
        ("character(3)", "char(3)"),
        ("numeric(12,2)", "decimal(12,2)"),
        ("timestamp without time zone", "timestamp"),
        ("timestamp with time zone", "timestamptz"),
        ("time without time zone", "time"),
        ("binary varying(20)", "varbyte(20)"),
        ("varbyte", "varbyte(1024000)"),
        ("super", "super"),
        ("geometry", "geometry"),
        ("double precision", "double precision"),
    ],
)
def test_types_of_redshift_as_specs_say_them(kind: str, expected: str) -> None:
    """What Redshift's catalog holds is a type that a spec declares."""
    assert live_type(kind, REDSHIFT) == expected


def test_types_that_specs_cannot_say_are_named() -> None:
    """All columns of such types are told at once, with their types."""
    live = LiveTable(
        (
            LiveColumn("a", "BIT", nullable=True),
            LiveColumn("b", "INTEGER", nullable=True),
            LiveColumn("c", "UHUGEINT", nullable=True),
        )
    )
    with pytest.raises(PlanError) as caught:
        infer_live(live, dialect=DUCKDB, schema="s", name="t")
    assert "do not support the type of 2 columns\n  `a` is BIT\n  `c` is UHUGEINT" in str(
        caught.value
    )
    catalog = LiveTable((LiveColumn("a", "integer[]", nullable=True),))
    with pytest.raises(PlanError, match=r"`a` is integer\[\]"):
        infer_live(catalog, dialect=REDSHIFT, schema="s", name="t")


EVERYTHING = pd.DataFrame(
    {
        "I": pd.array([1, None], dtype="Int32"),
        "big": objects(2**64, 1),
        "amount": objects(Decimal("1.50"), None),
        "x": [1.5, 2.5],
        "ok": objects(True, None),
        "day": objects(date(2026, 1, 1), date(2026, 1, 2)),
        "at": pd.to_datetime(["2026-01-01 01:02:03", "2026-01-02 00:00:00"]),
        "utc": pd.to_datetime(["2026-01-01 01:02:03", "2026-01-02 00:00:00"], utc=True),
        "text": ["x" * 300, None],
        "doc": objects({"a": 1}, [1, 2]),
        "nothing": objects(None, None),
    }
)


def round_trip(project: Project, target: str | None = None) -> None:
    """Load a frame by its inferred spec, twice; the live table must then give the same spec."""
    dialect = project.renderer(target).dialect
    day = [{"expr": "Day", "grain": "day"}]
    asked: dict[str, Any] = {
        "dialect": dialect,
        "schema": "s",
        "name": "t",
        "partition_by": day,
    }
    first, frame = infer_spec(EVERYTHING, "absent", **asked)
    assert diagnose(declared(first)) == (first, [])
    assert project.load(first, frame, "auto", target=target).rows_loaded == 2
    live = project.live("s", "t", target=target)
    assert isinstance(live, LiveTable)
    again, frame = infer_spec(EVERYTHING.assign(I=objects(None, None)), live, **asked)
    assert again == first
    assert infer_live(live, **asked) == first
    assert project.load(again, frame, "auto", target=target).rows_loaded == 2
    found: Any = project.read(again, as_="arrow", target=target)
    assert sorted(row["text"] or "" for row in found.to_pylist()) == ["", "x" * 300]


def to_python(values: Any) -> list[Any]:
    """The values of a chunk's column."""
    return values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else list(values)


def test_a_table_of_text_gets_what_pandas_would_write_as_csv() -> None:
    """Where all columns are VARCHAR, as a hand-written manager makes them, values become text."""
    frame = pd.DataFrame(
        {
            "i": [1, -2, 3],
            "missing": [1.0, None, 3],
            "f": [19.9, 1e20, 1e-07],
            "f32": np.array([0.1, 2.5, 1e10], "float32"),
            "b": objects(True, None, False),
            "day": pd.to_datetime(["2026-01-01"] * 3),
            "at": pd.to_datetime(["2026-01-01 10:00:00"] * 3),
            "ns": pd.to_datetime(["2026-01-01 10:00:00.123456789"] * 3),
            "tz": pd.to_datetime(["2026-01-01 10:00"] * 3).tz_localize("Europe/Berlin"),
            "date": objects(*[date(2026, 1, 1)] * 3),
            "decimal": objects(Decimal("1.10"), None, Decimal(2)),
            "Int": pd.array([1, None, 3], "Int64"),
            "uuid": objects(*[UUID(int=1)] * 3),
            "kind": pd.Categorical([1, 2, 1]),
            "mixed": objects(float("nan"), "007", 1),
        }
    )
    live = LiveTable(tuple(LiveColumn(str(name), "VARCHAR", nullable=True) for name in frame))
    spec, opened = infer_spec(frame, live, dialect=DUCKDB, schema="s", name="t")
    assert {column.data_type.name for column in spec.columns} == {"varchar"}
    (chunk,) = opened.chunks
    found = {name: to_python(values) for name, values in chunk.columns.items()}
    csv = io.StringIO(frame.to_csv(index=False))
    wanted = pd.read_csv(csv, dtype=str, keep_default_na=False).to_dict("list")
    assert found == {name: [one or None for one in texts] for name, texts in wanted.items()}


def test_a_table_of_other_types_still_refuses_numbers_for_text(make_project: MakeProject) -> None:
    """A code that was read as a number is refused where the table has types of its own."""
    kinds = {"n": "INTEGER", "code": "VARCHAR"}
    live = LiveTable(tuple(LiveColumn(name, kind, nullable=True) for name, kind in kinds.items()))
    frame = pd.DataFrame({"n": [1], "code": [7]})
    spec, opened = infer_spec(frame, live, dialect=DUCKDB, schema="s", name="t")
    with pytest.raises(FrameError, match="lost its leading zeros"):
        make_project({}).load(spec, opened)


def test_an_inferred_table_is_made_filled_and_inferred_again(make_project: MakeProject) -> None:
    """On DuckDB the live table of an inferred spec suggests that same spec."""
    round_trip(make_project({}))


def test_an_inferred_table_is_made_on_redshift_too(
    stand_in: RedshiftStandIn, tmp_path: Path
) -> None:
    """The same on Redshift, which is stricter."""
    round_trip(Project(root=tmp_path, targets={"prod": redshift_target(stand_in)}))


# ---------------------------------------------------------------- files


def draft(tmp_path: Path, content: str | bytes, name: str = "t.csv", **options: Any) -> TableSpec:
    """The spec that a file suggests."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return infer_files([str(path)], schema="s", name="t", **options).spec


def column(*values: str) -> str:
    """A CSV file of one column and another."""
    return "a,other\n" + "".join(f"{value},x\n" for value in values)


WORDS: list[tuple[list[str], str, tuple[str, ...]]] = [
    (["1", "-2", ""], "smallint", ()),
    (["0", "-0"], "smallint", ()),
    (["32767", "-32768"], "smallint", ()),
    (["32768"], "integer", ()),
    (["-32769"], "integer", ()),
    (["2147483647", "-2147483648"], "integer", ()),
    (["2147483648"], "bigint", ()),
    (["9223372036854775807"], "bigint", ()),
    (["9223372036854775808"], "decimal(38,0)", ()),
    (["9" * 38], "decimal(38,0)", ()),
    (["9" * 39], "varchar(64)", ()),
    (["007", "8"], "varchar(16)", ()),
    (["+4930123"], "varchar(16)", ()),
    (["1.50", "-3", ".5"], "decimal(18,2)", ()),
    (["00.5"], "varchar(16)", ()),
    (["12345678901234.50"], "decimal(38,2)", ()),
    (['"1,5"'], "varchar(16)", ()),
    (["0.1234567891", "1"], "double precision", ()),
    (["12345.1234567891", "1"], "double precision", ()),
    (["123456.1234567891", "1"], "decimal(38,10)", ()),
    (["1234567890123.12345678901", "1.5"], "decimal(38,11)", ()),
    (["9" * 28 + ".12345678901"], "varchar(64)", ()),
    (["." + "1" * 38], "varchar(64)", ()),
    (["1e-05", "1.5E+10", "2"], "double precision", ()),
    (["12E5", "13E5"], "varchar(16)", ()),
    (["1e3", "1012.5"], "double precision", ()),
    (["1e999.0"], "varchar(16)", ()),
    (["1.0e999"], "varchar(16)", ()),
    (["true", "FALSE", ""], "boolean", ()),
    (["yes", "no"], "varchar(16)", ()),
    (["2026-01-01", ""], "date", ()),
    (["2026-02-30"], "varchar(16)", ()),
    (["0000-00-00"], "varchar(16)", ()),
    (["31.12.2026"], "date", ()),
    (["31.02.2026"], "varchar(16)", ()),
    (["20260101"], "integer", ()),
    (["2026-01-01 10:00", "2026-01-01T10:00:00.123456"], "timestamp", ()),
    (["2026-01-01 10:00", "2026-01-01"], "timestamp", ()),
    (["2026-01-01 25:00"], "varchar(32)", ()),
    (["2026-01-01T10:00:00.123456789"], "varchar(64)", ()),
    (["2026-01-01T10:00:00Z", "2026-01-01 10:00:00+01:00"], "timestamptz", ()),
    (["2026-01-01T10:00:00Z", "2026-01-01 10:00:00"], "varchar(32)", ()),
    (["10:00"], "varchar(16)", ()),
    (["NA", "1"], "smallint", ("NA",)),
    (["null", "2026-01-01", ""], "date", ("null",)),
    (["NaN", "1.5"], "decimal(18,1)", ("NaN",)),
    (["NA", "N/A", "1"], "varchar(16)", ()),
    (["NA", "x"], "varchar(16)", ()),
    (["NA", "NA"], "varchar(16)", ()),
    (["none at all", "1"], "varchar(16)", ()),
    (['"NA"', "1"], "varchar(16)", ()),
    (['""', "1"], "smallint", ()),
    (["", ""], "varchar(256)", ()),
    ([], "varchar(256)", ()),
    (["x" * 12], "varchar(16)", ()),
    (["x" * 13], "varchar(32)", ()),
    (["é" * 60], "varchar(256)", ()),
    (["x" * 60_000], "varchar(65535)", ()),
    ([" 1"], "varchar(16)", ()),
    (["1", "\u0661"], "varchar(16)", ()),
    (['"1\n"'], "varchar(16)", ()),
]


@pytest.mark.parametrize(
    ("values", "expected", "words"), WORDS, ids=[str(w[0])[:40] for w in WORDS]
)
def test_text_is_typed_with_care(
    values: list[str], expected: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    """Only what leaves no doubt is more than text, and every draft loads the file it is of."""
    spec = draft(tmp_path, column(*values))
    assert types(spec)["a"] == expected
    assert spec.source.null_values == ("", *words)
    project = Project(root=tmp_path, targets={"local": {"type": "duckdb"}})
    from loader.data.files.open import open_files

    loaded = project.load(spec, open_files([str(tmp_path / "t.csv")], spec.source))
    assert loaded.rows_loaded == len(values)


def test_a_null_word_of_one_column_is_text_in_no_other(tmp_path: Path) -> None:
    """NA is NULL in all columns of a file, so the spec says what a load will do."""
    spec = draft(tmp_path, "a,b,c\n1,NA,NA\nNA,x,-\n2,DE,1\n")
    assert spec.source.null_values == ("", "NA")
    assert types(spec) == {"a": "smallint", "b": "varchar(16)", "c": "varchar(16)"}


def test_a_word_in_quotes_is_no_null(tmp_path: Path) -> None:
    """Only words that a load takes for NULL are declared, and columns that quote them are text."""
    spec = draft(tmp_path, 'a,b,c\n1,"NA","-"\nNA,1,1\n')
    assert spec.source.null_values == ("", "NA")
    assert types(spec) == {"a": "smallint", "b": "varchar(16)", "c": "varchar(16)"}


def test_rows_after_the_first_chunk_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that holds until the first chunk ends need not hold for the file."""
    monkeypatch.setattr("loader.data.files.encodings.BLOCK", 1 << 10)
    monkeypatch.setattr("loader.data.files.csv_quoting.BLOCK", 1 << 10)
    monkeypatch.setattr("loader.data.files.csv._HEADER", 1 << 10)
    monkeypatch.setattr("loader.data.combine_batches.FULL_ROWS", 100)
    lines = ["a,b,c,d"] + ["1,1,2026-01-01,1"] * 500 + ["1.5,x,2026-01-01 10:00,NA"]
    spec = draft(tmp_path, "\n".join(lines))
    assert types(spec) == {
        "a": "decimal(18,1)",
        "b": "varchar(16)",
        "c": "timestamp",
        "d": "smallint",
    }
    monkeypatch.setattr(from_files, "SAMPLE_ROWS", 10)
    found = infer_files([str(tmp_path / "t.csv")], schema="s", name="t")
    assert not found.complete
    assert types(found.spec)["b"] == "integer"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_delimiter_is_found_and_declared(delimiter: str, tmp_path: Path) -> None:
    """A file separated by something else needs no spec to be read for one."""
    spec = draft(tmp_path, f"a{delimiter}b\n1{delimiter}x\n")
    assert spec.source.delimiter == delimiter
    assert types(spec) == {"a": "smallint", "b": "varchar(16)"}


def test_what_is_odd_in_a_file_is_found_and_declared(tmp_path: Path) -> None:
    """Escapes, Excel's line, a byte order mark and quoted empty fields need no spec either."""
    escaped = draft(tmp_path, 'a,b\n1,"say \\"hi\\""\n')
    assert (escaped.source.escape, types(escaped)["a"]) == ("\\", "smallint")
    assert types(draft(tmp_path, "sep=;\na;b\n1;x\n")) == {"a": "smallint", "b": "varchar(16)"}
    assert types(draft(tmp_path, "a,b\n1,x\n".encode("utf-16"))) == types(escaped)
    quoted = draft(tmp_path, 'a,b\n"1",""\n"","x"\n')
    assert types(quoted) == {"a": "smallint", "b": "varchar(16)"}
    stamps = draft(tmp_path, "at,b\n2024-01-01 12:00:00.1234560,x\n")
    assert types(stamps)["at"] == "timestamp"


def test_an_encoding_can_be_told(tmp_path: Path) -> None:
    """A file that is not UTF-8 is read when its encoding is given, and the spec says it."""
    content = "a,b\né,1\n".encode("latin-1")
    assert draft(tmp_path, content, encoding="latin-1").source.encoding == "latin-1"
    with pytest.raises(SourceError, match="the text is not utf-8"):
        draft(tmp_path, content)
    with pytest.raises(SourceError, match="`nope` is not a text encoding"):
        draft(tmp_path, content, encoding="nope")


def test_json_lines_have_types_and_times_as_text(tmp_path: Path) -> None:
    """JSON tells numbers from text, so only times are looked for in its strings."""
    rows = [
        {"i": 1, "d": 1.25, "f": 0.12345678901, "s": "12", "t": "2026-01-01", "o": {"a": 1}},
        {"i": 2**40, "d": 2, "f": 1, "s": "x", "t": "2026-01-01T10:00", "o": [1], "b": True},
        {"n": None},
    ]
    spec = draft(tmp_path, "\n".join(map(json.dumps, rows)), "t.jsonl")
    assert types(spec) == {
        "i": "bigint",
        "d": "decimal(18,2)",
        "f": "double precision",
        "s": "varchar(16)",
        "t": "timestamp",
        "o": "super",
        "b": "boolean",
        "n": "varchar(256)",
    }
    assert spec.staging.format == "json"
    with pytest.raises(FrameError, match="`a` holds whole numbers and text"):
        draft(tmp_path, '{"a": 1}\n{"a": "x"}\n', "u.jsonl")


def test_typed_files_keep_their_types(tmp_path: Path) -> None:
    """Parquet says what its columns are; only widths are looked for."""
    sink = io.BytesIO()
    table = pa.table({"A": pa.array([1], pa.int16()), "s": ["x" * 100], "b": [b"y" * 20]})
    pq.write_table(table, sink)
    spec = draft(tmp_path, sink.getvalue(), "t.parquet")
    assert types(spec) == {"a": "smallint", "s": "varchar(128)", "b": "varbyte(32)"}


def test_files_of_other_types_meet_in_the_wider_one(tmp_path: Path) -> None:
    """Several files make one table, and what cannot be brought together is named."""
    for name, kind in (("1", pa.int16()), ("2", pa.int64()), ("3", pa.string())):
        pq.write_table(pa.table({"a": pa.array([1]).cast(kind)}), tmp_path / f"{name}.parquet")
    found = infer_files([str(tmp_path / "[12].parquet")], schema="s", name="t").spec
    assert types(found) == {"a": "bigint"}
    with pytest.raises(FrameError, match="`a` holds whole numbers and text"):
        infer_files([str(tmp_path / "*.parquet")], schema="s", name="t")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("data/flights-2013-01.csv.gz", "flights_2013_01"),
        ("data/Flights *.csv", "flights"),
        ("data/*.parquet", "data"),
        ("s3://acme/raw/Orders.jsonl.zst", "orders"),
        ("my.orders.csv", "my_orders"),
        ("orders", "orders"),
        ("*.csv", None),
        ("-", None),
    ],
)
def test_a_table_is_named_after_its_file(pattern: str, name: str | None) -> None:
    """The name is the file's, without its folder, format and whatever is no word."""
    assert table_name(pattern) == name


# ---------------------------------------------------------------- guesses

KINDS = [
    NOTHING,
    Guess("whole", whole=3, bits=8),
    Guess("number", whole=2, scale=2),
    Guess("double precision"),
    Guess("date"),
    Guess("timestamp"),
    Guess("timestamptz"),
    Guess("boolean"),
    Guess("null", words=frozenset({"NA"})),
    Guess("whole", whole=1, bits=1, words=frozenset({"NA"})),
    Guess("whole", whole=1, bits=1, words=frozenset({"-"})),
    Guess("varchar"),
]


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), st.randoms())
def test_guesses_do_not_depend_on_the_order_of_chunks(guesses: list[Guess], dice: Any) -> None:
    """Text merges to one answer, in whatever order it comes."""

    def all_of(some: list[Guess]) -> Guess:
        found = NOTHING
        for one in some:
            is_text = one if one == NOTHING else Guess(**{**vars(one), "size": 1, "is_text": True})
            found = merge_guesses(found, is_text)
        return found

    shuffled = list(guesses)
    dice.shuffle(shuffled)
    found = all_of(guesses)
    assert found == all_of(shuffled)
    assert found.kind != "varchar" or not found.words


def test_what_is_no_text_has_no_way_out() -> None:
    """Two kinds of typed values are refused, and of text they are text."""
    with pytest.raises(NoTypeError, match="holds booleans and dates"):
        merge_guesses(Guess("boolean"), Guess("date"))


# ---------------------------------------------------------------- YAML


def read_back(text: str, folder: Path) -> TableSpec:
    """The spec of a file with this text."""
    path = folder / "t.yml"
    path.write_text(text, encoding="utf-8")
    entry = read_entry(path, folder)
    assert entry.spec is not None, entry.problems
    return entry.spec


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
WORD = st.one_of(
    TEXT,
    st.sampled_from(
        [
            "no",
            "null",
            "~",
            "1",
            "1.5",
            "2026-01-01",
            "12:30:45",
            "a: b",
            "- a",
            "x #y",
            "",
            "'",
            "\\",
        ]
    ),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=5,
)
NAME = TEXT.map(str.lower).filter(lambda name: name == name.lower() and "\0" not in name)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Documents that declare nearly everything that can be declared."""
    names = draw(st.lists(NAME, min_size=2, max_size=4, unique=True))
    columns: list[dict[str, Any]] = [
        {
            "name": name,
            "data_type": draw(st.sampled_from(["integer", "decimal(12,2)", "varchar(8)", "date"])),
            **draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "nullable": st.booleans(),
                        "description": WORD,
                        "classification": WORD,
                        "encode": st.sampled_from(["raw", "az64"]),
                        "default": st.sampled_from(["1", "null", "getdate()", "'x: y'"]),
                    },
                )
            ),
        }
        for name in names
    ]
    columns.append({"name": "the_id", "data_type": "bigint", "identity": [0, 1]})
    constants = ["", "x: y", "2026-01-01", "true", "5"]
    columns += [
        {"name": "the_file", "data_type": "varchar(9)", "from": "file"},
        {"name": "a_column", "data_type": "varchar(9)", "from": {"column": "load_id"}},
        {"name": "a_day", "data_type": "date", "from": {"constant": date(2026, 1, 31)}},
        {"name": "a_number", "data_type": "decimal(9,2)", "from": {"constant": 1.5}},
        {"name": "a_flag", "data_type": "boolean", "from": {"constant": False}},
        {
            "name": "a_text",
            "data_type": "varchar(10)",
            "from": {"constant": draw(st.sampled_from(constants))},
        },
    ]
    limit = st.integers(-5, 5) | st.floats(-1e6, 1e6)
    return {
        "schema": draw(NAME),
        "name": draw(NAME),
        "columns": columns,
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "version": st.just(1),
                    "asset_key": st.sampled_from(["a/b", "x", "a b/c"]),
                    "description": WORD,
                    "owners": st.just(["team:data", "a@b.c"]),
                    "tags": st.just({"a/b": "x", "c": ""}),
                    "meta": st.dictionaries(WORD, PLAIN, max_size=3),
                    "primary_key": st.sampled_from([names[:1], names[:2]]),
                    "dist": st.sampled_from(["even", "all", names[0]]),
                    "sort": st.just(names[:1]),
                    "sort_type": st.sampled_from(["compound", "interleaved"]),
                    "partition_by": st.just([{"expr": "lower('x, y')", "data_type": "date"}]),
                    "write_disposition": st.sampled_from(["replace", "append", "merge"]),
                    "merge": st.just({"on_duplicate": "last", "order_by": names[:1]}),
                    "on_empty": st.sampled_from(["keep", "clear", "fail"]),
                    "schema_contract": st.sampled_from(
                        [{"bad_rows": "reject", "max_rejects": "1%"}, {"evolve": "additive"}]
                    ),
                    "staging": st.sampled_from(
                        [
                            {"format": "csv"},
                            {"format": "json", "compression": "zstd"},
                            {"file_size": "1.5KB", "keep": "never"},
                            {"file_size": "1GB", "compression": "none"},
                            {"format": "csv", "compression": "gzip", "file_size": 7},
                        ]
                    ),
                    "source": st.fixed_dictionaries(
                        {},
                        optional={
                            "null_values": st.lists(WORD, max_size=3),
                            "delimiter": st.sampled_from([";", "\t", "|"]),
                            "columns": st.dictionaries(st.just(names[0]), TEXT, max_size=1),
                            "date_format": st.just("%d.%m.%Y"),
                        },
                    ),
                    "checks": st.lists(
                        st.fixed_dictionaries(
                            {"metric": st.just("row_count"), "must_be_greater_than": limit},
                            optional={"name": WORD, "severity": st.just("warning")},
                        ),
                        max_size=2,
                    ),
                    "grants": st.just({"select": ["role:analyst", "public"]}),
                    "templates": st.just({"copy_parquet": "mine.sql.j2"}),
                    "dagster": st.sampled_from(
                        [
                            {"group": "g", "automation": "eager", "kinds": ["table"]},
                            {"automation": {"on_cron": "0 * * * *"}, "freshness": {"fail": "24h"}},
                        ]
                    ),
                },
            )
        ),
    }


@settings(max_examples=200)
@given(data=specs())
def test_a_spec_survives_its_own_yaml(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a spec declares, the text reads back as that spec."""
    spec, _ = diagnose(data)
    if spec is None:  # parts that do not go together
        return
    text = to_yaml(spec)
    assert read_back(text, tmp_path_factory.mktemp("yaml")) == spec
    assert diagnose(json.loads(json.dumps(declared(spec), default=str)))[0] == spec


@pytest.mark.parametrize("path", sorted(ROOT.glob("specs/**/*.yml")), ids=lambda path: path.stem)
def test_the_example_specs_survive_their_yaml(path: Path, tmp_path: Path) -> None:
    """The specs of this repository read back as they are."""
    spec = read_entry(path, ROOT).spec
    assert spec is not None
    assert read_back(to_yaml(spec), tmp_path) == spec


def test_yaml_looks_like_a_reviewed_file() -> None:
    """Keys are in order, defaults and what is implied are left out, a column has one line."""
    data = {
        "name": "t",
        "schema": "s",
        "asset_key": "s/t",
        "staging": {"format": "csv", "compression": "gzip", "keep": "failed"},
        "columns": [
            {"data_type": "NUMERIC(12, 2)", "name": "no", "nullable": True},
            {"name": "id", "data_type": "bigint", "nullable": False},
            {"name": "at", "data_type": "date", "nullable": False, "description": "one\ntwo"},
        ],
        "primary_key": ["id"],
        "partition_by": [{"expr": "at", "grain": "day", "timezone": "UTC"}],
    }
    spec, problems = diagnose(data)
    assert spec is not None, problems
    assert to_yaml(spec) == (
        "version: 1\n"
        "schema: s\n"
        "name: t\n"
        "columns:\n"
        '  - {name: "no", data_type: "decimal(12,2)"}\n'
        "  - {name: id, data_type: bigint}\n"
        '  - {name: at, data_type: date, nullable: false, description: "one\\ntwo"}\n'
        "primary_key: [id]\n"
        "partition_by:\n"
        "  - {expr: at, grain: day}\n"
        "staging: {format: csv}\n"
    )


# ---------------------------------------------------------------- the command


def run(*arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    """`loader infer`: its exit code, standard output and standard error."""
    done = CliRunner().invoke(main, ["infer", *arguments], input=stdin, prog_name="loader")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


FLIGHTS = ROOT / "specs" / "nyc" / "data" / "flights-2013-01.csv.gz"


def test_what_infer_prints_loads_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`loader infer FILE > spec.yml; loader load … FILE` works on real data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loader.toml").write_text("[targets.local]\ntype = 'duckdb'\n")
    (tmp_path / "specs").mkdir()
    code, out, err = run(str(FLIGHTS), "--name", "nyc.flights")
    assert (code, err.splitlines()[0]) == (0, "read 27,004 rows")
    (tmp_path / "specs" / "flights.yml").write_text(out)
    done = CliRunner().invoke(main, ["load", "nyc/flights", str(FLIGHTS)])
    assert "27,004 rows loaded" in done.stdout, done.stderr


def test_infer_needs_no_project_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are enough: the answer is on standard output, and all else is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Orders 2026.csv").write_text("id,amount\n1,NA\n2,1.5\n")
    code, out, err = run("Orders 2026.csv")
    assert code == 0
    assert yaml.safe_load(out)["name"] == "orders_2026"
    assert yaml.safe_load(out)["schema"] == "public"
    assert "read as NULL where it is not quoted: NA" in err
    code, out, err = run("Orders 2026.csv", "--format", "json", "-q")
    assert json.loads(out)["source"] == {"null_values": ["", "NA"]}
    assert err == ""


def test_infer_reads_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes through a pipe is kept as long as it takes to look at it twice."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("-", "--name", "shop.orders", stdin=b"a;b\n1;NA\n2;3\n")
    assert code == 0
    assert yaml.safe_load(out)["source"] == {"null_values": ["", "NA"], "delimiter": ";"}
    code, _, err = run("-", stdin=b"a,b\n")
    assert (code, "--name" in err) == (64, True)


def test_infer_reads_a_live_table(make_project: MakeProject) -> None:
    """A table of the target suggests a spec, in its order and with its NOT NULL."""
    columns = [
        {"name": "id", "data_type": "bigint", "nullable": False},
        {"name": "doc", "data_type": "super"},
    ]
    made = make_project({"t.yml": {"schema": "s", "name": "t", "columns": columns}})
    made.load(made.spec("s/t"), pa.table({"id": [1], "doc": ["[1]"]}))
    folder = ["--project", str(made.config.root)]
    code, out, err = run("--table", "s.t", *folder)
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["columns"] == columns
    code, out, _ = run("--table", "s.t", "--name", "a.b", *folder)
    assert (code, yaml.safe_load(out)["schema"]) == (0, "a")
    code, out, err = run("--table", "s.none", *folder)
    assert (code, out) == (1, "")
    assert "the target `local` has no table s.none" in err
    assert "no schema n" in run("--table", "n.t", *folder)[2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 64, "name either files, or a table"),
        (["x.csv", "--table", "s.t"], 64, "name either files, or a table"),
        (["x.csv", "--name", "a.b.c"], 64, "`a.b.c` is not a valid table name; write SCHEMA.TABLE"),
        (["--table", "s."], 64, "`s.` is not a valid table name"),
        (["x.csv"], 1, "no file matches x.csv"),
        (["empty.csv"], 1, "empty.csv is empty"),
        (["latin.csv"], 1, "give its encoding: --encoding latin-1"),
        (["bad.parquet"], 1, "bad.parquet is not Parquet"),
        (["good.csv", "--name", "S.t"], 1, "write `s`"),
        (["."], 1, "loader infer . -o specs"),
        (["good.csv", "--force"], 64, "--schema and --force are for -o"),
        (["good.csv", "-o", "specs", "--name", "s.t"], 64, "tables are named after their files"),
        (["good.csv", "-o", "t.yml"], 64, "-o names a folder"),
        (["-", "-o", "specs"], 64, "-o is for files and folders"),
    ],
)
def test_infer_says_what_is_wrong(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong usage leaves with 64, and what cannot be inferred with 1, a reason and a way out."""
    monkeypatch.chdir(tmp_path)
    for name, content in {
        "empty.csv": b"",
        "latin.csv": b"a,b\n\xe9,1\n",
        "bad.parquet": b"a,b\n",
        "good.csv": b"a,b\n1,2\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    left, out, err = run(*arguments)
    assert (left, out) == (code, "")
    assert message in err


def test_a_frame_of_text_is_typed_as_its_file() -> None:
    """An opened CSV file is a frame as well, whose text is typed with room."""
    chunk = Chunk(
        {"a": pa.array(["1", "2"]), "b": pa.array(["1.5", "x"])}, 2, "t.csv", 1, text=True
    )
    frame = Frame(("a", "b"), iter([chunk]))
    assert types(infer(frame)) == {"a": "bigint", "b": "varchar(65535)"}
