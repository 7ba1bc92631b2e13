"""What a column takes and what it refuses, whatever the frame it comes in."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.data.cast.arrow_types import arrow_type, python_values, unwrap_array
from loader.data.cast.column import BLOCK, ColumnCast
from loader.data.cast.conformer import Conformed, Conformer
from loader.data.cast.errors import CastError, CastOptions
from loader.data.cast.exact import make_caster
from loader.data.cast.layout import arrow_schema
from loader.data.cast.match_columns import match_columns
from loader.data.chunk import Chunk
from loader.data.frames import open_frame
from loader.errors import FrameError, LoaderError, PlanError
from loader.spec.model import Source, TableSpec
from loader.spec.partitions import make_slice
from loader.sql.datatypes import parse


def make_spec(columns: dict[str, Any], **rest: Any) -> TableSpec:
    """A spec from column name → type, or → the column's fields."""
    listed = [
        {"name": name, **(entry if isinstance(entry, dict) else {"data_type": entry})}
        for name, entry in columns.items()
    ]
    return TableSpec.model_validate({"schema": "nyc", "name": "flights", "columns": listed, **rest})


def conformer(spec: TableSpec, frame: Any, partition: Any = None, **options: Any) -> Conformer:
    """A conformer that has seen a whole frame."""
    found, _ = conformed(spec, frame, partition, **options)
    return found


def conformed(
    spec: TableSpec, frame: Any, partition: Any = None, **options: Any
) -> tuple[Conformer, list[Conformed]]:
    """A conformer that has seen a whole frame, and what it made of it."""
    opened = open_frame(frame)
    region = make_slice(spec.dimensions, partition) if partition is not None else None
    found = Conformer(spec, match_columns(spec, opened.columns), region, **options)
    return found, [found.conform(chunk) for chunk in opened.chunks]


def refusal(spec: TableSpec, frame: Any, partition: Any = None, **options: Any) -> str:
    """The message a frame is refused with."""
    with pytest.raises(FrameError) as caught:
        conformer(spec, frame, partition, **options).finish()
    return caught.value.message


def cast(data_type: str, values: Any, **reading: Any) -> tuple[list[object], list[int]]:
    """The stored values of one column, and the rows refused."""
    found = ColumnCast(values, parse(data_type), CastOptions(**reading))
    assert found.values.type == arrow_type(parse(data_type))
    found.values.validate(full=True)
    return found.values.to_pylist(), found.bad_rows


TZ = timezone(timedelta(hours=2))
STAMP = datetime(2013, 1, 1, 5, 30, 0, 250)
D = Decimal

FITS: Sequence[tuple[str, Any, object]] = [
    ("smallint", 12, 12),
    ("smallint", 12.0, 12),
    ("smallint", D("12.00"), 12),
    ("smallint", "+12", 12),
    ("smallint", "-32768", -32768),
    ("smallint", np.int8(5), 5),
    ("bigint", 2.0**60, 2**60),
    ("bigint", "0000000000000000000000000000000012", 12),
    ("decimal(5,2)", D("1.5"), D("1.50")),
    ("decimal(5,2)", 7, D("7.00")),
    ("decimal(5,2)", 0.1, D("0.10")),
    ("decimal(5,2)", np.float32(0.1), D("0.10")),
    ("decimal(5,2)", "1.5e2", D("150.00")),
    ("decimal(5,2)", "-0.0000", D("0.00")),
    ("decimal(38,37)", D("1E-37"), D("1E-37")),
    ("real", 0.5, 0.5),
    ("real", np.float32(0.1), float(np.float32(0.1))),
    ("real", D("0.1"), float(np.float32(0.1))),
    ("real", "0.1", float(np.float32(0.1))),
    ("double precision", 2**53, 2.0**53),
    ("double precision", 2**60, 2.0**60),
    ("double precision", D("0.1"), 0.1),
    ("double precision", "-Infinity", -math.inf),
    ("double precision", math.inf, math.inf),
    ("boolean", True, True),
    ("boolean", 0, False),
    ("boolean", "Yes", True),
    ("boolean", "F", False),
    ("char(3)", "abc", "abc"),
    ("varchar(3)", "€", "€"),
    ("varchar(36)", UUID(int=1), str(UUID(int=1))),
    ("date", date(2013, 1, 1), date(2013, 1, 1)),
    ("date", datetime(2013, 1, 1), date(2013, 1, 1)),
    ("date", "2013-01-01", date(2013, 1, 1)),
    ("timestamp", STAMP, STAMP),
    ("timestamp", date(2013, 1, 1), datetime(2013, 1, 1)),
    ("timestamp", "2013-01-01T05:30:00.00025", STAMP),
    ("timestamp", "2013-01-01 05:30", datetime(2013, 1, 1, 5, 30)),
    ("timestamp", pd.Timestamp(STAMP), STAMP),
    ("timestamp", np.datetime64("2013-01-01T05:30:00.000250000"), STAMP),
    ("timestamptz", STAMP.replace(tzinfo=TZ), STAMP.replace(tzinfo=TZ)),
    ("timestamptz", "2013-01-01T05:30Z", datetime(2013, 1, 1, 5, 30, tzinfo=UTC)),
    ("timestamptz", "2013-01-01 05:30+0230", datetime(2013, 1, 1, 3, tzinfo=UTC)),
    ("time", time(5, 30), time(5, 30)),
    ("time", "05:30:00.5", time(5, 30, 0, 500_000)),
    ("timetz", "05:30:00+01", "05:30:00+01"),
    ("timetz", time(5, 30, tzinfo=TZ), "05:30:00+02:00"),
    ("interval day to second", timedelta(hours=-26), "-1 days -02:00:00.000000"),
    ("interval day to second", "1 day", "1 day"),
    ("interval year to month", "3 years", "3 years"),
    ("super", {"a": [1, D("1.10"), None, "x"]}, '{"a":[1,1.10,null,"x"]}'),
    ("super", [date(2013, 1, 1), True, 0.5], '["2013-01-01",true,0.5]'),
    ("super", '{"a": 1}', '{"a": 1}'),
    ("super", 12, "12"),
    ("varbyte(2)", b"\x00\xff", b"\x00\xff"),
    ("geometry", b"\x01\xab", "01AB"),
    ("geography", "POINT (1 2)", "POINT (1 2)"),
    ("hllsketch", "AAAA", "AAAA"),
]

