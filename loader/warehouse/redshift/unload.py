"""Reads large slices with UNLOAD: Parquet files on S3 that are streamed, then deleted."""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.errors import ExecuteError
from loader.sql.renderer import Sql, Table
from loader.staging.int96 import UNIT
from loader.staging.stores.base import Store
from loader.text_tables import format_count
from loader.warehouse.adapter import Read, unload_prefix
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
    """A read of a slice with UNLOAD."""

    read: Read
    settings: RedshiftTarget

    def is_worth_it(self, session: Session) -> bool:
        """Whether the read has more rows than `unload_rows` of the settings."""
        limit = self.read.limit
        if limit is not None and limit <= self.settings.unload_rows:
            return False
        # The spec's own `count` may count other rows than those that are unloaded.
        ((rows,),) = session.execute(self._render("count", self._template_facts()))
        number = as_whole_number(rows)
        return number is None or number > self.settings.unload_rows

    def batches(self, session: Session) -> Generator[pa.RecordBatch, None, None]:
        """Unload the slice and stream its files.

        Raises:
            ExecuteError: UNLOAD failed, or its manifest does not match the files.
            StageError: the bucket cannot be read.
        """
        store, prefix = self.read.open_store(), unload_prefix(self.read.spec.table)
        try:
            for key, rows in self._write(session, store, prefix):
                yield from self._make_file(key, rows).batches(store)
        finally:
            store.delete(prefix)

    def files(self, session: Session) -> list[UnloadedFile]:
        """Unload the slice and leave its files, for others to read.

        Raises:
            ExecuteError: UNLOAD failed, or its manifest does not match the files.
            StageError: the bucket cannot be read.
        """
        store, prefix = self.read.open_store(), unload_prefix(self.read.spec.table)
        return [self._make_file(*found) for found in self._write(session, store, prefix)]

    def _write(self, session: Session, store: Store, prefix: str) -> list[tuple[str, int | None]]:
        """Run the UNLOAD; returns the keys of its files with their row counts."""
        facts = {
            "query": Sql(self._render("select_unload", self._template_facts())),
            # The URL ends with a slash; otherwise UNLOAD would append the file names to it.
            "url": f"{store.uri(prefix)}/",
            "load": access(self.settings),
        }
        session.execute(self._render("unload", facts))
        return _read_manifest(store, prefix)

    def _make_file(self, key: str, rows: int | None) -> UnloadedFile:
        names = self.read.schema.names
        kinds = tuple(self.read.spec.by_name[name].data_type.name for name in names)
        return UnloadedFile(key, rows, tuple(names), kinds)

    def _render(self, template: str, facts: Mapping[str, Any]) -> str:
        return self.read.renderer.render(template, facts).sql

    def _template_facts(self) -> dict[str, Any]:
        spec = self.read.spec
        return {
            "table": Table(spec.schema_name, spec.name),
            "columns": tuple(spec.by_name[name] for name in self.read.schema.names),
            "slice": self.read.slice,
            "limit": self.read.limit,
            "where": self.read.where,
        }


@dataclass(frozen=True)
class UnloadedFile:
    """A file of an UNLOAD, which any process that reaches the bucket can read."""

    key: str
    rows: int | None
    """As the manifest has it."""
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    """The names of the columns' types in the spec."""

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """The rows of the file, where columns that are unloaded as text have their types.

        Raises:
            ExecuteError: it has another number of rows than the manifest says.
            StageError: it cannot be read.
        """
        content = io.BytesIO(store.read(self.key))
        file = pq.ParquetFile(content, coerce_int96_timestamp_unit=UNIT)
        if self.rows is not None and file.metadata.num_rows != self.rows:
            raise ExecuteError(
                f"{store.uri(self.key)} has {format_count(file.metadata.num_rows, 'row')}, but the"
                f" manifest of UNLOAD has {self.rows:,}"
            )
        for batch in file.iter_batches(BATCH_ROWS):
            columns = [
                _CONVERSIONS.get(kind, _keep_unchanged)(column)
                for kind, column in zip(self.kinds, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, names=list(self.names))


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
