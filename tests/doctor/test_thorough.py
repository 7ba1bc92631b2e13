"""`loader doctor --thorough`: what holds, differs or is not allowed, and nothing left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from loader.cli import main
from loader.doctor import trials
from loader.doctor.samples import SAMPLES
from loader.doctor.scratch import ScratchSchema
from loader.doctor.thorough import TrialResult, try_target
from loader.project import Project
from loader.testing.redshift.faults import ChangeCopied, Error
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.doctor import Trial
from tests.conftest import MakeProject, redshift_target
from tests.golden import expect_block

README = Path(__file__).parents[2] / "loader" / "warehouse" / "README.md"


def hold(results: Mapping[str, TrialResult]) -> dict[str, str]:
    """What does not hold → why."""
    return {name: result.detail for name, result in results.items() if result.status != "holds"}


def try_all(project: Project) -> dict[str, TrialResult]:
    results = {f"{result.area}: {result.name}": result for result in try_target(project)}
    if len(results) > 1:
        assert results.pop("schema: a schema for the trials").status == "holds"
        assert results.pop("schema: nothing is left").status == "holds"
    assert all(result.detail and "\n" not in result.detail for result in results.values())
    return results


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Run none but the trials of these names."""
    find = trials.find_trials

    def find_some(scratch: ScratchSchema) -> list[Trial]:
        return [trial for trial in find(scratch) if trial.name in names]

    monkeypatch.setattr("loader.doctor.thorough.find_trials", find_some)
    monkeypatch.setattr(
        "loader.doctor.transfers.SAMPLES",
        {name: values for name, values in SAMPLES.items() if name in names},
    )


@pytest.fixture
def on_redshift(redshift: RedshiftStandIn, make_project: MakeProject) -> Iterator[Project]:
    """A project on the stand-in, where the trials leave nothing behind."""
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1"
    before = redshift.query(schemas)
    yield make_project({}, **redshift_target(redshift))
    assert redshift.query(schemas) == before
    assert redshift.objects() == []
    assert redshift.uploads() == []


def run(project: Project, *arguments: str) -> Result:
    folder = str(project.config.root)
    return CliRunner().invoke(main, ["doctor", "--thorough", "--project", folder, *arguments])


def test_all_holds_on_both_targets(on_redshift: Project, make_project: MakeProject) -> None:
    """Every trial holds; what a user who is no superuser may not see is told; the page says so."""
    local = make_project({}, folder="local")
    found = {"the stand-in": try_all(on_redshift), "DuckDB": try_all(local)}
    assert hold(found["DuckDB"]) == {}
    assert hold(found["the stand-in"]) == {
        "catalog: live_sort": "permission denied for view svv_table_info (42501)"
    }
    assert {name for name in SAMPLES if f"values: {name}" in found["DuckDB"]} == set(SAMPLES)
    assert not (local.config.root / ".loader").exists()
    lines = ["| area | trial | the stand-in | DuckDB |", "|---|---|---|---|"]
    for key, result in found["the stand-in"].items():
        there = found["DuckDB"].get(key)
        on_duckdb = there.status if there else "-"
        lines.append(f"| {result.area} | {result.name} | {result.status} | {on_duckdb} |")
    expect_block(README, "trials", "\n".join(lines))


@pytest.mark.parametrize("staging", ["parquet", "csv", "json"])
def test_a_value_that_is_changed_differs(
    on_redshift: Project, redshift: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, staging: str
) -> None:
    """A COPY that changes values of one type makes that type differ, and no other."""
    only(monkeypatch, "integer", "bigint", "boolean")
    copies = re.compile(rf"COPY .*a_bigint.*{staging}_", re.DOTALL)
    redshift.faults.add(copies, "before", ChangeCopied("a_bigint = a_bigint / 2"), times=99)
    results = try_all(on_redshift)
    assert {name: result.status for name, result in results.items()} == {
        "values: integer": "holds",
        "values: bigint": "differs",
        "values: boolean": "holds",
    }
    assert staging in results["values: bigint"].detail


