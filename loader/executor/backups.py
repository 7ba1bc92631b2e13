"""Finds and drops the tables that rebuilds have kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from loader.errors import ExecuteError
from loader.executor.context import TargetContext
from loader.plan.backups import PREFIX, Backup, read_backup
from loader.sql.renderer import Table


@dataclass(frozen=True)
class CleanedBackups:
    """Which kept tables were dropped, or would be."""

    dropped: tuple[Backup, ...] = ()
    younger: int = 0
    """Kept tables that stay, for they are not old enough."""
    notes: tuple[str, ...] = ()
    """What could not be looked at, or dropped."""


def clean_backups(
    context: TargetContext, older_than: timedelta, *, dry_run: bool = False
) -> CleanedBackups:
    """Drop what rebuilds of longer ago have kept, wherever in the database it is.

    A warehouse that cannot be reached, and a table that cannot be dropped, are notes.
    """
    renderer = context.renderer
    try:
        if not renderer.has("live_backups") or not context.warehouse.exists():
            return CleanedBackups()
        with context.warehouse.session(write=False) as session:
            rows = session.execute(renderer.render("live_backups", {"prefix": PREFIX}).sql)
    except ExecuteError as error:
        return CleanedBackups(notes=(f"kept tables were not looked for: {error.message}",))
    found = [read_backup(str(schema), str(name), str(comment)) for schema, name, comment in rows]
    kept = [backup for backup in found if backup is not None]
    latest = datetime.now(UTC) - older_than
    old = [backup for backup in kept if backup.kept <= latest]
    dropped, notes = (old, []) if dry_run else _drop(context, old)
    return CleanedBackups(tuple(dropped), len(kept) - len(old), tuple(notes))


def _drop(context: TargetContext, old: list[Backup]) -> tuple[list[Backup], list[str]]:
    dropped, notes = [], []
    for backup in old:
        facts = {"table": Table(backup.schema, backup.name)}
        try:
            with context.warehouse.session() as session:
                session.execute(context.renderer.render("drop_table", facts).sql)
        except ExecuteError as error:
            notes.append(f"{backup.schema}.{backup.name} stays: {error.message}")
        else:
            dropped.append(backup)
    return dropped, notes
