"""Reads Arrow IPC files, which need random access, and Arrow IPC streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from loader.data.batches import number_batches
from loader.data.chunk import Frame
from loader.data.column_names import check_names
from loader.data.files.inputs import Input
from loader.errors import SourceError

_END = b"\xff\xff\xff\xff\0\0\0\0"
"""The end mark of a stream."""


def open_arrow_file(content: Any, name: str) -> Frame:
    """The rows of a file in the IPC file format.

    Args:
        content: The file, with random access.
        name: Its name, for messages.

    Raises:
        SourceError: a column name occurs twice. Errors of reading rows are raised by the chunks.
    """
    reader = pa.ipc.open_file(content)
    names = check_names(reader.schema.names, name)
    batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
    return Frame(names, number_batches(_validate(batches), name))


def open_arrow_stream(stream: Input, name: str) -> Frame:
    """The rows of a stream in the IPC streaming format, which must have its end mark.

    The mark is optional in the format, but without it a truncated stream cannot be recognised.

    Raises:
        SourceError: a column name occurs twice; from the chunks, that there is no end mark, or
            data after it. Errors of reading rows are raised by the chunks.
    """
    reader = pa.ipc.open_stream(pa.PythonFile(stream, mode="r"))
    names = check_names(reader.schema.names, name)
    return Frame(names, number_batches(_validate(_require_end(reader, stream, name)), name))


def _require_end(reader: Any, stream: Input, name: str) -> Iterator[Any]:
    """The batches of a stream, provided that it ends with its mark."""
    yield from reader
    if stream.tail != _END:
        raise SourceError(
            f"{name} cannot be read: the Arrow stream has no end mark, so it is truncated",
            hint="close the writer of the stream, which writes the mark",
        )
    if stream.peek(1):
        raise SourceError(
            f"{name} cannot be read: there is data after the end of its Arrow stream",
            hint="a file may have one stream; pass several files instead of concatenating them",
        )


def _validate(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, validated: invalid offsets would crash the process."""
    for batch in batches:
        for column in batch.columns:
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                if "UTF8" not in str(error):  # invalid text is reported with its column and row
                    raise
        yield batch
