"""The Python interface: what its methods take."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from loader.errors import PlanError
from tests.conftest import MakeProject

SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "asset_key": "lake/t",
    "columns": [{"name": "day", "data_type": "date"}],
    "partition_by": [{"expr": "day", "grain": "day"}],
    "checks": [{"metric": "row_count", "must_be_greater_than": 0}],
    "source": {"files": "*.csv"},
}


@pytest.mark.parametrize("name", ["lake/t", "s.t"])
def test_a_table_may_be_given_by_its_name(make_project: MakeProject, name: str) -> None:
    """Whatever takes a spec takes its asset key and its table, and does the same."""
    project = make_project({"t.yml": SPEC})
    spec = project.spec(name)
    day = "2026-01-01"
    frame = pa.table({"day": [day]})
    assert project.plan(name, day).sql == project.plan(spec, day).sql
    assert project.load(name, frame, "auto").rows_loaded == 1
    found: Any = project.read(name, as_="arrow")
    assert found.num_rows == project.count(name, [day])[0] == 1
    assert [check.holds for check in project.check(name)] == [True]
    assert project.slice(name, day) == project.slice(spec, day)
    assert project.source(name) == project.source(spec)


def test_a_name_that_is_no_table_is_told(make_project: MakeProject) -> None:
    """The error is that of `spec`, with what was probably meant."""
    with pytest.raises(PlanError, match=r"lake/tt[\s\S]*lake/t"):
        make_project({"t.yml": SPEC}).load("lake/tt", pa.table({"day": []}))
