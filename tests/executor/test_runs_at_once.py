"""Runs of one load id that are at work at the same time: one of them loads, none mixes or fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import LoaderError
from loader.executor.results import LoadResult
from loader.project import Project
from loader.staging.stores.base import Store
from loader.warehouse.registry import open_staging, open_warehouse
from tests.conftest import MakeProject, redshift_target

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

ROOT = Path(__file__).parents[2]
WAIT = 60.0
"""Seconds to wait for the other runs, on a machine that is busy."""

SPEC: Mapping[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "round", "data_type": "integer"},
        {"name": "run", "data_type": "integer"},
        {"name": "id", "data_type": "bigint"},
        {"name": "noise", "data_type": "varchar(80)"},
    ],
    "partition_by": [{"expr": "round"}],
    "write_disposition": "append",
}
FORMATS = ["parquet", "csv", "json"]


@pytest.fixture(params=["duckdb", "redshift"])
def target(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a target of each kind."""
    if request.param == "duckdb":
        return {"lock_timeout": 120}
    stand_in: RedshiftStandIn = request.getfixturevalue("stand_in")
    return redshift_target(stand_in)


def make(make_project: MakeProject, target: Mapping[str, Any], form: str, **spec: Any) -> Project:
    """A project with one table, which is staged as several small files."""
    small = {"format": form, "compression": "none", "file_size": "64KB"}
    return make_project({"t.yml": {**SPEC, "staging": small, **spec}}, **target)


def frame(run: int, rows: int = 3_000, round_: int = 0) -> pa.Table:
    """Rows that say which run has brought them, and that no codec shortens."""
    return pa.table(
        {
            "round": [round_] * rows,
            "run": [run] * rows,
            "id": range(rows),
            "noise": [os.urandom(30).hex() for _ in range(rows)],
        }
    )


def loaded(project: Project, round_: int = 0) -> tuple[set[int], list[int]]:
    """The runs whose rows the table holds, and its ids."""
    found: Any = project.read(project.spec("s/t"), str(round_), as_="arrow")
    return set(found["run"].to_pylist()), sorted(found["id"].to_pylist())


def left(project: Project) -> list[str]:
    """The staged files there are, without those of rejected rows."""
    settings = project.config.settings()
    location = settings.staging
    if "://" not in location:
        location = str(project.config.root / location)
    found = open_staging(location, settings).list("s.t")
    return [key for key, _ in found]


Hook = Callable[[str], None]


class Gated:
    """A store that asks before it begins a file."""

    def __init__(self, store: Store, before: Hook) -> None:
        self._store, self._before = store, before
        self.root, self.uri, self.read = store.root, store.uri, store.read
        self.delete, self.list = store.delete, store.list

    @contextmanager
    def create(self, key: str) -> Iterator[Any]:
        """Begin a file once the hook lets it."""
        self._before(key)
        with self._store.create(key) as file:
            yield file


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[LoadResult | LoaderError]]:
    """Runs loads in threads; each takes a hook that is called before each file of its own."""
    hooks = threading.local()

    def opened(location: str, settings: Any) -> Any:
        return Gated(open_staging(location, settings), hooks.before)

    def start(*runs: tuple[Callable[[], LoadResult], Hook]) -> list[LoadResult | LoaderError]:
        answers: dict[int, LoadResult | LoaderError] = {}

        def work(number: int) -> None:
            load, hooks.before = runs[number]
            try:
                answers[number] = load()
            except LoaderError as error:
                answers[number] = error

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(runs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * WAIT)
            assert not thread.is_alive()
        return [answers[number] for number in range(len(runs))]

    monkeypatch.setattr("loader.executor.context.open_staging", opened)
    return start


def until(event: threading.Event, file: str) -> Hook:
    """A hook that waits before a file of that name."""

    def before(key: str) -> None:
        if key.endswith(file):
            assert event.wait(WAIT)

    return before


def statuses(answers: list[Any]) -> list[str]:
    return [getattr(answer, "status", f"{answer!r}") for answer in answers]


