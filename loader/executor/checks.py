"""Questions about the rows of a live table: what the spec's checks find, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loader.config import TargetSettings
from loader.errors import ExecuteError
from loader.executor.check_results import judge, sampled, whole_number
from loader.executor.results import CheckResult
from loader.plan.expectations import CheckHolds
from loader.plan.live_table import LiveTable
from loader.plan.model import Statement
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session, open_warehouse
from loader.warehouse.introspect import describe


def ask(
    statements: Sequence[Statement],
    spec: TableSpec,
    settings: TargetSettings,
    root: Path,
    renderer: Renderer,
) -> list[list[Row]]:
    """The answers to statements that only read the table.

    Raises:
        ExecuteError: there is no such table, or it cannot be read.
    """
    with table_session(spec, settings, root, renderer) as session:
        return [session.execute(statement.sql) for statement in statements]


@contextmanager
def table_session(
    spec: TableSpec, settings: TargetSettings, root: Path, renderer: Renderer, purpose: str = ""
) -> Iterator[Session]:
    """A session that only reads, in a warehouse that has the table.

    Raises:
        ExecuteError: it has not; ``purpose`` ends the sentence that says so.
    """
    warehouse = open_warehouse(settings, root)
    if warehouse.exists():
        with warehouse.session(write=False) as session:
            live = describe(session, renderer, Table(spec.schema_name, spec.name))
            if isinstance(live, LiveTable):
                with _told_as_drift(spec, live):
                    yield session
                return
    raise ExecuteError(
        f"there is no table {spec.table}{purpose}",
        hint=f"load it first: loader load {spec.asset_key} FILE",
    )


@contextmanager
def _told_as_drift(spec: TableSpec, live: LiveTable) -> Iterator[None]:
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


def counted(statements: Sequence[Statement], answers: Sequence[list[Row]]) -> list[int]:
    """The numbers that statements which count have answered with.

    Raises:
        ExecuteError: one has answered with something else.
    """
    return [whole_number(*both) for both in zip(statements, answers, strict=True)]


def check(
    statements: Sequence[Statement],
    spec: TableSpec,
    settings: TargetSettings,
    root: Path,
    renderer: Renderer,
    slice_: Slice | None,
) -> list[CheckResult]:
    """What the statements of checks find, and of those that do not hold some rows.

    Raises:
        ExecuteError: there is no such table, or it cannot be read.
    """
    with table_session(spec, settings, root, renderer) as session:
        found = [
            judge(one.expects.check, one, session.execute(one.sql))
            for one in statements
            if isinstance(one.expects, CheckHolds)
        ]
        return [sampled(result, session, spec, renderer, slice_) for result in found]
