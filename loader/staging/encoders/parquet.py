"""Encodes Parquet files in large row groups."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq

from loader.spec.model import Staging
from loader.staging.encoders.base import GZIP_LEVEL
from loader.staging.encoders.row_groups import GroupWriter

_GROUP_ROWS = 1 << 20


class ParquetWriter(GroupWriter):
    """Writes Parquet.

    Args:
        staging: Compression and file size.
        sink: Where the bytes go.
        schema: Of all batches.
    """

    def __init__(self, staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema) -> None:
        super().__init__(staging, sink, schema, _GROUP_ROWS)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema,
            compression=staging.compression,
            compression_level=GZIP_LEVEL if staging.compression == "gzip" else None,
            store_schema=False,
        )

    def write_group(self, table: pa.Table) -> None:
        """Write rows as one row group."""
        self._writer.write_table(table, row_group_size=table.num_rows)

    def close_file(self) -> None:
        """Write the footer."""
        self._writer.close()
