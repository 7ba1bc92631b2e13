"""Scripts of plans run as they are, and stop where an answer is not what Loader would accept."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import redshift_connector
from click.testing import CliRunner
from redshift_connector.error import Error as RedshiftError

from loader.cli import main
from loader.cli.output.reviews import format_sql
from loader.errors import PlanError
from loader.plan.expectations import CheckHolds
from loader.plan.model import Plan
from loader.project import Project
from loader.sql.lexer import bare_words
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target

SPEC: dict[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "id", "data_type": "integer", "nullable": False},
        {"name": "day", "data_type": "date"},
        {"name": "note", "data_type": "varchar(20)"},
        {"name": "at", "data_type": "integer"},
    ],
    "primary_key": ["id"],
    "staging": {"format": "parquet", "keep": "always"},
    "checks": [
        {"metric": "row_count", "must_be_greater_than": 0},
        {"metric": "null_values", "column": "note", "must_be_between": [0, 5]},
        {"metric": "null_values", "column": "day", "unit": "percent", "must_be_less_than": 12.5},
        {"metric": "duplicate_values", "column": "id", "must_be": 0, "severity": "warning"},
    ],
}
DISPOSITIONS: dict[str, dict[str, Any]] = {
    "replace": {},
    "slices": {"partition_by": [{"expr": "day"}]},
    "append": {"write_disposition": "append", "primary_key": []},
    "merge": {"write_disposition": "merge"},
    "merge_last": {
        "write_disposition": "merge",
        "merge": {"on_duplicate": "last", "order_by": ["at"], "strategy": "merge"},
    },
}
FIRST = pa.table(
    {"id": [1, 2], "day": ["2026-01-01", "2026-01-02"], "note": ["a", "b"], "at": [1, 1]}
)
SECOND = pa.table({"id": [2, 3], "day": ["2026-01-02"] * 2, "note": ["c", None], "at": [2, 1]})

_STOPPED = re.compile("look for this load|division by zero")

Run = Callable[[str], None]
"""Runs a script as a whole, as a shell does."""


@pytest.fixture
def run(each_target: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs scripts on the target, without Loader."""
    if not each_target:
        return lambda script: _run_in_duckdb(tmp_path / "project" / "warehouse.duckdb", script)
    stand_in: RedshiftStandIn = request.getfixturevalue("redshift")
    return lambda script: _run_in_redshift(stand_in, script)


