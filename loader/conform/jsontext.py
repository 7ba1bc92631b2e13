"""JSON text of nested values, exact: decimals keep their digits, nothing is coerced."""

from __future__ import annotations

import json
import math
from datetime import date, time
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NoReturn
from uuid import UUID


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
        json.loads(text, parse_constant=_no_constant, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise ValueError(
            "is not JSON; text that is meant as a string is wrapped as a JSON string, in quotes"
        ) from None
    return str(text)


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
