"""Casts single Python values to declared types, exactly, or raises a `CastError` with the reason.

This module defines what fits: `vectorized` casts whole arrays to the same result, and `column`
falls back to this one where a vectorized cast is unsure. Nothing is rounded, truncated, wrapped,
re-zoned or guessed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from loader.data.cast import exact_times, json_text
from loader.data.cast.errors import (
    FALSE_WORDS,
    TRUE_WORDS,
    Caster,
    CastError,
    CastOptions,
    check_null_marker,
    is_numpy,
    type_mismatch,
    utf8,
    with_article,
)
from loader.data.cast.scalars import is_finer_than_microsecond, to_builtin, to_microseconds
from loader.data.chunk import UnsupportedValue
from loader.sql.datatypes import DataType

MAX_SUPER = 16_000_000
"""The limit of Redshift for the JSON text of a SUPER value, in bytes."""


def make_caster(data_type: DataType, options: CastOptions) -> Caster:
    """The function that casts a value, which is not NULL, to a declared type."""
    rule = _RULES[data_type.name]

    def cast_value(value: object) -> object:
        if isinstance(value, UnsupportedValue):
            raise CastError(value.reason)
        try:
            return rule(_to_builtin(value, data_type), data_type, options)
        except CastError:
            raise
        except Exception as error:  # a foreign object may raise anything
            raise CastError(f"cannot be read as {with_article(data_type)}: {error}") from error

    return cast_value


def _to_builtin(value: Any, data_type: DataType) -> Any:
    """The built-in value of an object of NumPy, pandas, an enum or a subclass."""
    if not is_numpy(value):
        if is_finer_than_microsecond(value):
            raise CastError("is finer than a microsecond")
        return to_builtin(value)
    kind = value.dtype.kind
    if value.shape or kind == "V":
        return value
    if kind in "Mm":
        return to_microseconds(value)
    if kind == "f" and data_type.name == "decimal":
        # A 32-bit float is the decimal it prints as, not the 64-bit float nearest to it.
        return Decimal(str(value)) if math.isfinite(value) else float(value)
    return value.tolist()


# Numbers

INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _cast_integer(value: Any, data_type: DataType, _: CastOptions) -> int:
    high = 1 << (INTEGER_BITS[data_type.name] - 1)
    match value:
        case bool():
            raise type_mismatch(value, data_type)
        case int():
            number = value
        case float() | Decimal():
            if not math.isfinite(value) or value != math.floor(value):
                raise CastError(f"is not a whole number, which {data_type} requires")
            number = int(value) if -high <= value <= high else high
        case str():
            if not _INTEGER.fullmatch(value):
                raise CastError(f"is not {with_article(data_type)}")
            digits = value.lstrip("+-0")
            number = int(value) if len(digits) < 20 else high
        case _:
            raise type_mismatch(value, data_type)
    if not -high <= number < high:
        raise CastError(f"is outside the range of {data_type}, {-high} to {high - 1}")
    return number


def _parse_number_text(value: str, data_type: DataType, options: CastOptions) -> str:
    """The text of a number with a decimal point.

    Raises:
        CastError: it is not a number; likely causes are named.
    """
    comma = options.text and options.decimal == ","
    text = value.translate(_SWAPPED) if comma else value
    if _NUMBER.fullmatch(text):
        return text
    if re.fullmatch(r"[+-]?[0-9]{1,3}([.,' \u00a0\u202f][0-9]{3})+([.,][0-9]*)?", value):
        advice = "thousands separators are not supported"
        if not comma and value.count(",") == 1 and "." not in value:
            advice += '; if the comma is a decimal separator, set source: {decimal: ","}'
        raise CastError(f"is not {with_article(data_type)}: {advice}")
    if options.text and not comma and _NUMBER.fullmatch(value.replace(",", ".")):
        raise CastError(
            f'is not {with_article(data_type)}; for decimal commas set source: {{decimal: ","}}'
        )
    raise CastError(f"is not {with_article(data_type)}" + " with a decimal comma" * comma)


_SWAPPED = str.maketrans(",.", ".,")


def _cast_decimal(value: Any, data_type: DataType, options: CastOptions) -> Decimal:
    match value:
        case bool():
            raise type_mismatch(value, data_type)
        case int() | Decimal():
            number = Decimal(value)
        case float():
            number = Decimal(repr(value))
        case str():
            number = Decimal(_parse_number_text(value, data_type, options))
        case _:
            raise type_mismatch(value, data_type)
    if not number.is_finite():
        raise CastError(f"is not a finite number, which {data_type} requires")
    return _rescale(number, data_type)


def _rescale(number: Decimal, data_type: DataType) -> Decimal:
    """The same number with the scale of the type; nothing is rounded."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    significant = "".join(map(str, digits)).strip("0")
    if not significant:
        return Decimal((0, (0,), -data_type.scale))
    trailing = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    exponent += trailing
    decimals, whole = max(-exponent, 0), max(len(significant) + exponent, 0)
    if decimals > data_type.scale:
        raise CastError(
            f"has {_with_noun(decimals, 'decimal')}, {data_type} holds {data_type.scale}"
        )
    room = data_type.precision - data_type.scale
    if whole > room:
        raise CastError(
            f"has {_with_noun(whole, 'digit')} before the point, {data_type} holds {room}"
        )
    unscaled = int(significant) * 10 ** (exponent + data_type.scale)
    if data_type.precision == 19 and unscaled >= 1 << 63:
        raise CastError(f"is too large: Redshift stores {data_type} in 64 bits")
    return Decimal((sign, tuple(map(int, str(unscaled))), -data_type.scale))


