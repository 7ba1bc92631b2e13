"""Recognises unsupported files by their first bytes, and says what to do instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loader.data.files.encodings import decode_head, find_codec


@dataclass(frozen=True)
class UnsupportedFile:
    """A kind of file that cannot be read."""

    what: str
    """The kind, which follows the word "is"."""
    hint: str
    encoding: str = ""
    """The actual encoding, where only the encoding is wrong."""


WORKBOOK = (
    "open it in a spreadsheet program, and save it as .xlsx without a password, or as CSV UTF-8"
)
_RECOMPRESS = "compress it as gzip, zstd, bz2, xz, or not at all"
_UNZIP = "unpack it and name the files in it"
_WEB = "the download is a web page, often a login or an error; download the data itself"
DOCUMENT = "export the data as CSV, JSON lines or Parquet from the program that made the document"
_FRAME = "read it with a library for this format, and pass the frame to `project.load`"

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Excel workbook (.xls, or .xlsx with a password) or other Office file",
        WORKBOOK,
    ),
    (b"PK\x05\x06", "an empty zip archive", _UNZIP),
    (b"PK\x03\x04", "a zip archive or a workbook inside of another archive", _UNZIP),
    (b"\xfd7zXZ\0", "compressed twice", "compress it once"),
    (b"\x04\x22\x4d\x18", "compressed as lz4, which is not supported", _RECOMPRESS),
    (b"\xff\x06\0\0sNaPpY", "compressed as snappy, which is not supported", _RECOMPRESS),
    (b"\x1f\x9d", "compressed as compress (.Z), which is not supported", _RECOMPRESS),
    (b"\x1f\x8b", "compressed twice", "compress it once"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name the files in it"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it and name the files in it"),
    (b"%PDF-", "a PDF document", DOCUMENT),
    (b"{\\rtf", "an RTF document", DOCUMENT),
    (b"Obj\x01", "an Avro file", _FRAME),
    (b"ORC", "an ORC file", _FRAME),
    (b"SQLite format 3\0", "an SQLite database", _FRAME),
)
_HTML = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
_XML = re.compile(r"\s*<\?xml\s", re.I)
_FEW = 4
"""Control characters that any file may have."""

_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def find_unsupported(head: bytes) -> UnsupportedFile | None:
    """The kind of an unsupported file; None where it may be text, Parquet or Arrow.

    Args:
        head: Its first bytes, decompressed; some kilobytes are enough.
    """
    for magic, what, hint in _MAGIC:
        if head.startswith(magic) and not (magic == b"ORC" and head.isascii()):
            return UnsupportedFile(what, hint)
    if head[257:262] == b"ustar":
        return UnsupportedFile("a tar archive", "unpack it and name the files in it")
    if head[8:12] == b"DUCK":
        return UnsupportedFile("a DuckDB database", _FRAME)
    start = decode_head(head[:4096], "utf-8").lstrip("\ufeff")
    if _HTML.match(start):
        return UnsupportedFile("an HTML page", _WEB)
    return UnsupportedFile("an XML document", DOCUMENT) if _XML.match(start) else None


def find_binary(head: bytes, encoding: str, allowed: str) -> UnsupportedFile | None:
    """The kind of a file that should be text but is binary; None where it looks like text.

    Args:
        head: Its first bytes, decompressed.
        encoding: Its encoding, unless it has a byte order mark.
        allowed: Control characters that it may have in any number, such as its delimiter.
    """
    text = decode_head(head, encoding)
    controls = sum(character not in allowed for character in _CONTROL.findall(text))
    if controls <= _FEW or controls * 20 <= len(text):
        return None
    marked = find_codec(head, "")
    for codec, offset in (("utf-16-le", 1), ("utf-16-be", 0)):
        high, low = head[offset::2], head[1 - offset :: 2]
        if not marked and high.count(0) * 2 > len(high) and 0 not in low:
            return UnsupportedFile("UTF-16 without a byte order mark", "", codec)
    return UnsupportedFile(
        f"not text in {marked or encoding}: it has many control characters",
        "supported are CSV, JSON, Parquet, Excel and Arrow IPC; check whether it is encrypted",
    )
