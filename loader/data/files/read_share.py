"""Which share of some files has been read, for progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class ReadShare:
    """Counts what is read of files, one after the other, in whatever each of them is measured in.

    Files weigh what they are large, or all the same where the size of one is not known.
    """

    weights: Sequence[int]
    """Of each file, in the order in which they are read."""
    _at: int = -1
    _size: int | None = None
    _read: int = 0

    def open_file(self, size: int | None) -> None:
        """Say that the next file is read now, and its bytes; those before it are read whole."""
        self._at += 1
        self.rescale(size)

    def rescale(self, size: int | None) -> None:
        """Say that the file is measured in something else from now on: how many of these it has.

        None is for a file of which nobody tells how far it is read.
        """
        self._size, self._read = size, 0

    def add(self, count: int) -> None:
        """Say that so many more of the file were read."""
        self._read += count

    def value(self) -> float | None:
        """The share of all files, from 0 to 1; None where it is not known."""
        if self._at < 0:
            return 0.0
        if not self._size:
            return None
        part = min(self._read / self._size, 1.0)
        done = sum(self.weights[: self._at]) + self.weights[self._at] * part
        return done / sum(self.weights)


def weigh(sizes: Sequence[int | None]) -> list[int]:
    """The weights of files: their sizes, or ones where one is not known."""
    known = [max(size, 1) for size in sizes if size is not None]
    return known if len(known) == len(sizes) else [1] * len(sizes)
