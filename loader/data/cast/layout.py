"""How a warehouse wants rows staged, and the Arrow schema of staged rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from loader.data.cast.arrow_types import arrow_type
from loader.spec.model import Column


def arrow_schema(columns: Sequence[Column]) -> Any:
    """The Arrow schema of rows with these columns."""
    return pa.schema([pa.field(column.name, arrow_type(column.data_type)) for column in columns])


@dataclass(frozen=True)
class Layout:
    """What a warehouse requires of staged rows, beyond the column types."""

    order: tuple[str, ...] = ()
    """The live table's columns in its order; the staged columns follow it."""
    documents: Literal["text", "json", "nested"] = "text"
    """How SUPER values are staged: as JSON text, embedded in JSON lines, or as nested Parquet."""
    format: str = "parquet"
    """The format of the staged files, where the spec leaves it to the warehouse."""
    document_bytes: int | None = None
    """The most bytes of a SUPER value, where the files hold less than the type does."""
    empty_is_null: bool = False
    """Whether an empty field of a CSV file is NULL for all types but text."""
    nul_in_text: bool = True
    """Whether text may contain the character NUL."""
    ignores_trailing_blanks: bool = False
    """Whether the warehouse treats ``'a'`` and ``'a '`` as equal."""


PLAIN = Layout()
"""The default: columns in the order of the spec, documents as text."""
