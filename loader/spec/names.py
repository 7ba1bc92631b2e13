"""Names of schemas, tables and columns in a table spec, and their JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StrictStr, WithJsonSchema

from loader.sql.dialects.base import RESERVED_SCHEMAS, check_schema
from loader.sql.dialects.redshift import MAX_NAME_BYTES, SYSTEM_COLUMNS


def _check_name(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("a name may not be empty or hold a NUL character")
    if len(value.encode()) > MAX_NAME_BYTES:
        raise ValueError(
            f"a name has at most {MAX_NAME_BYTES} bytes; Redshift truncates longer ones"
        )
    if value != value.lower():
        raise ValueError(f"Redshift folds names to lower case; write `{value.lower()}`")
    return value


def _check_column_name(value: str) -> str:
    if value in SYSTEM_COLUMNS:
        raise ValueError(
            f"no Redshift column can be called `{value}`, as PostgreSQL's system columns are;"
            f" write `{value}_` or another name, and `from: {value}` for the data"
        )
    return value


Name = Annotated[
    StrictStr,
    AfterValidator(_check_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES,
            "pattern": r"^[^A-Z\u0000]*$",
        }
    ),
]


ColumnName = Annotated[
    Name,
    AfterValidator(_check_column_name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES,
            "pattern": rf"^(?!({'|'.join(SYSTEM_COLUMNS)})$)[^A-Z\u0000]*$",
        }
    ),
]


SchemaName = Annotated[
    Name,
    AfterValidator(check_schema),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_BYTES,
            "pattern": rf"^(?!{RESERVED_SCHEMAS})[^A-Z\u0000]*$",
        }
    ),
]


def _to_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_table_name(value: str) -> str:
    schema, dot, name = value.partition(".")
    if not dot or "." in name:
        raise ValueError(f"`{value}` is not a schema and a table; write `schema.table`")
    for part in (schema, name):
        _check_name(part)
    return value


def _one_or_more(pattern: str) -> WithJsonSchema:
    one: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": pattern}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one}]})


EarlierColumns = Annotated[
    tuple[Name, ...], BeforeValidator(_to_tuple), _one_or_more(r"^[^A-Z\u0000]*$")
]
"""One or more names of a column."""

EarlierTables = Annotated[
    tuple[Annotated[StrictStr, AfterValidator(_check_table_name)], ...],
    BeforeValidator(_to_tuple),
    _one_or_more(r"^[^A-Z.\u0000]+\.[^A-Z.\u0000]+$"),
]
"""One or more tables, each as ``schema.name``."""
