"""The ledger: each load id is loaded once, and what was loaded can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from loader.errors import ExecuteError, FrameError, PlanError
from loader.executor.results import LoadResult
from loader.project import Project
from loader.testing.redshift.server import RedshiftStandIn
from loader.validate import validate
from loader.version import version
from tests.conftest import redshift_target

if TYPE_CHECKING:
    from tests.conftest import MakeProject

COLUMNS = [{"name": "id", "data_type": "integer"}, {"name": "p", "data_type": "varchar(9)"}]
SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": COLUMNS,
    "partition_by": [{"expr": "p"}],
    "write_disposition": "append",
}
SPECS = {
    "t.yml": SPEC,
    "u.yml": {"schema": "s", "name": "u", "asset_key": "other/u", "columns": COLUMNS},
}


def frame(count: int = 2, key: str = "a") -> pa.Table:
    return pa.table({"id": range(count), "p": [key] * count})


def never() -> Iterator[pa.Table]:
    """A frame that may not be read."""
    raise AssertionError("the data was read")
    yield


def count(project: Project, name: str = "s/t") -> int:
    found: Any = project.read(project.spec(name), as_="arrow")
    return int(found.num_rows)


def test_a_load_id_is_loaded_once_and_its_frame_not_read_again(make_project: MakeProject) -> None:
    """The second load of an id says already_loaded, with what the first did, and reads nothing."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    first = project.load(spec, frame(), "a", load_id="x")
    again = project.load(spec, never(), "a", load_id="x")
    assert (first.status, again.status) == ("loaded", "already_loaded")
    assert (first.rows_loaded, first.rows_deleted, again.rows_deleted) == (2, 0, 0)
    assert (again.load_id, again.rows_loaded, again.slice) == ("x", 2, "p=a")
    assert count(project) == 2


@pytest.mark.parametrize(
    ("partition", "options"),
    [
        ("b", {}),
        (["a", "b"], {}),
        (None, {"full_refresh": True}),
    ],
)
def test_a_load_id_of_something_else_is_refused(
    make_project: MakeProject, partition: Any, options: dict[str, Any]
) -> None:
    """An id that the ledger has for another slice is an error, and reads nothing."""
    project = make_project(SPECS)
    project.load(project.spec("s/t"), frame(), "a", load_id="x")
    spec = project.spec("s/t")
    with pytest.raises(ExecuteError, match=r"earlier load of s\.t \(p=a\)") as caught:
        project.load(spec, never(), partition, load_id="x", **options)
    assert caught.value.rolled_back
    assert count(project) == 2


def test_the_same_slice_said_otherwise_is_the_same_load(make_project: MakeProject) -> None:
    """Keys in another order or form name the same slice, and so the same load."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    project.load(spec, frame(), ["b", "a"], load_id="x")
    for same in (["a", "b"], ["a", "b", "a"], {"p": ["b", "a"]}, [{"p": "a"}, {"p": "b"}]):
        assert project.load(spec, never(), same, load_id="x").status == "already_loaded"


def test_partitions_found_in_the_data_are_remembered(make_project: MakeProject) -> None:
    """A rerun with auto is told by its id alone, since its data is not read."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    project.load(spec, frame(key="q"), "auto", load_id="x")
    again = project.load(spec, never(), "auto", load_id="x")
    assert (again.status, again.slice) == ("already_loaded", "p=q")


def test_loads_without_an_id_are_loads_of_their_own(make_project: MakeProject) -> None:
    """Without an id each load gets a new one."""
    project = make_project(SPECS)
    ids = {project.load(project.spec("s/t"), frame(), "a").load_id for _ in range(3)}
    assert len(ids) == 3
    assert count(project) == 6


def test_without_a_ledger_ids_mean_nothing(make_project: MakeProject) -> None:
    """With the ledger off no schema is made, every load is done, and history says there is none."""
    project = make_project(SPECS, ledger_schema="")
    spec = project.spec("s/t")
    for _ in range(2):
        assert project.load(spec, frame(), "a", load_id="x").status == "loaded"
    assert count(project) == 4
    assert "loads" not in project.plan(spec, "a").sql
    with pytest.raises(PlanError, match="no ledger"):
        project.history()


