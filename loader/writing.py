"""Writes what `loader read` reads: to a file by its suffix, or to standard output."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq

from loader.errors import PlanError, StageError
from loader.formats import JSON_METADATA, open_writer
from loader.spec import Staging, TableSpec

_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}


def write_stream(
    reader: pa.RecordBatchReader, spec: TableSpec, sink: BinaryIO, form: Literal["csv", "json"]
) -> None:
    """Write rows as CSV with a header (NULL is an empty field), or as JSON lines."""
    for _ in _writing(reader, spec, sink, form):
        sink.flush()


def write_file(reader: pa.RecordBatchReader, spec: TableSpec, path: Path) -> int:
    """Write rows to a file in the format of its suffix; returns how many there were.

    Raises:
        PlanError: the suffix names no format.
        StageError: the file cannot be written.
    """
    form = _SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise PlanError(
            f"`{path}` has no suffix that names a format", hint=f"use {', '.join(_SUFFIXES)}"
        )
    try:
        with path.open("wb") as sink:
            return sum(_writing(reader, spec, sink, form))
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise StageError(f"{path} cannot be written: {error.strerror}") from error


def _writing(reader: pa.RecordBatchReader, spec: TableSpec, sink: Any, form: str) -> Iterator[int]:
    """Write batch by batch, telling the rows of each."""
    writer = _writer(_with_json(reader.schema, spec), sink, form)
    for batch in reader:
        if batch.num_rows:
            (writer.write if form == "json" else writer.write_batch)(batch)
        yield batch.num_rows
    writer.close()


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
