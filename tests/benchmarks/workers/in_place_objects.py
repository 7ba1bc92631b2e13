"""What Loader itself does of a load in place from S3 into Redshift: all but its statements.

It lists the objects, reads their footers, plans, writes the manifest, and looks for changes.
"""

import argparse
import json
import time
from pathlib import Path

from loader.data.in_place import InPlace
from loader.executor.in_place import Place, check_unchanged, ingest_in_place, inspect_files
from loader.executor.request import make_request
from loader.executor.stage import Destination
from loader.plan.load_plan import plan_load
from loader.plan.model import LoadRequest, StagedFacts
from loader.spec.diagnostics import diagnose
from loader.sql.renderer import Renderer
from loader.sql.templates import read_templates
from loader.staging.stores.open import open_store
from loader.warehouse.registry import get_adapter
from tests.benchmarks.workers.bucket import BUCKET

COLUMNS = {"id": "bigint", "day": "date", "v": "varchar(20)"}


def load(folder: Path, pattern: str) -> int:
    """Do it for all objects that match, and return their rows."""
    columns = [{"name": name, "data_type": kind} for name, kind in COLUMNS.items()]
    spec, _ = diagnose({"schema": "s", "name": "t", "columns": columns, "primary_key": ["id"]})
    assert spec is not None
    adapter = get_adapter("redshift")
    target = adapter.example_target()
    renderer = Renderer(read_templates(), adapter.dialect)
    request = make_request(spec, None, "one", full_refresh=False)
    files = InPlace((f"s3://{BUCKET}/lake/{pattern}",))
    found = inspect_files(spec, files, request, Place(adapter, renderer, target))
    store = open_store(str(folder))
    ingested = ingest_in_place(found, Destination(store, "t", "rejects"))
    staged = StagedFacts(found.rows, ingested.staged.bytes, len(found.staged))
    planned = LoadRequest(load_id="one", staged=staged, in_place=found.files)
    assert plan_load(spec, renderer, target, planned).statements
    check_unchanged(spec.table, found.located)
    return found.rows or 0


def main() -> None:
    """Time it after a warm-up with a few objects, and write what the clock says to `--result`."""
    imported = time.monotonic()
    parser = argparse.ArgumentParser()
    for name in ("folder", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    load(arguments.folder / "warm-up", "00000*.parquet")
    warm = time.monotonic()
    started = time.monotonic()
    rows = load(arguments.folder / "load", "*.parquet")
    finished = time.monotonic()
    result = {
        "imported": imported,
        "warm_up_seconds": warm - imported,
        "started": started,
        "finished": finished,
        "rows": rows,
    }
    arguments.result.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
