"""What all casts share: their options, the error of a value, and how values are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from loader.sql.datatypes import DataType

NULL_MARKER = "\\N"
"""The text that means NULL in staged CSV files; no value may have it."""

TRUE_WORDS = ("1", "t", "true", "y", "yes")
FALSE_WORDS = ("0", "f", "false", "n", "no")
"""Text that is a boolean, in any case."""


UNPAIRED_SURROGATE = "contains an unpaired surrogate, which is not valid text"


class CastError(ValueError):
    """A value does not fit its type; the text follows the value, as in ``'x' is not a date``."""


@dataclass(frozen=True)
class CastOptions:
    """How the values of a column are to be read, and in which format they will be staged."""

    text: bool = False
    """They come from a text file: the formats below apply, and numbers are exact as written."""
    json: bool = False
    """They were parsed from JSON: a string is a string, not a document as text."""
    decimal: str = "."
    """The decimal separator of numbers in text."""
    empty_is_null: bool = False
    """Whether empty text is NULL for types that have no empty value."""
    date_format: str | None = None
    timestamp_format: str | None = None
    timezone: str | None = None
    """The IANA time zone of time stamps that have none."""
    null_marker: bool = False
    """Whether rows are staged as CSV, where `NULL_MARKER` means NULL."""
    finite: bool = False
    """Whether rows are staged as JSON, which cannot represent NaN and infinity."""
    nan_is_null: bool = False
    """Whether NaN inside a document is the JSON null, as in a pandas frame."""


TYPES_WITH_EMPTY = ("char", "varchar", "varbyte")
"""The types in which empty text is a value of its own."""


Caster = Callable[[object], object]
"""Returns the value in the declared type, or raises `CastError`."""


def show(value: object, limit: int | None = 80) -> str:
    """A value as text for messages, cut to ``limit`` characters."""
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


def with_article(data_type: DataType) -> str:
    """The name of a type with its indefinite article."""
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


def type_mismatch(value: object, data_type: DataType) -> CastError:
    """The error for a value of another kind, such as text for a number."""
    if type(value).__name__ == "MonthDayNano":  # Arrow's interval, which is a tuple
        return CastError(f"is an interval, not {with_article(data_type)}")
    for types, kind in _KINDS:
        if isinstance(value, types):
            return CastError(f"is {kind}, not {with_article(data_type)}")
    return CastError(f"is a {type(value).__name__}, not {with_article(data_type)}")


def utf8(value: str) -> bytes:
    """Encode text as UTF-8.

    Raises:
        CastError: it contains an unpaired surrogate.
    """
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise CastError(UNPAIRED_SURROGATE) from None


def check_null_marker(value: str, options: CastOptions) -> str:
    """Return the text, provided that it is not read back as NULL from a staged CSV file.

    Raises:
        CastError: it equals `NULL_MARKER`.
    """
    if options.null_marker and value == NULL_MARKER:
        raise CastError("means NULL in staged CSV files; use staging: {format: parquet}")
    return str(value)
