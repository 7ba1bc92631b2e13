"""What a plan knows of files that are loaded from where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from loader.plan.figures import Figure
from loader.plan.text_files import TextFiles

HOW_TO_STAGE = "stage them: leave out --in-place, or set source: {in_place: never}"
"""What makes a load read the rows, so that it tells where they are."""


@dataclass(frozen=True)
class FilesInPlace:
    """Files that a load copies from where they lie."""

    uris: tuple[str, ...]
    figures: frozenset[Figure] = frozenset()
    """The figures that are known from the footers of Parquet files."""
    order: tuple[str, ...] = ()
    """The columns in the order of Parquet files, where COPY goes by position and the table has them
    in another order."""
    may_be_null: tuple[str, ...] = ()
    """The NOT NULL columns of which the footers do not say that they have no NULL."""
    text: TextFiles | None = None
    """How the lines of text files are read; None for Parquet."""
    bytes: int = 0
    """Their size."""

    def __str__(self) -> str:
        form = "Parquet" if self.text is None else self.text.format.upper()
        noun = f"{form} file{'s' * (len(self.uris) != 1)}"
        how = ": lines of text, which SQL splits and casts" if self.text else ""
        return f"loads {len(self.uris):,} {noun} in place{how}"
