"""Loads by the tasks of a cluster, without Spark: every attempt is counted once, or not at all."""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.cast.tally import Tally
from loader.data.from_spark import find_cause, is_spark_frame
from loader.errors import ConfigError, FrameError, LoaderError, PlanError, SourceError, StageError
from loader.executor.spark.errors import to_loader_error
from loader.executor.spark.outcome import decode_outcome
from loader.project import Project
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target, stored_keys

Task = Callable[[Iterator[Any]], Iterator[Any]]
Run = Callable[[Task, Sequence[pa.RecordBatch]], list[bytes]]


def run_once(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
    """The values that a task yields for its partition."""
    return [value.as_py() for found in task(iter(batches)) for value in found.column(0)]


class Cluster:
    """Runs tasks in this process, and says which partition is at work."""

    def __init__(self) -> None:
        self.partition = 0
        self.runs: dict[int, Run] = {}
        """How partitions are run that are not run once."""

    def get(self) -> Any:
        """What `TaskContext.get` is to a task."""
        return SimpleNamespace(partitionId=lambda: self.partition)

    def frame(self, *partitions: Sequence[Mapping[str, Any]], schema: pa.Schema) -> Any:
        """A frame of rows in partitions, of a class that looks like Spark's."""
        tables = [pa.Table.from_pylist(list(rows), schema) for rows in partitions]
        return DataFrame(self, [table.to_batches(max_chunksize=2) for table in tables], schema)


class DataFrame:
    __module__ = "pyspark.sql.dataframe"

    def __init__(
        self, cluster: Cluster, partitions: list[list[pa.RecordBatch]], schema: pa.Schema
    ) -> None:
        self._cluster, self._partitions, self._schema = cluster, partitions, schema
        self.columns = schema.names

    def mapInArrow(self, task: Task, schema: str) -> Any:  # noqa: N802  # Spark's name
        """The results of a task, in any order."""

        def collect() -> list[tuple[bytes]]:
            found: list[tuple[bytes]] = []
            for number, batches in reversed(list(enumerate(self._partitions))):
                self._cluster.partition = number
                run = self._cluster.runs.get(number, run_once)
                found += [(value,) for value in run(task, batches)]
            return found

        return SimpleNamespace(collect=collect, toLocalIterator=lambda: reversed(collect()))

    def limit(self, rows: int) -> Any:
        """The first rows."""
        return DataFrame(self._cluster, self._partitions[:1], self._schema)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(TaskContext=found))
    return found


ROWS = pa.schema([("id", pa.int64()), ("day", pa.string()), ("x", pa.string())])


def row(number: int, day: str = "2026-01-01", x: str | None = "a") -> dict[str, Any]:
    return {"id": number, "day": day, "x": x}


def spec(**changes: Any) -> dict[str, Any]:
    columns = {"id": "bigint", "day": "date", "x": "varchar(3)"}
    listed = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    return {"schema": "s", "name": "t", "columns": listed, **changes}


@pytest.fixture
def make(each_target: dict[str, Any], make_project: MakeProject) -> Callable[..., Project]:
    """Makes a project with the table `s.t`, on each target."""
    return lambda **changes: make_project({"t.yml": spec(**changes)}, **each_target)


def ids(project: Project) -> list[Any]:
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    return sorted(found["id"].to_pylist())


def test_partitions_become_one_load(make: Callable[..., Project], cluster: Cluster) -> None:
    """All partitions, empty ones too, are one table, with figures as of one stream of rows."""
    by_day = [{"expr": "day", "grain": "day"}]
    project = make(partition_by=by_day, primary_key=["id"], staging={"keep": "always"})
    rows = [row(at, f"2026-01-0{1 + at % 3}", x=None if at % 4 else "é") for at in range(20)]
    frame = cluster.frame([], rows[:13], [], rows[13:14], rows[14:], [], schema=ROWS)
    result = project.load(project.spec("s/t"), frame, "auto")
    assert ids(project) == list(range(20))
    assert result.rows_read == result.rows_staged == result.rows_loaded == 20
    assert result.partition_rows == {"2026-01-01": 7, "2026-01-02": 7, "2026-01-03": 6}
    assert result.files_staged == 3
    names = sorted(key.rpartition("/")[2] for key in stored_keys(project, "s.t", "rejects"))
    assert names[0] == "manifest.json"
    assert len(names) == 4
    again = project.load(
        project.spec("s/t"),
        pa.Table.from_pylist(rows, ROWS),
        ["2026-01-01", "2026-01-02..2026-01-03"],
    )
    assert again.statistics == result.statistics


