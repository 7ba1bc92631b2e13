"""The cache folder: environments of the peers and generated data, both made on first use."""

import hashlib
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tests.benchmarks import manyfiles, manyspecs
from tests.benchmarks.lineitem import SCHEMA

ENVIRONMENTS = {
    "tpchgen": ("tpchgen-cli==4.0.0",),
    "dlt": ("dlt[duckdb,parquet]==1.31.0", "duckdb==2.0.0", "pandas==3.1.1", "pyarrow==26.0.1"),
    # Not the newest pandas: dagster-duckdb-pandas asks for one before 3.
    "dagster": (
        "dagster-duckdb-pandas==0.29.27",
        "dagster==1.13.27",
        "duckdb==2.0.0",
        "pandas==2.3.3",
        "pyarrow==26.0.1",
    ),
    # Not the newest dbt: it needs a parser that is built from a download of its own.
    "dbt": ("dbt-core==1.11.16", "dbt-duckdb==1.11.1", "duckdb==2.0.0"),
    # Not the newest PyArrow: awswrangler asks for one before 26.
    "awswrangler": (
        "awswrangler==3.17.1",
        "boto3==1.44.5",
        "pandas==3.1.1",
        "pyarrow==25.0.1",
    ),
    # The last one with a binary on PyPI; it runs the command line of DuckDB, with two extensions.
    "sling": (
        "sling-linux-amd64==1.4.11",
        "duckdb-cli==1.5.5",
        "duckdb-extension-json==1.5.5",
        "duckdb-extension-httpfs==1.5.5",
    ),
}
"""What each environment holds besides what these need."""

ROWS_PER_SCALE = 6_000_000
"""Line items per TPC-H scale factor, nearly."""


def folder() -> Path:
    """The folder where everything is kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "loader-benchmarks"


def python(environment: str | None) -> Path:
    """The interpreter of an environment, which is made when missing; `None` is this one."""
    if environment is None:
        return Path(sys.executable)
    pins = ENVIRONMENTS[environment]
    digest = hashlib.sha256("\n".join((sys.version, *pins)).encode()).hexdigest()[:8]
    home = folder() / "environments" / f"{environment}-{digest}"
    interpreter = home / "bin" / "python"
    ready = home / ".ready"
    if not ready.exists():
        _say(f"making the environment `{environment}`: {', '.join(pins)}")
        _run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(home))
        _run("uv", "pip", "install", "--quiet", "--python", str(interpreter), *pins)
        ready.touch()
    return interpreter


def generated(rows: int) -> Path:
    """A file of about so many line items, just as `tpchgen-cli` writes it."""
    scale = f"{math.ceil(rows / ROWS_PER_SCALE * 100) / 100:.2f}"
    home = folder() / "data" / f"scale-{scale}"
    path = home / "lineitem.parquet"
    if not path.exists():
        _say(f"generating line items of TPC-H scale factor {scale}")
        part = home.with_suffix(".part")
        tool = python("tpchgen").with_name("tpchgen-cli")
        options = ("--scale-factor", scale, "--tables", "lineitem", "--overwrite")
        _run(str(tool), "parquet", *options, f"--output-dir={part}")
        part.rename(home)
    return path


def exactly(rows: int) -> Path:
    """A file of exactly so many line items, with plain strings, which every peer can read."""
    path = folder() / "data" / f"lineitem-{rows}.parquet"
    if not path.exists():
        table = ds.dataset(generated(rows + rows // 100 + 1000)).head(rows).cast(SCHEMA)
        if table.num_rows != rows:
            raise RuntimeError(f"expected {rows} line items, got {table.num_rows}")
        part = path.with_suffix(".part")
        pq.write_table(table, part, row_group_size=131_072)
        part.rename(path)
    return path


def project(form: manyspecs.Form, tables: int) -> Path:
    """A project of so many tables, in the form of a program."""
    source = Path(manyspecs.__file__).read_bytes()
    digest = hashlib.sha256(source).hexdigest()[:8]
    path = folder() / "projects" / f"{form}-{tables}-{digest}"
    if not path.exists():
        _say(f"writing a {form} project of {tables:,} tables")
        part = path.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        manyspecs.write(form, part, tables)
        part.rename(path)
    return path


def job(form: manyfiles.JobForm) -> Path:
    """The job of many files, in the form of a program; a run needs a copy of it."""
    source = Path(manyfiles.__file__).read_bytes()
    path = folder() / "jobs" / f"{form}-{hashlib.sha256(source).hexdigest()[:8]}"
    if not path.exists():
        _say(f"writing the job of many files for {form}")
        part = path.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        manyfiles.write(form, part)
        part.rename(path)
    return path


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
