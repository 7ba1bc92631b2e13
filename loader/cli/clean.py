"""`loader clean`: removes staged files that no load needs any more."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common_options, main, style
from loader.cli.options import format_table
from loader.text_tables import format_count, format_size

if TYPE_CHECKING:
    from loader.executor.backups import CleanedBackups
    from loader.staging.clean import Cleaned


def _parse_age(_: click.Context, option: click.Parameter, value: str) -> timedelta:
    from loader.spec.fields import duration_seconds  # noqa: PLC0415  # slow to import

    if re.fullmatch(r"\d{6,}[smhdw]", value):
        raise click.BadParameter(f"`{value}` is too long; at most 99999d", param=option)
    if not re.fullmatch(r"\d{1,5}[smhdw]", value):
        raise click.BadParameter(f"`{value}`; write 7d, 12h, 30m, 2w or 90s", param=option)
    return timedelta(seconds=duration_seconds(value))


@main.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_parse_age,
    default="7d",
    show_default=True,
    help="The time since the last write to a file; must be longer than a load takes.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, remove nothing.")
@common_options(
    examples=[
        "clean --dry-run",
        "clean --older-than 30d --target prod",
    ],
)
def clean(context: Context, older_than: timedelta, dry_run: bool) -> None:
    """Remove files that loads left in the staging location, and tables that rebuilds kept.

    Removes staged files, rejected rows and incomplete files of loads that ended, failed or were
    killed, in S3 incomplete uploads, and the old tables that `loader apply` kept. Files and tables
    that Loader did not create are kept.
    """
    project, target = context.project(), context.target
    cleaned = project.clean(older_than, dry_run=dry_run, target=target)
    kept = project.clean_backups(older_than, dry_run=dry_run, target=target)
    mark = style("note:", fg="yellow", err=True)
    for note in (*cleaned.notes, *kept.notes):
        context.notify(f"{mark} {note}")
    if context.verbose:
        for key in cleaned.foreign_keys:
            context.notify(f"{mark} not created by Loader, kept: {cleaned.location}/{key}")
        if cleaned.foreign > len(cleaned.foreign_keys):
            context.notify(f"{mark} and {cleaned.foreign - len(cleaned.foreign_keys):,} more")
    text = "\n".join([*_format_backups(kept, dry_run), _format(cleaned, dry_run)])
    context.print_result(_to_dict(cleaned, kept, dry_run), text)


def _format_backups(kept: CleanedBackups, dry_run: bool) -> list[str]:
    if not kept.dropped and not kept.younger:
        return []
    rows = [
        (f"{one.kept:%Y-%m-%d %H:%M:%S}", f"{one.schema}.{one.name}", one.table)
        for one in kept.dropped
    ]
    lines = [format_table(("kept (UTC)", "old table", "of"), rows)] if rows else []
    verb = "would be dropped" if dry_run else "dropped"
    younger = f"; kept: {format_count(kept.younger, 'newer one')}" if kept.younger else ""
    return [*lines, f"{format_count(len(rows), 'old table')} {verb}{younger}"]


def _to_dict(cleaned: Cleaned, kept: CleanedBackups, dry_run: bool) -> dict[str, object]:
    removed = [{**vars(one), "changed": _utc(one.changed).isoformat()} for one in cleaned.removed]
    return {
        "location": cleaned.location,
        "dry_run": dry_run,
        "files": cleaned.files,
        "bytes": cleaned.bytes,
        "removed": removed,
        "younger": cleaned.younger,
        "foreign": cleaned.foreign,
        "manifests": cleaned.manifests,
        "tables": [one.to_dict() for one in kept.dropped],
        "younger_tables": kept.younger,
        "notes": [*cleaned.notes, *kept.notes],
    }


def _format(cleaned: Cleaned, dry_run: bool) -> str:
    rows = [
        (
            f"{_utc(one.changed):%Y-%m-%d %H:%M:%S}",
            f"{one.files:,}" + (f" ({one.unfinished:,} unfinished)" if one.unfinished else ""),
            format_size(one.bytes),
            one.uri,
        )
        for one in cleaned.removed
    ]
    lines = [format_table(("written (UTC)", "files", "size", "folder"), rows)] if rows else []
    verb = "would be removed" if dry_run else "removed"
    files, size = format_count(cleaned.files, "file"), format_size(cleaned.bytes)
    total = f"{files}, {size} {verb} from {cleaned.location}"
    kept = []
    if cleaned.younger:
        kept.append(format_count(cleaned.younger, "younger folder"))
    if cleaned.manifests:
        kept.append(format_count(cleaned.manifests, "manifest") + " of loads in place")
    if cleaned.foreign:
        kept.append(
            f"{format_count(cleaned.foreign, 'file')} not created by Loader (-v lists them)"
        )
    return "\n".join([*lines, f"{total}; kept: {', '.join(kept)}" if kept else total])


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
