"""The IO manager of dagster-duckdb-pandas, materializing an asset that returns the frame."""

from pathlib import Path

import dagster_duckdb_pandas as peer  # type: ignore[import-not-found]  # its environment has it
import pandas as pd
from dagster import asset, materialize

from tests.benchmarks.workers import harness


def load(frame: pd.DataFrame, folder: Path) -> None:
    """Materialize `tpch/lineitem` in this process."""

    @asset(key_prefix="tpch")
    def lineitem() -> pd.DataFrame:
        return frame

    manager = peer.DuckDBPandasIOManager(database=str(folder / "warehouse.duckdb"))
    materialize([lineitem], resources={"io_manager": manager})


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
