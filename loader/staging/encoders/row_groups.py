"""Collects batches into large groups of rows, for formats that store rows in groups."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod

import pyarrow as pa

from loader.spec.model import Staging
from loader.staging.encoders.base import is_full

_GROUP_BYTES = 32 << 20
"""The most Arrow bytes of a row group, which one writer holds in memory."""

GROUP_MULTIPLE = 122_880
"""Rows of DuckDB's own row groups; multiples of it are inserted in parallel without a copy."""


class GroupWriter(ABC):
    """Buffers batches until they make a row group, since small groups cost bytes and time.

    Args:
        staging: Compression and file size.
        sink: Where the bytes go.
        schema: Of all batches.
        group_rows: The most rows of a group.
    """

    def __init__(
        self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema, group_rows: int
    ) -> None:
        self._schema = schema
        self._sink = sink
        self._group_rows = group_rows
        self._buffer: list[pa.RecordBatch] = []
        self._buffered_bytes = 0
        self._buffered_rows = 0
        self._file_size = staging.file_size
        # The first group shows the compression ratio; it must come well before the end of the file.
        self._group_bytes = min(_GROUP_BYTES, staging.file_size // 4)
        self._compression_ratio = 1.0

    @abstractmethod
    def write_group(self, table: pa.Table) -> None:
        """Write rows as one group."""

    @abstractmethod
    def close_file(self) -> None:
        """Complete the file, and release the writer of its format."""

    @property
    def full(self) -> bool:
        """Whether the file has about the size that the staging options ask for."""
        return is_full(self._sink, self._file_size)

    def write(self, batch: pa.RecordBatch) -> None:
        """Buffer rows; write a row group when there are enough."""
        self._buffer.append(batch)
        self._buffered_bytes += batch.nbytes
        self._buffered_rows += batch.num_rows
        # An estimate: the buffered rows may compress worse than the last group did.
        expected = self._sink.tell() + self._buffered_bytes * self._compression_ratio
        if (
            expected >= self._file_size
            or self._buffered_bytes >= self._group_bytes
            or self._buffered_rows >= self._group_rows
        ):
            self._write_group()

    def close(self) -> None:
        """Write what is buffered, and complete the file."""
        while self._buffered_rows:
            self._write_group()
        self.close_file()

    def abort(self) -> None:
        """Drop what is buffered, and release the writer."""
        self._buffer.clear()
        # Closed here, or the garbage collector would close it after its sink.
        self.close_file()

    def _write_group(self) -> None:
        start = self._sink.tell()
        whole = self._buffered_rows - self._buffered_rows % GROUP_MULTIPLE or self._buffered_rows
        table = pa.Table.from_batches(self._buffer, self._schema)
        self.write_group(table.slice(0, whole))
        written = self._buffered_bytes * whole / self._buffered_rows
        self._compression_ratio = (self._sink.tell() - start) / max(written, 1)
        self._buffer = table.slice(whole).to_batches()
        self._buffered_rows -= whole
        self._buffered_bytes -= int(written)
        self._group_bytes = _GROUP_BYTES
