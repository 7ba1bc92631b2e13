"""What all encoders share: their interface, and when a file is full."""

from __future__ import annotations

import io
from typing import Protocol

import pyarrow as pa

JSON_METADATA = {b"loader": b"json"}
"""The metadata of an Arrow field whose text is a JSON document."""


GZIP_LEVEL = 1
"""Level 6 takes five times as long for a fifth less; the warehouse reads both at one speed."""

_FULL = 0.9
"""The share of `file_size` from which a file counts as full."""


class FileWriter(Protocol):
    """Writes the rows of one file to a sink."""

    @property
    def full(self) -> bool:
        """Whether the file has about the size that the staging options ask for."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; they may be buffered."""

    def close(self) -> None:
        """Write what is buffered and complete the file; the sink stays open."""

    def abort(self) -> None:
        """Release resources of a file that is given up; what it holds is not usable."""


def is_full(sink: io.BufferedIOBase, file_size: int) -> bool:
    """Whether a file has about the size in bytes that the staging options ask for."""
    return sink.tell() >= file_size * _FULL
