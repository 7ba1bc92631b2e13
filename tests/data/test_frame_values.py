"""One value, one result: whatever frame brings it, however many rows are beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loader.data.cast.conformer import Conformer
from loader.data.cast.match_columns import match_columns
from loader.data.frames import open_frame
from loader.errors import FrameError, SourceError
from loader.inference.infer import infer_spec
from loader.spec.model import TableSpec
from loader.warehouse.registry import get_adapter

D = Decimal


class Text(str, Enum):  # noqa: UP042  # prints as Text.OPEN, which StrEnum does not
    OPEN = "open"


class NewText(StrEnum):
    OPEN = "open"


class Number(IntEnum):
    ONE = 1


class Plain(Enum):
    OPEN = "open"
    ONE = 1
    DAY = date(2026, 1, 1)


class Access(Flag):
    READ = 1
    WRITE = 2


class IntAccess(IntFlag):
    READ = 1


class Str(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


class Int(int):
    def __int__(self) -> int:
        return -1

    def __repr__(self) -> str:
        return "not this"


class Float(float):
    def __repr__(self) -> str:
        return "not this"


class Money(Decimal):
    def __str__(self) -> str:
        return "not this"


class Bytes(bytes):
    def __bytes__(self) -> bytes:
        return b"not this"


class Day(date):
    def isoformat(self) -> str:
        return "not this"


class Moment(datetime):
    def isoformat(self, *_: Any, **__: Any) -> str:
        return "not this"


class Clock(time):
    def isoformat(self, *_: Any, **__: Any) -> str:
        return "not this"


class Span(timedelta):
    pass


class Key(UUID):
    def __str__(self) -> str:
        return "not this"


NOON = datetime(2026, 1, 1, 12)
NAMED = UUID(int=1)

VALUES: list[tuple[str, Any, object]] = [
    ("varchar(9)", Text.OPEN, "open"),
    ("varchar(9)", NewText.OPEN, "open"),
    ("varchar(9)", Plain.OPEN, "open"),
    ("char(9)", Text.OPEN, "open"),
    ("integer", Number.ONE, 1),
    ("integer", Plain.ONE, 1),
    ("integer", Access.READ | Access.WRITE, 3),
    ("integer", IntAccess.READ, 1),
    ("decimal(5,2)", Number.ONE, D("1.00")),
    ("double precision", Number.ONE, 1.0),
    ("date", Plain.DAY, date(2026, 1, 1)),
    ("varchar(9)", Str("x"), "x"),
    ("geometry", Str("x"), "x"),
    ("timetz", Str("12:00+01"), "12:00+01"),
    ("interval year to month", Str("1 year"), "1 year"),
    ("super", Str("[1]"), "[1]"),
    ("integer", Int(3), 3),
    ("real", Float(0.5), 0.5),
    ("decimal(5,2)", Float(0.1), D("0.10")),
    ("decimal(5,2)", Money("1.5"), D("1.50")),
    ("double precision", Money("1.5"), 1.5),
    ("super", Money("1.5"), "1.5"),
    ("varbyte(9)", Bytes(b"x"), b"x"),
    ("varbyte(9)", bytearray(b"x"), b"x"),
    ("date", Day(2026, 1, 1), date(2026, 1, 1)),
    ("super", Day(2026, 1, 1), '"2026-01-01"'),
    ("timestamp", Moment(2026, 1, 1, 12), NOON),
    ("super", Moment(2026, 1, 1, 12), '"2026-01-01T12:00:00"'),
    ("timestamptz", Moment(2026, 1, 1, 12, tzinfo=UTC), NOON.replace(tzinfo=UTC)),
    ("timestamp", pd.Timestamp(NOON), NOON),
    ("timestamptz", pd.Timestamp(NOON, tz="UTC"), NOON.replace(tzinfo=UTC)),
    ("time", Clock(12), time(12)),
    ("interval day to second", Span(days=1), "1 days 00:00:00.000000"),
    ("interval day to second", pd.Timedelta(days=1), "1 days 00:00:00.000000"),
    ("varchar(36)", NAMED, str(NAMED)),
    ("varchar(36)", Key(int=1), str(NAMED)),
    ("super", Key(int=1), f'"{NAMED}"'),
    ("integer", np.int64(5), 5),
    ("real", np.float32(0.1), float(np.float32(0.1))),
    ("decimal(5,2)", np.float32(0.1), D("0.10")),
    ("boolean", np.bool_(True), True),
    ("boolean", True, True),
    ("varchar(9)", np.str_("x"), "x"),
    ("varbyte(9)", np.bytes_(b"x"), b"x"),
    ("timestamp", np.datetime64("2026-01-01T12:00"), NOON),
    ("date", np.datetime64("2026-01-01"), date(2026, 1, 1)),
    ("interval day to second", np.timedelta64(1, "D"), "1 days 00:00:00.000000"),
]


def as_pandas(values: list[Any]) -> pd.DataFrame:
    frame = pd.DataFrame({"a": values})
    if frame["a"].dtype == "float64" and isinstance(values[0], np.float32):
        raise TypeError("pandas made it a wider float")
    return frame


PATHS: dict[str, Callable[[list[Any]], Any]] = {
    "pandas objects": lambda values: pd.DataFrame({"a": pd.Series(values, dtype=object)}),
    "pandas": as_pandas,
    "pandas categories": lambda values: pd.DataFrame({"a": pd.Series(pd.Categorical(values))}),
    "pandas categories of objects": lambda values: pd.DataFrame(
        {"a": pd.Series(pd.Categorical(pd.Series(values, dtype=object)))}
    ),
    "pandas index": lambda values: pd.DataFrame(index=pd.Index(values, dtype=object, name="a")),
    "arrow": lambda values: pa.table({"a": pa.array(values)}),
    "arrow dictionary": lambda values: pa.table({"a": pa.array(values).dictionary_encode()}),
    "polars": lambda values: pl.DataFrame({"a": values}),
    "polars objects": lambda values: pl.DataFrame({"a": pl.Series(values, dtype=pl.Object)}),
    "lazy polars objects": lambda values: pl.LazyFrame(
        {"b": range(len(values)), "a": pl.Series(values, dtype=pl.Object)}
    ).select("a"),
    "list of frames": lambda values: [pd.DataFrame({"a": pd.Series(values, dtype=object)})],
}
CANNOT = (pa.ArrowException, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError)
"""What libraries raise for values that they cannot hold."""


def make_spec(data_type: str, **rest: Any) -> TableSpec:
    columns = [{"name": "a", "data_type": data_type}]
    return TableSpec.model_validate({"schema": "s", "name": "t", "columns": columns, **rest})


def stored(data_type: str, frame: Any) -> list[object]:
    """What a frame with the column `a` is staged as."""
    spec, opened = make_spec(data_type), open_frame(frame)
    conformer = Conformer(spec, match_columns(spec, opened.columns))
    values = [conformer.conform(chunk).batch["a"].to_pylist() for chunk in opened.chunks]
    conformer.finish()
    return [value for part in values for value in part]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("data_type", "value", "wanted"), VALUES, ids=[f"{v!r} as {t}" for t, v, _ in VALUES]
)
def test_a_value_is_stored_alike_from_every_frame(
    path: str, data_type: str, value: Any, wanted: object
) -> None:
    """Enum members, subclasses and scalars are their values, alone, repeated and beside NULL."""
    for values in ([value], [value, None], [value] * 300):
        try:
            frame = PATHS[path](values)
        except CANNOT:
            continue  # the library cannot hold it
        assert stored(data_type, frame) == [wanted if each is not None else None for each in values]


INFERRED: list[tuple[Any, str, object]] = [
    (Text.OPEN, "varchar(65535)", "open"),
    (Plain.ONE, "bigint", 1),
    (Access.READ, "bigint", 1),
    (Str("x"), "varchar(65535)", "x"),
    (Int(3), "bigint", 3),
    (NAMED, "varchar(65535)", str(NAMED)),
    (Moment(2026, 1, 1, 12), "timestamp", NOON),
]


def infer(frame: Any) -> TableSpec:
    spec, _ = infer_spec(frame, dialect=get_adapter("duckdb").dialect, schema="s", name="t")
    return spec


@pytest.mark.parametrize(
    "path", ["pandas objects", "pandas categories", "pandas index", "polars objects"]
)
@pytest.mark.parametrize(
    ("value", "data_type", "wanted"), INFERRED, ids=[repr(value) for value, _, _ in INFERRED]
)
def test_an_inferred_table_takes_the_same_values(
    path: str, value: Any, data_type: str, wanted: object
) -> None:
    """A table that is inferred from enum members or subclasses has the types of their values."""
    frame = PATHS[path]([value])
    spec = infer(frame)
    assert [(c.name, str(c.data_type)) for c in spec.columns] == [("a", data_type)]
    assert stored(data_type, frame) == [wanted]


DOCUMENTS: list[tuple[Any, str]] = [
    ([pd.NaT], "[null]"),
    ([np.nan, 1.5], "[null,1.5]"),
    ({"a": pd.NA, "b": [None]}, '{"a":null,"b":[null]}'),
    ([np.datetime64("NaT"), np.float64("nan")], "[null,null]"),
    ([D("NaN"), D("1.50")], "[null,1.50]"),
    (np.array([1.5, np.nan]), "[1.5,null]"),
    (np.array(["2026-01-01T12:00", "NaT"], dtype="M8[ns]"), '["2026-01-01T12:00:00",null]'),
    ([Text.OPEN, Number.ONE, Plain.OPEN, Access.WRITE], '["open",1,"open",2]'),
    ({Plain.OPEN: 2}, '{"open":2}'),
    ([Str("x"), Int(3), Float(0.5), Money("1.50")], '["x",3,0.5,1.50]'),
    ([NAMED, Key(int=1)], f'["{NAMED}","{NAMED}"]'),
    ([NOON, Moment(2026, 1, 1, 12), pd.Timestamp(NOON)], str(["2026-01-01T12:00:00"] * 3)),
    ([Day(2026, 1, 1), Clock(12)], '["2026-01-01","12:00:00"]'),
    ([np.datetime64("2026-01-01T12:00"), np.int8(1)], '["2026-01-01T12:00:00",1]'),
]


@pytest.mark.parametrize(("document", "text"), DOCUMENTS, ids=[text for _, text in DOCUMENTS])
def test_values_in_documents_have_one_form(document: Any, text: str) -> None:
    """In a pandas frame a missing value in a document is null; others are what they are outside."""
    frame = pd.DataFrame({"a": pd.Series([document, None], dtype=object)})
    assert stored("super", frame) == [text.replace("', '", '","').replace("'", '"'), None]


NOT_IN_DOCUMENTS: list[tuple[Any, str]] = [
    ([b"x"], "contains a bytes, .* Base64"),
    ([timedelta(1)], "contains a timedelta, .* seconds"),
    ([pd.Timedelta(1, "s")], "contains a timedelta, .* seconds"),
    ([np.timedelta64(1, "s")], "contains a timedelta, .* seconds"),
    ([pd.Timestamp(1, unit="ns")], "finer than a microsecond"),
    ([np.datetime64(1, "ns")], "finer than a microsecond"),
    ([math.inf], "contains inf, which JSON cannot"),
    ([D("Infinity")], "contains Infinity"),
    ([D("sNaN")], "contains sNaN"),
    ([{1, 2}], "contains a set"),
    ([1j], "contains a complex"),
    ({1: 2}, "has the key 1; keys of a JSON object must be"),
    (np.zeros(1, dtype=[("x", "i4")]), "contains a ndarray"),
]


@pytest.mark.parametrize(
    ("document", "message"), NOT_IN_DOCUMENTS, ids=[text for _, text in NOT_IN_DOCUMENTS]
)
def test_what_has_no_form_in_json_is_refused(document: Any, message: str) -> None:
    """Binary, durations and what is not finite are refused in documents, with what they are."""
    frame = pd.DataFrame({"a": pd.Series([document], dtype=object)})
    with pytest.raises(FrameError, match=message):
        stored("super", frame)


@pytest.mark.parametrize(
    "frame",
    [pa.table({"a": [[math.nan]]}), pl.DataFrame({"a": [[math.nan]]})],
    ids=["arrow", "polars"],
)
def test_a_nan_in_a_document_of_arrow_is_refused(frame: Any) -> None:
    """NaN is a value for everyone but pandas, and JSON has no number for it."""
    with pytest.raises(FrameError, match="contains nan, which JSON cannot"):
        stored("super", frame)


def test_missing_values_among_polars_objects_are_null() -> None:
    """NaT and NA in a column of Polars objects are NULL, alone and in documents."""
    values = [pd.NaT, pd.NA, None, [pd.NaT, pd.NA]]
    assert stored("super", PATHS["polars objects"](values)) == [None, None, None, "[null,null]"]


def test_time_stamps_among_categories_of_dates_keep_their_time() -> None:
    """Categories of several types are values of their own, not of the type of the first one."""
    series = pd.Series(
        pd.Categorical([date(2026, 1, 1), NOON], categories=[date(2026, 1, 1), NOON])
    )
    assert stored("timestamp", pd.DataFrame({"a": series})) == [datetime(2026, 1, 1), NOON]


def test_sparse_floats_are_the_decimals_they_print_as() -> None:
    """A sparse column of pandas holds what the dense one holds."""
    dense = pd.Series([0.1, np.nan], dtype="float32")
    for series in (dense, dense.astype(pd.SparseDtype("float32"))):
        assert stored("decimal(5,2)", pd.DataFrame({"a": series})) == [D("0.10"), None]


def test_polars_objects_keep_their_place_among_other_columns() -> None:
    """Chunks of a Polars frame have its objects beside the other columns of the same rows."""
    size = 70_000
    frame = pl.DataFrame(
        {
            "n": range(size),
            "a": pl.Series([UUID(int=at) for at in range(size)], dtype=pl.Object),
            "m": pl.Series([2**100] * size, dtype=pl.Int128),
        }
    )
    for each in (frame, frame.lazy(), [frame[:5], frame[5:]]):
        seen = 0
        for chunk in open_frame(each).chunks:
            assert list(chunk.columns) == ["n", "a", "m"]
            assert chunk.first_row == seen + 1
            ids = [UUID(int=n) for n in chunk.columns["n"].to_pylist()]
            assert chunk.columns["a"] == ids
            assert chunk.columns["m"] == [2**100] * chunk.rows
            seen += chunk.rows
        assert seen == size


def test_an_empty_column_of_polars_objects_has_no_type() -> None:
    """Memory addresses do not make a column binary in an inferred table either."""
    with pytest.raises(FrameError, match="has no type"):
        infer(pl.DataFrame({"a": pl.Series([], dtype=pl.Object)}))


POLARS: list[tuple[str, Any, object]] = [
    ("varchar(9)", pl.Series(["x"], dtype=pl.Enum(["x"])), "x"),
    ("varchar(9)", pl.Series(["x"], dtype=pl.Categorical), "x"),
    ("decimal(5,2)", pl.Series([D("1.5")]), D("1.50")),
    ("decimal(38,0)", pl.Series([2**100], dtype=pl.Int128), D(2**100)),
    ("interval day to second", pl.Series([timedelta(1)]), "1 days 00:00:00.000000"),
    ("time", pl.Series([time(12)]), time(12)),
    ("super", pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), "[1,2]"),
    ("super", pl.Series([{"t": time(12), "c": D("1.5")}]), '{"t":"12:00:00","c":1.5}'),
    ("super", pl.Series([["x"]], dtype=pl.List(pl.Enum(["x"]))), '["x"]'),
]


@pytest.mark.parametrize(
    ("data_type", "series", "value"), POLARS, ids=[str(series.dtype) for _, series, _ in POLARS]
)
def test_every_type_of_polars_is_its_value(data_type: str, series: Any, value: object) -> None:
    """No type of Polars is stored as what it is made of."""
    assert stored(data_type, pl.DataFrame({"a": series})) == [value]


class Celsius(pa.ExtensionType):
    """Somebody's own type, of tenths of a degree."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "tests.celsius")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Celsius:
        return cls()


