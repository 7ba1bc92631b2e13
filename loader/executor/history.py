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
from loader.plan.merge_counts import MergeCounts
from loader.plan.model import LEDGER_ADDITIONS
from loader.sql.renderer import Table
from loader.warehouse.base import Row, Session
from loader.warehouse.introspect import describe
from loader.warehouse.ledger import file_ledger_of


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
    """This and the next four count the rows of a merge or scd2, as `LoadResult` does; else None."""
    rows_updated: int | None = None
    rows_unchanged: int | None = None
    rows_skipped: int | None = None
    rows_collapsed: int | None = None
    column_figures: Statistics | None = None
    """Figures of the loaded columns; None if the load only counted rows."""
    columns_changed: Mapping[str, Sequence[str]] | None = None
    """The columns that the load ``added`` or ``widened``."""
    rows_deleted: int | None = None
    """Rows of a merge or scd2 that were deletes; None where `deleted_when` is not used."""
    rows_closed: int | None = None
    """Versions that scd2 ended; else None."""
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


@dataclass(frozen=True)
class LedgerFile:
    """A file of a committed load."""

    load: LedgerEntry
    path: str
    """Its URL, or its path: relative to the project if it is in there, else absolute."""
    bytes: int
    modified: datetime | None
    """When it was last changed, in UTC; None in S3."""
    version: str | None
    """The ETag of an object, or the digest of a local file; None if it was not read for it."""
    partition: str | None
    """The partition that its name tells."""
    replaced_by: str | None
    """The id of the load that has replaced its rows; None while they are in the table."""

    def to_dict(self) -> dict[str, object]:
        """The file as JSON-ready data."""
        own = {name: value for name, value in vars(self).items() if name != "load"}
        return {
            "load_id": self.load.load_id,
            "table": self.load.table,
            "loaded_at": self.load.loaded_at.isoformat(),
            **own,
            "modified": self.modified.isoformat() if self.modified else None,
        }


def read_files(context: TargetContext, tables: Sequence[Table], limit: int) -> list[LedgerFile]:
    """Read the files of the newest loads, in the order of the loads and of their names.

    Raises:
        PlanError: the target has no ledger.
        ExecuteError: the ledger cannot be read.
    """
    entries = read_history(context, tables, limit)
    by_table: dict[Table, list[LedgerEntry]] = {}
    for entry in entries:
        by_table.setdefault(Table(entry.table_schema, entry.table_name), []).append(entry)
    found: dict[tuple[str, str], list[LedgerFile]] = {}
    if not by_table:
        return []
    with context.warehouse.session(write=False) as session:
        for table, loads in by_table.items():
            by_id = {load.load_id: load for load in loads}
            for load_id, *values in _read_files(context, session, table, list(by_id)):
                file = _ledger_file(by_id[load_id], values)
                found.setdefault((file.load.table, load_id), []).append(file)
    return [file for entry in entries for file in found.get((entry.table, entry.load_id), ())]


def _read_files(
    context: TargetContext, session: Session, table: Table, load_ids: Sequence[str]
) -> list[Row]:
    renderer = context.renderer
    ledger = file_ledger_of(renderer, context.target.ledger_schema, table)
    if not isinstance(describe(session, renderer, ledger), LiveTable):
        return []
    facts = {"file_ledger": ledger, "table": table, "load_ids": load_ids}
    return session.execute(renderer.render("files_history", facts).sql)


def _ledger_file(load: LedgerEntry, values: Sequence[Any]) -> LedgerFile:
    path, size, modified, version, partition, replaced_by = values
    moment = None if modified is None else datetime.fromtimestamp(modified / 1e9, UTC)
    return LedgerFile(load, path, size, moment, version, partition, replaced_by)


def read_history(
    context: TargetContext, tables: Sequence[Table], limit: int, *, rejected: bool = False
) -> list[LedgerEntry]:
    """Read the newest loads from a target's ledger.

    Args:
        context: The target.
        tables: Only loads of these tables; of all when there are none.
        limit: The most loads.
        rejected: Only loads that have rejected rows.

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
    facts = {"ledger": ledger, "limit": limit, "tables": tuple(tables), "rejected": rejected}
    with warehouse.session(write=False) as session:
        live = describe(session, renderer, ledger)
        if not isinstance(live, LiveTable) or (rejected and "rows_rejected" not in live.order):
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
