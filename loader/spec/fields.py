"""The types of single fields of a table spec: how a value is validated, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import core_schema

from loader.spec.connections import check_connection
from loader.sql import datatypes, lexer, queries, regex, time_formats
from loader.sql.datatypes import DataType
from loader.sql.dialects.redshift import ENCODINGS, check_functions


class Model(BaseModel):
    """Base class: frozen; unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    def model_post_init(self, _: object, /) -> None:
        """Share the record of which fields are set, the larger part of most models' memory."""
        fields = self.__pydantic_fields_set__
        shared = _SHARED_FIELDS_SET.setdefault(frozenset(fields), fields)
        object.__setattr__(self, "__pydantic_fields_set__", shared)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, whose cached properties follow from its own keys."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(copied).model_fields.keys():
            del copied.__dict__[name]
        return copied


_SHARED_FIELDS_SET: dict[frozenset[str], set[str]] = {}
"""The same set for all models that have it; they are frozen, so that nothing changes it."""


def _parse_type(value: object) -> DataType:
    if isinstance(value, DataType):
        return value
    if not isinstance(value, str):
        raise ValueError("a type is text, such as varchar(40)")
    if value.count("(") > value.count(")"):
        raise ValueError(
            f"`{value}` never closes; inside {{…}} a comma ends a value, so put quotes around"
            ' a type that has one, as in "decimal(12,2)"'
        )
    return datatypes.parse(value)


def _check_expression(value: object) -> object:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        lexer.check_expression(value)
        check_functions(value)
    return value


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"`{value}` is not a time zone; zones are named like Europe/Berlin or UTC"
        ) from None
    return value


def _takes_parameters(name: str) -> bool:
    try:
        datatypes.parse(f"{name}(1)")
    except ValueError:
        return False
    return True


_BARE_TYPES = "|".join(name for name in datatypes.NAMES if not _takes_parameters(name))


_PERCENTAGE = r"0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%"


class Matching:
    """Text that a pattern describes, here and in the JSON Schema."""

    def __init__(self, pattern: str, wanted: str) -> None:
        self._pattern, self._wanted = pattern, wanted

    def _check(self, value: str) -> str:
        if not re.fullmatch(self._pattern, value):
            shown = value if value.isprintable() else value.encode("unicode_escape").decode()
            raise ValueError(f"`{shown}` is not {self._wanted}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self._pattern})$"}


def _parse_size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(KB|MB|GB)", value.strip(), re.IGNORECASE)
        if match is None:
            raise ValueError(f"`{value}` is not a size; write it like 128MB")
        unit = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[match[2].upper()]
        return int(float(match[1]) * unit)
    return value


def _check_encoding(value: str) -> str:
    if value not in ENCODINGS:
        raise ValueError(f"`{value}` is not one of {', '.join(ENCODINGS)}")
    return value


def _parse_number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"expected a number, found `{value}`")
    return Decimal(str(value))


def _check_sheet(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int) or value in ("", 0):
        raise ValueError("a sheet is given by its name, or by its number, counted from 1")
    if isinstance(value, int) and value < 0:
        raise ValueError("sheets are counted from 1")
    return value


def _parse_partition_key(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str | int):
        raise ValueError(f"`{value}` is not a partition key; put quotes around it")
    return value


def _to_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_max_rejects(value: int | str) -> int | str:
    if isinstance(value, int):
        if value < 0:
            raise ValueError("a number of rows is 0 or more")
    elif not re.fullmatch(_PERCENTAGE, value):
        raise ValueError(f"`{value}` is neither a number of rows nor a share such as `1%`")
    return value


def _check_rows(value: int | str) -> int | str:
    _check_max_rejects(value)
    if not float(str(value).removesuffix("%")):
        raise ValueError("a guard needs at least one row, or more than 0%")
    return value


def _parse_check_value(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return _parse_number(value)
    if value is None or not isinstance(value, str | int | Decimal):
        raise ValueError(f"`{value}` is not a value; put quotes around text")
    return value


def _check_pattern(value: str) -> str:
    regex.portable(value)
    return value


def _check_query(value: str) -> str:
    queries.check_query(value)
    check_functions(value)
    return value


def _check_text_encoding(value: str) -> str:
    try:
        "".encode(value)
    except LookupError:
        raise ValueError(f"`{value}` is not a text encoding; most files are utf-8") from None
    return value


def _check_date_format(value: str) -> str:
    return time_formats.check(value, zoned=False)


def _check_timestamp_format(value: str) -> str:
    return time_formats.check(value, zoned=True)


Type = Annotated[
    DataType,
    BeforeValidator(_parse_type),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*(?!({_BARE_TYPES})\s*\()[A-Za-z_][A-Za-z0-9_ ]*"
            r"(\(\s*([0-9]+|[Mm][Aa][Xx])\s*(,\s*[0-9]+\s*)?\))?\s*$",
            "examples": list(datatypes.NAMES),
        }
    ),
]


