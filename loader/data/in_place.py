"""Names files that are loaded from where they lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InPlace:
    """Parquet files that the warehouse reads from where they lie: no row passes through Loader.

    Only their footers are read here. What staging checks row by row is checked in the warehouse,
    before COMMIT.
    """

    files: tuple[str, ...]
    """Paths, globs, or either of them in S3 (``s3://bucket/…``)."""
    otherwise_stage: bool = False
    """Whether the files are staged if they cannot be loaded in place, which is an error if not."""
