"""Files in S3: named by URL or glob, fetched to temporary files one at a time."""

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
from loader.errors import SourceError

if TYPE_CHECKING:
    from loader.staging.stores.s3_objects import S3Objects

_SCHEME = re.compile(r"s3[an]?:/", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_MAGIC = re.compile(r"[*?\[]")
_NEIGHBOURS = 1_000
"""Keys that are looked at for one that may be meant."""


@dataclass(frozen=True)
class Remote:
    """An object that can be fetched."""

    name: str
    """Its URL."""
    key: str
    bucket: S3Objects = field(compare=False, repr=False)

    def fetch(self) -> Fetched:
        """The object as a file on this machine.

        Raises:
            SourceError: it cannot be read, or the disk is full.
        """
        try:
            handle, path = tempfile.mkstemp(prefix="loader-", suffix=".part")
        except OSError as error:
            raise self._unkept(error) from error
        fetched = Fetched(path)
        try:
            with os.fdopen(handle, "wb") as file:
                for part in self.bucket.parts(self.key):
                    file.write(part)
        except OSError as error:
            fetched.remove()
            raise self._unkept(error) from error
        except BaseException:
            fetched.remove()
            raise
        return fetched

    def _unkept(self, error: OSError) -> SourceError:
        return SourceError(
            f"{self.name} cannot be kept on this machine while it is read: {error.strerror}",
            hint="free space for temporary files, or set TMPDIR to a folder that has some",
        )


class Fetched:
    """A temporary file, removed when nobody can read it any more."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.remove = weakref.finalize(self, partial(_remove, path))
        """Remove it now."""

    def until_read(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """What is read from it, after which it is removed."""
        try:
            yield from chunks
        finally:
            self.remove()


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108  # pathlib may be gone when the process ends


def is_meant(pattern: str) -> bool:
    """Whether a pattern names files in S3."""
    return _SCHEME.match(pattern) is not None


def find(pattern: str) -> list[Remote]:
    """The objects that a URL or a glob of one names, in the order of their keys.

    ``*`` and ``?`` stop at slashes, ``**`` does not. A key that exists is no pattern.

    Raises:
        SourceError: the URL is wrong, it names nothing, or the bucket cannot be listed.
    """
    bucket_name, key = _split(pattern)
    # boto3 takes a while to import, and other files need none of it.
    from loader.staging.stores.s3_objects import DeniedError, S3Objects  # noqa: PLC0415

    bucket = S3Objects(bucket_name)
    magic = _MAGIC.search(key)
    start = key[: magic.start()] if magic else key
    rest = key[len(start) :]
    if key and not key.endswith("/"):
        try:
            listed = bucket.keys(start, below="/" in rest or "**" in rest)
            found = _chosen(listed, key)
        except DeniedError:
            # Who may read an object may still not be allowed to list.
            if magic:
                raise
            found = [key]
        if found:
            return [Remote(f"s3://{bucket_name}/{each}", each, bucket) for each in found]
    raise _nothing(pattern, start, bucket, folder=not magic)


def _split(pattern: str) -> tuple[str, str]:
    """Bucket and key; nothing of a URL that may hold a secret is told."""
    scheme, _, rest = pattern.partition("://")
    name, _, key = rest.partition("/")
    if "@" in name or ":" in name or (not rest and "@" in pattern):
        raise SourceError(
            "the URL of a file in S3 holds a name or a secret before its bucket",
            hint="write s3://bucket/key; boto3 finds the credentials",
        )
    if scheme != "s3" or not rest:
        raise SourceError(
            f"{pattern} is no URL of a file in S3",
            hint="write s3://bucket/key, as in s3://acme-data/orders/2026-*.csv.gz",
        )
    if not _BUCKET.fullmatch(name):
        raise SourceError(
            f"{pattern} names no bucket: `{name}` cannot be the name of one",
            hint="write s3://bucket/key; only the key may be a glob",
        )
    return name, key


def _chosen(keys: Iterable[str], pattern: str) -> list[str]:
    found = []
    parts = pattern.split("/")
    for key in keys:
        if key == pattern:
            return [key]
        if _matches(key.split("/"), parts):
            found.append(key)
    return found


def _matches(key: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a key's parts match a glob's, as names in folders would."""
    if not pattern or not key:
        return not pattern and not key
    if pattern[0] == "**":
        if len(pattern) == 1:
            return not any(part.startswith(".") for part in key)
        return _matches(key, pattern[1:]) or (
            not key[0].startswith(".") and _matches(key[1:], pattern)
        )
    hidden = key[0].startswith(".") and not pattern[0].startswith(".")
    return not hidden and fnmatchcase(key[0], pattern[0]) and _matches(key[1:], pattern[1:])


def _nothing(pattern: str, start: str, bucket: S3Objects, *, folder: bool) -> SourceError:
    """The error for a pattern that names nothing, with what is near."""
    below = f"{start.rstrip('/')}/" if start.rstrip("/") else ""
    if folder and next(_first_of(bucket, below), None):
        url = f"s3://{bucket.bucket}/{below}"
        return SourceError(f"{pattern} is a folder", hint=f"name its files: '{url}*.csv'")
    place = start[: start.rfind("/") + 1]
    names = list(islice(_first_of(bucket, place), _NEIGHBOURS))
    near = difflib.get_close_matches(pattern.partition("://")[2].partition("/")[2], names, 3, 0.5)
    if near:
        hint = f"did you mean {' or '.join(f's3://{bucket.bucket}/{key}' for key in near)}?"
    else:
        few = ", ".join(key.removeprefix(place) for key in names[:5])
        more = ", …" if len(names) > len(names[:5]) else ""
        hint = f"s3://{bucket.bucket}/{place} holds {few + more if few else 'nothing'}"
    return SourceError(f"no file matches {pattern}", hint=hint)


def _first_of(bucket: S3Objects, start: str) -> Iterator[str]:
    return bucket.keys(start, below=True)
