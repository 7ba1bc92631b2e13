"""This loader into embedded DuckDB, from the file where it lies."""

from pathlib import Path
from typing import Any

import loader
from tests.benchmarks.workers import harness, loader_api


def load(frame: Any, folder: Path) -> None:
    """Load the files of a dataset through the spec `tpch/lineitem`."""
    loader_api.load(loader.InPlace(tuple(frame.files)), folder)


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
