"""Values of SUPER: nested values as JSON text, and the limits of documents (F§2.4)."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

MAX_BYTES = 16 << 20
MAX_STRING_BYTES = 65_535


def to_json(value: Any, data_type: pa.DataType) -> str:
    """A nested value as SERIALIZETOJSON writes it.

    Raises:
        ValueError: it has no JSON form, or is longer than SUPER allows.
    """
    text = _write(value, data_type)
    if len(text) > MAX_BYTES // 4 and len(text.encode()) > MAX_BYTES:
        raise ValueError(f"the value is longer than {MAX_BYTES} bytes")
    return text


def _write(value: Any, data_type: pa.DataType) -> str:
    types = pa.types
    if value is None:
        return "null"
    if types.is_map(data_type):
        pairs = (f"{_string(key)}:{_write(item, data_type.item_type)}" for key, item in value)
        return "{" + ",".join(pairs) + "}"
    if types.is_struct(data_type):
        members = (
            f"{_string(field.name)}:{_write(value[field.name], field.type)}" for field in data_type
        )
        return "{" + ",".join(members) + "}"
    if types.is_nested(data_type):
        return "[" + ",".join(_write(item, data_type.value_type) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            raise ValueError("JSON has no form for NaN and infinite numbers")
        case int() | float():
            return repr(value)
        case Decimal():
            return format(value, "f")
        case date() | datetime():
            return f'"{value.isoformat()}"'
    return _string(str(value))


def _string(value: str) -> str:
    if len(value) > MAX_STRING_BYTES // 4 and len(value.encode()) > MAX_STRING_BYTES:
        raise ValueError(f"a string in the value is longer than {MAX_STRING_BYTES} bytes")
    return json.dumps(value, ensure_ascii=False)


def check_document(text: str) -> None:
    """Refuse text that is not valid JSON document a SUPER can hold.

    Raises:
        ValueError: what is wrong with it.
    """
    value = json.loads(text, parse_constant=_no_constant)
    if len(text) > MAX_STRING_BYTES // 4:
        _check_strings(value)
        if len(text.encode()) > MAX_BYTES:
            raise ValueError(f"the value is longer than {MAX_BYTES} bytes")


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _check_strings(value: Any) -> None:
    match value:
        case str():
            _string(value)
        case dict():
            for key, item in value.items():
                _string(key)
                _check_strings(item)
        case list():
            for item in value:
                _check_strings(item)
