"""An executor whose threads do not keep the process alive."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any


class DaemonExecutor(Executor):
    """Runs calls in daemon threads.

    Python waits at exit for the threads of `ThreadPoolExecutor`. One of them may wait for a writer
    that never writes again, because its load was abandoned.

    Args:
        max_workers: The most threads.
    """

    def __init__(self, max_workers: int) -> None:
        self._pool = _ThreadPool(max_workers)
        # The threads only reference the pool, so that they end when the executor is collected.
        weakref.finalize(self, self._pool.end_threads).atexit = False

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in a thread, and return its future."""
        future: Future[Any] = Future()
        self._pool.add(future, partial(call, *args, **kwargs))
        return future

    def shutdown(
        self,
        wait: bool = True,  # noqa: ARG002  the signature of all executors
        *,
        cancel_futures: bool = False,  # noqa: ARG002
    ) -> None:
        """Let the threads end once there are no tasks left."""
        self._pool.end_threads()


class _ThreadPool:
    """As many threads as there are unfinished tasks, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._unfinished = 0
        self._threads = 0

    def add(self, future: Future[Any], call: Callable[[], Any]) -> None:
        with self._lock:
            self._unfinished += 1
            self._tasks.put((future, call))
            # One thread for each task, since a task may wait for another one.
            if self._threads < min(self._unfinished, self._limit):
                threading.Thread(target=self._run_tasks, name="loader-s3", daemon=True).start()
                self._threads += 1

    def end_threads(self) -> None:
        for _ in range(self._threads):
            self._tasks.put(None)

    def _run_tasks(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  raised where the result is asked for
                self._finish_task(partial(future.set_exception, error))
            else:
                self._finish_task(partial(future.set_result, result))
            # They may keep a part of 8 MB in memory.
            del task, future, call

    def _finish_task(self, set_result: Callable[[], None]) -> None:
        # Counted first: a callback may add a task, which needs no further thread.
        with self._lock:
            self._unfinished -= 1
        set_result()
