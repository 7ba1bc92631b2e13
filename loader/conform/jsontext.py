"""JSON text of nested values, exact: decimals keep their digits, nothing is coerced."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NoReturn
from uuid import UUID

MAX_STRING = 65_535
"""Bytes of one string inside a SUPER value."""


def encode(value: Any) -> str:
    """The JSON text of a value made of dicts, lists, text, numbers, booleans, dates and times.

    Raises:
        ValueError: something in it has no JSON form; the text reads on from the value.
    """
    try:
        return _encode(value)
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


def _encode(value: Any) -> str:
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
            if not math.isfinite(value):
                raise ValueError(f"holds {value}, which JSON has no number for")
            return float.__repr__(value)
        case Decimal():
            if not value.is_finite():
                raise ValueError(f"holds {value}, which JSON has no number for")
            return str(value)
        case dict():
            pairs = [f"{_key(key)}:{_encode(item)}" for key, item in value.items()]
            return "{" + ",".join(pairs) + "}"
        case list() | tuple():
            return "[" + ",".join([_encode(item) for item in value]) + "]"
        case _:
            return _encode_other(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"has the key {key!r}; keys of a JSON object are text")
    return encode_basestring(key)


def _encode_other(value: Any) -> str:
    if isinstance(value, date | time):
        if getattr(value, "nanosecond", 0):
            raise ValueError("holds a time that is finer than a microsecond")
        return encode_basestring(value.isoformat())
    if isinstance(value, UUID):
        return encode_basestring(str(value))
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        plain = value.tolist()
        if type(plain).__module__ != "numpy" and getattr(value.dtype, "kind", "") not in "Mm":
            return _encode(plain)
    raise ValueError(f"holds a {type(value).__name__}, which JSON has no form for")