def extension(arrow: Any, storage: Any) -> Any:
    return pa.ExtensionArray.from_storage(arrow, storage)


UUIDS = extension(pa.uuid(), pa.array([NAMED.bytes], pa.binary(16)))
CELSIUS = extension(Celsius(), pa.array([215]))
TENSORS = pa.fixed_shape_tensor(pa.int64(), [2, 2])

KNOWN: list[tuple[str, Any, object]] = [
    ("varchar(36)", UUIDS, str(NAMED)),
    ("varchar(36)", pa.DictionaryArray.from_arrays(pa.array([0]), UUIDS), str(NAMED)),
    ("varchar(36)", pa.RunEndEncodedArray.from_arrays([1], UUIDS), str(NAMED)),
    ("super", pa.ListArray.from_arrays([0, 1], UUIDS), f'["{NAMED}"]'),
    ("super", extension(pa.json_(), pa.array(['{"a":1}'])), '{"a":1}'),
    (
        "super",
        pa.ListArray.from_arrays([0, 1], extension(pa.bool8(), pa.array([1], pa.int8()))),
        "[true]",
    ),
]


@pytest.mark.parametrize(
    ("data_type", "array", "value"), KNOWN, ids=[f"{t} from {a.type}" for t, a, _ in KNOWN]
)
def test_known_extension_types_are_their_values(data_type: str, array: Any, value: object) -> None:
    """UUIDs, JSON and booleans of a byte are what they mean, however they are wrapped."""
    assert stored(data_type, pa.table({"a": array})) == [value]


