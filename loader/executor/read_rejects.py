"""Finds the rows that loads have set aside: in the ledger why, in the staging location the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from loader.data.cast.report import list_reasons
from loader.executor.check_results import HIDDEN
from loader.executor.context import TargetContext
from loader.executor.history import LedgerEntry, read_history
from loader.executor.rejects import read_rejected
from loader.plan.model import stage_prefix
from loader.spec.model import TableSpec
from loader.sql.lexer import names_in
from loader.sql.renderer import Table
from loader.staging.stores.base import Store, StoredFile

_MOST_LOADS = 1_000
"""The most loads with rejected rows that are looked through."""

_RUN = re.compile(r"rejects/[^/]+/[^/]+/[^/]+(?=/rejects\.parquet$|/?$)")
"""The folder of a run, at the end of a location that may have been another machine's."""

Row = Mapping[str, str | int | None]


@dataclass(frozen=True)
class RejectedRows:
    """The rows that one load has set aside."""

    asset_key: str
    table: str
    load_id: str
    """Of a load that is not in the ledger and was not asked for: without what no path takes."""
    committed: bool | None
    """Whether the load has committed its other rows; None for a target without a ledger."""
    time: datetime
    """When the load was committed, or else wrote the last of these rows; in UTC."""
    total: int
    reasons: tuple[Mapping[str, str | int], ...]
    """Why, the most frequent reason first: ``column``, ``reason`` and ``rows``."""
    location: str
    """Their Parquet file, or the folder of several."""
    kept: bool
    """Whether the rows are still there."""
    rows: tuple[Row, ...] = ()
    """The first of them: ``_origin``, ``_row``, ``_reason``, and the data as text; values of
    columns with a classification are hidden."""

    def to_dict(self) -> dict[str, object]:
        """The same as JSON-ready data."""
        return {**asdict(self), "time": self.time.isoformat()}


@dataclass(frozen=True)
class _Run:
    """The files of rejected rows of one run of a load."""

    folder: str
    files: tuple[StoredFile, ...]

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(max(file.changed for file in self.files), UTC)


def find_rejects(
    specs: Sequence[TableSpec],
    context: TargetContext,
    load_id: str | None = None,
    limit: int = 20,
) -> list[RejectedRows]:
    """The rows that the last load with rejected rows of each table has set aside.

    Args:
        specs: The tables; those without rejected rows are left out.
        context: The target.
        load_id: Of the load with this id instead of the last one.
        limit: The most rows that are read of each table.

    Raises:
        ExecuteError: the ledger cannot be read.
        StageError: the files cannot be listed or read.
    """
    committed = _find_committed(specs, context, load_id)
    runs = _find_runs(specs, context.staging_store, load_id)
    found = []
    for spec in specs:
        entries = committed.get(spec.table, [])
        known = {_run_of(entry) for entry in entries}
        others = [run for run in runs.get(_folder(spec), ()) if run.folder not in known]
        entry = entries[0] if entries else None
        run = max(others, key=lambda one: one.time, default=None)
        if run is not None and (entry is None or _is_later(run.time, entry.loaded_at)):
            found.append(_tell_of_run(spec, context, run, load_id, limit))
        elif entry is not None:
            found.append(_tell_of_entry(spec, context.staging_store, entry, limit))
    return found


def _is_later(written: datetime, committed: datetime) -> bool:
    """Whether a run is later than a load, where object stores and Redshift have whole seconds."""
    if written.microsecond and committed.microsecond:
        return written > committed
    return written.replace(microsecond=0) >= committed.replace(microsecond=0)


def _find_committed(
    specs: Sequence[TableSpec], context: TargetContext, load_id: str | None
) -> dict[str, list[LedgerEntry]]:
    """The loads with rejected rows that the ledger knows, by table, the newest first."""
    if not context.target.ledger_schema:
        return {}
    tables = [Table(spec.schema_name, spec.name) for spec in specs]
    found: dict[str, list[LedgerEntry]] = {}
    for entry in read_history(context, tables, _MOST_LOADS, rejected=True):
        if load_id in (None, entry.load_id):
            found.setdefault(entry.table, []).append(entry)
    return found


