"""Dask DataFrames and Ray datasets, whose partitions this process fetches one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loader.data.batches import number_chunks, read_batches
from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_names
from loader.data.from_pandas import open_pandas
from loader.data.read_errors import raise_source_errors, unreadable_frame


def open_dask(obj: Any) -> Frame:
    """The chunks of a `dask.dataframe.DataFrame`, computed partition by partition.

    A named index is a column, as in pandas.

    Raises:
        SourceError: a column name occurs twice.
    """
    return Frame(
        open_pandas(obj._meta).columns,
        raise_source_errors(number_chunks(_dask_chunks(obj))),
    )


def _dask_chunks(obj: Any) -> Iterator[Chunk]:
    for partition in obj.to_delayed():
        yield from open_pandas(partition.compute()).chunks


def open_ray(obj: Any) -> Frame:
    """The chunks of a `ray.data.Dataset`, block by block.

    Raises:
        SourceError: its schema cannot be computed, or a column name occurs twice.
    """
    try:
        names = check_names(tuple(obj.columns() or ()), "the frame")
    except Exception as error:  # Ray runs tasks to find the schema
        raise unreadable_frame(error) from error
    blocks = obj.iter_batches(batch_size=None, batch_format="pyarrow")
    return Frame(names, read_batches(batch for block in blocks for batch in block.to_batches()))