def _with_noun(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _cast_float(value: Any, data_type: DataType, options: CastOptions) -> float:
    number = _cast_any_float(value, data_type, options)
    if options.finite and not math.isfinite(number):
        raise CastError("cannot be staged as JSON; use staging: {format: parquet}")
    return number


def _cast_any_float(value: Any, data_type: DataType, options: CastOptions) -> float:
    real = data_type.name == "real"
    match value:
        case bool():
            raise type_mismatch(value, data_type)
        case float():
            number, exact = _to_float_width(value, real), True
        case int() | Decimal() if options.text:
            # A number in a text file means the nearest float.
            number, exact = _parse_float(str(value), real), False
        case int() | Decimal():
            number, exact = _to_float_width(_nearest_float(value), real), True
        case str() if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        case str():
            text = _parse_number_text(value, data_type, options)
            number, exact = _parse_float(text, real), False
        case _:
            raise type_mismatch(value, data_type)
    if isinstance(value, float) and math.isnan(value):
        return value
    if math.isinf(number) and not (isinstance(value, float | Decimal) and value == number):
        raise CastError(f"is too large for {data_type}")
    if exact and number != value and _shortest_decimal(number, real) != value:
        raise CastError(f"has more digits than {data_type} holds")
    return number


def _nearest_float(value: int | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _parse_float(text: str, real: bool) -> float:
    """The nearest float of a type; through a double a REAL would be rounded twice."""
    if not real:
        return float(text)
    return float(pa.scalar(text.removeprefix("+")).cast(pa.float32()).as_py())


def _to_float_width(value: float, real: bool) -> float:
    if not real:
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _shortest_decimal(number: float, real: bool) -> Decimal | None:
    """The decimal a float prints as; None for a 32-bit float that came from 64 bits."""
    if not math.isfinite(number):
        return None
    if not real:
        return Decimal(repr(number))
    for digits in range(1, 10):
        text = f"{number:.{digits}g}"
        if _to_float_width(float(text), real) == number:
            return Decimal(text)
    return None


# Words


def _cast_boolean(value: Any, data_type: DataType, _: CastOptions) -> bool:
    match value:
        case bool():
            return value
        case int() if value in (0, 1):
            return value == 1
        case str() if value.isascii() and value.lower() in TRUE_WORDS + FALSE_WORDS:
            return value.lower() in TRUE_WORDS
        case int():
            raise CastError("is neither 0 nor 1, so it is not a boolean")
        case str():
            raise CastError("is not a boolean; use true, t, yes, y, 1 or their opposites")
        case _:
            raise type_mismatch(value, data_type)


def _cast_text(value: Any, data_type: DataType, options: CastOptions) -> str:
    if isinstance(value, UUID):
        value = str(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        raise CastError(
            f"is a number, {data_type} takes text: a code that was read as a number has lost its"
            " leading zeros; read it as text"
        )
    if not isinstance(value, str):
        raise type_mismatch(value, data_type)
    size = len(utf8(value))
    if data_type.name == "char" and not value.isascii():
        raise CastError(f"has characters outside ASCII, which {data_type} cannot hold; use varchar")
    if size > data_type.length:
        raise CastError(f"has {_with_noun(size, 'byte')}, {data_type} holds {data_type.length}")
    return check_null_marker(value, options)


def _cast_varbyte(value: Any, data_type: DataType, options: CastOptions) -> bytes:
    if isinstance(value, str) and options.text:
        if not re.fullmatch(r"([0-9A-Fa-f]{2})*", value):
            raise CastError(f"is not hexadecimal, the text form of {data_type}")
        value = bytes.fromhex(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise type_mismatch(value, data_type)
    content = bytes(value)
    if len(content) > data_type.length:
        raise CastError(
            f"has {_with_noun(len(content), 'byte')}, {data_type} holds {data_type.length}"
        )
    return content


def _cast_hex_or_text(value: Any, data_type: DataType, options: CastOptions) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex().upper()
    if not isinstance(value, str):
        raise type_mismatch(value, data_type)
    utf8(value)
    return check_null_marker(value, options)


def _cast_super(value: Any, _: DataType, options: CastOptions) -> str:
    try:
        if isinstance(value, str) and not options.json:
            text = json_text.check_json(value)
        else:
            text = json_text.encode_json(value, nan_is_null=options.nan_is_null)
    except ValueError as error:
        raise CastError(str(error)) from error
    if len(utf8(text)) > MAX_SUPER:
        raise CastError("has more than 16 MB of JSON, the limit of super")
    return text


_RULES: dict[str, Callable[[Any, DataType, CastOptions], object]] = {
    "smallint": _cast_integer,
    "integer": _cast_integer,
    "bigint": _cast_integer,
    "decimal": _cast_decimal,
    "real": _cast_float,
    "double precision": _cast_float,
    "boolean": _cast_boolean,
    "char": _cast_text,
    "varchar": _cast_text,
    "date": exact_times.cast_date,
    "time": exact_times.cast_time,
    "timetz": exact_times.cast_timetz,
    "timestamp": exact_times.cast_timestamp,
    "timestamptz": exact_times.cast_timestamptz,
    "super": _cast_super,
    "varbyte": _cast_varbyte,
    "geometry": _cast_hex_or_text,
    "geography": _cast_hex_or_text,
    "hllsketch": _cast_hex_or_text,
    "interval year to month": exact_times.cast_interval,
    "interval day to second": exact_times.cast_interval,
}