REFUSED: Sequence[tuple[str, Any, str]] = [
    ("smallint", 40_000, "outside the range"),
    ("smallint", 1.5, "not a whole number"),
    ("smallint", math.nan, "not a whole number"),
    ("smallint", math.inf, "not a whole number"),
    ("bigint", 2.0**63, "outside the range"),
    ("bigint", 2**64, "outside the range"),
    ("smallint", D("1.5"), "not a whole number"),
    ("smallint", True, "is a boolean"),
    ("smallint", "1.0", "is not a smallint"),
    ("smallint", " 1", "is not a smallint"),
    ("smallint", "1_0", "is not a smallint"),
    ("smallint", "0x1F", "is not a smallint"),
    ("smallint", "\u0661", "is not a smallint"),
    ("smallint", "", "is not a smallint"),
    ("smallint", date(2013, 1, 1), "is a date"),
    ("decimal(5,2)", D("1.505"), "has 3 decimals"),
    ("decimal(5,2)", D("1234"), "has 4 digits before the point"),
    ("decimal(5,2)", 0.125, "has 3 decimals"),
    ("decimal(5,2)", "1,5", "is not a decimal"),
    ("decimal(5,2)", "1e999999999", "digits before the point"),
    ("decimal(5,2)", math.nan, "not a finite number"),
    ("decimal(19,0)", 2**63, "64 bits"),
    ("decimal(5,2)", False, "is a boolean"),
    ("real", 0.1, "more digits"),
    ("real", 1e39, "too large"),
    ("double precision", 2**53 + 1, "more digits"),
    ("double precision", D("0.12345678901234567890"), "more digits"),
    ("double precision", "1e999", "too large"),
    ("double precision", "nan", "is not a double precision"),
    ("double precision", "1d5", "is not a double precision"),
    ("boolean", 2, "neither 0 nor 1"),
    ("boolean", 1.0, "is a number"),
    ("boolean", "on", "not a boolean"),
    ("varchar(3)", 123, "lost its leading zeros"),
    ("varchar(2)", "€", "has 3 bytes"),
    ("varchar(9)", "\ud800", "unpaired surrogate"),
    ("char(4)", "é", "outside ASCII"),
    ("varchar(9)", b"x", "is binary"),
    ("date", datetime(2013, 1, 1, 5), "time of day"),
    ("date", datetime(2013, 1, 1, tzinfo=TZ), "time zone"),
    ("date", "2013-02-30", "is not a date"),
    ("date", "20130101", "is not a date"),
    ("date", "0000-01-01", "is not a date"),
    ("date", 20130101, "is a number"),
    ("timestamp", STAMP.replace(tzinfo=TZ), "declare the column timestamptz"),
    ("timestamp", "2013-01-01T05:30Z", "time zone"),
    ("timestamp", "2013-01-01T05:30:00.1234567", "finer than a microsecond"),
    ("timestamp", "2013-01-01T24:00:00", "is not a timestamp"),
    ("timestamp", pd.Timestamp(1), "finer than a microsecond"),
    ("timestamp", np.datetime64(1, "ns"), "finer than a microsecond"),
    ("timestamptz", STAMP, "source: {timezone: …}"),
    ("timestamptz", "2013-01-01T05:30", "source: {timezone: …}"),
    ("timestamptz", "0001-01-01T00:00+01:00", "outside the years"),
    ("time", time(5, tzinfo=TZ), "declare the column timetz"),
    ("time", "24:00:00", "is not a time"),
    ("timetz", "05:30", "is not a timetz"),
    ("timetz", time(5), "no offset"),
    ("interval year to month", timedelta(1), "duration of days"),
    ("interval day to second", 5, "is a number"),
    ("super", "plain", "JSON string, in quotes"),
    ("super", "NaN", "is not JSON"),
    ("super", {"a": b""}, "contains a bytes"),
    ("super", [math.nan], "contains nan"),
    ("super", {1: 2}, "keys of a JSON object must be"),
    ("varbyte(1)", b"ab", "has 2 bytes"),
    ("varbyte(1)", "ab", "is text"),
    ("geometry", 1, "is a number"),
]


@pytest.mark.parametrize(("data_type", "value", "stored"), FITS, ids=str)
def test_a_value_that_fits_is_stored_as_it_is(data_type: str, value: Any, stored: object) -> None:
    """An exact cast gives an equal value, alone and among values of other kinds."""
    assert cast(data_type, [value, None]) == ([stored, None], [])
    assert cast(data_type, [object(), value]) == ([None, stored], [0])


@pytest.mark.parametrize(("data_type", "value", "why"), REFUSED, ids=str)
def test_a_value_that_does_not_fit_is_refused(data_type: str, value: Any, why: str) -> None:
    """What would be truncated, rounded, wrapped, re-zoned or guessed is refused with the reason."""
    found = ColumnCast([None, value], parse(data_type), CastOptions())
    assert (found.bad_rows, found.values.to_pylist()) == ([1], [None, None])
    assert why in " ".join(found.explain_error(1))