@pytest.mark.parametrize("form", FORMATS)
def test_runs_that_stage_at_once_load_the_rows_of_one(
    make_project: MakeProject, target: dict[str, Any], at_once: Any, form: str
) -> None:
    """Three runs of one load id that begin their files together: one loads, the others say so."""
    project = make(make_project, target, form)
    barrier = threading.Barrier(3)

    def before(key: str) -> None:
        if "/part-00000." in key:
            barrier.wait(WAIT)

    def load(run: int) -> Callable[[], LoadResult]:
        return lambda: project.load(project.spec("s/t"), frame(run), "0", load_id="x")

    answers = at_once(*((load(run), before) for run in range(3)))
    assert sorted(statuses(answers)) == ["already_loaded", "already_loaded", "loaded"]
    winner = statuses(answers).index("loaded")
    assert loaded(project) == ({winner}, list(range(3_000)))
    assert left(project) == []


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_ends_leaves_the_files_of_another(
    make_project: MakeProject, target: dict[str, Any], at_once: Any, form: str
) -> None:
    """A run that commits or fails while another one stages removes only its own files."""
    project = make(make_project, target, form)
    spec = project.spec("s/t")
    failed, committed = threading.Event(), threading.Event()

    def failing() -> LoadResult:
        try:
            twice = pa.concat_tables([frame(0), frame(0, round_=9)])
            return project.load(spec, twice, "0", load_id="x")
        finally:
            failed.set()

    def quick() -> LoadResult:
        try:
            return project.load(spec, frame(1), "0", load_id="x")
        finally:
            committed.set()

    def slow() -> LoadResult:
        return project.load(spec, frame(2), "0", load_id="x")

    answers = at_once(
        (failing, lambda _: None),
        (quick, until(failed, "manifest.json")),
        (slow, until(committed, "manifest.json")),
    )
    assert isinstance(answers[0], LoaderError)
    assert statuses(answers[1:]) == ["loaded", "already_loaded"]
    assert loaded(project) == ({1}, list(range(3_000)))
    assert left(project) == []


def test_each_run_keeps_its_own_rejects(
    make_project: MakeProject, target: dict[str, Any], at_once: Any
) -> None:
    """The file of rejected rows that a result names holds the rows of that run."""
    project = make(
        make_project, target, "parquet", schema_contract={"bad_rows": "reject", "max_rejects": 1}
    )
    barrier = threading.Barrier(2)

    def before(key: str) -> None:
        if key.endswith("rejects.parquet"):
            barrier.wait(WAIT)

    def load(run: int) -> Callable[[], LoadResult]:
        rows = frame(run, 10).to_pylist()
        rows[3]["id"] = f"bad {run}"  # the column is text, as a CSV file's would be
        texts = [{name: str(value) for name, value in row.items()} for row in rows]
        data = pa.Table.from_pylist(texts)
        return lambda: project.load(project.spec("s/t"), data, "0", load_id="x")

    answers = at_once((load(0), before), (load(1), before))
    assert sorted(statuses(answers)) == ["already_loaded", "loaded"]
    settings = project.config.settings()
    for run, answer in enumerate(answers):
        assert answer.rejects
        store = open_staging(answer.rejects.rpartition("/")[0], settings)
        (row,) = pq.read_table(pa.BufferReader(store.read("rejects.parquet"))).to_pylist()
        assert f"bad {run}" in str(row)


def test_what_a_failed_run_has_left_is_no_part_of_the_next(
    make_project: MakeProject, target: dict[str, Any]
) -> None:
    """Files that a failed run keeps stay where they are, and a rerun of that load id loads once."""
    project = make(make_project, target, "csv", checks=[{"metric": "row_count", "must_be": 3_000}])
    spec = project.spec("s/t")
    with pytest.raises(LoaderError, match="row_count"):
        project.load(spec, frame(0, 2_000), "0", load_id="x")
    kept = left(project)
    assert len(kept) > 2
    assert project.load(spec, frame(1), "0", load_id="x").status == "loaded"
    assert loaded(project) == ({1}, list(range(3_000)))
    assert left(project) == kept


# Files of DuckDB, which one process at a time has open.


class _Watched:
    """A connection that asks something before it is closed."""

    def __init__(self, connection: Any, on_close: Callable[[], None]) -> None:
        self._connection, self._on_close = connection, on_close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        """Ask, then close."""
        self._on_close()
        self._connection.close()


