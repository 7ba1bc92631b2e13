"""Detects the encoding of a text file, and decodes it to blocks of UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from loader.errors import SourceError

BLOCK = 4 << 20
"""Bytes that are read at once."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class EncodingError(SourceError):
    """The text is not in the declared encoding."""

    def __init__(self, message: str, encoding: str = "latin-1") -> None:
        super().__init__(message, hint=f"set the encoding: source: {{encoding: {encoding}}}")
        self.encoding = encoding


def find_codec(head: bytes, encoding: str) -> str:
    r"""The codec of a file by its first bytes: that of a byte order mark, else the given one.

    >>> find_codec(b"\xff\xfea\x00", "utf-8"), find_codec(b"a", "latin-1")
    ('utf-16', 'latin-1')
    """
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), encoding)


def decode_head(head: bytes, encoding: str) -> str:
    """The first bytes of a file as text; invalid ones become U+FFFD."""
    try:
        return codecs.getincrementaldecoder(find_codec(head, encoding))("replace").decode(head)
    except UnicodeError:  # UTF-16 or UTF-32 without a byte order mark; reading reports it
        return head.decode("utf-8", "replace")


class Utf8:
    """A text file as blocks of UTF-8, without byte order mark, and with a final line end."""

    def __init__(self, stream: Any, name: str, encoding: str, block: int = 0) -> None:
        """``block`` is the number of bytes that are read at once, by default `BLOCK`."""
        self._stream, self._name, self._encoding = stream, name, encoding
        self._block = block or BLOCK
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ahead = b""
        self._ended = False
        self._line_ended = True
        self._lines = 0

    @property
    def encoding(self) -> str:
        """The codec, once something was read: that of a byte order mark, else the given one."""
        return self._encoding

    def peek(self, size: int) -> bytes:
        """The next bytes, at least ``size`` unless the file ends, without reading them."""
        while len(self._ahead) < size and not self._ended:
            self._ahead += self._decode_block()
        return self._ahead

    def skip(self, size: int) -> None:
        """Drop the first bytes of what `peek` returned."""
        self._ahead = self._ahead[size:]

    def __iter__(self) -> Iterator[bytes]:
        """The rest of the file, in blocks that are not empty."""
        while self._ahead or not self._ended:
            block, self._ahead = self._ahead or self._decode_block(), b""
            if block:
                yield block

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _decode_block(self) -> bytes:
        block = self._stream.read(self._block) or b""
        if self._decoder is None:
            self._encoding = find_codec(block, self._encoding)
            self._decoder = codecs.getincrementaldecoder(self._encoding)()
        try:
            part = self._decoder.decode(block, final=not block).encode()
        except UnicodeError as error:
            raise self._encoding_error(error) from error
        if not block:
            self._ended = True
            if not (part or b"\n" * self._line_ended).endswith((b"\n", b"\r")):
                part += b"\n"
        elif part:
            self._line_ended = part.endswith((b"\n", b"\r"))
        self._lines += part.count(b"\n")
        return part

    def _encoding_error(self, error: UnicodeError) -> EncodingError:
        line = self._lines + 1
        if isinstance(error, UnicodeDecodeError):
            line += error.object[: error.start].count(b"\n")
        reason = getattr(error, "reason", str(error))
        return EncodingError(f"{self._name}:{line}: the text is not {self._encoding}: {reason}")
