"""A stream of batches → files of about one size, several in flight, in constant memory.

The caller's thread hands chunks to writer threads over a belt that holds a bounded number of
bytes. Each writer owns one open file; encoders release the GIL, so they use as many cores. A
writer thread is started when chunks pile up before the others: a small load has one.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from loader.errors import StageError, tell_also
from loader.plan.figures import Figure, Value
from loader.spec.model import Staging
from loader.staging import encoders
from loader.staging.figure_collector import FigureCollector
from loader.staging.stores.base import Store

Progress = Callable[[int, int, int], None]
"""Told rows encoded, bytes written and files completed so far; called in the caller's thread."""

MANIFEST = "manifest.json"

_MAX_WRITERS = 4
"""More files at once cost memory, and disks and networks are busy with these."""

_BELT_BYTES = 16 << 20
"""Arrow bytes that wait for writers."""

_CHUNK_BYTES = (64 << 10, 4 << 20)
"""The least and the most Arrow bytes handed over at once."""

_CHUNKS_PER_FILE = 16
"""A file is closed between chunks, so these bound how far it misses its size."""

_VALUE_BYTES = 16
"""What a value counts at least: a boolean has one bit in Arrow and several bytes as text."""

_BACKLOG = 2
"""Chunks that wait when another writer is worth its file."""

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class StagedFile:
    """One complete file."""

    uri: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Staged:
    """All files of one load."""

    prefix: str
    """The folder or S3 prefix they are in, as a URI."""
    manifest: str
    """The URI of the manifest that lists them."""
    files: tuple[StagedFile, ...]
    figures: Mapping[Figure, Value] = field(default_factory=dict)
    """Those of all rows that were asked for."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def apply_keep(store: Store, prefix: str, staging: Staging, *, failed: bool) -> bool:
    """Remove the staged files of a load that has ended, unless its `keep` says otherwise.

    Returns:
        Whether there are files left.
    """
    if staging.keep == "always" or (staging.keep == "failed" and failed):
        return bool(store.list(prefix))
    store.delete(prefix)
    return False


def leave(
    store: Store,
    prefix: str,
    staging: Staging,
    error: BaseException,
    what: str = "the staged files",
) -> None:
    """Tidy up after a load that has failed, as its `keep` says, and tell its error what stays."""
    try:
        if apply_keep(store, prefix, staging, failed=True):
            tell_also(error, f"{what} are kept in {store.uri(prefix)}")
    except StageError as second:
        # What went wrong first is what has to be read first.
        tell_also(error, f"and then: {second.message}")


class _StoppedError(Exception):
    """Ends a writer thread whose file nobody wants any more."""


class _Belt:
    """Carries chunks from one thread to several, and holds a bounded number of bytes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._chunks: deque[tuple[list[pa.RecordBatch], int]] = deque()
        self._bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self.stopped = False

    @property
    def waiting(self) -> int:
        """How many chunks wait."""
        return len(self._chunks)

    def put(self, chunk: list[pa.RecordBatch], size: int) -> None:
        """Add a chunk; wait while the belt is full; raise what a writer has failed with."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._bytes < _BELT_BYTES)
            self.raise_error()
            self._chunks.append((chunk, size))
            self._bytes += size
            self._changed.notify_all()

    def get(self) -> list[pa.RecordBatch] | None:
        """Take the next chunk, once there is one; None when the stream has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped or self._ended or self._chunks)
            if self.stopped:
                raise _StoppedError
            if not self._chunks:
                return None
            chunk, size = self._chunks.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return chunk

    def end(self) -> None:
        """No more chunks will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """Make all threads leave, because of an error or because the load is given up."""
        with self._changed:
            self._error = self._error or error
            self.stopped = True
            self._chunks.clear()
            self._changed.notify_all()

    def raise_error(self) -> None:
        """Raise what a writer has failed with, if one has."""
        if self._error is not None:
            raise self._error


class _Sink(io.BufferedIOBase):
    """Stands between an encoder and its file: counts, and can turn an encoder back midway."""

    def __init__(self, file: io.BufferedIOBase, belt: _Belt, count: Callable[[int], None]) -> None:
        self._file = file
        self._belt = belt
        self._count = count
        self._position = 0
        self.dropped = False
        """Whether what still comes is thrown away; encoders write last words when they close."""

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if not self.dropped:
            if self._belt.stopped:
                raise _StoppedError
            self._file.write(view)
            self._count(view.nbytes)
        self._position += view.nbytes
        return view.nbytes


class Stager:
    """Stages one load below one prefix.

    Use it as a context manager: leaving it without `finish` gives the load up, and then only what
    `keep` says stays.

    Args:
        store: Where the files go.
        prefix: The key they are below; one that no other run uses, or their files would mix.
        schema: Of all batches.
        staging: Format, compression, file size, and what to keep.
        writers: Files written at once; default the number of cores, at most four. With one, the
            files hold the rows in the order of the stream.
        figures: What to collect of the rows.
        progress: Told how far it is.
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
        self._staging = staging
        self._writers = writers or min(os.cpu_count() or 1, _MAX_WRITERS)
        self._progress = progress
        self._figures = FigureCollector(figures)
        least, most = _CHUNK_BYTES
        self._chunk_bytes = max(least, min(most, staging.file_size // _CHUNKS_PER_FILE))
        self._chunk: list[pa.RecordBatch] = []
        self._chunk_size = 0
        self._belt = _Belt()
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._rows = self._bytes = 0
        self._files: dict[int, StagedFile] = {}
        self._settled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._settled:
            return
        self._stop()
        if error is None:
            apply_keep(self._store, self._prefix, self._staging, failed=True)
        else:
            leave(self._store, self._prefix, self._staging, error)

    def write(self, batch: pa.RecordBatch) -> None:
        """Stage rows; wait while the writers are behind.

        Raises:
            StageError: a writer has failed, now or earlier.
        """
        if not batch.schema.equals(self._schema):
            raise ValueError(f"a batch of {batch.schema} does not belong to {self._schema}")
        # Here, and not in a writer: encoding takes longer than all that happens in this thread.
        self._figures.add(batch)
        size = max(batch.nbytes, batch.num_rows * batch.num_columns * _VALUE_BYTES)
        pieces = -(-size // self._chunk_bytes)
        rows = -(-batch.num_rows // max(pieces, 1))
        for start in range(0, batch.num_rows, max(rows, 1)):
            piece = batch.slice(start, rows)
            self._chunk.append(piece)
            self._chunk_size += size * piece.num_rows // batch.num_rows
            if self._chunk_size >= self._chunk_bytes:
                self._send()

    def finish(self) -> Staged:
        """Wait for the writers, then write the manifest.

        Raises:
            StageError: a writer has failed.
        """
        if self._chunk:
            self._send()
        self._belt.end()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_POLL_SECONDS)
                self._report()
        self._belt.raise_error()
        files = tuple(file for _, file in sorted(self._files.items()))
        manifest = f"{self._prefix}/{MANIFEST}"
        with self._store.create(manifest) as file:
            file.write(_manifest(files))
        self._settled = True
        self._report()
        self._figures.close()
        uris = self._store.uri(self._prefix), self._store.uri(manifest)
        return Staged(*uris, files, self._figures.values)

    def discard(self) -> None:
        """Give the load up and remove all its files, whatever `keep` says."""
        self._stop()
        self._store.delete(self._prefix)
        self._settled = True

    def _send(self) -> None:
        chunk, size = self._chunk, self._chunk_size
        self._chunk, self._chunk_size = [], 0
        behind = self._belt.waiting >= _BACKLOG and len(self._threads) < self._writers
        if behind or not self._threads:
            # A daemon, so that a process that leaves without `__exit__` does not hang.
            thread = threading.Thread(target=self._work, name="loader-staging", daemon=True)
            # Noted before it runs: Ctrl-C may come between the two, and no writer may be forgotten.
            self._threads.append(thread)
            thread.start()
        self._belt.put(chunk, size)
        self._report()

    def _stop(self) -> None:
        self._figures.close()
        self._belt.stop()
        for thread in self._threads:
            with suppress(RuntimeError):  # it was never started
                thread.join()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._rows, self._bytes, len(self._files))

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def _work(self) -> None:
        """Write files until the stream ends; what goes wrong is raised in the caller's thread."""
        try:
            while (chunk := self._belt.get()) is not None:
                self._write_file(chunk)
        except _StoppedError:
            pass
        except StageError as error:
            self._belt.stop(self._with_progress(error))
        except Exception as error:  # noqa: BLE001  raised again in the caller's thread
            wrapped = StageError(f"cannot stage in {self._store.uri(self._prefix)}: {error}")
            wrapped.__cause__ = error
            self._belt.stop(wrapped)

    def _with_progress(self, error: StageError) -> StageError:
        """Say how much was staged before the disk or bucket failed: it tells what is needed."""
        if not isinstance(error.__cause__, OSError):
            return error
        so_far = f"{self._rows:,} rows and {self._bytes / (1 << 20):,.1f} MB of this load"
        told = StageError(f"{error.message} (after {so_far})", hint=error.hint)
        told.__cause__ = error.__cause__
        return told

    def _write_file(self, first: list[pa.RecordBatch]) -> None:
        """Write one file, from this chunk on until it is long enough or the stream ends."""
        # `next` of a count is atomic, and a file that is not completed ends the load: no gaps.
        number = next(self._numbers)
        key = f"{self._prefix}/part-{number:05d}.{encoders.suffix(self._staging)}"
        with self._store.create(key) as file:
            sink = _Sink(file, self._belt, self._count)
            rows = self._fill(sink, first)
        with self._lock:
            self._files[number] = StagedFile(self._store.uri(key), rows, sink.tell())

    def _fill(self, sink: _Sink, first: list[pa.RecordBatch]) -> int:
        """Encode chunks into one file; returns its rows."""
        rows = 0
        chunk: list[pa.RecordBatch] | None = first
        writer = None
        try:
            writer = encoders.open_writer(self._staging, sink, self._schema)
            while chunk is not None:
                batch = chunk[0] if len(chunk) == 1 else pa.concat_batches(chunk)
                writer.write(batch)
                rows += batch.num_rows
                with self._lock:
                    self._rows += batch.num_rows
                chunk = self._belt.get() if not writer.full else None
            writer.close()
        except BaseException:
            sink.dropped = True
            if writer is not None:
                with suppress(Exception):
                    writer.abort()
            raise
        return rows


def _manifest(files: tuple[StagedFile, ...]) -> bytes:
    """The files as a manifest for COPY."""
    entries = [
        {
            "url": file.uri,
            # A file that is missing is skipped without a word unless it is mandatory.
            "mandatory": True,
            "meta": {"content_length": file.bytes, "record_count": file.rows},
        }
        for file in files
    ]
    return json.dumps({"entries": entries}, indent=2).encode()
