"""The interface of warehouse connections, and transactions on top of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from loader.errors import ExecuteError

if TYPE_CHECKING:
    import pyarrow as pa

    from loader.plan.model import Statement

Row = tuple[Any, ...]


class Session(Protocol):
    """One connection. Every error it raises is an `ExecuteError`."""

    def execute(self, sql: str) -> list[Row]:
        """Run one statement and return its rows; INSERT and DELETE return their count, if known."""

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and stream its rows in batches.

        The batches have the schema's columns; a warehouse that supports Arrow may use other types.
        """

    def commit(self) -> None:
        """Commit the transaction."""

    def rollback(self) -> None:
        """Roll back the transaction; does nothing when there is none."""

    def begin(self) -> None:
        """Start the transaction."""


@runtime_checkable
class AttachesFiles(Session, Protocol):
    """A session that reads Arrow files."""

    def attach(self, files: str) -> None:
        """Make files readable as a table of this name, for the statements that follow.

        Args:
            files: A folder, and a pattern of file names in it: ``folder/part-*``.
        """


@runtime_checkable
class NamesColumns(Session, Protocol):
    """A session that tells the names of the columns that a query returns."""

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        """Run a query; returns the names of its columns, and its rows."""


def run_statement(session: Session, statement: Statement) -> list[Row]:
    """Run a statement of a plan, and return its rows.

    Raises:
        ExecuteError: it failed.
    """
    if statement.attached:
        if not isinstance(session, AttachesFiles):
            raise ExecuteError("this warehouse cannot read Arrow files", statement=statement.sql)
        session.attach(statement.attached)
    return session.execute(statement.sql)


class Warehouse(Protocol):
    """A database that sessions can be opened to."""

    keeps_session_open: bool
    """Whether a session may stay open while rows are staged, without blocking others."""

    def session(self, *, write: bool = True) -> AbstractContextManager[Session]:
        """Open a connection that is closed at the end of the ``with`` block."""

    def exists(self) -> bool:
        """Whether the database exists."""


def as_whole_number(answer: object) -> int | None:
    """Convert a warehouse's number to an int; None when it is not a whole number.

    >>> from decimal import Decimal
    >>> as_whole_number(Decimal("5")), as_whole_number(Decimal("5.5")), as_whole_number(True)
    (5, None, None)
    """
    if isinstance(answer, Decimal):
        return int(answer) if answer.is_finite() and answer == int(answer) else None
    return answer if isinstance(answer, int) and not isinstance(answer, bool) else None


@contextmanager
def transaction(session: Session, on_commit: Callable[[], None] | None = None) -> Iterator[None]:
    """Run a block in one transaction: commit at its end, or roll back on any exception.

    An error of the rollback does not replace the first error. ``on_commit`` is called right before
    COMMIT is sent.
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
    # The first error matters more, and a lost connection rolls back by itself.
    with suppress(ExecuteError):
        action()
