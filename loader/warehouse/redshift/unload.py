"""Reads large slices with UNLOAD: Parquet files on S3 that are streamed, then deleted."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.errors import ExecuteError
from loader.sql.renderer import Sql, Table
from loader.staging.int96 import UNIT
from loader.staging.stores.base import Store
from loader.warehouse.adapter import Read
from loader.warehouse.base import Session, as_whole_number
from loader.warehouse.redshift.settings import RedshiftTarget

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Unload:
    """A read of a slice with UNLOAD."""

    read: Read
    settings: RedshiftTarget

    def is_worth_it(self, session: Session) -> bool:
        """Whether the slice has more rows than `unload_rows` of the settings."""
        ((rows,),) = session.execute(self._render("count", self._template_facts()))
        number = as_whole_number(rows)
        return number is None or number > self.settings.unload_rows

    def batches(self, session: Session) -> Generator[pa.RecordBatch, None, None]:
        """Unload the slice and stream its files.

        Raises:
            ExecuteError: UNLOAD failed, or its manifest does not match the files.
            StageError: the bucket cannot be read.
        """
        store = self.read.open_store()
        # The URL ends with a slash; otherwise UNLOAD would append the file names to it.
        prefix = f"unload/{self.read.spec.table}/{uuid.uuid4()}"
        facts = {
            "query": Sql(self._render("select_unload", self._template_facts())),
            "url": f"{store.uri(prefix)}/",
            "load": {"iam_role": self.settings.iam_role},
        }
        try:
            session.execute(self._render("unload", facts))
            for key, rows in _read_manifest(store, prefix):
                content = io.BytesIO(store.read(key))
                file = pq.ParquetFile(content, coerce_int96_timestamp_unit=UNIT)
                if rows is not None and file.metadata.num_rows != rows:
                    raise ExecuteError(
                        f"{store.uri(key)} has {file.metadata.num_rows:,} rows, but the manifest of"
                        f" UNLOAD has {rows:,}"
                    )
                for batch in file.iter_batches(BATCH_ROWS):
                    yield self._convert(batch)
        finally:
            store.delete(prefix)

    def _convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Convert columns that are unloaded as text to their types."""
        names, types = self.read.schema.names, self.read.spec.by_name
        columns = [
            _CONVERSIONS.get(types[name].data_type.name, _keep_unchanged)(column)
            for name, column in zip(names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)

    def _render(self, template: str, facts: Mapping[str, Any]) -> str:
        return self.read.renderer.render(template, facts).sql

    def _template_facts(self) -> dict[str, Any]:
        spec = self.read.spec
        return {
            "table": Table(spec.schema_name, spec.name),
            "columns": tuple(spec.by_name[name] for name in self.read.schema.names),
            "slice": self.read.slice,
        }


def _read_manifest(store: Store, prefix: str) -> list[tuple[str, int | None]]:
    """The keys of the unloaded files with their row counts, from the manifest."""
    manifest = json.loads(store.read(f"{prefix}/manifest"))
    listed = dict(store.list(prefix))
    found = []
    for entry in manifest["entries"]:
        key = entry["url"].removeprefix(f"{store.root}/")
        meta = entry.get("meta", {})
        if listed.get(key) is None or listed[key] != meta.get("content_length", listed[key]):
            raise ExecuteError(
                f"{entry['url']} of UNLOAD is missing, or its size differs from the manifest"
            )
        found.append((key, meta.get("record_count")))
    return found


def _keep_unchanged(column: pa.Array) -> pa.Array:
    return column


def _parse_times(column: pa.Array) -> pa.Array:
    values = [None if text is None else time.fromisoformat(text) for text in column.to_pylist()]
    return pa.array(values, pa.time64("us"))


def _parse_hex(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type):
        return column
    values = [None if text is None else bytes.fromhex(text) for text in column.to_pylist()]
    return pa.array(values, pa.binary())


_CONVERSIONS = {"varbyte": _parse_hex, "time": _parse_times}
"""Converters for types that are unloaded as text, since UNLOAD has no Parquet type for them."""
