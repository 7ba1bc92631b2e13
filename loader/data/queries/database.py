"""What the modules of the databases share: a session, its errors, and rows as chunks."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from loader.data.chunk import CHUNK_BYTES, Chunk
from loader.errors import ConfigError, SourceError
from loader.spec.query_parameters import Parameter, Values, split_query

ORIGIN = "the query"
"""What messages call the source of rows."""

_ROWS = 16_384
"""Rows of Python objects in one chunk."""


class Session(Protocol):
    """A read-only connection to a database; its queries see one state of the data."""

    def read(self, query: str, values: Values) -> tuple[Sequence[str], Iterator[Chunk]]:
        """Run a query: the names of its columns, and its rows in constant memory.

        Raises:
            QueryError: the database refuses it; from the chunks, that reading rows has failed.
        """

    def close(self) -> None:
        """Give up the connection; nothing was written."""


@dataclass
class QueryError(Exception):
    """What a database says of a query that it refuses."""

    message: str
    offset: int | None = None
    """Where in the query, in characters from 0, if it says so."""
    hint: str | None = None
    transient: bool = False
    """Whether trying again may succeed, as after a lost connection."""


def import_driver(module: str, database: str) -> ModuleType:
    """Import the driver of a database.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"queries on {database} need the package {module.partition('.')[0]}: {error}",
            hint="pip install 'loader[sql]'",
        ) from error


def render_query(query: str, place: Any, *, backslash: bool = False) -> str:
    """A query as the database takes it: one statement, without semicolon, on lines of its own.

    Args:
        query: The query as written.
        place: Gives what stands in the place of a parameter, by its name.
        backslash: As for `split_query`.
    """
    pieces = split_query(query, backslash=backslash)
    text = "".join(place(each.name) if isinstance(each, Parameter) else each for each in pieces)
    # The semicolon at the end, which is all there may be, is not part of a statement.
    return text.rstrip().removesuffix(";").rstrip()


def path_of(url: str, root: Path) -> Path | None:
    """The file of a URL such as ``sqlite:///data/shop.db``; relative ones are below the root.

    Returns:
        None for a database in memory.

    Raises:
        SourceError: it names a host.
    """
    parts = urlsplit(url)
    if parts.netloc:
        raise SourceError(
            f"`{parts.scheme}://{parts.netloc}` names a host, where a file has none",
            hint=f"write three slashes: {parts.scheme}:///data/shop.db",
        )
    path = unquote(parts.path)[1:]
    return root / path if path and path != ":memory:" else None


def existing_file(url: str, root: Path) -> Path:
    """The file of a URL.

    Raises:
        SourceError: there is no such file.
    """
    path = path_of(url, root)
    if path is None:
        raise SourceError(f"`{url}` names no file", hint="write sqlite:///data/shop.db")
    if not path.is_file():
        raise SourceError(f"there is no database {path}")
    return path


def to_text(value: object) -> object:
    """A value as databases without types for it store it: dates, times and decimals as text."""
    match value:
        case datetime():
            return value.isoformat(" ")
        case date() | Decimal():
            return str(value)
        case _:
            return value


def rows_to_chunks(rows: Iterator[Sequence[Any]], names: Sequence[str]) -> Iterator[Chunk]:
    """Rows of Python objects as chunks of bounded size, with their rows numbered from 1."""
    first = 1
    while True:
        group = _take(rows)
        if not group:
            return
        columns = dict(zip(names, map(list, zip(*group, strict=True)), strict=True))
        yield Chunk(columns, len(group), ORIGIN, first)
        first += len(group)


def _take(rows: Iterator[Sequence[Any]]) -> list[Sequence[Any]]:
    group, size = [], 0
    for row in islice(rows, _ROWS):
        group.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > CHUNK_BYTES // 8:
            break
    return group
