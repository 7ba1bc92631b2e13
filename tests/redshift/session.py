"""One client's session: its statements on their way to PostgreSQL, and what comes back.

The client's messages are handled one at a time. Each Execute is a round trip of its own to
PostgreSQL, so that a fault can happen exactly before or after a statement. A client must end
what it sends with a Sync, as redshift_connector and libpq do; a Flush alone is not answered.
"""

from __future__ import annotations

import re
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.redshift import wire
from tests.redshift.faults import Action, ChangeCopied, CopyFault, CutCopy, Delay, Drop, Error, When
from tests.redshift.refusals import Refusal
from tests.redshift.statements import kind as statement_kind
from tests.redshift.translate import Translation, translate

if TYPE_CHECKING:
    from tests.redshift.gateway import Gateway

BYTEA, JSONB = 17, 3802
REDSHIFT_TYPES = {JSONB: 4000, BYTEA: 6551}
"""PostgreSQL's jsonb and bytea, and what Redshift calls SUPER and VARBYTE on the wire."""
_BLANKS = re.compile(rb'("(?:[^"\\]|\\.)*")|\s+')

ABORTED = Refusal(
    "current transaction is aborted, commands ignored until end of transaction block", code="25P02"
)
_GENERATED_ALWAYS = "428C9"
LOCAL = ("copy", "unload")
ENOUGH = 1 << 18


class DroppedError(Exception):
    """The client was cut off on purpose."""


class ServerError(Exception):
    """PostgreSQL refused a statement of the gateway's own."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields.get("M", ""))
        self.fields = fields


@dataclass
class Statement:
    """Something a client asked for; ``ok`` is None if nobody told it what became of it."""

    connection: int
    sql: str
    ok: bool | None = None


@dataclass
class Column:
    """A column of a result, as the server describes it."""

    name: str
    table: int
    attribute: int
    type: int
    modifier: int


@dataclass
class Result:
    """The answer to a statement of the gateway's own, in text."""

    columns: list[Column] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    tag: str = ""


@dataclass
class Prepared:
    """A statement a client has prepared."""

    sql: str
    kind: str
    translation: Translation | None
    in_transaction: bool = False
    special: dict[int, int] = field(default_factory=dict)
    """The columns of its result whose text Redshift writes differently, and their types."""


