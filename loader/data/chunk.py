"""The shape in which frames and files are read: a `Frame` is a stream of `Chunk`s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loader.spec.path_keys import FilePath

CHUNK_ROWS = 65_536
"""The most rows of one chunk: few enough to bound memory, enough to be vectorised."""

CHUNK_BYTES = 64 << 20
"""The most bytes of one chunk; only a single row may be larger."""

Values = Any
"""A column: a `pyarrow.Array`, or a sequence of Python objects with None for NULL."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a frame or file."""

    columns: Mapping[str, Values]
    """By source name."""
    rows: int
    origin: str
    """The file, or `frame`, for messages."""
    first_row: int
    """The number of its first row within the origin, from 1: a header, blank lines and lines that
    are skipped have none, and a row over several lines has one."""
    text: bool = False
    """Whether values came as text, from CSV or JSON; the spec's source options say how to parse."""
    nan_is_null: bool = False
    """Whether NaN inside a document means that a value is missing, as everywhere in pandas."""
    file: FilePath | None = None
    """The file that the rows are in, without a name for standard input; None for frames."""


@dataclass(frozen=True)
class Frame:
    """A stream of chunks and the names of its columns, as the source spells them.

    An iterable that yields nothing has no columns and no chunks; a file without columns lacks them.
    """

    columns: tuple[str, ...]
    chunks: Iterator[Chunk]
    rows: int | None = None
    """The number of rows, where it is known in advance."""
    files: tuple[FilePath, ...] = ()
    """The files that it reads, standard input among them."""
    share: Callable[[], float | None] | None = None
    """Tells the share of the input that was read, from 0 to 1; None where it is not known."""


class UnsupportedValue:
    """A value that Python cannot represent: its text, and the reason, which follows the value."""

    def __init__(self, text: str, reason: str) -> None:
        self.text, self.reason = text, reason

    def __repr__(self) -> str:
        return self.text


def is_missing(value: object) -> bool:
    """Whether an object is NaT or NA of pandas, or NaT of NumPy; NaN is a number."""
    kind = type(value)
    if kind.__name__ in ("NaTType", "NAType"):
        return kind.__module__.startswith("pandas.")
    times = kind.__module__ == "numpy" and kind.__name__ in ("datetime64", "timedelta64")
    return times and bool(value != value)  # noqa: PLR0124  # only NaT is not itself
