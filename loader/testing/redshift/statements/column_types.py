"""Redshift's column types: their limits, and what stands for them in PostgreSQL.

The limits are those of dg/r_Character_types, dg/r_Numeric_types201 and dg/r_VARBYTE_type. Types
that are not here do not exist (dg/c_unsupported-postgresql-datatypes).
"""

from __future__ import annotations

from dataclasses import dataclass

from loader.testing.redshift.refusals import Refusal, syntax_error
from loader.testing.redshift.statements.tokens import Cursor

BAD_VALUE = "22023"
UNDEFINED = "42704"

MAX_VARCHAR = 65_535
MAX_CHAR = 4_096
MAX_VARBYTE = 16_777_216
DEFAULT_VARBYTE = 64_000
MAX_PRECISION = 38
MAX_SCALE = 37

NUMBERS = frozenset({"smallint", "integer", "bigint", "decimal"})
FLOATS = frozenset({"real", "double precision"})
TEXTS = frozenset({"char", "varchar"})
DATES = frozenset({"date", "timestamp", "timestamptz"})
TIMES = frozenset({"time", "timetz"})

KEY_TYPES = NUMBERS | FLOATS | TEXTS | DATES | TIMES | {"boolean"}
"""What a dist or sort key may be (dg/r_CREATE_TABLE_NEW)."""

ENCODINGS: dict[str, frozenset[str] | None] = {
    "raw": None,
    "az64": NUMBERS | DATES | TIMES,
    "bytedict": NUMBERS | FLOATS | TEXTS | DATES,
    "delta": NUMBERS | {"date", "timestamp"},
    "delta32k": frozenset({"integer", "bigint", "decimal", "date", "timestamp"}),
    "lzo": NUMBERS | TEXTS | DATES | {"super", "varbyte"},
    "mostly8": NUMBERS,
    "mostly16": frozenset({"integer", "bigint", "decimal"}),
    "mostly32": frozenset({"bigint", "decimal"}),
    "runlength": NUMBERS | FLOATS | TEXTS | DATES | {"boolean"},
    "text255": frozenset({"varchar"}),
    "text32k": frozenset({"varchar"}),
    "zstd": NUMBERS | FLOATS | TEXTS | DATES | {"boolean", "super"},
}
"""The matrix of dg/c_Compression_encodings: encoding → the types it takes; None is all."""


@dataclass(frozen=True)
class ColumnType:
    """A type: its canonical name, PostgreSQL's word for it, and the domain it needs there."""

    name: str
    sql: str
    domain: tuple[str, str] | None = None


_PLAIN = {
    "smallint": "smallint",
    "int2": "smallint",
    "integer": "integer",
    "int": "integer",
    "int4": "integer",
    "bigint": "bigint",
    "int8": "bigint",
    "real": "real",
    "float4": "real",
    "float8": "double precision",
    "boolean": "boolean",
    "bool": "boolean",
    "date": "date",
    "timetz": "timetz",
    "timestamptz": "timestamptz",
}
_VARCHARS = {"varchar": 256, "nvarchar": 256, "text": 256}
_CHARS = {"char": 1, "character": 1, "nchar": 1, "bpchar": 256}
_TEXT_DOMAINS = ("geometry", "geography", "hllsketch")
_TIMED = {"time": "timetz", "timestamp": "timestamptz"}


def parse_type(cursor: Cursor) -> ColumnType:
    """Go past a type.

    Raises:
        Refusal: Redshift has no such type, or not of that size.
    """
    token = cursor.next()
    word = token.value
    if word in _PLAIN:
        return ColumnType(_PLAIN[word], _PLAIN[word])
    if word in _TIMED:
        return _timed(cursor, word)
    if word in _VARCHARS or (word == "character" and cursor.take("varying")):
        return _varchar(cursor, word)
    if word in _CHARS:
        size = _length(cursor, _CHARS[word], "char", MAX_CHAR)
        return ColumnType("char", f"character({size})")
    if word in ("decimal", "numeric"):
        return _decimal(cursor)
    if word == "float":
        return _float(cursor)
    if word == "double":
        cursor.expect("precision")
        return ColumnType("double precision", "double precision")
    if word in ("varbyte", "varbinary") or (word == "binary" and cursor.take("varying")):
        return _varbyte(cursor)
    if word == "super":
        return ColumnType("super", "super", ("super", "CREATE DOMAIN pg_catalog.super AS jsonb"))
    if word in _TEXT_DOMAINS:
        return ColumnType(word, word, (word, f"CREATE DOMAIN pg_catalog.{word} AS text"))
    if word == "interval":
        return _interval(cursor)
    if not token.names:
        raise syntax_error(token.text)
    raise Refusal(f'type "{word}" does not exist', UNDEFINED)


