"""The IO managers themselves: how they are set up, what they tell, and how they fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import redshift_connector
from botocore.config import Config
from dagster._serdes import serialize_value

from loader import project
from loader.config import RedshiftTarget
from loader.dagster_io import DuckDBIOManager, RedshiftIOManager, RedshiftPandasIOManager
from loader.errors import ConfigError, ExecuteError
from loader.spec.catalog import Catalog, read_catalog
from loader.staging.stores import s3
from loader.testing.redshift.faults import Error
from loader.testing.redshift.s3.server import SECRET_KEY
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse import retry
from loader.warehouse.redshift import driver, sessions
from tests.dagster_io.dagsterkit import Bench, breaking, made, reader, returning, several

ROOT = Path(__file__).parents[2]
DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06")
DAYS: dict[str, Any] = {
    "columns": {"day": "date", "v": "integer"},
    "partition_by": [{"expr": "day", "grain": "day"}],
}
ROWS = [(1, "a"), (2, "b")]
EVENT = dg.DagsterEventType
OUTPUT = ("ops", "s__t", "outputs", "result")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again within an attempt of Dagster's."""
    monkeypatch.setattr(s3, "_CONFIG", Config(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(retry, "ATTEMPTS", 1)
    monkeypatch.setattr(sessions, "_CONNECT_ATTEMPTS", 1)


def frame(rows: list[tuple[Any, ...]] = ROWS) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "v"])


def jan(day: int) -> date:
    return date(2024, 1, day)


def day_rows(context: dg.AssetExecutionContext) -> pd.DataFrame:
    days = [date.fromisoformat(key) for key in context.partition_keys]
    return pd.DataFrame({"day": days, "v": [day.day for day in days]})


def options(**chosen: bool) -> dict[str, Any]:
    """Run configuration of the output of s/t."""
    return {"ops": {"s__t": {"outputs": {"result": chosen}}}}


# Set up by environment, as many a team's own manager is.

SEED = {
    "AWS_REGION": "us-east-1",
    "AWS_REDSHIFT_CLUSTER_IDENTIFIER": "analytics",
    "AWS_REDSHIFT_USER": "etl",
    "AWS_REDSHIFT_DATABASE": "dev",
    "AWS_REDSHIFT_HOST": "analytics.abc123.us-east-1.redshift.amazonaws.com",
    "AWS_REDSHIFT_PORT": "5439",
    "AWS_REDSHIFT_S3_IAM_ROLE": "arn:aws:iam::123456789012:role/redshift-load",
    "AWS_REDSHIFT_BUCKET_NAME": "team-bucket",
}

FLIGHTS = """
schema: nyc
name: flights
columns:
- {name: flight_date, data_type: date, nullable: false}
- {name: carrier, data_type: varchar(2)}
- {name: flight, data_type: integer}
partition_by:
- {expr: flight_date, grain: day}
"""


@dg.asset(
    key_prefix=["nyc"],
    partitions_def=dg.DailyPartitionsDefinition(start_date="2013-01-01", end_date="2013-02-01"),
)
def flights(context) -> pd.DataFrame:  # type: ignore[no-untyped-def]  # as people write it
    day = pd.Timestamp(context.partition_key)
    return pd.DataFrame({"flight_date": [day, day], "carrier": ["UA", "AA"], "flight": [1, 2]})


def seed(**more: Any) -> RedshiftPandasIOManager:
    """The configuration word for word, with ``more`` for a warehouse without IAM."""
    return RedshiftPandasIOManager(
        region_name=dg.EnvVar("AWS_REGION"),
        cluster_identifier=dg.EnvVar("AWS_REDSHIFT_CLUSTER_IDENTIFIER"),
        user=dg.EnvVar("AWS_REDSHIFT_USER"),
        database=dg.EnvVar("AWS_REDSHIFT_DATABASE"),
        host=dg.EnvVar("AWS_REDSHIFT_HOST"),
        port=dg.EnvVar("AWS_REDSHIFT_PORT"),
        s3_iam_role=dg.EnvVar("AWS_REDSHIFT_S3_IAM_ROLE"),
        bucket_name=dg.EnvVar("AWS_REDSHIFT_BUCKET_NAME"),
        **more,
    )


def set_environment(patch: pytest.MonkeyPatch, **changes: str) -> None:
    for name, value in {**SEED, **changes}.items():
        patch.setenv(name, value)


def settings(manager: RedshiftIOManager) -> RedshiftTarget:
    """What a manager comes to once Dagster has filled it in."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_resources({"io_manager": manager}, instance=instance) as resources,
    ):
        found = resources.io_manager.project.config.settings()
    assert isinstance(found, RedshiftTarget)
    return found


def of_the_stand_in(stand_in: RedshiftStandIn) -> dict[str, str]:
    """The same variables, for the stand-in."""
    return {
        "AWS_REDSHIFT_USER": stand_in.user,
        "AWS_REDSHIFT_DATABASE": stand_in.database,
        "AWS_REDSHIFT_HOST": stand_in.host,
        "AWS_REDSHIFT_PORT": str(stand_in.port),
        "AWS_REDSHIFT_S3_IAM_ROLE": stand_in.iam_role,
        "AWS_REDSHIFT_BUCKET_NAME": stand_in.bucket,
    }


def test_a_configuration_by_environment_works_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The eight fields many teams have, each an `EnvVar`, come to a target that logs in by IAM."""
    set_environment(monkeypatch)
    found = settings(seed())
    assert found.staging == "s3://team-bucket/loader"
    assert found.iam_role == SEED["AWS_REDSHIFT_S3_IAM_ROLE"]
    assert (found.port, found.ssl, found.ledger_schema) == (5439, True, "loader")
    login = driver._login(found)
    assert login == {
        "host": SEED["AWS_REDSHIFT_HOST"],
        "port": 5439,
        "database": "dev",
        "iam": True,
        "user": "",
        "password": "",
        "region": "us-east-1",
        "cluster_identifier": "analytics",
        "db_user": "etl",
    }


PORTS = ["a number", "text", "from the environment", "from the environment, as a number"]


@pytest.mark.parametrize(
    "port", [5440, "5440", dg.EnvVar("PORT"), dg.EnvVar.int("PORT")], ids=PORTS
)
def test_a_port_is_a_number_or_its_text(monkeypatch: pytest.MonkeyPatch, port: Any) -> None:
    """The port may be written as a number, as text, or come from the environment as either."""
    set_environment(monkeypatch, PORT="5440")
    text: dict[str, Any] = {
        "user": "u",
        "database": "d",
        "s3_iam_role": "default",
        "bucket_name": "b",
    }
    manager = RedshiftIOManager(host="h", password="p", port=port, **text)
    assert settings(manager).port == 5440


