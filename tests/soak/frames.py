"""Frames of all kinds with the rows of a job, and what may be wrong with them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from loader.data.files.open import open_files
from loader.data.in_place import InPlace
from loader.project import Project
from tests.soak.jobs import NAMES, SCHEMA, Job, Row
from tests.soak.journal import IN_PLACE

SCHEMA_OF_ROWS = pa.schema(
    [
        ("id", pa.int64()),
        ("p", pa.string()),
        ("number", pa.int32()),
        ("rank", pa.int32()),
        ("text", pa.string()),
        ("amount", pa.decimal128(18, 4)),
        ("at", pa.timestamp("us")),
        ("seen", pa.timestamp("us", "UTC")),
        ("flag", pa.bool_()),
    ]
)


class BrokenSourceError(Exception):
    """What a generator raises midway."""


def make_table(rows: Sequence[Row]) -> pa.Table:
    """Rows as an Arrow table."""
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns, SCHEMA_OF_ROWS, strict=True)
    ]
    return pa.table(arrays, schema=SCHEMA_OF_ROWS)


def make_pandas(table: pa.Table) -> pd.DataFrame:
    """A pandas frame with object columns, as people have them."""
    columns = {name: pd.Series(table[name].to_pylist(), dtype=object) for name in NAMES}
    return pd.DataFrame(columns)


def cut(table: pa.Table) -> Iterator[pa.Table]:
    """The table in up to four pieces."""
    step = max(1, -(-table.num_rows // 4))
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step)


def write_files(table: pa.Table, folder: Path) -> list[str]:
    """The table as Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, piece in enumerate(cut(table)):
        paths.append(str(folder / f"{place}.parquet"))
        pq.write_table(piece, paths[-1])
    return paths


def make_frames(project: Project, folder: Path) -> Mapping[str, Callable[[str, pa.Table], Any]]:
    """How each kind of frame is made of the name of its table and of its rows."""

    def open_parquet(name: str, table: pa.Table) -> Any:
        return open_files(write_files(table, folder), project.spec(f"{SCHEMA}/{name}").source)

    def in_place(_: str, table: pa.Table) -> Any:
        return InPlace(tuple(write_files(table, folder)), otherwise_stage=True)

    return {
        "Arrow": lambda _, table: table,
        "pandas": lambda _, table: make_pandas(table),
        "Polars": lambda _, table: pl.from_arrow(table),
        "lazy Polars": lambda _, table: pl.LazyFrame(pl.from_arrow(table)),
        "batches": lambda _, table: (b for piece in cut(table) for b in piece.to_batches()),
        "pandas pieces": lambda _, table: (make_pandas(piece) for piece in cut(table)),
        "a dataset": lambda _, table: ds.dataset(write_files(table, folder)),
        "files": open_parquet,
        IN_PLACE: in_place,
    }


def break_midway(table: pa.Table) -> Iterator[pa.Table]:
    """A generator that raises before its end."""
    pieces = list(cut(table))
    yield from pieces[: max(1, len(pieces) - 1)]
    raise BrokenSourceError("the source is gone")


def add_bad_rows(chance: random.Random, job: Job) -> list[Row]:
    """The rows of a job with those that do not fit among them."""
    rows = list(job.rows)
    for row in job.bad:
        rows.insert(chance.randrange(len(rows) + 1), row)
    return rows


def spoil(chance: random.Random, rows: list[Row]) -> list[Row]:
    """The rows with one whose text is longer than its column."""
    place, spoilt = chance.randrange(len(rows)), list(rows)
    row = list(spoilt[place])
    row[NAMES.index("text")] = "x" * 401
    spoilt[place] = tuple(row)
    return spoilt
