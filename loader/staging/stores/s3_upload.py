"""One upload to S3: a file to write to, and the pipe from which boto3 reads the parts."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from typing import Any

from s3transfer.subscribers import BaseSubscriber

PART_BYTES = 8 << 20
"""The size of a part. S3 allows 10,000 parts for an object, which is 80 GB."""

_SLACK_BYTES = 256 << 10
"""What a pipe buffers while no part is requested."""


class AbandonedError(CancelledError):
    """Ends an upload that is given up; botocore does not retry what is cancelled."""


class Pipe:
    """Passes bytes from a writer to an upload; it buffers the requested part, and little more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._buffer = io.BytesIO()
        self._size = 0
        self._wanted = 0
        self._ended = False
        self._aborted = False

    def write(self, data: memoryview) -> bool:
        """Add bytes, waiting for room; returns False when the upload has ended."""
        while data.nbytes:
            with self._changed:
                self._changed.wait_for(lambda: self._aborted or self._room > 0)
                if self._aborted:
                    return False
                taken = self._buffer.write(data[: self._room])
                self._size += taken
                data = data[taken:]
                if self._size >= self._wanted:
                    self._changed.notify_all()
        return True

    def read(self, amount: int = PART_BYTES) -> bytes:
        """Read exactly that many bytes, waiting for them; fewer at the end of the stream.

        Raises:
            AbandonedError: the upload is given up.
        """
        with self._changed:
            self._wanted = amount
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._aborted or self._ended or self._size >= amount)
            if self._aborted:
                raise AbandonedError
            self._wanted = self._size = 0
            # `getvalue` of a buffer that is dropped does not copy.
            data = self._buffer.getvalue()
            self._buffer = io.BytesIO()
            return data

    def end(self) -> None:
        """Mark the end of the stream."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Wake both sides, because the upload has ended or is given up."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    @property
    def _room(self) -> int:
        return max(self._wanted, _SLACK_BYTES) - self._size


class Upload:
    """The upload of one object.

    Args:
        start: Starts it, reading from the pipe; returns its future.
    """

    def __init__(self, start: Callable[[Pipe], Any]) -> None:
        self._start = start
        self._pipe = Pipe()
        self._future: Any = None

    def start(self) -> None:
        """Let boto3 read the pipe in its threads."""
        self._future = self._start(self._pipe)

    def write(self, data: memoryview) -> None:
        """Pass on bytes; raise the error of the upload as soon as it has failed."""
        # Parts fail in the background, and s3transfer would read to the end before it raises.
        if self._future.done() or not self._pipe.write(data):
            self._pipe.abort()
            self._future.result()
            raise AbandonedError

    def finish(self) -> None:
        """Wait until the object exists."""
        self._pipe.end()
        self._future.result()

    def abandon(self) -> bool:
        """Abort the upload and wait for it; returns whether it was already complete."""
        self._pipe.abort()
        if self._future is None:
            return False
        try:
            self._future.result()
        except Exception:  # noqa: BLE001  the error of an aborted upload
            return False
        return True


class WakeWriter(BaseSubscriber):
    """Wakes a writer that waits for an upload that has ended."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def on_done(self, **_: object) -> None:
        """Called by s3transfer when the upload has ended."""
        self._pipe.abort()


class UploadFile(io.BufferedIOBase):
    """The file that a caller writes to. Closing it does not complete the upload.

    Args:
        upload: Where the bytes go.
        raise_errors: A context that turns errors of boto3 into `StageError`.
    """

    def __init__(
        self, upload: Upload, raise_errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._open: tuple[Upload, Callable[[], AbstractContextManager[None]]] | None
        self._open = (upload, raise_errors)
        self._position = 0

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self._position

    def write(self, data: Any) -> int:
        """Pass on bytes; returns how many.

        Raises:
            StageError: the upload has failed.
        """
        if self._open is None:
            raise ValueError("write to closed file")
        upload, raise_errors = self._open
        view = memoryview(data).cast("B")
        with raise_errors():
            upload.write(view)
        self._position += view.nbytes
        return view.nbytes

    def close(self) -> None:
        """Take no more bytes, and release the upload.

        Python does not see that PyArrow's writers refer to this object, so the error of an upload,
        which refers to its writer, would keep the store and its threads for ever.
        """
        super().close()
        self._open = None