def _timed(cursor: Cursor, word: str) -> ColumnType:
    if cursor.at("("):
        raise Refusal(f'type modifier is not allowed for type "{word}"', "42601")
    if cursor.take("with", "time", "zone"):
        return ColumnType(_TIMED[word], _TIMED[word])
    cursor.take("without", "time", "zone")
    return ColumnType(word, word)


def _varchar(cursor: Cursor, word: str) -> ColumnType:
    if cursor.take("(", "max", ")"):
        return ColumnType("varchar", f"character varying({MAX_VARCHAR})")
    if word == "text" and cursor.at("("):
        raise Refusal('type modifier is not allowed for type "text"', "42601")
    size = _length(cursor, 256, "varchar", MAX_VARCHAR)
    return ColumnType("varchar", f"character varying({size})")


def _length(cursor: Cursor, default: int, word: str, limit: int) -> int:
    if not cursor.take("("):
        return default
    size = cursor.integer()
    cursor.expect(")")
    if size < 1:
        raise Refusal(f"length for type {word} must be at least 1", BAD_VALUE)
    if size > limit:
        raise Refusal(f"length for type {word} cannot exceed {limit}", BAD_VALUE)
    return size


def _decimal(cursor: Cursor) -> ColumnType:
    precision, scale = 18, 0
    if cursor.take("("):
        precision = cursor.integer()
        if cursor.take(","):
            scale = cursor.integer()
        cursor.expect(")")
    if not 1 <= precision <= MAX_PRECISION:
        raise Refusal(
            f"DECIMAL precision {precision} must be between 1 and {MAX_PRECISION}", BAD_VALUE
        )
    if not 0 <= scale <= min(precision, MAX_SCALE):
        raise Refusal(
            f"DECIMAL scale {scale} must be between 0 and {min(precision, MAX_SCALE)}", BAD_VALUE
        )
    return ColumnType("decimal", f"numeric({precision},{scale})")


def _float(cursor: Cursor) -> ColumnType:
    bits = 53
    if cursor.take("("):
        bits = cursor.integer()
        cursor.expect(")")
    if not 1 <= bits <= 53:
        raise Refusal("precision for type float must be between 1 and 53 bits", BAD_VALUE)
    name = "real" if bits <= 24 else "double precision"
    return ColumnType(name, name)


def _varbyte(cursor: Cursor) -> ColumnType:
    size = _length(cursor, DEFAULT_VARBYTE, "varbyte", MAX_VARBYTE)
    name = f"binary varying({size})"
    make = (
        f'CREATE DOMAIN pg_catalog."{name}" AS bytea '
        f"CONSTRAINT length CHECK (octet_length(VALUE) <= {size})"
    )
    return ColumnType("varbyte", f'"{name}"', (name, make))


def _interval(cursor: Cursor) -> ColumnType:
    for words in (("year", "to", "month"), ("day", "to", "second")):
        if cursor.take(*words):
            name = f"interval {' '.join(words)}"
            return ColumnType(name, name)
    raise Refusal("INTERVAL columns need YEAR TO MONTH or DAY TO SECOND", BAD_VALUE)


def check_encoding(column: str, type_name: str, encoding: str) -> None:
    """Refuse an encoding that is none, or not for this type."""
    if encoding not in ENCODINGS:
        raise Refusal(f'encoding type "{encoding}" does not exist', UNDEFINED)
    takes = ENCODINGS[encoding]
    if takes is not None and type_name not in takes:
        raise Refusal(
            f'invalid encoding type specified for column "{column}"',
            "42P16",
            f"{encoding} does not encode {type_name}",
        )
