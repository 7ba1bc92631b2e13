"""This loader's staging by itself, as a load into Redshift does it before it runs COPY."""

from pathlib import Path
from typing import Any

import loader
from loader.data.cast.layout import Layout
from loader.data.frames import open_frame
from loader.executor.stage import Destination, Ingested, StageOptions, ingest
from loader.plan.figures import Level, figures_of
from loader.plan.model import stage_prefix
from loader.spec.model import TableSpec
from loader.staging.stores.base import Store
from loader.warehouse.registry import get_adapter
from tests.benchmarks.workers.loader_api import SPECS

KEY = ("l_orderkey", "l_linenumber")


def stage(
    frame: Any, store: Store, *, primary_key: tuple[str, ...] = (), verify: Level = "values"
) -> Ingested:
    """What happens between the look at the warehouse and the transaction, as the load has it.

    Rows are matched, cast and checked, keys compared if the spec is given one, figures collected,
    files and manifest written.
    """
    spec, destination, options = request(store, primary_key=primary_key, verify=verify)
    return ingest(spec, open_frame(frame), destination, options)


def request(
    store: Store, *, primary_key: tuple[str, ...] = (), verify: Level = "values"
) -> tuple[TableSpec, Destination, StageOptions]:
    """What is staged, where, and how."""
    project = loader.Project(specs=SPECS, templates=None, root=SPECS)
    spec = project.spec("tpch/lineitem").model_copy(update={"primary_key": primary_key})
    prefix = stage_prefix(spec, "benchmark", "run")
    return (
        spec,
        Destination(store, prefix, f"rejects/{prefix}/rejects.parquet"),
        StageOptions(
            layout=Layout(tuple(column.name for column in spec.columns), documents="nested"),
            figures=lambda columns: figures_of(
                [(column.name, column.data_type) for column in columns],
                get_adapter("redshift").dialect,
                verify,
            ),
        ),
    )


def note(ingested: Ingested, folder: Path) -> None:
    """Note the rows that were staged where nobody could count them afterwards."""
    (folder / "rows").write_text(str(ingested.staged.rows))


def noted(folder: Path) -> int:
    """What was noted."""
    return int((folder / "rows").read_text())
