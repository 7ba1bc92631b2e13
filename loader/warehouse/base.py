"""Connections to warehouses: what every driver offers, and what runs on top of each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from loader.errors import ExecuteError

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[Any, ...]


class Session(Protocol):
    """One connection. Every error it raises is an `ExecuteError`."""

    def execute(self, sql: str) -> list[Row]:
        """Run one statement; what it answers: for INSERT and DELETE, where known, their count."""

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query; its rows as batches, not held in memory at once.

        The batches have the schema's columns, and its types where the warehouse does not know
        Arrow itself.
        """

    def commit(self) -> None:
        """End the transaction, keeping what it did."""

    def rollback(self) -> None:
        """End the transaction, undoing what it did; harmless when there is none."""

    def begin(self) -> None:
        """Start the transaction."""


class Warehouse(Protocol):
    """A place that sessions are opened to."""

    keeps_session_open: bool
    """Whether a session may stay open, and in nobody's way, while rows are staged."""

    def session(self, *, write: bool = True) -> AbstractContextManager[Session]:
        """Open a connection, closed at the end of the ``with``, whatever happens in it."""

    def exists(self) -> bool:
        """Whether there is anything to read at all."""


def as_whole_number(answer: object) -> int | None:
    """A warehouse's answer as the whole number it is; None when it is none.

    >>> from decimal import Decimal
    >>> as_whole_number(Decimal("5")), as_whole_number(Decimal("5.5")), as_whole_number(True)
    (5, None, None)
    """
    if isinstance(answer, Decimal):
        return int(answer) if answer.is_finite() and answer == int(answer) else None
    return answer if isinstance(answer, int) and not isinstance(answer, bool) else None


@contextmanager
def transaction(session: Session, on_commit: Callable[[], None] | None = None) -> Iterator[None]:
    """Run a block in one transaction: commit at its end, roll back on anything else.

    The first error is the one that is raised, whatever the rollback says. ``on_commit`` is called
    right before COMMIT is sent.
    """
    session.begin()
    try:
        yield
    except BaseException:
        _quietly(session.rollback)
        raise
    if on_commit is not None:
        on_commit()
    session.commit()


def _quietly(action: Callable[[], None]) -> None:
    # The error that led here says more, and a lost connection rolls back by itself.
    with suppress(ExecuteError):
        action()
