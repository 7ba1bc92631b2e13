"""This loader's staging by the executors of a local Spark, to a folder: one for each core."""

import os
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from loader.executor.spark.load import stage_by_executors
from loader.staging.stores.local import FolderStore
from tests.benchmarks.workers import harness, staging


def load(frame: Any, folder: Path) -> None:
    """Stage the files of a dataset, which Spark reads, and note the rows."""
    rows = session().read.parquet(*frame.files)
    store = FolderStore(folder)
    spec, destination, options = staging.request(store)
    staging.note(stage_by_executors(spec, rows, destination, options), folder)


def session() -> SparkSession:
    """The session, with an executor process for each core; the warm-up starts it."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local-cluster[{os.cpu_count()},1,2048]")
    # Small enough that every core has work until the end.
    builder = builder.config("spark.sql.files.maxPartitionBytes", "8m")
    return builder.config("spark.ui.enabled", "false").getOrCreate()


if __name__ == "__main__":
    harness.main(load, staging.noted)
