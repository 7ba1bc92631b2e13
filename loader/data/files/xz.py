"""Decompresses xz in bounded memory."""

from __future__ import annotations

import io
import lzma
from typing import Any

from loader.data.files.inputs import Input

_MEMORY = 256 << 20
"""The most memory of the decoder; that of `xz -9` is 65 MB, but a file may ask for 4 GB."""

_MAGIC = b"\xfd7zXZ\0"
_BLOCK = 256 << 10


class XzStream(io.RawIOBase):
    """The content of a file of one or more xz streams."""

    def __init__(self, compressed: Input) -> None:
        self._compressed = compressed
        self._rest = b""
        self._decoder: lzma.LZMADecompressor | None = None

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; returns the number of bytes, which is 0 only at the end.

        Raises:
            OSError: the data is damaged, or needs too much memory.
            EOFError: it is truncated.
        """
        while True:
            if self._decoder is None or self._decoder.eof:
                if not self._next_stream():
                    return 0
                continue
            data = self._take() if self._decoder.needs_input else b""
            if self._decoder.needs_input and not data:
                raise EOFError("the compressed data is truncated")
            try:
                part = self._decoder.decompress(data, len(buffer))
            except lzma.LZMAError as error:
                raise OSError(_explain(error)) from error
            if self._decoder.eof:
                self._rest = self._decoder.unused_data
            if part:
                buffer[: len(part)] = part
                return len(part)

    def close(self) -> None:
        """Close the file."""
        self._compressed.close()
        super().close()

    def _take(self) -> bytes:
        data, self._rest = self._rest, b""
        return data or self._compressed.read(_BLOCK)

    def _next_stream(self) -> bool:
        """Whether another stream follows the last one, after padding of NUL bytes.

        Raises:
            OSError: what follows is neither.
        """
        padding = self._skip_padding()
        while not self._rest and (data := self._compressed.read(_BLOCK)):
            self._rest = data
            padding += self._skip_padding()
        if padding % 4:
            raise OSError("the compressed data is damaged: NUL bytes follow its end")
        if not self._rest:
            return False
        if not _MAGIC.startswith(self._rest[: len(_MAGIC)]):
            raise OSError("the compressed data is damaged: other data follows its end")
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        return True

    def _skip_padding(self) -> int:
        held = len(self._rest)
        if self._decoder is not None:
            self._rest = self._rest.lstrip(b"\0")
        return held - len(self._rest)


def _explain(error: lzma.LZMAError) -> str:
    text = str(error)
    if "Memory usage" in text:
        return (
            f"it needs more than {_MEMORY >> 20} MB to decompress; compress it with xz -9 or less"
        )
    return f"the compressed data is damaged: {text}"
