"""Reads Parquet files; INT96 is read exactly."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from loader.data.batches import number_batches
from loader.data.chunk import CHUNK_ROWS, Frame
from loader.data.column_names import check_names
from loader.data.exact_int96 import exact_int96
from loader.staging.int96 import UNIT, has_int96

_OPTIONS: dict[str, Any] = {
    "buffer_size": 1 << 20,
    "pre_buffer": False,
    "page_checksum_verification": True,
}


def open_parquet(content: Any, origin: str) -> Frame:
    """The rows of a file.

    Args:
        content: The file, with random access.
        origin: Its name, for messages.

    Raises:
        SourceError: a column name occurs twice. Errors of reading rows are raised by the chunks.
    """
    reader = pq.ParquetFile(content, coerce_int96_timestamp_unit=UNIT, **_OPTIONS)
    names = check_names(reader.schema_arrow.names, origin)
    chunks = number_batches(reader.iter_batches(batch_size=CHUNK_ROWS), origin)
    if has_int96(reader.schema):
        fine = pq.ParquetFile(content, metadata=reader.metadata, **_OPTIONS)
        types = reader.schema_arrow
        stamps = [name for name in names if types.field(name) != fine.schema_arrow.field(name)]
        chunks = exact_int96(chunks, fine.iter_batches(CHUNK_ROWS, columns=stamps), stamps)
    return Frame(names, chunks, reader.metadata.num_rows)
