"""Deletes in change data: the table and the counts are those of a small model, on every target."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.dagster_io.metadata import load_metadata
from loader.errors import FrameError, VerifyError
from loader.executor.results import LoadResult
from loader.plan.merge_counts import MergeCounts
from loader.project import Project
from loader.warehouse.registry import open_warehouse

if TYPE_CHECKING:
    from tests.conftest import MakeProject

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "integer"},
    {"name": "lsn", "data_type": "integer"},
    {"name": "v", "data_type": "varchar(9)"},
    {"name": "x", "data_type": "integer", "default": 7},
]
OP = {"name": "op", "data_type": "varchar(1)"}
Cells = tuple[Any, ...]
Projects = Callable[..., Project]


def changes(name: str = "t", **merge: Any) -> dict[str, Any]:
    """A spec that merges change data, whose operation is not in the table."""
    return {
        "schema": "s",
        "name": name,
        "columns": COLUMNS,
        "primary_key": ["id"],
        "batch_columns": [OP],
        "write_disposition": "merge",
        "merge": {"deleted_when": "op = 'D'", **merge},
    }


@pytest.fixture
def projects(
    each_target: Mapping[str, Any], make_project: MakeProject
) -> Generator[Projects, None, None]:
    """Makes projects on each of the warehouses, of one spec for each mapping."""
    with ExitStack() as opened:

        def make(*specs: dict[str, Any]) -> Project:
            project = make_project({f"{spec['name']}.yml": spec for spec in specs}, **each_target)
            if not each_target:  # most of the time of a small load goes into opening the file
                warehouse = open_warehouse(project.config.settings(), project.config.root)
                opened.enter_context(warehouse.session())
            return project

        yield make


@dataclass(frozen=True)
class Row:
    """One row of a load."""

    id: int
    lsn: int | None = None
    v: str | None = "a"
    op: str | None = "U"
    x: int | None = 7


def frame(rows: Sequence[Row], *left_out: str) -> pa.Table:
    types = [("id", pa.int32()), ("lsn", pa.int32()), ("v", pa.string()), ("op", pa.string())]
    types.append(("x", pa.int32()))
    schema = pa.schema([one for one in types if one[0] not in left_out])
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)


def rows_of(project: Project, name: str = "s/t") -> list[Cells]:
    found: Any = project.read(project.spec(name), as_="arrow")
    return in_order(tuple(row.values()) for row in found.to_pylist())


def in_order(rows: Iterable[Cells]) -> list[Cells]:
    return sorted(rows, key=repr)


def execute(project: Project, *statements: str) -> list[Cells]:
    """Do something to the warehouse behind the loader's back."""
    rows: list[Cells] = []
    with open_warehouse(project.config.settings(), project.config.root).session() as session:
        for statement in statements:
            rows = session.execute(statement)
    return rows


COUNTS = ("inserted", "updated", "unchanged", "skipped", "collapsed", "deleted")


def counts(result: LoadResult) -> dict[str, int]:
    """The counts that are not zero; together they are the rows of the load."""
    assert result.merge_counts is not None
    assert result.merge_counts.rows == result.rows_staged
    found = {name: getattr(result.merge_counts, f"rows_{name}") for name in COUNTS}
    return {name: number for name, number in found.items() if number}


def loads_into(project: Project) -> Callable[..., dict[str, int]]:
    """Loads rows, and returns what is counted."""
    return lambda *rows: counts(project.load(project.spec("s/t"), frame(rows)))


# The model.


@dataclass(frozen=True)
class Kept:
    """A row of the table."""

    lsn: int | None
    v: str | None
    x: int | None
    deleted: bool = False


Table = dict[int, Kept]


def age(lsn: int | None) -> int:
    """What rows are ordered by; NULL comes before every value."""
    return -1 if lsn is None else lsn


