"""Python objects as the built-in values that they are, before any declared type looks at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from loader.data.cast.errors import Refusal, is_numpy


def base_value(value: Any) -> Any:
    """The built-in value of an instance of a subclass, or of an enum member; else the object.

    What a subclass overrides (such as the ``__str__`` of an enum) plays no part, so a value is
    stored alike from a list, a pandas frame, Polars or Arrow. An enum member that is itself text
    or a number counts as that, any other as its ``value``. NumPy's scalars are left as they are.

    >>> from enum import Enum, Flag
    >>> class Status(str, Enum):
    ...     OPEN = "open"
    >>> class Access(Flag):
    ...     READ = 1
    ...     WRITE = 2
    >>> base_value(Status.OPEN), base_value(Access.READ | Access.WRITE)
    ('open', 3)
    """
    if type(value) in _BUILT_IN or is_numpy(value):
        return value
    for kind, convert in _BASES:
        if isinstance(value, kind):
            return convert(value)
    return base_value(value.value) if isinstance(value, Enum) else value


def is_finer(value: object) -> bool:
    """Whether a time stamp or duration of pandas has more than microseconds."""
    if not isinstance(value, datetime | timedelta):
        return False
    part = "nanosecond" if isinstance(value, datetime) else "nanoseconds"
    return bool(getattr(value, part, 0))


def microseconds(value: Any) -> datetime | timedelta:
    """A time stamp or duration of NumPy in Python.

    Raises:
        Refusal: it is finer than a microsecond, or outside the years that Python has.
    """
    exact = value.astype(f"{value.dtype.kind}8[us]")
    plain = exact.item()
    if exact != value or not isinstance(plain, datetime | timedelta):
        raise Refusal("is finer than a microsecond, or not a date that exists")
    return plain


def _time(value: Any) -> time:
    return time(
        value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold
    )


def _date(value: Any) -> date:
    return date(value.year, value.month, value.day)


_BASES: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Decimal, Decimal),
    (bytes, lambda value: bytes(memoryview(value))),
    (datetime, lambda value: datetime.combine(_date(value), _time(value))),
    (date, _date),
    (time, _time),
    (timedelta, lambda value: timedelta(value.days, value.seconds, value.microseconds)),
    (UUID, lambda value: UUID(int=value.int)),
)
"""Classes that values may be subclasses of, the narrower ones first."""

_BUILT_IN = frozenset([bool, type(None), dict, list, tuple, *(kind for kind, _ in _BASES)])
