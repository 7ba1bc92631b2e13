"""What all workers share: read the frame, warm up, time one load, report it.

A worker calls `main` with its `load(frame, folder)` and its `count(folder)`. Of this package it may
import only the harness and `lineitem`, for it can run where nothing but the peer is installed.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq


def main(load: Callable[[Any, Path], None], count: Callable[[Path], int]) -> None:
    """Time one load after a small one, and write what clock and table say to `--result`."""
    imported = time.monotonic()
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    for name in ("data", "sample", "folder", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()

    load(open_frame(arguments.source, arguments.sample), _new(arguments.folder / "warm-up"))
    warm = time.monotonic()
    frame = open_frame(arguments.source, arguments.data)
    folder = _new(arguments.folder / "load")

    started = time.monotonic()
    load(frame, folder)
    finished = time.monotonic()

    result = {
        "imported": imported,
        "warm_up_seconds": warm - imported,
        "started": started,
        "finished": finished,
        "rows": count(folder),
    }
    arguments.result.write_text(json.dumps(result))


def open_frame(source: str, path: Path) -> Any:
    """Make the frame that a load starts from: in memory, but for `dataset` and `stream`."""
    match source:
        case "arrow":
            return pq.read_table(path)
        case "pandas":
            return pq.read_table(path).to_pandas()
        case "polars":
            import polars as pl  # the peers' environments lack it

            return pl.read_parquet(path)
        case "dataset":
            return ds.dataset(path)
        case "stream":
            file = pq.ParquetFile(path, pre_buffer=False)  # or it keeps all it has read
            batches = file.iter_batches(batch_size=122_880)
            return pa.RecordBatchReader.from_batches(file.schema_arrow, batches)
    raise ValueError(f"unknown source `{source}`")


def count_in_duckdb(folder: Path) -> int:
    """Count the rows of `tpch.lineitem` in the database that a worker left in its folder."""
    import duckdb  # those that stage only may lack it

    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM tpch.lineitem").fetchall()[0]
    return int(rows)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
