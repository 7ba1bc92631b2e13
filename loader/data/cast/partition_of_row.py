"""Checks the partition of each row: rows outside the slice, and the partitions in the data.

A partition column is compared as staged. Other expressions are evaluated by an in-memory DuckDB
without external access; one that it cannot evaluate is only checked inside the transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.data.cast.arrow_types import arrow_type
from loader.data.cast.errors import show
from loader.data.cast.report import Explanation
from loader.errors import PlanError
from loader.interrupts import query_rows, run_interruptibly
from loader.spec.partition_keys import locate
from loader.spec.partitions import Part, Slice
from loader.spec.periods import Dimension, KeyValue, Window

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
            opened = duckdb.connect(
                config={
                    "enable_external_access": "false",
                    "autoinstall_known_extensions": "false",
                    "threads": "1",
                }
            )
            run_interruptibly(lambda: opened.execute("SET TimeZone = 'UTC'"), opened.interrupt)
            self._connection = opened
        rows = pa.Table.from_batches([batch])
        # A row whose expression fails belongs to no partition, like NULL.
        query = f"SELECT TRY(({dimension.expr})) AS value FROM batch"
        try:
            result = query_rows(
                self._connection, "batch", rows, query, lambda found: found.to_arrow_table()
            )
            found = result["value"].combine_chunks()
            return pc.cast(found, arrow_type(dimension.data_type))
        except duckdb.Error as error:
            return error
        except pa.ArrowException as error:
            return duckdb.Error(str(error))


class SliceCheck:
    """Finds the rows of a batch outside of a slice."""

    def __init__(self, slice_: Slice, *, ignores_trailing_blanks: bool = False) -> None:
        self._slice = slice_
        self._expressions = PartitionExpressions(
            slice_.dimensions, ignores_trailing_blanks=ignores_trailing_blanks
        )
        # Boxes share parts: a grid of many cells has few of them.
        made: dict[Part, _Membership] = {}
        self._boxes = [
            [made.setdefault(part, _Membership(part)) for part in box.parts] for box in slice_.boxes
        ]
        self.name = ", ".join(dimension.name for dimension in slice_.dimensions)
        """The name of the check in error messages."""
        self.found_other_partitions = False
        """Whether some of these rows belong to another partition."""

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, Explanation]:
        """The rows outside of the slice and not in ``bad``: offset → value and reason."""
        values = self._expressions.values(batch)
        inside = reduce(pc.or_kleene, [self._in_box(box, values) for box in self._boxes])
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
        return {row: (_show_cell(values, row), why) for row, why in found.items()}

    def _in_box(self, parts: Sequence[_Membership], values: Sequence[Array | duckdb.Error]) -> Any:
        masks = [
            part.mask(array)
            for part, array in zip(parts, values, strict=True)
            if not isinstance(array, duckdb.Error)
        ]
        return reduce(pc.and_kleene, masks) if masks else pa.scalar(True)


def _has_null(values: Sequence[Array | duckdb.Error], row: int) -> bool:
    return any(not isinstance(array, duckdb.Error) and not array[row].is_valid for array in values)


class _Membership:
    """Tells which values lie in a part; what all batches have in common is prepared once."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._kind: Any = None
        self._values: Any = None
        self._bounds: Any = None

    def mask(self, array: Array) -> Array:
        """Where the values lie in the part."""
        if self._kind != array.type:
            self._kind = array.type
            self._prepare(array.type)
        if self._values is not None:
            return pc.is_in(array, self._values)
        if self._bounds is None:
            return reduce(pc.or_, [_in_window(window, array) for window in self._part.windows])
        # Inside a window is where the number of bounds up to a value is odd.
        places = np.searchsorted(self._bounds, _to_numbers(pc.fill_null(array, 0)), side="right")
        return pc.if_else(array.is_valid(), pa.array(places % 2 == 1), pa.scalar(None, pa.bool_()))

    def _prepare(self, kind: Any) -> None:
        if not self._part.windows:
            known = (_to_scalar(value, kind) for value in self._part.values)
            self._values = pa.array([one for one in known if one is not None], kind)
        elif pa.types.is_date32(kind) or pa.types.is_timestamp(kind):
            ends = chain.from_iterable((one.start, one.end) for one in self._part.windows)
            bounds = _to_numbers(pa.array(list(ends), kind))
            self._bounds = bounds if (bounds[:-1] < bounds[1:]).all() else None


