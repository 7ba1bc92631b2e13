"""The options of `write_disposition: scd2`, which keeps the history of each key."""

from __future__ import annotations

from typing import Literal

from loader.spec.fields import Condition, Model
from loader.spec.names import ColumnName, Name


class Scd2(Model):
    """How `write_disposition: scd2` keeps every version of a row."""

    effective_at: Name | None = None
    """The column of the data that says from when a row holds: a date, timestamp or timestamptz, and
    never NULL; default the time of the load."""
    valid_from: ColumnName = "valid_from"
    """The column for the time from which a version holds. This and the next two need not be in
    `columns`: the load fills them. `valid_from` and `valid_to` have the type of `effective_at`, or
    timestamptz."""
    valid_to: ColumnName = "valid_to"
    """The column for the time at which a version ends, and no longer holds; NULL in the current
    version."""
    is_current: ColumnName = "is_current"
    """The boolean column that is true in the current version."""
    ignore_changes: tuple[Name, ...] = ()
    """Columns whose changes alone make no new version, such as the time of an export. Those that
    tell of the load by their `from` never do."""
    on_late: Literal["insert", "skip", "fail"] = "insert"
    """A row that changes the history before the latest version of its key: insert it where it
    belongs, leave it out, or an error."""
    on_absent: Literal["keep", "close"] = "keep"
    """A key of the table that the load does not have: keep its version open, or close it, as each
    load is a full snapshot; then all rows of a load have the same `effective_at`."""
    deleted_when: Condition | None = None
    """SQL over the columns of the load and `batch_columns`, such as `op = 'D'`: rows for which it
    holds end the version of their key."""
