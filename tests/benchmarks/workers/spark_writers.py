"""As many single writers as there are cores: the tasks of Spark, without Spark."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from loader.executor.spark.load import make_settings
from loader.executor.spark.outcome import order_outcomes
from loader.executor.spark.task import TaskSettings, stage_partition
from loader.staging.stores.local import FolderStore
from tests.benchmarks.workers import harness, staging

_POOL: list[ProcessPoolExecutor] = []
"""The processes, which the warm-up starts."""


def load(frame: Any, folder: Path) -> None:
    """Stage the row groups of a file, each by one of the processes, and note the rows."""
    (path,) = frame.files
    groups = pq.read_metadata(path).num_row_groups
    if not _POOL:
        _POOL.append(ProcessPoolExecutor(os.cpu_count()))
    store = FolderStore(folder)
    spec, destination, options = staging.request(store)
    settings = make_settings(spec, frame.schema.names, destination, options, None)
    cores = os.cpu_count() or 1
    parts = [list(range(at, groups, cores)) for at in range(cores)]
    done = [_POOL[0].submit(_stage, settings, path, at, part) for at, part in enumerate(parts)]
    outcomes = order_outcomes(one.result() for one in done)
    rows = sum(outcome.tally.rows_kept for outcome in outcomes)
    (folder / "rows").write_text(str(rows))


def _stage(settings: TaskSettings, path: str, partition: int, groups: list[int]) -> bytes:
    # Batches as Spark makes them.
    batches = pq.ParquetFile(path).iter_batches(10_000, groups)
    (found,) = stage_partition(settings, partition, batches)
    outcome: bytes = found.column(0)[0].as_py()
    return outcome


if __name__ == "__main__":
    harness.main(load, staging.noted)
