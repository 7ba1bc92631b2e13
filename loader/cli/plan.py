"""The command that shows what a load would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.atomic_write import write_text
from loader.cli.framework import OK, Context, common, main, style
from loader.cli.options import FULL_REFRESH, PARTITION, open_data, partition_request

if TYPE_CHECKING:
    from loader.project import Project
    from loader.spec.model import TableSpec

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
    from loader.plan.model import PREVIEW_LOAD_ID  # noqa: PLC0415

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
    look = _Look(context, project, specs, partition, options, context.json or output is not None)
    data, text, exit_code = look.live() if live else look.offline()
    if output is not None:
        write_text(output, json.dumps(data, indent=2) + "\n")
    context.answer(data, *text, exact=context.form == "sql")
    return exit_code if detailed_exitcode else OK


Answer = tuple[dict[str, Any] | None, Iterable[str], int]
"""Plans as data, if that was asked for; as pieces of text; and their exit code."""


@dataclass(frozen=True)
class _Look:
    """What is to be planned, and how it is to be told."""

    context: Context
    project: Project
    specs: Sequence[TableSpec]
    partition: Any
    options: Mapping[str, Any]
    as_data: bool

    def offline(self) -> Answer:
        """The plans of loads, by all cores where there are very many."""
        from loader.cli.output.plans import Told, answer, tell  # noqa: PLC0415
        from loader.parallel import shared  # noqa: PLC0415
        from loader.plan.plan_file import offline_document  # noqa: PLC0415

        context, alone = self.context, len(self.specs) == 1

        def told(some: Sequence[TableSpec]) -> list[Told]:
            return [
                tell(
                    self.project.plan(
                        spec,
                        self.partition if spec.partition_by or alone else None,
                        **self.options,
                    ),
                    context.form,
                    style,
                    verbose=context.verbose,
                    as_data=self.as_data,
                )
                for spec in some
            ]

        self.project.renderer(context.target)  # once, for all processes
        found = shared(told, self.specs, enough=_ENOUGH)
        data = None
        if self.as_data:
            plans = [one.data for one in found if one.data is not None]
            data = offline_document(plans, self.project.place(context.target))
        return data, answer(found, context.form), max(one.exit_code for one in found)

    def live(self) -> Answer:
        """The loads held against the live tables, with what would fix those."""
        from loader.cli.output import reviews  # noqa: PLC0415
        from loader.plan.plan_file import live_document  # noqa: PLC0415

        context, project = self.context, self.project
        found = project.review(self.specs, self.partition, **self.options)
        data = None
        if self.as_data:
            data = live_document(found, project.place(context.target), project.templates)
        code = reviews.exit_code(found)
        if context.json:
            return data, [], code
        show = {"sql": reviews.sql, "markdown": reviews.markdown}.get(context.form)
        text = show(found) if show else reviews.text(found, style, verbose=context.verbose)
        return data, [text], code
