"""Arrow record batches as chunks of bounded size with numbered rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from loader.data.chunk import CHUNK_BYTES, CHUNK_ROWS, Chunk
from loader.data.read_errors import raise_source_errors
from loader.errors import SourceError


def read_batches(batches: Iterable[Any]) -> Iterator[Chunk]:
    """The chunks of a frame's record batches; what the frame raises becomes a `SourceError`."""
    return number_batches(raise_source_errors(batches), "frame")


def number_batches(batches: Iterable[Any], origin: str) -> Iterator[Chunk]:
    """Slice record batches into chunks of bounded size, and number their rows from 1."""
    row = 1
    for batch in batches:
        step = _rows_per_chunk(batch)
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            arrays = map(_mark_unregistered, piece.schema, piece)
            columns = dict(zip(piece.schema.names, arrays, strict=True))
            yield Chunk(columns, piece.num_rows, origin, row)
            row += piece.num_rows


def number_chunks(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Number the rows of chunks that follow each other in one stream, from 1."""
    row = 1
    for chunk in chunks:
        yield replace(chunk, first_row=row)
        row += chunk.rows


def to_array(values: Any) -> Any:
    """One array from an array or a chunked array.

    Raises:
        SourceError: the values exceed what one array can hold.
    """
    if not isinstance(values, pa.ChunkedArray):
        return values
    if values.num_chunks == 1:
        return values.chunk(0)
    whole = values.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        raise SourceError("a column is too large for one Arrow array")
    return whole


def mark_opaque(array: Any, name: str) -> Any:
    """The array as `arrow.opaque` of a named type: only its storage is known, not its meaning."""
    if isinstance(array.type, pa.BaseExtensionType):
        return array
    return pa.opaque(array.type, name, "").wrap_array(array)


def _mark_unregistered(field: Any, array: Any) -> Any:
    """Mark the storage that PyArrow returns for an unregistered extension type."""
    name = _unregistered_name(field)
    return array if name is None else mark_opaque(array, name)


def _unregistered_name(field: Any) -> str | None:
    """The name of an extension type, in a field or nested in it, that PyArrow does not know."""
    if isinstance(field.type, pa.BaseExtensionType):
        return None
    name = (field.metadata or {}).get(b"ARROW:extension:name")
    if name is not None:
        return str(name, errors="replace")
    inner = (_unregistered_name(field.type.field(at)) for at in range(field.type.num_fields))
    return next((name for name in inner if name is not None), None)


def _rows_per_chunk(batch: Any) -> int:
    """How many rows of a batch make a chunk, by its average row size."""
    if batch.num_rows == 0 or batch.nbytes <= CHUNK_BYTES:
        return CHUNK_ROWS
    fitting: int = batch.num_rows * CHUNK_BYTES // batch.nbytes
    return max(1, min(CHUNK_ROWS, fitting))
