"""Options and words that several commands use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from loader.cli.framework import Context
from loader.escaping import one_line
from loader.text_tables import align

if TYPE_CHECKING:
    from loader.executor.results import OnProgress
    from loader.spec.partitions import Request

PARTITION = click.option(
    "--partition",
    "partitions",
    metavar="P",
    multiple=True,
    help="A key, A..B for a grain, DIM=KEY with several dimensions, or auto; may repeat.",
)


FULL_REFRESH = click.option(
    "--full-refresh", is_flag=True, help="Replace the whole table, partitioned or not."
)


def partition_request(values: Sequence[str]) -> Request | None:
    """What the words after --partition ask for."""
    if "auto" in values and len(values) > 1:
        raise click.UsageError("--partition auto stands alone: it means those in the data")
    if list(values) == ["auto"]:
        return "auto"
    return list(values) or None


def open_data(spec: Any, files: Sequence[str]) -> Any:
    """The rows of files, as the spec says they are written."""
    from loader.data.files.open import open_files  # noqa: PLC0415
    from loader.data.frames import spare_pandas  # noqa: PLC0415  # pyarrow is slow to import

    spare_pandas()
    return open_files(files, spec.source, sys.stdin.buffer)


def progress(context: Context) -> AbstractContextManager[OnProgress | None]:
    """A live line on a terminal, and nothing in a pipe."""
    if context.quiet or context.json or not sys.stderr.isatty():
        return nullcontext()
    from loader.cli.output.progress import live_progress  # noqa: PLC0415  # rich is slow to import

    return live_progress()


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def megabytes(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def tabulated(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their head, in columns."""
    return "\n".join(align([head, *([one_line(cell) for cell in row] for row in rows)]))
