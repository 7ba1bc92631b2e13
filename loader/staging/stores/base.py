"""Where staged files live. A store keeps bytes under keys below one root: a folder, or S3.

A file appears under its key only when it is complete, so whoever lists or copies a prefix never
meets half of one.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from loader.errors import StageError
from loader.staging.stores.found import Found
from loader.staging.stores.local import FolderStore

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_BAD_IN_PREFIX = re.compile(r"""[\s\x00-\x1f\x7f?#*\\{}\[\]<>^|%"'`]""")
"""What S3 advises against in keys, what means something in a URL, and what globs are made of."""

_RIGHT = (
    "set the target's `staging` to s3://bucket or s3://bucket/prefix, "
    "as in s3://acme-staging/loader"
)


class Store(Protocol):
    """A place for files. Keys are relative, with ``/`` between their parts."""

    root: str
    """Where the keys begin: an absolute path, or ``s3://bucket/prefix``."""

    def uri(self, key: str) -> str:
        """The key as warehouses name it."""

    def create(self, key: str) -> AbstractContextManager[io.BufferedIOBase]:
        """A new file, which is there when the block ends, and never was when the block raises."""

    def read(self, key: str) -> bytes:
        """All bytes of a complete file."""

    def delete(self, prefix: str) -> None:
        """Remove all files below the prefix and nothing else; that there are none is fine."""

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Keys and sizes of the complete files below the prefix, sorted."""

    def files(self) -> Iterator[Found]:
        """Every complete file below the root, whoever made it."""

    def unfinished(self) -> Iterator[Found]:
        """What was begun below the root and never completed."""

    def remove(self, found: Iterable[Found]) -> None:
        """Remove these and nothing else; that one is gone is fine."""


@dataclass(frozen=True)
class StoreOptions:
    """What S3 is told besides the location; a folder needs none of it."""

    region: str = ""
    """The bucket's region; empty leaves it to boto3's own settings."""
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """How S3 encrypts the objects; empty leaves it to the bucket."""
    kms_key_id: str = ""
    """The key for ``aws:kms``; empty means the key AWS manages."""


def open_store(uri: str, options: StoreOptions | None = None) -> Store:
    """The store of a staging location; connects to nothing yet.

    Raises:
        StageError: the location is neither a folder nor an S3 URL, or an option is wrong.
    """
    scheme, separator, _ = uri.partition("://")
    # `s3:/bucket` would be a folder of that name, which nobody means.
    if not separator and not uri.lower().startswith("s3:"):
        return FolderStore(_readable_folder(uri))
    if separator and scheme.lower() not in {"s3", "s3a", "s3n"}:
        raise _bad_url(uri, f"there is no store for {scheme}://", "; or set it to a folder")
    bucket, prefix = _s3_location(uri)
    try:
        module = importlib.import_module("loader.staging.stores.s3")
    except ModuleNotFoundError as error:
        raise StageError(
            f"staging in S3 needs the module `{error.name}`, which is not there",
            hint="install boto3",
        ) from error
    store: Store = module.S3Store(bucket, prefix, options or StoreOptions())
    return store


def _readable_folder(uri: str) -> Path:
    """The folder, whose name DuckDB can spell: its patterns take a backslash for another thing."""
    folder = Path(uri).expanduser().absolute()
    if "\\" in folder.as_posix():
        raise StageError(
            f"cannot stage in {folder}: DuckDB reads no files below a folder with a backslash",
            hint="set the target's `staging` to another folder",
        )
    return folder


def _s3_location(uri: str) -> tuple[str, str]:
    """Bucket and prefix of an S3 URL; the prefix may be empty."""
    if not uri.startswith("s3://"):
        raise _bad_url(uri, "an S3 URL begins with s3://")
    if "@" in uri:
        raise _bad_url(uri, "a name and secret do not belong into it; boto3 finds credentials")
    bucket, slash, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise _bad_url(uri, "it names no bucket")
    if not 3 <= len(bucket) <= 63:
        raise _bad_url(uri, f"`{bucket}` is no bucket: a name has 3 to 63 characters")
    if not _BUCKET.fullmatch(bucket):
        rule = "a name has lower-case letters, digits, `-` and `.`, with a letter or digit at ends"
        raise _bad_url(uri, f"`{bucket}` is no bucket: {rule}")
    if ".." in bucket or _ADDRESS.fullmatch(bucket):
        raise _bad_url(uri, f"`{bucket}` is no bucket: a name is no IP address and has no `..`")
    if not slash or not prefix:
        return bucket, ""
    # One slash at the end is how people write folders.
    parts = prefix.removesuffix("/").split("/")
    if not all(parts):
        raise _bad_url(uri, "it has two slashes where one belongs")
    if {".", ".."} & set(parts):
        raise _bad_url(uri, "`.` and `..` mean nothing in S3")
    if bad := _BAD_IN_PREFIX.search(prefix):
        raise _bad_url(uri, f"the prefix has a {bad.group()!r}, which gives trouble in keys")
    return bucket, "/".join(parts)


def _bad_url(uri: str, what: str, otherwise: str = "") -> StageError:
    # Hadoop's URLs carry `key:secret@`, and a secret may hold a slash.
    shown = re.sub(r":.*@", "://***@", uri, flags=re.DOTALL)
    return StageError(f"cannot stage in `{shown}`: {what}", hint=_RIGHT + otherwise)
