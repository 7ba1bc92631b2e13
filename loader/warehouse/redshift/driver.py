"""The Redshift driver: login with a password, a secret or IAM credentials; sessions."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redshift_connector

from loader.errors import ExecuteError
from loader.redaction import KNOWN
from loader.warehouse.base import Row
from loader.warehouse.redshift.errors import explain
from loader.warehouse.redshift.sessions import (
    RedshiftSession,
    check_length,
    connect_with_retries,
    make_batches,
    make_connect_error,
    make_error,
    opening_statements,
    returns_count,
    wait_to_write,
)
from loader.warehouse.redshift.settings import RedshiftTarget

if TYPE_CHECKING:
    import pyarrow as pa

KEEPALIVE: dict[str, Any] = {
    "tcp_keepalive": True,
    "tcp_keepalive_idle": 60,
    "tcp_keepalive_interval": 30,
    "tcp_keepalive_count": 5,
}
"""A COPY sends nothing for minutes, and firewalls close idle connections
(``connecting-firewall-guidance``)."""

MAX_STATEMENT_BYTES = 16 << 20
"""Redshift takes statements of 16 MB (``amazon-redshift-limits``)."""


def connect(settings: RedshiftTarget, _: Path) -> Redshift:
    """The cluster or workgroup of a target."""
    return Redshift(settings)


class Redshift:
    """A cluster or workgroup."""

    keeps_session_open = True

    def __init__(self, settings: RedshiftTarget) -> None:
        self._settings = settings

    def exists(self) -> bool:
        """Always true: the database must exist."""
        return True

    @contextmanager
    def session(self, *, write: bool = True) -> Iterator[DriverSession]:
        """Open a connection; to write, when it is the turn of this thread.

        Raises:
            ExecuteError: it cannot be reached, or rejects the login.
        """
        KNOWN.add(self._settings.password)
        with wait_to_write(self._settings) if write else nullcontext():
            connection = connect_with_retries(self._connect)
            try:
                yield DriverSession(connection)
            finally:
                _close(connection)

    def _connect(self) -> Any:
        settings = self._settings
        where = (
            settings.host
            or settings.work_group
            or settings.cluster_identifier
            or f"the host of the secret {settings.secret_id}"
        )
        connection = None
        try:
            login = _login(settings)
            # The driver's `timeout` applies to every response: it would abort long COPYs.
            connection = redshift_connector.connect(
                **login,
                **KEEPALIVE,
                timeout=None,
                ssl=settings.ssl,
                application_name="loader",
            )
            # Loader sends BEGIN itself.
            connection.autocommit = True
            for statement in opening_statements(settings):
                connection.cursor().execute(statement)
        except ExecuteError:
            raise
        except Exception as error:  # noqa: BLE001  errors of sockets, TLS and IAM too
            _close(connection)
            raise make_connect_error(
                f"{where}:{settings.port}/{settings.database}",
                settings.user or "the IAM user",
                explain(error),
            ) from None
        return connection


def _close(connection: Any) -> None:
    """Close a connection that may be lost, or None."""
    if connection is not None:
        with suppress(Exception):
            connection.close()


def _login(settings: RedshiftTarget) -> dict[str, Any]:
    """The driver's arguments for the login method of the settings."""
    place: dict[str, Any] = {"database": settings.database, "port": settings.port}
    if settings.host:
        place["host"] = settings.host
    if settings.password:
        return {**place, "user": settings.user, "password": settings.password}
    if settings.secret_id:
        return {**place, **_secret(settings)}
    iam: dict[str, Any] = {"iam": True, "user": "", "password": ""}
    if settings.region_name:
        iam["region"] = settings.region_name
    if settings.work_group:
        return {**place, **iam, "is_serverless": True, "serverless_work_group": settings.work_group}
    if settings.cluster_identifier:
        iam["cluster_identifier"] = settings.cluster_identifier
    if settings.user:
        iam["db_user"] = settings.user
    elif settings.cluster_identifier:
        iam["group_federation"] = True
    return {**place, **iam}


def _secret(settings: RedshiftTarget) -> dict[str, Any]:
    import boto3  # noqa: PLC0415  # slow to import, and only needed for secrets

    client = boto3.client("secretsmanager", region_name=settings.region_name or None)
    with closing(client):
        answer = client.get_secret_value(SecretId=settings.secret_id)
    login: dict[str, Any] = {}
    document: Any = None
    with suppress(ValueError):
        document = json.loads(answer.get("SecretString", ""))
    if isinstance(document, dict):
        login = {"user": document.get("username"), "password": document.get("password")}
    if not login or not all(isinstance(value, str) and value for value in login.values()):
        raise ExecuteError(
            f"the secret `{settings.secret_id}` has no username and password",
            hint="use a secret in the format that Secrets Manager creates for Redshift",
            rolled_back=True,
        ) from None
    KNOWN.add(login["password"])
    if not settings.host:
        login["host"] = document.get("host", "")
    return login


class DriverSession(RedshiftSession):
    """One connection."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection
        self._cursor = connection.cursor()

    def execute(self, sql: str) -> list[Row]:
        """Run one statement and return its rows; INSERT and DELETE return their row count."""
        hint = "load fewer partitions at once, or a range of them without gaps"
        check_length(sql, MAX_STATEMENT_BYTES, "Redshift", hint)
        try:
            self._cursor.execute(sql)
            if self._cursor.description is not None:
                return [tuple(row) for row in self._cursor.fetchall()]
        except Exception as error:
            raise make_error(error, sql) from error
        except BaseException:
            # Interrupted while waiting for a response: no statement can follow, not even ROLLBACK.
            # Closing the connection rolls back.
            self._open = False
            _close(self._connection)
            raise
        return [(self._cursor.rowcount,)] if returns_count(sql) else []

    def query(self, sql: str) -> tuple[list[str], list[Row]]:
        """Run a query; returns the names of its columns, and its rows."""
        rows = self.execute(sql)
        return [column[0] for column in self._cursor.description or ()], rows

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and yield its rows in the schema's types, but reals as doubles.

        The driver holds the whole result in memory, so large reads use UNLOAD instead.
        """
        yield from make_batches([self.execute(sql)], schema)
