"""The figures of staged rows, batch by batch, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.plan.figures import MODULUS, Figure, Kind, Value, decimal_units
from loader.sql.datatypes import DataType

Array = Any
"""A `pyarrow.Array` without nulls; pyarrow has no type stubs."""

_INT64_MAX = (1 << 63) - 1

_INT64_DIGITS = 18

_LOW = 0xFFFF_FFFF

_BYTES_READ = 2
"""Bytes of each text that are read to find the least one, before whole texts are compared."""

_FIRST = 1_000
"""What a first character counts, so that two ends that change do not make up for each other."""


class FigureCollector:
    """Takes the figures of the batches of one load.

    Args:
        figures: Which ones.
    """

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._by_column: dict[str, list[Figure]] = {}
        for figure in figures:
            self._by_column.setdefault(figure.column, []).append(figure)
        self._values: dict[Figure, Value] = {figure: _start(figure.kind) for figure in figures}
        self._checksums = _Checksums([one for one in figures if one.kind == "checksum"])

    @property
    def values(self) -> Mapping[Figure, Value]:
        """The figures of all rows so far."""
        return self._values

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the figures of more rows."""
        for name, figures in self._by_column.items():
            column = batch.column(name)
            measures = _Measures(column, figures[0].data_type)
            for figure in figures:
                if figure.kind != "checksum":
                    self._combine(figure, _MEASURES[figure.kind](measures))
        for figure, checksum in self._checksums.of(batch):
            self._combine(figure, checksum)

    def close(self) -> None:
        """Let go of what computes checksums."""
        self._checksums.close()

    def _combine(self, figure: Figure, value: Value) -> None:
        before = self._values[figure]
        if before is None or value is None:
            self._values[figure] = value if before is None else before
        elif figure.kind == "minimum":
            self._values[figure] = min(before, value)
        elif figure.kind == "maximum":
            self._values[figure] = max(before, value)
        else:
            self._values[figure] = before + value  # type: ignore[operator]  # both are integers


def _start(kind: Kind) -> Value:
    return None if kind in ("minimum", "maximum") else 0


class _Measures:
    """The figures of one column of a batch, of which several share work."""

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
            return _units(pc.sum(self._array).as_py(), self._array.type.scale) or 0
        return _total(self._integers, self._extremes)

    def low_digits(self) -> Value:
        return _low_digits(self._array)

    def true(self) -> Value:
        return self._array.true_count

    def octets(self) -> Value:
        return pc.sum(pc.binary_length(self._array)).as_py() or 0

    def ends(self) -> Value:
        return _code_points(self._edges)

    def nan(self) -> Value:
        return int(np.isnan(self._floats).sum())

    def whole(self) -> Value:
        return self._pieces[0]

    def fraction(self) -> Value:
        return self._pieces[1]

    def _extreme(self, which: str) -> Value:
        if self._type in ("real", "double precision"):
            return _extreme_float(self._floats, which)
        return self._extremes[which]

    @cached_property
    def _array(self) -> Array:
        array = self._column.drop_null() if self._column.null_count else self._column
        # Trailing blanks are no part of a CHAR.
        return pc.utf8_rtrim(array, " ") if self._type == "char" else array

    @cached_property
    def _integers(self) -> Array:
        return _as_integers(self._array)

    @cached_property
    def _extremes(self) -> Mapping[str, Any]:
        if self._type in ("char", "varchar"):
            return _extreme_texts(self._array, self._edges)
        return _extremes(self._integers)

    @cached_property
    def _floats(self) -> Any:
        return self._array.to_numpy(zero_copy_only=False).astype(np.float64)

    @cached_property
    def _pieces(self) -> tuple[int, int]:
        return _float_pieces(self._floats)

    @cached_property
    def _edges(self) -> _Edges:
        return _Edges(self._array)


_MEASURES: dict[Kind, Callable[[_Measures], Value]] = {
    "nulls": _Measures.nulls,
    "minimum": _Measures.minimum,
    "maximum": _Measures.maximum,
    "sum": _Measures.sum,
    "low_digits": _Measures.low_digits,
    "true": _Measures.true,
    "bytes": _Measures.octets,
    "ends": _Measures.ends,
    "nan": _Measures.nan,
    "whole": _Measures.whole,
    "fraction": _Measures.fraction,
}


