"""Encodes nested values as JSON text without loss, and checks JSON text for Redshift."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

from loader.data.cast.errors import UNPAIRED_SURROGATE, is_numpy
from loader.data.cast.scalars import is_finer_than_microsecond, to_builtin, to_microseconds
from loader.data.chunk import UnsupportedValue, is_missing
from loader.data.json_parsing import RepeatedKeyError, object_without_repeats, refuse_constant

MAX_STRING = 65_535
"""The limit of Redshift for one string inside a SUPER value, in bytes."""

NUL_IN_TEXT = "contains a NUL character, which Redshift text cannot hold"


def encode_json(value: Any, *, nan_is_null: bool = False) -> str:
    """Encode a value made of dicts, lists, text, numbers, booleans, dates and times.

    Decimals keep their digits. NaT and NA are null; UUIDs, dates and times are text, the latter in
    ISO 8601; an enum member is its value.

    Args:
        value: The value.
        nan_is_null: Whether NaN means that a value is missing, and so is null.

    Raises:
        ValueError: JSON cannot represent a part of it; the text follows the value.
    """
    try:
        return _encode_value(value, nan_is_null)
    except RecursionError:
        raise ValueError("is nested too deeply for JSON") from None


def check_json(text: str) -> str:
    """Return the text, provided that it is valid JSON without repeated keys.

    Raises:
        ValueError: it is not; the text follows the value.
    """
    try:
        json.loads(
            text,
            parse_constant=refuse_constant,
            parse_int=str,
            parse_float=str,
            object_pairs_hook=object_without_repeats,
        )
    except RepeatedKeyError as error:
        raise ValueError(f"has the key {error.key!r} twice") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON; write plain text as a JSON string, in quotes") from None
    return str(text)


def find_redshift_error(text: str, *, null: bool) -> str | None:
    """The reason why Redshift refuses a document, or loads another value; None where it is fine.

    The limits are those of ``limitations-super`` in the manual of Redshift.

    Args:
        text: The document.
        null: Whether the staged format distinguishes the JSON null from NULL.
    """
    if text == "null" and not null:
        return "is the JSON null, which COPY loads as NULL; leave the field empty"
    if "\\u" in text or len(text) > MAX_STRING:
        for part in _iterate_strings(json.loads(text)):
            if "\0" in part:
                return NUL_IN_TEXT
            try:
                size = len(part.encode())
            except UnicodeEncodeError:
                return UNPAIRED_SURROGATE
            if size > MAX_STRING:
                return f"contains a string of {size:,} bytes; Redshift allows {MAX_STRING:,}"
    return None


def _iterate_strings(value: Any) -> Iterator[str]:
    """All keys and strings of a parsed document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _iterate_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _iterate_strings(item)


def _encode_value(value: Any, nan_is_null: bool) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return encode_basestring(value)
        case int():
            return int.__repr__(value)
        case float():
            return _encode_number(float.__repr__(value), math.isfinite(value), nan_is_null)
        case Decimal():
            return _encode_number(str(Decimal(value)), value.is_finite(), nan_is_null)
        case dict():
            pairs = [
                f"{_encode_key(key)}:{_encode_value(item, nan_is_null)}"
                for key, item in value.items()
            ]
            return "{" + ",".join(pairs) + "}"
        case list() | tuple():
            return "[" + ",".join([_encode_value(item, nan_is_null) for item in value]) + "]"
        case _:
            return "null" if is_missing(value) else _encode_other(value, nan_is_null)


def _encode_number(text: str, finite: bool, nan_is_null: bool) -> str:
    if finite:
        return text
    if nan_is_null and text.lower() == "nan":
        return "null"
    raise ValueError(f"contains {text}, which JSON cannot represent")


def _encode_key(key: object) -> str:
    key = to_builtin(key)
    if not isinstance(key, str):
        raise ValueError(f"has the key {key!r}; keys of a JSON object must be text")
    return encode_basestring(key)


def _encode_other(value: Any, nan_is_null: bool) -> str:
    if isinstance(value, UnsupportedValue):
        raise ValueError(value.reason)
    if is_finer_than_microsecond(value):
        raise ValueError("contains a time that is finer than a microsecond")
    base = _from_numpy(value) if is_numpy(value) else to_builtin(value)
    if isinstance(base, date | time):
        return encode_basestring(base.isoformat())
    if isinstance(base, UUID):
        return encode_basestring(str(base))
    if base is not value and not is_numpy(base):
        return _encode_value(base, nan_is_null)
    name = type(value).__name__
    raise ValueError(f"contains a {name}, which JSON cannot represent{_ADVICE.get(type(base), '')}")


def _from_numpy(value: Any) -> Any:
    """A NumPy array as a list, a scalar as a built-in value; anything else unchanged."""
    kind = value.dtype.kind
    if kind in "Mm":
        return list(value) if value.shape else to_microseconds(value)
    return value if kind == "V" else value.tolist()


_ADVICE: dict[type, str] = {
    bytes: ": write it as text, in hexadecimal or Base64",
    timedelta: ": write it as a number of seconds, or as text",
}
