"""Whether the columns of a Parquet file are exactly those of the table.

There is no coercion: physical and logical type must be the table type's own, as those found out who
loaded others (bluelabsio/records-mover#85). Columns are taken by position, whatever their names
(dg/copy-usage_notes-copy-from-columnar).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loader.testing.redshift.files.columns import LiveColumn
from loader.testing.redshift.refusals import Refusal, spectrum
from loader.testing.redshift.statements.copy_unload import CopyStatement

SUPER = "super"

_TYPES: dict[str, tuple[tuple[str, str], ...]] = {
    "smallint": (("INT32", "int8"), ("INT32", "int16")),
    "integer": (("INT32", ""), ("INT32", "int32")),
    "bigint": (("INT64", ""), ("INT64", "int64")),
    "real": (("FLOAT", ""),),
    "double precision": (("DOUBLE", ""),),
    "boolean": (("BOOLEAN", ""),),
    "character": (("BYTE_ARRAY", "string"),),
    "character varying": (("BYTE_ARRAY", "string"),),
    "date": (("INT32", "date"),),
    "timestamp without time zone": (
        ("INT96", ""),
        ("INT64", "timestamp milliseconds"),
        ("INT64", "timestamp microseconds"),
        ("INT64", "timestamp milliseconds utc"),
        ("INT64", "timestamp microseconds utc"),
    ),
    "timestamp with time zone": (
        ("INT64", "timestamp milliseconds utc"),
        ("INT64", "timestamp microseconds utc"),
    ),
    "binary varying": (("BYTE_ARRAY", ""),),
    "numeric": (("FIXED_LEN_BYTE_ARRAY", "decimal"),),
    SUPER: (("BYTE_ARRAY", "string"),),
}
"""Type → what may be in the file; a type that is not here cannot come from Parquet."""

_IN_SUPER = {pair for pairs in _TYPES.values() for pair in pairs} - {("BYTE_ARRAY", "")}

_DECIMAL_BYTES = (
    (2, 1), (4, 2), (6, 3), (9, 4), (11, 5), (14, 6), (16, 7), (18, 8), (21, 9), (23, 10),
    (26, 11), (28, 12), (31, 13), (33, 14), (35, 15), (38, 16),
)  # fmt: skip
"""Up to this precision, so many bytes (G-Research/ParquetSharp#252)."""


@dataclass(frozen=True)
class _Field:
    """A top-level column of the file with its leaves."""

    arrow: pa.Field
    leaves: tuple[Any, ...]
    first: int

    @property
    def shown(self) -> str:
        """The Parquet schema as error messages have it."""
        leaf = self.leaves[0]
        if pa.types.is_nested(_storage(self.arrow.type)):
            return f"optional group {self.arrow.name} [i:{self.first} d:1 r:0]"
        need = "optional" if leaf.max_definition_level else "required"
        levels = f"[i:{self.first} d:{leaf.max_definition_level} r:{leaf.max_repetition_level}]"
        return f"{need} {leaf.physical_type.lower()} {self.arrow.name} {levels}"


def decimal_bytes(precision: int) -> int:
    """The length of the FIXED_LEN_BYTE_ARRAY of a decimal.

    >>> [decimal_bytes(precision) for precision in (1, 9, 18, 19, 38)]
    [1, 4, 8, 9, 16]
    """
    return next(size for limit, size in _DECIMAL_BYTES if precision <= limit)


def check_schema(
    copy: CopyStatement, columns: Sequence[LiveColumn], file: pq.ParquetFile, url: str
) -> None:
    """Refuse a file whose columns are not those of the table.

    Raises:
        Refusal: in the words of a Spectrum Scan Error.
    """
    fields = list(_fields(file))
    missing = len(columns) - len(fields)
    if missing < 0 or (missing and "FILLRECORD" not in copy.options):
        raise spectrum(
            15007,
            f"File '{url}': Unmatched number of columns between table and file. "
            f"Table columns: {len(columns)}, Data columns: {len(fields)}",
        )
    for column, field in zip(columns, fields, strict=False):
        _check(copy, column, field, url)


def _fields(file: pq.ParquetFile) -> Iterator[_Field]:
    place = 0
    for field in file.schema_arrow:
        count = _leaves(field.type)
        leaves = tuple(file.schema.column(number) for number in range(place, place + count))
        yield _Field(field, leaves, place)
        place += count


def _storage(data_type: pa.DataType) -> pa.DataType:
    return data_type.storage_type if isinstance(data_type, pa.BaseExtensionType) else data_type


def _leaves(data_type: pa.DataType) -> int:
    data_type = _storage(data_type)
    if not pa.types.is_nested(data_type):
        return 1
    return sum(_leaves(field.type) for field in _children(data_type))


def _children(data_type: pa.DataType) -> list[pa.Field]:
    data_type = _storage(data_type)
    if pa.types.is_map(data_type):
        return [data_type.key_field, data_type.item_field]
    return [data_type.field(number) for number in range(data_type.num_fields)]


def _check(copy: CopyStatement, column: LiveColumn, field: _Field, url: str) -> None:
    if pa.types.is_nested(_storage(field.arrow.type)):
        _check_nested(copy, column, field, url)
        return
    leaf = field.leaves[0]
    kind = (leaf.physical_type, _logical(leaf))
    if kind[1].startswith("timestamp nanoseconds"):  # apache/arrow#38000
        raise spectrum(
            15007,
            f"File '{url}' has nanosecond timestamps in column '{copy.url}.{column.name}': "
            "Redshift loads them as garbage, so the stand-in refuses them",
        )
    if kind not in _TYPES.get(column.base, ()):
        raise _incompatible(copy, column, field, url)
    if column.base == "numeric":
        _check_decimal(copy, column, leaf, url)


def _incompatible(copy: CopyStatement, column: LiveColumn, field: _Field, url: str) -> Refusal:
    return spectrum(
        15007,
        f"File '{url}' has an incompatible Parquet schema for column '{copy.url}.{column.name}'. "
        f"Column type: {column.shown}, Parquet schema:\n{field.shown}",
    )


def _logical(leaf: Any) -> str:
    """The annotation of a leaf in short; empty where it has none."""
    found = json.loads(leaf.logical_type.to_json())
    name = str(found["Type"]).lower()
    match name:
        case "none" | "undefined":
            return ""
        case "int":
            return f"{'' if found['isSigned'] else 'u'}int{found['bitWidth']}"
        case "timestamp":
            return f"timestamp {found['timeUnit']}{' utc' if found['isAdjustedToUTC'] else ''}"
    return name


def _check_decimal(copy: CopyStatement, column: LiveColumn, leaf: Any, url: str) -> None:
    precision, scale = column.parameters
    where = f"File '{url}' column '{copy.url}.{column.name}'"
    expected = decimal_bytes(precision)
    if leaf.length != expected:
        raise spectrum(
            15001,
            f"{where} has an invalid type length. Expecting: {expected} len in file: {leaf.length}",
        )
    if leaf.scale != scale:
        raise spectrum(
            15001,
            f"{where} has a scale that does not match the table metadata scale. "
            f"File metadata scale: {leaf.scale}, Table metadata scale: {scale}",
        )
    if leaf.precision != precision:
        raise spectrum(
            15001,
            f"{where} has a precision that does not match the table metadata precision. "
            f"File metadata precision: {leaf.precision}, Table metadata precision: {precision}",
        )


def _check_nested(copy: CopyStatement, column: LiveColumn, field: _Field, url: str) -> None:
    if column.base != SUPER:
        raise _incompatible(copy, column, field, url)
    if not copy.serialize_to_json:
        raise spectrum(15001, "Unreachable - Invalid type: 4000")
    if not _keys_are_text(field.arrow.type):
        raise spectrum(15001, f"File '{url}': the keys of maps in '{column.name}' must be strings")
    for leaf in field.leaves:
        kind = (leaf.physical_type, _logical(leaf))
        if kind not in _IN_SUPER:
            raise _incompatible(copy, column, field, url)


def _keys_are_text(data_type: pa.DataType) -> bool:
    data_type = _storage(data_type)
    if not pa.types.is_nested(data_type):
        return True
    if pa.types.is_map(data_type) and not (
        pa.types.is_string(data_type.key_type) or pa.types.is_large_string(data_type.key_type)
    ):
        return False
    return all(_keys_are_text(field.type) for field in _children(data_type))