# Integers, decimals, dates and times.


def _as_integers(array: Array) -> Array:
    """Days of dates, microseconds of times and time stamps, units of decimals that have 64 bits."""
    if pa.types.is_date32(array.type):
        return array.view(pa.int32())
    if pa.types.is_temporal(array.type):
        return array.view(pa.int64())
    if pa.types.is_decimal(array.type) and array.type.precision <= _INT64_DIGITS:
        return pa.array(_words(array)[0::2].view(np.int64))
    return array


def _words(array: Array) -> Any:
    """The low and the high half of each decimal of 128 bits, in turn."""
    words = np.frombuffer(array.buffers()[1], np.uint64)
    return words[2 * array.offset : 2 * (array.offset + len(array))]


def _extremes(array: Array) -> Mapping[str, Any]:
    found: Mapping[str, Any] = pc.min_max(array).as_py()
    if pa.types.is_decimal(array.type):
        return {which: _units(value, array.type.scale) for which, value in found.items()}
    return found


def _units(value: Decimal | None, scale: int) -> int | None:
    return None if value is None else decimal_units(value, scale)


def _total(array: Array, extremes: Mapping[str, Any]) -> int:
    """The exact sum of integers; Arrow's own wraps around at 64 bits."""
    largest = max(abs(extremes["min"] or 0), abs(extremes["max"] or 0))
    if largest * len(array) <= _INT64_MAX:
        return int(pc.sum(array).as_py() or 0)
    high = pc.sum(pc.shift_right(array, 32)).as_py()
    low = pc.sum(pc.bit_wise_and(array, pa.scalar(_LOW, array.type))).as_py()
    return (int(high) << 32) + int(low)


def _low_digits(array: Array) -> int:
    """The sum of the remainders modulo 2⁶², which have the sign of the number."""
    if not len(array):
        return 0
    words = _words(array)
    low, negative = words[0::2], words[1::2] >> np.uint64(63) == 1
    remainders = (np.where(negative, ~low + np.uint64(1), low) % np.uint64(MODULUS)).astype(
        np.int64
    )
    return _total_numbers(np.where(negative, -remainders, remainders))


def _total_numbers(numbers: Any) -> int:
    """The exact sum of 64-bit integers in a NumPy array."""
    return (int((numbers >> 32).sum()) << 32) + int((numbers & _LOW).sum())


# Floats.


def _extreme_float(values: Any, which: str) -> float | None:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    return float(finite.min() if which == "min" else finite.max())


def _float_pieces(values: Any) -> tuple[int, int]:
    """The sums of two integers made of each float, as `scaled.sql.j2` makes them."""
    with np.errstate(all="ignore"):
        size = np.abs(values)
        scaled = np.select(
            [size < 2.0**-31, size < 2.0**62, size < 2.0**128, values < 0],
            [values * 2.0**93, values, values * 2.0**-66, np.float64(-1)],
            np.float64(0),
        )
        whole = np.floor(scaled)
        fraction = np.floor((scaled - whole) * 2.0**62)
    return _total_numbers(whole.astype(np.int64)), _total_numbers(fraction.astype(np.int64))


# Text.


class _Edges:
    """Where each text that is not empty begins, how many bytes it has, and its first byte."""

    def __init__(self, array: Array) -> None:
        wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
        _, offsets, data = array.buffers()
        edges: Any = np.frombuffer(offsets, np.int64 if wide else np.int32)
        edges = edges[array.offset : array.offset + len(array) + 1]
        self.lengths = np.diff(edges)
        # Converted once: NumPy would do it again for each look at the data.
        self.starts = edges[:-1].astype(np.intp)
        self.data = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        filled = self.lengths > 0
        if not filled.all():
            self.starts, self.lengths = self.starts[filled], self.lengths[filled]
        self.first: Any = self.data[self.starts]


