"""Polars frames as chunks. Polars itself is never imported here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from loader.data.batches import number_batches, number_chunks
from loader.data.chunk import CHUNK_ROWS, Chunk, Frame, is_missing
from loader.data.column_names import check_names
from loader.data.read_errors import raise_source_errors, unreadable_frame


def open_lazy_frame(obj: Any) -> Frame:
    """The chunks of a `polars.LazyFrame` batch by batch.

    Raises:
        SourceError: its schema cannot be resolved, or a column name occurs twice.
    """
    try:
        names = check_names(obj.collect_schema().names(), "the frame")
    except Exception as error:  # Polars raises many kinds, all of them the frame's own fault
        raise unreadable_frame(error) from error
    return Frame(names, raise_source_errors(number_chunks(_lazy_chunks(obj))))


def _lazy_chunks(obj: Any) -> Iterator[Chunk]:
    for frame in obj.collect_batches(chunk_size=CHUNK_ROWS, lazy=True):
        yield from _polars_chunks(frame)


def open_polars(obj: Any) -> Frame:
    """The chunks of a `polars.DataFrame`."""
    names = check_names(obj.columns, "the frame")
    return Frame(names, raise_source_errors(_polars_chunks(obj)), obj.height)


def _polars_chunks(frame: Any) -> Iterator[Chunk]:
    """The rows of a Polars frame; columns that Arrow cannot represent as Python objects."""
    columns, objects = frame.columns, columns_without_arrow(frame)
    if objects:
        # The row index, added first, keeps the number of rows when no other column is left.
        exportable = frame.with_row_index("#" + max(columns, key=len)).drop(objects)
    else:
        exportable = frame
    for chunk in number_batches(pa.RecordBatchReader.from_stream(exportable), "frame"):
        rows = frame.slice(chunk.first_row - 1, chunk.rows)
        found = {
            name: _polars_objects(rows[name]) if name in objects else chunk.columns[name]
            for name in columns
        }
        yield replace(chunk, columns=found)


def columns_without_arrow(frame: Any) -> list[str]:
    """The columns of a Polars frame whose values cannot be exported to Arrow."""
    schema = frame.collect_schema()
    return [name for name, kind in schema.items() if str(kind) in ("Object", "Int128", "UInt128")]


def _polars_objects(series: Any) -> list[object]:
    return [None if is_missing(value) else value for value in series.to_list()]
