"""Objects with the Arrow C interface as chunks: PyArrow, DuckDB relations, and any others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from loader.data.batches import mark_opaque, read_batches
from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_names
from loader.data.read_errors import unreadable_frame


def open_stream(obj: Any) -> Frame | None:
    """The chunks of an object with ``__arrow_c_stream__``; None for a single column.

    Raises:
        SourceError: its stream cannot be opened, or a column name occurs twice.
    """
    try:
        reader = _batch_reader(obj)
    except Exception as error:  # another library's stream may raise anything
        if _is_one_column(error):
            return None
        raise unreadable_frame(error) from error
    rows = obj.num_rows if isinstance(obj, pa.Table) else None
    return Frame(check_names(reader.schema.names, "the frame"), read_batches(reader), rows)


def open_array(obj: Any) -> Frame | None:
    """The chunks of an object with ``__arrow_c_array__``; None for a single column.

    Raises:
        SourceError: it cannot be imported, or a column name occurs twice.
    """
    try:
        batch = pa.record_batch(obj)
    except Exception as error:  # another library's array may raise anything
        if _is_one_column(error):
            return None
        raise unreadable_frame(error) from error
    names = check_names(batch.schema.names, "the frame")
    return Frame(names, read_batches(iter([batch])), batch.num_rows)


def _batch_reader(obj: Any) -> Any:
    """A `pyarrow.RecordBatchReader` over the object.

    PyArrow's own objects do not pass through the C interface: there a slice keeps its whole batch
    in memory, and extension types inside dictionaries are lost.
    """
    if isinstance(obj, pa.RecordBatchReader):
        return obj
    if isinstance(obj, pa.Table):
        return obj.to_reader()
    if isinstance(obj, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(obj.schema, [obj])
    return pa.RecordBatchReader.from_stream(obj)


def _is_one_column(error: Exception) -> bool:
    """Whether opening failed because the object is a single array, such as a Series."""
    return isinstance(error, pa.ArrowInvalid) and "non-struct type" in str(error)


def open_relation(obj: Any) -> Frame | None:
    """The chunks of a DuckDB relation; types that Arrow receives with other values are opaque."""
    frame = open_stream(obj)
    if frame is None:
        return None
    return Frame(frame.columns, mark_lost_types(frame.chunks, obj), frame.rows)


def mark_lost_types(chunks: Iterator[Chunk], relation: Any) -> Iterator[Chunk]:
    """The chunks of a DuckDB relation, with types that Arrow receives with other values opaque."""
    lossy = {
        name: lost
        for name, kind in zip(relation.columns, relation.types, strict=True)
        if (lost := _type_lost_in_arrow(kind))
    }
    return _mark_columns(chunks, lossy) if lossy else chunks


_TYPES_LOST_IN_ARROW = ("uhugeint", "bit", "time with time zone")
"""They become negative numbers, bytes in DuckDB's own layout, and times without a zone."""


def _type_lost_in_arrow(kind: Any) -> str | None:
    """The name of a DuckDB type, or of one nested in it, that Arrow receives with other values."""
    if kind.id in _TYPES_LOST_IN_ARROW:
        return str(kind.id)
    if kind.id not in ("list", "array", "struct", "map", "union"):
        return None
    inner = (_type_lost_in_arrow(each) for _, each in kind.children if hasattr(each, "id"))
    return next((name for name in inner if name), None)


def _mark_columns(chunks: Iterable[Chunk], names: Mapping[str, str]) -> Iterator[Chunk]:
    """The chunks, with these columns as opaque arrays of the named types."""
    for chunk in chunks:
        columns = {name: mark_opaque(chunk.columns[name], kind) for name, kind in names.items()}
        yield replace(chunk, columns={**chunk.columns, **columns})