@pytest.mark.parametrize(
    ("spec", "settings", "refused"),
    [
        ({"schema": "loader", "name": "loads"}, {}, True),
        ({"schema": "loader", "name": "files"}, {}, True),
        ({"renamed_from": "loader.loads"}, {}, True),
        ({"schema": "own", "name": "loads"}, {"ledger_schema": "Own"}, True),
        ({"schema": "loader", "name": "loads"}, {"ledger_schema": "own"}, False),
        ({"schema": "loader", "name": "loads"}, {"ledger_schema": ""}, False),
        ({"schema": "loader", "name": "files_daily"}, {}, False),
        ({"schema": "s", "name": "loads"}, {}, False),
    ],
)
def test_no_spec_declares_the_ledger(
    make_project: MakeProject, spec: dict[str, Any], settings: dict[str, Any], refused: bool
) -> None:
    """Plans, changes, loads and validation refuse a spec of the ledger's tables, and no others."""
    project = make_project({"t.yml": {**SPEC, **spec}, "u.yml": SPECS["u.yml"]}, **settings)
    project.load(project.spec("other/u"), frame())
    (found,) = (each for each in project.catalog.specs() if each.asset_key != "other/u")
    actions: list[Callable[[], object]] = [
        lambda: project.plan(found),
        lambda: project.apply(project.changes([found]), allow_destructive=["*"]),
        lambda: project.load(found, frame(), "a"),
    ]
    for action in actions:
        if refused:
            with pytest.raises(PlanError, match="a table of Loader's own ledger on the target"):
                action()
        else:
            action()
    assert len(validate(project)[1]) == refused
    project.load(project.spec("other/u"), frame())


