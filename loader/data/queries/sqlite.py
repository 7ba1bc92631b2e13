"""Queries on SQLite, by Python's own module: the values of a column keep the types they have."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from loader.data.chunk import Chunk
from loader.data.queries.database import (
    QueryError,
    existing_file,
    render_query,
    rows_to_chunks,
    to_text,
)
from loader.spec.query_parameters import Values


class SqliteSession:
    """A file of SQLite that is opened to read only."""

    def __init__(self, url: str, root: Path) -> None:
        """Open the file of a URL.

        Raises:
            SourceError: there is no such file.
            QueryError: it is not a database.
        """
        path = existing_file(url, root).absolute()
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            raise QueryError(str(error)) from error

    def read(self, query: str, values: Values) -> tuple[Sequence[str], Iterator[Chunk]]:
        """As `Session.read`."""
        text = render_query(query, lambda name: f":{name}")
        try:
            cursor = self._connection.execute(
                text, {name: to_text(value) for name, value in values.items()}
            )
        except sqlite3.Error as error:
            raise QueryError(str(error)) from error
        names = [column[0] for column in cursor.description or ()]
        return names, rows_to_chunks(_rows(cursor), names)

    def close(self) -> None:
        """As `Session.close`."""
        self._connection.close()


def _rows(cursor: sqlite3.Cursor) -> Iterator[Sequence[object]]:
    try:
        yield from cursor
    except sqlite3.Error as error:
        raise QueryError(str(error)) from error