def _to_numbers(times: Array) -> Any:
    """Dates and time stamps as whole numbers, in NumPy."""
    days = pa.types.is_date32(times.type)
    return (times.cast(pa.int32()) if days else times.cast(pa.int64())).to_numpy()


def _in_window(window: Window, array: Array) -> Array:
    return pc.and_(
        pc.greater_equal(array, pa.scalar(window.start, array.type)),
        pc.less(array, pa.scalar(window.end, array.type)),
    )


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

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, Explanation]:
        """The rows with such a key and not in ``bad``: offset → value and reason."""
        (values,) = self._expressions.values(batch)
        if isinstance(values, duckdb.Error):
            return {}  # the transaction checks again
        rows = pc.indices_nonzero(pc.ends_with(values, " ")).to_pylist()
        texts = {row: values[row].as_py() for row in rows if row not in bad}
        self.found |= bool(texts)
        return {
            row: (
                show(text),
                f"equals the partition {show(text.rstrip(' '))} in the warehouse, which ignores"
                " trailing blanks",
            )
            for row, text in texts.items()
        }


class SkippedTimesCheck:
    """Finds times that the clocks of the column's zone skip, which are in no hour or minute."""

    def __init__(self, dimension: Dimension) -> None:
        self._dimension = dimension
        self._zone = dimension.clock_zone
        self._expressions = PartitionExpressions([dimension])
        self.name = dimension.name
        """The name of the check in error messages."""

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, Explanation]:
        """The rows with such a time and not in ``bad``: offset → value and reason."""
        (values,) = self._expressions.values(batch)
        if isinstance(values, duckdb.Error):
            return {}  # the transaction checks again
        times = self._parse(values) if pa.types.is_string(values.type) else values
        times = _truncate_times(self._dimension, times)
        skipped = [time for time in pc.unique(times).to_pylist() if time and self._skips(time)]
        if not skipped:
            return {}
        rows = pc.indices_nonzero(pc.is_in(times, pa.array(skipped, times.type))).to_pylist()
        why = f"this time does not exist in {self._zone}: clocks skip it"
        return {row: (show(values[row].as_py()), why) for row in rows if row not in bad}

    def _skips(self, time: datetime) -> bool:
        local = time.replace(tzinfo=ZoneInfo(self._zone))
        try:
            return local.astimezone(UTC).astimezone(local.tzinfo) != local
        except OverflowError:  # no partition has it, which other checks say
            return False

    def _parse(self, texts: Array) -> Array:
        """The times of text; other text is NULL, and in no partition."""
        form = self._dimension.text_format.partition("%f")[0]  # Arrow reads no fractions
        begins = pc.utf8_slice_codeunits(texts, 0, len(datetime(2013, 12, 31).strftime(form)))
        return pc.strptime(begins, form, unit="s", error_is_null=True)


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
        self._keys_of: dict[tuple[Any, ...], tuple[str, ...] | None] = {}
        self.name = ", ".join(dimension.name for dimension in dimensions)
        """The name of the check in error messages."""

    def find_errors(self, batch: Batch, bad: set[int]) -> Mapping[int, Explanation]:
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
        complete = True
        for cells, number in zip(_row_tuples(distinct, names), counts, strict=True):
            keys = self._find_keys(cells)
            if keys is None:
                complete = False
            else:
                self._counts[keys] += number
        return {} if complete else self._rows_without_partition(rows, names, values, bad)

    @property
    def counts(self) -> Mapping[tuple[str, ...], int] | None:
        """The rows of each partition by its keys; None where an expression is not evaluable."""
        return None if self._unevaluable else self._counts

    def _find_keys(self, cells: tuple[Any, ...]) -> tuple[str, ...] | None:
        """The keys of a cell; None where it belongs to no partition."""
        if cells not in self._keys_of:
            keys = tuple(self._find_key(at, cell) for at, cell in enumerate(cells))
            known = tuple(key for key in keys if key is not None)
            self._keys_of[cells] = known if len(known) == len(keys) else None
        return self._keys_of[cells]

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
    ) -> dict[int, Explanation]:
        return {
            row: (_show_cell(values, row), _NO_PARTITION)
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
