"""Connections to SQLite. A schema is a file of its own, attached under its name."""

from __future__ import annotations

import glob
import hashlib
import json
import sqlite3
import struct
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from loader.errors import ExecuteError
from loader.warehouse.base import Row
from tests.warehouse.sqlite.dialect import as_text

SUFFIX = ".sqlite"
EPOCH = datetime(1970, 1, 1)


class SQLite:
    """A folder with a file for each schema."""

    keeps_session_open = False

    def __init__(self, folder: Path, timeout: float) -> None:
        self._folder, self._timeout = folder, timeout

    def exists(self) -> bool:
        """Whether any schema is there."""
        return any(self._folder.glob(f"*{SUFFIX}"))

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[SQLiteSession]:
        """Open all files."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Only with a file in front are transactions over several files atomic.
        main = self._folder / "main.db"
        try:
            with closing(
                sqlite3.connect(main, timeout=self._timeout, isolation_level=None)
            ) as connection:
                yield SQLiteSession(connection, self._folder)
        except sqlite3.Error as error:
            raise ExecuteError(f"{main} cannot be opened: {error}") from error


class SQLiteSession:
    """One connection."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection, self._folder = connection, folder
        self._staged: list[Mapping[str, Any]] = []
        functions: dict[str, Callable[..., Any]] = {
            "schema_file": self._schema_file,
            "read_staged": self._read_staged,
            "staged": self._staged_value,
            "epoch_us": _epoch_us,
            "date_trunc": _date_trunc,
            "md5": lambda text: hashlib.md5(text.encode()).hexdigest(),
            "now": lambda: as_text(datetime.now(UTC)),
        }
        for name, function in functions.items():
            connection.create_function(name, -1, function)
        # SQLite's own gives up beyond 64 bits.
        connection.create_aggregate("sum", 1, _Sum)
        for file in sorted(folder.glob(f"*{SUFFIX}")):
            name = unquote(file.stem).replace('"', '""')
            connection.execute(f'ATTACH DATABASE ? AS "{name}"', [str(file)])

    def begin(self) -> None:
        """Start the transaction; others that write wait for its end."""
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction, keeping what it did."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """End the transaction, undoing what it did; harmless when there is none."""
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def execute(self, sql: str) -> list[Row]:
        """Run one statement; INSERT and DELETE answer with their count."""
        try:
            cursor = self._connection.execute(sql)
            if sql.lstrip().upper().startswith(("INSERT", "DELETE")):
                return [(cursor.rowcount,)]
            return [tuple(map(_parse_stamp, cursor.description, row)) for row in cursor]
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED")
            raise ExecuteError(str(error), statement=sql, transient=busy) from error

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query; its rows in the schema's types."""
        rows = self.execute(sql)
        columns = [
            pa.array([_from_sqlite(row[at], field.type) for row in rows], field.type)
            for at, field in enumerate(schema)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _schema_file(self, name: str) -> str:
        return str(self._folder / f"{quote(name, safe='')}{SUFFIX}")

    def _read_staged(self, pattern: str, form: str) -> str:
        """Read the staged files; the answer numbers their rows, as a JSON array."""
        files = sorted(glob.glob(pattern))  # noqa: PTH207  # all of it is a pattern
        self._staged = [row for file in files for row in _READERS[form](Path(file))]
        return json.dumps(list(range(len(self._staged))))

    def _staged_value(self, row: int, column: str, kind: str) -> Any:
        return _to_sqlite(self._staged[row].get(column), kind)


# Staged files.


def _read_parquet(file: Path) -> Sequence[Mapping[str, Any]]:
    return pq.read_table(file).to_pylist()


def _read_csv(file: Path) -> Sequence[Mapping[str, Any]]:
    with _opened(file) as stream:
        names = pa.csv.open_csv(stream).schema.names
    with _opened(file) as stream:
        found = pa.csv.read_csv(
            stream,
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=["\\N"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    return found.to_pylist()


def _read_json(file: Path) -> Iterator[Mapping[str, Any]]:
    with _opened(file) as stream:
        for line in bytes(stream.read()).decode().split("\n")[:-1]:
            yield json.loads(line, parse_float=Decimal)


def _opened(file: Path) -> Any:
    compression = {".gz": "gzip", ".zst": "zstd"}.get(file.suffix)
    return pa.input_stream(str(file), compression=compression)


_READERS = {"parquet": _read_parquet, "csv": _read_csv, "json": _read_json}


# Values.


def _to_sqlite(value: Any, kind: str) -> Any:
    """A staged value, typed or as text, as it is kept."""
    if value is None:
        return None
    match kind:
        case "smallint" | "integer" | "bigint":
            return int(value)
        case "boolean":
            return value in (True, "true", "t", "1")
        case "double precision":
            return float(value)
        case "real":
            return struct.unpack("f", struct.pack("f", float(value)))[0]
        case "decimal":
            return as_text(Decimal(value))
        case "varbyte":
            return value if isinstance(value, bytes) else bytes.fromhex(value)
        case "date":
            return as_text(date.fromisoformat(value) if isinstance(value, str) else value)
        case "time":
            return as_text(time.fromisoformat(value) if isinstance(value, str) else value)
        case "timestamp" | "timestamptz":
            return as_text(datetime.fromisoformat(value) if isinstance(value, str) else value)
        case "super":
            return value if isinstance(value, str) else json.dumps(value)
    return value


def _from_sqlite(value: Any, kind: pa.DataType) -> Any:
    """A value that was kept, as Arrow takes it."""
    if value is None:
        return None
    if pa.types.is_decimal(kind):
        return Decimal(value)
    if pa.types.is_boolean(kind):
        return bool(value)
    if not isinstance(value, str):
        return value
    if pa.types.is_date(kind):
        return date.fromisoformat(value)
    if pa.types.is_time(kind):
        return time.fromisoformat(value)
    if pa.types.is_timestamp(kind):
        stamp = datetime.fromisoformat(value)
        return stamp.replace(tzinfo=UTC) if kind.tz else stamp
    return value


def _parse_stamp(column: tuple[Any, ...], value: Any) -> Any:
    """When a load was recorded, as drivers tell it; all else as SQLite has it."""
    if column[0] == "loaded_at":
        return datetime.fromisoformat(value)
    return value


def _epoch_us(text: str | None) -> int | None:
    """Microseconds since 1970, of a time those since midnight."""
    if text is None:
        return None
    stamp = datetime.fromisoformat(f"1970-01-01 {text}" if text[2] == ":" else text)
    since = stamp - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _date_trunc(unit: str, text: str | None) -> str | None:
    kept, rest = {"month": (7, "-01 00:00:00.000000"), "hour": (13, ":00:00.000000")}[unit]
    return None if text is None else text[:kept] + rest


class _Sum:
    def __init__(self) -> None:
        self._total: Any = None

    def step(self, value: Any) -> None:
        if value is not None:
            self._total = (self._total or 0) + value

    def finalize(self) -> Any:
        return self._total
