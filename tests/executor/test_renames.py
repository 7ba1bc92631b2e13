"""Tables and columns with new names keep their rows and their loads, and no load makes a second."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import ExecuteError, FrameError, LoaderError, PlanError
from loader.executor.results import LoadResult, Progress
from loader.project import Project
from loader.spec.model import TableSpec
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target

pytestmark = pytest.mark.usefixtures("quick_retries")

NUMBER: dict[str, Any] = {"name": "number", "data_type": "integer", "nullable": False}
NOTE: dict[str, Any] = {"name": "note", "data_type": "varchar(20)"}
OLD: dict[str, Any] = {"name": "old", "columns": [NUMBER, NOTE]}
NEW: dict[str, Any] = {**OLD, "name": "new", "renamed_from": "s.old"}
ROWS = pa.table({"number": pa.array([1, 2], pa.int32()), "note": ["a", "b"]})


class Bench:
    """A target, and a project whose one spec gets other names."""

    def __init__(self, make: MakeProject, target: Mapping[str, Any]) -> None:
        self.make, self.target = make, target

    def open(self, fields: Mapping[str, Any], **others: Any) -> tuple[Project, TableSpec]:
        full = {"schema": "s", **fields}
        project = self.make({"t.yml": full}, **self.target, **others)
        return project, project.spec(f"{full['schema']}.{full['name']}")

    def load(self, fields: Mapping[str, Any], data: Any = ROWS, **options: Any) -> LoadResult:
        project, spec = self.open(fields)
        return project.load(spec, data, **options)

    def apply(self, fields: Mapping[str, Any], *, destructive: bool = False) -> list[str]:
        project, spec = self.open(fields)
        changes = project.changes([spec])
        project.apply(changes, allow_destructive=["*"] if destructive else [])
        return [one.kind for one in changes[0].differences]

    def rows(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        project, spec = self.open(fields)
        table = project.read(spec, as_="arrow")
        assert isinstance(table, pa.Table)
        return sorted(table.to_pylist(), key=str)

    def loads(self, fields: Mapping[str, Any]) -> list[str]:
        project, spec = self.open(fields)
        return sorted(entry.load_id for entry in project.history(spec.asset_key))

    def tables(self) -> set[str]:
        project, _ = self.open(OLD)
        with project.context().warehouse.session(write=False) as session:
            found = session.execute(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            )
        return {f"{schema}.{name}" for schema, name in found}


@pytest.fixture
def bench(make_project: MakeProject, each_target: dict[str, Any]) -> Bench:
    """A target of each kind."""
    return Bench(make_project, each_target)


def renamed(column: Mapping[str, Any], name: str, **more: Any) -> dict[str, Any]:
    return {**column, "name": name, "renamed_from": column["name"], **more}


def test_a_load_before_the_rename_says_what_to_do(bench: Bench) -> None:
    """A load renames nothing, since others read by the old names; it tells what does."""
    bench.load(OLD)
    contract = {"schema_contract": {"evolve": "additive"}}
    column = {**OLD, **contract, "columns": [NUMBER, renamed(NOTE, "text")]}
    with pytest.raises(PlanError) as error:
        bench.load(column)
    assert "  text    text  note  has its earlier name" in error.value.message
    assert "`loader apply s/old` applies them" in (error.value.hint or "")
    before = bench.tables()
    with pytest.raises(PlanError) as error:
        bench.load({**NEW, **contract})
    assert error.value.message == (
        "the live table has its earlier name, s.old: s.new would be a second one beside it"
    )
    assert "`loader apply s/new` renames it" in (error.value.hint or "")
    assert bench.tables() == before
    with pytest.raises(ExecuteError) as missing:
        bench.rows(NEW)
    assert missing.value.hint == "it is still called s.old: `loader apply s/new` renames it"
    assert bench.apply({**column, **NEW, "columns": column["columns"]}) == [
        "rename table",
        "rename column",
    ]


def test_a_renamed_table_keeps_its_rows_and_its_loads(bench: Bench) -> None:
    """What was loaded under the old name is not loaded again, and the history shows it."""
    append = {"write_disposition": "append"}
    bench.load({**OLD, **append}, load_id="one")
    bench.load({**OLD, **append}, load_id="two")
    assert bench.apply({**NEW, **append}) == ["rename table"]
    assert bench.load({**NEW, **append}, load_id="one").status == "already_loaded"
    assert len(bench.rows(NEW)) == 4
    assert bench.load({**NEW, **append}, load_id="three").status == "loaded"
    assert bench.loads(NEW) == ["one", "three", "two"]
    assert bench.loads(OLD) == []
    # It may stay in the spec, and may go.
    for fields in (NEW, {**OLD, "name": "new"}):
        assert bench.apply(fields) == []
        assert bench.load({**fields, **append}, load_id="two").status == "already_loaded"
    # The old name is free: a table that takes it has no loads.
    assert bench.load({**OLD, **append}, load_id="one").status == "loaded"
    assert bench.loads(OLD) == ["one"]


@pytest.mark.parametrize("both", [False, True], ids=["the old name", "both names"])
def test_a_renamed_table_keeps_its_files(bench: Bench, both: bool) -> None:
    """Files that were loaded under the old name are not loaded again under the new one."""
    source = {"write_disposition": "append", "source": {"files": "data/*.csv", "load": "new"}}

    def run(fields: Mapping[str, Any]) -> int | None:
        project, _ = bench.open({**fields, **source})
        data = project.config.root / "data"
        data.mkdir(exist_ok=True)
        (data / "one.csv").write_text("number,note\n1,a\n", encoding="utf-8")
        (table,) = project.run().tables
        assert table.error is None
        return table.result.rows_loaded if table.result is not None else None

    if both:
        run({**OLD, "name": "new"})
        project, _ = bench.open(OLD)
        with project.context().warehouse.session() as session:
            session.begin()
            session.execute("DROP TABLE s.new")
            session.commit()
    assert run(OLD) == 1
    assert bench.apply({**NEW, **source}) == ["rename table"]
    assert not run(NEW)
    assert len(bench.rows(NEW)) == 1
    assert run(OLD) == 1


def test_loads_of_both_names_come_together(bench: Bench) -> None:
    """A ledger that the new name has already takes the loads of the old one, each once."""
    new = {**OLD, "name": "new"}
    bench.load(new, load_id="of the new name")
    bench.load(OLD, load_id="of the old name")
    project, _ = bench.open(new)
    with project.context().warehouse.session() as session:
        session.begin()
        session.execute("DROP TABLE s.new")
        session.commit()
    assert bench.apply(NEW) == ["rename table"]
    for load_id in ("of the new name", "of the old name"):
        assert bench.load(NEW, load_id=load_id).status == "already_loaded"
    assert len(bench.loads(NEW)) == 2
    assert bench.load(OLD, load_id="of the old name").status == "loaded"


def test_a_table_moves_to_another_schema(bench: Bench) -> None:
    """No statement does that, so it is rebuilt there; the old one is kept where it was."""
    bench.load(OLD, load_id="one")
    moved = {**OLD, "schema": "elsewhere", "renamed_from": "s.old"}
    moved["columns"] = [NUMBER, renamed(NOTE, "text", data_type="varchar(30)")]
    assert bench.apply(moved)[:2] == ["rename table", "rename column"]
    assert bench.rows(moved) == [{"number": 1, "text": "a"}, {"number": 2, "text": "b"}]
    assert bench.load(moved, load_id="one").status == "already_loaded"
    (kept,) = (name for name in bench.tables() if name.startswith("s.loader_old"))
    project, _ = bench.open(moved)
    cleaned = project.clean_backups(timedelta(0))
    assert [f"{one.schema}.{one.name}" for one in cleaned.dropped] == [kept]
    assert "s.old" not in bench.tables()


def test_columns_take_names_of_each_other_in_turn(bench: Bench) -> None:
    """A chain is renamed from its end, keys among them; every value stays with its column."""
    keyed = {"primary_key": ["number"], "sort": ["note"], "dist": "number"}
    bench.load({**OLD, **keyed})
    after = {
        "name": "old",
        "columns": [
            renamed(NUMBER, "id"),
            {**NOTE, "name": "more"},
            renamed(NOTE, "number", data_type="varchar(40)"),
        ],
        "primary_key": ["id"],
        "sort": ["number"],
        "dist": "id",
        "write_disposition": "merge",
    }
    kinds = bench.apply(after)
    assert kinds[:2] == ["rename column", "rename column"]
    assert "drop column" not in kinds
    assert bench.rows(after) == [
        {"id": 1, "more": None, "number": "a"},
        {"id": 2, "more": None, "number": "b"},
    ]
    assert bench.apply(after) == []
    result = bench.load(after, pa.table({"id": [2], "number": ["c"], "more": ["x"]}))
    assert result.rows_updated == 1


def test_a_rename_may_change_the_type_too(bench: Bench) -> None:
    """The values are converted on the way, also where they have a name before that is taken now."""
    bench.load(OLD, pa.table({"number": [1], "note": ["2026-01-31"]}))
    after = {"name": "old", "columns": [NUMBER, renamed(NOTE, "day", data_type="date")]}
    assert bench.apply(after, destructive=True) == ["rename column", "type"]
    assert [str(row["day"]) for row in bench.rows(after)] == ["2026-01-31"]
    assert bench.apply(after) == []


def test_data_may_have_either_name(bench: Bench) -> None:
    """Rows come by the new name or an earlier one, in any case; with both it is not known which."""
    fields = {"name": "t", "columns": [NUMBER, renamed(NOTE, "text")]}
    for name in ("text", "note", "Note"):
        bench.load(fields, pa.table({"number": [1], name: ["a"]}))
        assert bench.rows(fields) == [{"number": 1, "text": "a"}]
    with pytest.raises(FrameError) as error:
        bench.load(fields, pa.table({"number": [1], "text": ["a"], "note": ["b"]}))
    assert "ambiguous  text  matches `text`, `note`, one of them by renamed_from" in str(
        error.value
    )
    # A name that another column has now is that column's.
    chain = [renamed(NUMBER, "id"), renamed(NOTE, "number")]
    with pytest.raises(FrameError) as error:
        bench.load({"name": "u", "columns": chain}, ROWS)
    assert "missing    id      integer" in str(error.value)


def test_two_earlier_names_at_once_are_not_guessed(bench: Bench) -> None:
    """Where a column or a table could be either of two, nothing is changed."""
    bench.load(OLD)
    bench.load({**OLD, "name": "older"})
    one = {"name": "old", "columns": [{**NOTE, "name": "x", "renamed_from": ["note", "number"]}]}
    for fields, told in (
        (one, "note and number are in the live table"),
        ({**NEW, "renamed_from": ["s.old", "s.older"]}, "s.old, s.older exist"),
    ):
        with pytest.raises(PlanError, match=told):
            bench.apply(fields, destructive=True)
    # A column that is there already takes no other's values.
    both = {"name": "old", "columns": [NUMBER, {**NOTE, "renamed_from": "number"}]}
    project, spec = bench.open({**both, "columns": [{**NOTE, "renamed_from": "number"}]})
    (change,) = project.changes([spec])
    assert [item.kind for item in change.differences] == ["drop column"]
    assert any("are both in the live table" in note for note in change.drift.notes)


def test_a_review_of_a_rename_reads_and_saves_it(bench: Bench) -> None:
    """A plan of a rename shows it, says that the load waits, and is applied as it was saved."""
    bench.load(OLD)
    project, spec = bench.open({**NEW, "columns": [renamed(NUMBER, "id"), NOTE]})
    (review,) = project.review([spec], full_refresh=True)
    assert review.load_waits
    data = review.change.to_dict()
    assert data["renamed_from"] == "s.old"
    assert 'RENAME TO "new"' in review.change.sql
    assert 'RENAME COLUMN "number" TO "id"' in review.change.sql


def test_a_view_goes_on_after_its_column_is_renamed(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """On Redshift a bound view follows the names of its table and its columns."""
    bench = Bench(make_project, redshift_target(stand_in))
    bench.load(OLD)
    stand_in.execute("CREATE VIEW s.v AS SELECT note FROM s.old")
    bench.apply({**NEW, "columns": [NUMBER, renamed(NOTE, "text")]})
    assert sorted(stand_in.query("SELECT note FROM s.v")) == [("a",), ("b",)]


def test_a_rename_waits_for_a_load_and_takes_it_along(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """A load that is at work when its table is renamed is in the ledger of the new name."""
    bench = Bench(make_project, redshift_target(stand_in))
    bench.load(OLD, load_id="first")
    inside, go = threading.Event(), threading.Event()
    failed: list[LoaderError] = []

    def pause(step: Progress) -> None:
        if step.phase == "record the load":
            inside.set()
            go.wait(60)

    def run(what: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                what()
            except LoaderError as error:
                failed.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    old, new = (bench.open(fields, folder=fields["name"]) for fields in (OLD, NEW))
    changes = new[0].changes([new[1]])
    loading = run(lambda: old[0].load(old[1], ROWS, load_id="second", on_progress=pause))
    assert inside.wait(60)
    applying = run(lambda: new[0].apply(changes))
    while not any('LOCK "loader"."loads_s_old"' in one.sql for one in stand_in.statements[-3:]):
        assert applying.is_alive()
    go.set()
    loading.join(60)
    applying.join(60)
    assert failed == []
    assert bench.loads(NEW) == ["first", "second"]
    assert bench.load(NEW, load_id="second").status == "already_loaded"
