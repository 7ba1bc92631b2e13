"""Queries on MySQL and MariaDB, by PyMySQL: rows are fetched as they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from loader.data.chunk import Chunk
from loader.data.queries.database import (
    QueryError,
    import_driver,
    render_query,
    rows_to_chunks,
    to_text,
)
from loader.spec.query_parameters import Values

_SETUP = (
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    # One state of the data for all queries of a load, and nothing can be written.
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)

_OPTIONS = frozenset(
    {"charset", "ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password", "unix_socket"}
)
"""What a URL may say after its question mark."""

_LOST_CONNECTION = frozenset({2006, 2013})
_TIMEOUT = 15
"""Seconds to connect."""


class MysqlSession:
    """A read-only transaction."""

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            ConfigError: the driver is not installed.
            QueryError: the server cannot be reached, or refuses the login; or the URL is wrong.
        """
        self._driver: Any = import_driver("pymysql", "MySQL")
        self._failures = (self._driver.Error, OSError)
        try:
            self._connection: Any = self._driver.connect(**_arguments(url))
            # Not buffered: rows stay on the server until they are fetched.
            self._cursor = self._connection.cursor(self._driver.cursors.SSCursor)
            for statement in _SETUP:
                self._cursor.execute(statement)
        except (*self._failures, RuntimeError) as error:
            raise _query_error(error) from error

    def read(self, query: str, values: Values) -> tuple[Sequence[str], Iterator[Chunk]]:
        """As `Session.read`."""
        # The driver writes its parameters as literals itself, by the server's rules of escaping.
        escape: Callable[[object], str] = self._connection.escape
        text = render_query(
            query, lambda name: f"({escape(to_text(_in_utc(values[name])))})", backslash=True
        )
        try:
            self._cursor.execute(text)
        except self._failures as error:
            raise _query_error(error) from error
        columns = self._cursor.description or ()
        names = [column[0] for column in columns]
        kinds = [column[1] for column in columns]
        self._refuse_rounded(names, kinds)
        converters = [self._converters().get(kind) for kind in kinds]
        return names, rows_to_chunks(self._rows(converters), names)

    def _refuse_rounded(self, names: Sequence[str], kinds: Sequence[int]) -> None:
        floats = [
            f"`{name}`"
            for name, kind in zip(names, kinds, strict=True)
            if kind == self._driver.constants.FIELD_TYPE.FLOAT
        ]
        if floats:
            raise QueryError(
                f"MySQL rounds FLOAT to six digits when it sends it: {', '.join(floats)}",
                hint="write CAST(… AS DOUBLE) in the query",
            )

    def _converters(self) -> Mapping[int, Callable[[Any], object]]:
        types = self._driver.constants.FIELD_TYPE
        return {types.TIMESTAMP: _instant, types.TIME: _time_of_day}

    def _rows(
        self, converters: Sequence[Callable[[Any], object] | None]
    ) -> Iterator[Sequence[object]]:
        try:
            for row in self._cursor.fetchall_unbuffered():
                yield [
                    value if convert is None or value is None else convert(value)
                    for value, convert in zip(row, converters, strict=True)
                ]
        except self._failures as error:
            raise _query_error(error) from error

    def close(self) -> None:
        """As `Session.close`."""
        # Closing a cursor would read the rest of its rows.
        if self._cursor._result is not None:
            self._cursor._result.unbuffered_active = False
        self._connection._force_close()


def _arguments(url: str) -> dict[str, Any]:
    """The arguments of `pymysql.connect` for a URL.

    Raises:
        QueryError: the URL is wrong.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise QueryError(f"the URL of the connection is not valid: {error}") from error
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(options.keys() - _OPTIONS):
        raise QueryError(
            f"the URL of the connection has unknown options: {', '.join(unknown)}",
            hint=f"its options are {', '.join(sorted(_OPTIONS))}",
        )
    return {
        "charset": "utf8mb4",
        "connect_timeout": _TIMEOUT,
        **options,
        "host": host or "localhost",
        "port": port or 3306,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path[1:]) or None,
    }


def _query_error(error: Exception) -> QueryError:
    code, *message = error.args or (str(error),)
    if not message:
        return QueryError(str(code))
    return QueryError(f"{message[0]} (error {code})", transient=code in _LOST_CONNECTION)


def _in_utc(value: object) -> object:
    """A time stamp without a zone, which is UTC in this session."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _instant(value: date | str) -> object:
    """A TIMESTAMP, which is a moment in the session's zone; text where it is no date."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def _time_of_day(value: timedelta | str) -> object:
    """A TIME as a time of day; as text where it is a duration."""
    if isinstance(value, timedelta) and timedelta() <= value < timedelta(days=1):
        return (datetime.min + value).time()
    return str(value)
