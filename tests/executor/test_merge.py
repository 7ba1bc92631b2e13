"""Merges: the table and the counts are those of a small model, on every target and strategy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
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
from loader.plan.merge_counts import COUNTS_OF_MERGES, MergeCounts
from loader.project import Project
from loader.testing.redshift.faults import Error
from loader.warehouse.registry import open_warehouse
from tests.conftest import redshift_target

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn
    from tests.conftest import MakeProject

STRATEGIES = ("delete_insert", "merge")
COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "integer"},
    {"name": "at", "data_type": "integer"},
    {"name": "seq", "data_type": "smallint"},
    {"name": "v", "data_type": "varchar(9)"},
    {"name": "x", "data_type": "integer", "default": 7},
]
ORDER = ["at", "seq"]
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ordered": {"order_by": ORDER},
    "overwrite": {"order_by": ORDER, "on_older": "overwrite"},
    "last": {"order_by": ORDER, "on_duplicate": "last"},
    "last_overwrite": {"order_by": ORDER, "on_duplicate": "last", "on_older": "overwrite"},
}
Row = tuple[Any, ...]
Projects = Callable[..., Project]


def merging(name: str = "t", **fields: Any) -> dict[str, Any]:
    return {
        "schema": "s",
        "name": name,
        "columns": COLUMNS,
        "primary_key": ["id"],
        "write_disposition": "merge",
        **fields,
    }


@pytest.fixture(params=("duckdb", "redshift"))
def projects(request: pytest.FixtureRequest, make_project: MakeProject) -> Projects:
    """Makes projects on each of the warehouses, of one spec for each mapping."""
    options: dict[str, Any] = {"type": request.param}
    if request.param == "redshift":
        options = redshift_target(request.getfixturevalue("stand_in"))

    def make(*specs: dict[str, Any]) -> Project:
        return make_project({f"{spec['name']}.yml": spec for spec in specs}, **options)

    return make


def frame(rows: Sequence[Row], *, brings_x: bool = True) -> pa.Table:
    """Rows of ``id, at, seq, v`` and, when it is brought, ``x``."""
    types = [("id", pa.int32()), ("at", pa.int32()), ("seq", pa.int16()), ("v", pa.string())]
    schema = pa.schema([*types, *([("x", pa.int32())] if brings_x else [])])
    columns = [[row[n] for row in rows] for n in range(len(schema))]
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=repr)


def rows_of(project: Project, name: str = "s/t") -> list[Row]:
    found: Any = project.read(project.spec(name), as_="arrow")
    return in_order(tuple(row.values()) for row in found.to_pylist())


def execute(project: Project, *statements: str) -> list[Row]:
    """Do something to the warehouse behind the loader's back."""
    rows: list[Row] = []
    with open_warehouse(project.config.settings(), project.config.root).session() as session:
        for statement in statements:
            rows = session.execute(statement)
    return rows


def counts(result: LoadResult) -> tuple[int, ...]:
    """inserted, updated, unchanged, skipped, collapsed."""
    assert result.merge_counts is not None
    assert result.merge_counts.rows == result.rows_staged
    return tuple(getattr(result.merge_counts, name) for name in COUNTS_OF_MERGES)


# The model.


def age(row: Row) -> list[tuple[bool, int]]:
    """What rows are ordered by; NULL comes before every value."""
    return [(value is not None, value or 0) for value in row[1:3]]


def merged(
    table: dict[int, Row], rows: Sequence[Row], variant: str, *, brings_x: bool
) -> tuple[dict[int, Row], tuple[int, ...]] | None:
    """The table after a merge and its counts; None when it is refused."""
    last: dict[int, Row] = {}
    for row in rows:
        if row[0] not in last or age(row) > age(last[row[0]]):
            last[row[0]] = row
    if any(age(row) == age(last[row[0]]) and row != last[row[0]] for row in rows):
        return None
    after = dict(table)
    found = [0, 0, 0, 0, len(rows) - len(last)]
    keeps = variant in ("ordered", "last")
    for key, row in last.items():
        there = table.get(key)
        whole = row if brings_x else (*row, there[4] if there else 7)
        outcome = 0 if there is None else 2 if there == whole else 1
        if there is not None and keeps and age(row) < age(there):
            outcome, whole = 3, there
        found[outcome] += 1
        after[key] = whole
    return after, tuple(found)


