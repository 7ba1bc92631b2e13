"""What Loader asks of Redshift's catalog: little, what every kind of warehouse has, nothing odd."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from loader.doctor.report import check_target
from loader.errors import ExecuteError
from loader.project import Project
from loader.sql.renderer import Table
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.introspect import inspect, run_probes
from tests.conftest import MakeProject, redshift_target
from tests.plan.test_plan import renderer


def spec_of(name: str, **fields: Any) -> dict[str, Any]:
    columns = [
        {"name": "id", "data_type": "integer"},
        {"name": "amount", "data_type": "decimal(8,2)"},
        {"name": "rate", "data_type": "decimal(9,3)", "default": "1.5"},
        {"name": "n", "data_type": "bigint", "identity": [1, 1]},
    ]
    return {"version": 1, "schema": "s", "name": name, "columns": columns, **fields}


@pytest.fixture
def project(make_project: MakeProject, stand_in: RedshiftStandIn) -> Project:
    """A table with rows, on the stand-in."""
    found = make_project({"t.yml": spec_of("t")}, **redshift_target(stand_in))
    found.load(found.spec("s.t"), pa.table({"id": [1], "amount": ["1.00"]}))
    stand_in.statements.clear()
    return found


def test_only_defaults_that_are_there_are_seen(project: Project, stand_in: RedshiftStandIn) -> None:
    """What `svv_redshift_columns` shows for a column without a default is none, and no drift."""
    shown = dict(
        stand_in.query("SELECT column_name, column_default FROM pg_catalog.svv_redshift_columns")
    )
    assert shown["amount"] == "(8,2)"
    (change,) = project.changes([project.spec("s.t")])
    assert change.statements == ()
    with project.context().warehouse.session() as session:
        found = inspect(session, renderer("redshift"), [Table("s", "t")])[Table("s", "t")]
        assert [(one.default, one.identity) for one in found.columns] == [  # type: ignore[union-attr]
            (None, None),
            (None, None),
            ("1.5", None),
            (None, (1, 1)),
        ]


def looked_at(stand_in: RedshiftStandIn, view: str) -> int:
    return sum(view in statement.sql for statement in stand_in.statements)


@pytest.mark.parametrize(("schema", "views"), [("s", 0), ("spectrum", 1)])
def test_external_tables_are_asked_for_in_external_schemas(
    project: Project, stand_in: RedshiftStandIn, schema: str, views: int
) -> None:
    """The slow view of external tables is read only where a schema of those is external."""
    stand_in.add_external_table("spectrum", "t")
    with project.context().warehouse.session() as session:
        found = inspect(session, renderer("redshift"), [Table(schema, "t"), Table(schema, "u")])
    kinds = [getattr(live, "kind", live) for live in found.values()]
    assert kinds == (
        ["external table", "name in an external schema"] if views else ["table", "absent"]
    )
    assert looked_at(stand_in, "svv_external_schemas") == 1
    assert looked_at(stand_in, "svv_external_tables") == views


def test_many_questions_are_asked_in_several_queries(
    project: Project, stand_in: RedshiftStandIn
) -> None:
    """A query has at most a hundred questions: a longer union takes long to be compiled."""
    with project.context().warehouse.session() as session:
        answers = run_probes(session, renderer("redshift"), [f"SELECT {at}" for at in range(250)])
    assert answers == list(range(250))
    sizes = [one.sql.count("AS probe") for one in stand_in.statements if "probe" in one.sql]
    assert sizes == [100, 100, 50]


def test_a_workgroup_needs_no_views_of_clusters(
    project: Project, stand_in: RedshiftStandIn
) -> None:
    """Where there are no STL and STV views, all is examined, loaded, planned and explained."""
    stand_in.serverless = True
    findings = {finding.name: finding for finding in check_target(project)}
    assert {finding.status for finding in findings.values()} == {"ok"}
    assert findings["isolation"].detail == "snapshot"
    spec = project.spec("s.t")
    assert project.load(spec, pa.table({"id": [2], "amount": ["2.00"]})).rows_loaded == 1
    assert [change.statements for change in project.changes([spec])] == [()]


def test_rows_that_copy_refused_are_told_on_a_workgroup(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """Errors of COPY are read from the SYS view where there is no STL_LOAD_ERRORS."""
    columns = [{"name": "x", "data_type": "varchar(9)"}]
    spec = {"version": 1, "schema": "s", "name": "t", "columns": columns}
    spec |= {"staging": {"format": "csv"}}
    project = make_project({"t.yml": spec}, **redshift_target(stand_in))
    project.load(project.spec("s.t"), pa.table({"x": ["a"]}))
    stand_in.execute("ALTER TABLE s.t ALTER COLUMN x SET NOT NULL")
    stand_in.serverless = True
    with pytest.raises(ExecuteError, match="row 2, x"):
        project.load(project.spec("s.t"), pa.table({"x": ["a", None]}))


@pytest.mark.parametrize("own", ["", "select", "redshift/select"])
@pytest.mark.parametrize(
    ("limit", "rows", "counted", "unloaded"),
    [(None, 9, True, True), (3, 3, False, False), (5, 5, False, False), (6, 6, True, True)],
)
def test_a_read_with_a_limit(
    make_project: MakeProject,
    stand_in: RedshiftStandIn,
    own: str,
    limit: int | None,
    rows: int,
    counted: bool,
    unloaded: bool,
) -> None:
    """Reads of many rows go by UNLOAD, LIMIT and all; a SELECT of the project's own does not."""
    columns = [{"name": "id", "data_type": "integer"}, {"name": "raw", "data_type": "varbyte(4)"}]
    spec = {"version": 1, "schema": "s", "name": "t", "columns": columns}
    text = "SELECT id, to_hex(raw) FROM {{ table|table }} WHERE id >= 0"
    file = "mine.sql.j2" if own == "select" else f"{own}.sql.j2"
    spec |= {"templates": {"select": file}} if own == "select" else {}
    templates = {file: text} if own else {}
    target = redshift_target(stand_in, unload_rows=5)
    project = make_project({"t.yml": spec}, templates, **target)
    found = project.spec("s.t")
    project.load(found, pa.table({"id": range(9), "raw": [b"a"] * 9}))
    stand_in.statements.clear()
    read: Any = project.read(found, as_="arrow", limit=limit)
    assert read.num_rows == rows
    assert set(read["raw"].to_pylist()) == {b"a"}
    assert looked_at(stand_in, "count(*)") == (counted and not own)
    assert looked_at(stand_in, "UNLOAD") == (unloaded and not own)
    if limit is not None and not own:
        assert looked_at(stand_in, f"LIMIT {limit}") == 1


