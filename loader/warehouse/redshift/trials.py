"""Trials of what only Redshift has: locks, isolation, and the view of load errors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from loader.errors import ExecuteError
from loader.plan.model import table_ledger
from loader.spec.model import TableSpec
from loader.warehouse.base import Session, transaction
from loader.warehouse.doctor import DiffersError, ScratchSchema, Trial
from loader.warehouse.retry import CANCELLED, take_turn

_WAIT = 1_000
"""Milliseconds to wait for a lock that is not released."""

_LONG_WAIT = 30_000
"""Milliseconds to wait for a lock that is released at once."""

_PAUSE = 0.5
"""Seconds after which a statement is surely waiting for a lock."""


def try_lock_wait(scratch: ScratchSchema) -> str:
    """Wait for the lock of another transaction, not longer than was asked."""
    _make_table(scratch, "waited_for")
    with _two_sessions(scratch) as (first, second), transaction(first):
        _lock(scratch, first, "waited_for")
        scratch.run(second, "lock_wait", milliseconds=_WAIT)
        started = time.monotonic()
        try:
            with transaction(second):
                _lock(scratch, second, "waited_for")
        except ExecuteError as error:
            if error.code != CANCELLED:
                raise
            return (
                f"a load waits, and stops after {time.monotonic() - started:.1f} s as it is told to"
            )
    raise DiffersError("two loads of one table are at work at once")


def try_lock_before_snapshot(scratch: ScratchSchema) -> str:
    """Wait for a lock, and then see what its holder has committed."""
    _make_table(scratch, "seen")
    with _two_sessions(scratch) as (first, second), ThreadPoolExecutor(1) as pool:
        first.begin()
        _lock(scratch, first, "seen")
        scratch.run(first, "delete_all", table=scratch.table("seen"))
        scratch.run(second, "lock_wait", milliseconds=_LONG_WAIT)

        def wait_and_count() -> int:
            with transaction(second):
                _lock(scratch, second, "seen")
                return scratch.count(second, "seen")

        waiting = pool.submit(wait_and_count)
        time.sleep(_PAUSE)
        first.commit()
        rows = waiting.result()
    if rows:
        raise DiffersError("what was committed while a load waited for its turn is not seen")
    return "a load whose turn comes sees what was committed meanwhile"


def try_two_tables(scratch: ScratchSchema) -> str:
    """Load two tables at once, whose loads write to the same ledger."""
    specs = [_make_table(scratch, name) for name in ("one", "other")]
    with _two_sessions(scratch) as sessions:
        for session in sessions:
            session.begin()
        for do in (_lock_and_count, _write):
            for session, spec in zip(sessions, specs, strict=True):
                do(scratch, session, spec)
        for session in sessions:
            session.commit()
    return "transactions of different tables do not conflict"


def try_conflict(scratch: ScratchSchema) -> str:
    """Change rows that another transaction has changed since they were read."""
    spec = _make_table(scratch, "contended")
    table = scratch.table(spec.name)
    with _two_sessions(scratch) as (first, second):
        first.begin()
        scratch.count(first, spec.name)
        with transaction(second):
            scratch.count(second, spec.name)
            scratch.run(second, "delete_all", table=table)
        try:
            scratch.run(first, "delete_all", table=table)
            scratch.write_ledger(first, spec)
            first.commit()
        except ExecuteError as error:
            if error.transient:
                return f"a conflict is recognised, and would be retried: {error.message}"
            raise DiffersError(f"a conflict is not recognised: {error.message}") from error
    raise DiffersError("rows were deleted that another transaction had deleted")


def try_rejected_row(scratch: ScratchSchema) -> str:
    """Let COPY reject a row, which the client cannot know to be wrong, and have it named."""

    def make_spec(*, nullable: bool) -> TableSpec:
        x = {"data_type": "integer", "nullable": nullable}
        return scratch.spec("strict", {"id": "integer", "x": x}, staging={"format": "csv"})

    scratch.load(make_spec(nullable=False), [{"id": 1, "x": 1}])
    started = time.monotonic()
    try:
        scratch.load(make_spec(nullable=True), [{"id": 1, "x": None}])
    except ExecuteError as error:
        named = re.search(r"^ *(\S+ row 1, x\b.*)", error.message, re.MULTILINE)
        if named is None:
            raise DiffersError(f"no view of load errors names the row: {error.message}") from error
        return f"{named[1]}, after {time.monotonic() - started:.1f} s"
    raise DiffersError("COPY has put NULL into a column that is NOT NULL")


def _make_table(scratch: ScratchSchema, name: str) -> TableSpec:
    """A table with one row."""
    spec = scratch.spec(name, {"id": "integer"})
    scratch.load(spec, [{"id": 1}])
    return spec


def _lock(scratch: ScratchSchema, session: Session, name: str) -> None:
    """Take the turn of a load of the table, as loads do."""
    ledger = table_ledger(scratch.schema, scratch.table(name))
    take_turn(session, lambda: scratch.run(session, "lock", table_ledger=ledger))


def _lock_and_count(scratch: ScratchSchema, session: Session, spec: TableSpec) -> None:
    _lock(scratch, session, spec.name)
    scratch.count(session, spec.name)


def _write(scratch: ScratchSchema, session: Session, spec: TableSpec) -> None:
    scratch.run(session, "delete_all", table=scratch.table(spec.name))
    scratch.write_ledger(session, spec)


@contextmanager
def _two_sessions(scratch: ScratchSchema) -> Iterator[tuple[Session, Session]]:
    """Two sessions; what they leave open is rolled back."""
    with ExitStack() as stack:
        yield (stack.enter_context(scratch.session()), stack.enter_context(scratch.session()))


TRIALS = (
    Trial("transactions", "wait for a lock", try_lock_wait),
    Trial("transactions", "snapshot after a lock", try_lock_before_snapshot),
    Trial("transactions", "two tables at once", try_two_tables),
    Trial("transactions", "conflict", try_conflict),
    Trial("loads", "rejected row", try_rejected_row),
)
