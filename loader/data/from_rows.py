"""Rows as mappings, such as dicts, as chunks of Python objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_names
from loader.data.row_columns import CHUNK_ROWS, to_columns
from loader.errors import SourceError


def open_rows(first: Mapping[str, Any], others: Iterable[object]) -> Frame:
    """The chunks of rows.

    Args:
        first: The first row.
        others: The rows after it.

    Raises:
        SourceError: a key of the first chunk is not text. Chunks raise it for items that are no
            mappings, and for keys that occur too late.
    """
    rows = _plain_rows(first, others)
    group = list(islice(rows, CHUNK_ROWS))
    columns = check_names(list(dict.fromkeys(key for row in group for key in row)), "the rows")
    return Frame(columns, _to_chunks(columns, chain(group, rows)))


def _plain_rows(first: Mapping[str, Any], others: Iterable[object]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(chain([first], others), start=1):
        if not isinstance(row, Mapping):
            raise SourceError(
                f"item {number} of the rows is of type {type(row).__name__}, and the first is a"
                " mapping"
            )
        yield dict(row)  # a generator may fill one dict again and again


def _to_chunks(columns: tuple[str, ...], rows: Iterator[dict[str, Any]]) -> Iterator[Chunk]:
    known, first = frozenset(columns), 1
    remedy = "add it to the first row, as None if necessary"
    while group := list(islice(rows, CHUNK_ROWS)):
        values = to_columns(group, columns, known, lambda at: f"row {first + at:,}", remedy)  # noqa: B023  # called at once
        yield Chunk(values, len(group), "frame", first)
        first += len(group)
