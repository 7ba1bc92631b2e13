"""Writes the values of a frame as text, for tables that have all columns as text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import is_arrow, python_values
from loader.data.chunk import Chunk, Frame, UnsupportedValue, Values

_WRITTEN = (bool, int, float, Decimal, datetime, date, time, UUID, np.generic)


def write_texts(frame: Frame, columns: Collection[str]) -> Frame:
    """A frame whose numbers, booleans and times in some columns are text, as pandas writes CSV.

    Text, missing values, and lists and structs stay what they are.
    """
    if not columns:
        return frame

    def write(chunk: Chunk) -> Chunk:
        found = {
            name: _write(values, nan_is_null=chunk.nan_is_null) if name in columns else values
            for name, values in chunk.columns.items()
        }
        return replace(chunk, columns=found)

    return replace(frame, chunks=map(write, frame.chunks))


def _write(values: Values, *, nan_is_null: bool) -> Values:
    if not is_arrow(values):
        return [_write_value(value, nan_is_null=nan_is_null) for value in values]
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _write(values.dictionary_decode(), nan_is_null=nan_is_null)
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_date32(kind):
        return pc.cast(values, pa.string())
    if pa.types.is_timestamp(kind) and kind.tz is None and _are_days(values):
        return pc.cast(pc.cast(values, pa.date32()), pa.string())
    if pa.types.is_primitive(kind):
        return [_write_value(value, nan_is_null=nan_is_null) for value in python_values(values)]
    return values


def _are_days(times: Any) -> bool:
    """Whether all of them are midnights, which pandas writes as dates."""
    days = pc.equal(times, pc.cast(pc.cast(times, pa.date32(), safe=False), times.type))
    return bool(pc.all(days, min_count=0).as_py())


def _write_value(value: Any, *, nan_is_null: bool) -> Any:
    if nan_is_null and isinstance(value, float) and value != value:  # noqa: PLR0124  # only NaN
        return None
    if isinstance(value, UnsupportedValue):  # finer than a microsecond
        return value.text
    return str(value) if isinstance(value, _WRITTEN) else value