TEXT = [
    ("date", "01/02/2013", {"date_format": "%d/%m/%Y"}, date(2013, 2, 1)),
    ("date", "1/2/2013", {"date_format": "%d/%m/%Y"}, date(2013, 2, 1)),
    ("date", "2013-02-01", {"date_format": "%d/%m/%Y"}, None),
    (
        "timestamp",
        "01.02.2013 05:30",
        {"timestamp_format": "%d.%m.%Y %H:%M"},
        datetime(2013, 2, 1, 5, 30),
    ),
    (
        "timestamp",
        "05:30:00.25 2013-02-01",
        {"timestamp_format": "%H:%M:%S.%f %Y-%m-%d"},
        datetime(2013, 2, 1, 5, 30, 0, 250_000),
    ),
    (
        "timestamptz",
        "2013-07-01 05:30",
        {"timezone": "America/New_York"},
        datetime(2013, 7, 1, 9, 30, tzinfo=UTC),
    ),
    ("timestamptz", "2013-03-10 02:30", {"timezone": "America/New_York"}, None),
    ("timestamptz", "2013-11-03 01:30", {"timezone": "America/New_York"}, None),
    (
        "timestamptz",
        "2013-11-03 01:30-05",
        {"timezone": "America/New_York"},
        datetime(2013, 11, 3, 6, 30, tzinfo=UTC),
    ),
    (
        "timestamptz",
        "1/2/2013 05:30 +0100",
        {"timestamp_format": "%d/%m/%Y %H:%M %z"},
        datetime(2013, 2, 1, 4, 30, tzinfo=UTC),
    ),
    (
        "timestamptz",
        "2013-02-01 05:30:00-03:30",
        {"timestamp_format": "%Y-%m-%d %H:%M:%S%z", "timezone": "Asia/Tokyo"},
        datetime(2013, 2, 1, 9, tzinfo=UTC),
    ),
    ("timestamp", "2013-02-01 05Z", {"timestamp_format": "%Y-%m-%d %H%z"}, None),
    ("date", "Fri 01.02.2013", {"date_format": "%a %d.%m.%Y"}, date(2013, 2, 1)),
    ("date", "fri 1.2.2013", {"date_format": "%a %d.%m.%Y"}, date(2013, 2, 1)),
    ("date", "Thu 01.02.2013", {"date_format": "%a %d.%m.%Y"}, None),
    ("date", "20130201", {"date_format": "%Y%m%d"}, date(2013, 2, 1)),
    ("date", "2013111", {"date_format": "%Y%m%d"}, None),
    ("date", "2013032", {"date_format": "%Y%j"}, date(2013, 2, 1)),
    ("date", "2013-W05-5", {"date_format": "%G-W%V-%u"}, date(2013, 2, 1)),
    ("date", "2013-W53-5", {"date_format": "%G-W%V-%u"}, None),
    ("date", "2013-53-6", {"date_format": "%Y-%W-%w"}, None),
    ("date", "100% 01.02.2013", {"date_format": "100%% %d.%m.%Y"}, date(2013, 2, 1)),
    (
        "timestamp",
        "01.02.2013 05:30:00 pm",
        {"timestamp_format": "%d.%m.%Y %I:%M:%S %p"},
        datetime(2013, 2, 1, 17, 30),
    ),
    (
        "timestamp",
        "01.02.2013 12:00:00.1234560",
        {"timestamp_format": "%d.%m.%Y %H:%M:%S.%f"},
        datetime(2013, 2, 1, 12, 0, 0, 123_456),
    ),
    (
        "timestamp",
        "01.02.2013 12:00:00.1234567",
        {"timestamp_format": "%d.%m.%Y %H:%M:%S.%f"},
        None,
    ),
    ("timestamp", "2013-02-01 12:00:00.1234560", {}, datetime(2013, 2, 1, 12, 0, 0, 123_456)),
    ("timestamp", "2013-02-01 12:00:00.1234567", {}, None),
    (
        "timestamptz",
        "2013-02-01T12:00:00.1000000000+01:00",
        {},
        datetime(2013, 2, 1, 11, 0, 0, 100_000, tzinfo=UTC),
    ),
    ("time", "12:00:00.1234560", {}, time(12, 0, 0, 123_456)),
    ("time", "12:00:00.1234567", {}, None),
    ("timetz", "12:00:00.1234560+01", {}, "12:00:00.123456+01"),
    ("timetz", "12:00:00.1234567+01", {}, None),
    ("interval day to second", "1 00:00:00.1234560", {}, "1 00:00:00.123456"),
    ("interval day to second", "1.1234567 seconds", {}, None),
    ("decimal(9,2)", "1234,50", {"decimal": ","}, D("1234.50")),
    ("decimal(9,2)", "-1", {"decimal": ","}, D("-1.00")),
    ("decimal(9,2)", "1.234,50", {"decimal": ","}, None),
    ("decimal(9,2)", "1.5", {"decimal": ","}, None),
    ("decimal(9,2)", "1,5", {}, None),
    ("decimal(9,2)", "1,234.5", {}, None),
    ("double precision", "-1,5e3", {"decimal": ","}, -1500.0),
    ("double precision", "1.5", {"decimal": ","}, None),
    ("double precision", "1,5", {}, None),
    ("real", "0,5", {"decimal": ","}, 0.5),
    ("integer", "1,0", {"decimal": ","}, None),
    ("varchar(9)", "1,5", {"decimal": ","}, "1,5"),
    ("varbyte(2)", "00fF", {}, b"\x00\xff"),
    ("varbyte(2)", "0", {}, None),
    ("real", "0.1000000000000000001", {}, float(np.float32(0.1))),
    ("real", "+1.00000017881393432617187499", {}, 1 + 2.0**-23),  # as a double it is a tie
]


@pytest.mark.parametrize(("data_type", "text", "options", "stored"), TEXT, ids=str)
def test_text_of_a_file_is_read_by_the_source_options(
    data_type: str, text: str, options: dict[str, Any], stored: object
) -> None:
    """Formats, time zone and hexadecimal apply to text; None stands for a refusal."""
    values, bad = cast(data_type, pa.array([text]), text=True, **options)
    assert (values, bad) == ([stored], [] if stored is not None else [0])


JSON = [
    ("super", "abc", '"abc"'),
    ("super", {"a": D("1.10")}, '{"a":1.10}'),
    ("double precision", D("0.12345678901234567890"), 0.12345678901234568),
    ("decimal(3,2)", D("1.10"), D("1.10")),
    ("integer", D("1E+2"), 100),
    ("varchar(9)", D("1.5"), None),
    ("varchar(9)", 7, None),
    ("date", "2013-01-01", date(2013, 1, 1)),
]


