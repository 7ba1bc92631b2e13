"""Which tables a statement reads and writes, as its words say."""

from __future__ import annotations

from typing import NamedTuple

from loader.testing.redshift.refusals import Refusal
from loader.testing.redshift.statements.tokens import Cursor, quote, tokenize


class Relations(NamedTuple):
    """Names of tables, quoted, with their schemas where the statement says them."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.reads or self.writes)


_DATA = ("select", "with", "insert", "delete", "update", "merge", "copy", "unload", "truncate")
_BEFORE_NAMES = ("from", "join", "into", "using", "update", "copy", "truncate")


def relations_of(sql: str) -> Relations:
    """The tables of a statement. INSERT and COPY do not read the table they write.

    >>> relations_of("INSERT INTO a.t SELECT * FROM b JOIN c ON b.x = c.x").writes
    frozenset({'"a"."t"'})
    >>> sorted(relations_of("DELETE FROM t USING u WHERE t.x = u.x").reads)
    ['"t"', '"u"']
    """
    tokens = tokenize(sql)
    if not tokens or not tokens[0].says(*_DATA):
        return Relations()
    word = tokens[0].value
    if word == "unload":
        query = next((token for token in tokens if token.kind == "string"), None)
        return relations_of(query.value) if query else Relations()
    found: list[tuple[str, str]] = []
    cursor = Cursor(tokens)
    while not cursor.done:
        token = cursor.next()
        if token.says(*_BEFORE_NAMES):
            found += [(token.value, name) for name in _names(cursor)]
    return _classify(word, found)


def _names(cursor: Cursor) -> list[str]:
    """The names that come next; those of FROM may be several."""
    names: list[str] = []
    while True:
        cursor.take("table")
        token = cursor.peek()
        if token is None or not token.names:
            return names
        try:
            path = cursor.path()
        except Refusal:
            return names
        names.append(".".join(map(quote, path)))
        if cursor.at("as"):
            cursor.take("as")
        alias = cursor.peek()
        if alias is not None and alias.names and _ends_with_comma(cursor):
            cursor.next()
        if not cursor.take(","):
            return names


def _ends_with_comma(cursor: Cursor) -> bool:
    after = cursor.peek(1)
    return after is not None and after.says(",")


def _classify(word: str, found: list[tuple[str, str]]) -> Relations:
    """Tell reads from writes, by the words before the names."""
    written = {
        "insert": "into",
        "merge": "into",
        "delete": "from",
        "update": "update",
        "copy": "copy",
        "truncate": "truncate",
    }.get(word)
    target = next((name for before, name in found if before == written), None)
    reads = {name for before, name in found if before in ("from", "join", "using")}
    if target is None:
        return Relations(frozenset(reads))
    if word in ("delete", "update", "merge"):
        reads.add(target)
    elif word == "copy":
        reads = set()
    return Relations(frozenset(reads), frozenset({target}))
