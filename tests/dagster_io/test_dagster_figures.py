"""Figures on Dagster's pages: each says what its name says, of a table, a partition, or a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from loader.dagster_io import asset_checks, partitions_def
from loader.errors import ExecuteError
from loader.project import Project
from tests.dagster_io.dagsterkit import Bench, made, returning

START = "2024-01-01"
DAYS: dict[str, Any] = {
    "columns": {"day": "date", "v": "integer", "who": "varchar(9)"},
    "partition_by": [{"expr": "day", "grain": "day"}],
    "dagster": {"partitions": {"day": {"start": START}}},
}
DAILY = dg.DailyPartitionsDefinition(START)
KEYS = ("2024-01-01", "2024-01-03")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance) -> Bench:
    return Bench(tmp_path, instance)


def rows(context: dg.AssetExecutionContext) -> pd.DataFrame:
    """As many rows of a day as its number."""
    days = [key for key in context.partition_keys for _ in range(int(key[-2:]))]
    return pd.DataFrame({"day": days, "v": range(len(days)), "who": "me"})


def picked(found: dict[str | None, dict[str, Any]], name: str) -> list[Any]:
    return [metadata.get(name) for metadata in found.values()]


@pytest.mark.parametrize("disposition", ["replace", "append"])
def test_rows_of_the_table_and_of_the_partition(bench: Bench, disposition: str) -> None:
    """`dagster/row_count` is the table's, `dagster/partition_row_count` the partition's."""
    bench.spec(**DAYS, write_disposition=disposition)
    days = made(rows, partitions_def=DAILY)
    alone = bench.metadata(bench.run(days, key="2024-01-02"))
    assert (alone["dagster/row_count"], alone["dagster/partition_row_count"]) == (2, 2)
    found = bench.by_partition(bench.run(days, keys=KEYS))
    there = [1, 2, 3] if disposition == "replace" else [1, 4, 3]
    assert picked(found, "dagster/partition_row_count") == there
    assert picked(found, "dagster/row_count") == [sum(there)] * 3
    assert picked(found, "rows_loaded") == [1, 2, 3]


def test_rows_of_an_append_without_partitions(bench: Bench) -> None:
    """The rows of a table that is appended to are all that it holds."""
    bench.spec(write_disposition="append")
    asset = returning(pd.DataFrame({"id": [1], "v": ["a"]}))
    bench.run(asset)
    assert bench.metadata(bench.run(asset))["dagster/row_count"] == 2


def test_an_empty_frame_that_keeps_its_partition(bench: Bench) -> None:
    """A load of nothing tells what is there, not what it loaded."""
    bench.spec(**DAYS)
    bench.run(made(rows, partitions_def=DAILY), keys=KEYS)
    empty = returning(None, partitions_def=DAILY)
    told = bench.metadata(bench.run(empty, key="2024-01-03"))
    assert (told["dagster/row_count"], told["dagster/partition_row_count"]) == (6, 3)
    found = bench.by_partition(bench.run(empty, keys=KEYS))
    assert picked(found, "dagster/partition_row_count") == [1, 2, 3]


def test_figures_of_a_run_are_marked(bench: Bench) -> None:
    """In a run of several partitions what is of the run has a name that says so."""
    bench.spec(**DAYS)
    found = bench.by_partition(bench.run(made(rows, partitions_def=DAILY), keys=KEYS))
    told = next(iter(found.values()))
    assert told["run_rows_read"] == told["run_rows_loaded"] == 6
    numbers = {name for name, value in told.items() if isinstance(value, int | float)}
    own = {"dagster/row_count", "dagster/partition_row_count", "rows_loaded"}
    assert {name for name in numbers if not name.startswith("run_")} == own
    assert "column_statistics" not in told
    assert {record.data["column"] for record in told["run_column_statistics"].records} == {
        "day",
        "v",
        "who",
    }


def test_a_full_refresh_tells_the_rows_of_its_partition(bench: Bench) -> None:
    """After a full refresh of one partition's run the partition has what was loaded into it."""
    bench.spec(**DAYS)
    config = {"ops": {"s__t": {"outputs": {"result": {"full_refresh": True}}}}}
    frame = pd.DataFrame({"day": ["2024-01-01", "2024-01-02"], "v": [1, 2], "who": "x"})
    asset = returning(frame, partitions_def=DAILY)
    told = bench.metadata(bench.run(asset, key="2024-01-02", run_config=config))
    assert (told["dagster/row_count"], told["dagster/partition_row_count"]) == (2, 1)


