"""What "fits" means: one Python value as one declared type, exactly, or a refusal that says why.

`casts` does the same to whole columns at once and comes here for the rows it is not sure of,
so this module alone decides. Nothing is rounded, truncated, wrapped, re-zoned or guessed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from loader.data.cast import exact_times, json_text
from loader.data.cast.errors import (
    FALSE_WORDS,
    TRUE_WORDS,
    Judge,
    Reading,
    Refusal,
    a,
    is_numpy,
    mismatch,
    unmarked,
    utf8,
)
from loader.data.cast.scalars import base_value, is_finer, microseconds
from loader.data.chunk import UnsupportedValue
from loader.sql.datatypes import DataType

MAX_SUPER = 16_000_000
"""Bytes of JSON text a SUPER value may have; the limit of Redshift is 16 MB."""


def judge(data_type: DataType, reading: Reading) -> Judge:
    """The one rule for values of a declared type; NULL is not its business."""
    rule = _RULES[data_type.name]

    def decide(value: object) -> object:
        if isinstance(value, UnsupportedValue):
            raise Refusal(value.reason)
        try:
            return rule(_plain(value, data_type), data_type, reading)
        except Refusal:
            raise
        except Exception as error:  # a foreign object may raise anything when it is looked at
            raise Refusal(f"cannot be read as {a(data_type)}: {error}") from error

    return decide


def _plain(value: Any, data_type: DataType) -> Any:
    """The built-in value that an object of a subclass, an enum, NumPy or pandas stands for."""
    if not is_numpy(value):
        if is_finer(value):
            raise Refusal("is finer than a microsecond")
        return base_value(value)
    kind = value.dtype.kind
    if value.shape or kind == "V":
        return value
    if kind in "Mm":
        return microseconds(value)
    if kind == "f" and data_type.name == "decimal":
        # A 32-bit float is the decimal it prints as, not the 64-bit float nearest to it.
        return Decimal(str(value)) if math.isfinite(value) else float(value)
    return value.tolist()


# Numbers

INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _integer(value: Any, data_type: DataType, _: Reading) -> int:
    high = 1 << (INTEGER_BITS[data_type.name] - 1)
    match value:
        case bool():
            raise mismatch(value, data_type)
        case int():
            number = value
        case float() | Decimal():
            if not math.isfinite(value) or value != math.floor(value):
                raise Refusal(f"is not a whole number, {data_type} holds nothing else")
            number = int(value) if -high <= value <= high else high
        case str():
            if not _INTEGER.fullmatch(value):
                raise Refusal(f"is not {a(data_type)}")
            digits = value.lstrip("+-0")
            number = int(value) if len(digits) < 20 else high
        case _:
            raise mismatch(value, data_type)
    if not -high <= number < high:
        raise Refusal(f"is outside the range of {data_type}, {-high} to {high - 1}")
    return number


def _number_text(value: str, data_type: DataType, reading: Reading) -> str:
    """The text of a number with a point before its decimals."""
    comma = reading.text and reading.decimal == ","
    text = value.translate(_SWAPPED) if comma else value
    if _NUMBER.fullmatch(text):
        return text
    if re.fullmatch(r"[+-]?[0-9]{1,3}([.,' \u00a0\u202f][0-9]{3})+([.,][0-9]*)?", value):
        advice = "thousands separators are not read"
        if not comma and value.count(",") == 1 and "." not in value:
            advice += '; if its comma is a decimal comma, set source: {decimal: ","}'
        raise Refusal(f"is not {a(data_type)}: {advice}")
    if reading.text and not comma and _NUMBER.fullmatch(value.replace(",", ".")):
        raise Refusal(f'is not {a(data_type)}; for decimal commas set source: {{decimal: ","}}')
    raise Refusal(f"is not {a(data_type)}" + " with a decimal comma" * comma)


_SWAPPED = str.maketrans(",.", ".,")


def _decimal(value: Any, data_type: DataType, reading: Reading) -> Decimal:
    match value:
        case bool():
            raise mismatch(value, data_type)
        case int() | Decimal():
            number = Decimal(value)
        case float():
            number = Decimal(repr(value))
        case str():
            number = Decimal(_number_text(value, data_type, reading))
        case _:
            raise mismatch(value, data_type)
    if not number.is_finite():
        raise Refusal(f"is not a finite number, {data_type} holds nothing else")
    return _fit(number, data_type)


def _fit(number: Decimal, data_type: DataType) -> Decimal:
    """The same number with the type's scale; its digits are moved, never rounded."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    significant = "".join(map(str, digits)).strip("0")
    if not significant:
        return Decimal((0, (0,), -data_type.scale))
    trailing = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    exponent += trailing
    decimals, whole = max(-exponent, 0), max(len(significant) + exponent, 0)
    if decimals > data_type.scale:
        raise Refusal(f"has {_count(decimals, 'decimal')}, {data_type} holds {data_type.scale}")
    room = data_type.precision - data_type.scale
    if whole > room:
        raise Refusal(f"has {_count(whole, 'digit')} before the point, {data_type} holds {room}")
    unscaled = int(significant) * 10 ** (exponent + data_type.scale)
    if data_type.precision == 19 and unscaled >= 1 << 63:
        raise Refusal(f"is too large: Redshift keeps {data_type} in 64 bits")
    return Decimal((sign, tuple(map(int, str(unscaled))), -data_type.scale))


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _float(value: Any, data_type: DataType, reading: Reading) -> float:
    number = _any_float(value, data_type, reading)
    if reading.finite and not math.isfinite(number):
        raise Refusal("has no form in staged JSON files; use staging: {format: parquet}")
    return number