def test_a_frame_without_rows_is_as_any_other(
    make: Callable[..., Project], cluster: Cluster
) -> None:
    """Partitions without rows, and no partition at all, do what `on_empty` says."""
    for frame in (cluster.frame([], [], schema=ROWS), cluster.frame(schema=ROWS)):
        assert make().load(make().spec("s/t"), frame).status == "empty"
        strict = make(on_empty="fail")
        with pytest.raises(FrameError, match="on_empty: fail"):
            strict.load(strict.spec("s/t"), frame)
        assert stored_keys(strict, "s.t", "rejects") == []


def test_bad_rows_are_told_with_partition_and_row(
    make: Callable[..., Project], cluster: Cluster
) -> None:
    """The first bad row of each column is named by partition and row, and all are counted."""
    project = make()
    frame = cluster.frame(
        [row(1), row(2)],
        [row(3), row(4, x="long"), row(5, x="long"), row(6, day="never")],
        [row(7, x="long")],
        schema=ROWS,
    )
    with pytest.raises(FrameError) as refused:
        project.load(project.spec("s/t"), frame)
    told = refused.value.message
    assert "4 rows do not fit s.t; nothing was loaded" in told
    assert "partition 1 row 2: 'long'" in told
    assert "(2 more rows)" in told
    assert "partition 1 row 4: 'never'" in told
    assert stored_keys(project, "s.t", "rejects") == []


@pytest.mark.parametrize(("limit", "fits"), [(3, True), (2, False), ("50%", True), ("40%", False)])
def test_rejected_rows_of_all_partitions_are_kept(
    make: Callable[..., Project], cluster: Cluster, limit: int | str, fits: bool
) -> None:
    """`max_rejects` is of all rows; rejects are one file for each partition that has some."""
    project = make(schema_contract={"bad_rows": "reject", "max_rejects": limit})
    bad = [row(at, x="long") for at in range(3)]
    frame = cluster.frame([row(3), *bad[:2]], [row(4)], [bad[2], row(5)], schema=ROWS)
    if fits:
        result = project.load(project.spec("s/t"), frame)
        assert result.rows_rejected == 3
        assert ids(project) == [3, 4, 5]
        assert result.rejects is not None
        told = result.rejects
    else:
        with pytest.raises(FrameError, match="max_rejects allows") as refused:
            project.load(project.spec("s/t"), frame)
        told = refused.value.message
    keys = [key for key in stored_keys(project, "s.t", "rejects") if key.startswith("rejects/")]
    store = project.context().staging_store
    assert store.uri(keys[0].rpartition("/")[0]) in told
    tables = [pq.read_table(pa.BufferReader(store.read(key))) for key in keys]
    found = [one for table in tables for one in table.to_pylist()]
    assert [(one["_origin"], one["_row"], one["id"]) for one in found] == [
        ("partition 0", 2, "0"),
        ("partition 0", 3, "1"),
        ("partition 2", 1, "2"),
    ]
    (rejected,) = project.rejects()
    assert (rejected.total, rejected.committed, len(rejected.rows)) == (3, fits, 3)
    assert [(reason["column"], reason["rows"]) for reason in rejected.reasons] == [("x", 3)]


@pytest.mark.parametrize("disposition", ["replace", "append", "merge"])
def test_keys_of_different_partitions_are_compared(
    make: Callable[..., Project], cluster: Cluster, disposition: str
) -> None:
    """A primary key in two partitions fails the load in the warehouse, whatever it does."""
    project = make(write_disposition=disposition, primary_key=["id"])
    project.load(project.spec("s/t"), cluster.frame([row(1)], schema=ROWS))
    frame = cluster.frame([row(2)], [row(3)], [row(2)], schema=ROWS)
    with pytest.raises(LoaderError, match="has 1 primary key more than once") as refused:
        project.load(project.spec("s/t"), frame)
    assert "group the rows by id" in str(refused.value.hint)
    assert ids(project) == [1]