def test_a_count_that_fails_is_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that is committed has succeeded, whatever becomes of the query of its figures."""

    def fails(*_: Any) -> list[int]:
        raise ExecuteError("the line is dead", transient=True)

    bench.spec(**DAYS)
    days = made(rows, partitions_def=DAILY)
    monkeypatch.setattr(Project, "count", fails)
    told = bench.metadata(bench.run(days, key="2024-01-02"))
    assert "dagster/row_count" not in told
    assert told["dagster/partition_row_count"] == 2


def test_sample_rows_on_request(bench: Bench) -> None:
    """A manager or a run may ask for rows of the load; none of a column with a classification."""
    columns = {**DAYS["columns"], "who": {"data_type": "varchar(9)", "classification": "pii"}}
    bench.spec(**{**DAYS, "columns": columns})
    days = made(rows, partitions_def=DAILY)
    assert "sample_rows" not in bench.metadata(bench.run(days, key="2024-01-02"))
    told = bench.metadata(bench.run(days, key="2024-01-02", manager=bench.manager(sample_rows=1)))
    (record,) = told["sample_rows"].records
    assert set(record.data) == {"day", "v"}
    assert record.data["day"] == "2024-01-02"
    config = {"ops": {"s__t": {"outputs": {"result": {"sample_rows": 9}}}}}
    found = bench.by_partition(bench.run(days, keys=KEYS, run_config=config))
    assert len(next(iter(found.values()))["run_sample_rows"].records) == 6


@pytest.mark.parametrize("wanted", [0, -5])
def test_a_run_may_turn_sample_rows_off(bench: Bench, wanted: int) -> None:
    """What a run asks for goes before what the manager has."""
    bench.spec(**DAYS)
    config = {"ops": {"s__t": {"outputs": {"result": {"sample_rows": wanted}}}}}
    days = made(rows, partitions_def=DAILY)
    manager = bench.manager(sample_rows=3)
    told = bench.metadata(bench.run(days, key="2024-01-02", manager=manager, run_config=config))
    assert "sample_rows" not in told


def test_sample_rows_that_cannot_be_read_fail_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are committed: a step that failed now would load them once more."""
    kinds = DAYS["columns"].items()
    secret = {name: {"data_type": kind, "classification": "pii"} for name, kind in kinds}
    bench.spec(**{**DAYS, "columns": secret})
    days, manager = made(rows, partitions_def=DAILY), bench.manager(sample_rows=3)
    assert "sample_rows" not in bench.metadata(bench.run(days, key="2024-01-02", manager=manager))
    bench.spec(**DAYS)

    def fails(*_: object, **__: object) -> None:
        raise ExecuteError("the warehouse is gone")

    monkeypatch.setattr(Project, "read", fails)
    again = bench.run(days, key="2024-01-02", manager=bench.manager(sample_rows=3))
    assert "sample_rows" not in bench.metadata(again)


def test_checks_have_a_result_of_each_partition(bench: Bench) -> None:
    """Partitioned checks keep the result of each partition, in runs of one and of several."""
    bench.spec(
        **DAYS, checks=[{"metric": "row_count", "must_be_less_than": 3, "severity": "warning"}]
    )
    project = Project(specs=bench.specs)
    definition = partitions_def(project.spec("s/t"))
    days = made(rows, partitions_def=definition)
    checks = asset_checks(project, partitioned=True)
    check = dg.AssetCheckKey(dg.AssetKey(["s", "t"]), "row_count")
    for run in ({"key": "2024-01-02"}, {"keys": KEYS}):
        result = bench.run(days, *checks, **run)
    found = {one.partition: one for one in result.get_asset_check_evaluations()}
    passed = {key: one.passed for key, one in found.items() if key}
    assert passed == {"2024-01-01": True, "2024-01-02": True, "2024-01-03": False}
    assert found["2024-01-03"].metadata["value"].value == 3
    stored = bench.instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    assert check in stored


def test_checks_of_tables_without_partitions_have_none(bench: Bench) -> None:
    """`partitioned` changes nothing for a table that is checked as a whole."""
    bench.spec(checks=[{"metric": "row_count", "must_be": 1}])
    project = Project(specs=bench.specs)
    asset = returning(pd.DataFrame({"id": [1], "v": ["a"]}))
    result = bench.run(asset, *asset_checks(project, partitioned=True))
    assert [(one.partition, one.passed) for one in result.get_asset_check_evaluations()] == [
        (None, True)
    ]
