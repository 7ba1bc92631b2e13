"""Why COPY refused staged rows: what the warehouse noted, and the values it is about."""

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
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from loader.errors import LoaderError
from loader.plan.model import Plan
from loader.sql.renderer import Renderer
from loader.staging.stores.base import Store
from loader.warehouse.base import Row, Session

SHOWN = 5
"""Refused rows that are told."""

_PATIENCE = (0.0, 0.5, 1.5)
"""Seconds before each look: system views lag behind (``SYS_LOAD_ERROR_DETAIL``)."""

_VIEWS = ("load_errors", "load_errors_stl")
"""Templates over the view of every warehouse, and over ``STL_LOAD_ERRORS`` of clusters."""


@dataclass(frozen=True)
class _Noted:
    """One row that COPY refused, as a system view tells it."""

    file: str
    line: int
    column: str
    column_type: str
    reason: str
    value: str | None


def refused_rows(
    session: Session, renderer: Renderer, plan: Plan, store: Store, message: str
) -> list[str]:
    """What the session's failed COPY noted, a line for each row; nothing when it noted none.

    The rows are those of the plan's own files, whose names no other load has. Of Parquet the
    message itself may be all there is (``copy-usage_notes-copy-from-columnar``).
    """
    if "S3ServiceException" in message:
        return []
    return _noted_rows(session, renderer, plan, store) or _too_long(plan, store, message)


def _noted_rows(session: Session, renderer: Renderer, plan: Plan, store: Store) -> list[str]:
    facts = {"prefix": plan.stage.prefix, "limit": SHOWN}
    for pause in _PATIENCE:
        time.sleep(pause)
        for view in _VIEWS:
            found: list[Row] = []
            # Who may not see one view may see the other; and who sees none has the message still.
            with suppress(LoaderError):
                found = session.execute(renderer.render(view, facts).sql)
            if found:
                return [_told(_Noted(*row), plan, store) for row in found]
    return []


def _too_long(plan: Plan, store: Store, message: str) -> list[str]:
    """The first staged value of a column that COPY found too long for the table."""
    told = _LENGTH.search(message)
    if told is None or told["column"] not in plan.stage.columns:
        return []
    with suppress(LoaderError, OSError, ValueError, pa.ArrowException):
        for key, _ in store.list(plan.stage.prefix.removeprefix(f"{store.root}/")):
            if "/part-" in key:
                values = _values(store.read(key), plan, told["column"])
                for row, value in enumerate(values, 1):
                    if len(str(value or "").encode()) > int(told["limit"]):
                        noted = _Noted(key, row, told["column"], "", told[0], str(value))
                        return [_told(noted, plan, store)]
    return []


_LENGTH = re.compile(
    r"length of the data column \W?(?P<column>\w+)\W? is longer than the length defined in the"
    r" table\. Table: (?P<limit>\d+), Data: \d+"
)


def _told(noted: _Noted, plan: Plan, store: Store) -> str:
    file = noted.file.strip()
    header = 1 if plan.stage.format == "csv" else 0
    row = noted.line - header
    value = noted.value and noted.value.strip()
    if not value:
        value = _staged_value(store, file, row, noted.column.strip(), plan)
    shown = "" if value is None else f"{value[:80]!r}: "
    kind = f" {noted.column_type.strip()}" if noted.column_type.strip() else ""
    place = f"{file.rpartition('/')[2]} row {row:,}, {noted.column.strip()}{kind}"
    return f"{place}: {shown}{noted.reason.strip()}"


def _staged_value(store: Store, file: str, row: int, column: str, plan: Plan) -> str | None:
    """The value in the staged file, as text; None when it cannot be found again."""
    if row < 1 or column not in plan.stage.columns:
        return None
    try:
        data = store.read(file.removeprefix(f"{store.root}/"))
        values = list(islice(_values(data, plan, column), row - 1, row))
    except (LoaderError, OSError, ValueError, pa.ArrowException):
        return None
    return None if not values or values[0] is None else str(values[0])


def _values(data: bytes, plan: Plan, column: str) -> Iterator[object]:
    """A column of a staged file, value by value."""
    if plan.stage.format == "parquet":
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(columns=[column]):
            yield from batch.column(0).to_pylist()
        return
    lines = io.TextIOWrapper(io.BytesIO(_plain(data, plan.stage.compression)), "utf-8", newline="")
    if plan.stage.format == "csv":
        rows: Iterator[Sequence[str]] = csv.reader(lines)
        at = next(rows).index(column)
        yield from (row[at] for row in rows)
        return
    yield from (json.loads(line).get(column) for line in lines)


def _plain(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        return bytes(pa.input_stream(io.BytesIO(data), compression="zstd").read())
    return data