def test_the_seed_snippet_runs(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    """A day-partitioned asset that returns pandas is loaded, day by day, by the specs beside it."""
    set_environment(monkeypatch, **of_the_stand_in(stand_in), PASSWORD=stand_in.password)
    bench.write("nyc/flights.yml", FLIGHTS)
    defs = dg.Definitions(
        assets=[flights],
        resources={"io_manager": seed(password=dg.EnvVar("PASSWORD"), ssl=False)},
    )
    job = defs.resolve_implicit_global_asset_job_def()
    with chdir(bench.folder):
        for key in ("2013-01-01", "2013-01-02", "2013-01-01"):
            result = job.execute_in_process(partition_key=key, instance=bench.instance)
    day = date(2013, 1, 1)
    rows = stand_in.query("SELECT * FROM nyc.flights ORDER BY 1, 3")
    assert rows[:2] == [(day, "UA", 1), (day, "AA", 2)]
    assert len(rows) == 4
    metadata = bench.metadata(result, "nyc/flights")
    assert metadata["dagster/partition_row_count"] == metadata["rows_deleted"] == 2
    assert metadata["dagster/row_count"] == 4
    assert metadata["dagster/table_name"] == "dev.nyc.flights"
    assert metadata["dagster/uri"] == (
        f"redshift://{stand_in.host}:{stand_in.port}/dev/nyc/flights"
    )
    assert "COPY" in metadata["sql"]
    assert stand_in.objects() == []


def test_the_seed_snippet_runs_by_iam(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    """Without a password the same configuration asks for IAM credentials, over TLS, and loads."""
    set_environment(monkeypatch, **of_the_stand_in(stand_in))
    bench.write("nyc/flights.yml", FLIGHTS)
    connect, asked = redshift_connector.connect, []

    def by_iam(**given: Any) -> Any:
        asked.append(given)
        return connect(**stand_in.connection())

    monkeypatch.setattr(redshift_connector, "connect", by_iam)
    down = reader(pd.DataFrame, "nyc/flights", partitions_def=flights.partitions_def)
    with chdir(bench.folder):
        bench.run(flights, down.asset, key="2013-01-01", manager=seed())
    assert sorted(down.value["flight"]) == [1, 2]
    assert {(login["iam"], login["ssl"], login["db_user"]) for login in asked} == {
        (True, True, "etl")
    }


def test_a_missing_variable_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    """A variable that is not set ends the run at its start, and is named."""
    set_environment(monkeypatch)
    monkeypatch.delenv("AWS_REDSHIFT_HOST")
    ran: list[int] = []
    with pytest.raises(dg.DagsterInvalidConfigError, match="AWS_REDSHIFT_HOST"):
        bench.run(made(lambda _: ran.append(1)), manager=seed())
    assert not ran


def test_empty_settings_are_told_by_the_managers_own_names(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    """What is empty is named as the field that is to be filled, all of it at once."""
    bench.spec()
    set_environment(monkeypatch, **dict.fromkeys(SEED, ""))
    failed = bench.fails(returning(frame()), manager=seed())
    assert "RedshiftPandasIOManager" in failed.text
    for name in ("database", "bucket_name", "s3_iam_role", "cluster_identifier"):
        assert name in failed.text
    assert "staging" not in failed.text
    set_environment(monkeypatch, AWS_REDSHIFT_PORT="many")
    failed = bench.fails(returning(frame()), manager=seed())
    assert "port" in failed.text


@pytest.mark.parametrize(
    ("given", "meant"),
    [({"spec": "tables"}, "`specs`"), ({"on_mising_spec": "infer"}, "`on_missing_spec`")],
)
def test_a_misspelt_field_is_refused(given: dict[str, Any], meant: str) -> None:
    """A field that the manager does not have is told with the nearest one, and no value is."""
    with pytest.raises(ConfigError, match=next(iter(given))) as refused:
        RedshiftIOManager(
            database="d", s3_iam_role="default", bucket_name="b", password=SECRET_KEY, **given
        )
    assert meant in (refused.value.hint or "")
    assert SECRET_KEY not in str(refused.value)


def test_options_that_are_none_are_refused_where_they_are_written() -> None:
    """A manager refuses unknown fields and values when it is made."""
    with pytest.raises(Exception, match="on_missing_spec"):
        DuckDBIOManager(database="w.duckdb", on_missing_spec="guess")  # type: ignore[arg-type]  # wrong
    with pytest.raises(Exception, match="bucket"):
        RedshiftIOManager(database="d", s3_iam_role="default", bucket="b")  # type: ignore[call-arg]  # wrong


@pytest.mark.parametrize("database", ["", ":memory:", "md:shop"])
def test_a_database_that_is_no_file_is_refused(database: str) -> None:
    """A manager refuses a database that is not a file, and names the field."""
    with pytest.raises(ConfigError, match="database: must be a path") as refused:
        _ = DuckDBIOManager(database=database).project
    assert "the settings of DuckDBIOManager" in str(refused.value)


def test_importing_is_light() -> None:
    """`import loader.dagster_io` imports no frames, no drivers and no cloud libraries."""
    heavy = {"pandas", "polars", "pyarrow", "duckdb", "boto3", "botocore", "redshift_connector"}
    script = (
        "import dagster, sys; before = set(sys.modules); import loader.dagster_io;"
        " print(*sorted({m.partition('.')[0] for m in set(sys.modules)}))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not heavy & set(answer.stdout.split())


def test_nothing_is_opened_before_it_is_needed_and_all_is_closed(bench: Bench) -> None:
    """A manager opens its database when something is loaded, and holds it no longer than that."""
    bench.spec()
    opened: list[bool] = []

    def value(context: dg.AssetExecutionContext) -> pd.DataFrame:
        opened.append(bench.database.exists())
        return frame()

    bench.run(made(value))
    assert opened == [False]
    # A writer with other settings is refused as long as anybody has the file open.
    assert bench.rows() == ROWS
    bench.fails(returning(frame([(1, "a" * 41)])))
    with breaking("INSERT INTO", lambda: ExecuteError("the disk is full")):
        bench.fails(returning(frame()))
    assert bench.rows() == ROWS


# What Dagster's pages are told.


def test_the_metadata_of_a_load(bench: Bench) -> None:
    """The table's columns, name and place, the spec's line, and what the load did, in numbers."""
    path = bench.write(
        "flights.yml",
        "# Who flies.\n"
        "schema: nyc\n"
        "name: flights\n"
        "asset_key: s/t\n"
        "primary_key: [id]\n"
        "sort: [at]\n"
        "dist: id\n"
        "columns:\n"
        "- {name: id, data_type: bigint, description: Its number.}\n"
        "- {name: who, data_type: varchar(40), classification: pii}\n"
        "- {name: price, data_type: 'decimal(12,2)', nullable: false, default: 0}\n"
        "- {name: at, data_type: timestamptz}\n",
    )
    value = pl.DataFrame({"id": [1, 2], "who": ["x", None], "at": [None, None]})
    bench.run(returning(value))
    metadata = bench.metadata(bench.run(returning(value)))
    schema = metadata["dagster/column_schema"]
    assert [(column.name, column.type) for column in schema.columns] == [
        ("id", "bigint"),
        ("who", "varchar(40)"),
        ("price", "decimal(12,2)"),
        ("at", "timestamptz"),
    ]
    number, who, price, _ = schema.columns
    assert number.description == "Its number."
    assert not number.constraints.nullable
    assert number.constraints.unique
    assert {"primary key", "dist key"} <= set(number.constraints.other)
    assert dict(who.tags) == {"classification": "pii"}
    assert who.constraints.nullable
    assert "default 0" in price.constraints.other
    assert any("PRIMARY KEY (id)" in text for text in schema.constraints.other)
    assert metadata["dagster/table_name"] == "warehouse.nyc.flights"
    assert metadata["dagster/uri"] == f"duckdb://{bench.database}/nyc/flights"
    (reference,) = metadata["dagster/code_references"].code_references
    assert (reference.file_path, reference.line_number) == (str(path), 4)
    numbers = {
        "dagster/row_count": 2,
        "rows_read": 2,
        "rows_rejected": 0,
        "rows_deleted": 2,
        "rows_loaded": 2,
        "files_staged": 1,
    }
    assert {name: metadata[name] for name in numbers} == numbers
    assert metadata["bytes_staged"] > 0
    assert 0 < metadata["stage_seconds"] + metadata["load_seconds"] < 60
    assert metadata["status"] == "loaded"
    assert metadata["sql"].startswith("```sql\n")
    assert metadata["sql"].endswith("```")
    assert 'DELETE FROM "nyc"."flights"' in metadata["sql"]
    load_id = bench.sql("SELECT load_id FROM loader.loads ORDER BY loaded_at DESC LIMIT 1")
    assert load_id == [(metadata["load_id"],)]
    run = bench.instance.get_runs(limit=1)[0]
    assert metadata["load_id"].startswith(run.run_id)


def test_numbers_are_numbers(bench: Bench) -> None:
    """Dagster plots ints and floats and nothing else, so all that is counted is one of these."""
    bench.spec()
    result = bench.run(returning(frame()))
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    kinds = {
        name: type(value)
        for name, value in metadata.items()
        if name.startswith(("rows_", "bytes_", "files_")) or name.endswith(("_seconds", "_count"))
    }
    floats = {name for name, kind in kinds.items() if kind is dg.FloatMetadataValue}
    assert floats == {"stage_seconds", "load_seconds"}
    assert {kinds[name] for name in kinds.keys() - floats} == {dg.IntMetadataValue}
    assert isinstance(metadata["sql"], dg.MarkdownMetadataValue)


def test_warnings_and_rejects_are_told(bench: Bench) -> None:
    """Checks that only warn, and rows that were set aside, are in the metadata."""
    bench.spec(
        schema_contract={"bad_rows": "reject", "max_rejects": 5},
        checks=[{"metric": "row_count", "must_be_greater_than": 9, "severity": "warning"}],
    )
    metadata = bench.metadata(bench.run(returning(frame([*ROWS, (3, "c" * 41)]))))
    assert "row_count" in metadata["warnings"]
    assert (metadata["rows_read"], metadata["rows_rejected"], metadata["rows_loaded"]) == (3, 1, 2)
    assert Path(metadata["rejects"].removeprefix("file://")).is_file()
    (reason,) = metadata["reject_reasons"].records
    assert reason.data["rows"] == 1
    assert str(reason.data["reason"]).startswith("has too many bytes")


def test_what_the_user_says_stays(bench: Bench) -> None:
    """Metadata of an `Output`, or added to the context, is never overwritten."""
    bench.spec()
    theirs: dict[str, Any] = {"dagster/row_count": 7, "sql": "mine", "rows_loaded": 8, "own": "x"}

    def added(context: dg.AssetExecutionContext) -> pd.DataFrame:
        context.add_output_metadata(theirs)
        return frame()

    for asset in (
        made(lambda _: dg.Output(frame(), metadata=theirs)),
        made(lambda _: dg.MaterializeResult(value=frame(), metadata=theirs)),
        made(added),
    ):
        metadata = bench.metadata(bench.run(asset))
        assert {name: metadata[name] for name in theirs} == theirs
        assert metadata["rows_read"] == 2


def test_what_the_user_says_of_a_partition_stays(bench: Bench) -> None:
    """In a range run too, of all partitions or of one."""
    bench.spec(**DAYS)

    def of_all(context: dg.AssetExecutionContext) -> pd.DataFrame:
        context.add_output_metadata({"dagster/partition_row_count": 7})
        return day_rows(context)

    def of_one(context: dg.AssetExecutionContext) -> pd.DataFrame:
        context.add_asset_metadata(
            {"dagster/partition_row_count": 9},
            asset_key=dg.AssetKey(["s", "t"]),
            partition_key="2024-01-02",
        )
        return day_rows(context)

    for value, wanted in ((of_all, [7, 7, 7]), (of_one, [1, 9, 1])):
        asset = made(value, partitions_def=DAILY)
        found = bench.by_partition(bench.run(asset, keys=("2024-01-01", "2024-01-03")))
        assert [metadata["dagster/partition_row_count"] for metadata in found.values()] == wanted
        assert [metadata["rows_loaded"] for metadata in found.values()] == [1, 1, 1]


def everything(bench: Bench) -> str:
    """All that Dagster has written down of its runs."""
    logs = [
        serialize_value(entry)
        for run in bench.instance.get_runs()
        for entry in bench.instance.all_logs(run.run_id)
    ]
    runs = [serialize_value(run) for run in bench.instance.get_runs()]
    return "\n".join([*logs, *runs])


@pytest.mark.usefixtures("impatient")
def test_secrets_are_in_nothing_that_is_told(
    stand_in: RedshiftStandIn,
    monkeypatch: pytest.MonkeyPatch,
    bench: Bench,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No password or key is in an event, a log or the metadata, of loads that work or fail."""
    planted = "Pl4nted-0ne"
    set_environment(monkeypatch, **of_the_stand_in(stand_in))
    monkeypatch.setenv("PASSWORD", stand_in.password)
    bench.spec()

    def manager(**more: Any) -> RedshiftIOManager:
        chosen = {"password": dg.EnvVar("PASSWORD"), "ssl": False, **more}
        return seed(specs=str(bench.specs), **chosen)

    bench.run(returning(frame()), reader(pd.DataFrame).asset, manager=manager())
    bench.run(returning(frame()), manager=manager(), run_config=options(dry_run=True))
    bench.fails(returning(frame([(1, "a" * 41)])), manager=manager())
    stand_in.faults.add("COPY", "instead", Error("42501", f"no {stand_in.password} for you"))
    bench.fails(returning(frame()), manager=manager())
    stand_in.faults.refuse_connections(1, "57P03", f"not now, {stand_in.password}")
    with pytest.raises(ExecuteError):
        bench.run(returning(frame()), manager=manager())
    stand_in.faults.s3_errors(status=403, code="AccessDenied", times=99, by="client")
    bench.fails(returning(frame()), manager=manager())
    stand_in.faults.clear()
    monkeypatch.setenv("PASSWORD", planted)
    bench.fails(returning(frame()), manager=manager())
    bench.fails(returning(frame()), manager=manager(password=planted))
    monkeypatch.setenv("AWS_REDSHIFT_HOST", f"etl:{planted}@{stand_in.host}")
    bench.fails(returning(frame()), manager=manager())
    told = everything(bench) + "".join(capfd.readouterr())
    for secret in (stand_in.password, planted, SECRET_KEY):
        assert secret not in told
    assert "DELETE FROM" in told


# What a run may ask for.


def test_a_full_refresh_replaces_the_whole_table(bench: Bench) -> None:
    """`full_refresh` replaces every partition by what the run returns, with or without a key."""
    bench.spec(**DAYS)
    days = made(day_rows, partitions_def=DAILY)
    bench.run(days, keys=("2024-01-01", "2024-01-05"))
    config = options(full_refresh=True)
    metadata = bench.metadata(bench.run(days, key="2024-01-03", run_config=config))
    assert bench.rows() == [(jan(3), 3)]
    assert metadata["rows_deleted"] == 5
    assert metadata["slice"] == "the whole table"
    whole = returning(pd.DataFrame({"day": [jan(1), jan(2)], "v": [1, 2]}))
    assert "full_refresh" in bench.fails(whole).metadata["next_step"]
    bench.run(whole, run_config=config)
    assert bench.rows() == [(jan(1), 1), (jan(2), 2)]


def test_a_load_that_shrinks_a_partition_is_let_through_once(bench: Bench) -> None:
    """The spec's guard fails the run with a table of partitions; `allow_shrink` makes it warn."""
    checks = [{"metric": "row_count", "must_be": 1, "severity": "warning"}]
    bench.spec(**DAYS, guards={"slice_shrinks_by": "20%"}, checks=checks)
    days = pd.DataFrame({"day": [jan(1)] * 5 + [jan(2)] * 5, "v": range(10)})
    whole, config = returning(days), options(full_refresh=True)
    bench.run(whole, run_config=config)
    part = returning(days[:7])
    failed = bench.fails(part, run_config=config)
    assert "1 partition of s.t loses 20% of its rows or more" in failed.text
    lost = {"partition": "2024-01-02", "before": 5, "after": 2}
    assert lost.items() <= failed.problems[0].items()
    assert len(bench.rows()) == 10
    metadata = bench.metadata(
        bench.run(part, run_config=options(full_refresh=True, allow_shrink=True))
    )
    assert "2024-01-02" in metadata["warnings"]
    (checked,) = metadata["checks"].records
    assert dict(checked.data) == {
        "check": "row_count",
        "must be": "= 1",
        "is": "7",
        "result": "warning",
    }
    assert len(bench.rows()) == 7


def test_a_dry_run_writes_nothing(bench: Bench) -> None:
    """`dry_run` shows the plan with the data's rows, and leaves no file and no table behind."""
    bench.spec(**DAYS)
    days = made(day_rows, partitions_def=DAILY)
    result = bench.run(days, key="2024-01-03", run_config=options(dry_run=True))
    metadata = bench.observed(result)
    assert "dry run" in metadata["status"]
    assert metadata["rows_read"] == 1
    assert metadata["slice"] == "day=2024-01-03"
    assert "DELETE FROM" in metadata["sql"]
    assert "2024-01-04" in metadata["sql"]
    assert metadata["dagster/table_name"] == "warehouse.s.t"
    assert "dagster/row_count" not in metadata
    assert [path.name for path in bench.folder.iterdir()] == ["specs"]
    both = options(dry_run=True, full_refresh=True)
    metadata = bench.observed(bench.run(days, key="2024-01-03", run_config=both))
    assert metadata["slice"] == "the whole table"
    assert [path.name for path in bench.folder.iterdir()] == ["specs"]


def test_a_dry_run_makes_no_partition(bench: Bench) -> None:
    """A partition of which there was only a dry run is still one that is not there."""
    bench.spec(**DAYS)
    days = made(day_rows, partitions_def=DAILY)
    bench.run(days, key="2024-01-01")
    bench.run(days, key="2024-01-02", run_config=options(dry_run=True))
    down = reader(pl.DataFrame, partitions_def=DAILY)
    source = days.to_source_asset()
    result = bench.run(source, down.asset, key="2024-01-02", raise_on_error=False)
    assert not down.seen
    assert not result.success


def test_a_dry_run_needs_no_warehouse(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan of a load into Redshift is shown without a connection or credentials."""
    set_environment(monkeypatch)
    bench.spec(**DAYS)
    days = made(day_rows, partitions_def=DAILY)
    manager = seed(specs=str(bench.specs))
    config = options(dry_run=True)
    result = bench.run(days, keys=("2024-01-01", "2024-01-02"), manager=manager, run_config=config)
    script = bench.observed(result)["sql"]
    assert "COPY" in script
    assert SEED["AWS_REDSHIFT_S3_IAM_ROLE"] in script


REFUSED: Mapping[str, Mapping[str, list[Any]]] = {
    "many": {"day": [jan(3)], "v": ["many"]},
    "2024-01-04": {"day": [jan(4)], "v": [1]},
    "more than once": {"day": [jan(3), jan(3)], "v": [1, 1]},
    "extra": {"day": [jan(3)], "v": [1], "w": [1]},
    "on_empty": {"day": [], "v": []},
}


@pytest.mark.parametrize("told", REFUSED)
def test_a_dry_run_refuses_what_a_load_would_refuse(bench: Bench, told: str) -> None:
    """Data that does not fit fails a dry run as it fails a load, and leaves nothing behind."""
    bench.spec(**DAYS, primary_key=["day"], on_empty="fail")
    asset = returning(pd.DataFrame(REFUSED[told]), partitions_def=DAILY)
    result = bench.run(
        asset, key="2024-01-03", run_config=options(dry_run=True), raise_on_error=False
    )
    assert [path.name for path in bench.folder.iterdir()] == ["specs"]
    assert told in bench.fails(asset, key="2024-01-03").text
    assert not result.success


# Failures that another attempt would meet again.

MISFITS: Mapping[str, tuple[pd.DataFrame, list[str]]] = {
    "an extra column": (frame().assign(w=1), ["w"]),
    "a missing column": (frame()[["id"]], ["v"]),
    "a renamed column": (frame().rename(columns={"v": "vv"}), ["v", "vv"]),
    "wrong types": (frame([("x", "a"), ("y", "b")]), ["id"]),
    "too long": (frame([(1, "a" * 41), (2, "b")]), ["v"]),
    "several": (frame([(1.5, "a" * 41)]), ["id", "v"]),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_data_that_does_not_fit_is_one_clear_failure(bench: Bench, kind: str) -> None:
    """One `Failure` with a table of what is wrong; the table unchanged, downstream not run."""
    wrong, names = MISFITS[kind]
    bench.spec()
    bench.run(returning(frame()))
    down = reader(pd.DataFrame)
    again = dg.RetryPolicy(max_retries=2)
    failed = bench.fails(returning(wrong, retry_policy=again), down.asset)
    assert [problem["column"] for problem in failed.problems] == names
    assert all(problem["problem"] for problem in failed.problems)
    assert "s.t" in failed.text
    assert failed.steps == {"s__t": [EVENT.STEP_FAILURE]}
    assert not down.seen
    assert bench.rows() == ROWS
    assert not list(bench.folder.glob(".loader/staging/s.t/**/*.parquet"))


def test_columns_in_another_order_are_fine(bench: Bench) -> None:
    """Order is no misfit: columns go by name."""
    bench.spec()
    bench.run(returning(frame()[["v", "id"]]))
    assert bench.rows() == ROWS


def test_a_live_table_that_differs_is_one_clear_failure(bench: Bench) -> None:
    """A table that is not as its spec says is told column by column."""
    bench.spec()
    bench.sql("CREATE SCHEMA s", "CREATE TABLE s.t (id VARCHAR, w INTEGER NOT NULL)")
    failed = bench.fails(returning(frame()))
    assert [problem["column"] for problem in failed.problems] == ["id", "v", "w"]
    assert bench.types() == {"id": "VARCHAR", "w": "INTEGER"}


def test_a_view_in_place_of_the_table_is_one_clear_failure(bench: Bench) -> None:
    """Nothing is loaded into a view, and the view stays; reading it is fine."""
    bench.spec()
    bench.sql("CREATE SCHEMA s", "CREATE VIEW s.t AS SELECT 1::INTEGER AS id, 'a' AS v")
    failed = bench.fails(returning(frame()))
    assert "is a view" in failed.text
    assert bench.rows() == [(1, "a")]
    down = reader(pl.DataFrame)
    bench.run(returning(frame()).to_source_asset(), down.asset)
    assert down.value.rows() == [(1, "a")]


def test_partitions_that_the_spec_has_not_and_the_reverse(bench: Bench) -> None:
    """An asset and its spec both have partitions, or neither has, and of the same kind."""
    bench.spec()
    bench.run(returning(frame()))
    assert (
        "has none" in bench.fails(returning(frame(), partitions_def=DAILY), key="2024-01-01").text
    )
    assert bench.rows() == ROWS
    bench.spec("s/days", **DAYS)
    rows = pd.DataFrame({"day": [jan(1)], "v": [1]})
    assert "`day`" in bench.fails(returning(rows, "s/days")).text
    for other in (
        dg.DailyPartitionsDefinition("2024-01-01", timezone="America/New_York"),
        dg.HourlyPartitionsDefinition("2024-01-01-00:00"),
    ):
        asset = returning(rows, "s/days", partitions_def=other)
        key = other.get_first_partition_key()
        assert "grain day in UTC" in bench.fails(asset, key=key).text, other


def test_a_login_without_rights_is_one_clear_failure(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    """Somebody who may only read gets a `Failure` that says so, and the table stays as it was."""
    set_environment(monkeypatch, **of_the_stand_in(stand_in))
    bench.spec()
    bench.run(
        returning(frame()),
        manager=seed(specs=str(bench.specs), password=stand_in.password, ssl=False),
    )
    stand_in.add_user("guest", "Guest-1")
    monkeypatch.setenv("AWS_REDSHIFT_USER", "guest")
    guest = seed(specs=str(bench.specs), password="Guest-1", ssl=False)
    down = reader(pd.DataFrame)
    failed = bench.fails(returning(frame([(9, "x")])), down.asset, manager=guest)
    assert "permission denied" in failed.text
    assert stand_in.query("SELECT * FROM s.t ORDER BY id") == ROWS
    assert not down.seen
    bench.run(returning(frame()).to_source_asset(), down.asset, manager=guest)
    assert len(down.value) == 2


def test_permanent_failures_are_not_retried(bench: Bench) -> None:
    """A check that fails, a statement that is refused, a spec that is wrong: one attempt."""
    again = dg.RetryPolicy(max_retries=3)
    bench.spec(checks=[{"metric": "row_count", "must_be": 1}])
    failed = bench.fails(returning(frame(), retry_policy=again))
    assert failed.steps["s__t"] == [EVENT.STEP_FAILURE]
    assert "row_count" in failed.text
    assert "count(*)" in failed.metadata["statement"]
    bench.spec()
    with breaking('INSERT INTO "s"."t"', lambda: ExecuteError("the disk is full")):
        failed = bench.fails(returning(frame(), retry_policy=again))
    assert failed.steps["s__t"] == [EVENT.STEP_FAILURE]
    assert "the disk is full" in failed.text
    assert 'INSERT INTO "s"."t"' in failed.metadata["statement"]
    down = reader(list[int], retry_policy=again)
    failed = bench.fails(returning(frame()), down.asset)
    assert failed.steps["downstream"] == [EVENT.STEP_FAILURE]


# Failures that may pass.


def conflict() -> ExecuteError:
    return ExecuteError("serializable isolation violation", transient=True)


@pytest.mark.usefixtures("impatient")
def test_what_may_pass_is_the_policys_to_retry(bench: Bench) -> None:
    """A conflict that outlasts our attempts is raised, and a retry policy runs the step again."""
    bench.spec(write_disposition="append")
    calls: list[int] = []

    def value(_: dg.AssetExecutionContext) -> pd.DataFrame:
        calls.append(1)
        return frame()

    with (
        breaking('INSERT INTO "s"."t"', conflict, times=1),
        pytest.raises(ExecuteError, match="serializable"),
    ):
        bench.run(made(value))
    with breaking('INSERT INTO "s"."t"', conflict, times=2):
        result = bench.run(made(value, retry_policy=dg.RetryPolicy(max_retries=2)))
    events = bench.steps(result.run_id)["s__t"]
    assert events == [EVENT.STEP_UP_FOR_RETRY] * 2 + [EVENT.STEP_SUCCESS]
    assert len(calls) == 4
    assert bench.rows() == ROWS


@pytest.mark.usefixtures("impatient")
def test_a_read_that_may_pass_is_retried(bench: Bench) -> None:
    """What fails for a passing reason while an input is read is retried as well."""
    bench.spec()
    bench.run(returning(frame()))
    down = reader(pd.DataFrame, retry_policy=dg.RetryPolicy(max_retries=1))
    with breaking("information_schema", conflict) as failed:
        result = bench.run(returning(frame()).to_source_asset(), down.asset)
    assert failed
    events = bench.steps(result.run_id)["downstream"]
    assert events == [EVENT.STEP_UP_FOR_RETRY, EVENT.STEP_SUCCESS]
    assert len(down.value) == 2


@pytest.mark.usefixtures("impatient")
def test_a_retried_append_happens_once(bench: Bench) -> None:
    """An attempt after one that has committed, for another output's sake, appends nothing twice."""
    append: dict[str, Any] = {"write_disposition": "append"}
    bench.spec("s/one", **append)
    bench.spec("s/two", **append)
    bench.spec("s/days", **append, **DAYS)
    policy = dg.RetryPolicy(max_retries=1)
    both = several(lambda _: [frame(), frame()], "s/one", "s/two", retry_policy=policy)
    with breaking('INSERT INTO "s"."two"', conflict):
        result = bench.run(both)
    assert bench.steps(result.run_id)["assets"] == [EVENT.STEP_UP_FOR_RETRY, EVENT.STEP_SUCCESS]
    assert bench.rows("s.one") == bench.rows("s.two") == ROWS
    bench.run(both)
    assert bench.rows("s.one") == bench.rows("s.two") == sorted(ROWS * 2)


@pytest.mark.usefixtures("impatient")
def test_an_output_that_was_loaded_before_tells_no_wrong_numbers(bench: Bench) -> None:
    """What an earlier attempt loaded is told as that, and not as a load that read no rows."""
    bench.spec("s/one")
    bench.spec("s/two")
    policy = dg.RetryPolicy(max_retries=1)
    both = several(lambda _: [frame(), frame()], "s/one", "s/two", retry_policy=policy)
    with breaking('INSERT INTO "s"."two"', conflict):
        result = bench.run(both)
    told = [
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["s", "one"])
    ]
    first, second = ({name: one.value for name, one in found.items()} for found in told)
    assert second["status"] == "already_loaded"
    assert second["load_id"] == first["load_id"]
    assert second["rows_loaded"] == first["rows_loaded"]
    counted = ("rows_read", "rows_loaded", "bytes_staged", "files_staged", "dagster/row_count")
    for name in counted:
        assert second.get(name, first[name]) == first[name], name


@pytest.mark.usefixtures("impatient")
def test_faults_of_the_cluster_are_the_policys_to_retry(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    """Conflicts, lost connections and a busy bucket pass; the retry loads each row once."""
    set_environment(monkeypatch, **of_the_stand_in(stand_in))
    bench.spec(write_disposition="append")
    manager = seed(specs=str(bench.specs), password=stand_in.password, ssl=False)
    asset = returning(frame(), retry_policy=dg.RetryPolicy(max_retries=1))
    faults: list[Callable[[], object]] = [
        lambda: stand_in.faults.add("COPY", "instead", Error("XX000", "1023", "Serializable")),
        lambda: stand_in.faults.refuse_connections(1),
        lambda: stand_in.faults.s3_errors(operation="PutObject", by="client"),
    ]
    for at, fault in enumerate(faults, 1):
        fault()
        result = bench.run(asset, manager=manager)
        events = bench.steps(result.run_id)["s__t"]
        assert events == [EVENT.STEP_UP_FOR_RETRY, EVENT.STEP_SUCCESS], at
        assert len(stand_in.query("SELECT * FROM s.t")) == 2 * at


def test_the_users_own_errors_stay_the_users(bench: Bench) -> None:
    """What a stream raises is kept as it is, is the policy's to retry, and loads nothing."""
    bench.spec()
    bench.run(returning(frame()))
    attempts: list[int] = []

    def parts() -> Iterator[pd.DataFrame]:
        attempts.append(1)
        yield frame([(3, "c")])
        if len(attempts) < 3:
            raise ValueError("the upstream API has moved")
        yield frame([(4, "d")])

    asset = made(lambda _: dg.Output(parts()), retry_policy=dg.RetryPolicy(max_retries=1))
    down = reader(pd.DataFrame)
    result = bench.run(asset, down.asset, raise_on_error=False)
    assert bench.steps(result.run_id)["s__t"] == [EVENT.STEP_UP_FOR_RETRY, EVENT.STEP_FAILURE]
    (failed,) = [event for event in result.all_events if event.event_type == EVENT.STEP_FAILURE]
    error, chain = failed.step_failure_data.error, []
    while error is not None:
        chain.append(f"{error.cls_name}: {error.message}")
        error = error.cause
    assert "ValueError: ValueError: the upstream API has moved\n" in chain
    assert bench.rows() == ROWS
    assert not down.seen
    result = bench.run(asset)
    assert bench.rows() == [(3, "c"), (4, "d")]


@pytest.mark.parametrize("how", ["a failure for good", "a retry"])
def test_what_a_stream_asks_of_dagster_is_dagsters(bench: Bench, how: str) -> None:
    """A stream may raise `Failure` or `RetryRequested`, and they mean what they always mean."""
    bench.spec()
    attempts: list[int] = []

    def parts() -> Iterator[pd.DataFrame]:
        attempts.append(1)
        yield frame()
        if how == "a failure for good":
            raise dg.Failure("the source is gone", allow_retries=False)
        if len(attempts) < 2:
            raise dg.RetryRequested(max_retries=1)

    policy = dg.RetryPolicy(max_retries=2) if how == "a failure for good" else None
    asset = made(lambda _: dg.Output(parts()), retry_policy=policy)
    result = bench.run(asset, raise_on_error=False)
    events = bench.steps(result.run_id)["s__t"]
    if how == "a retry":
        assert events == [EVENT.STEP_UP_FOR_RETRY, EVENT.STEP_SUCCESS]
    else:
        assert events == [EVENT.STEP_FAILURE]


# Finding the spec.


def test_a_missing_spec_is_told_with_the_nearest(bench: Bench) -> None:
    """An asset without a spec is named, with the folder, the nearest keys, and how to make one."""
    bench.spec("nyc/flights")
    bench.spec("nyc/flight_days")
    failed = bench.fails(returning(frame(), "nyc/fligths"))
    assert "`nyc/fligths`" in failed.text
    assert str(bench.specs) in failed.text
    assert "did you mean `nyc/flights`" in failed.text
    assert "loader infer" in failed.text
    assert "nyc.fligths" in failed.metadata["next_step"]
    down = reader(pd.DataFrame, "nyc/fligths")
    failed = bench.fails(returning(frame(), "nyc/fligths").to_source_asset(), down.asset)
    assert "did you mean `nyc/flights`" in failed.text
    failed = bench.fails(returning(frame()), manager=bench.manager(specs="nowhere"))
    assert f"the folder {Path('nowhere').absolute()} does not exist" in failed.text
    assert not bench.database.exists()


def test_a_broken_spec_is_told_in_full(bench: Bench) -> None:
    """All that is wrong with the asset's spec, by line and column; others' faults are theirs."""
    bench.write("bad.yml", "schema: s\nname: t\ncolumns: [{name: Id, data_type: intger}]\n")
    bench.spec("s/good")
    down = reader(pd.DataFrame)
    for asset in (returning(frame()), returning(frame()).to_source_asset()):
        failed = bench.fails(asset, down.asset)
        assert "bad.yml:3:" in failed.text
        assert "intger" in failed.text
        assert "`id`" in failed.text
        assert len(failed.problems) == 2
        assert all("bad.yml:3:" in problem["file"] for problem in failed.problems)
    bench.run(returning(frame(), "s/good"))
    bench.write("bad.yml", "schema: [\n")
    assert "bad.yml:" in bench.fails(returning(frame())).text


def test_two_specs_of_one_key_are_an_error(bench: Bench) -> None:
    """Which of two specs is meant is nobody's guess: both files are named, nothing is loaded."""
    bench.spec(file="a.yml")
    bench.spec(file="b.yml", schema="other")
    failed = bench.fails(returning(frame()))
    assert "a.yml" in failed.text
    assert "b.yml" in failed.text
    assert not bench.database.exists()


KEYS = {
    "dashes-and.dots/a-b.c": ("dashes-and.dots", "a-b.c"),
    "Upper Case/My Table": ("upper case", "my table"),
    "quo'te/dou\"ble`tick": ("quo'te", 'dou"ble`tick'),
    "ünïcødé/表": ("ünïcødé", "表"),
    "per%cent/{{ brace }}": ("per%cent", "{{ brace }}"),
    "back\\slash/a;--b": ("back\\slash", "a;--b"),
    "select/from": ("select", "from"),
    "deep/er/and/deeper": ("deep_er", "deeper"),
}


@pytest.mark.parametrize("key", KEYS)
def test_any_asset_key_has_its_table(bench: Bench, key: str) -> None:
    """Keys with odd characters are found, loaded by partition, rerun, and read back."""
    schema, name = KEYS[key]
    bench.spec(key, schema=schema, name=name, file="odd.yml", **DAYS)
    asset = several(lambda context: [day_rows(context)], key, partitions_def=DAILY)
    down = reader(pl.DataFrame, key, partitions_def=DAILY)
    for keys in (("2024-01-01", "2024-01-03"), ("2024-01-02", "2024-01-02")):
        bench.run(asset, down.asset, keys=keys)
    assert down.value.rows() == [(jan(2), 2)]
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))
    assert len(bench.rows(quoted)) == 3


# Several at once.

WRITER = """
import sys
from datetime import date
import dagster as dg
import pyarrow as pa
from loader.dagster_io import DuckDBIOManager

folder, mine = sys.argv[1], sys.argv[2].split(",")
days = dg.DailyPartitionsDefinition("2024-01-01")

@dg.asset(key=["s", "t"], partitions_def=days)
def t(context):
    return pa.table({"day": [date.fromisoformat(context.partition_key)] * 1000, "v": range(1000)})

manager = DuckDBIOManager(database=f"{folder}/warehouse.duckdb", specs=f"{folder}/specs")
print("ready", flush=True)
sys.stdin.readline()
with dg.DagsterInstance.ephemeral() as instance:
    for key in mine:
        assert dg.materialize(
            [t], partition_key=key, resources={"io_manager": manager}, instance=instance
        ).success
"""


def test_two_processes_on_one_database_wait_for_each_other(bench: Bench) -> None:
    """Runs in two processes that write the same table at the same time both succeed."""
    bench.spec(**DAYS)
    shares = [",".join(f"2024-01-{day:02}" for day in range(first, 7, 2)) for first in (1, 2)]
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(bench.folder)]
    writers = [
        subprocess.Popen(
            [*command, share],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for share in shares
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(writer.communicate, "go\n", 90) for writer in writers]
            answers = [one.result() for one in waiting]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    for writer, answer in zip(writers, answers, strict=True):
        assert writer.returncode == 0, answer[1][-3_000:]
    counts = bench.sql("SELECT day, count(*) FROM s.t GROUP BY day ORDER BY day")
    assert counts == [(jan(day), 1000) for day in range(1, 7)]


def test_threads_on_one_database_take_turns(bench: Bench) -> None:
    """Two managers in one process, each in threads of its own, load every partition."""
    bench.spec(**DAYS)
    managers = [bench.manager(), bench.manager(memory_limit="512MB")]

    def load(day: int) -> None:
        with dg.build_output_context(
            asset_key=dg.AssetKey(["s", "t"]),
            asset_partitions_def=DAILY,
            partition_key=f"2024-01-0{day}",
        ) as context:
            rows = pa.table({"day": [jan(day)], "v": [day]})
            managers[day % 2].handle_output(context, rows)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load, [*range(1, 6), *range(1, 6)]))
    assert bench.rows() == [(jan(day), day) for day in range(1, 6)]


def test_a_database_that_a_thread_is_closing_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB says for a moment that the file is attached already, and that is waited out."""
    bench.spec()
    connect = duckdb.connect
    refused: list[Any] = []

    def busy(*given: Any, **more: Any) -> Any:
        if len(refused) < 2:
            refused.append(given)
            raise duckdb.ResourceInUseException(
                'Resource In Use Error: Unique file handle conflict: Cannot attach "warehouse" -'
                ' the database file "warehouse.duckdb" is already attached by database "warehouse"'
            )
        return connect(*given, **more)

    monkeypatch.setattr(duckdb, "connect", busy)
    result = bench.run(returning(frame()), raise_on_error=False)
    assert result.success
    assert len(refused) == 2
    assert bench.rows() == ROWS


def test_a_database_that_stays_held_may_pass(bench: Bench) -> None:
    """Who waits for another process in vain is told which, and a retry policy may try again."""
    bench.spec()
    bench.run(returning(frame()))
    script = (
        f"import duckdb, sys; held = duckdb.connect({str(bench.database)!r});"
        " print('held', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            with pytest.raises(ExecuteError, match=f"PID {holder.pid}"):
                bench.run(returning(frame([])), manager=bench.manager(lock_timeout=0.2))
        finally:
            holder.kill()
    assert bench.rows() == ROWS


def test_a_stream_that_is_not_read_to_its_end_holds_up_nothing(bench: Bench) -> None:
    """An asset may look at the beginning of an input's stream, and be loaded all the same."""
    bench.spec("s/t", columns={"id": "bigint"})
    bench.spec("s/u", columns={"id": "bigint"})

    opened: list[pa.RecordBatchReader] = []

    def first(t: pa.RecordBatchReader) -> Any:
        opened.append(t)
        return pa.table({"id": t.read_next_batch().column(0).slice(0, 1)})

    first.__annotations__["t"] = pa.RecordBatchReader
    del first.__annotations__["return"]
    downstream = dg.asset(key=["s", "u"], ins={"t": dg.AssetIn(["s", "t"])})(first)
    whole = returning(pa.table({"id": range(300_000)}))
    manager = bench.manager(lock_timeout=1)
    result = bench.run(whole, downstream, manager=manager, raise_on_error=False)
    for reader_ in opened:
        reader_.close()
    assert result.success
    assert len(bench.rows("s.u")) == 1


def test_a_stream_may_go_from_table_to_table(bench: Bench) -> None:
    """An input's stream is an output again, in constant memory, in the same database."""
    bench.spec("s/t", columns={"id": "bigint"})
    bench.spec("s/u", columns={"id": "bigint"})

    def through(t: pa.RecordBatchReader) -> Any:
        return t

    through.__annotations__["t"] = pa.RecordBatchReader
    del through.__annotations__["return"]
    downstream = dg.asset(key=["s", "u"], ins={"t": dg.AssetIn(["s", "t"])})(through)
    bench.run(returning(pa.table({"id": range(200_000)})), downstream)
    assert bench.sql("SELECT count(*), sum(id) FROM s.u") == [(200_000, 19_999_900_000)]


# Contexts that were built by hand, as unit tests do.


def test_contexts_by_hand_work(bench: Bench) -> None:
    """A unit test may call the manager with contexts that belong to no run."""
    bench.spec()
    bench.spec("s/days", **DAYS)
    manager = bench.manager()
    days = pa.table({"day": [jan(2)], "v": [2]})
    part: dict[str, Any] = {"asset_partitions_def": DAILY, "partition_key": "2024-01-02"}
    cases: list[tuple[str, dict[str, Any], Any]] = [("t", {}, frame()), ("days", part, days)]
    for name, options_, value in cases:
        key = dg.AssetKey(["s", name])
        with dg.build_output_context(asset_key=key, **options_) as output:
            manager.handle_output(output, value)
        assert len(bench.rows(f"s.{name}")) == len(value)
        with dg.build_input_context(asset_key=key, **options_) as context:
            assert len(manager.load_input(context)) == len(value)


def test_specs_are_read_once_in_a_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many assets a run makes and reads, the folder of specs is read once."""
    read: list[Path] = []

    def counted(folder: Path, root: Path, *, forks: bool) -> Catalog:
        read.append(folder)
        assert not forks, "Dagster's processes have threads"
        return read_catalog(folder, root)

    monkeypatch.setattr(project, "read_catalog", counted)
    for name in ("one", "two", "three"):
        bench.spec(f"s/{name}")
    assets = [returning(frame(), f"s/{name}") for name in ("one", "two", "three")]
    bench.run(*assets, reader(pd.DataFrame, "s/one").asset)
    assert len(read) == 1


def test_templates_and_a_ledger_are_the_managers_to_choose(bench: Bench) -> None:
    """A folder of templates is laid over Loader's own, and the ledger may be elsewhere or off."""
    bench.spec()
    verify = bench.folder / "sql" / "ansi" / "verify.sql.j2"
    verify.parent.mkdir(parents=True)
    own = (ROOT / "templates" / "ansi" / "verify.sql.j2").read_text()
    verify.write_text("-- verified our way\n" + own)
    manager = bench.manager(templates=str(bench.folder / "sql"), ledger_schema="")
    metadata = bench.metadata(bench.run(returning(frame()), manager=manager))
    assert "-- verified our way" in metadata["sql"]
    assert 'loads"' not in metadata["sql"]
    bench.run(returning(frame()), manager=bench.manager(ledger_schema="kept"))
    schemas = {row[0] for row in bench.sql("SELECT schema_name FROM duckdb_schemas()")}
    assert "kept" in schemas
    assert "loader" not in schemas


def test_a_run_warns_of_nothing(bench: Bench) -> None:
    """What a manager does leads to no warning of Dagster's, or of anybody's, in a user's logs."""
    bench.spec()
    down = reader(pd.DataFrame)
    bench.run(returning(frame()), down.asset)
    result = bench.run(returning(frame()), down.asset)
    assert result.success
