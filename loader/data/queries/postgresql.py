"""Queries on PostgreSQL, by its ADBC driver: COPY in binary form, as Arrow.

Types that Arrow lacks, or that the driver changes, are converted by PostgreSQL: arrays and nested
types by ``to_json``, money to a number, and all others without a counterpart to text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.batches import number_batches
from loader.data.cast.arrow_types import python_values
from loader.data.chunk import Chunk, UnsupportedValue
from loader.data.queries.database import ORIGIN, QueryError, import_driver, render_query
from loader.spec.query_parameters import Values
from loader.sql.dialects.duckdb import DIALECT

_SETUP = (
    # One state of the data for all queries of a load, and nothing can be written.
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL standard_conforming_strings = on",
)

_LOST_CONNECTION = ("08", "57P")
"""The SQLSTATEs of connections that ended, by their beginnings."""


class PostgresqlSession:
    """A read-only transaction."""

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            ConfigError: the driver is not installed.
            QueryError: the server cannot be reached, or refuses the login.
        """
        driver = import_driver("adbc_driver_postgresql.dbapi", "PostgreSQL")
        self._failures: tuple[type[Exception], ...] = (driver.Error, pa.ArrowException, OSError)
        # libpq knows no drivers, which SQLAlchemy's URLs name.
        rest = url.partition("://")[2]
        try:
            self._connection = driver.connect(f"postgresql://{rest}")
        except driver.Error as error:
            raise QueryError(_without_prefix(str(error)), transient=True) from error
        try:
            self._cursor = self._connection.cursor()
            for statement in _SETUP:
                self._cursor.execute(statement)
        except driver.Error as error:
            self._connection.close()
            raise _query_error(error, "") from error

    def read(self, query: str, values: Values) -> tuple[Sequence[str], Iterator[Chunk]]:
        """As `Session.read`."""
        # A COPY takes no parameters. PostgreSQL reads typed literals as DuckDB does.
        text = render_query(query, lambda name: f"({DIALECT.literal(values[name])})")
        try:
            schema = self._cursor.adbc_execute_schema(text)
            wanted = _converted_query(text, schema) if _has_unique_names(schema) else text
            self._cursor.execute(wanted)
            reader = self._cursor.fetch_record_batch()
        except self._failures as error:
            raise _query_error(error, text) from error
        return schema.names, self._chunks(reader, text)

    def _chunks(self, reader: Any, text: str) -> Iterator[Chunk]:
        def batches() -> Iterator[Any]:
            try:
                yield from reader
            except self._failures as error:
                raise _query_error(error, text) from error

        for chunk in number_batches(batches(), ORIGIN):
            exact = {name: _exact_column(values) for name, values in chunk.columns.items()}
            yield replace(chunk, columns=exact)

    def close(self) -> None:
        """As `Session.close`."""
        self._cursor.close()
        self._connection.close()


def _query_error(error: Exception, text: str) -> QueryError:
    details = dict(getattr(error, "details", None) or ())
    parts = {name: _text(details.get(b"PG_DIAG_" + name.encode())) for name in _PARTS}
    code = getattr(error, "sqlstate", None) or ""
    if not parts["MESSAGE_PRIMARY"]:
        message = _without_prefix(str(error))
        return QueryError(message, transient="server closed the connection" in message)
    message = parts["MESSAGE_PRIMARY"] + f" (SQLSTATE {code})" * bool(code)
    if parts["MESSAGE_DETAIL"]:
        message += f"; {parts['MESSAGE_DETAIL']}"
    at = parts["STATEMENT_POSITION"]
    # Only an error of preparing the query is about its own text.
    own = at.isdigit() and "Failed to prepare" in str(error)
    return QueryError(
        message,
        int(at) - 1 if own and int(at) <= len(text) else None,
        parts["MESSAGE_HINT"] or None,
        transient=code.startswith(_LOST_CONNECTION),
    )


_PARTS = ("MESSAGE_PRIMARY", "MESSAGE_DETAIL", "MESSAGE_HINT", "STATEMENT_POSITION")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _without_prefix(message: str) -> str:
    """The server's message on one line, without the words of the driver around it."""
    text = message.partition("[libpq] ")[2] or message
    text = text.partition("\n\nQuery was:")[0].partition("ERROR:  ")[2] or text
    return " ".join(text.split()).removeprefix("Failed to connect: ")


