"""The counts of a merge, or of a history: what became of each row of the load."""

from __future__ import annotations

from dataclasses import dataclass, fields

from loader.text_tables import format_count

COUNTS_OF_MERGES = (
    "rows_inserted",
    "rows_updated",
    "rows_unchanged",
    "rows_skipped",
    "rows_collapsed",
)
"""The counts that every merge has."""


@dataclass(frozen=True)
class MergeCounts:
    """The counts of a merge or a history; all but the last add up to the staged rows."""

    rows_inserted: int
    """Rows of keys that the table did not have; with scd2 rows that became a version."""
    rows_updated: int
    """Rows of existing keys whose values differed from the table's; with scd2 rows with the same
    time as a version of the table, which took their values."""
    rows_unchanged: int
    """Rows of existing keys with the same values as the table's, and deletes of nothing."""
    rows_skipped: int
    """Rows older than the table's by `order_by`, or late with `on_late: skip`, which were not
    written."""
    rows_collapsed: int
    """Rows that were dropped for a later row of the same key in the load, or the same one."""
    rows_deleted: int = 0
    """Rows that deleted the table's row, or marked it as deleted, or ended its version."""
    rows_closed: int | None = None
    """With scd2: versions of the table that the load ended; else None."""

    @classmethod
    def of(cls, text: object) -> MergeCounts | None:
        """The counts among the attributes of a result or a ledger entry; None when it has none."""
        found = {field.name: getattr(text, field.name) for field in fields(cls)}
        if None in (found[name] for name in COUNTS_OF_MERGES):
            return None
        return cls(**{**found, "rows_deleted": found["rows_deleted"] or 0})

    @property
    def rows(self) -> int:
        """The rows of the load that are counted."""
        return sum(getattr(self, name) for name in (*COUNTS_OF_MERGES, "rows_deleted"))

    def __str__(self) -> str:
        """The counts as text; skipped and so on only if there are any.

        >>> str(MergeCounts(2, 1, 0, 3, 0))
        '2 inserted, 1 updated, 0 unchanged, 3 skipped as older'
        """
        words = f"{self.rows_inserted:,} inserted, {self.rows_updated:,} updated,"
        words += f" {self.rows_unchanged:,} unchanged"
        if self.rows_deleted:
            words += f", {self.rows_deleted:,} deleted"
        if self.rows_skipped:
            words += f", {self.rows_skipped:,} skipped as older"
        if self.rows_collapsed:
            words += f", {self.rows_collapsed:,} collapsed as duplicates"
        if self.rows_closed:
            words += f"; {format_count(self.rows_closed, 'version')} closed"
        return words
