"""Vectorised casts of whole Arrow arrays. Each gives the array of the declared type, or refuses.

A fast cast may be too strict, never too lenient: what it gives is what `exact` would give
for every row. Where Arrow's own casts truncate, overflow or misread, it checks or stands back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import Array, arrow_type
from loader.data.cast.errors import FALSE_WORDS, NULL_MARKER, TRUE_WORDS, Reading
from loader.sql.datatypes import DataType

Fast = Callable[[Any, DataType, Reading], Any]

FIRST_DAY, LAST_DAY = date.min.toordinal() - 719_163, date.max.toordinal() - 719_163
FIRST_MICROSECOND = FIRST_DAY * 86_400_000_000
LAST_MICROSECOND = (LAST_DAY + 1) * 86_400_000_000 - 1

KNOWN_ZONES = (-2_145_916_800_000_000, 2_114_380_800_000_000)
"""1902 to 2037 in microseconds: outside, Arrow's time zones are not those of the tz database."""

MAX_DIGITS = 38
"""Digits that a 128-bit decimal always holds."""


class Doubt(ValueError):  # noqa: N818  # it is none: it sends the rows to the judge
    """A fast cast is not sure that every row of a block fits."""


DOUBTS = (Doubt, pa.ArrowException, ValueError, TypeError, ArithmeticError)


def _sure(condition: Any) -> None:
    """Go on only when a mask holds in every row that is not NULL."""
    if pc.all(condition).as_py() is False:
        raise Doubt


def _within(array: Array, low: int, high: int) -> Array:
    ends = pc.min_max(array)
    if ends["min"].is_valid and not low <= ends["min"].as_py() <= ends["max"].as_py() <= high:
        raise Doubt
    return array


def _as_is(array: Array, data_type: DataType, _: Reading) -> Array:
    """Arrow's own cast, where it checks all that has to be checked."""
    return array.cast(arrow_type(data_type))


def _integer_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    _sure(pc.match_substring_regex(array, "^-?[0-9]+$"))
    return _as_is(array, data_type, reading)


def _integer_from_decimal(array: Array, data_type: DataType, reading: Reading) -> Array:
    if array.type.scale < 0:
        raise Doubt
    return _as_is(array, data_type, reading)


def _decimal_from_integer(array: Array, data_type: DataType, reading: Reading) -> Array:
    return _decimal(array.cast(pa.decimal128(20, 0)), data_type, reading)


def _decimal_from_float(array: Array, data_type: DataType, reading: Reading) -> Array:
    if pa.types.is_float64(array.type) and data_type.scale <= EXACT_POWERS:
        try:
            return _decimal(_scaled(array, data_type.scale), data_type, reading)
        except Doubt:
            pass
    return decimal_from_text(array.cast(pa.string()), data_type, reading)


EXACT_POWERS = 22
"""The powers of ten up to this one are exact in 64-bit floats."""


def _scaled(array: Array, scale: int) -> Array:
    """Floats as decimals of at most 15 digits, of which only one is the same float."""
    power = 10.0**scale
    unscaled = pc.round(pc.multiply(array, power))
    _sure(pc.and_(pc.less(pc.abs(unscaled), 1e15), pc.equal(pc.divide(unscaled, power), array)))
    whole = unscaled.cast(pa.int64()).cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(
        pa.decimal128(38, scale), len(whole), whole.buffers(), offset=whole.offset
    )


def _pointed(array: Array, reading: Reading) -> Array:
    """Numbers of text with a point before their decimals."""
    if not reading.text or reading.decimal == ".":
        return array
    if pc.any(pc.match_substring(array, ".")).as_py():
        raise Doubt
    return pc.replace_substring(array, reading.decimal, ".")


def _decimal_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    return decimal_from_text(_pointed(array, reading), data_type, reading)


def decimal_from_text(array: Array, data_type: DataType, _: Reading) -> Array:
    """Decimals as they are written, exponents included."""
    return in_64_bits(_parsed(array, arrow_type(data_type)), data_type)


def _parsed(array: Array, target: Any) -> Array:
    """Decimals of text, when Arrow reads them right: it does not notice that 128 bits overflow."""
    if (pc.max(pc.binary_length(array)).as_py() or 0) > MAX_DIGITS:
        raise Doubt
    size = pc.abs(array.cast(pa.float64()))
    low, high = 10.0**-target.scale, 10.0 ** (target.precision - target.scale)
    zero = pc.equal(size, 0.0)
    _sure(pc.and_(pc.less(size, high), pc.or_(pc.greater_equal(size, low), zero)))
    # A zero may be a number that is too small for a float.
    _sure(pc.match_substring_regex(array.filter(zero), r"^[+-]?[0.]+$"))
    return array.cast(target)


