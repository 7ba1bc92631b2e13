"""Datashares: databases of another warehouse that this one reads and writes.

PostgreSQL has no names of three parts: ``share.schema.table`` is ``"share/schema".table`` there.
What a consumer can write is on dg/multi-warehouse-writes-sql-statements; what is not named there is
refused, in words that are on no record. Limits, on the lenient side: pg_catalog shows the schemas
of shares by those names; nothing is compared with the number of slices of a producer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from loader.testing.redshift.protocol.backend import Backend
from loader.testing.redshift.refusals import NOT_SUPPORTED, Refusal
from loader.testing.redshift.statements.rewrite import path
from loader.testing.redshift.statements.tokens import (
    Cursor,
    Token,
    literal,
    quote,
    stored,
    tokenize,
)

_WRITES = (
    "alter", "comment", "copy", "create", "delete", "drop", "insert", "lock", "merge", "truncate",
    "update", "vacuum",
)  # fmt: skip
_BEFORE_TARGET = frozenset(
    {
        *_WRITES, "column", "exists", "from", "full", "if", "into", "materialized", "not", "on",
        "only", "or", "replace", "schema", "sort", "table", "view",
    }
)  # fmt: skip


class Shares:
    """The databases that were made of datashares, and which one each transaction writes to."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._written: dict[int, str] = {}
        """What open transactions have written to: a share, or the empty name of the own one."""

    def rewrite(self, sql: str) -> str:
        """The statement with the names that PostgreSQL has for what shares hold.

        Raises:
            Refusal: it writes to a share, and cannot.
        """
        if not self.names:
            return sql
        tokens = tokenize(sql)
        if self._share_of(_target(tokens)):
            _check(tokens)
        parts, end = [], 0
        for first, schema in self._places(tokens):
            parts += [sql[end : first.start], quote(stored(f"{first.value}/{schema.value}"))]
            end = schema.end
        return "".join([*parts, sql[end:]])

    def check_transaction(self, backend: Backend, sql: str) -> None:
        """Note what a transaction is about to write to.

        Raises:
            Refusal: it has written to another database (dg/considerations-datashare-reads-writes).
        """
        if not self.names or backend.status != b"T":
            return
        target = _target(tokenize(sql))
        if not target:
            return
        share = self._share_of(target)
        if not share and _is_temporary(backend, target):
            return
        if self._written.setdefault(backend.pid, share) != share:
            raise Refusal("a transaction can write to one database only", NOT_SUPPORTED)

    def settle(self, pid: int) -> None:
        """Forget a transaction that has ended."""
        self._written.pop(pid, None)

    def _share_of(self, target: Sequence[str]) -> str:
        return target[0] if len(target) > 1 and target[0] in self.names else ""

    def _places(self, tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
        """The shares that are named, each with the schema after it."""
        schemas = len(tokens) > 1 and tokens[1].says("schema")
        for at, token in enumerate(tokens[:-2]):
            named = token.names and token.value in self.names and tokens[at + 1].says(".")
            after = tokens[at + 3] if at + 3 < len(tokens) else None
            whole = schemas or (after is not None and after.says("."))
            if named and whole and not (at and tokens[at - 1].says(".")):
                yield token, tokens[at + 2]


def _target(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The name of what a statement writes to; empty where it writes to nothing that is named."""
    if not tokens or not tokens[0].says(*_WRITES):
        return ()
    cursor = Cursor(tokens)
    while (token := cursor.peek()) is not None and token.says(*_BEFORE_TARGET):
        cursor.next()
    if token is None or not token.names or token.says("temp", "temporary", "local"):
        return ()
    return cursor.path()


def _is_temporary(backend: Backend, target: Sequence[str]) -> bool:
    answer = backend.ask(
        "SELECT 1 FROM pg_catalog.pg_class WHERE relpersistence = 't'"
        f" AND oid = pg_catalog.to_regclass({literal(path(target))})"
    )
    return bool(answer.rows)


def _check(tokens: Sequence[Token]) -> None:
    """Refuse what no consumer can write (dg/multi-warehouse-writes-sql-statements)."""
    words = [token.value for token in tokens if token.kind == "word"]
    match words[0]:
        case "lock" | "vacuum" | "comment":
            raise _refuse(words[0])
        case "create" if "view" in words[:4]:  # dg/considerations-datashare-reads-writes
            raise _refuse("create view")
        case "create" if "interleaved" in words:
            # dg/multi-warehouse-writes-sql-statements-unsupported
            raise _refuse("interleaved sortkey")
        case "create" if any(_opens_like(*pair) for pair in pairwise(tokens)):
            raise _refuse("create table like")
        case "alter" if words[1] == "table" and not {"add", "drop", "rename"} & {*words[2:6]}:
            raise _refuse("this alter table")
        case "copy" if "compupdate" in words:
            raise _refuse("copy with compupdate")


def _opens_like(before: Token, token: Token) -> bool:
    return before.says("(") and token.says("like")


def _refuse(what: str) -> Refusal:
    return Refusal(f"{what.upper()} is not supported through a datashare", NOT_SUPPORTED)
