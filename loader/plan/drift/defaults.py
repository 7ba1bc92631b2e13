"""Compares two DEFAULT expressions by their text."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from loader.sql.datatypes import DataType
from loader.sql.dialects.base import Dialect
from loader.sql.lexer import tokens

_CAST = re.compile(
    r"::\s*[a-z_][a-z0-9_]*(?:\s+(?:varying|precision|(?:with|without)\s+time\s+zone))?"
    r"(?:\s*\(\s*\d+(?:\s*,\s*\d+)?\s*\))?(?:\[\])?",
    re.IGNORECASE,
)
_TYPED = re.compile(r"(?:date|timestamptz|timestamp|time|numeric|decimal)\s*(?=')", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\s*(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_CALL = re.compile(r"[a-z_][a-z0-9_.]*\(\)", re.IGNORECASE)
_NOW = frozenset(
    {"getdate()", "sysdate", "now()", "current_timestamp", "current_date", "current_time"}
)


def same_default(
    declared: str | None, live: str | None, data_type: DataType, dialect: Dialect
) -> bool | None:
    """Whether a live column's DEFAULT equals the declared one; None when that is not certain.

    Catalogs rewrite expressions, so only the difference of plain values is certain.

    >>> from loader.sql.dialects import redshift
    >>> from loader.sql.datatypes import parse
    >>> redshift, text = redshift.DIALECT, parse("varchar(9)")
    >>> same_default("'new'", "'new'::character varying", text, redshift)
    True
    >>> same_default("'new'", "'old'::character varying", text, redshift)
    False
    >>> same_default("upper('a')", "'A'::text", text, redshift) is None
    True
    """
    spec_default = _normalize(
        None if declared is None else dialect.default(declared), data_type, dialect
    )
    live_default = _normalize(live, data_type, dialect)
    if spec_default == live_default:
        return True
    if spec_default is None or live_default is None:
        return False
    if spec_default.lower() in _NOW and live_default.lower() in _NOW:
        return None  # a catalog may replace one by another
    return False if _is_sure(spec_default) and _is_sure(live_default) else None


def _normalize(text: str | None, data_type: DataType, dialect: Dialect) -> str | None:
    """Normalize an expression, since catalogs add casts and brackets; None for NULL."""
    if text is None:
        return None
    found = _strip_brackets(_TYPED.sub("", _strip_casts(text, dialect)))
    if found.lower() == "null":
        return None
    if found.startswith("'") and not data_type.is_text:
        inner = found[1:-1]
        if _NUMBER.fullmatch(inner) or data_type.name == "boolean":
            found = inner
    if data_type.name == "boolean":
        return {"t": "true", "f": "false", "1": "true", "0": "false"}.get(
            found.lower(), found.lower()
        )
    if _NUMBER.fullmatch(found):
        try:
            return f"{Decimal(found.replace(' ', '')).normalize():f}"
        except InvalidOperation:
            return found
    return found


def _strip_casts(text: str, dialect: Dialect) -> str:
    """Remove blanks and casts from an expression, but not inside quotes."""
    texts: list[str] = []
    parts: list[str] = []
    for kind, piece in tokens(text, backslash=dialect.backslash):
        if kind == "text":
            texts.append(piece)
            parts.append("'\0'")
        elif kind not in ("space", "comment"):
            spaced = kind == "word" and parts and re.match(r"\w", parts[-1][-1:])
            parts.append(f" {piece}" if spaced else piece)
    bare = "".join(piece if "\0" in piece or '"' in piece else piece.lower() for piece in parts)
    bare = re.sub(r"cast\((.*) as [a-z ]+(\([0-9, ]*\))?\)", r"\1", _CAST.sub("", bare))
    for piece in texts:
        bare = bare.replace("'\0'", piece, 1)
    return bare


def _strip_brackets(text: str) -> str:
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1].strip()
    return text.strip()


def _closes_last(text: str) -> bool:
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at == len(text) - 1
    return False


def _is_sure(text: str) -> bool:
    """Whether it is a plain value, or a function that a catalog does not evaluate."""
    if text.lower() in _NOW:
        return True
    # Catalogs may show SYSDATE as the timestamp 'now'.
    literal = re.fullmatch(r"'(?:[^']|'')*'", text) and text.lower() not in ("'now'", "'today'")
    words = text in ("true", "false")
    return bool(literal or words or _NUMBER.fullmatch(text) or _CALL.fullmatch(text))
