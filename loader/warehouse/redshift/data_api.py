"""The Data API: sessions over HTTPS, where no network path leads to the warehouse.

Each statement is a request with a token of its own: the same request, sent again after its response
was lost, gives the same statement and does not run it twice. So the outcome of a statement, a
COMMIT too, is asked and not guessed (``mg/data-api``).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.errors import ExecuteError
from loader.warehouse.base import Row
from loader.warehouse.redshift.data_api_requests import Request, send
from loader.warehouse.redshift.data_api_values import read_rows
from loader.warehouse.redshift.errors import (
    DriverError,
    explain,
    explain_text,
    is_answer_of_server,
)
from loader.warehouse.redshift.sessions import (
    RedshiftSession,
    check_length,
    connect_with_retries,
    make_batches,
    make_connect_error,
    make_error,
    make_statement_error,
    opening_statements,
    returns_count,
    wait_to_write,
)
from loader.warehouse.redshift.settings import RedshiftTarget

if TYPE_CHECKING:
    import pyarrow as pa

KEEP_ALIVE = 3_600
"""Seconds that an idle session stays: rows may be staged meanwhile."""

KEEP_ALIVE_IN_TRANSACTION = 120
"""Seconds that it stays inside of a transaction. No request ends a session, so the locks of a
client that has died are held this long."""

MAX_STATEMENT_BYTES = 100_000
"""The API takes statements of 100 KB."""

PATIENCE = 120.0
"""Seconds to send a request again; after them the transaction has ended with its session."""

OPENING_PATIENCE = 15.0
"""The same for a new session, which is tried again as a whole."""

COMMIT_PATIENCE = 900.0
"""The same for COMMIT, whose outcome is worth waiting for."""


def connect(settings: RedshiftTarget, _: Path) -> DataApi:
    """The cluster or workgroup of a target."""
    return DataApi(settings)


class DataApi:
    """A cluster or workgroup."""

    keeps_session_open = True

    def __init__(self, settings: RedshiftTarget) -> None:
        self._settings = settings

    def exists(self) -> bool:
        """Always true: the database must exist."""
        return True

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[DataApiSession]:
        """Open a session; to write, when it is the turn of this thread.

        Raises:
            ExecuteError: the API cannot be reached, or rejects the login.
        """
        with wait_to_write(self._settings) if write else nullcontext():
            session = connect_with_retries(self._connect)
            try:
                yield session
            finally:
                session.close()

    def _connect(self) -> DataApiSession:
        settings = self._settings
        try:
            with ExitStack() as failed:
                session = DataApiSession(self._client, make_login(settings))
                failed.callback(session.close)
                for statement in opening_statements(settings):
                    session.run(statement, OPENING_PATIENCE)
                failed.pop_all()
        except Exception as error:  # noqa: BLE001  errors of credentials and settings too
            known = explain(error)
            if isinstance(error, ExecuteError):
                known = DriverError(error.message, error.hint, error.transient)
            raise make_connect_error(
                f"{settings.work_group or settings.cluster_identifier}/{settings.database}"
                " through the Data API",
                settings.user or settings.secret_id or "the IAM user",
                known,
            ) from None
        return session

    @cached_property
    def _client(self) -> Any:
        import boto3.session  # noqa: PLC0415  # slow to import, as the next ones
        from botocore.config import Config  # noqa: PLC0415

        from loader.staging.stores.s3_sessions import core_session  # noqa: PLC0415

        # Requests are sent again here, for as long as it makes sense.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
        region = self._settings.region_name or None
        # The default session is not safe in threads.
        session = boto3.session.Session(botocore_session=core_session())
        return session.client("redshift-data", region_name=region, config=config)


def make_login(settings: RedshiftTarget) -> dict[str, str]:
    """The arguments of a session's first request: where, and as whom."""
    if settings.work_group:
        place = {"WorkgroupName": settings.work_group}
    else:
        place = {"ClusterIdentifier": settings.cluster_identifier}
    place["Database"] = settings.database
    if settings.secret_id:
        place["SecretArn"] = settings.secret_id
    elif settings.user and not settings.work_group:
        place["DbUser"] = settings.user
    return place


