"""The progress line on the terminal while a load runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from loader.escaping import escape_line
from loader.executor.results import OnProgress, Progress
from loader.text_tables import format_count


@contextmanager
def live_progress() -> Iterator[OnProgress]:
    """Show phase, rows, MB, files, percent and the time left on stderr until the block ends.

    Yields the callback. Percent and time are those of reading an input of known size.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, counts="")
        started = time.monotonic()

        def on_progress(step: Progress) -> None:
            bar.update(
                task,
                description=escape_line(step.phase),
                completed=step.share or 0.0,
                total=None if step.share is None else 1.0,
                counts=describe(step, time.monotonic() - started),
            )

        yield on_progress


_SOON = 2.0
"""Seconds after which the time left is told: before, it is guessed from too little."""


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
