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
    if handle is not None and _lock(handle, timeout):
        with suppress(OSError):
            os.utime(handle)
        try:
            yield True
        finally:
            os.close(handle)
    else:
        yield handle is None


def _open_lock_file(path: Path) -> int | None:
    name = f"loader-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.lock"
    file = Path(tempfile.gettempdir()) / name
    if "fcntl" not in globals():
        return None
    flags = os.O_RDONLY | os.O_NOFOLLOW
    for more in (os.O_CREAT, 0):  # a file of another user may be opened, but not with O_CREAT
        with suppress(OSError):
            return os.open(file, flags | more, 0o644)
    return None


def _lock(handle: int, timeout: float) -> bool:
    """Lock a file; False if that takes too long, and then the file is closed later."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Waiting(handle).wait(timeout)
    except OSError:
        os.close(handle)
        return False
    return True


class _Waiting:
    """A thread that waits for the lock: a call of ``flock`` has no timeout."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._locked = threading.Event()
        self._given_up = False

    def wait(self, timeout: float) -> bool:
        thread = threading.Thread(target=self._flock, name="loader-queue", daemon=True)
        began = time.time()
        thread.start()
        try:
            while not self._locked.is_set():
                moved = max(began, os.fstat(self._handle).st_mtime)
                left = moved + timeout - time.time()
                if left <= 0:
                    break
                self._locked.wait(left)
        except BaseException:  # Ctrl-C
            if not self._give_up():
                os.close(self._handle)
            raise
        return not self._give_up()

    def _give_up(self) -> bool:
        """Leave the queue; False if the file is locked already."""
        with self._lock:
            self._given_up = not self._locked.is_set()
        return self._given_up

    def _flock(self) -> None:
        with suppress(OSError):
            fcntl.flock(self._handle, fcntl.LOCK_EX)
        with self._lock:
            if self._given_up:
                os.close(self._handle)
            else:
                self._locked.set()
