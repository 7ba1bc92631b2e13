"""`loader rejects`: the rows that loads have set aside."""

from __future__ import annotations

import click

from loader.cli.framework import Context, common_options, main
from loader.cli.options import select_tables

_ROWS = 20
"""The most rows of one table that are shown, if nobody says otherwise."""


@main.command()
@select_tables()
@click.option("--load-id", metavar="ID", help="Of the load with this id; default the last one.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    help=f"The maximum number of rows to show; default {_ROWS}, and none of several tables.",
)
@common_options(
    examples=[
        "rejects",
        "rejects shop/orders",
        "rejects shop/orders --load-id orders-1 --limit 100",
    ],
)
def rejects(
    context: Context, select: tuple[str, ...], load_id: str | None, limit: int | None
) -> None:
    """Show why rows were rejected, how many, and the first of them.

    `schema_contract: {bad_rows: reject}` lets a load set rows aside that do not fit. Of each table
    the last load is shown that has done so, also one that failed because of it. Default are all
    tables.
    """
    from loader.cli.output.rejects import format_no_rejects, format_rejects  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    most = (_ROWS if len(specs) == 1 else 0) if limit is None else limit
    found = project.rejects(select, load_id=load_id, limit=most, target=context.target)
    data = [one.to_dict() for one in found]
    shown = format_rejects(found) if found else format_no_rejects(specs, load_id)
    context.print_result(data, shown)
