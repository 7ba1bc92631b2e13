"""Files where they lie, whose bytes are read in parts, and which are known to stay the same."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from loader.data.files.open import DataFile, expand_pattern
from loader.errors import SourceError

if TYPE_CHECKING:
    from loader.data.files.s3 import S3File

_AT_ONCE = 32
"""Files that are looked at at the same time."""

_HEAD, _TAIL = 64 << 10, 16 << 10
"""Bytes at the beginning or the end of an object that one request brings: of most files, all that
is needed."""

T = TypeVar("T")
Version = Mapping[str, str]
"""What tells one version of a file from another: the ETag of an object, and its version id if the
bucket keeps versions; the time of change and the inode of a file."""


@dataclass(frozen=True)
class LocatedFile:
    """A file where it lies, as it was when it was looked at."""

    uri: str
    """Its absolute path, or its URL."""
    bytes: int
    version: Version
    find_version: Callable[[], Version] = field(repr=False, compare=False)
    """Looks up the present version."""


class SeekableFile(io.RawIOBase):
    """The bytes of a file, of which only those are read that are asked for."""

    located: LocatedFile

    def __init__(self, located: LocatedFile) -> None:
        self.located = located
        self._at = 0

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether it has positions: always."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.located.bytes}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes, none only at the end; without a size all others."""
        end = self.located.bytes if size < 0 else min(self._at + size, self.located.bytes)
        data = self._read(self._at, end) if self._at < end else b""
        self._at += len(data)
        return data

    def _read(self, start: int, end: int) -> bytes:
        raise NotImplementedError


class _LocalFile(SeekableFile):
    def __init__(self, name: str) -> None:
        path = Path(name).resolve()
        if not path.is_file() and path.exists():  # a pipe, which would wait for its writer
            raise SourceError(f"{name} is not a file of a disk, so it cannot be loaded in place")
        self._file = path.open("rb")
        status = os.fstat(self._file.fileno())
        found = LocatedFile(
            str(path), status.st_size, _version_of(status), lambda: _version_of(path.stat())
        )
        super().__init__(found)

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(end - start)

    def close(self) -> None:
        self._file.close()
        super().close()


def _version_of(status: os.stat_result) -> Version:
    return {
        "modified_ns": str(status.st_mtime_ns),
        "inode": f"{status.st_dev}:{status.st_ino}",
        "bytes": str(status.st_size),
    }


class _RemoteFile(SeekableFile):
    """An object in S3, of which one end is there after one request."""

    def __init__(self, remote: S3File, *, tail: bool) -> None:
        self._bucket, self._key = bucket, key = remote.bucket, remote.key
        size, version, self._known = bucket.read_end(key, _TAIL if tail else _HEAD, last=tail)
        if remote.tag not in ("", version["etag"]):
            raise SourceError(
                f"{remote.name} has changed since it was listed",
                hint="run the load again when nobody writes the object",
            )
        self._start = size - len(self._known) if tail else 0
        super().__init__(LocatedFile(remote.name, size, version, lambda: bucket.head(key)[1]))

    def _read(self, start: int, end: int) -> bytes:
        if self._start <= start < self._start + len(self._known):
            return self._known[start - self._start : end - self._start]
        return self._bucket.read_range(self._key, start, end, self.located.version["etag"])


def open_located(file: DataFile, *, tail: bool = False) -> SeekableFile:
    """Open a file for reads of some of its bytes.

    Args:
        file: The file.
        tail: Whether its end is read first, and not its beginning.

    Raises:
        SourceError: it is not there, has changed since it was listed, or cannot be read.
    """
    if file.stream is not None:
        raise SourceError("standard input cannot be loaded in place", hint="name files")
    if file.remote is not None:
        return _RemoteFile(file.remote, tail=tail)
    try:
        return _LocalFile(file.name)
    except OSError as error:
        raise SourceError(f"{file.name} cannot be read: {error.strerror or error}") from error


def expand_patterns(patterns: Sequence[str | DataFile]) -> list[DataFile]:
    """All files that the patterns match, each name once.

    Args:
        patterns: Paths, globs, either of them in S3 (``s3://bucket/…``), or files.

    Raises:
        SourceError: a pattern matches nothing.
    """
    files = (file for pattern in patterns for file in expand_pattern(pattern, None))
    return list(dict.fromkeys(files))


def look_at_all(files: Sequence[DataFile], look: Callable[[DataFile], T]) -> list[T]:
    """Do something with each file, with many at once; the results are in their order."""
    with ThreadPoolExecutor(min(_AT_ONCE, max(len(files), 1))) as pool:
        return list(pool.map(look, files))


def changed_files(files: Sequence[LocatedFile]) -> Iterator[str]:
    """The files that have changed since they were looked at."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for file, same in zip(files, pool.map(_is_unchanged, files), strict=True):
            if not same:
                yield file.uri


def _is_unchanged(file: LocatedFile) -> bool:
    try:
        return file.find_version() == file.version
    except (OSError, SourceError):
        return False
