"""Hooks and session settings: what runs around a load, and what it means when it fails."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from loader.errors import ExecuteError, VerifyError
from loader.project import Project
from loader.testing import RedshiftStandIn
from loader.validate import validate
from tests.conftest import MakeProject, redshift_target

ROWS = pa.table({"id": [1, 2]})
NOTE = "INSERT INTO s.notes VALUES ({{ values.word|literal }})"
BROKEN = "INSERT INTO s.nowhere VALUES (1)"
PLACES = [(when, where) for when in ("before", "after") for where in ("inside", "outside")]


@pytest.fixture(params=["duckdb", "redshift"])
def target(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a target of each kind."""
    if request.param == "duckdb":
        return {}
    return redshift_target(request.getfixturevalue("stand_in"))


def hook(template: str, when: str, transaction: str) -> dict[str, Any]:
    values = {"word": f"{when} {transaction}", "view": "s.v"}
    return {"template": template, "when": when, "transaction": transaction, "values": values}


def make(make_project: MakeProject, target: dict[str, Any], *hooks: Any, **spec: Any) -> Project:
    """A project with a table that hooks write to, and one that has hooks."""
    notes = {
        "schema": "s",
        "name": "notes",
        "columns": [{"name": "word", "data_type": "varchar(40)"}],
    }
    table = {"schema": "s", "name": "t", "columns": [{"name": "id", "data_type": "bigint"}]}
    project = make_project(
        {"notes.yml": notes, "t.yml": {**table, "hooks": list(hooks), **spec}},
        {"ansi/note.sql.j2": NOTE, "ansi/broken.sql.j2": BROKEN},
        **target,
    )
    project.load(project.spec("s/notes"), pa.table({"word": ["made"]}))
    return project


def notes(project: Project) -> list[str]:
    return sorted(pa.table(project.read(project.spec("s/notes"), as_="arrow"))["word"].to_pylist())


def test_every_hook_runs_once_for_a_load(make_project: MakeProject, target: dict[str, Any]) -> None:
    """Hooks run before and after the rows, inside and outside of the transaction."""
    project = make(make_project, target, *(hook("note", *place) for place in PLACES))
    assert project.load(project.spec("s/t"), ROWS, load_id="x").warnings == ()
    assert notes(project) == sorted(["made", *(f"{when} {where}" for when, where in PLACES)])


def test_what_runs_inside_is_undone_with_the_load(
    make_project: MakeProject, target: dict[str, Any]
) -> None:
    """A load that fails undoes the hooks of its transaction, and those after COMMIT never run."""
    wrong = [{"metric": "row_count", "must_be": 3}]
    hooks = [hook("note", *place) for place in PLACES]
    project = make(make_project, target, *hooks, checks=wrong)
    with pytest.raises(VerifyError):
        project.load(project.spec("s/t"), ROWS)
    assert notes(project) == ["before outside", "made"]


@pytest.mark.parametrize("place", PLACES[:3])
def test_a_hook_that_fails_fails_the_load(
    make_project: MakeProject, target: dict[str, Any], place: tuple[str, str]
) -> None:
    """Before COMMIT a broken hook is an error that names it, and nothing is loaded."""
    project = make(make_project, target, hook("broken", *place))
    with pytest.raises(ExecuteError, match=r"`hook broken` of s\.t failed"):
        project.load(project.spec("s/t"), ROWS, load_id="x")
    assert [entry.table for entry in project.history()] == ["s.notes"]


def test_a_hook_that_fails_after_commit_is_a_warning(
    make_project: MakeProject, target: dict[str, Any]
) -> None:
    """The load is committed and says what failed; a rerun with its id runs the hooks again."""
    place = ("after", "outside")
    project = make(make_project, target, hook("broken", *place), hook("note", *place))
    first = project.load(project.spec("s/t"), ROWS, load_id="x")
    again = project.load(project.spec("s/t"), ROWS, load_id="x")
    assert (first.status, again.status) == ("loaded", "already_loaded")
    for result in (first, again):
        (warning,) = result.warnings
        assert "committed" in warning
        assert "`hook broken`" in warning
    assert notes(project) == ["after outside", "after outside", "made"]


def test_a_hook_without_a_template_is_named(make_project: MakeProject) -> None:
    """No template anywhere is a problem of the spec; none in one dialect is a note of its plans."""
    places = [("before", "inside"), ("after", "outside")]
    used = [hook(name, *places[0]) for name in ("note", "broken")]
    project = make(make_project, {}, hook("refresh_view", *places[1]), *used)
    assert [one.message for one in validate(project)[1] if "template" in one.message] == []
    assert "`refresh_view` is skipped" in project.plan(project.spec("s/t")).notes[0]
    project = make_project({"t.yml": {
        "schema": "s", "name": "t", "columns": [{"name": "id", "data_type": "bigint"}],
        "hooks": [{"template": "analyse"}],
    }}, folder="other")  # fmt: skip
    assert ["`analyse.sql.j2`" in problem.message for problem in validate(project)[1]] == [True]


def test_a_hook_inside_may_not_commit(make_project: MakeProject) -> None:
    """A hook that would end the transaction is refused when specs are validated."""
    project = make_project({"t.yml": {
        "schema": "s", "name": "t", "columns": [{"name": "id", "data_type": "bigint"}],
        "hooks": [{"template": "sweep"}],
    }}, {"ansi/sweep.sql.j2": "VACUUM {{ table|table }}"})  # fmt: skip
    assert any("`VACUUM" in problem.message for problem in validate(project)[1])


LABELS = {
    "of the target": ({}, "etl s.t"),
    "of the spec": ({"query_group": "{load_id} {asset_key}"}, "x s/t"),
}


@pytest.mark.parametrize("name", LABELS)
def test_loads_label_their_queries(
    stand_in: RedshiftStandIn, make_project: MakeProject, name: str
) -> None:
    """The spec's session settings win over the target's, and the label tells the load."""
    own, label = LABELS[name]
    session = {"query_group": "etl {table}", "wlm_query_slot_count": 2}
    target = redshift_target(stand_in, session=session)
    project = make(make_project, target, session=own)
    stand_in.statements.clear()
    project.load(project.spec("s/t"), ROWS, load_id="x")
    sets = [one.sql for one in stand_in.statements if one.sql.startswith("SET ")]
    assert f"SET QUERY_GROUP TO '{label}'" in sets
    assert "SET WLM_QUERY_SLOT_COUNT TO 2" in sets
    stand_in.statements.clear()
    project.read(project.spec("s/t"))
    sent = [one.sql for one in stand_in.statements]
    assert "SET wlm_query_slot_count TO 2" in sent
    assert not any("{" in sql for sql in sent)  # a label of loads says nothing of a read
