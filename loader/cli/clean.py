"""The command that removes what loads have left behind."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common, main, style
from loader.cli.options import counted, megabytes, tabulated

if TYPE_CHECKING:
    from loader.executor.backups import CleanedBackups
    from loader.staging.clean import Cleaned

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _age(_: click.Context, option: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([smhdw])", value)
    if found is None:
        raise click.BadParameter(f"`{value}`; write 7d, 12h, 30m, 2w or 90s", param=option)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


@main.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_age,
    default="7d",
    show_default=True,
    help="How long nothing was written; longer than loads take.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@common()
def clean(context: Context, older_than: timedelta, dry_run: bool) -> None:
    """Remove what loads have left in the staging location, and tables that rebuilds have kept.

    That is staged files, rejected rows and half files of loads that have ended, failed or were
    killed, in S3 uploads that were never completed, and in the database the old tables that
    `loader apply` has kept. What Loader did not make stays.
    """
    project, target = context.project(), context.target
    done = project.clean(older_than, dry_run=dry_run, target=target)
    kept = project.clean_backups(older_than, dry_run=dry_run, target=target)
    mark = style("note:", fg="yellow", err=True)
    for note in (*done.notes, *kept.notes):
        context.say(f"{mark} {note}")
    if context.verbose:
        for key in done.foreign_keys:
            context.say(f"{mark} not made by Loader, and left alone: {done.location}/{key}")
        if done.foreign > len(done.foreign_keys):
            context.say(f"{mark} and {done.foreign - len(done.foreign_keys):,} more")
    text = "\n".join([*_backup_lines(kept, dry_run=dry_run), _text(done, dry_run=dry_run)])
    context.answer(_data(done, kept, dry_run=dry_run), text)


def _backup_lines(kept: CleanedBackups, *, dry_run: bool) -> list[str]:
    if not kept.dropped and not kept.younger:
        return []
    rows = [
        (f"{one.kept:%Y-%m-%d %H:%M:%S}", f"{one.schema}.{one.name}", one.table)
        for one in kept.dropped
    ]
    lines = [tabulated(("kept (UTC)", "old table", "of"), rows)] if rows else []
    verb = "would be dropped" if dry_run else "dropped"
    stays = f"; left alone: {counted(kept.younger, 'younger one')}" if kept.younger else ""
    return [*lines, f"{counted(len(rows), 'old table')} {verb}{stays}"]


def _data(done: Cleaned, kept: CleanedBackups, *, dry_run: bool) -> dict[str, object]:
    removed = [{**vars(one), "changed": _moment(one.changed).isoformat()} for one in done.removed]
    return {
        "location": done.location,
        "dry_run": dry_run,
        "files": done.files,
        "bytes": done.bytes,
        "removed": removed,
        "younger": done.younger,
        "foreign": done.foreign,
        "tables": [one.to_dict() for one in kept.dropped],
        "younger_tables": kept.younger,
        "notes": [*done.notes, *kept.notes],
    }


def _text(done: Cleaned, *, dry_run: bool) -> str:
    rows = [
        (
            f"{_moment(one.changed):%Y-%m-%d %H:%M:%S}",
            f"{one.files:,}" + (f" ({one.unfinished:,} unfinished)" if one.unfinished else ""),
            megabytes(one.bytes),
            one.uri,
        )
        for one in done.removed
    ]
    lines = [tabulated(("written (UTC)", "files", "size", "folder"), rows)] if rows else []
    verb = "would be removed" if dry_run else "removed"
    total = f"{counted(done.files, 'file')}, {megabytes(done.bytes)} {verb} from {done.location}"
    stays = []
    if done.younger:
        stays.append(counted(done.younger, "younger folder"))
    if done.foreign:
        stays.append(f"{counted(done.foreign, 'file')} not made by Loader (-v names them)")
    return "\n".join([*lines, f"{total}; left alone: {', '.join(stays)}" if stays else total])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