class Session:
    """Between one client, who has logged in, and its PostgreSQL backend."""

    def __init__(
        self,
        gateway: Gateway,
        client: wire.Channel,
        backend: wire.Channel,
        number: int,
        user: str,
        pid: int,
    ) -> None:
        self.gateway = gateway
        self.client = client
        self.backend = backend
        self.number = number
        self.user = user
        self.pid = pid
        self.status = b"I"
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
            with suppress(wire.ClosedError):  # the server's last words
                self._send_out()

    def _serve(self) -> None:
        while True:
            ready = wire.wait_for(self.client, self.backend)
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
        """What the backend says while nobody asks: that it ends, and why."""
        kind, body = self.backend.read()
        self._say(self._rewritten(kind, body))
        self._send_out()

    def _sync(self) -> None:
        self._skipping = False
        if self._pending:
            self._drain()
        self._skipping = False
        self._say(wire.ready(self.status))
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
        """The statement made ready for the server; None if it was refused."""
        entry = Statement(self.number, sql)
        try:
            kind = statement_kind(sql)
            if kind in LOCAL:
                self.gateway.check(kind, sql)
                return Prepared(sql, kind, None)
            inside = self.status != b"I"
            translation = translate(sql, in_transaction=inside)
            self.gateway.create_domains(translation.domains)
        except Exception as error:  # noqa: BLE001
            self.gateway.log(entry)
            entry.ok = False
            self._refuse(told(error))
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
        inside = self.status != b"I"
        if prepared.translation is None or prepared.in_transaction == inside:
            return True
        return self._prepared(prepared.sql) is not None

    def _simple(self, body: bytes) -> None:
        sql = wire.text(body)[0].decode()
        if not sql.strip().rstrip(";"):
            self.backend.send(wire.query(sql))
            self._read_answer(None)
        else:
            prepared = self._prepared(sql)
            if prepared is not None:
                translated = prepared.translation.sql if prepared.translation else ""
                self._described.append(prepared)
                self._statement(prepared, wire.query(translated))
                self._described.clear()
        self._skipping = False
        self._say(wire.ready(self.status))
        self._send_out()

    # --- one statement

    def _statement(self, prepared: Prepared, messages: bytes) -> None:
        """Run a statement, with what is to go wrong before and after it."""
        entry = Statement(self.number, prepared.sql)
        self.gateway.log(entry)
        before = self._due(prepared.sql, "before") + self._due(prepared.sql, "instead")
        faults = (action for action in before if isinstance(action, CutCopy | ChangeCopied))
        fault = next(faults, None)
        for action in before:
            if isinstance(action, Error):
                entry.ok = False
                self._refuse(Refusal(action.message, code=action.code, detail=action.detail))
                return
            self._act(action)
        after = self._due(prepared.sql, "after")
        drop = next((action for action in after if isinstance(action, Drop)), None)
        error = next((action for action in after if isinstance(action, Error)), None)
        if drop is not None and drop.late:
            self.client.close(reset=drop.reset)
            self.gateway.pause(drop.late)
        kept = bytes(self._out)
        self._holding = bool(after)
        failed = self._run(prepared, messages, fault)
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

    def _due(self, sql: str, when: When) -> list[Action]:
        return self.gateway.faults.take(sql, when)

    def _act(self, action: Action) -> None:
        if isinstance(action, Drop):
            self._drop(action)
        elif isinstance(action, Delay):
            self._send_out()
            self.gateway.pause(action.seconds)

    def _run(self, prepared: Prepared, messages: bytes, fault: CopyFault | None) -> bool:
        """Run it and say what came of it; whether it failed."""
        if prepared.translation is None:
            return not self._run_here(prepared, fault)
        if messages[:1] == b"Q":
            self.backend.send(messages)
        else:
            self.backend.send(self._pending + messages)
            self._pending.clear()
        failed = self._read_answer(prepared)
        if not failed and prepared.translation.ends_transaction and self.status == b"T":
            self.ask("COMMIT")
        return failed

    def _run_here(self, prepared: Prepared, fault: CopyFault | None) -> bool:
        """A COPY or an UNLOAD: the gateway does it, on the client's backend."""
        self._drain()
        if self._skipping:
            return False
        if self.status == b"E":
            self._fail(ABORTED)
            return False
        try:
            tag, notice = self.gateway.perform(self, prepared.kind, prepared.sql, fault)
        except ServerError as error:
            self._say(wire.error(self._redshift_error(error.fields)))
            self._skipping = True
            return False
        except (wire.ClosedError, DroppedError):
            raise
        except Exception as error:  # noqa: BLE001
            if self.status == b"E":  # the COPY that failed has aborted it
                self._fail(told(error))
            else:
                self._refuse(told(error))
            return False
        values = {"S": "INFO", "C": "00000", "M": notice}
        self._say(wire.error(values, kind=b"N") + wire.complete(tag))
        return True

    # --- statements of the gateway's own, on the client's backend

    def ask(self, sql: str) -> Result:
        """Run a statement on the client's backend and keep the answer."""
        result = Result()
        self.stream(sql, result)
        return result

    def stream(
        self,
        sql: str,
        result: Result,
        take: Callable[[list[str | None]], None] | None = None,
    ) -> None:
        """Run a statement and hand over its rows one by one, the columns before them."""
        self.backend.send(wire.query(sql))
        error: dict[str, str] | None = None
        while True:
            kind, body = self.backend.read()
            if kind == b"Z":
                self.status = body
                break
            if kind == b"E":
                error = wire.fields(body)
            elif kind == b"T":
                result.columns = columns(body)
            elif kind == b"D":
                values = [None if value is None else value.decode() for value in wire.row(body)]
                (take or result.rows.append)(values)
            elif kind == b"C":
                result.tag = wire.text(body)[0].decode()
        if error is not None:
            raise ServerError(error)

    def copy_in(self, sql: str, lines: Iterable[bytes]) -> int:
        """Feed a COPY … FROM STDIN with lines; the number of rows it took.

        What the lines raise fails the COPY on the server, and with it the transaction.
        """
        self.backend.send(wire.query(sql))
        kind, body = self.backend.read()
        while kind in (b"N", b"S"):
            kind, body = self.backend.read()
        if kind == b"G":
            try:
                for chunk in _chunks(lines):
                    self.backend.send(wire.message(b"d", chunk))
            except (wire.ClosedError, DroppedError):
                raise
            except Exception as error:
                refusal = told(error)
                self.backend.send(wire.message(b"f", refusal.message.encode() + b"\0"))
                self._until_ready()
                raise refusal from error
            self.backend.send(wire.message(b"c"))
            kind, body = self.backend.read()
        failure, tag = None, ""
        while kind != b"Z":
            if kind == b"E":
                failure = wire.fields(body)
            elif kind == b"C":
                tag = wire.text(body)[0].decode()
            kind, body = self.backend.read()
        self.status = body
        if failure is not None:
            raise ServerError(failure)
        return int(tag.rpartition(" ")[2])

    def cut_off(self) -> None:
        """Break the connection here and now."""
        self._drop(Drop())

    def _until_ready(self) -> None:
        while True:
            kind, body = self.backend.read()
            if kind == b"Z":
                self.status = body
                return

    # --- what goes back to the client

    def _locally(self, answer: bytes) -> None:
        """Answer without the server, after what the server has yet to answer."""
        self._drain()
        if not self._skipping:
            self._say(answer)

    def _drain(self) -> None:
        """Send the server what waits for it, and pass its answer on."""
        if self._pending:
            self.backend.send(self._pending + wire.message(b"S"))
            self._pending.clear()
            parsing = self._parsing[-1:]
            if self._read_answer(None):
                for prepared in parsing:
                    self.gateway.log(Statement(self.number, prepared.sql, ok=False))

    def _read_answer(self, running: Prepared | None) -> bool:
        """Pass on what the server says, but not its ReadyForQuery; whether it failed."""
        failed = False
        while True:
            kind, body = self.backend.read()
            if kind == b"Z":
                self.status = body
                self._described.clear()
                self._parsing.clear()
                return failed
            if kind == b"D" and running is not None and running.special:
                body = redshift_row(body, running.special)
            elif kind == b"E":
                failed = True
                self._skipping = True
            elif kind == b"G":
                self.backend.send(wire.message(b"f", b"not supported\0"))
                continue
            elif kind in (b"T", b"n") and self._described:
                shown = self._described.popleft()
                if kind == b"T" and shown is not None:
                    shown.special = special_columns(body)
            self._say(self._rewritten(kind, body))
            if len(self._out) > ENOUGH and not self._holding:
                self._send_out()

    def _rewritten(self, kind: bytes, body: bytes) -> bytes:
        """A message of PostgreSQL as Redshift would send it."""
        if kind == b"E":
            return wire.error(self._redshift_error(wire.fields(body)))
        if kind == b"T":
            return wire.message(b"T", redshift_columns(body))
        return wire.message(kind, body)

    def _redshift_error(self, fields: dict[str, str]) -> dict[str, str]:
        """PostgreSQL's words and codes put into Redshift's."""
        fields.pop("V", None)
        if fields.get("C") == "40001":
            return {
                "S": "ERROR",
                "C": "XX000",
                "M": "1023",
                "D": (
                    f"Serializable isolation violation on table - 100{self.number}, transactions"
                    f" forming the cycle are: {self.pid}, {self.pid + 1} (pid:{self.pid})"
                ),
            }
        message = fields.get("M", "")
        if fields.get("C") == _GENERATED_ALWAYS:
            fields["M"] = "cannot set an identity column to a value"
            fields.pop("H", None)
        if message.startswith("permission denied for table "):
            fields["M"] = message.replace("for table", "for relation", 1)
        return fields

    def _refuse(self, refusal: Refusal) -> None:
        """Refuse a statement as the server would: its transaction is aborted by it."""
        self._drain()
        if self._skipping:
            return
        if self.status == b"T":
            self.backend.send(wire.query("SELECT pg_catalog.redshift_refuse()"))
            self._until_ready()
        elif self.status == b"E":
            refusal = ABORTED
        self._fail(refusal)

    def _fail(self, refusal: Refusal) -> None:
        values = {"S": "ERROR", "C": refusal.code, "M": refusal.message}
        if refusal.detail:
            values["D"] = refusal.detail
        if refusal.hint:
            values["H"] = refusal.hint
        self._say(wire.error(values))
        self._skipping = True

    def _say(self, data: bytes) -> None:
        self._out += data

    def _send_out(self) -> None:
        if self._out:
            self.client.send(self._out)
            self._out.clear()

    def _drop(self, drop: Drop) -> None:
        if drop.linger:
            self.client.close(reset=drop.reset)
            self.gateway.pause(drop.linger)
        self.backend.close()
        self.gateway.wait_until_gone(self.pid)
        if not drop.linger:
            self.client.close(reset=drop.reset)
        raise DroppedError