def test_a_condition_of_a_read_is_unloaded_too(
    make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """`where` holds for the rows of an UNLOAD, and for the count that decides about it."""
    columns = [{"name": "id", "data_type": "integer"}]
    target = redshift_target(stand_in, unload_rows=2)
    project = make_project({"t.yml": {"schema": "s", "name": "t", "columns": columns}}, **target)
    found = project.spec("s.t")
    project.load(found, pa.table({"id": range(9)}))
    for where, wanted, unloaded in (("id >= 4", [4, 5, 6, 7, 8], 1), ("id >= 7", [7, 8], 0)):
        stand_in.statements.clear()
        read: Any = project.read(found, as_="arrow", where=where)
        assert sorted(read["id"].to_pylist()) == wanted
        assert looked_at(stand_in, "UNLOAD") == unloaded


def test_a_statement_that_is_too_long_is_told_before_it_is_sent(
    make_project: MakeProject, stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DELETE of more partitions than a statement holds rolls back, and its hint works."""
    columns = [{"name": "id", "data_type": "integer", "nullable": False}]
    spec = {"schema": "s", "name": "t", "columns": columns, "partition_by": [{"expr": "id"}]}
    project = make_project({"t.yml": spec}, **redshift_target(stand_in))
    found = project.spec("s.t")
    monkeypatch.setattr("loader.warehouse.redshift.driver.MAX_STATEMENT_BYTES", 20_000)
    few, many = range(100), range(0, 20_000, 2)
    project.load(found, pa.table({"id": few}), "auto")
    with pytest.raises(ExecuteError, match=r"bytes, and Redshift takes 20,000") as caught:
        project.load(found, pa.table({"id": many}), "auto")
    assert "fewer partitions" in str(caught.value.hint)
    assert project.count(found, [None]) == [len(few)]