def merged(
    table: Table, rows: Sequence[Row], merge: Mapping[str, Any], *, brings_x: bool
) -> tuple[Table, dict[str, int]] | None:
    """The table after a load and its counts; None when it is refused."""
    last: dict[int, Row] = {}
    for row in rows:
        if row.id not in last or age(row.lsn) > age(last[row.id].lsn):
            last[row.id] = row
    cells = [(row, last[row.id]) for row in rows if row.lsn == last[row.id].lsn]
    if any((a.v, a.op, brings_x and a.x) != (b.v, b.op, brings_x and b.x) for a, b in cells):
        return None
    soft, keeps = "soft_delete" in merge, "on_older" not in merge
    after, found = dict(table), dict.fromkeys(COUNTS, 0)
    found["collapsed"] = len(rows) - len(last)
    for row in last.values():
        there, deletes = table.get(row.id), row.op == "D"
        x = row.x if brings_x else there.x if there else 7
        outcome, new = "updated", Kept(row.lsn, row.v, x, deletes)
        if there is None:
            outcome = "unchanged" if deletes and not soft else "inserted"
        elif keeps and age(row.lsn) < age(there.lsn):
            outcome = "skipped"
        elif deletes:
            new = replace(there, lsn=row.lsn, deleted=True)
            outcome = "unchanged" if new == there else "deleted"
        elif new == there:
            outcome = "unchanged"
        found[outcome] += 1
        if outcome in ("inserted", "updated") or (outcome == "deleted" and soft):
            after[row.id] = new
        elif outcome == "deleted":
            del after[row.id]
    return after, {name: number for name, number in found.items() if number}


LAST: dict[str, Any] = {"on_duplicate": "last", "order_by": ["lsn"]}
VARIANTS: dict[str, dict[str, Any]] = {
    "hard": LAST,
    "soft": {**LAST, "soft_delete": "gone"},
    "overwrite": {**LAST, "on_older": "overwrite"},
    "soft_overwrite": {**LAST, "on_older": "overwrite", "soft_delete": "gone"},
    "statement": {**LAST, "strategy": "merge", "soft_delete": "gone"},
}


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, list[tuple[list[Row], bool]]]:
    small = st.sampled_from([None, 1, 7])
    lsn, op = st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "U", "D", "D"])
    row = st.builds(Row, st.integers(1, 6), lsn, st.sampled_from([None, "a", "b"]), op, small)
    loads = []
    for _ in range(draw(st.integers(1, 3))):
        unique = None if draw(st.integers(0, 9)) == 0 else lambda row: (row.id, row.lsn)
        rows = draw(st.lists(row, min_size=1, max_size=14, unique_by=unique))
        same = draw(st.lists(st.sampled_from(rows), max_size=2))
        loads.append(([*rows, *same], draw(st.booleans())))
    return draw(st.sampled_from(list(VARIANTS))), loads


@pytest.mark.parametrize("examples", [5, pytest.param(150, marks=pytest.mark.slow)])
def test_change_data_does_what_the_model_does(projects: Projects, examples: int) -> None:
    """Whatever is inserted, changed and deleted, in whatever order: the model's table and counts,
    and the same rows again, with another load id, change nothing.
    """
    project = projects(*(changes(name, **merge) for name, merge in VARIANTS.items()))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(stories())
    def holds(story: tuple[str, list[tuple[list[Row], bool]]]) -> None:
        name, loads = story
        spec, table, merge = project.spec(f"s/{name}"), Table(), VARIANTS[name]
        marks = "soft_delete" in merge
        if project.live("s", name) not in ("absent", "no schema"):
            execute(project, f"DELETE FROM s.{name}")
        for rows, brings_x in loads:
            data = frame(rows, *([] if brings_x else ["x"]))
            expected = merged(table, rows, merge, brings_x=brings_x)
            if expected is None:
                with pytest.raises(VerifyError, match="as another row, but other values"):
                    project.load(spec, data)
                continue
            table, wanted = expected
            result = project.load(spec, data)
            assert counts(result) == wanted
            told = in_order(
                (key, one.lsn, one.v, one.x, *([one.deleted] if marks else []))
                for key, one in table.items()
            )
            assert rows_of(project, f"s/{name}") == told
            assert result.rows_after == len(table)
            assert counts(project.load(spec, data)).keys() <= {"unchanged", "collapsed", "skipped"}
            assert rows_of(project, f"s/{name}") == told

    holds()


# Named cases.


