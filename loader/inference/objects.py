"""Guesses from Python objects: pandas object columns, and parsed JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from loader.data.cast.errors import is_numpy
from loader.data.cast.scalars import to_builtin
from loader.inference.guesses import NOTHING, Guess, NoTypeError, kind_name, merge_guesses
from loader.inference.text_formats import DEFAULT, Reading
from loader.inference.texts import guess_time_text

DURATIONS = (
    "holds durations, which have no type that both dialects can read: convert it to a number of"
    " seconds or to text, or write a spec with `interval day to second`"
)

_MOST_BITS = 256
"""More bits than any number of a warehouse has."""

_NUMBERS = {"number", "double precision"}


def guess_objects(values: Sequence[object], *, text: bool, reading: Reading = DEFAULT) -> Guess:
    """Guess what a list of Python objects holds; None is NULL.

    Args:
        values: The objects.
        text: Whether they come from JSON, where times are strings.
        reading: How text is read.

    Raises:
        NoTypeError: no table type fits them, or they are of different kinds.
    """
    by_type: dict[type, list[Any]] = {}
    for value in map(to_builtin, values):
        if value is not None:
            by_type.setdefault(type(value), []).append(value)
    found = NOTHING
    for some in by_type.values():
        for guess in _guess_one_type(some, reading if text else None):
            # Decimals are exact and floats are not, so a mix of both is a mistake.
            if {found.kind, guess.kind} == _NUMBERS:
                raise NoTypeError(f"holds {kind_name(found.kind)} and {kind_name(guess.kind)}")
            found = merge_guesses(found, guess)
    return found


def _guess_one_type(values: Sequence[Any], reading: Reading | None) -> list[Guess]:
    """Guesses about objects of one class; several where the class allows several kinds."""
    first = values[0]
    if is_numpy(first):
        return _guess_numpy(values, reading)
    if isinstance(first, str):
        return _guess_strings(values, reading)
    for types, guess in _GUESSES:
        if isinstance(first, types):
            return guess(values)
    raise NoTypeError(
        f"holds objects of the class {_class_name(first)}: convert them to text, numbers or times"
    )


def _class_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _guess_numpy(values: Sequence[Any], reading: Reading | None) -> list[Guess]:
    """Guess from NumPy scalars, converted to Python; arrays are lists."""
    if getattr(values[0], "shape", ()):
        return [Guess("super", has_fixed_shape=False)]
    match values[0].dtype.kind:
        case "M":
            return [Guess("timestamp")]
        case "m":
            raise NoTypeError(DURATIONS)
        case "f" if values[0].dtype.itemsize <= 4:
            return [Guess("real")]
        case "V" | "O" | "c":
            raise NoTypeError(
                f"holds objects of the class {_class_name(values[0])}: convert them to text"
            )
    return _guess_one_type([value.item() for value in values], reading)


def _guess_strings(values: Sequence[str], reading: Reading | None) -> list[Guess]:
    # The load reports unpaired surrogates, with their row.
    encoded = [value.encode(errors="replace") for value in values]
    if reading is not None:
        return [guess_time_text(pa.array(encoded, pa.binary()).cast(pa.string()), reading)]
    return [Guess("varchar", size=max(map(len, encoded)))]


def _guess_integers(values: Sequence[int]) -> list[Guess]:
    # So that -2**31 has the 31 bits that it needs.
    bits = max((value if value >= 0 else ~value).bit_length() for value in values)
    # Python does not format very large integers; an estimate is enough, as they are too large.
    sizes = (abs(min(values)), abs(max(values)))
    digits = max(len(str(size)) for size in sizes) if bits < _MOST_BITS else bits // 3
    return [Guess("whole", whole=digits, bits=bits)]


def _guess_decimals(values: Sequence[Decimal]) -> list[Guess]:
    whole = scale = 0
    for value in values:
        # The load checks NaN and infinity, with their row.
        if value.is_finite():
            exponent = value.as_tuple().exponent
            assert isinstance(exponent, int)
            scale = max(scale, -exponent)
            whole = max(whole, value.adjusted() + 1 if value else 1)
    return [Guess("number", whole=whole, scale=scale)]


def _guess_timestamps(values: Sequence[datetime]) -> list[Guess]:
    naive = {value.tzinfo is None for value in values}
    return [Guess("timestamp" if one else "timestamptz") for one in sorted(naive)]


def _guess_times(values: Sequence[time]) -> list[Guess]:
    naive = {value.tzinfo is None for value in values}
    return [Guess("time" if one else "timetz") for one in sorted(naive)]


def _reject_durations(_: Sequence[timedelta]) -> list[Guess]:
    raise NoTypeError(DURATIONS)


def _constant(guess: Guess) -> Callable[[Sequence[Any]], list[Guess]]:
    return lambda _: [guess]


_GUESSES: tuple[tuple[type | tuple[type, ...], Callable[[Sequence[Any]], list[Guess]]], ...] = (
    (bool, _constant(Guess("boolean"))),
    (int, _guess_integers),
    (float, _constant(Guess("double precision"))),
    (Decimal, _guess_decimals),
    ((bytes, bytearray), lambda values: [Guess("varbyte", size=max(map(len, values)))]),
    (memoryview, lambda values: [Guess("varbyte", size=max(each.nbytes for each in values))]),
    (datetime, _guess_timestamps),
    (date, _constant(Guess("date"))),
    (time, _guess_times),
    (timedelta, _reject_durations),
    (UUID, _constant(Guess("varchar", size=36))),
    ((dict, list, tuple), _constant(Guess("super", has_fixed_shape=False))),
)
"""Python classes → functions that guess; subclasses come before their base classes."""
