"""Queries on DuckDB: on a file that is opened to read only, or on files that the query names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from loader.data.batches import number_batches
from loader.data.chunk import Chunk
from loader.data.from_arrow import mark_lost_types
from loader.data.queries.database import ORIGIN, QueryError, path_of, render_query
from loader.errors import SourceError
from loader.interrupts import run_interruptibly
from loader.spec.query_parameters import Values


class DuckdbSession:
    """A connection to a DuckDB file, or to a database in memory."""

    def __init__(self, url: str, root: Path) -> None:
        """Open the file of a URL.

        Raises:
            SourceError: there is no such file, or this process has opened it to write.
            QueryError: it is not a database.
        """
        path = path_of(url, root)
        if path is not None and not path.is_file():
            raise SourceError(f"there is no database {path}")
        try:
            self._connection: Any = (
                duckdb.connect() if path is None else duckdb.connect(str(path), read_only=True)
            )
            self._run(lambda: self._connection.execute("SET TimeZone = 'UTC'; BEGIN TRANSACTION"))
        except duckdb.ConnectionException as error:
            raise SourceError(
                f"{path} cannot be opened to read, because this process writes to it",
                hint="a query reads another database than the target",
            ) from error
        except duckdb.Error as error:
            raise QueryError(str(error)) from error

    def read(self, query: str, values: Values) -> tuple[Sequence[str], Iterator[Chunk]]:
        """As `Session.read`."""
        text = render_query(query, lambda name: f"${name}")
        try:
            found = duckdb.extract_statements(text)
            if len(found) != 1 or found[0].type.name != "SELECT":
                kinds = ", ".join(each.type.name for each in found)
                raise QueryError(f"a query has to be one SELECT; this is {kinds}")
            relation = self._run(lambda: self._connection.sql(text, params=dict(values) or None))
            batches = self._run(lambda: pa.RecordBatchReader.from_stream(relation))
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        chunks = number_batches(self._read_batches(batches), ORIGIN)
        return relation.columns, mark_lost_types(chunks, relation)

    def close(self) -> None:
        """As `Session.close`."""
        self._connection.close()

    def _run(self, action: Callable[[], Any]) -> Any:
        return run_interruptibly(action, self._connection.interrupt)

    def _read_batches(self, reader: Any) -> Iterator[Any]:
        try:
            while (batch := self._run(partial(next, reader, None))) is not None:
                yield batch
        except (pa.ArrowException, OSError, duckdb.Error) as error:
            raise QueryError(str(error)) from error
