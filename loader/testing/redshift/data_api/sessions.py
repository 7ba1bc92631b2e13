"""Sessions of the Data API, each a connection to the gateway, and their statements."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redshift_connector
from redshift_connector.config import FC_TEXT
from redshift_connector.utils.oids import RedshiftOID
from redshift_connector.utils.type_utils import text_recv

from loader.testing.redshift.data_api.values import describe_columns, tell_error

Login = Mapping[str, Any]
"""The arguments of ``redshift_connector.connect``."""

ENDED = ("FINISHED", "FAILED", "ABORTED")


class ApiError(Exception):
    """A refusal of a request."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class Statement:
    """A statement, from its submission on."""

    sql: str
    session: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "SUBMITTED"
    error: str = ""
    columns: list[dict[str, Any]] | None = None
    """None if there is no result."""
    rows: list[Any] = field(default_factory=list)
    count: int = -1
    cancelled: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


@dataclass
class Session:
    """A connection to the gateway that runs one statement at a time."""

    login: Login
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    connection: Any = None
    running: bool = False
    keep_alive: float = 0.0
    deadline: float = float("inf")

    def run(self, statement: Statement) -> bool:
        """Run a statement and keep its result; whether the connection is still there."""
        try:
            if self.connection is None:
                self.connection = redshift_connector.connect(**self.login)
                self.connection.autocommit = True
                # The API gives VARBYTE in hex digits, which this driver would read as text.
                self.connection.redshift_types[RedshiftOID.VARBYTE] = (FC_TEXT, text_recv)
            cursor = self.connection.cursor()
            cursor.execute(statement.sql)
            statement.count = cursor.rowcount
            if cursor.description is not None:
                statement.rows = list(cursor.fetchall())
                statement.columns = describe_columns(cursor.description)
                statement.count = len(statement.rows)
        except Exception as error:  # noqa: BLE001  whatever it is, it is the statement's error
            statement.error = tell_error(error)
            return statement.error.startswith("ERROR")
        return True

    @property
    def pid(self) -> int:
        """The process of its backend."""
        return int.from_bytes(self.connection._backend_key_data[:4], "big")

    def close(self) -> None:
        """End it; the server rolls back what is open."""
        if self.connection is not None:
            with suppress(Exception):  # it may be lost
                self.connection.close()


class Sessions:
    """All sessions of one stand-in. All of it may be used from any thread."""

    def __init__(self, cancel: Callable[[int], None]) -> None:
        self._cancel = cancel
        self._changed = threading.Condition()
        self._sessions: dict[str, Session] = {}
        self._statements: dict[str, Statement] = {}
        self._tokens: dict[str, str] = {}
        self._watcher: threading.Thread | None = None

    def find_repeated(self, token: str, sql: str) -> Statement | None:
        """The statement that a request with this token has already submitted."""
        with self._changed:
            found = self._statements.get(self._tokens.get(token, ""))
        if found is not None and found.sql != sql:
            raise ApiError("ValidationException", "ClientToken was used for another statement")
        return found

    def submit(
        self, sql: str, place: Login | str, keep_alive: float | None, token: str
    ) -> Statement:
        """Have a statement run in a session of this id, or in a new one with this login.

        Raises:
            ApiError: there is no such session, or it runs another statement.
        """
        with self._changed:
            session = self._sessions.get(place) if isinstance(place, str) else Session(place)
            if session is None:
                raise ApiError("ValidationException", f"Session with Id: {place} is invalid")
            if session.running:
                raise ApiError("ValidationException", "Session is not available")
            self._sessions[session.id] = session
            session.running, session.deadline = True, float("inf")
            if keep_alive is not None:
                session.keep_alive = keep_alive
            statement = Statement(sql, session.id)
            self._statements[statement.id] = statement
            self._tokens[token] = statement.id
        threading.Thread(target=self._run, args=(session, statement), daemon=True).start()
        return statement

    def _run(self, session: Session, statement: Statement) -> None:
        statement.status = "STARTED"
        alive = session.run(statement)
        if statement.error:
            statement.status = "ABORTED" if statement.cancelled else "FAILED"
        else:
            statement.status = "FINISHED"
        with self._changed:
            session.running = False
            session.deadline = time.monotonic() + session.keep_alive
            if not alive or not session.keep_alive:
                self._sessions.pop(session.id, None)
            elif self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
            self._changed.notify_all()
            gone = session.id not in self._sessions
        if gone:
            session.close()
        statement.ended.set()

    def find(self, statement: str) -> Statement:
        """A statement.

        Raises:
            ApiError: there is none with this id.
        """
        with self._changed:
            found = self._statements.get(statement)
        if found is None:
            raise ApiError("ResourceNotFoundException", "Query does not exist.")
        return found

    def cancel(self, statement: Statement) -> bool:
        """Cancel a statement if it runs; whether it does."""
        with self._changed:
            session = self._sessions.get(statement.session)
        if statement.ended.is_set() or session is None or session.connection is None:
            return False
        statement.cancelled = True
        self._cancel(session.pid)
        return True

    def expire(self) -> None:
        """End every session that runs no statement, as if its keep-alive had passed."""
        self._end(lambda session: not session.running)

    def clear(self) -> None:
        """Forget everything; connections that run a statement are cut off by the gateway."""
        self._end(lambda _: True)
        with self._changed:
            self._statements.clear()
            self._tokens.clear()

    def _watch(self) -> None:
        while True:
            with self._changed:
                deadlines = [session.deadline for session in self._sessions.values()]
                if not deadlines:
                    self._watcher = None
                    return
                wait = min(deadlines) - time.monotonic()
                if wait > 0:
                    self._changed.wait(min(wait, threading.TIMEOUT_MAX))
            self._end(lambda session: session.deadline <= time.monotonic())

    def _end(self, which: Callable[[Session], bool]) -> None:
        with self._changed:
            found = [session for session in self._sessions.values() if which(session)]
            for session in found:
                del self._sessions[session.id]
            self._changed.notify_all()
        for session in found:
            session.close()
