"""Other ways to write numbers and times than the default: decimal commas, 31.12.2026.

Which of them fit all values of a column is found chunk by chunk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import pyarrow.compute as pc

from loader.data.cast.column import ColumnCast
from loader.data.cast.errors import CastOptions
from loader.sql.datatypes import DataType

WHOLE = "1"
"""Whole numbers, in which no mark was seen."""

COMMA = "1,5"
"""Decimal commas."""

COMMA_GROUPS = "1,234"
"""Commas that may be between thousands."""

POINT_GROUPS = "1.234"
"""Points that may be between thousands."""

GROUPS = "1.234,5"
"""Any thousands separators, which loads do not read."""

_NUMBERS = {
    WHOLE: "-?(0|[1-9][0-9]*)",
    COMMA: "-?((0|[1-9][0-9]*)(,[0-9]+)?|,[0-9]+)",
    COMMA_GROUPS: "-?(0|[1-9][0-9]{0,2}(,[0-9]{3})*)",
    POINT_GROUPS: r"-?(0|[1-9][0-9]{0,2}(\.[0-9]{3})*)",
    GROUPS: "-?(0|[1-9][0-9]*|[1-9][0-9]{0,2}([., '\u00a0\u202f][0-9]{3})+)([.,][0-9]+)?",
}
NUMBERS = frozenset(_NUMBERS)
"""The formats that are of numbers."""

DATES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
STAMPS = tuple(f"{date}{mark}{clock}" for date, mark, clock in product(DATES, (" ", ", "), _CLOCKS))
_TEXTS = {
    "Y": "[0-9]{4}",
    "f": "[0-9]{1,6}",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "p": "[AaPp][Mm]",
} | dict.fromkeys("dmHIMS", "[0-9]{1,2}")


@dataclass(frozen=True)
class Reading:
    """How the text of files is read; the fields are those of `source` in a spec."""

    decimal: str = "."
    date_format: str | None = None
    timestamp_format: str | None = None

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Reading:
        """The reading of a `source` section."""
        return cls(**{key: source[key] for key in cls.__dataclass_fields__ if key in source})

    @property
    def options(self) -> CastOptions:
        """The options of the casts that a load uses."""
        return CastOptions(
            text=True,
            decimal=self.decimal,
            date_format=self.date_format,
            timestamp_format=self.timestamp_format,
        )

    def can_cast(self, values: Any, kind: str) -> bool:
        """Whether a load would cast all values to a type."""
        return not ColumnCast(values, DataType(kind), self.options).bad_rows

    def parse_times(self, values: Any, kind: str) -> Any:
        """Text in a format of its own as times; other values unchanged."""
        format_ = {"date": self.date_format, "timestamp": self.timestamp_format}.get(kind)
        if format_ is None:
            return values
        return ColumnCast(values, DataType(kind), self.options).values


DEFAULT = Reading()


def find_formats(values: Any) -> frozenset[str]:
    """The other ways in which all values can be read.

    Args:
        values: Distinct text, without NULL.
    """
    first = values[0].as_py()

    def fits(pattern: str) -> bool:
        return re.fullmatch(pattern, first) is not None and all_match(values, pattern)

    found = {format_ for format_, pattern in _NUMBERS.items() if fits(pattern)}
    for kind, formats in (("date", DATES), ("timestamp", STAMPS)):
        found |= {
            format_
            for format_ in formats
            if fits(format_pattern(format_))
            and replace(DEFAULT, **{f"{kind}_format": format_}).can_cast(values, kind)
        }
    return frozenset(found)


@cache
def format_pattern(format_: str) -> str:
    """A format as a regular expression."""
    parts = re.split(r"%(.)", format_)
    texts = [_TEXTS[part] if at % 2 else re.escape(part) for at, part in enumerate(parts)]
    return "".join(texts)


def all_match(values: Any, pattern: str) -> bool:
    """Whether all texts are what a regular expression describes."""
    return pc.all(pc.match_substring_regex(values, rf"\A(?:{pattern})\z")).as_py()
