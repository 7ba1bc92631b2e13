"""Reads large slices of Redshift with UNLOAD: Parquet on S3, streamed back, then removed."""

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


def access(settings: RedshiftTarget) -> dict[str, str]:
    """What an UNLOAD is told of the bucket: the role that writes, and how files are encrypted.

    Without a word it uses S3's own keys, whatever the bucket's default is (``r_UNLOAD``).
    """
    return {
        "iam_role": settings.iam_role,
        "encryption": settings.encryption,
        "kms_key_id": settings.kms_key_id,
    }


@dataclass(frozen=True)
class Unload:
    """A read of a slice by way of the bucket."""

    read: Read
    settings: RedshiftTarget

    def is_worth_it(self, session: Session) -> bool:
        """Whether more rows are read than should go through the connection."""
        limit = self.read.limit
        if limit is not None and limit <= self.settings.unload_rows:
            return False
        # The spec's own `count` may count other rows than those that are unloaded.
        ((rows,),) = session.execute(self._render("count", self._facts()))
        number = as_whole_number(rows)
        return number is None or number > self.settings.unload_rows

    def batches(self, session: Session) -> Generator[pa.RecordBatch, None, None]:
        """Unload the slice and stream it back, file by file.

        Raises:
            ExecuteError: UNLOAD failed, or its manifest tells of other files than there are.
            StageError: the bucket cannot be read.
        """
        store = self.read.open_store()
        # With a slash at its end, or UNLOAD's names would run on from it.
        prefix = f"unload/{self.read.spec.table}/{uuid.uuid4()}"
        facts = {
            "query": Sql(self._render("select_unload", self._facts())),
            "url": f"{store.uri(prefix)}/",
            "load": access(self.settings),
        }
        try:
            session.execute(self._render("unload", facts))
            for key, rows in _files(store, prefix):
                content = io.BytesIO(store.read(key))
                file = pq.ParquetFile(content, coerce_int96_timestamp_unit=UNIT)
                if rows is not None and file.metadata.num_rows != rows:
                    raise ExecuteError(
                        f"{store.uri(key)} has {file.metadata.num_rows:,} rows, and the manifest of"
                        f" UNLOAD says {rows:,}"
                    )
                for batch in file.iter_batches(BATCH_ROWS):
                    yield self._named(batch)
        finally:
            store.delete(prefix)

    def _named(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with hex as the bytes that it spells."""
        names, types = self.read.schema.names, self.read.spec.by_name
        columns = [
            _FROM_TEXT.get(types[name].data_type.name, _as_it_is)(column)
            for name, column in zip(names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)

    def _render(self, template: str, facts: Mapping[str, Any]) -> str:
        return self.read.renderer.render(template, facts).sql

    def _facts(self) -> dict[str, Any]:
        spec = self.read.spec
        return {
            "table": Table(spec.schema_name, spec.name),
            "columns": tuple(spec.by_name[name] for name in self.read.schema.names),
            "slice": self.read.slice,
            "limit": self.read.limit,
        }


def _files(store: Store, prefix: str) -> list[tuple[str, int | None]]:
    """The keys of the unloaded files and their rows, as the manifest tells."""
    manifest = json.loads(store.read(f"{prefix}/manifest"))
    there = dict(store.list(prefix))
    found = []
    for entry in manifest["entries"]:
        key = entry["url"].removeprefix(f"{store.root}/")
        meta = entry.get("meta", {})
        if there.get(key) is None or there[key] != meta.get("content_length", there[key]):
            raise ExecuteError(f"{entry['url']} of UNLOAD is missing, or not as long as it should")
        found.append((key, meta.get("record_count")))
    return found


def _as_it_is(column: pa.Array) -> pa.Array:
    return column


def _times(column: pa.Array) -> pa.Array:
    values = [None if text is None else time.fromisoformat(text) for text in column.to_pylist()]
    return pa.array(values, pa.time64("us"))


def _unhex(column: pa.Array) -> pa.Array:
    if pa.types.is_binary(column.type):
        return column
    values = [None if text is None else bytes.fromhex(text) for text in column.to_pylist()]
    return pa.array(values, pa.binary())


_FROM_TEXT = {"varbyte": _unhex, "time": _times}
"""What travels as text because UNLOAD has no Parquet type for it."""
