"""What a target knows of a table: its loads, rows, checks, and the rows of each partition."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC

from loader.errors import ExecuteError, PlanError
from loader.executor.checks import count_rows, run_checks, table_session
from loader.executor.context import TargetContext
from loader.executor.history import LedgerEntry, read_history
from loader.executor.results import CheckResult
from loader.plan.partition_rows import rows_of_partitions
from loader.plan.read_plan import plan_partition_rows
from loader.spec.file_patterns import period_start
from loader.spec.model import TableSpec
from loader.spec.periods import Dimension, list_partitions
from loader.sql.renderer import Table
from loader.warehouse.base import Session

LOADS = 60
"""The most loads of a table."""
PARTITIONS = 90
"""The most partitions whose rows are counted."""
_FAR = 4
"""How many times as many partitions may lie between the latest ones."""


@dataclass(frozen=True)
class PartitionRows:
    """The rows of successive partitions of the only dimension with a grain, the oldest first."""

    dimension: str
    grain: str
    rows: Mapping[str, int]
    """By key; a partition without rows between others is 0."""


@dataclass(frozen=True)
class TableFacts:
    """What is known of a table at one moment."""

    problem: str = ""
    """Why the live table could not be read; empty where it was."""
    rows: int | None = None
    loads: tuple[LedgerEntry, ...] = ()
    """The latest loads, newest first."""
    checks: tuple[CheckResult, ...] = ()
    partitions: PartitionRows | None = field(default=None)


def read_table_facts(spec: TableSpec, context: TargetContext) -> TableFacts:
    """Read what the ledger and the live table tell of a table.

    Raises:
        ExecuteError: the target cannot be reached, or its ledger cannot be read.
    """
    loads: tuple[LedgerEntry, ...] = ()
    if context.target.ledger_schema:
        table = Table(spec.schema_name, spec.name)
        loads = tuple(read_history(context, [table], LOADS))
    try:
        rows = count_rows(spec, [None], context)[0]
        checks = tuple(run_checks(spec, None, context)) if spec.checks else ()
        with table_session(spec, context) as session:
            partitions = _read_partitions(spec, context, session)
    except (ExecuteError, PlanError) as error:
        return TableFacts(error.message, loads=loads)
    return TableFacts("", rows, loads, checks, partitions)


def _read_partitions(
    spec: TableSpec, context: TargetContext, session: Session
) -> PartitionRows | None:
    windows = [dimension for dimension in spec.dimensions if dimension.grain]
    if len(windows) != 1:
        return None
    dimension = windows[0]
    statement = plan_partition_rows(spec, context.renderer, dimension)
    counted = rows_of_partitions([dimension], session.execute(statement.sql))
    rows = {key: number for key, number in counted.items() if _is_key(dimension, key)}
    return PartitionRows(dimension.name, str(dimension.grain), _without_gaps(dimension, rows))


def _is_key(dimension: Dimension, key: str) -> bool:
    """Whether a name is that of a partition, and not of NULL, of other text, or of all rows."""
    try:
        period_start(dimension, key)
    except PlanError:
        return False
    return True


def _without_gaps(dimension: Dimension, rows: Mapping[str, int]) -> dict[str, int]:
    """The rows of the latest partitions, the oldest first, with 0 for those that have none.

    Where few partitions lie far apart, only those that have rows.
    """
    starts = sorted((period_start(dimension, key).astimezone(UTC), key) for key in rows)
    latest = [key for _, key in starts[-PARTITIONS:]]
    if not latest:
        return {}
    first, last = (period_start(dimension, latest[at]) for at in (0, -1))
    with suppress(PlanError):  # more of them than can be listed
        between = list_partitions(dimension, first, last)
        if len(between) < _FAR * PARTITIONS:
            keys = [*(partition.key for partition in between), latest[-1]][-PARTITIONS:]
            return {key: rows.get(key, 0) for key in keys}
    return {key: rows[key] for key in latest}
