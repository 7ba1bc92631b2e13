"""`loader rejects`: the rows that a load has set aside."""

from __future__ import annotations

import click

from loader.cli.framework import Context, common_options, main


@main.command()
@click.argument("select")
@click.option("--load-id", metavar="ID", help="Of the load with this id; default the last one.")
@click.option(
    "--limit",
    metavar="N",
    default=20,
    show_default=True,
    type=click.IntRange(min=0),
    help="The maximum number of rows to show.",
)
@common_options(
    examples=[
        "rejects shop/orders",
        "rejects shop/orders --load-id orders-1 --limit 100",
    ],
)
def rejects(context: Context, select: str, load_id: str | None, limit: int) -> None:
    """Show the rows that the last load has rejected, and why.

    `schema_contract: {bad_rows: reject}` lets a load set rows aside that do not fit.
    """
    from loader.cli.output.rejects import format_rejects  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    spec = project.spec(select)
    found = project.rejects(spec, load_id=load_id, limit=limit, target=context.target)
    if found is None:
        of = f" of the load {load_id}" if load_id else ""
        context.print_result(None, f"{spec.table}: no rejected rows{of} are kept")
        return
    context.print_result(found.to_dict(), format_rejects(spec.table, found))