UNKNOWN: list[tuple[str, Any]] = [
    ("tests.celsius", CELSIUS),
    ("tests.celsius", pa.DictionaryArray.from_arrays(pa.array([0]), CELSIUS)),
    ("tests.celsius", pa.RunEndEncodedArray.from_arrays([1], CELSIUS)),
    ("tests.celsius", pa.ListArray.from_arrays([0, 1], CELSIUS)),
    ("celsius", extension(pa.opaque(pa.int64(), "celsius", "x"), pa.array([215]))),
    ("arrow.json", pa.ListArray.from_arrays([0, 1], extension(pa.json_(), pa.array(["{}"])))),
    ("fixed_shape_tensor", extension(TENSORS, pa.array([[1, 2, 3, 4]], pa.list_(pa.int64(), 4)))),
    ("pandas.period", pd.Series(pd.period_range("2026-01", periods=1))),
    ("pandas.period", pd.Series(pd.Categorical(pd.period_range("2026-01", periods=1)))),
    ("pandas.interval", pd.Series(pd.interval_range(0, 1))),
    ("pandas.interval", pd.cut(pd.Series([1]), [0, 1])),
]


@pytest.mark.parametrize("data_type", ["bigint", "varchar(99)", "super"])
@pytest.mark.parametrize(
    ("name", "values"),
    UNKNOWN,
    ids=[f"{getattr(v, 'type', v.dtype if hasattr(v, 'dtype') else '')}" for _, v in UNKNOWN],
)
def test_unknown_extension_types_are_refused_by_name(
    name: str, values: Any, data_type: str
) -> None:
    """The storage of an extension type is not its value, wherever it is nested."""
    frame = (
        pd.DataFrame({"a": values}) if isinstance(values, pd.Series) else pa.table({"a": values})
    )
    with pytest.raises(FrameError, match=name):
        stored(data_type, frame)


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_unregistered_extension_types_are_refused_by_name(nested: bool) -> None:
    """PyArrow gives the storage of a type that nobody registered, which is not its value."""
    metadata = {"ARROW:extension:name": "tests.fahrenheit", "ARROW:extension:metadata": ""}
    field = pa.field("a", pa.int64(), metadata=metadata)
    table = pa.table([pa.array([700])], pa.schema([field]))
    if nested:
        array = pa.StructArray.from_arrays([pa.array([700])], fields=[field])
        table = pa.table([array], pa.schema([pa.field("a", array.type)]))
    for frame in (table, table.to_reader(), [table]):
        with pytest.raises(FrameError, match=r"tests\.fahrenheit"):
            stored("super" if nested else "bigint", frame)


