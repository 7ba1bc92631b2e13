"""Column types with Redshift's names and limits; independent of dialects and Arrow.

The names and limits are those of the Redshift documentation (``r_Character_types``,
``r_Numeric_types201``, ``r_VARBYTE_type``).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache

MAX_VARCHAR = 65_535
"""Bytes of UTF-8 a stored VARCHAR can hold."""

MAX_CHAR = 4_096
"""Bytes, and so characters: CHAR holds single-byte characters only."""

MAX_VARBYTE = 16_777_216

ROOMY_VARBYTE = 1_024_000
"""The bytes of VARBYTE that every Redshift takes."""

MAX_PRECISION = 38
MAX_SCALE = 37

_ALIASES = {
    "smallint": "smallint",
    "int2": "smallint",
    "integer": "integer",
    "int": "integer",
    "int4": "integer",
    "bigint": "bigint",
    "int8": "bigint",
    "decimal": "decimal",
    "numeric": "decimal",
    "real": "real",
    "float4": "real",
    "double precision": "double precision",
    "double": "double precision",
    "float8": "double precision",
    "float": "double precision",
    "boolean": "boolean",
    "bool": "boolean",
    "char": "char",
    "character": "char",
    "nchar": "char",
    "bpchar": "char",
    "varchar": "varchar",
    "character varying": "varchar",
    "nvarchar": "varchar",
    "text": "varchar",
    "date": "date",
    "time": "time",
    "time without time zone": "time",
    "timetz": "timetz",
    "time with time zone": "timetz",
    "timestamp": "timestamp",
    "timestamp without time zone": "timestamp",
    "timestamptz": "timestamptz",
    "timestamp with time zone": "timestamptz",
    "super": "super",
    "varbyte": "varbyte",
    "varbinary": "varbyte",
    "binary varying": "varbyte",
    "geometry": "geometry",
    "geography": "geography",
    "hllsketch": "hllsketch",
    "interval year to month": "interval year to month",
    "interval day to second": "interval day to second",
}

NAMES = tuple(dict.fromkeys(_ALIASES.values()))
"""The canonical names, one per type."""

_FOREIGN = {
    "string": "varchar(n)",
    "str": "varchar(n)",
    "json": "super",
    "jsonb": "super",
    "struct": "super",
    "array": "super",
    "list": "super",
    "map": "super",
    "object": "super",
    "variant": "super",
    "datetime": "timestamp",
    "datetime2": "timestamp",
    "timestamp_ntz": "timestamp",
    "timestamp_tz": "timestamptz",
    "bytes": "varbyte(n)",
    "bytea": "varbyte(n)",
    "blob": "varbyte(n)",
    "binary": "varbyte(n)",
    "uuid": "char(36)",
    "tinyint": "smallint",
    "byte": "smallint",
    "short": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "long": "bigint",
    "number": "decimal(p,s)",
    "float32": "real",
    "float64": "double precision",
    "money": "decimal(19,4)",
    "hugeint": "decimal(38,0)",
    "interval": "interval day to second",
}

_DEFAULT_PARAMS: dict[str, tuple[int, ...]] = {
    "char": (1,),
    "varchar": (256,),
    "decimal": (18, 0),
    "varbyte": (64_000,),
}

_GRAMMAR = re.compile(r"\s*([a-z_][a-z0-9_ ]*?)\s*(?:\(([^()]*)\))?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class DataType:
    """A Redshift column type in its canonical spelling.

    ``params`` is ``(length,)`` in bytes for char, varchar and varbyte, ``(precision, scale)`` for
    decimal, else empty.

    >>> str(parse("NUMERIC(12, 2)")), str(parse("character varying(40)")), str(parse("text"))
    ('decimal(12,2)', 'varchar(40)', 'varchar(256)')
    """

    name: str
    params: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({','.join(map(str, self.params))})" if self.params else self.name

    @property
    def length(self) -> int:
        """The most bytes a char, varchar or varbyte value may have."""
        return self.params[0]

    @property
    def precision(self) -> int:
        """Decimal digits in all."""
        return self.params[0]

    @property
    def scale(self) -> int:
        """Decimal digits after the point."""
        return self.params[1]

    @property
    def is_integer(self) -> bool:
        """Whether it holds whole numbers in two's complement."""
        return self.name in ("smallint", "integer", "bigint")

    @property
    def is_text(self) -> bool:
        """Whether it holds characters."""
        return self.name in ("char", "varchar")

    @property
    def is_temporal(self) -> bool:
        """Whether a partition of this type can have a grain, zone aside."""
        return self.name in ("date", "timestamp", "timestamptz")


@lru_cache(maxsize=1_000)
def parse(text: str) -> DataType:
    """Read a type as Redshift spells it, aliases included.

    Raises:
        ValueError: the type is unknown or beyond Redshift's limits; the message names what is
            allowed.
    """
    match = _GRAMMAR.fullmatch(text)
    word = " ".join(match[1].lower().split()) if match else text.strip().lower()
    name = _ALIASES.get(word)
    if match is None or name is None:
        raise ValueError(f"unknown type `{text}`{_suggestion(word)}")
    if match[2] is None:
        if word == "bpchar":
            return DataType(name, (256,))
        return DataType(name, _DEFAULT_PARAMS.get(name, ()))
    if word == "float":
        return _float(text, match[2])
    return DataType(name, _parse_params(text, name, match[2]))


def _suggestion(word: str) -> str:
    if word in _FOREIGN:
        return f"; Redshift spells it `{_FOREIGN[word]}`"
    close = difflib.get_close_matches(word, _ALIASES, n=1)
    return f"; did you mean `{close[0]}`?" if close else f"; the types are {', '.join(NAMES)}"


def _float(text: str, params: str) -> DataType:
    if not params.strip().isdigit() or not 1 <= int(params) <= 53:
        raise ValueError(f"`{text}`: the precision of float is 1 to 53 bits")
    return DataType("real" if int(params) <= 24 else "double precision")


def _parse_params(text: str, name: str, params: str) -> tuple[int, ...]:
    words = [word.strip().lower() for word in params.split(",")]
    if name == "varchar" and words == ["max"]:
        return (MAX_VARCHAR,)
    if name not in _DEFAULT_PARAMS:
        raise ValueError(f"`{text}`: {name} has no parameters")
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError(f"`{text}`: the parameters of {name} are whole numbers")
    numbers = tuple(map(int, words))
    if name == "decimal":
        return _decimal(text, numbers)
    if len(numbers) != 1:
        raise ValueError(f"`{text}`: {name} takes one length, in bytes")
    limit = {"varchar": MAX_VARCHAR, "char": MAX_CHAR, "varbyte": MAX_VARBYTE}[name]
    if not 1 <= numbers[0] <= limit:
        raise ValueError(f"`{text}`: the length of {name} is 1 to {limit:,} bytes")
    return numbers


def _decimal(text: str, numbers: tuple[int, ...]) -> tuple[int, int]:
    if len(numbers) not in (1, 2):
        raise ValueError(f"`{text}`: decimal takes a precision and a scale")
    precision, scale = (*numbers, 0)[:2]
    if not 1 <= precision <= MAX_PRECISION:
        raise ValueError(f"`{text}`: the precision of decimal is 1 to {MAX_PRECISION} digits")
    if scale > min(precision, MAX_SCALE):
        raise ValueError(
            f"`{text}`: the scale of decimal is at most its precision, and at most {MAX_SCALE}"
        )
    return precision, scale
