"""This loader's IO manager, materializing an asset that returns the frame."""

from pathlib import Path

import pandas as pd
from dagster import asset, materialize

from loader.dagster_io import DuckDBIOManager
from tests.benchmarks.workers import harness
from tests.benchmarks.workers.loader_api import SPECS


def load(frame: pd.DataFrame, folder: Path) -> None:
    """Materialize `tpch/lineitem` in this process."""

    @asset(key_prefix="tpch")
    def lineitem() -> pd.DataFrame:
        return frame

    manager = DuckDBIOManager(database=str(folder / "warehouse.duckdb"), specs=str(SPECS))
    materialize([lineitem], resources={"io_manager": manager})


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
