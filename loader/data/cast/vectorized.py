"""Casts whole Arrow arrays to declared types at once, where the result is certain.

Such a cast returns what `exact` returns for each row, or raises one of `UNSURE_ERRORS`, even if
all rows may fit. It adds checks where Arrow's own casts truncate, overflow or misread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import Array, arrow_type
from loader.data.cast.errors import FALSE_WORDS, NULL_MARKER, TRUE_WORDS, CastOptions
from loader.sql.datatypes import DataType

VectorizedCast = Callable[[Any, DataType, CastOptions], Any]

FIRST_DAY, LAST_DAY = date.min.toordinal() - 719_163, date.max.toordinal() - 719_163
FIRST_MICROSECOND = FIRST_DAY * 86_400_000_000
LAST_MICROSECOND = (LAST_DAY + 1) * 86_400_000_000 - 1

KNOWN_ZONES = (-2_145_916_800_000_000, 2_114_380_800_000_000)
"""1902 to 2037 in microseconds; outside, Arrow's time zones differ from the tz database."""

MAX_DIGITS = 38
"""Digits that a 128-bit decimal always holds."""


_FIRST_NOT_ASCII = 0x80


class UnsureError(ValueError):
    """A vectorized cast is not certain that all rows fit; `exact` has to cast them."""


UNSURE_ERRORS = (UnsureError, pa.ArrowException, ValueError, TypeError, ArithmeticError)


def _require(condition: Any) -> None:
    """Raise `UnsureError` unless a mask is true in every row that is not NULL."""
    if pc.all(condition).as_py() is False:
        raise UnsureError


def _require_range(array: Array, low: int, high: int) -> Array:
    """Return the array; raise `UnsureError` when a value is outside of the range."""
    ends = pc.min_max(array)
    if ends["min"].is_valid and not low <= ends["min"].as_py() <= ends["max"].as_py() <= high:
        raise UnsureError
    return array


def _arrow_cast(array: Array, data_type: DataType, _: CastOptions) -> Array:
    """Arrow's own cast, for pairs of types where it checks everything."""
    return array.cast(arrow_type(data_type))


def _integer_from_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    _require(pc.match_substring_regex(array, "^-?[0-9]+$"))
    return _arrow_cast(array, data_type, options)


def _integer_from_decimal(array: Array, data_type: DataType, options: CastOptions) -> Array:
    if array.type.scale < 0:
        raise UnsureError
    return _arrow_cast(array, data_type, options)


def _decimal_from_integer(array: Array, data_type: DataType, options: CastOptions) -> Array:
    return _cast_decimal(array.cast(pa.decimal128(20, 0)), data_type, options)


def _decimal_from_float(array: Array, data_type: DataType, options: CastOptions) -> Array:
    if pa.types.is_float64(array.type) and data_type.scale <= EXACT_POWERS:
        try:
            return _cast_decimal(_scale_floats(array, data_type.scale), data_type, options)
        except UnsureError:
            pass
    return decimal_from_text(array.cast(pa.string()), data_type, options)


EXACT_POWERS = 22
"""The powers of ten up to this one are exact in 64-bit floats."""


def _scale_floats(array: Array, scale: int) -> Array:
    """Floats as decimals of at most 15 digits, so that each float has exactly one."""
    power = 10.0**scale
    unscaled = pc.round(pc.multiply(array, power))
    _require(pc.and_(pc.less(pc.abs(unscaled), 1e15), pc.equal(pc.divide(unscaled, power), array)))
    whole = unscaled.cast(pa.int64()).cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(
        pa.decimal128(38, scale), len(whole), whole.buffers(), offset=whole.offset
    )


def _with_decimal_point(array: Array, options: CastOptions) -> Array:
    """Number texts with a decimal point."""
    if not options.text or options.decimal == ".":
        return array
    if pc.any(pc.match_substring(array, ".")).as_py():
        raise UnsureError
    return pc.replace_substring(array, options.decimal, ".")


def _decimal_from_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    return decimal_from_text(_with_decimal_point(array, options), data_type, options)


def decimal_from_text(array: Array, data_type: DataType, _: CastOptions) -> Array:
    """Decimals from text as written, exponents included."""
    return check_64_bits(_parse_decimals(array, arrow_type(data_type)), data_type)


def _parse_decimals(array: Array, target: Any) -> Array:
    """Decimals from text, unless 128 bits could overflow, which Arrow does not notice."""
    if (pc.max(pc.binary_length(array)).as_py() or 0) > MAX_DIGITS:
        raise UnsureError
    size = pc.abs(array.cast(pa.float64()))
    low, high = 10.0**-target.scale, 10.0 ** (target.precision - target.scale)
    zero = pc.equal(size, 0.0)
    _require(pc.and_(pc.less(size, high), pc.or_(pc.greater_equal(size, low), zero)))
    # A number that is too small for a float has become zero.
    _require(pc.match_substring_regex(array.filter(zero), r"^[+-]?[0.]+$"))
    return array.cast(target)


