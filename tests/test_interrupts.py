"""Signals while DuckDB computes: what the handler raises arrives, and at once."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from loader import memory_database
from loader.data.cast.partition_of_row import PartitionExpressions
from loader.data.primary_keys import KeyIndex
from loader.data.queries.duckdb import DuckdbSession
from loader.interrupts import run_interruptibly
from loader.plan.figures import Figure
from loader.spec.model import TableSpec
from loader.staging.figures.checksums import Checksums
from loader.warehouse.duckdb.driver import DuckDBSession

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timers of signals")

ROWS = 300_000
"""So many that each computation takes a moment."""


class StoppedError(BaseException):
    """What the handler of this test raises, as Dagster's raises an exception of its own."""


@pytest.fixture(scope="module")
def batch() -> pa.RecordBatch:
    """Rows whose keys do not ascend."""
    numbers = pa.array(np.arange(ROWS) * 7_919 % ROWS)
    return pa.record_batch({"id": numbers, "t": pc.cast(numbers, pa.string())})


SPEC = TableSpec.model_validate(
    {
        "schema": "s",
        "name": "t",
        "columns": [
            {"name": "id", "data_type": "bigint"},
            {"name": "t", "data_type": "varchar(40)"},
        ],
        "primary_key": ["t"],
        "partition_by": [{"expr": "md5(md5(t))", "data_type": "varchar(40)"}],
    }
)


def compare_keys(batch: pa.RecordBatch) -> None:
    """Look for primary keys that are there twice."""
    with KeyIndex(SPEC.primary_key) as index:
        index.add(batch)
        index.check("s.t")


def find_partitions(batch: pa.RecordBatch) -> None:
    """Evaluate a partition expression."""
    PartitionExpressions(SPEC.dimensions).values(batch)


def sum_checksums(batch: pa.RecordBatch) -> None:
    """Take the checksums of a column."""
    Checksums([Figure("t", SPEC.by_name["t"].data_type, "checksum")]).compute(batch)


def open_stream(_: pa.RecordBatch) -> None:
    """Begin to read the result of a query that takes long."""
    sql = "SELECT max(md5(range::VARCHAR)) AS m FROM range(1000000)"
    session = DuckDBSession(duckdb.connect())
    list(session.stream(sql, pa.schema([("m", pa.string())])))


def read_stream(_: pa.RecordBatch) -> None:
    """Read a result that is computed batch by batch."""
    session = DuckDBSession(duckdb.connect())
    list(session.stream(HASHES, pa.schema([("m", pa.string())])))


def run_source_query(_: pa.RecordBatch) -> None:
    """Read the rows of a source's query."""
    session = DuckdbSession("duckdb://", Path())
    _, chunks = session.read(HASHES, {})
    list(chunks)
    session.close()


HASHES = "SELECT m FROM (SELECT md5(range::VARCHAR) AS m FROM range(3000000)) WHERE m LIKE 'ffff%'"
"""A few rows of many, so that one batch takes long."""
WORK = [compare_keys, find_partitions, sum_checksums, open_stream, read_stream, run_source_query]


@pytest.mark.parametrize("work", WORK)
def test_a_signal_interrupts_what_duckdb_computes(
    batch: pa.RecordBatch, work: Callable[[pa.RecordBatch], None]
) -> None:
    """The handler's own exception ends a computation, not one that DuckDB makes instead of it."""
    began = time.monotonic()
    work(batch)
    usual = time.monotonic() - began

    def stop(*_: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(StoppedError):  # noqa: PT012  # the signal comes somewhere in it
            signal.setitimer(signal.ITIMER_REAL, usual / 2)
            work(batch)
            time.sleep(usual)  # this time it was faster
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    work(batch)


def attach_files(batch: pa.RecordBatch) -> None:
    """Make Arrow files a view, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        with pa.ipc.new_file(f"{folder}/part-0.arrow", batch.schema) as file:
            file.write_batch(batch)
        session = DuckDBSession(duckdb.connect())
        session.attach(f"{folder}/part-*")
        session.execute(f'SELECT count(*) FROM "{folder}/part-*"')


class _Watched:
    """A connection that remembers what the main thread calls."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, called: set[str]) -> None:
        self._watched, self._called = connection, called

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is threading.main_thread():
            self._called.add(name)
        return getattr(self._watched, name)

    def cursor(self) -> _Watched:
        return _Watched(self._watched.cursor(), self._called)


@pytest.mark.parametrize("work", [*WORK, attach_files])
def test_the_main_thread_calls_nothing_in_which_duckdb_may_see_a_signal(
    batch: pa.RecordBatch,
    work: Callable[[pa.RecordBatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DuckDB turns what a handler raises into an error of its own, also while it registers rows."""
    called: set[str] = set()
    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *a, **k: _Watched(connect(*a, **k), called))
    memory_database._database.cache_clear()
    try:
        work(batch.slice(0, 1_000))
    finally:
        memory_database._database.cache_clear()
    assert called <= {"close", "description", "interrupt", "unregister"}


def test_a_signal_before_the_thread_has_begun_lets_nothing_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is interrupted before it has begun never begins: nobody would wait for its end."""
    late = threading.Event()

    def start(thread: threading.Thread) -> None:
        late_start = partial(_run_late, thread, late)
        begin(threading.Thread(target=late_start, daemon=True))
        raise StoppedError

    begin, ran = threading.Thread.start, []
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(StoppedError):
        run_interruptibly(lambda: ran.append(True), lambda: None)
    assert late.wait(10)
    assert ran == []


def _run_late(thread: threading.Thread, late: threading.Event) -> None:
    time.sleep(0.1)
    thread.run()
    late.set()
