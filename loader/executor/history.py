"""Reads the load history from the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from loader.errors import PlanError
from loader.executor.context import TargetContext
from loader.plan.figures import Statistics
from loader.plan.live_table import LiveTable
from loader.plan.loading import MergeCounts
from loader.plan.model import LEDGER_ADDITIONS
from loader.sql.renderer import Table
from loader.warehouse.base import Row
from loader.warehouse.introspect import describe


@dataclass(frozen=True)
class LedgerEntry:
    """One committed load."""

    load_id: str
    table_schema: str
    table_name: str
    asset_key: str
    slice: str | None
    write_disposition: str
    rows_loaded: int
    bytes_staged: int
    files: int
    manifest: str | None
    spec_hash: str
    loader_version: str
    loaded_at: datetime
    """In UTC."""
    rows_inserted: int | None = None
    """This and the next four count the rows of a merge, as `LoadResult` does; else None."""
    rows_updated: int | None = None
    rows_unchanged: int | None = None
    rows_skipped: int | None = None
    rows_collapsed: int | None = None
    column_figures: Statistics | None = None
    """Figures of the loaded columns; None if the load only counted rows."""
    columns_changed: Mapping[str, Sequence[str]] | None = None
    """The columns that the load ``added`` or ``widened``."""
    rows_rejected: int | None = None
    """None where the ledger is older than this column."""
    rejects: Mapping[str, Any] | None = None
    """The ``file`` of rejected rows, and their ``reasons``: column, reason and rows."""

    @property
    def table(self) -> str:
        """The table's full name, ``schema.name``."""
        return f"{self.table_schema}.{self.table_name}"

    @property
    def merge_counts(self) -> MergeCounts | None:
        """The counts of a merge; None for other loads."""
        return MergeCounts.of(self)

    def to_dict(self) -> dict[str, object]:
        """The entry as JSON-ready data."""
        return {**asdict(self), "loaded_at": self.loaded_at.isoformat()}


def read_history(context: TargetContext, tables: Sequence[Table], limit: int) -> list[LedgerEntry]:
    """Read the newest loads from a target's ledger, optionally of some tables only.

    Raises:
        PlanError: the target has no ledger.
        ExecuteError: the ledger cannot be read.
    """
    if not context.target.ledger_schema:
        name = context.target.name
        raise PlanError(f"the target `{name}` has no ledger", hint="set its ledger_schema")
    warehouse, renderer = context.warehouse, context.renderer
    if not warehouse.exists():
        return []
    ledger = Table(context.target.ledger_schema, "loads")
    facts = {"ledger": ledger, "limit": limit, "tables": tuple(tables)}
    with warehouse.session(write=False) as session:
        live = describe(session, renderer, ledger)
        if not isinstance(live, LiveTable):
            return []
        facts |= {"added": tuple(LEDGER_ADDITIONS), "present": live.order}
        rows = session.execute(renderer.render("ledger_history", facts).sql)
    return [_entry(row) for row in rows]


def _entry(row: Row) -> LedgerEntry:
    names = [field.name for field in fields(LedgerEntry)]
    values = dict(zip(names, row, strict=True))
    loaded_at = values["loaded_at"]
    moment = loaded_at if loaded_at.tzinfo else loaded_at.replace(tzinfo=UTC)
    for name in ("column_figures", "columns_changed", "rejects"):
        values[name] = values[name] and json.loads(values[name])
    return LedgerEntry(**{**values, "loaded_at": moment.astimezone(UTC)})
