"""The types of a warehouse's catalog as specs say them."""

from __future__ import annotations

import re
from collections.abc import Callable

from loader.inference.guesses import ROOMY_VARBYTE
from loader.sql import datatypes
from loader.sql.datatypes import MAX_VARCHAR
from loader.sql.dialects.base import Dialect

_VARCHAR, _VARBYTE = f"varchar({MAX_VARCHAR})", f"varbyte({ROOMY_VARBYTE})"

_DUCKDB = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "SMALLINT": "smallint",
    "USMALLINT": "integer",
    "INTEGER": "integer",
    "UINTEGER": "bigint",
    "BIGINT": "bigint",
    "UBIGINT": "decimal(20,0)",
    "HUGEINT": "decimal(38,0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": _VARCHAR,
    "UUID": "varchar(36)",
    "JSON": "super",
    "VARIANT": "super",
    "BLOB": _VARBYTE,
    "DATE": "date",
    "TIME": "time",
    "TIME WITH TIME ZONE": "timetz",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "INTERVAL": "interval day to second",
}

_NESTED = re.compile(r"(STRUCT|MAP|UNION)\(.*\)|.*\[\d*\]", re.DOTALL)
_ENUM = re.compile(r"ENUM\((.*)\)", re.DOTALL)
_WORD = re.compile(r"'((?:[^']|'')*)'")


def spec_type(live: str, dialect: Dialect) -> str | None:
    """The type a spec declares for a column of the catalog; None when specs cannot say it.

    What DuckDB has and Redshift has not becomes the narrowest type that holds it. Lengths that a
    catalog does not tell are the most there is.
    """
    return _SPELLINGS[dialect.name](live)


def _of_duckdb(live: str) -> str | None:
    name = live.strip()
    if _NESTED.fullmatch(name):
        return "super"
    if (enum := _ENUM.fullmatch(name)) is not None:
        sizes = [len(word.replace("''", "'").encode()) for word in _WORD.findall(enum[1])]
        return f"varchar({min(max([*sizes, 1]), MAX_VARCHAR)})"
    if name.upper().startswith("DECIMAL("):
        return _parsed(name)
    return _DUCKDB.get(name.upper())


def _of_redshift(live: str) -> str | None:
    if "(" not in live:
        # What a length would be by default says nothing of a table that is there.
        bare = _parsed(live)
        if bare is not None and bare.startswith("varchar("):
            return _VARCHAR
        return _VARBYTE if bare is not None and bare.startswith("varbyte(") else bare
    return _parsed(live)


def _parsed(live: str) -> str | None:
    try:
        return str(datatypes.parse(live))
    except ValueError:
        return None


_SPELLINGS: dict[str, Callable[[str], str | None]] = {
    "duckdb": _of_duckdb,
    "redshift": _of_redshift,
}
