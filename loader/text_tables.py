"""Formats counts and aligns rows of text, for terminals and error messages."""

from __future__ import annotations

import re
from collections.abc import Sequence


def format_count(number: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_size(size: int) -> str:
    """A number of bytes as B, kB or MB."""
    if size < 100:
        return f"{size} B"
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def agree(number: int, text: str) -> str:
    """A number with text in the plural, which becomes singular for one.

    >>> agree(2, "rows are there"), agree(1, "rows are there"), agree(1, "keys")
    ('2 rows are there', '1 row is there', '1 key')
    """
    noun, space, rest = text.partition(" ")
    if number == 1:
        noun = noun.removesuffix("s")
        rest = re.sub(r"^(are|were|match|have)\b", lambda verb: _SINGULAR[verb[0]], rest)
    return f"{number:,} {noun}{space}{rest}"


_SINGULAR = {"are": "is", "were": "was", "match": "matches", "have": "has"}


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
