"""Whatever breaks, and wherever: the table holds what it held, and a rerun holds one copy."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import (
    ExecuteError,
    LoaderError,
    PlanError,
    SourceError,
    StageError,
    TemplateError,
    VerifyError,
)
from loader.executor.results import LoadResult
from loader.project import Project
from loader.warehouse.base import AttachesFiles, Row, Session, Warehouse
from loader.warehouse.registry import open_warehouse

pytestmark = pytest.mark.usefixtures("quick_retries")

if TYPE_CHECKING:
    from tests.conftest import MakeProject

ROOT = Path(__file__).parents[2]
WAIT = 60.0
"""Seconds a subprocess may take, on a machine that is busy."""

SPEC: Mapping[str, Any] = {
    "schema": "s",
    "name": "t",
    "description": "Things.",
    "columns": [
        {"name": "id", "data_type": "integer", "description": "Its number."},
        {"name": "p", "data_type": "varchar(9)"},
        {"name": "v", "data_type": "varchar(40)"},
    ],
    "primary_key": ["id"],
    "checks": [{"metric": "row_count", "must_be_greater_than": 0}],
}
BY_P: Mapping[str, Any] = {"partition_by": [{"expr": "p"}]}

CASES: Mapping[str, Mapping[str, Any]] = {
    "replace partition": BY_P,
    "replace table": {},
    "append": {**BY_P, "write_disposition": "append"},
    "delete_insert": {
        "write_disposition": "merge",
        "merge": {"on_duplicate": "last", "order_by": ["v"], "on_older": "overwrite"},
    },
    "merge": {"write_disposition": "merge", "merge": {"strategy": "merge"}},
    "scd2": {"write_disposition": "scd2", "scd2": {"on_absent": "close"}},
}

BEFORE = [(1, "a", "old"), (2, "a", "old"), (3, "b", "old")]
LOADED = [(2, "a", "new"), (4, "a", "new")]
AFTER: Mapping[str, list[Row]] = {
    "replace partition": [*LOADED, BEFORE[2]],
    "replace table": LOADED,
    "append": [*BEFORE, *LOADED],
    "delete_insert": [BEFORE[0], BEFORE[2], *LOADED],
    "merge": [BEFORE[0], BEFORE[2], *LOADED],
    "scd2": [
        *((*row, "then", "then", False) for row in BEFORE),
        *((*row, "then", None, True) for row in LOADED),
    ],
}


def frame(rows: list[Row]) -> pa.Table:
    ids, keys, texts = zip(*rows, strict=True)
    return pa.table({"id": ids, "p": keys, "v": texts})


def contents(project: Project) -> dict[str, Any]:
    """Everything in the database: each relation with its columns and rows; nothing hidden."""
    path = database(project)
    if not path.exists():
        return {}
    with duckdb.connect(path, read_only=True) as connection:
        names = connection.execute(
            "SELECT schema_name, table_name, sql FROM duckdb_tables() ORDER BY ALL"
        ).fetchall()
        return {
            f"{schema}.{name}": (sql, rows_of(connection, schema, name))
            for schema, name, sql in names
        }


def rows_of(connection: duckdb.DuckDBPyConnection, schema: str, name: str) -> list[Row]:
    rows = connection.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall()
    return sorted(rows, key=repr)


def rows(project: Project) -> list[Row]:
    """The rows of the table under test, without the times of loads."""
    return hide_times(contents(project)["s.t"][1])


def hide_times(rows: Sequence[Row]) -> list[Row]:
    """Rows without times, which are those of loads and not known before."""
    hidden = (tuple("then" if isinstance(c, datetime) else c for c in row) for row in rows)
    return sorted(hidden, key=repr)


def database(project: Project) -> Path:
    settings: Any = project.config.settings()
    return project.config.root / str(settings.database)


def staged(project: Project) -> list[str]:
    root = project.config.root / project.config.settings().staging
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


@dataclass
class Fault:
    """Where a warehouse breaks: at a statement of the transaction, by number, or at COMMIT."""

    at: int | str
    after: bool = False
    """Once the warehouse has done it, and the answer is lost."""
    times: int = 1
    error: Callable[[], BaseException] = lambda: ExecuteError("the line is dead")
    statements: list[str] = field(default_factory=list)
    """What was run in the last session."""
    attempts: int = 0


class _BrokenSession:
    """A session that raises at one place."""

    def __init__(self, inner: Session, fault: Fault) -> None:
        self._inner, self._fault = inner, fault
        self.rollback, self.stream = inner.rollback, inner.stream
        if isinstance(inner, AttachesFiles):
            self.attach = inner.attach

    def begin(self) -> None:
        self._inner.begin()

    def execute(self, sql: str) -> list[Row]:
        number = len(self._fault.statements)
        self._fault.statements.append(sql)
        return self._around(number, lambda: self._inner.execute(sql))

    def commit(self) -> None:
        self._around("commit", self._inner.commit)

    def _around(self, place: int | str, action: Callable[[], Any]) -> Any:
        fault = self._fault
        here = fault.at == place and fault.times > 0
        fault.times -= here
        if here and not fault.after:
            raise fault.error()
        answer = action()
        if here:
            raise fault.error()
        return answer


class _BrokenWarehouse:
    """A warehouse whose writing sessions raise at one place."""

    def __init__(self, inner: Warehouse, fault: Fault) -> None:
        self._inner, self._fault = inner, fault
        self.exists, self.keeps_session_open = inner.exists, inner.keeps_session_open

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[Session]:
        if write:
            self._fault.statements = []
            self._fault.attempts += 1
        with self._inner.session(write=write) as session:
            yield _BrokenSession(session, self._fault) if write else session


@pytest.fixture
def break_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], Fault]:
    """Makes the warehouses of all further loads break."""

    def install(fault: Fault) -> Fault:
        def opened(settings: Any, root: Any) -> Warehouse:
            return _BrokenWarehouse(open_warehouse(settings, root), fault)

        monkeypatch.setattr("loader.executor.context.open_warehouse", opened)
        return fault

    return install


BreakAt = Callable[[Fault], Fault]


class Lab:
    """A table with rows in two partitions, that can be put back to how it was."""

    def __init__(
        self, make: MakeProject, case: str, *, empty: bool = False, **options: Any
    ) -> None:
        self.case = case
        spec = {**SPEC, **CASES[case], **options}
        self.project = make({"t.yml": spec}, lock_timeout=10)
        (self.spec,) = self.project.catalog.specs()
        self.saved = self.project.config.root / "saved"
        if not empty:
            refresh: Any = {"full_refresh": True, "load_id": "first"}
            self.project.load(self.spec, frame(BEFORE), **refresh)
            shutil.copy(database(self.project), self.saved)
        self.before = contents(self.project)

    def reset(self) -> None:
        """Put the database back to how it was."""
        for path in self.project.config.root.glob("warehouse.duckdb*"):
            path.unlink()
        if self.saved.exists():
            shutil.copy(self.saved, database(self.project))

    def load(self, load_id: str = "again", **options: Any) -> LoadResult:
        """The load under test, under an id of its own."""
        partition = "a" if self.spec.partition_by else None
        return self.project.load(self.spec, frame(LOADED), partition, load_id=load_id, **options)

    def is_untouched(self) -> bool:
        """Whether all the database holds is what it held; the ledger may be there and empty."""
        found = contents(self.project)
        if "loader.loads" not in self.before and not found.get("loader.loads", ((), []))[1]:
            found.pop("loader.loads", None)
        return found == self.before

    def holds_one_copy(self) -> bool:
        """Whether the table is as after exactly one load."""
        held = AFTER[self.case]
        if "s.t" not in self.before:
            held = [row for row in held if "new" in row]
        return rows(self.project) == sorted(held, key=repr)


def statements_of(lab: Lab, break_at: BreakAt) -> int:
    """How many statements the transaction of a load has."""
    fault = break_at(Fault(at=-1))
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()
    return len(fault.statements)


@pytest.mark.parametrize(
    ("case", "empty"),
    [(case, empty) for case in CASES for empty in (False, True) if not (empty and case == "scd2")],
)
def test_a_fault_at_any_statement_leaves_everything_as_it_was(
    make_project: MakeProject, break_at: BreakAt, case: str, empty: bool
) -> None:
    """Before or after each statement: all is rolled back, and a rerun of that id loads one copy."""
    lab = Lab(make_project, case, empty=empty)
    count = statements_of(lab, break_at)
    assert count > (7 if empty else 4)
    for number in range(count):
        for after in (True,) if empty or case == "scd2" else (False, True):
            lab.reset()
            break_at(Fault(at=number, after=after))
            with pytest.raises(ExecuteError, match="the line is dead") as caught:
                lab.load()
            assert caught.value.rolled_back
            assert lab.is_untouched(), (number, after)
            if number % 5 == 0:
                assert lab.load().status == "loaded"
                assert lab.holds_one_copy()
                assert lab.load().status == "already_loaded"


@pytest.mark.parametrize("case", CASES)
def test_a_lost_answer_to_commit_is_resolved_by_the_ledger(
    make_project: MakeProject, break_at: BreakAt, case: str
) -> None:
    """COMMIT failed or only its answer was lost: the ledger tells, and there is one copy."""
    lab = Lab(make_project, case)
    break_at(Fault(at="commit", after=True))
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()
    assert lab.load().status == "already_loaded"

    lab.reset()
    break_at(Fault(at="commit"))
    with pytest.raises(ExecuteError, match="the ledger does not have the load") as caught:
        lab.load()
    assert caught.value.rolled_back
    assert lab.is_untouched()
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_interrupted_commit_is_resolved_by_the_ledger(
    make_project: MakeProject, break_at: BreakAt, after: bool
) -> None:
    """Ctrl-C inside of COMMIT: a load that is committed is told as loaded, another one is not."""
    lab = Lab(make_project, "append")
    break_at(Fault(at="commit", after=after, error=KeyboardInterrupt))
    if after:
        assert lab.load().status == "loaded"
        assert lab.holds_one_copy()
    else:
        with pytest.raises(KeyboardInterrupt):
            lab.load()
        assert lab.is_untouched()


def test_when_the_ledger_cannot_be_asked_nothing_is_claimed(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COMMIT failed and the warehouse is gone: the error says that the outcome is not known."""
    lab = Lab(make_project, "append")

    def opened(settings: Any, root: Any) -> Warehouse:
        inner = open_warehouse(settings, root)
        fault = Fault(at="commit", after=True)
        broken = _BrokenWarehouse(inner, fault)

        class Gone:
            exists, keeps_session_open = inner.exists, inner.keeps_session_open

            @contextmanager
            def session(self, *, write: bool = True) -> Iterator[Session]:
                if fault.attempts and not write:
                    raise ExecuteError("no route to host", rolled_back=True)
                with broken.session(write=write) as session:
                    yield session

        return Gone()

    with monkeypatch.context() as patch:
        patch.setattr("loader.executor.context.open_warehouse", opened)
        with pytest.raises(ExecuteError, match="unknown") as caught:
            lab.load()
    assert not caught.value.rolled_back
    assert "no route to host" in str(caught.value)
    assert lab.load().status == "already_loaded"
    assert lab.holds_one_copy()


