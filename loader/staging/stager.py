"""Stages a stream of batches as files of about one size, several at once, in constant memory.

The caller's thread passes chunks to writer threads through a `ChunkQueue`. Each writer has one open
file; encoders release the GIL, so writers run in parallel. A further writer is started when chunks
pile up: a small load has one.
"""

from __future__ import annotations

import io
import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from loader.errors import StageError
from loader.plan.figures import Figure, Value
from loader.spec.model import Staging
from loader.staging.chunk_queue import ChunkQueue, StoppedError
from loader.staging.encoders.open import file_suffix, open_writer
from loader.staging.figures.collector import FigureCollector
from loader.staging.keep import apply_keep, clean_up_failed
from loader.staging.staged import Staged, StagedFile, write_manifest
from loader.staging.stores.base import Store
from loader.text_tables import format_count

Progress = Callable[[int, int, int], None]
"""Called in the caller's thread with rows encoded, bytes written and files completed so far."""

_MAX_WRITERS = 4
"""More files at once cost memory, and these saturate disks and networks."""

_CHUNK_BYTES = (64 << 10, 4 << 20)
"""The least and the most Arrow bytes of one chunk."""

_CHUNKS_PER_FILE = 16
"""A file ends between chunks, so this bounds how far it exceeds its size."""

_VALUE_BYTES = 16
"""The least bytes a value counts: a boolean has one bit in Arrow, but several bytes as text."""

_BACKLOG = 2
"""The number of waiting chunks from which another writer is started."""

_POLL_SECONDS = 0.1


class _CountingSink(io.BufferedIOBase):
    """A file that counts the bytes written, and raises `StoppedError` when the load is given up."""

    def __init__(
        self, file: io.BufferedIOBase, queue: ChunkQueue, count: Callable[[int], None]
    ) -> None:
        self._open: tuple[io.BufferedIOBase, ChunkQueue, Callable[[int], None]] | None
        self._open = (file, queue, count)
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self._open is not None:
            file, queue, count = self._open
            if queue.stopped:
                raise StoppedError
            file.write(view)
            count(view.nbytes)
        self._position += view.nbytes
        return view.nbytes

    def discard(self) -> None:
        """Ignore further bytes: encoders still write some when they are closed.

        The file and the queue are released. Python does not see that PyArrow's encoders refer to
        this object, so an error that refers to both would keep all rows of a failed load for ever.
        """
        self._open = None


