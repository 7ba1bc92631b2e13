"""`loader docs`: writes a documentation site of the specs."""

from __future__ import annotations

from pathlib import Path

import click

from loader.cli.framework import Context, common_options, main
from loader.text_tables import format_count


@main.command()
@click.argument("select", nargs=-1)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to write: new, empty, or an earlier site.",
)
@common_options(
    examples=[
        "docs -o site",
        "docs 'shop/*' -o site",
    ],
)
def docs(context: Context, select: tuple[str, ...], output: Path) -> None:
    """Write a static documentation site of the specs.

    The pages open from disk or from any web server. The page of a table shows its columns, keys,
    partitions, lineage (meta: {upstream: [KEY]}) and the SQL of its loads; another page documents
    the spec language.
    """
    from loader.docs.write import write_site  # noqa: PLC0415

    written = write_site(context.project(), output, select)
    removed = f", {format_count(len(written.removed), 'page')} removed" if written.removed else ""
    text = f"{format_count(written.tables, 'table')} in {output / 'index.html'}{removed}"
    context.print_result(written.to_dict(), text)
