"""What a load tells while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from loader.plan.dispositions import MergeCounts
from loader.plan.figures import Statistics
from loader.plan.model import Plan
from loader.spec.checks import Check

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
    rows: tuple[Mapping[str, str], ...] = ()
    """Up to five of the rows that break it, with their values as messages print them, by column;
    of columns with a classification there is only the word for it."""


@dataclass(frozen=True)
class LoadResult:
    """What a load did."""

    status: Status
    """loaded; already_loaded, when the ledger had the load id, whose rows are then told as
    ``rows_loaded``; empty, when there were no rows."""
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
    """Checks of severity warning that did not hold, with rows that break them; files that could
    not be removed."""
    rows_inserted: int | None = None
    """Rows of keys that the table did not have. This and the next four are None unless the load was
    a merge; together they are ``rows_staged``."""
    rows_updated: int | None = None
    """Rows of known keys whose values differed from the table's."""
    rows_unchanged: int | None = None
    """Rows of known keys that the table held already, value for value."""
    rows_skipped: int | None = None
    """Rows older than the table's by ``merge.order_by``, which left the table's as they are."""
    rows_collapsed: int | None = None
    """Rows that a later row of their key in the same load stood in for."""
    columns_added: tuple[str, ...] = ()
    """Columns that the load added to the table, under ``schema_contract.evolve: additive``."""
    columns_widened: tuple[str, ...] = ()
    """Columns that it widened."""
    plan: Plan | None = None
    """The plan that was run."""

    @property
    def merge_counts(self) -> MergeCounts | None:
        """What became of the rows of a merge; None for other loads."""
        return MergeCounts.of(self)

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data, without the plan."""
        plain = {name: value for name, value in vars(self).items() if name != "plan"}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        }
