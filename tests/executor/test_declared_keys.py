"""Declared primary keys: Redshift trusts them, so a table has one only where no load breaks it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import redshift_connector

from loader.errors import FrameError
from loader.plan.drift.compare import drift
from loader.plan.table_changes import plan_change
from loader.spec.primary_key import declares_key
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target
from tests.plan.drifted import live_of
from tests.plan.test_plan import COLUMNS, TARGETS, make_spec, renderer

COLUMNS_OF_ALL = [*COLUMNS, {"name": "rate", "data_type": "double precision"}]


def by(*expressions: str, **fields: Any) -> dict[str, Any]:
    """Partitions by these expressions, which have a type where they are no bare column."""
    bare = {column["name"] for column in COLUMNS_OF_ALL}
    entries = []
    for at, expr in enumerate(expressions):
        kind = {} if expr in bare else {"data_type": "date"}
        entries.append({"name": f"d{at}", "expr": expr, **kind})
    return {"partition_by": entries, "primary_key": ["id", "day"], **fields}


KEY = {"primary_key": ["id"]}
DECLARED: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    # Each load replaces what it may repeat.
    (KEY, True),
    ({**KEY, "write_disposition": "merge"}, True),
    ({**KEY, "write_disposition": "append"}, False),
    (by("day"), True),
    (by("carrier"), False),
    (by("day", "carrier"), False),
    (by("day", "carrier", primary_key=["carrier", "day"]), True),
    (by("carrier", write_disposition="merge"), True),
    (by("day", write_disposition="append"), False),
    # An expression says as much as its columns do, where equal values give equal results.
    (by("date_trunc('month', day)"), True),
    (by('CAST("Day" AS date)'), True),
    (by("dateadd(day, id, day)"), True),
    (by("dateadd(day, 1, at)"), False),
    (by("CAST(day + amount AS date)"), False),
    (by("to_date(left(carrier, 2), 'YY')", primary_key=["carrier"]), False),
    (by("CAST(rate AS date)", primary_key=["rate"]), False),
    (by("least(day, current_date)"), False),
    (by("least(day, getdate())"), False),
    (by("DATE '2020-01-01'"), False),
    # The spec may know better, or not want it.
    ({**KEY, "write_disposition": "append", "primary_key_constraint": "always"}, True),
    ({**KEY, "primary_key_constraint": "never"}, False),
    ({**KEY, "write_disposition": "merge", "primary_key_constraint": "never"}, False),
]


@pytest.mark.parametrize(("fields", "declared"), DECLARED)
def test_what_is_declared(fields: dict[str, Any], declared: bool) -> None:
    """A key is declared where no load can repeat one, or where the spec says so."""
    spec = make_spec(columns=COLUMNS_OF_ALL, **fields)
    assert declares_key(spec) == declared
    for dialect, expected in (("redshift", declared), ("duckdb", False)):
        found = plan_change(spec, renderer(dialect), TARGETS[dialect], "absent")
        assert ("PRIMARY KEY" in found.statements[0].sql) == expected


LIVE: list[tuple[str, tuple[str, ...], str]] = [
    ("proven", ("id",), "loads of this spec can repeat a key: ALTER TABLE … DROP CONSTRAINT"),
    ("never", ("id",), "the spec says primary_key_constraint: never: ALTER TABLE …"),
    ("always", ("id",), ""),
    ("proven", (), ""),
    ("proven", ("day",), "PRIMARY KEY is none in the spec and day in the live table"),
    ("always", (), "PRIMARY KEY is id in the spec and none in the live table"),
]


@pytest.mark.parametrize(("constraint", "key", "said"), LIVE)
def test_a_live_key_is_no_difference(constraint: str, key: tuple[str, ...], said: str) -> None:
    """A key that only the live table declares, or only the spec, is told and changes nothing."""
    spec = make_spec(write_disposition="append", primary_key_constraint=constraint, **KEY)
    found = drift(spec, renderer("redshift"), live_of(spec, "redshift", primary_key=key))
    assert found.differences == ()
    assert said in " ".join(found.notes)
    assert bool(said) == bool(found.notes)


REBUILT: list[tuple[dict[str, Any], tuple[str, ...], bool]] = [
    (KEY, ("id",), True),
    (KEY, (), False),  # the rows that are there were loaded before anything was proven
    ({**KEY, "primary_key_constraint": "always"}, (), True),
    ({**KEY, "write_disposition": "append"}, ("id",), False),
]


@pytest.mark.parametrize(("fields", "key", "declared"), REBUILT)
def test_a_rebuilt_table(fields: dict[str, Any], key: tuple[str, ...], declared: bool) -> None:
    """A rebuilt table takes rows over, so it declares a proven key only where the old one did."""
    spec = make_spec(**fields)
    before = make_spec(columns=[{**COLUMNS[0], "data_type": "integer"}, *COLUMNS[1:]], **KEY)
    live = live_of(before, "redshift", primary_key=key)
    found = plan_change(spec, renderer("redshift"), TARGETS["redshift"], live)
    created = next(one.sql for one in found.statements if one.sql.startswith("CREATE TABLE"))
    assert ("PRIMARY KEY" in created) == declared


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"write_disposition": "append"}, 1),
        ({"partition_by": [{"expr": "day"}]}, 1),
        ({"write_disposition": "append", "primary_key_constraint": "always"}, 2),
    ],
)
def test_loads_keep_distinct_right(
    make_project: MakeProject, stand_in: RedshiftStandIn, fields: dict[str, Any], rows: int
) -> None:
    """Loads that repeat a key leave SELECT DISTINCT right, unless the spec declares the key."""
    columns = [{"name": "id", "data_type": "integer"}, {"name": "day", "data_type": "date"}]
    spec = {"version": 1, "schema": "s", "name": "t", "columns": columns, **KEY, **fields}
    project = make_project({"t.yml": spec}, **redshift_target(stand_in))
    for day in ("2020-01-01", "2020-01-02"):
        rows_of_day = pa.table({"id": [1], "day": [day]})
        partition = day if "partition_by" in fields else None
        project.load(project.spec("s.t"), rows_of_day, partition=partition)
    with redshift_connector.connect(**stand_in.connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT DISTINCT id FROM s.t")
        assert len(cursor.fetchall()) == rows


@pytest.mark.parametrize("disposition", ["replace", "append"])
def test_keys_that_are_not_in_the_data(make_project: MakeProject, disposition: str) -> None:
    """Every load brings the columns of the key, but for identities, which number its rows."""
    columns = [{"name": "n", "data_type": "integer"}, {"name": "x", "data_type": "integer"}]
    spec = {"version": 1, "schema": "s", "columns": columns, "write_disposition": disposition}
    numbered = {**columns[0], "data_type": "bigint", "identity": [1, 1]}
    specs = {
        "i.yml": {**spec, "name": "i", "columns": [numbered, columns[1]], "primary_key": ["n"]},
        "d.yml": {
            **spec,
            "name": "d",
            "columns": [{**columns[0], "default": 0}, columns[1]],
            "primary_key": ["n", "x"],
        },
    }
    project = make_project(specs)
    assert project.load(project.spec("s.i"), pa.table({"x": [1, 1]})).rows_loaded == 2
    with pytest.raises(FrameError, match=r"missing +n +integer"):
        project.load(project.spec("s.d"), pa.table({"x": [1, 2]}))