def test_times_in_documents_are_not_cut_to_microseconds() -> None:
    """A time of nanoseconds inside a list or struct is exact or refused, as outside."""
    for kind in (pa.time64("ns"), pa.timestamp("ns")):
        whole = pa.array([[1000]], pa.list_(kind))
        (text,) = stored("super", pa.table({"a": whole}))
        assert isinstance(text, str)
        assert ".000001" in text
        for inner in (pa.list_(kind), pa.large_list(kind), pa.list_(kind, 1), pa.list_view(kind)):
            with pytest.raises(FrameError, match="finer than a microsecond"):
                stored("super", pa.table({"a": pa.array([[1001]], inner)}))
        inner = pa.struct([("t", pa.list_(kind))])
        with pytest.raises(FrameError, match=r"row 2: .* finer than a microsecond"):
            stored("super", pa.table({"a": pa.array([{"t": [1000]}, {"t": [1001]}], inner)}))


DUCKDB: list[tuple[str, str]] = [
    ("uhugeint", "340282366920938463463374607431768211455::uhugeint"),
    ("uhugeint", "[1::uhugeint]"),
    ("bit", "'101'::bit"),
    ("bit", "{'x': '101'::bit}"),
    ("time with time zone", "'12:00:00+02'::timetz"),
    ("time with time zone", "map {'x': '12:00:00+02'::timetz}"),
    ("bignum", "1::bignum"),
]


