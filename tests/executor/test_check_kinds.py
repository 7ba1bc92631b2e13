"""Checks of every kind: what each counts, its rows, and that NULL passes where dbt lets it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import ExecuteError, VerifyError
from loader.executor.results import CheckResult
from loader.project import Project
from tests.conftest import MakeProject

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "integer"},
    {"name": "day", "data_type": "date"},
    {"name": "code", "data_type": "char(4)"},
    {"name": "mail", "data_type": "varchar(40)"},
    {"name": "price", "data_type": "decimal(8,2)"},
    {"name": "rate", "data_type": "double precision"},
    {"name": "paid", "data_type": "boolean"},
    {"name": "at", "data_type": "timestamp"},
    {"name": "seen", "data_type": "timestamptz"},
    {"name": "boss", "data_type": "integer"},
    {"name": "secret", "data_type": "varchar(20)", "classification": "pii"},
]
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int32()),
        "day": [date(2026, 1, 1), date(2026, 1, 1), date(2026, 1, 2), None],
        "code": ["AB", "a1", "XYZ", None],
        "mail": ["ada@x.org", "two\nlines", "", None],
        "price": pa.array([Decimal("1.50"), Decimal("-2.00"), Decimal("900.00"), None]),
        "rate": [0.5, 1.5, float("nan"), None],
        "paid": [True, False, True, None],
        "at": pa.array([datetime(2026, 1, 1), datetime(2026, 1, 1, 6), None, None]),
        "seen": pa.array([NOW, NOW - timedelta(days=40), None, None]),
        "boss": pa.array([None, 1, 7, 1], pa.int32()),
        "secret": ["s1", "s2", "s3", None],
    }
)
SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": COLUMNS,
    "primary_key": ["id"],
    "partition_by": [{"expr": "code"}],
}
ALL = {**SPEC, "partition_by": []}


def invalid(column: str, **criterion: Any) -> dict[str, Any]:
    """A check that no value of a column is invalid."""
    return {"metric": "invalid_values", "column": column, **criterion, "must_be": 0}


KINDS: list[tuple[dict[str, Any], int | str | None, list[int]]] = [
    (invalid("code", valid_values=["AB", "XYZ"]), 1, [2]),
    (invalid("id", valid_values=[1, 2, 3]), 1, [4]),
    (invalid("price", valid_values=[1.5, 900]), 1, [2]),
    (invalid("day", valid_values=["2026-01-01"]), 1, [3]),
    (invalid("paid", valid_values=[True]), 1, [2]),
    (invalid("at", valid_values=["2026-01-01"]), 1, [2]),
    (invalid("seen", valid_values=["2026-01-02T13:00:00+01:00"]), 1, [2]),
    (invalid("code", pattern="^[A-Z]+$"), 1, [2]),
    (invalid("code", pattern="^..$"), 1, [3]),
    (invalid("mail", pattern=r"^[^@\s]+@.+\.[a-z]{2,}$"), 2, [2, 3]),
    (invalid("mail", pattern="^(two.lines|ada.*)$"), 1, [3]),
    (invalid("price", minimum=0), 1, [2]),
    (invalid("price", maximum=899.99), 1, [3]),
    (invalid("price", minimum=0, maximum=10), 2, [2, 3]),
    (invalid("id", minimum=1.5), 1, [1]),
    (invalid("rate", minimum=0, maximum=1.5), 1, [3]),
    (invalid("day", minimum="2026-01-02"), 2, [1, 2]),
    (invalid("at", maximum="2026-01-01T05:00:00"), 1, [2]),
    (invalid("seen", minimum="2026-01-01T00:00:00+00:00"), 1, [2]),
    (invalid("boss", references={"table": "t", "column": "id"}), 1, [3]),
    (
        {
            **invalid("boss", references={"schema": "s", "table": "t", "column": "id"}),
            "unit": "percent",
        },
        25,
        [3],
    ),
    ({"metric": "failed_rows", "expression": "price >= 0 OR paid", "must_be": 0}, 1, [2]),
    (
        {
            "metric": "failed_rows",
            "expression": '"price" < 100',
            "unit": "percent",
            "must_be_less_than": 25,
        },
        25,
        [3],
    ),
    (
        {
            "metric": "failed_rows",
            "query": "SELECT id, secret, price * 2 AS twice FROM {slice} WHERE price < 0",
            "must_be": 0,
        },
        1,
        [2],
    ),
    (
        {
            "metric": "failed_rows",
            "query": "WITH a AS (SELECT * FROM {slice}) SELECT id FROM a WHERE id > 3 ORDER BY 1",
            "must_be": 0,
        },
        1,
        [4],
    ),
    ({"metric": "minimum", "column": "price", "must_be_greater_or_equal_to": 0}, -2, [2, 1, 3]),
    ({"metric": "maximum", "column": "price", "must_be_less_than": 900}, 900, [3, 1, 2]),
    ({"metric": "maximum", "column": "id", "must_be_between": [1, 3]}, 4, [4, 3, 2, 1]),
    ({"metric": "sql", "query": "SELECT sum(price) FROM {table}", "must_be": 0}, "899.5", []),
    (
        {"metric": "sql", "query": "SELECT max(id) FROM {slice} WHERE id > 9", "must_be": 0},
        None,
        [],
    ),
]


def make(make_project: MakeProject, target: dict[str, Any], **fields: Any) -> Project:
    """A project with the table and some checks."""
    return make_project({"t.yml": {**SPEC, **fields}}, **target)


def loaded(make_project: MakeProject, target: dict[str, Any], **fields: Any) -> Project:
    """The same, whose table has the rows already."""
    first = make(make_project, target, partition_by=[])
    first.load(first.spec("s/t"), ROWS)
    return make(make_project, target, **fields)


def test_each_kind_counts_what_it_says(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """Values, rows and NULLs of every kind are the same on every target; NULL is not invalid."""
    project = loaded(
        make_project, each_target, partition_by=[], checks=[check for check, _, _ in KINDS]
    )
    found = project.check(project.spec("s/t"))
    for result, (check, value, ids) in zip(found, KINDS, strict=True):
        expected = None if value is None else Decimal(value)
        assert result.value == expected, check
        assert not result.holds, check
        if check["metric"] == "failed_rows" and "query" in check:
            assert [int(row["id"]) for row in result.rows] == ids
            assert all(row.keys() <= {"id", "price"} for row in result.rows)
        else:
            assert [int(row["id"]) for row in result.rows] == ids, check
        assert all("secret" not in row for row in result.rows)


def test_checks_hold_inside_of_the_load(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """A load measures its slice and is rolled back; what holds is in its result."""
    checks = [check for check, _, _ in KINDS if check["metric"] not in ("minimum", "maximum")]
    project = make(make_project, each_target, checks=checks)
    spec = project.spec("s/t")
    with pytest.raises(VerifyError) as caught:
        project.load(spec, ROWS.slice(1, 1), "a1")
    assert caught.value.rolled_back
    assert len(caught.value.details) > 10
    with pytest.raises(ExecuteError, match="no table"):
        project.check(spec)
    held = [
        invalid("price", minimum=0),
        {"metric": "failed_rows", "expression": "price > 1", "must_be": 0},
        {"metric": "sql", "query": "SELECT count(*) FROM {slice}", "must_be": 1},
        {"metric": "minimum", "column": "id", "must_be": 1},
    ]
    project = make(make_project, each_target, checks=held)
    result = project.load(project.spec("s/t"), ROWS.slice(0, 1), "AB")
    assert [(one.check.metric, one.value, one.holds) for one in result.checks] == [
        ("invalid_values", Decimal(0), True),
        ("failed_rows", Decimal(0), True),
        ("sql", Decimal(1), True),
        ("minimum", Decimal(1), True),
    ]
    told: Any = result.to_dict()["checks"]
    assert (told[0]["must_be"], told[0]["value"], told[0]["holds"]) == ("= 0", 0, True)


def test_a_query_sees_the_slice_or_the_table(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """`{slice}` has the rows of the slice, `{table}` all of them; in quotes both are text."""
    queries = [
        "SELECT count(*) FROM {slice}",
        "SELECT count(*) FROM {table}",
        "SELECT count(*) FROM {slice} AS a JOIN {table} AS b ON a.id < b.id",
        "SELECT count(*) FROM {slice} WHERE mail <> '{slice}'",
    ]
    checks = [{"metric": "sql", "query": query, "must_be": -1} for query in queries]
    project = loaded(make_project, each_target, checks=checks)
    found = project.check(project.spec("s/t"), "a1")
    assert [result.value for result in found] == [1, 4, 2, 1]


@pytest.mark.parametrize(
    "query", ["SELECT id, price FROM {table}", "SELECT id FROM {table}", "SELECT mail FROM {slice}"]
)
def test_a_query_must_return_one_number(
    query: str, make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """Anything else is an error that says what came, and rolls back."""
    checks = [{"metric": "sql", "query": query, "must_be": 0}]
    project = make(make_project, each_target, checks=checks)
    with pytest.raises(VerifyError, match=r"expected one number; rolled back") as caught:
        project.load(project.spec("s/t"), ROWS.slice(0, 2), ["AB", "a1"])
    assert "` of s.t returned " in caught.value.message
    assert caught.value.hint == "correct `query` of this check of s.t"


def test_a_check_that_fails_to_run_is_corrected_in_the_spec(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """What a check's author wrote is to be corrected, and not the template it is put into."""
    checks = [{"metric": "failed_rows", "expression": "nosuch > 0", "must_be": 0}]
    project = make(make_project, each_target, checks=checks)
    with pytest.raises(ExecuteError, match=r"of s\.t failed") as caught:
        project.load(project.spec("s/t"), ROWS.slice(0, 2), ["AB", "a1"])
    assert caught.value.hint == "correct `expression` of this check of s.t"


