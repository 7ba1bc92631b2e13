"""This loader's staging to S3, of a table whose primary key it checks; no peer does that."""

from pathlib import Path
from typing import Any

from loader.plan.figures import Level
from loader.staging.stores.open import open_store
from tests.benchmarks.workers import bucket, harness, staging


def load(frame: Any, folder: Path, verify: Level = "values") -> None:
    """Stage the frame, and leave the files."""
    store = open_store(bucket.url(folder))
    staging.stage(frame, store, primary_key=staging.KEY, verify=verify)


if __name__ == "__main__":
    harness.main(load, bucket.count)
