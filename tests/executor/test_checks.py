"""Questions about the rows of a live table."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from loader.errors import ExecuteError, FrameError, PlanError, SpecError, VerifyError
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.spec.model import TableSpec
from tests.conftest import redshift_target

if TYPE_CHECKING:
    from tests.conftest import MakeProject

SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "day", "data_type": "date"},
        {"name": "shop", "data_type": "varchar(8)"},
        {"name": "n", "data_type": "integer"},
    ],
    "partition_by": [{"expr": "day", "grain": "day"}, {"name": "shop", "expr": "shop"}],
    "checks": [
        {"metric": "row_count", "must_be_greater_than": 2, "severity": "warning"},
        {"metric": "null_values", "column": "n", "unit": "percent", "must_be": 0},
    ],
}
SPEC["partition_by"][0]["name"] = "day"
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
ROWS = pa.table({"day": [FIRST, FIRST, SECOND, SECOND], "shop": list("abaa"), "n": [1, 2, 3, 4]})


@pytest.fixture(params=["duckdb", "redshift"])
def project(request: pytest.FixtureRequest, make_project: MakeProject) -> Project:
    """A project with one spec, on each of the warehouses."""
    redshift = request.param == "redshift"
    options = redshift_target(request.getfixturevalue("stand_in")) if redshift else {}
    return make_project({"t.yml": SPEC}, **options)


def test_checks_are_measured_in_a_slice_or_the_table(project: Project) -> None:
    """Each check gives its value and whether it holds, without any load."""
    spec = project.spec("s/t")
    project.load(spec, ROWS, "auto")
    assert [(r.value, r.holds) for r in project.check(spec)] == [
        (Decimal(4), True),
        (Decimal(0), True),
    ]
    part = project.check(spec, {"day": "2026-01-01", "shop": "a"})
    assert [(r.check.label, r.value, r.holds) for r in part] == [
        ("row_count", Decimal(1), False),
        ("null_values n", Decimal(0), True),
    ]


@pytest.mark.parametrize("disposition", ["replace", "append"])
def test_checks_hold_for_what_an_empty_load_keeps(
    make_project: MakeProject, disposition: str
) -> None:
    """A load without rows fails if a check does not hold for the rows that its slice keeps."""
    check = {"metric": "row_count", "must_be_greater_than": 0}
    project = make_project({"t.yml": {**SPEC, "write_disposition": disposition, "checks": [check]}})
    spec = project.spec("s/t")
    project.load(spec, ROWS, "auto")
    for day in ("2026-01-01", "2026-01-02"):
        kept = project.load(spec, ROWS.slice(0, 0), {"day": day, "shop": "a"})
        assert [one.holds for one in kept.checks] == [True]
    with pytest.raises(VerifyError, match="row_count"):
        project.load(spec, ROWS.slice(0, 0), {"day": "2026-01-03", "shop": "a"})
    assert len(project.history()) == 3
    assert project.load(spec, ROWS.slice(0, 0), "auto").status == "empty"


def test_a_check_that_cannot_be_measured_is_named(project: Project) -> None:
    """An error of the warehouse says which check it is about, and which key corrects it."""
    query = {"metric": "sql", "query": "SELECT count(nope) FROM {table}", "must_be": 0}
    spec = project.spec("s/t")
    project.load(spec, ROWS, "auto")
    broken = TableSpec.model_validate({**SPEC, "checks": [query]})
    with pytest.raises(ExecuteError, match=r"the check `sql .*` of s\.t failed: .*nope") as error:
        project.check(broken)
    assert error.value.hint is not None
    assert "correct `query` of this check" in error.value.hint


def test_rows_are_counted_slice_by_slice(project: Project) -> None:
    """One question for each slice, none of which changes anything."""
    spec = project.spec("s/t")
    project.load(spec, ROWS, "auto")
    slices = [{"day": "2026-01-01..2026-01-02", "shop": "a"}, {"day": "2026-01-03", "shop": "a"}]
    assert project.count(spec, slices) == [3, 0]
    assert project.count(spec, []) == []


def test_a_table_that_is_not_there_cannot_be_asked(project: Project) -> None:
    """The error says how to make it; a look at it says that it is absent."""
    spec = project.spec("s/t")
    assert project.live("s", "t") == "no schema"
    with pytest.raises(ExecuteError, match=r"there is no table s\.t"):
        project.check(spec)
    with pytest.raises(ExecuteError, match=r"there is no table s\.t"):
        project.count(spec, [])
    project.load(spec, ROWS, "auto")
    live = project.live("s", "t")
    assert isinstance(live, LiveTable)
    assert live.order == ("day", "shop", "n")
    assert project.live("s", "other") == "absent"


def test_a_load_tells_the_rows_of_each_partition(project: Project) -> None:
    """Rows are counted by partition when several are loaded, and as one when it is one."""
    spec = project.spec("s/t")
    result = project.load(spec, ROWS, "auto")
    wanted = {"day=2026-01-01|shop=a": 1, "day=2026-01-01|shop=b": 1, "day=2026-01-02|shop=a": 2}
    assert (result.partition_rows, result.rows_after) == (wanted, 4)
    named = project.load(spec, ROWS, [{"day": "2026-01-01..2026-01-03", "shop": ["a", "b"]}])
    assert named.partition_rows == wanted
    one = project.load(spec, ROWS.slice(2), {"day": "2026-01-02", "shop": "a"})
    assert (one.partition_rows, one.rows_after) == (None, 2)


def test_a_read_has_at_most_so_many_rows(project: Project) -> None:
    """The limit holds for every form, and for templates that know of none."""
    spec = project.spec("s/t")
    project.load(spec, ROWS, "auto")
    for limit, rows in ((0, 0), (3, 3), (9, 4)):
        table: Any = project.read(spec, limit=limit, as_="arrow")
        assert table.num_rows == rows


def test_errors_tell_their_table_row_by_row(project: Project) -> None:
    """What a message lists for people is there for programs too."""
    spec = project.spec("s/t")
    with pytest.raises(FrameError) as missing:
        project.load(spec, ROWS.drop(["n"]), "auto")
    assert missing.value.details == ({"column": "n", "problem": "missing integer"},)
    wrong = ROWS.set_column(2, "n", pa.array(["1", "x", "y", "2"]))
    with pytest.raises(FrameError) as bad:
        project.load(spec, wrong, "auto")
    (row,) = bad.value.details
    assert (row["column"], row["first_row"], row["rows"]) == ("n", 2, 2)
    assert bad.value.to_dict()["details"] == [row]
    with pytest.raises(PlanError) as none:
        project.load(spec, ROWS, "2026-01-01")
    assert "details" not in none.value.to_dict()


def test_problems_of_specs_are_rows_too(make_project: MakeProject) -> None:
    """A page can show them as a table."""
    project = make_project({"t.yml": {**SPEC, "sort": ["x"], "dist": "y"}})
    with pytest.raises(SpecError) as error:
        project.spec("s/t")
    assert [row["where"] for row in error.value.details] == ["sort[0]", "dist"]
