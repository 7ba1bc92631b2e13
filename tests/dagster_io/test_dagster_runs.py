"""Runs that try others again, and runs that only look: each load happens once, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster._core.execution.api import create_execution_plan, execute_run

from loader.dagster_io import DuckDBIOManager
from tests.dagster_io.dagsterkit import Bench, returning, several

FOLDER = "LOADER_TEST_FOLDER"
FRAME = pd.DataFrame({"id": [1], "v": ["a"]})
TOO_LONG = pd.DataFrame({"id": [1], "v": ["a" * 41]})
DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06")
DRY = {"ops": {"s__t": {"outputs": {"result": {"dry_run": True}}}}}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps runs on disk, with run retries."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("run_retries: {enabled: true, max_retries: 2}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            yield instance


@pytest.fixture
def kept(disk: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Two tables that are appended to by one step, and runs that are kept."""
    bench = Bench(tmp_path, disk)
    for name in ("one", "two"):
        bench.spec(f"s/{name}", write_disposition="append")
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv("DATABASE", str(bench.database))
    monkeypatch.setenv("SPECS", str(bench.specs))
    return bench


def appending() -> dg.JobDefinition:
    """A job whose step fails after it has loaded its first output, as long as a file is there.

    Dagster makes it once for all tests.
    """

    def frames(context: dg.AssetExecutionContext) -> list[Any]:
        folder = Path(os.environ[FOLDER])
        broken = folder / "broken"
        if (folder / "passing").exists():
            raise OSError("try again")
        return [FRAME, TOO_LONG if broken.exists() else FRAME]

    both = several(frames, "s/one", "s/two", name="both")
    manager = DuckDBIOManager(database=dg.EnvVar("DATABASE"), specs=dg.EnvVar("SPECS"))
    defs = dg.Definitions(
        assets=[both],
        resources={"io_manager": manager},
        jobs=[dg.define_asset_job("appending", executor_def=dg.in_process_executor)],
    )
    return defs.resolve_job_def("appending")


def job() -> Any:
    """The job, as processes find it again; it reads the folder from the environment."""
    return dg.reconstructable(appending)


def first(bench: Bench) -> str:
    """A run that fails between its two tables."""
    (bench.folder / "broken").touch()
    with dg.execute_job(job(), bench.instance) as result:
        assert not result.success
    (bench.folder / "broken").unlink()
    return result.run_id


def counts(bench: Bench) -> tuple[int, int]:
    return len(bench.rows("s.one")), len(bench.rows("s.two"))


def again(bench: Bench, parent_id: str, steps: list[str] | None, **tags: str) -> str:
    """A run of a parent, as the pages of Dagster and its daemon make them."""
    parent = bench.instance.get_run_by_id(parent_id)
    assert parent is not None
    run = bench.instance.create_run_for_job(
        job_def=job().get_definition(),
        execution_plan=create_execution_plan(job(), step_keys_to_execute=steps),
        parent_run_id=parent_id,
        root_run_id=parent.root_run_id or parent_id,
        tags=tags,
        job_code_origin=job().get_python_origin(),
    )
    if "dagster/retry_number" in tags:
        bench.instance.add_run_tags(parent_id, {"dagster/auto_retry_run_id": run.run_id})
    execute_run(job(), run, bench.instance)
    return run.run_id


def test_a_re_execution_from_failure_appends_once(kept: Bench) -> None:
    """What the failed step had loaded already is not loaded again, however often it is tried."""
    run_id = first(kept)
    assert kept.rows("s.one") == [(1, "a")]
    options = dg.ReexecutionOptions.from_failure(run_id, kept.instance)
    with dg.execute_job(job(), kept.instance, reexecution_options=options) as result:
        assert result.success
    assert counts(kept) == (1, 1)


def test_a_re_execution_of_a_re_execution_appends_once(kept: Bench) -> None:
    """The load is that of the first run, through all runs between."""
    parent = first(kept)
    (kept.folder / "broken").touch()
    middle = again(kept, parent, ["both"], **{"dagster/is_resume_retry": "true"})
    (kept.folder / "broken").unlink()
    again(kept, middle, ["both"], **{"dagster/is_resume_retry": "true"})
    assert counts(kept) == (1, 1)