def test_without_a_ledger_a_failed_commit_is_not_known(
    make_project: MakeProject, break_at: BreakAt
) -> None:
    """With the ledger off there is nothing to ask, and the error says so."""
    project = make_project({"t.yml": {**SPEC, **BY_P}}, ledger_schema="")
    (spec,) = project.catalog.specs()
    break_at(Fault(at="commit", after=True))
    with pytest.raises(ExecuteError, match="no ledger") as caught:
        project.load(spec, frame(LOADED), "a")
    assert not caught.value.rolled_back


def transient() -> ExecuteError:
    return ExecuteError("serializable isolation violation", transient=True, statement="X")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("place", [0, 4, 7, "commit", "commit after"])
def test_a_passing_fault_is_retried_whole(
    make_project: MakeProject, break_at: BreakAt, case: str, place: int | str
) -> None:
    """A transient fault repeats the whole transaction; the rows are loaded once."""
    lab = Lab(make_project, case)
    after = place == "commit after"
    at = "commit" if after else place
    fault = break_at(Fault(at=at, after=after, error=transient))
    assert lab.load().status == "loaded"
    assert fault.attempts == (1 if after else 2)
    assert lab.holds_one_copy()
    assert staged(lab.project) == []


def test_a_fault_after_a_failed_commit_is_told_as_what_it_is(
    make_project: MakeProject, break_at: BreakAt
) -> None:
    """Each attempt starts afresh: one that fails at a statement says nothing of an earlier COMMIT,
    and asks no ledger what came of it.
    """
    lab = Lab(make_project, "append")

    def conflict() -> ExecuteError:
        fault.at, fault.error = 4, lambda: ExecuteError("the line is dead")
        return transient()

    fault = break_at(Fault(at="commit", times=2, error=conflict))
    with pytest.raises(ExecuteError, match="the line is dead") as caught:
        lab.load()
    assert fault.attempts == 2
    assert "COMMIT" not in caught.value.message
    assert caught.value.rolled_back
    assert lab.is_untouched()


