"""What a hand-written IO manager does to stage a pandas frame: a gzipped CSV file, and no copy."""

import gzip
from pathlib import Path
from typing import Any

from tests.benchmarks.workers import harness


def load(frame: Any, folder: Path) -> None:
    """Write the frame as pandas does by default."""
    frame.to_csv(folder / "lineitem.csv.gz", index=False, compression="gzip")


def count(folder: Path) -> int:
    """Count the lines below the header."""
    with gzip.open(folder / "lineitem.csv.gz", "rb") as file:
        return sum(1 for _ in file) - 1


if __name__ == "__main__":
    harness.main(load, count)
