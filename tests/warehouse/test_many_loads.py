"""Many loads of one warehouse at once: in turn, with few connections, and all of them end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from loader.project import Project
from loader.warehouse.duckdb import file_queue
from loader.warehouse.duckdb.file_queue import wait_in_queue
from loader.warehouse.registry import open_warehouse
from tests.conftest import MakeProject, redshift_target

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

SPEC: Mapping[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [{"name": "id", "data_type": "integer"}],
    "write_disposition": "append",
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")

HOLDER = """
import sys
from pathlib import Path
from loader.warehouse.duckdb.file_queue import wait_in_queue
with wait_in_queue(Path(sys.argv[1]), 60) as first:
    print(first, flush=True)
    input()
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is the first in the queue, until it is told to leave."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        try:
            yield process
        finally:
            process.kill()


def load_at_once(project: Project, loads: int) -> list[BaseException]:
    """Loads of one row each in threads of their own; returns what went wrong."""
    failed: list[BaseException] = []

    def load(number: int) -> None:
        try:
            project.load(project.spec("s/t"), pa.table({"id": [number]}))
        except BaseException as error:  # noqa: BLE001  any failure is one too many
            failed.append(error)

    threads = [threading.Thread(target=load, args=(number,)) for number in range(loads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return failed


def test_loads_in_threads_have_few_connections(
    make_project: MakeProject, redshift: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more loads of a process are connected than max_connections, and all of them load."""
    project = make_project({"t.yml": SPEC}, **redshift_target(redshift), max_connections=3)
    project.load(project.spec("s/t"), pa.table({"id": [-1]}))
    now, most, lock = 0, 0, threading.Lock()
    from redshift_connector import connect
    from redshift_connector.core import Connection

    close = Connection.close

    def opened(**options: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        return connect(**options)

    def closed(connection: Any) -> None:
        nonlocal now
        with lock:
            now -= 1
        close(connection)

    monkeypatch.setattr("redshift_connector.connect", opened)
    monkeypatch.setattr(Connection, "close", closed)
    assert load_at_once(project, 20) == []
    assert (most, now) == (3, 0)
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    assert sorted(found["id"].to_pylist()) == list(range(-1, 20))


def test_processes_wait_without_looking_at_the_file(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind another process in the queue DuckDB is not asked: one thread sleeps."""
    project = make_project({"t.yml": SPEC})
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    connect, opened = duckdb.connect, []

    def connected(*arguments: Any, **options: Any) -> Any:
        opened.append(time.monotonic())
        return connect(*arguments, **options)

    monkeypatch.setattr("loader.warehouse.duckdb.driver.duckdb.connect", connected)
    path = Path(os.path.realpath(project.config.root / "warehouse.duckdb"))
    with held(path) as process:
        threading.Timer(0.5, process.kill).start()
        with warehouse.session():
            gone = process.poll()
    assert gone is not None
    assert len(opened) == 1


@pytest.mark.parametrize("write", [True, False], ids=["write", "read"])
def test_who_waits_too_long_asks_duckdb(make_project: MakeProject, write: bool) -> None:
    """The queue excludes nobody: after lock_timeout the file is opened if DuckDB gives it."""
    project = make_project({"t.yml": SPEC}, lock_timeout=0.2)
    load_at_once(project, 1)
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    path = Path(os.path.realpath(project.config.root / "warehouse.duckdb"))
    with held(path), warehouse.session(write=write) as session:
        assert session.execute('SELECT count(*) FROM "s"."t"') == [(1,)]


def test_a_queue_that_moves_is_waited_for(tmp_path: Path) -> None:
    """The timeout is that of the first in the queue, not of all who came earlier."""
    path = tmp_path / "x.duckdb"
    waited = []

    def wait() -> None:
        with wait_in_queue(path, 1.0) as first:
            waited.append(first)

    with held(path):
        thread = threading.Thread(target=wait)
        thread.start()
        handle = file_queue._open_lock_file(path)
        assert handle is not None
        for _ in range(4):
            time.sleep(0.4)
            os.utime(handle)
        os.close(handle)
        assert waited == []
    thread.join(10)
    assert waited == [True]


def test_readers_read_while_a_writer_of_their_process_is_at_work(
    make_project: MakeProject,
) -> None:
    """A read inside of a load's transaction, or beside it, does not wait for its end."""
    project = make_project({"t.yml": SPEC}, lock_timeout=0.5)
    load_at_once(project, 1)
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    with warehouse.session() as session:
        session.begin()
        session.execute('INSERT INTO "s"."t" VALUES (7)')
        found: Any = project.read(project.spec("s/t"), as_="arrow")
        assert found["id"].to_pylist() == [0]
        session.commit()


def test_a_session_inside_another_one_does_not_wait_for_it(make_project: MakeProject) -> None:
    """A thread that writes to a file may open it once more: it is the first in the queue."""
    project = make_project({"t.yml": SPEC}, lock_timeout=60)
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    started = time.monotonic()
    with warehouse.session() as outer, warehouse.session() as inner:
        outer.execute("CREATE TABLE made AS SELECT 1 AS one")
        assert inner.execute("SELECT one FROM made") == [(1,)]
    assert time.monotonic() - started < 30


def test_a_place_in_the_queue_is_no_more_than_a_convenience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no lock file can be made, or another thing is in its place, everybody goes on."""
    path = tmp_path / "x.duckdb"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with wait_in_queue(path, 5) as first:
        assert first
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with wait_in_queue(path, 5):
        (lock,) = tmp_path.glob("loader-*.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere")
    with wait_in_queue(path, 5) as first:
        assert first
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("moment", ["fcntl.flock", "os.utime"])
def test_who_is_interrupted_leaves_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A signal that comes just when the file is locked keeps nobody waiting afterwards."""
    path = tmp_path / "x.duckdb"
    module, name = moment.split(".")
    real = getattr(getattr(file_queue, module), name)

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as signal:
        signal.setattr(f"loader.warehouse.duckdb.file_queue.{moment}", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught, wait_in_queue(path, 5):
            pass
    with wait_in_queue(path, 0.1) as first:
        assert first, caught  # what is raised keeps alive what was locked
