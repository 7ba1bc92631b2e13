"""Converts the DEFAULT of an existing column to the spec's ``default``."""

from __future__ import annotations

import re

from loader.plan.drift.defaults import same_default
from loader.sql import lexer
from loader.sql.datatypes import DataType
from loader.sql.dialects.base import Dialect

_WORDS = ("getdate()",)
"""Functions that specs support on every dialect, whose own spelling may differ."""

_NUMBERS = frozenset({"smallint", "integer", "bigint", "decimal", "real", "double precision"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_BOOLEANS = {"t": "true", "f": "false", "true": "true", "false": "false"}
_TYPE = r"[a-z_][a-z0-9_ ]*(?:\(\s*\d+(?:\s*,\s*\d+)?\s*\))?"
_LITERAL = re.compile(
    r"'(?:[^']|'')*'|[+-]?[0-9.]+(?:e[+-]?[0-9]+)?|true|false|null", re.IGNORECASE
)
_WRAPPED = tuple(
    re.compile(form, re.IGNORECASE | re.DOTALL)
    for form in (r"\((.*)\)", rf"(.*)::\s*{_TYPE}", rf"cast\((.*)\sas\s+{_TYPE}\)")
)
"""Brackets and casts around an expression."""

_PARAMETERS = re.compile(r"\(\s*(\d+)(?:\s*,\s*(\d+))?\s*\)")


def to_spec_default(live: str, data_type: DataType, dialect: Dialect) -> str | None:
    """The simplest equivalent default for a spec; None when it needs none, as for NULL.

    >>> from loader.sql.dialects import duckdb, redshift
    >>> from loader.sql.datatypes import parse
    >>> redshift, duckdb = redshift.DIALECT, duckdb.DIALECT
    >>> to_spec_default("'x'::character varying", parse("varchar(9)"), redshift)
    "'x'"
    >>> to_spec_default("CAST('1' AS INTEGER)", parse("integer"), duckdb)
    '1'
    >>> to_spec_default("CAST(timezone('UTC', current_timestamp) AS TIMESTAMP)",
    ...     parse("timestamp"), duckdb)
    'getdate()'

    Raises:
        ValueError: specs do not support the expression.
    """
    for word in _WORDS:
        if same_default(word, live, data_type, dialect) is True:
            return word
    text = live.strip()
    literal = _literal(text)
    if literal is None:
        lexer.check_expression(text)
        return text
    if literal.lower() == "null":
        return None
    found = text if _is_cut_by_cast(text, literal) else _simplify(literal, data_type)
    lexer.check_expression(found)
    return found if same_default(found, live, data_type, dialect) is not False else text


def is_portable(default: str) -> bool:
    """Whether a spec's default means the same on every warehouse."""
    return default in _WORDS or _literal(default) is not None


def _literal(text: str) -> str | None:
    """The literal that an expression consists of, without casts and brackets; else None."""
    found = text.strip()
    if _LITERAL.fullmatch(found):
        return found
    inner = (match[1] for form in _WRAPPED if (match := form.fullmatch(found)) is not None)
    return next((value for each in inner if (value := _literal(each)) is not None), None)


def _is_cut_by_cast(text: str, literal: str) -> bool:
    """Whether the cast may shorten the value, so that it must be kept."""
    inner = literal.strip("'")
    number = _NUMBER.fullmatch(inner) is not None
    size = len(inner.rpartition(".")[2]) if number and "." in inner else 0
    lengths = _PARAMETERS.findall(text.replace(literal, "", 1))
    if number:
        return any(int(scale or 0) < size for _, scale in lengths)
    return any(int(length) < len(inner.encode()) for length, _ in lengths)


def _simplify(literal: str, data_type: DataType) -> str:
    inner = literal[1:-1] if literal.startswith("'") else literal
    if data_type.name in _NUMBERS and _NUMBER.fullmatch(inner):
        return inner
    if data_type.name == "boolean":
        return _BOOLEANS.get(inner.lower(), literal)
    return literal