@pytest.mark.parametrize(("data_type", "value", "stored"), JSON, ids=str)
def test_values_of_json_lines_keep_their_json_type(
    data_type: str, value: object, stored: object
) -> None:
    """A JSON string is a string, a number a number; None stands for a refusal."""
    values, bad = cast(data_type, [value], text=True, json=True)
    assert (values, bad) == ([stored], [] if stored is not None else [0])


NO_EMPTY = ["bigint", "decimal(9,2)", "real", "boolean", "date", "timestamp", "time", "super"]


@pytest.mark.parametrize(
    ("data_type", "stored"),
    [(name, None) for name in NO_EMPTY]
    + [("varchar(9)", ""), ("char(1)", ""), ("varbyte(1)", b"")],
)
def test_empty_text_is_null_in_columns_that_cannot_hold_it(data_type: str, stored: Any) -> None:
    """A quoted empty field of a CSV file is NULL in a number column, and itself in a text one."""
    found = ColumnCast(
        pa.array(["", None]), parse(data_type), CastOptions(True, empty_is_null=True)
    )
    assert (found.values.to_pylist(), found.bad_rows) == ([stored, None], [])
    if stored is None:
        assert ColumnCast(pa.array([""]), parse(data_type), CastOptions(text=True)).bad_rows == [0]


@pytest.mark.parametrize(
    ("value", "decimal", "why"),
    [
        ("1,5", ".", 'set source: {decimal: ","}'),
        ("1.234,5", ",", "thousands separators"),
        ("1,234.5", ".", "thousands separators"),
        ("1 234", ".", "thousands separators"),
        ("1.5", ",", "with a decimal comma"),
    ],
)
def test_separators_in_numbers_are_named(value: str, decimal: str, why: str) -> None:
    """A number with a comma or with thousands separators says which key reads it, or that none."""
    found = ColumnCast([value], parse("decimal(9,2)"), CastOptions(text=True, decimal=decimal))
    assert why in " ".join(found.explain_error(0))


ARROW = [
    ("bigint", pa.array([1, 2**63], pa.uint64()), [1, None]),
    ("smallint", pa.array([1, None], pa.int64()).dictionary_encode(), [1, None]),
    ("smallint", pa.array([1, 1, 2]), [1, 1, 2]),
    ("smallint", pa.nulls(2), [None, None]),
    ("varchar(2)", pa.array(["ab", "abc"], pa.large_string()), ["ab", None]),
    ("varchar(2)", pa.array(["ab", "abc"], pa.string_view()), ["ab", None]),
    ("varchar(2)", pa.array(["ab", "ab"]).dictionary_encode(), ["ab", "ab"]),
    ("varchar(2)", pa.compute.run_end_encode(pa.array(["ab", "ab"])), ["ab", "ab"]),
    ("varchar(36)", pa.array([UUID(int=1).bytes], pa.uuid()), [str(UUID(int=1))]),
    ("varchar(2)", pa.StringArray.from_buffers(1, *pa.array([b"\xff"]).buffers()[1:]), [None]),
    ("varbyte(2)", pa.array([b"ab"], pa.binary(2)), [b"ab"]),
    ("varbyte(2)", pa.array([b"ab"], pa.binary_view()), [b"ab"]),
    ("real", pa.array([0.5], pa.float16()), [0.5]),
    ("decimal(5,2)", pa.array([D("1.5")], pa.decimal256(60, 1)), [D("1.50")]),
    ("decimal(5,2)", pa.array([0.1], pa.float32()), [D("0.10")]),
    (
        "timestamp",
        pa.array([1000, 1001], pa.timestamp("ns")),
        [datetime(1970, 1, 1, 0, 0, 0, 1), None],
    ),
    ("timestamp", pa.array([0], pa.timestamp("us", "UTC")), [None]),
    ("timestamp", pa.array([2**40], pa.timestamp("s")), [None]),
    (
        "timestamptz",
        pa.array([0], pa.timestamp("ms", "Asia/Tokyo")),
        [datetime(1970, 1, 1, tzinfo=UTC)],
    ),
    ("date", pa.array([0, 1], pa.timestamp("s")), [date(1970, 1, 1), None]),
    ("date", pa.array([3_000_000], pa.int32()).view(pa.date32()), [None]),
    ("date", pa.array([86_400_000, 5]).view(pa.date64()), [date(1970, 1, 2), None]),
    ("time", pa.array([1000, 1], pa.time64("ns")), [time(0, 0, 0, 1), None]),
    ("timetz", pa.array([1000], pa.time64("us")), [None]),
    ("interval day to second", pa.array([1], pa.duration("s")), ["0 days 00:00:01.000000"]),
    ("interval day to second", pa.array([pa.MonthDayNano([0, 1, 0])]), ["1 days 00:00:00.000000"]),
    ("interval year to month", pa.array([pa.MonthDayNano([14, 0, 0])]), ["14 months"]),
    ("super", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), ['{"a":1}']),
    ("super", pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())), [None]),
    ("super", pa.array([{"a": [1.5, None]}]), ['{"a":[1.5,null]}']),
    (
        "boolean",
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())),
        [True, False],
    ),
]


@pytest.mark.parametrize(
    ("data_type", "array", "stored"),
    ARROW,
    ids=[f"{name} from {array.type}" for name, array, _ in ARROW],
)
def test_every_arrow_type_is_cast_or_refused(
    data_type: str, array: Any, stored: list[object]
) -> None:
    """Large, view, dictionary, run-end, unsigned and extension types are what they hold."""
    values, bad = cast(data_type, array)
    assert values == stored
    assert len(bad) == stored.count(None) - unwrap_array(array).null_count


def test_pandas_periods_are_refused_and_not_stored_as_numbers() -> None:
    """An extension type that Loader does not know is refused, whatever it is stored as."""
    spec = make_spec({"month": "bigint"})
    message = refusal(spec, pd.DataFrame({"month": pd.period_range("2013-01", periods=2)}))
    assert "row 1" in message
    assert "(1 more row)" in message


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.0, np.nan]),
        pd.Series([1, pd.NA], dtype="Int64"),
        pd.Series([1, None], dtype=object),
        pd.Series([1, pd.NaT], dtype=object),
        pd.Series([1, np.nan], dtype=object),
    ],
    ids=str,
)
def test_what_pandas_calls_missing_is_null(column: Any) -> None:
    """NaN, NaT, NA and None in a pandas frame are NULL."""
    _, batches = conformed(make_spec({"a": "smallint"}), pd.DataFrame({"a": column}))
    assert batches[0].batch["a"].to_pylist() == [1, None]


