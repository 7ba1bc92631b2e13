"""Files that are no tables of text: what they are, by their first bytes, and what to do instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loader.data.files.encodings import codec_of, decoded


@dataclass(frozen=True)
class Foreign:
    """A kind of file that is not read."""

    what: str
    """Reads on from "is"."""
    hint: str
    encoding: str = ""
    """What it is encoded in, when that is all that is wrong."""


_EXPORT = "open it in a spreadsheet program and save it as CSV UTF-8, or hand over the frame that"
_WORKBOOK = f"{_EXPORT} pandas.read_excel makes of it to `project.load`"
_RECOMPRESS = "compress it as gzip, zstd, bz2, or not at all"
_UNZIP = "unpack it and name the files in it, or pipe one: `unzip -p FILE | loader load … -`"
_WEB = "what was downloaded is a page, often a login or an error; download the data itself"
_DOCUMENT = "get the data as CSV, JSON lines or Parquet from where the document was made"
_FRAME = "read it with the library it belongs to, and hand over the frame to `project.load`"

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Excel workbook (.xls) or other Office file",
        _WORKBOOK,
    ),
    (b"PK\x05\x06", "an empty zip archive", _UNZIP),
    (b"\xfd7zXZ\0", "compressed as xz, which is not supported", _RECOMPRESS),
    (b"\x04\x22\x4d\x18", "compressed as lz4, which is not supported", _RECOMPRESS),
    (b"\xff\x06\0\0sNaPpY", "compressed as snappy, which is not supported", _RECOMPRESS),
    (b"\x1f\x9d", "compressed as compress (.Z), which is not supported", _RECOMPRESS),
    (b"\x1f\x8b", "compressed twice", "compress it once"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and name the files in it"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it and name the files in it"),
    (b"%PDF-", "a PDF document", _DOCUMENT),
    (b"{\\rtf", "an RTF document", _DOCUMENT),
    (b"Obj\x01", "an Avro file", _FRAME),
    (b"ORC", "an ORC file", _FRAME),
    (b"SQLite format 3\0", "an SQLite database", _FRAME),
)
_ZIPPED = (
    (b"[Content_Types].xml", "an Excel workbook (.xlsx) or other Office file", _WORKBOOK),
    (b"mimetypeapplication/vnd.oasis.opendocument", "an OpenDocument file (.ods)", _WORKBOOK),
)
_HTML = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
_XML = re.compile(r"\s*<\?xml\s", re.I)
_FEW = 4
"""Control characters that a small file may have."""

_CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def foreign(head: bytes) -> Foreign | None:
    """What a file is that is neither a table of text, Parquet nor Arrow; None when it may be one.

    Args:
        head: Its first bytes, without compression; some kilobytes are enough.
    """
    if head.startswith(b"PK\x03\x04"):
        for part, what, hint in _ZIPPED:
            if part in head:
                return Foreign(what, hint)
        return Foreign("a zip archive, which is not supported", _UNZIP)
    for magic, what, hint in _MAGIC:
        if head.startswith(magic) and not (magic == b"ORC" and head.isascii()):
            return Foreign(what, hint)
    if head[257:262] == b"ustar":
        return Foreign("a tar archive", "unpack it and name the files in it")
    if head[8:12] == b"DUCK":
        return Foreign("a DuckDB database", _FRAME)
    start = decoded(head[:4096], "utf-8").lstrip("\ufeff")
    if _HTML.match(start):
        return Foreign("an HTML page", _WEB)
    return Foreign("an XML document", _DOCUMENT) if _XML.match(start) else None


def not_text(head: bytes, encoding: str, marks: str) -> Foreign | None:
    """Why a file that should be text is none; None when it looks like text.

    Args:
        head: Its first bytes.
        encoding: What it is encoded in, unless a byte order mark says more.
        marks: Control characters that the file may be full of, such as its delimiter.
    """
    text = decoded(head, encoding)
    odd = sum(mark not in marks for mark in _CONTROL.findall(text))
    if odd <= _FEW or odd * 20 <= len(text):
        return None
    marked = codec_of(head, "")
    for codec, offset in (("utf-16-le", 1), ("utf-16-be", 0)):
        high, low = head[offset::2], head[1 - offset :: 2]
        if not marked and high.count(0) * 2 > len(high) and 0 not in low:
            return Foreign("UTF-16 without a byte order mark", "", codec)
    return Foreign(
        f"not text in {marked or encoding}: it is full of control characters",
        "CSV, JSON lines, Parquet and Arrow IPC are read; is it encrypted, or of another program?",
    )