SMALL = st.sampled_from([None, 1, 2])
ROW = st.tuples(st.integers(1, 4), SMALL, SMALL, st.sampled_from([None, "", "a"]), SMALL)


@st.composite
def loads(draw: st.DrawFn, variant: str) -> tuple[list[Row], bool]:
    brings_x = draw(st.booleans())
    unique = None if variant.startswith("last") else lambda row: row[0]
    rows = draw(st.lists(ROW, min_size=1, max_size=6, unique_by=unique))
    return rows if brings_x else [row[:4] for row in rows], brings_x


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, list[Row], list[tuple[list[Row], bool]]]:
    variant = draw(st.sampled_from(list(VARIANTS)))
    first = draw(st.lists(ROW, max_size=4, unique_by=lambda row: row[0]))
    return variant, first, draw(st.lists(loads(variant), min_size=1, max_size=2))


@pytest.mark.parametrize("examples", [4, pytest.param(80, marks=pytest.mark.slow)])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_merge_does_what_the_model_does(projects: Projects, strategy: str, examples: int) -> None:
    """Whatever the rows, ages, NULLs and missing columns: the model's table and its counts, and
    the same load again changes nothing.
    """
    specs = [
        merging(name, merge={"strategy": strategy, **fields}) for name, fields in VARIANTS.items()
    ]
    project = projects(*specs)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(stories())
    def holds(story: tuple[str, list[Row], list[tuple[list[Row], bool]]]) -> None:
        variant, first, following = story
        spec = project.spec(f"s/{variant}")
        project.load(spec, frame(first), full_refresh=True)
        table = {row[0]: row for row in first}
        for rows, brings_x in following:
            data, expected = frame(rows, brings_x=brings_x), None
            expected = merged(table, rows, variant, brings_x=brings_x)
            if expected is None:
                with pytest.raises(VerifyError, match="as another row, but other values"):
                    project.load(spec, data)
                continue
            table, wanted = expected
            result = project.load(spec, data)
            assert counts(result) == wanted
            assert rows_of(project, f"s/{variant}") == in_order(table.values())
            assert (result.rows_after, result.rows_deleted) == (len(table), 0)
        if expected is not None:
            inserted, updated, *_ = counts(project.load(spec, data))
            assert (inserted, updated) == (0, 0)
            assert rows_of(project, f"s/{variant}") == in_order(table.values())

    holds()


# Columns that a load does not bring.


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_columns_that_a_load_does_not_bring_keep_their_values(
    projects: Projects, strategy: str
) -> None:
    """Columns with a default, of the live table alone, and identities: known keys keep their
    values, new keys get the default and the next number; the plan says so.
    """
    columns = [*COLUMNS, {"name": "n", "data_type": "bigint", "identity": [5, 1]}]
    project = projects(merging(columns=columns, merge={"strategy": strategy}))
    spec = project.spec("s/t")
    project.load(spec, frame([(1, 1, 1, "a", 10), (2, 1, 1, "b", 20)]))
    execute(
        project,
        "ALTER TABLE s.t ADD COLUMN note varchar(9) DEFAULT 'none'",
        "UPDATE s.t SET note = 'mine' WHERE id = 1",
    )
    numbers: dict[int, int] = dict(execute(project, "SELECT id, n FROM s.t"))
    result = project.load(spec, frame([(1, 1, 1, "z"), (3, 1, 1, "c")], brings_x=False))
    assert counts(result) == (1, 1, 0, 0, 0)
    found = {row[0]: row[1:] for row in execute(project, "SELECT id, v, x, note, n FROM s.t")}
    assert found[1] == ("z", 10, "mine", numbers[1])
    assert found[2] == ("b", 20, "none", numbers[2])
    assert found[3][:3] == ("c", 7, "none")
    assert found[3][3] not in numbers.values()
    assert result.plan is not None
    (why,) = (one.why for one in result.plan.statements if one.role == "write")
    assert "the load has no x, n, note, so existing keys keep their values" in why


