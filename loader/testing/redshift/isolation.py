"""SERIALIZABLE isolation as Redshift has it: whole tables conflict (dg/c_serial_isolation).

PostgreSQL gives every transaction its snapshot. This watches which tables transactions read and
write, and refuses the one that would close a cycle: neither order of the two would give the same.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from loader.testing.redshift.protocol.backend import Backend
from loader.testing.redshift.refusals import Refusal
from loader.testing.redshift.shares import Shares
from loader.testing.redshift.statements.relations import relations_of
from loader.testing.redshift.statements.tokens import literal

Level = Literal["snapshot", "serializable"]


@dataclass(eq=False)
class _Transaction:
    pid: int
    begin: int
    end: int | None = None
    """None while it is open."""
    reads: set[int] = field(default_factory=set)
    writes: set[int] = field(default_factory=set)


class Isolation:
    """The isolation level of the database, and the transactions that it has to compare."""

    def __init__(self) -> None:
        self.shares = Shares()
        self.level: Level = "snapshot"
        self._clock = itertools.count()
        self._open: dict[int, _Transaction] = {}
        self._ended: list[_Transaction] = []
        self._lock = threading.Lock()

    def check(self, backend: Backend, sql: str) -> None:
        """Note what a statement is about to read and write.

        Raises:
            Refusal: 1023, its transaction is part of a cycle; or it writes to two databases.
        """
        self.shares.check_transaction(backend, sql)
        if self.level == "snapshot" or backend.status == b"E":
            return
        found = relations_of(sql)
        if not found and backend.pid not in self._open:
            return
        reads, writes = _identify(backend, found.reads), _identify(backend, found.writes)
        with self._lock:
            own = self._open.get(backend.pid)
            if own is None:
                own = self._open[backend.pid] = _Transaction(backend.pid, next(self._clock))
            own.reads |= reads
            own.writes |= writes
            cycle = self._find_cycle(own)
        if cycle:
            raise _violation(cycle, min(own.reads | own.writes))

    def settle(self, backend: Backend, *, failed: bool) -> None:
        """End the transaction of a session that is in none any more."""
        if backend.status == b"T":
            return
        self.shares.settle(backend.pid)
        with self._lock:
            own = self._open.pop(backend.pid, None)
            if own is not None and not failed and backend.status == b"I":
                own.end = next(self._clock)
                self._ended.append(own)
            first = min((other.begin for other in self._open.values()), default=None)
            self._ended = [
                other
                for other in self._ended
                if first is not None and other.end is not None and other.end > first
            ]

    def forget(self, pid: int) -> None:
        """Drop the transaction of a session that has gone."""
        self.shares.settle(pid)
        with self._lock:
            self._open.pop(pid, None)

    def _find_cycle(self, start: _Transaction) -> list[_Transaction]:
        """A way from a transaction over those which must come after it, back to itself."""
        ways = [[start]]
        seen: set[int] = set()
        while ways:
            way = ways.pop()
            for other in self._followers(way[-1]):
                if other is start:
                    return way
                if id(other) not in seen:
                    seen.add(id(other))
                    ways.append([*way, other])
        return []

    def _followers(self, one: _Transaction) -> Iterator[_Transaction]:
        """Those that wrote what it read as it was before, or came after it and used its tables."""
        for other in (*self._open.values(), *self._ended):
            if other is one:
                continue
            after = one.end is not None and one.end < other.begin
            before = other.end is not None and other.end < one.begin
            if (not before and one.reads & other.writes) or (
                after and one.writes & (other.reads | other.writes)
            ):
                yield other


def _identify(backend: Backend, names: Iterable[str]) -> set[int]:
    """The numbers of the tables that have these names and are seen by other sessions too."""
    wanted = ", ".join(f"to_regclass({literal(name)})" for name in sorted(names))
    if not wanted:
        return set()
    answer = backend.ask(
        f"SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY (ARRAY[{wanted}]::oid[])"
        " AND relkind = 'r' AND relpersistence <> 't'"
        " AND relnamespace <> 'pg_catalog'::pg_catalog.regnamespace"
    )
    return {int(row[0]) for row in answer.rows if row[0] is not None}


def _violation(cycle: list[_Transaction], table: int) -> Refusal:
    pids = ", ".join(f"{one.begin} (pid:{one.pid})" for one in cycle)
    return Refusal(
        "1023",
        detail=f"Serializable isolation violation on table - {table}, transactions forming the"
        f" cycle are: {pids}",
    )
