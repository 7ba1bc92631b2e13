"""The example tables as Dagster assets, in embedded DuckDB:

    uv run dagster dev -f specs/nyc/definitions.py

With NYC_WAREHOUSE=redshift they go to the cluster that AWS_REDSHIFT_* names instead.
"""  # noqa: D415  # the line to run ends the sentence

import os
from pathlib import Path

import dagster as dg
import pandas as pd

import loader
from loader.dagster_io import (
    DuckDBIOManager,
    RedshiftIOManager,
    asset_checks,
    partitions_def,
    with_specs,
)

HERE = Path(__file__).parent
SPECS = str(HERE.parent)
project = loader.Project(specs=SPECS)


@dg.asset(
    key=["nyc", "flights"],
    partitions_def=partitions_def(project.spec("nyc/flights")),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def flights(context: dg.AssetExecutionContext) -> pd.DataFrame:
    # All days of the run, however many, are one load. The description is the spec's.
    frame = pd.read_csv(HERE / "data/flights-2013-01.csv.gz")
    return frame[frame["flight_date"].isin(context.partition_keys)]


@dg.asset(
    key=["nyc", "weather"],
    partitions_def=partitions_def(project.spec("nyc/weather")),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def weather(context: dg.AssetExecutionContext) -> pd.DataFrame:
    frame = pd.read_csv(HERE / "data/weather.csv.gz", parse_dates=["time_hour"])
    months = frame["time_hour"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m-01")
    return frame[months.isin(context.partition_keys)]


def table(name: str) -> dg.AssetsDefinition:
    """One of the tables that are replaced whole."""

    @dg.asset(key=["nyc", name])
    def whole() -> pd.DataFrame:
        return pd.read_csv(HERE / f"data/{name}.csv")

    return whole


@dg.asset(
    key=["nyc", "delays"],
    partitions_def=partitions_def(project.spec("nyc/flights")),
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata={"partition_expr": "flight_date"},
    ins={
        "flights": dg.AssetIn(
            ["nyc", "flights"], metadata={"columns": ["flight_date", "carrier", "dep_delay"]}
        ),
        "airlines": dg.AssetIn(["nyc", "airlines"]),
    },
)
def delays(flights: pd.DataFrame, airlines: pd.DataFrame) -> pd.DataFrame:
    """Mean delay of each airline and day. It has no spec: its columns are as its data suggests."""
    late = flights.groupby(["flight_date", "carrier"], as_index=False)["dep_delay"].mean()
    return late.merge(airlines, on="carrier")


if os.environ.get("NYC_WAREHOUSE") == "redshift":
    warehouse: dg.ConfigurableIOManager = RedshiftIOManager(
        host=dg.EnvVar("AWS_REDSHIFT_HOST"),
        database=dg.EnvVar("AWS_REDSHIFT_DATABASE"),
        user=dg.EnvVar("AWS_REDSHIFT_USER"),
        password=dg.EnvVar("AWS_REDSHIFT_PASSWORD"),
        s3_iam_role=dg.EnvVar("AWS_REDSHIFT_S3_IAM_ROLE"),
        bucket_name=dg.EnvVar("AWS_REDSHIFT_BUCKET_NAME"),
        specs=SPECS,
        on_missing_spec="infer",
    )
else:
    warehouse = DuckDBIOManager(
        database=str(HERE.parents[1] / ".loader" / "dagster.duckdb"),
        specs=SPECS,
        on_missing_spec="infer",
    )

defs = with_specs(
    dg.Definitions(
        assets=[flights, weather, *map(table, ["airlines", "airports", "planes"]), delays],
        asset_checks=asset_checks(project, ["nyc/*"]),
        resources={"io_manager": warehouse},
    ),
    project,
)
