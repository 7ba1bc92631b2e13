"""The progress line on the terminal while a load runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from loader.escaping import escape_line
from loader.executor.results import OnProgress, Progress
from loader.executor.run import OnTableProgress
from loader.text_tables import format_count

EndLine = Callable[[str], AbstractContextManager[None]]
"""Ends the line of a table; in the block other text may be printed."""

_SOON = 2.0
"""Seconds after which the time left is told: before, it is guessed from too little."""


@contextmanager
def live_progress() -> Iterator[OnProgress]:
    """Show phase, rows, MB, files, percent and the time left on stderr until the block ends.

    Yields the callback. Percent and time are those of reading an input of known size.
    """
    with _bar() as bar:
        yield _Line(bar).show


@contextmanager
def live_run_progress() -> Iterator[tuple[OnTableProgress, EndLine]]:
    """Show a line for each table that is loaded; yields the callback, and what ends a line."""
    with _bar() as bar:
        lines: dict[str, _Line] = {}

        def on_progress(table: str, step: Progress) -> None:
            if table not in lines:
                lines[table] = _Line(bar, f"{table}: ")
            lines[table].show(step)

        @contextmanager
        def end(table: str) -> Iterator[None]:
            if table in lines:
                lines.pop(table).remove()
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


class _Line:
    """The line of one load."""

    def __init__(self, bar: Bar, prefix: str = "") -> None:
        self._bar, self._prefix = bar, prefix
        self._task = bar.add_task(escape_line(f"{prefix}starting"), total=None, counts="")
        self._started: float | None = None
        """When the first share was told: what comes before it says nothing of the time left."""

    def show(self, step: Progress) -> None:
        """Show a step."""
        now = time.monotonic()
        if self._started is None and step.share is not None:
            self._started = now
        self._bar.update(
            self._task,
            description=escape_line(f"{self._prefix}{step.phase}"),
            completed=step.share or 0.0,
            total=None if step.share is None else 1.0,
            counts=describe(step, now - (self._started or now)),
        )

    def remove(self) -> None:
        """Remove the line."""
        self._bar.remove_task(self._task)


def describe(step: Progress, elapsed: float) -> str:
    """The counts of a step, and with a share the percent and the time left, as text.

    >>> describe(Progress("staging", 1_500_000, 12_340_000, 1, share=0.25), 30)
    '1,500,000 rows  12.3 MB  1 file  25%  1:30 left'
    >>> describe(Progress("copy", 1, 200_000, 2), 30)
    '1 row  0.2 MB  2 files'
    """
    parts = [format_count(step.rows, "row"), f"{step.bytes / 1e6:,.1f} MB"]
    parts.append(format_count(step.files, "file"))
    if step.share is not None:
        parts.append(f"{step.share:.0%}")
        if step.share > 0 and elapsed > _SOON:
            left = round(elapsed * (1 - step.share) / step.share)
            minutes, seconds = divmod(left, 60)
            hours, minutes = divmod(minutes, 60)
            clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
            parts.append(f"{clock} left")
    return "  ".join(parts)
