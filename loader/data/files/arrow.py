"""Arrow IPC as frames: files, which are read from their end, and streams."""

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
"""What a stream ends with."""


def open_arrow_file(content: Any, name: str) -> Frame:
    """The rows of a file in the IPC file format.

    Args:
        content: The file, as something with random access.
        name: What it is called, for messages.

    Raises:
        SourceError: its columns have no usable names. What goes wrong while it is read is raised
            by the chunks.
    """
    reader = pa.ipc.open_file(content)
    names = check_names(reader.schema.names, name)
    batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
    return Frame(names, number_batches(_valid(batches), name))


def open_arrow_stream(stream: Input, name: str) -> Frame:
    """The rows of a stream in the IPC streaming format, which has to end as its writer ends it.

    The format lets a stream just end. One that was broken off between two batches is no different,
    and all rows or none are wanted.

    Raises:
        SourceError: its columns have no usable names; from the chunks, that it has no end mark, or
            that something follows it. What goes wrong while it is read is raised by the chunks.
    """
    reader = pa.ipc.open_stream(pa.PythonFile(stream, mode="r"))
    names = check_names(reader.schema.names, name)
    return Frame(names, number_batches(_valid(_whole(reader, stream, name)), name))


def _whole(reader: Any, stream: Input, name: str) -> Iterator[Any]:
    yield from reader
    if stream.tail != _END:
        raise SourceError(
            f"{name} cannot be read: the Arrow stream has no end mark, so it is cut off",
            hint="whatever writes the stream has to close its writer, which writes the mark",
        )
    if stream.peek(1):
        raise SourceError(
            f"{name} cannot be read: something follows the end of its Arrow stream",
            hint="a file holds one stream; name several files instead of joining them",
        )


def _valid(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, once it is known that nothing in them points elsewhere, which would crash."""
    for batch in batches:
        for column in batch.columns:
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                if "UTF8" not in str(error):  # such a text is told with its column and row
                    raise
        yield batch
