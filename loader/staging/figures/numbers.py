"""Exact sums and extremes of integers, decimals, dates, times and floats."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.plan.figures import MODULUS, decimal_units

Array = Any
"""A `pyarrow.Array` without nulls; pyarrow has no type stubs."""

_INT64_MAX = (1 << 63) - 1

_INT64_DIGITS = 18

_LOW = 0xFFFF_FFFF


def to_integers(array: Array) -> Array:
    """Days of dates, microseconds of times, unscaled decimals of 64 bits; others unchanged."""
    if pa.types.is_date32(array.type):
        return array.view(pa.int32())
    if pa.types.is_temporal(array.type):
        return array.view(pa.int64())
    if pa.types.is_decimal(array.type) and array.type.precision <= _INT64_DIGITS:
        return pa.array(_decimal_words(array)[0::2].view(np.int64))
    return array


def _decimal_words(array: Array) -> Any:
    """The 64-bit words of 128-bit decimals, the low one of each before the high one."""
    words = np.frombuffer(array.buffers()[1], np.uint64)
    return words[2 * array.offset : 2 * (array.offset + len(array))]


def find_extremes(array: Array) -> Mapping[str, Any]:
    """The least and greatest number as ``min`` and ``max``; decimals are unscaled."""
    found: Mapping[str, Any] = pc.min_max(array).as_py()
    if pa.types.is_decimal(array.type):
        return {which: unscale(value, array.type.scale) for which, value in found.items()}
    return found


def unscale(value: Decimal | None, scale: int) -> int | None:
    """The integer that a decimal is with all digits of its scale."""
    return None if value is None else decimal_units(value, scale)


def sum_integers(array: Array, extremes: Mapping[str, Any]) -> int:
    """The exact sum of integers, where Arrow's own could overflow 64 bits.

    Args:
        array: The integers.
        extremes: Their `find_extremes`.
    """
    largest = max(abs(extremes["min"] or 0), abs(extremes["max"] or 0))
    if largest * len(array) <= _INT64_MAX:
        return int(pc.sum(array).as_py() or 0)
    high = pc.sum(pc.shift_right(array, 32)).as_py()
    low = pc.sum(pc.bit_wise_and(array, pa.scalar(_LOW, array.type))).as_py()
    return (int(high) << 32) + int(low)


def sum_low_digits(array: Array) -> int:
    """The sum of decimals modulo 2⁶²; each remainder has the sign of its number."""
    if not len(array):
        return 0
    words = _decimal_words(array)
    low, negative = words[0::2], words[1::2] >> np.uint64(63) == 1
    remainders = (np.where(negative, ~low + np.uint64(1), low) % np.uint64(MODULUS)).astype(
        np.int64
    )
    return _sum_int64(np.where(negative, -remainders, remainders))


def _sum_int64(numbers: Any) -> int:
    """The exact sum of 64-bit integers in a NumPy array."""
    return (int((numbers >> 32).sum()) << 32) + int((numbers & _LOW).sum())


def find_extreme_float(values: Any, which: str) -> float | None:
    """The least (``min``) or greatest (``max``) finite number of a NumPy array."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    return float(finite.min() if which == "min" else finite.max())


def sum_floats(values: Any) -> tuple[int, int]:
    """Two sums that together depend on every bit of each float, as in `scaled.sql.j2`."""
    with np.errstate(all="ignore"):
        size = np.abs(values)
        endless = np.where(values < 0, -(2.0**60), 2.0**60)  # also of NaN
        cases: list[tuple[Any, Any]] = [
            (size < 2.0**-82, values * 2.0**144),
            (size < 2.0**-10, values * 2.0**72),
            (size < 2.0**62, values),
            (size < 2.0**128, values * 2.0**-66),
            (~np.isfinite(values), endless),
            (values < 0, np.float64(-1)),
        ]
        conditions, choices = zip(*cases, strict=True)
        scaled = np.select(conditions, choices, np.float64(0))
        whole = np.floor(scaled)
        fraction = np.floor((scaled - whole) * 2.0**62)
    return _sum_int64(whole.astype(np.int64)), _sum_int64(fraction.astype(np.int64))
