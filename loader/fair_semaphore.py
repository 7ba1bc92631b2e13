"""A semaphore whose threads get their turn in the order in which they ask for it."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class FairSemaphore:
    """Lets ``count`` threads at once into its ``with`` blocks; a thread may be in several.

    Args:
        count: The most threads at once.
    """

    def __init__(self, count: int = 1) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._depths: dict[int, int] = {}
        self._waiting: deque[tuple[int, threading.Event]] = deque()

    @property
    def is_held(self) -> bool:
        """Whether a thread is in one of its blocks."""
        return bool(self._depths)

    def __enter__(self) -> int:
        """Wait for the turn of this thread; returns how many of its blocks the thread is in."""
        thread, turn = threading.get_ident(), threading.Event()
        with self._lock:
            if thread in self._depths or (self._free and not self._waiting):
                self._enter(thread)
                return self._depths[thread]
            self._waiting.append((thread, turn))
        try:
            turn.wait()
        except BaseException:  # Ctrl-C
            self._give_up(thread, turn)
            raise
        return 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._leave(threading.get_ident())

    def _give_up(self, thread: int, turn: threading.Event) -> None:
        with self._lock:
            if turn.is_set():
                self._leave(thread)
            else:
                self._waiting.remove((thread, turn))

    def _enter(self, thread: int) -> None:
        if thread not in self._depths:
            self._free -= 1
        self._depths[thread] = self._depths.get(thread, 0) + 1

    def _leave(self, thread: int) -> None:
        self._depths[thread] -= 1
        if self._depths[thread]:
            return
        del self._depths[thread]
        self._free += 1
        if self._waiting:
            waiter, turn = self._waiting.popleft()
            self._enter(waiter)
            turn.set()
