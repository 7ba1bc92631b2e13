"""`load: new`: each file is loaded once, whatever happens to it, to the load, or beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.data.source_files import SourceFiles
from loader.errors import ExecuteError, FrameError, LoaderError, PlanError, SourceError
from loader.executor.results import LoadResult, Progress
from loader.executor.source import select_files
from loader.project import Project
from loader.spec.model import TableSpec
from loader.testing.redshift.faults import Drop
from tests.conftest import MakeProject, redshift_target, stored_keys

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

DAYS = ("2026-01-01", "2026-01-02")
COLUMNS = [
    {"name": "id", "data_type": "integer"},
    {"name": "day", "data_type": "date"},
    {"name": "v", "data_type": "varchar(20)"},
]
BY_DAY: Mapping[str, Any] = {"partition_by": [{"expr": "day", "grain": "day"}]}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "append": {"write_disposition": "append", "source": {"files": "{lake}/*.csv"}},
    "merge": {
        "write_disposition": "merge",
        "primary_key": ["id"],
        "source": {"files": "{lake}/*.csv"},
    },
    "replace": {**BY_DAY, "source": {"files": "{lake}/{{day}}/*.csv"}},
}


class Lake:
    """A table, and the files that it is loaded from: in the project, or in S3."""

    def __init__(
        self,
        make: MakeProject,
        target: Mapping[str, Any],
        root: Path,
        stand_in: RedshiftStandIn | None,
    ) -> None:
        self._make, self._target, self._root, self._stand_in = make, target, root, stand_in
        self.start = f"s3://{stand_in.bucket}/lake" if stand_in else "lake"
        self.project: Project

    def declare(self, kind: str, **source: Any) -> None:
        """Write the spec of the table."""
        spec = {"schema": "s", "name": "t", "columns": COLUMNS, **KINDS[kind]}
        files = spec["source"]["files"].format(lake=self.start)
        spec["source"] = {"load": "new", "files": files, **source}
        self.project = self._make({"t.yml": spec}, **self._target)

    @property
    def spec(self) -> TableSpec:
        return self.project.spec("s/t")

    def write(self, name: str, text: str | bytes) -> str:
        """Write a file; the name that the ledger has of it."""
        data = text.encode() if isinstance(text, str) else text
        if self._stand_in is not None:
            return self._stand_in.write_object(f"lake/{name}", data)
        path = self._root / "lake" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"lake/{name}"

    def rows(self, name: str, *ids: int, day: str = DAYS[0], v: str = "x") -> str:
        """Write a CSV file."""
        lines = "".join(f"{number},{day},{v}\n" for number in ids)
        return self.write(name, f"id,day,v\n{lines}")

    def remove(self, name: str) -> None:
        if self._stand_in is not None:
            client = boto3.client("s3")
            client.delete_object(Bucket=self._stand_in.bucket, Key=f"lake/{name}")
        else:
            (self._root / "lake" / name).unlink()

    def load(self, partition: Any = None, **options: Any) -> LoadResult:
        """Load the files of the spec."""
        reload = options.pop("reload", False)
        source = self.project.source(self.spec, reload=reload)
        return self.project.load(self.spec, source, partition, **options)

    def held(self) -> list[tuple[int, str]]:
        """The rows of the table: ids and values."""
        found: Any = self.project.read(self.spec, as_="arrow")
        return sorted(zip(found["id"].to_pylist(), found["v"].to_pylist(), strict=True))

    def ids(self) -> list[int]:
        return [number for number, _ in self.held()]

    def current(self) -> list[str]:
        """The files whose rows are in the table, by the ledger."""
        return sorted(f.path for f in self.project.history_files(limit=99) if not f.replaced_by)


@pytest.fixture(params=["duckdb", "redshift"])
def lake(request: pytest.FixtureRequest, make_project: MakeProject, tmp_path: Path) -> Lake:
    """DuckDB with files in a folder, or the stand-in with files in its bucket."""
    if request.param == "duckdb":
        return Lake(make_project, {}, tmp_path / "project", None)
    stand_in: RedshiftStandIn = request.getfixturevalue("redshift")
    return Lake(make_project, redshift_target(stand_in), tmp_path, stand_in)


@pytest.fixture
def local(make_project: MakeProject, tmp_path: Path) -> Lake:
    """DuckDB with files in a folder."""
    return Lake(make_project, {}, tmp_path / "project", None)


def outcome(result: LoadResult) -> tuple[str, int | None, int]:
    return result.status, result.files_read, result.files_skipped


def test_each_file_is_loaded_once(lake: Lake) -> None:
    """The second run does nothing, and a later one loads the file that has come since."""
    lake.declare("append")
    names = [lake.rows("a.csv", 1, 2), lake.rows("b.csv", 3)]
    assert outcome(lake.load()) == ("loaded", 2, 0)
    assert outcome(lake.load()) == ("no_new_files", 0, 2)
    names.append(lake.rows("c.csv", 4))
    assert outcome(lake.load()) == ("loaded", 1, 2)
    assert lake.ids() == [1, 2, 3, 4]
    assert lake.current() == sorted(names)
    assert len(lake.project.history()) == 2


def test_a_changed_file_of_an_append_is_refused(lake: Lake) -> None:
    """Its earlier rows cannot be taken back: the error names the file, and the load that had it."""
    lake.declare("append")
    name = lake.rows("a.csv", 1)
    first = lake.load()
    lake.rows("a.csv", 1, 2)
    lake.rows("b.csv", 3)
    with pytest.raises(PlanError, match="a file has changed") as caught:
        lake.load()
    assert f"{name}: loaded by {first.load_id}" in caught.value.message
    assert "--full-refresh" in str(caught.value.hint)
    assert lake.ids() == [1]
    assert outcome(lake.load(full_refresh=True)) == ("loaded", 2, 0)
    assert lake.ids() == [1, 2, 3]
    assert outcome(lake.load()) == ("no_new_files", 0, 2)


@pytest.mark.parametrize("changed", ["reload", "fail"])
def test_a_changed_file_is_reloaded_or_refused(local: Lake, changed: str) -> None:
    """`changed` decides what becomes of a file whose rows can be written again."""
    local.declare("merge", changed=changed)
    local.rows("a.csv", 1)
    local.rows("b.csv", 2)
    local.load()
    local.rows("a.csv", 1, v="y")
    if changed == "fail":
        with pytest.raises(PlanError, match="a file has changed"):
            local.load()
        assert outcome(local.load(reload=True)) == ("loaded", 2, 0)
    else:
        assert outcome(local.load()) == ("loaded", 1, 1)
    assert local.held() == [(1, "y"), (2, "x")]
    assert outcome(local.load()) == ("no_new_files", 0, 2)
    assert len(local.current()) == 2


def test_a_day_with_a_new_file_is_loaded_from_all_its_files(lake: Lake) -> None:
    """Replacing a day by one of its files would lose the others; other days are left alone."""
    lake.declare("replace")
    lake.rows(f"{DAYS[0]}/a.csv", 1)
    lake.rows(f"{DAYS[1]}/a.csv", 2, day=DAYS[1])
    assert lake.load().slice == "day=2026-01-01..2026-01-02"
    lake.rows(f"{DAYS[0]}/b.csv", 3)
    again = lake.load()
    assert (*outcome(again), again.slice) == ("loaded", 2, 1, "day=2026-01-01")
    assert (again.rows_deleted, lake.ids()) == (1, [1, 2, 3])
    assert outcome(lake.load()) == ("no_new_files", 0, 3)
    assert outcome(lake.load(DAYS[1])) == ("no_new_files", 0, 1)


def test_files_that_are_gone_are_no_problem(local: Lake) -> None:
    """Their rows stay; a day that is loaded without them forgets them, so that they may return."""
    local.declare("replace")
    local.rows(f"{DAYS[0]}/a.csv", 1)
    local.load()
    local.remove(f"{DAYS[0]}/a.csv")
    assert outcome(local.load()) == ("no_new_files", 0, 0)
    assert local.ids() == [1]
    local.rows(f"{DAYS[0]}/b.csv", 2)
    local.load()
    assert local.ids() == [2]
    local.rows(f"{DAYS[0]}/a.csv", 1)
    assert outcome(local.load()) == ("loaded", 2, 0)
    assert local.ids() == [1, 2]


def test_a_full_refresh_forgets_files_that_are_gone(local: Lake) -> None:
    """What was not there when the whole table was replaced is new when it returns."""
    local.declare("append")
    local.rows("a.csv", 1)
    local.rows("b.csv", 2)
    local.load()
    local.remove("a.csv")
    local.load(full_refresh=True)
    assert local.ids() == [2]
    local.rows("a.csv", 1)
    assert outcome(local.load()) == ("loaded", 1, 1)
    assert local.ids() == [1, 2]


def test_a_table_that_is_gone_is_loaded_from_all_files(lake: Lake) -> None:
    """The ledger knows files of a table that somebody has dropped: they are loaded again."""
    lake.declare("append")
    lake.rows("a.csv", 1)
    lake.load()
    with lake.project.context().warehouse.session() as session:
        session.execute('DROP TABLE "s"."t"')
    assert outcome(lake.load()) == ("loaded", 1, 0)
    assert outcome(lake.load()) == ("no_new_files", 0, 1)
    assert lake.ids() == [1]


def test_a_load_that_fails_has_loaded_no_file(local: Lake) -> None:
    """Files are recorded in the transaction that loads them."""
    local.declare("append")
    local.rows("a.csv", 1)
    bad = local.rows("b.csv", 2, day="yesterday")
    with pytest.raises(FrameError):
        local.load()
    assert local.project.history_files() == []
    local.rows(bad.rpartition("/")[2], 2)
    assert outcome(local.load()) == ("loaded", 2, 0)
    assert local.ids() == [1, 2]


def test_names_that_no_file_has(local: Lake) -> None:
    """A pattern that has never had a file is a mistake; one that had some may be empty now."""
    local.declare("append")
    with pytest.raises(SourceError, match="no file matches"):
        local.load()
    local.rows("a.csv", 1)
    local.load()
    local.remove("a.csv")
    assert outcome(local.load()) == ("no_new_files", 0, 0)


def test_a_requested_day_without_files(local: Lake) -> None:
    """A day that has no file, and never had one, is an error, whatever other days have."""
    local.declare("replace")
    local.rows(f"{DAYS[0]}/a.csv", 1)
    local.load()
    with pytest.raises(SourceError, match=rf"no file matches .*{DAYS[1]}"):
        local.load(DAYS[1])
    assert outcome(local.load(f"{DAYS[0]}..{DAYS[1]}")) == ("no_new_files", 0, 1)


def test_named_files_are_always_loaded_and_recorded(lake: Lake) -> None:
    """Who names a file wants it loaded; a run knows afterwards that it was."""
    lake.declare("append")
    name = lake.rows("a.csv", 1)
    lake.rows("b.csv", 2)
    path = name if "://" in name else str(lake.project.config.root / name)
    for _ in range(2):
        assert lake.project.load(lake.spec, SourceFiles((path,))).status == "loaded"
    assert lake.current() == [name]
    assert outcome(lake.load()) == ("loaded", 1, 1)
    assert lake.ids() == [1, 1, 2]


def test_files_of_a_load_that_is_repeated(local: Lake) -> None:
    """A load id that is committed is not loaded again, though there are new files."""
    local.declare("append")
    local.rows("a.csv", 1)
    local.load(load_id="one")
    local.rows("b.csv", 2)
    assert local.load(load_id="one").status == "already_loaded"
    assert local.ids() == [1]


# --- beside others


def meanwhile(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something once, as soon as a load has chosen its files."""
    real = select_files
    todo = [action]

    def select(*arguments: Any) -> Any:
        found = real(*arguments)
        if todo:
            todo.pop()()
        return found

    monkeypatch.setattr("loader.executor.load.select_files", select)


