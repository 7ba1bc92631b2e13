"""The command that writes a site of the specs."""

from __future__ import annotations

from pathlib import Path

import click

from loader.cli.framework import Context, common, main
from loader.cli.options import counted


@main.command()
@click.argument("select", nargs=-1)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="Where to; a new or empty folder, or an earlier site.",
)
@common()
def docs(context: Context, select: tuple[str, ...], output: Path) -> None:
    """Write a static site of the specs, to be opened from the disk or put on any server.

    A page for each table tells its columns, keys, partitions, lineage (meta: {upstream: [KEY]}) and
    the SQL of its loads; another one tells the spec language.
    """
    from loader.docs.write import write_site  # noqa: PLC0415

    written = write_site(context.project(), output, select)
    gone = f", {counted(len(written.removed), 'page')} removed" if written.removed else ""
    told = f"{counted(written.tables, 'table')} in {output / 'index.html'}{gone}"
    context.answer(written.to_dict(), told)
