"""Checks the partition of each row: rows outside the slice, and the partitions in the data.

A partition column is compared as staged. Other expressions are evaluated by an in-memory DuckDB
without external access; one that it cannot evaluate is only checked inside the transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import arrow_type
from loader.data.cast.errors import show
from loader.errors import PlanError
from loader.spec.partition_keys import cell_name, locate
from loader.spec.partitions import Box, Part, Slice
from loader.spec.periods import Dimension, KeyValue

BUCKET_MINUTES = 15
"""Since 1973 all UTC offsets are multiples of this, so a partition never starts inside one."""

_NO_PARTITION = "belongs to no partition"

Array = Any
Batch = Any


def strip_trailing_blanks(array: Array) -> Array:
    """Text without trailing blanks (U+0020); other arrays unchanged."""
    return pc.ascii_rtrim(array, " ") if pa.types.is_string(array.type) else array


class PartitionExpressions:
    """Evaluates the partition expressions of a table over batches of cast rows.

    Where the warehouse ignores trailing blanks, those of CHAR are stripped: they are padding.
    """

    def __init__(
        self, dimensions: Sequence[Dimension], *, ignores_trailing_blanks: bool = False
    ) -> None:
        self._dimensions = dimensions
        self._ignores_trailing_blanks = ignores_trailing_blanks
        self._connection: duckdb.DuckDBPyConnection | None = None

    def values(self, batch: Batch) -> list[Array | duckdb.Error]:
        """For each dimension its values in the batch, or the error of its expression."""
        return [self._dimension_values(dimension, batch) for dimension in self._dimensions]

    def _dimension_values(self, dimension: Dimension, batch: Batch) -> Array | duckdb.Error:
        found = (
            batch.column(dimension.column)
            if dimension.column in batch.schema.names
            else self._evaluate(dimension, batch)
        )
        padded = self._ignores_trailing_blanks and dimension.data_type.name == "char"
        return (
            strip_trailing_blanks(found)
            if padded and not isinstance(found, duckdb.Error)
            else found
        )

    def _evaluate(self, dimension: Dimension, batch: Batch) -> Array | duckdb.Error:
        if self._connection is None:
            self._connection = duckdb.connect(
                config={
                    "enable_external_access": "false",
                    "autoinstall_known_extensions": "false",
                    "threads": "1",
                }
            )
            self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register("batch", pa.Table.from_batches([batch]))
        # A row whose expression fails belongs to no partition, like NULL.
        query = f"SELECT TRY(({dimension.expr})) AS value FROM batch"
        try:
            found = self._connection.sql(query).to_arrow_table()["value"].combine_chunks()
            return pc.cast(found, arrow_type(dimension.data_type))
        except duckdb.Error as error:
            return error
        except pa.ArrowException as error:
            return duckdb.Error(str(error))
        finally:
            self._connection.unregister("batch")


class SliceCheck:
    """Finds the rows of a batch outside of a slice."""

    def __init__(self, slice_: Slice, *, ignores_trailing_blanks: bool = False) -> None:
        self._slice = slice_
        self._expressions = PartitionExpressions(
            slice_.dimensions, ignores_trailing_blanks=ignores_trailing_blanks
        )
        self.name = ", ".join(dimension.name for dimension in slice_.dimensions)
        """The name of the check in error messages."""
        self.found_other_partitions = False
        """Whether some of these rows belong to another partition."""

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, str]:
        """The rows outside of the slice and not in ``bad``: offset → value and reason."""
        values = self._expressions.values(batch)
        inside = reduce(pc.or_kleene, [_in_box(box, values) for box in self._slice.boxes])
        if inside is True or pc.all(inside, skip_nulls=False).as_py():
            return {}
        rows = pc.indices_nonzero(pc.invert(pc.fill_null(inside, False))).to_pylist()
        outside = f"lies outside the slice {self._slice}"
        found = {
            row: _NO_PARTITION if _has_null(values, row) else outside
            for row in rows
            if row not in bad
        }
        self.found_other_partitions |= outside in found.values()
        return {row: f"{_show_cell(values, row)} {why}" for row, why in found.items()}


def _has_null(values: Sequence[Array | duckdb.Error], row: int) -> bool:
    return any(not isinstance(array, duckdb.Error) and not array[row].is_valid for array in values)


def _in_box(box: Box, values: Sequence[Array | duckdb.Error]) -> Any:
    masks = [
        _in_part(part, array)
        for part, array in zip(box.parts, values, strict=True)
        if not isinstance(array, duckdb.Error)
    ]
    return reduce(pc.and_kleene, masks) if masks else pa.scalar(True)


def _in_part(part: Part, array: Array) -> Array:
    if part.windows:
        masks = [
            pc.and_(
                pc.greater_equal(array, pa.scalar(window.start, array.type)),
                pc.less(array, pa.scalar(window.end, array.type)),
            )
            for window in part.windows
        ]
        return reduce(pc.or_, masks)
    known = [
        scalar for value in part.values if (scalar := _to_scalar(value, array.type)) is not None
    ]
    return pc.is_in(array, pa.array(known, array.type))


def _to_scalar(value: KeyValue, kind: Any) -> Any:
    """The key as a scalar of the column's type; None where the type has no such value."""
    try:
        return pa.scalar(value, kind)
    except (pa.ArrowException, ValueError, OverflowError):
        return None