@pytest.mark.parametrize("case", CASES)
def test_what_a_failed_attempt_counted_is_counted_afresh(
    make_project: MakeProject, break_at: BreakAt, case: str
) -> None:
    """The result of a load that was tried twice is that of one tried once."""
    lab = Lab(make_project, case)
    wanted = lab.load("once")
    lab.reset()
    fault = break_at(Fault(at="commit", error=transient))
    found = lab.load("twice")
    assert fault.attempts == 2
    for name in ("rows_deleted", "rows_loaded", "rows_after", "merge_counts"):
        assert getattr(found, name) == getattr(wanted, name), name


def test_a_fault_that_does_not_pass_is_told_in_the_end(
    make_project: MakeProject, break_at: BreakAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries are bounded, and the last error is the one that is told."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 2)
    lab = Lab(make_project, "append")
    fault = break_at(Fault(at=5, times=99, error=transient))
    with pytest.raises(ExecuteError, match="serializable"):
        lab.load()
    assert fault.attempts == 2
    assert lab.is_untouched()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, RuntimeError])
@pytest.mark.parametrize("place", [3, 6])
def test_whatever_leaves_the_transaction_rolls_it_back(
    make_project: MakeProject, break_at: BreakAt, error: type[BaseException], place: int
) -> None:
    """Interrupts and bugs leave the table as it was, and are not swallowed."""
    lab = Lab(make_project, "replace partition")
    break_at(Fault(at=place, after=True, error=error))
    with pytest.raises(error):
        lab.load()
    assert lab.is_untouched()
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


