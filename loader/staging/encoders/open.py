"""Opens the encoder of a staging format."""

from __future__ import annotations

import io
from collections.abc import Callable

import pyarrow as pa

from loader.spec.model import Staging
from loader.staging.encoders.arrow import ArrowWriter
from loader.staging.encoders.base import FileWriter
from loader.staging.encoders.parquet import ParquetWriter
from loader.staging.encoders.text_lines import CsvWriter, JsonNumbersWriter, JsonWriter

_WRITERS: dict[str, Callable[[Staging, io.BufferedIOBase, pa.Schema], FileWriter]] = {
    "parquet": ParquetWriter,
    "csv": CsvWriter,
    "json": JsonWriter,
    "arrow": ArrowWriter,
}
"""By staging format."""


def file_suffix(staging: Staging) -> str:
    """The suffix of staged files, without a leading dot: ``parquet``, ``csv.gz``."""
    if staging.format in ("parquet", "arrow"):
        return staging.format
    return staging.format + {"gzip": ".gz", "zstd": ".zst", "none": ""}[staging.compression]


def open_writer(
    staging: Staging, sink: io.BufferedIOBase, schema: pa.Schema, *, json_numbers: bool = False
) -> FileWriter:
    """Open the encoder of one file.

    Args:
        staging: Format, compression and file size.
        sink: Where the bytes go.
        schema: Of all batches.
        json_numbers: Whether JSON has 64-bit integers and decimals of at most 15 digits as
            numbers, for readers other than COPY.

    Raises:
        StageError: the format cannot represent one of the columns.
    """
    if json_numbers and staging.format == "json":
        return JsonNumbersWriter(staging, sink, schema)
    return _WRITERS[staging.format](staging, sink, schema)
