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
    rows: int | None
    """None for a file of text that is loaded in place, whose rows the warehouse counts."""
    bytes: int
    version: Mapping[str, str] | None = None
    """Which version of a file in place is loaded."""


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
    def rows(self) -> int | None:
        """Rows in all files; None where the warehouse has to count them."""
        rows = [file.rows for file in self.files if file.rows is not None]
        return sum(rows) if len(rows) == len(self.files) else None

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def encode_manifest(files: Sequence[StagedFile]) -> bytes:
    """The manifest of the files as JSON, in the form that COPY reads.

    Versions of files in place are beside the entries, where COPY does not look.
    """
    entries = [
        {
            "url": file.uri,
            # COPY skips a missing file silently unless it is mandatory.
            "mandatory": True,
            "meta": {"content_length": file.bytes}
            | ({} if file.rows is None else {"record_count": file.rows}),
        }
        for file in files
    ]
    versions = {file.uri: file.version for file in files if file.version}
    manifest = {"entries": entries} | ({"versions": versions} if versions else {})
    return json.dumps(manifest, indent=2).encode()


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
