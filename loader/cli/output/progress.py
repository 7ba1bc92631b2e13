"""The progress line on the terminal while a load runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from loader.escaping import escape_line
from loader.executor.results import OnProgress, Progress
from loader.executor.run import OnTableProgress

EndLine = Callable[[str], AbstractContextManager[None]]
"""Ends the line of a table; in the block other text may be printed."""


@contextmanager
def live_progress() -> Iterator[OnProgress]:
    """Show phase, rows, MB and files on stderr until the block ends; yields the callback."""
    with _bar() as bar:
        task = bar.add_task("starting", total=None, counts="")
        yield lambda step: _update(bar, task, step)


@contextmanager
def live_run_progress() -> Iterator[tuple[OnTableProgress, EndLine]]:
    """Show a line for each table that is loaded; yields the callback, and what ends a line."""
    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def on_progress(table: str, step: Progress) -> None:
            if table not in tasks:
                tasks[table] = bar.add_task("", total=None, counts="")
            _update(bar, tasks[table], step, f"{table}: ")

        @contextmanager
        def end(table: str) -> Iterator[None]:
            if table in tasks:
                bar.remove_task(tasks.pop(table))
            bar.stop()  # what is printed now stays above the lines
            try:
                yield
            finally:
                bar.start()

        yield on_progress, end


def _bar() -> Bar:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    return Bar(*columns, console=Console(stderr=True), transient=True)


def _update(bar: Bar, task: TaskID, step: Progress, prefix: str = "") -> None:
    bar.update(
        task,
        description=escape_line(f"{prefix}{step.phase}"),
        completed=step.rows,
        total=step.total_rows,
        counts=f"{step.rows:,} rows  {step.bytes / 1e6:,.1f} MB  {step.files} files",
    )
