"""The example project of the README: real assets, real data."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from loader.dagster_io import DuckDBIOManager, RedshiftIOManager

REPOSITORY = Path(__file__).parents[2]


def definitions(folder: Path) -> Any:
    """The definitions of a copy, which keeps its warehouse beside itself."""
    copy = folder / "specs"
    if not copy.exists():
        shutil.copytree(REPOSITORY / "specs", copy)
    found = importlib.util.spec_from_file_location("nyc", copy / "nyc" / "definitions.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.defs


def run(defs: dg.Definitions, instance: dg.DagsterInstance, name: str, **options: Any) -> Any:
    """One run of one asset, with its checks."""
    job = defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["nyc", name])]
    return job.execute_in_process(instance=instance, asset_selection=keys, **options)


def between(first: str, last: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def test_the_example_runs_on_an_embedded_duckdb(tmp_path: Path) -> None:
    """Tables, a backfill in one run, checks, and an asset without a spec that reads two others."""
    defs = definitions(tmp_path)
    assert isinstance((defs.resources or {})["io_manager"], DuckDBIOManager)
    with dg.DagsterInstance.ephemeral() as instance:
        rows = {}
        for name in ("airlines", "airports", "planes"):
            (event,) = run(defs, instance, name).get_asset_materialization_events()
            rows[name] = event.materialization.metadata["dagster/row_count"].value
        assert rows == {"airlines": 16, "airports": 1_458, "planes": 3_322}
        days = run(defs, instance, "flights", tags=between("2013-01-01", "2013-01-31"))
        counts = {
            event.partition: event.materialization.metadata["dagster/partition_row_count"].value
            for event in days.get_asset_materialization_events()
        }
        assert (len(counts), sum(counts.values()), counts["2013-01-05"]) == (31, 27_004, 720)
        checks = days.get_asset_check_evaluations()
        assert [check.passed for check in checks] == [True, True]
        late = run(defs, instance, "delays", partition_key="2013-01-05")
        (event,) = late.get_asset_materialization_events()
        assert event.materialization.metadata["dagster/partition_row_count"].value == 14
        month = run(defs, instance, "weather", partition_key="2013-03-01")
        (event,) = month.get_asset_materialization_events()
        assert event.materialization.metadata["dagster/partition_row_count"].value == 2_227


def test_the_example_goes_to_redshift_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the IO manager is another one."""
    local = definitions(tmp_path)
    monkeypatch.setenv("NYC_WAREHOUSE", "redshift")
    remote = definitions(tmp_path)
    assert isinstance((remote.resources or {})["io_manager"], RedshiftIOManager)
    assert set(remote.resolve_all_asset_keys()) == set(local.resolve_all_asset_keys())
