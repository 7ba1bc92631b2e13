"""Questions about the rows of a live table: what the spec's checks find, how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from loader.errors import ExecuteError
from loader.executor.check_results import judge, sampled, whole_number
from loader.executor.context import TargetContext
from loader.executor.results import CheckResult
from loader.plan.expectations import CheckHolds
from loader.plan.live_table import LiveTable
from loader.plan.load_plan import plan_checks
from loader.plan.read_plan import plan_counts
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.renderer import Table
from loader.warehouse.base import Session
from loader.warehouse.introspect import describe


@contextmanager
def table_session(spec: TableSpec, context: TargetContext, purpose: str = "") -> Iterator[Session]:
    """A session that only reads, in a warehouse that has the table.

    Raises:
        ExecuteError: it has not; ``purpose`` ends the sentence that says so.
    """
    warehouse = context.warehouse
    if warehouse.exists():
        with warehouse.session(write=False) as session:
            live = describe(session, context.renderer, Table(spec.schema_name, spec.name))
            if isinstance(live, LiveTable):
                with _explain_missing_columns(spec, live):
                    yield session
                return
    raise ExecuteError(
        f"there is no table {spec.table}{purpose}",
        hint=f"load it first: loader load {spec.asset_key} FILE",
    )


@contextmanager
def _explain_missing_columns(spec: TableSpec, live: LiveTable) -> Iterator[None]:
    """Tell of columns that the live table lacks, where a statement failed for want of one."""
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
            hint=f"`loader plan --live {spec.asset_key}` shows all that differs, and"
            f" `loader apply {spec.asset_key}` fixes it",
            statement=error.statement,
        ) from error


def count_rows(
    spec: TableSpec, slices: Iterable[Slice | None], context: TargetContext
) -> list[int]:
    """How many rows a table has in each of some slices; None is the whole table.

    Raises:
        ExecuteError: there is no such table, it cannot be read, or a template's answer is no count.
    """
    statements = plan_counts(spec, context.renderer, slices)
    with table_session(spec, context) as session:
        return [whole_number(statement, session.execute(statement.sql)) for statement in statements]


def run_checks(spec: TableSpec, slice_: Slice | None, context: TargetContext) -> list[CheckResult]:
    """What a spec's checks find in a slice or the whole table, and rows that break some of them.

    Raises:
        ExecuteError: there is no such table, or it cannot be read.
    """
    renderer = context.renderer
    statements = plan_checks(spec, renderer, context.target, slice_)
    with table_session(spec, context) as session:
        found = [
            judge(one.expects.check, one, session.execute(one.sql))
            for one in statements
            if isinstance(one.expects, CheckHolds)
        ]
        return [sampled(result, session, spec, renderer, slice_) for result in found]