def test_a_nan_of_arrow_stays_nan_in_a_float_column() -> None:
    """NaN is a value for everyone but pandas."""
    _, batches = conformed(make_spec({"a": "real"}), pl.DataFrame({"a": [1.0, math.nan, None]}))
    assert str(batches[0].batch["a"].to_pylist()) == "[1.0, nan, None]"


def test_only_the_misfits_of_a_mixed_column_are_refused() -> None:
    """A column of mixed objects is judged value by value."""
    spec = make_spec({"a": "integer"}, schema_contract={"bad_rows": "reject", "max_rejects": 1})
    found, batches = conformed(spec, pd.DataFrame({"a": [1, "x", None, 2.0, "3"]}))
    assert batches[0].batch["a"].to_pylist() == [1, None, 2, 3]
    assert found.rows_rejected == 1
    found.finish()


def test_a_type_that_matches_is_not_copied() -> None:
    """A frame in the staged types costs nothing."""
    array = pa.array(range(10), pa.int16())
    assert ColumnCast(array, parse("smallint"), CastOptions()).values.buffers()[1].address == (
        array.buffers()[1].address
    )


def test_the_null_word_of_staged_csv_is_refused_as_text() -> None:
    r"""Staged as CSV, the text `\N` alone would come back as NULL."""
    csv = make_spec({"a": "varchar(9)"}, staging={"format": "csv"})
    assert r"'\\N' means NULL" in refusal(csv, pa.table({"a": ["x", r"\N"]}))
    conformer(make_spec({"a": "varchar(9)"}), pa.table({"a": [r"\N"]})).finish()


@pytest.mark.parametrize("values", [[1.5, math.nan, math.inf, None], ["1.5", "NaN", "Infinity"]])
@pytest.mark.parametrize("data_type", ["real", "double precision"])
def test_numbers_without_a_form_in_staged_json_are_bad_rows(
    data_type: str, values: list[object]
) -> None:
    """Staged as JSON, NaN and infinity are refused with row and count, or set aside."""
    contract = {"bad_rows": "reject", "max_rejects": 9}
    json = make_spec({"a": data_type}, staging={"format": "json"}, schema_contract=contract)
    frame = pa.table({"a": values})
    found, batches = conformed(json, frame)
    assert found.rows_rejected == 2
    assert batches[0].batch["a"].to_pylist() == [1.5, *([None] if None in values else [])]
    strict = json.model_copy(update={"schema_contract": make_spec({"a": "real"}).schema_contract})
    message = refusal(strict, frame)
    assert re.search("row 2: '?NaN'? cannot be staged as JSON.* .1 more row.", message, re.I)
    conformer(make_spec({"a": data_type}), frame).finish()


# Messages


def test_a_refusal_names_column_row_value_type_and_count() -> None:
    """All columns are in one message, each with its first bad row and how many more."""
    spec = make_spec(
        {"dep_time": "smallint", "carrier": {"data_type": "varchar(2)", "nullable": False}}
    )
    frame = pa.table({"dep_time": ["1", "25:99", "x"], "carrier": ["ABC", None, "AA"]})
    assert refusal(spec, frame) == (
        "3 rows of the frame do not fit nyc.flights; nothing was loaded\n"
        "  dep_time  row 2: '25:99' is not a smallint (1 more row)\n"
        "  carrier   row 1: 'ABC' has 3 bytes, varchar(2) holds 2 (1 more row)"
    )


def test_rows_of_several_files_are_named_with_their_file() -> None:
    """With more than one origin each row says where it is."""
    found = Conformer(spec := make_spec({"a": "smallint"}), {"a": "a"})
    for origin, first in (("a.csv", 1), ("b.csv", 1001)):
        found.conform(Chunk({"a": pa.array(["x"])}, 1, origin, first, text=True))
    with pytest.raises(FrameError, match=r"2 rows do not fit .*\n  a  a\.csv row 1: 'x' is not a"):
        found.finish()
    assert found.failed
    assert spec.table == "nyc.flights"


def test_long_values_are_cut_in_messages() -> None:
    """A message shows at most 80 characters of a value."""
    message = refusal(make_spec({"a": "varchar(2)"}), pa.table({"a": ["x" * 500]}))
    assert "x" * 78 + "… has 500 bytes" in message


def test_rejected_rows_are_set_aside_with_their_reasons() -> None:
    """With `bad_rows: reject` a bad row keeps its source values as text, and all reasons."""
    spec = make_spec(
        {"a": "smallint", "b": {"data_type": "varchar(2)", "nullable": False}},
        schema_contract={"bad_rows": "reject", "max_rejects": 1, "extra_columns": "ignore"},
    )
    frame = pa.table({"a": ["1", "x"], "B": ["ok", None], "more": [1.5, None]})
    found, batches = conformed(spec, frame)
    assert batches[0].batch.to_pylist() == [{"a": 1, "b": "ok"}]
    rejects = batches[0].rejects
    assert rejects is not None
    assert rejects.to_pylist() == [
        {
            "_origin": "frame",
            "_row": 2,
            "_reason": "a: 'x' is not a smallint; b: NULL, but it is NOT NULL",
            "a": "x",
            "B": None,
            "more": None,
        }
    ]
    found.finish()
    assert (found.rows_read, found.rows_rejected, found.failed) == (2, 1, False)


@pytest.mark.parametrize(("limit", "fails"), [(1, True), (2, False), ("10%", True), ("50%", False)])
def test_more_rejects_than_allowed_fail_the_load(limit: int | str, fails: bool) -> None:
    """`max_rejects` is a number of rows or a share of those read."""
    spec = make_spec(
        {"a": "smallint"}, schema_contract={"bad_rows": "reject", "max_rejects": limit}
    )
    found = conformer(spec, pa.table({"a": ["1", "x", "2", "y"]}))
    if not fails:
        found.finish()
        return
    with pytest.raises(FrameError, match=f"2 rows .* of 4 read, and max_rejects allows {limit}"):
        found.finish()


