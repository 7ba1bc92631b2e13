"""Opens every supported kind of frame as a stream of chunks.

pandas, Polars and PyArrow datasets (which import pandas) are recognised by the names of their
classes, and never imported for anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from loader.data.batches import number_chunks
from loader.data.chunk import Chunk, Frame, Values
from loader.data.column_names import check_same_columns
from loader.data.combine_batches import combine_small_chunks
from loader.data.from_arrow import open_array, open_relation, open_stream
from loader.data.from_cluster import open_dask, open_ray
from loader.data.from_dataset import open_dataset
from loader.data.from_pandas import open_pandas
from loader.data.from_polars import open_lazy_frame, open_polars
from loader.data.from_rows import open_rows
from loader.data.from_spark import is_spark_frame, open_spark
from loader.data.read_errors import raise_source_errors
from loader.errors import SourceError

SUPPORTED = (
    "a pandas, Polars, PyArrow, Spark or Dask table, a Ray dataset, a DuckDB relation, a"
    " polars.LazyFrame, a pyarrow.RecordBatchReader, a PyArrow dataset, anything else with"
    " __arrow_c_stream__, rows as dicts, or an iterable of these"
)


def open_frame(obj: object) -> Frame:
    """Open any supported object (see `SUPPORTED`) as a stream; small batches are combined.

    A level of a pandas index that has a name is a column, before the others. One without a name is
    left out when it holds whole numbers, which number the rows, and refused otherwise.

    Raises:
        SourceError: the object is not a frame, or a column name is not text or occurs twice.
            Errors of reading its rows are raised by the chunks, with their cause.
    """
    frame = _open_known(obj)
    if frame is None:
        raise SourceError(
            f"an object of type {_class_name(obj)} is not a frame", hint=f"pass {SUPPORTED}"
        )
    return replace(frame, chunks=combine_small_chunks(frame.chunks))


def peek(obj: object) -> tuple[Frame, dict[str, str]]:
    """Open a frame and look at its first chunk, which the returned frame still yields.

    Returns:
        The frame, and the type of each column in the first chunk, as text for messages.

    Raises:
        SourceError: the object is not a frame, or its first chunk cannot be read.
    """
    frame = obj if isinstance(obj, Frame) else open_frame(obj)
    chunks = iter(frame.chunks)
    first = list(islice(chunks, 1))
    types = dict.fromkeys(frame.columns, "")
    for chunk in first:
        types |= {name: _type_name(values, chunk) for name, values in chunk.columns.items()}
    return replace(frame, chunks=chain(first, chunks)), types


def _type_name(values: Values, chunk: Chunk) -> str:
    if chunk.text:
        return "text"
    if hasattr(values, "type"):
        return str(values.type)
    kinds = sorted({type(value).__name__ for value in values if value is not None})
    return ", ".join(kinds) or "only NULL"


def _open_known(obj: Any) -> Frame | None:
    """The frame of an object; None where it is not one."""
    if isinstance(obj, str | bytes | Mapping | type):
        return None
    for known, opener in _OPENERS:
        if known(obj):
            return opener(obj)
    return _open_iterable(obj) if isinstance(obj, Iterable) else None


def _open_iterable(obj: Iterable[object]) -> Frame | None:
    """One frame from an iterable of rows, or of frames with the same columns."""
    parts = raise_source_errors(obj)
    first = next(parts, None)
    if first is None:
        return Frame((), iter(()))
    if isinstance(first, Mapping):
        return open_rows(first, parts)
    frame = _open_known(first)
    if frame is None:
        raise SourceError(
            f"the first item of the {_class_name(obj)} is of type {_class_name(first)},"
            " which is not a frame",
            hint=f"pass {SUPPORTED}",
        )
    return Frame(frame.columns, number_chunks(_join_parts(frame, parts)))


def _join_parts(first: Frame, parts: Iterator[object]) -> Iterator[Chunk]:
    """The chunks of the first frame, then of the others, whose columns must be the same."""
    frame, number = first, 1
    while True:
        yield from frame.chunks
        try:
            part = next(parts)
        except StopIteration:
            return
        number += 1
        found = _open_known(part)
        if found is None:
            raise SourceError(
                f"item {number} of the stream is of type {_class_name(part)}, which is not a frame"
            )
        name = f"item {number} of the stream"
        check_same_columns(found.columns, first.columns, name, "the first item")
        frame = found


def _class_name(obj: object) -> str:
    cls = type(obj)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _is_instance(package: str, name: str) -> Callable[[object], bool]:
    """A check whether an object is an instance of a package's class; it imports no package."""

    def check(obj: object) -> bool:
        return package in sys.modules and any(
            cls.__name__ == name and cls.__module__.partition(".")[0] == package
            for cls in type(obj).__mro__
        )

    return check


_OPENERS: tuple[tuple[Callable[[object], bool], Callable[[Any], Frame | None]], ...] = (
    (_is_instance("pandas", "DataFrame"), open_pandas),
    (_is_instance("polars", "DataFrame"), open_polars),
    (_is_instance("polars", "LazyFrame"), open_lazy_frame),
    (_is_instance("pyarrow", "Dataset"), open_dataset),
    (_is_instance("pyarrow", "Scanner"), open_dataset),
    (_is_instance("duckdb", "DuckDBPyRelation"), open_relation),
    (is_spark_frame, open_spark),
    (_is_instance("dask", "DataFrame"), open_dask),
    (_is_instance("ray", "Dataset"), open_ray),
    (lambda obj: hasattr(obj, "__arrow_c_stream__"), open_stream),
    (lambda obj: hasattr(obj, "__arrow_c_array__"), open_array),
)