@pytest.mark.parametrize("kind", ["append", "replace"])
def test_a_file_that_another_run_has_loaded_meanwhile(
    lake: Lake, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later run rolls back, looks again, and finds nothing to do; nothing stays staged."""
    lake.declare(kind)
    lake.rows(f"{DAYS[0]}/a.csv" if kind == "replace" else "a.csv", 1)
    other: list[LoadResult] = []
    meanwhile(monkeypatch, lambda: other.append(lake.load()))
    assert outcome(lake.load()) == ("no_new_files", 0, 1)
    assert outcome(other[0]) == ("loaded", 1, 0)
    assert lake.ids() == [1]
    assert [load.load_id for load in lake.project.history()] == [other[0].load_id]
    assert stored_keys(lake.project, "s.t") == []


@pytest.mark.parametrize("kind", ["append", "replace"])
def test_what_is_left_is_loaded_after_another_run(
    lake: Lake, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later run loads the file that came after the other one had begun."""
    lake.declare(kind)
    folder = f"{DAYS[0]}/" if kind == "replace" else ""
    lake.rows(f"{folder}a.csv", 1)

    def other_run() -> None:
        lake.load()
        lake.rows(f"{folder}b.csv", 2)

    meanwhile(monkeypatch, other_run)
    expected = {"append": ("loaded", 1, 1), "replace": ("loaded", 2, 0)}[kind]
    assert outcome(lake.load()) == expected
    assert lake.ids() == [1, 2]


def test_a_changed_file_that_another_run_has_reloaded(
    local: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs see the same change; one of them loads it."""
    local.declare("merge")
    local.rows("a.csv", 1)
    local.load()
    local.rows("a.csv", 1, v="y")
    meanwhile(monkeypatch, local.load)
    assert outcome(local.load()) == ("no_new_files", 0, 1)
    assert local.held() == [(1, "y")]
    assert len(local.project.history()) == 2


def test_runs_at_once_load_each_file_once(lake: Lake) -> None:
    """Four runs begin together: the table has each row once, whoever has loaded it."""
    lake.declare("append")
    for number in range(8):
        lake.rows(f"{number}.csv", number)
    failed: list[BaseException] = []
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        try:
            lake.load()
        except BaseException as error:  # noqa: BLE001  # it is what the test is about
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert lake.ids() == list(range(8))
    assert len(lake.current()) == 8


def test_loads_of_other_tables_are_no_conflict(
    redshift: RedshiftStandIn, make_project: MakeProject, tmp_path: Path
) -> None:
    """In a SERIALIZABLE database, files of many tables are loaded without a refused statement."""
    names = [f"t{number}" for number in range(6)]
    spec = {"schema": "s", "columns": COLUMNS, "write_disposition": "append"}
    specs = {
        f"{name}.yml": {**spec, "name": name, "source": {"files": f"{name}/*.csv", "load": "new"}}
        for name in names
    }
    project = make_project(specs, **redshift_target(redshift))
    redshift.isolation = "serializable"
    for round_ in range(3):
        for name in names:
            path = project.config.root / name / f"{round_}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"id,day,v\n{round_},{DAYS[0]},x\n")
        if round_ == 1:  # creating tables may be a conflict
            redshift.statements.clear()
        assert project.run(jobs=6).failed == ()
    assert [one.sql for one in redshift.statements if one.ok is False] == []
    held = [redshift.query(f"SELECT count(*) FROM s.{name}")[0][0] for name in names]
    assert held == [3] * len(names)


# --- what breaks


def test_a_file_that_changes_while_it_is_loaded(local: Lake) -> None:
    """The ledger would know another file than was read: the load is rolled back."""
    local.declare("append")
    name = local.rows("a.csv", 1)

    def change(step: Progress) -> None:
        if step.phase == "count before":
            local.rows("a.csv", 1, 2)

    with pytest.raises(ExecuteError, match=rf"changed while they were loaded(?s:.*){name}"):
        local.load(on_progress=change)
    assert local.project.history() == []
    assert outcome(local.load()) == ("loaded", 1, 0)
    assert local.ids() == [1, 2]


def test_an_object_that_changes_before_it_is_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is what was listed, or the load fails and has loaded nothing."""
    lake.declare("append")
    lake.rows("a.csv", 1)
    lake.rows("b.csv", 2)
    meanwhile(monkeypatch, lambda: lake.rows("b.csv", 2, 3))
    with pytest.raises(LoaderError, match="changed"):
        lake.load()
    assert outcome(lake.load()) == ("loaded", 2, 0)
    assert lake.ids() == [1, 2, 3]


def test_a_commit_whose_answer_is_lost(
    redshift: RedshiftStandIn, make_project: MakeProject, tmp_path: Path, quick_retries: None
) -> None:
    """The files are in the ledger with their rows, or neither is."""
    lake = Lake(make_project, redshift_target(redshift), tmp_path, redshift)
    lake.declare("append")
    lake.rows("a.csv", 1)
    lake.load()
    lake.rows("b.csv", 2)
    redshift.faults.add("COMMIT", "after", Drop())
    assert outcome(lake.load()) == ("loaded", 1, 1)
    assert redshift.faults.fired == 1
    assert outcome(lake.load()) == ("no_new_files", 0, 2)
    assert lake.ids() == [1, 2]


def test_a_file_that_was_touched_is_the_same(local: Lake) -> None:
    """Another time of change alone is no change: the content decides."""
    local.declare("append")
    name = local.rows("a.csv", 1)
    local.load()
    path = local.project.config.root / name
    os.utime(path, ns=(1, 1))
    assert outcome(local.load()) == ("no_new_files", 0, 1)
    path.write_text(path.read_text().replace("x", "y"))
    with pytest.raises(PlanError, match="has changed"):
        local.load()


def test_a_project_that_has_moved_knows_its_files(local: Lake, tmp_path: Path) -> None:
    """Files in the project are known by their path in it, wherever it is."""
    local.declare("append")
    local.rows("a.csv", 1)
    local.load()
    moved = tmp_path / "moved"
    local.project.config.root.rename(moved)
    project = Project.find(moved)
    spec = project.spec("s/t")
    assert outcome(project.load(spec, project.source(spec))) == ("no_new_files", 0, 1)


def test_parquet_files_in_place_are_known_too(lake: Lake) -> None:
    """Files that the warehouse reads from where they lie are recorded like others."""
    files = f"{lake.start}/*.parquet"
    lake.declare("append", files=files, in_place="always")
    schema = pa.schema([("id", pa.int32()), ("day", pa.date32()), ("v", pa.string())])

    def write(name: str, number: int) -> None:
        sink = pa.BufferOutputStream()
        row = {"id": number, "day": None, "v": "x"}
        pq.write_table(pa.Table.from_pylist([row], schema), sink)
        lake.write(name, sink.getvalue().to_pybytes())

    write("a.parquet", 1)
    first = lake.load()
    assert (*outcome(first), first.in_place) == ("loaded", 1, 0, True)
    write("b.parquet", 2)
    assert outcome(lake.load()) == ("loaded", 1, 1)
    assert outcome(lake.load()) == ("no_new_files", 0, 2)
    assert lake.ids() == [1, 2]


def test_without_a_ledger_there_are_no_new_files(make_project: MakeProject) -> None:
    """A target that records nothing cannot know what is new, and says so."""
    spec: dict[str, Any] = {"schema": "s", "name": "t", "columns": COLUMNS}
    spec |= {"write_disposition": "append", "source": {"files": "*.csv", "load": "new"}}
    project = make_project({"t.yml": spec}, ledger_schema="")
    (project.config.root / "a.csv").write_text(f"id,day,v\n1,{DAYS[0]},x\n")
    found = project.spec("s/t")
    with pytest.raises(PlanError, match="has no ledger") as caught:
        project.load(found, project.source(found))
    assert "ledger_schema" in str(caught.value.hint)


def test_reloading_an_append_is_refused(local: Lake) -> None:
    """All its rows would be there twice."""
    local.declare("append")
    with pytest.raises(PlanError, match="twice"):
        local.load(reload=True)


def test_a_plan_shows_how_files_are_recorded(local: Lake) -> None:
    """With the files of the spec as its data, a plan records each of them."""
    local.declare("append")
    names = [local.rows("a.csv", 1), local.rows("b.csv", 2)]
    plan = local.project.plan(local.spec, frame=local.project.source(local.spec))
    recorded = next(one.sql for one in plan.statements if one.name == "record the files")
    assert all(name in recorded for name in names)
    assert "files_loaded" in "".join(one.template for one in plan.statements)
    assert plan.rows == 2


# --- a model

ACTIONS = st.one_of(
    st.tuples(
        st.just("write"),
        st.sampled_from(["a", "b"]),
        st.sampled_from(DAYS),
        st.sampled_from(["x", "longer"]),
    ),
    st.tuples(st.just("remove"), st.sampled_from(["a", "b"]), st.sampled_from(DAYS)),
    st.tuples(st.just("run")),
    st.tuples(st.just("run"), st.sampled_from(DAYS)),
)


def present(root: Path) -> Iterator[tuple[str, str, str]]:
    """The files that are there: day, name and value of their row."""
    for path in sorted((root / "lake").glob("*/*.csv")):
        yield path.parent.name, path.stem, path.read_text().rstrip().rpartition(",")[2]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=3, max_size=8))
