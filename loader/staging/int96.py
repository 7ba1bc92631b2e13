"""Time stamps of Parquet's INT96, as Spark and Impala write them, exact.

Arrow reads them as nanoseconds, of which 64 bits end in the year 2262 and then start again, or as
microseconds, to which it cuts them. Only both together tell what is in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

UNIT = "us"
"""The unit that INT96 is read in, wherever Parquet is read."""

_LAST = ((1 << 63) - 1) // 1000
"""The last microsecond that nanoseconds of 64 bits have, and the first one, negative."""


def has_int96(schema: Any) -> bool:
    """Whether a `pyarrow.parquet.ParquetSchema` has a column of this type."""
    return any(schema.column(at).physical_type == "INT96" for at in range(len(schema)))


def may_be_in(schema: Any) -> bool:
    """Whether columns of a dataset may come from INT96, by its Arrow schema."""
    return any("timestamp[ns]" in str(kind) for kind in schema.types)


def columns_of(fragments: Sequence[Any], schema: Any) -> dict[str, Any]:
    """The columns of a dataset that hold INT96 in some of its files, with their types in `UNIT`."""
    found = {}
    for each in fragments:
        if has_int96(each.metadata.schema):
            for field in in_microseconds(each).physical_schema:
                at = schema.get_field_index(field.name)
                if at >= 0 and each.physical_schema.field(field.name) != field:
                    found[field.name] = field.type
    return found


_READ_OPTIONS = ("dictionary_columns", "binary_type", "list_type")
"""The other options of reading Parquet, of which older releases of PyArrow have fewer."""


def in_microseconds(fragment: Any) -> Any:
    """A Parquet file of a dataset, read with INT96 in `UNIT`."""
    import pyarrow.dataset as ds  # noqa: PLC0415  # it is there already, and others need none of it

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


def exact_stamps(coarse: Any, fine: Any) -> Any | None:
    """Whichever of two readings of a column has all of its digits, None when neither has.

    Args:
        coarse: An array whose time stamps were read in microseconds, and may be nested.
        fine: The same in nanoseconds, of which those beyond 64 bits are wrong.
    """
    pairs = list(_stamps(coarse, fine))
    if all(_is_exact(*pair) for pair in pairs):
        return coarse
    return fine if all(_in_range(stamps) for stamps, _ in pairs) else None


def finer_rows(coarse: Any, fine: Any) -> list[bool]:
    """Whether each row holds a time stamp finer than a microsecond; the arguments are as above."""
    singles = ((coarse.take(row), fine.take(row)) for row in map(_row, range(len(coarse))))
    return [not all(_is_exact(*pair) for pair in _stamps(*single)) for single in singles]


def _row(at: int) -> Any:
    return pa.array([at])


def _stamps(coarse: Any, fine: Any) -> Iterator[tuple[Any, Any]]:
    """The time stamps of an array and those within its lists and structs, in both readings."""
    if pa.types.is_nested(coarse.type):
        for inner in zip(_inner(coarse), _inner(fine), strict=True):
            yield from _stamps(*inner)
    elif coarse.type != fine.type:
        yield coarse.view(pa.int64()), fine.view(pa.int64())


def _inner(array: Any) -> Iterable[Any]:
    inner = array.flatten()
    return inner if pa.types.is_struct(array.type) else [inner]


def _is_exact(coarse: Any, fine: Any) -> bool:
    # Both sides start again after 64 bits, so this holds for every year.
    return pc.all(pc.equal(pc.multiply(coarse, 1000), fine)).as_py() is not False


def _in_range(coarse: Any) -> bool:
    ends = pc.min_max(coarse)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return low is None or -_LAST <= low <= high <= _LAST
