"""This loader's staging to S3, as a load into Redshift does it before it runs COPY."""

from pathlib import Path
from typing import Any

from loader.conform import Layout
from loader.frames import open_frame
from loader.ingest import Destination, Ingested, ingest
from loader.plan import stage_prefix
from loader.spec import TableSpec
from loader.stores import Store, StoreOptions, open_store
from tests.benchmarks.workers import bucket, harness
from tests.benchmarks.workers.loader_api import SPECS

PRIMARY_KEY = ("l_orderkey", "l_linenumber")


def load(frame: Any, folder: Path) -> None:
    """Match, cast, check and stage the frame, and write the manifest."""
    stage(frame, open_store(bucket.url(folder), StoreOptions()))


def stage(frame: Any, store: Store) -> Ingested:
    """What `loader.load` does between its look at the warehouse and the transaction."""
    spec = _spec()
    prefix = stage_prefix(spec, "benchmark")
    return ingest(
        spec,
        open_frame(frame),
        Destination(store, prefix, f"rejects/{prefix}.parquet"),
        layout=Layout(tuple(column.name for column in spec.columns), documents="nested"),
    )


def _spec() -> TableSpec:
    """The spec with a primary key: no peer looks for duplicates, but a load into Redshift does."""
    import loader

    project = loader.Project(specs=SPECS, templates=None, root=SPECS)
    return project.spec("tpch/lineitem").model_copy(update={"primary_key": PRIMARY_KEY})


if __name__ == "__main__":
    harness.main(load, bucket.count)
