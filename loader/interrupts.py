"""Runs what blocks in a thread of its own, so that signals are handled while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def query_rows(connection: Any, name: str, rows: Any, query: str, fetch: Callable[[Any], T]) -> T:
    """Run a query of DuckDB on Arrow rows, as `run_interruptibly` does.

    Args:
        connection: To DuckDB.
        name: What the query calls the rows.
        rows: A `pyarrow.Table` or `pyarrow.RecordBatchReader`.
        query: A SELECT.
        fetch: Takes the whole result from the relation of the query.
    """

    def run() -> T:
        # DuckDB runs Python, which may handle a signal, to look at the schema of what it registers.
        connection.register(name, rows)
        try:
            return fetch(connection.sql(query))
        finally:
            connection.unregister(name)

    return run_interruptibly(run, connection.interrupt)


def run_interruptibly(action: Callable[[], T], interrupt: Callable[[], object]) -> T:
    """Run an action of DuckDB in a thread of its own, so that a signal interrupts it at once.

    Python handles signals only between bytecodes of its main thread. A query can block that thread
    for minutes, and DuckDB, which looks for signals itself there, raises RuntimeError instead of
    what the handler has raised.

    Args:
        action: What is run; by the main thread in a thread of its own, by others directly.
        interrupt: Makes the action end early.
    """
    if threading.current_thread() is not threading.main_thread():
        return action()
    answer: Future[T] = Future()

    def work() -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(action())
        except BaseException as error:  # noqa: BLE001  raised in the main thread
            answer.set_exception(error)

    thread = threading.Thread(target=work, name="loader-duckdb", daemon=True)
    try:
        thread.start()
        return answer.result()
    finally:
        # What has not begun never does; a thread that starts is not alive yet.
        if not answer.cancel():
            # Repeated, since DuckDB ignores an interrupt before the query has begun.
            while not answer.done():
                interrupt()
                thread.join(0.05)
