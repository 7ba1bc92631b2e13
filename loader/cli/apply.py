"""`loader apply`: creates and alters tables to match their specs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common_options, main, style
from loader.cli.options import select_tables

if TYPE_CHECKING:
    from loader.plan.model import Statement
    from loader.plan.table_changes import TableChange
    from loader.project import Project


@main.command()
@select_tables("[SELECT... | PLAN.json]")
@click.option(
    "--allow-destructive",
    metavar="GLOB",
    multiple=True,
    help="Tables whose columns may be dropped or narrowed; may repeat.",
)
@click.option(
    "--assume-no-policies",
    is_flag=True,
    help="Rebuild tables although it cannot be seen whether policies are attached to them.",
)
@click.option("--drop-old", is_flag=True, help="Drop what a rebuild keeps of the old table.")
@common_options(
    examples=[
        "apply shop/orders",
        "apply 'shop/*' --allow-destructive shop/orders",
        "apply plan.json  # as saved by: loader plan --live -o plan.json",
    ],
)
def apply(
    context: Context,
    select: tuple[str, ...],
    allow_destructive: tuple[str, ...],
    assume_no_policies: bool,
    drop_old: bool,
) -> None:
    """Create tables, and alter them to match their specs; `plan --live` shows how.

    Each table is changed in one transaction of its own. A table that is rebuilt is kept under a
    name of its own, which `loader clean` drops later. A plan saved by `plan --live -o` is applied
    as it was saved, or refused when specs, templates or tables are not what they were.
    """
    from loader.cli.output import reviews  # noqa: PLC0415

    project = context.project()
    saved = _find_saved_plan(select)
    pending = (
        _read_changes(context, project, saved) if saved else _find_changes(context, project, select)
    )

    def on_statement(change: TableChange, statement: Statement) -> None:
        if context.verbose:
            context.notify(f"{change.spec.table}: {statement.name}")

    applied = project.apply(
        pending,
        allow_destructive=allow_destructive,
        assume_no_policies=assume_no_policies,
        drop_old=drop_old,
        target=context.target,
        on_statement=on_statement,
    )
    for change in applied:
        for note in change.drift.notes:
            context.notify(f"{style('note:', fg='yellow', err=True)} {change.spec.table}: {note}")
    data = {"applied": [change.to_dict() for change in applied]}
    context.print_result(data, reviews.format_applied(applied))


def _find_saved_plan(select: Sequence[str]) -> Path | None:
    """The file of the saved plan in the arguments; None if there is none."""
    plans = [word for word in select if word.endswith(".json")]
    if not plans:
        return None
    if len(select) > 1:
        raise click.UsageError("a saved plan cannot be combined with other arguments")
    return Path(plans[0])


def _find_changes(context: Context, project: Project, select: Sequence[str]) -> list[TableChange]:
    entries = project.catalog.select(select)
    specs = [entry.spec for entry in entries if entry.spec is not None]
    return project.changes(specs, target=context.target)


def _read_changes(context: Context, project: Project, path: Path) -> list[TableChange]:
    from loader.plan import plan_file  # noqa: PLC0415

    document = plan_file.read_plan(path)
    place = project.place(context.target)
    plan_file.check_place(document, place)
    specs = [project.spec(change.asset_key) for change in document.changes]
    changes = project.changes(specs, target=context.target)
    plan_file.check_fresh(document, changes, place, project.templates)
    return changes
