"""DISTINCT over a primary key that is declared: Redshift trusts it and leaves DISTINCT out.

Where the key is false, rows come twice (dg/t_Defining_constraints). Only a SELECT of plain columns
of one table is seen; of joins, GROUP BY and count(DISTINCT …) the guide says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loader.testing.redshift.refusals import Refusal
from loader.testing.redshift.statements.tokens import Cursor, Token

DeclaredKey = Callable[[Sequence[str]], frozenset[str]]
"""The columns of the primary key that a table declares, by the parts of its name; or none."""


def no_key(_: Sequence[str]) -> frozenset[str]:
    """The key of a table in a database that declares none."""
    return frozenset()


def without_trusted_distinct(tokens: Sequence[Token], declared: DeclaredKey) -> list[Token]:
    """The statement without each DISTINCT that a declared key makes superfluous."""
    superfluous = {
        place + 1
        for place, token in enumerate(tokens)
        if token.says("select") and _is_trusted(tokens[place + 1 :], declared)
    }
    return [token for place, token in enumerate(tokens) if place not in superfluous]


def _is_trusted(tokens: Sequence[Token], declared: DeclaredKey) -> bool:
    """Whether what follows SELECT is DISTINCT over all columns of a declared key."""
    cursor = Cursor(tokens)
    if not cursor.take("distinct"):
        return False
    try:
        columns = {cursor.path()[-1]}
        while cursor.take(","):
            columns.add(cursor.path()[-1])
        if not cursor.take("from"):
            return False
        key = declared(cursor.path()[-2:])
    except Refusal:
        return False
    alone = cursor.done or any(cursor.at(word) for word in (")", "where", "order", "limit"))
    return alone and bool(key) and key <= columns
