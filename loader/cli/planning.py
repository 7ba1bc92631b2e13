"""The command that shows what a load would do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from loader.cli.framework import OK, Context, common, main, style
from loader.cli.options import (
    FULL_REFRESH,
    PARTITION,
    open_data,
    partition_request,
    write_text,
)


@main.command()
@click.argument("select", nargs=-1)
@PARTITION
@FULL_REFRESH
@click.option("--from", "files", metavar="FILE", multiple=True, help="Data to be loaded.")
@click.option("--load-id", metavar="ID", help="The load's id; a placeholder by default.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the plan as JSON.")
@click.option("--live", is_flag=True, help="Look at the live tables, and tell what differs.")
@click.option("--detailed-exitcode", is_flag=True, help="0 no change, 2 changes, 3 destructive.")
@common("sql", "markdown")
def plan(
    context: Context,
    select: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    files: tuple[str, ...],
    load_id: str | None,
    output: Path | None,
    live: bool,
    detailed_exitcode: bool,
) -> int:
    """Show the exact SQL of a load, without touching anything.

    SELECT is an asset key, schema.table, a glob, or a spec file; default all tables. With --live
    the tables are looked at, and what `loader apply` would do to them is shown with it.
    """
    from loader import planfile  # noqa: PLC0415
    from loader.plan import PREVIEW_LOAD_ID  # noqa: PLC0415
    from loader.present import loads, reviews  # noqa: PLC0415

    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    if files and len(specs) != 1:
        raise click.UsageError("--from is the data of one table; name that table")
    partition = partition_request(partitions)
    options: dict[str, Any] = {
        "target": context.target,
        "full_refresh": full_refresh,
        "load_id": load_id or PREVIEW_LOAD_ID,
        "frame": open_data(specs[0], files) if files else None,
    }
    place = project.place(context.target)
    if live:
        found: Sequence[Any] = project.review(specs, partition, **options)
    else:
        found = [
            project.plan(
                spec, partition if spec.partition_by or len(specs) == 1 else None, **options
            )
            for spec in specs
        ]
    data: object = None
    if context.json or output is not None:
        if live:
            data = planfile.live_document(found, place, project.templates)
        else:
            data = planfile.offline_document(found, place)
    if output is not None:
        write_text(output, json.dumps(data, indent=2) + "\n")
    forms: Any = reviews if live else loads
    show = {"sql": forms.sql, "markdown": forms.markdown}.get(context.form)
    if context.json:
        context.answer(data, "")
    else:
        shown = show(found) if show else forms.text(found, style, verbose=context.verbose)
        context.answer(data, shown)
    return forms.exit_code(found) if detailed_exitcode else OK
