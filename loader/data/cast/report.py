"""Counts the rows that a cast or check refuses, and formats them for the error message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from loader.data.chunk import Chunk

Explanation = tuple[str, str]
"""A value as messages show it, or nothing; and why it is refused."""

Reason = tuple[str, str]
"""A column or partition dimension, and why its values are refused, without any of them."""

_MOST_REASONS = 100
"""The most reasons that are told apart; more are values in disguise."""

_OTHERS: Reason = ("", "other reasons")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'" + r"""|"[^"\\']*'(?:[^"\\]|\\.)*\"""")
"""A value as Python shows it: in double quotes only where an apostrophe is in it."""
_SIZE = re.compile(r"^has [\d,]+ (\w+?)s?(?=,| before)")


@dataclass(frozen=True)
class RowErrors:
    """The rows of a chunk that one check refuses."""

    name: str
    """The column or partition dimension that was checked."""
    rows: Sequence[int]
    """Offsets within the chunk."""
    explain: Callable[[int], Explanation]
    """The value and the reason, by offset."""

    @cached_property
    def explained(self) -> dict[int, Explanation]:
        """The value and the reason of every row."""
        return {row: self.explain(row) for row in self.rows}

    def describe(self, row: int) -> str:
        """The value and the reason of a row, as text."""
        return _join(self.explain(row))

    def describe_all(self) -> dict[int, str]:
        """The value and the reason of every row, as text."""
        return {row: _join(one) for row, one in self.explained.items()}

    def count_reasons(self) -> Counter[Reason]:
        """How many rows are refused for which reason."""
        return Counter((self.name, summarize(reason)) for _, reason in self.explained.values())


def _join(explanation: Explanation) -> str:
    return " ".join(filter(None, explanation))


def summarize(reason: str) -> str:
    """A reason without the values in it, so that rows have it in common.

    >>> summarize("has 3 decimals, decimal(12,2) holds 2")
    'has too many decimals, decimal(12,2) holds 2'
    >>> summarize("has the key 'x' twice")
    'has the key … twice'
    """
    return _SIZE.sub(r"has too many \1s", _QUOTED.sub("…", reason))


def list_reasons(reasons: Mapping[Reason, int]) -> list[dict[str, str | int]]:
    """Reasons with their rows as data, the most frequent ones first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return [{"column": name, "reason": text, "rows": rows} for (name, text), rows in ordered]


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
    reasons: Counter[Reason] = field(default_factory=Counter)
    """How many rows were refused for which reason, where rows are set aside."""

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
        self.add_reasons(other.reasons)
        for name, found in other.errors.items():
            if name in self.errors:
                self.errors[name].rows += found.rows
            else:
                self.errors[name] = replace(found)

    def add_reasons(self, found: Mapping[Reason, int]) -> None:
        """Add the reasons of some rows; from the hundred-and-first on they are one."""
        for reason, rows in found.items():
            known = reason in self.reasons or len(self.reasons) < _MOST_REASONS
            self.reasons[reason if known else _OTHERS] += rows

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
