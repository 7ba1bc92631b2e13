"""This loader's staging to S3, of a table without a primary key."""

from pathlib import Path
from typing import Any

from loader.stores import open_store
from tests.benchmarks.workers import bucket, harness, staging


def load(frame: Any, folder: Path) -> None:
    """Stage the frame, and leave the files."""
    staging.stage(frame, open_store(bucket.url(folder)))


if __name__ == "__main__":
    harness.main(load, bucket.count)