def test_a_listener_that_raises_rolls_back(make_project: MakeProject) -> None:
    """An error in the caller's own progress function fails the load as any other."""
    lab = Lab(make_project, "replace partition")

    def listen(progress: Any) -> None:
        if progress.phase == "verify values":
            raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        lab.load(on_progress=listen)
    assert lab.is_untouched()


# Templates.

TEMPLATES = {
    "raises": ("{{ 1 // 0 }}", "division"),
    "commits": ("COMMIT", "may not run inside"),
    "commits in disguise": ("/* x */ commit -- y", "may not run inside"),
    "truncates": ("TRUNCATE {{ table|table }}", "may not run inside"),
    "two statements": ("SELECT 1; SELECT 2", "2 statements"),
    "no statement": ("-- nothing", "0 statements"),
    "bare value": ("SELECT '{{ load.id }}'", "without a filter"),
    "unknown name": ("SELECT {{ tabel|table }}", "tabel"),
    "unknown filter": ("SELECT {{ table|quote }}", "quote"),
    "broken": ("SELECT {% if %}", "delete_slice"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_bad_template_fails_before_the_data_is_read(make_project: MakeProject, name: str) -> None:
    """A template that raises, commits or prints what it must not stops the load at its start."""
    lab = Lab(make_project, "replace partition")
    text, words = TEMPLATES[name]
    templates = {"delete_slice.sql.j2": text, "duckdb/delete_slice.sql.j2": text}
    project = make_project({"t.yml": {**SPEC, **BY_P}}, templates=templates)

    def never() -> Iterator[pa.Table]:
        raise AssertionError("the data was read")
        yield

    with pytest.raises(TemplateError, match=words) as caught:
        project.load(lab.spec, never(), "a")
    assert "delete_slice.sql.j2" in str(caught.value)
    assert lab.is_untouched()
    assert staged(project) == []


def test_a_template_that_deletes_too_much_or_copies_too_little_is_found_out(
    make_project: MakeProject,
) -> None:
    """Counts are verified before COMMIT, so that a wrong template cannot lose or double rows."""
    wrong = {
        "copy_parquet": "INSERT INTO {{ target|table }} SELECT * FROM"
        " read_parquet({{ load.files_glob|glob }}) LIMIT 1",
        "delete_slice": "SELECT 0",
    }
    for name, text in wrong.items():
        lab = Lab(make_project, "replace partition")
        project = make_project(
            {"t.yml": {**SPEC, **BY_P}}, templates={f"duckdb/{name}.sql.j2": text}
        )
        with pytest.raises(VerifyError, match=r"\brows?\b"):
            project.load(lab.spec, frame(LOADED), "a")
        assert lab.is_untouched()
        shutil.rmtree(project.config.root)


# The staged files.


def _part(project: Project) -> Path:
    root = project.config.root / project.config.settings().staging
    (path,) = root.rglob("part-*")
    return path


def _swapped(path: Path) -> None:
    rows = {"id": pa.array([8, 9], pa.int32()), "p": ["b"] * 2, "v": ["x"] * 2}
    pq.write_table(pa.table(rows), path)


SABOTAGE: Mapping[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "garbage": lambda path: path.write_bytes(b"PAR1 garbage PAR1"),
    "doubled": lambda path: shutil.copy(path, path.with_name("part-9" + path.suffix)),
    "of another slice": _swapped,
}


@pytest.mark.parametrize("how", SABOTAGE)
@pytest.mark.parametrize("case", ["replace partition", "append"])
def test_staged_files_that_change_before_copy_are_found_out(
    make_project: MakeProject, how: str, case: str
) -> None:
    """Files lost, cut, doubled or swapped between staging and COPY roll the load back."""
    lab = Lab(make_project, case)

    def listen(progress: Any) -> None:
        if progress.phase == "look for this load":
            SABOTAGE[how](_part(lab.project))

    with pytest.raises(ExecuteError) as caught:
        lab.load(on_progress=listen)
    assert caught.value.rolled_back
    assert lab.is_untouched()


@pytest.mark.parametrize("fails", [False, True], ids=["loaded", "failed"])
@pytest.mark.parametrize("keep", ["always", "failed", "never"])
def test_staged_files_stay_as_keep_says(
    make_project: MakeProject, break_at: BreakAt, keep: str, fails: bool
) -> None:
    """Always and never mean what they say; failed keeps the files of loads that failed."""
    lab = Lab(make_project, "replace partition", staging={"keep": keep})
    stays = [path for path in staged(lab.project) if "first" in path]
    if fails:
        break_at(Fault(at=4))
        with pytest.raises(ExecuteError):
            lab.load()
    else:
        result = lab.load()
        assert (result.staged is not None) == (keep == "always")
    kept = [path for path in staged(lab.project) if path not in stays]
    if keep == "always" or (keep == "failed" and fails):
        assert [Path(path).name for path in kept] == ["manifest.json", "part-00000.arrow"]
    else:
        assert kept == []
    assert bool(stays) == (keep == "always")


def test_refused_data_leaves_no_files(make_project: MakeProject) -> None:
    """Files of a frame that was refused are of no use, whatever keep says."""
    lab = Lab(make_project, "append", staging={"keep": "always"})
    before = staged(lab.project)
    with pytest.raises(LoaderError, match="more than once"):
        lab.project.load(lab.spec, frame([LOADED[0], LOADED[0]]), "a")
    assert staged(lab.project) == before


def test_a_stream_that_breaks_leaves_no_rows(make_project: MakeProject) -> None:
    """An error of the caller's own stream fails the load before the warehouse is touched."""
    lab = Lab(make_project, "append", staging={"keep": "never"})

    def broken() -> Iterator[pa.Table]:
        yield frame(LOADED)
        raise OSError("the share is gone")

    with pytest.raises(SourceError, match="the share is gone"):
        lab.project.load(lab.spec, broken(), "a")
    assert lab.is_untouched()
    assert staged(lab.project) == []


# The database file.


def test_a_file_that_is_no_database_is_named(make_project: MakeProject) -> None:
    """Garbage in place of the database is a clear error, for loads and reads."""
    lab = Lab(make_project, "append")
    for path in lab.project.config.root.glob("warehouse.duckdb*"):
        path.unlink()
    database(lab.project).write_bytes(b"this is no database\n" * 500)
    for action in (lab.load, lambda: lab.project.read(lab.spec)):
        with pytest.raises(ExecuteError, match=r"warehouse\.duckdb cannot be opened") as caught:
            action()
        assert caught.value.rolled_back
    assert database(lab.project).read_bytes().startswith(b"this is no database")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("db.csv", b"a,b\n1,2\n"),
        ("empty.csv", b""),
        ("db.json", b'{"a": 1}\n'),
        ("db.parquet", None),
    ],
)
def test_a_file_of_data_in_place_of_the_database_is_named(
    make_project: MakeProject, name: str, data: bytes | None
) -> None:
    """A file of data, which DuckDB opens in memory, is no database, for loads and reads."""
    project = make_project({"t.yml": SPEC}, database=name)
    path = project.config.root / name
    if data is None:
        pq.write_table(frame(LOADED), path)
    else:
        path.write_bytes(data)
    before = path.read_bytes()
    (spec,) = project.catalog.specs()
    for action in (lambda: project.load(spec, frame(LOADED)), lambda: project.read(spec)):
        with pytest.raises(ExecuteError, match="not a valid DuckDB database") as caught:
            action()
        assert name in caught.value.message
        assert caught.value.rolled_back
    assert path.read_bytes() == before


