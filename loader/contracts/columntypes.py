"""Column types of other languages as Redshift's, and Redshift's as the contract standard's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loader.sql import datatypes
from loader.sql.datatypes import MAX_VARCHAR, DataType

BYTES_PER_CHARACTER = 4
"""The most that UTF-8 needs."""

_ELSEWHERE = {
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
"""Types of other warehouses → the type of Redshift that holds all of their values."""

_SIZED = {"number": "decimal", "string": "varchar", "varchar2": "varchar", "bignumeric": "decimal"}
"""Types of other warehouses whose parameters mean what Redshift's do."""

_UNBOUNDED = {
    "text": f"varchar({MAX_VARCHAR})",
    "varchar": f"varchar({MAX_VARCHAR})",
    "character varying": f"varchar({MAX_VARCHAR})",
    "nvarchar": f"varchar({MAX_VARCHAR})",
    "decimal": "decimal(38,9)",
    "numeric": "decimal(38,9)",
}
"""Types that have a default size in Redshift, and none elsewhere."""

_PRECISE = re.compile(r"(time|timestamp)(tz)?\s*\(\s*[0-6]\s*\)(.*)")
"""A time with a number of digits behind the second; Redshift keeps six."""


@dataclass(frozen=True)
class Chosen:
    """The type of Redshift that a foreign type becomes, and what to tell of it."""

    data_type: str
    note: str | None = None
    used: frozenset[str] = frozenset()
    """The options of a logical type that it says in full."""


def physical(text: str, *, native: bool = True) -> Chosen:
    """The type of Redshift that a physical type is.

    Args:
        text: The type as it is written.
        native: Whether it is written for Redshift, where ``text`` is ``varchar(256)``.

    Raises:
        ValueError: it is no type that Redshift or a neighbour has.
    """
    word = " ".join(text.lower().split())
    if not native and word in _UNBOUNDED:
        data_type = _UNBOUNDED[word]
        return Chosen(data_type, f"`{text}` has no size there, so it is {data_type} here")
    try:
        found = datatypes.parse(text)
    except ValueError:
        elsewhere = _elsewhere(word)
        if elsewhere is None:
            raise
        return Chosen(elsewhere, f"`{text}` is {elsewhere} in Redshift")
    note = f"`{text}` is {found} in Redshift" if word in _UNBOUNDED else None
    return Chosen(str(found), note)


def is_unsized(text: str) -> bool:
    """Whether a physical type has a size in most warehouses, and this one does not tell it."""
    return " ".join(text.lower().split()) in _UNBOUNDED


def _elsewhere(word: str) -> str | None:
    if match := _PRECISE.fullmatch(word):
        return str(datatypes.parse(f"{match[1]}{match[2] or ''}{match[3]}"))
    name, bracket, parameters = word.partition("(")
    name = name.strip()
    if bracket and name in _SIZED:
        try:
            return str(datatypes.parse(f"{_SIZED[name]}({parameters}"))
        except ValueError:
            return None
    return _ELSEWHERE.get(re.split(r"[(<]", word)[0].strip())


def logical(kind: str, options: Mapping[str, Any]) -> Chosen:
    """The type of Redshift that holds all values of a logical type of the contract standard.

    Raises:
        ValueError: the standard has no such type.
    """
    form = options.get("format")
    match kind:
        case "string":
            return _text(options)
        case "integer":
            return _integer(form)
        case "number" if form in ("f32", "f64"):
            data_type = "real" if form == "f32" else "double precision"
            return Chosen(data_type, used=frozenset({"format"}))
        case "number":
            return Chosen("decimal(38,9)", "a number of no size becomes decimal(38,9)")
        case "boolean" | "date":
            return Chosen(kind)
        case "timestamp" | "time":
            zoned = options.get("timezone") is True
            return Chosen(f"{kind}tz" if zoned else kind, used=frozenset({"timezone"}))
        case "object" | "array":
            return Chosen("super")
    raise ValueError(
        f"`{kind}` is not one of string, integer, number, boolean, date, timestamp, time, object,"
        " array"
    )


def _text(options: Mapping[str, Any]) -> Chosen:
    if options.get("format") == "uuid":
        return Chosen("char(36)", used=frozenset({"format", "maxLength", "minLength"}))
    length = options.get("maxLength")
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        note = f"text of no size becomes varchar({MAX_VARCHAR})"
        return Chosen(f"varchar({MAX_VARCHAR})", note)
    size = min(length * BYTES_PER_CHARACTER, MAX_VARCHAR)
    note = f"text of {length:,} characters becomes varchar({size}): Redshift counts bytes"
    return Chosen(f"varchar({size})", note, frozenset({"maxLength"}))


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


def _integer(form: object) -> Chosen:
    if isinstance(form, str) and form in _FORMATS:
        note = f"{form} becomes decimal(38,0), which is smaller" if form.endswith("128") else None
        return Chosen(_FORMATS[form], note, frozenset({"format"}))
    return Chosen("bigint", "a whole number of no size becomes bigint")


def described(data_type: DataType) -> tuple[str | None, dict[str, Any]]:
    """The logical type of a type of Redshift, with its options; None where there is none."""
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
