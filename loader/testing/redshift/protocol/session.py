"""One client's session: its statements go to PostgreSQL, and the answers come back.

Messages are handled one at a time. Each Execute is a round trip of its own, so that a fault can
happen right before or after a statement. A client must end with a Sync; a Flush is not answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from loader.testing.redshift.faults import (
    Action,
    ChangeCopied,
    CopyFault,
    CutCopy,
    Delay,
    Drop,
    Error,
    Faults,
)
from loader.testing.redshift.isolation import Isolation
from loader.testing.redshift.protocol import wire
from loader.testing.redshift.protocol.backend import Backend, DroppedError, ServerError, refusal_of
from loader.testing.redshift.protocol.prepared import Prepared, Statement
from loader.testing.redshift.protocol.results import (
    redshift_error,
    redshift_message,
    redshift_row,
    special_columns,
)
from loader.testing.redshift.refusals import ABORTED, Refusal
from loader.testing.redshift.statements.copy_unload import kind as statement_kind
from loader.testing.redshift.statements.translate import Translation

ENOUGH = 1 << 18


class Host(Protocol):
    """What a session needs of the gateway; its methods say more."""

    faults: Faults
    isolation: Isolation

    def log(self, statement: Statement) -> None: ...  # noqa: D102
    def pause(self, seconds: float) -> None: ...  # noqa: D102
    def check(self, kind: str, sql: str) -> None: ...  # noqa: D102
    def perform(  # noqa: D102
        self, session: Session, kind: str, sql: str, fault: CopyFault | None
    ) -> tuple[str, str]: ...
    def translate(self, user: str, sql: str, *, in_transaction: bool) -> Translation: ...  # noqa: D102
    def wait_until_gone(self, pid: int) -> None: ...  # noqa: D102


class Session:
    """Between one client, who has logged in, and its PostgreSQL backend."""

    def __init__(
        self,
        gateway: Host,
        client: wire.Channel,
        backend: Backend,
        number: int,
        user: str,
    ) -> None:
        self.gateway = gateway
        self.client = client
        self.backend = backend
        self.number = number
        self.user = user
        self._statements: dict[bytes, Prepared] = {}
        self._portals: dict[bytes, Prepared | None] = {}
        self._pending = bytearray()
        self._described: deque[Prepared | None] = deque()
        self._parsing: list[Prepared] = []
        self._out = bytearray()
        self._skipping = False
        self._holding = False
        self._handlers: dict[bytes, Callable[[bytes], None]] = {
            b"P": self._parse,
            b"B": self._bind,
            b"D": self._describe,
            b"E": self._execute,
            b"C": self._close,
        }

    # --- what the client sends

    def run(self) -> None:
        """Serve the client until it leaves, is cut off, or loses its backend."""
        try:
            self._serve()
        except wire.ClosedError:
            with suppress(wire.ClosedError):  # what the server sent before it closed
                self._send_out()

    def _serve(self) -> None:
        while True:
            ready = wire.wait_for(self.client, self.backend.channel)
            if self.client not in ready:
                self._pass_on_unasked()
                continue
            kind, body = self.client.read()
            if kind == b"X":
                return
            if kind == b"S":
                self._sync()
            elif kind == b"Q":
                self._simple(body)
            elif not self._skipping and kind in self._handlers:
                self._handlers[kind](body)

    def _pass_on_unasked(self) -> None:
        """Pass on what the backend sends without a request: that it ends, and why."""
        kind, body = self.backend.channel.read()
        self._reply(redshift_message(kind, body, self.number, self.backend.pid))
        self._send_out()

    def _sync(self) -> None:
        self._skipping = False
        if self._pending:
            self._drain()
        self._skipping = False
        self._reply(wire.ready(self.backend.status))
        self._send_out()

    def _parse(self, body: bytes) -> None:
        name, at = wire.text(body)
        sql, at = wire.text(body, at)
        prepared = self._prepared(sql.decode())
        if prepared is None:
            return
        self._statements[name] = prepared
        if prepared.translation is None:
            self._locally(wire.message(b"1"))
        else:
            sql = prepared.translation.sql.encode()
            self._parsing.append(prepared)
            self._pending += wire.message(b"P", name + b"\0" + sql + b"\0" + body[at:])

    def _prepared(self, sql: str) -> Prepared | None:
        """The statement as the server gets it; None if it was refused."""
        entry = Statement(self.number, sql)
        try:
            kind = statement_kind(sql)
            if kind in ("copy", "unload"):
                self.gateway.check(kind, sql)
                return Prepared(sql, kind, None)
            inside = self.backend.status != b"I"
            translation = self.gateway.translate(self.user, sql, in_transaction=inside)
        except Exception as error:  # noqa: BLE001
            self.gateway.log(entry)
            entry.ok = False
            self._refuse(refusal_of(error))
            return None
        return Prepared(sql, kind, translation, inside)

    def _bind(self, body: bytes) -> None:
        portal, at = wire.text(body)
        name, _ = wire.text(body, at)
        prepared = self._statements.get(name)
        self._portals[portal] = prepared
        if prepared is not None and prepared.translation is None:
            self._locally(wire.message(b"2"))
        else:
            self._pending += wire.message(b"B", body)

    def _describe(self, body: bytes) -> None:
        known = self._statements if body[:1] == b"S" else self._portals
        name, _ = wire.text(body, 1)
        prepared = known.get(name)
        if prepared is not None and prepared.translation is None:
            parameters = wire.message(b"t", b"\0\0") if body[:1] == b"S" else b""
            self._locally(parameters + wire.message(b"n"))
        else:
            self._described.append(prepared)
            self._pending += wire.message(b"D", body)

    def _close(self, body: bytes) -> None:
        name, _ = wire.text(body, 1)
        known = self._statements if body[:1] == b"S" else self._portals
        prepared = known.pop(name, None)
        if prepared is not None and prepared.translation is None:
            self._locally(wire.message(b"3"))
        else:
            self._pending += wire.message(b"C", body)

    def _execute(self, body: bytes) -> None:
        portal, _ = wire.text(body)
        prepared = self._portals.get(portal)
        if prepared is None:  # the server knows what to say of it
            self._pending += wire.message(b"E", body)
            self._drain()
            return
        if not self._still_legal(prepared):
            return
        self._statement(prepared, wire.message(b"E", body) + wire.message(b"S"))

    def _still_legal(self, prepared: Prepared) -> bool:
        """Whether it may run here: it may have been prepared outside this transaction."""
        inside = self.backend.status != b"I"
        if prepared.translation is None or prepared.in_transaction == inside:
            return True
        return self._prepared(prepared.sql) is not None

    def _simple(self, body: bytes) -> None:
        sql = wire.text(body)[0].decode()
        if not sql.strip().rstrip(";"):
            self.backend.channel.send(wire.query(sql))
            self._read_answer(None)
        else:
            prepared = self._prepared(sql)
            if prepared is not None:
                translated = prepared.translation.sql if prepared.translation else ""
                self._described.append(prepared)
                self._statement(prepared, wire.query(translated))
                self._described.clear()
        self._skipping = False
        self._reply(wire.ready(self.backend.status))
        self._send_out()

    # --- one statement

    def _statement(self, prepared: Prepared, messages: bytes) -> None:
        """Run a statement, with what is to go wrong before and after it."""
        entry = Statement(self.number, prepared.sql)
        self.gateway.log(entry)
        due = self.gateway.faults.take
        before = due(prepared.sql, "before") + due(prepared.sql, "instead")
        faults = (action for action in before if isinstance(action, CutCopy | ChangeCopied))
        fault = next(faults, None)
        for action in before:
            if isinstance(action, Error):
                entry.ok = False
                self._refuse(Refusal(action.message, code=action.code, detail=action.detail))
                return
            self._act(action)
        after = due(prepared.sql, "after")
        drop = next((action for action in after if isinstance(action, Drop)), None)
        error = next((action for action in after if isinstance(action, Error)), None)
        if drop is not None and drop.late:
            self.client.close(reset=drop.reset)
            self.gateway.pause(drop.late)
        kept = bytes(self._out)
        self._holding = bool(after)
        failed = self._run(prepared, messages, fault)
        self.gateway.isolation.settle(self.backend, failed=failed)
        self._holding = False
        if drop is not None:
            self._drop(drop)
        for action in after:
            self._act(action)
        if error is not None and not failed:
            self._out = bytearray(kept)
            self._fail(Refusal(error.message, code=error.code, detail=error.detail))
            failed = True
        entry.ok = not failed

    def _act(self, action: Action) -> None:
        if isinstance(action, Drop):
            self._drop(action)
        elif isinstance(action, Delay):
            self._send_out()
            self.gateway.pause(action.seconds)

    def _run(self, prepared: Prepared, messages: bytes, fault: CopyFault | None) -> bool:
        """Run it and say what came of it; whether it failed."""
        try:
            self.gateway.isolation.check(self.backend, prepared.sql)
        except Refusal as refusal:
            self._refuse(refusal)
            return True
        if prepared.translation is None:
            return not self._run_here(prepared, fault)
        if messages[:1] == b"Q":
            self.backend.channel.send(messages)
        else:
            self.backend.channel.send(self._pending + messages)
            self._pending.clear()
        failed = self._read_answer(prepared)
        if not failed and prepared.translation.ends_transaction and self.backend.status == b"T":
            self.backend.ask("COMMIT")
        return failed

    def _run_here(self, prepared: Prepared, fault: CopyFault | None) -> bool:
        """A COPY or an UNLOAD: the gateway does it, on the client's backend."""
        self._drain()
        if self._skipping:
            return False
        if self.backend.status == b"E":
            self._fail(ABORTED)
            return False
        try:
            tag, notice = self.gateway.perform(self, prepared.kind, prepared.sql, fault)
        except ServerError as error:
            self._reply(wire.error(redshift_error(error.fields, self.number, self.backend.pid)))
            self._skipping = True
            return False
        except (wire.ClosedError, DroppedError):
            raise
        except Exception as error:  # noqa: BLE001
            if self.backend.status == b"E":  # the COPY that failed has aborted it
                self._fail(refusal_of(error))
            else:
                self._refuse(refusal_of(error))
            return False
        values = {"S": "INFO", "C": "00000", "M": notice}
        self._reply(wire.error(values, kind=b"N") + wire.complete(tag))
        return True

    def cut_off(self) -> None:
        """Break the connection here and now."""
        self._drop(Drop())

    # --- what goes back to the client

    def _locally(self, answer: bytes) -> None:
        """Answer without the server, after what the server has yet to answer."""
        self._drain()
        if not self._skipping:
            self._reply(answer)

    def _drain(self) -> None:
        """Send the server what waits for it, and pass its answer on."""
        if self._pending:
            self.backend.channel.send(self._pending + wire.message(b"S"))
            self._pending.clear()
            parsing = self._parsing[-1:]
            if self._read_answer(None):
                for prepared in parsing:
                    self.gateway.log(Statement(self.number, prepared.sql, ok=False))

    def _read_answer(self, running: Prepared | None) -> bool:
        """Pass on what the server says, but not its ReadyForQuery; whether it failed."""
        failed = False
        while True:
            kind, body = self.backend.channel.read()
            if kind == b"Z":
                self.backend.status = body
                self._described.clear()
                self._parsing.clear()
                return failed
            if kind == b"D" and running is not None and running.special:
                body = redshift_row(body, running.special)
            elif kind == b"E":
                failed = True
                self._skipping = True
            elif kind == b"G":
                self.backend.channel.send(wire.message(b"f", b"not supported\0"))
                continue
            elif kind in (b"T", b"n") and self._described:
                shown = self._described.popleft()
                if kind == b"T" and shown is not None:
                    shown.special = special_columns(body)
            self._reply(redshift_message(kind, body, self.number, self.backend.pid))
            if len(self._out) > ENOUGH and not self._holding:
                self._send_out()

    def _refuse(self, refusal: Refusal) -> None:
        """Refuse a statement as the server would: its transaction is aborted by it."""
        self._drain()
        if self._skipping:
            return
        if self.backend.status == b"T":
            self.backend.channel.send(wire.query("SELECT pg_catalog.redshift_refuse()"))
            self.backend.skip_until_ready()
        elif self.backend.status == b"E":
            refusal = ABORTED
        self._fail(refusal)

    def _fail(self, refusal: Refusal) -> None:
        self._reply(wire.error(refusal.fields))
        self._skipping = True

    def _reply(self, data: bytes) -> None:
        self._out += data

    def _send_out(self) -> None:
        if self._out:
            self.client.send(self._out)
            self._out.clear()

    def _drop(self, drop: Drop) -> None:
        if drop.linger:
            self.client.close(reset=drop.reset)
            self.gateway.pause(drop.linger)
        self.backend.channel.close()
        self.gateway.wait_until_gone(self.backend.pid)
        if not drop.linger:
            self.client.close(reset=drop.reset)
        raise DroppedError
