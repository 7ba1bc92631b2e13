"""A client's PostgreSQL session: the gateway's own statements in it, and the state it is in."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable

from loader.testing.redshift.protocol import wire
from loader.testing.redshift.protocol.results import Result, columns
from loader.testing.redshift.refusals import Refusal


class DroppedError(Exception):
    """The client was cut off on purpose."""


class ServerError(Exception):
    """PostgreSQL refused a statement of the gateway's own."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields.get("M", ""))
        self.fields = fields


class Backend:
    """A connection to PostgreSQL, and whether a transaction is open in it."""

    def __init__(self, channel: wire.Channel, pid: int) -> None:
        self.channel = channel
        self.pid = pid
        self.status = b"I"

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
        self.channel.send(wire.query(sql))
        error: dict[str, str] | None = None
        while True:
            kind, body = self.channel.read()
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
        self.channel.send(wire.query(sql))
        kind, body = self.channel.read()
        while kind in (b"N", b"S"):
            kind, body = self.channel.read()
        if kind == b"G":
            try:
                for chunk in _chunks(lines):
                    self.channel.send(wire.message(b"d", chunk))
            except (wire.ClosedError, DroppedError):
                raise
            except Exception as error:
                refusal = refusal_of(error)
                self.channel.send(wire.message(b"f", refusal.message.encode() + b"\0"))
                self.skip_until_ready()
                raise refusal from error
            self.channel.send(wire.message(b"c"))
            kind, body = self.channel.read()
        failure, tag = None, ""
        while kind != b"Z":
            if kind == b"E":
                failure = wire.fields(body)
            elif kind == b"C":
                tag = wire.text(body)[0].decode()
            kind, body = self.channel.read()
        self.status = body
        if failure is not None:
            raise ServerError(failure)
        return int(tag.rpartition(" ")[2])

    def skip_until_ready(self) -> None:
        """Read until the server waits for the next statement."""
        while True:
            kind, body = self.channel.read()
            if kind == b"Z":
                self.status = body
                return


def refusal_of(error: Exception) -> Refusal:
    """The error for a client: a refusal, or that the stand-in itself is broken."""
    if isinstance(error, Refusal):
        return error
    trace = "".join(traceback.format_exception(error))
    return Refusal(f"internal error of the stand-in for Redshift: {error!r}", detail=trace)


def _chunks(lines: Iterable[bytes]) -> Iterable[bytes]:
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) > 1 << 16:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