def ages(project: Project) -> dict[str, CheckResult]:
    """The results of freshness by their columns."""
    return {str(one.check.column): one for one in project.check(project.spec("s/t"))}


def test_freshness_is_the_age_of_the_newest_value(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """In the unit that is asked for, of the whole table; a time without a zone is UTC."""
    now = datetime.now(UTC)
    times = pa.array([now - timedelta(hours=5), now - timedelta(days=9)], pa.timestamp("us", "UTC"))
    rows = pa.table(
        {
            "id": [1, 2],
            "code": ["AB", "a1"],
            "seen": times,
            "at": times.cast(pa.timestamp("us")),
            "day": pa.array([(now - timedelta(days=3)).date()] * 2),
        }
    )
    empty = [{**column, "default": "null"} for column in COLUMNS]
    fresh = [
        {"metric": "freshness", "column": "seen", "unit": "hours", "must_be_less_than": 6},
        {"metric": "freshness", "column": "at", "unit": "minutes", "must_be_less_than": 299},
        {"metric": "freshness", "column": "day", "unit": "days", "must_be_less_than": 5},
    ]
    fields = {"columns": empty, "primary_key": []}
    project = make(make_project, each_target, checks=fresh[:1], **fields)
    # An old partition may be loaded again: the table is fresh.
    project.load(project.spec("s/t"), rows.slice(0, 1), "AB")
    project.load(project.spec("s/t"), rows.slice(1, 1), "a1")
    project = make(make_project, each_target, checks=fresh, **fields)
    found = ages(project)
    assert [one.holds for one in found.values()] == [True, False, True]
    # The clock of Redshift shows whole seconds.
    assert 4.999 <= float(found["seen"].value or 0) < 5.2
    assert 299.9 <= float(found["at"].value or 0) < 312
    assert 3 <= float(found["day"].value or 0) <= 4.1
    assert found["at"].rows[0]["id"] == "1"


def test_nothing_is_never_fresh(make_project: MakeProject, each_target: dict[str, Any]) -> None:
    """Where there is no value a minimum holds, and a freshness does not."""
    checks = [
        {"metric": "minimum", "column": "price", "must_be": 0},
        {"metric": "freshness", "column": "seen", "unit": "days", "must_be_less_than": 5},
    ]
    project = make(make_project, each_target, checks=checks)
    rows = ROWS.slice(2, 1).set_column(4, "price", pa.array([None], pa.decimal128(8, 2)))
    with pytest.raises(VerifyError, match="NULL: there is no value") as caught:
        project.load(project.spec("s/t"), rows, "XYZ")
    assert len(caught.value.details) == 1
