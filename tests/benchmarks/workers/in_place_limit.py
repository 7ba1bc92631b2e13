"""The limit of loads in place: DuckDB's own INSERT from the file, in one transaction, by hand."""

from pathlib import Path
from typing import Any

import duckdb

from tests.benchmarks.lineitem import CREATE_TABLE
from tests.benchmarks.workers import harness


def load(frame: Any, folder: Path) -> None:
    """Copy the files of a dataset into a new table."""
    with duckdb.connect(folder / "warehouse.duckdb") as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE SCHEMA tpch")
        connection.execute(CREATE_TABLE)
        connection.execute("INSERT INTO tpch.lineitem SELECT * FROM read_parquet(?)", [frame.files])
        connection.execute("COMMIT")


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
