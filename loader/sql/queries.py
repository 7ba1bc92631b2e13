"""Queries of specs: one SELECT, with places for the table and for the slice that is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from loader.sql import lexer

PLACES = ("table", "slice")
"""What a query may write in braces: the whole table, and the rows of it that are checked."""

_WRITES = frozenset({"insert", "update", "delete", "merge"})


def check_query(text: str) -> None:
    """Check that a text is one query, which neither writes nor ends the transaction.

    It is run inside of brackets, where the warehouses take no other statement.

    Raises:
        ValueError: it is not; see `lexer.check_expression` too.
    """
    lexer.check_expression(text, "query")
    pieces = [(kind, piece) for kind, piece in lexer.tokens(text) if kind != "space"]
    first = pieces[0][1].lower()
    if first not in ("select", "with"):
        raise ValueError(f"a query starts with SELECT or WITH, not `{pieces[0][1]}`")
    for (_, before), (kind, piece) in pairwise(pieces):
        word = piece.lower() if kind == "word" else ""
        if word == "into" or (before == "(" and word in _WRITES):
            raise ValueError(f"`{piece}` writes, but a query may only read")
    for name in find_places(text):
        if name not in PLACES:
            places = " and ".join(f"{{{place}}}" for place in PLACES)
            raise ValueError(f"a query has no place `{{{name}}}`; the places are {places}")


def find_places(text: str) -> list[str]:
    """The words in braces outside of quotes, in their order.

    >>> find_places("SELECT count(*) FROM {slice} WHERE a <> '{b}'")
    ['slice']
    """
    return [piece for piece, is_place in _split(text) if is_place]


def fill_places(text: str, names: Mapping[str, str]) -> str:
    """The query with SQL in the place of words in braces; other words stay.

    >>> fill_places("SELECT count(*) FROM {table}", {"table": "t"})
    'SELECT count(*) FROM t'
    """
    return "".join(
        names.get(piece, f"{{{piece}}}") if is_place else piece for piece, is_place in _split(text)
    )


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a query, and whether each is the word of a place."""
    pieces = list(lexer.tokens(text))
    at = 0
    while at < len(pieces):
        follows = pieces[at : at + 3]
        if [kind for kind, _ in follows] == ["other", "word", "other"] and (
            follows[0][1] == "{" and follows[2][1] == "}"
        ):
            yield follows[1][1], True
            at += 3
        else:
            yield pieces[at][1], False
            at += 1