def test_a_deleted_key_may_come_back(projects: Projects) -> None:
    """A delete of an unknown key changes nothing; a key that was deleted and comes again is new."""
    project = projects(changes(**LAST))
    load = loads_into(project)
    assert load(Row(1, 1), Row(2, 1), Row(9, 1, op="D")) == {"inserted": 2, "unchanged": 1}
    assert load(Row(1, 2, op="D"), Row(2, 0, op="D")) == {"deleted": 1, "skipped": 1}
    assert load(Row(3, 1), Row(3, 2, op="D")) == {"unchanged": 1, "collapsed": 1}
    assert load(Row(1, 3, "b"), Row(2, 2, op="D"), Row(2, 3, "c")) == {
        "inserted": 1,
        "updated": 1,
        "collapsed": 1,
    }
    assert rows_of(project) == [(1, 3, "b", 7), (2, 3, "c", 7)]


def test_marked_rows_keep_their_values(projects: Projects) -> None:
    """A soft delete sets the mark and `order_by` only, also where the delete has nothing but its
    key; an unknown key is kept with a mark, so that an older row of it is known to be older.
    """
    project = projects(changes(**LAST, soft_delete="is_deleted"))
    load = loads_into(project)
    load(Row(1, 1, "mine", x=40))
    assert load(Row(1, 5, None, "D", None), Row(2, 5, None, "D", None)) == {
        "deleted": 1,
        "inserted": 1,
    }
    assert rows_of(project) == [(1, 5, "mine", 40, True), (2, 5, None, None, True)]
    assert load(Row(1, 3, "late"), Row(2, 4, "late")) == {"skipped": 2}
    assert load(Row(1, 6, "back"), Row(2, 5, None, "D", None)) == {"updated": 1, "unchanged": 1}
    assert rows_of(project) == [(1, 6, "back", 7, False), (2, 5, None, None, True)]


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_the_time_of_a_delete(projects: Projects, kind: str) -> None:
    """A soft delete may be told by its time: that of the load, which stays when it comes again."""
    spec = changes(order_by=["lsn"], soft_delete="deleted_at")
    spec["columns"] = [*COLUMNS, {"name": "deleted_at", "data_type": kind}]
    project = projects(spec)
    found = project.spec("s/t")
    project.load(found, frame([Row(1, 1), Row(2, 1)]))
    assert [row[4] for row in rows_of(project)] == [None, None]
    assert counts(project.load(found, frame([Row(1, 2, op="D")]))) == {"deleted": 1}
    at = rows_of(project)[0][4]
    assert abs(at.replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=5)
    assert counts(project.load(found, frame([Row(1, 2, op="D")]))) == {"unchanged": 1}
    assert counts(project.load(found, frame([Row(1, 3, op="D")]))) == {"deleted": 1}
    assert rows_of(project)[0] == (1, 3, "a", 7, at)
    assert counts(project.load(found, frame([Row(1, 4)]))) == {"updated": 1}
    assert rows_of(project)[0][4] is None


@pytest.mark.parametrize("strategy", ["delete_insert", "merge"])
def test_the_operation_may_stay_in_the_table(projects: Projects, strategy: str) -> None:
    """`deleted_when` may be of columns of the table, which then hold it; a name in both the table
    and the load is that of the load.
    """
    spec = changes(strategy=strategy, deleted_when="upper(op) = 'D' AND v IS NULL")
    spec |= {"columns": [*COLUMNS, OP], "batch_columns": []}
    project = projects(spec)
    load = loads_into(project)
    assert load(Row(1, op="I"), Row(2, op="I"), Row(3, op="I")) == {"inserted": 3}
    assert load(Row(1, v=None, op="d"), Row(2, op="d"), Row(3, op=None)) == {
        "deleted": 1,
        "updated": 2,
    }
    assert rows_of(project) == [(2, None, "a", 7, "d"), (3, None, "a", 7, None)]


