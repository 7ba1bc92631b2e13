"""Converts the values of a column to comparable Arrow arrays, and finds their range.

Equal values become equal, however they are written: ``10:00`` and ``10:00:00`` are the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import is_arrow, to_plain
from loader.data.cast.scalars import to_builtin

Family = str
"""``whole``, ``time``, ``zoned`` or ``text``: values of one family are comparable."""

_FAMILIES: dict[str, Family] = {
    "whole": "whole",
    "smallint": "whole",
    "integer": "whole",
    "bigint": "whole",
    "date": "time",
    "timestamp": "time",
    "timestamptz": "zoned",
    "varchar": "text",
}
"""Kinds of guesses → the family of their values; other kinds are not compared."""

_ARROW = {
    "whole": pa.int64(),
    "time": pa.timestamp("us"),
    "zoned": pa.timestamp("us", "UTC"),
    "text": pa.string(),
}

MOST_DAYS = 20_000
"""The most distinct days that are kept; more than fifty years are not useful partitions."""

_FAULTS = (pa.ArrowException, ValueError, TypeError, OverflowError)


def to_plain_values(values: Any) -> Any:
    """A column as a plain Arrow array, or as a list of objects."""
    return to_plain(values) if is_arrow(values) else list(map(to_builtin, values))


def count_nulls(values: Any) -> int:
    """Count the NULLs in plain values."""
    if is_arrow(values):
        return int(values.null_count)
    return sum(value is None for value in values)


def to_comparable(values: Any, kind: str) -> tuple[Family, Any] | None:
    """Convert plain values to their family's Arrow type; None when they are not comparable.

    Args:
        values: As `to_plain_values` gives them.
        kind: The kind of the current guess about the column.
    """
    family = _FAMILIES.get(kind)
    if family is None:
        return None
    try:
        if not is_arrow(values):
            values = _of_objects(values)
        if pa.types.is_integer(values.type) or pa.types.is_string(values.type):
            return family, values.cast(_ARROW[family])
        # Nanoseconds are truncated: at worst, a key is not found.
        return family, values.cast(_ARROW[family], safe=False)
    except _FAULTS:
        return None


def _of_objects(values: Any) -> Any:
    if any(type(value) is date for value in values):
        values = [datetime(v.year, v.month, v.day) if type(v) is date else v for v in values]
    return pa.array(values)


@dataclass
class Range:
    """The minimum and maximum of a column, and the days that occur."""

    family: Family = ""
    low: Any = None
    high: Any = None
    days: set[int] = field(default_factory=set)
    """Days since 1970; empty for text and numbers."""
    known: bool = True
    """Whether all values so far are comparable."""

    def add(self, found: tuple[Family, Any] | None) -> None:
        """Add the values of a chunk."""
        if found is None or (self.family and self.family != found[0]):
            self.known = False
        if not self.known or found is None:
            return
        self.family, values = found
        if self.family == "text":
            return
        ends = pc.min_max(values)
        if not ends["min"].is_valid:
            return
        try:
            low, high = ends["min"].as_py(), ends["max"].as_py()
        except (ValueError, OverflowError):  # years outside the range of Python
            self.known = False
            return
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if self.family != "whole" and len(self.days) <= MOST_DAYS:
            days = pc.unique(values.cast(pa.date32(), safe=False).drop_null()).view(pa.int32())
            self.days.update(days.to_pylist())
