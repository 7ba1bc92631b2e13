"""Runs checks on live tables and counts their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from loader.errors import ExecuteError
from loader.executor.check_results import (
    add_sample,
    evaluate_check,
    hint_for_check,
    whole_number,
)
from loader.executor.context import TargetContext
from loader.executor.renames import find_earlier_name
from loader.executor.results import CheckResult
from loader.plan.expectations import CheckHolds
from loader.plan.live_table import LiveTable
from loader.plan.load_plan import plan_checks
from loader.plan.model import Statement
from loader.plan.read_plan import plan_counts
from loader.spec.checks import Check
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.renderer import Table
from loader.warehouse.base import Session
from loader.warehouse.introspect import describe


@contextmanager
def table_session(spec: TableSpec, context: TargetContext, purpose: str = "") -> Iterator[Session]:
    """A read-only session for a table that exists.

    Raises:
        ExecuteError: the table does not exist; ``purpose`` is appended to the message.
    """
    warehouse, hint = context.warehouse, f"load it first: loader load {spec.asset_key} FILE"
    if warehouse.exists():
        with warehouse.session(write=False) as session:
            live = describe(session, context.renderer, Table(spec.schema_name, spec.name))
            if isinstance(live, LiveTable):
                with _explain_missing_columns(spec, live):
                    yield session
                return
            if earlier := find_earlier_name(session, context.renderer, spec):
                hint = f"it is still called {earlier}: `loader apply {spec.asset_key}` renames it"
    raise ExecuteError(f"there is no table {spec.table}{purpose}", hint=hint)


@contextmanager
def _explain_missing_columns(spec: TableSpec, live: LiveTable) -> Iterator[None]:
    """Explain errors that are caused by columns missing in the live table."""
    try:
        yield
    except ExecuteError as error:
        there = {column.name.lower() for column in live.columns}
        lacking = [column.name for column in spec.columns if column.name.lower() not in there]
        named = [name for name in lacking if name in error.message]
        if not named:
            raise
        columns = f"column{'s' * (len(lacking) > 1)} {', '.join(f'`{name}`' for name in lacking)}"
        raise ExecuteError(
            f"the live table {spec.table} lacks the {columns} of its spec",
            hint=f"`loader plan --live {spec.asset_key}` shows all differences,"
            f" `loader apply {spec.asset_key}` fixes them",
            statement=error.statement,
        ) from error


def count_rows(
    spec: TableSpec, slices: Iterable[Slice | None], context: TargetContext
) -> list[int]:
    """Count the rows of a table in each slice; None means the whole table.

    Raises:
        ExecuteError: the table does not exist or cannot be read, or a result is not a number.
    """
    statements = plan_counts(spec, context.renderer, slices)
    with table_session(spec, context) as session:
        return [whole_number(statement, session.execute(statement.sql)) for statement in statements]


def run_checks(spec: TableSpec, slice_: Slice | None, context: TargetContext) -> list[CheckResult]:
    """Run a spec's checks on a slice or the whole table, with sample rows for failed checks.

    Raises:
        ExecuteError: the table does not exist, or a check cannot be measured.
        VerifyError: the query of a check does not return one number.
    """
    renderer = context.renderer
    statements = plan_checks(spec, renderer, context.target, slice_)
    with table_session(spec, context) as session:
        found = [
            _run_check(session, one.expects.check, one, spec.table)
            for one in statements
            if isinstance(one.expects, CheckHolds)
        ]
        return [add_sample(result, session, spec, renderer, slice_) for result in found]


def _run_check(session: Session, check: Check, statement: Statement, table: str) -> CheckResult:
    try:
        rows = session.execute(statement.sql)
    except ExecuteError as error:
        raise ExecuteError(
            f"the check `{check.label}` of {table} failed: {error.message}",
            hint=error.hint or hint_for_check(check, table),
            statement=statement.sql,
            transient=error.transient,
            code=error.code,
        ) from error
    return evaluate_check(check, table, statement, rows)
