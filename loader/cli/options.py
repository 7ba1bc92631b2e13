"""Options, and formatting of values, that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from loader.cli.framework import Command, Context
from loader.escaping import escape_line
from loader.text_tables import align

if TYPE_CHECKING:
    from loader.cli.output.progress import EndLine
    from loader.executor.results import OnProgress
    from loader.executor.run import OnTableProgress
    from loader.spec.partitions import Request

_TAGS = "loader.tags"


def select_tables(metavar: str = "[SELECT...]") -> Callable[[Command], Command]:
    """Add SELECT… and --tag; the command gets both as ``select``, for `Catalog.select`."""

    def keep_tags(context: click.Context, _: click.Parameter, values: Sequence[str]) -> None:
        context.meta[_TAGS] = [f"tag:{value}" for value in values]

    def add_tags(
        context: click.Context, _: click.Parameter, values: Sequence[str]
    ) -> tuple[str, ...]:
        return (*values, *context.meta[_TAGS])

    def decorate(command: Command) -> Command:
        option = click.option(
            "--tag",
            metavar="KEY[=VALUE]",
            multiple=True,
            expose_value=False,
            is_eager=True,
            callback=keep_tags,
            help="Only tables with this tag; may repeat.",
        )
        argument = click.argument("select", metavar=metavar, nargs=-1, callback=add_tags)
        return argument(option(command))

    return decorate


PARTITION = click.option(
    "--partition",
    "partitions",
    metavar="P",
    multiple=True,
    help="A key, A..B for a grain, DIM=KEY with several dimensions, or auto; may repeat.",
)

FULL_REFRESH = click.option(
    "--full-refresh", is_flag=True, help="Replace the whole table, even a partitioned one."
)

ALLOW_SHRINK = click.option(
    "--allow-shrink",
    is_flag=True,
    help="Load although `guards` of the spec find that too many rows are lost; only warn.",
)


RELOAD = "Load all files, also those that have been loaded."


def parse_partitions(values: Sequence[str]) -> Request | None:
    """Convert the values of --partition into a partition request."""
    if "auto" in values and len(values) > 1:
        raise click.UsageError("--partition auto cannot be combined with other partitions")
    if list(values) == ["auto"]:
        return "auto"
    return list(values) or None


def open_data(spec: Any, files: Sequence[str]) -> Any:
    """Open data files with the spec's `source` options."""
    from loader.data.files.open import open_files  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415  # pyarrow is slow to import

    block_pandas_import()
    return open_files(files, spec.source, sys.stdin.buffer)


def show_progress(context: Context) -> AbstractContextManager[OnProgress | None]:
    """A progress callback that updates a line on a terminal; None in a pipe."""
    if context.quiet or context.json or not sys.stderr.isatty():
        return nullcontext()
    from loader.cli.output.progress import live_progress  # noqa: PLC0415  # rich is slow to import

    return live_progress()


def show_run_progress(
    context: Context,
) -> AbstractContextManager[tuple[OnTableProgress | None, EndLine]]:
    """A progress callback for many tables, with a line for each on a terminal; None in a pipe.

    The second one ends the line of a table, and gives a block in which to print.
    """
    if context.quiet or context.json or not sys.stderr.isatty():
        return nullcontext((None, lambda _: nullcontext()))
    from loader.cli.output.progress import live_run_progress  # noqa: PLC0415  # rich is slow to import

    return live_run_progress()


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table with a header row and aligned columns."""
    return "\n".join(align([head, *([escape_line(cell) for cell in row] for row in rows)]))
