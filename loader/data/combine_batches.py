"""Combines small chunks of a stream: each chunk costs kilobytes, however few values it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import Any

import pyarrow as pa

from loader.data.chunk import Chunk

Columns = Mapping[str, Any]
"""Arrays, or lists of Python objects, by name."""

SMALL_ROWS = 8_192
"""Chunks with fewer rows than this, and fewer than `SMALL_BYTES`, are combined."""

SMALL_BYTES = 1 << 20

FULL_ROWS = 32_768
"""A combined chunk is passed on when it has this many rows, or `FULL_BYTES`."""

FULL_BYTES = 4 << 20

_ARRAYS = 1_024
"""Arrays that are concatenated at once. A few times as many are held."""


def combine_small_chunks(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The same rows, where successive small chunks of one source are combined."""
    buffer, first = _ChunkBuffer(), None
    for chunk in chunks:
        small = _copy_if_small(chunk.columns, chunk.rows)
        if first and (small is None or not _can_append(first, buffer, chunk)):
            yield from _take_chunks(buffer, first)
            first = None
        if small is None:
            yield chunk
            continue
        first = first or chunk
        buffer.add(small, chunk.rows)
        if buffer.is_full:
            yield from _take_chunks(buffer, first)
            first = None
    if first:
        yield from _take_chunks(buffer, first)


def _can_append(first: Chunk, buffer: _ChunkBuffer, chunk: Chunk) -> bool:
    """Whether a chunk follows the buffered ones in one source, with the same types."""
    expected = replace(chunk, columns=first.columns, rows=first.rows, first_row=first.first_row)
    return (
        expected == first
        and chunk.first_row == first.first_row + buffer.rows
        and buffer.accepts(chunk.columns)
    )


def _take_chunks(buffer: _ChunkBuffer, first: Chunk) -> Iterator[Chunk]:
    """Empty the buffer into chunks like its first one."""
    row = first.first_row
    for columns, rows in buffer.take():
        yield replace(first, columns=columns, rows=rows, first_row=row)
        row += rows


class _ChunkBuffer:
    """Columns of small chunks with the same names and types, in order.

    Chunks are combined in levels, like runs of a merge sort, so that few are held and each value
    is copied only a few times.
    """

    def __init__(self) -> None:
        self._types: dict[str, Any] = {}
        self._clear()

    def _clear(self) -> None:
        self._levels: list[list[tuple[Columns, int]]] = [[]]
        self._bytes = 0
        self._cannot_join = False
        """Whether PyArrow has failed to concatenate columns of these types."""
        self.rows = 0
        """Rows of all chunks."""

    @property
    def is_full(self) -> bool:
        """Whether there is enough for one chunk that is not small."""
        return self.rows >= FULL_ROWS or self._bytes >= FULL_BYTES

    def accepts(self, columns: Columns) -> bool:
        """Whether columns have the names and types of those in the buffer."""
        return not self.rows or self._types == _types_of(columns)

    def add(self, columns: Columns, rows: int) -> None:
        """Append columns that `accepts` allows."""
        if not self.rows:
            self._types = _types_of(columns)
        self.rows += rows
        self._bytes += _count_bytes(columns)
        self._levels[0].append((columns, rows))
        most = max(2, _ARRAYS // max(len(columns), 1))
        for at in count():
            if self._cannot_join or len(self._levels[at]) < most:
                return
            if at + 1 == len(self._levels):
                self._levels.append([])
            self._levels[at + 1] += self._join(self._levels[at])
            self._levels[at] = []

    def take(self) -> list[tuple[Columns, int]]:
        """Empty the buffer: one set of columns and its rows, or several that cannot be joined."""
        pieces = list(chain.from_iterable(reversed(self._levels)))
        found = self._join(pieces) if len(pieces) > 1 else pieces
        self._clear()
        return found

    def _join(self, pieces: list[tuple[Columns, int]]) -> list[tuple[Columns, int]]:
        if self._cannot_join:
            return pieces
        try:
            columns = {
                name: _join_arrays([piece[name] for piece, _ in pieces]) for name in pieces[0][0]
            }
        except pa.ArrowException:  # such as dictionaries that are too long for their indices
            self._cannot_join = True
            return pieces
        return [(columns, sum(rows for _, rows in pieces))]


def _copy_if_small(columns: Columns, rows: int) -> Columns | None:
    """A copy of the columns of a small chunk; None where it is large, or cannot be joined.

    It is a copy because a slice of an array keeps the whole array in memory.
    """
    if rows >= SMALL_ROWS or not all(
        isinstance(values, pa.Array | list) for values in columns.values()
    ):
        return None
    if _count_bytes(columns) >= SMALL_BYTES:
        return None
    try:
        return {name: _join_arrays([values]) for name, values in columns.items()}
    except pa.ArrowException:  # PyArrow cannot concatenate every type
        return None


def _types_of(columns: Columns) -> dict[str, Any]:
    return {name: getattr(values, "type", list) for name, values in columns.items()}


def _join_arrays(parts: Sequence[Any]) -> Any:
    """One array from several, or one list from several."""
    if isinstance(parts[0], pa.Array):
        return pa.concat_arrays(parts)
    return list(chain.from_iterable(parts))


def _count_bytes(columns: Columns) -> int:
    return sum(map(_bytes_of, columns.values()))


def _bytes_of(values: Any) -> int:
    return values.nbytes if isinstance(values, pa.Array) else sum(map(_estimate_bytes, values))


def _estimate_bytes(value: object) -> int:
    """About how many bytes a Python object has."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return 64 + len(value)
    if isinstance(value, Mapping):
        return 64 + sum(map(_estimate_bytes, chain(value, value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return 64 + sum(map(_estimate_bytes, value))
    return 64 + int(getattr(value, "nbytes", 0))
