"""Finds Parquet files, and reads of them no more than their footers."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.files.open import expand_pattern
from loader.errors import SourceError

if TYPE_CHECKING:
    from loader.staging.stores.s3_objects import S3Objects

_AT_ONCE = 16
"""Footers that are read at the same time."""


@dataclass(frozen=True)
class ColumnStatistics:
    """What a footer says of the values of a column; None where it does not say it."""

    nulls: int | None
    extremes: tuple[Any, ...] | None
    """The minimum and maximum of each row group, as Python values."""


@dataclass(frozen=True)
class Footer:
    """A Parquet file where it lies, as it was when its footer was read."""

    uri: str
    """Its absolute path, or its URL."""
    bytes: int
    version: str
    """The ETag of an object; the inode and time of change of a file."""
    metadata: Any = field(repr=False, compare=False)
    """Its `pyarrow.parquet.FileMetaData`."""
    find_version: Callable[[], str] = field(repr=False, compare=False)
    """Looks up the present version, which differs when the file has changed."""

    @property
    def rows(self) -> int:
        """Its rows."""
        return int(self.metadata.num_rows)

    @property
    def schema(self) -> Any:
        """Its Arrow schema, by its Parquet types alone."""
        return self.metadata.schema.to_arrow_schema().remove_metadata()

    def physical_type(self, column: str) -> str:
        """The physical type of a column that is not nested, such as ``INT32``."""
        schema = self.metadata.schema
        found = (schema.column(at) for at in range(len(schema)))
        return next((one.physical_type for one in found if one.path == column), "")

    def statistics(self, column: str) -> ColumnStatistics:
        """What its row groups say of a column that is not nested."""
        nulls = 0
        extremes: list[Any] | None = []
        for at in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(at)
            chunks = (group.column(number) for number in range(group.num_columns))
            chunk = next((one for one in chunks if one.path_in_schema == column), None)
            found = chunk.statistics if chunk is not None else None
            if found is None or not found.has_null_count:
                return ColumnStatistics(None, None)
            nulls += found.null_count
            if not found.has_min_max and found.null_count != group.num_rows:
                extremes = None
            elif found.has_min_max and extremes is not None:
                extremes += [found.min, found.max]
        return ColumnStatistics(nulls, None if extremes is None else tuple(extremes))


def read_footers(patterns: Sequence[str]) -> list[Footer]:
    """Read the footers of all files that the patterns match, each file once.

    Args:
        patterns: Paths, globs, or either of them in S3 (``s3://bucket/…``).

    Raises:
        SourceError: a pattern matches nothing, or a file is not Parquet or cannot be read.
    """
    files = dict.fromkeys(file for pattern in patterns for file in expand_pattern(pattern, None))
    readers: list[Callable[[], Footer]] = []
    for file in files:
        if file.remote is not None:
            bucket, key, name = file.remote.bucket, file.remote.key, file.name
            readers.append(lambda b=bucket, k=key, n=name: _read_object(b, k, n))  # type: ignore[misc]
        else:
            readers.append(lambda n=file.name: _read_file(n))  # type: ignore[misc]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda read: read(), readers))
    unique: Mapping[str, Footer] = {footer.uri: footer for footer in found}
    return list(unique.values())


def _read_file(name: str) -> Footer:
    path = Path(name).resolve()
    try:
        with path.open("rb") as file:
            there = os.fstat(file.fileno())
            metadata = _read_metadata(file, name)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}") from error
    return Footer(str(path), there.st_size, _stamp(there), metadata, lambda: _stamp(path.stat()))


def _stamp(there: os.stat_result) -> str:
    return f"{there.st_dev}:{there.st_ino}:{there.st_mtime_ns}:{there.st_size}"


def _read_object(bucket: S3Objects, key: str, name: str) -> Footer:
    size, tag = bucket.head(key)
    metadata = _read_metadata(_Object(bucket, key, size, tag), name)
    return Footer(name, size, tag, metadata, lambda: bucket.head(key)[1])


def _read_metadata(file: Any, name: str) -> Any:
    try:
        return pq.read_metadata(pa.PythonFile(file, mode="r"))
    except pa.ArrowException as error:
        raise SourceError(
            f"{name} is not a Parquet file: {error}",
            hint="only Parquet files are loaded in place; stage the others",
        ) from error


class _Object(io.RawIOBase):
    """An object in S3 of which parts are read."""

    def __init__(self, bucket: S3Objects, key: str, size: int, tag: str) -> None:
        self._bucket, self._key, self._size, self._tag = bucket, key, size, tag
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._at + size, self._size)
        data = self._bucket.read_range(self._key, self._at, end, self._tag)
        self._at += len(data)
        return data


def changed_files(footers: Sequence[Footer]) -> Iterator[str]:
    """The files that are not what they were when their footers were read."""
    for footer in footers:
        try:
            same = footer.find_version() == footer.version
        except (OSError, SourceError):
            same = False
        if not same:
            yield footer.uri
