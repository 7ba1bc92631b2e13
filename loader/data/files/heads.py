"""Reads the beginnings of CSV and JSON files: their columns, and whether rows follow."""

from __future__ import annotations

import io
import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass

from loader.data.files import archives
from loader.data.files.csv import apply_excel_line, read_header
from loader.data.files.encodings import Utf8
from loader.data.files.inputs import Input
from loader.data.files.json import open_json
from loader.data.files.located import LocatedFile, look_at_all, open_located
from loader.data.files.open import (
    READ_ERRORS,
    DataFile,
    Format,
    check_format,
    delimit_by_tabs,
    detect_format,
    format_by_name,
    open_bytes,
    read_error,
)
from loader.errors import SourceError
from loader.spec.model import Source

_SIZE = 64 << 10
"""Bytes that are read first."""
_MOST = 16 << 20
"""Bytes that are read at most, after decompression."""


@dataclass(frozen=True)
class Head(LocatedFile):
    """What a file says before its rows."""

    format: Format = "csv"
    compression: str = "none"
    """`gzip`, `zstd`, `bz2`, `xz`, `zip` or `none`."""
    codec: str = "utf-8"
    """Its encoding, `utf-8-sig` with a byte order mark."""
    delimiter: str = ","
    lines: int = 0
    """The lines before its rows."""
    names: tuple[str, ...] = ()
    """Its columns; of JSON the keys of its first lines."""
    has_rows: bool = True
    has_lines: bool = True
    """Whether each line of JSON is an object; for other formats it says nothing."""


def read_heads(files: Sequence[DataFile], source: Source) -> list[Head]:
    """Read the beginnings of files.

    Args:
        files: Files in any format; of those that are no text, only the format is told.
        source: How they are read.

    Raises:
        SourceError: a file is not there, empty, or not what its name says.
    """
    heads = look_at_all(files, lambda file: _read_head(file, source))
    # Two names may be of one file.
    return list({head.uri: head for head in heads}.values())


def _read_head(file: DataFile, source: Source) -> Head:
    with open_located(file) as opened:
        located = opened.located
        try:
            plain, codec = open_bytes(file, Input(opened))
            head = plain.peek(_SIZE)
            kind = detect_format(file, head)
            if head.startswith(archives.MAGICS):
                named = format_by_name(file) or "csv"
                packed = "none" if named == "excel" else "zip"
                return _Told(located, named, packed, plain, file.name).head()
            check_format(file, kind, head, source)
            told = _Told(located, kind, codec or "none", plain, file.name)
            if kind == "json":
                return told.read_json(source)
            if kind in ("csv", "tsv"):
                return told.read_csv(delimit_by_tabs(source) if kind == "tsv" else source)
        except READ_ERRORS as error:
            raise read_error(file.name, error) from error
    return told.head()


@dataclass(frozen=True)
class _Told:
    """A file whose format is known."""

    located: LocatedFile
    format: Format
    compression: str
    text: Input
    name: str

    def head(self, **more: object) -> Head:
        return Head(
            **vars(self.located),
            format=self.format,
            compression=self.compression,
            **more,  # type: ignore[arg-type]  # names of fields
        )

    def read_csv(self, source: Source) -> Head:
        text = Utf8(self.text, self.name, source.encoding, block=_SIZE)
        source = apply_excel_line(text, self.name, source)
        lines, names = read_header(text, self.name, source, _SIZE)
        return self.head(
            codec=text.encoding,
            delimiter=source.delimiter,
            lines=lines,
            names=names,
            has_rows=self._has_more(text),
        )

    def _has_more(self, text: Utf8) -> bool:
        size = 1
        while size <= _MOST:
            rest = text.peek(size)
            if rest.strip(b"\r\n"):
                return True
            if len(rest) < size:
                return False
            size = 2 * len(rest)
        raise self._too_long("blank lines after the header")

    def read_json(self, source: Source) -> Head:
        lines = self._whole_lines()
        if lines.startswith((b"\xff\xfe", b"\xfe\xff")):
            return self.head(codec="utf-16")
        if not _is_object(next((line for line in lines.splitlines() if line.strip()), b"{}")):
            return self.head(has_lines=False)
        frame = open_json(io.BytesIO(lines), self.name, source)
        return self.head(codec=source.encoding, names=frame.columns)

    def _whole_lines(self) -> bytes:
        """The first lines that are not all blank."""
        size = _SIZE
        while size <= _MOST:
            head = self.text.peek(size)
            whole = head if len(head) < size else head[: head.rfind(b"\n") + 1]
            if whole.strip() or len(head) < size:
                return whole
            size *= 2
        raise self._too_long("its first line")

    def _too_long(self, what: str) -> SourceError:
        return SourceError(f"{self.name}: {what}: more than {_MOST >> 20} MB")


def _is_object(line: bytes) -> bool:
    """Whether a line is one whole object, and not the beginning of an array or of a longer one."""
    try:
        return isinstance(json.loads(line.removeprefix(BOM_UTF8)), dict)
    except (ValueError, RecursionError):
        return False
