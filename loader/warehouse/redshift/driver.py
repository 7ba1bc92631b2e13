"""The Redshift driver: login with a password, a secret or IAM credentials; sessions."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redshift_connector
import tenacity

from loader.errors import ExecuteError
from loader.redaction import KNOWN
from loader.sql.dialects.redshift import DIALECT
from loader.warehouse.base import Row
from loader.warehouse.redshift.errors import DriverError, explain
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

_CONNECT_ATTEMPTS = 5

BATCH_ROWS = 65_536
"""Rows in one batch of a streamed result."""


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
    def session(self, *, write: bool = True) -> Iterator[RedshiftSession]:  # noqa: ARG002  one kind
        """Open a connection.

        Raises:
            ExecuteError: it cannot be reached, or rejects the login.
        """
        KNOWN.add(self._settings.password)
        connection = self._connect()
        try:
            yield RedshiftSession(connection)
        finally:
            _close(connection)

    def _connect(self) -> Any:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, ExecuteError) and error.transient
            ),
            wait=tenacity.wait_random_exponential(0.5, max=10),
            stop=tenacity.stop_after_attempt(_CONNECT_ATTEMPTS),
            reraise=True,
        )
        return retrying(self._try_to_connect)

    def _try_to_connect(self) -> Any:
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
            # Timestamps with and without a time zone are compared in UTC on every machine.
            connection.cursor().execute("SET timezone TO 'UTC'")
            for name, value in settings.session.outside_loads.parameters().items():
                connection.cursor().execute(f"SET {name} TO {DIALECT.literal(value)}")
        except ExecuteError:
            raise
        except Exception as error:  # noqa: BLE001  errors of sockets, TLS and IAM too
            _close(connection)
            known = explain(error)
            raise ExecuteError(
                f"cannot connect to {where}:{settings.port}/{settings.database}"
                f" as {settings.user or 'the IAM user'}: {known.message}",
                hint=known.hint or "check the target's settings with `loader doctor`",
                transient=known.transient,
                rolled_back=True,
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


def _hide_in(error: Exception) -> None:
    """Remove secrets from the driver's error, which is shown as the cause of ours."""
    error.args = KNOWN.hide_in(error.args)


class RedshiftSession:
    """One connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._open = False

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

    def execute(self, sql: str) -> list[Row]:
        """Run one statement and return its rows; INSERT and DELETE return their row count."""
        try:
            self._cursor.execute(sql)
            if self._cursor.description is not None:
                return [tuple(row) for row in self._cursor.fetchall()]
        except Exception as error:
            _hide_in(error)
            raise self._execute_error(error, sql) from error
        except BaseException:
            # Interrupted while waiting for a response: no statement can follow, not even ROLLBACK.
            # Closing the connection rolls back.
            self._open = False
            _close(self._connection)
            raise
        counts = re.match(r"\s*(INSERT|DELETE)\b", sql, re.IGNORECASE)
        return [(self._cursor.rowcount,)] if counts else []

    def stream(self, sql: str, schema: pa.Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run a query and yield its rows in the schema's types.

        The driver holds the whole result in memory, so large reads use UNLOAD instead.
        """
        rows = self.execute(sql)
        for start in range(0, len(rows), BATCH_ROWS):
            yield _batch(rows[start : start + BATCH_ROWS], schema)

    def _execute_error(self, error: Exception, sql: str) -> ExecuteError:
        known: DriverError = explain(error)
        return ExecuteError(
            known.message,
            hint=known.hint,
            statement=sql,
            transient=known.transient,
            code=known.code,
        )


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
        columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


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
