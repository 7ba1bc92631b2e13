"""Finds files in S3 by URL or glob, and downloads them to temporary files one at a time."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from loader.data.chunk import Chunk
from loader.errors import NoFilesError, SourceError

if TYPE_CHECKING:
    from loader.staging.stores.s3_objects import ListedObject, S3Objects

_SCHEME = re.compile(r"s3[an]?:/", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_MAGIC = re.compile(r"[*?\[]")
_MOST_COMPARED = 1_000
"""The most keys that are compared for a suggestion."""


@dataclass(frozen=True)
class S3File:
    """An object in S3."""

    name: str
    """Its URL."""
    key: str
    bucket: S3Objects = field(compare=False, repr=False)
    bytes: int | None = None
    """Its size; None where the bucket may not be listed."""
    tag: str = ""
    """Its ETag, without which it is not read; empty where the bucket may not be listed."""

    def download(self) -> DownloadedFile:
        """Download the object to a temporary file.

        Raises:
            SourceError: it cannot be read, or the disk is full.
        """
        try:
            handle, path = tempfile.mkstemp(prefix="loader-", suffix=".part")
        except OSError as error:
            raise self._disk_error(error) from error
        file_copy = DownloadedFile(path)
        try:
            with os.fdopen(handle, "wb") as file:
                for part in self.bucket.parts(self.key, self.tag):
                    file.write(part)
        except OSError as error:
            file_copy.remove()
            raise self._disk_error(error) from error
        except BaseException:
            file_copy.remove()
            raise
        return file_copy

    def _disk_error(self, error: OSError) -> SourceError:
        return SourceError(
            f"{self.name} cannot be downloaded to a temporary file: {error.strerror}",
            hint="free disk space for temporary files, or set TMPDIR to another folder",
        )


class DownloadedFile:
    """A temporary file, which is removed when this object is collected, or the process ends."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.remove = weakref.finalize(self, partial(_remove_file, path))
        """Remove it now."""

    def remove_after(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The chunks read from it; then it is removed."""
        try:
            yield from chunks
        finally:
            self.remove()


def _remove_file(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108  # pathlib may be unloaded when the process ends


def is_s3_url(pattern: str) -> bool:
    """Whether a pattern is a URL of S3."""
    return _SCHEME.match(pattern) is not None


def find_files(pattern: str) -> list[S3File]:
    """The objects that a URL or glob matches, in the order of their keys.

    ``*`` and ``?`` do not match slashes, ``**`` does. A key that exists is not treated as a glob.

    Raises:
        SourceError: the URL is invalid, matches nothing, or the bucket cannot be listed.
    """
    bucket_name, key = _split_url(pattern)
    # boto3 is slow to import.
    from loader.staging.stores.s3_objects import DeniedError, S3Objects  # noqa: PLC0415

    bucket = S3Objects(bucket_name)
    magic = _MAGIC.search(key)
    start = key[: magic.start()] if magic else key
    rest = key[len(start) :]
    if key and not key.endswith("/"):
        try:
            listed = bucket.objects(start, below="/" in rest or "**" in rest)
            found = _matching_objects(listed, key)
        except DeniedError:
            # An identity may be allowed to read an object but not to list the bucket.
            if magic:
                raise
            return [S3File(f"s3://{bucket_name}/{key}", key, bucket)]
        if found:
            return [
                S3File(f"s3://{bucket_name}/{one.key}", one.key, bucket, one.bytes, one.tag)
                for one in found
            ]
    raise _no_match_error(pattern, start, bucket, folder=not magic)


def _split_url(pattern: str) -> tuple[str, str]:
    """Bucket and key; no error shows a URL that may contain a secret."""
    scheme, _, rest = pattern.partition("://")
    name, _, key = rest.partition("/")
    if "@" in name or ":" in name or (not rest and "@" in pattern):
        raise SourceError(
            "the URL of a file in S3 contains credentials before its bucket",
            hint="use s3://bucket/key; boto3 finds the credentials",
        )
    if scheme != "s3" or not rest:
        raise SourceError(
            f"{pattern} is not a valid URL of a file in S3",
            hint="use s3://bucket/key, as in s3://acme-data/orders/2026-*.csv.gz",
        )
    if not _BUCKET.fullmatch(name):
        raise SourceError(
            f"{pattern}: `{name}` is not a valid bucket name",
            hint="use s3://bucket/key; only the key may be a glob",
        )
    return name, key


def _matching_objects(listed: Iterable[ListedObject], pattern: str) -> list[ListedObject]:
    """The objects whose keys match a glob; only the one of this key where it exists."""
    found = []
    parts = pattern.split("/")
    for one in listed:
        if one.key == pattern:
            return [one]
        if _matches_glob(one.key.split("/"), parts):
            found.append(one)
    return found


def _matches_glob(key: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a key match those of a glob, as in a shell."""
    if not pattern or not key:
        return not pattern and not key
    if pattern[0] == "**":
        if len(pattern) == 1:
            return not any(part.startswith(".") for part in key)
        return _matches_glob(key, pattern[1:]) or (
            not key[0].startswith(".") and _matches_glob(key[1:], pattern)
        )
    hidden = key[0].startswith(".") and not pattern[0].startswith(".")
    return not hidden and fnmatchcase(key[0], pattern[0]) and _matches_glob(key[1:], pattern[1:])


def _no_match_error(pattern: str, start: str, bucket: S3Objects, *, folder: bool) -> SourceError:
    """The error for a pattern without a match, with suggestions."""
    below = f"{start.rstrip('/')}/" if start.rstrip("/") else ""
    if folder and next(_list_below(bucket, below), None):
        url = f"s3://{bucket.bucket}/{below}"
        return SourceError(f"{pattern} is a folder", hint=f"use a glob for its files: '{url}*.csv'")
    place = start[: start.rfind("/") + 1]
    names = list(islice(_list_below(bucket, place), _MOST_COMPARED))
    near = difflib.get_close_matches(pattern.partition("://")[2].partition("/")[2], names, 3, 0.5)
    if near:
        hint = f"did you mean {' or '.join(f's3://{bucket.bucket}/{key}' for key in near)}?"
    else:
        few = ", ".join(key.removeprefix(place) for key in names[:5])
        more = ", …" if len(names) > len(names[:5]) else ""
        hint = f"s3://{bucket.bucket}/{place} holds {few + more if few else 'nothing'}"
    return NoFilesError(f"no file matches {pattern}", hint=hint)


def _list_below(bucket: S3Objects, start: str) -> Iterator[str]:
    return bucket.keys(start, below=True)
