"""What "fits" means: one Python value as one declared type, exactly, or a refusal that says why.

`loader.casts` does the same to whole columns at once and comes here for the rows it is not sure of,
so this module alone decides. Nothing is rounded, truncated, wrapped, re-zoned or guessed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from loader import jsontext
from loader.datatypes import DataType

NULL_MARKER = "\\N"
"""The word that stands for NULL in staged CSV files, so that no text may be it."""

MAX_SUPER = 16_000_000
"""Bytes of JSON text a SUPER value may have; the limit of Redshift is 16 MB."""


class Refusal(ValueError):
    """A value does not fit; the text reads on from the value, as in ``'x' is not a date``."""


@dataclass(frozen=True)
class Reading:
    """How the values of a column came, as far as it changes what they mean."""

    text: bool = False
    """They come from a file of text: the formats below apply, and numbers are as written."""
    json: bool = False
    """They were parsed from JSON, where a string is a string and not JSON text."""
    date_format: str | None = None
    timestamp_format: str | None = None
    timezone: str | None = None
    """The zone of time stamps without one."""
    null_marker: bool = False
    """Whether rows are staged as CSV, where `NULL_MARKER` means NULL."""


class Opaque:
    """A value that Python cannot hold, with its text and why that is so."""

    def __init__(self, text: str, why: str) -> None:
        self.text, self.why = text, why

    def __repr__(self) -> str:
        return self.text


Judge = Callable[[object], object]
"""Gives the value in the declared type, or raises `Refusal`."""


def judge(data_type: DataType, reading: Reading) -> Judge:
    """The one rule for values of a declared type; NULL is not its business."""
    rule = _RULES[data_type.name]

    def decide(value: object) -> object:
        if isinstance(value, Opaque):
            raise Refusal(value.why)
        try:
            return rule(_plain(value, data_type), data_type, reading)
        except Refusal:
            raise
        except Exception as error:  # a foreign object may raise anything when it is looked at
            raise Refusal(f"cannot be read as {_a(data_type)}: {error}") from error

    return decide


def show(value: object, limit: int | None = 80) -> str:
    """A value as messages print it, at most so many characters of it."""
    try:
        if value is None:
            return "NULL"
        if isinstance(value, date | time | timedelta | Decimal | UUID):
            text = str(value)
        elif isinstance(value, bool):
            text = str(value).lower()
        else:
            text = repr(value.item() if _is_numpy(value) and hasattr(value, "item") else value)
    except Exception:  # a foreign object may raise anything when it is printed
        text = f"a {type(value).__name__}"
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1]}…"


def _plain(value: Any, data_type: DataType) -> Any:
    """The value without the clothes of NumPy and pandas."""
    if not _is_numpy(value):
        if isinstance(value, datetime | timedelta) and _finer(value):
            raise Refusal("is finer than a microsecond")
        if isinstance(value, datetime) and type(value) is not datetime:
            return _plain_stamp(value)
        return value.to_pytimedelta() if hasattr(value, "to_pytimedelta") else value
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in "Mm" and not hasattr(value, "__len__"):
        exact = value.astype(f"{kind}8[us]")
        plain = exact.item()
        if exact != value or not isinstance(plain, datetime | timedelta):
            raise Refusal("is finer than a microsecond, or not a date that exists")
        return plain
    if kind == "f" and data_type.name == "decimal" and not hasattr(value, "__len__"):
        # A 32-bit float is the decimal it prints as, not the 64-bit float nearest to it.
        return Decimal(str(value)) if math.isfinite(value) else float(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _is_numpy(value: object) -> bool:
    return type(value).__module__ == "numpy"


def _plain_stamp(value: Any) -> datetime:
    return datetime(*value.timetuple()[:6], value.microsecond, value.tzinfo, fold=value.fold)


def _finer(value: Any) -> bool:
    """Whether a time stamp or duration of pandas has more than microseconds."""
    part = "nanosecond" if isinstance(value, datetime) else "nanoseconds"
    return bool(getattr(value, part, 0))


def _a(data_type: DataType) -> str:
    text = str(data_type)
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    ((int, float, Decimal), "a number"),
    (str, "text"),
    (datetime, "a time stamp"),
    (date, "a date"),
    (time, "a time"),
    (timedelta, "a duration"),
    ((bytes, bytearray, memoryview), "binary"),
    (dict, "an object"),
    ((list, tuple), "a list"),
)


def _mismatch(value: object, data_type: DataType) -> Refusal:
    for types, kind in _KINDS:
        if isinstance(value, types):
            return Refusal(f"is {kind}, not {_a(data_type)}")
    return Refusal(f"is a {type(value).__name__}, not {_a(data_type)}")


# Numbers

INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _integer(value: Any, data_type: DataType, _: Reading) -> int:
    high = 1 << (INTEGER_BITS[data_type.name] - 1)
    match value:
        case bool():
            raise _mismatch(value, data_type)
        case int():
            number = value
        case float() | Decimal():
            if not math.isfinite(value) or value != math.floor(value):
                raise Refusal(f"is not a whole number, {data_type} holds nothing else")
            number = int(value) if abs(value) <= high else high
        case str():
            if not _INTEGER.fullmatch(value):
                raise Refusal(f"is not {_a(data_type)}")
            digits = value.lstrip("+-0")
            number = int(value) if len(digits) < 20 else high
        case _:
            raise _mismatch(value, data_type)
    if not -high <= number < high:
        raise Refusal(f"is outside the range of {data_type}, {-high} to {high - 1}")
    return number


def _decimal(value: Any, data_type: DataType, _: Reading) -> Decimal:
    match value:
        case bool():
            raise _mismatch(value, data_type)
        case int() | Decimal():
            number = Decimal(value)
        case float():
            number = Decimal(repr(value))
        case str():
            if not _NUMBER.fullmatch(value):
                raise Refusal(f"is not {_a(data_type)}")
            number = Decimal(value)
        case _:
            raise _mismatch(value, data_type)
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
    real = data_type.name == "real"
    match value:
        case bool():
            raise _mismatch(value, data_type)
        case float():
            number, exact = _narrow(value, real), True
        case int() | Decimal():
            number = _narrow(float(value) if abs(value) < _HUGE else math.inf, real)
            # A number in a file is text: the nearest float is what it means.
            exact = not reading.text
        case str() if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        case str() if _NUMBER.fullmatch(value):
            number, exact = _narrow(float(value), real), False
        case str():
            raise Refusal(f"is not {_a(data_type)}")
        case _:
            raise _mismatch(value, data_type)
    if isinstance(value, float) and math.isnan(value):
        return value
    if math.isinf(number) and not (isinstance(value, float | Decimal) and value == number):
        raise Refusal(f"is too large for {data_type}")
    if exact and number != value and _shortest(number, real) != value:
        raise Refusal(f"has more digits than {data_type} holds")
    return number


_HUGE = Decimal(10) ** 400


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

_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
TRUE_WORDS, FALSE_WORDS = sorted(_TRUE), sorted(_FALSE)


def _boolean(value: Any, data_type: DataType, _: Reading) -> bool:
    match value:
        case bool():
            return value
        case int() if value in (0, 1):
            return value == 1
        case str() if value.lower() in _TRUE | _FALSE and value.isascii():
            return value.lower() in _TRUE
        case int():
            raise Refusal("is neither 0 nor 1, so it is not a boolean")
        case str():
            raise Refusal("is not a boolean; true, t, yes, y, 1 and their opposites are")
        case _:
            raise _mismatch(value, data_type)


def _text(value: Any, data_type: DataType, reading: Reading) -> str:
    if isinstance(value, UUID):
        value = str(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        raise Refusal(
            f"is a number, {data_type} takes text: a code that was read as a number has lost its"
            " leading zeros; read it as text"
        )
    if not isinstance(value, str):
        raise _mismatch(value, data_type)
    size = len(_utf8(value))
    if data_type.name == "char" and not value.isascii():
        raise Refusal(f"has characters outside ASCII, which {data_type} cannot hold; use varchar")
    if size > data_type.length:
        raise Refusal(f"has {_count(size, 'byte')}, {data_type} holds {data_type.length}")
    return _unmarked(value, reading)


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Refusal("holds half a character (a lone surrogate), which is not text") from None


def _unmarked(value: str, reading: Reading) -> str:
    if reading.null_marker and value == NULL_MARKER:
        raise Refusal("means NULL in staged CSV files; use staging: {format: parquet}")
    return str(value)


def _varbyte(value: Any, data_type: DataType, reading: Reading) -> bytes:
    if isinstance(value, str) and reading.text:
        if not re.fullmatch(r"([0-9A-Fa-f]{2})*", value):
            raise Refusal(f"is not hexadecimal, as {data_type} is written in text")
        value = bytes.fromhex(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _mismatch(value, data_type)
    content = bytes(value)
    if len(content) > data_type.length:
        raise Refusal(f"has {_count(len(content), 'byte')}, {data_type} holds {data_type.length}")
    return content


def _hex_or_text(value: Any, data_type: DataType, reading: Reading) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex().upper()
    if not isinstance(value, str):
        raise _mismatch(value, data_type)
    _utf8(value)
    return _unmarked(value, reading)


def _super(value: Any, _: DataType, reading: Reading) -> str:
    try:
        if isinstance(value, str) and not reading.json:
            text = jsontext.check(value)
        else:
            text = jsontext.encode(value)
    except ValueError as error:
        raise Refusal(str(error)) from error
    if len(_utf8(text)) > MAX_SUPER:
        raise Refusal("has more than 16 MB of JSON, which is all that super holds")
    return text


# Times

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_STAMP = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"([T ](?P<clock>\d{2}(:\d{2}(:\d{2}(\.\d{1,6})?)?)?)(?P<zone>Z|[+-]\d{2}(:?\d{2})?)?)?",
    re.ASCII,
)
_TIME = re.compile(_CLOCK)
_TIME_ZONED = re.compile(_CLOCK + r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)")


def _date(value: Any, data_type: DataType, reading: Reading) -> date:
    match value:
        case datetime():
            if value.tzinfo is not None:
                raise Refusal("has a time zone, which a date loses; take the date in one zone")
            if value.time() != time():
                raise Refusal("has a time of day, which a date loses")
            return value.date()
        case date():
            return date(value.year, value.month, value.day)
        case str():
            return _parse_date(value, reading)
        case _:
            raise _mismatch(value, data_type)


def _parse_date(text: str, reading: Reading) -> date:
    written = reading.date_format if reading.text else None
    try:
        if written:
            stamp = datetime.strptime(text, written)
            return _date(stamp, DataType("date"), reading)
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except Refusal:
        raise
    except ValueError:
        pass
    raise Refusal(f"is not a date{_written(written)}")


def _written(written: str | None) -> str:
    return f" written as {written}" if written else ""


def _timestamp(value: Any, data_type: DataType, reading: Reading) -> datetime:
    stamp = _stamp(value, data_type, reading)
    if stamp.tzinfo is not None:
        raise Refusal("has a time zone, which a timestamp loses; declare the column timestamptz")
    return stamp


def _timestamptz(value: Any, data_type: DataType, reading: Reading) -> datetime:
    stamp = _stamp(value, data_type, reading)
    if stamp.utcoffset() is None:
        if reading.timezone is None:
            raise Refusal(
                "has no time zone; set source: {timezone: …} to the zone it is in, or declare the"
                " column timestamp"
            )
        stamp = _localize(stamp.replace(tzinfo=None), reading.timezone)
    try:
        return stamp.astimezone(UTC)
    except OverflowError:
        raise Refusal("lies outside the years 1 to 9999 in UTC") from None


def _localize(stamp: datetime, zone: str) -> datetime:
    first = stamp.replace(tzinfo=ZoneInfo(zone), fold=0)
    second = first.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) != stamp:
        raise Refusal(f"does not exist in {zone}: the clocks skipped it")
    raise Refusal(f"happened twice in {zone}, when the clocks went back; write it with an offset")


def _stamp(value: Any, data_type: DataType, reading: Reading) -> datetime:
    match value:
        case datetime():
            return value
        case date():
            return datetime(value.year, value.month, value.day)
        case str():
            return _parse_stamp(value, data_type, reading)
        case _:
            raise _mismatch(value, data_type)


def _parse_stamp(text: str, data_type: DataType, reading: Reading) -> datetime:
    written = reading.timestamp_format if reading.text else None
    try:
        if written:
            return datetime.strptime(text, written)
        if match := _STAMP.fullmatch(text):
            naive = datetime.fromisoformat(f"{match['date']}T{match['clock'] or '00'}")
            if match["zone"] is None:
                return naive
            offset = time.fromisoformat(f"00:00{match['zone']}").tzinfo
            return naive.replace(tzinfo=offset)
    except ValueError:
        pass
    raise Refusal(f"is not {_a(data_type)}{_written(written)}")


def _time(value: Any, data_type: DataType, _: Reading) -> time:
    match value:
        case time():
            if value.tzinfo is not None:
                raise Refusal("has a time zone, which a time loses; declare the column timetz")
            return value
        case str():
            try:
                if _TIME.fullmatch(value):
                    return time.fromisoformat(value)
            except ValueError:
                pass
            raise Refusal("is not a time, HH:MM or HH:MM:SS with up to 6 decimals")
        case _:
            raise _mismatch(value, data_type)


def _timetz(value: Any, data_type: DataType, _: Reading) -> str:
    match value:
        case time():
            if value.utcoffset() is None:
                raise Refusal("has no offset from UTC, which a timetz needs")
            return value.isoformat()
        case str():
            try:
                if _TIME_ZONED.fullmatch(value):
                    time.fromisoformat(value)
                    return str(value)
            except ValueError:
                pass
            raise Refusal("is not a timetz, HH:MM:SS with an offset such as +01:00")
        case _:
            raise _mismatch(value, data_type)


def _interval(value: Any, data_type: DataType, reading: Reading) -> str:
    if isinstance(value, str):
        if not value.strip():
            raise Refusal(f"is not {_a(data_type)}")
        _utf8(value)
        return _unmarked(value, reading)
    if type(value).__name__ == "MonthDayNano":
        return _calendar_interval(value, data_type)
    if not isinstance(value, timedelta):
        raise _mismatch(value, data_type)
    if data_type.name == "interval year to month":
        raise Refusal(f"is a duration of days, not {_a(data_type)}")
    return interval_text(value)


def _calendar_interval(value: Any, data_type: DataType) -> str:
    months, days, nanoseconds = value
    if data_type.name == "interval year to month":
        if days or nanoseconds:
            raise Refusal(f"has days or hours, not only months as {_a(data_type)}")
        return f"{months} months"
    if months or nanoseconds % 1000:
        raise Refusal(f"has months, or is finer than a microsecond: not {_a(data_type)}")
    return interval_text(timedelta(days=days, microseconds=nanoseconds // 1000))


def interval_text(value: timedelta) -> str:
    """A duration as both dialects read it: every field carries the sign.

    >>> interval_text(timedelta(days=1, hours=2)), interval_text(timedelta(hours=-26))
    ('1 days 02:00:00.000000', '-1 days -02:00:00.000000')
    """
    sign, size = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(size.seconds, 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{size.microseconds:06}"
    return f"{sign}{size.days} days {sign}{clock}"


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
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "super": _super,
    "varbyte": _varbyte,
    "geometry": _hex_or_text,
    "geography": _hex_or_text,
    "hllsketch": _hex_or_text,
    "interval year to month": _interval,
    "interval day to second": _interval,
}
