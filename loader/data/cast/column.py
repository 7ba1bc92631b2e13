"""Casts one column of a chunk to its declared type.

A column is cast by `vectorized` at once. Where that is unsure, the rows are halved, and halves of
at most `BLOCK` rows are cast value by value by `exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast import exact
from loader.data.cast.arrow_types import (
    Array,
    arrow_type,
    is_arrow,
    python_values,
    to_plain,
    to_plain_documents,
    type_family,
)
from loader.data.cast.errors import TYPES_WITH_EMPTY, Caster, CastError, CastOptions, show
from loader.data.cast.vectorized import (
    EXACT_ONLY,
    FLOATS,
    UNSURE_ERRORS,
    VECTORIZED_CASTS,
    UnsureError,
    check_64_bits,
    decimal_from_text,
)
from loader.sql.datatypes import DataType

BLOCK = 256
"""The most rows that are cast value by value instead of being halved once more."""


class ColumnCast:
    """One column of a chunk in its declared type; `values` is NULL where a value does not fit."""

    def __init__(self, values: Any, data_type: DataType, options: CastOptions) -> None:
        self._type = data_type
        self._cast_value: Caster = exact.make_caster(data_type, options)
        unwrap = to_plain_documents if data_type.name == "super" else to_plain
        self._source = unwrap(values) if is_arrow(values) else values
        self.bad_rows: list[int] = []
        """The offsets of the rows that do not fit, in order."""
        if is_arrow(self._source):
            if options.empty_is_null and data_type.name not in TYPES_WITH_EMPTY:
                self._source = null_empty_text(self._source)
            self.values = self._cast_array(self._source, options)
        else:
            self.values = self._cast_objects(self._source, options)

    @property
    def texts(self) -> Array:
        """The values; those of a SUPER column are JSON text."""
        return self.values

    def explain_error(self, row: int) -> tuple[str, str]:
        """The value of a bad row, and the reason why it does not fit."""
        value = self._python_values(row, row + 1)[0]
        try:
            self._cast_value(value)
        except CastError as error:
            return show(value), str(error)
        return show(value), f"has the type {self._source.type}, not {self._type}"

    def _cast_array(self, array: Array, options: CastOptions) -> Array:
        target = arrow_type(self._type)
        kind = type_family(array.type)
        if kind == "null" or array.null_count == len(array):
            return pa.nulls(len(array), target)
        extension = isinstance(array.type, pa.BaseExtensionType)
        if (self._type.name, kind) in EXACT_ONLY or (self._type.name == "super" and not extension):
            return self._cast_each(0, len(array))
        vectorized = VECTORIZED_CASTS.get((self._type.name, kind))
        if vectorized is None:
            self.bad_rows = pc.indices_nonzero(array.is_valid()).to_pylist()
            return pa.nulls(len(array), target)
        cast = vectorized
        return self._cast_in_halves(
            lambda start, stop: cast(array.slice(start, stop - start), self._type, options),
            0,
            len(array),
        )

    def _cast_objects(self, values: Sequence[object], options: CastOptions) -> Array:
        kinds = set(map(type, values))
        complete = type(None) not in kinds
        kinds -= {type(None)}
        if not kinds:
            return pa.nulls(len(values), arrow_type(self._type))
        kind = kinds.pop()
        build = _ARROW_BUILDERS.get(kind)
        if kinds or build is None or self._type.name == "super":
            return self._cast_each(0, len(values))
        # A number in a text file means the nearest float.
        nearest = kind is Decimal and self._type.name in FLOATS and options.text
        convert = _decimal_texts if nearest else build
        direct = kind is Decimal and self._type.name == "decimal"

        def cast(start: int, stop: int) -> Array:
            if direct:
                return _cast_decimals(values[start:stop], self._type, options, complete=complete)
            array = convert(values[start:stop], options)
            vectorized = VECTORIZED_CASTS.get((self._type.name, type_family(array.type)))
            if vectorized is None:
                raise UnsureError
            return vectorized(array, self._type, options)

        return self._cast_in_halves(cast, 0, len(values))

    def _cast_in_halves(self, cast: Callable[[int, int], Array], start: int, stop: int) -> Array:
        """The rows from ``start`` to ``stop`` by the cast; by `exact` where that is unsure."""
        try:
            return cast(start, stop)
        except UNSURE_ERRORS:
            if stop - start <= BLOCK:
                return self._cast_each(start, stop)
        middle = (start + stop) // 2
        parts = [
            self._cast_in_halves(cast, start, middle),
            self._cast_in_halves(cast, middle, stop),
        ]
        return pa.concat_arrays(parts)

    def _cast_each(self, start: int, stop: int) -> Array:
        good: list[object] = []
        for row, value in enumerate(self._python_values(start, stop), start):
            try:
                good.append(None if value is None else self._cast_value(value))
            except CastError:
                self.bad_rows.append(row)
                good.append(None)
        return pa.array(good, arrow_type(self._type))

    def _python_values(self, start: int, stop: int) -> Sequence[object]:
        if is_arrow(self._source):
            return python_values(self._source.slice(start, stop - start))
        found: Sequence[object] = self._source[start:stop]
        return found


def null_empty_text(array: Array) -> Array:
    """Text with NULL for empty values; other arrays unchanged."""
    if not pa.types.is_string(array.type):
        return array
    empty = pc.equal(array, "")
    if not pc.any(empty).as_py():
        return array
    return pc.if_else(empty, pa.scalar(None, array.type), array)


# Arrow arrays from Python objects of one type, without loss.


def _build_as(arrow: Any) -> Callable[[Sequence[Any], CastOptions], Array]:
    return lambda values, _: pa.array(values, arrow)


def _decimal_texts(values: Sequence[Any], _: CastOptions) -> Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _cast_decimals(
    values: Sequence[Any], data_type: DataType, options: CastOptions, *, complete: bool
) -> Array:
    """Python decimals: directly where all have the declared scale, else through their text.

    Arrow may misread decimals of more than 38 digits, but checks those of the declared scale.
    """
    present = values if complete else [value for value in values if value is not None]
    unit = Decimal((0, (1,), -data_type.scale))
    if not all(map(unit.same_quantum, present)):
        return decimal_from_text(_decimal_texts(values, options), data_type, options)
    return check_64_bits(pa.array(values, arrow_type(data_type)), data_type)


def _from_datetimes(values: Sequence[Any], _: CastOptions) -> Array:
    zones = {value.tzinfo is None for value in values if value is not None}
    if len(zones) == 2:
        raise UnsureError
    return pa.array(values, pa.timestamp("us") if True in zones else pa.timestamp("us", "UTC"))


def _from_times(values: Sequence[Any], _: CastOptions) -> Array:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise UnsureError
    return pa.array(values, pa.time64("us"))


_ARROW_BUILDERS: dict[type, Callable[[Sequence[Any], CastOptions], Array]] = {
    bool: _build_as(pa.bool_()),
    int: _build_as(pa.int64()),
    float: _build_as(pa.float64()),
    str: _build_as(pa.string()),
    bytes: _build_as(pa.binary()),
    date: _build_as(pa.date32()),
    timedelta: _build_as(pa.duration("us")),
    datetime: _from_datetimes,
    time: _from_times,
    Decimal: lambda values, _: pa.array(values),
}
