"""Computes the figures of staged rows, batch by batch, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.plan.figures import Figure, Kind, Value
from loader.sql.datatypes import DataType
from loader.staging.figures.checksums import Checksums
from loader.staging.figures.numbers import (
    find_extreme_float,
    find_extremes,
    sum_floats,
    sum_integers,
    sum_low_digits,
    to_integers,
    unscale,
)
from loader.staging.figures.texts import TextBuffer, find_extreme_texts, sum_end_characters

Array = Any
"""A `pyarrow.Array` without nulls; pyarrow has no type stubs."""


class FigureCollector:
    """Computes the figures of all rows of a load.

    Args:
        figures: The figures to compute.
    """

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._by_column: dict[str, list[Figure]] = {}
        for figure in figures:
            self._by_column.setdefault(figure.column, []).append(figure)
        self._values: dict[Figure, Value] = {
            figure: _initial_value(figure.kind) for figure in figures
        }
        self._checksums = Checksums([figure for figure in figures if figure.kind == "checksum"])

    @property
    def values(self) -> Mapping[Figure, Value]:
        """The figures of all rows so far."""
        return self._values

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the figures of more rows."""
        for name, figures in self._by_column.items():
            column = batch.column(name)
            found = _ColumnFigures(column, figures[0].data_type)
            for figure in figures:
                if figure.kind != "checksum":
                    self._combine(figure, _METHODS[figure.kind](found))
        for figure, checksum in self._checksums.compute(batch):
            self._combine(figure, checksum)

    def close(self) -> None:
        """Release what computes checksums."""
        self._checksums.close()

    def merge(self, values: Mapping[Figure, Value]) -> None:
        """Add the figures of rows that another collector has seen."""
        for figure, value in values.items():
            self._combine(figure, value)

    def _combine(self, figure: Figure, value: Value) -> None:
        self._values[figure] = _combine_values(figure.kind, self._values[figure], value)


def _initial_value(kind: Kind) -> Value:
    return None if kind in ("minimum", "maximum") else 0


def _combine_values(kind: Kind, first: Value, second: Value) -> Value:
    """The figure of two sets of rows together; in any order the same."""
    if first is None or second is None:
        return second if first is None else first
    if kind == "minimum":
        return min(first, second)
    if kind == "maximum":
        return max(first, second)
    return first + second  # type: ignore[operator]  # both are integers


class _ColumnFigures:
    """The figures of one column of a batch; intermediate results are shared."""

    def __init__(self, column: Array, data_type: DataType) -> None:
        self._column = column
        self._type = data_type.name

    def nulls(self) -> Value:
        return self._column.null_count

    def minimum(self) -> Value:
        return self._extreme("min")

    def maximum(self) -> Value:
        return self._extreme("max")

    def sum(self) -> Value:
        if pa.types.is_decimal(self._integers.type):
            return unscale(pc.sum(self._array).as_py(), self._array.type.scale) or 0
        return sum_integers(self._integers, self._extremes)

    def low_digits(self) -> Value:
        return sum_low_digits(self._array)

    def true(self) -> Value:
        return self._array.true_count

    def octets(self) -> Value:
        return pc.sum(pc.binary_length(self._array)).as_py() or 0

    def ends(self) -> Value:
        return sum_end_characters(self._texts)

    def nan(self) -> Value:
        return int(np.isnan(self._floats).sum())

    def whole(self) -> Value:
        return self._float_sums[0]

    def fraction(self) -> Value:
        return self._float_sums[1]

    def _extreme(self, which: str) -> Value:
        if self._type in ("real", "double precision"):
            return find_extreme_float(self._floats, which)
        return self._extremes[which]

    @cached_property
    def _array(self) -> Array:
        array = self._column.drop_null() if self._column.null_count else self._column
        # Trailing blanks of a CHAR are padding.
        return pc.utf8_rtrim(array, " ") if self._type == "char" else array

    @cached_property
    def _integers(self) -> Array:
        return to_integers(self._array)

    @cached_property
    def _extremes(self) -> Mapping[str, Any]:
        if self._type in ("char", "varchar"):
            return find_extreme_texts(self._array, self._texts)
        return find_extremes(self._integers)

    @cached_property
    def _floats(self) -> Any:
        return self._array.to_numpy(zero_copy_only=False).astype(np.float64)

    @cached_property
    def _float_sums(self) -> tuple[int, int]:
        return sum_floats(self._floats)

    @cached_property
    def _texts(self) -> TextBuffer:
        return TextBuffer(self._array)


_METHODS: dict[Kind, Callable[[_ColumnFigures], Value]] = {
    "nulls": _ColumnFigures.nulls,
    "minimum": _ColumnFigures.minimum,
    "maximum": _ColumnFigures.maximum,
    "sum": _ColumnFigures.sum,
    "low_digits": _ColumnFigures.low_digits,
    "true": _ColumnFigures.true,
    "bytes": _ColumnFigures.octets,
    "ends": _ColumnFigures.ends,
    "nan": _ColumnFigures.nan,
    "whole": _ColumnFigures.whole,
    "fraction": _ColumnFigures.fraction,
}
