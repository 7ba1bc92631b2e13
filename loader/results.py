"""What a load tells while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from loader.figures import Statistics
from loader.plan import Plan
from loader.spec import Check

Status = Literal["loaded", "already_loaded", "empty"]


@dataclass(frozen=True)
class Progress:
    """How far a load is."""

    phase: str
    """``staging``, or the name of the statement that runs."""
    rows: int = 0
    bytes: int = 0
    files: int = 0
    total_rows: int | None = None
    """All rows there are, when that is known."""


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class CheckResult:
    """What a check of a spec found in the table."""

    check: Check
    value: Decimal
    holds: bool


@dataclass(frozen=True)
class LoadResult:
    """What a load did."""

    status: Status
    """loaded; already_loaded, when the ledger had the load id; empty, when there were no rows."""
    load_id: str
    table: str
    target: str
    slice: str | None
    """What was replaced or loaded into; None is the whole table."""
    rows_read: int = 0
    rows_rejected: int = 0
    rows_staged: int = 0
    rows_deleted: int = 0
    rows_loaded: int = 0
    rows_after: int | None = None
    """Rows that the slice, or the whole table, then held; None when they were not counted."""
    partition_rows: Mapping[str, int] | None = None
    """Rows loaded into each partition by its key, as in ``2013-01-01`` or
    ``date=2013-01-01|origin=JFK``, for those that got any; None for a single partition."""
    bytes_staged: int = 0
    files_staged: int = 0
    staged: str | None = None
    """Where the staged files are, when they were kept."""
    rejects: str | None = None
    """The Parquet file with rejected rows and their reasons."""
    seconds: Mapping[str, float] | None = None
    """Wall time of staging (``stage``) and of the transaction (``load``)."""
    statistics: Statistics = field(default_factory=dict)
    """Figures of each column of the load, which the warehouse was found to have too; none with
    `verify: counts`."""
    warnings: tuple[str, ...] = ()
    """Checks of severity warning that did not hold."""
    plan: Plan | None = None
    """The plan that was run."""

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data, without the plan."""
        plain = {name: value for name, value in vars(self).items() if name != "plan"}
        return {**plain, "warnings": list(self.warnings)}
