"""Writes jobs of many tables and many CSV files: for this loader, and the same for dlt and Sling.

`python -m tests.benchmarks.manyfiles sling FOLDER` writes one to look at.
"""

import sys
from pathlib import Path
from typing import Literal

JobForm = Literal["loader", "dlt", "sling"]

TABLES = 20
FILES = 100
"""Of each table."""
ROWS = 500
"""Of each file."""

_SPEC = """\
schema: s
name: {name}
write_disposition: append
columns:
  - {{name: id, data_type: bigint}}
  - {{name: day, data_type: date}}
  - {{name: what, data_type: varchar(20)}}
  - {{name: amount, data_type: "decimal(12,2)"}}
source: {{files: "data/{name}/*.csv", load: new}}
"""

_SETTINGS = """\
[targets.local]
type = "duckdb"
database = "warehouse.duckdb"
staging = "staging"
"""

_DLT = """\
from pathlib import Path

import dlt
from dlt.sources.filesystem import filesystem, read_csv


def table(folder):
    \"\"\"The files of a folder that are new since the last run, by their time.\"\"\"
    files = filesystem(
        bucket_url=folder.as_uri(),
        file_glob="*.csv",
        incremental=dlt.sources.incremental("modification_date"),
    )
    return (files | read_csv()).with_name(folder.name)


pipeline = dlt.pipeline(
    "job",
    pipelines_dir=str(Path("pipelines").absolute()),
    destination=dlt.destinations.duckdb("warehouse.duckdb"),
    dataset_name="s",
)
folders = sorted(Path("data").absolute().iterdir())
pipeline.run(
    [table(folder) for folder in folders],
    write_disposition="append",
    loader_file_format="parquet",
)
"""

_SLING_RUN = """\
import os
import subprocess
import sysconfig
from pathlib import Path

places = Path(sysconfig.get_paths()["purelib"])
home = Path("home").absolute()
for extension in places.glob("duckdb_extension_*/extensions/v*/*.duckdb_extension"):
    folder = home / ".duckdb/extensions" / extension.parent.name / "linux_amd64"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / extension.name).exists():
        (folder / extension.name).symlink_to(extension)
binary = places / "sling_linux_amd64/bin/sling-linux-amd64"
binary.chmod(0o755)
environment = {
    **os.environ,
    "HOME": str(home),
    "DUCKDB_PATH": str(Path(sysconfig.get_paths()["scripts"]) / "duckdb"),
    "WAREHOUSE": f"duckdb://{Path('warehouse.duckdb').absolute()}",
    "SLING_DISABLE_TELEMETRY": "true",
}
subprocess.run([binary, "run", "-r", "replication.yaml"], env=environment, check=True)
"""

_REPLICATION = """\
source: LOCAL
target: WAREHOUSE
defaults: {{mode: incremental, update_key: _sling_loaded_at}}
streams:
{streams}
"""


def write(form: JobForm, folder: Path) -> None:
    """Write the files, and what tells a program to load them."""
    for number in range(TABLES):
        name = f"t{number:02}"
        for file in range(FILES):
            path = folder / "data" / name / f"f{file:04}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("id,day,what,amount\n" + "".join(_rows(number, file)))
        if form == "loader":
            path = folder / "specs" / f"{name}.yml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(_SPEC.format(name=name))
    if form == "loader":
        (folder / "loader.toml").write_text(_SETTINGS)
    elif form == "dlt":
        (folder / "job.py").write_text(_DLT)
    else:
        (folder / "job.py").write_text(_SLING_RUN)
        streams = "\n".join(
            f"  'data/t{number:02}/*.csv': {{object: main.t{number:02}}}"
            for number in range(TABLES)
        )
        (folder / "replication.yaml").write_text(_REPLICATION.format(streams=streams))


def _rows(table: int, file: int) -> list[str]:
    first = file * ROWS
    return [
        f"{first + row},2026-01-{1 + row % 28:02},what {(table + row) % 97},{row / 7:.2f}\n"
        for row in range(ROWS)
    ]


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))  # type: ignore[arg-type]  # a person's words
