"""Rows as mappings, such as dicts, as chunks of Python objects.

The columns are the keys of the first chunk. A key that a row lacks is NULL there; one that first
occurs later is an error, since the rows before it may be staged already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_names
from loader.errors import SourceError

CHUNK_ROWS = 16_384


def open_rows(first: Mapping[str, Any], others: Iterable[object]) -> Frame:
    """The chunks of rows.

    Args:
        first: The first row.
        others: The rows after it.

    Raises:
        SourceError: a key of the first chunk is not text. Chunks raise it for items that are no
            mappings, and for keys that occur too late.
    """
    rows = _numbered_rows(first, others)
    group = list(islice(rows, CHUNK_ROWS))
    columns = check_names(list(dict.fromkeys(key for _, row in group for key in row)), "the rows")
    return Frame(columns, _to_chunks(columns, chain(group, rows)))


def _numbered_rows(
    first: Mapping[str, Any], others: Iterable[object]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, row in enumerate(chain([first], others), start=1):
        if not isinstance(row, Mapping):
            raise SourceError(
                f"item {number} of the rows is of type {type(row).__name__}, and the first is a"
                " mapping"
            )
        yield number, dict(row)  # a generator may fill one dict again and again


def _to_chunks(
    columns: tuple[str, ...], rows: Iterator[tuple[int, dict[str, Any]]]
) -> Iterator[Chunk]:
    known = frozenset(columns)
    while group := list(islice(rows, CHUNK_ROWS)):
        for number, row in group:
            if not known.issuperset(row):
                late = next(key for key in row if key not in known)
                raise SourceError(
                    f"row {number:,}: the key {late!r} first occurs here, after rows without it",
                    hint="add it to the first row, as None if necessary; known keys:"
                    f" {', '.join(columns[:20])}",
                )
        values = {key: [row.get(key) for _, row in group] for key in columns}
        yield Chunk(values, len(group), "frame", group[0][0])