@pytest.mark.parametrize("data_type", ["decimal(38,0)", "time", "varbyte(9)", "super"])
@pytest.mark.parametrize(("name", "expression"), DUCKDB, ids=[text for _, text in DUCKDB])
def test_what_duckdb_hands_over_as_something_else_is_refused(
    name: str, expression: str, data_type: str
) -> None:
    """Types of DuckDB that Arrow has none for are refused by name, with what to do."""
    with (
        duckdb.connect() as connection,
        pytest.raises(FrameError, match=f"{name}.* convert it to text"),
    ):
        stored(data_type, connection.sql(f"SELECT {expression} AS a"))


def test_other_relations_of_duckdb_are_what_they_hold() -> None:
    """Enums, UUIDs, 128-bit numbers and nested values are as in the database."""
    with duckdb.connect() as connection:
        relation = connection.sql(
            f"SELECT 'bit'::enum('bit') AS a, uuid '{NAMED}' AS u, (2::hugeint ** 99)::hugeint AS h"
        )
        assert stored("varchar(9)", relation.select("a")) == ["bit"]
        assert stored("varchar(36)", relation.select("u AS a")) == [str(NAMED)]
        assert stored("decimal(38,0)", relation.select("h AS a")) == [D(2**99)]


# The index of a pandas frame.