def test_a_folder_in_place_of_the_database_is_named(make_project: MakeProject) -> None:
    """A database path that is a folder, or below a file, is a clear error."""
    project = make_project({"t.yml": SPEC}, database="loader.toml/x.duckdb")
    (spec,) = project.catalog.specs()
    with pytest.raises(ExecuteError, match="cannot be opened"):
        project.load(spec, frame(LOADED))
    project = make_project({"t.yml": SPEC}, database="specs")
    with pytest.raises(ExecuteError, match="cannot be opened"):
        project.load(spec, frame(LOADED))


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a database file, until it is told to leave."""
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_file_that_another_process_holds_names_it(make_project: MakeProject) -> None:
    """A lock that stays is told, with the process that has it, after lock_timeout."""
    lab = Lab(make_project, "append")
    project = make_project({"t.yml": {**SPEC, **CASES["append"]}}, lock_timeout=0.3)
    with held(database(project)) as process:
        started = time.monotonic()
        with pytest.raises(ExecuteError, match=f"PID {process.pid}") as caught:
            project.load(lab.spec, frame(LOADED), "a")
        assert time.monotonic() - started < 20
        assert caught.value.rolled_back
        with pytest.raises(ExecuteError, match=f"PID {process.pid}"):
            project.read(lab.spec)
    assert lab.is_untouched()


def test_a_lock_that_is_released_in_time_is_waited_for(make_project: MakeProject) -> None:
    """The load waits for another process, and goes on when it leaves."""
    lab = Lab(make_project, "append")
    with held(database(lab.project)) as process:
        threading.Timer(1.0, process.kill).start()
        assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


# Processes that die.

WORKER = """
import os, signal, sys
import pyarrow as pa
from loader.project import Project

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def frames():
    for at in range(40):
        n = 2_000
        ids = pa.array(range(at * n, at * n + n), pa.int32())
        yield pa.table({"id": ids, "p": ["a"] * n, "v": [os.urandom(20).hex()] * n})
        if where == "staging" and at == 30:
            die()

