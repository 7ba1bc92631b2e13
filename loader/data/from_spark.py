"""Spark DataFrames, of a classic session and of Spark Connect, through their public interface."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from loader.data.batches import number_batches
from loader.data.chunk import Frame
from loader.data.column_names import check_names
from loader.errors import LoaderError, SourceError

_TRACEBACK = "Traceback (most recent call last):"
_STACK = re.compile(r"\n+(?:\tat |JVM stacktrace:|Driver stacktrace:)")
_FAILED = re.compile(r"(?:\n|\A)(?=[A-Za-z_][\w.]*(?:: |\n|\Z))")


def is_spark_frame(obj: object) -> bool:
    """Whether an object is a `pyspark.sql.DataFrame`; imports nothing."""
    return any(
        cls.__name__ == "DataFrame" and cls.__module__.startswith("pyspark.sql.")
        for cls in type(obj).__mro__
    )


def open_spark(obj: Any) -> Frame:
    """The chunks of a Spark DataFrame, which this process fetches partition by partition.

    This is for plans and drafts: a load stages its rows where they are (`loader.executor.spark`).

    Raises:
        SourceError: a column name occurs twice.
    """
    names = check_names(tuple(obj.columns), "the frame")
    return Frame(names, number_batches(_fetch_batches(obj), "frame"))


def _fetch_batches(obj: Any) -> Iterator[Any]:
    try:
        for (content,) in obj.mapInArrow(serialize_batches, "batch binary").toLocalIterator():
            yield from pa.ipc.open_stream(pa.py_buffer(content))
    except LoaderError:
        raise
    except Exception as error:
        raise unreadable_spark(error) from error


def serialize_batches(batches: Iterable[Any]) -> Iterator[Any]:
    """Each batch as one binary value, in Arrow's stream format; runs in executors."""
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        content = pa.array([sink.getvalue().to_pybytes()], pa.binary())
        yield pa.RecordBatch.from_arrays([content], names=["batch"])


def unreadable_spark(error: Exception) -> SourceError:
    """The error to raise for a Spark DataFrame whose job failed."""
    return SourceError(f"the Spark DataFrame cannot be read: {find_cause(str(error))}")


def find_cause(text: str) -> str:
    r"""What failed, from the message of Spark's exception, without the stack traces around it.

    >>> find_cause("Traceback (most recent call last):\n  File …\nValueError: bad\n\tat org.x")
    'ValueError: bad'
    >>> find_cause("[DIVIDE_BY_ZERO] Division by zero.\n\tat org.x(y)")
    '[DIVIDE_BY_ZERO] Division by zero.'
    """
    before, marker, traceback = text.rpartition(_TRACEBACK)
    if marker:
        own = _STACK.split(traceback, maxsplit=1)[0]
        failed = _FAILED.split(own, maxsplit=1)
        return failed[-1].strip() or own.strip()
    return _STACK.split(text or before, maxsplit=1)[0].strip() or "unknown error"