def _any_float(value: Any, data_type: DataType, reading: Reading) -> float:
    real = data_type.name == "real"
    match value:
        case bool():
            raise mismatch(value, data_type)
        case float():
            number, exact = _narrow(value, real), True
        case int() | Decimal():
            number = _narrow(_nearest(value), real)
            # A number in a file is text: the nearest float is what it means.
            exact = not reading.text
        case str() if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        case str():
            number, exact = _narrow(float(_number_text(value, data_type, reading)), real), False
        case _:
            raise mismatch(value, data_type)
    if isinstance(value, float) and math.isnan(value):
        return value
    if math.isinf(number) and not (isinstance(value, float | Decimal) and value == number):
        raise Refusal(f"is too large for {data_type}")
    if exact and number != value and _shortest(number, real) != value:
        raise Refusal(f"has more digits than {data_type} holds")
    return number


def _nearest(value: int | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _narrow(value: float, real: bool) -> float:
    if not real:
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _shortest(number: float, real: bool) -> Decimal | None:
    """The decimal a float prints as; None for a 32-bit float that came from 64 bits."""
    if not math.isfinite(number):
        return None
    if not real:
        return Decimal(repr(number))
    for digits in range(1, 10):
        text = f"{number:.{digits}g}"
        if _narrow(float(text), real) == number:
            return Decimal(text)
    return None


# Words


def _boolean(value: Any, data_type: DataType, _: Reading) -> bool:
    match value:
        case bool():
            return value
        case int() if value in (0, 1):
            return value == 1
        case str() if value.isascii() and value.lower() in TRUE_WORDS + FALSE_WORDS:
            return value.lower() in TRUE_WORDS
        case int():
            raise Refusal("is neither 0 nor 1, so it is not a boolean")
        case str():
            raise Refusal("is not a boolean; true, t, yes, y, 1 and their opposites are")
        case _:
            raise mismatch(value, data_type)


def _text(value: Any, data_type: DataType, reading: Reading) -> str:
    if isinstance(value, UUID):
        value = str(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        raise Refusal(
            f"is a number, {data_type} takes text: a code that was read as a number has lost its"
            " leading zeros; read it as text"
        )
    if not isinstance(value, str):
        raise mismatch(value, data_type)
    size = len(utf8(value))
    if data_type.name == "char" and not value.isascii():
        raise Refusal(f"has characters outside ASCII, which {data_type} cannot hold; use varchar")
    if size > data_type.length:
        raise Refusal(f"has {_count(size, 'byte')}, {data_type} holds {data_type.length}")
    return unmarked(value, reading)


def _varbyte(value: Any, data_type: DataType, reading: Reading) -> bytes:
    if isinstance(value, str) and reading.text:
        if not re.fullmatch(r"([0-9A-Fa-f]{2})*", value):
            raise Refusal(f"is not hexadecimal, as {data_type} is written in text")
        value = bytes.fromhex(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise mismatch(value, data_type)
    content = bytes(value)
    if len(content) > data_type.length:
        raise Refusal(f"has {_count(len(content), 'byte')}, {data_type} holds {data_type.length}")
    return content


def _hex_or_text(value: Any, data_type: DataType, reading: Reading) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex().upper()
    if not isinstance(value, str):
        raise mismatch(value, data_type)
    utf8(value)
    return unmarked(value, reading)


def _super(value: Any, _: DataType, reading: Reading) -> str:
    try:
        if isinstance(value, str) and not reading.json:
            text = json_text.check(value)
        else:
            text = json_text.encode(value, nan_is_null=reading.nan_is_null)
    except ValueError as error:
        raise Refusal(str(error)) from error
    if len(utf8(text)) > MAX_SUPER:
        raise Refusal("has more than 16 MB of JSON, which is all that super holds")
    return text


_RULES: dict[str, Callable[[Any, DataType, Reading], object]] = {
    "smallint": _integer,
    "integer": _integer,
    "bigint": _integer,
    "decimal": _decimal,
    "real": _float,
    "double precision": _float,
    "boolean": _boolean,
    "char": _text,
    "varchar": _text,
    "date": exact_times.date_value,
    "time": exact_times.time_value,
    "timetz": exact_times.timetz_value,
    "timestamp": exact_times.timestamp_value,
    "timestamptz": exact_times.timestamptz_value,
    "super": _super,
    "varbyte": _varbyte,
    "geometry": _hex_or_text,
    "geography": _hex_or_text,
    "hllsketch": _hex_or_text,
    "interval year to month": exact_times.interval_value,
    "interval day to second": exact_times.interval_value,
}
