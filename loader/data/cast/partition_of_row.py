"""Which partition each row lies in: rows outside the slice, and the partitions a frame holds.

Bare columns are compared as they are staged. Other expressions are evaluated by an in-memory DuckDB
without access to anything; what it cannot evaluate is left to the transaction, which checks again.
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
"""Since 1973 every zone is offset by a multiple of this, so no partition starts within one."""

_NOWHERE = "belongs to no partition"

Array = Any
Batch = Any


def trimmed(array: Array) -> Array:
    """Text without the blanks (U+0020) at its end; other arrays as they are."""
    return pc.ascii_rtrim(array, " ") if pa.types.is_string(array.type) else array


class Expressions:
    """Evaluates the partition expressions of a table over batches that are about to be staged.

    Where the warehouse ignores blanks at the end of text, those of CHAR are left out: they are no
    part of its values.
    """

    def __init__(
        self, dimensions: Sequence[Dimension], *, ignores_trailing_blanks: bool = False
    ) -> None:
        self._dimensions = dimensions
        self._ignores_trailing_blanks = ignores_trailing_blanks
        self._connection: duckdb.DuckDBPyConnection | None = None

    def values(self, batch: Batch) -> list[Array | duckdb.Error]:
        """For each dimension its values in the batch, or why they cannot be had."""
        return [self._values(dimension, batch) for dimension in self._dimensions]

    def _values(self, dimension: Dimension, batch: Batch) -> Array | duckdb.Error:
        found = (
            batch.column(dimension.column)
            if dimension.column in batch.schema.names
            else self._evaluate(dimension, batch)
        )
        padded = self._ignores_trailing_blanks and dimension.data_type.name == "char"
        return trimmed(found) if padded and not isinstance(found, duckdb.Error) else found

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
        # A row whose expression raises lies in no partition, as one that is NULL.
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


class Membership:
    """Tells the rows of a batch that lie outside a slice."""

    def __init__(self, slice_: Slice, *, ignores_trailing_blanks: bool = False) -> None:
        self._slice = slice_
        self._expressions = Expressions(
            slice_.dimensions, ignores_trailing_blanks=ignores_trailing_blanks
        )
        self.name = ", ".join(dimension.name for dimension in slice_.dimensions)
        """What complaints are filed under."""
        self.met_others = False
        """Whether rows were seen that lie in another partition."""

    def strays(self, batch: Batch, bad: set[int]) -> Mapping[int, str]:
        """The rows outside, the bad ones aside, each with the complaint."""
        values = self._expressions.values(batch)
        inside = reduce(pc.or_kleene, [_in_box(box, values) for box in self._slice.boxes])
        if inside is True or pc.all(inside, skip_nulls=False).as_py():
            return {}
        rows = pc.indices_nonzero(pc.invert(pc.fill_null(inside, False))).to_pylist()
        outside = f"lies outside the slice {self._slice}"
        found = {
            row: _NOWHERE if _has_null(values, row) else outside for row in rows if row not in bad
        }
        self.met_others |= outside in found.values()
        return {row: f"{_cell(values, row)} {why}" for row, why in found.items()}


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
    known = [scalar for value in part.values if (scalar := _scalar(value, array.type)) is not None]
    return pc.is_in(array, pa.array(known, array.type))


def _scalar(value: KeyValue, kind: Any) -> Any:
    """The key in the column's type; None when no value of the column can be it."""
    try:
        return pa.scalar(value, kind)
    except (pa.ArrowException, ValueError, OverflowError):
        return None


def _cell(values: Sequence[Array | duckdb.Error], row: int) -> str:
    return ", ".join(
        show(array[row].as_py()) for array in values if not isinstance(array, duckdb.Error)
    )


class TrailingBlanks:
    """Finds partitions whose text ends in blanks, where the warehouse ignores those.

    To it `a` and `a ` are one partition: whoever replaces the one replaces the other.
    """

    def __init__(self, dimension: Dimension) -> None:
        self._expressions = Expressions([dimension])
        self.name = dimension.name
        """What complaints are filed under."""
        self.found = False

    def strays(self, batch: Batch, bad: set[int]) -> Mapping[int, str]:
        """The rows with such a partition, the bad ones aside, each with the complaint."""
        (values,) = self._expressions.values(batch)
        if isinstance(values, duckdb.Error):
            return {}  # the transaction looks for them again
        rows = pc.indices_nonzero(pc.ends_with(values, " ")).to_pylist()
        texts = {row: values[row].as_py() for row in rows if row not in bad}
        self.found |= bool(texts)
        return {
            row: f"{show(text)} is the partition {show(text.rstrip(' '))} to the warehouse, which"
            " ignores blanks at the end of text"
            for row, text in texts.items()
        }


