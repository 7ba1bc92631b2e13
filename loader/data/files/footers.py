"""Finds Parquet files, and reads only their footers."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.files.open import DataFile, expand_pattern
from loader.errors import SourceError

if TYPE_CHECKING:
    from loader.staging.stores.s3_objects import S3Objects

_AT_ONCE = 16
"""Footers that are read at the same time."""


@dataclass(frozen=True)
class FooterColumn:
    """A column of a Parquet file that is not nested, as its footer describes it."""

    physical_type: str
    """Such as ``INT32``."""
    nulls: int | None
    """The number of NULLs; None where the footer does not have it."""
    extremes: tuple[Any, ...] | None
    """The minimum and maximum of each row group, as Python values; None where one is missing."""


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

    @cached_property
    def schema(self) -> Any:
        """Its Arrow schema, by its Parquet types alone."""
        return self.metadata.schema.to_arrow_schema().remove_metadata()

    @cached_property
    def columns(self) -> Mapping[str, FooterColumn]:
        """Its columns that are not nested, by name."""
        groups = [self.metadata.row_group(at) for at in range(self.metadata.num_row_groups)]
        leaves = [self.metadata.schema.column(at) for at in range(len(self.metadata.schema))]
        return {
            leaf.path: FooterColumn(
                leaf.physical_type, *_summarize([group.column(at) for group in groups])
            )
            for at, leaf in enumerate(leaves)
            if leaf.path in self.schema.names
        }


def _summarize(chunks: Sequence[Any]) -> tuple[int | None, tuple[Any, ...] | None]:
    """The number of NULLs of a column, and its minimum and maximum in each row group."""
    nulls, extremes, complete = 0, [], True
    for chunk in chunks:
        found = chunk.statistics
        if found is None or not found.has_null_count:
            return None, None
        nulls += found.null_count
        if found.has_min_max:
            extremes += [found.min, found.max]
        else:
            complete = complete and found.null_count == chunk.num_values
    return nulls, tuple(extremes) if complete else None


def read_footers(patterns: Sequence[str | DataFile]) -> list[Footer]:
    """Read the footers of all files that the patterns match, each file once.

    Args:
        patterns: Paths, globs, either of them in S3 (``s3://bucket/…``), or files.

    Raises:
        SourceError: a pattern matches nothing, or a file is not Parquet or cannot be read.
    """
    files = dict.fromkeys(file for pattern in patterns for file in expand_pattern(pattern, None))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        footers = list(pool.map(_read_footer, files))
    # Two names may be of one file.
    return list({footer.uri: footer for footer in footers}.values())


def _read_footer(file: DataFile) -> Footer:
    if file.remote is None:
        return _read_file(file.name)
    footer = _read_object(file.remote.bucket, file.remote.key, file.name)
    if file.remote.tag not in ("", footer.version):
        raise SourceError(
            f"{file.name} has changed since it was listed",
            hint="run the load again when nobody writes the object",
        )
    return footer


def _read_file(name: str) -> Footer:
    path = Path(name).resolve()
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            metadata = _read_metadata(file, name)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}") from error
    return Footer(
        str(path),
        status.st_size,
        _version_of(status),
        metadata,
        lambda: _version_of(path.stat()),
    )


def _version_of(status: os.stat_result) -> str:
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}"


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
    """An object in S3 as a file, which reads only the ranges that are asked for."""

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
    """The files that have changed since their footers were read."""
    for footer in footers:
        try:
            same = footer.find_version() == footer.version
        except (OSError, SourceError):
            same = False
        if not same:
            yield footer.uri
