"""JSON text of nested values, exact: decimals keep their digits, nothing is coerced."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NoReturn
from uuid import UUID

from loader.data.cast.errors import is_numpy
from loader.data.cast.scalars import base_value, is_finer, microseconds
from loader.data.chunk import UnsupportedValue, is_missing

MAX_STRING = 65_535
"""Bytes of one string inside a SUPER value."""


def encode(value: Any, *, nan_is_null: bool = False) -> str:
    """The JSON text of a value made of dicts, lists, text, numbers, booleans, dates and times.

    NaT and NA are null; UUIDs, dates and times are text, as ISO 8601 writes them; an enum member
    is its value.

    Args:
        value: The value.
        nan_is_null: Whether NaN means that a value is missing, and so is null.

    Raises:
        ValueError: something in it has no JSON form; the text reads on from the value.
    """
    try:
        return _encode(value, nan_is_null)
    except RecursionError:
        raise ValueError("is nested too deeply for JSON") from None


def check(text: str) -> str:
    """The text itself, when it is JSON.

    Raises:
        ValueError: it is not; the text reads on from the value.
    """
    try:
        json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=str,
            parse_float=str,
            object_pairs_hook=_once,
        )
    except _TwiceError as twice:
        raise ValueError(f"has the key {twice.args[0]!r} twice") from None
    except (ValueError, RecursionError):
        raise ValueError(
            "is not JSON; text that is meant as a string is wrapped as a JSON string, in quotes"
        ) from None
    return str(text)


def misfit(text: str, *, null: bool) -> str | None:
    """Why Redshift would refuse a document, or take it for another (``limitations-super``).

    Args:
        text: The document.
        null: Whether the way it is staged can tell the JSON null from NULL.
    """
    if text == "null" and not null:
        return "is the JSON null, which COPY takes for NULL; leave it empty"
    if "\\u" in text or len(text) > MAX_STRING:
        for part in _strings(json.loads(text)):
            if "\0" in part:
                return "holds a NUL character, which Redshift text cannot"
            try:
                size = len(part.encode())
            except UnicodeEncodeError:
                return "holds half a character (a lone surrogate), which is not text"
            if size > MAX_STRING:
                return f"holds a string of {size:,} bytes; Redshift takes {MAX_STRING:,}"
    return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


class _TwiceError(Exception):
    """An object has a key twice, of which warehouses keep one."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)


def _encode(value: Any, nan_is_null: bool) -> str:  # passed on at every level
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
            return _number(float.__repr__(value), math.isfinite(value), nan_is_null)
        case Decimal():
            return _number(str(Decimal(value)), value.is_finite(), nan_is_null)
        case dict():
            pairs = [f"{_key(key)}:{_encode(item, nan_is_null)}" for key, item in value.items()]
            return "{" + ",".join(pairs) + "}"
        case list() | tuple():
            return "[" + ",".join([_encode(item, nan_is_null) for item in value]) + "]"
        case _:
            return "null" if is_missing(value) else _encode_other(value, nan_is_null)


def _number(text: str, finite: bool, nan_is_null: bool) -> str:  # as above
    if finite:
        return text
    if nan_is_null and text.lower() == "nan":
        return "null"
    raise ValueError(f"holds {text}, which JSON has no number for")


def _key(key: object) -> str:
    key = base_value(key)
    if not isinstance(key, str):
        raise ValueError(f"has the key {key!r}; keys of a JSON object are text")
    return encode_basestring(key)


def _encode_other(value: Any, nan_is_null: bool) -> str:  # as above
    if isinstance(value, UnsupportedValue):
        raise ValueError(value.reason)  # a verdict on a value, no fault
    if is_finer(value):
        raise ValueError("holds a time that is finer than a microsecond")
    base = _from_numpy(value) if is_numpy(value) else base_value(value)
    if isinstance(base, date | time):
        return encode_basestring(base.isoformat())
    if isinstance(base, UUID):
        return encode_basestring(str(base))
    if base is not value and not is_numpy(base):
        return _encode(base, nan_is_null)
    name = type(value).__name__
    raise ValueError(f"holds a {name}, which JSON has no form for{_ADVICE.get(type(base), '')}")


def _from_numpy(value: Any) -> Any:
    """An array as a list and a scalar as a built-in value; what has no such form, as it is."""
    kind = value.dtype.kind
    if kind in "Mm":
        return list(value) if value.shape else microseconds(value)
    return value if kind == "V" else value.tolist()


_ADVICE: dict[type, str] = {
    bytes: ": write it as text, in hexadecimal or Base64",
    timedelta: ": write it as a number of seconds, or as text",
}