def _decimal(array: Array, data_type: DataType, reading: Reading) -> Array:
    # Checked here, since Arrow does not notice when rescaling overflows 128 bits.
    ends = pc.min_max(array)
    high = Decimal(10) ** (data_type.precision - data_type.scale)
    if ends["min"].is_valid and not -high < ends["min"].as_py() <= ends["max"].as_py() < high:
        raise Doubt
    return in_64_bits(_as_is(array, data_type, reading), data_type)


def in_64_bits(array: Array, data_type: DataType) -> Array:
    """Redshift keeps a precision of 19 in 64 bits, which is a little less than 19 nines."""
    if data_type.precision == 19:
        unscaled = (1 << 63) - 1
        top = Decimal((0, tuple(map(int, str(unscaled))), -data_type.scale))
        ends = pc.min_max(array)
        if ends["min"].is_valid and not -top <= ends["min"].as_py() <= ends["max"].as_py() <= top:
            raise Doubt
    return array


def _float_from_float(array: Array, data_type: DataType, reading: Reading) -> Array:
    cast = _as_is(array, data_type, reading)
    if cast.type.bit_width < array.type.bit_width:
        back = cast.cast(array.type)
        _sure(pc.or_(pc.equal(back, array), pc.and_(pc.is_nan(back), pc.is_nan(array))))
    if reading.finite:
        _sure(pc.is_finite(cast))
    return cast


def _float_from_decimal(array: Array, data_type: DataType, reading: Reading) -> Array:
    cast = _float_from_text(array.cast(pa.string()), data_type, replace(reading, text=False))
    if array.type.precision > (6 if data_type.name == "real" else 15):
        _sure(pc.equal(_parsed(cast.cast(pa.string()), array.type), array))
    return cast


def _float_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    cast = _as_is(_pointed(array, reading), data_type, reading)
    _sure(pc.is_finite(cast))
    return cast


def _boolean_from_integer(array: Array, data_type: DataType, reading: Reading) -> Array:
    return _as_is(_within(array, 0, 1), data_type, reading)


def _boolean_from_text(array: Array, _: DataType, __: Reading) -> Array:
    words = pc.ascii_lower(array)
    true = pc.is_in(words, pa.array(TRUE_WORDS))
    false = pc.is_in(words, pa.array(FALSE_WORDS))
    _sure(pc.or_(pc.or_(true, false), array.is_null()))
    return pc.if_else(array.is_valid(), true, pa.scalar(None, pa.bool_()))


def _text(array: Array, data_type: DataType, reading: Reading) -> Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > data_type.length:
        raise Doubt
    if data_type.name == "char":
        _sure(pc.string_is_ascii(array))
    return _any_text(array, data_type, reading)


def _any_text(array: Array, _: DataType, reading: Reading) -> Array:
    if reading.null_marker:
        _sure(pc.not_equal(array, NULL_MARKER))
    # The way through binary checks the UTF-8, which a foreign array may have got wrong.
    return array if reading.text else array.cast(pa.binary()).cast(pa.string())


def _varbyte(array: Array, data_type: DataType, _: Reading) -> Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > data_type.length:
        raise Doubt
    return array


def _date(array: Array, data_type: DataType, reading: Reading) -> Array:
    days = _as_is(array, data_type, reading)
    _within(days.view(pa.int32()), FIRST_DAY, LAST_DAY)
    return days


def _date_from_timestamp(array: Array, data_type: DataType, reading: Reading) -> Array:
    days = _date(array, data_type, reading)
    _sure(pc.equal(days.cast(array.type), array))
    return days


def _date_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.text and reading.date_format:
        return _date_from_timestamp(_strptime(array, reading.date_format), data_type, reading)
    return _date(array, data_type, reading)


def _strptime(array: Array, written: str) -> Array:
    """Time stamps of a format, when writing them again gives the very same text."""
    stamps = pc.strptime(array, format=written, unit="s")
    if stamps.type.tz is not None:
        raise Doubt
    _sure(pc.equal(pc.strftime(stamps, format=written), array))
    return stamps


def _stamps(array: Array, data_type: DataType, reading: Reading) -> Array:
    stamps = _as_is(array, data_type, reading)
    _within(stamps.view(pa.int64()), FIRST_MICROSECOND, LAST_MICROSECOND)
    return stamps


