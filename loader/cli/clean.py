"""`loader clean`: removes staged files that no load needs any more."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common_options, main, style
from loader.cli.options import format_size, format_table
from loader.text_tables import format_count

if TYPE_CHECKING:
    from loader.staging.clean import Cleaned

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _parse_age(_: click.Context, option: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([smhdw])", value)
    if found is None:
        raise click.BadParameter(f"`{value}`; write 7d, 12h, 30m, 2w or 90s", param=option)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


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
@common_options()
def clean(context: Context, older_than: timedelta, dry_run: bool) -> None:
    """Remove files that loads left in the staging location.

    Removes staged files, rejected rows and incomplete files of loads that ended, failed or were
    killed, and in S3 incomplete uploads. Files that Loader did not create are kept.
    """
    cleaned = context.project().clean(older_than, dry_run=dry_run, target=context.target)
    mark = style("note:", fg="yellow", err=True)
    for note in cleaned.notes:
        context.notify(f"{mark} {note}")
    if context.verbose:
        for key in cleaned.foreign_keys:
            context.notify(f"{mark} not created by Loader, kept: {cleaned.location}/{key}")
        if cleaned.foreign > len(cleaned.foreign_keys):
            context.notify(f"{mark} and {cleaned.foreign - len(cleaned.foreign_keys):,} more")
    context.print_result(_to_dict(cleaned, dry_run), _format(cleaned, dry_run))


def _to_dict(cleaned: Cleaned, dry_run: bool) -> dict[str, object]:
    removed = [{**vars(one), "changed": _utc(one.changed).isoformat()} for one in cleaned.removed]
    return {
        "location": cleaned.location,
        "dry_run": dry_run,
        "files": cleaned.files,
        "bytes": cleaned.bytes,
        "removed": removed,
        "younger": cleaned.younger,
        "foreign": cleaned.foreign,
        "notes": list(cleaned.notes),
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
    if cleaned.foreign:
        kept.append(
            f"{format_count(cleaned.foreign, 'file')} not created by Loader (-v lists them)"
        )
    return "\n".join([*lines, f"{total}; kept: {', '.join(kept)}" if kept else total])


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