# Columns


MATCHES: Sequence[tuple[dict[str, Any], dict[str, Any], list[str], object]] = [
    ({"a": "date", "b": "date"}, {}, ["b", "a"], {"a": "a", "b": "b"}),
    ({"a": "date"}, {}, ["A"], {"a": "A"}),
    ({"a": "date"}, {"schema_contract": {"extra_columns": "ignore"}}, ["A", "a"], {"a": "a"}),
    ({"a": "date"}, {}, ["A", "Á"], "  extra  Á"),
    ({"ab": "date"}, {}, ["AB", "Ab"], "  ambiguous  ab  matches `AB`, `Ab`"),
    ({"a": "date"}, {"source": {"columns": {"a": "When"}}}, ["When"], {"a": "When"}),
    ({"a": "date"}, {"source": {"columns": {"a": "When"}}}, ["a"], {"a": "a"}),
    ({"a": "date", "b": {"data_type": "date", "default": "current_date"}}, {}, ["a"], {"a": "a"}),
    ({"a": "date", "i": {"data_type": "bigint", "identity": [0, 1]}}, {}, ["a"], {"a": "a"}),
    ({"a": "date", "i": {"data_type": "bigint", "identity": [0, 1]}}, {}, ["a", "i"], "identity"),
    (
        {"origin": "varchar(3)"},
        {},
        ["orgin"],
        "  missing  origin  varchar(3)\n  extra    orgin   did you mean `origin`?",
    ),
    ({"a": "date"}, {}, ["a", "b"], "hint: schema_contract: {extra_columns: ignore}"),
]


@pytest.mark.parametrize(("columns", "rest", "present", "expected"), MATCHES)
def test_columns_are_matched_by_name(
    columns: dict[str, Any], rest: dict[str, Any], present: list[str], expected: object
) -> None:
    """Exactly, then ignoring case; everything missing, extra or ambiguous is one error."""
    spec = make_spec(columns, **rest)
    if isinstance(expected, dict):
        assert match_columns(spec, present) == expected
        return
    with pytest.raises(FrameError) as caught:
        match_columns(spec, present)
    assert str(expected) in str(caught.value)


def test_a_first_row_taken_for_names_has_a_way_out() -> None:
    """A file whose columns are called like numbers may have no header, which a key says."""
    spec = make_spec({"a": "bigint", "b": "date"})
    with pytest.raises(FrameError) as caught:
        match_columns(spec, ["17", "2024-01-01"])
    assert "header: false" in (caught.value.hint or "")
    with pytest.raises(FrameError) as caught:
        match_columns(spec, ["x", "b"])
    assert "header" not in (caught.value.hint or "")


def test_the_order_of_columns_is_the_tables() -> None:
    """Staged columns are in table order, without identities and absent defaults."""
    spec = make_spec(
        {
            "i": {"data_type": "bigint", "identity": [0, 1]},
            "a": "smallint",
            "b": "date",
            "c": {"data_type": "real", "default": "1"},
        }
    )
    found = conformer(spec, pa.table({"b": [date(2013, 1, 1)], "a": [1]}))
    assert found.schema == arrow_schema(spec.columns[1:3])
    assert [column.name for column in found.columns] == ["a", "b"]


# Partitions


BY_DAY = make_spec({"d": "date", "x": "smallint"}, partition_by=[{"expr": "d", "grain": "day"}])
DAYS = pa.table({"d": [date(2013, 1, 1), date(2013, 1, 2), None], "x": [1, 2, 3]})


def test_rows_outside_the_slice_are_bad_rows() -> None:
    """Each row must lie inside the slice; NULL lies in none."""
    assert refusal(BY_DAY, DAYS, "2013-01-01").splitlines()[1:] == [
        "  d  row 2: 2013-01-02 lies outside the slice d=2013-01-01 (1 more row)"
    ]


def test_a_refusal_says_what_to_do_next() -> None:
    """Rows outside the slice and rows that do not fit have each a next step of their own."""
    with pytest.raises(FrameError) as caught:
        conformer(BY_DAY, DAYS, "2013-01-01").finish()
    assert "`auto`" in str(caught.value.hint)
    spec = BY_DAY.model_copy(update={"source": Source(files=("data/{d}/*.csv",))})
    with pytest.raises(FrameError) as caught:
        conformer(spec, DAYS, "2013-01-01").finish()
    assert "these rows are in the wrong file" in str(caught.value.hint)
    with pytest.raises(FrameError) as caught:
        conformer(make_spec({"a": "smallint"}), pa.table({"a": ["x"]})).finish()
    assert "bad_rows: reject" in str(caught.value.hint)


@pytest.mark.parametrize("day", ["yesterday", None])
def test_only_rows_of_other_partitions_are_advised_to_name_them(day: str | None) -> None:
    """A partition column that does not cast or is NULL lies in no partition to be named."""
    with pytest.raises(FrameError) as caught:
        conformer(BY_DAY, pa.table({"d": ["2013-01-01", day], "x": [1, 2]}), "2013-01-01").finish()
    assert "bad_rows: reject" in str(caught.value.hint)
    told = "is not a date" if day else "NULL belongs to no partition"
    assert told in caught.value.message


def test_a_union_of_partitions_is_kept_to_exactly() -> None:
    """A slice over two dimensions is not the full grid of its keys."""
    spec = make_spec(
        {"d": "date", "o": "char(3)"},
        partition_by=[{"name": "date", "expr": "d", "grain": "month"}, {"name": "o", "expr": "o"}],
    )
    wanted = ["date=2013-01|o=JFK", "date=2013-02|o=LGA"]
    days = [date(2013, 1, 5), date(2013, 2, 5)]
    good = pa.table({"d": days, "o": ["JFK", "LGA"]})
    conformer(spec, good, wanted).finish()
    message = refusal(spec, pa.table({"d": days, "o": ["LGA", "LGA"]}), wanted)
    assert "date, o  row 1: 2013-01-05, 'LGA' lies outside" in message


