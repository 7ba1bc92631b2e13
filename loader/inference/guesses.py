"""Guesses about the values of a column, and the column type that fits them.

Each chunk gives a guess, and the guesses of a column are merged, so that types and widths do not
depend on how the rows are split into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loader.sql.datatypes import MAX_PRECISION, MAX_SCALE, MAX_VARCHAR, ROOMY_VARBYTE

_LEAST_VARCHAR = 16
_UNSEEN_VARCHAR = 256
"""The length of a Redshift VARCHAR that is declared without one."""

_SPARE_SHARE = 4
"""Headroom: a width is the longest value plus this fraction (1/4) of it, rounded up."""

_SHORT_DECIMAL = 18
"""The most digits of a DECIMAL that Redshift stores in 64 bits."""

_SPARE_DIGITS = 3
"""Headroom of a 64-bit DECIMAL, in digits."""

MONEY_SCALE = 9
"""Numbers with more decimals than this are measurements, stored as floats if those hold them."""

_FLOAT_DIGITS = 15
"""The most digits that every DOUBLE PRECISION holds."""

_INTEGERS = ("smallint", "integer", "bigint")


class NoTypeError(ValueError):
    """No type fits a column; the message continues the column's name, as in ``holds durations``."""


@dataclass(frozen=True)
class Guess:
    """A guess about the values of a column.

    The kind is a type's name, or: ``null`` when no value was seen, ``whole`` for integers without
    a width, ``number`` for decimals without a precision.
    """

    kind: str
    whole: int = 0
    """The most digits before the point."""
    scale: int = 0
    """The most digits after the point."""
    bits: int = 0
    """The most bits of a whole number, without its sign."""
    size: int = 0
    """The most bytes of one text or binary value."""
    is_text: bool = False
    """Whether the values are text in the file, so that varchar always fits."""
    words: frozenset[str] = frozenset()
    """Words that must mean NULL for the kind to be right."""
    has_fixed_shape: bool = True
    """Whether the source's type fixes the fields of all SUPER values."""
    formats: frozenset[str] | None = None
    """Other ways to read all text values, as in `loader.inference.text_formats`; None without
    any value."""


NOTHING = Guess("null")
"""The guess about a column without values."""


def merge_guesses(one: Guess, other: Guess) -> Guess:
    """The narrowest guess that covers the values of both.

    Raises:
        NoTypeError: no kind covers both; names both kinds.
    """
    if NOTHING in (one, other):
        return other if one == NOTHING else one
    both = replace(
        one,
        kind=_common_kind(one.kind, other.kind) or "",
        whole=max(one.whole, other.whole),
        scale=max(one.scale, other.scale),
        bits=max(one.bits, other.bits),
        size=max(one.size, other.size),
        is_text=one.is_text and other.is_text,
        words=one.words | other.words,
        has_fixed_shape=one.has_fixed_shape and other.has_fixed_shape,
        formats=_common_formats(one, other),
    )
    if both.kind == "varchar":
        return replace(both, words=frozenset())
    if both.kind and len(both.words) < 2:
        return both
    if both.is_text:
        return to_text_guess(both)
    raise NoTypeError(f"holds {kind_name(one.kind)} and {kind_name(other.kind)}")


def to_text_guess(guess: Guess) -> Guess:
    """The guess that the values are plain text."""
    return Guess("varchar", size=guess.size, is_text=guess.is_text, formats=guess.formats)


def _common_formats(one: Guess, other: Guess) -> frozenset[str] | None:
    if one.formats is None or other.formats is None:
        return other.formats if one.formats is None else one.formats
    return one.formats & other.formats


def _common_kind(one: str, other: str) -> str | None:
    kinds = {one, other}
    if one == other:
        return one
    if "null" in kinds:
        return other if one == "null" else one
    if kinds <= set(_INTEGERS):
        return max(kinds, key=_INTEGERS.index)
    return next((to for found, to in _COMMON if kinds == found), None)


