"""awswrangler to S3, with the arguments that its `redshift.copy` gives before it runs COPY."""

from pathlib import Path
from typing import Any

import awswrangler as wr  # type: ignore[import-not-found]  # the peer's environment has it

from tests.benchmarks.workers import bucket, harness


def load(frame: Any, folder: Path) -> None:
    """Stage the frame as a data set of snappy Parquet files."""
    wr.s3.to_parquet(
        df=frame,
        path=f"{bucket.url(folder)}/",
        index=False,
        dataset=True,
        mode="append",
        use_threads=True,
        max_rows_by_file=10_000_000,
    )


if __name__ == "__main__":
    harness.main(load, bucket.count)