def _run_in_duckdb(path: Path, script: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(script)


def _run_in_redshift(stand_in: RedshiftStandIn, script: str) -> None:
    """Run every statement, as psql does, which goes on after an error, and raise the first one."""
    connection = redshift_connector.connect(**stand_in.connection())
    connection.autocommit = True
    failed: list[Exception] = []
    try:
        with connection.cursor() as cursor:
            for statement in script.split(";\n"):
                if bare_words(statement, backslash=True):
                    try:
                        cursor.execute(statement)
                    except RedshiftError as error:
                        failed.append(error)
    finally:
        connection.close()
    if failed:
        raise failed[0]


def loaded(
    make_project: MakeProject, target: dict[str, Any], **fields: Any
) -> tuple[Project, Plan]:
    """A project whose second load was taken out of the ledger again, and the plan of it."""
    project = make_project({"t.yml": {**SPEC, **fields}}, **target)
    spec = project.spec("s.t")
    partition: Any = "auto" if spec.partition_by else None
    project.load(spec, FIRST, partition)
    plan = project.load(spec, SECOND, partition, load_id="second").plan
    assert plan is not None
    ledgers = ["loads", *(["loads_s_t"] if target else [])]
    with project.context().warehouse.session() as session:
        session.begin()
        for name in ledgers:
            session.execute(f"DELETE FROM loader.{name} WHERE load_id = 'second'")
        if spec.write_disposition == "append":
            session.execute("DELETE FROM s.t WHERE id = 3 OR note = 'c'")
        session.commit()
    return project, plan


def rows(project: Project) -> list[dict[str, Any]]:
    table = project.read(project.spec("s.t"), as_="arrow")
    assert isinstance(table, pa.Table)
    return sorted(table.to_pylist(), key=str)


@pytest.mark.parametrize("name", DISPOSITIONS)
def test_a_script_loads_what_the_load_has_loaded(
    name: str, make_project: MakeProject, each_target: dict[str, Any], run: Run
) -> None:
    """The script of a load whose files are kept does the same, once, and is in the ledger."""
    project, plan = loaded(make_project, each_target, **DISPOSITIONS[name])
    script = project.script(plan)
    expected = {"replace": 2, "slices": 3, "append": 4, "merge": 3, "merge_last": 3}[name]
    run(script)
    found = rows(project)
    assert len(found) == expected
    assert {"c", None} <= {row["note"] for row in found}
    assert [entry.load_id for entry in project.history("s.t")].count("second") == 1
    with pytest.raises((duckdb.Error, RedshiftError), match=_STOPPED):
        run(script)
    assert rows(project) == found


def test_a_script_stops_where_a_check_does(
    make_project: MakeProject, each_target: dict[str, Any], run: Run
) -> None:
    """Rows that are missing, and a check that does not hold, roll the whole script back."""
    fields = {"write_disposition": "append", "primary_key": []}
    project, plan = loaded(make_project, each_target, **fields)
    before = rows(project)
    broken = [replace(plan, rows=3)]
    for wanted in ({"must_be_less_than": 2}, {"must_not_be": 4}, {"must_not_be_between": (3, 5)}):
        check = plan.spec.checks[0].model_copy(update={"must_be_greater_than": None, **wanted})
        statements = (
            replace(one, expects=CheckHolds(check)) if one.name == "check row_count" else one
            for one in plan.statements
        )
        broken.append(replace(plan, statements=tuple(statements)))
    for wrong in broken:
        with pytest.raises((duckdb.Error, RedshiftError)):
            run(project.script(wrong))
        assert rows(project) == before
        assert "second" not in [entry.load_id for entry in project.history("s.t")]
    warned = tuple(
        replace(
            one,
            expects=CheckHolds(
                plan.spec.checks[0].model_copy(
                    update={"must_be_greater_than": 99, "severity": "warning"}
                )
            ),
        )
        if one.name == "check row_count"
        else one
        for one in plan.statements
    )
    run(project.script(replace(plan, statements=warned)))
    assert len(rows(project)) == len(before) + 2


def test_a_script_of_changes_runs_as_apply_does(
    make_project: MakeProject, each_target: dict[str, Any], run: Run
) -> None:
    """A rebuild counts its rows in the script too, and keeps the old table by its own name."""
    project = make_project({"t.yml": SPEC}, **each_target)
    project.load(project.spec("s.t"), FIRST)
    columns = [*SPEC["columns"][:2], {"name": "text", "data_type": "varchar(30)"}]
    columns[2] |= {"renamed_from": "note"}
    columns += [{"name": "at", "data_type": "bigint"}, {"name": "more", "data_type": "date"}]
    after = {**SPEC, "name": "u", "renamed_from": "s.t", "columns": columns, "checks": []}
    project = make_project({"t.yml": after}, **each_target)
    specs = project.catalog.specs()
    script = format_sql(project.review(specs), project.renderer(), "20260101t000000000000z")
    short = script.replace('FROM "loader_before"', 'FROM (SELECT 7 AS n) AS "loader_before"')
    assert short != script
    with pytest.raises((duckdb.Error, RedshiftError)):
        run(short)
    run(script)
    project = make_project({"t.yml": after}, **each_target)
    (change,) = project.changes(project.catalog.specs())
    assert change.differences == ()
    assert format_sql(project.review(project.catalog.specs()), project.renderer(), "x") == (
        "-- nothing to change"
    )
    assert [entry.table for entry in project.history("s.u")] == ["s.u"]


def test_files_that_only_loader_reads_make_no_script(make_project: MakeProject) -> None:
    """Arrow files are readable in Loader's own sessions; a script has Parquet, or is refused."""
    project = make_project({"t.yml": {**SPEC, "staging": {"format": "arrow"}}})
    with pytest.raises(PlanError, match="which only Loader itself makes readable"):
        project.script(project.plan(project.spec("s.t")))


def test_a_real_shell_stops_too(
    make_project: MakeProject, stand_in: RedshiftStandIn, tmp_path: Path
) -> None:
    """The shell goes on after an error, and its COMMIT rolls back what came before it."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("there is no psql on this machine")
    project, plan = loaded(make_project, redshift_target(stand_in))
    before = rows(project)
    file = tmp_path / "script.sql"
    how = stand_in.connection()
    url = f"host={how['host']} port={how['port']} dbname={how['database']} user={how['user']}"
    for wrong in (True, False):
        file.write_text(project.script(replace(plan, rows=7) if wrong else plan))
        done = subprocess.run(
            [psql, "-X", "-q", url + " sslmode=disable", "-f", file],
            capture_output=True,
            text=True,
            check=False,
            env={"PGPASSWORD": how["password"]},
            timeout=60,
        )
        assert ("division by zero" in done.stderr) == wrong, done.stderr
        assert (rows(project) == before) or not wrong
    assert [entry.load_id for entry in project.history("s.t")].count("second") == 1


def test_each_script_of_a_load_in_place_has_a_load_id(make_project: MakeProject) -> None:
    """Such a script is all of a load, so the next one for the table is another load."""
    project = make_project({"t.yml": {**SPEC, "columns": SPEC["columns"][:3], "checks": []}})
    folder = project.config.root
    (folder / "a.csv").write_text("id,day,note\n1,2026-01-01,a\n")
    words = ["plan", "s.t", "--from", str(folder / "a.csv"), "--in-place", "-q"]
    for more in ([], [], ["--load-id", "mine"]):
        file = folder / "load.sql"
        done = CliRunner().invoke(main, [*words, *more, "-o", str(file), "--project", str(folder)])
        assert done.exit_code == 0, done.output
        _run_in_duckdb(folder / "warehouse.duckdb", file.read_text())
    found = [entry.load_id for entry in project.history("s.t")]
    assert len(set(found)) == 3
    assert found[0] == "mine"
    assert "<load id>" not in found
