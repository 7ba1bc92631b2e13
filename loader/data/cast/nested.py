"""SUPER values as nested Parquet: Redshift takes a Parquet string for a string, never a document.

A Parquet column has one shape. It is that of the first rows; a document of another shape would
gain or lose keys, and is refused (``ingest-super``).
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

_ADVICE = "stage the table with `staging: {format: json}`"
_ANY = pa.list_(pa.string())
"""What a column has that holds no document yet."""


def shape_of(texts: Sequence[str | None], source: Type | None) -> Type | None:
    """The nested type that documents like these have in Parquet; None when they have none.

    Args:
        texts: JSON, the documents of the first rows.
        source: The Arrow type they came in, which knows keys that are null so far.
    """
    shape = _from_arrow(source) if source is not None and pa.types.is_nested(source) else None
    if shape is None:
        try:
            shape = pa.array([_parsed(text) for text in texts if text is not None]).type
        except (pa.ArrowException, ValueError, OverflowError):
            return None
        shape = _ANY if pa.types.is_null(shape) else _storable(shape)
    nested = shape is not None and (pa.types.is_struct(shape) or pa.types.is_list(shape))
    return shape if nested else None


class DocumentCast:
    """A column of JSON text as nested values, with the rows of another shape as NULL."""

    def __init__(self, cast: ColumnCast, shape: Type) -> None:
        self._cast = cast
        self.texts = cast.values
        texts = cast.values.to_pylist()
        self._misfits: set[int] = set()
        values = [self._value(row, text) for row, text in enumerate(texts)]
        try:
            self.values = pa.array(values, shape)
        except (pa.ArrowException, OverflowError):
            values = [self._fitting(row, value, shape) for row, value in enumerate(values)]
            self.values = pa.array(values, shape)
        # Arrow leaves out keys that a shape lacks, and adds those that a value lacks.
        stored = self.values.to_pylist()
        changed = [row for row, value in enumerate(values) if not _same(value, stored[row])]
        if changed:
            self._misfits.update(changed)
            kept = [None if row in self._misfits else value for row, value in enumerate(values)]
            self.values = pa.array(kept, shape)
        self.bad = sorted({*cast.bad, *self._misfits})

    def complaint(self, row: int) -> str:
        """A bad row's value, and why it does not fit."""
        if row not in self._misfits:
            return self._cast.complaint(row)
        text = self._cast.values[row].as_py()
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        return f"{shown} has not the shape of the first rows, which Parquet needs; {_ADVICE}"

    def _value(self, row: int, text: str | None) -> object:
        try:
            value = None if text is None else _parsed(text)
        except ValueError:
            value = None
        if value is None and text is not None:
            self._misfits.add(row)
        return value

    def _fitting(self, row: int, value: object, shape: Type) -> object:
        try:
            pa.array([value], shape)
        except (pa.ArrowException, OverflowError):
            self._misfits.add(row)
            return None
        return value


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=_double)


def _double(text: str) -> float:
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        raise ValueError(f"{text} is no double")
    return number


def _same(left: object, right: object) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    # 1 and 1.0 are one number, and True is none.
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _storable(shape: Type) -> Type | None:
    """The type with a place for what is null so far; None when Parquet cannot store it."""
    types = pa.types
    if types.is_null(shape):
        return pa.string()
    if types.is_list(shape):
        inner = _storable(shape.value_type)
        return None if inner is None else pa.list_(inner)
    if types.is_struct(shape):
        inners = {field.name: _storable(field.type) for field in shape}
        if not inners or None in inners.values():
            return None
        return pa.struct(inners)
    return shape


def _from_arrow(source: Type) -> Type | None:
    """The shape of the JSON that values of an Arrow type become; None when it does not tell."""
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
