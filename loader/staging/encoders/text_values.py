"""Converts Arrow columns to the text of CSV and JSON files.

Times are ISO 8601 with a space, binary is hexadecimal, decimals never have an exponent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from loader.errors import StageError

_EXACT_DIGITS = 15
"""The most digits of a decimal that a reader through doubles does not change."""


_TEXT = pa.large_string()
"""With 64-bit offsets, so that no batch of text is too long."""


TextKind = Literal["number", "bigint", "decimal", "digits", "float", "time", "hex", "text"]
"""`number` includes booleans; `digits` is a decimal with more digits than a double keeps."""

Encoder = Callable[[pa.Array], pa.Array]

USE_PARQUET = "set `staging: {format: parquet}`"
"""The hint of errors about values that text does not hold."""


def find_encoder(field: pa.Field, form: str) -> tuple[Encoder, TextKind]:
    """The function that turns a column into text with nulls, and the kind of that text.

    Raises:
        StageError: text files cannot represent the type.
    """
    data_type, types = field.type, pa.types
    if types.is_boolean(data_type) or types.is_integer(data_type):
        return _to_text, "bigint" if data_type.bit_width == 64 else "number"
    if types.is_float32(data_type) or types.is_float64(data_type):
        return _float_to_text, "float"
    if types.is_decimal128(data_type) and data_type.scale >= 0:
        return _decimal_to_text, "decimal" if data_type.precision <= _EXACT_DIGITS else "digits"
    if types.is_string(data_type) or types.is_large_string(data_type):
        return _to_text, "text"
    if types.is_binary(data_type) or types.is_large_binary(data_type):
        return to_hex, "hex"
    return _find_time_encoder(field, form), "time"


def _find_time_encoder(field: pa.Field, form: str) -> Encoder:
    encode = _check_and_encode(field.name, form)
    if field.type == pa.time64("us") or pa.types.is_date32(field.type):
        return encode
    if pa.types.is_timestamp(field.type) and field.type.unit == "us":
        return _add_utc_offset(encode) if field.type.tz else encode
    raise StageError(
        f"column `{field.name}`: {form} files cannot hold values of the Arrow type {field.type}",
        hint=USE_PARQUET,
    )


def as_text_scalar(value: str) -> pa.Scalar:
    """Text as an Arrow scalar that can be joined with encoded columns."""
    return pa.scalar(value, _TEXT)


def _to_text(column: pa.Array) -> pa.Array:
    return pc.cast(column, _TEXT)


def join_text(*parts: pa.Array | str) -> pa.Array:
    """Concatenate the parts in each row; null where a part is null."""
    texts = [as_text_scalar(part) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*texts, as_text_scalar(""))


def _has_true(mask: pa.Array) -> bool:
    return bool(pc.any(mask).as_py())


def _float_to_text(column: pa.Array) -> pa.Array:
    """The shortest text that parses to the same number; NaN and infinities by name."""
    text = _to_text(column)
    # Readers parse -0 as an integer, which has no negative zero.
    text = pc.if_else(pc.equal(text, as_text_scalar("-0")), as_text_scalar("-0.0"), text)
    if not _has_true(pc.invert(pc.is_finite(column))):
        return text
    infinity = pc.if_else(
        pc.greater(column, 0), as_text_scalar("Infinity"), as_text_scalar("-Infinity")
    )
    named = pc.if_else(pc.is_nan(column), as_text_scalar("NaN"), infinity)
    return pc.if_else(pc.is_finite(column), text, named)


def refuse_infinite(column: pa.Array, name: str) -> None:
    """Refuse NaN and infinite numbers.

    Raises:
        StageError: the column of this name contains one.
    """
    if _has_true(pc.invert(pc.is_finite(column))):
        raise StageError(
            f"column `{name}`: JSON cannot represent NaN and infinite numbers",
            hint="use csv, parquet or arrow instead",
        )


def _decimal_to_text(column: pa.Array) -> pa.Array:
    """All digits of the scale, without the exponent that Arrow uses for small numbers."""
    text, scale = _to_text(column), column.type.scale
    if not _has_true(pc.match_substring(text, "E")):
        return text
    units = column.view(pa.decimal128(38, 0))
    digits = pc.utf8_lpad(_to_text(pc.abs(units)), scale + 1, "0")
    sign = pc.if_else(pc.starts_with(text, "-"), as_text_scalar("-"), as_text_scalar(""))
    return join_text(sign, pc.replace_substring_regex(digits, rf"(\d{{{scale}}})$", r".\1"))


_DATES = (-719_162, 2_932_896)
"""The first and last day of the years 1 to 9999, counted from 1970."""

_DAY = 86_400_000_000
"""In microseconds."""

_STAMPS = (_DATES[0] * _DAY, (_DATES[1] + 1) * _DAY - 1)
"""The same as `_DATES` in microseconds."""


def check_times(column: pa.Array, name: str, form: str) -> None:
    """Refuse dates, times and time stamps that text does not hold.

    Raises:
        StageError: the column of this name contains one.
    """
    units, (low, high), others = pa.int64(), _STAMPS, "years before 1 or after 9999"
    if pa.types.is_date32(column.type):
        units, (low, high) = pa.int32(), _DATES
    elif pa.types.is_time(column.type):
        (low, high), others = (0, _DAY - 1), "times after 23:59:59.999999"
    ends = pc.min_max(column.view(units)).as_py()
    if ends["min"] is not None and not low <= ends["min"] <= ends["max"] <= high:
        raise StageError(
            f"column `{name}`: {form} files cannot hold {others}",
            hint=USE_PARQUET,
        )


def _check_and_encode(name: str, form: str) -> Encoder:
    def encode(column: pa.Array) -> pa.Array:
        check_times(column, name, form)
        return _to_text(column)

    return encode


def _add_utc_offset(encode: Encoder) -> Encoder:
    """An encoder of time stamps with a zone, in UTC with its offset."""
    return lambda column: join_text(encode(column.view(pa.timestamp("us"))), "+00")


def to_hex(column: pa.Array) -> pa.Array:
    """Two hex digits for each byte, all values at once: offsets are doubled."""
    column = pc.cast(column, pa.large_binary())
    _, offsets, data = column.buffers()
    edges = pa.Array.from_buffers(
        pa.int64(), len(column) + 1, [None, offsets], offset=column.offset
    )
    first, last = edges[0].as_py(), edges[-1].as_py()
    digits = memoryview(data)[first:last].hex().encode() if data else b""
    doubled = pc.multiply(pc.subtract(edges, first), 2).buffers()[1]
    text = pa.Array.from_buffers(_TEXT, len(column), [None, doubled, pa.py_buffer(digits)])
    return pc.if_else(column.is_valid(), text, pa.scalar(None, _TEXT))


_COMMON_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_RARE_ESCAPES = {
    chr(code): f"\\u{code:04x}" for code in range(32) if chr(code) not in _COMMON_ESCAPES
}


def escape_json(text: pa.Array) -> pa.Array:
    """Text escaped as the inside of a JSON string."""
    text = pc.replace_substring(text, "\\", "\\\\")
    text = pc.replace_substring(text, '"', '\\"')
    for escapes in (_COMMON_ESCAPES, _RARE_ESCAPES):
        # One search is cheaper than a replacement for each character that does not occur.
        if not _has_true(pc.match_substring_regex(text, "[\x01-\x1f]|\\x00")):
            break
        for character, escape in escapes.items():
            text = pc.replace_substring(text, character, escape)
    return text
