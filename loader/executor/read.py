"""Reads a table back as a frame, in the spec's types."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.layout import arrow_schema
from loader.errors import ExecuteError, LoaderError, PlanError, StageError
from loader.executor.checks import table_session
from loader.executor.context import TargetContext
from loader.executor.spark.read import empty_frame, find_session, frame_of_files, write_files
from loader.plan.model import Statement
from loader.plan.read_plan import chosen_columns
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.renderer import OWN
from loader.warehouse.adapter import Read, unload_prefix
from loader.warehouse.base import Session

FORMS = ("pandas", "polars", "arrow", "batches", "spark")


@dataclass(frozen=True)
class Reading:
    """A requested read of a table."""

    spec: TableSpec
    statement: Statement
    slice: Slice | None
    columns: Sequence[str] | None
    limit: int | None
    where: str | None
    context: TargetContext

    def read(self, form: str, spark: Any = None) -> Any:
        """Run the SELECT and return its rows as ``form``.

        Args:
            form: One of `FORMS`.
            spark: For ``"spark"`` the session; None is the active one.

        Raises:
            PlanError: there is no such form, or no session.
            ExecuteError: the table does not exist, or cannot be read.
            LoaderError: Polars or Spark is requested but not installed.
        """
        if form not in FORMS:
            raise PlanError(f"a table is read as {', '.join(FORMS)}, not as `{form}`")
        names = self.columns or [column.name for column in self.spec.columns]
        schema = arrow_schema([self.spec.by_name[name] for name in names])
        if form == "spark":
            return self._read_in_executors(find_session(spark), schema)
        failures: list[Exception] = []
        batches = self._batches(schema, failures)
        # The first batch is fetched now, so that errors are raised here.
        first = list(islice(batches, 1))
        reader = pa.RecordBatchReader.from_batches(schema, chain(first, batches))
        if form == "batches":
            # Only a reader of a C stream releases its source when it is closed.
            stream = pa.RecordBatchReader.from_stream(reader)
            _FAILURES[stream] = failures
            return stream
        return _FORMS[form](reader.read_all(), self.spec)

    def _read_in_executors(self, session: Any, schema: pa.Schema) -> Any:
        """A DataFrame of files that the warehouse or this process writes."""
        store, context = self.context.staging_store, self.context
        with table_session(self.spec, context, " to read") as warehouse:
            files = context.adapter.unload(context.settings, warehouse, self._read(schema))
        if files is None:
            prefix = unload_prefix(self.spec.table)
            files = list(write_files(self._batches(schema, []), store, prefix))
        return frame_of_files(session, files, store, schema)

    def _batches(self, schema: pa.Schema, failures: list[Exception]) -> Iterator[pa.RecordBatch]:
        found = table_session(self.spec, self.context, " to read")
        try:
            # Results are closed here, since a warehouse may wait for open results.
            with found as session, closing(self._rows(session, schema)) as batches:
                for batch in _limit_rows(self.limit, batches):
                    yield _cast_batch(batch, schema)
        except LoaderError as error:
            failures.append(error)
            raise
        except _UNREADABLE as error:
            failures.append(ExecuteError(f"{self.spec.table} cannot be read: {error}"))
            raise failures[0] from error

    def _rows(self, session: Session, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        context = self.context
        return context.adapter.stream(context.settings, session, self._read(schema))

    def _read(self, schema: pa.Schema) -> Read:
        context = self.context
        return Read(
            self.spec,
            self.statement.sql,
            schema,
            self.slice,
            self.limit,
            self.where,
            context.renderer,
            lambda: context.staging_store,
            own_select=not self.statement.template.startswith(OWN),
        )


_UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""Errors of Arrow and drivers while reading rows; DuckDB raises an OSError."""

_FAILURES: WeakKeyDictionary[pa.RecordBatchReader, list[Exception]] = WeakKeyDictionary()