def test_columns_that_rows_are_compared_by_must_be_in_the_data(projects: Projects) -> None:
    """A key or `order_by` column is missed whatever its default, before anything is staged."""
    columns = [{**column, "default": "1"} for column in COLUMNS]
    project = projects(merging(columns=columns, merge={"order_by": ["at"]}))
    with pytest.raises(FrameError, match="missing") as caught:
        project.load(project.spec("s/t"), pa.table({"seq": pa.array([1], pa.int16())}))
    assert [row["column"] for row in caught.value.details] == ["id", "at"]


# What the counts cannot be.


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_key_that_the_table_holds_twice_is_refused(projects: Projects, strategy: str) -> None:
    """A merge into a table with duplicates of a loaded key fails, says so, and changes nothing."""
    project = projects(merging(merge={"strategy": strategy}))
    spec = project.spec("s/t")
    project.load(spec, frame([(1, 1, 1, "a", 1), (2, 1, 1, "b", 1)]))
    execute(project, 'INSERT INTO s.t (id, "at", seq, v, x) SELECT id, "at", seq, v, 9 FROM s.t')
    before = rows_of(project)
    with pytest.raises(VerifyError, match="more than once") as caught:
        project.load(spec, frame([(1, 1, 1, "z", 1)]))
    assert "1 row too many" in caught.value.message
    assert "--full-refresh" in str(caught.value.hint)
    assert rows_of(project) == before


@pytest.mark.parametrize(
    ("strategy", "template", "where"),
    [
        ("delete_insert", "merge_insert", "WHERE id > 1"),
        ("delete_insert", "merge_delete", "AND loader_stage.id > 1"),
    ],
)
def test_statements_that_do_something_else_than_counted_are_undone(
    make_project: MakeProject, strategy: str, template: str, where: str
) -> None:
    """What DELETE and INSERT report must be what was counted before; else all is rolled back."""
    text = (Path(__file__).parents[2] / f"templates/ansi/{template}.sql.j2").read_text()
    project = make_project(
        {"t.yml": merging(merge={"strategy": strategy})},
        templates={f"duckdb/{template}.sql.j2": f"{text}\n {where}"},
    )
    spec = project.spec("s/t")
    project.load(spec, frame([(2, 1, 1, "a", 1)]))
    execute(project, "INSERT INTO s.t VALUES (1, 1, 1, 'b', 1)")
    before = rows_of(project)
    with pytest.raises(VerifyError, match=r"expected"):
        project.load(spec, frame([(1, 2, 1, "b", 1), (2, 1, 1, "z", 1)]))
    assert rows_of(project) == before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_merge_that_writes_under_another_key_is_undone(
    make_project: MakeProject, strategy: str
) -> None:
    """Every key of the load must be in the table, though all counts be as they should."""
    templates = {
        "delete_insert": "INSERT INTO {{ table|table }} SELECT id + 90, * EXCLUDE (id)"
        " FROM {{ stage|table }}",
        "merge": "MERGE INTO {{ table|table }} AS t USING {{ stage|table }} AS s ON t.id = s.id"
        ' WHEN NOT MATCHED THEN INSERT VALUES (s.id + 90, s."at", s.seq, s.v, s.x)',
    }
    name = {"delete_insert": "merge_insert", "merge": "merge"}[strategy]
    project = make_project(
        {"t.yml": merging(merge={"strategy": strategy})},
        templates={f"duckdb/{name}.sql.j2": templates[strategy]},
    )
    spec = project.spec("s/t")
    with pytest.raises(VerifyError, match="missing") as caught:
        project.load(spec, frame([(1, 1, 1, "a", 1), (2, 1, 1, "b", 1)]))
    assert "2 keys" in caught.value.message
    assert caught.value.rolled_back
    assert project.history() == []


# Values that are hard to compare.