BY_MONTH = make_spec(
    {"t": "timestamptz", "x": "varchar(9)"},
    partition_by=[
        {
            "name": "month",
            "expr": "date_trunc('month', t)",
            "data_type": "timestamptz",
            "grain": "month",
        }
    ],
)
STAMPS = pa.table(
    {
        "t": [datetime(2013, 1, 31, 23, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC)],
        "x": ["a", "b"],
    }
)


def test_expressions_are_evaluated_before_anything_is_staged() -> None:
    """An expression is checked like a column, with the value it has."""
    message = refusal(BY_MONTH, STAMPS, "2013-01")
    assert "month  row 2: 2013-02-01 00:00:00+00:00 lies outside the slice" in message


def test_an_expression_that_cannot_be_evaluated_is_left_to_the_transaction() -> None:
    """What DuckDB does not know is not checked here, but partitions cannot be found in it."""
    spec = make_spec(
        {"x": "smallint"},
        partition_by=[{"name": "p", "expr": "fnv_hash(x)", "data_type": "bigint"}],
    )
    frame = pa.table({"x": [1]})
    conformer(spec, frame, "5").finish()
    with pytest.raises(PlanError, match=r"`fnv_hash\(x\)` cannot be evaluated"):
        conformer(spec, frame, discover=True)


def test_partitions_are_found_in_the_good_rows() -> None:
    """`auto` means the partitions of the rows that are loaded, each once, in order."""
    zone = ZoneInfo("America/New_York")
    spec = make_spec(
        {"t": "timestamptz", "x": "smallint"},
        partition_by=[{"name": "day", "expr": "t", "grain": "day", "timezone": zone.key}],
        schema_contract={"bad_rows": "reject", "max_rejects": 9},
    )
    stamps = [datetime(2013, 3, 10, 23, 59, tzinfo=zone), datetime(2013, 3, 11, tzinfo=zone), None]
    frame = pd.DataFrame({"t": [*stamps, datetime(2014, 1, 1, tzinfo=zone)], "x": [1, 2, 3, "bad"]})
    found, batches = conformed(spec, frame, discover=True)
    assert found.tally.partition_keys(spec.dimensions) == [
        {"day": "2013-03-10"},
        {"day": "2013-03-11"},
    ]
    rejects = batches[0].rejects
    assert rejects is not None
    assert "NULL belongs to no partition" in rejects["_reason"][0].as_py()


# Properties: no frame of any declared type is stored as anything but itself, and none crashes.

TYPES = [
    "smallint",
    "integer",
    "bigint",
    "decimal(5,2)",
    "decimal(19,4)",
    "decimal(38,10)",
    "real",
    "double precision",
    "boolean",
    "char(3)",
    "varchar(5)",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "super",
    "varbyte(4)",
    "geometry",
    "hllsketch",
    "interval day to second",
    "interval year to month",
]

numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-40_000, 40_000),
    st.floats(),
    st.floats(width=32),
    st.floats(-1e6, 1e6).map(lambda v: round(v, 2)),
    st.decimals(allow_nan=True),
    st.decimals(-1000, 1000, places=2),
)
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)
zones = st.one_of(st.none(), offsets, st.just(ZoneInfo("America/New_York")))
times = st.one_of(
    st.dates(),
    st.datetimes(timezones=zones),
    st.dates().map(lambda day: datetime(day.year, day.month, day.day)),
    st.times(timezones=st.one_of(st.none(), offsets)),
    st.timedeltas(),
)
OFFSET_LIKE = r"(Z|z|[+-][0-2][0-9]:?([0-6][0-9])?)?"
TIME_LIKE = r"[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,6}0?[0-9]?)?)?" + OFFSET_LIKE
DAY_LIKE = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]"
STAMP_LIKE = DAY_LIKE + r"([T ][0-2][0-9](:[0-6][0-9]){0,2}(\.[0-9]{1,6}0?[0-9]?)?)?" + OFFSET_LIKE
words = st.one_of(
    st.text(max_size=6),
    numbers.map(str),
    times.map(str),
    times.map(lambda v: v.isoformat() if hasattr(v, "isoformat") else str(v)),
    st.from_regex(r"[-+]?[0-9.,eE]{1,6}[xf ]?", fullmatch=True),
    st.from_regex(STAMP_LIKE, fullmatch=True),
    st.from_regex(TIME_LIKE, fullmatch=True),
    st.sampled_from(
        ["true", "T", "NO", "on", "NaN", "nan", "Infinity", "-inf", "null", "{}", "[1"]
    ),
)
scalars = st.one_of(
    st.none(), st.booleans(), numbers, words, times, st.binary(max_size=6), st.uuids()
)
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=4,
)
pools = [
    st.booleans(),
    numbers,
    st.integers(),
    st.floats(),
    st.decimals(),
    words,
    times,
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=offsets),
    st.times(),
    st.timedeltas(),
    st.binary(max_size=6),
    st.uuids(),
    nested,
]
columns = st.one_of(
    [st.lists(st.none() | pool, min_size=1, max_size=6) for pool in pools]
    + [st.lists(nested, min_size=1, max_size=4)]
)
readings = st.builds(
    CastOptions,
    text=st.booleans(),
    json=st.booleans(),
    decimal=st.sampled_from([".", ","]),
    date_format=st.sampled_from([None, "%d/%m/%Y", "%Y-%m-%d"]),
    timestamp_format=st.sampled_from([None, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S%z"]),
    timezone=st.sampled_from([None, "UTC", "America/New_York"]),
    null_marker=st.booleans(),
    finite=st.booleans(),
)

ARROW_TYPES = [
    pa.int8(),
    pa.int64(),
    pa.uint16(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
    pa.decimal128(10, 3),
    pa.decimal256(50, 5),
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.date32(),
    pa.date64(),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("us"),
    pa.timestamp("ms", "Europe/Berlin"),
    pa.timestamp("ns", "UTC"),
    pa.time32("s"),
    pa.time64("ns"),
    pa.duration("ns"),
    pa.duration("s"),
    pa.dictionary(pa.int8(), pa.string()),
    pa.list_(pa.float32()),
    pa.month_day_nano_interval(),
]


@st.composite
def arrays(draw: Any) -> Any:
    """An Arrow array of any type, by way of its bits where values are hard to come by."""
    arrow = draw(st.sampled_from(ARROW_TYPES))
    found = []
    for value in draw(st.lists(scalars | st.integers(-(2**63), 2**63 - 1), max_size=8)):
        try:
            pa.array([value], arrow)
            found.append(value)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, AttributeError):
            continue
    return pa.array([*found, None], arrow)


def same(data_type: str, came: Any, stored: Any, reading: CastOptions) -> bool:
    """Whether a stored value is the value that came, judged by plain Python alone."""
    name = parse(data_type).name
    if name == "super":
        return isinstance(stored, str)
    if isinstance(came, np.generic):
        came = D(str(came)) if name == "decimal" else float(came)
    if isinstance(came, str) and name in ("smallint", "integer", "bigint", "decimal"):
        return D(came) == stored
    if isinstance(came, str) and name == "boolean":
        return stored == (came.lower() in ("true", "t", "yes", "y", "1"))
    if name in ("real", "double precision"):
        return same_float(name, came, stored)
    if isinstance(came, float) and name == "decimal":
        return float(stored) == came
    if name == "timestamptz" and isinstance(came, datetime) and came.utcoffset() is not None:
        return came.astimezone(UTC) == stored.astimezone(UTC)
    if name in ("timestamp", "date", "timestamptz") and isinstance(came, date):
        return same_day(came, stored, reading)
    if isinstance(came, str) and name in ("date", "timestamp", "timestamptz", "time"):
        return isinstance(stored, date | time)
    if name in ("varchar", "char") or not isinstance(came, str):
        return str(came) == str(stored) or came == stored or isinstance(stored, str)
    return came == stored or (name == "varbyte" and bytes.fromhex(came) == stored)


def same_float(name: str, came: Any, stored: float) -> bool:
    """Whether a float is the number that came, or for text the one nearest to it."""
    number = float(came)
    if math.isnan(number):
        return math.isnan(stored)
    if name == "real" and number != stored:
        number = struct.unpack("<f", struct.pack("<f", number))[0]
    return number == stored or math.isclose(number, stored, rel_tol=1e-7)


def same_day(came: date, stored: Any, reading: CastOptions) -> bool:
    """Whether a stored time is the date or the naive time that came."""
    if not isinstance(came, datetime):
        came = datetime(came.year, came.month, came.day)
    if isinstance(stored, datetime) and stored.tzinfo:
        assert reading.timezone
        stored = stored.astimezone(ZoneInfo(reading.timezone)).replace(tzinfo=None)
    elif not isinstance(stored, datetime):
        stored = datetime(stored.year, stored.month, stored.day)
    return bool(came.replace(fold=0) == stored.replace(fold=0))


def check_cast(
    data_type: str, values: Any, originals: Iterable[object], reading: CastOptions
) -> None:
    """The cast agrees with the judge on every row, and what it stores is what came."""
    decide = make_caster(parse(data_type), reading)
    found = ColumnCast(values, parse(data_type), reading)
    found.values.validate(full=True)
    stored = found.values.to_pylist()
    for row, came in enumerate(originals):
        if row in found.bad_rows:
            assert stored[row] is None
            assert found.explain_error(row)
        elif came is None:
            assert stored[row] is None
        else:
            expected = decide(came)
            agrees = stored[row] == expected or str(stored[row]) == str(expected)
            assert agrees or data_type == "real"
            assert same(data_type, came, stored[row], reading)


SETTINGS = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(st.sampled_from(TYPES), columns, readings)
def test_objects_are_stored_equal_or_refused(
    data_type: str, values: list[object], reading: CastOptions
) -> None:
    """Any Python objects in any declared type are stored equal, or refused."""
    check_cast(data_type, values, values, reading)


@SETTINGS
@given(st.sampled_from(TYPES), arrays(), readings)
def test_arrow_values_are_stored_equal_or_refused(
    data_type: str, array: Any, reading: CastOptions
) -> None:
    """Any Arrow array in any declared type is stored equal, or refused."""
    check_cast(data_type, array, python_values(unwrap_array(array)), reading)


@SETTINGS
@given(st.sampled_from(TYPES), st.lists(words, max_size=5), readings)
def test_a_fast_cast_takes_no_text_that_the_judge_refuses(
    data_type: str, texts: list[str], reading: CastOptions
) -> None:
    """The vectorised reading of text is never more lenient than the rule, and finds the same."""
    sound = [text for text in texts if text.isprintable() and text.isascii()]
    decide = make_caster(parse(data_type), reading)
    found = ColumnCast(pa.array(sound, pa.string()), parse(data_type), reading)
    for row, text in enumerate(sound):
        try:
            decide(text)
        except CastError:
            assert row in found.bad_rows
        else:
            assert row not in found.bad_rows


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_frames_of_any_library_never_crash(data: st.DataObject) -> None:
    """A frame is conformed or refused with an error of Loader's own, whatever it holds."""
    spec = make_spec({"a": data.draw(st.sampled_from(TYPES))})
    values = data.draw(columns)
    build = data.draw(st.sampled_from([pd.DataFrame, pl.DataFrame, pa.table]))
    try:
        frame = build({"a": values})
    except (Exception, pl.exceptions.PanicException):  # noqa: BLE001  # no frame can be made of it
        return
    with suppress(LoaderError):
        conformer(spec, frame).finish()


def test_a_bad_row_among_many_is_found_where_it_stands() -> None:
    """Halving finds exactly the bad rows, also across blocks."""
    size = 10 * BLOCK + 7
    texts = [str(number) for number in range(size)]
    for row in (0, BLOCK, size - 1):
        texts[row] = "x"
    values, bad = cast("integer", pa.array(texts))
    assert bad == [0, BLOCK, size - 1]
    assert values[1] == 1
    assert values[size - 2] == size - 2