def _find_runs(
    specs: Sequence[TableSpec], store: Store, load_id: str | None
) -> dict[str, list[_Run]]:
    """The runs whose rejected rows are in the staging location, by the folder of their table."""
    prefix = _folder(specs[0], load_id) if len(specs) == 1 else "rejects"
    files: dict[str, list[StoredFile]] = {}
    for file in store.files(prefix):
        files.setdefault(file.key.rpartition("/")[0], []).append(file)
    wanted = {_folder(spec, load_id) for spec in specs}
    found: dict[str, list[_Run]] = {}
    for folder, some in files.items():
        load, table = folder.rpartition("/")[0], "/".join(folder.split("/")[:2])
        if _RUN.fullmatch(folder) and (load if load_id else table) in wanted:
            found.setdefault(table, []).append(_Run(folder, tuple(some)))
    return found


def _folder(spec: TableSpec, load_id: str | None = None) -> str:
    """The folder of the rejected rows of a table, or of one of its loads."""
    parts = stage_prefix(spec, load_id or "-", "-").split("/")
    return "/".join(["rejects", *parts[: 2 if load_id else 1]])


def _run_of(entry: LedgerEntry) -> str | None:
    """The folder of the run that the ledger names."""
    match = _RUN.search(str((entry.rejects or {}).get("file", "")))
    return match[0] if match else None


def _tell_of_entry(spec: TableSpec, store: Store, entry: LedgerEntry, limit: int) -> RejectedRows:
    """What the ledger knows, and the rows if they are still there."""
    folder = _run_of(entry)
    keys = sorted(file.key for file in store.files(folder)) if folder else []
    told = entry.rejects or {}
    return RejectedRows(
        spec.asset_key,
        spec.table,
        entry.load_id,
        True,
        entry.loaded_at,
        entry.rows_rejected or 0,
        tuple(told.get("reasons", ())),
        str(told.get("file", "")),
        bool(keys),
        _hide_classified(read_rejected(store, keys if limit else (), limit).rows, spec),
    )


def _tell_of_run(
    spec: TableSpec, context: TargetContext, run: _Run, load_id: str | None, limit: int
) -> RejectedRows:
    """What the files know of a load that is not in the ledger."""
    store, keys = context.staging_store, sorted(file.key for file in run.files)
    content = read_rejected(store, keys, limit)
    return RejectedRows(
        spec.asset_key,
        spec.table,
        load_id or run.folder.split("/")[2],
        False if context.target.ledger_schema else None,
        run.time,
        content.total,
        tuple(list_reasons(content.reasons)),
        store.uri(keys[0] if len(keys) == 1 else run.folder),
        True,
        _hide_classified(content.rows, spec),
    )


def _hide_classified(rows: Sequence[Mapping[str, Any]], spec: TableSpec) -> tuple[Row, ...]:
    """The rows without values of columns that have a classification."""
    columns = [one for one in (*spec.columns, *spec.input_columns) if one.classification]
    if not columns:
        return tuple(rows)
    hidden = {
        name.casefold()
        for one in columns
        for name in (one.name, spec.name_in_data(one), *one.renamed_from)
    }
    checked = {one.name for one in columns}
    checked |= {one.name for one in spec.dimensions if names_in(one.expr) & spec.classified}
    # A value may have anything in it, so that nobody knows where it ends.
    told = re.compile(rf"(^|; )({'|'.join(map(re.escape, sorted(checked)))}): .*", re.DOTALL)

    def show(name: str, value: Any) -> Any:
        if name == "_reason":
            return told.sub(rf"\1\2: {HIDDEN}", value)
        return HIDDEN if name.casefold() in hidden and value is not None else value

    return tuple({name: show(name, value) for name, value in row.items()} for row in rows)
