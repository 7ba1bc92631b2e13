"""What Spark itself takes to hand rows to Python, and then as many single writers as cores."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.workers import harness, spark, spark_writers, staging


def load(frame: Any, folder: Path) -> None:
    """Let the executors count the rows that they get, then stage them without Spark."""
    rows = spark.session().read.parquet(*frame.files)
    rows.mapInArrow(_make_counter(), "rows bigint").collect()
    spark_writers.load(frame, folder)


def _make_counter() -> Any:
    # A closure, since executors cannot import this module.
    def count(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        total = sum(batch.num_rows for batch in batches)
        yield pa.RecordBatch.from_pydict({"rows": [total]})

    return count


if __name__ == "__main__":
    harness.main(load, staging.noted)
