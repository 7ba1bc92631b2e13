"""pandas frames as chunks. pandas itself is never imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from loader.data.batches import to_array
from loader.data.chunk import CHUNK_ROWS, Chunk, Frame, Values
from loader.data.column_names import check_names
from loader.data.pandas_index import index_columns, index_level
from loader.data.read_errors import raise_source_errors


class _PandasBlocker:
    """An import hook that reports pandas as not installed."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def block_pandas_import() -> None:
    """Keep PyArrow from importing pandas, for a process that has no pandas frames.

    PyArrow imports it when it first converts a Python value, which takes half a second and more. It
    still imports pandas when something is converted to a pandas frame.
    """
    if "pandas" in sys.modules:
        return
    hook = _PandasBlocker()
    sys.meta_path.insert(0, hook)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(hook)


def open_pandas(obj: Any) -> Frame:
    """The chunks of a `pandas.DataFrame`; named levels of its index become the first columns.

    Raises:
        SourceError: a column name is not text or occurs twice, or the index has no name and is not
            a row number.
    """
    levels = index_columns(obj)
    names = check_names([*levels.values(), *obj.columns], "the frame")
    return Frame(names, raise_source_errors(_pandas_chunks(obj, levels, names)), rows=len(obj))


def _pandas_chunks(obj: Any, levels: Iterable[int], names: Sequence[str]) -> Iterator[Chunk]:
    for start in range(0, len(obj), CHUNK_ROWS):
        piece = obj.iloc[start : start + CHUNK_ROWS]
        series = [index_level(piece.index, at).to_series() for at in levels]
        series += [piece.iloc[:, at] for at in range(piece.shape[1])]
        columns = dict(zip(names, map(_pandas_values, series), strict=True))
        yield Chunk(columns, len(piece), "frame", start + 1, nan_is_null=True)


def _pandas_values(series: Any) -> Values:
    """A column as an Arrow array, or as Python objects; NaN, NaT and NA are None."""
    if type(series.dtype).__name__ == "SparseDtype":
        series = series.sparse.to_dense()
    categories = getattr(series.dtype, "categories", None)
    if categories is not None and categories.dtype.kind in "MmO" and not _is_text(categories):
        # Arrow would find one type for all objects, and cut time stamps among dates to dates;
        # before pandas 3 it would drop the zone of time stamps.
        series = series.astype(categories.dtype)
    if series.dtype != object:
        try:
            return to_array(pa.array(series, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError):
            pass  # a type without an Arrow form: its values are cast one by one
    values = series.to_numpy(dtype=object, copy=True)
    with suppress(ArithmeticError):  # pandas fails on the decimal sNaN, which no cast takes
        values[series.isna().to_numpy()] = None
    found: list[object] = values.tolist()
    return found


def _is_text(index: Any) -> bool:
    return type(index.dtype).__name__ == "StringDtype"
