"""Values that specs name, as values of a column's type: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

from loader.sql.datatypes import DataType
from loader.sql.dialects.base import Value

Scalar = str | int | bool | Decimal
"""A value as a spec has it."""

_BITS = {"smallint": 15, "integer": 31, "bigint": 63}


def typed_value(data_type: DataType, value: Scalar) -> Value:
    """A value of a spec as one that a column of the type can hold.

    Raises:
        ValueError: no value of the column equals it.
    """
    kind = data_type.name
    if data_type.is_integer:
        number = _number(value)
        if number != number.to_integral_value():
            raise ValueError(f"`{value}` is not a whole number")
        if not -(1 << _BITS[kind]) <= number < 1 << _BITS[kind]:
            raise ValueError(f"`{value}` is outside the range of {kind}")
        return int(number)
    if kind == "decimal":
        return _decimal(data_type, value)
    if kind == "boolean":
        return _boolean(value)
    if data_type.is_text:
        return _text(data_type, value)
    if kind in _TIMES:
        return _time(kind, value)
    if kind in ("real", "double precision"):
        raise ValueError(f"values of {kind} are inexact; use minimum and maximum")
    raise ValueError(f"values of {kind} cannot be listed")


def typed_bound(data_type: DataType, value: Scalar) -> Value:
    """A least or greatest value as one that values of the type can be compared with.

    Raises:
        ValueError: they cannot.
    """
    if data_type.is_integer or data_type.name in ("decimal", "real", "double precision"):
        return _number(value)
    if data_type.name in _TIMES:
        return _time(data_type.name, value)
    if data_type.is_text:
        raise ValueError("the order of text depends on the warehouse; use a pattern")
    raise ValueError(f"values of {data_type.name} have no order")


def typed_constant(data_type: DataType, value: Scalar) -> Value:
    """A value of a spec as one that is stored in a column of the type.

    Raises:
        ValueError: no value of the column equals it.
    """
    inexact = data_type.name in ("real", "double precision")
    return _number(value) if inexact else typed_value(data_type, value)


def _number(value: Scalar) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(f"`{str(value).lower()}` is not a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"`{value}` is not a number") from None
    if not number.is_finite():
        raise ValueError(f"`{value}` is not a number")
    return number


def _decimal(data_type: DataType, value: Scalar) -> Decimal:
    number = _number(value)
    shifted = number.scaleb(data_type.scale)
    if shifted != shifted.to_integral_value():
        raise ValueError(f"`{value}` has more decimals than {data_type}")
    if abs(shifted) >= Decimal(10) ** data_type.precision:
        raise ValueError(f"`{value}` has more digits than {data_type}")
    return number


def _boolean(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"`{value}` is not true or false")
    return value


def _text(data_type: DataType, value: Scalar) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        shown = str(value).lower() if isinstance(value, bool) else value
        raise ValueError(f"`{shown}` is not text; put quotes around it")
    if "\0" in value:
        raise ValueError("text may not hold a NUL character")
    if len(value.encode(errors="surrogatepass")) > data_type.length:
        raise ValueError(f"`{value}` is longer than {data_type}")
    return value


def _date(text: str) -> date:
    return date.fromisoformat(text)


def _timestamp(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError(text)
    return found


def _timestamptz(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found.astimezone(UTC)


def _clock(text: str) -> time:
    found = time.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError(text)
    return found


_TIMES: Mapping[str, tuple[Callable[[str], Value], str]] = {
    "date": (_date, "2026-01-31"),
    "timestamp": (_timestamp, "2026-01-31T12:00:00"),
    "timestamptz": (_timestamptz, "2026-01-31T12:00:00+00:00"),
    "time": (_clock, "12:00:00"),
}
"""Type → how it is read, and an example."""


def _time(kind: str, value: Scalar) -> Value:
    read, example = _TIMES[kind]
    try:
        return read(value) if isinstance(value, str) else _fail(value)
    except (ValueError, OverflowError):
        raise ValueError(f"`{value}` is not a {kind}; write it like {example}") from None


def _fail(value: Scalar) -> Value:
    raise ValueError(value)
