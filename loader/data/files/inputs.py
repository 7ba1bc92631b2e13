"""The bytes of files and of standard input: looked at before they are read, never cut short."""

from __future__ import annotations

import io
import selectors
from typing import Any

_TAIL = 8

_PART = 16 << 20
"""Bytes that are asked for at once: damaged files say that petabytes follow."""


class Input(io.RawIOBase):
    """A stream of bytes that can be looked at before it is read.

    A read gives as many bytes as were asked for, and fewer only where the stream ends, however few
    its source delivers at a time: readers of binary formats take a short read for the end.
    """

    def __init__(self, stream: Any, *, borrowed: bool = False) -> None:
        """``borrowed`` streams stay open; those that do not block are waited for."""
        self._stream, self._ahead, self._borrowed = stream, b"", borrowed
        self.tail = b""
        """The last few bytes that were read."""

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def peek(self, size: int) -> bytes:
        """The next bytes, so many unless the stream ends; they stay."""
        if len(self._ahead) < size:
            self._ahead = b"".join(self._parts(self._ahead, size))
        return self._ahead[:size]

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, fewer only at the end; all of them without a size."""
        if size is None or size < 0:
            return self.readall()
        head, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(head) < size:
            head = b"".join(self._parts(head, size))
        self.tail = (self.tail + head[-_TAIL:])[-_TAIL:]
        return head

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns how many bytes it has got."""
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the stream, unless it is borrowed."""
        if not self.closed and not self._borrowed:
            self._stream.close()
        super().close()

    def _parts(self, first: bytes, size: int) -> list[bytes]:
        """Bytes that are there, and those of the stream that make them so many, as they come."""
        parts = [first] if first else []
        lacking = size - len(first)
        while lacking and (part := self._next(min(lacking, _PART))):
            parts.append(part)
            lacking -= len(part)
        return parts

    def _next(self, size: int) -> bytes:
        while (part := self._stream.read(size)) is None:
            # Nothing has come yet, of a stream that does not block: that is not its end.
            with selectors.DefaultSelector() as selector:
                selector.register(self._stream, selectors.EVENT_READ)
                selector.select()
        return bytes(part)
