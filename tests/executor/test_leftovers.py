"""What a load leaves behind, and what it says of it: failed, interrupted, killed or run again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.errors import LoaderError, StageError
from loader.executor.results import LoadResult, Progress
from loader.project import Project
from loader.staging.stores.base import Store
from loader.testing.redshift.faults import Delay, Drop, Error
from loader.warehouse.base import transaction
from loader.warehouse.registry import open_staging, open_warehouse
from tests.conftest import MakeProject, redshift_target
from tests.executor.test_faults import ROOT, WAIT, Fault, _BrokenWarehouse

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

SPEC: Mapping[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "id", "data_type": "integer"},
        {"name": "p", "data_type": "varchar(9)"},
        {"name": "v", "data_type": "varchar(40)"},
    ],
    "partition_by": [{"expr": "p"}],
    "write_disposition": "append",
}
ROWS = pa.table({"id": [1, 2, 3], "p": ["a"] * 3, "v": ["x", "y", "z"]})


class Lab:
    """A table on one of the targets, and what lies where it is staged."""

    def __init__(
        self,
        make: MakeProject,
        target: Mapping[str, Any],
        stand_in: RedshiftStandIn | None,
        **spec: Any,
    ) -> None:
        self.stand_in = stand_in
        self.project: Project = make({"t.yml": {**SPEC, **spec}}, **target)
        self.spec = self.project.spec("s/t")

    def load(self, frame: object = ROWS, load_id: str = "one", **options: Any) -> LoadResult:
        """Load into the partition under test."""
        return self.project.load(self.spec, frame, "a", load_id=load_id, **options)

    @property
    def store(self) -> Store:
        """Where loads stage their files."""
        settings = self.project.config.settings()
        location = settings.staging
        if "://" not in location:
            location = str(self.project.config.root / location)
        return open_staging(location, settings)

    def left(self) -> list[str]:
        """The keys of everything that is staged, half files too."""
        return sorted(
            f.key for found in (self.store.files(), self.store.unfinished()) for f in found
        )

    def rows(self) -> int:
        """How many rows the table has; none where it is not there."""
        try:
            return self.project.count(self.spec, ["a"])[0]
        except LoaderError:
            return 0

    def change(self, sql: str) -> None:
        """Have somebody else run a statement."""
        if self.stand_in is not None:
            self.stand_in.execute(sql)
            return
        warehouse = open_warehouse(self.project.config.settings(), self.project.config.root)
        with warehouse.session() as session:
            session.execute(sql)


MakeLab = Callable[..., Lab]


@pytest.fixture(params=["duckdb", "redshift"])
def lab(request: pytest.FixtureRequest, make_project: MakeProject) -> MakeLab:
    """Makes labs on a target of each kind."""
    stand_in: RedshiftStandIn | None = None
    target: dict[str, Any] = {"lock_timeout": 20}
    if request.param == "redshift":
        found: RedshiftStandIn = request.getfixturevalue("stand_in")
        stand_in, target = found, redshift_target(found)
    return lambda **spec: Lab(make_project, target, stand_in, **spec)


def told(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def at(phase: str, error: Callable[[], BaseException]) -> Callable[[Progress], None]:
    """A listener that raises when a statement is about to run."""

    def listen(progress: Progress) -> None:
        if progress.phase == phase:
            raise error()

    return listen


def broken() -> Iterator[pa.Table]:
    """Rows enough for a file, and then a fault of their own."""
    for start in range(0, 60_000, 3_000):
        noise = [os.urandom(20).hex() for _ in range(3_000)]
        ids = pa.array(range(start, start + 3_000), pa.int32())
        yield pa.table({"id": ids, "p": ["a"] * 3_000, "v": noise})
    raise OSError("the share is gone")


SMALL = {"format": "csv", "compression": "none", "file_size": "64KB"}
FAILURES: Mapping[str, dict[str, Any]] = {
    "check": {"checks": [{"metric": "row_count", "must_be": 9}]},
    "drift": {},
    "stream": {"frame": broken},
    "bug": {"on_progress": at("copy", lambda: RuntimeError("no terminal"))},
    "ctrl-c": {"on_progress": at("copy", KeyboardInterrupt)},
    "exit": {"on_progress": at("look for this load", SystemExit)},
}


@pytest.mark.parametrize("keep", ["always", "failed", "never"])
@pytest.mark.parametrize("how", FAILURES)
def test_a_failure_names_the_staged_files_that_stay(lab: MakeLab, how: str, keep: str) -> None:
    """Whatever stops a load, the folder that `keep` leaves is told, and none when there is none."""
    given = dict(FAILURES[how])
    found = lab(staging={**SMALL, "keep": keep}, checks=given.pop("checks", []))
    if how == "drift":
        found.change("CREATE SCHEMA s")
        found.change("CREATE TABLE s.t (id integer, p varchar(9))")
    frame = given.pop("frame", lambda: ROWS)()
    with pytest.raises((Exception, KeyboardInterrupt, SystemExit)) as caught:
        found.load(frame, **given)
    named = re.findall(r"staged files are kept in (\S+)", told(caught.value))
    left = found.left()
    if named:
        assert all(f"{found.store.root}/{key}".startswith(f"{named[0]}/") for key in left)
    assert len(named) == bool(left)
    if keep == "never" or (how == "drift" and found.stand_in):
        assert not left
    elif how != "stream":  # whose first file may not be complete when its rows fail
        assert left
    assert not [key for key in left if "partial" in key]
    if not isinstance(caught.value, Exception):
        assert "s.t is unchanged" in told(caught.value)
    assert found.rows() == 0


def test_who_is_interrupted_before_staging_is_told_that_nothing_was_loaded(
    lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the warehouse is waited for says what it means for the table."""
    found = lab()
    monkeypatch.setattr(
        "loader.executor.load.Load._prepare", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt) as caught:
        found.load()
    assert "nothing was loaded into s.t" in told(caught.value)
    assert found.left() == []


