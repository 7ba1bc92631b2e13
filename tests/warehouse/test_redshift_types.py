"""Every Redshift type, by every staging format, from every kind of frame: kept, or refused by name.

What was stored is looked at twice: as the loader reads it back, over the connection and by UNLOAD,
and as PostgreSQL behind the stand-in holds it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loader.data.cast.layout import arrow_schema
from loader.errors import FrameError, SpecError
from loader.testing.redshift.server import RedshiftStandIn
from loader.testing.redshift.unload import Unloader
from tests.conftest import MakeProject, redshift_target

STAGING = ("parquet", "csv", "json")
D = Decimal


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def real(value: float) -> float:
    """The 32-bit float nearest to a number."""
    (found,) = struct.unpack("<f", struct.pack("<f", value))
    return float(found)


@dataclass(frozen=True)
class Kept:
    """Values of a type that survive a load, and how PostgreSQL shows them afterwards."""

    data_type: str
    values: Sequence[Any]
    stored: Sequence[str | None]
    carried_by: Sequence[str] = STAGING
    """The formats that have a place for them."""


YEAR_ONE, YEAR_9999 = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)
PADDED = "€" * 21_845
"""65,535 bytes of UTF-8, which is all that a VARCHAR holds."""

KEPT: Mapping[str, Kept] = {
    "smallint": Kept("smallint", [-(2**15), 2**15 - 1, 0, None], ["-32768", "32767", "0", None]),
    "integer": Kept("integer", [-(2**31), 2**31 - 1, None], ["-2147483648", "2147483647", None]),
    "bigint": Kept(
        "bigint",
        [-(2**63), 2**63 - 1, 2**53 + 1, None],
        ["-9223372036854775808", "9223372036854775807", "9007199254740993", None],
    ),
    "decimal(1,0)": Kept("decimal(1,0)", [D(9), D(-9), None], ["9", "-9", None]),
    "decimal(18,4)": Kept(
        "decimal(18,4)",
        [D("99999999999999.9999"), D("-0.0001"), D("1.5000"), None],
        ["99999999999999.9999", "-0.0001", "1.5000", None],
    ),
    "decimal(19,2)": Kept(
        "decimal(19,2)",
        [D("92233720368547758.07"), D("-92233720368547758.07"), None],
        ["92233720368547758.07", "-92233720368547758.07", None],
    ),
    "decimal(38,37)": Kept(
        "decimal(38,37)",
        [D("9." + "9" * 37), D("-0." + "0" * 36 + "1"), None],
        ["9." + "9" * 37, "-0." + "0" * 36 + "1", None],
    ),
    "decimal(38,10)": Kept(
        "decimal(38,10)",
        [D("9" * 28 + "." + "9" * 10), D("-0.0000000001"), None],
        ["9" * 28 + "." + "9" * 10, "-0.0000000001", None],
    ),
    "decimal(38,0)": Kept("decimal(38,0)", [D("9" * 38), D(0), None], ["9" * 38, "0", None]),
    "real": Kept(
        "real",
        [real(0.1), 1.5, real(-3.4028234663852886e38), real(1.401298464324817e-45), None],
        ["0.1", "1.5", "-3.4028235e+38", "1e-45", None],
    ),
    "real beyond numbers": Kept(
        "real",
        [math.inf, -math.inf],
        ["Infinity", "-Infinity"],
        carried_by=("parquet", "csv"),
    ),
    "double precision": Kept(
        "double precision",
        [0.1, -1.7976931348623157e308, 5e-324, 1 / 3, None],
        ["0.1", "-1.7976931348623157e+308", "5e-324", "0.3333333333333333", None],
    ),
    "double beyond numbers": Kept(
        "double precision",
        [math.inf, -math.inf],
        ["Infinity", "-Infinity"],
        carried_by=("parquet", "csv"),
    ),
    "boolean": Kept("boolean", [True, False, None], ["true", "false", None]),
    "char": Kept("char(4)", ["abcd", "'\\\"", "", None], ["abcd", "'\\\"", "", None]),
    "char of all bytes": Kept("char(4096)", ["x" * 4096, "y"], ["x" * 4096, "y"]),
    "varchar": Kept(
        "varchar(40)",
        ["日本 ünï", "", " a,b;\r\n\t", "NULL", '"', "\\n'", None],
        ["日本 ünï", "", " a,b;\r\n\t", "NULL", '"', "\\n'", None],
    ),
    "varchar of all bytes": Kept("varchar(65535)", [PADDED, "x" * 65_535], [PADDED, "x" * 65_535]),
    "date": Kept(
        "date",
        [date(1, 1, 1), date(9999, 12, 31), date(2000, 2, 29), None],
        ["0001-01-01", "9999-12-31", "2000-02-29", None],
    ),
    "timestamp": Kept(
        "timestamp",
        [YEAR_ONE, YEAR_9999, datetime(1969, 12, 31, 23, 59, 59, 1), None],
        [
            "0001-01-01 00:00:00",
            "9999-12-31 23:59:59.999999",
            "1969-12-31 23:59:59.000001",
            None,
        ],
    ),
    "timestamptz": Kept(
        "timestamptz",
        [utc("0002-01-01"), utc("9998-12-31T23:59:59.999999"), utc("2013-11-03T05:30:00"), None],
        [
            "0002-01-01 00:00:00+00",
            "9998-12-31 23:59:59.999999+00",
            "2013-11-03 05:30:00+00",
            None,
        ],
    ),
    "time": Kept(
        "time",
        [time(0), time(23, 59, 59, 999999), None],
        ["00:00:00", "23:59:59.999999", None],
        carried_by=("csv",),
    ),
    "timetz": Kept(
        "timetz",
        ["12:30:00+02", "23:59:59.999999-11", None],
        ["12:30:00+02", "23:59:59.999999-11", None],
        carried_by=("csv",),
    ),
    "super": Kept(
        "super",
        ['{"a":[1,2],"b":{"c":"é\\n\\"","d":null}}', '{"a":[],"b":{"c":null,"d":1}}', None],
        ['{"a":[1,2],"b":{"c":"é\\n\\"","d":null}}', '{"a":[],"b":{"c":null,"d":1}}', None],
    ),
    "super of many shapes": Kept(
        "super",
        ['{"a":[1,"x",2.5]}', '"text"', "7", "[]", "true"],
        ['{"a":[1,"x",2.5]}', '"text"', "7", "[]", "true"],
        carried_by=("csv", "json"),
    ),
    "varbyte": Kept(
        "varbyte(16)",
        [b"\x00\xff'\\", b" ", bytes(range(16)), None],
        ["\\x00ff275c", "\\x20", "\\x" + bytes(range(16)).hex(), None],
        carried_by=("parquet", "csv"),
    ),
    "varbyte of no bytes": Kept("varbyte(1)", [b"", None], ["\\x", None], carried_by=("parquet",)),
    "geometry": Kept(
        "geometry",
        ["0101000000000000000000F03F0000000000000040", None],
        ["0101000000000000000000F03F0000000000000040", None],
        carried_by=("csv",),
    ),
    "geography": Kept(
        "geography",
        ["0101000020E6100000000000000000F03F0000000000000040", None],
        ["0101000020E6100000000000000000F03F0000000000000040", None],
        carried_by=("csv",),
    ),
    "hllsketch": Kept(
        "hllsketch",
        ['{"logm":15,"sparse":{"indices":[4878],"values":[1]}}', None],
        ['{"logm":15,"sparse":{"indices":[4878],"values":[1]}}', None],
        carried_by=("csv",),
    ),
    "interval year to month": Kept(
        "interval year to month",
        ["3 years 2 mons", "-1 years", None],
        ["3 years 2 mons", "-1 years", None],
        carried_by=("csv",),
    ),
    "interval day to second": Kept(
        "interval day to second",
        ["1 day 02:03:04.000005", "-00:00:01", None],
        ["1 day 02:03:04.000005", "-00:00:01", None],
        carried_by=("csv",),
    ),
}

UNREADABLE: Mapping[bool, Sequence[str]] = {
    False: ("interval year to month", "interval day to second"),
    True: ("time",),
}
"""What cannot be read over the connection, and by UNLOAD; see the tests that should not fail."""

FRAMES: Mapping[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "pandas nullable": lambda table: table.to_pandas(types_mapper=_nullable),
    "pandas arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas objects": lambda table: pd.DataFrame(
        {name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names}
    ),
    "polars": pl.from_arrow,
    "polars lazy": lambda table: pl.from_arrow(table).lazy(),  # type: ignore[union-attr]
}
WITHOUT_NULL = ("pandas",)
"""Frames whose whole numbers and booleans have no place for a NULL."""


def _nullable(kind: pa.DataType) -> Any:
    return {
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.float32(): pd.Float32Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.string(): pd.StringDtype(),
    }.get(kind)


class Lab:
    """A table on the stand-in, by way of two targets: one reads by UNLOAD whatever there is."""

    def __init__(
        self,
        stand_in: RedshiftStandIn,
        make: MakeProject,
        columns: Mapping[str, str],
        staging: str = "parquet",
        **spec: Any,
    ) -> None:
        self.stand_in = stand_in
        data = {
            "schema": "s",
            "name": "t",
            "columns": [
                {"name": "id", "data_type": "integer"},
                *({"name": name, "data_type": kind} for name, kind in columns.items()),
            ],
            "staging": {"format": staging},
            **spec,
        }
        settings = redshift_target(stand_in)
        self.project = make({"t.yml": data}, **settings)
        self.unloading = make({"t.yml": data}, folder="unloading", **settings, unload_rows=0)
        (self.spec,) = self.project.catalog.specs()

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
        """Values in the Arrow types that their columns are staged as, with the number of each row.

        Columns that are shorter than others begin again.
        """
        schema = arrow_schema(self.spec.columns)
        rows = max(map(len, columns.values()))
        arrays = {"id": pa.array(range(rows), pa.int32())}
        for name, values in columns.items():
            arrays[name] = pa.array(around(values, rows), schema.field(name).type)
        return pa.table(arrays)

    def load(self, frame: object) -> None:
        """Load a frame of any kind."""
        self.project.load(self.spec, frame)

    def read(self, *, unload: bool, columns: Sequence[str] | None = None) -> dict[str, list[Any]]:
        """What is read back, over the connection or by UNLOAD, in the order of the rows."""
        project = self.unloading if unload else self.project
        self.stand_in.statements.clear()
        names = None if columns is None else ["id", *columns]
        found: Any = project.read(self.spec, as_="arrow", columns=names)
        wanted = [self.spec.by_name[name] for name in names or self.spec.by_name]
        assert found.schema == arrow_schema(wanted)
        unloads = [one for one in self.stand_in.statements if one.sql.startswith("UNLOAD")]
        assert bool(unloads) == unload
        table: dict[str, list[Any]] = found.sort_by("id").drop_columns("id").to_pydict()
        return table

    def stored(self, column: str) -> list[str | None]:
        """What PostgreSQL holds, as text."""
        rows = self.stand_in.query(f'SELECT "{column}"::text FROM s.t ORDER BY id')
        return [text for (text,) in rows]


def around(values: Sequence[Any], rows: int) -> list[Any]:
    return [values[row % len(values)] for row in range(rows)]


def plainly(kind: str, values: Sequence[Any]) -> list[str]:
    """Values so that equal ones are equal: instants in UTC, documents parsed, NaN as a word."""

    def plain(value: Any) -> str:
        if kind == "super" and value is not None:
            value = json.loads(value)
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = value.astimezone(UTC)
        return repr(value)

    return list(map(plain, values))


def differing(
    cases: Mapping[str, Kept], wanted: Mapping[str, Sequence[Any]], found: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The columns that do not hold what they should: what they hold, and what they should."""
    return {
        name: (found[name], wanted[name])
        for name, case in cases.items()
        if plainly(case.data_type, found[name]) != plainly(case.data_type, wanted[name])
    }


