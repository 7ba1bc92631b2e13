"""Finds the rows that a load has set aside, and reads them back."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from loader.data.cast.report import list_reasons
from loader.errors import StageError
from loader.executor.check_results import HIDDEN
from loader.executor.rejects import REASONS
from loader.plan.model import stage_prefix
from loader.spec.model import TableSpec
from loader.staging.stores.base import Store, StoredFile


@dataclass(frozen=True)
class RejectedRows:
    """The rows that one run of a load has set aside."""

    location: str
    """Their Parquet file, or the folder of several."""
    load_id: str
    """As it is in the location: without what no path takes."""
    written: datetime
    """When the run wrote the last of them, in UTC."""
    total: int
    reasons: tuple[Mapping[str, str | int], ...]
    """Why, the most frequent reason first: ``column``, ``reason`` and ``rows``."""
    rows: tuple[Mapping[str, str | int | None], ...]
    """The first of them: ``_origin``, ``_row``, ``_reason``, and the data as text; values of
    columns with a classification are hidden."""

    def to_dict(self) -> dict[str, object]:
        """They as JSON-ready data."""
        return {**asdict(self), "written": self.written.isoformat()}


def find_rejects(
    spec: TableSpec, store: Store, load_id: str | None = None, limit: int = 20
) -> RejectedRows | None:
    """The rows that the last run with rejected rows has set aside; None when there is none.

    Args:
        spec: The table.
        store: The staging location.
        load_id: Of this load only.
        limit: The most rows to read.

    Raises:
        StageError: the files cannot be listed or read.
    """
    table = stage_prefix(spec, load_id or "-", "-").split("/")
    prefix = "/".join(["rejects", *table[: 2 if load_id else 1]])
    runs: dict[str, list[StoredFile]] = {}
    for file in store.files(prefix):
        runs.setdefault(file.key.rpartition("/")[0], []).append(file)
    if not runs:
        return None
    files = max(runs.values(), key=lambda some: max(file.changed for file in some))
    found = _read(store, sorted(files, key=lambda file: file.key), limit)
    return replace(found, rows=tuple(_hide(row, spec) for row in found.rows))


def _read(store: Store, files: list[StoredFile], limit: int) -> RejectedRows:
    folder = files[0].key.rpartition("/")[0]
    total, reasons, rows = 0, Counter[tuple[str, str]](), list[Mapping[str, Any]]()
    for file in files:
        try:
            with pq.ParquetFile(io.BytesIO(store.read(file.key))) as found:
                total += found.metadata.num_rows
                reasons.update(_read_reasons(found.metadata.metadata or {}))
                for batch in found.iter_batches(batch_size=1_000):
                    if len(rows) >= limit:
                        break
                    rows += batch.slice(0, limit - len(rows)).to_pylist()
        except (OSError, ValueError) as error:
            raise StageError(f"{store.uri(file.key)} cannot be read: {error}") from error
    return RejectedRows(
        location=store.uri(files[0].key if len(files) == 1 else folder),
        load_id=folder.split("/")[2],
        written=datetime.fromtimestamp(max(file.changed for file in files), UTC),
        total=total,
        reasons=tuple(list_reasons(reasons)),
        rows=tuple(rows),
    )


def _hide(row: Mapping[str, Any], spec: TableSpec) -> Mapping[str, Any]:
    """The row without values of columns that have a classification."""
    shown = dict(row)
    for column in spec.columns:
        if column.classification:
            names = (column.name, spec.source.columns.get(column.name), *column.renamed_from)
            known = {name.casefold() for name in names if name}
            shown |= {name: HIDDEN for name in row if name.casefold() in known}
            told = rf"(^|; ){re.escape(column.name)}: .*?(?=; \S+: |$)"
            shown["_reason"] = re.sub(
                told, rf"\1{column.name}: {HIDDEN}", shown["_reason"], flags=re.DOTALL
            )
    return shown


def _read_reasons(metadata: Mapping[bytes, bytes]) -> dict[tuple[str, str], int]:
    told: Iterable[Mapping[str, Any]] = json.loads(metadata.get(REASONS.encode(), b"[]"))
    return {(one["column"], one["reason"]): one["rows"] for one in told}