class DataApiSession(RedshiftSession):
    """One session of the API."""

    def __init__(self, client: Any, login: Mapping[str, str]) -> None:
        super().__init__()
        self._client = client
        self._where: Mapping[str, str] = login
        """The login, and after the first response the session."""
        self._lost = False
        """Whether the session has ended, or no statement can follow."""

    def begin(self) -> None:
        """Start the transaction; from now on the session ends soon when it is idle."""
        self._open = True
        self.run("BEGIN")

    def commit(self) -> None:
        """Commit the transaction, and ask for the outcome until it is known.

        Raises:
            ExecuteError: it failed and is rolled back; or the outcome is unknown.
        """
        self._open = False
        self.run("COMMIT", COMMIT_PATIENCE)

    def execute(self, sql: str) -> list[Row]:
        """Run one statement and return its rows; INSERT and DELETE return their row count."""
        done = self.run(sql)
        if done.get("HasResultSet"):
            return list(itertools.chain.from_iterable(self._pages(done["Id"], sql)))
        return [(int(done.get("ResultRows", -1)),)] if returns_count(sql) else []

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and yield its rows in the schema's types, one page after the other."""
        done = self.run(sql)
        if done.get("HasResultSet"):
            yield from make_batches(self._pages(done["Id"], sql), schema)

    def run(self, sql: str, patience: float | None = None) -> Mapping[str, Any]:
        """Run one statement to its end; returns what the API tells of it.

        Args:
            sql: The statement.
            patience: Seconds to send each request again, if it is not `PATIENCE`.

        Raises:
            ExecuteError: it failed, or its outcome is unknown; a COMMIT that failed is marked as
                rolled back.
        """
        check_length(
            sql,
            MAX_STATEMENT_BYTES,
            "the Data API",
            "set `transport` of the target to `driver`, or make the statement shorter:"
            " `verify: counts`, fewer columns, or fewer partitions in one load",
        )
        request = Request(self._client, patience or PATIENCE, self._arguments(sql))
        try:
            done = request.run(fully=returns_count(sql))
        except Exception as error:
            raised = make_error(error, sql)
            self._lose_if(raised.transient)
            raise raised from error
        except BaseException:
            # Nothing can follow COMMIT, which goes on, nor what cannot be cancelled.
            self._lose_if(sql == "COMMIT" or not request.cancel())
            raise
        finally:
            if request.session:
                self._where = {"SessionId": request.session}
        if done["Status"] != "FINISHED":
            raise self._make_failure(done, sql)
        return done

    def close(self) -> None:
        """Roll back, and let the session end with its last statement."""
        if self._lost or "SessionId" not in self._where:
            return
        last = "ROLLBACK" if self._open else "SELECT 1"
        # Whether it works makes no difference: the session ends by itself.
        with suppress(Exception):
            self._client.execute_statement(
                **{**self._arguments(last), "SessionKeepAliveSeconds": 0}
            )
        self._lost, self._open = True, False

    def _arguments(self, sql: str) -> dict[str, Any]:
        keep = KEEP_ALIVE_IN_TRANSACTION if self._open else KEEP_ALIVE
        return {
            **self._where,
            "Sql": sql,
            "ClientToken": str(uuid.uuid4()),
            "SessionKeepAliveSeconds": keep,
            "StatementName": "loader",
        }

    def _lose_if(self, lost: bool) -> None:
        if lost:
            self._lost, self._open = True, False

    def _make_failure(self, done: Mapping[str, Any], sql: str) -> ExecuteError:
        """The error of a statement that the API tells to have failed."""
        text = str(done.get("Error") or "")
        if done["Status"] == "ABORTED" and not is_answer_of_server(text):
            text = f"ERROR: the statement was cancelled {text}".strip()
        error = make_statement_error(explain_text(text), sql)
        answered = is_answer_of_server(text)
        # Otherwise the API has lost its own connection, and does not know the outcome.
        error.rolled_back = answered and sql == "COMMIT" and done["Status"] == "FAILED"
        self._lose_if(error.transient and not answered)
        return error

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        """Run a query; returns the names of its columns, and its rows."""
        pages = list(self._raw_pages(self.run(sql)["Id"], sql))
        names = [column.get("label") or column["name"] for column in pages[0]["ColumnMetadata"]]
        return names, [row for page in pages for row in read_rows(page)]

    def _pages(self, statement: str, sql: str) -> Iterator[list[Row]]:
        yield from map(read_rows, self._raw_pages(statement, sql))

    def _raw_pages(self, statement: str, sql: str) -> Iterator[Mapping[str, Any]]:
        token: str | None = ""
        while token is not None:
            arguments = {"Id": statement, **({"NextToken": token} if token else {})}
            try:
                page = send(self._client.get_statement_result, PATIENCE, **arguments)
            except Exception as error:
                raise make_error(error, sql) from error
            yield page
            token = page.get("NextToken") or None