class Discovery:
    """Collects the partitions that the good rows of a stream lie in, and counts their rows.

    What is not ``required`` is given up when an expression cannot be evaluated.
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
        self._expressions = Expressions(dimensions, ignores_trailing_blanks=ignores_trailing_blanks)
        self._found: Counter[tuple[str, ...]] = Counter()
        self._given_up = False
        self._known: list[dict[Any, str | None]] = [{} for _ in dimensions]
        self.name = ", ".join(dimension.name for dimension in dimensions)
        """What complaints are filed under."""

    def strays(self, batch: Batch, bad: set[int]) -> Mapping[int, str]:
        """The rows that lie in no partition; the partitions of the others are noted.

        Raises:
            PlanError: DuckDB cannot evaluate an expression.
        """
        if self._given_up:
            return {}
        values = self._expressions.values(batch)
        columns = []
        for dimension, array in zip(self._dimensions, values, strict=True):
            if isinstance(array, duckdb.Error):
                if not self._required:
                    self._given_up = True
                    return {}
                raise PlanError(
                    f"the partitions in the data cannot be told: `{dimension.expr}` cannot be"
                    f" evaluated here: {str(array).splitlines()[0]}",
                    hint="name the partitions, with --partition",
                ) from array
            columns.append(_coarse(dimension, array))
        names = [str(at) for at in range(len(columns))]
        rows = pa.RecordBatch.from_arrays(columns, names)
        good = pa.Table.from_batches([rows.filter(all_but(bad, rows.num_rows)) if bad else rows])
        distinct = good.group_by(names).aggregate([([], "count_all")])
        counts = distinct["count_all"].to_pylist()
        cells = _rows(distinct, names)
        noted = [self._note(*one) for one in zip(cells, counts, strict=True)]
        if all(noted):
            return {}
        return self._lost(rows, names, values, bad)

    def keys(self) -> list[dict[str, str]]:
        """The partitions found, in the order of their keys."""
        names = [dimension.name for dimension in self._dimensions]
        return [dict(zip(names, keys, strict=True)) for keys in sorted(self._found)]

    def rows(self) -> dict[str, int] | None:
        """How many rows each partition has."""
        if self._given_up:
            return None
        return {
            cell_name(self._dimensions, keys): self._found[keys] for keys in sorted(self._found)
        }

    def _note(self, cells: Sequence[Any], rows: int) -> bool:
        keys = [self._key(at, cell) for at, cell in enumerate(cells)]
        if any(key is None for key in keys):
            return False
        self._found[tuple(key for key in keys if key is not None)] += rows
        return True

    def _key(self, at: int, cell: Any) -> str | None:
        known = self._known[at]
        if cell not in known:
            try:
                known[cell] = None if cell is None else locate(self._dimensions[at], cell)
            except PlanError:
                known[cell] = None
        return known[cell]

    def _lost(
        self, rows: Batch, names: Sequence[str], values: Sequence[Any], bad: set[int]
    ) -> dict[int, str]:
        return {
            row: f"{_cell(values, row)} {_NOWHERE}"
            for row, cells in enumerate(_rows(rows, names))
            if row not in bad and any(self._key(at, cell) is None for at, cell in enumerate(cells))
        }


def _rows(table: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def all_but(rows: Iterable[int], count: int) -> Array:
    """A mask over ``count`` rows that leaves out some."""
    keep = bytearray(b"\x01") * count
    for row in rows:
        keep[row] = 0
    return pa.Array.from_buffers(pa.uint8(), count, [None, pa.py_buffer(keep)]).cast(pa.bool_())


def _coarse(dimension: Dimension, array: Array) -> Array:
    """Time stamps cut down to a moment of the same partition, so that few are distinct."""
    if dimension.grain is None or not pa.types.is_timestamp(array.type):
        return array
    earliest = pc.min(array).as_py()
    if earliest is None or earliest.year < 1973:
        return pc.floor_temporal(array, unit="second")
    minutes = 1 if dimension.grain == "minute" else BUCKET_MINUTES
    return pc.floor_temporal(array, minutes, unit="minute")