def _staged_then_lost(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
    """An attempt that stages all its rows, but whose result is lost, and another one."""
    run_once(task, batches)
    return run_once(task, batches)


def _fails_midway(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
    """An attempt that fails after its first rows, and another one."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield batches[0]
        raise OSError("the connection is lost")

    with pytest.raises(OSError, match="lost"):
        list(task(broken()))
    return run_once(task, batches)


@pytest.mark.parametrize("keep", ["always", "never"])
@pytest.mark.parametrize("run", [_staged_then_lost, _fails_midway])
def test_attempts_that_do_not_count_leave_nothing(
    make: Callable[..., Project], cluster: Cluster, run: Run, keep: str
) -> None:
    """Only files of the attempt that Spark returns are loaded and kept; rejects likewise."""
    project = make(staging={"keep": keep}, schema_contract={"bad_rows": "reject", "max_rejects": 5})
    cluster.runs = {1: run, 2: run}
    bad = row(9, x="long")
    frame = cluster.frame([row(1)], [row(2), row(3), bad], [row(4)], schema=ROWS)
    result = project.load(project.spec("s/t"), frame)
    assert ids(project) == [1, 2, 3, 4]
    staged = [key for key in stored_keys(project, "s.t", "rejects") if "/part-" in key]
    assert len(staged) == (3 if keep == "always" else 0)
    assert sum("rejects-" in key for key in stored_keys(project, "s.t", "rejects")) == 1
    assert result.rows_rejected == 1


def test_an_attempt_that_ends_too_late_is_never_loaded(
    make: Callable[..., Project], cluster: Cluster
) -> None:
    """Files that an attempt completes after the driver has chosen another are not copied."""
    project = make(staging={"keep": "always"})
    late: list[Callable[[], object]] = []

    def slow(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
        late.append(lambda: run_once(task, batches))
        return run_once(task, batches)

    def finish(progress: Any) -> None:
        if progress.phase == "copy":
            late.pop()()

    cluster.runs = {0: slow}
    frame = cluster.frame([row(1)], [row(2)], schema=ROWS)
    project.load(project.spec("s/t"), frame, on_progress=finish)
    assert ids(project) == [1, 2]
    assert not late
    assert sum("/part-" in key for key in stored_keys(project, "s.t", "rejects")) == 3
    cleaned = project.clean(older_than=None, dry_run=True)
    assert cleaned.foreign == 0


def test_a_failed_job_leaves_nothing(make: Callable[..., Project], cluster: Cluster) -> None:
    """When Spark gives up, what other tasks have staged is removed, unless it is to be kept."""

    def dead(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
        raise RuntimeError("Job aborted due to stage failure: Task 0 failed 4 times\n\tat org.x(y)")

    for keep, kept in (("never", 0), ("failed", 1)):
        project = make(staging={"keep": keep})
        cluster.runs = {0: dead}
        frame = cluster.frame([row(1)], [row(2)], schema=ROWS)
        with pytest.raises(SourceError, match="Task 0 failed 4 times") as failed:
            project.load(project.spec("s/t"), frame)
        assert "org.x" not in failed.value.message
        assert len(stored_keys(project, "s.t", "rejects")) == kept
        assert ("are kept in" in failed.value.message) == bool(kept)


def test_a_partition_that_is_returned_twice_is_refused(
    make: Callable[..., Project], cluster: Cluster
) -> None:
    """Two results of one partition would load its rows twice, so they fail the load."""
    project = make(staging={"keep": "never"})
    cluster.runs = {0: lambda task, batches: [*run_once(task, batches), *run_once(task, batches)]}
    with pytest.raises(StageError, match="two results of partition 0"):
        project.load(project.spec("s/t"), cluster.frame([row(1)], schema=ROWS))
    assert stored_keys(project, "s.t", "rejects") == []


def test_files_that_the_driver_does_not_see_fail_the_load(
    make_project: MakeProject, cluster: Cluster
) -> None:
    """A staging folder of another machine is told as such, with what to do."""
    project = make_project({"t.yml": spec()})

    def elsewhere(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
        found = run_once(task, batches)
        for file in decode_outcome(found[0]).files:
            Path(file.uri).unlink()
        return found

    cluster.runs = {0: elsewhere}
    frame = cluster.frame([row(1)], [row(2)], schema=ROWS)
    with pytest.raises(StageError, match="1 of 2 files") as failed:
        project.load(project.spec("s/t"), frame)
    assert "share" in str(failed.value.hint)


def test_plans_fetch_the_rows(make: Callable[..., Project], cluster: Cluster) -> None:
    """A plan with a frame checks its rows and finds its partitions, and stages nothing."""
    project = make(partition_by=[{"expr": "day", "grain": "day"}])
    frame = cluster.frame([row(1)], [row(2, "2026-01-02")], schema=ROWS)
    plan = project.plan(project.spec("s/t"), "auto", frame=frame)
    assert plan.rows == 2
    assert "2026-01-02" in str(plan.slice)
    bad = cluster.frame([row(1)], [row(2, x="long")], schema=ROWS)
    with pytest.raises(FrameError, match="row 2: 'long'"):
        project.plan(project.spec("s/t"), "auto", frame=bad)
    assert stored_keys(project, "s.t", "rejects") == []


def test_columns_are_matched_before_a_task_runs(
    make: Callable[..., Project], cluster: Cluster
) -> None:
    """A frame with other columns is refused by their names, and no task runs."""
    frame = cluster.frame(
        [{"id": 1, "x": "long"}], schema=pa.schema([ROWS.field(0), ROWS.field(2)])
    )
    cluster.runs = {0: lambda _, __: pytest.fail("a task ran")}
    project = make()
    with pytest.raises(FrameError, match=r"missing +day"):
        project.load(project.spec("s/t"), frame)


def test_an_error_that_no_attempt_can_avoid_is_raised_as_it_is(
    make_project: MakeProject, cluster: Cluster
) -> None:
    """What a task returns as its error is the error of the load."""
    project = make_project(
        {"t.yml": spec(partition_by=[{"expr": "no_such(x)", "data_type": "varchar(9)"}])}
    )
    with pytest.raises(PlanError, match="cannot be determined"):
        project.load(project.spec("s/t"), cluster.frame([row(1)], schema=ROWS), "auto")


def test_executors_have_the_version_of_the_driver(
    make_project: MakeProject, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of Loader in the executors is told before it can do anything else."""
    project = make_project({"t.yml": spec()})
    monkeypatch.setattr("loader.executor.spark.task.version", lambda: "0.0.1")
    with pytest.raises(ConfigError, match=r"executors of Spark have Loader 0\.0\.1"):
        project.load(project.spec("s/t"), cluster.frame([row(1)], schema=ROWS))


def test_an_interrupted_load_cancels_its_job(make_project: MakeProject, cluster: Cluster) -> None:
    """Ctrl-C, or a run that Dagster ends, stops the tasks of the load and of no other."""
    project = make_project({"t.yml": spec()})
    calls: list[tuple[str, str]] = []
    frame = cluster.frame([row(1)], schema=ROWS)
    frame.sparkSession = SimpleNamespace(
        addTag=lambda tag: calls.append(("add", tag)),
        interruptTag=lambda tag: calls.append(("interrupt", tag)),
        removeTag=lambda tag: calls.append(("remove", tag)),
    )
    project.load(project.spec("s/t"), frame)
    assert [call for call, _ in calls] == ["add", "remove"]

    def interrupted(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
        raise KeyboardInterrupt

    cluster.runs = {0: interrupted}
    with pytest.raises(KeyboardInterrupt):
        project.load(project.spec("s/t"), frame)
    assert [call for call, _ in calls[2:]] == ["add", "interrupt", "remove"]
    assert len({tag for _, tag in calls[2:]}) == 1
    assert stored_keys(project, "s.t", "rejects") == []


def test_documents_have_one_type_in_all_files(
    make_project: MakeProject, redshift: RedshiftStandIn, cluster: Cluster
) -> None:
    """On Redshift nested documents are of the first rows' structure, whatever task stages them."""
    columns = [{"name": "id", "data_type": "bigint"}, {"name": "doc", "data_type": "super"}]
    whole = {"schema": "s", "name": "t", "columns": columns}
    project = make_project({"t.yml": whole}, **redshift_target(redshift))
    schema = pa.schema([("id", pa.int64()), ("doc", pa.string())])
    good = cluster.frame(
        [{"id": 1, "doc": '{"a": 1, "b": "x"}'}], [{"id": 2, "doc": None}], schema=schema
    )
    project.load(project.spec("s/t"), good)
    assert ids(project) == [1, 2]
    bad = cluster.frame(
        [{"id": 1, "doc": '{"a": 1}'}], [{"id": 2, "doc": '{"b": 1}'}], schema=schema
    )
    with pytest.raises(FrameError, match="structure of the first rows"):
        project.load(project.spec("s/t"), bad)


def test_what_is_sent_has_no_password(
    make_project: MakeProject, redshift: RedshiftStandIn, cluster: Cluster
) -> None:
    """A task is told the staging location, and nothing of how to log in to the warehouse."""
    target = redshift_target(redshift)
    project = make_project({"t.yml": spec()}, **target)
    sent: list[bytes] = []

    def send(task: Task, batches: Sequence[pa.RecordBatch]) -> list[bytes]:
        sent.extend(pickle.dumps(cell.cell_contents) for cell in task.__closure__ or ())
        return run_once(task, batches)

    cluster.runs = {0: send}
    project.load(project.spec("s/t"), cluster.frame([row(1)], schema=ROWS))
    (settings,) = sent
    assert redshift.bucket.encode() in settings
    assert str(target["password"]).encode() not in settings
    assert str(target["user"]).encode() + b"@" not in settings
    first, second = pickle.loads(settings), pickle.loads(settings)
    assert first.store is second.store  # the tasks of a process share its connections
    assert len(settings) < 10_000


def test_a_session_is_needed_to_read(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PySpark, or without a session, what to do is told."""
    project = make_project({"t.yml": spec()})
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(LoaderError, match="Spark is not installed") as missing:
        project.read(project.spec("s/t"), as_="spark")
    assert "loader[spark]" in str(missing.value.hint)
    sessions = SimpleNamespace(SparkSession=SimpleNamespace(getActiveSession=lambda: None))
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(sql=sessions))
    monkeypatch.setitem(sys.modules, "pyspark.sql", sessions)
    with pytest.raises(PlanError, match="none is active"):
        project.read(project.spec("s/t"), as_="spark")


TRACEBACKS = {
    "ours": (
        "Job aborted: Lost task\nTraceback (most recent call last):\n"
        '  File "x.py", line 1, in write\nOSError: full\n\nThe above exception was the cause\n\n'
        'Traceback (most recent call last):\n  File "y.py", line 2, in stage\n    raise\n'
        "loader.errors.StageError: cannot write s3://b/k: denied\n\nhint: allow it\n\n"
        "\tat org.apache.spark.api(Python.scala:1)\n",
        "StageError",
        "in an executor of Spark: cannot write s3://b/k: denied",
    ),
    "of a user's function": (
        "Traceback (most recent call last):\n  File x\nKeyError: 'a'\n\n\tat org.x\n",
        "SourceError",
        "the Spark DataFrame cannot be read: KeyError: 'a'",
    ),
    "of SQL": (
        "[CAST_INVALID_INPUT] The value 'x' cannot be cast\n\tat org.x\n",
        "SourceError",
        "the Spark DataFrame cannot be read: [CAST_INVALID_INPUT] The value 'x' cannot be cast",
    ),
    "no loader": (
        "Traceback (most recent call last):\n  File x\n"
        "ModuleNotFoundError: No module named 'loader'\n",
        "ConfigError",
        "the executors of Spark cannot import `loader`",
    ),
}


@pytest.mark.parametrize("case", TRACEBACKS)
def test_errors_of_executors_are_told_without_a_traceback(case: str) -> None:
    """The last exception of a task is what is told, in its class when it is Loader's own."""
    text, kind, message = TRACEBACKS[case]
    error = to_loader_error(RuntimeError(text))
    assert (type(error).__name__, error.message) == (kind, message)
    if kind in ("StageError", "ConfigError"):
        assert error.hint
    assert find_cause("") == "unknown error"


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=4), max_size=5))
def test_tallies_add_up(partitions: list[list[tuple[int, bool]]]) -> None:
    """Tallies of parts are the tally of the whole, with the first bad row of the first part."""
    tallies = []
    for number, rows in enumerate(partitions):
        tally = Tally(rows_read=len(rows), partitions={})
        for at, (key, fits) in enumerate(rows):
            if fits:
                known = dict(tally.partitions or {})
                tally.partitions = {**known, (str(key),): known.get((str(key),), 0) + 1}
            else:
                chunk: Any = SimpleNamespace(origin=f"partition {number}", first_row=1)
                found: Any = SimpleNamespace(name="x", rows=[at], describe=lambda _: "bad")
                tally.report.add(chunk, [found], 1)
        tallies.append(tally)
    total = Tally.total(tallies)
    good = Counter((str(key),) for part in partitions for key, fits in part if fits)
    bad = [
        (f"partition {number}", at + 1)
        for number, part in enumerate(partitions)
        for at, (_, fits) in enumerate(part)
        if not fits
    ]
    assert (total.rows_read, total.rows_rejected) == (good.total() + len(bad), len(bad))
    assert total.partitions == good
    for first in total.report.details():
        assert (first["origin"], first["first_row"]) == bad[0]
        assert first["rows"] == len(bad)
    assert Tally.total([*tallies, Tally()]).partitions is None


def test_frames_of_spark_are_known_by_their_class() -> None:
    """A frame is known as Spark's by name and module, and none of pandas on Spark is."""
    for module, known in {
        "pyspark.sql.dataframe": True,
        "pyspark.sql.classic.dataframe": True,
        "pyspark.sql.connect.dataframe": True,
        "pyspark.pandas.frame": False,
        "pandas": False,
    }.items():
        cls = type("DataFrame", (), {"__module__": module})
        assert is_spark_frame(cls()) == known
