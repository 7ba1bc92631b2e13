"""Opens a query on another database as a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loader.data.batches import number_chunks
from loader.data.chunk import Frame
from loader.data.column_names import check_names
from loader.data.combine_batches import combine_small_chunks
from loader.data.queries.database import ORIGIN, QueryError, Session
from loader.errors import SourceError
from loader.spec.connections import database_of, unknown_scheme
from loader.spec.query_parameters import Values, parameter_names

_EXCERPT = 200
"""Characters of a query that a message shows."""


@dataclass(frozen=True)
class Query:
    """A query and where it runs."""

    text: str
    url: str
    """Of PostgreSQL, MySQL, SQLite or DuckDB; it may hold a password, and is never printed."""
    root: Path
    """The folder that relative paths of the URL are below."""
    label: str = ""
    """The connection's name, for messages; default its database."""

    @property
    def place(self) -> str:
        """The database without login and options, for messages."""
        if self.label:
            return f"`{self.label}`"
        try:
            parts = urlsplit(self.url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "its connection"
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def open_query(query: Query, runs: Sequence[Values]) -> Frame:
    """The rows of a query, in constant memory.

    It is run here, in a read-only transaction that ends with the last row.

    Args:
        query: The query.
        runs: The values of its parameters in each run, as `parameter_values` gives them; the rows
            of all runs follow each other in one stream.

    Raises:
        ConfigError: the driver of the database is not installed.
        SourceError: the database cannot be reached, or refuses the query; from the chunks, that
            the connection was lost.
    """
    rows = _read(query, runs)
    columns = next(rows)
    return Frame(columns, combine_small_chunks(number_chunks(rows)))


def _read(query: Query, runs: Sequence[Values]) -> Iterator[Any]:
    """The names of the columns, then all chunks; the connection is closed at the end."""
    names = parameter_names(query.text)
    try:
        session = _connect(query)
        try:
            columns: tuple[str, ...] | None = None
            for values in runs:
                used = {name: value for name, value in values.items() if name in names}
                found, chunks = session.read(query.text, used)
                if columns is None:
                    columns = check_names(found, f"the result of {ORIGIN}")
                    if not columns:
                        raise QueryError("its result has no columns", hint="write a SELECT")
                    yield columns
                yield from chunks
        finally:
            session.close()
    except QueryError as error:
        raise _source_error(query, error) from error


def _connect(query: Query) -> Session:
    url = query.url
    match database_of(url):
        case "postgresql":
            from loader.data.queries.postgresql import PostgresqlSession  # noqa: PLC0415  # one each

            return PostgresqlSession(url)
        case "mysql":
            from loader.data.queries.mysql import MysqlSession  # noqa: PLC0415

            return MysqlSession(url)
        case "sqlite":
            from loader.data.queries.sqlite import SqliteSession  # noqa: PLC0415

            return SqliteSession(url, query.root)
        case "duckdb":
            from loader.data.queries.duckdb import DuckdbSession  # noqa: PLC0415

            return DuckdbSession(url, query.root)
    raise SourceError(
        f"the connection {query.label or 'of the query'} is not a URL that Loader reads",
        hint=unknown_scheme(url.partition("://")[0] if "://" in url else "this"),
    )


def _source_error(query: Query, error: QueryError) -> SourceError:
    lines = [f"the query on {query.place} failed: {error.message}"]
    if error.offset is not None:
        before = query.text[: error.offset]
        line, column = before.count("\n") + 1, error.offset - before.rfind("\n")
        lines[0] += f", at line {line} column {column} of the query"
    text = " ".join(query.text.split())
    lines.append(f"  {text if len(text) <= _EXCERPT else f'{text[: _EXCERPT - 1]}…'}")
    return SourceError("\n".join(lines), hint=error.hint, transient=error.transient)
