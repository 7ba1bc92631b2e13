"""The Parquet files of rejected rows: writes one for a load, and reads the first rows back."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.cast.report import Reason, list_reasons
from loader.errors import FrameError, StageError
from loader.staging.stores.base import Store

_REASONS = "loader.reasons"
"""The key of the reasons in the metadata of the file."""


class RejectsFile:
    """A Parquet file of rejected rows, which is created with the first one.

    Args:
        store: Where it is written.
        key: Its key.
        kept_by_failures: Whether it is kept when the rows do not fit, since it shows why.
    """

    def __init__(self, store: Store, key: str, *, kept_by_failures: bool = False) -> None:
        self._store, self._key = store, key
        self._kept_by_failures = kept_by_failures
        self._stack = ExitStack()
        self._writer: pq.ParquetWriter | None = None
        self.uri: str | None = None
        self.reasons: Mapping[Reason, int] = {}
        """How many rows are there for which reason; it is written when the file ends."""

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, FrameError) and self.uri and self._kept_by_failures:
            error.message += f"\nthe rejected rows are kept in {self.uri}"
            self._stack.close()
        else:
            self._stack.__exit__(kind, error, trace)

    def _close(self) -> None:
        assert self._writer is not None
        told = json.dumps(list_reasons(self.reasons), ensure_ascii=False)
        self._writer.add_key_value_metadata({_REASONS: told})
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows, as `reject_rows` builds them.

        Raises:
            StageError: the file cannot be written.
        """
        if self._writer is None:
            sink = self._stack.enter_context(self._store.create(self._key))
            self._writer = pq.ParquetWriter(sink, batch.schema)
            self._stack.callback(self._close)
            self.uri = self._store.uri(self._key)
        names = self._writer.schema.names
        absent = pa.nulls(batch.num_rows, pa.string())
        columns = [batch.column(name) if name in batch.schema.names else absent for name in names]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._writer.schema))


@dataclass
class Rejected:
    """What files of rejected rows have."""

    total: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The first rows."""


def read_rejected(store: Store, keys: Iterable[str], limit: int) -> Rejected:
    """Read how many rows are in files, why, and the first of them up to a limit.

    Raises:
        StageError: a file cannot be read.
    """
    found = Rejected()
    for key in keys:
        try:
            with pq.ParquetFile(io.BytesIO(store.read(key))) as file:
                _add(found, file, limit)
        except (OSError, ValueError) as error:
            raise StageError(f"{store.uri(key)} cannot be read: {error}") from error
    return found


def _add(found: Rejected, file: pq.ParquetFile, limit: int) -> None:
    found.total += file.metadata.num_rows
    metadata = file.metadata.metadata or {}
    for one in json.loads(metadata.get(_REASONS.encode(), b"[]")):
        found.reasons[one["column"], one["reason"]] += one["rows"]
    for batch in file.iter_batches(batch_size=1_000):
        if len(found.rows) >= limit:
            return
        found.rows += batch.slice(0, limit - len(found.rows)).to_pylist()