def _without_zeros(array: Array) -> Array:
    """Time stamps of text without the zeros that follow six decimals."""
    if (pc.max(pc.binary_length(array)).as_py() or 0) <= len("2013-01-01T00:00:00.000000"):
        return array
    return pc.replace_substring_regex(array, r"(\.[0-9]{6})0+(Z|[+-].*)?$", r"\1\2")


def _timestamp_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.text and reading.timestamp_format:
        array = _strptime(array, reading.timestamp_format)
    else:
        array = _without_zeros(array)
    return _stamps(array, data_type, reading)


def _timestamptz_from_naive(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.timezone is None:
        raise Doubt
    naive = array.cast(pa.timestamp("us"))
    _within(naive.view(pa.int64()), *KNOWN_ZONES)
    local = pc.assume_timezone(naive, reading.timezone, ambiguous="raise", nonexistent="raise")
    return _stamps(local, data_type, reading)


def _timestamptz_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.text and reading.timestamp_format:
        naive = _strptime(array, reading.timestamp_format)
        return _timestamptz_from_naive(naive, data_type, reading)
    array = _without_zeros(array)
    try:
        return _stamps(array, data_type, reading)
    except pa.ArrowInvalid:
        if reading.timezone is None:
            raise
        return _timestamptz_from_naive(array, data_type, reading)


def _times(array: Array, data_type: DataType, reading: Reading) -> Array:
    times = _as_is(array, data_type, reading)
    _within(times.view(pa.int64()), 0, 86_400_000_000 - 1)
    return times


_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"


def _time_from_text(array: Array, data_type: DataType, _: Reading) -> Array:
    _sure(pc.match_substring_regex(array, f"^{_CLOCK}$"))
    # Arrow reads times only as part of a time stamp; on day 0 the two are the same number.
    stamps = pc.binary_join_element_wise("1970-01-01", array, "T").cast(pa.timestamp("us"))
    return stamps.view(pa.int64()).view(arrow_type(data_type))


def _timetz_from_text(array: Array, _: DataType, __: Reading) -> Array:
    _sure(pc.match_substring_regex(array, f"^{_CLOCK}{_OFFSET}$"))
    return array


_INTEGERS = ("smallint", "integer", "bigint")
FLOATS = ("real", "double precision")
_INTERVALS = ("interval year to month", "interval day to second")
_HEXABLE = ("geometry", "geography", "hllsketch")


def _table(*rows: tuple[Sequence[str], str, Fast]) -> dict[tuple[str, str], Fast]:
    return {(name, kind): fast for names, kind, fast in rows for name in names}


FAST = _table(
    (_INTEGERS, "integer", _as_is),
    (_INTEGERS, "float", _as_is),
    (_INTEGERS, "decimal", _integer_from_decimal),
    (_INTEGERS, "text", _integer_from_text),
    (["decimal"], "decimal", _decimal),
    (["decimal"], "integer", _decimal_from_integer),
    (["decimal"], "float", _decimal_from_float),
    (["decimal"], "text", _decimal_from_text),
    (FLOATS, "float", _float_from_float),
    (FLOATS, "integer", _as_is),
    (FLOATS, "decimal", _float_from_decimal),
    (FLOATS, "text", _float_from_text),
    (["boolean"], "boolean", _as_is),
    (["boolean"], "integer", _boolean_from_integer),
    (["boolean"], "text", _boolean_from_text),
    (["char", "varchar"], "text", _text),
    (["date"], "date", _date),
    (["date"], "timestamp", _date_from_timestamp),
    (["date"], "text", _date_from_text),
    (["timestamp"], "timestamp", _stamps),
    (["timestamp"], "date", _stamps),
    (["timestamp"], "text", _timestamp_from_text),
    (["timestamptz"], "timestamptz", _stamps),
    (["timestamptz"], "timestamp", _timestamptz_from_naive),
    (["timestamptz"], "date", _timestamptz_from_naive),
    (["timestamptz"], "text", _timestamptz_from_text),
    (["time"], "time", _times),
    (["time"], "text", _time_from_text),
    (["timetz"], "text", _timetz_from_text),
    (["varbyte"], "binary", _varbyte),
    (_HEXABLE, "text", _any_text),
)

JUDGED = frozenset(
    [(name, "binary") for name in _HEXABLE]
    + [(name, kind) for name in _INTERVALS for kind in ("text", "duration", "interval")]
    + [("varbyte", "text")]
)
"""Pairs without a fast cast whose values may fit all the same."""
