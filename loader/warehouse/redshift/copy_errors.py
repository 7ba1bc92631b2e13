"""Finds the rows that COPY rejected, from the load error views and the staged files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, takewhile

import pyarrow as pa
import pyarrow.parquet as pq

from loader.errors import LoaderError
from loader.plan.model import Plan
from loader.sql.renderer import Renderer
from loader.staging.stores.base import Store
from loader.warehouse.base import Row, Session

MAX_ROWS = 5
"""The most rejected rows that are reported."""

_DELAYS = (0.0, 0.5, 1.5)
"""Seconds before each query, since system views lag behind (``SYS_LOAD_ERROR_DETAIL``)."""

_VIEWS = ("load_errors", "load_errors_stl")
"""Templates for the view of all warehouses, and for ``STL_LOAD_ERRORS`` of clusters."""


@dataclass(frozen=True)
class _RejectedRow:
    """One row that COPY rejected, from a system view."""

    file: str
    line: int
    column: str
    column_type: str
    reason: str
    value: str | None


def find_rejected_rows(
    session: Session, renderer: Renderer, plan: Plan, store: Store, message: str
) -> list[str]:
    """Find the rows that the session's failed COPY rejected; one line for each.

    The rows are those of the plan's files, whose names are unique. For Parquet, the views may be
    empty and only the message helps (``copy-usage_notes-copy-from-columnar``).
    """
    if "S3ServiceException" in message:
        return []
    return _rows_from_views(session, renderer, plan, store) or _rows_too_long(plan, store, message)


def _rows_from_views(session: Session, renderer: Renderer, plan: Plan, store: Store) -> list[str]:
    facts = {"prefix": _folder(plan), "limit": MAX_ROWS}
    for pause in _DELAYS:
        time.sleep(pause)
        for view in _VIEWS:
            found: list[Row] = []
            # A user may lack privileges on one view, or on both: the error message remains.
            with suppress(LoaderError):
                found = session.execute(renderer.render(view, facts).sql)
            if found:
                return [_format_row(_RejectedRow(*row), plan, store) for row in found]
    return []


def _folder(plan: Plan) -> str:
    """The folder that all files of a load are in."""
    if plan.in_place is None:
        return plan.stage.prefix
    uris = plan.in_place.uris
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*uris, strict=False))
    return uris[0][: len(list(same))].rpartition("/")[0]


def _rows_too_long(plan: Plan, store: Store, message: str) -> list[str]:
    """Find the first staged value that is too long for the column that COPY names."""
    match = _LENGTH.search(message)
    if match is None or match["column"] not in plan.stage.columns:
        return []
    with suppress(LoaderError, OSError, ValueError, pa.ArrowException):
        for key, _ in store.list(plan.stage.prefix.removeprefix(f"{store.root}/")):
            if "/part-" in key:
                values = _read_column(store.read(key), plan, match["column"])
                for row, value in enumerate(values, 1):
                    if len(str(value or "").encode()) > int(match["limit"]):
                        rejected = _RejectedRow(key, row, match["column"], "", match[0], str(value))
                        return [_format_row(rejected, plan, store)]
    return []


_LENGTH = re.compile(
    r"length of the data column \W?(?P<column>\w+)\W? is longer than the length defined in the"
    r" table\. Table: (?P<limit>\d+), Data: \d+"
)


def _format_row(rejected: _RejectedRow, plan: Plan, store: Store) -> str:
    file = rejected.file.strip()
    header = 1 if plan.stage.format == "csv" and plan.in_place is None else 0
    row = rejected.line - header
    value = rejected.value and rejected.value.strip()
    if not value and plan.in_place is None:
        value = _staged_value(store, file, row, rejected.column.strip(), plan)
    shown = "" if value is None else f"{value[:80]!r}: "
    kind = f" {rejected.column_type.strip()}" if rejected.column_type.strip() else ""
    place = f"{file.rpartition('/')[2]} row {row:,}, {rejected.column.strip()}{kind}"
    return f"{place}: {shown}{rejected.reason.strip()}"


def _staged_value(store: Store, file: str, row: int, column: str, plan: Plan) -> str | None:
    """The value in the staged file, as text; None when it cannot be found."""
    if row < 1 or column not in plan.stage.columns:
        return None
    try:
        data = store.read(file.removeprefix(f"{store.root}/"))
        values = list(islice(_read_column(data, plan, column), row - 1, row))
    except (LoaderError, OSError, ValueError, pa.ArrowException):
        return None
    return None if not values or values[0] is None else str(values[0])


def _read_column(data: bytes, plan: Plan, column: str) -> Iterator[object]:
    """Yield the values of one column of a staged file."""
    if plan.stage.format == "parquet":
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(columns=[column]):
            yield from batch.column(0).to_pylist()
        return
    lines = io.TextIOWrapper(
        io.BytesIO(_decompress(data, plan.stage.compression)), "utf-8", newline=""
    )
    if plan.stage.format == "csv":
        rows: Iterator[Sequence[str]] = csv.reader(lines)
        at = next(rows).index(column)
        yield from (row[at] for row in rows)
        return
    yield from (json.loads(line).get(column) for line in lines)


def _decompress(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        return bytes(pa.input_stream(io.BytesIO(data), compression="zstd").read())
    return data
