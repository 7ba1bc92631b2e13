"""Applies the changes of live tables, each table in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from loader.errors import ApplyError, ExecuteError
from loader.executor.after_commit import run_after_commit
from loader.executor.answers import Answers
from loader.executor.runner import TransactionRunner
from loader.plan.backups import format_moment
from loader.plan.ddl import table_of
from loader.plan.live_table import LiveTable
from loader.plan.model import Statement
from loader.plan.rebuild import converts_values
from loader.plan.table_changes import TableChange, plan_change, set_moment
from loader.sql.renderer import Renderer
from loader.warehouse.base import Session, Warehouse
from loader.warehouse.introspect import describe, find_dependants, inspect
from loader.warehouse.retry import with_retries

OnChange = Callable[[TableChange, Statement], None]
"""Called before each statement, with its table's change."""


def apply_all(
    changes: Sequence[TableChange],
    warehouse: Warehouse,
    renderer: Renderer,
    on_statement: OnChange | None = None,
    *,
    drop_old: bool = False,
) -> list[TableChange]:
    """Apply the changes of tables one after the other, and stop at the first error.

    With ``drop_old`` the old table of a rebuild is dropped after the new one is committed.

    Raises:
        ApplyError: one failed; lists the tables that are done, failed and not begun.
    """
    done: list[TableChange] = []
    for at, planned in enumerate(changes):
        change = set_moment(planned, renderer, format_moment(datetime.now(UTC)), drop_old=drop_old)
        try:
            with_retries(ChangeTransaction(change, warehouse, renderer, on_statement).run)
        except ExecuteError as error:
            raise _apply_error(error, done, change, changes[at + 1 :]) from error
        done.append(_drop_old_table(change, warehouse, on_statement))
    return done


def _drop_old_table(
    change: TableChange, warehouse: Warehouse, on_statement: OnChange | None
) -> TableChange:
    """The change, with a note if the old table could not be dropped; `loader clean` drops it."""

    def report(statement: Statement) -> None:
        if on_statement is not None:
            on_statement(change, statement)

    notes = (
        f"`{statement.name}` failed: {error.message}; `loader clean` drops it later"
        for statement, error in run_after_commit(change.after, warehouse, report)
    )
    return replace(change, drift=replace(change.drift, notes=(*change.drift.notes, *notes)))


def _apply_error(
    error: ExecuteError,
    done: Sequence[TableChange],
    failed: TableChange,
    left: Sequence[TableChange],
) -> ApplyError:
    named = failed.spec.table in error.message
    lines = [error.message if named else f"{failed.spec.table}: {error.message}"]
    states = [("done", done), ("failed", [failed]), ("not begun", left)]
    if done or left:
        lines += [f"  {change.spec.table}: {state}" for state, group in states for change in group]
        lines.append("run it again: changes that are done are not repeated")
    details = [
        {"table": change.spec.table, "state": state} for state, group in states for change in group
    ]
    return ApplyError("\n".join(lines), hint=error.hint, statement=error.statement, details=details)


class ChangeTransaction(TransactionRunner):
    """The changes of one table; can be run again."""

    def __init__(
        self,
        change: TableChange,
        warehouse: Warehouse,
        renderer: Renderer,
        on_statement: OnChange | None = None,
    ) -> None:
        self._change = change
        self._renderer = renderer
        self._done: list[str] = []
        """Statements that ran before the transaction, which a rollback does not undo."""

        def report(statement: Statement) -> None:
            if on_statement is not None:
                on_statement(change, statement)

        super().__init__(warehouse, report)
        self.explain = self._explain_conversion

    def _explain_conversion(self, _: Session, statement: Statement, error: ExecuteError) -> str:
        """The columns whose values a failed statement converts; the warehouse names none."""
        converted = [
            f"  {one.column}: {one.live} → {one.spec}: {one.loss}\n"
            for one in self._change.differences
            if one.kind == "type" and one.loss
        ]
        if error.transient or not converted or not converts_values(statement):
            return ""
        error.hint = error.hint or "correct the value in the table, or declare a type that takes it"
        return "".join(["it converts values:\n", *converted])

    def new_answers(self) -> Answers:
        """New answers without numbers."""
        return Answers(self._change.spec.table, self.state)

    def state(self) -> str:
        """The state of the table after an error, and how to continue."""
        table = self._change.spec.table
        if not self._done:
            return f"rolled back; {table} is unchanged"
        return (
            f"done before the transaction: {', '.join(self._done)}\n"
            f"the rest is rolled back; `loader apply {self._change.spec.asset_key}` continues"
        )

    def run_before(self, session: Session) -> None:
        """Run the statements that cannot run in a transaction."""
        self._done.clear()
        for statement in self._change.outside:
            self.run_statement(session, statement)
            self._done.append(statement.name)

    def run_transaction(self, session: Session) -> None:
        """Run the other statements, if there are any."""
        if self._change.statements:
            super().run_transaction(session)

    def run_inside(self, session: Session) -> None:
        """Lock the table, check that it is unchanged since planning, and change it."""
        self.take_lock(session, self._change.statements)
        self._check_unchanged(session)
        for statement in self._change.statements:
            if statement.role != "lock":
                self.run_statement(session, statement)

    def _check_unchanged(self, session: Session) -> None:
        """Check that the table is unchanged since the plan was made."""
        change = self._change
        now, then = describe(session, self._renderer, change.live_name), change.live
        if isinstance(then, LiveTable) and isinstance(now, LiveTable):
            widened = {
                change.drift.renames.get(one.column, one.column).lower()
                for one in change.differences
                if one.remedy == "before_transaction" and one.column
            }
            if _describe_columns(now, widened) == _describe_columns(then, widened):
                self._check_dependants(session, then)
                return
        elif not isinstance(then, LiveTable) and not isinstance(now, LiveTable):
            return
        raise ExecuteError(
            f"{change.spec.table} has changed since the plan was made\n{self.state()}",
            hint="plan again, and review the changes",
            rolled_back=True,
        )

    def _check_dependants(self, session: Session, then: LiveTable) -> None:
        """Refuse to replace a table that has new dependants or policies since the plan was made.

        No DROP would fail here: a view, a foreign key or a policy would stay with the old table.
        """
        change = self._change
        if not (change.drift.rebuilds or change.drift.swaps):
            return
        found = find_dependants(session, self._renderer, change.live_name, then.seen)
        known = {*then.dependants, *then.policies, *(name for _, _, name in then.referrers)}
        new = [name for name in found if name not in known]
        if new:
            raise ExecuteError(
                f"{change.spec.table} has {', '.join(new)} since the plan was made\n{self.state()}",
                hint="plan again, and review the changes",
                rolled_back=True,
            )

    def resolve_commit(self, error: ExecuteError) -> None:
        """Check whether the table matches the spec.

        Raises:
            ExecuteError: it does not.
        """
        change, table = self._change, table_of(self._change.spec)
        with self.warehouse.session(write=False) as session:
            live = inspect(session, self._renderer, [table])[table]
        if plan_change(change.spec, self._renderer, change.target, live).differences:
            raise ExecuteError(
                f"COMMIT of {change.spec.table} failed: {error.message}\n{self.state()}",
                hint=error.hint,
                statement="COMMIT",
                rolled_back=True,
                transient=error.transient,
            ) from error


def _describe_columns(table: LiveTable, but: set[str]) -> list[tuple[str, str, bool]]:
    return [
        (column.name, "" if column.name.lower() in but else column.data_type, column.nullable)
        for column in table.columns
    ]