DAYS = pd.DatetimeIndex(["2026-01-01", "2026-01-02"], name="day")
PAIRS = pd.MultiIndex.from_tuples([(2**60 + 1, "x"), (None, "y")], names=["id", "word"])


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        (pd.DataFrame({"id": [7, 8], "n": [1, 2]}).set_index("id"), {"id": [7, 8], "n": [1, 2]}),
        (pd.DataFrame({"n": [1, 2]}, DAYS), {"day": list(DAYS), "n": [1, 2]}),
        (pd.DataFrame(index=DAYS), {"day": list(DAYS)}),
        (
            pd.DataFrame({"n": [1, 2]}, PAIRS),
            {"id": [2**60 + 1, None], "word": ["x", "y"], "n": [1, 2]},
        ),
        (pd.DataFrame({"n": [1, 2]}, pd.RangeIndex(2, name="at")), {"at": [0, 1], "n": [1, 2]}),
        (
            pd.DataFrame({"n": [1]}, pd.MultiIndex.from_tuples([("x", 5)], names=["word", None])),
            {"word": ["x"], "n": [1]},
        ),
        (pd.DataFrame({"n": [1, 2]}), {"n": [1, 2]}),
        (pd.DataFrame({"n": [1, 2]}, [5, 9]), {"n": [1, 2]}),
        (pd.DataFrame({"n": []}, pd.Index([], dtype=object)), {"n": []}),
    ],
)
def test_an_index_with_a_name_is_a_column(frame: Any, columns: dict[str, list[Any]]) -> None:
    """Named levels come before the columns; whole numbers without a name number the rows."""
    opened = open_frame(frame)
    assert opened.columns == tuple(columns)
    found: dict[str, list[Any]] = {name: [] for name in columns}
    for chunk in opened.chunks:
        for name, values in chunk.columns.items():
            found[name] += values if isinstance(values, list) else values.to_pylist()
    assert found == columns


