"""Guesses from Python objects: pandas columns of objects, and what JSON was parsed into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from loader.data.cast.errors import is_numpy
from loader.data.cast.scalars import to_builtin
from loader.inference.guesses import NOTHING, Guess, Refused, merged, told
from loader.inference.texts import guess_written_time

DURATIONS = (
    "holds durations, which have no type that both dialects read back: make it a number of"
    " seconds, or text; or write a spec, where it may be `interval day to second`"
)

_MOST_BITS = 256
"""More than any number of a warehouse has."""

_NUMBERS = {"number", "double precision"}


def guess_objects(values: Sequence[object], *, text: bool) -> Guess:
    """What a list of Python objects holds; None is NULL.

    Args:
        values: The objects.
        text: Whether they come from JSON, where times are text and numbers are as written.

    Raises:
        Refused: there is no type for them, or they are of different kinds.
    """
    by_type: dict[type, list[Any]] = {}
    for value in map(to_builtin, values):
        if value is not None:
            by_type.setdefault(type(value), []).append(value)
    found = NOTHING
    for some in by_type.values():
        for guess in _of_one_type(some, text=text):
            # Decimals are exact, and floats are not: nobody mixes them on purpose.
            if {found.kind, guess.kind} == _NUMBERS:
                raise Refused(f"holds {told(found.kind)} and {told(guess.kind)}")
            found = merged(found, guess)
    return found


def _of_one_type(values: Sequence[Any], *, text: bool) -> list[Guess]:
    """Guesses about objects of one class; more than one where the class does not tell."""
    first = values[0]
    if is_numpy(first):
        return _of_numpy(values, text=text)
    if isinstance(first, str):
        return _of_strings(values, text=text)
    for types, guess in _GUESSES:
        if isinstance(first, types):
            return guess(values)
    raise Refused(f"holds objects of the class {_named(first)}: make them text, numbers or times")


def _named(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _of_numpy(values: Sequence[Any], *, text: bool) -> list[Guess]:
    """Scalars of NumPy as what they are in Python; arrays are lists."""
    if getattr(values[0], "shape", ()):
        return [Guess("super", shaped=False)]
    match values[0].dtype.kind:
        case "M":
            return [Guess("timestamp")]
        case "m":
            raise Refused(DURATIONS)
        case "f" if values[0].dtype.itemsize <= 4:
            return [Guess("real")]
        case "V" | "O" | "c":
            raise Refused(f"holds objects of the class {_named(values[0])}: make them text")
    return _of_one_type([value.item() for value in values], text=text)


def _of_strings(values: Sequence[str], *, text: bool) -> list[Guess]:
    # Half a character is for the load to refuse, with its row.
    encoded = [value.encode(errors="replace") for value in values]
    if text:
        return [guess_written_time(pa.array(encoded, pa.binary()).cast(pa.string()))]
    return [Guess("varchar", size=max(map(len, encoded)))]


def _whole(values: Sequence[int]) -> list[Guess]:
    # So that -2**31 has the 31 bits that it needs.
    bits = max((value if value >= 0 else ~value).bit_length() for value in values)
    # Python refuses to write very large ones, and that they are too large is all there is to tell.
    sizes = (abs(min(values)), abs(max(values)))
    digits = max(len(str(size)) for size in sizes) if bits < _MOST_BITS else bits // 3
    return [Guess("whole", whole=digits, bits=bits)]


def _decimal(values: Sequence[Decimal]) -> list[Guess]:
    whole = scale = 0
    for value in values:
        # What is not finite has no digits; whether it fits is judged with its row.
        if value.is_finite():
            exponent = value.as_tuple().exponent
            assert isinstance(exponent, int)
            scale = max(scale, -exponent)
            whole = max(whole, value.adjusted() + 1 if value else 1)
    return [Guess("number", whole=whole, scale=scale)]


def _stamps(values: Sequence[datetime]) -> list[Guess]:
    naive = {value.tzinfo is None for value in values}
    return [Guess("timestamp" if one else "timestamptz") for one in sorted(naive)]


def _times(values: Sequence[time]) -> list[Guess]:
    naive = {value.tzinfo is None for value in values}
    return [Guess("time" if one else "timetz") for one in sorted(naive)]


def _durations(_: Sequence[timedelta]) -> list[Guess]:
    raise Refused(DURATIONS)


def _always(guess: Guess) -> Callable[[Sequence[Any]], list[Guess]]:
    return lambda _: [guess]


_GUESSES: tuple[tuple[type | tuple[type, ...], Callable[[Sequence[Any]], list[Guess]]], ...] = (
    (bool, _always(Guess("boolean"))),
    (int, _whole),
    (float, _always(Guess("double precision"))),
    (Decimal, _decimal),
    ((bytes, bytearray), lambda values: [Guess("varbyte", size=max(map(len, values)))]),
    (memoryview, lambda values: [Guess("varbyte", size=max(each.nbytes for each in values))]),
    (datetime, _stamps),
    (date, _always(Guess("date"))),
    (time, _times),
    (timedelta, _durations),
    (UUID, _always(Guess("varchar", size=36))),
    ((dict, list, tuple), _always(Guess("super", shaped=False))),
)
"""Classes of objects, the narrower ones first, and the guesses about them."""