def _extreme_texts(array: Array, edges: _Edges) -> Mapping[str, bytes | None]:
    """The least and the greatest text by their bytes."""
    if not len(array):
        return {"min": None, "max": None}
    if not len(edges.first):
        return {"min": b"", "max": b""}
    least = b"" if len(edges.first) < len(array) else _extreme_text(edges, greatest=False)
    greatest = None if least is None else _extreme_text(edges, greatest=True)
    if greatest is None:
        return {which: text.encode() for which, text in pc.min_max(array).as_py().items()}
    return {"min": least, "max": greatest}


def _extreme_text(edges: _Edges, *, greatest: bool) -> bytes | None:
    """The least or greatest of texts that are not empty; None where comparing whole is cheaper.

    Candidates are narrowed byte by byte. Most drop out at the first byte, so few bytes are read,
    unless all texts share a prefix.
    """
    starts, lengths, byte = edges.starts, edges.lengths, edges.first
    budget, depth = _BYTES_READ * len(starts), 1
    while budget > 0:
        budget -= len(starts)
        kept = byte == (byte.max() if greatest else byte.min())
        longer = kept & (lengths > depth)
        # A text that ends here sorts before its longer candidates.
        if not longer.any() if greatest else (kept & (lengths == depth)).any():
            start = starts[kept.argmax()]
            return bytes(edges.data[start : start + depth])
        if not longer.all():
            candidates = np.flatnonzero(longer)
            starts, lengths = starts[candidates], lengths[candidates]
        if len(starts) == 1:
            return bytes(edges.data[starts[0] : starts[0] + lengths[0]])
        byte = edges.data[starts + depth]
        depth += 1
    return None


def _code_points(edges: _Edges) -> int:
    """The sum of the code points of first characters, times 1,000, and of last ones."""
    if not len(edges.first):
        return 0
    last = edges.starts + edges.lengths - 1
    final = edges.data[last]
    if edges.first.max() < 0x80 and final.max() < 0x80:
        first, other = (int(codes.sum(dtype=np.int64)) for codes in (edges.first, final))
        return _FIRST * first + other
    for _ in range(3):  # back to where the character begins
        last = np.where(edges.data[last] & 0xC0 == 0x80, last - 1, last)
    return _FIRST * _decode(edges.data, edges.starts) + _decode(edges.data, last)


def _decode(data: Any, at: Any) -> int:
    """The sum of the code points that begin at some places of UTF-8."""
    lead = data[at].astype(np.int64)
    following = [
        data[np.minimum(at + step, len(data) - 1)].astype(np.int64) & 0x3F for step in (1, 2, 3)
    ]
    two, three, four = following
    points = np.select(
        [lead < 0x80, lead < 0xE0, lead < 0xF0],
        [
            lead,
            (lead & 0x1F) << 6 | two,
            (lead & 0x0F) << 12 | two << 6 | three,
        ],
        (lead & 0x07) << 18 | two << 12 | three << 6 | four,
    )
    return int(points.sum())


# Checksums.


class _Checksums:
    """Sums of the first 60 bits of MD5, which DuckDB computes."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._figures = figures
        self._connection: duckdb.DuckDBPyConnection | None = None

    def of(self, batch: pa.RecordBatch) -> list[tuple[Figure, int]]:
        if not self._figures:
            return []
        if self._connection is None:
            self._connection = duckdb.connect(config={"threads": "1"})
        columns = [_hashed(figure, batch.column(figure.column)) for figure in self._figures]
        names = [f"c{number}" for number in range(len(columns))]
        sums = ", ".join(f"sum(('0x' || left(md5({name}), 15))::BIGINT)" for name in names)
        self._connection.register("batch", pa.table(columns, names=names))
        try:
            (row,) = self._connection.execute(f"SELECT {sums} FROM batch").fetchall()
        finally:
            self._connection.unregister("batch")
        return [(figure, int(one or 0)) for figure, one in zip(self._figures, row, strict=True)]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _hashed(figure: Figure, column: Array) -> Array:
    """What is hashed of a column: its text, without the padding of CHAR; binary as hex digits."""
    if figure.data_type.name == "char":
        return pc.utf8_rtrim(column, " ")
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        digits = [None if value is None else value.hex() for value in column.to_pylist()]
        return pa.array(digits, pa.large_string())
    return column
