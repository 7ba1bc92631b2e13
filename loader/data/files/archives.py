"""Reads the members of zip archives."""

from __future__ import annotations

import io
import os
import weakref
import zipfile
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from loader.errors import SourceError

MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""What an archive starts with; the second one is empty."""

_END_BYTES = 22
"""The size of the record at the end of an archive, without its comment."""

_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, LZMAError, NotImplementedError, RuntimeError),
    *(ValueError, KeyError, IndexError, OverflowError, EOFError, OSError),
)
"""What `zipfile` raises of damaged, encrypted and unusual archives."""


class Archive:
    """A zip archive in a file."""

    def __init__(self, path: str, name: str) -> None:
        """Read its list of members.

        Raises:
            SourceError: it is damaged.
        """
        self.name = name
        file = open(path, "rb")  # noqa: PTH123, SIM115  # closed with this object
        weakref.finalize(self, file.close)
        try:
            self._archive = zipfile.ZipFile(file)
            self._check_whole(file)
        except _DAMAGED as error:
            raise SourceError(
                f"{name} cannot be read: it is not a whole zip archive: {error}",
                hint="the file is damaged or truncated; download or export it again",
            ) from error
        self._parts = frozenset(self._archive.namelist())

    def _check_whole(self, file: BinaryIO) -> None:
        """Refuse bytes before and after the archive, such as another one: readers ignore them.

        Raises:
            ValueError: there are some.
        """
        if any(info.header_offset == 0 for info in self._archive.infolist()):
            file.seek(-_END_BYTES - len(self._archive.comment), os.SEEK_END)
            if file.read(4) == MAGICS[1]:
                return
            raise ValueError("there are bytes after its end")
        if self._archive.infolist():
            raise ValueError("there are bytes before its start, such as those of another archive")

    @property
    def office_kind(self) -> str:
        """`excel` for an .xlsx workbook, the kind of another Office file, or empty."""
        if "xl/workbook.xml" in self._parts:
            return "excel"
        if "xl/workbook.bin" in self._parts:
            return "an Excel workbook (.xlsb)"
        if "[Content_Types].xml" in self._parts:
            return "an Office document"
        if "mimetype" in self._parts and "content.xml" in self._parts:
            return "an OpenDocument file (.ods)"
        return ""

    def members(self) -> list[zipfile.ZipInfo]:
        """Its files in the order of their names, without those that programs add for themselves.

        Raises:
            SourceError: there are none.
        """
        found = [info for info in self._archive.infolist() if _is_data(info)]
        if not found:
            raise SourceError(f"{self.name} is a zip archive without files")
        return sorted(found, key=lambda info: info.filename)

    def open(self, member: zipfile.ZipInfo) -> io.RawIOBase:
        """The content of a file.

        Raises:
            SourceError: it is encrypted.
        """
        if member.flag_bits & 1:
            raise SourceError(
                f"{self.name}/{member.filename} is encrypted",
                hint="unpack the archive with its password, and name the files in it",
            )
        return _MemberStream(self, member)

    def stream(self, member: zipfile.ZipInfo) -> Any:
        """The content of a file, as `zipfile` reads it."""
        return self._archive.open(member)


def _is_data(info: zipfile.ZipInfo) -> bool:
    parts: Sequence[str] = PurePosixPath(info.filename).parts
    return not info.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


class _MemberStream(io.RawIOBase):
    """The bytes of a member; its checksum is compared at the end."""

    def __init__(self, archive: Archive, member: zipfile.ZipInfo) -> None:
        self._archive, self._member = archive, member
        self._stream: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            if self._stream is None:
                self._stream = self._archive.stream(self._member)
            part = self._stream.read(len(buffer))
        except _DAMAGED as error:
            raise OSError(str(error) or type(error).__name__) from error
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()
