"""Accepts clients: checks their passwords, and opens a PostgreSQL session for each."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import psycopg

from loader.testing.redshift.copy import Copier
from loader.testing.redshift.database.admin import Admin
from loader.testing.redshift.database.bootstrap import LOGIN_OPTIONS
from loader.testing.redshift.faults import CopyFault, Faults, Refused
from loader.testing.redshift.isolation import Isolation
from loader.testing.redshift.protocol import wire
from loader.testing.redshift.protocol.backend import Backend, DroppedError
from loader.testing.redshift.protocol.prepared import Statement
from loader.testing.redshift.protocol.session import Session
from loader.testing.redshift.statements.copy_unload import parse_copy, parse_unload
from loader.testing.redshift.statements.masks import find_masked, with_masks
from loader.testing.redshift.statements.tokens import quote
from loader.testing.redshift.statements.translate import Translation, translate
from loader.testing.redshift.unload import Unloader

SERVER_VERSION = "8.0.2"
"""What Redshift says it is; the driver counts rows differently for it."""


@dataclass
class Client:
    """A connection, from its first byte to its last."""

    channel: wire.Channel
    thread: threading.Thread
    backend: wire.Channel | None = None
    pid: int = 0


@dataclass
class Gateway:
    """Serves every client of a listening socket in a thread of its own."""

    listener: socket.socket
    backend_address: Path
    admin: Admin
    faults: Faults
    copier: Copier
    unloader: Unloader
    users: dict[str, str]
    statements: list[Statement] = field(default_factory=list)
    serverless: bool = False
    """Whether it is a workgroup, which lacks the STL and STV views of clusters."""
    masks_exist: bool = False
    """Whether anybody may have to see other values than there are."""
    isolation: Isolation = field(default_factory=Isolation)

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._open: dict[int, Client] = {}
        self._lock = threading.Lock()
        self._domains: set[str] = set()
        self._stopping = threading.Event()
        self._interrupt = threading.Event()
        self.host, self.port = self.listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._listen, name="gateway", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end every session."""
        self._stopping.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(5)
        self.end_sessions()

    def end_sessions(self) -> None:
        """Cut off every client, and wait until the server has forgotten them."""
        with self._lock:
            clients = list(self._open.values())
        self._interrupt.set()
        for client in clients:
            if client.backend is not None:
                client.backend.hang_up()
            client.channel.hang_up()
        self.admin.query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND usename <> current_user"
        )
        for client in clients:
            client.thread.join(5)
        self._interrupt = threading.Event()

    # --- what sessions need

    def log(self, statement: Statement) -> None:
        """Record a statement of a client."""
        self.statements.append(statement)

    def pause(self, seconds: float) -> None:
        """Wait, unless all sessions are to end meanwhile."""
        self._interrupt.wait(seconds)

    def check(self, kind: str, sql: str) -> None:
        """Refuse a COPY or an UNLOAD that is not well-formed."""
        if kind == "copy":
            parse_copy(self.isolation.shares.rewrite(sql))
        else:
            parse_unload(sql)

    def perform(
        self, session: Session, kind: str, sql: str, fault: CopyFault | None
    ) -> tuple[str, str]:
        """Run a COPY or an UNLOAD; its command tag, and the notice for the client."""
        if kind == "copy":
            copy = parse_copy(self.isolation.shares.rewrite(sql))
            return self.copier.run(session, copy, fault)
        return self.unloader.run(session, parse_unload(sql))

    def mask(self, user: str, sql: str) -> str:
        """A statement as it reads what this user may see, where masking policies are attached."""
        return with_masks(sql, find_masked(self.admin, user)) if self.masks_exist else sql

    def translate(self, user: str, sql: str, *, in_transaction: bool) -> Translation:
        """What to run on PostgreSQL for a statement; the types it needs exist then."""
        shared = self.isolation.shares.rewrite(sql)
        found = translate(
            self.mask(user, shared),
            in_transaction=in_transaction,
            declared_key=self._declared_key,
            serverless=self.serverless,
        )
        self._create_domains(found.domains)
        if shared != sql:  # TRUNCATE commits no share (dg/considerations-datashare-reads-writes)
            found = replace(found, ends_transaction=False)
        return found

    def _create_domains(self, domains: Sequence[tuple[str, str]]) -> None:
        for name, sql in domains:
            with self._lock:
                if name in self._domains:
                    continue
                with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                    self.admin.query(sql)
                self._domains.add(name)

    def _declared_key(self, names: Sequence[str]) -> frozenset[str]:
        """The columns of the primary key that a table declares; none of one that is not there."""
        found = self.admin.query(
            "SELECT a.attname FROM pg_catalog.redshift_keys k JOIN pg_catalog.pg_attribute a"
            " ON a.attrelid = k.relation AND a.attnum = ANY (k.columns)"
            " WHERE k.type = 'p' AND k.relation = pg_catalog.to_regclass(%s)",
            ".".join(map(quote, names)),
        )
        return frozenset(name for (name,) in found)

    def wait_until_gone(self, pid: int) -> None:
        """Wait until a backend has ended its transaction and left."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not self.admin.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid):
                return
            time.sleep(0.002)
        raise TimeoutError(f"PostgreSQL backend {pid} does not end")

    # --- connections

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number = next(self._numbers)
            channel = wire.Channel(sock)
            thread = threading.Thread(
                target=self._serve, args=(number, channel), name=f"client {number}", daemon=True
            )
            with self._lock:
                self._open[number] = Client(channel, thread)
                thread.start()

    def _serve(self, number: int, channel: wire.Channel) -> None:
        client = self._open[number]
        session = None
        try:
            session = self._login(number, client)
            if session is not None:
                session.run()
        except (wire.ClosedError, DroppedError):
            pass
        finally:
            if client.backend is not None:
                client.backend.close()
            channel.close()
            with self._lock:
                del self._open[number]
            self.isolation.forget(client.pid)
            if session is not None and not self._stopping.is_set():
                self._remember(session)

    def _remember(self, session: Session) -> None:
        with suppress(psycopg.Error):
            self.admin.query(
                "INSERT INTO pg_catalog.redshift_sessions SELECT oid, %s, current_database(),"
                " rolname, NULL, now() FROM pg_roles WHERE rolname = %s",
                session.backend.pid,
                session.user,
            )

    def _login(self, number: int, client: Client) -> Session | None:
        refused = self.faults.take_connection()
        if refused is not None and not refused.code:
            return None
        parameters = self._greet(client.channel)
        if parameters is None:
            return None
        if refused is not None:
            _refuse(client.channel, refused)
            return None
        user = parameters.get("user", "")
        if not self._authenticate(client.channel, user):
            words = f'password authentication failed for user "{user}"'
            _refuse(client.channel, Refused(code="28000", message=words))
            return None
        return self._open_backend(number, client, parameters)

    def _greet(self, channel: wire.Channel) -> dict[str, str] | None:
        """What the client says first; None if it wanted a statement cancelled."""
        while True:
            code, body = channel.read_startup()
            if code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
                channel.send(b"N")
            elif code == wire.CANCEL_REQUEST:
                backend = self._reach_backend()
                backend.send(wire.int_bytes(16) + wire.int_bytes(code) + body)
                backend.close()
                return None
            elif code >> 16 == 3:
                return wire.startup_parameters(body)
            else:
                return None

    def _authenticate(self, channel: wire.Channel, user: str) -> bool:
        salt = os.urandom(4)
        channel.send(wire.message(b"R", wire.int_bytes(5) + salt))
        kind, body = channel.read()
        if kind != b"p" or user not in self.users:
            return False
        # PostgreSQL's own way to send a password.
        inner = hashlib.md5((self.users[user] + user).encode()).hexdigest()  # noqa: S324
        wanted = "md5" + hashlib.md5(inner.encode() + salt).hexdigest()  # noqa: S324
        return body.rstrip(b"\0").decode() == wanted

    def _reach_backend(self) -> wire.Channel:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(self.backend_address))
        return wire.Channel(sock)

    def _open_backend(
        self, number: int, client: Client, parameters: dict[str, str]
    ) -> Session | None:
        client.backend = backend = self._reach_backend()
        wanted = {
            "user": parameters["user"],
            "database": parameters.get("database", parameters["user"]),
            "application_name": parameters.get("application_name", ""),
            "client_encoding": "UTF8",
            "options": f"{LOGIN_OPTIONS} {parameters.get('options', '')}",
        }
        backend.send(wire.startup(wanted))
        pid = 0
        answer = bytearray()
        while True:
            kind, body = backend.read()
            if kind == b"K":
                pid = wire.number(body, 0)
            if kind == b"S" and body.startswith(b"server_version\0"):
                body = b"server_version\0" + SERVER_VERSION.encode() + b"\0"
            answer += wire.message(kind, body)
            if kind in (b"Z", b"E"):
                break
        client.channel.send(answer)
        if kind == b"E":
            return None
        client.pid = pid
        return Session(self, client.channel, Backend(backend, pid), number, parameters["user"])


def _refuse(channel: wire.Channel, refused: Refused) -> None:
    values = {"S": "FATAL", "C": refused.code, "M": refused.message or "connection refused"}
    channel.send(wire.error(values))
