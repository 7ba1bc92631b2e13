"""An HTTP server that answers the Data API, with JSON as botocore sends and reads it."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from loader.testing.redshift.data_api.sessions import ENDED, ApiError, Login, Sessions, Statement
from loader.testing.redshift.data_api.values import make_records

if TYPE_CHECKING:
    from loader.testing.redshift.faults import Faults

CLUSTER = "stand-in"
"""The name of the cluster, or of the workgroup in that mode."""

SECRET = "stand-in-login"  # noqa: S105  # its name
"""The secret that holds the login of the stand-in's own user."""

MAX_SQL = 100_000
PAGE_ROWS = 1_000
"""Rows of one response; the real ones have up to a megabyte."""

_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[^/]+/redshift-data/aws4_request")

_LOGIN = ("ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn")

_WORDS = {
    "ThrottlingException": "Rate exceeded",
    "ValidationException": "Session is not available",
}
"""What refusals that are made to happen say."""

Request = Mapping[str, Any]
Answer = dict[str, Any]


class DataApi:
    """The Data API of one stand-in."""

    def __init__(
        self,
        listener: socket.socket,
        faults: Faults,
        log_in: Callable[..., Login | None],
        cancel: Callable[[int], None],
    ) -> None:
        """Serve the requests to a listening socket.

        Args:
            listener: The socket.
            faults: What is to go wrong.
            log_in: Makes the arguments of a connection for a user, or for the stand-in's own one
                with an empty name; None for users that do not exist.
            cancel: Cancels what a backend of this process id runs.
        """
        self.sessions = Sessions(cancel)
        self.serverless = False
        self._faults = faults
        self._log_in = log_in
        self._operations: Mapping[str, Callable[[Request], Answer]] = {
            "ExecuteStatement": self._execute,
            "DescribeStatement": self._describe,
            "GetStatementResult": self._read_result,
            "CancelStatement": self._cancel,
        }
        self._server = _Server(listener, self)
        self.endpoint_url = "http://{}:{}".format(*listener.getsockname()[:2])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and end every session."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.sessions.clear()

    def answer(self, operation: str, request: Request) -> Answer | None:
        """Serve a request; None if its response is to be lost.

        Raises:
            ApiError: the request is refused.
        """
        if operation not in self._operations:
            raise ApiError("UnknownOperationException", f"{operation} is not implemented")
        rule = self._faults.take_api_request(operation, self._sql_of(request))
        if rule is not None and rule.code:
            raise ApiError(rule.code, _WORDS.get(rule.code, rule.code), rule.status)
        answer = self._operations[operation](request)
        return None if rule is not None else answer

    def _sql_of(self, request: Request) -> str:
        """The statement that a request is about."""
        if "Sql" in request:
            return str(request["Sql"])
        try:
            return self.sessions.find(str(request.get("Id"))).sql
        except ApiError:
            return ""

    # --- operations

    def _execute(self, request: Request) -> Answer:
        sql, token = str(request["Sql"]), str(request.get("ClientToken", ""))
        statement = self.sessions.find_repeated(token, sql)
        if statement is None:
            if len(sql.encode()) > MAX_SQL:
                raise ApiError("ValidationException", f"Sql has more than {MAX_SQL} bytes")
            place = request.get("SessionId") or self._find_login(request)
            if isinstance(place, str) and (found := [key for key in _LOGIN if key in request]):
                raise ApiError("ValidationException", f"{found[0]} is not allowed with SessionId")
            keep_alive = request.get("SessionKeepAliveSeconds")
            statement = self.sessions.submit(sql, place, keep_alive, token)
        _wait(statement, request)
        answer: Answer = {"Id": statement.id, "SessionId": statement.session}
        if "WaitTimeSeconds" in request:
            answer |= {"Status": statement.status}
            if statement.status in ENDED:
                answer |= {"HasResultSet": statement.columns is not None}
        return answer

    def _describe(self, request: Request) -> Answer:
        statement = self.sessions.find(str(request["Id"]))
        _wait(statement, request)
        answer: Answer = {
            "Id": statement.id,
            "SessionId": statement.session,
            "Status": statement.status,
            "QueryString": statement.sql,
        }
        if statement.status in ENDED:
            answer["HasResultSet"] = statement.columns is not None
            answer["ResultRows"] = statement.count
            answer |= {"Error": statement.error} if statement.error else {}
        return answer

    def _read_result(self, request: Request) -> Answer:
        statement = self.sessions.find(str(request["Id"]))
        _wait(statement, request)
        if statement.status != "FINISHED" or statement.columns is None:
            raise ApiError("ResourceNotFoundException", "Query does not have result.")
        start = int(request.get("NextToken") or 0)
        end = start + PAGE_ROWS
        more = {"NextToken": str(end)} if end < len(statement.rows) else {}
        return {
            "ColumnMetadata": statement.columns,
            "Records": make_records(statement.columns, statement.rows[start:end]),
            "TotalNumRows": len(statement.rows),
            **more,
        }

    def _cancel(self, request: Request) -> Answer:
        statement = self.sessions.find(str(request["Id"]))
        if not self.sessions.cancel(statement):
            message = f"Could not cancel a query that is already in {statement.status} state"
            raise ApiError("ValidationException", message)
        return {"Status": True}

    def _find_login(self, request: Request) -> Login:
        key, other = "ClusterIdentifier", "WorkgroupName"
        if self.serverless:
            key, other = other, key
        if request.get(key) != CLUSTER or other in request:
            raise ApiError("ValidationException", "Redshift endpoint doesn't exist in this region.")
        if not request.get("Database"):
            raise ApiError("ValidationException", "Database is required")
        user = str(request.get("DbUser", ""))
        if "SecretArn" in request:
            name = re.sub(r"^arn:.*:secret:", "", str(request["SecretArn"]))
            if name != SECRET:
                message = "Secrets Manager can't find the specified secret."
                raise ApiError("ValidationException", message)
            if user:
                raise ApiError("ValidationException", "DbUser is not allowed with SecretArn")
        elif user and self.serverless:
            raise ApiError("ValidationException", "DbUser is not allowed with WorkgroupName")
        login = self._log_in(user, database=request["Database"])
        if login is None:
            raise ApiError("ValidationException", f"User {user} does not exist")
        return login


def _wait(statement: Statement, request: Request) -> None:
    statement.ended.wait(float(request.get("WaitTimeSeconds", 0)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, api: DataApi) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener.dup()
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:  # as http.server calls it
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = self.headers.get("X-Amz-Target", "").removeprefix("RedshiftData.")
        try:
            if not _SIGNED.match(self.headers.get("Authorization", "")):
                raise ApiError("MissingAuthenticationTokenException", "Missing token", 403)
            answer = self.server.api.answer(operation, json.loads(body))
        except ApiError as error:
            told = {"__type": error.code, "Message": error.message}
            self._send(error.status, told, error.code)
        else:
            if answer is None:
                self.close_connection = True
            else:
                self._send(200, answer)

    def _send(self, status: int, answer: Answer, error: str = "") -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as http.server calls it
        logging.getLogger(__name__).debug(format, *args)
