"""Guesses from Arrow: its types tell what values are, and only the width of text is looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import is_arrow, to_plain, type_family, unknown_extension_name
from loader.inference.guesses import NOTHING, Guess, Refused
from loader.inference.objects import DURATIONS, guess_objects
from loader.inference.texts import guess_text

_NESTED: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_struct,
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)


def guess_values(values: Any, *, text: bool) -> Guess:
    """What a column of a chunk holds.

    Args:
        values: An Arrow array, or a list of Python objects.
        text: Whether the values come from a file of text, CSV or JSON, which has few types.

    Raises:
        Refused: there is no type for it.
    """
    bare = to_plain(values) if is_arrow(values) else values
    if not is_arrow(bare):
        return guess_objects(bare, text=text)
    if text and pa.types.is_string(bare.type):
        return guess_text(bare)
    return _of_type(bare)


def guess_type(arrow: Any) -> Guess:
    """What a column of an Arrow type would hold.

    Raises:
        Refused: there is no type for it.
    """
    if pa.types.is_dictionary(arrow):
        return guess_type(arrow.value_type)
    return guess_values(pa.nulls(0, arrow), text=False)


def _of_type(array: Any) -> Guess:
    arrow = array.type
    match type_family(arrow):
        case "null":
            return NOTHING
        case "text":
            return Guess("varchar", size=_longest(array))
        case "binary":
            return Guess("varbyte", size=_longest(array))
        case "integer":
            return _integer(arrow)
        case "float":
            return Guess("double precision" if arrow.bit_width > 32 else "real")
        case "decimal":
            return _decimal(arrow)
        case "duration" | "interval":
            raise Refused(DURATIONS)
        case "other":
            return _other(arrow)
        case kind:
            return Guess(kind)


def _longest(array: Any) -> int:
    return pc.max(pc.binary_length(array)).as_py() or 0


def _integer(arrow: Any) -> Guess:
    # An unsigned type needs one bit more.
    bits = arrow.bit_width + (arrow in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()))
    if bits > 64:
        return Guess("decimal", whole=20)
    return Guess("smallint" if bits <= 16 else "integer" if bits <= 32 else "bigint")


def _decimal(arrow: Any) -> Guess:
    # A negative scale means zeros before the point.
    return Guess("decimal", whole=max(arrow.precision - arrow.scale, 0), scale=max(arrow.scale, 0))


def _other(arrow: Any) -> Guess:
    if unknown_extension_name(arrow):
        raise Refused(f"is of the type {arrow}, which has no counterpart in Redshift: make it text")
    if pa.types.is_map(arrow):
        return Guess("super", shaped=False)
    if any(known(arrow) for known in _NESTED):
        return Guess("super", shaped=_is_shaped(arrow))
    raise Refused(f"is of the type {arrow}, which has no counterpart in Redshift: make it text")


def _is_shaped(arrow: Any) -> bool:
    """Whether a type holds no map, whose keys may be any."""
    if pa.types.is_map(arrow):
        return False
    return all(_is_shaped(arrow.field(at).type) for at in range(arrow.num_fields))