_COMMON: tuple[tuple[set[str], str], ...] = (
    ({"whole", "number"}, "number"),
    ({"whole", "double precision"}, "double precision"),
    ({"number", "double precision"}, "double precision"),
    ({"real", "double precision"}, "double precision"),
    ({"date", "timestamp"}, "timestamp"),
)
"""Two kinds → the kind that holds both."""

_KIND_NAMES = {
    "null": "nothing",
    "boolean": "booleans",
    "whole": "whole numbers",
    "smallint": "whole numbers",
    "integer": "whole numbers",
    "bigint": "whole numbers",
    "number": "decimals",
    "decimal": "decimals",
    "real": "floats",
    "double precision": "floats",
    "date": "dates",
    "time": "times",
    "timetz": "times with a time zone",
    "timestamp": "timestamps without a time zone",
    "timestamptz": "timestamps with a time zone",
    "varchar": "text",
    "varbyte": "binary",
    "super": "lists or objects",
}


def kind_name(kind: str) -> str:
    """The name of a kind's values in messages."""
    return _KIND_NAMES[kind]


def type_of(guess: Guess, *, roomy: bool, complete: bool = False) -> str:
    """The column type for a guess.

    Args:
        guess: The guess.
        roomy: Whether to use the widest types, because larger values may come and nobody reviews
            the spec. Otherwise the type is as wide as the values need, with headroom.
        complete: Whether the guess is based on all rows, so that it can be a smallint.

    Raises:
        NoTypeError: no type holds the values.
    """
    match guess.kind:
        case "null" if not roomy and not guess.words:
            return f"varchar({_UNSEEN_VARCHAR})"
        case "null" | "varchar":
            return f"varchar({MAX_VARCHAR if roomy else _width(guess.size, MAX_VARCHAR)})"
        case "varbyte":
            return f"varbyte({ROOMY_VARBYTE if roomy else _width(guess.size, ROOMY_VARBYTE)})"
        case "whole":
            return _integer_type(guess, roomy=roomy, complete=complete)
        case "number":
            return _number_type(guess, roomy=roomy)
        case "decimal":
            return _decimal_type(guess.whole + guess.scale, guess.scale)
    return guess.kind


def _width(size: int, most: int) -> int:
    """The least power of two that leaves the headroom above the longest value."""
    request = max(_LEAST_VARCHAR, size + -(-size // _SPARE_SHARE))
    return min(1 << (request - 1).bit_length(), most)


def _integer_type(guess: Guess, *, roomy: bool, complete: bool) -> str:
    if guess.bits < 32 and not roomy:
        return "smallint" if guess.bits < 16 and complete else "integer"
    return "bigint" if guess.bits < 64 else _number_type(guess, roomy=roomy)


def _number_type(guess: Guess, *, roomy: bool) -> str:
    digits = guess.whole + guess.scale
    is_exact = digits <= MAX_PRECISION and guess.scale <= MAX_SCALE
    if guess.is_text and not is_exact:
        return type_of(to_text_guess(guess), roomy=roomy)
    # Numbers of JSON do not load into text.
    if guess.scale > MONEY_SCALE and (digits <= _FLOAT_DIGITS or not is_exact) and not roomy:
        return "double precision"
    short = digits <= _SHORT_DECIMAL - _SPARE_DIGITS and not roomy
    return _decimal_type(max(digits, _SHORT_DECIMAL if short else MAX_PRECISION), guess.scale)


def _decimal_type(precision: int, scale: int) -> str:
    if precision > MAX_PRECISION or scale > MAX_SCALE:
        raise NoTypeError(
            f"holds decimals of {precision} digits, {scale} of them after the point; Redshift"
            f" allows {MAX_PRECISION} and {MAX_SCALE}: round them, or use text or floats"
        )
    return f"decimal({precision},{scale})"
