"""The files of one load, and the manifest that lists them for COPY."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loader.plan.figures import Figure, Value
from loader.staging.stores.base import Store

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StagedFile:
    """One complete staged file."""

    uri: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Staged:
    """All files of one load."""

    prefix: str
    """The folder or S3 prefix they are in, as a URI."""
    manifest: str
    """The URI of the manifest that lists them."""
    files: tuple[StagedFile, ...]
    figures: Mapping[Figure, Value] = field(default_factory=dict)
    """The requested figures of all rows."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def encode_manifest(files: Sequence[StagedFile]) -> bytes:
    """The manifest of the files as JSON, in the form that COPY reads."""
    entries = [
        {
            "url": file.uri,
            # COPY skips a missing file silently unless it is mandatory.
            "mandatory": True,
            "meta": {"content_length": file.bytes, "record_count": file.rows},
        }
        for file in files
    ]
    return json.dumps({"entries": entries}, indent=2).encode()


def write_manifest(
    store: Store, prefix: str, files: Sequence[StagedFile], figures: Mapping[Figure, Value]
) -> Staged:
    """Write the manifest of the files of a load below its prefix.

    Raises:
        StageError: it cannot be written.
    """
    key = f"{prefix}/{MANIFEST}"
    with store.create(key) as file:
        file.write(encode_manifest(files))
    return Staged(store.uri(prefix), store.uri(key), tuple(files), figures)