def test_ledgers_of_tables_are_no_tables_of_specs(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """Where each table has a ledger of its own, specs may not have the names of these either."""
    spec = {**SPEC, "schema": "loader", "name": "loads_s_t"}
    project = make_project({"t.yml": spec}, **redshift_target(stand_in))
    with pytest.raises(PlanError, match=r"loader\.loads_s_t is a table of Loader's own ledger"):
        project.changes(list(project.catalog.specs()))


def test_history_tells_every_load_newest_first(make_project: MakeProject) -> None:
    """Each load is one entry with all that is known of it, and limit cuts the oldest."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    started = datetime.now(UTC)
    for number in range(4):
        project.load(spec, frame(number + 1), "a", load_id=f"load {number}")
    entries = project.history()
    assert [entry.load_id for entry in entries] == [f"load {n}" for n in (3, 2, 1, 0)]
    assert [entry.rows_loaded for entry in entries] == [4, 3, 2, 1]
    assert [entry.load_id for entry in project.history(limit=2)] == ["load 3", "load 2"]
    newest = entries[0]
    assert (newest.table, newest.asset_key, newest.slice) == ("s.t", "s/t", "p=a")
    assert (newest.write_disposition, newest.files) == ("append", 1)
    assert newest.bytes_staged > 0
    assert newest.loader_version == version()
    assert len(newest.spec_hash) == 64
    assert started - timedelta(seconds=1) < newest.loaded_at < datetime.now(UTC)
    assert newest.to_dict()["loaded_at"] == newest.loaded_at.isoformat()


def test_history_selects_tables(make_project: MakeProject) -> None:
    """SELECT names tables as everywhere: keys, schema.table and globs."""
    project = make_project(SPECS)
    project.load(project.spec("s/t"), frame(), "a", load_id="of t")
    project.load(project.spec("s.u"), frame(), load_id="of u")
    assert [entry.load_id for entry in project.history("s.t")] == ["of t"]
    assert [entry.load_id for entry in project.history("other/*")] == ["of u"]
    assert len(project.history("*")) == 2
    with pytest.raises(PlanError, match="nothing"):
        project.history("nothing")


def test_history_of_nothing_is_empty(make_project: MakeProject) -> None:
    """A target without a database, or without a ledger in it, has an empty history."""
    project = make_project(SPECS)
    assert project.history() == []
    off = make_project(SPECS, ledger_schema="")
    off.load(off.spec("s/t"), frame(), "a")
    assert make_project(SPECS).history() == []


def test_empty_and_refreshed_loads_are_in_the_history(make_project: MakeProject) -> None:
    """A load of no rows is a load; a full refresh is written down as the replace it was."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    project.load(spec, frame(0), "a", load_id="empty")
    project.load(spec, frame(), full_refresh=True, load_id="full")
    newest, oldest = project.history()
    assert (oldest.rows_loaded, oldest.slice) == (0, "p=a")
    assert (newest.write_disposition, newest.slice) == ("replace", None)
    assert project.load(spec, never(), "a", load_id="empty").status == "already_loaded"


def test_a_failed_load_is_not_in_the_history(make_project: MakeProject) -> None:
    """What was rolled back or refused leaves no trace in the ledger."""
    checks = [{"metric": "row_count", "must_be": 7}]
    project = make_project({"t.yml": {**SPEC, "checks": checks}})
    spec = project.spec("s/t")
    with pytest.raises(ExecuteError):
        project.load(spec, frame(), "a", load_id="x")
    with pytest.raises(FrameError):
        project.load(spec, frame(), "b", load_id="y")
    assert project.history() == []


HOSTILE = [
    "'); DROP TABLE loads; --",
    '"; x',
    "..",
    "../../etc",
    "a/b",
    "/",
    "back\\slash\\'",
    "new\nline",
    "日本 🐘",
    "*?[a]",
    "{{ load.id }}",
    "x" * 128,
    ".",
    " ",
    "<load id>",
    "con:aux|nul",
]


@pytest.mark.parametrize("load_id", HOSTILE)
def test_a_hostile_load_id_is_text(make_project: MakeProject, load_id: str) -> None:
    """A load id may be any text: it stays below the staging folder and out of the SQL."""
    project = make_project({"t.yml": {**SPEC, "staging": {"keep": "always"}}})
    spec = project.spec("s/t")
    result = project.load(spec, frame(), "a", load_id=load_id)
    assert project.load(spec, never(), "a", load_id=load_id).status == "already_loaded"
    assert [entry.load_id for entry in project.history()] == [load_id]
    assert count(project) == 2
    staging = project.config.root / "staging"
    assert result.staged is not None
    assert staging in (staging / result.staged).resolve().parents


def test_ids_that_look_alike_are_staged_apart(make_project: MakeProject) -> None:
    """Ids that differ only in characters a path cannot have get folders of their own."""
    project = make_project({"t.yml": {**SPEC, "staging": {"keep": "always"}}})
    spec = project.spec("s/t")
    ids = ["a/b", "a_b", "a\\b", "A_B", "a b"]
    staged = {project.load(spec, frame(), "a", load_id=one).staged for one in ids}
    assert len(staged) == len(ids)


@pytest.mark.parametrize("load_id", ["", "x" * 129, "ü" * 65, "nul\0"])
def test_what_cannot_be_a_load_id_is_refused(make_project: MakeProject, load_id: str) -> None:
    """An empty id, one that is too long for the ledger, or one with a NUL is refused at once."""
    project = make_project(SPECS)
    with pytest.raises(PlanError, match="load id"):
        project.load(project.spec("s/t"), never(), "a", load_id=load_id)


def test_a_slice_of_many_partitions_fits_the_ledger(make_project: MakeProject) -> None:
    """The ledger keeps a short form of a long slice, and a rerun still knows it."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    keys = [f"k{number:04d}ü" for number in range(900)]
    rows = pa.table({"id": range(900), "p": keys})
    project.load(spec, rows, keys, load_id="x")
    (entry,) = project.history()
    assert entry.slice is not None
    assert len(entry.slice.encode()) <= 4096
    assert project.load(spec, never(), keys, load_id="x").status == "already_loaded"
    with pytest.raises(ExecuteError, match="earlier load"):
        project.load(spec, never(), keys[:-1], load_id="x")


def test_different_slices_are_told_apart_however_long_they_are(make_project: MakeProject) -> None:
    """Slices that read the same in short are not the same load."""
    project = make_project(SPECS)
    spec = project.spec("s/t")
    keys = ["a", "b", "c", "d", "e"]
    rows = pa.table({"id": range(2), "p": ["a", "e"]})
    project.load(spec, rows, keys, load_id="x")
    with pytest.raises(ExecuteError, match="earlier load"):
        project.load(spec, never(), ["a", "b", "x", "d", "e"], load_id="x")


def test_a_load_id_of_other_partitions_is_refused(make_project: MakeProject) -> None:
    """Slices that are told in the same few words are told apart all the same."""
    project = make_project(SPECS)
    spec = project.spec("s/t")

    def load(keys: str) -> LoadResult:
        rows = pa.table({"id": range(4), "p": list(keys)})
        return project.load(spec, rows, list(keys), load_id="q1")

    assert load("ABCZ").status == "loaded"
    with pytest.raises(ExecuteError, match="the load id `q1` belongs to an earlier load"):
        load("ABDZ")
    assert load("ABCZ").status == "already_loaded"
