"""Names files that a load lists itself, so that the ledger records them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SourceFiles:
    """Files as the data of a load: `Project.load` lists, reads and records them.

    With `load: new` in the spec, only those are loaded that the ledger does not know.
    """

    names: tuple[str, ...]
    """Paths, globs, or either of them in S3 (``s3://bucket/…``)."""
    folder: Path | None = None
    """The folder that relative names are in; None for the working directory."""
    own: bool = False
    """Whether they are those of the spec's `source`, which may have placeholders."""
    reload: bool = False
    """Whether all of them are loaded, also those that the ledger knows."""
    in_place: bool = False
    """Whether they are loaded from where they lie, whatever the spec says."""
