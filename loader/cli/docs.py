"""`loader docs`: writes a documentation site of the specs."""

from __future__ import annotations

from pathlib import Path

import click

from loader.cli.framework import Context, common_options, main
from loader.cli.options import select_tables
from loader.text_tables import format_count


@main.command()
@select_tables()
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to write: new, empty, or an earlier site.",
)
@click.option(
    "--live", is_flag=True, help="Show loads, rows, checks and values of the target as well."
)
@common_options(
    examples=[
        "docs -o site",
        "docs 'shop/*' -o site",
        "docs -o site --live --target prod",
    ],
)
def docs(context: Context, select: tuple[str, ...], output: Path, live: bool) -> None:
    """Write a static documentation site of the specs.

    The pages open from disk or from any web server. The page of a table shows its columns, keys,
    partitions, lineage (meta: {upstream: [KEY]}) and the SQL of its loads; another page documents
    the spec language. With --live it shows the last loads and their values, and the rows and
    checks of the table now.
    """
    from loader.docs.write import write_site  # noqa: PLC0415

    written = write_site(context.project(), output, select, live=live, target=context.target)
    removed = f", {format_count(len(written.removed), 'page')} removed" if written.removed else ""
    text = f"{format_count(written.tables, 'table')} in {output / 'index.html'}{removed}"
    context.print_result(written.to_dict(), text)
