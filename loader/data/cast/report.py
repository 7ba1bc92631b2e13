"""Counts the rows that a cast or check refuses, and formats them for the error message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from loader.data.chunk import Chunk


@dataclass(frozen=True)
class RowErrors:
    """The rows of a chunk that one check refuses."""

    name: str
    """The column or partition dimension that was checked."""
    rows: Sequence[int]
    """Offsets within the chunk."""
    describe: Callable[[int], str]
    """The value and the reason, by offset."""


@dataclass
class _FirstError:
    """The first refused row of a column, and the number of refused rows."""

    origin: str
    row: int
    problem: str
    rows: int = 0


@dataclass
class ErrorReport:
    """All rows refused so far, by column."""

    rows: int = 0
    errors: dict[str, _FirstError] = field(default_factory=dict)
    origins: set[str] = field(default_factory=set)

    def add(self, chunk: Chunk, checks: Sequence[RowErrors], rows: int) -> None:
        """Add the refused rows of a chunk; ``rows`` counts each of them once."""
        self.rows += rows
        self.origins.add(chunk.origin)
        for found in checks:
            if found.name not in self.errors:
                first = found.rows[0]
                self.errors[found.name] = _FirstError(
                    chunk.origin, chunk.first_row + first, found.describe(first)
                )
            self.errors[found.name].rows += len(found.rows)

    def merge(self, other: ErrorReport) -> None:
        """Add the rows of another report; the first row of a column stays that of this one."""
        self.rows += other.rows
        self.origins |= other.origins
        for name, found in other.errors.items():
            if name in self.errors:
                self.errors[name].rows += found.rows
            else:
                self.errors[name] = replace(found)

    def lines(self) -> list[str]:
        """One line of the message for each column."""
        several = len(self.origins) > 1
        rows = []
        for name, found in self.errors.items():
            place = f"{found.origin} row {found.row:,}" if several else f"row {found.row:,}"
            others = found.rows - 1
            more = f" ({others:,} more row{'s' * (others > 1)})" if others else ""
            rows.append((name, f"{place}: {found.problem}{more}"))
        return format_rows(rows)

    def details(self) -> list[dict[str, str | int]]:
        """The same as data, for `LoaderError.details`."""
        return [
            {
                "column": name,
                "origin": found.origin,
                "first_row": found.row,
                "problem": found.problem,
                "rows": found.rows,
            }
            for name, found in self.errors.items()
        ]


def format_rows(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of text, indented, with all columns but the last padded to one width."""
    rows = list(rows)
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]) - 1)]
    padded = ([*map(str.ljust, row, widths), row[-1]] for row in rows)
    return [f"  {'  '.join(cells)}".rstrip() for cells in padded]