@pytest.mark.parametrize("form", FRAMES)
@pytest.mark.parametrize("staging", STAGING)
def test_every_value_is_stored_and_read_back_as_it_was(
    stand_in: RedshiftStandIn, make_project: MakeProject, staging: str, form: str
) -> None:
    """The warehouse holds exactly the values, and both ways of reading give them back."""
    cases = {name: case for name, case in KEPT.items() if staging in case.carried_by}
    lab = Lab(stand_in, make_project, {n: case.data_type for n, case in cases.items()}, staging)
    values = {name: list(case.values) for name, case in cases.items()}
    stored = {name: list(case.stored) for name, case in cases.items()}
    if form in WITHOUT_NULL:
        values = {name: [v for v in found if v is not None] for name, found in values.items()}
        stored = {name: [v for v in found if v is not None] for name, found in stored.items()}
    frame = lab.frame(values)
    lab.load(FRAMES[form](frame))
    texts = {name: around(stored[name], len(frame)) for name in cases}
    kept = {name: around(values[name], len(frame)) for name in cases}
    assert differing(cases, texts, {name: lab.stored(name) for name in cases}) == {}
    for unload in (False, True):
        names = [name for name in cases if cases[name].data_type not in UNREADABLE[unload]]
        readable = {name: cases[name] for name in names}
        assert differing(readable, kept, lab.read(unload=unload, columns=names)) == {}