def test_documents_bytes_and_texts_are_compared_as_they_are(projects: Projects) -> None:
    """Documents, bytes and NULLs that come again are unchanged; a NULL that gets a value is not."""
    columns = [
        {"name": "id", "data_type": "integer"},
        {"name": "doc", "data_type": "super"},
        {"name": "raw", "data_type": "varbyte(9)"},
        {"name": "f", "data_type": "double precision"},
        {"name": "c", "data_type": "char(3)"},
        {"name": "seen", "data_type": "timestamptz"},
    ]
    project = projects(merging(columns=columns, merge={"on_duplicate": "last", "order_by": ["f"]}))
    spec = project.spec("s/t")
    seen = datetime(2026, 1, 1, tzinfo=UTC)
    values: dict[str, list[Any]] = {
        "id": [1, 2, 3],
        "doc": ['{"a":[1],"b":"x"}', None, '{"a":[],"b":"y"}'],
        "raw": [b"\0", None, b"z"],
        "f": [0.1, None, float("nan")],
        "c": ["a", None, "abc"],
        "seen": [seen, None, seen],
    }
    assert counts(project.load(spec, pa.table(values))) == (3, 0, 0, 0, 0)
    assert counts(project.load(spec, pa.table(values))) == (0, 0, 3, 0, 0)
    twice = {name: [*column, column[0]] for name, column in values.items()}
    assert counts(project.load(spec, pa.table(twice))) == (0, 0, 3, 0, 1)
    twice["doc"][3] = '{"a":[3],"b":"x"}'
    with pytest.raises(VerifyError, match="as another row, but other values"):
        project.load(spec, pa.table(twice))
    values["doc"] = [values["doc"][0], '{"a":[1],"b":"x"}', values["doc"][2]]
    assert counts(project.load(spec, pa.table(values))) == (0, 1, 2, 0, 0)


# Where the counts are told.


def run(project: Project, *arguments: str) -> str:
    """What a command writes to standard output."""
    options = ["--project", str(project.config.root)]
    done = CliRunner().invoke(main, [*arguments, *options], prog_name="loader")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_counts_of_a_merge_are_told_everywhere(projects: Projects, tmp_path: Path) -> None:
    """The result, `loader load`, its JSON, the ledger, `loader history` and Dagster agree."""
    project = projects(merging(merge={"order_by": ["at"], "on_duplicate": "last"}))
    spec = project.spec("s/t")
    project.load(spec, frame([(n, 5, 1, "a", 1) for n in (1, 2, 3)]))
    file = tmp_path / "rows.csv"
    lines = ["1,5,1,a,1", "2,5,1,b,1", "3,4,1,c,1", "4,1,1,d,1", "4,2,1,d,1"]
    file.write_text("\n".join(["id,at,seq,v,x", *lines]))
    wanted = MergeCounts(1, 1, 1, 1, 1)
    words = "5 rows merged: 1 inserted, 1 updated, 1 unchanged, 1 skipped as older, 1 collapsed"
    assert words in run(project, "load", "s/t", str(file), "--load-id", "one")
    file.write_text("\n".join(["id,at,seq,v,x", "9,1,1,a,1"]))
    told = json.loads(run(project, "load", "s/t", str(file), "--format", "json"))
    assert {name: told[name] for name in asdict(wanted)} == asdict(MergeCounts(1, 0, 0, 0, 0))
    entry = next(entry for entry in project.history() if entry.load_id == "one")
    assert entry.merge_counts == wanted
    assert entry.to_dict()["rows_skipped"] == 1
    assert "1 inserted, 1 updated, 1 unchanged, 1 skipped as older" in run(project, "history")
    data = json.loads(run(project, "history", "--format", "json"))
    assert sorted(entry["rows_inserted"] for entry in data) == [1, 1, 3]
    result = project.load(spec, frame([(1, 1, 1, "z", 1)]))
    assert load_metadata(result).items() >= asdict(MergeCounts(0, 0, 0, 1, 0)).items()
    assert execute(project, "SELECT sum(rows_skipped) FROM loader.loads") == [(2,)]


