"""Every Redshift type, by every staging format, from every kind of frame: kept, or refused by name.

What was stored is looked at twice: as the loader reads it back, over the connection and by UNLOAD,
and as PostgreSQL behind the stand-in holds it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loader.conform import arrow_schema
from loader.config import RedshiftTarget
from loader.errors import FrameError, LoaderError, SpecError, StageError
from loader.project import Project
from loader.spec import TableSpec
from tests.conftest import MakeProject, redshift_target
from tests.redshift.server import StandIn

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
    staged_as: Sequence[str] = STAGING
    """The formats that carry the type; the spec refuses the others."""
    only: Sequence[str] = STAGING
    """The formats that carry these values."""
    read: Sequence[Any] | None = None
    """What is read back, where that is spelled otherwise."""


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
        only=("parquet", "csv"),
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
        only=("parquet", "csv"),
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
        staged_as=("csv",),
    ),
    "timetz": Kept(
        "timetz",
        ["12:30:00+02", "23:59:59.999999-11", None],
        ["12:30:00+02", "23:59:59.999999-11", None],
        staged_as=("csv",),
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
        only=("csv", "json"),
    ),
    "varbyte": Kept(
        "varbyte(16)",
        [b"\x00\xff'\\", b" ", bytes(range(16)), None],
        ["\\x00ff275c", "\\x20", "\\x" + bytes(range(16)).hex(), None],
        staged_as=("parquet", "csv"),
    ),
    "varbyte of no bytes": Kept(
        "varbyte(1)", [b"", None], ["\\x", None], staged_as=("parquet", "csv"), only=("parquet",)
    ),
    "geometry": Kept(
        "geometry",
        ["0101000000000000000000F03F0000000000000040", None],
        ["0101000000000000000000F03F0000000000000040", None],
        staged_as=("csv",),
    ),
    "geography": Kept(
        "geography",
        ["0101000020E6100000000000000000F03F0000000000000040", None],
        ["0101000020E6100000000000000000F03F0000000000000040", None],
        staged_as=("csv",),
    ),
    "hllsketch": Kept(
        "hllsketch",
        ['{"logm":15,"sparse":{"indices":[4878],"values":[1]}}', None],
        ['{"logm":15,"sparse":{"indices":[4878],"values":[1]}}', None],
        staged_as=("csv",),
    ),
    "interval year to month": Kept(
        "interval year to month",
        ["3 years 2 mons", "-1 years", None],
        ["3 years 2 mons", "-1 years", None],
        staged_as=("csv",),
    ),
    "interval day to second": Kept(
        "interval day to second",
        ["1 day 02:03:04.000005", "-00:00:01", None],
        ["1 day 02:03:04.000005", "-00:00:01", None],
        staged_as=("csv",),
    ),
}

FRAMES: Mapping[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.filter(table["c"].is_valid()).to_pandas(),
    "pandas nullable": lambda table: table.to_pandas(types_mapper=_nullable),
    "pandas arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas objects": lambda table: pd.DataFrame(
        {name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names}
    ),
    "polars": pl.from_arrow,
    "polars lazy": lambda table: pl.from_arrow(table).lazy(),
}


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
    """A table of one column on the stand-in."""

    def __init__(
        self, stand_in: StandIn, make: MakeProject, data_type: str, staging: str, **spec: Any
    ) -> None:
        self.stand_in = stand_in
        data = {
            "schema": "s",
            "name": "t",
            "columns": [
                {"name": "id", "data_type": "integer"},
                {"name": "c", "data_type": data_type},
            ],
            "staging": {"format": staging},
            **spec,
        }
        self.project = make({"t.yml": data}, **redshift_target(stand_in))
        self.unloading = make({"t.yml": data}, **redshift_target(stand_in, unload_rows=0), folder="u")
        (self.spec,) = self.project.catalog.specs()

    def frame(self, values: Sequence[Any]) -> pa.Table:
        """The values in the Arrow type that the column is staged as."""
        kind = arrow_schema([self.spec.by_name["c"]]).field("c").type
        return numbered(pa.array(values, kind))

    def load(self, frame: object) -> None:
        self.project.load(self.spec, frame)

    def read(self, *, unload: bool) -> list[Any]:
        """What is read back, over the connection or by UNLOAD, in the order of the rows."""
        project = self.unloading if unload else self.project
        self.stand_in.statements.clear()
        found: Any = project.read(self.spec, as_="arrow")
        assert found.schema == arrow_schema(self.spec.columns)
        unloads = [s for s in self.stand_in.statements if s.sql.startswith("UNLOAD")]
        assert bool(unloads) == unload
        return found.sort_by("id")["c"].to_pylist()

    def stored(self) -> list[str | None]:
        """What PostgreSQL holds, as text."""
        return [text for (text,) in self.stand_in.query("SELECT c::text FROM s.t ORDER BY id")]


def numbered(values: Any) -> pa.Table:
    """A frame of these values and the numbers of their rows."""
    return pa.table({"id": pa.array(range(len(values)), pa.int32()), "c": values})


def same(kind: str, left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two columns are equal: documents as documents, everything else to the letter."""
    if kind == "super":
        left, right = ([v and json.loads(v) for v in values] for values in (left, right))
    return list(map(repr, left)) == list(map(repr, right))


@pytest.mark.parametrize("form", FRAMES)
@pytest.mark.parametrize(
    ("name", "staging"),
    [
        pytest.param(name, staging, id=f"{name}-{staging}")
        for name, case in KEPT.items()
        for staging in STAGING
        if staging in case.staged_as and staging in case.only
    ],
)
def test_a_value_is_stored_and_read_back_as_it_was(
    stand_in: StandIn, make_project: MakeProject, name: str, staging: str, form: str
) -> None:
    """The warehouse holds exactly the values, and both ways of reading give them back."""
    case = KEPT[name]
    lab = Lab(stand_in, make_project, case.data_type, staging)
    lab.load(FRAMES[form](lab.frame(case.values)))
    rows = [row for row, v in enumerate(case.values) if form != "pandas" or v is not None]
    values, stored = [case.values[row] for row in rows], [case.stored[row] for row in rows]
    assert same(case.data_type, lab.stored(), stored)
    assert same(case.data_type, lab.read(unload=False), values)
    assert same(case.data_type, lab.read(unload=True), values)
