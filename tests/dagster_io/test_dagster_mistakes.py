"""Mistakes in Dagster are told in its own words, with the next step that works there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import redshift_connector
from botocore.exceptions import EndpointConnectionError

from loader.errors import ConfigError
from loader.testing.redshift.server import RedshiftStandIn
from tests.dagster_io.dagsterkit import Bench, reader, returning
from tests.dagster_io.dagstertools import redshift_manager

FRAME = pd.DataFrame({"id": [1], "v": ["a"]})


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance) -> Bench:
    return Bench(tmp_path, instance)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("column", "did you mean `columns`?"),
        ("limits", "did you mean `limit`?"),
        ("allow_missing", "did you mean `allow_missing_partitions`?"),
        ("note", "the keys are `columns`, `limit`"),
    ],
)
def test_unknown_metadata_of_an_input(bench: Bench, given: str, hint: str) -> None:
    """A key that no one reads would be an option without effect, so it is refused."""
    bench.spec()
    bench.run(returning(FRAME))
    down = reader(pd.DataFrame, metadata={given: 1})
    failed = bench.fails(returning(FRAME).to_source_asset(), down.asset)
    assert f"the input's metadata has an unknown key `{given}`" in failed.text
    assert hint in failed.metadata["next_step"]


def test_metadata_for_others_is_left_alone(bench: Bench) -> None:
    """Keys with a slash belong to Dagster or to teams."""
    bench.spec()
    down = reader(pd.DataFrame, metadata={"team/note": "x", "limit": 1})
    bench.run(returning(FRAME), down.asset)
    assert len(down.value) == 1


@pytest.mark.parametrize(("field", "meant"), [("spec", "specs"), ("sample_row", "sample_rows")])
def test_unknown_fields_of_a_manager(bench: Bench, field: str, meant: str) -> None:
    """A field that a manager does not have is refused with the nearest one."""
    with pytest.raises(ConfigError, match=f"has no field `{field}`") as refused:
        bench.manager(**{field: 1})
    assert refused.value.hint == f"did you mean `{meant}`?"


@pytest.mark.parametrize("exists", [True, False])
def test_the_folder_of_specs_is_told_in_full(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """Where specs were looked for is an absolute path: runs begin in many working directories."""
    if exists:
        bench.spec("s/other")
    monkeypatch.chdir(bench.folder)
    failed = bench.fails(returning(FRAME), manager=bench.manager(specs="specs"))
    assert str(bench.folder / "specs") in failed.text


def test_a_table_that_is_not_there(bench: Bench) -> None:
    """Dagster materializes; it has no command that loads a file."""
    bench.spec()
    down = reader(pd.DataFrame)
    failed = bench.fails(returning(FRAME).to_source_asset(), down.asset)
    assert "materialize it first" in failed.metadata["next_step"]
    assert "loader load" not in failed.text + failed.metadata["next_step"]


def test_hints_name_what_there_is_in_dagster(bench: Bench) -> None:
    """No hint names an option of the command line where a run has one of its own."""
    by_day: dict[str, Any] = {
        "columns": {"day": "date", "v": "varchar(9)"},
        "partition_by": [{"expr": "day", "grain": "day"}],
    }
    bench.spec(**by_day, guards={"slice_shrinks_by": "10%"})
    daily = dg.DailyPartitionsDefinition("2026-01-01")
    one = pd.DataFrame({"day": ["2026-01-01"], "v": ["a"]})
    bench.run(returning(pd.concat([one, one]), partitions_def=daily), key="2026-01-01")
    shrunk = bench.fails(returning(one, partitions_def=daily), key="2026-01-01")
    assert "allow_shrink: true on the output" in shrunk.metadata["next_step"]
    other = bench.fails(returning(one, partitions_def=daily), key="2026-01-02")
    assert "return rows of the run's partitions only" in other.metadata["next_step"]
    assert "--" not in shrunk.metadata["next_step"] + other.metadata["next_step"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"templates": "/nowhere"}, "the folder of templates, /nowhere, does not exist"),
        ({"memory_limit": "lots"}, "memory_limit"),
        ({"lock_timeout": -1}, "lock_timeout"),
    ],
)
def test_wrong_fields_are_failures_without_retries(
    bench: Bench, fields: dict[str, Any], told: str
) -> None:
    """A field that cannot be right is told by its name, and no retry policy tries again."""
    bench.spec()
    failed = bench.fails(returning(FRAME), manager=bench.manager(**fields))
    assert told in failed.text
    assert failed.failure.allow_retries is False


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("integer", "7", "07"), ("decimal(5,2)", "1.5", "1.50"), ("boolean", "true", "TRUE")],
)
def test_dynamic_keys_of_one_partition(bench: Bench, kind: str, first: str, second: str) -> None:
    """Two keys that are one value of the table would replace each other's rows."""
    bench.spec(columns={"id": kind, "v": "varchar(9)"}, partition_by=[{"expr": "id"}])
    dynamic = dg.DynamicPartitionsDefinition(name=f"keys of {kind}")
    frame = pd.DataFrame({"id": [{"7": 7, "true": True}.get(first, 1.5)], "v": ["a"]})
    bench.instance.add_dynamic_partitions(f"keys of {kind}", [first])
    made = returning(frame.astype({"id": "object"}), partitions_def=dynamic)
    bench.run(made, key=first)
    bench.instance.add_dynamic_partitions(f"keys of {kind}", [second])
    for key in (first, second):
        failed = bench.fails(made, key=key)
        assert f"`{first}` and `{second}` are the same partition" in failed.text


def test_aws_that_cannot_be_reached_may_pass(
    bench: Bench, stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that could not be asked for are asked for again, by the asset's retry policy."""
    bench.spec()
    connect = redshift_connector.connect
    refused: list[Any] = []

    def lost(**given: Any) -> Any:
        if len(refused) < 1:
            refused.append(given)
            raise EndpointConnectionError(endpoint_url="https://redshift.us-east-1.amazonaws.com")
        return connect(**given)

    monkeypatch.setattr(redshift_connector, "connect", lost)
    manager = redshift_manager(stand_in, specs=str(bench.specs))
    asset = returning(FRAME, retry_policy=dg.RetryPolicy(max_retries=1))
    assert bench.run(asset, manager=manager).success
    assert refused
