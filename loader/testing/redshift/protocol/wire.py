"""The PostgreSQL wire protocol, version 3: messages in, messages out, and nothing else."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
PROTOCOL = 196608

_INT = struct.Struct("!i")
_SHORT = struct.Struct("!h")
_HEADER = struct.Struct("!ci")


class ClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One socket that speaks in messages: a type byte, a length, a body."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()
        self._start = 0

    def read(self) -> tuple[bytes, bytes]:
        """The next message, its type and its body."""
        self._fill(5)
        kind, size = _HEADER.unpack_from(self._buffer, self._start)
        self._fill(1 + size)
        body = bytes(self._buffer[self._start + 5 : self._start + 1 + size])
        self._take(1 + size)
        return kind, body

    def read_startup(self) -> tuple[int, bytes]:
        """A message of the start-up phase: it has a number where others have a type byte."""
        self._fill(8)
        (size,) = _INT.unpack_from(self._buffer, self._start)
        (code,) = _INT.unpack_from(self._buffer, self._start + 4)
        self._fill(size)
        body = bytes(self._buffer[self._start + 8 : self._start + size])
        self._take(size)
        return code, body

    @property
    def waiting(self) -> bool:
        """Whether bytes of a further message were read from the socket already."""
        return len(self._buffer) > self._start

    def send(self, data: bytes | bytearray) -> None:
        """Send bytes that are whole messages."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise ClosedError from error

    def close(self, *, reset: bool = False) -> None:
        """Close the socket; with ``reset`` the other side reads an error, not an end."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            self.hang_up()
        self.socket.close()

    def hang_up(self) -> None:
        """End the conversation from another thread; the one that reads here then closes."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _take(self, size: int) -> None:
        self._start += size
        if self._start >= len(self._buffer):
            self._buffer.clear()
            self._start = 0
        elif self._start > 1 << 20:
            del self._buffer[: self._start]
            self._start = 0

    def _fill(self, size: int) -> None:
        while len(self._buffer) - self._start < size:
            try:
                data = self.socket.recv(1 << 18)
            except OSError as error:
                raise ClosedError from error
            if not data:
                raise ClosedError
            self._buffer += data


def wait_for(*channels: Channel) -> list[Channel]:
    """The channels with something to read, once there is one."""
    ready = [channel for channel in channels if channel.waiting]
    if ready:
        return ready
    poll = select.poll()
    by_number = {channel.socket.fileno(): channel for channel in channels}
    if -1 in by_number:
        raise ClosedError
    for number in by_number:
        poll.register(number, select.POLLIN | select.POLLHUP | select.POLLERR)
    return [by_number[number] for number, _ in poll.poll()]


def message(kind: bytes, body: bytes | bytearray = b"") -> bytes:
    """One message as bytes."""
    return _HEADER.pack(kind, len(body) + 4) + body


def startup(parameters: Mapping[str, str]) -> bytes:
    """The first message of a client."""
    body = bytearray(_INT.pack(PROTOCOL))
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    body += b"\0"
    return _INT.pack(len(body) + 4) + bytes(body)


def startup_parameters(body: bytes) -> dict[str, str]:
    """What a client says of itself in its first message."""
    words = [word.decode() for word in body.split(b"\0")]
    return dict(zip(words[0:-1:2], words[1:-1:2], strict=False))


def query(sql: str) -> bytes:
    """A simple query."""
    return message(b"Q", sql.encode() + b"\0")


def text(body: bytes, start: int = 0) -> tuple[bytes, int]:
    """The zero-terminated string at ``start``, and where what follows it begins."""
    end = body.index(b"\0", start)
    return body[start:end], end + 1


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or a NoticeResponse."""
    parts = (part for part in body.split(b"\0") if part)
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in parts}


def error(values: Mapping[str, str], kind: bytes = b"E") -> bytes:
    """An ErrorResponse, or with ``kind`` N a NoticeResponse."""
    body = b"".join(name.encode() + value.encode() + b"\0" for name, value in values.items())
    return message(kind, body + b"\0")


def ready(status: bytes) -> bytes:
    """ReadyForQuery: I outside a transaction, T inside one, E inside one that failed."""
    return message(b"Z", status)


def complete(tag: str) -> bytes:
    """CommandComplete."""
    return message(b"C", tag.encode() + b"\0")


def number(body: bytes, start: int) -> int:
    """The four-byte number at ``start``."""
    (value,) = _INT.unpack_from(body, start)
    return int(value)


def short(body: bytes, start: int) -> int:
    """The two-byte number at ``start``."""
    (value,) = _SHORT.unpack_from(body, start)
    return int(value)


def int_bytes(value: int) -> bytes:
    """A number in four bytes."""
    return _INT.pack(value)


def row(body: bytes) -> list[bytes | None]:
    """The values of a DataRow."""
    values: list[bytes | None] = []
    at = 2
    for _ in range(short(body, 0)):
        size = number(body, at)
        at += 4
        if size < 0:
            values.append(None)
        else:
            values.append(body[at : at + size])
            at += size
    return values


def data_row(values: list[bytes | None]) -> bytes:
    """A DataRow of these values."""
    body = bytearray(_SHORT.pack(len(values)))
    for value in values:
        if value is None:
            body += _INT.pack(-1)
        else:
            body += _INT.pack(len(value)) + value
    return message(b"D", body)
