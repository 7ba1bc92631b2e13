"""Checks that do not hold are all told, with rows that break them, and the load is rolled back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import ExecuteError, VerifyError
from loader.project import Project
from loader.spec.checks import Check
from loader.warehouse.registry import open_warehouse
from tests.conftest import MakeProject, redshift_target

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "integer"},
    {"name": "p", "data_type": "char(4)"},
    {"name": "state", "data_type": "varchar(20)"},
    {"name": "mail", "data_type": "varchar(40)", "classification": "pii"},
    {"name": "price", "data_type": "decimal(8,2)"},
    {"name": "tag", "data_type": "varbyte(8)"},
]
CHECKS: list[dict[str, Any]] = [
    {"metric": "row_count", "must_be_greater_than": 100},
    {"metric": "null_values", "column": "price", "must_be": 0},
    {"metric": "invalid_values", "column": "state", "valid_values": ["new", "it's"], "must_be": 0},
    {"metric": "missing_values", "column": "mail", "missing_values": ["-"], "must_be": 0},
    {"metric": "duplicate_values", "columns": ["p", "state"], "must_be_less_than": 2},
    {"metric": "null_values", "column": "tag", "unit": "percent", "must_be_less_than": 10},
    {"metric": "null_values", "column": "id", "must_be": 0},
]
ROWS = pa.table(
    {
        "id": list(range(1, 10)),
        "p": ["a"] * 8 + ["b"],
        "state": ["new", "it's", "old", "odd\nline", "new", "new", None, "x" * 19, "old"],
        "mail": ["-", "ada@x.org", None, "c@x.org", "d@x.org", "e@x.org", "f", "g", "-"],
        "price": pa.array([None] * 7 + [Decimal("1.50"), None], pa.decimal128(8, 2)),
        "tag": pa.array([None, b"a", *[b"b"] * 7], pa.binary()),
    }
)
HIDDEN = "(classified)"


@pytest.fixture(params=["duckdb", "redshift"])
def target(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a target of each kind."""
    redshift = request.param == "redshift"
    return redshift_target(request.getfixturevalue("stand_in")) if redshift else {}


def make(make_project: MakeProject, target: dict[str, Any], **fields: Any) -> Project:
    """A project with one table that is partitioned, and has checks of every kind."""
    spec = {"schema": "s", "name": "t", "columns": COLUMNS, "checks": CHECKS, "primary_key": ["id"]}
    spec |= {"partition_by": [{"expr": "p"}], **fields}
    return make_project({"t.yml": spec}, **target)


def test_all_failing_checks_are_told_with_rows_that_break_them(
    make_project: MakeProject, target: dict[str, Any]
) -> None:
    """Every check that does not hold is named, with up to five rows of the slice, none secret."""
    project = make(make_project, target)
    spec = project.spec("s/t")
    with pytest.raises(VerifyError) as caught:
        project.load(spec, ROWS.slice(0, 8), "a")
    told = {row["check"]: row for row in caught.value.details}
    assert list(told) == [
        *("row_count", "null_values price", "invalid_values state", "missing_values mail"),
        *("duplicate_values p state", "null_values tag"),
    ]
    assert [row["is"] for row in told.values()] == ["8", "7", "3", "2", "2", "12.5%"]
    assert "rows" not in told["row_count"]
    nulls = str(told["null_values price"]["rows"]).splitlines()
    assert len(nulls) == 5
    assert nulls[0].startswith("id=1; price=NULL")
    invalid = str(told["invalid_values state"]["rows"]).splitlines()
    assert [line.split("; ")[:2] for line in invalid] == [
        ["id=3", "state='old'"],
        ["id=4", "state='odd\\nline'"],
        ["id=8", f"state={'x' * 19!r}"],
    ]
    (twice,) = str(told["duplicate_values p state"]["rows"]).splitlines()
    assert twice == "p='a'; state='new'; rows=3"
    missing = str(told["missing_values mail"]["rows"]).splitlines()
    assert [line.split("; ")[0] for line in missing] == ["id=1", "id=3"]
    assert all(f"mail={HIDDEN}" in line for line in missing)
    text = str(caught.value)
    assert "x.org" not in text
    assert all(str(label) in text for label in told)
    assert "is unchanged" in text
    assert caught.value.rolled_back
    with pytest.raises(ExecuteError, match="no table"):
        project.check(spec)


