"""Guesses from the text of CSV and JSON; values that are ambiguous stay text.

Numbers have no leading zeros, because codes may have them; dates are in ISO 8601; true and false
are booleans. Values that match a pattern are also tested with the cast that a load uses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.column import ColumnCast
from loader.data.cast.errors import CastOptions
from loader.inference.guesses import NOTHING, Guess
from loader.sql.datatypes import MAX_PRECISION, DataType

NULL_WORDS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "\\N", "-", "?")
"""Words that mean NULL where all other values of a column are not text."""

_BOOLEAN = r"(?i:true|false)"
_WHOLE = r"-?(0|[1-9][0-9]*)"
_DECIMAL = rf"({_WHOLE}(\.[0-9]+)?|-?\.[0-9]+)"
_FLOAT = rf"({_DECIMAL}|-?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+)"
_POINT = r"\.|[eE][+-]"
"""Marks of a float: a value such as 12E5 alone may be a product code."""
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"


def guess_text(array: Any) -> Guess:
    """Guess what a column of a CSV file holds."""
    values = pc.unique(array.drop_null())
    if not len(values):
        return NOTHING
    values = values.filter(pc.not_equal(values, ""))  # empty means NULL, unless the rest is text
    if not len(values):
        return replace(NOTHING, is_text=True)
    size = pc.max(pc.binary_length(values)).as_py()
    words = pc.is_in(values, pa.array(NULL_WORDS, pa.string()))
    present = values.filter(words).to_pylist()
    found = _recognize(values)
    if found is None and len(present) == 1:
        rest = values.filter(pc.invert(words))
        found = _recognize(rest) if len(rest) else NOTHING
        found = found and replace(found, words=frozenset(present))
    return replace(found or Guess("varchar"), size=size, is_text=True)


def guess_time_text(array: Any) -> Guess:
    """Guess what JSON strings hold: times or text, since JSON has types for everything else."""
    values = pc.unique(array)
    found = _first_of(_TIMES, values) or Guess("varchar")
    return replace(found, size=pc.max(pc.binary_length(values)).as_py(), is_text=True)


def _recognize(values: Any) -> Guess | None:
    return _number(values) or _first_of(((_BOOLEAN, "boolean"), *_TIMES), values)


def _first_of(kinds: tuple[tuple[str, str], ...], values: Any) -> Guess | None:
    for pattern, kind in kinds:
        if _all_match(values, pattern) and _can_cast(values, kind):
            return Guess(kind)
    return None


_TIMES = (
    (_DATE, "date"),
    (rf"{_DATE}({_CLOCK})?", "timestamp"),
    (rf"{_DATE}{_CLOCK}{_ZONE}", "timestamptz"),
)


def _number(values: Any) -> Guess | None:
    for pattern, guess in ((_WHOLE, _whole), (_DECIMAL, _decimal), (_FLOAT, _float)):
        if _all_match(values, pattern):
            return guess(values)
    return None


def _whole(values: Any) -> Guess | None:
    digits = _max_length(pc.utf8_ltrim(values, "-"))
    if digits > MAX_PRECISION:
        return None
    try:
        numbers = values.cast(pa.int64())
    except pa.ArrowInvalid:
        return Guess("whole", whole=digits, bits=64)
    ends = pc.min_max(numbers).as_py()
    bits = max(ends["max"], ~ends["min"], 0).bit_length()
    return Guess("whole", whole=digits, bits=bits)


def _decimal(values: Any) -> Guess | None:
    digits = pc.utf8_ltrim(values, "-")
    before = _max_length(pc.replace_substring_regex(digits, r"\..*", ""))
    scale = _max_length(pc.replace_substring_regex(digits, r"^[^.]*\.?", ""))
    return Guess("number", whole=before, scale=scale)


def _float(values: Any) -> Guess | None:
    kind = "double precision"
    sure = pc.any(pc.match_substring_regex(values, _POINT)).as_py()
    return Guess(kind) if sure and _can_cast(values, kind) else None


def _max_length(texts: Any) -> int:
    return pc.max(pc.binary_length(texts)).as_py()


def _all_match(values: Any, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(values, rf"\A(?:{pattern})\z")).as_py()


def _can_cast(values: Any, kind: str) -> bool:
    return not ColumnCast(values, DataType(kind), CastOptions(text=True)).bad_rows
