"""Writes the rows of `loader read` to a file, in the format of its suffix, or to stdout."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq

from loader.atomic_write import new_file
from loader.errors import PlanError, StageError
from loader.spec.model import Staging, TableSpec
from loader.staging.encoders.base import JSON_METADATA
from loader.staging.encoders.open import open_writer
from loader.staging.encoders.text_values import USE_PARQUET, check_times, to_hex

_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}


_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")

Plain = Literal["csv", "json"]
"""The formats for output without a suffix."""


def write_stream(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    spec: TableSpec,
    sink: BinaryIO,
    form: Plain,
) -> None:
    """Write rows as CSV with a header (NULL is an empty field), or as JSON lines.

    Raises:
        StageError: the format does not hold a value.
        LoaderError: the rows cannot be read.
    """
    for _ in _write_batches(batches, schema, spec, sink, form):
        sink.flush()


def format_of_file(path: Path, form: Plain | None) -> str:
    """The format of a file by its suffix.

    Args:
        path: The file.
        form: The format that was asked for: that of a device, such as ``/dev/stdout``, by default
            CSV, and no other one than that of the suffix.

    Raises:
        PlanError: the suffix is not that of a format, or not that of the given one.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES and path.is_relative_to("/dev"):
        return form or "csv"
    if suffix not in _SUFFIXES:
        inner = path.with_suffix("").suffix.lower() if suffix in _PACKED else ""
        raise PlanError(
            f"{path}: `{suffix}` is not the suffix of a format that can be written"
            if suffix
            else f"{path} has no suffix, which is what says its format",
            hint=f"use {inner}, and compress the file afterwards"
            if inner in _SUFFIXES
            else f"use one of {', '.join(_SUFFIXES)}",
        )
    found = _SUFFIXES[suffix]
    if form not in (None, found):
        suffixes = " or ".join(end for end, kind in _SUFFIXES.items() if kind == form)
        raise PlanError(
            f"{path} is {found.upper()} by its suffix, but --format asks for {form}",
            hint=f"leave out --format, or use {suffixes}",
        )
    return found


def write_file(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    spec: TableSpec,
    path: Path,
    form: Plain | None = None,
) -> int:
    """Write rows to a file in the format of its suffix; returns their number.

    Args:
        batches: The rows.
        schema: Their schema.
        spec: Their table.
        path: The file; an existing one is replaced once all rows are written.
        form: As for `format_of_file`.

    Raises:
        PlanError: as `format_of_file` does.
        StageError: the file cannot be written, or its format does not hold a value.
        LoaderError: the rows cannot be read.
    """
    chosen = format_of_file(path, form)
    with new_file(path) as sink:
        return sum(_write_batches(batches, schema, spec, sink, chosen))


def _write_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, spec: TableSpec, sink: Any, form: str
) -> Iterator[int]:
    """Write batch by batch, and yield the number of rows of each."""
    writer = _open_writer(
        _binary_as_text(schema) if form == "csv" else _mark_json(schema, spec), sink, form
    )
    try:
        for batch in batches:
            if batch.num_rows:
                _write(writer, batch, form)
            yield batch.num_rows
        writer.close()
    except BaseException as error:
        if form == "parquet":
            writer.is_open = False  # or the garbage collector would close it after its file
        if isinstance(error, StageError) and error.hint == USE_PARQUET:
            # The staging of the spec changes nothing here.
            raise StageError(error.message, hint="write a Parquet file: -o x.parquet") from error
        raise


def _write(writer: Any, batch: pa.RecordBatch, form: str) -> None:
    match form:
        case "json":
            writer.write(batch)
        case "csv":
            for name, column in zip(batch.schema.names, batch, strict=True):
                if pa.types.is_temporal(column.type):
                    check_times(column, name, form)
            columns = [
                to_hex(column) if pa.types.is_binary(column.type) else column for column in batch
            ]
            writer.write_batch(
                pa.RecordBatch.from_arrays(columns, schema=_binary_as_text(batch.schema))
            )
        case _:
            writer.write_batch(batch)


def _binary_as_text(schema: pa.Schema) -> pa.Schema:
    """The schema with text for binary, which CSV has as hex digits."""
    return pa.schema(
        [
            field.with_type(pa.large_string()) if pa.types.is_binary(field.type) else field
            for field in schema
        ]
    )


def _mark_json(schema: pa.Schema, spec: TableSpec) -> pa.Schema:
    """The schema with JSON columns marked, so that JSON lines embed them."""
    return pa.schema(
        [
            field.with_metadata(JSON_METADATA)
            if spec.by_name[field.name].data_type.name == "super"
            else field
            for field in schema
        ]
    )


def _open_writer(schema: pa.Schema, sink: Any, form: str) -> Any:
    match form:
        case "parquet":
            return pq.ParquetWriter(sink, schema)
        case "arrow":
            return pa_ipc.new_file(sink, schema)
        case "json":
            plain = Staging(format="json", compression="none")
            return open_writer(plain, _KeepOpen(sink), schema, json_numbers=True)
        case _:
            return pa_csv.CSVWriter(_KeepOpen(sink), schema)


class _KeepOpen(io.BufferedIOBase):
    """A sink that its writer does not close, for standard output."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sink.write(data)
        size = memoryview(data).nbytes
        self._size += size
        return size

    def tell(self) -> int:
        return self._size
