"""Runs the changes of tables: for each what no transaction takes, then all else in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loader.errors import ApplyError, ExecuteError, VerifyError
from loader.executor.answers import whole_number
from loader.executor.transaction import describe, patiently
from loader.plan.ddl import table_of
from loader.plan.live_table import LiveTable
from loader.plan.model import Statement
from loader.plan.table_changes import TableChange, plan_change
from loader.sql.renderer import Renderer
from loader.warehouse.base import Row, Session, Warehouse, transaction
from loader.warehouse.introspect import inspect

OnStatement = Callable[[TableChange, Statement], None]
"""Told which statement of which table runs now."""


def apply_all(
    changes: Sequence[TableChange],
    warehouse: Warehouse,
    renderer: Renderer,
    on_statement: OnStatement | None = None,
) -> list[TableChange]:
    """Run the changes of tables, one table after the other, until one fails.

    Raises:
        ApplyError: one did; with what was done, what failed, and what was not begun.
    """
    done: list[TableChange] = []
    for at, change in enumerate(changes):
        try:
            Applying(change, warehouse, renderer, on_statement).run()
        except ExecuteError as error:
            raise _stopped(error, done, change, changes[at + 1 :]) from error
        done.append(change)
    return done


def _stopped(
    error: ExecuteError,
    done: Sequence[TableChange],
    failed: TableChange,
    left: Sequence[TableChange],
) -> ApplyError:
    named = failed.spec.table in error.message
    lines = [error.message if named else f"{failed.spec.table}: {error.message}"]
    states = [("done", done), ("failed", [failed]), ("not begun", left)]
    if done or left:
        lines += [f"  {change.spec.table}: {state}" for state, some in states for change in some]
        lines.append("run it again: what is done is not done twice")
    details = [
        {"table": change.spec.table, "state": state} for state, some in states for change in some
    ]
    return ApplyError("\n".join(lines), hint=error.hint, statement=error.statement, details=details)


@dataclass
class Applying:
    """The changes of one table on their way."""

    change: TableChange
    warehouse: Warehouse
    renderer: Renderer
    on_statement: OnStatement | None = None
    done: list[str] = field(default_factory=list)
    """What was done before the transaction, and stays whatever becomes of it."""
    committing: bool = False

    def run(self) -> None:
        """Make the live table what its spec says; done twice, it is done once.

        Raises:
            ExecuteError: a statement failed, or the table has changed since it was looked at.
            VerifyError: rows would have been lost.
        """
        patiently(self._attempt)

    def _attempt(self) -> None:
        self.committing = False
        self.done.clear()
        try:
            with self.warehouse.session() as session:
                for statement in self.change.outside:
                    self._told(session, statement)
                    self.done.append(statement.name)
                if self.change.statements:
                    with transaction(session, self._on_commit):
                        self._run_in(session)
        except ExecuteError as error:
            if not self.committing:
                raise
            if not self._went_through():
                raise ExecuteError(
                    f"COMMIT of {self.change.spec.table} failed: {error.message}\n{self._left()}",
                    hint=error.hint,
                    statement="COMMIT",
                    rolled_back=True,
                    transient=error.transient,
                ) from error

    def _on_commit(self) -> None:
        self.committing = True

    def _run_in(self, session: Session) -> None:
        # A snapshot is taken at the first look, so the lock comes before it.
        for statement in self.change.statements:
            if statement.role == "lock":
                self._told(session, statement)
        self._check_unchanged(session)
        before = 0
        for statement in self.change.statements:
            if statement.role == "lock":
                continue
            rows = self._told(session, statement)
            if statement.role == "count_before":
                before = whole_number(statement, rows)
            elif statement.role == "count":
                self._verify(statement, whole_number(statement, rows), before)

    def _told(self, session: Session, statement: Statement) -> list[Row]:
        if self.on_statement is not None:
            self.on_statement(self.change, statement)
        try:
            return session.execute(statement.sql)
        except ExecuteError as error:
            raise ExecuteError(
                f"`{statement.name}` of {self.change.spec.table} failed: {error.message}\n"
                f"{self._left()}",
                hint=error.hint or f"the statement comes from {statement.template}",
                statement=statement.sql,
                rolled_back=True,
                transient=error.transient,
            ) from error

    def _check_unchanged(self, session: Session) -> None:
        """Refuse to run what was planned for another table than the one that is locked now."""
        table = table_of(self.change.spec)
        now, then = describe(session, self.renderer, table), self.change.live
        if isinstance(then, LiveTable) and isinstance(now, LiveTable):
            widened = {one.column for one in self.change.differences if one.remedy == "outside"}
            if _shape(now, widened) == _shape(then, widened):
                return
        elif not isinstance(then, LiveTable) and not isinstance(now, LiveTable):
            return
        raise ExecuteError(
            f"{self.change.spec.table} has changed since it was looked at\n{self._left()}",
            hint="plan again, and look at what is different now",
            rolled_back=True,
        )

    def _verify(self, statement: Statement, found: int, before: int) -> None:
        if found != before:
            raise VerifyError(
                f"`{statement.name}` of {self.change.spec.table}: {found:,} rows were copied,"
                f" {before:,} were there\n{self._left()}",
                hint="look at what writes into the table meanwhile",
                statement=statement.sql,
                rolled_back=True,
            )

    def _left(self) -> str:
        table = self.change.spec.table
        if not self.done:
            return f"rolled back; {table} is what it was"
        return (
            f"done before it, and kept: {', '.join(self.done)}\n"
            f"the rest is rolled back; `loader apply {self.change.spec.asset_key}` goes on there"
        )

    def _went_through(self) -> bool:
        """After a COMMIT whose answer was lost: whether the table is what the spec says."""
        change, table = self.change, table_of(self.change.spec)
        with self.warehouse.session(write=False) as session:
            live = inspect(session, self.renderer, [table])[table]
        return not plan_change(change.spec, self.renderer, change.target, live).differences


def _shape(table: LiveTable, but: set[str | None]) -> list[tuple[str, str, bool]]:
    return [
        (column.name, "" if column.name.lower() in but else column.data_type, column.nullable)
        for column in table.columns
    ]
