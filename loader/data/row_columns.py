"""Turns rows that are mappings, such as dicts and JSON objects, into columns.

The columns are the keys of the first chunk. A key that a row lacks is NULL there; one that first
occurs later is an error, since the rows before it may be staged already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loader.errors import SourceError

CHUNK_ROWS = 16_384
"""The most rows of a chunk, and so of those whose keys are the columns."""


def to_columns(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    known: frozenset[str],
    place: Callable[[int], str],
    remedy: str,
) -> dict[str, list[object]]:
    """The values of rows by column.

    Args:
        rows: The rows of one chunk.
        columns: The names of the columns.
        known: The same as a set.
        place: Where a row is, for messages, by its number in the chunk from 0.
        remedy: How a key that occurs too late becomes known.

    Raises:
        SourceError: a row has a key that is no column.
    """
    for number, row in enumerate(rows):
        if not known.issuperset(row):
            late = next(key for key in row if key not in known)
            raise SourceError(
                f"{place(number)}: the key {late!r} first occurs here, after rows without it",
                hint=f"{remedy}; known keys: {', '.join(columns[:20])}",
            )
    return {name: [row.get(name) for row in rows] for name in columns}