def listen(progress):
    if progress.phase == where:
        die()

where = sys.argv[1]
if where == "commit":
    from loader.warehouse.duckdb.driver import DuckDBSession
    DuckDBSession.commit = lambda self: die()
if where == "after commit":
    from loader.warehouse.duckdb.driver import DuckDBSession
    commit = DuckDBSession.commit
    DuckDBSession.commit = lambda self: (commit(self), die())
if where == "limit":
    import resource
    size = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
project = Project.find()
(spec,) = project.catalog.specs()
print(project.load(spec, frames(), "a", load_id="again", on_progress=listen).status)
"""


def run_worker(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WORKER, *arguments],
        cwd=project.config.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


PLACES = ["staging", "delete the slice", "copy", "commit"]


@pytest.mark.parametrize("where", PLACES)
def test_a_process_that_is_killed_leaves_the_table_as_it_was(
    make_project: MakeProject, where: str
) -> None:
    """Kill -9 at any point before COMMIT changes nothing, and a rerun of that id loads once."""
    small = {"format": "csv", "compression": "none", "file_size": "64KB"}
    lab = Lab(make_project, "replace partition", staging=small)
    killed = run_worker(lab.project, where)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert lab.is_untouched()
    left = staged(lab.project)
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()
    assert staged(lab.project) == left


def test_a_process_that_is_killed_after_commit_has_loaded_once(make_project: MakeProject) -> None:
    """Kill -9 right after COMMIT: the rows and the ledger are there, and a rerun does nothing."""
    lab = Lab(make_project, "append")
    assert run_worker(lab.project, "after commit").returncode == -signal.SIGKILL
    assert len(rows(lab.project)) == 80_003
    assert lab.load().status == "already_loaded"
    assert len(rows(lab.project)) == 80_003


def test_a_full_disk_while_staging_is_told_and_changes_nothing(make_project: MakeProject) -> None:
    """When a staged file cannot grow the load fails with what to do, and nothing is loaded."""
    staging = {"format": "csv", "compression": "none", "keep": "never"}
    lab = Lab(make_project, "replace partition", staging=staging)
    failed = run_worker(lab.project, "limit", str(1 << 20))
    assert "StageError" in failed.stderr, failed.stderr
    assert "hint" in failed.stderr
    assert lab.is_untouched()
    assert staged(lab.project) == []


def test_a_full_disk_in_the_database_is_told_and_changes_nothing(
    make_project: MakeProject,
) -> None:
    """When the database file cannot grow the load fails, and the table holds what it held."""
    staging = {"format": "csv", "compression": "none", "file_size": "64KB"}
    lab = Lab(make_project, "replace partition", staging=staging)
    size = database(lab.project).stat().st_size
    failed = run_worker(lab.project, "limit", str(max(size, 300_000)))
    if failed.returncode == 0:
        pytest.skip("the rows fit into the file")
    assert "ExecuteError" in failed.stderr, failed.stderr
    assert lab.is_untouched()
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()


def test_staging_on_a_disk_that_is_full(make_project: MakeProject, tmp_path: Path) -> None:
    """ENOSPC of the staging disk is told with the free space, and nothing is loaded."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted")
    try:
        project = make_project({"t.yml": {**SPEC, **BY_P}}, staging=str(disk / "staging"))
        (spec,) = project.catalog.specs()
        noise = [os.urandom(20).hex()[:40] for _ in range(20_000)]
        big = pa.table({"id": range(20_000), "p": ["a"] * 20_000, "v": noise})
        with pytest.raises(StageError, match="No space left") as caught:
            project.load(spec, big, "a")
        assert "free" in str(caught.value.hint)
        assert not database(project).exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("keep", ["failed", "never"])
