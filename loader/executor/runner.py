"""Runs the statements of one transaction, for loads and for table changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial

from loader.errors import ExecuteError
from loader.executor.answers import Answers
from loader.executor.check_results import hint_for_check
from loader.plan.expectations import CheckHolds
from loader.plan.files_in_place import HOW_TO_STAGE
from loader.plan.model import Statement
from loader.warehouse.base import Row, Session, Warehouse, run_statement, transaction
from loader.warehouse.retry import take_turn

OnStatement = Callable[[Statement], None]
"""Called before each statement."""

ExplainFailure = Callable[[Session, Statement, ExecuteError], str]
"""Returns further lines for a statement's error; may change the error's hint."""


class TransactionRunner(ABC):
    """One transaction: the statements before it, its own statements, and COMMIT.

    ``run`` is one attempt, and can be called again to retry.
    """

    def __init__(self, warehouse: Warehouse, on_statement: OnStatement | None) -> None:
        self.warehouse = warehouse
        self.on_statement = on_statement
        self.committing = False
        """Whether COMMIT was sent, so that its outcome is unknown after an error."""
        self.answers = self.new_answers()
        self.explain: ExplainFailure | None = None

    @abstractmethod
    def new_answers(self) -> Answers:
        """The answers at the start of an attempt."""

    @abstractmethod
    def state(self) -> str:
        """The state of the table after an error, as the last line of messages."""

    @abstractmethod
    def run_before(self, session: Session) -> None:
        """Run the statements that cannot run in a transaction; must be idempotent."""

    @abstractmethod
    def run_inside(self, session: Session) -> None:
        """Run the transaction's statements."""

    @abstractmethod
    def resolve_commit(self, error: ExecuteError) -> None:
        """After a COMMIT that failed: return if it was successful in spite of the error.

        Raises:
            ExecuteError: it was not, or that is unknown.
        """

    def resolve_interrupt(self, stop: BaseException) -> bool:
        """After a COMMIT that was interrupted: whether it is known to be successful."""
        table = self.answers.table
        stop.add_note(f"COMMIT was interrupted; it is unknown whether {table} was changed")
        return False

    def open_session(self) -> AbstractContextManager[Session]:
        """The session of one attempt."""
        return self.warehouse.session()

    def run(self) -> None:
        """Make one attempt.

        Raises:
            ExecuteError: a statement failed; the table is unchanged.
            VerifyError: a result is not as expected; the table is unchanged.
        """
        self.committing = False
        self.answers = self.new_answers()
        try:
            with self.open_session() as session:
                self.run_before(session)
                self.run_transaction(session)
        except ExecuteError as error:
            if self.committing and not error.rolled_back:
                self.resolve_commit(error)
                return
            if self.committing:
                # The warehouse itself says that it has rolled back.
                error.message = f"COMMIT failed: {error.message}\n{self.state()}"
            error.rolled_back = True
            raise
        except Exception:
            raise
        except BaseException as stop:
            # An interrupted COMMIT may have been successful.
            if not self.committing or not self.resolve_interrupt(stop):
                raise

    def run_transaction(self, session: Session) -> None:
        """Run the statements between BEGIN and COMMIT."""
        with transaction(session, self._note_commit):
            self.run_inside(session)

    def _note_commit(self) -> None:
        self.committing = True

    def take_lock(self, session: Session, statements: Iterable[Statement]) -> None:
        """Run the lock statements, before the first query takes the snapshot."""
        for statement in statements:
            if statement.role == "lock":
                take_turn(session, partial(self.run_statement, session, statement))

    def run_statement(self, session: Session, statement: Statement) -> None:
        """Run a statement and check its result.

        Raises:
            ExecuteError: it failed.
            VerifyError: its result is not as expected.
        """
        if self.on_statement is not None:
            self.on_statement(statement)
        self.answers.take(statement, self._execute(session, statement))

    def _execute(self, session: Session, statement: Statement) -> list[Row]:
        try:
            return run_statement(session, statement)
        except ExecuteError as error:
            more = self.explain(session, statement, error) if self.explain else ""
            raise ExecuteError(
                f"`{statement.name}` of {self.answers.table} failed: {error.message}\n"
                f"{more}{self.state()}",
                hint=error.hint or self._hint(statement),
                statement=statement.sql,
                transient=error.transient,
                code=error.code,
            ) from error

    def _hint(self, statement: Statement) -> str:
        if statement.tries:
            return f"correct the files, or {HOW_TO_STAGE}"
        found = None
        if isinstance(statement.expects, CheckHolds):
            found = hint_for_check(statement.expects.check, self.answers.table)
        return found or f"the statement comes from {statement.template}"