def test_loads_that_merge_nothing_tell_no_counts(projects: Projects) -> None:
    """Counts of a merge are None for other dispositions, full refreshes and loads of no rows."""
    project = projects(merging(), {**merging("u"), "write_disposition": "append"})
    for name, refresh in (("t", True), ("u", False)):
        spec = project.spec(f"s/{name}")
        result = project.load(spec, frame([(1, 1, 1, "a", 1)]), full_refresh=refresh)
        assert (result.rows_inserted, result.merge_counts) == (None, None)
        assert "rows_inserted" not in load_metadata(result)
    assert project.load(project.spec("s/t"), frame([])).merge_counts is None
    assert {entry.merge_counts for entry in project.history()} == {None}
    assert "merged" not in run(project, "history")


# Tables that change under a load.


def test_added_and_widened_columns_are_told_everywhere(projects: Projects, tmp_path: Path) -> None:
    """A load that adds or widens columns names them in result, text, JSON, ledger and Dagster."""
    narrow = {"schema": "s", "name": "t", "columns": COLUMNS}
    project = projects(narrow)
    first = project.load(project.spec("s/t"), frame([(1, 1, 1, "a", 1)]))
    assert (first.columns_added, first.columns_widened) == ((), ())
    wide = {"name": "v", "data_type": "varchar(40)"}
    columns = [*COLUMNS[:3], wide, COLUMNS[4], {"name": "flag", "data_type": "boolean"}]
    changed = {**narrow, "columns": columns, "schema_contract": {"evolve": "additive"}}
    project = projects(changed)
    widened = ["v"] if project.config.settings().type == "redshift" else []
    file = tmp_path / "rows.csv"
    file.write_text("id,at,seq,v,x,flag\n1,1,1,a,1,true\n")
    told = json.loads(run(project, "load", "s/t", str(file), "--format", "json"))
    assert (told["columns_added"], told["columns_widened"]) == (["flag"], widened)
    wider = [*columns[:3], {**wide, "data_type": "varchar(80)"}, *columns[4:]]
    project = projects({**changed, "columns": [*wider, {"name": "more", "data_type": "date"}]})
    file.write_text("id,at,seq,v,x,flag,more\n1,1,1,a,1,true,2026-01-01\n")
    text = run(project, "load", "s/t", str(file))
    assert "added: more" in text
    assert ("widened: v" in text) == bool(widened)
    project = projects({**changed, "columns": [*wider, {"name": "most", "data_type": "date"}]})
    result = project.load(
        project.spec("s/t"),
        pa.Table.from_pylist(
            [{"id": 1, "at": 1, "seq": 1, "v": "a", "x": 1, "flag": True, "most": None}]
        ),
    )
    assert load_metadata(result)["columns_added"].data == ["most"]
    told = json.loads(run(project, "history", "--format", "json"))
    changes = [entry["columns_changed"] for entry in told if entry["columns_changed"]]
    assert len(told) == len(changes) + 1
    assert sorted(changes, key=repr) == [
        {"added": ["flag"], **({"widened": ["v"]} if widened else {})},
        {"added": ["more"], **({"widened": ["v"]} if widened else {})},
        {"added": ["most"]},
    ]


def test_a_widened_column_is_told_though_the_load_failed_once(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """Widening is outside the transaction, so a load that is tried again tells it all the same."""
    spec = {"schema": "s", "name": "t", "columns": COLUMNS}
    options = redshift_target(stand_in)
    project = make_project({"t.yml": spec}, **options)
    project.load(project.spec("s/t"), frame([(1, 1, 1, "a", 1)]))
    columns = [*COLUMNS[:3], {"name": "v", "data_type": "varchar(40)"}, COLUMNS[4]]
    changed = {**spec, "columns": columns, "schema_contract": {"evolve": "additive"}}
    project = make_project({"t.yml": changed}, **options)
    stand_in.faults.add("copy", "before", Error("40001", "conflict"))
    result = project.load(project.spec("s/t"), frame([(1, 1, 1, "a", 1)]))
    assert result.columns_widened == ("v",)
