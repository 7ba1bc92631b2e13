"""Guesses from the text of CSV and JSON; values that are ambiguous stay text.

Numbers have no leading zeros, because codes may have them; dates are in ISO 8601, or in the format
that is given; true and false are booleans. Values that match a pattern are also tested with the
cast that a load uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.inference.guesses import NOTHING, Guess
from loader.inference.text_formats import (
    DEFAULT,
    NUMBERS,
    Reading,
    all_match,
    find_formats,
    format_pattern,
)
from loader.sql.datatypes import MAX_PRECISION

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


def guess_text(array: Any, reading: Reading = DEFAULT) -> Guess:
    """Guess what a column of a CSV file holds, when its text is read in a given way."""
    values = pc.unique(array.drop_null())
    if not len(values):
        return NOTHING
    values = values.filter(pc.not_equal(values, ""))  # empty means NULL, unless the rest is text
    if not len(values):
        return replace(NOTHING, is_text=True)
    size = pc.max(pc.binary_length(values)).as_py()
    words = pc.is_in(values, pa.array(NULL_WORDS, pa.string()))
    present = values.filter(words).to_pylist()
    rest = values.filter(pc.invert(words)) if len(present) == 1 else values
    found = _recognize(values, reading)
    if found is None and len(present) == 1:
        found = _recognize(rest, reading) if len(rest) else NOTHING
        found = found and replace(found, words=frozenset(present))
    formats = find_formats(rest) if reading == DEFAULT and len(rest) else None
    return replace(found or Guess("varchar"), size=size, is_text=True, formats=formats)


def guess_time_text(array: Any, reading: Reading = DEFAULT) -> Guess:
    """Guess what JSON strings hold: times or text, since JSON has types for everything else."""
    values = pc.unique(array)
    found = _first_of(_times(reading), values, reading) or Guess("varchar")
    size = pc.max(pc.binary_length(values)).as_py()
    formats = find_formats(values) - NUMBERS if reading == DEFAULT else None
    return replace(found, size=size, is_text=True, formats=formats)


def _recognize(values: Any, reading: Reading) -> Guess | None:
    kinds = ((_BOOLEAN, "boolean"), *_times(reading))
    return _number(values, reading) or _first_of(kinds, values, reading)


def _first_of(kinds: Iterable[tuple[str, str]], values: Any, reading: Reading) -> Guess | None:
    for pattern, kind in kinds:
        if all_match(values, pattern) and reading.can_cast(values, kind):
            return Guess(kind)
    return None


def _times(reading: Reading) -> Iterator[tuple[str, str]]:
    """The patterns of times, and their types."""
    date, stamp = reading.date_format, reading.timestamp_format
    yield (format_pattern(date) if date else _DATE), "date"
    if stamp:
        yield format_pattern(stamp), "timestamp"
        return
    yield rf"{_DATE}({_CLOCK})?", "timestamp"
    yield rf"{_DATE}{_CLOCK}{_ZONE}", "timestamptz"


def _number(values: Any, reading: Reading) -> Guess | None:
    if reading.decimal != ".":
        if pc.any(pc.match_substring(values, ".")).as_py():
            return None
        values = pc.replace_substring(values, reading.decimal, ".")
    for pattern, guess in ((_WHOLE, _whole), (_DECIMAL, _decimal), (_FLOAT, _float)):
        if all_match(values, pattern):
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
    return Guess(kind) if sure and DEFAULT.can_cast(values, kind) else None


def _max_length(texts: Any) -> int:
    return pc.max(pc.binary_length(texts)).as_py()
