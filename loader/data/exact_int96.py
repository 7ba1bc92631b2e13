"""Parquet's INT96 time stamps without loss, from the same rows read in two units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from loader.data.batches import to_array
from loader.data.chunk import Chunk, UnsupportedValue, Values
from loader.staging import int96


def exact_int96(
    chunks: Iterable[Chunk], fine: Iterable[Any], names: Sequence[str], row_filter: Any = None
) -> Iterator[Chunk]:
    """Replace the INT96 columns of chunks, read in microseconds, by their exact values.

    Values finer than a microsecond, and those outside of Python's years, become `UnsupportedValue`.

    Args:
        chunks: The chunks, with INT96 read in microseconds.
        fine: Record batches of only the INT96 columns, of the same rows, read in nanoseconds. They
            may be cut at other rows than the chunks.
        names: The columns that hold INT96.
        row_filter: A `pyarrow.compute.Expression`; only rows that fulfil it are kept.
    """
    batches, held = iter(fine), pa.table({})
    for chunk in chunks:
        parts = held.to_batches()
        while sum(part.num_rows for part in parts) < chunk.rows:
            parts.append(next(batches))
        held = pa.Table.from_batches(parts)
        stamps = {name: to_array(held[name].slice(0, chunk.rows)) for name in names}
        held = held.slice(chunk.rows)
        columns = dict(chunk.columns)
        if row_filter is not None:
            rows = _rows_where(row_filter, columns, chunk.rows)
            columns = {name: values.take(rows) for name, values in columns.items()}
            stamps = {name: values.take(rows) for name, values in stamps.items()}
            chunk = replace(chunk, rows=len(rows))  # noqa: PLW2901
        columns |= {name: _exact_timestamps(columns[name], stamps[name]) for name in names}
        yield replace(chunk, columns=columns)


def _rows_where(row_filter: Any, columns: Mapping[str, Any], rows: int) -> Any:
    """The offsets of the rows that fulfil a filter, as an Arrow array."""
    number = "#" + max(columns, key=len)
    table = pa.table({**columns, number: range(rows)})
    return to_array(table.filter(row_filter)[number])


def _exact_timestamps(coarse: Any, fine: Any) -> Values:
    """An array with all digits of the column, or a list of Python values where no array has."""
    exact = int96.exact_timestamps(coarse, fine)
    if exact is not None:
        return exact
    is_finer = int96.rows_finer_than_microsecond(coarse, fine)
    return [_to_python(value, finer=flag) for value, flag in zip(coarse, is_finer, strict=True)]


def _to_python(value: Any, *, finer: bool) -> object:
    if finer:
        return UnsupportedValue(str(value), "is finer than a microsecond")
    try:
        return value.as_py()
    except (ValueError, OverflowError) as error:
        return UnsupportedValue(str(value), f"is out of range: {error}")
