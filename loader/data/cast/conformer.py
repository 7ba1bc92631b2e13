"""Casts the chunks of one load to the table's types; refused rows are counted or set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.data.cast.arrow_types import arrow_type, is_arrow, to_plain
from loader.data.cast.column import ColumnCast
from loader.data.cast.errors import CastOptions
from loader.data.cast.layout import PLAIN, Layout
from loader.data.cast.load_columns import LoadColumns, RepeatedCast
from loader.data.cast.nested import DocumentCast, shape_of
from loader.data.cast.partition_of_row import (
    PartitionDiscovery,
    SkippedTimesCheck,
    SliceCheck,
    TrailingBlanksCheck,
    mask_without,
)
from loader.data.cast.rejects import reject_rows
from loader.data.cast.report import ErrorReport, RowErrors
from loader.data.cast.tally import Tally
from loader.data.cast.value_checks import check_values
from loader.data.chunk import Chunk
from loader.errors import FrameError
from loader.spec.model import Column, TableSpec, in_order
from loader.spec.partitions import Slice
from loader.staging.encoders.base import JSON_METADATA

Batch = Any
"""A `pyarrow.RecordBatch`; pyarrow has no type stubs."""

Cast = ColumnCast | DocumentCast | RepeatedCast


@dataclass(frozen=True)
class Conformed:
    """One chunk, split into the rows to load and those that were refused."""

    batch: Batch
    """The good rows: columns in table order, in the types of `Conformer.schema`."""
    rejects: Batch | None = None
    """With `bad_rows: reject` the refused rows, as `reject_rows` builds them."""


class Conformer:
    """Casts the chunks of one load to the types of a table, and collects the rows it refuses.

    Args:
        spec: The table.
        matched: Table column → data column, from `match_columns`.
        slice_: The slice that is loaded; rows outside of it are refused.
        discover: Whether to collect the partitions of the rows; rows without one are refused.
        layout: What the warehouse requires of staged rows.
        first: The first chunk, which gives nested documents their Parquet type.
        shapes: These types by column, where they are known; then ``first`` is not looked at.
        filled: Fills the columns that are not in the data.
    """

    columns: tuple[Column, ...]
    """The columns that are staged, in table order."""
    schema: Any
    """Their Arrow schema."""
    rows_read: int
    """Rows seen so far."""
    shapes: Mapping[str, Any]
    """The nested Parquet types of documents, by column."""

    def __init__(
        self,
        spec: TableSpec,
        matched: Mapping[str, str],
        slice_: Slice | None = None,
        *,
        discover: bool = False,
        layout: Layout = PLAIN,
        first: Chunk | None = None,
        shapes: Mapping[str, Any] | None = None,
        filled: LoadColumns | None = None,
    ) -> None:
        self._spec, self._matched, self._layout = spec, matched, layout
        self._filled = filled or LoadColumns(spec, None)
        present = frozenset(matched) | self._filled.names
        self.columns = in_order(spec.staged_columns(present), layout.order)
        self.shapes = dict(shapes or {})
        if layout.documents == "nested" and first is not None and shapes is None:
            self.shapes = self._find_shapes(first)
        self.schema = self._staged_schema()
        self.rows_read = 0
        self._rejects = spec.schema_contract.bad_rows == "reject"
        blanks = layout.ignores_trailing_blanks
        self._trailing_blanks = [
            TrailingBlanksCheck(dimension)
            for dimension in spec.dimensions
            if blanks and dimension.grain is None and dimension.data_type.name == "varchar"
        ]
        skipped = [
            SkippedTimesCheck(dimension)
            for dimension in spec.dimensions
            if (slice_ or discover) and dimension.clock_zone
        ]
        self._slice_check = SliceCheck(slice_, ignores_trailing_blanks=blanks) if slice_ else None
        counts = slice_ is not None and slice_.has_several_keys
        self._discovery = (
            PartitionDiscovery(spec.dimensions, required=discover, ignores_trailing_blanks=blanks)
            if discover or counts
            else None
        )
        checks = (*self._trailing_blanks, *skipped, self._slice_check, self._discovery)
        self._partition_checks = [check for check in checks if check]
        self._report = ErrorReport()
        self._source_names: tuple[str, ...] = ()

    @property
    def rows_rejected(self) -> int:
        """Rows refused so far; a row that is bad in two columns counts once."""
        return self._report.rows

    @property
    def failed(self) -> bool:
        """Whether so many rows were refused that the load cannot succeed any more."""
        if not self._rejects:
            return self.rows_rejected > 0
        limit = self._spec.schema_contract.max_rejects
        return isinstance(limit, int) and self.rows_rejected > limit

    def conform(self, chunk: Chunk) -> Conformed:
        """Cast a chunk; its bad rows are counted, and with `bad_rows: reject` returned as well.

        Raises:
            FrameError: no column of the rows is one of the table.
        """
        self._check_matched(chunk)
        self.rows_read += chunk.rows
        casts = [self._cast_column(chunk, column) for column in self.columns]
        batch = pa.RecordBatch.from_arrays([cast.values for cast in casts], schema=self.schema)
        errors = [
            found
            for column, cast in zip(self.columns, casts, strict=True)
            for found in check_values(column, cast, self._layout)
        ]
        bad = {row for found in errors for row in found.rows}
        for check in self._partition_checks:
            reasons = check.find_errors(batch, bad)
            if reasons:
                errors.append(RowErrors(check.name, list(reasons), reasons.__getitem__))
                bad |= reasons.keys()
        if not bad:
            return Conformed(batch)
        self._report.add(chunk, errors, len(bad))
        rejects = None
        if self._rejects:
            self._source_names = self._source_names or tuple(chunk.columns)
            for found in errors:
                self._report.add_reasons(found.count_reasons())
            rejects = reject_rows(chunk, errors, sorted(bad), self._source_names)
        return Conformed(batch.filter(mask_without(bad, chunk.rows)), rejects)

    def finish(self) -> None:
        """Fail the load when too many rows were refused; raises what `Tally.check` does."""
        self.tally.check(self._spec)

    @property
    def tally(self) -> Tally:
        """What was read and refused so far, and with `discover` the partitions of the others."""
        return Tally(
            self.rows_read,
            self._report,
            any(check.found for check in self._trailing_blanks),
            self._slice_check is not None and self._slice_check.found_other_partitions,
            self._discovery.counts if self._discovery else None,
        )

    def _staged_schema(self) -> Any:
        fields = []
        for column in self.columns:
            kind = self.shapes.get(column.name, arrow_type(column.data_type))
            embedded = self._layout.documents == "json" and column.data_type.name == "super"
            metadata = JSON_METADATA if embedded else None
            fields.append(pa.field(column.name, kind, metadata=metadata))
        return pa.schema(fields)

    def _find_shapes(self, first: Chunk) -> dict[str, Any]:
        """The nested Parquet types of SUPER columns, derived from the first rows.

        Raises:
            FrameError: there is no such type; all columns without one are named.
        """
        self._check_matched(first)
        found: dict[str, Any] = {}
        for column in self.columns:
            if column.data_type.name == "super":
                values = first.columns[self._matched[column.name]]
                values = to_plain(values) if is_arrow(values) else values
                texts = self._cast_flat(first, column).values.to_pylist()
                found[column.name] = shape_of(texts, values.type if is_arrow(values) else None)
        missing = [name for name, shape in found.items() if shape is None]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            raise FrameError(
                f"the documents of {names} do not share one structure, which Parquet requires;"
                " nothing was loaded",
                hint="set `staging: {format: json}`, which takes any document",
            )
        return found

    def _check_matched(self, chunk: Chunk) -> None:
        """Rows that bring no column of the table are not the same as no rows."""
        wanted = any(column.from_ is None or column.from_.is_data for column in self._spec.columns)
        if chunk.rows and wanted and not self._matched:
            raise FrameError(f"no column of the data is one of {self._spec.table}")

    def _cast_column(self, chunk: Chunk, column: Column) -> Cast:
        if column.name in self._filled.names:
            return self._filled.cast(chunk, column, self._options(chunk, json=False))
        cast = self._cast_flat(chunk, column)
        shape = self.shapes.get(column.name)
        return cast if shape is None else DocumentCast(cast, shape)

    def _cast_flat(self, chunk: Chunk, column: Column) -> ColumnCast:
        """A column in its declared type, where documents are JSON text."""
        values = chunk.columns[self._matched[column.name]]
        json = chunk.text and not isinstance(values, pa.Array | pa.ChunkedArray)
        return ColumnCast(values, column.data_type, self._options(chunk, json=json))

    def _options(self, chunk: Chunk, *, json: bool) -> CastOptions:
        source, staging = self._spec.source, self._spec.staging
        return CastOptions(
            text=chunk.text,
            json=json,
            decimal=source.decimal,
            empty_is_null=chunk.text and not json and "" in source.null_values,
            date_format=source.date_format,
            timestamp_format=source.timestamp_format,
            timezone=source.timezone,
            null_marker=staging.format == "csv",
            finite=staging.format == "json",
            nan_is_null=chunk.nan_is_null,
        )
