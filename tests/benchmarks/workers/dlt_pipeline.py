"""dlt into DuckDB, staged as Parquet, the table replaced."""

from pathlib import Path
from typing import Any

import dlt  # type: ignore[import-not-found]  # the peer's environment has it

from tests.benchmarks.workers import harness


def load(frame: Any, folder: Path) -> None:
    """Extract, normalize and load the frame in one run of a new pipeline."""
    pipeline = dlt.pipeline(
        "lineitem",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "warehouse.duckdb")),
        dataset_name="tpch",
    )
    pipeline.run(
        frame,
        table_name="lineitem",
        write_disposition="replace",
        loader_file_format="parquet",
    )


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
