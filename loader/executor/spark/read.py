"""Spark DataFrames of tables: executors read files in the staging location, without jars."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.errors import LoaderError, PlanError
from loader.staging.stores.base import Store
from loader.warehouse.adapter import RowsFile

_FILE_BYTES = 64 << 20
"""Arrow bytes of one file, which one task reads."""

_BATCH_ROWS = 65_536


def find_session(session: Any) -> Any:
    """The given session, or the active one.

    Raises:
        PlanError: there is none.
        LoaderError: PySpark is not installed.
    """
    if session is not None:
        return session
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise LoaderError("Spark is not installed", hint='pip install "loader[spark]"') from error
    active = SparkSession.getActiveSession()
    if active is None:
        raise PlanError(
            "a table is read as `spark` in a Spark session, and none is active",
            hint="start one before, or name it: project.read(…, as_='spark', spark=session)",
        )
    return active


@dataclass(frozen=True)
class StoredRows:
    """A Parquet file that this process has written for executors to read."""

    key: str

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """Its rows."""
        yield from pq.ParquetFile(io.BytesIO(store.read(self.key))).iter_batches(_BATCH_ROWS)


def write_files(
    batches: Iterable[pa.RecordBatch], store: Store, prefix: str
) -> Iterator[StoredRows]:
    """Write rows to files of bounded size below a prefix, named as UNLOAD names its own.

    Raises:
        StageError: a file cannot be written.
    """
    stream = iter(batches)
    for number, first in enumerate(stream):
        key = f"{prefix}/{number:04d}_part_00.parquet"
        with store.create(key) as sink, pq.ParquetWriter(sink, first.schema) as writer:
            writer.write_batch(first)
            size = first.nbytes
            while size < _FILE_BYTES and (batch := next(stream, None)) is not None:
                writer.write_batch(batch)
                size += batch.nbytes
        yield StoredRows(key)


def frame_of_files(session: Any, files: Sequence[RowsFile], store: Store, schema: pa.Schema) -> Any:
    """A DataFrame with one partition for each file, which is read whenever Spark computes it.

    Args:
        session: The `SparkSession`, a classic one or one of Connect.
        files: The files.
        store: Where they are; executors must reach it.
        schema: The types of the spec.
    """
    numbers = session.range(0, len(files), 1, max(len(files), 1))
    return numbers.mapInArrow(_make_task(tuple(files), store, schema), _ddl(schema))


def empty_frame(session: Any, schema: pa.Schema) -> Any:
    """A DataFrame without rows."""
    return session.createDataFrame([], _ddl(schema))


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(
        f"`{field.name.replace('`', '``')}` {_spark_type(field.type)}" for field in schema
    )


def _make_task(
    files: tuple[RowsFile, ...], store: Store, schema: pa.Schema
) -> Callable[[Iterable[Any]], Iterator[Any]]:
    types = pa.schema([(field.name, _plain_type(field.type)) for field in schema])

    def read_rows(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from read_file(files[number], store, types)

    return read_rows


def read_file(file: RowsFile, store: Store, types: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a file in these types; runs in executors."""
    for batch in file.batches(store):
        columns = [column.cast(field.type) for column, field in zip(batch, types, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=types)


def _plain_type(kind: Any) -> Any:
    """The type of a column in Spark; a time of day is text there."""
    return pa.string() if pa.types.is_time(kind) else kind


def _spark_type(kind: Any) -> str:
    """The name of a type in Spark's SQL."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz else "timestamp_ntz"
    return _NAMES.get(kind, "string")


_NAMES = {
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.binary(): "binary",
}
"""Types of staged rows with another name in Spark; the others are text."""
