"""What sessions of both transports share: opening, transactions, and rows as Arrow batches."""

from __future__ import annotations

import datetime
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from loader.errors import ExecuteError
from loader.fair_semaphore import FairSemaphore
from loader.redaction import KNOWN
from loader.sql.dialects.redshift import DIALECT
from loader.warehouse.base import Row
from loader.warehouse.redshift.errors import DriverError, explain
from loader.warehouse.redshift.settings import RedshiftTarget

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""Rows in one batch of a streamed result."""

_CONNECT_ATTEMPTS = 5

_writers: dict[tuple[object, ...], FairSemaphore] = {}
_writers_lock = threading.Lock()

T = TypeVar("T")


def opening_statements(settings: RedshiftTarget) -> Iterator[str]:
    """The statements that every session of a target begins with."""
    # Timestamps with and without a time zone are compared in UTC on every machine.
    yield "SET timezone TO 'UTC'"
    for name, value in settings.session.outside_loads.parameters().items():
        yield f"SET {name} TO {DIALECT.literal(value)}"


def wait_to_write(settings: RedshiftTarget) -> FairSemaphore:
    """The ``with`` block in which a load is one of the ``max_connections`` of this process."""
    place = (settings.host, settings.cluster_identifier, settings.work_group, settings.secret_id)
    with _writers_lock:
        return _writers.setdefault(
            (*place, settings.port, settings.database, settings.max_connections),
            FairSemaphore(settings.max_connections),
        )


def connect_with_retries(connect: Callable[[], T]) -> T:
    """Connect, and try again after transient errors.

    Raises:
        ExecuteError: no connection could be made.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, ExecuteError) and error.transient
        ),
        wait=tenacity.wait_random_exponential(0.5, max=10),
        stop=tenacity.stop_after_attempt(_CONNECT_ATTEMPTS),
        reraise=True,
    )
    return retrying(connect)


def make_connect_error(where: str, who: str, known: DriverError) -> ExecuteError:
    """The error of a connection that could not be made."""
    return ExecuteError(
        f"cannot connect to {where} as {who}: {known.message}",
        hint=known.hint or "check the target's settings with `loader doctor`",
        transient=known.transient,
        rolled_back=True,
    )


class RedshiftSession(ABC):
    """One session, in which a transaction may be open."""

    def __init__(self) -> None:
        self._open = False
        """Whether a transaction is open."""

    def begin(self) -> None:
        """Start the transaction; its snapshot is taken when it first reads a table."""
        self.execute("BEGIN")
        self._open = True

    def commit(self) -> None:
        """Commit the transaction."""
        self._open = False
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back the transaction; does nothing when there is none."""
        if self._open:
            self._open = False
            self.execute("ROLLBACK")

    @abstractmethod
    def execute(self, sql: str) -> list[Row]:
        """Run one statement and return its rows; INSERT and DELETE return their row count."""

    @abstractmethod
    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and yield its rows in the schema's types."""


def returns_count(sql: str) -> bool:
    """Whether the result of a statement is the number of its rows."""
    return re.match(r"\s*(INSERT|DELETE)\b", sql, re.IGNORECASE) is not None


def check_length(sql: str, most: int, taker: str, hint: str) -> None:
    """Check that a statement is not longer than what takes it allows.

    Args:
        sql: The statement.
        most: The most bytes.
        taker: What has this limit.
        hint: How the statement gets shorter.

    Raises:
        ExecuteError: it is longer.
    """
    size = len(sql.encode(errors="surrogatepass"))
    if size > most:
        raise ExecuteError(
            f"the statement has {size:,} bytes, and {taker} takes {most:,}",
            hint=hint,
            statement=sql,
        )


def make_error(error: Exception, sql: str) -> ExecuteError:
    """The error of a statement; secrets are removed from its cause too, which is shown."""
    error.args = KNOWN.hide_in(error.args)
    return make_statement_error(explain(error), sql)


def make_statement_error(known: DriverError, sql: str) -> ExecuteError:
    """The error of a statement that failed for a known reason."""
    return ExecuteError(
        known.message,
        hint=known.hint,
        statement=sql,
        transient=known.transient,
        code=known.code,
    )


def make_batches(
    pages: Iterable[Sequence[Row]], schema: pa.Schema
) -> Generator[pa.RecordBatch, None, None]:
    """Make batches of rows, in the schema's types, of pages of any size; a real is a double."""
    waiting: list[Row] = []
    for page in pages:
        waiting += page
        while len(waiting) >= BATCH_ROWS:
            yield _batch(waiting[:BATCH_ROWS], schema)
            del waiting[:BATCH_ROWS]
    if waiting:
        yield _batch(waiting, schema)


def _batch(rows: Sequence[Row], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415  # slow to import, and loads without a read need none

    columns = []
    for at, field in enumerate(schema):
        convert: Callable[[Any], object] | None = None
        if pa.types.is_binary(field.type):
            convert = _bytes
        elif pa.types.is_string(field.type):
            convert = _text
        values = [row[at] for row in rows]
        if convert is not None:
            values = [None if value is None else convert(value) for value in values]
        # The live column may be a double: Arrow makes what is too large for a real infinite.
        wide = pa.float64() if pa.types.is_float32(field.type) else field.type
        columns.append(pa.array(values, wide))
    return pa.RecordBatch.from_arrays(columns, names=schema.names)


def _bytes(value: Any) -> bytes:
    """Convert a VARBYTE, which the driver returns as bytes or hex digits."""
    return bytes.fromhex(value.removeprefix("\\x")) if isinstance(value, str) else bytes(value)


def _text(value: Any) -> str:
    """Convert text, and types that Arrow does not have: SUPER, timetz, intervals, geometry."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return value.isoformat() if isinstance(value, datetime.time) else str(value)
