"""The DuckDB driver: a database file that only one process at a time can write."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import tenacity

from loader.errors import ExecuteError
from loader.fair_semaphore import FairSemaphore
from loader.interrupts import run_interruptibly
from loader.warehouse.base import Row
from loader.warehouse.duckdb.file_queue import wait_in_queue
from loader.warehouse.duckdb.settings import DuckDBTarget

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""Rows in one batch of a streamed result."""

MAX_THREADS = 4
"""The most threads: each one that reads staged files uses memory."""

_writers: dict[Path, FairSemaphore] = {}
_writers_lock = threading.Lock()

_PATH = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"

_HELD_BY = re.compile(r"lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")


def connect(settings: DuckDBTarget, root: Path) -> DuckDB:
    """The database file of a target, relative to the project's folder."""
    return DuckDB(Path(os.path.realpath(root / settings.database)), settings)


class DuckDB:
    """A database file."""

    keeps_session_open = False
    """An open file is locked for other processes."""

    def __init__(self, path: Path, settings: DuckDBTarget) -> None:
        self.path = path
        self._settings = settings

    def exists(self) -> bool:
        """Whether the file exists; also True if that cannot be checked."""
        try:
            self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            pass
        return True

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[DuckDBSession]:
        """Open the file; only one writer of this process at a time, as with several processes.

        Raises:
            ExecuteError: another process held it for longer than ``lock_timeout``, or it is not a
                database.
        """
        with _writers_lock:
            turn = _writers.setdefault(self.path, FairSemaphore())
        with ExitStack() as stack:
            if write:
                first = True
                if stack.enter_context(turn) == 1:  # otherwise this thread is the first already
                    queue = wait_in_queue(self.path, self._settings.lock_timeout)
                    first = stack.enter_context(queue)
                connection = self._open(read_only=False, first=first)
            else:
                connection = self._open_to_read(turn)
            stack.callback(self._close, connection)
            # Timestamps with and without a time zone are compared in UTC on every machine, and
            # stdout is for results only.
            options = "SET TimeZone = 'UTC'; SET enable_progress_bar = false"
            run_interruptibly(lambda: connection.execute(options), connection.interrupt)
            yield DuckDBSession(connection)

    def _open_to_read(self, writers: FairSemaphore) -> duckdb.DuckDBPyConnection:
        if writers.is_held:  # this process has its place in the queue, and reads beside its writer
            return self._open(read_only=True)
        # The next may come once the file is open: readers do not exclude each other.
        with wait_in_queue(self.path, self._settings.lock_timeout) as first:
            return self._open(read_only=True, first=first)

    def _close(self, connection: duckdb.DuckDBPyConnection) -> None:
        with _lock_folder(self.path.parent):
            connection.close()

    def _open(self, *, read_only: bool, first: bool = True) -> duckdb.DuckDBPyConnection:
        """Open the file, and wait for programs that hold it; only the first in the queue waits."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_in_use),
            wait=tenacity.wait_random(0.02, 0.2),
            stop=tenacity.stop_after_delay(self._settings.lock_timeout if first else 0),
            reraise=True,
        )
        try:
            if not read_only:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            return retrying(self._connect_locked, read_only=read_only)
        except (duckdb.Error, OSError) as error:
            raise self._open_error(error) from error

    def _connect_locked(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        with _lock_folder(self.path.parent):
            try:
                connection = self._connect(read_only=read_only)
            except duckdb.CatalogException as error:  # read-only, and in memory
                raise self._no_database() from error
            # DuckDB opens a file of data, such as CSV, as views in a database in memory.
            path = run_interruptibly(
                lambda: connection.execute(_PATH).fetchone(), connection.interrupt
            )
            if path == (None,):
                connection.close()
                raise self._no_database()
            return connection

    def _no_database(self) -> duckdb.Error:
        """The error that DuckDB raises for other files that are no database."""
        return duckdb.IOException(
            f'The file "{self.path}" exists, but it is not a valid DuckDB database file!'
        )

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._settings.memory_limit,
            "threads": min(os.cpu_count() or 1, MAX_THREADS),
        }
        try:
            return duckdb.connect(self.path, read_only=read_only, config=config)
        except duckdb.ConnectionException:
            # This process has the file open with other options: use these.
            try:
                return duckdb.connect(self.path, config=config)
            except duckdb.ConnectionException:
                return duckdb.connect(self.path)

    def _open_error(self, error: Exception) -> ExecuteError:
        if (holder := _HELD_BY.search(str(error))) is not None:
            return ExecuteError(
                f"another process holds {self.path}: PID {holder['pid']}, {holder['program']};"
                f" waited {self._settings.lock_timeout:g} s",
                hint="wait for it or stop it; lock_timeout of the target sets how long to wait",
                transient=True,
                rolled_back=True,
            )
        if isinstance(error, _CONFLICTS):
            return ExecuteError(
                f"this process has already opened {self.path} with other options;"
                f" waited {self._settings.lock_timeout:g} s",
                hint="close other connections to it, and streams that still read from it",
                transient=True,
                rolled_back=True,
            )
        return ExecuteError(
            f"{self.path} cannot be opened: {_clean_message(error)}",
            hint="check `database` of the target in the project's settings",
            rolled_back=True,
        )


class DuckDBSession:
    """One connection to the file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._open = False

    def begin(self) -> None:
        """Start the transaction."""
        self.execute("BEGIN TRANSACTION")
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

    def execute(self, sql: str) -> list[Row]:
        """Run one statement and return its rows; INSERT and DELETE return their row count."""
        try:
            return run_interruptibly(
                lambda: self._connection.execute(sql).fetchall(), self._connection.interrupt
            )
        except duckdb.Error as error:
            raise _execute_error(error, sql) from error

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        """Run a query; returns the names of its columns, and its rows."""
        rows = self.execute(sql)
        return [column[0] for column in self._connection.description or ()], rows

    def attach(self, files: str) -> None:
        """Make Arrow files a view of this name, until the transaction ends.

        Args:
            files: A folder, and a pattern of file names in it: ``folder/part-*``.

        Raises:
            ExecuteError: there are no such files, or they are not Arrow files.
        """
        from loader.warehouse.duckdb.arrow_files import find_arrow_files  # noqa: PLC0415

        found = find_arrow_files(files)
        try:
            run_interruptibly(
                lambda: self._connection.register(files, found), self._connection.interrupt
            )
        except duckdb.Error as error:
            raise _execute_error(error, f"-- attach {files}") from error

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:  # noqa: ARG002
        """Run a query and stream its rows in batches, in DuckDB's own types."""
        try:
            reader = run_interruptibly(
                lambda: self._connection.sql(sql).to_arrow_reader(BATCH_ROWS),
                self._connection.interrupt,
            )
        except duckdb.Error as error:
            raise _execute_error(error, sql) from error
        try:
            read = partial(next, reader, None)
            while (batch := run_interruptibly(read, self._connection.interrupt)) is not None:
                yield batch
        finally:
            # DuckDB waits for open results when its file is opened again.
            reader.close()
            del reader


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from opening or closing a database of the folder during the block.

    DuckDB 2.0 sometimes loses a commit when one process opens a file while another one closes it,
    because its own lock does not cover all of either.
    """
    with ExitStack() as stack:
        # Where folders cannot be locked, only DuckDB's own lock applies.
        with suppress(OSError, ImportError):
            import fcntl  # noqa: PLC0415  # Windows has none, and locks whole files by itself

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


_CONFLICTS = (
    duckdb.ConnectionException,
    # Raised by DuckDB 2 while another thread closes the file.
    getattr(duckdb, "ResourceInUseException", duckdb.ConnectionException),
)


_CSV_FILE = re.compile(r"^\s*file = (.*)$", re.MULTILINE)


def _in_use(error: BaseException) -> bool:
    """Whether another process, or a reader in this one, holds the file and may release it."""
    if isinstance(error, _CONFLICTS):
        return True
    return isinstance(error, duckdb.IOException) and bool(_HELD_BY.search(str(error)))


def _execute_error(error: duckdb.Error, sql: str) -> ExecuteError:
    hint = None
    text = _clean_message(error)
    if re.search(r"No space left|disk quota", text, re.IGNORECASE):
        hint = "free space on the disk of the database, then load again"
    elif isinstance(error, duckdb.OutOfMemoryException):
        hint = "raise memory_limit of the target"
    elif isinstance(error, duckdb.TransactionException):
        hint = "another transaction changed the same table: load again after it has ended"
    return ExecuteError(
        text, hint=hint, statement=sql, transient=isinstance(error, duckdb.TransactionException)
    )


def _clean_message(error: Exception) -> str:
    """The driver's message without the error class and the query."""
    text = str(error).split("\n\nLINE ", maxsplit=1)[0]
    if "CSV Parser state machine" in text and (file := _CSV_FILE.search(text)) is not None:
        return f"the lines of {file[1]} end in different ways: a carriage return is within a line"
    return re.sub(r"^[A-Z][A-Za-z ]*Error: ", "", text).strip()
