"""What a hand-written IO manager does for Redshift: a gzipped CSV in memory, and one request."""

import io
from pathlib import Path
from typing import Any

from tests.benchmarks.workers import bucket, harness


def load(frame: Any, folder: Path) -> None:
    """Write the frame as pandas does by default, and send it."""
    file = io.BytesIO()
    frame.to_csv(file, index=False, compression="gzip")
    key = f"{folder.name}/lineitem.csv.gz"
    bucket.client().put_object(Bucket=bucket.BUCKET, Key=key, Body=file.getvalue())


if __name__ == "__main__":
    harness.main(load, bucket.count)
