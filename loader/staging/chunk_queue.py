"""Hands chunks from the thread that reads rows to the threads that write files."""

from __future__ import annotations

import threading
from collections import deque

import pyarrow as pa

_QUEUE_BYTES = 16 << 20
"""The Arrow bytes from which the queue is full."""


class StoppedError(Exception):
    """Raised in a writer thread to end it, because the load is given up."""


class ChunkQueue:
    """A queue from one thread to several, bounded by bytes, that can be stopped with an error."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._chunks: deque[tuple[list[pa.RecordBatch], int]] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self.stopped = False

    @property
    def waiting(self) -> int:
        """The number of chunks in the queue."""
        return len(self._chunks)

    def put(self, chunk: list[pa.RecordBatch], size: int) -> None:
        """Add a chunk; wait while the queue is full.

        Args:
            chunk: The record batches.
            size: Their bytes.

        Raises:
            BaseException: the error of a writer, as `raise_error` does.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._bytes < _QUEUE_BYTES)
            self.raise_error()
            self._chunks.append((chunk, size))
            self._bytes += size
            self._changed.notify_all()

    def get(self) -> list[pa.RecordBatch] | None:
        """Take the next chunk, waiting for it; None when the stream has ended.

        Raises:
            StoppedError: the queue was stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._ended or self._chunks)
            if self.stopped:
                raise StoppedError
            if not self._chunks:
                return None
            chunk, size = self._chunks.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return chunk

    def end(self) -> None:
        """Mark the end of the stream."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """Drop all chunks and wake all threads, after an error or because the load is given up."""
        with self._changed:
            self._error = self._error or error
            self.stopped = True
            self._chunks.clear()
            self._changed.notify_all()

    def raise_error(self) -> None:
        """Raise the error of a writer, if one has failed."""
        if self._error is not None:
            raise self._error
