"""The volume guard: a load that leaves a partition with too few rows fails, or warns."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import VerifyError
from loader.plan.partition_rows import find_shrunk, rows_of_partitions
from loader.project import Project
from loader.spec.checks import Guards
from loader.spec.diagnostics import diagnose
from tests.conftest import MakeProject

DAYS = [date(2026, 1, day) for day in (1, 2, 3)]


def spec(**fields: Any) -> dict[str, Any]:
    """A table of days and shops, which may not lose a fifth of a partition."""
    columns = [
        {"name": "day", "data_type": "date"},
        {"name": "shop", "data_type": "char(4)"},
        {"name": "n", "data_type": "integer"},
    ]
    return {
        "schema": "s",
        "name": "t",
        "columns": columns,
        "partition_by": [{"expr": "day", "grain": "day"}],
        "guards": {"slice_shrinks_by": "20%"},
        **fields,
    }


def frame(*rows: tuple[date, str, int]) -> pa.Table:
    """So many rows of each day and shop."""
    days, shops = (
        [d for d, _, n in rows for _ in range(n)],
        [s for _, s, n in rows for _ in range(n)],
    )
    return pa.table({"day": pa.array(days, pa.date32()), "shop": pa.array(shops, pa.string()),
                     "n": pa.array(range(len(days)), pa.int32())})  # fmt: skip


FULL = frame((DAYS[0], "a", 10), (DAYS[1], "a", 10), (DAYS[2], "b", 10))
PART = frame((DAYS[0], "a", 14), (DAYS[1], "a", 8))
"""Together more than before, and one day with a fifth less."""


def rows_of(project: Project) -> int:
    """How many rows the table has."""
    table: Any = project.read(project.spec("s/t"), as_="arrow")
    return int(table.num_rows)


def test_part_of_a_day_does_not_replace_the_day(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """Each partition is compared, and not only their sum; the error names it, and how to go on."""
    project = make_project({"t.yml": spec()}, **each_target)
    table = project.spec("s/t")
    project.load(table, FULL, "auto")
    with pytest.raises(VerifyError) as caught:
        project.load(table, PART, "auto")
    error = caught.value
    assert error.details == ({"partition": "2026-01-02", "before": 10, "after": 8},)
    assert "1 partition of s.t loses 20% of its rows or more" in error.message
    assert "2026-01-02  10      8      2 (20.0%)" in error.message
    assert "--allow-shrink" in str(error.hint)
    assert rows_of(project) == 30
    result = project.load(table, PART, "auto", allow_shrink=True)
    assert (result.status, result.rows_deleted, result.rows_loaded) == ("loaded", 20, 22)
    (warning,) = result.warnings
    assert "1 partition of s.t" in warning
    # It was let through once: the day is what it is now.
    assert project.load(table, PART, "auto").warnings == ()


def test_a_warning_lets_the_load_through(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """With `severity: warning` the load is committed, and says what was lost."""
    guards = {"slice_shrinks_by": 2, "severity": "warning"}
    project = make_project({"t.yml": spec(guards=guards)}, **each_target)
    table = project.spec("s/t")
    project.load(table, FULL, "auto")
    result = project.load(table, FULL.slice(0, 25), "auto")
    (warning,) = result.warnings
    assert "1 partition of s.t loses 2 rows or more" in warning
    assert "2026-01-03  10      5      5 (50.0%)" in warning
    assert rows_of(project) == 25


def test_a_full_refresh_is_guarded_too(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """A whole table is compared partition by partition: one that is missing is named."""
    project = make_project({"t.yml": spec()}, **each_target)
    table = project.spec("s/t")
    project.load(table, FULL, full_refresh=True)
    with pytest.raises(VerifyError) as caught:
        project.load(table, frame((DAYS[0], "a", 40), (DAYS[1], "a", 40)), full_refresh=True)
    assert caught.value.details == ({"partition": "2026-01-03", "before": 10, "after": 0},)
    assert project.load(table, FULL, full_refresh=True).warnings == ()


def test_a_table_without_partitions_is_one(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """The rows of the whole table are compared, also with those of an empty load."""
    fields = {"partition_by": [], "on_empty": "clear"}
    project = make_project({"t.yml": spec(**fields)}, **each_target)
    table = project.spec("s/t")
    project.load(table, FULL)
    project.load(table, FULL.slice(0, 25))
    for rows in (20, 0):
        with pytest.raises(VerifyError, match=rf"s\.t shrinks from 25 rows to {rows}") as caught:
            project.load(table, FULL.slice(0, rows))
    assert caught.value.details == ({"partition": "the whole table", "before": 25, "after": 0},)
    assert project.load(table, FULL.slice(0, 0), allow_shrink=True).status == "empty"


def test_what_failed_besides_is_told_with_it(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """A load that shrinks a partition and breaks a check says both."""
    checks = [{"metric": "row_count", "must_be": 1}]
    project = make_project({"t.yml": spec()}, **each_target)
    project.load(project.spec("s/t"), FULL, "auto")
    project = make_project({"t.yml": spec(checks=checks)}, **each_target)
    with pytest.raises(VerifyError, match=r"(?s)1 partition of s\.t.*`row_count`") as caught:
        project.load(project.spec("s/t"), PART, "auto")
    assert len(caught.value.details) == 2


ZONES: list[tuple[str, list[dict[str, Any]], list[Any], str]] = [
    ("timestamp", [{"grain": "day"}], [datetime(2026, 1, 1, 23, 30)], "2026-01-01"),
    (
        "timestamp",
        [{"grain": "day", "timezone": "Europe/Berlin"}],
        [datetime(2026, 1, 1, 23, 30)],
        "2026-01-02",
    ),
    (
        "timestamp",
        [{"grain": "hour", "timezone": "Asia/Kolkata", "column_timezone": "America/New_York"}],
        [datetime(2026, 1, 1, 23, 30)],
        "2026-01-02-10:00",
    ),
    (
        "timestamptz",
        [{"grain": "month", "timezone": "Pacific/Auckland"}],
        [datetime(2026, 1, 31, 12, tzinfo=UTC)],
        "2026-02",
    ),
    ("timestamptz", [{"grain": "week"}], [datetime(2026, 1, 8, tzinfo=UTC)], "2026-01-05"),
    ("date", [{"grain": "week", "week_start": "sunday"}], [date(2026, 1, 10)], "2026-01-04"),
    ("date", [{"grain": "quarter"}], [date(2026, 5, 10)], "2026-Q2"),
    ("date", [{}], [date(2026, 5, 10)], "2026-05-10"),
    ("varchar(10)", [{"grain": "day", "format": "%Y%m%d"}], ["20260510"], "2026-05-10"),
    ("varchar(20)", [{"grain": "hour"}], ["2026-05-10 07:59:59"], "2026-05-10-07:00"),
    ("char(4)", [{}], ["a"], "a"),
    ("boolean", [{}], [True], "true"),
    ("integer", [{}], [7], "7"),
    ("decimal(6,2)", [{}], ["7.50"], "7.50"),
]


def test_partitions_of_every_kind_are_named_as_they_are_asked_for(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """Whatever the type, grain and zone, the key in the error is that of `--partition`."""
    specs = {}
    for at, (data_type, (entry,), _, _) in enumerate(ZONES):
        columns = [{"name": "p", "data_type": data_type}, {"name": "n", "data_type": "integer"}]
        fields = spec(columns=columns, partition_by=[{"expr": "p", **entry}], name=f"t{at}")
        specs[f"t{at}.yml"] = fields
    project = make_project(specs, **each_target)
    for at, (_, _, values, key) in enumerate(ZONES):
        table = project.spec(f"s/t{at}")
        rows = pa.table({"p": values * 5, "n": pa.array(range(5), pa.int32())})
        project.load(table, rows, key)
        for request in ({"partition": "auto"}, {"full_refresh": True}):
            with pytest.raises(VerifyError) as caught:
                project.load(table, rows.slice(0, 3), **request)
            assert caught.value.details == ({"partition": key, "before": 5, "after": 3},)


def test_several_dimensions_are_one_name(
    make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """A partition of several dimensions is named by all of them, as it is asked for."""
    partition_by = [{"name": "d", "expr": "day", "grain": "day"}, {"name": "shop", "expr": "shop"}]
    project = make_project({"t.yml": spec(partition_by=partition_by)}, **each_target)
    table = project.spec("s/t")
    project.load(table, FULL, "auto")
    with pytest.raises(VerifyError) as caught:
        project.load(table, FULL.slice(0, 25), "auto")
    (found,) = caught.value.details
    assert found["partition"] == "d=2026-01-03|shop=b"
    assert project.slice(table, str(found["partition"])) is not None


def test_the_sum_counts_too() -> None:
    """Where each of many partitions loses a little, all of them together may lose too much."""
    guards = Guards(slice_shrinks_by=10)
    before = {"": 100, **{f"p{n}": 10 for n in range(10)}}
    after = {"": 80, **{f"p{n}": 8 for n in range(10)}}
    (found,) = find_shrunk(guards, before, after)
    assert (found.partition, found.before, found.after) == ("", 100, 80)
    assert find_shrunk(Guards(slice_shrinks_by="20.1%"), before, after) == []
    assert len(find_shrunk(Guards(slice_shrinks_by="20%"), before, after)) == 10


def test_rows_of_no_partition_are_counted() -> None:
    """NULL, and text that is no time, have names of their own."""
    table, _ = diagnose(spec(columns=[{"name": "p", "data_type": "varchar(9)"}],
                             partition_by=[{"expr": "p", "grain": "day"}]))  # fmt: skip
    assert table is not None
    rows = [("2026-01-01", 3), ("nonsense", 2), (None, 1)]
    counted = rows_of_partitions(table.dimensions, rows)
    assert counted == {"": 6, "2026-01-01": 3, "'nonsense'": 2, "NULL": 1}


@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_loads_that_delete_nothing_are_not_counted(
    disposition: str, make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """Only replacing is compared: other loads run no statement of the guard."""
    fields = {"write_disposition": disposition, "primary_key": ["n"]}
    project = make_project({"t.yml": spec(**fields)}, **each_target)
    plan = project.plan(project.spec("s/t"))
    assert not [one for one in plan.statements if "partition_rows" in one.template]
    whole = project.plan(project.spec("s/t"), full_refresh=True)
    assert len([one for one in whole.statements if "partition_rows" in one.template]) == 2


def test_many_partitions_are_not_all_shown(make_project: MakeProject) -> None:
    """An error of many partitions shows those that lose most, and says how many there are."""
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(30)]
    project = make_project({"t.yml": spec()})
    table = project.spec("s/t")
    project.load(table, frame(*((day, "a", 20 + at) for at, day in enumerate(days))), "auto")
    with pytest.raises(VerifyError, match=r"30 partitions of s\.t lose 20% of their") as caught:
        project.load(table, frame(*((day, "a", 1) for day in days)), "auto")
    assert caught.value.details[0]["partition"] == "2026-01-30"
    assert "and 10 more" in caught.value.message