# What Arrow has besides.

NANO = 1_000
TOKYO = timezone(timedelta(hours=9))
PAIR = pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))])


def carriers(data_type: str) -> Sequence[str]:
    """The staging formats that a column of this type may have."""
    name = data_type.partition("(")[0]
    if name == "varbyte":
        return ("parquet", "csv")
    textual = ("time", "timetz", "geometry", "geography", "hllsketch")
    return ("csv",) if name in textual or name.startswith("interval") else STAGING


OTHERS: Mapping[str, tuple[str, pa.Array, Sequence[str | None]]] = {
    "smallint of uint8": ("smallint", pa.array([0, 255, None], pa.uint8()), ["0", "255", None]),
    "smallint of int8": ("smallint", pa.array([-128, 127], pa.int8()), ["-128", "127"]),
    "smallint of int64": ("smallint", pa.array([-(2**15)], pa.int64()), ["-32768"]),
    "smallint of floats": ("smallint", pa.array([-7.0, None]), ["-7", None]),
    "integer of uint16": ("integer", pa.array([65_535], pa.uint16()), ["65535"]),
    "integer of a dictionary": (
        "integer",
        pa.array([7, 8, None, 7], pa.int64()).dictionary_encode(),
        ["7", "8", None, "7"],
    ),
    "bigint of uint32": ("bigint", pa.array([2**32 - 1], pa.uint32()), ["4294967295"]),
    "bigint of uint64": ("bigint", pa.array([2**63 - 1], pa.uint64()), ["9223372036854775807"]),
    "bigint of a decimal": ("bigint", pa.array([D("7.00")]), ["7"]),
    "decimal of uint64": (
        "decimal(20,0)",
        pa.array([2**64 - 1], pa.uint64()),
        ["18446744073709551615"],
    ),
    "decimal of decimal256": (
        "decimal(18,4)",
        pa.array([D("1.5"), None], pa.decimal256(60, 9)),
        ["1.5000", None],
    ),
    "decimal of decimal32": ("decimal(18,4)", pa.array([D("1.5")], pa.decimal32(9, 2)), ["1.5000"]),
    "decimal of a float": ("decimal(18,4)", pa.array([0.1, -2.5]), ["0.1000", "-2.5000"]),
    "decimal of text": ("decimal(18,4)", pa.array(["0.1", "-2e3"]), ["0.1000", "-2000.0000"]),
    "real of half floats": ("real", pa.array([1.5, None], pa.float16()), ["1.5", None]),
    "double of float32": ("double precision", pa.array([1.5], pa.float32()), ["1.5"]),
    "double of uint8": ("double precision", pa.array([255], pa.uint8()), ["255"]),
    "boolean of run ends": (
        "boolean",
        pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([True, False])),
        ["true", "true", "false"],
    ),
    "varchar of a dictionary": (
        "varchar(9)",
        pa.array(["a", None, "ü", "a"]).dictionary_encode(),
        ["a", None, "ü", "a"],
    ),
    "varchar of large text": ("varchar(9)", pa.array(["ü", None], pa.large_string()), ["ü", None]),
    "varchar of a view": ("varchar(9)", pa.array(["ü", None], pa.string_view()), ["ü", None]),
    "varchar of a dictionary of large text": (
        "varchar(9)",
        pa.array(["ü", None], pa.large_string()).dictionary_encode(),
        ["ü", None],
    ),
    "date of milliseconds": (
        "date",
        pa.array([date(2013, 1, 1), None], pa.date64()),
        ["2013-01-01", None],
    ),
    "date of midnights": ("date", pa.array([datetime(2013, 1, 1)]), ["2013-01-01"]),
    "timestamp of nanoseconds": (
        "timestamp",
        pa.array([NANO, -NANO, None], pa.timestamp("ns")),
        ["1970-01-01 00:00:00.000001", "1969-12-31 23:59:59.999999", None],
    ),
    "timestamp of milliseconds": (
        "timestamp",
        pa.array([1, None], pa.timestamp("ms")),
        ["1970-01-01 00:00:00.001", None],
    ),
    "timestamp of seconds": (
        "timestamp",
        pa.array([-1, None], pa.timestamp("s")),
        ["1969-12-31 23:59:59", None],
    ),
    "timestamp of dates": ("timestamp", pa.array([date(2013, 1, 1)]), ["2013-01-01 00:00:00"]),
    "timestamptz of nanoseconds": (
        "timestamptz",
        pa.array([NANO], pa.timestamp("ns", "UTC")),
        ["1970-01-01 00:00:00.000001+00"],
    ),
    "timestamptz of a zone": (
        "timestamptz",
        pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "America/New_York")),
        ["2013-01-01 00:00:00+00"],
    ),
    "timestamptz of an offset": (
        "timestamptz",
        pa.array([datetime(2013, 1, 1, 9, tzinfo=TOKYO)], pa.timestamp("ms", "+09:00")),
        ["2013-01-01 00:00:00+00"],
    ),
    "timestamptz of text": (
        "timestamptz",
        pa.array(["2013-01-01T09:00:00+09:00"]),
        ["2013-01-01 00:00:00+00"],
    ),
    "super of structs": (
        "super",
        pa.array([{"x": 1, "y": ["a"]}, {"x": None, "y": []}, None], PAIR),
        ['{"x":1,"y":["a"]}', '{"x":null,"y":[]}', None],
    ),
    "super of structs in lists": (
        "super",
        pa.array([[{"x": 1, "y": None}], [], None], pa.large_list(PAIR)),
        ['[{"x":1,"y":null}]', "[]", None],
    ),
    "super of a dictionary of text": (
        "super",
        pa.array(['{"x":1}', None, '{"x":2}']).dictionary_encode(),
        ['{"x":1}', None, '{"x":2}'],
    ),
    "super of lists of a size": ("super", pa.array([[1, 2]], pa.list_(pa.int8(), 2)), ["[1,2]"]),
    "super of maps": (
        "super",
        pa.array([[("x", 1), ("y", 2)]], pa.map_(pa.string(), pa.int64())),
        ['{"x":1,"y":2}'],
    ),
    "super of large text": (
        "super",
        pa.array(['{"x":"ü"}'], pa.large_string()),
        ['{"x":"ü"}'],
    ),
    "varbyte of large binary": (
        "varbyte(9)",
        pa.array([b"\xff", None], pa.large_binary()),
        ["\\xff", None],
    ),
    "varbyte of a view": (
        "varbyte(9)",
        pa.array([b"\xff", None], pa.binary_view()),
        ["\\xff", None],
    ),
    "varbyte of a size": (
        "varbyte(9)",
        pa.array([b"\xff\x00", None], pa.binary(2)),
        ["\\xff00", None],
    ),
    "time of seconds": (
        "time",
        pa.array([time(1, 2, 3), None], pa.time32("s")),
        ["01:02:03", None],
    ),
    "time of nanoseconds": (
        "time",
        pa.array([NANO, None], pa.time64("ns")),
        ["00:00:00.000001", None],
    ),
    "interval of durations": (
        "interval day to second",
        pa.array([timedelta(days=1, seconds=1), timedelta(hours=-26), None], pa.duration("ns")),
        ["1 day 00:00:01", "-1 days -02:00:00", None],
    ),
    "interval of months": (
        "interval year to month",
        pa.array([pa.MonthDayNano([14, 0, 0]), None]),
        ["1 year 2 mons", None],
    ),
    **{
        f"{name} of nothing": (case.data_type, pa.nulls(1), [None])
        for name, case in KEPT.items()
        if name == case.data_type
    },
}


