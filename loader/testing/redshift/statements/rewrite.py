"""Redshift's words inside any statement → PostgreSQL's, token by token."""

from __future__ import annotations

from collections.abc import Sequence

from loader.testing.redshift.refusals import Refusal, not_implemented
from loader.testing.redshift.statements.column_types import ColumnType, parse_type
from loader.testing.redshift.statements.tokens import Cursor, Token, quote

Domains = dict[str, str]
"""Domains that a statement needs: name → CREATE DOMAIN."""

_CALLS = {
    "format_type": "redshift_type",
    "json_serialize": '"json_serialize"',  # a construct of its grammar, without quotes
    "nvl": "coalesce",  # dg/r_NVL_function
}
"""Functions that have another name there."""

_CAST_TYPES = frozenset(
    {"super", "varbyte", "varchar", "decimal", "geometry", "geography", "hllsketch"}
)
"""Types that PostgreSQL lacks, or of which a bare one means something else there."""


def render(tokens: Sequence[Token], domains: Domains) -> str:
    """The tokens as PostgreSQL text, without comments; notes the domains it needs."""
    return _Renderer(tokens, domains).text()


def path(names: Sequence[str]) -> str:
    """Stored names as a qualified one."""
    return ".".join(quote(name) for name in names)


def need(column_type: ColumnType, domains: Domains) -> str:
    """PostgreSQL's word for a type, its domain noted."""
    if column_type.domain is not None:
        name, make = column_type.domain
        domains[name] = make
    return column_type.sql


class _Renderer:
    def __init__(self, tokens: Sequence[Token], domains: Domains) -> None:
        self._tokens = tokens
        self._domains = domains
        self._casts: list[bool] = []
        """For each open parenthesis, whether it is that of a CAST."""

    def text(self) -> str:
        parts: list[str] = []
        place, end = 0, None
        while place < len(self._tokens):
            token = self._tokens[place]
            if end is not None and token.start > end:
                parts.append(" ")
            replaced, following = self._one(place)
            parts.append(replaced)
            end = self._tokens[following - 1].end
            place = following
        return "".join(parts)

    def _one(self, place: int) -> tuple[str, int]:
        """What stands for the token, and the place of the next one."""
        token = self._tokens[place]
        if token.says("("):
            self._casts.append(self._says(place - 1, "cast"))
        elif token.says(")") and self._casts:
            self._casts.pop()
        elif token.says("::") or (token.says("as") and self._casts and self._casts[-1]):
            return self._cast(place)
        elif token.kind == "name" or (token.kind == "word" and self._must_be_quoted(token)):
            return quote(token.value), place + 1
        elif token.kind == "word":
            return self._word(place)
        return token.text, place + 1

    def _word(self, place: int) -> tuple[str, int]:
        word = self._tokens[place].value
        catalog = self._says(place - 1, ".") and self._says(place - 2, "pg_catalog")
        if word in _CALLS and self._says(place + 1, "("):
            return _CALLS[word], place + 1
        if word in ("dateadd", "datediff") and self._says(place + 1, "("):
            return self._date_function(place)
        if (
            word == "pg_catalog"
            and self._says(place + 1, ".")
            and self._says(place + 2, "format_type")
        ):
            return "redshift_type", place + 3
        if word == "pg_constraint" and (catalog or not self._says(place - 1, ".")):
            return "redshift_constraints", place + 1
        if word == "sysdate" and not self._says(place - 1, ".") and not self._says(place - 1, "as"):
            return "getdate()", place + 1
        return self._tokens[place].text, place + 1

    def _date_function(self, place: int) -> tuple[str, int]:
        """The part is a word of the language: only microseconds are implemented."""
        word, part = self._tokens[place].value, self._tokens[place + 2]
        if not part.says("microsecond", "microseconds"):
            raise not_implemented(f"{word.upper()} in {part.text}")
        self._casts.append(False)
        return f"redshift_{word}('microsecond'", place + 3

    def _cast(self, place: int) -> tuple[str, int]:
        text = self._tokens[place].text
        cursor = Cursor(self._tokens)
        cursor.place = place + 1
        try:
            column_type = parse_type(cursor)
        except Refusal:
            return text, place + 1
        # TEXT is left: the catalog's own is not the VARCHAR(256) of a column.
        if column_type.name not in _CAST_TYPES or self._says(place + 1, "text"):
            return text, place + 1
        space = " " if text != "::" else ""
        return f"{text}{space}{need(column_type, self._domains)}", cursor.place

    def _says(self, place: int, word: str) -> bool:
        return 0 <= place < len(self._tokens) and self._tokens[place].says(word)

    @staticmethod
    def _must_be_quoted(token: Token) -> bool:
        return token.value.startswith("#") or len(token.value) != len(token.text)
