"""For every pair of specs: a table of the one becomes one of the other, and needs nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from loader.errors import ApplyError, PlanError
from loader.project import Project
from loader.spec.diagnostics import diagnose
from loader.spec.model import TableSpec
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import kept_open, redshift_target

VALUES: Mapping[str, list[Any]] = {
    "smallint": [1, -2, 3],
    "integer": [70_000, -1, 0],
    "bigint": [1 << 40, 5, -7],
    "decimal(9,2)": ["1.25", "-3.50", "0.00"],
    "decimal(18,4)": ["123456.7891", "0.0001", "7.0000"],
    "double precision": [1.5, -0.25, 1e6],
    "boolean": [True, False, True],
    "varchar(8)": ["a", "it's", "12"],
    "varchar(40)": ["a longer text, with é", "x", "y"],
    "date": ["2020-01-01", "1999-12-31", "2026-11-23"],
    "timestamp": ["2020-01-01T10:00:00", "1999-12-31T23:59:59", "2026-11-23T00:00:00"],
}
DEFAULTS: Mapping[str, list[str]] = {
    "smallint": ["0", "-1"],
    "integer": ["0", "7"],
    "bigint": ["0"],
    "decimal(9,2)": ["0", "1.50"],
    "decimal(18,4)": ["0.5"],
    "double precision": ["0"],
    "boolean": ["true", "FALSE"],
    "varchar(8)": ["'x'", "'it''s'"],
    "varchar(40)": ["'none'"],
    "date": ["'2020-01-01'"],
    "timestamp": ["getdate()"],
}
NAMES = ["a", "b", "c", "d", "order", "with space"]


@st.composite
def columns(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    found = []
    for name in names:
        kind = draw(st.sampled_from(sorted(VALUES)))
        column: dict[str, Any] = {"name": name, "data_type": kind}
        column["nullable"] = draw(st.booleans())
        if draw(st.booleans()):
            column["default"] = draw(st.sampled_from(DEFAULTS[kind]))
        if draw(st.booleans()):
            column["description"] = draw(st.sampled_from(["What it is.", "It's \\ else."]))
        found.append(column)
    if draw(st.integers(0, 4)) == 0:
        steps = draw(st.sampled_from([[1, 1], [0, 1], [100, -3]]))
        found.append({"name": "number", "data_type": "bigint", "identity": steps})
    return found


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = {"schema": "s", "name": "t", "columns": draw(columns())}
    names = [column["name"] for column in fields["columns"]]
    if draw(st.booleans()):
        fields["description"] = draw(st.sampled_from(["One row.", "Another row."]))
    if draw(st.booleans()):
        fields["dist"] = draw(st.sampled_from(["even", "all", "auto", *names]))
    if draw(st.booleans()):
        fields["sort"] = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        fields["sort_type"] = draw(st.sampled_from(["compound", "interleaved"]))
    if draw(st.booleans()):
        encoded = [one for one in fields["columns"] if "identity" not in one]
        for column in encoded[:1]:
            column["encode"] = draw(st.sampled_from(["raw", "zstd"]))
    return fields


def spec_of(fields: Mapping[str, Any]) -> TableSpec:
    spec, problems = diagnose(dict(fields))
    assert spec is not None, problems
    return spec


def frame(spec: TableSpec, *, rows: int, nulls: bool) -> pa.Table:
    data = {}
    for column in spec.columns:
        if column.identity is not None:
            continue
        kind = str(column.data_type)
        values = VALUES[kind][:rows]
        if nulls and column.nullable and values:
            values = [None, *values[1:]]
        array = pa.array(values)
        if kind.startswith("decimal"):
            array = array.cast(pa.decimal128(18, column.data_type.scale))
        data[column.name] = array
    if not data:
        return pa.table({})
    return pa.table(data)


def becomes(project: Project, first: TableSpec, second: TableSpec, *, nulls: bool) -> None:
    """Make the first with rows, change it to the second, and look again."""
    project.apply(project.changes([first]))
    assert project.changes([first])[0].differences == (), "as made"
    if any(column.identity is None for column in first.columns):
        project.load(first, frame(first, rows=3, nulls=nulls))
    assert project.changes([first])[0].differences == (), "as loaded"
    before = _rows(project, first)
    (change,) = project.changes([second])
    done = True
    try:
        project.apply([change], allow_destructive=["*"] if change.destructive else [])
    except PlanError:
        done = False
        event("refused")
        assert change.blocked
    except ApplyError:
        done = False
        event("failed")
        assert change.destructive, "what loses nothing does not fail"
    if done:
        event("destructive" if change.destructive else "kept")
        (again,) = project.changes([second])
        assert again.differences == ()
        if not change.destructive:
            _check_kept(before, _rows(project, second), first, second)
        return
    assert project.changes([first])[0].differences == (), "as it was"
    assert _rows(project, first) == before


def _rows(project: Project, spec: TableSpec) -> list[dict[str, Any]]:
    table = project.read(spec, as_="arrow")
    assert isinstance(table, pa.Table)
    return sorted(table.to_pylist(), key=lambda row: str(sorted(row.items(), key=str)))


def _check_kept(
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    first: TableSpec,
    second: TableSpec,
) -> None:
    assert len(before) == len(after)
    for column in second.columns:
        old = first.by_name.get(column.name)
        if old is not None and str(old.data_type) == str(column.data_type):
            key = column.name
            assert sorted(str(row[key]) for row in before) == sorted(str(row[key]) for row in after)


def project_at(folder: Path, target: dict[str, Any]) -> Project:
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    return Project(folder / "specs", root=folder, targets={"here": target})


@settings(max_examples=60)
@given(first=tables(), second=tables(), nulls=st.booleans())
def test_every_pair_on_duckdb(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, Any],
    second: dict[str, Any],
    nulls: bool,
) -> None:
    """On DuckDB a table becomes what the other spec says, or the plan said why not."""
    folder = tmp_path_factory.mktemp("pair")
    target = {"type": "duckdb", "database": "w.duckdb", "staging": "staging"}
    project = project_at(folder, target)
    with kept_open(project):
        becomes(project, spec_of(first), spec_of(second), nulls=nulls)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=tables(), second=tables(), nulls=st.booleans())
def test_every_pair_on_redshift(
    stand_in: RedshiftStandIn,
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, Any],
    second: dict[str, Any],
    nulls: bool,
) -> None:
    """On Redshift likewise, distribution, sort keys and encodings included."""
    stand_in.reset()
    folder = tmp_path_factory.mktemp("pair")
    project = project_at(folder, redshift_target(stand_in))
    becomes(project, spec_of(first), spec_of(second), nulls=nulls)