@pytest.mark.parametrize("staging", STAGING)
def test_whatever_arrow_calls_a_value_it_is_stored_as_its_column_declares(
    stand_in: RedshiftStandIn, make_project: MakeProject, staging: str
) -> None:
    """Dictionaries, views, unsigned numbers, other units and nulls become the declared type."""
    others = {name: entry for name, entry in OTHERS.items() if staging in carriers(entry[0])}
    rows = 12  # a multiple of all lengths
    lab = Lab(stand_in, make_project, {name: entry[0] for name, entry in others.items()}, staging)
    columns = {
        name: pa.concat_arrays([array] * (rows // len(array)))
        for name, (_, array, _) in others.items()
    }
    lab.load(pa.table({"id": pa.array(range(rows)), **columns}))
    cases = {n: Kept(kind, [], around(stored, rows)) for n, (kind, _, stored) in others.items()}
    wanted = {name: case.stored for name, case in cases.items()}
    assert differing(cases, wanted, {name: lab.stored(name) for name in cases}) == {}


# What has no place.


@pytest.mark.parametrize(
    ("data_type", "staging"),
    [
        (kind, staging)
        for kind in sorted({case.data_type for case in KEPT.values()})
        for staging in STAGING
        if staging not in carriers(kind)
    ],
)
def test_a_format_that_cannot_carry_a_type_is_refused_by_name(
    stand_in: RedshiftStandIn, make_project: MakeProject, data_type: str, staging: str
) -> None:
    """The spec is refused, with the column's line, its type, the format and one that will do."""
    with pytest.raises(SpecError) as caught:
        Lab(stand_in, make_project, {"c": data_type}, staging)
    kind = data_type.partition("(")[0]
    assert f"columns[1].data_type: Redshift cannot load {kind} from {staging}" in str(caught.value)
    assert "hint: set staging: {format: " in str(caught.value)
    assert stand_in.statements == []


NAIVE = pa.array([datetime(2013, 1, 1)])
REFUSED: Mapping[str, tuple[str, Any, Sequence[str], str]] = {
    "a smallint too large": ("smallint", pa.array([2**15]), STAGING, "32768 is outside the range"),
    "an integer too large": ("integer", pa.array([2**31]), STAGING, "is outside the range"),
    "a bigint too large": ("bigint", pa.array([2**63], pa.uint64()), STAGING, "outside the range"),
    "a fraction": ("integer", pa.array([1.5]), STAGING, "1.5 is not a whole number"),
    "decimals": ("decimal(18,4)", pa.array([D("0.00001")]), STAGING, "has 5 decimals"),
    "digits": ("decimal(1,0)", pa.array([D(10)]), STAGING, "has 2 digits before the point"),
    "more than 64 bits": (
        "decimal(19,2)",
        pa.array([D("92233720368547758.08")]),
        STAGING,
        "Redshift stores decimal(19,2) in 64 bits",
    ),
    "no decimal": ("decimal(18,4)", pa.array([math.nan]), STAGING, "nan is not a finite number"),
    "a real too large": ("real", pa.array([1e39]), STAGING, "is too large for real"),
    "a real too fine": ("real", pa.array([1 / 3]), STAGING, "has more digits than real holds"),
    "NaN": ("real", pa.array([math.nan], pa.float32()), ["json"], "cannot be staged as JSON"),
    "infinity": ("double precision", pa.array([-math.inf]), ["json"], "cannot be staged as JSON"),
    "a word": ("boolean", pa.array(["maybe"]), STAGING, "'maybe' is not a boolean"),
    "a byte too many": (
        "varchar(65535)",
        pa.array([PADDED + "x"]),
        STAGING,
        "has 65536 bytes, varchar(65535) holds 65535",
    ),
    "a character of two bytes": ("varchar(1)", pa.array(["ü"]), STAGING, "'ü' has 2 bytes"),
    "a character outside ASCII": ("char(4)", pa.array(["ü"]), STAGING, "outside ASCII"),
    "a number as text": ("varchar(9)", pa.array([7]), STAGING, "7 is a number"),
    "the mark of NULL": ("varchar(9)", pa.array(["\\N"]), ["csv"], "means NULL in staged CSV"),
    "a time of day": ("date", pa.array([datetime(2013, 1, 1, 5)]), STAGING, "has a time of day"),
    "a date beyond Python": (
        "date",
        pa.array([2_932_897], pa.int32()).cast(pa.date32()),
        STAGING,
        "10000-01-01 is out of range",
    ),
    "a time stamp beyond Python": (
        "timestamp",
        pa.array([-62_135_596_801], pa.timestamp("s")),
        STAGING,
        "0000-12-31 23:59:59 is out of range",
    ),
    "nanoseconds": (
        "timestamp",
        pa.array([1], pa.timestamp("ns")),
        STAGING,
        "is finer than a microsecond",
    ),
    "nanoseconds in a zone": (
        "timestamptz",
        pa.array([1], pa.timestamp("ns", "UTC")),
        STAGING,
        "is finer than a microsecond",
    ),
    "a zone too much": (
        "timestamp",
        pa.array([utc("2013-01-01")], pa.timestamp("us", "UTC")),
        STAGING,
        "has a time zone, which a timestamp cannot keep",
    ),
    "no zone": ("timestamptz", NAIVE, STAGING, "has no time zone"),
    "a time of nanoseconds": (
        "time",
        pa.array([1], pa.time64("ns")),
        ["csv"],
        "is finer than a microsecond",
    ),
    "a time without an offset": ("timetz", pa.array(["12:30:00"]), ["csv"], "is not a timetz"),
    "text that is not valid JSON": ("super", pa.array(["plain"]), STAGING, "'plain' is not JSON"),
    "binary in a document": ("super", pa.array([{"x": b"y"}]), STAGING, "JSON cannot represent"),
    "keys that are numbers": (
        "super",
        pa.array([[(1, 1)]], pa.map_(pa.int64(), pa.int64())),
        STAGING,
        "keys of a JSON object must be",
    ),
    "a byte of binary too many": (
        "varbyte(1)",
        pa.array([b"xy"]),
        ["parquet", "csv"],
        "has 2 bytes, varbyte(1) holds 1",
    ),
    "text as binary": ("varbyte(9)", pa.array(["ff"]), ["parquet", "csv"], "is text, not a varb"),
    "no bytes": (
        "varbyte(9)",
        pa.array([b""]),
        ["csv"],
        "no bytes, which a CSV",
    ),
    "days as months": (
        "interval year to month",
        pa.array([timedelta(days=31)]),
        ["csv"],
        "is a duration of days",
    ),
    "months as days": (
        "interval day to second",
        pa.array([pa.MonthDayNano([1, 0, 0])]),
        ["csv"],
        "has months",
    ),
    "half a character": (
        "varchar(9)",
        pd.DataFrame({"id": [0], "c": pd.Series(["\ud800"], dtype=object)}),
        STAGING,
        "unpaired surrogate",
    ),
}


def untouched(lab: Lab) -> None:
    """Nothing was staged, and no table but perhaps the ledger was made."""
    assert lab.stand_in.objects() == []
    tables = lab.stand_in.query("SELECT schemaname FROM pg_tables WHERE schemaname = 's'")
    assert tables == []


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_does_not_fit_is_refused_by_column_and_row(
    stand_in: RedshiftStandIn, make_project: MakeProject, name: str
) -> None:
    """Before anything is uploaded: the column, the row, the value and why it does not fit."""
    data_type, values, formats, words = REFUSED[name]
    frame = pa.table({"id": [0], "c": values}) if isinstance(values, pa.Array) else values
    for staging in formats:
        lab = Lab(stand_in, make_project, {"c": data_type}, staging)
        with pytest.raises(FrameError) as caught:
            lab.load(frame)
        assert "1 row of the frame does not fit s.t; nothing was loaded\n  c  row 1: " in str(
            caught.value
        )
        assert words in str(caught.value)
        untouched(lab)


# Documents.

DOCUMENTS = {
    "an object": ('{"a":{"b":[1,2.5,"x",null,true]}}', "object", ["csv", "json"]),
    "a list": ('[{"a":1},{"a":2}]', "array", STAGING),
    "a list of nothing": ("[]", "array", STAGING),
    "an object of one shape": ('{"a":{"b":[1,2]},"c":"é"}', "object", STAGING),
    "odd keys": ('{"":1,"a.b":2,"q\\"x":"\\n","日":[true]}', "object", STAGING),
    "text": ('"text"', "string", ["csv", "json"]),
    "text that looks like a document": ('"{\\"a\\":1}"', "string", ["csv", "json"]),
    "a number of many digits": ('{"a":1234567890123456789.125}', "object", ["csv", "json"]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_super_holds_the_document_and_not_its_text(
    stand_in: RedshiftStandIn, make_project: MakeProject, name: str
) -> None:
    """JSON text becomes a document that can be navigated; what Parquet cannot hold is refused."""
    text, kind, formats = DOCUMENTS[name]
    for staging in STAGING:
        stand_in.reset()
        lab = Lab(stand_in, make_project, {"c": "super"}, staging)
        frame = pa.table({"id": [0], "c": [text]})
        if staging in formats:
            lab.load(frame)
            types = stand_in.query("SELECT jsonb_typeof(c), c = %s::jsonb FROM s.t", text)
            assert types == [(kind, True)]
        else:
            with pytest.raises(FrameError, match=r"`c` do not share one structure") as no:
                lab.load(frame)
            assert "staging: {format: json}" in str(no.value)
            untouched(lab)


def test_an_instant_is_one_whatever_its_offset(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """TIMESTAMPTZ holds the instant: the same one for each way to write it."""
    written = ["2013-01-01T00:00:00Z", "2013-01-01 09:00:00+09:00", "2012-12-31T18:30:00-0530"]
    for staging in STAGING:
        stand_in.reset()
        lab = Lab(stand_in, make_project, {"c": "timestamptz"}, staging)
        lab.load(pa.table({"id": [0, 1, 2], "c": written}))
        instants = stand_in.query("SELECT DISTINCT c, extract(epoch FROM c)::bigint FROM s.t")
        assert instants == [(utc("2013-01-01"), 1_356_998_400)]


def test_nan_is_a_number_to_arrow_and_null_to_pandas(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """NaN of Arrow and Polars is kept, and that of a pandas frame is its way to write NULL."""
    table = pa.table({"id": [0, 1], "c": [math.nan, 1.0]})
    for form, stored in [("arrow", "NaN"), ("polars", "NaN"), ("pandas", None)]:
        for staging in ("parquet", "csv"):
            lab = Lab(stand_in, make_project, {"c": "double precision"}, staging)
            lab.load(FRAMES[form](table))
            assert lab.stored("c") == [stored, "1"]
            for unload in (False, True):
                first = lab.read(unload=unload)["c"][0]
                assert repr(first) == ("nan" if stored else "None")


@pytest.mark.parametrize("unload", [False, True], ids=["connection", "unload"])
@pytest.mark.parametrize("form", ["pandas", "polars", "arrow"])
def test_a_table_is_read_in_the_types_of_its_spec(
    stand_in: RedshiftStandIn,
    make_project: MakeProject,
    form: Literal["pandas", "polars", "arrow"],
    unload: bool,
) -> None:
    """What is read as pandas, Polars or Arrow can be loaded again, and is then what it was."""
    cases = {
        name: case
        for name, case in KEPT.items()
        if "parquet" in case.carried_by and "all bytes" not in name
    }
    lab = Lab(stand_in, make_project, {name: case.data_type for name, case in cases.items()})
    lab.load(lab.frame({name: case.values for name, case in cases.items()}))
    before = {name: lab.stored(name) for name in cases}
    project = lab.unloading if unload else lab.project
    frame = project.read(lab.spec, as_=form)
    lab.load(frame)
    assert {name: lab.stored(name) for name in cases} == before


# What should hold, and does not yet.

INTERVALS = {"y": "interval year to month", "d": "interval day to second"}


def test_intervals_are_read_over_the_connection(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """An interval comes back as the text of what is stored, as it does by UNLOAD."""
    lab = Lab(stand_in, make_project, INTERVALS, "csv")
    values = {"y": ["3 years 2 mons", None], "d": ["1 day 02:03:04.000005", None]}
    lab.load(lab.frame(values))
    assert lab.read(unload=True) == values
    assert lab.read(unload=False) == values


def test_times_are_read_by_unload(stand_in: RedshiftStandIn, make_project: MakeProject) -> None:
    """UNLOAD has no Parquet type for TIME, and the times come back all the same."""
    lab = Lab(stand_in, make_project, {"c": "time"}, "csv")
    values = {"c": [time(0), time(23, 59, 59, 999999), None]}
    lab.load(lab.frame(values))
    assert lab.read(unload=False) == values
    assert lab.read(unload=True) == values


def test_time_stamps_of_int96_are_read_by_unload(
    stand_in: RedshiftStandIn, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that unloads time stamps as INT96 is read in all years."""
    lab = Lab(stand_in, make_project, {"c": "timestamp", "z": "timestamptz"})
    stamps = [datetime(9999, 12, 31), datetime(2026, 1, 1, 12, 0, 0, 1), datetime(1, 1, 1), None]
    zoned = [stamp and stamp.replace(tzinfo=UTC) for stamp in stamps]
    lab.load(lab.frame({"c": stamps, "z": zoned}))
    monkeypatch.setattr(Unloader, "int96", True)
    assert lab.read(unload=True) == {"c": stamps, "z": zoned}


LATE: Mapping[str, tuple[str, Any, Sequence[str]]] = {
    "NUL in text": ("varchar(9)", pa.array(["a\0b"]), STAGING),
    "NUL in a document": ("super", pa.array(['{"a":"\\u0000"}']), STAGING),
    "text too long for a document": ("super", pa.array(['{"a":"' + "x" * 65_536 + '"}']), STAGING),
    "a document above 1 MB": ("super", pa.array(["[" + "1," * 524_288 + "1]"]), ["csv"]),
    "half a character in a document": ("super", pa.array(['{"a":"\\ud800"}']), ["csv", "json"]),
    "no interval": ("interval day to second", pa.array(["nonsense"]), ["csv"]),
}


@pytest.mark.parametrize("name", LATE)
def test_what_redshift_cannot_hold_is_refused_before_it_is_uploaded(
    stand_in: RedshiftStandIn, make_project: MakeProject, name: str
) -> None:
    """Values that no Redshift column holds are refused by row, or set aside, like any other."""
    data_type, values, formats = LATE[name]
    for staging in formats:
        lab = Lab(stand_in, make_project, {"c": data_type}, staging)
        with pytest.raises(FrameError, match="c  row 1: "):
            lab.load(pa.table({"id": [0], "c": values}))
        untouched(lab)


SILENT: Mapping[str, tuple[str, Any, Sequence[str]]] = {
    "a key twice": ("super", pa.array(['{"a":1,"a":2}']), STAGING),
    "null that is a document": ("super", pa.array(["null"]), ["json"]),
    "days in months": ("interval year to month", pa.array(["1 day"]), ["csv"]),
}


@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_changed_silently(
    stand_in: RedshiftStandIn, make_project: MakeProject, name: str
) -> None:
    """A value that would be stored as another one is refused."""
    data_type, values, formats = SILENT[name]
    for staging in formats:
        lab = Lab(stand_in, make_project, {"c": data_type}, staging)
        with pytest.raises(FrameError, match="c  row 1: "):
            lab.load(pa.table({"id": [0], "c": values}))
