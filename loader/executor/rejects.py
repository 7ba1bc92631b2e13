"""The Parquet file of rejected rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.cast.report import Reason, list_reasons
from loader.errors import FrameError
from loader.staging.stores.base import Store

REASONS = "loader.reasons"
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
        self._writer.add_key_value_metadata({REASONS: told})
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
