"""This loader's staging to S3, of a table whose primary key it checks; no peer does that."""

from pathlib import Path
from typing import Any

from loader.stores import open_store
from tests.benchmarks.workers import bucket, harness, staging


def load(frame: Any, folder: Path) -> None:
    """Stage the frame, and leave the files."""
    staging.stage(frame, open_store(bucket.url(folder)), primary_key=staging.KEY)


if __name__ == "__main__":
    harness.main(load, bucket.count)
