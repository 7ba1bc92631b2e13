"""The bytes of files and standard input, which can be peeked at, and are never read short."""

from __future__ import annotations

import io
import selectors
from collections.abc import Callable
from typing import Any

OnRead = Callable[[int], None]
"""Called with the number of bytes of each read."""

_TAIL = 8

_PART = 16 << 20
"""The most bytes requested at once: damaged files claim that petabytes follow."""


class Input(io.RawIOBase):
    """A stream of bytes with `peek`.

    A read returns as many bytes as requested, and fewer only at the end, however few the source
    delivers at a time: readers of binary formats treat a short read as the end.
    """

    def __init__(
        self, stream: Any, *, borrowed: bool = False, on_read: OnRead = lambda _: None
    ) -> None:
        """``borrowed`` streams are not closed; non-blocking ones are waited for."""
        self._stream, self._ahead, self._borrowed = stream, b"", borrowed
        self._on_read = on_read
        self.tail = b""
        """The last few bytes that were read."""

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only at the end, without reading them."""
        if len(self._ahead) < size:
            self._ahead = b"".join(self._read_parts(self._ahead, size))
        return self._ahead[:size]

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, fewer only at the end; all of them without a size."""
        if size is None or size < 0:
            return self.readall()
        head, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(head) < size:
            head = b"".join(self._read_parts(head, size))
        self.tail = (self.tail + head[-_TAIL:])[-_TAIL:]
        return head

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns the number of bytes."""
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the stream, unless it is borrowed."""
        if not self.closed and not self._borrowed:
            self._stream.close()
        super().close()

    def _read_parts(self, first: bytes, size: int) -> list[bytes]:
        """The given bytes, and further ones up to ``size`` in total, as they are delivered."""
        parts = [first] if first else []
        missing = size - len(first)
        while missing and (part := self._read_once(min(missing, _PART))):
            parts.append(part)
            missing -= len(part)
        return parts

    def _read_once(self, size: int) -> bytes:
        while (part := self._stream.read(size)) is None:
            # A non-blocking stream without data, which is not its end.
            with selectors.DefaultSelector() as selector:
                selector.register(self._stream, selectors.EVENT_READ)
                selector.select()
        self._on_read(len(part))
        return bytes(part)