def test_after_a_run_each_day_holds_its_files(
    tmp_path_factory: pytest.TempPathFactory,
    make_project: MakeProject,
    actions: Sequence[tuple[str, ...]],
) -> None:
    """Whatever came, changed, went and returned: a day has the rows of its files, each once."""
    root = tmp_path_factory.mktemp("lake")
    spec: dict[str, Any] = {"schema": "s", "name": "t", "columns": COLUMNS, **KINDS["replace"]}
    spec["source"] = {"files": f"{root}/lake/{{day}}/*.csv", "load": "new"}
    project = make_project({"t.yml": spec}, database=str(root / "w.duckdb"))
    table = project.spec("s/t")
    for action, *details in [*actions, ("run",)]:
        match action, *details:
            case "write", name, day, value:
                path = root / "lake" / day / f"{name}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"id,day,v\n{ord(name)},{day},{value}\n")
            case "remove", name, day:
                (root / "lake" / day / f"{name}.csv").unlink(missing_ok=True)
            case "run", *days:
                there = [one for one in present(root) if not days or one[0] in days]
                try:
                    result = project.load(table, project.source(table), *days)
                except SourceError:
                    assert not there
                    continue
                if result.status == "no_new_files" and not there:
                    continue
                rows: Any = project.read(table, *days, as_="arrow")
                held = [(str(r["day"]), chr(r["id"]), r["v"]) for r in rows.to_pylist()]
                assert set(there) <= set(held)
                # A file that is gone leaves its rows until its day is loaded again.
                assert len({(day, name) for day, name, _ in held}) == len(held)
    assert project.run().tables[0].status in ("no_new_files", "failed")
