"""Exact time stamps of Parquet's INT96, as Spark and Impala write them.

Arrow reads them as 64-bit nanoseconds, which overflow after the year 2262, or as microseconds,
which truncates them. Only both readings together give the value in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

UNIT = "us"
"""The unit in which INT96 is read."""

_LAST = ((1 << 63) - 1) // 1000
"""The last microsecond in the range of 64-bit nanoseconds; its negative is the first."""


def has_int96(schema: Any) -> bool:
    """Whether a `pyarrow.parquet.ParquetSchema` has a column of this type."""
    return any(schema.column(at).physical_type == "INT96" for at in range(len(schema)))


def may_have_int96(schema: Any) -> bool:
    """Whether columns of a dataset may be INT96, by its Arrow schema."""
    return any("timestamp[ns]" in str(kind) for kind in schema.types)


def int96_columns(fragments: Sequence[Any], schema: Any) -> dict[str, Any]:
    """The columns of a dataset that are INT96 in some file: name → Arrow type in `UNIT`."""
    found = {}
    for each in fragments:
        if has_int96(each.metadata.schema):
            for field in in_microseconds(each).physical_schema:
                at = schema.get_field_index(field.name)
                if at >= 0 and each.physical_schema.field(field.name) != field:
                    found[field.name] = field.type
    return found


_READ_OPTIONS = ("dictionary_columns", "binary_type", "list_type")
"""Further options of reading Parquet; older releases of PyArrow lack some."""


def in_microseconds(fragment: Any) -> Any:
    """The same Parquet fragment of a dataset, with INT96 read in `UNIT`."""
    import pyarrow.dataset as ds  # noqa: PLC0415  # slow to import, and only datasets need it

    old = fragment.format
    known = [name for name in _READ_OPTIONS if hasattr(old.read_options, name)]
    options = {name: getattr(old.read_options, name) for name in known}
    form = ds.ParquetFileFormat(
        read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit=UNIT, **options),
        default_fragment_scan_options=old.default_fragment_scan_options,
    )
    return form.make_fragment(
        fragment.path if fragment.buffer is None else fragment.buffer,
        fragment.filesystem,
        partition_expression=fragment.partition_expression,
        row_groups=[each.id for each in fragment.row_groups],
    )


def exact_timestamps(coarse: Any, fine: Any) -> Any | None:
    """Whichever of two readings of a column is exact; None where neither is.

    Args:
        coarse: An array with time stamps in microseconds, which may be nested.
        fine: The same in nanoseconds; those outside of 64 bits are wrong.
    """
    pairs = list(_pair_timestamps(coarse, fine))
    if all(_is_exact(*pair) for pair in pairs):
        return coarse
    return fine if all(_in_range(stamps) for stamps, _ in pairs) else None


def rows_finer_than_microsecond(coarse: Any, fine: Any) -> list[bool]:
    """Whether each row has a time finer than a microsecond; arguments as `exact_timestamps`."""
    rows = map(_as_index, range(len(coarse)))
    singles = ((coarse.take(row), fine.take(row)) for row in rows)
    return [not all(_is_exact(*pair) for pair in _pair_timestamps(*single)) for single in singles]


def _as_index(at: int) -> Any:
    return pa.array([at])


def _pair_timestamps(coarse: Any, fine: Any) -> Iterator[tuple[Any, Any]]:
    """The time stamps of an array, also nested ones, in both readings as 64-bit integers."""
    if pa.types.is_nested(coarse.type):
        for inner in zip(_inner_arrays(coarse), _inner_arrays(fine), strict=True):
            yield from _pair_timestamps(*inner)
    elif coarse.type != fine.type:
        yield coarse.view(pa.int64()), fine.view(pa.int64())


def _inner_arrays(array: Any) -> Iterable[Any]:
    inner = array.flatten()
    return inner if pa.types.is_struct(array.type) else [inner]


def _is_exact(coarse: Any, fine: Any) -> bool:
    # Both sides wrap around at 64 bits, so this holds for every year.
    return pc.all(pc.equal(pc.multiply(coarse, 1000), fine)).as_py() is not False


def _in_range(coarse: Any) -> bool:
    ends = pc.min_max(coarse)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return low is None or -_LAST <= low <= high <= _LAST