def test_a_check_of_a_live_table_has_its_rows(
    make_project: MakeProject, target: dict[str, Any]
) -> None:
    """`Project.check` gives the rows of the slice that is asked for, of checks that do not hold."""
    project = make(make_project, target, checks=[])
    project.load(project.spec("s/t"), ROWS, "auto")
    project = make(make_project, target, checks=CHECKS[:3])
    found = project.check(project.spec("s/t"), "b")
    assert [(one.holds, len(one.rows)) for one in found] == [(False, 0), (False, 1), (False, 1)]
    assert found[1].rows[0] == {
        "id": "9",
        "price": "NULL",
        "p": "'b'",
        "state": "'old'",
    }


def test_warnings_have_rows_too_and_the_load_goes_on(
    make_project: MakeProject, target: dict[str, Any]
) -> None:
    """A check of severity warning that fails is told in the result, with its rows."""
    checks = [{**check, "severity": "warning"} for check in CHECKS[:2]]
    project = make(make_project, target, checks=checks)
    result = project.load(project.spec("s/t"), ROWS.slice(0, 8), "a")
    assert (result.status, len(result.warnings)) == ("loaded", 2)
    assert result.warnings[1].count("NULL") >= 5
    assert len(result.warnings[1].splitlines()) == 1 + 1 + 5


def test_rows_are_asked_for_only_when_a_check_has_failed(
    make_project: MakeProject, target: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load whose checks hold runs its plan and nothing else."""
    project = make(make_project, target, checks=CHECKS[-1:])

    def never(*_: Any) -> Any:
        raise AssertionError("nobody needs rows")

    monkeypatch.setattr("loader.executor.check_results.plan_sample", never)
    assert project.load(project.spec("s/t"), ROWS, "auto").status == "loaded"


def test_a_table_of_secrets_only_shows_none(make_project: MakeProject) -> None:
    """Where every column that could be shown is classified, the check is told without rows."""
    columns = [{**column, "classification": "pii"} for column in COLUMNS]
    project = make(make_project, {}, columns=columns)
    with pytest.raises(VerifyError) as caught:
        project.load(project.spec("s/t"), ROWS.slice(0, 8), "a")
    assert not [row for row in caught.value.details if "rows" in row]
    assert "x.org" not in str(caught.value)


def test_a_broken_sample_hides_no_check(make_project: MakeProject) -> None:
    """A project's own template that does not work costs the rows, and not what failed."""
    spec = {"schema": "s", "name": "t", "columns": COLUMNS, "checks": CHECKS[1:2]}
    project = make_project({"t.yml": spec}, {"duckdb/check_sample.sql.j2": "SELECT nothing"})
    with pytest.raises(VerifyError, match="null_values price") as caught:
        project.load(project.spec("s/t"), ROWS)
    assert "rows" not in caught.value.details[0]
    with open_warehouse(project.config.settings(), project.config.root).session() as session:
        assert session.execute("SELECT count(*) FROM loader.loads") == [(0,)]


BOUNDS = [
    ({"must_be": 2}, 3, True),
    ({"must_be": 2}, 1, False),
    ({"must_not_be": 2}, 2, True),
    ({"must_be_less_than": 2}, 2, True),
    ({"must_be_greater_than": 2}, 2, False),
    ({"must_be_greater_or_equal_to": 2}, 1, False),
    ({"must_be_between": [1, 2]}, 3, True),
    ({"must_be_between": [2, 3]}, 1, False),
    ({"must_not_be_between": [1, 3]}, 2, True),
    ({"must_be": 2}, 0, False),
]


@pytest.mark.parametrize(("bound", "value", "rows"), BOUNDS)
def test_rows_are_shown_where_there_are_too_many(
    bound: dict[str, Any], value: int, rows: bool
) -> None:
    """Rows show what is too much; of too few of them none can be shown."""
    check = Check.model_validate({"metric": "null_values", "column": "a", **bound})
    assert check.has_rows(Decimal(value)) is rows
