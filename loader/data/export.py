"""Writes what `loader read` reads: to a file by its suffix, or to standard output."""

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
from loader.errors import PlanError
from loader.spec.model import Staging, TableSpec
from loader.staging.encoders.base import JSON_METADATA
from loader.staging.encoders.open import open_writer
from loader.staging.encoders.text_values import to_hex

_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}


Plain = Literal["csv", "json"]
"""What is written where no suffix says more."""


def write_stream(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    spec: TableSpec,
    sink: BinaryIO,
    form: Plain,
) -> None:
    """Write rows as CSV with a header (NULL is an empty field), or as JSON lines."""
    for _ in _writing(batches, schema, spec, sink, form):
        sink.flush()


def write_file(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, spec: TableSpec, path: Path, form: Plain
) -> int:
    """Write rows to a file in the format of its suffix; returns how many there were.

    Args:
        batches: The rows.
        schema: What they are.
        spec: Whose they are.
        path: Where to; a file that is there is replaced once all rows are written.
        form: How they are written to a device, such as ``/dev/stdout``.

    Raises:
        PlanError: the suffix names no format.
        StageError: the file cannot be written.
        LoaderError: the rows cannot be read.
    """
    chosen = _SUFFIXES.get(path.suffix.lower(), form if path.is_relative_to("/dev") else None)
    if chosen is None:
        raise PlanError(
            f"`{path}` has no suffix that names a format", hint=f"use {', '.join(_SUFFIXES)}"
        )
    with new_file(path) as sink:
        return sum(_writing(batches, schema, spec, sink, chosen))


def _writing(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, spec: TableSpec, sink: Any, form: str
) -> Iterator[int]:
    """Write batch by batch, telling the rows of each."""
    writer = _writer(_texts(schema) if form == "csv" else _with_json(schema, spec), sink, form)
    try:
        for batch in batches:
            if batch.num_rows:
                _write(writer, batch, form)
            yield batch.num_rows
        writer.close()
    except BaseException:
        if form == "parquet":
            writer.is_open = False  # or it would be closed when collected, after its file
        raise


def _write(writer: Any, batch: pa.RecordBatch, form: str) -> None:
    match form:
        case "json":
            writer.write(batch)
        case "csv":
            columns = [to_hex(one) if pa.types.is_binary(one.type) else one for one in batch]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_texts(batch.schema)))
        case _:
            writer.write_batch(batch)


def _texts(schema: pa.Schema) -> pa.Schema:
    """The schema with text for binary, which CSV holds as hex digits, as it is read."""
    return pa.schema(
        [
            field.with_type(pa.large_string()) if pa.types.is_binary(field.type) else field
            for field in schema
        ]
    )


def _with_json(schema: pa.Schema, spec: TableSpec) -> pa.Schema:
    """The schema with a mark on text that is JSON, so that JSON lines nest it."""
    return pa.schema(
        [
            field.with_metadata(JSON_METADATA)
            if spec.by_name[field.name].data_type.name == "super"
            else field
            for field in schema
        ]
    )


def _writer(schema: pa.Schema, sink: Any, form: str) -> Any:
    match form:
        case "parquet":
            return pq.ParquetWriter(sink, schema)
        case "arrow":
            return pa_ipc.new_file(sink, schema)
        case "json":
            plain = Staging(format="json", compression="none")
            return open_writer(plain, _Unclosed(sink), schema, json_numbers=True)
        case _:
            return pa_csv.CSVWriter(_Unclosed(sink), schema)


class _Unclosed(io.BufferedIOBase):
    """A sink that stays open when its writer is done with it, as standard output must."""

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