def test_what_is_not_allowed_is_told(
    on_redshift: Project, redshift: RedshiftStandIn, make_project: MakeProject
) -> None:
    """A user who may not create schemas is not allowed to try, which is no difference."""
    redshift.add_user("reader", "pl4nted-passw0rd")
    settings = redshift_target(redshift, user="reader", password="pl4nted-passw0rd")
    (result,) = try_all(make_project({}, folder="reader", **settings)).values()
    assert result.status == "not allowed"
    assert "permission denied for database" in result.detail


def test_a_lock_that_does_not_wait_differs(
    make_project: MakeProject, redshift: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a lock lets two transactions in, loads of a table would not take turns: it differs."""
    only(monkeypatch, "wait for a lock", "snapshot after a lock")
    templates = {"redshift/lock.sql.j2": "SELECT {{ table_ledger.name|literal }}"}
    project = make_project({}, templates, **redshift_target(redshift))
    results = try_all(project)
    assert {result.status for result in results.values()} == {"differs"}


def test_serializable_databases_hold_too(
    on_redshift: Project, redshift: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all transactions are serializable, loads of two tables do not conflict."""
    redshift.isolation = "serializable"
    only(monkeypatch, "wait for a lock", "snapshot after a lock", "two tables at once", "conflict")
    assert hold(try_all(on_redshift)) == {}


def test_a_datashare_is_tried_as_it_is_used(
    make_project: MakeProject, redshift: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a share loads take turns too; what it does not take is not allowed."""
    redshift.add_share("sales", ["x"])
    only(
        monkeypatch,
        *("wait for a lock", "snapshot after a lock", "two tables at once", "conflict"),
        *("merge by MERGE", "change a type", "append once"),
    )
    results = try_all(make_project({}, **redshift_target(redshift, share="sales")))
    refused = hold(results)
    assert list(refused) == ["tables: change a type"]
    assert "alter it on the producer" in refused["tables: change a type"]
    assert redshift.objects() == []


def test_an_error_of_a_trial_is_a_finding(
    on_redshift: Project, redshift: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that fails in a way that nobody foresaw differs, and the next ones are run."""
    only(monkeypatch, "append once", "failed check")
    monkeypatch.setattr(trials, "_expect_rows", lambda *_: 1 / 0)
    results = try_all(on_redshift)
    assert [result.detail.split(":")[0] for result in results.values()] == ["ZeroDivisionError"] * 2


def test_an_interrupt_leaves_nothing(on_redshift: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that are interrupted drop their schema and files all the same."""

    def interrupt(scratch: ScratchSchema) -> str:
        scratch.load(scratch.spec("t", {"id": "integer"}), [{"id": 1}])
        raise KeyboardInterrupt

    found = [Trial("loads", "interrupted", interrupt)]
    monkeypatch.setattr("loader.doctor.thorough.find_trials", lambda _: found)
    with pytest.raises(KeyboardInterrupt):
        list(try_target(on_redshift))


def test_the_command_prints_a_table(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each trial, a count, and JSON; what differs fails the command."""
    only(monkeypatch, "boolean", "append once")
    project = make_project({})
    found = run(project)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert [line.split()[:2] for line in lines[-6:-2]] == [
        ["schema", "a"],
        ["values", "boolean"],
        ["loads", "append"],
        ["schema", "nothing"],
    ]
    assert lines[-1] == "local: 4 holds"
    told = json.loads(run(project, "--format", "json").stdout)
    assert [result["status"] for result in told["trials"]] == ["holds"] * 4
    monkeypatch.setattr("loader.doctor.transfers.is_same", lambda *_: False)
    failed = run(project)
    assert failed.exit_code == 1
    assert "SELECT gives True for True" in failed.output


def test_nothing_is_tried_where_a_step_failed(
    make_project: MakeProject, redshift: RedshiftStandIn
) -> None:
    """What the usual steps find is fixed first."""
    hidden = Error("42501", "permission denied for schema loader")
    redshift.faults.add("CREATE TEMPORARY", "instead", hidden)
    found = run(make_project({}, **redshift_target(redshift)))
    assert found.exit_code == 1
    assert "values" not in found.output