class Stager:
    """Stages one load below one prefix.

    Use it as a context manager: leaving it without `finish` gives the load up, and then its files
    are removed unless `keep` says otherwise.

    Args:
        store: Where the files go.
        prefix: The key prefix of the files, which no other run may use.
        schema: The schema of all batches.
        staging: Format, compression, file size, and what to keep; `auto` is Parquet.
        writers: Files written at once; default the number of cores, at most four. With one, the
            files hold the rows in the order of the stream.
        figures: The figures to compute from the rows.
        progress: Called as rows are staged.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        schema: pa.Schema,
        staging: Staging,
        *,
        writers: int | None = None,
        figures: Sequence[Figure] = (),
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._schema = schema
        self._staging = staging.resolve()
        self._writers = writers or min(os.cpu_count() or 1, _MAX_WRITERS)
        self._progress = progress
        self._figures = FigureCollector(figures)
        least, most = _CHUNK_BYTES
        self._chunk_bytes = max(least, min(most, staging.file_size // _CHUNKS_PER_FILE))
        self._chunk: list[pa.RecordBatch] = []
        self._chunk_size = 0
        self._queue = ChunkQueue()
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._rows = self._bytes = 0
        self._files: dict[int, StagedFile] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._closed:
            return
        self._stop_writers()
        if error is None:
            apply_keep(self._store, self._prefix, self._staging, failed=True)
        else:
            clean_up_failed(self._store, self._prefix, self._staging, error)

    def write(self, batch: pa.RecordBatch) -> None:
        """Stage rows; wait while the writers are behind.

        Raises:
            StageError: a writer has failed, now or earlier.
        """
        if not batch.schema.equals(self._schema):
            raise ValueError(f"a batch of {batch.schema} does not belong to {self._schema}")
        # In this thread, not in a writer: encoding takes longer than all that this thread does.
        self._figures.add(batch)
        size = max(batch.nbytes, batch.num_rows * batch.num_columns * _VALUE_BYTES)
        pieces = -(-size // self._chunk_bytes)
        rows = -(-batch.num_rows // max(pieces, 1))
        for start in range(0, batch.num_rows, max(rows, 1)):
            piece = batch.slice(start, rows)
            self._chunk.append(piece)
            self._chunk_size += size * piece.num_rows // batch.num_rows
            if self._chunk_size >= self._chunk_bytes:
                self._enqueue_chunk()

    def finish(self) -> Staged:
        """Wait for the writers, then write the manifest.

        Raises:
            StageError: a writer has failed.
        """
        files = self._join_writers()
        staged = write_manifest(self._store, self._prefix, files, self.figures)
        self._end()
        return staged

    @property
    def figures(self) -> Mapping[Figure, Value]:
        """The figures of all rows so far."""
        return self._figures.values

    def close_files(self) -> tuple[StagedFile, ...]:
        """Wait for the writers; returns their files, which no manifest lists yet.

        Raises:
            StageError: a writer has failed.
        """
        files = self._join_writers()
        self._end()
        return files

    def discard(self) -> None:
        """Give the load up and remove all its files, regardless of `keep`."""
        self._stop_writers()
        self._store.delete(self._prefix)
        self._closed = True

    def _join_writers(self) -> tuple[StagedFile, ...]:
        if self._chunk:
            self._enqueue_chunk()
        self._queue.end()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_POLL_SECONDS)
                self._report_progress()
        self._queue.raise_error()
        return tuple(file for _, file in sorted(self._files.items()))

    def _end(self) -> None:
        self._closed = True
        self._report_progress()
        self._figures.close()

    def _enqueue_chunk(self) -> None:
        chunk, size = self._chunk, self._chunk_size
        self._chunk, self._chunk_size = [], 0
        behind = self._queue.waiting >= _BACKLOG and len(self._threads) < self._writers
        if behind or not self._threads:
            # A daemon, so that a process that ends without `__exit__` does not hang.
            thread = threading.Thread(target=self._write_files, name="loader-staging", daemon=True)
            # Recorded before it runs: after a Ctrl-C in between, `_stop_writers` must join it.
            self._threads.append(thread)
            thread.start()
        self._queue.put(chunk, size)
        self._report_progress()

    def _stop_writers(self) -> None:
        self._figures.close()
        self._queue.stop()
        for thread in self._threads:
            with suppress(RuntimeError):  # it was never started
                thread.join()

    def _report_progress(self) -> None:
        if self._progress is not None:
            self._progress(self._rows, self._bytes, len(self._files))

    def _count_bytes(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def _write_files(self) -> None:
        """Write files until the stream ends; errors are raised in the caller's thread."""
        try:
            while (chunk := self._queue.get()) is not None:
                self._write_file(chunk)
        except StoppedError:
            pass
        except StageError as error:
            self._queue.stop(self._add_progress(error))
        except Exception as error:  # noqa: BLE001  raised again in the caller's thread
            wrapped = StageError(f"cannot stage in {self._store.uri(self._prefix)}: {error}")
            wrapped.__cause__ = error
            self._queue.stop(wrapped)

    def _add_progress(self, error: StageError) -> StageError:
        """Add how much was staged before the disk or bucket failed, to help size it."""
        if not isinstance(error.__cause__, OSError):
            return error
        so_far = (
            f"{format_count(self._rows, 'row')} and {self._bytes / (1 << 20):,.1f} MB of this load"
        )
        longer = StageError(f"{error.message} (after {so_far})", hint=error.hint)
        longer.__cause__ = error.__cause__
        return longer

    def _write_file(self, first: list[pa.RecordBatch]) -> None:
        """Write one file, from this chunk on until it is full or the stream ends."""
        # `next` of a count is atomic, and an incomplete file fails the load: no gaps.
        number = next(self._numbers)
        key = f"{self._prefix}/part-{number:05d}.{file_suffix(self._staging)}"
        with self._store.create(key) as file:
            sink = _CountingSink(file, self._queue, self._count_bytes)
            rows = self._encode_chunks(sink, first)
        with self._lock:
            self._files[number] = StagedFile(self._store.uri(key), rows, sink.tell())

    def _encode_chunks(self, sink: _CountingSink, first: list[pa.RecordBatch]) -> int:
        """Encode chunks into one file; returns its number of rows."""
        rows = 0
        chunk: list[pa.RecordBatch] | None = first
        writer = None
        try:
            writer = open_writer(self._staging, sink, self._schema)
            while chunk is not None:
                batch = chunk[0] if len(chunk) == 1 else pa.concat_batches(chunk)
                writer.write(batch)
                rows += batch.num_rows
                with self._lock:
                    self._rows += batch.num_rows
                chunk = self._queue.get() if not writer.full else None
            writer.close()
        except BaseException:
            sink.discard()
            if writer is not None:
                with suppress(Exception):
                    writer.abort()
            raise
        return rows
