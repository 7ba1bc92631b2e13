"""Finds how values of a column are converted when its type changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from loader.sql.datatypes import DataType

How = Literal[
    "copy",
    "cast",
    "boolean to text",
    "text to boolean",
    "text to value",
    "to document",
    "from document",
    "none",
]


@dataclass(frozen=True)
class Conversion:
    """A conversion between two types."""

    how: How
    """``none``: there is no conversion, and the values are dropped."""
    loss: str = ""
    """What may be lost; empty when all values are preserved."""


_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_SIGNIFICANT = {"real": 7, "double precision": 15}
_TEXT_BYTES = {
    "smallint": 6,
    "integer": 11,
    "bigint": 20,
    "real": 15,
    "double precision": 24,
    "boolean": 5,
    "date": 13,
    "time": 15,
    "timetz": 24,
    "timestamp": 29,
    "timestamptz": 35,
}
"""The most bytes a value of the type has as text."""

_TEXT_LOSS = {
    "decimal": ", further decimals are rounded",
    "real": ", further digits are lost",
    "double precision": ", further digits are lost",
    "date": ", times of day are lost",
    "timestamp": ", time zones are lost",
}
"""What a cast of text loses besides."""

_NUMBERS = frozenset(_DIGITS) | set(_SIGNIFICANT) | {"decimal"}
_INSTANTS = frozenset({"date", "timestamp", "timestamptz"})
_FROM_TEXT = _NUMBERS | _INSTANTS | {"boolean", "time", "timetz"}
_RANK = {"smallint": 1, "integer": 2, "bigint": 3}


def conversion(live: DataType | None, wanted: DataType) -> Conversion:
    """Find the conversion from a live column's type to the declared type.

    >>> from loader.sql.datatypes import parse
    >>> conversion(parse("integer"), parse("decimal(12,2)")).loss
    ''
    >>> conversion(parse("integer"), parse("decimal(11,2)")).loss
    'numbers that do not fit fail, further decimals are rounded'
    >>> conversion(parse("bigint"), parse("double precision")).loss
    'numbers that do not fit fail, further digits are lost'
    >>> conversion(parse("date"), parse("boolean")).how
    'none'
    """
    if live is None:
        return Conversion("cast", "values that do not fit are changed, or fail")
    if live == wanted:
        return Conversion("copy")
    if "super" in (live.name, wanted.name):
        return _convert_super(live, wanted)
    if live.name in _NUMBERS and wanted.name in _NUMBERS:
        return _convert_numbers(live, wanted)
    if wanted.is_text:
        return _to_text(live, wanted)
    if live.is_text and wanted.name == "boolean":
        return Conversion("text to boolean", "text other than true and false becomes NULL")
    if live.is_text and wanted.name in _FROM_TEXT:
        loss = f"empty text becomes NULL, other text that is not a valid {wanted.name} fails"
        return Conversion("text to value", loss + _TEXT_LOSS.get(wanted.name, ""))
    if live.name in _INSTANTS and wanted.name in _INSTANTS:
        # Sessions are in UTC, so a cast treats times without a zone as UTC.
        return Conversion("cast", "the times of day are lost" if wanted.name == "date" else "")
    if live.name == wanted.name == "varbyte":
        fits = wanted.length >= live.length
        return Conversion("copy", "" if fits else "longer values fail")
    if live.name == "boolean" and wanted.is_integer:
        return Conversion("cast")
    if live.is_integer and wanted.name == "boolean":
        return Conversion("cast", "every number except 0 becomes true")
    return Conversion("none", "the values are lost: there is no conversion")


def _convert_numbers(live: DataType, wanted: DataType) -> Conversion:
    if _is_contained(live, wanted):
        return Conversion("cast")
    loss = "numbers that do not fit fail"
    if not (live.is_integer and wanted.is_integer):
        lost = "digits are lost" if wanted.name in _SIGNIFICANT else "decimals are rounded"
        loss += f", further {lost}"
    return Conversion("cast", loss)


def _is_contained(live: DataType, wanted: DataType) -> bool:
    """Whether the live type's numbers all fit the wanted type."""
    if live.is_integer and wanted.is_integer:
        return _RANK[live.name] <= _RANK[wanted.name]
    if wanted.name == "decimal":
        if live.name == "decimal":
            whole = wanted.precision - wanted.scale >= live.precision - live.scale
            return whole and wanted.scale >= live.scale
        return live.is_integer and wanted.precision - wanted.scale >= _DIGITS[live.name]
    if wanted.name in _SIGNIFICANT:
        if live.name in _SIGNIFICANT:
            return _SIGNIFICANT[live.name] <= _SIGNIFICANT[wanted.name]
        digits = live.precision if live.name == "decimal" else _DIGITS[live.name]
        return live.is_integer and digits <= _SIGNIFICANT[wanted.name]
    return False


def _to_text(live: DataType, wanted: DataType) -> Conversion:
    if live.is_text:
        fits = wanted.length >= live.length and not (
            wanted.name == "char" and live.name == "varchar"
        )
        # A cast would cut longer text without a word; without one it fails.
        return Conversion("copy", "" if fits else "longer text fails")
    if live.name == "decimal":
        bytes_ = live.precision + 3
    elif live.name in _TEXT_BYTES:
        bytes_ = _TEXT_BYTES[live.name]
    else:
        return Conversion("none", "the values are lost: they cannot be converted to text")
    how: How = "boolean to text" if live.name == "boolean" else "cast"
    return Conversion(how, "" if wanted.length >= bytes_ else "longer text is truncated, or fails")


def _convert_super(live: DataType, wanted: DataType) -> Conversion:
    if wanted.is_text:
        return Conversion("from document", "longer documents fail")
    if live.is_text:
        return Conversion("to document", "text that is not valid JSON fails")
    return Conversion("none", "the values are lost: SUPER can only be converted to text")
