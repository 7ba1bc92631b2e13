"""Rows that `bad_rows: reject` sets aside: their origin, the reasons, and their values as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from loader.data.cast.arrow_types import take_values
from loader.data.cast.errors import show
from loader.data.cast.report import RowErrors
from loader.data.cast.scalars import to_builtin
from loader.data.chunk import Chunk

_OWN_COLUMNS = ("_origin", "_row", "_reason")
"""The columns before those of the data; a data column of such a name gets a trailing ``_``."""


def reject_rows(
    chunk: Chunk, errors: Sequence[RowErrors], rows: Sequence[int], names: Sequence[str]
) -> Any:
    """The refused rows of a chunk as a `pyarrow.RecordBatch`.

    Args:
        chunk: Where the rows are.
        errors: All errors of the chunk; a row gets every reason that applies to it.
        rows: The offsets of the refused rows, in order.
        names: The data columns to write; one that the chunk lacks is NULL.
    """
    reasons: dict[int, list[str]] = {row: [] for row in rows}
    for found in errors:
        for row, text in found.describe_all().items():
            reasons[row].append(f"{found.name}: {text}")
    columns = {
        "_origin": pa.array([chunk.origin] * len(rows), pa.string()),
        "_row": pa.array([chunk.first_row + row for row in rows], pa.int64()),
        "_reason": pa.array(["; ".join(texts) for texts in reasons.values()], pa.string()),
    }
    for name in names:
        key = f"{name}_" if name in _OWN_COLUMNS else name
        present = name in chunk.columns
        values = take_values(chunk.columns[name], rows) if present else [None] * len(rows)
        columns[key] = pa.array([_as_text(value) for value in values], pa.string())
    return pa.RecordBatch.from_pydict(columns)


def _as_text(value: object) -> str | None:
    if value is None:
        return None
    value = to_builtin(value)
    text = value if isinstance(value, str) else show(value, limit=None)
    return text.encode(errors="backslashreplace").decode()
