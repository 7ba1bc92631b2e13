"""The interface of stores, which keep staged files under keys below one root: a folder or S3.

A file appears under its key only when it is complete, so that listing or copying a prefix never
meets a partial file. Stores can be pickled, for processes of other machines that write to them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from loader.errors import StageError


@dataclass(frozen=True)
class StoredFile:
    """A file in a store, or the remains of one that was never completed."""

    key: str
    """Its key, or the one it would have had; an empty folder has a slash at its end."""
    bytes: int
    changed: float
    """When it was last written, in seconds since 1970."""
    path: str
    """Where its bytes are: a key, or the id of an upload."""
    unfinished: bool = False
    """Whether it was never completed."""


class Store(Protocol):
    """Keeps files. Keys are relative, with ``/`` between their parts."""

    root: str
    """The location of all keys: an absolute path, or ``s3://bucket/prefix``."""

    def uri(self, key: str) -> str:
        """The path or URL of a key, as warehouses name it."""

    def create(self, key: str) -> AbstractContextManager[io.BufferedIOBase]:
        """Create a file, which appears when the block ends, and not at all when it raises."""

    def read(self, key: str) -> bytes:
        """Read all bytes of a complete file."""

    def move(self, key: str, to: str) -> str:
        """Give a complete file another key, where that copies no bytes; returns the key it has."""

    def delete(self, prefix: str) -> None:
        """Remove all files below the prefix; there may be none."""

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """List keys and bytes of the complete files below the prefix, sorted."""

    def files(self, prefix: str | None = None) -> Iterator[StoredFile]:
        """All complete files below the root, of Loader or not; or those below the prefix."""

    def unfinished(self) -> Iterator[StoredFile]:
        """All files below the root that were never completed."""

    def remove(self, files: Iterable[StoredFile]) -> None:
        """Remove these files; some may no longer exist."""


@dataclass(frozen=True)
class S3Endpoint:
    """A server of S3 other than the one that boto3's settings name."""

    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    def client_arguments(self) -> dict[str, str]:
        """The arguments of ``session.client`` that lead there."""
        return {
            "endpoint_url": self.url,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
        }


@dataclass(frozen=True)
class StoreOptions:
    """Options of S3 besides the location; folders ignore them."""

    region: str = ""
    """The bucket's region; empty leaves it to boto3's own settings."""
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """How S3 encrypts the objects; empty leaves it to the bucket."""
    kms_key_id: str = ""
    """The key for ``aws:kms``; empty means the key AWS manages."""
    endpoint: S3Endpoint | None = None
    """The server; None leaves it to boto3's own settings."""


def split_key(key: str, where: str) -> list[str]:
    """The parts of a key, which must stay below the root; the same keys are valid in all stores.

    Args:
        key: The key.
        where: The store, for messages.

    Raises:
        StageError: a part is empty, ``.`` or ``..``, or the key has a NUL or a backslash.
    """
    parts = key.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in key or "\\" in key:
        raise StageError(f"`{key}` is not a key of the {where}")
    return parts
