"""Guesses from Arrow types; only the width of text and binary is read from the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import is_arrow, to_plain, type_family, unknown_extension_name
from loader.inference.guesses import NOTHING, Guess, NoTypeError
from loader.inference.objects import DURATIONS, guess_objects
from loader.inference.text_formats import DEFAULT, Reading
from loader.inference.texts import guess_text

_NO_TYPE = "is of the type {}, which has no counterpart in Redshift: convert it to text"

_NESTED: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_struct,
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)


def guess_values(values: Any, *, text: bool, reading: Reading = DEFAULT) -> Guess:
    """Guess what a column of a chunk holds.

    Args:
        values: An Arrow array, or a list of Python objects.
        text: Whether the values come from CSV or JSON, which have few types.
        reading: How text is read.

    Raises:
        NoTypeError: no table type fits the values.
    """
    plain = to_plain(values) if is_arrow(values) else values
    if not is_arrow(plain):
        return guess_objects(plain, text=text, reading=reading)
    if text and pa.types.is_string(plain.type):
        return guess_text(plain, reading)
    return _guess_arrow(plain)


def guess_type(arrow: Any) -> Guess:
    """Guess what a column of an Arrow type holds.

    Raises:
        NoTypeError: no table type fits.
    """
    if pa.types.is_dictionary(arrow):
        return guess_type(arrow.value_type)
    return guess_values(pa.nulls(0, arrow), text=False)


def _guess_arrow(array: Any) -> Guess:
    arrow = array.type
    match type_family(arrow):
        case "null":
            return NOTHING
        case "text":
            return Guess("varchar", size=_max_length(array))
        case "binary":
            return Guess("varbyte", size=_max_length(array))
        case "integer":
            return _integer(arrow)
        case "float":
            return Guess("double precision" if arrow.bit_width > 32 else "real")
        case "decimal":
            return _decimal(arrow)
        case "duration" | "interval":
            raise NoTypeError(DURATIONS)
        case "other":
            return _other(arrow)
        case kind:
            return Guess(kind)


def _max_length(array: Any) -> int:
    return pc.max(pc.binary_length(array)).as_py() or 0


def _integer(arrow: Any) -> Guess:
    # A signed type needs one more bit than an unsigned one.
    bits = arrow.bit_width + (arrow in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()))
    if bits > 64:
        return Guess("decimal", whole=20)
    return Guess("smallint" if bits <= 16 else "integer" if bits <= 32 else "bigint")


def _decimal(arrow: Any) -> Guess:
    # A negative scale means zeros before the point.
    return Guess("decimal", whole=max(arrow.precision - arrow.scale, 0), scale=max(arrow.scale, 0))


def _other(arrow: Any) -> Guess:
    if unknown_extension_name(arrow):
        raise NoTypeError(_NO_TYPE.format(arrow))
    if pa.types.is_map(arrow):
        return Guess("super", has_fixed_shape=False)
    if any(known(arrow) for known in _NESTED):
        return Guess("super", has_fixed_shape=_is_shaped(arrow))
    raise NoTypeError(_NO_TYPE.format(arrow))


def _is_shaped(arrow: Any) -> bool:
    """Whether a type contains no map, whose keys can vary from row to row."""
    if pa.types.is_map(arrow):
        return False
    return all(_is_shaped(arrow.field(at).type) for at in range(arrow.num_fields))
