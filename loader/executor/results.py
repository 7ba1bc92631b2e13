"""The progress and the results of loads and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from loader.escaping import escape_line
from loader.plan.figures import Statistics
from loader.plan.merge_counts import MergeCounts
from loader.plan.model import Plan
from loader.spec.checks import Check
from loader.text_tables import format_count, format_size

Status = Literal["loaded", "already_loaded", "empty", "no_new_files"]


@dataclass(frozen=True)
class Progress:
    """The progress of a load."""

    phase: str
    """``staging``, or the name of the statement that runs."""
    rows: int = 0
    bytes: int = 0
    files: int = 0
    total_rows: int | None = None
    """The total number of rows, if known."""
    share: float | None = None
    """The share of the input that was read, from 0 to 1, if its size is known."""


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class CheckResult:
    """The result of a check."""

    check: Check
    value: Decimal | None
    """What was measured; None if there was no value to measure."""
    holds: bool
    rows: tuple[Mapping[str, str], ...] = ()
    """Up to five rows that break it, with formatted values by column; values of columns with a
    classification are hidden."""

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data."""
        check, value = self.check, self.value
        return {
            "check": check.label,
            "metric": check.metric,
            "columns": list(check.counted),
            "severity": check.severity,
            "must_be": check.expectation,
            "unit": check.unit,
            "value": None if value is None else to_plain_number(value),
            "holds": self.holds,
            "rows": [dict(row) for row in self.rows],
        }


def to_plain_number(value: Decimal) -> int | float:
    """A number for JSON and plots: whole where it is."""
    return int(value) if value == value.to_integral_value() else float(value)


def describe_no_new_files(skipped: int) -> str:
    """Say that there are no files to load, and how many have been loaded before."""
    if not skipped:
        return "no new files"
    return f"no new files; {format_count(skipped, 'file')} loaded before"


@dataclass(frozen=True)
class LoadResult:
    """The result of a load."""

    status: Status
    """loaded; already_loaded, if the ledger had the load id, with ``rows_loaded`` from the ledger;
    empty, if there were no rows; no_new_files, if the ledger had all files, so that nothing was
    done."""
    load_id: str
    table: str
    target: str
    slice: str | None
    """The slice that was loaded; None means the whole table."""
    rows_read: int = 0
    rows_rejected: int = 0
    rows_staged: int = 0
    rows_deleted: int = 0
    """Rows that replace deleted, or deletes of a merge; see `rows_inserted`."""
    rows_loaded: int = 0
    rows_after: int | None = None
    """Rows in the slice or table after the load; None if not counted."""
    partition_rows: Mapping[str, int] | None = None
    """Rows loaded into each partition by its key, as in ``2013-01-01`` or
    ``date=2013-01-01|origin=JFK``, for partitions with rows; None for a single partition."""
    bytes_staged: int = 0
    files_staged: int = 0
    staged: str | None = None
    """The location of the staged files, if they were kept."""
    in_place: bool = False
    """Whether the files were loaded from where they lie; then ``rows_staged`` and the like are of
    these files."""
    files_read: int | None = None
    """Files that the rows are from; None for a frame."""
    files_skipped: int = 0
    """Files that were not loaded since they have been, with `load: new`."""
    rejects: str | None = None
    """The Parquet file with rejected rows and their reasons."""
    reject_reasons: tuple[Mapping[str, str | int], ...] = ()
    """Why rows were rejected, the most frequent first: ``column``, ``reason``, and ``rows``. A row
    with several reasons counts for each of them."""
    seconds: Mapping[str, float] | None = None
    """Wall time of staging (``stage``) and of the transaction (``load``)."""
    statistics: Statistics = field(default_factory=dict)
    """Figures of each loaded column, as verified in the warehouse; none with
    `verify: counts`."""
    warnings: tuple[str, ...] = ()
    """Failed checks of severity warning, with sample rows; partitions that have lost rows; files
    that could not be removed."""
    checks: tuple[CheckResult, ...] = ()
    """The results of all checks, those of severity warning with sample rows if they failed."""
    rows_inserted: int | None = None
    """Rows of keys that the table did not have; with scd2 rows that became a version. This and the
    next four are None unless the load was a merge or scd2; with ``rows_deleted`` they are then
    ``rows_staged``."""
    rows_updated: int | None = None
    """Rows of existing keys whose values differed from the table's; with scd2 rows with the time of
    an existing version, which took their values."""
    rows_unchanged: int | None = None
    """Rows of existing keys with the same values as the table's, and deletes of nothing."""
    rows_skipped: int | None = None
    """Rows older than the table's by ``merge.order_by``, or late with ``scd2.on_late: skip``, which
    were not written."""
    rows_collapsed: int | None = None
    """Rows that were dropped for a later row of the same key in the load; with scd2 for the same
    row."""
    rows_closed: int | None = None
    """With scd2: versions of the table that the load ended; else None."""
    columns_added: tuple[str, ...] = ()
    """Columns that the load added to the table, under ``schema_contract.evolve: additive``."""
    columns_widened: tuple[str, ...] = ()
    """Columns that the load widened."""
    plan: Plan | None = None
    """The executed plan."""

    @property
    def action(self) -> str:
        """What a load with rows has done to the table, such as ``loaded, 3 deleted``."""
        if self.merge_counts:
            return f"merged: {self.merge_counts}"
        return f"loaded, {self.rows_deleted:,} deleted"

    @property
    def outcome(self) -> str:
        """What became of the load, in one line."""
        where = escape_line(f"{self.table} ({self.slice})" if self.slice else self.table)
        rows = format_count(self.rows_loaded, "row")
        if self.status == "no_new_files":
            return f"{where}: {describe_no_new_files(self.files_skipped)}; nothing was done"
        if self.status == "already_loaded":
            return f"{where}: load id `{self.load_id}` is already committed, with {rows}; skipped"
        if self.status == "empty":
            deleted = f"; {self.rows_deleted:,} deleted" if self.rows_deleted else ""
            return f"{where}: no rows to load{deleted}"
        seconds = sum((self.seconds or {}).values())
        verified = f"{'' if self.statistics else 'counts '}verified"
        return f"{where}: {rows} {self.action}, {verified} and committed in {seconds:.1f} s"

    def __str__(self) -> str:
        """Two lines: the outcome; the target, the load id, and the files."""
        facts = [f"target {self.target}", f"load id {self.load_id}"]
        if self.status == "loaded":
            how = "in place" if self.in_place else "staged"
            files = format_count(self.files_staged, "file")
            facts.append(f"{files} {how}, {format_size(self.bytes_staged)}")
        if self.rows_rejected:
            facts.append(f"{format_count(self.rows_rejected, 'row')} rejected")
        if self.warnings:
            facts.append(format_count(len(self.warnings), "warning"))
        return f"{self.outcome}\n  {escape_line(', '.join(facts))}"

    @property
    def merge_counts(self) -> MergeCounts | None:
        """The counts of a merge; None for other loads."""
        return MergeCounts.of(self)

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data, without the plan."""
        plain = {name: value for name, value in vars(self).items() if name != "plan"}
        plain["checks"] = [check.to_dict() for check in self.checks]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in plain.items()
        }
