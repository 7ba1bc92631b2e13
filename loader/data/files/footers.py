"""Reads the footers of Parquet files, and nothing else of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.column_names import check_names
from loader.data.files.located import LocatedFile, SeekableFile, look_at_all, open_located
from loader.data.files.open import DataFile
from loader.errors import SourceError

_MAGIC = b"PAR1"
_END = 8
"""Bytes of the footer's length and the magic at the end of a file."""
_SIGNATURE = 28
"""Bytes of the signature after a plain footer of a file with encrypted columns: encryption.md of
Parquet, 5.5.
"""


@dataclass(frozen=True)
class FooterColumn:
    """A column of a Parquet file that is not nested, as its footer describes it."""

    physical_type: str
    """Such as ``INT32``."""
    nulls: int | None
    """The number of NULLs; None where the footer does not have it."""
    extremes: tuple[Any, ...] | None
    """The minimum and maximum of whole numbers, decimals, dates and times, as Python values; empty
    without values, None where the footer does not have them."""
    unrepresentable: bool = False
    """Whether an extreme is not a value of Python: past the year 9999, or of nanoseconds."""


@dataclass(frozen=True)
class Footer(LocatedFile):
    """What the footer of a Parquet file says."""

    rows: int = 0
    schema: Any = field(default=None, repr=False, compare=False)
    """Its Arrow schema, by its Parquet types alone."""
    columns: Mapping[str, FooterColumn] = field(default_factory=dict, repr=False)
    """Its columns that are not nested, by name."""


def read_footers(files: Sequence[DataFile]) -> list[Footer]:
    """Read the footers of files.

    Raises:
        SourceError: a file is not Parquet or cannot be read, or a column name occurs twice.
    """
    footers = look_at_all(files, _read_footer)
    # Two names may be of one file.
    return list({footer.uri: footer for footer in footers}.values())


def _read_footer(file: DataFile) -> Footer:
    with open_located(file, tail=True) as opened:
        located, footer = opened.located, _read_bytes(opened, file.name)
    try:
        metadata = pq.read_metadata(pa.BufferReader(footer))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{file.name} is not a Parquet file: {error}") from error
    if len(footer) - _END - metadata.serialized_size == _SIGNATURE:
        # PyArrow ends the whole process where it is asked for such a column.
        raise SourceError(f"{file.name} has encrypted columns, which are not loaded in place")
    stored = metadata.schema.to_arrow_schema()
    schema = pa.schema([(one.name, _plain_type(one.type)) for one in stored])
    check_names(schema.names, file.name)
    return Footer(
        located.uri,
        located.bytes,
        located.version,
        located.find_version,
        int(metadata.num_rows),
        schema,
        dict(_describe_columns(metadata, frozenset(schema.names))),
    )


def _plain_type(type_: Any) -> Any:
    """The type without what only Arrow knows of it, which its writers note beside the schema."""
    if pa.types.is_dictionary(type_):
        return _plain_type(type_.value_type)
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return pa.timestamp(type_.unit, "UTC")
    return _PLAIN.get(type_, type_)


_PLAIN = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}


def _read_bytes(opened: SeekableFile, name: str) -> bytes:
    """The footer, its length and the magic bytes at the end: all that PyArrow needs of a file."""
    opened.seek(-min(_END, opened.located.bytes), io.SEEK_END)
    end = opened.read()
    size = int.from_bytes(end[:4], "little") + _END
    if end[4:] != _MAGIC or size > opened.located.bytes:
        encrypted = ": it is encrypted" * (end[4:] == b"PARE")
        raise SourceError(f"{name} is not a Parquet file{encrypted or f': it ends with {end!r}'}")
    opened.seek(-size, io.SEEK_END)
    return opened.read()


def _describe_columns(metadata: Any, names: frozenset[str]) -> list[tuple[str, FooterColumn]]:
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    found = []
    for at in range(len(metadata.schema)):
        leaf = metadata.schema.column(at)
        if leaf.path in names:
            chunks = [group.column(at) for group in groups]
            found.append((leaf.path, _summarize(leaf.physical_type, chunks)))
    return found


def _summarize(physical_type: str, chunks: Sequence[Any]) -> FooterColumn:
    """What the statistics of all row groups say of a column."""
    nulls: int = 0
    extremes: list[Any] = []
    complete, unrepresentable = True, False
    for chunk in chunks:
        found = chunk.statistics
        if found is None or not found.has_null_count:
            return FooterColumn(physical_type, None, None, unrepresentable)
        nulls += found.null_count
        if not found.has_min_max:
            complete = complete and found.null_count == chunk.num_values
        elif complete:
            try:
                both = (found.min, found.max)
            except (ValueError, OverflowError):
                complete, unrepresentable = False, True
                continue
            complete = all(isinstance(one, _EXACT) and not isinstance(one, bool) for one in both)
            extremes += both
    if not complete:
        return FooterColumn(physical_type, nulls, None, unrepresentable)
    return FooterColumn(physical_type, nulls, (min(extremes), max(extremes)) if extremes else ())


_EXACT = (int, Decimal, date, datetime)
"""Values of which the minimum and maximum are exact in footers; those of text may be cut short."""
