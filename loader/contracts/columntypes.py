"""Converts column types of other systems to Redshift's, and Redshift's to ODCS logical types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loader.sql import datatypes
from loader.sql.datatypes import MAX_VARCHAR, DataType

BYTES_PER_CHARACTER = 4
"""The most bytes of one character in UTF-8."""

_FOREIGN_TYPES = {
    "string": f"varchar({MAX_VARCHAR})",
    "str": f"varchar({MAX_VARCHAR})",
    "tinytext": f"varchar({MAX_VARCHAR})",
    "mediumtext": f"varchar({MAX_VARCHAR})",
    "longtext": f"varchar({MAX_VARCHAR})",
    "clob": f"varchar({MAX_VARCHAR})",
    "uuid": "char(36)",
    "uniqueidentifier": "char(36)",
    "tinyint": "smallint",
    "byteint": "smallint",
    "short": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "mediumint": "integer",
    "int64": "bigint",
    "long": "bigint",
    "hugeint": "decimal(38,0)",
    "number": "decimal(38,9)",
    "bignumeric": "decimal(38,9)",
    "money": "decimal(19,4)",
    "float32": "real",
    "float": "double precision",
    "double": "double precision",
    "float64": "double precision",
    "datetime": "timestamp",
    "datetime2": "timestamp",
    "timestamp_ntz": "timestamp",
    "timestamp_tz": "timestamptz",
    "timestamp_ltz": "timestamptz",
    "datetimeoffset": "timestamptz",
    "json": "super",
    "jsonb": "super",
    "variant": "super",
    "object": "super",
    "array": "super",
    "struct": "super",
    "record": "super",
    "map": "super",
    "bytes": "varbyte(64000)",
    "bytea": "varbyte(64000)",
    "binary": "varbyte(64000)",
    "blob": "varbyte(64000)",
}
"""Types of other warehouses → the Redshift type that holds all of their values."""

_SIZED = {"number": "decimal", "string": "varchar", "varchar2": "varchar", "bignumeric": "decimal"}
"""Types of other warehouses whose parameters mean the same in Redshift."""

_UNSIZED = {
    "text": f"varchar({MAX_VARCHAR})",
    "varchar": f"varchar({MAX_VARCHAR})",
    "character varying": f"varchar({MAX_VARCHAR})",
    "nvarchar": f"varchar({MAX_VARCHAR})",
    "decimal": "decimal(38,9)",
    "numeric": "decimal(38,9)",
}
"""Types that have a default size in Redshift, and no size elsewhere."""

_TIME_WITH_PRECISION = re.compile(r"(time|timestamp)(tz)?\s*\(\s*[0-6]\s*\)(.*)")
"""A time with a precision in fractional digits; Redshift stores six."""


@dataclass(frozen=True)
class TypeChoice:
    """The Redshift type that a foreign type becomes, with a note for the report."""

    data_type: str
    note: str | None = None
    used: frozenset[str] = frozenset()
    """The options of a logical type that the Redshift type expresses in full."""


def from_physical(text: str, *, native: bool = True) -> TypeChoice:
    """Convert a physical type to a Redshift type.

    Args:
        text: The type as it is written.
        native: Whether it is a Redshift type, so that ``text`` means ``varchar(256)``.

    Raises:
        ValueError: it is not a known type.
    """
    word = " ".join(text.lower().split())
    if not native and word in _UNSIZED:
        data_type = _UNSIZED[word]
        return TypeChoice(data_type, f"`{text}` has no size, so it becomes {data_type}")
    try:
        found = datatypes.parse(text)
    except ValueError:
        elsewhere = _convert_foreign_type(word)
        if elsewhere is None:
            raise
        return TypeChoice(elsewhere, f"`{text}` becomes {elsewhere}")
    note = f"`{text}` becomes {found}" if word in _UNSIZED else None
    return TypeChoice(str(found), note)


def is_unsized(text: str) -> bool:
    """Whether a physical type usually has a size, but is written without one."""
    return " ".join(text.lower().split()) in _UNSIZED


def _convert_foreign_type(word: str) -> str | None:
    if match := _TIME_WITH_PRECISION.fullmatch(word):
        return str(datatypes.parse(f"{match[1]}{match[2] or ''}{match[3]}"))
    name, bracket, parameters = word.partition("(")
    name = name.strip()
    if bracket and name in _SIZED:
        try:
            return str(datatypes.parse(f"{_SIZED[name]}({parameters}"))
        except ValueError:
            return None
    return _FOREIGN_TYPES.get(re.split(r"[(<]", word)[0].strip())


def from_logical(kind: str, options: Mapping[str, Any]) -> TypeChoice:
    """Convert an ODCS logical type to the Redshift type that holds all of its values.

    Raises:
        ValueError: ODCS has no such type.
    """
    form = options.get("format")
    match kind:
        case "string":
            return _text(options)
        case "integer":
            return _integer(form)
        case "number" if form in ("f32", "f64"):
            data_type = "real" if form == "f32" else "double precision"
            return TypeChoice(data_type, used=frozenset({"format"}))
        case "number":
            return TypeChoice("decimal(38,9)", "a number without a size becomes decimal(38,9)")
        case "boolean" | "date":
            return TypeChoice(kind)
        case "timestamp" | "time":
            zoned = options.get("timezone") is True
            return TypeChoice(f"{kind}tz" if zoned else kind, used=frozenset({"timezone"}))
        case "object" | "array":
            return TypeChoice("super")
    raise ValueError(
        f"`{kind}` is not one of string, integer, number, boolean, date, timestamp, time, object,"
        " array"
    )


def _text(options: Mapping[str, Any]) -> TypeChoice:
    if options.get("format") == "uuid":
        return TypeChoice("char(36)", used=frozenset({"format", "maxLength", "minLength"}))
    length = options.get("maxLength")
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        note = f"a string without maxLength becomes varchar({MAX_VARCHAR})"
        return TypeChoice(f"varchar({MAX_VARCHAR})", note)
    size = min(length * BYTES_PER_CHARACTER, MAX_VARCHAR)
    note = f"a string of {length:,} characters becomes varchar({size}): Redshift counts bytes"
    return TypeChoice(f"varchar({size})", note, frozenset({"maxLength"}))


_FORMATS = {
    "i8": "smallint",
    "u8": "smallint",
    "i16": "smallint",
    "u16": "integer",
    "i32": "integer",
    "u32": "bigint",
    "i64": "bigint",
    "u64": "decimal(20,0)",
    "i128": "decimal(38,0)",
    "u128": "decimal(38,0)",
}


def _integer(form: object) -> TypeChoice:
    if isinstance(form, str) and form in _FORMATS:
        note = f"{form} becomes decimal(38,0), which is smaller" if form.endswith("128") else None
        return TypeChoice(_FORMATS[form], note, frozenset({"format"}))
    return TypeChoice("bigint", "an integer without a size becomes bigint")


def logical_type(data_type: DataType) -> tuple[str | None, dict[str, Any]]:
    """The ODCS logical type of a Redshift type, with its options; None where there is none."""
    match data_type.name:
        case "char" | "varchar":
            return "string", {"maxLength": data_type.length}
        case "smallint" | "integer" | "bigint":
            sizes = {"smallint": "i16", "integer": "i32", "bigint": "i64"}
            return "integer", {"format": sizes[data_type.name]}
        case "decimal":
            return "number", {}
        case "real" | "double precision":
            return "number", {"format": "f32" if data_type.name == "real" else "f64"}
        case "boolean" | "date" | "time" | "timestamp":
            return data_type.name, {}
        case "timetz" | "timestamptz":
            return data_type.name.removesuffix("tz"), {"timezone": True}
        case "super":
            return "object", {}
    return None, {}
