"""DuckDB: the embedded default. Types are derived from Redshift's."""

from __future__ import annotations

import re

from loader.sql.datatypes import MAX_VARBYTE, MAX_VARCHAR, ROOMY_VARBYTE, DataType, parse
from loader.sql.dialects.base import Dialect
from loader.sql.lexer import replace_words

_TYPES = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "char": "VARCHAR",
    "varchar": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "timetz": "TIME WITH TIME ZONE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "super": "JSON",
    "varbyte": "BLOB",
    # Types that only Redshift has are stored as text.
    "geometry": "VARCHAR",
    "geography": "VARCHAR",
    "hllsketch": "VARCHAR",
    "interval year to month": "INTERVAL",
    "interval day to second": "INTERVAL",
}

_NOW = "CAST(timezone('UTC', current_timestamp) AS TIMESTAMP)"
"""As DuckDB's catalog spells it, for the comparison with live tables."""


def _column_type(data_type: DataType) -> str:
    if data_type.name == "decimal":
        return f"DECIMAL({data_type.precision},{data_type.scale})"
    return _TYPES[data_type.name]


def _default(expression: str) -> str:
    return replace_words(expression, {"sysdate": _NOW}, {"getdate": _NOW})


def _differs(data_type: DataType, live: str) -> bool:
    return live.upper() != _column_type(data_type).upper()


_KNOWN = {spelling: DataType(name) for name, spelling in reversed(_TYPES.items())} | {
    "VARCHAR": DataType("varchar", (MAX_VARCHAR,)),
    "BLOB": DataType("varbyte", (MAX_VARBYTE,)),
}


def _parse_live_type(live: str) -> DataType | None:
    if live.upper().startswith("DECIMAL("):
        try:
            return parse(live)
        except ValueError:  # more digits after the point than Redshift has
            return None
    return _KNOWN.get(live.upper())


_SPEC_TYPES = {
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
    "VARCHAR": f"varchar({MAX_VARCHAR})",
    "UUID": "varchar(36)",
    "JSON": "super",
    "VARIANT": "super",
    "BLOB": f"varbyte({ROOMY_VARBYTE})",
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


def _spec_type(live: str) -> str | None:
    name = live.strip()
    if _NESTED.fullmatch(name):
        return "super"
    if (enum := _ENUM.fullmatch(name)) is not None:
        sizes = [len(word.replace("''", "'").encode()) for word in _WORD.findall(enum[1])]
        return f"varchar({min(max([*sizes, 1]), MAX_VARCHAR)})"
    if name.upper().startswith("DECIMAL("):
        decimal = _parse_live_type(name)
        return None if decimal is None else str(decimal)
    return _SPEC_TYPES.get(name.upper())


_CATALOGS = frozenset({"system", "temp"})


def catalog_name(database: str) -> str:
    """What DuckDB calls the database in a file of this name: up to its first dot.

    >>> catalog_name("shop.v2.duckdb"), catalog_name("temp.duckdb")
    ('shop', 'temp_db')
    """
    name = next((part for part in database.split(".") if part), "")
    return f"{name}_db" if name.lower() in _CATALOGS | {"main"} else name


DIALECT = Dialect(
    name="duckdb",
    title="DuckDB",
    catalogs=_CATALOGS,
    column_type=_column_type,
    default=_default,
    differs=_differs,
    spelling=str,
    known=_parse_live_type,
    spec_type=_spec_type,
    staging_format="arrow",
    keeps_lengths=False,
    has_layout=False,
    has_grants=False,
    text_figures=("minimum", "maximum"),
    opaque=frozenset({"timetz", "interval year to month", "interval day to second"}),
    backslash=False,
    commits={
        r"(BEGIN|START|COMMIT|END|ROLLBACK|ABORT)\b": "Loader opens and ends the transaction",
        r"TRUNCATE\b": "it commits on Redshift; use DELETE",
        r"(FORCE )?CHECKPOINT\b|VACUUM\b": "it cannot run inside a transaction",
        r"(ATTACH|DETACH|USE|EXPORT|IMPORT)\b": "it changes databases under the transaction",
        r"(CALL|EXECUTE)\b": "what it runs cannot be checked",
    },
)