# Types


def _has_unique_names(schema: Any) -> bool:
    return len(set(schema.names)) == len(schema.names)


def _converted_query(text: str, schema: Any) -> str:
    """The query, with columns converted that would not arrive as they are."""
    columns = [_conversion(field) for field in schema]
    if not any(columns):
        return f"{text}\n"  # a comment at the end would swallow the driver's bracket
    listed = ", ".join(
        f"{found.format(name)} AS {name}" if found else name
        for field, found in zip(schema, columns, strict=True)
        for name in [f'"{_quote(field.name)}"']
    )
    return f"SELECT {listed} FROM (\n{text}\n) AS source"


def _quote(name: str) -> str:
    return name.replace('"', '""')


def _conversion(field: Any) -> str:
    """How PostgreSQL converts a column; empty where it arrives as it is."""
    kind = _type_name(field)
    if kind in _CONVERSIONS:
        return _CONVERSIONS[kind]
    if pa.types.is_nested(field.type):  # the driver flattens arrays of several dimensions
        return "to_json({})"
    opaque = isinstance(field.type, pa.OpaqueType) and field.type.type_name != "numeric"
    return "{}::text" if opaque else ""


_CONVERSIONS = {"money": "{}::numeric", "oid": "{}::bigint"}
"""Types that the driver returns as other numbers."""


def _type_name(field: Any) -> str:
    return _text((field.metadata or {}).get(b"POSTGRESQL:type"))


def _exact_column(array: Any) -> Any:
    """A column with numerics as decimals, and infinite dates and times as what they are."""
    kind = array.type
    if isinstance(kind, pa.OpaqueType):
        return _decimals(array.storage)
    if pa.types.is_date32(kind):
        return _mark_infinite(array, array.view(pa.int32()), _INFINITE_DAYS)
    if pa.types.is_timestamp(kind):
        return _mark_infinite(array, array.view(pa.int64()), _INFINITE_MICROSECONDS)
    return array


def _decimals(texts: Any) -> Any:
    """The numbers of a column, exactly: as an array where 38 digits hold them all."""
    first = next((text for text in texts.to_pylist() if text is not None), None)
    if first is None:
        return pa.nulls(len(texts), pa.decimal128(38, 0))
    scale = len(first.partition(".")[2])
    if scale <= _MAX_DIGITS and (pc.max(pc.binary_length(texts)).as_py() or 0) <= _MAX_DIGITS:
        try:
            return texts.cast(pa.decimal128(_MAX_DIGITS, scale))
        except pa.ArrowException:  # another scale, NaN or infinity
            pass
    return [None if text is None else _number(text) for text in texts.to_pylist()]


_MAX_DIGITS = 38
"""Digits of a decimal array."""


def _number(text: str) -> Decimal | float:
    number = Decimal(text)
    return number if number.is_finite() else float(text)


_EPOCH_DAYS, _EPOCH_MICROSECONDS = 10_957, 946_684_800_000_000
"""From 1970, where Arrow counts from, to 2000, where PostgreSQL does."""


def _wrapped(bits: int, epoch: int) -> dict[int, str]:
    """What the driver makes of infinite values: their sums with the epoch overflow."""
    high = 1 << (bits - 1)
    return {high - 1 + epoch - 2 * high: "infinity", epoch - high: "-infinity"}


_INFINITE_DAYS = _wrapped(32, _EPOCH_DAYS)
_INFINITE_MICROSECONDS = _wrapped(64, _EPOCH_MICROSECONDS)


def _mark_infinite(array: Any, numbers: Any, infinite: Mapping[int, str]) -> Any:
    found = pc.is_in(numbers, pa.array(list(infinite), numbers.type))
    if not pc.any(found).as_py():
        return array
    plain = iter(python_values(array.filter(pc.invert(found))))
    return [
        UnsupportedValue(infinite[number], "is no day or time of the calendar")
        if number in infinite
        else next(plain)
        for number in numbers.to_pylist()
    ]
