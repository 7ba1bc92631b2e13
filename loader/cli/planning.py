"""The command that shows what a load would do."""

from __future__ import annotations

import json
from pathlib import Path

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
    detailed_exitcode: bool,
) -> int:
    """Show the exact SQL of a load, without touching anything.

    SELECT is an asset key, schema.table, a glob, or a spec file; default all tables.
    """
    from loader import present  # noqa: PLC0415
    from loader.plan import PREVIEW_LOAD_ID  # noqa: PLC0415

    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    if files and len(specs) != 1:
        raise click.UsageError("--from is the data of one table; name that table")
    plans = [
        project.plan(
            spec,
            partition_request(partitions) if spec.partition_by or len(specs) == 1 else None,
            target=context.target,
            full_refresh=full_refresh,
            load_id=load_id or PREVIEW_LOAD_ID,
            frame=open_data(spec, files) if files else None,
        )
        for spec in specs
    ]
    data = {"plan_version": 1, "plans": [one.to_dict() for one in plans]}
    if output is not None:
        write_text(output, json.dumps(data, indent=2, default=str) + "\n")
    show = {"sql": present.sql, "markdown": present.markdown}.get(context.form)
    text = show(plans) if show else present.text(plans, style, verbose=context.verbose)
    context.answer(data, text)
    return present.exit_code(plans) if detailed_exitcode else OK
