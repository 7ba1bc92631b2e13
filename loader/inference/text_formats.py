"""How text writes numbers and times, where it is not the default: decimal commas, 31.12.2026.

A spec has one decimal mark, one `date_format` and one `timestamp_format` for all columns. What fits
all values of a column is found chunk by chunk; what the columns leave open is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import Any

import pyarrow.compute as pc

from loader.data.cast.column import ColumnCast
from loader.data.cast.errors import CastOptions
from loader.inference.guesses import Guess
from loader.sql.datatypes import DataType

COMMA = ","
"""Numbers with a decimal comma."""

_THOUSANDS = "1,234"
"""Numbers whose commas may also be between thousands, in the same column."""

NUMBERS = frozenset({COMMA, _THOUSANDS})
"""The formats that are of numbers."""

_DATES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
_STAMPS = tuple(
    f"{date}{mark}{clock}" for date, mark, clock in product(_DATES, (" ", ", "), _CLOCKS)
)
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

    def times(self, values: Any, kind: str) -> Any:
        """Text in a format of its own as times; other values unchanged."""
        format_ = {"date": self.date_format, "timestamp": self.timestamp_format}.get(kind)
        return (
            values if format_ is None else ColumnCast(values, DataType(kind), self.options).values
        )


DEFAULT = Reading()


def find_formats(values: Any) -> frozenset[str]:
    """The other ways in which all values can be read.

    Args:
        values: Distinct text, without NULL.
    """
    found = set()
    if _all_match(values, r"-?(0|[1-9][0-9]*)?(,[0-9]+)?") and not _any_match(values, "-?"):
        found.add(COMMA)
        if _all_match(values, r"-?(0|[1-9][0-9]{0,2}(,[0-9]{3})*)"):
            found.add(_THOUSANDS)
    first = values[0].as_py()
    for format_ in (*_DATES, *_STAMPS):
        pattern = format_pattern(format_)
        if re.fullmatch(pattern, first) and _all_match(values, pattern):
            kind = "date" if format_ in _DATES else "timestamp"
            reading = replace(DEFAULT, **{f"{kind}_format": format_})
            if reading.can_cast(values, kind):
                found.add(format_)
    return frozenset(found)


@cache
def format_pattern(format_: str) -> str:
    """A format as a regular expression."""
    parts = re.split(r"%(.)", format_)
    texts = [_TEXTS[part] if at % 2 else re.escape(part) for at, part in enumerate(parts)]
    return "".join(texts)


def _all_match(values: Any, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(values, rf"\A(?:{pattern})\z")).as_py()


def _any_match(values: Any, pattern: str) -> bool:
    return pc.any(pc.match_substring_regex(values, rf"\A(?:{pattern})\z")).as_py()


@dataclass
class Choice:
    """What to declare in `source`, and what stays open."""

    options: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose_formats(guesses: Mapping[str, Guess]) -> Choice:
    """Choose how all columns of text are read.

    Args:
        guesses: About all values of each column, read in the default way.
    """
    choice = Choice()
    texts = {name: guess for name, guess in guesses.items() if guess.is_text}
    _choose_decimal(texts, choice)
    for key, formats, kinds in (
        ("date_format", frozenset(_DATES), ("date",)),
        ("timestamp_format", frozenset(_STAMPS), ("timestamp", "timestamptz")),
    ):
        _choose_times(key, formats, kinds, texts, choice)
    return choice


def _formats(guess: Guess) -> frozenset[str]:
    return guess.formats or frozenset() if guess.kind == "varchar" else frozenset()


def _choose_decimal(guesses: Mapping[str, Guess], choice: Choice) -> None:
    commas = [name for name, guess in guesses.items() if COMMA in _formats(guess)]
    sure = [name for name in commas if _THOUSANDS not in _formats(guesses[name])]
    points = [n for n, guess in guesses.items() if guess.kind in ("number", "double precision")]
    if not commas:
        return
    if points:
        choice.notes.append(
            f"{_list(commas)} may have decimal commas, but {_list(points)} has decimal points, and"
            " a file has one mark: numbers with commas are text"
        )
    elif sure:
        choice.options["decimal"] = COMMA
    else:
        choice.notes.append(
            f"{_list(commas)}: 1,234 may be more than a thousand or less than two, so it is text;"
            ' with source: {decimal: ","} it is a decimal comma'
        )


def _choose_times(
    key: str,
    formats: frozenset[str],
    kinds: tuple[str, ...],
    guesses: Mapping[str, Guess],
    choice: Choice,
) -> None:
    found = {name: _formats(guess) & formats for name, guess in guesses.items()}
    found = {name: some for name, some in found.items() if some}
    iso = [name for name, guess in guesses.items() if guess.kind in kinds]
    if not found:
        return
    common = frozenset.intersection(*found.values())
    shown = " or ".join(sorted({format_ for some in found.values() for format_ in some}))
    if iso:
        choice.notes.append(
            f"{_list(found)} is written as {shown}, and {_list(iso)} in ISO 8601: a spec has one"
            f" {key}, so {_list(found)} is text"
        )
    elif len(common) == 1:
        choice.options[key] = next(iter(common))
    elif common:
        choice.notes.append(
            f"{_list(found)} may be written as {shown}, and no value tells which: it is text until"
            f" source: {{{key}: …}} says so"
        )
    else:
        choice.notes.append(
            f"{_list(found)} are written as {shown}: a spec has one {key}, so they are text"
        )


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