def _show_cell(values: Sequence[Array | duckdb.Error], row: int) -> str:
    return ", ".join(
        show(array[row].as_py()) for array in values if not isinstance(array, duckdb.Error)
    )


class TrailingBlanksCheck:
    """Finds partition keys with trailing blanks, for warehouses that ignore them.

    There `a` and `a ` are one partition, so that replacing one would delete rows of the other.
    """

    def __init__(self, dimension: Dimension) -> None:
        self._expressions = PartitionExpressions([dimension])
        self.name = dimension.name
        """The name of the check in error messages."""
        self.found = False

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, str]:
        """The rows with such a key and not in ``bad``: offset → value and reason."""
        (values,) = self._expressions.values(batch)
        if isinstance(values, duckdb.Error):
            return {}  # the transaction checks again
        rows = pc.indices_nonzero(pc.ends_with(values, " ")).to_pylist()
        texts = {row: values[row].as_py() for row in rows if row not in bad}
        self.found |= bool(texts)
        return {
            row: f"{show(text)} equals the partition {show(text.rstrip(' '))} in the warehouse,"
            " which ignores trailing blanks"
            for row, text in texts.items()
        }


class PartitionDiscovery:
    """Collects the partitions of the good rows of a stream, and counts their rows.

    Unless it is ``required``, it stops when an expression cannot be evaluated.
    """

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        *,
        required: bool = True,
        ignores_trailing_blanks: bool = False,
    ) -> None:
        self._dimensions = dimensions
        self._required = required
        self._expressions = PartitionExpressions(
            dimensions, ignores_trailing_blanks=ignores_trailing_blanks
        )
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._unevaluable = False
        self._known: list[dict[Any, str | None]] = [{} for _ in dimensions]
        self.name = ", ".join(dimension.name for dimension in dimensions)
        """The name of the check in error messages."""

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, str]:
        """The rows without a partition: offset → value and reason; those of the others are counted.

        Raises:
            PlanError: DuckDB cannot evaluate an expression.
        """
        if self._unevaluable:
            return {}
        values = self._expressions.values(batch)
        columns = []
        for dimension, array in zip(self._dimensions, values, strict=True):
            if isinstance(array, duckdb.Error):
                if not self._required:
                    self._unevaluable = True
                    return {}
                raise PlanError(
                    f"the partitions in the data cannot be determined: `{dimension.expr}` cannot be"
                    f" evaluated locally: {str(array).splitlines()[0]}",
                    hint="name the partitions with --partition",
                ) from array
            columns.append(_truncate_times(dimension, array))
        names = [str(at) for at in range(len(columns))]
        rows = pa.RecordBatch.from_arrays(columns, names)
        good = pa.Table.from_batches(
            [rows.filter(mask_without(bad, rows.num_rows)) if bad else rows]
        )
        distinct = good.group_by(names).aggregate([([], "count_all")])
        counts = distinct["count_all"].to_pylist()
        cells = _row_tuples(distinct, names)
        counted = [self._count_cell(*item) for item in zip(cells, counts, strict=True)]
        if all(counted):
            return {}
        return self._rows_without_partition(rows, names, values, bad)

    def keys(self) -> list[dict[str, str]]:
        """The partitions found, in the order of their keys."""
        names = [dimension.name for dimension in self._dimensions]
        return [dict(zip(names, keys, strict=True)) for keys in sorted(self._counts)]

    def rows(self) -> dict[str, int] | None:
        """The number of rows of each partition; None where an expression could not be evaluated."""
        if self._unevaluable:
            return None
        return {
            cell_name(self._dimensions, keys): self._counts[keys] for keys in sorted(self._counts)
        }

    def _count_cell(self, cells: Sequence[Any], rows: int) -> bool:
        keys = [self._find_key(at, cell) for at, cell in enumerate(cells)]
        if any(key is None for key in keys):
            return False
        self._counts[tuple(key for key in keys if key is not None)] += rows
        return True

    def _find_key(self, at: int, cell: Any) -> str | None:
        known = self._known[at]
        if cell not in known:
            try:
                known[cell] = None if cell is None else locate(self._dimensions[at], cell)
            except PlanError:
                known[cell] = None
        return known[cell]

    def _rows_without_partition(
        self, rows: Batch, names: Sequence[str], values: Sequence[Any], bad: set[int]
    ) -> dict[int, str]:
        return {
            row: f"{_show_cell(values, row)} {_NO_PARTITION}"
            for row, cells in enumerate(_row_tuples(rows, names))
            if row not in bad
            and any(self._find_key(at, cell) is None for at, cell in enumerate(cells))
        }


def _row_tuples(table: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def mask_without(rows: Iterable[int], count: int) -> Array:
    """A boolean mask over ``count`` rows that is false for some of them."""
    keep = bytearray(b"\x01") * count
    for row in rows:
        keep[row] = 0
    return pa.Array.from_buffers(pa.uint8(), count, [None, pa.py_buffer(keep)]).cast(pa.bool_())


def _truncate_times(dimension: Dimension, array: Array) -> Array:
    """Time stamps truncated within their partition, so that few are distinct."""
    if dimension.grain is None or not pa.types.is_timestamp(array.type):
        return array
    earliest = pc.min(array).as_py()
    if earliest is None or earliest.year < 1973:
        return pc.floor_temporal(array, unit="second")
    minutes = 1 if dimension.grain == "minute" else BUCKET_MINUTES
    return pc.floor_temporal(array, minutes, unit="minute")