def _cast_decimal(array: Array, data_type: DataType, options: CastOptions) -> Array:
    # Checked here, since Arrow does not notice when rescaling overflows 128 bits.
    ends = pc.min_max(array)
    high = Decimal(10) ** (data_type.precision - data_type.scale)
    if ends["min"].is_valid and not -high < ends["min"].as_py() <= ends["max"].as_py() < high:
        raise UnsureError
    return check_64_bits(_arrow_cast(array, data_type, options), data_type)


def check_64_bits(array: Array, data_type: DataType) -> Array:
    """Return the array; of precision 19 only values that Redshift can store in 64 bits."""
    if data_type.precision == 19:
        unscaled = (1 << 63) - 1
        top = Decimal((0, tuple(map(int, str(unscaled))), -data_type.scale))
        ends = pc.min_max(array)
        if ends["min"].is_valid and not -top <= ends["min"].as_py() <= ends["max"].as_py() <= top:
            raise UnsureError
    return array


def _float_from_float(array: Array, data_type: DataType, options: CastOptions) -> Array:
    cast = _arrow_cast(array, data_type, options)
    if cast.type.bit_width < array.type.bit_width:
        back = cast.cast(array.type)
        _require(pc.or_(pc.equal(back, array), pc.and_(pc.is_nan(back), pc.is_nan(array))))
    if options.finite:
        _require(pc.is_finite(cast))
    return cast


def _float_from_decimal(array: Array, data_type: DataType, options: CastOptions) -> Array:
    cast = _float_from_text(array.cast(pa.string()), data_type, replace(options, text=False))
    if array.type.precision > (6 if data_type.name == "real" else 15):
        _require(pc.equal(_parse_decimals(cast.cast(pa.string()), array.type), array))
    return cast


def _float_from_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    cast = _arrow_cast(_with_decimal_point(array, options), data_type, options)
    _require(pc.is_finite(cast))
    return cast


def _boolean_from_integer(array: Array, data_type: DataType, options: CastOptions) -> Array:
    return _arrow_cast(_require_range(array, 0, 1), data_type, options)


def _boolean_from_text(array: Array, _: DataType, __: CastOptions) -> Array:
    words = pc.ascii_lower(array)
    true = pc.is_in(words, pa.array(TRUE_WORDS))
    false = pc.is_in(words, pa.array(FALSE_WORDS))
    _require(pc.or_(pc.or_(true, false), array.is_null()))
    return pc.if_else(array.is_valid(), true, pa.scalar(None, pa.bool_()))


def _cast_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > data_type.length:
        raise UnsureError
    if data_type.name == "char":
        _require(pc.string_is_ascii(array))
    return _check_text(array, data_type, options)


def _check_text(array: Array, _: DataType, options: CastOptions) -> Array:
    if options.null_marker:
        _require(pc.not_equal(array, NULL_MARKER))
    # The cast through binary validates the UTF-8 of arrays from other libraries.
    unchecked = options.text or _is_ascii(array)
    return array if unchecked else array.cast(pa.binary()).cast(pa.string())


def _is_ascii(array: Array) -> bool:
    """Whether text has only ASCII characters, by the bytes between its first and last offset.

    It takes a twentieth of the time of validating UTF-8, or of `string_is_ascii`.
    """
    _, offsets, content = array.buffers()
    if content is None or array.type != pa.string():
        return False
    ends = np.frombuffer(offsets, np.int32)
    start, stop = ends[array.offset], ends[array.offset + len(array)]
    return bool(np.frombuffer(content, np.uint8)[start:stop].max(initial=0) < _FIRST_NOT_ASCII)


def _check_varbyte(array: Array, data_type: DataType, _: CastOptions) -> Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > data_type.length:
        raise UnsureError
    return array


def _cast_date(array: Array, data_type: DataType, options: CastOptions) -> Array:
    days = _arrow_cast(array, data_type, options)
    _require_range(days.view(pa.int32()), FIRST_DAY, LAST_DAY)
    return days


def _date_from_timestamp(array: Array, data_type: DataType, options: CastOptions) -> Array:
    days = _cast_date(array, data_type, options)
    _require(pc.equal(days.cast(array.type), array))
    return days


def _date_from_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    if options.text and options.date_format:
        return _date_from_timestamp(_parse_format(array, options.date_format), data_type, options)
    return _cast_date(array, data_type, options)


def _parse_format(array: Array, written: str) -> Array:
    """Time stamps parsed by a format, provided that formatting them gives the same text."""
    stamps = pc.strptime(array, format=written, unit="s")
    if stamps.type.tz is not None:
        raise UnsureError
    _require(pc.equal(pc.strftime(stamps, format=written), array))
    return stamps


def _cast_timestamps(array: Array, data_type: DataType, options: CastOptions) -> Array:
    stamps = _arrow_cast(array, data_type, options)
    _require_range(stamps.view(pa.int64()), FIRST_MICROSECOND, LAST_MICROSECOND)
    return stamps