def told(error: Exception) -> Refusal:
    """What a client hears: a refusal, or that the stand-in has a fault of its own."""
    if isinstance(error, Refusal):
        return error
    trace = "".join(traceback.format_exception(error))
    return Refusal(f"the stand-in for Redshift has a fault of its own: {error!r}", detail=trace)


def _chunks(lines: Iterable[bytes]) -> Iterable[bytes]:
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) > 1 << 16:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


def columns(body: bytes) -> list[Column]:
    """What a RowDescription says."""
    found = []
    at = 2
    for _ in range(wire.short(body, 0)):
        name, at = wire.text(body, at)
        found.append(
            Column(
                name.decode(),
                wire.number(body, at),
                wire.short(body, at + 4),
                wire.number(body, at + 6),
                wire.number(body, at + 12),
            )
        )
        at += 18
    return found


def special_columns(body: bytes) -> dict[int, int]:
    """The columns of a RowDescription that Redshift writes differently, and their types."""
    return {
        at: column.type for at, column in enumerate(columns(body)) if column.type in REDSHIFT_TYPES
    }


def redshift_row(body: bytes, special: dict[int, int]) -> bytes:
    """A DataRow as Redshift writes it: VARBYTE in plain hex, SUPER without blanks.

    Only text is rewritten; it is told from the binary format by how it begins.
    """
    values = wire.row(body)
    for at, oid in special.items():
        value = values[at]
        if value is None:
            continue
        if oid == BYTEA and value.startswith(b"\\x"):
            values[at] = value[2:]
        elif oid == JSONB and not value.startswith(b"\1"):
            values[at] = compact(value)
    return wire.data_row(values)[5:]


def compact(document: bytes) -> bytes:
    """JSON without blanks between its words."""
    return _BLANKS.sub(rb"\1", document)


def redshift_columns(body: bytes) -> bytes:
    """A RowDescription with the type numbers Redshift has."""
    changed = bytearray(body)
    at = 2
    for _ in range(wire.short(body, 0)):
        _, at = wire.text(body, at)
        oid = wire.number(body, at + 6)
        if oid in REDSHIFT_TYPES:
            changed[at + 6 : at + 10] = wire.int_bytes(REDSHIFT_TYPES[oid])
        at += 18
    return bytes(changed)
