"""Which share of some files has been read, for progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class ReadShare:
    """Counts the bytes that are read of files, one after the other.

    Files weigh what they are large, or all the same where the size of one is not known before it
    is downloaded.
    """

    weights: Sequence[int]
    """Of each file, in the order in which they are read."""
    _at: int = -1
    _size: int = 0
    _read: int = 0
    _done: int = 0

    def open_file(self, path: str) -> None:
        """Say that the next file is read now; those before it are read whole."""
        self._done += self.weights[self._at] if self._at >= 0 else 0
        self._at += 1
        self._read = 0
        try:
            self._size = Path(path).stat().st_size
        except OSError:  # reading it says why
            self._size = 0

    def add(self, count: int) -> None:
        """Say that bytes of the file were read."""
        self._read += count

    def value(self) -> float:
        """The share of all files, from 0 to 1."""
        if self._at < 0:
            return 0.0
        part = min(self._read / self._size, 1.0) if self._size else 0.0
        return (self._done + self.weights[self._at] * part) / sum(self.weights)


def weigh(paths: Sequence[str | None]) -> list[int]:
    """The weights of files: their sizes, or ones where one is not on this machine (None)."""
    try:
        sizes = [max(Path(path).stat().st_size, 1) for path in paths if path is not None]
    except OSError:
        sizes = []
    return sizes if len(sizes) == len(paths) else [1] * len(paths)