Expression = Annotated[
    StrictStr,
    BeforeValidator(_check_expression),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]


Zone = Annotated[StrictStr, AfterValidator(_check_zone)]


Bytes = Annotated[
    StrictInt,
    BeforeValidator(_parse_size),
    Field(gt=0),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "pattern": r"^\s*(?!0+(\.0+)?\s*[KkMmGg])[0-9]+(\.[0-9]+)?\s*([KkMmGg][Bb])\s*$",
            "exclusiveMinimum": 0,
        }
    ),
]


Duration = Annotated[StrictStr, Matching(r"[1-9]\d*[smhdw]", "a duration, such as 24h or 7d")]

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_seconds(text: str) -> int:
    """The seconds of a `Duration`.

    >>> duration_seconds("2m"), duration_seconds("1d")
    (120, 86400)
    """
    return int(text[:-1]) * _SECONDS[text[-1]]


Encoding = Annotated[
    StrictStr,
    AfterValidator(_check_encoding),
    WithJsonSchema({"type": "string", "enum": list(ENCODINGS)}),
]


Character = Annotated[
    StrictStr,
    Field(min_length=1, max_length=1),
    Matching(
        r"[\u0001-\u0009\u000b\u000c\u000e-\u007f]",
        "one ASCII character that is not a line end, which is all that CSV readers support",
    ),
]


DateFormat = Annotated[StrictStr, AfterValidator(_check_date_format)]


TimestampFormat = Annotated[StrictStr, AfterValidator(_check_timestamp_format)]


PartitionKey = Annotated[
    StrictStr | StrictInt | StrictBool,
    BeforeValidator(_parse_partition_key),
    WithJsonSchema({"type": ["string", "integer", "boolean"]}),
]


CheckValue = Annotated[
    StrictStr | StrictInt | StrictBool | Decimal,
    BeforeValidator(_parse_check_value),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
"""A value of a column; dates and times are text."""


Pattern = Annotated[StrictStr, AfterValidator(_check_pattern), Field(min_length=1)]


Condition = Annotated[StrictStr, AfterValidator(_check_expression), Field(min_length=1)]


Query = Annotated[StrictStr, AfterValidator(_check_query), Field(min_length=1)]


Number = Annotated[Decimal, BeforeValidator(_parse_number), WithJsonSchema({"type": "number"})]


TemplateName = Literal[
    "create_schema",
    "create_sequence",
    "create_table",
    "comment_table",
    "comment_column",
    "grant",
    "add_column",
    "drop_column",
    "widen_column",
    "alter_dist",
    "alter_sort",
    "alter_encodings",
    "delete_slice",
    "delete_all",
    "copy_parquet",
    "copy_csv",
    "copy_json",
    "copy_arrow",
    "create_stage",
    "merge_delete",
    "merge_insert",
    "merge",
    "select",
    "count",
    "check",
]


Privilege = Literal["select", "insert", "update", "delete", "references", "drop", "alter", "all"]


Grantee = Annotated[
    StrictStr,
    Matching(
        r"public|(user|group|role):[^\0]+",
        "a grantee; write user:NAME, group:NAME, role:NAME or public",
    ),
]


_TAG_WORD = r"[A-Za-z0-9_.-]{1,63}"
Text = Annotated[StrictStr, Field(min_length=1)]
"""Text of at least one character."""
AssetKey = Annotated[
    StrictStr,
    Field(max_length=1_024),
    Matching(r"[^/\0]+(/[^/\0]+)*", "an asset key, such as nyc/flights"),
]
TagKey = Annotated[StrictStr, Matching(rf"({_TAG_WORD}/)?{_TAG_WORD}", "a tag key")]
TagValue = Annotated[StrictStr, Matching(rf"({_TAG_WORD})?", "a tag value")]
Owner = Annotated[
    StrictStr,
    Matching(r"team:.+|[^@\s:]+@[^@\s]+", "an owner: an e-mail address or team:NAME"),
]
MaxRejects = Annotated[
    StrictInt | StrictStr,
    AfterValidator(_check_max_rejects),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": f"^{_PERCENTAGE}$"},
            ]
        }
    ),
]
Rows = Annotated[
    StrictInt | StrictStr,
    AfterValidator(_check_rows),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": f"^(?!0+(\\.0+)?%){_PERCENTAGE}$"},
            ]
        }
    ),
]
"""A number of rows, or a share such as ``20%``."""
TextEncoding = Annotated[StrictStr, AfterValidator(_check_text_encoding)]
Connection = Annotated[StrictStr, AfterValidator(check_connection)]
Sheet = Annotated[
    StrictStr | StrictInt,
    BeforeValidator(_check_sheet),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}]}
    ),
]
FileNames = Annotated[
    tuple[Text, ...],
    BeforeValidator(_to_tuple),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ]
        }
    ),
]
