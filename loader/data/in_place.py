"""Names files that are loaded from where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from loader.errors import SourceError

if TYPE_CHECKING:
    from loader.data.chunk import Frame
    from loader.data.files.open import DataFile
    from loader.spec.model import Source


@dataclass(frozen=True)
class InPlace:
    """Files that the warehouse reads from where they lie: no row passes through Loader.

    Only the footers of Parquet files, and the first lines of CSV and JSON files, are read here.
    What staging checks row by row is checked in the warehouse, before COMMIT.
    """

    files: tuple[str | DataFile, ...]
    """Paths, globs, either of them in S3 (``s3://bucket/…``), or files that were listed."""
    otherwise_stage: bool = False
    """Whether the files are staged if they cannot be loaded in place, which is an error if not."""


def open_source(
    files: Sequence[str | DataFile],
    source: Source,
    stdin: BinaryIO | None = None,
    *,
    in_place: bool = False,
) -> Frame | InPlace:
    """The rows of files, or the files themselves where `source.in_place` says so.

    Args:
        files: Paths, globs, URLs of S3, ``-`` for standard input, or files that were listed.
        source: How they are read.
        stdin: Standard input.
        in_place: Whether they are loaded in place whatever the source says.

    Raises:
        SourceError: a pattern matches nothing, or a file cannot be read.
    """
    mode = "always" if in_place else source.in_place
    if mode == "never" or (mode == "auto" and "-" in files):
        from loader.data.files.open import open_files  # noqa: PLC0415  # pyarrow is slow to import

        return open_files(files, source, stdin)
    if "-" in files:
        raise SourceError(
            "standard input cannot be loaded in place: no warehouse reads it",
            hint="name files, or stage it: leave out --in-place, or set source: {in_place: auto}",
        )
    return InPlace(tuple(files), otherwise_stage=mode == "auto")
