"""The command that shows what a load would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.cli.framework import OK, Context, common, main, style
from loader.cli.options import (
    FULL_REFRESH,
    PARTITION,
    open_data,
    partition_request,
    write_text,
)

if TYPE_CHECKING:
    from loader.project import Project
    from loader.spec import TableSpec

_ENOUGH = 100
"""Tables whose plans are worth a process: about a tenth of a second."""


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
    from loader.plan import PREVIEW_LOAD_ID  # noqa: PLC0415

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
    as_data = context.json or output is not None
    look = _live if live else _offline
    data, text, exit_code = look(context, project, specs, partition, options, as_data)
    if output is not None:
        write_text(output, json.dumps(data, indent=2) + "\n")
    context.answer(data, *text)
    return exit_code if detailed_exitcode else OK


Answer = tuple[dict[str, Any] | None, Iterable[str], int]
"""Plans as data, if that was asked for; as pieces of text; and their exit code."""


def _offline(
    context: Context,
    project: Project,
    specs: Sequence[TableSpec],
    partition: Any,
    options: dict[str, Any],
    as_data: bool,
) -> Answer:
    from loader.planfile import offline_document  # noqa: PLC0415
    from loader.present.loads import Told, answer, tell  # noqa: PLC0415
    from loader.shares import shared  # noqa: PLC0415

    alone = len(specs) == 1

    def told(some: Sequence[TableSpec]) -> list[Told]:
        return [
            tell(
                project.plan(spec, partition if spec.partition_by or alone else None, **options),
                context.form,
                style,
                verbose=context.verbose,
                as_data=as_data,
            )
            for spec in some
        ]

    project.renderer(context.target)  # once, for all processes
    found = shared(told, specs, enough=_ENOUGH)
    plans = [one.data for one in found if one.data is not None]
    data = offline_document(plans, project.place(context.target)) if as_data else None
    return data, answer(found, context.form), max(one.exit_code for one in found)


def _live(
    context: Context,
    project: Project,
    specs: Sequence[TableSpec],
    partition: Any,
    options: dict[str, Any],
    as_data: bool,
) -> Answer:
    from loader.planfile import live_document  # noqa: PLC0415
    from loader.present import reviews  # noqa: PLC0415

    found = project.review(specs, partition, **options)
    place = project.place(context.target)
    data = live_document(found, place, project.templates) if as_data else None
    code = reviews.exit_code(found)
    if context.json:
        return data, [], code
    show = {"sql": reviews.sql, "markdown": reviews.markdown}.get(context.form)
    text = show(found) if show else reviews.text(found, style, verbose=context.verbose)
    return data, [text], code
