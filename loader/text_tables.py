"""Formats counts and aligns rows of text, for terminals and error messages."""

from __future__ import annotations

from collections.abc import Sequence


def format_count(number: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows as lines, each column as wide as its widest cell; rows have equal lengths.

    >>> align([("column", "found"), ("amount", "19.00")])
    ['column  found', 'amount  19.00']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