def test_refused_data_leaves_and_names_nothing(lab: MakeLab) -> None:
    """Files of rows that do not fit are of no use: they go, whatever `keep` says."""
    found = lab(staging={"keep": "always"})
    with pytest.raises(LoaderError) as caught:
        found.load(ROWS.set_column(1, "p", pa.array(["a", "b", "a"])))
    assert "kept in" not in told(caught.value)
    assert found.left() == []


# A load that is committed and not tidied up.


@pytest.mark.parametrize("keep", ["always", "failed", "never"])
def test_a_rerun_removes_what_a_committed_run_left(
    lab: MakeLab, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    """A run that ended between COMMIT and tidy-up has its files removed by the next of its id."""
    found = lab(staging={"keep": keep})
    with pytest.raises(RuntimeError):
        found.load(on_progress=at("copy", lambda: RuntimeError("another run")))
    others = found.left()
    with monkeypatch.context() as patch:
        patch.setattr(
            "loader.executor.load.apply_keep",
            lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt) as caught:
            found.load()
    assert "the load one of s.t is committed" in told(caught.value)
    assert found.store.root in told(caught.value)
    both = found.left()
    assert len(both) == len(others) + 2
    for _ in range(2):
        again = found.load()
        assert (again.status, again.rows_loaded, again.warnings) == ("already_loaded", 3, ())
        assert found.left() == (both if keep == "always" else others)
    assert found.rows() == 3


def test_files_that_cannot_be_removed_do_not_hide_that_a_load_is_there(
    lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A staging location that is out of reach is a warning: the rows are in the table."""
    found = lab()
    found.load()

    def fail(*_: Any, **__: Any) -> None:
        raise StageError("the bucket is out of reach")

    monkeypatch.setattr("loader.executor.load.apply_keep", fail)
    again = found.load()
    assert (again.status, again.rows_loaded) == ("already_loaded", 3)
    assert again.warnings == ("the bucket is out of reach",)


# Loads that are there already.


def test_a_load_that_is_there_tells_its_rows_however_it_was_found(
    lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked up first, met in the transaction, met after COMMIT: the ledger's rows are told."""
    found = lab()
    assert found.load().rows_loaded == 3
    two = ROWS.slice(0, 2)
    early = found.load(two)
    with monkeypatch.context() as patch:
        patch.setattr("loader.executor.load.Load._find_earlier", lambda *_: None)
        late = found.load(two)
    for result in (early, late):
        assert (result.status, result.rows_loaded, result.rows_deleted) == ("already_loaded", 3, 0)
        assert not result.statistics
        assert result.to_dict()["rows_loaded"] == 3
    assert found.left() == []
    assert found.rows() == 3


def test_a_commit_that_another_run_was_quicker_with_is_told_as_that(
    lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COMMIT failed and the ledger has the id of another run: its rows are told, not these."""
    found = lab()
    found.load(load_id="first")
    five = pa.concat_tables([ROWS, ROWS.slice(1)])
    again: Mapping[str, Callable[[], object]] = {
        "duckdb": lambda: found.load(five),
        # There the lock makes loads take turns: its row waits for the connection to be lost.
        "redshift": lambda: threads.append(
            threading.Thread(
                target=found.change,
                args=(
                    "INSERT INTO loader.loads_s_t SELECT 'one', slice, 5, bytes_staged, files,"
                    " 'x/manifest.json' FROM loader.loads_s_t WHERE load_id = 'first'",
                ),
            )
        ),
    }
    threads: list[threading.Thread] = []
    quick = again[found.project.config.settings().type]
    if found.stand_in is not None:
        found.stand_in.faults.add("commit", "before", Drop())
    else:
        fault = Fault(at="commit")

        def opened(settings: Any, root: Any) -> Any:
            inner = open_warehouse(settings, root)
            return inner if done else _BrokenWarehouse(inner, fault)

        monkeypatch.setattr("loader.executor.context.open_warehouse", opened)
    done: list[str] = []

    def listen(progress: Progress) -> None:
        if progress.phase == "record the load" and not done:
            done.append(progress.phase)
            quick()
            for thread in threads:
                thread.start()
                time.sleep(0.3)

    result = found.load(on_progress=listen)
    for thread in threads:
        thread.join()
    assert done
    assert (result.status, result.rows_loaded) == ("already_loaded", 5)


# What may pass.

MEANWHILE: Mapping[str, Mapping[str, str]] = {
    "dropped": {"at": "count before", "sql": "DROP TABLE s.t"},
    "rebuilt": {"at": "count before", "sql": "ALTER TABLE s.t RENAME TO old"},
    "column gone": {"at": "count before", "sql": "ALTER TABLE s.t DROP COLUMN v"},
}


@pytest.mark.parametrize("how", MEANWHILE)
def test_a_table_that_somebody_changes_meanwhile_may_be_fine_the_next_time(
    lab: MakeLab, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A table dropped, renamed or altered under a load is a passing fault, with a hint for it."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 1)
    found = lab(verify="counts")
    found.load(load_id="first")
    done: list[str] = []

    def listen(progress: Progress) -> None:
        if progress.phase == MEANWHILE[how]["at"] and not done:
            done.append(MEANWHILE[how]["sql"])
            found.change(done[0])

    with pytest.raises(LoaderError) as caught:
        found.load(on_progress=listen)
    assert done
    assert caught.value.transient, caught.value
    assert "load again after" in str(caught.value.hint)


def test_such_a_load_is_tried_again(lab: MakeLab) -> None:
    """The next attempt makes the table that was dropped under the first, and loads once."""
    found = lab(verify="counts")
    found.load(load_id="first")
    done: list[str] = []

    def listen(progress: Progress) -> None:
        if progress.phase == "count before" and not done:
            done.append("DROP TABLE s.t")
            found.change(done[0])

    assert found.load(on_progress=listen).status == "loaded"
    assert found.rows() == 3


def test_columns_that_change_while_rows_are_staged_may_be_fine_the_next_time(
    stand_in: RedshiftStandIn, make_project: MakeProject
) -> None:
    """On Redshift files follow the order of the table's columns: another order may pass."""
    found = Lab(make_project, redshift_target(stand_in), stand_in)
    found.load(load_id="first")

    def stream() -> Iterator[pa.Table]:
        yield ROWS
        found.change("DROP TABLE s.t; CREATE TABLE s.t (v varchar(40), p varchar(9), id integer)")

    with pytest.raises(LoaderError, match="changed") as caught:
        found.load(stream())
    assert caught.value.transient
    assert "load again" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("match", "error", "transient"),
    [
        ("lock ", Error("57014", "canceling statement due to statement timeout"), True),
        ("lock ", Error("55P03", "canceling statement due to lock timeout"), True),
        ("copy ", Error("57014", "canceling statement due to statement timeout"), False),
        ("copy ", Error("40P01", "deadlock detected"), True),
        ("insert into", Error("XX000", "1023", "Serializable isolation violation"), True),
        ("copy ", Error("42501", "permission denied for relation t"), False),
    ],
)
def test_waiting_for_others_passes_and_other_refusals_do_not(
    stand_in: RedshiftStandIn,
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    match: str,
    error: Error,
    transient: bool,
) -> None:
    """Locks and conflicts of other loads are passing faults, with a hint to wait for their end."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 1)
    found = Lab(make_project, redshift_target(stand_in), stand_in)
    found.load(load_id="first")
    stand_in.faults.add(match, "instead", error)
    with pytest.raises(LoaderError) as caught:
        found.load()
    assert caught.value.transient is transient
    assert ("load again" in str(caught.value.hint)) is transient


def test_a_conflict_in_duckdb_says_what_to_do(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that another connection changes meanwhile are a passing fault with a hint that fits."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 1)
    found = Lab(make_project, {}, None, write_disposition="replace")
    found.load(load_id="first")

    def listen(progress: Progress) -> None:
        if progress.phase == "delete the slice":
            found.change("DELETE FROM s.t")

    with pytest.raises(LoaderError) as caught:
        found.load(on_progress=listen)
    assert caught.value.transient
    assert "load again" in str(caught.value.hint)


# Signals.

SIGNALS = {signal.SIGTERM: (143, "terminated"), signal.SIGINT: (130, "interrupted")}
HEAVY = {"duckdb/check.sql.j2": "SELECT sum(hash(range)) % 1 FROM range(300000000000)"}


def command(found: Lab, *words: str, **options: Any) -> subprocess.Popen[str]:
    """A `loader load` of its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "loader", "load", "s/t", *words],
        cwd=found.project.config.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(process: subprocess.Popen[str], number: int, seconds: float) -> str:
    """What a process says when it gets a signal; it has to end soon."""
    exit_code, word = SIGNALS[signal.Signals(number)]
    process.send_signal(number)
    _, said = process.communicate(timeout=seconds)
    assert process.returncode == exit_code, said
    assert "Traceback" not in said
    (line,) = said.splitlines()
    assert line.startswith(word)
    return line


@pytest.mark.parametrize(("number", "keep"), [(signal.SIGTERM, "failed"), (signal.SIGINT, "never")])
def test_a_signal_while_staging_tidies_up_and_says_so(
    lab: MakeLab, number: signal.Signals, keep: str
) -> None:
    """SIGTERM is as Ctrl-C: no half file stays, and one line says what does."""
    found = lab(staging={**SMALL, "keep": keep})
    process = command(found, "-", "--partition", "a", stdin=subprocess.PIPE)
    with process:
        try:
            assert process.stdin is not None
            process.stdin.write("id,p,v\n")
            sent = 0

            def send() -> bool:
                nonlocal sent
                lines = (f"{sent + n},a,{'x' * 40}\n" for n in range(5_000))
                assert process.stdin is not None
                process.stdin.write("".join(lines))
                process.stdin.flush()
                sent += 5_000
                return bool(found.store.list("s.t"))

            until(send)
            line = ended(process, number, WAIT)
        finally:
            process.kill()
    assert "nothing was loaded into s.t" in line or "kept in" in line
    left = found.left()
    assert list(found.store.unfinished()) == []
    assert bool(left) == (keep == "failed") == (f"kept in {found.store.root}" in line)
    assert found.rows() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_transaction_ends_it_at_once(
    lab: MakeLab, make_project: MakeProject, number: signal.Signals
) -> None:
    """A statement that takes minutes is not waited for: rolled back, told, and the files named."""
    found = lab(checks=[{"metric": "row_count", "must_be": 3}])
    data = found.project.config.root / "data.csv"
    pyarrow.csv.write_csv(ROWS, data)
    if found.stand_in is not None:
        found.stand_in.faults.add("copy ", "before", Delay(30))
    else:
        spec = {**SPEC, "checks": [{"metric": "row_count", "must_be": 3}]}
        make_project({"t.yml": spec}, HEAVY)
    process = command(found, str(data), "--partition", "a")
    with process:
        try:
            until(lambda: [key for key, _ in found.store.list("s.t") if "manifest" in key])
            time.sleep(1.5)
            line = ended(process, number, 10)
        finally:
            process.kill()
    assert "s.t is unchanged" in line
    assert f"kept in {found.store.root}" in line
    assert found.rows() == 0


class StopError(BaseException):
    """What the handler of somebody else, such as Dagster's, raises."""


def test_a_statement_ends_with_what_a_signal_raises(make_project: MakeProject) -> None:
    """DuckDB lets go of a long statement at once, and what the handler raised arrives as it is."""
    found = Lab(make_project, {}, None)

    def stop(*_: object) -> None:
        raise StopError

    warehouse = open_warehouse(found.project.config.settings(), found.project.config.root)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with warehouse.session() as session:
            for _ in range(3):
                timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
                timer.start()
                began = time.monotonic()
                with pytest.raises(StopError), transaction(session):
                    session.execute("SELECT sum(hash(range)) FROM range(300000000000)")
                assert time.monotonic() - began < 5
                assert session.execute("SELECT 1") == [(1,)]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_signals_that_others_see_to_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of SIGTERM that is there, as Dagster's is, stays; and so does none, afterwards."""
    seen: list[Any] = []

    def look() -> dict[str, object]:
        seen.append(signal.getsignal(signal.SIGTERM))
        return {}

    monkeypatch.setattr("loader.spec.json_schema.json_schema", look)
    before = signal.getsignal(signal.SIGTERM)
    try:
        for handler in (signal.SIG_DFL, lambda *_: None):
            signal.signal(signal.SIGTERM, handler)
            assert CliRunner().invoke(main, ["schema"]).exit_code == 0
            assert signal.getsignal(signal.SIGTERM) is handler
        assert seen[0] not in (signal.SIG_DFL, seen[1])
        assert seen[1] is handler
    finally:
        signal.signal(signal.SIGTERM, before)
