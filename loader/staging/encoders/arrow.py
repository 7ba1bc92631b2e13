"""Encodes Arrow IPC files, whose bytes are those of Arrow in memory."""

from __future__ import annotations

import io

import pyarrow as pa

from loader.spec.model import Staging
from loader.staging.encoders.row_groups import GROUP_MULTIPLE, GroupWriter


class ArrowWriter(GroupWriter):
    """Writes the file format of Arrow IPC, also known as Feather.

    Args:
        staging: Compression and file size.
        sink: Where the bytes go.
        schema: Of all batches.
    """

    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        super().__init__(staging, sink, schema, GROUP_MULTIPLE)
        packed = None if staging.compression == "none" else staging.compression
        self._writer = pa.ipc.new_file(
            pa.PythonFile(sink, mode="w"),
            schema,
            options=pa.ipc.IpcWriteOptions(compression=packed),
        )

    def write_group(self, table: pa.Table) -> None:
        """Write rows as one record batch."""
        for batch in table.combine_chunks().to_batches():
            self._writer.write_batch(batch)

    def close_file(self) -> None:
        """Write the footer."""
        self._writer.close()
