"""Processes that want one database file wait in a queue, so that only the first looks at it.

Without it each of them tries to open the file again and again, and a late one may be lucky first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

with suppress(ImportError):
    import fcntl  # Windows has none: there all of them try


@contextmanager
def wait_in_queue(path: Path, timeout: float) -> Iterator[bool]:
    """Be the first in the queue for a database file during the block; True if that came about.

    The queue is a lock on a file in the folder for temporary files, so DuckDB's own lock still
    decides: who cannot take part, or has waited long enough, goes on and asks DuckDB.

    Args:
        path: The database file.
        timeout: Seconds to wait while the first one in the queue is the same.
    """
    handle = _open_lock_file(path)
    if handle is None:
        yield True
        return
    lock = _FileLock(handle)
    try:
        first = lock.acquire(timeout)
        if first:
            with suppress(OSError):
                os.utime(handle)
        yield first
    finally:  # also when a signal comes as soon as the file is locked
        lock.release()


def _open_lock_file(path: Path) -> int | None:
    if "fcntl" not in globals():
        return None
    name = f"loader-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.lock"
    file = Path(tempfile.gettempdir()) / name
    flags = os.O_RDONLY | os.O_NOFOLLOW
    for more in (os.O_CREAT, 0):  # a file of another user may be opened, but not with O_CREAT
        with suppress(OSError):
            return os.open(file, flags | more, 0o644)
    return None


class _FileLock:
    """The lock on an open file, and maybe a thread that waits for it.

    A call of ``flock`` has no timeout, so that such a thread may stay when the lock is given up;
    then it closes the file.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._locked = threading.Event()
        self._waits = False
        """Whether the thread has the file, until it is locked."""
        self._released = False

    def acquire(self, timeout: float) -> bool:
        """Lock the file; False if that takes too long, and then the lock is given up."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait_in_thread(timeout)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Close the file, or leave that to the thread that waits."""
        with self._lock:
            owned, self._released = not self._released and not self._waits, True
        if owned:
            os.close(self._handle)

    def _wait_in_thread(self, timeout: float) -> bool:
        began = time.time()
        self._waits = True
        threading.Thread(target=self._flock, name="loader-queue", daemon=True).start()
        while not self._locked.is_set():
            moved = max(began, os.fstat(self._handle).st_mtime)
            left = moved + timeout - time.time()
            if left <= 0:
                self.release()
                return False
            self._locked.wait(left)
        return True

    def _flock(self) -> None:
        with suppress(OSError):
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        with self._lock:
            self._waits = False
            if not self._released:
                self._locked.set()
                return
        os.close(self._handle)
