"""`loader plan`: shows what a load would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.atomic_write import write_text
from loader.cli.framework import OK, Context, common_options, main, style
from loader.cli.options import FULL_REFRESH, PARTITION, open_data, parse_partitions

if TYPE_CHECKING:
    from loader.project import Project
    from loader.spec.model import TableSpec

_PER_PROCESS = 100
"""Tables; planning this many takes about 0.1 s, which makes starting a process worthwhile."""


@main.command()
@click.argument("select", nargs=-1)
@PARTITION
@FULL_REFRESH
@click.option(
    "--from", "files", metavar="FILE", multiple=True, help="Data to validate; may repeat."
)
@click.option(
    "--in-place",
    is_flag=True,
    help="Plan to load the files of --from from where they lie; only their ends are read.",
)
@click.option("--load-id", metavar="ID", help="The id of the load; default a placeholder.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Save the plan as JSON.")
@click.option("--live", is_flag=True, help="Compare the specs with the live tables.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 0: no change, 2: changes, 3: destructive."
)
@common_options("sql", "markdown")
def plan(
    context: Context,
    select: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    files: tuple[str, ...],
    in_place: bool,
    load_id: str | None,
    output: Path | None,
    live: bool,
    detailed_exitcode: bool,
) -> int:
    """Show the SQL of a load without running it.

    SELECT is an asset key, schema.table, a glob, or a spec file; default all tables. With --live
    the specs are compared with the live tables, and the changes `loader apply` would make are
    shown too.
    """
    from loader.plan.model import PREVIEW_LOAD_ID  # noqa: PLC0415

    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    if files and len(specs) != 1:
        raise click.UsageError("--from needs SELECT to match exactly one table")
    if in_place and not files:
        raise click.UsageError("--in-place needs the files: --from FILE")
    partition = parse_partitions(partitions)
    options: dict[str, Any] = {
        "target": context.target,
        "full_refresh": full_refresh,
        "load_id": load_id or PREVIEW_LOAD_ID,
        "frame": open_data(specs[0], files, in_place=in_place) if files else None,
    }
    as_data = context.json or output is not None
    planner = _Planner(context, project, specs, partition, options, as_data)
    data, text, exit_code = planner.plan_live() if live else planner.plan_offline()
    if output is not None:
        write_text(output, json.dumps(data, indent=2) + "\n")
    context.print_result(data, *text, exact=context.form == "sql")
    return exit_code if detailed_exitcode else OK


Output = tuple[dict[str, Any] | None, Iterable[str], int]
"""Plans as data, if requested; as pieces of text; and the detailed exit code."""


@dataclass(frozen=True)
class _Planner:
    """The loads to plan, and the form of the output."""

    context: Context
    project: Project
    specs: Sequence[TableSpec]
    partition: Any
    options: Mapping[str, Any]
    as_data: bool

    def plan_offline(self) -> Output:
        """Plan loads without the warehouse; a large number of them in several processes."""
        from loader.cli.output.plans import (  # noqa: PLC0415
            FormattedPlan,
            format_plan,
            join_plans,
        )
        from loader.parallel import run_parallel  # noqa: PLC0415
        from loader.plan.plan_file import offline_document  # noqa: PLC0415

        context, single = self.context, len(self.specs) == 1

        def plan_all(specs: Sequence[TableSpec]) -> list[FormattedPlan]:
            return [
                format_plan(
                    self.project.plan(
                        spec,
                        self.partition if spec.partition_by or single else None,
                        **self.options,
                    ),
                    context.form,
                    style,
                    verbose=context.verbose,
                    as_data=self.as_data,
                )
                for spec in specs
            ]

        self.project.renderer(context.target)  # compile the templates once, before forking
        plans = run_parallel(plan_all, self.specs, per_process=_PER_PROCESS)
        data = None
        if self.as_data:
            documents = [plan.data for plan in plans if plan.data is not None]
            data = offline_document(documents, self.project.place(context.target))
        return data, join_plans(plans, context.form), max(plan.exit_code for plan in plans)

    def plan_live(self) -> Output:
        """Plan loads, compare the specs with the live tables, and plan the changes of these."""
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
        if context.form == "sql":
            return data, [reviews.format_sql(found)], code
        if context.form == "markdown":
            return data, [reviews.format_markdown(found)], code
        return data, [reviews.format_text(found, style, verbose=context.verbose)], code
