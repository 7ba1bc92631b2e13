"""`loader plan`: shows what a load would do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from loader.atomic_write import write_text
from loader.cli.framework import OK, Context, common_options, main, style
from loader.cli.options import (
    FULL_REFRESH,
    PARTITION,
    open_data,
    parse_partitions,
    select_tables,
)
from loader.errors import PlanError
from loader.escaping import escape_terminal
from loader.redaction import KNOWN

if TYPE_CHECKING:
    from loader.project import Project
    from loader.spec.model import TableSpec

_PER_PROCESS = 100
"""Tables; planning this many takes about 0.1 s, which makes starting a process worthwhile."""


@main.command()
@select_tables()
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
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Save the plan: FILE.json for `loader apply`, FILE.sql as a script, or FILE.md.",
)
@click.option("--live", is_flag=True, help="Compare the specs with the live tables.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 0: no change, 2: changes, 3: destructive."
)
@common_options(
    "sql",
    "markdown",
    examples=[
        "plan shop/orders --partition 2026-01-01",
        "plan shop/orders --from data/orders.csv --partition auto",
        "plan --live --target prod",
        "plan --live -o plan.json",
        "plan shop/orders --partition 2026-01-01 -o load.sql",
    ],
)
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

    SELECT is an asset key, schema.table, a glob, a spec file, or a folder of specs; default all
    tables. With --live the specs are compared with the live tables, and the changes `loader apply`
    would make are shown too.
    """
    from loader.data.in_place import InPlace  # noqa: PLC0415
    from loader.plan.model import PREVIEW_LOAD_ID  # noqa: PLC0415

    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    if files and len(specs) != 1:
        raise click.UsageError("--from needs SELECT to match exactly one table")
    if in_place and not files:
        raise click.UsageError("--in-place needs the files: --from FILE")
    partition = parse_partitions(partitions)
    form = context.form if output is None else _find_form(output, context.form)
    frame = open_data(specs[0], files, in_place=in_place) if files else None
    if load_id is None and form == "sql" and isinstance(frame, InPlace):
        load_id = str(uuid.uuid4())  # such a script is all of a load, and the ledger records it
    options: dict[str, Any] = {
        "target": context.target,
        "full_refresh": full_refresh,
        "load_id": load_id or PREVIEW_LOAD_ID,
        "frame": frame,
    }
    is_text = output is not None and output.suffix.lower() in _TEXTS
    as_data = context.json or (output is not None and not is_text)
    planner = _Planner(context, project, specs, partition, options, form, as_data)
    data, text, exit_code = planner.plan_live() if live else planner.plan_offline()
    if output is not None and is_text:
        shown = KNOWN.hide("\n".join(text))
        write_text(output, (shown if form == "sql" else escape_terminal(shown)) + "\n")
        context.notify(f"the plan is in {output}")
    else:
        if output is not None:
            write_text(output, json.dumps(data, indent=2) + "\n")
        context.print_result(data, *text, exact=form == "sql")
    return exit_code if detailed_exitcode else OK


_TEXTS = {".sql": "sql", ".md": "markdown"}
"""Suffixes of files that hold a plan as text; it is printed then nowhere else."""


def _find_form(output: Path, form: str) -> str:
    """The format of the plan, given the file that it is saved to.

    Raises:
        PlanError: no format has such a suffix, or another one is asked for.
    """
    suffix = output.suffix.lower()
    if suffix == ".json" or output.is_relative_to("/dev"):
        return form
    found = _TEXTS.get(suffix)
    if found is None or form not in ("text", found):
        wanted = ".json, for `loader apply`, .sql or .md"
        raise PlanError(
            f"the suffix of `{output}` is not that of a plan"
            if found is None
            else f"`{output}` is not a file for --format {form}",
            hint=f"use {wanted}",
        )
    return found


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
    form: str
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
        from loader.plan.script import readable_spec  # noqa: PLC0415

        context, single, form = self.context, len(self.specs) == 1, self.form

        renderer = self.project.renderer(context.target)  # compiles templates before forking

        def plan_all(specs: Sequence[TableSpec]) -> list[FormattedPlan]:
            return [
                format_plan(
                    self.project.plan(
                        readable_spec(spec, renderer) if form == "sql" else spec,
                        self.partition if spec.partition_by or single else None,
                        **self.options,
                    ),
                    form,
                    style,
                    self.project.script,
                    verbose=context.verbose,
                    as_data=self.as_data,
                )
                for spec in specs
            ]

        plans = run_parallel(plan_all, self.specs, per_process=_PER_PROCESS)
        data = None
        if self.as_data:
            documents = [plan.data for plan in plans if plan.data is not None]
            data = offline_document(documents, self.project.place(context.target))
        return data, join_plans(plans, form), max(plan.exit_code for plan in plans)

    def plan_live(self) -> Output:
        """Plan loads, compare the specs with the live tables, and plan the changes of these."""
        from loader.cli.output import reviews  # noqa: PLC0415
        from loader.plan.backups import format_moment  # noqa: PLC0415
        from loader.plan.plan_file import live_document  # noqa: PLC0415
        from loader.plan.script import readable_spec  # noqa: PLC0415

        context, project, form = self.context, self.project, self.form
        specs, renderer = self.specs, project.renderer(context.target)
        if form == "sql":
            specs = [readable_spec(spec, renderer) for spec in specs]
        found = project.review(specs, self.partition, **self.options)
        data = None
        if self.as_data:
            data = live_document(found, project.place(context.target), project.templates)
        code = reviews.exit_code(found)
        if form == "json":
            return data, [], code
        if form == "sql":
            moment = format_moment(datetime.now(UTC))
            return data, [reviews.format_sql(found, renderer, moment)], code
        if form == "markdown":
            return data, [reviews.format_markdown(found)], code
        return data, [reviews.format_text(found, style, verbose=context.verbose)], code