@pytest.mark.parametrize("steps", [["both"], None], ids=["from failure", "all steps"])
def test_a_run_retry_appends_once(kept: Bench, steps: list[str] | None) -> None:
    """Run retries do the load of the run that they retry, whatever their strategy."""
    again(kept, first(kept), steps, **{"dagster/retry_number": "1"})
    assert counts(kept) == (1, 1)


def test_a_run_that_is_re_executed_as_a_whole_is_another_load(kept: Bench) -> None:
    """Whoever runs all steps again wants them to load again, even from the page of a retry."""
    parent = first(kept)
    copied = {"dagster/is_resume_retry": "true", "dagster/retry_number": "1"}
    retry = again(kept, parent, None, **copied)
    assert counts(kept) == (1, 1)
    bench_run = kept.instance.get_run_by_id(retry)
    assert bench_run is not None
    again(kept, retry, None, **{"dagster/is_resume_retry": "true"})
    assert counts(kept) == (2, 2)


def test_a_step_that_succeeded_is_another_load(kept: Bench) -> None:
    """A step that is selected although it succeeded loads again."""
    with dg.execute_job(job(), kept.instance) as result:
        assert result.success
    again(kept, result.run_id, ["both"])
    assert counts(kept) == (2, 2)


def test_a_parent_that_was_deleted(kept: Bench) -> None:
    """Without its parent a run cannot tell more than the root that its tags name."""
    parent = first(kept)
    kept.instance.delete_run(parent)
    run = kept.instance.create_run_for_job(
        job_def=job().get_definition(),
        execution_plan=create_execution_plan(job(), step_keys_to_execute=["both"]),
        job_code_origin=job().get_python_origin(),
    )
    execute_run(job(), run._replace(parent_run_id=parent, root_run_id=parent), kept.instance)
    assert counts(kept) == (1, 1)


def test_a_permanent_failure_is_permanent_for_run_retries(kept: Bench) -> None:
    """Dagster starts no other run for data that does not fit, and one for what may pass."""
    run = kept.instance.get_run_by_id(first(kept))
    assert run is not None
    assert run.tags["dagster/will_retry"] == "false"
    (kept.folder / "passing").touch()
    with dg.execute_job(job(), kept.instance) as result:
        assert not result.success
    run = kept.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "true"


# Dry runs.


@pytest.mark.parametrize("keys", [("2024-01-02", "2024-01-02"), ("2024-01-02", "2024-01-03")])
def test_a_dry_run_materializes_nothing(bench: Bench, keys: tuple[str, str]) -> None:
    """Dagster sees an observation with the plan; no partition counts as materialized by it."""
    bench.spec(columns={"day": "date"}, partition_by=[{"expr": "day", "grain": "day"}])
    rows = pd.DataFrame({"day": ["2024-01-02"]})
    days = returning(rows, partitions_def=DAILY)
    result = bench.run(days, keys=keys, run_config=DRY)
    assert result.success
    assert result.get_asset_materialization_events() == []
    (seen,) = result.get_asset_observation_events()
    observed = seen.asset_observation_data.asset_observation
    assert observed.asset_key == dg.AssetKey(["s", "t"])
    assert observed.metadata["status"].value == "dry run: nothing was written"
    assert bench.instance.get_materialized_partitions(dg.AssetKey(["s", "t"])) == set()


def test_a_dry_run_starts_no_automation(bench: Bench) -> None:
    """What waits for the asset is not started by a run that has written nothing."""
    bench.spec()
    upstream = returning(FRAME)
    eager = dg.AutomationCondition.eager()
    down = dg.asset(name="down", deps=[["s", "t"]], automation_condition=eager)(lambda: None)
    defs = dg.Definitions(assets=[upstream, down], resources={"io_manager": bench.manager()})

    def requested(cursor: Any) -> Any:
        return dg.evaluate_automation_conditions(defs, bench.instance, cursor=cursor)

    tick = requested(None)
    bench.run(upstream, run_config=DRY)
    tick = requested(tick.cursor)
    assert tick.total_requested == 0
    bench.run(upstream)
    assert requested(tick.cursor).total_requested == 1


def test_a_dry_run_where_dagster_would_materialize(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Dagster that cannot leave the materialization out gets a failed step, with the plan."""
    from loader.dagster_io import outputs

    bench.spec()
    monkeypatch.setattr(outputs, "not_materialized", lambda _: False)
    result = bench.run(returning(FRAME), run_config=DRY, raise_on_error=False)
    assert not result.success
    assert result.get_asset_materialization_events() == []
