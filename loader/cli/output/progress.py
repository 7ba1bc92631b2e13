"""The progress line on the terminal while a load runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from loader.escaping import escape_line
from loader.executor.results import OnProgress, Progress


@contextmanager
def live_progress() -> Iterator[OnProgress]:
    """Show phase, rows, MB and files on stderr until the block ends; yields the callback."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, counts="")

        def on_progress(step: Progress) -> None:
            counts = f"{step.rows:,} rows  {step.bytes / 1e6:,.1f} MB  {step.files} files"
            bar.update(
                task,
                description=escape_line(step.phase),
                completed=step.rows,
                total=step.total_rows,
                counts=counts,
            )

        yield on_progress