def batches_of(stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches of a stream; raises the original error, which Arrow replaces by its text.

    Raises:
        LoaderError: the rows cannot be read.
    """
    failures = _FAILURES.get(stream, [])
    try:
        yield from stream
    except (pa.ArrowException, OSError):
        if not failures:
            raise
        raise failures[0] from None


def on_disk(batches: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Copy batches to a temporary file and read them from there, to release their source.

    Raises:
        ExecuteError: the rows cannot be read.
        StageError: the disk is full.
    """
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    try:
        with tempfile.NamedTemporaryFile(prefix="loader-rows-") as file:
            with batches, pa.ipc.new_stream(file.name, batches.schema, options=options) as writer:
                for batch in batches_of(batches):
                    writer.write_batch(batch)
            # What is open stays readable, and is gone when it is closed.
            kept = pa.ipc.open_stream(pa.OSFile(file.name))
            return pa.RecordBatchReader.from_stream(kept)
    except OSError as error:
        raise StageError(
            f"the rows cannot be kept on disk: {error}",
            hint=f"{tempfile.gettempdir()} needs room for them; TMPDIR names another disk",
        ) from error


def no_rows(spec: TableSpec | None, columns: Sequence[str] | None, form: str) -> Any:
    """A frame without rows, in the spec's types; without a spec it has no columns.

    Raises:
        PlanError: a column is not one of the table's, or there is no such form.
    """
    chosen = [spec.by_name[name] for name in chosen_columns(spec, columns)] if spec else []
    schema = arrow_schema(chosen)
    if form == "batches":
        return pa.RecordBatchReader.from_batches(schema, [])
    if form == "spark":
        return empty_frame(find_session(None), schema)
    return _FORMS[form](schema.empty_table(), spec)


def _limit_rows(limit: int | None, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Limit the rows of batches, since a project's template may ignore the limit."""
    if limit is None:
        yield from batches
        return
    for batch in batches:
        yield batch.slice(0, limit)
        limit -= min(limit, batch.num_rows)
        if not limit:
            return


def _cast_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else _cast(column, field)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    try:
        made = column.cast(field.type)
        # Arrow's cast of a double that is too large for a real is infinite.
        if pa.types.is_floating(column.type) and pa.types.is_floating(field.type):
            large = pc.and_(pc.is_inf(made), pc.is_finite(column))
            if pc.any(large).as_py():
                raise pa.ArrowInvalid(f"{column.filter(large)[0]} is too large")
        # And that of a double to a decimal rounds.
        if pa.types.is_floating(column.type) and pa.types.is_decimal(field.type):
            rounded = pc.not_equal(made.cast(column.type), column)
            if pc.any(rounded).as_py():
                raise pa.ArrowInvalid(f"{column.filter(rounded)[0]} has more decimals")
        return made
    except pa.ArrowException as error:
        raise ExecuteError(
            f"the column `{field.name}` is {column.type} in the warehouse, but {field.type} in the"
            f" spec: {error}",
            hint="change the spec to match the table, or alter the table with `loader apply`",
        ) from error


def _pandas(table: pa.Table, spec: TableSpec | None) -> Any:
    """A pandas frame whose nullable integers and booleans stay such, also with NULL."""
    import pandas as pd  # noqa: PLC0415  # slow to import, and other forms need none

    nullable = {
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    frame = {
        name: column.to_pandas(
            types_mapper=nullable.get if spec and spec.by_name[name].nullable else None,
            date_as_object=True,
        )
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pd.DataFrame(frame, columns=table.column_names)


def _polars(table: pa.Table, _: TableSpec | None) -> Any:
    try:
        import polars  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise LoaderError("Polars is not installed", hint='pip install "loader[polars]"') from error
    return polars.from_arrow(table)


def _arrow(table: pa.Table, _: TableSpec | None) -> pa.Table:
    return table


_FORMS: Mapping[str, Callable[[pa.Table, TableSpec | None], Any]] = {
    "pandas": _pandas,
    "polars": _polars,
    "arrow": _arrow,
}
