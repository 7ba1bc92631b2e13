"""MD5 checksums of text and binary columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loader.interrupts import query_rows
from loader.memory_database import open_memory_database
from loader.plan.figures import Figure

Array = Any
"""A `pyarrow.Array`; pyarrow has no type stubs."""


class Checksums:
    """Computes sums of the first 60 bits of the MD5 of each value, with DuckDB.

    Args:
        figures: The checksums to compute.
    """

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._figures = figures
        self._connection: duckdb.DuckDBPyConnection | None = None

    def compute(self, batch: pa.RecordBatch) -> list[tuple[Figure, int]]:
        """The checksums of the rows of a batch."""
        if not self._figures:
            return []
        if self._connection is None:
            self._connection = open_memory_database()
        columns = [_to_hashed_form(figure, batch.column(figure.column)) for figure in self._figures]
        names = [f"c{number}" for number in range(len(columns))]
        sums = ", ".join(f"sum(('0x' || left(md5({name}), 15))::BIGINT)" for name in names)
        (row,) = query_rows(
            self._connection,
            "batch",
            pa.table(columns, names=names),
            f"SELECT {sums} FROM batch",
            lambda found: found.fetchall(),
        )
        return [(figure, int(total or 0)) for figure, total in zip(self._figures, row, strict=True)]

    def close(self) -> None:
        """Close the connection to DuckDB."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _to_hashed_form(figure: Figure, column: Array) -> Array:
    """The text that is hashed: without the padding of CHAR, and as hex digits for binary."""
    if figure.data_type.name == "char":
        return pc.utf8_rtrim(column, " ")
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        digits = [None if value is None else value.hex() for value in column.to_pylist()]
        return pa.array(digits, pa.large_string())
    return column