def test_ctrl_c_leaves_what_keep_says(make_project: MakeProject, keep: str) -> None:
    """Ctrl-C during a load from standard input: exit code 130, table untouched, no half files."""
    staging = {"format": "csv", "compression": "none", "file_size": "64KB", "keep": keep}
    lab = Lab(make_project, "replace partition", staging=staging)
    command = [sys.executable, "-m", "loader", "load", "s/t", "-", "--partition", "a"]
    process = subprocess.Popen(
        command,
        cwd=lab.project.config.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdin is not None
            process.stdin.write("id,p,v\n")
            deadline = time.monotonic() + WAIT
            number = 0
            while not staged(lab.project) and time.monotonic() < deadline:
                lines = (f"{number + n},a,{'x' * 40}\n" for n in range(5_000))
                process.stdin.write("".join(lines))
                process.stdin.flush()
                number += 5_000
            assert staged(lab.project), "nothing was staged"
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert process.returncode == 130, told
    assert "interrupted" in told
    assert "Traceback" not in told
    assert lab.is_untouched()
    left = staged(lab.project)
    assert not [path for path in left if path.endswith(".partial")]
    assert keep == "failed" or left == []


# Loads at the same time.


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Run actions in threads that start together; what each returned or raised."""
    answers: list[Any] = [None] * len(actions)
    barrier = threading.Barrier(len(actions))

    def run(number: int, action: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers[number] = action()
        except LoaderError as error:
            answers[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    return answers


@pytest.mark.parametrize("case", CASES)
def test_threads_that_load_one_slice_at_once_take_turns(
    make_project: MakeProject, case: str
) -> None:
    """Loads of one partition at once are done one after the other: the slice is one of them."""
    lab = Lab(make_project, case)
    answers = at_once(*(lambda n=n: lab.load(f"load {n}") for n in range(4)))
    assert [getattr(answer, "status", answer) for answer in answers] == ["loaded"] * 4
    copies = 4 if case == "append" else 1
    times = sum(row[:3] == LOADED[1] for row in rows(lab.project))
    assert times == copies
    assert len(contents(lab.project)["loader.loads"][1]) == 5


def test_threads_that_run_one_load_at_once_load_it_once(make_project: MakeProject) -> None:
    """Two runs of one load id at once leave one copy, and both say that it is there."""
    lab = Lab(make_project, "append")
    answers = at_once(lab.load, lab.load)
    statuses = sorted(getattr(answer, "status", repr(answer)) for answer in answers)
    assert statuses == ["already_loaded", "loaded"]
    assert lab.holds_one_copy()


def test_processes_that_load_one_file_at_once_both_succeed(make_project: MakeProject) -> None:
    """Two processes on one database wait for each other, and the slice holds one copy."""
    lab = Lab(make_project, "replace partition")
    path = lab.project.config.root / "data.parquet"
    pq.write_table(frame(LOADED), path)
    command = [sys.executable, "-m", "loader", "load", "s/t", str(path), "--partition", "auto"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            command, cwd=lab.project.config.root, env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        _, told = process.communicate(timeout=WAIT)
        assert process.returncode == 0, told
    assert lab.holds_one_copy()


def test_nothing_is_left_in_the_way_of_a_rerun(
    make_project: MakeProject, break_at: BreakAt
) -> None:
    """Files that a failed load kept do not stop a rerun of that load id, and do not get in."""
    lab = Lab(make_project, "append")
    break_at(Fault(at=4))
    with pytest.raises(ExecuteError):
        lab.load()
    left = staged(lab.project)
    assert left
    assert lab.load().status == "loaded"
    assert lab.holds_one_copy()
    assert staged(lab.project) == left


def test_what_cannot_be_planned_touches_nothing(make_project: MakeProject) -> None:
    """A load that is refused before it starts makes no database and no staging folder."""
    project = make_project({"t.yml": {**SPEC, **BY_P}})
    (spec,) = project.catalog.specs()
    with pytest.raises(PlanError):
        project.load(spec, frame(LOADED))
    assert not database(project).exists()
    assert staged(project) == []
