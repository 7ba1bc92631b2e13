"""What the values of a column are, as far as they were seen, and the type that takes them.

A guess is made of each chunk, and guesses of one column are merged, so that types and widths do
not depend on how the rows were cut into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loader.sql.datatypes import MAX_PRECISION, MAX_SCALE, MAX_VARCHAR, ROOMY_VARBYTE

_LEAST_VARCHAR = 16
_UNSEEN_VARCHAR = 256
"""What Redshift gives a VARCHAR of which nothing is said."""

_SPARE_SHARE = 4
"""A width has one part in so many besides the longest value, before it is rounded up."""

_SHORT_DECIMAL = 18
"""Digits that Redshift keeps in 64 bits."""

_SPARE_DIGITS = 3
"""Digits that a decimal of 64 bits has left for larger values."""

MONEY_SCALE = 9
"""Written with more decimals than this, numbers are measured, and floats."""

_INTEGERS = ("smallint", "integer", "bigint")


class Refused(ValueError):  # noqa: N818  # a verdict on a column, no fault
    """There is no type for a column; the text reads on from its name, as in ``holds durations``."""


@dataclass(frozen=True)
class Guess:
    """What the values of a column are.

    The kind is a type's name, or: ``null`` when no value was seen, ``whole`` for integers without
    a width, ``number`` for decimals without a precision.
    """

    kind: str
    whole: int = 0
    """The most digits before the point."""
    scale: int = 0
    """The most digits behind the point."""
    bits: int = 0
    """The most bits of a whole number, its sign aside."""
    size: int = 0
    """The most bytes of one value, of text and binary."""
    written: bool = False
    """Whether the values are text, which may always be taken for what it is."""
    words: frozenset[str] = frozenset()
    """Words that have to mean NULL for the kind to be right."""
    shaped: bool = True
    """Whether the source's type tells the shape of all documents."""


NOTHING = Guess("null")
"""What is known of a column without values."""


def merged(one: Guess, other: Guess) -> Guess:
    """The narrowest guess that is right for the values of both.

    Raises:
        Refused: there is none; both kinds are named.
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
        written=one.written and other.written,
        words=one.words | other.words,
        shaped=one.shaped and other.shaped,
    )
    if both.kind == "varchar":
        return replace(both, words=frozenset())
    if both.kind and len(both.words) < 2:
        return both
    if both.written:
        return as_text(both)
    raise Refused(f"holds {told(one.kind)} and {told(other.kind)}")


def as_text(guess: Guess) -> Guess:
    """What is written, taken as text."""
    return Guess("varchar", size=guess.size, written=guess.written)


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
"""Two kinds and the one that holds both."""

_TOLD = {
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
    "timetz": "times with a zone",
    "timestamp": "time stamps without a zone",
    "timestamptz": "time stamps with a zone",
    "varchar": "text",
    "varbyte": "binary",
    "super": "lists or objects",
}


def told(kind: str) -> str:
    """A kind as messages name its values."""
    return _TOLD[kind]


def type_of(guess: Guess, *, roomy: bool, complete: bool = False) -> str:
    """The type of a column whose values are these.

    Args:
        guess: What the values are.
        roomy: Whether later values may be larger without anybody asking: text and numbers get
            all the room there is. Else a reviewer sees a width that fits, with headroom.
        complete: Whether these are all values, so that their size proves something.

    Raises:
        Refused: no type takes the values.
    """
    match guess.kind:
        case "null" if not roomy and not guess.words:
            return f"varchar({_UNSEEN_VARCHAR})"
        case "null" | "varchar":
            return f"varchar({MAX_VARCHAR if roomy else _width(guess.size, MAX_VARCHAR)})"
        case "varbyte":
            return f"varbyte({ROOMY_VARBYTE if roomy else _width(guess.size, ROOMY_VARBYTE)})"
        case "whole":
            return _whole(guess, roomy=roomy, complete=complete)
        case "number":
            return _number(guess, roomy=roomy)
        case "decimal":
            return _decimal(guess.whole + guess.scale, guess.scale)
    return guess.kind


def _width(size: int, most: int) -> int:
    """A power of two that is at least a quarter more than the longest value."""
    wanted = max(_LEAST_VARCHAR, size + -(-size // _SPARE_SHARE))
    return min(1 << (wanted - 1).bit_length(), most)


def _whole(guess: Guess, *, roomy: bool, complete: bool) -> str:
    if guess.bits < 32 and not roomy:
        return "smallint" if guess.bits < 16 and complete else "integer"
    return "bigint" if guess.bits < 64 else _number(guess, roomy=roomy)


def _number(guess: Guess, *, roomy: bool) -> str:
    if guess.scale > MONEY_SCALE and not roomy:
        return "double precision"
    digits = guess.whole + guess.scale
    if guess.written and digits > MAX_PRECISION:
        return type_of(as_text(guess), roomy=roomy)
    short = digits <= _SHORT_DECIMAL - _SPARE_DIGITS and not roomy
    return _decimal(max(digits, _SHORT_DECIMAL if short else MAX_PRECISION), guess.scale)


def _decimal(precision: int, scale: int) -> str:
    if precision > MAX_PRECISION or scale > MAX_SCALE:
        raise Refused(
            f"holds decimals of {precision} digits, {scale} of them behind the point; Redshift"
            f" takes {MAX_PRECISION} and {MAX_SCALE}: round them, or make them text or floats"
        )
    return f"decimal({precision},{scale})"
