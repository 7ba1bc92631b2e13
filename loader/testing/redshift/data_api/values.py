"""Results and errors as the Data API tells them, of what redshift_connector gives."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

_TYPES: Mapping[int, str] = {
    16: "bool", 18: "char", 19: "name", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid",
    700: "float4", 701: "float8", 1042: "bpchar", 1043: "varchar", 1082: "date", 1083: "time",
    1114: "timestamp", 1184: "timestamptz", 1266: "timetz", 1700: "numeric",
    3000: "geometry", 3001: "geography", 4000: "super", 6551: "varbyte",
}  # fmt: skip
"""Types by their numbers on the wire."""

_FIELDS = {"int2": "longValue", "int4": "longValue", "int8": "longValue", "oid": "longValue"}
_FIELDS |= {"float4": "doubleValue", "float8": "doubleValue", "bool": "booleanValue"}
"""The fields of types that do not come as text."""


def describe_columns(description: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """The metadata of a result's columns."""
    return [
        {"name": str(name), "label": str(name), "typeName": _TYPES.get(int(kind), "varchar")}
        for name, kind, *_ in description
    ]


def make_records(
    columns: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[Any]]
) -> list[list[dict[str, Any]]]:
    """The fields of rows: what JSON has a type for as such, everything else as text."""
    kinds = [_FIELDS.get(column["typeName"], "stringValue") for column in columns]
    return [
        [_make_field(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in rows
    ]


def _make_field(kind: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    return {kind: _to_text(value) if kind == "stringValue" else value}


def _to_text(value: Any) -> str:
    match value:
        case datetime():
            text = value.isoformat(" ")
        case date():
            return value.isoformat()
        case time():
            text = value.isoformat()
        case list() | dict():
            return json.dumps(value)
        case bytes() | bytearray():
            return value.hex()
        case _:
            return str(value)
    return text.removesuffix(":00") if value.tzinfo is not None else text


def tell_error(error: BaseException) -> str:
    """The text of an error: that of the server without its code, or that there was no answer."""
    fields = error.args[0] if error.args else None
    if not isinstance(fields, dict):
        return "An I/O error occurred while sending to the backend."
    lines = [f"{fields.get('S', 'ERROR')}: {fields.get('M', '')} [ErrorId: 1-{uuid.uuid4().hex}]"]
    for key, name in (("D", "Detail"), ("H", "Hint"), ("P", "Position"), ("W", "Where")):
        if fields.get(key):
            lines.append(f"  {name}: {fields[key]}")
    return "\n".join(lines)
