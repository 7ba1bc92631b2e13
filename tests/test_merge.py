"""Merges: the table and the counts are those of a small model, on every target and strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.dispositions import MergeCounts
from loader.errors import FrameError, VerifyError
from loader.history import history
from loader.project import Project
from loader.results import LoadResult
from loader.warehouses import open_warehouse
from tests.conftest import redshift_target

if TYPE_CHECKING:
    from tests.conftest import MakeProject

STRATEGIES = ("delete_insert", "merge")
COLUMNS = [
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
    found = tuple(asdict(result.merge_counts).values())
    assert sum(found) == result.rows_staged
    return found


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
def test_a_merge_does_what_the_model_does(
    projects: Projects, strategy: str, examples: int
) -> None:
    """Whatever the rows, ages, NULLs and missing columns: the model's table and its counts, and
    the same load again changes nothing."""
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
                with pytest.raises(VerifyError, match="look for ties"):
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
