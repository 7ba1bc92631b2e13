"""Documents of SUPER columns as nested Parquet values.

Redshift loads a Parquet string as a string, never as a document (``ingest-super``). A Parquet
column has one nested type, here that of the first rows; a document of another structure would gain
or lose keys, and is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from loader.data.cast.column import ColumnCast

Type = Any
"""A `pyarrow.DataType`; pyarrow has no type stubs."""

_HINT = "Parquet requires one, so use `staging: {format: json}`"
_ANY = pa.list_(pa.string())
"""The type of a column without any document in the first rows."""


def shape_of(texts: Sequence[str | None], source: Type | None) -> Type | None:
    """The nested type of these documents in Parquet; None where they do not share one.

    Args:
        texts: The documents of the first rows, as JSON text.
        source: Their Arrow type in the data, which also has the keys that are null so far.
    """
    shape = _from_arrow(source) if source is not None and pa.types.is_nested(source) else None
    if shape is None:
        try:
            shape = pa.array([_parse_json(text) for text in texts if text is not None]).type
        except (pa.ArrowException, ValueError, OverflowError):
            return None
        shape = _ANY if pa.types.is_null(shape) else _storable_type(shape)
    nested = shape is not None and (pa.types.is_struct(shape) or pa.types.is_list(shape))
    return shape if nested else None


class DocumentCast:
    """A column of JSON text as nested values; NULL where a document has another structure."""

    def __init__(self, cast: ColumnCast, shape: Type) -> None:
        self._cast = cast
        self.texts = cast.values
        texts = cast.values.to_pylist()
        self._mismatched: set[int] = set()
        values = [self._parse_value(row, text) for row, text in enumerate(texts)]
        try:
            self.values = pa.array(values, shape)
        except (pa.ArrowException, OverflowError):
            values = [self._check_fit(row, value, shape) for row, value in enumerate(values)]
            self.values = pa.array(values, shape)
        # Arrow leaves out keys that a shape lacks, and adds those that a value lacks.
        stored = self.values.to_pylist()
        changed = [row for row, value in enumerate(values) if not _are_equal(value, stored[row])]
        if changed:
            self._mismatched.update(changed)
            kept = [None if row in self._mismatched else value for row, value in enumerate(values)]
            self.values = pa.array(kept, shape)
        self.bad_rows = sorted({*cast.bad_rows, *self._mismatched})

    def explain_error(self, row: int) -> tuple[str, str]:
        """The value of a bad row, and the reason why it does not fit."""
        if row not in self._mismatched:
            return self._cast.explain_error(row)
        text = self._cast.values[row].as_py()
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        return shown, f"does not have the structure of the first rows; {_HINT}"

    def _parse_value(self, row: int, text: str | None) -> object:
        try:
            value = None if text is None else _parse_json(text)
        except ValueError:
            value = None
        if value is None and text is not None:
            self._mismatched.add(row)
        return value

    def _check_fit(self, row: int, value: object, shape: Type) -> object:
        try:
            pa.array([value], shape)
        except (pa.ArrowException, OverflowError):
            self._mismatched.add(row)
            return None
        return value


def _parse_json(text: str) -> Any:
    return json.loads(text, parse_float=_parse_double)


def _parse_double(text: str) -> float:
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        raise ValueError(f"{text} is not a double")
    return number


def _are_equal(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _are_equal(left[key], right[key]) for key in left
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_are_equal, left, right))
    # 1 equals 1.0, but True is not 1.
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _storable_type(shape: Type) -> Type | None:
    """The type with text for what is null so far; None where Parquet cannot store it."""
    types = pa.types
    if types.is_null(shape):
        return pa.string()
    if types.is_list(shape):
        inner = _storable_type(shape.value_type)
        return None if inner is None else pa.list_(inner)
    if types.is_struct(shape):
        inners = {field.name: _storable_type(field.type) for field in shape}
        if not inners or None in inners.values():
            return None
        return pa.struct(inners)
    return shape


def _from_arrow(source: Type) -> Type | None:
    """The nested type of the JSON that values of an Arrow type become; None where unknown."""
    types = pa.types
    if types.is_list(source) or types.is_large_list(source) or types.is_fixed_size_list(source):
        inner = _from_arrow(source.value_type)
        return None if inner is None else pa.list_(inner)
    if types.is_struct(source):
        inners = {field.name: _from_arrow(field.type) for field in source}
        return pa.struct(inners) if inners and None not in inners.values() else None
    if types.is_boolean(source):
        return pa.bool_()
    if types.is_integer(source):
        return pa.int64()
    if types.is_floating(source) or types.is_decimal(source):
        return pa.float64()
    textual = types.is_string(source) or types.is_large_string(source) or types.is_temporal(source)
    return pa.string() if textual or source == pa.string_view() else None
