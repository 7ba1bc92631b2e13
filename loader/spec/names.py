"""Names of schemas, tables and columns in a table spec, and their JSON Schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StrictStr, WithJsonSchema

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
            f" write `{value}_` or another name, and source: {{columns: {{…}}}} for files"
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
