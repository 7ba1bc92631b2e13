"""This loader, through the Python interface, into embedded DuckDB."""

from pathlib import Path
from typing import Any

import loader
from loader.plan.figures import Level
from tests.benchmarks.workers import harness

SPECS = Path(__file__).parents[1] / "specs"


def load(frame: Any, folder: Path, verify: Level = "values") -> None:
    """Load the frame through the spec `tpch/lineitem`."""
    target = {
        "type": "duckdb",
        "database": str(folder / "warehouse.duckdb"),
        "staging": str(folder / "staging"),
    }
    project = loader.Project(
        specs=SPECS, templates=None, root=folder, targets={"local": target}, target="local"
    )
    spec = project.spec("tpch/lineitem").model_copy(update={"verify": verify})
    project.load(spec, frame)


if __name__ == "__main__":
    harness.main(load, harness.count_in_duckdb)
