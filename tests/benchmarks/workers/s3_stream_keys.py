"""This loader's staging to an S3 server that keeps nothing, of a table with a primary key."""

from pathlib import Path
from typing import Any

from loader.staging.stores.open import open_store
from tests.benchmarks.workers import bucket, harness, staging


def load(frame: Any, folder: Path) -> None:
    """Stage the frame, and note the rows."""
    staging.note(
        staging.stage(frame, open_store(bucket.url(folder)), primary_key=staging.KEY), folder
    )


if __name__ == "__main__":
    harness.main(load, staging.noted)
