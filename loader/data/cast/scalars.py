"""Converts instances of subclasses, enums and NumPy scalars to built-in Python values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from loader.data.cast.errors import CastError, is_numpy


def to_builtin(value: Any) -> Any:
    """Convert an instance of a subclass or an enum member to its built-in value.

    Any other object is returned unchanged. What a subclass overrides (such as the ``__str__`` of
    an enum) plays no part, so a value is stored alike from a list, pandas, Polars or Arrow. An
    enum member that is itself text or a number counts as that, any other as its ``value``. NumPy's
    scalars are returned unchanged.

    >>> from enum import Enum, Flag
    >>> class Status(str, Enum):
    ...     OPEN = "open"
    >>> class Access(Flag):
    ...     READ = 1
    ...     WRITE = 2
    >>> to_builtin(Status.OPEN), to_builtin(Access.READ | Access.WRITE)
    ('open', 3)
    """
    if type(value) in _BUILT_IN or is_numpy(value):
        return value
    for kind, convert in _BASES:
        if isinstance(value, kind):
            return convert(value)
    return to_builtin(value.value) if isinstance(value, Enum) else value


def is_finer_than_microsecond(value: object) -> bool:
    """Whether a pandas `Timestamp` or `Timedelta` has nanoseconds beyond the microsecond."""
    if not isinstance(value, datetime | timedelta):
        return False
    part = "nanosecond" if isinstance(value, datetime) else "nanoseconds"
    return bool(getattr(value, part, 0))


def to_microseconds(value: Any) -> datetime | timedelta:
    """Convert a `datetime64` or `timedelta64` of NumPy to Python.

    Raises:
        CastError: it is finer than a microsecond, or outside of Python's range.
    """
    exact = value.astype(f"{value.dtype.kind}8[us]")
    converted = exact.item()
    if exact != value or not isinstance(converted, datetime | timedelta):
        raise CastError("is finer than a microsecond, or not a valid date")
    return converted


def _to_time(value: Any) -> time:
    return time(
        value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold
    )


def _to_date(value: Any) -> date:
    return date(value.year, value.month, value.day)


_BASES: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Decimal, Decimal),
    (bytes, lambda value: bytes(memoryview(value))),
    (datetime, lambda value: datetime.combine(_to_date(value), _to_time(value))),
    (date, _to_date),
    (time, _to_time),
    (timedelta, lambda value: timedelta(value.days, value.seconds, value.microseconds)),
    (UUID, lambda value: UUID(int=value.int)),
)
"""Classes that values may be subclasses of, the narrower ones first."""

_BUILT_IN = frozenset([bool, type(None), dict, list, tuple, *(kind for kind, _ in _BASES)])
