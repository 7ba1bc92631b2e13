"""What a judgement of values is made of: how they came, why one is refused, how one is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from loader.sql.datatypes import DataType

NULL_MARKER = "\\N"
"""The word that stands for NULL in staged CSV files, so that no text may be it."""

TRUE_WORDS = ("1", "t", "true", "y", "yes")
FALSE_WORDS = ("0", "f", "false", "n", "no")
"""The words that are booleans, in any case."""


class Refusal(ValueError):  # noqa: N818  # a verdict on a value, no fault
    """A value does not fit; the text reads on from the value, as in ``'x' is not a date``."""


@dataclass(frozen=True)
class Reading:
    """How the values of a column came, as far as it changes what they mean."""

    text: bool = False
    """They come from a file of text: the formats below apply, and numbers are as written."""
    json: bool = False
    """They were parsed from JSON, where a string is a string and not JSON text."""
    decimal: str = "."
    """The mark before the decimals of numbers in text."""
    empty_is_null: bool = False
    """Whether empty text is NULL in columns that cannot hold it."""
    date_format: str | None = None
    timestamp_format: str | None = None
    timezone: str | None = None
    """The zone of time stamps without one."""
    null_marker: bool = False
    """Whether rows are staged as CSV, where `NULL_MARKER` means NULL."""
    finite: bool = False
    """Whether rows are staged as JSON, which has no form for NaN and infinity."""
    nan_is_null: bool = False
    """Whether NaN inside a document is the JSON null, as in a pandas frame."""


HOLDS_EMPTY = ("char", "varchar", "varbyte")
"""The types that have a value for empty text."""


Judge = Callable[[object], object]
"""Gives the value in the declared type, or raises `Refusal`."""


def show(value: object, limit: int | None = 80) -> str:
    """A value as messages print it, at most so many characters of it."""
    try:
        if value is None:
            return "NULL"
        if isinstance(value, date | time | timedelta | Decimal | UUID):
            text = str(value)
        elif isinstance(value, bool):
            text = str(value).lower()
        else:
            text = repr(value.item() if is_numpy(value) and hasattr(value, "item") else value)
    except Exception:  # noqa: BLE001  # a foreign object may raise anything when it is printed
        text = f"a {type(value).__name__}"
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


def is_numpy(value: object) -> bool:
    """Whether a value is a scalar or array of NumPy, which need not be imported."""
    return type(value).__module__ == "numpy"


def a(data_type: DataType) -> str:
    """A type with its article."""
    text = str(data_type)
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    ((int, float, Decimal), "a number"),
    (str, "text"),
    (datetime, "a time stamp"),
    (date, "a date"),
    (time, "a time"),
    (timedelta, "a duration"),
    ((bytes, bytearray, memoryview), "binary"),
    (dict, "an object"),
    ((list, tuple), "a list"),
)


def mismatch(value: object, data_type: DataType) -> Refusal:
    """The refusal of a value that is of another kind altogether."""
    for types, kind in _KINDS:
        if isinstance(value, types):
            return Refusal(f"is {kind}, not {a(data_type)}")
    return Refusal(f"is a {type(value).__name__}, not {a(data_type)}")


def utf8(value: str) -> bytes:
    """Text as bytes of UTF-8.

    Raises:
        Refusal: it holds half a character.
    """
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Refusal("holds half a character (a lone surrogate), which is not text") from None


def unmarked(value: str, reading: Reading) -> str:
    """Text as it is staged.

    Raises:
        Refusal: it would be read back as NULL.
    """
    if reading.null_marker and value == NULL_MARKER:
        raise Refusal("means NULL in staged CSV files; use staging: {format: parquet}")
    return str(value)
