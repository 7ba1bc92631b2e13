"""Small pieces of a stream put together: each costs kilobytes, however few values it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

import pyarrow as pa

Columns = Mapping[str, Any]
"""Arrays, or lists of Python objects, by name."""

SMALL_ROWS = 8_192
"""A piece of so many rows is worth its cost, and so is one of `SMALL_BYTES`."""

SMALL_BYTES = 1 << 20

FULL_ROWS = 32_768
"""Pieces of so many rows or `FULL_BYTES` in all are not held any longer."""

FULL_BYTES = 4 << 20

_ARRAYS = 1_024
"""Arrays that are put together at once. What is held are a few times as many."""


class Pile:
    """Small pieces that have the same columns of the same types, in the order they came in.

    Pieces are put together a number at a time, and what comes of it likewise, so that few are held
    and each value is copied a few times only.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Any] = {}
        self._clear()

    def _clear(self) -> None:
        self._levels: list[list[tuple[Columns, int]]] = [[]]
        self._size = 0
        self._apart = False
        """Whether PyArrow cannot put them together."""
        self.rows = 0
        """Rows of all pieces."""

    @property
    def is_full(self) -> bool:
        """Whether there is enough for one piece that is not small."""
        return self.rows >= FULL_ROWS or self._size >= FULL_BYTES

    def takes(self, piece: Columns) -> bool:
        """Whether a piece can be added to those that are there."""
        return not self.rows or self._kinds == _kinds(piece)

    def add(self, piece: Columns, rows: int) -> None:
        """Put a piece of `small` behind the others."""
        if not self.rows:
            self._kinds = _kinds(piece)
        self.rows += rows
        self._size += _size(piece)
        self._levels[0].append((piece, rows))
        most = max(2, _ARRAYS // max(len(piece), 1))
        for at in count():
            if self._apart or len(self._levels[at]) < most:
                return
            if at + 1 == len(self._levels):
                self._levels.append([])
            self._levels[at + 1] += self._joined(self._levels[at])
            self._levels[at] = []

    def take(self) -> list[tuple[Columns, int]]:
        """Take all of it: one piece and its rows, or several when PyArrow cannot join them."""
        pieces = list(chain.from_iterable(reversed(self._levels)))
        found = self._joined(pieces) if len(pieces) > 1 else pieces
        self._clear()
        return found

    def _joined(self, pieces: list[tuple[Columns, int]]) -> list[tuple[Columns, int]]:
        if self._apart:
            return pieces
        try:
            columns = {name: _joined([piece[name] for piece, _ in pieces]) for name in pieces[0][0]}
        except pa.ArrowException:  # such as dictionaries that are too long for their indices
            self._apart = True
            return pieces
        return [(columns, sum(rows for _, rows in pieces))]


def small(columns: Columns, rows: int) -> Columns | None:
    """A copy of columns that are not worth their cost; None when they are, or cannot be joined.

    It is a copy because a slice of an array keeps all of that in memory.
    """
    if rows >= SMALL_ROWS or not all(
        isinstance(values, pa.Array | list) for values in columns.values()
    ):
        return None
    if _size(columns) >= SMALL_BYTES:
        return None
    try:
        return {name: _joined([values]) for name, values in columns.items()}
    except pa.ArrowException:  # PyArrow cannot do it with every type
        return None


def _kinds(columns: Columns) -> dict[str, Any]:
    return {name: getattr(values, "type", list) for name, values in columns.items()}


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], pa.Array):
        return pa.concat_arrays(parts)
    return list(chain.from_iterable(parts))


def _size(columns: Columns) -> int:
    return sum(map(_bytes, columns.values()))


def _bytes(values: Any) -> int:
    return values.nbytes if isinstance(values, pa.Array) else sum(map(_weight, values))


def _weight(value: object) -> int:
    """About how many bytes a Python object has; an array that it may be part of has its own."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return 64 + len(value)
    if isinstance(value, Mapping):
        return 64 + sum(map(_weight, chain(value, value.values())))
    if isinstance(value, list | tuple | set | frozenset):
        return 64 + sum(map(_weight, value))
    return 64 + int(getattr(value, "nbytes", 0))