@pytest.mark.parametrize(
    ("frame", "message", "hint"),
    [
        (pd.DataFrame({"n": [1]}, ["x"]), "an unnamed index of", "rename_axis"),
        (pd.DataFrame({"n": [1]}, DAYS[:1].rename(None)), "index of datetime64", "reset_index"),
        (pd.DataFrame({"n": [1]}, [0.5]), "index of float64", "reset_index"),
        (
            pd.DataFrame({"n": [1]}, pd.MultiIndex.from_tuples([("x", 5)], names=[None, "b"])),
            "unnamed index",
            "rename_axis",
        ),
        (
            pd.DataFrame({"n": [1]}, pd.Index([1], name="n")),
            "index and a column of the same name: `n`",
            r"reset_index\(drop=True\)",
        ),
        (pd.DataFrame({"n": [1]}, pd.Index([1], name=5)), "not text: 5", "rename the columns"),
    ],
)
def test_an_index_that_is_not_clear_is_refused(frame: Any, message: str, hint: str) -> None:
    """Labels without a name and names that stand twice are not left out in silence."""
    with pytest.raises(SourceError, match=message) as caught:
        open_frame(frame)
    assert caught.value.hint
    assert re.search(hint, caught.value.hint)


def test_an_index_is_a_column_of_an_inferred_table() -> None:
    """What is inferred from a frame has a column for its index, whose name may be a key."""
    frame = pd.DataFrame({"id": [7], "n": [1]}).set_index("id")
    assert [column.name for column in infer(frame).columns] == ["id", "n"]


def test_rows_past_the_first_chunk_keep_their_index() -> None:
    """A long frame has each row's own index value."""
    size = 70_000
    frame = pd.DataFrame({"n": range(size)}, pd.Index(range(1, size + 1), name="id"))
    for chunk in open_frame(frame).chunks:
        ids = pa.compute.subtract(chunk.columns["id"], 1)
        assert ids.equals(chunk.columns["n"])