def _strip_zeros(array: Array) -> Array:
    """Time stamp texts without the zeros that follow six decimals."""
    if (pc.max(pc.binary_length(array)).as_py() or 0) <= len("2013-01-01T00:00:00.000000"):
        return array
    return pc.replace_substring_regex(array, r"(\.[0-9]{6})0+(Z|[+-].*)?$", r"\1\2")


def _timestamp_from_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    if options.text and options.timestamp_format:
        array = _parse_format(array, options.timestamp_format)
    else:
        array = _strip_zeros(array)
    return _cast_timestamps(array, data_type, options)


def _timestamptz_from_naive(array: Array, data_type: DataType, options: CastOptions) -> Array:
    if options.timezone is None:
        raise UnsureError
    naive = array.cast(pa.timestamp("us"))
    _require_range(naive.view(pa.int64()), *KNOWN_ZONES)
    local = pc.assume_timezone(naive, options.timezone, ambiguous="raise", nonexistent="raise")
    return _cast_timestamps(local, data_type, options)


def _timestamptz_from_text(array: Array, data_type: DataType, options: CastOptions) -> Array:
    if options.text and options.timestamp_format:
        naive = _parse_format(array, options.timestamp_format)
        return _timestamptz_from_naive(naive, data_type, options)
    array = _strip_zeros(array)
    try:
        return _cast_timestamps(array, data_type, options)
    except pa.ArrowInvalid:
        if options.timezone is None:
            raise
        return _timestamptz_from_naive(array, data_type, options)


def _cast_times(array: Array, data_type: DataType, options: CastOptions) -> Array:
    times = _arrow_cast(array, data_type, options)
    _require_range(times.view(pa.int64()), 0, 86_400_000_000 - 1)
    return times


_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"


def _time_from_text(array: Array, data_type: DataType, _: CastOptions) -> Array:
    _require(pc.match_substring_regex(array, f"^{_CLOCK}$"))
    # Arrow reads times only as part of a time stamp; on day 0 the two are the same number.
    stamps = pc.binary_join_element_wise("1970-01-01", array, "T").cast(pa.timestamp("us"))
    return stamps.view(pa.int64()).view(arrow_type(data_type))


def _timetz_from_text(array: Array, _: DataType, __: CastOptions) -> Array:
    _require(pc.match_substring_regex(array, f"^{_CLOCK}{_OFFSET}$"))
    return array


_INTEGERS = ("smallint", "integer", "bigint")
FLOATS = ("real", "double precision")
_INTERVALS = ("interval year to month", "interval day to second")
_HEXABLE = ("geometry", "geography", "hllsketch")


def _by_type_and_family(
    *rows: tuple[Sequence[str], str, VectorizedCast],
) -> dict[tuple[str, str], VectorizedCast]:
    return {(name, family): cast for names, family, cast in rows for name in names}


VECTORIZED_CASTS = _by_type_and_family(
    (_INTEGERS, "integer", _arrow_cast),
    (_INTEGERS, "float", _arrow_cast),
    (_INTEGERS, "decimal", _integer_from_decimal),
    (_INTEGERS, "text", _integer_from_text),
    (["decimal"], "decimal", _cast_decimal),
    (["decimal"], "integer", _decimal_from_integer),
    (["decimal"], "float", _decimal_from_float),
    (["decimal"], "text", _decimal_from_text),
    (FLOATS, "float", _float_from_float),
    (FLOATS, "integer", _arrow_cast),
    (FLOATS, "decimal", _float_from_decimal),
    (FLOATS, "text", _float_from_text),
    (["boolean"], "boolean", _arrow_cast),
    (["boolean"], "integer", _boolean_from_integer),
    (["boolean"], "text", _boolean_from_text),
    (["char", "varchar"], "text", _cast_text),
    (["date"], "date", _cast_date),
    (["date"], "timestamp", _date_from_timestamp),
    (["date"], "text", _date_from_text),
    (["timestamp"], "timestamp", _cast_timestamps),
    (["timestamp"], "date", _cast_timestamps),
    (["timestamp"], "text", _timestamp_from_text),
    (["timestamptz"], "timestamptz", _cast_timestamps),
    (["timestamptz"], "timestamp", _timestamptz_from_naive),
    (["timestamptz"], "date", _timestamptz_from_naive),
    (["timestamptz"], "text", _timestamptz_from_text),
    (["time"], "time", _cast_times),
    (["time"], "text", _time_from_text),
    (["timetz"], "text", _timetz_from_text),
    (["varbyte"], "binary", _check_varbyte),
    (_HEXABLE, "text", _check_text),
)

EXACT_ONLY = frozenset(
    [(name, "binary") for name in _HEXABLE]
    + [(name, kind) for name in _INTERVALS for kind in ("text", "duration", "interval")]
    + [("varbyte", "text")]
)
"""Pairs of types that only `exact` can cast."""