@pytest.mark.parametrize("write", [True, False], ids=["write", "read"])
def test_a_database_is_opened_and_closed_by_one_process_at_a_time(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, write: bool
) -> None:
    """The folder is locked while a file is opened or closed, and free while it is used."""
    fcntl = pytest.importorskip("fcntl")
    project = make(make_project, {}, "parquet")
    project.load(project.spec("s/t"), frame(0, 10), "0")
    connect = duckdb.connect
    locked: list[bool] = []

    def look() -> None:
        handle = os.open(project.config.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked.append(False)
        except BlockingIOError:
            locked.append(True)
        finally:
            os.close(handle)

    def connected(*arguments: Any, **options: Any) -> Any:
        look()
        return _Watched(connect(*arguments, **options), look)

    monkeypatch.setattr("loader.warehouse.duckdb.driver.duckdb.connect", connected)
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    with warehouse.session(write=write) as session:
        session.execute("SELECT 1")
        look()
    assert locked == [True, False, True]


COMMITTER = """
import sys
import loader
from loader.warehouse.registry import open_warehouse

project, run = loader.Project.find(), int(sys.argv[1])
warehouse = open_warehouse(project.config.settings(), project.config.root)
for number in range(int(sys.argv[2])):
    with warehouse.session(write=False) as session:
        session.execute("SELECT count(*) FROM done")
    with warehouse.session() as session:
        session.begin()
        session.execute(f"INSERT INTO done VALUES ({run}, {number})")
        session.execute("INSERT INTO big SELECT range, repeat('x', 60) FROM range(3000)")
        session.commit()
"""


@pytest.mark.slow
def test_no_commit_is_lost_when_processes_take_turns(make_project: MakeProject) -> None:
    """Six processes that open, commit and close one file as fast as they can lose nothing."""
    project = make(make_project, {"lock_timeout": 120}, "parquet")
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    with warehouse.session() as session:
        session.execute("CREATE TABLE done (run INTEGER, number INTEGER)")
        session.execute("CREATE TABLE big (a BIGINT, b VARCHAR)")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", COMMITTER, str(run), str(ROUNDS)],
            cwd=project.config.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for run in range(6)
    ]
    assert [process.wait(1_800) for process in started] == [0] * 6
    with warehouse.session(write=False) as session:
        assert session.execute("SELECT DISTINCT run, number FROM done ORDER BY ALL") == [
            (run, number) for run in range(6) for number in range(ROUNDS)
        ]


# The same in processes, as it comes.

WORKER = """
import sys
import loader
from tests.executor.test_runs_at_once import frame

project, run = loader.Project.find(), int(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    data = frame(run, round_=int(line))
    try:
        told = project.load(project.spec("s/t"), data, line.strip(), load_id=f"round {line}").status
    except Exception as error:
        told = repr(error)
    print(told, flush=True)
"""

ROUNDS = int(os.environ.get("LOADER_SOAK_ROUNDS", "200"))
MOST = 8


@contextmanager
def workers(project: Project, environment: Mapping[str, str]) -> Iterator[list[Any]]:
    """Processes that load a round when they read its number, and print what came of it."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(run)],
            cwd=project.config.root,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for run in range(MOST)
    ]
    try:
        assert all(process.stdout.readline() == "ready\n" for process in started if process.stdout)
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_processes_that_run_one_load_at_once_never_mix_lose_or_fail(
    make_project: MakeProject, target: dict[str, Any], form: str
) -> None:
    """In 200 rounds of two to eight processes one loads and all others report already_loaded."""
    project = make(make_project, target, form)
    with workers(project, os.environ) as started:
        for round_ in range(ROUNDS):
            runs = started[: 2 + round_ % (MOST - 1)]
            for process in runs:
                process.stdin.write(f"{round_}\n")
                process.stdin.flush()
            told = [process.stdout.readline().strip() for process in runs]
            assert sorted(told) == ["already_loaded"] * (len(runs) - 1) + ["loaded"], round_
            assert loaded(project, round_) == ({told.index("loaded")}, list(range(3_000))), round_
    assert left(project) == []
