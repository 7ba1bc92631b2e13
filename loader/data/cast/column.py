"""Whole columns into declared types: vectorised where all is well, value by value where it is not.

A fast cast either gives what `exact` would give for every row, or refuses the lot. Then the
rows are halved until the doubtful ones stand alone, and `exact` judges those. So a fast cast
may be too strict, never too lenient.
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
    kind_of,
    plain,
    plain_documents,
    python_values,
)
from loader.data.cast.errors import HOLDS_EMPTY, Judge, Reading, Refusal, show
from loader.data.cast.vectorized import (
    DOUBTS,
    FAST,
    FLOATS,
    JUDGED,
    Doubt,
    decimal_from_text,
    in_64_bits,
)
from loader.sql.datatypes import DataType

BLOCK = 256
"""Rows that are judged one by one when a fast cast refuses them together."""


class ColumnCast:
    """One column of one chunk in its declared type, with the rows that do not fit as NULL."""

    def __init__(self, values: Any, data_type: DataType, reading: Reading) -> None:
        self._type = data_type
        self._judge: Judge = exact.judge(data_type, reading)
        unwrap = plain_documents if data_type.name == "super" else plain
        self._source = unwrap(values) if is_arrow(values) else values
        self.bad: list[int] = []
        """The offsets of the rows that do not fit, in order."""
        if is_arrow(self._source):
            if reading.empty_is_null and data_type.name not in HOLDS_EMPTY:
                self._source = without_empty(self._source)
            self.values = self._cast_array(self._source, reading)
        else:
            self.values = self._cast_objects(self._source, reading)

    @property
    def texts(self) -> Array:
        """The values themselves, which of a SUPER column are JSON text."""
        return self.values

    def complaint(self, row: int) -> str:
        """A bad row's value, and why it does not fit."""
        value = self._python(row, row + 1)[0]
        try:
            self._judge(value)
        except Refusal as refusal:
            return f"{show(value)} {refusal}"
        return f"{show(value)} came as {self._source.type}, not {self._type}"

    def _cast_array(self, array: Array, reading: Reading) -> Array:
        target = arrow_type(self._type)
        kind = kind_of(array.type)
        if kind == "null" or array.null_count == len(array):
            return pa.nulls(len(array), target)
        extension = isinstance(array.type, pa.BaseExtensionType)
        if (self._type.name, kind) in JUDGED or (self._type.name == "super" and not extension):
            return self._judged(0, len(array))
        fast = FAST.get((self._type.name, kind))
        if fast is None:
            self.bad = pc.indices_nonzero(array.is_valid()).to_pylist()
            return pa.nulls(len(array), target)
        found = fast
        return self._halved(
            lambda start, stop: found(array.slice(start, stop - start), self._type, reading),
            0,
            len(array),
        )

    def _cast_objects(self, values: Sequence[object], reading: Reading) -> Array:
        kinds = set(map(type, values))
        complete = type(None) not in kinds
        kinds -= {type(None)}
        if not kinds:
            return pa.nulls(len(values), arrow_type(self._type))
        kind = kinds.pop()
        build = _NATURAL.get(kind)
        if kinds or build is None or self._type.name == "super":
            return self._judged(0, len(values))
        # A number in a file is text, and means the float nearest to it.
        nearest = kind is Decimal and self._type.name in FLOATS and reading.text
        convert = _decimal_texts if nearest else build
        direct = kind is Decimal and self._type.name == "decimal"

        def cast(start: int, stop: int) -> Array:
            if direct:
                return _from_decimals(values[start:stop], self._type, reading, complete=complete)
            array = convert(values[start:stop], reading)
            fast = FAST.get((self._type.name, kind_of(array.type)))
            if fast is None:
                raise Doubt
            return fast(array, self._type, reading)

        return self._halved(cast, 0, len(values))

    def _halved(self, cast: Callable[[int, int], Array], start: int, stop: int) -> Array:
        """What the cast gives for a range of rows; where it is in doubt, what the judge gives."""
        try:
            return cast(start, stop)
        except DOUBTS:
            if stop - start <= BLOCK:
                return self._judged(start, stop)
        middle = (start + stop) // 2
        parts = [self._halved(cast, start, middle), self._halved(cast, middle, stop)]
        return pa.concat_arrays(parts)

    def _judged(self, start: int, stop: int) -> Array:
        good: list[object] = []
        for row, value in enumerate(self._python(start, stop), start):
            try:
                good.append(None if value is None else self._judge(value))
            except Refusal:
                self.bad.append(row)
                good.append(None)
        return pa.array(good, arrow_type(self._type))

    def _python(self, start: int, stop: int) -> Sequence[object]:
        if is_arrow(self._source):
            return python_values(self._source.slice(start, stop - start))
        found: Sequence[object] = self._source[start:stop]
        return found


def without_empty(array: Array) -> Array:
    """Text with NULL instead of nothing."""
    if not pa.types.is_string(array.type):
        return array
    empty = pc.equal(array, "")
    if not pc.any(empty).as_py():
        return array
    return pc.if_else(empty, pa.scalar(None, array.type), array)


# Python objects of one type, as the Arrow type that holds exactly them.


def _naturally(arrow: Any) -> Callable[[Sequence[Any], Reading], Array]:
    return lambda values, _: pa.array(values, arrow)


def _decimal_texts(values: Sequence[Any], _: Reading) -> Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _from_decimals(
    values: Sequence[Any], data_type: DataType, reading: Reading, *, complete: bool
) -> Array:
    """Python decimals: at once when all have the declared scale, else by way of their text.

    Arrow may misread decimals of more than 38 digits, but counts the digits of those of its scale.
    """
    present = values if complete else [value for value in values if value is not None]
    unit = Decimal((0, (1,), -data_type.scale))
    if not all(map(unit.same_quantum, present)):
        return decimal_from_text(_decimal_texts(values, reading), data_type, reading)
    return in_64_bits(pa.array(values, arrow_type(data_type)), data_type)


def _from_datetimes(values: Sequence[Any], _: Reading) -> Array:
    zones = {value.tzinfo is None for value in values if value is not None}
    if len(zones) == 2:
        raise Doubt
    return pa.array(values, pa.timestamp("us") if True in zones else pa.timestamp("us", "UTC"))


def _from_times(values: Sequence[Any], _: Reading) -> Array:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise Doubt
    return pa.array(values, pa.time64("us"))


_NATURAL: dict[type, Callable[[Sequence[Any], Reading], Array]] = {
    bool: _naturally(pa.bool_()),
    int: _naturally(pa.int64()),
    float: _naturally(pa.float64()),
    str: _naturally(pa.string()),
    bytes: _naturally(pa.binary()),
    date: _naturally(pa.date32()),
    timedelta: _naturally(pa.duration("us")),
    datetime: _from_datetimes,
    time: _from_times,
    Decimal: lambda values, _: pa.array(values),
}
