"""A planned load together with the changes its live table needs, as pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loader.plan.live_table import Live, LiveColumn, LiveTable
from loader.plan.model import LoadRequest, Plan
from loader.plan.table_changes import TableChange
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer


@dataclass(frozen=True)
class Review:
    """The changes of one table, and its load after them."""

    change: TableChange
    load: Plan
    asked: bool
    """Whether a load was requested: with data, a partition or a full refresh."""
    rows_to_delete: int | None = None
    """The number of rows the load deletes; None when that is not known before."""
    frame: Mapping[str, str] = field(default_factory=dict)
    """The columns of the data with their types."""

    @property
    def load_changes(self) -> bool:
        """Whether the load itself applies the changes it needs."""
        return load_changes(self.change)

    @property
    def load_waits(self) -> bool:
        """Whether the load fails unless the live table is changed first."""
        live = self.change.live
        if not isinstance(live, LiveTable):
            return False
        return not live.is_table or (_stops_loads(self.change) and not self.load_changes)

    def to_dict(self) -> dict[str, object]:
        """The load as JSON-ready data, without the table's changes."""
        return {
            **self.load.to_dict(),
            "asked": self.asked,
            "rows_to_delete": self.rows_to_delete,
            "frame": dict(self.frame),
            "makes_changes": self.load_changes,
        }


def load_changes(change: TableChange) -> bool:
    """Whether a load itself applies the table changes that it needs."""
    if not isinstance(change.live, LiveTable):
        return True
    needed = [one for one in change.differences if one.stops_loads]
    additive = change.spec.schema_contract.evolve == "additive"
    return additive and all(one.additive for one in needed)


def live_for_load(change: TableChange, renderer: Renderer) -> Live:
    """The table that the load will find: unchanged, or after its changes."""
    live = change.live
    if isinstance(live, LiveTable) and not live.is_table:
        return "unseen"
    if not isinstance(live, LiveTable) or not _stops_loads(change) or load_changes(change):
        return live
    return LiveTable(tuple(_as_declared(change.spec, renderer)))


def _stops_loads(change: TableChange) -> bool:
    return any(one.stops_loads for one in change.differences)


def _as_declared(spec: TableSpec, renderer: Renderer) -> list[LiveColumn]:
    spell = renderer.dialect.column_type
    return [
        LiveColumn(
            column.name,
            spell(column.data_type),
            column.nullable,
            has_default=bool(column.default or column.identity),
        )
        for column in spec.columns
    ]


def deletes(spec: TableSpec, request: LoadRequest) -> bool:
    """Whether the load deletes rows that can be counted before: a known slice, or all rows."""
    if request.no_partitions:
        return False
    if request.full_refresh:
        return True
    known = request.slice is not None or not spec.partition_by
    return known and spec.write_disposition == "replace"
