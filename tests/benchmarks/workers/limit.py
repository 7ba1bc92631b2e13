"""The limit: Arrow → snappy Parquet file → DuckDB table in one transaction, written by hand."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.lineitem import CREATE_TABLE, SCHEMA
from tests.benchmarks.workers import harness

ROW_GROUP = 122_880
"""DuckDB's own size: it reads a row group on one core, so PyArrow's million rows use only one."""


def load(frame: Any, folder: Path) -> None:
    """Stage the frame in one file and copy it into a new table."""
    staged = folder / "lineitem.parquet"
    write(frame, staged)
    with duckdb.connect(folder / "warehouse.duckdb") as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE SCHEMA tpch")
        connection.execute(CREATE_TABLE)
        connection.execute("INSERT INTO tpch.lineitem SELECT * FROM read_parquet(?)", [str(staged)])
        connection.execute("COMMIT")
    staged.unlink()


def write(frame: Any, staged: Path) -> None:
    """Write a table, a pandas frame or a stream of batches as one Parquet file."""
    if isinstance(frame, pa.RecordBatchReader):
        with pq.ParquetWriter(staged, frame.schema, compression="snappy") as writer:
            for batch in frame:
                writer.write_batch(batch, row_group_size=ROW_GROUP)
        return
    if not isinstance(frame, pa.Table):
        frame = pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False)
    pq.write_table(frame, staged, compression="snappy", row_group_size=ROW_GROUP)


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