def test_a_full_refresh_inserts_no_deletes(projects: Projects) -> None:
    """A full refresh with change data replaces the table by what is left after its deletes."""
    project = projects(changes(**LAST))
    spec = project.spec("s/t")
    project.load(spec, frame([Row(8, 1), Row(9, 1)]))
    rows = [Row(1, 1), Row(1, 2, op="D"), Row(2, 1), Row(3, 1, op="D"), Row(3, 2, "b")]
    result = project.load(spec, frame(rows), full_refresh=True)
    assert (result.rows_deleted, result.rows_inserted, result.rows_after) == (2, 2, 2)
    assert rows_of(project) == [(2, 1, "a", 7), (3, 2, "b", 7)]


def test_the_columns_of_deletes_must_be_in_the_data(projects: Projects) -> None:
    """A column that `deleted_when` reads is missed whatever its default; one that the load fills
    may not be in the data.
    """
    spec = changes(deleted_when="op = 'D' AND x > 0", soft_delete="gone")
    project = projects(spec)
    data = frame([Row(1)], "op", "x").append_column("gone", pa.array([True]))
    with pytest.raises(FrameError, match="is filled by the load") as caught:
        project.load(project.spec("s/t"), data)
    assert [row["column"] for row in caught.value.details] == ["x", "op", "gone"]


# What statements do is checked.

FAULTS = {
    "merge_deletes": ('{% include "merge_matched.sql.j2" %}', "FALSE", {}),
    "merge_apart": ("{% set side", "FALSE AND {% set side", {}),
    "merge_soft_delete": ("}} = {% if", "}} = NOT {% if", {"soft_delete": "gone"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_deletes_that_are_not_done_are_undone(make_project: MakeProject, name: str) -> None:
    """What is deleted, marked or left is counted and looked at; else all is rolled back."""
    old, new, merge = FAULTS[name]
    text = (Path(__file__).parents[2] / f"templates/ansi/{name}.sql.j2").read_text()
    assert old in text
    specs = {"t.yml": changes(**merge)}
    project = make_project(specs)
    project.load(project.spec("s/t"), frame([Row(1), Row(2)]))
    before = rows_of(project)
    broken = make_project(specs, templates={f"ansi/{name}.sql.j2": text.replace(old, new)})
    with pytest.raises(VerifyError) as caught:
        broken.load(broken.spec("s/t"), frame([Row(1, op="D"), Row(2, v="b"), Row(3, op="D")]))
    assert caught.value.rolled_back
    assert rows_of(project) == before


# Where it is told.


def run(project: Project, *arguments: str) -> str:
    """What a command writes to standard output."""
    options = ["--project", str(project.config.root)]
    done = CliRunner().invoke(main, [*arguments, *options], prog_name="loader")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_counts_of_deletes_are_told_everywhere(projects: Projects, tmp_path: Path) -> None:
    """The result, `loader load`, its JSON, the ledger, `loader history` and Dagster agree."""
    project = projects(changes(**LAST))
    project.load(project.spec("s/t"), frame([Row(n, 5) for n in (1, 2, 3, 4)]))
    file = tmp_path / "rows.csv"
    lines = ["1,6,a,D,7", "2,5,a,U,7", "3,4,a,D,7", "4,6,b,U,7", "5,1,a,I,7", "5,0,a,I,7"]
    file.write_text("\n".join(["id,lsn,v,op,x", *lines]))
    wanted = MergeCounts(1, 1, 1, 1, 1, 1)
    words = "6 rows merged: 1 inserted, 1 updated, 1 unchanged, 1 deleted, 1 skipped as older, 1"
    assert words in run(project, "load", "s/t", str(file), "--load-id", "one")
    entry = next(entry for entry in project.history() if entry.load_id == "one")
    assert entry.merge_counts == wanted
    assert entry.to_dict()["rows_deleted"] == 1
    assert "1 unchanged, 1 deleted, 1 skipped" in run(project, "history")
    told = json.loads(run(project, "load", "s/t", str(file), "--format", "json"))
    assert (told["rows_unchanged"], told["rows_deleted"], told["rows_closed"]) == (4, 0, None)
    result = project.load(project.spec("s/t"), frame([Row(2, 9, op="D")]))
    assert load_metadata(result)["rows_deleted"] == 1
    assert "delete rows: the load has deletes with their keys" in run(project, "plan", "s/t")
