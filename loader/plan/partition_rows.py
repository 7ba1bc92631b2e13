"""Counts the rows of each partition, so that a load can be compared with what was there before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from loader.errors import PlanError
from loader.plan.expectations import NotShrunk, RowsBefore
from loader.plan.loading import Loading, Step
from loader.spec.checks import Guards
from loader.spec.partition_keys import cell_name, locate, text_width
from loader.spec.periods import CLOCK, Dimension, period_key, start_of_period
from loader.text_tables import format_count

ALL_ROWS = ""
"""The name of all rows together, of whatever partitions."""


@dataclass(frozen=True)
class Bucket:
    """How rows are grouped along one dimension: by values, times or texts inside of a partition."""

    dimension: Dimension
    width: int | None = None
    """The characters of a text that are its time."""
    unit: str | None = None
    """The unit that time stamps are cut to: no more than the grain."""
    zones: tuple[str, ...] = ()
    """The zone of the column's time stamps, where they have none themselves, then the keys'."""


def count_before(loading: Loading) -> Iterator[Step]:
    """The step that counts rows before any are deleted, if the spec guards them."""
    if loading.spec.guards.slice_shrinks_by is not None:
        why = "to compare each partition with what the load leaves"
        yield _count("count the partitions", why, loading, RowsBefore(loading.spec.dimensions))


def compare_with_before(loading: Loading) -> Iterator[Step]:
    """The step that counts them again at the end."""
    guards = loading.spec.guards
    most = guards.slice_shrinks_by
    if most is not None:
        limit = most if isinstance(most, str) else format_count(most, "row")
        lenient = loading.allow_shrink or guards.severity == "warning"
        why = f"none may have lost {limit} or more"
        why = f"those that have lost {limit} or more are reported" if lenient else why
        if lenient != (guards.severity == "warning"):
            guards = guards.model_copy(update={"severity": "warning"})
        expects = NotShrunk(guards, loading.spec.dimensions)
        yield _count("compare the partitions", why, loading, expects)


def _count(name: str, why: str, loading: Loading, expects: RowsBefore | NotShrunk) -> Step:
    facts = {"buckets": tuple(map(make_bucket, loading.spec.dimensions))}
    return Step(name, why, "partition_rows", "check", facts, expects=expects)


def make_bucket(dimension: Dimension) -> Bucket:
    """Choose how rows are grouped along a dimension."""
    if dimension.grain is None or dimension.data_type.name == "date":
        return Bucket(dimension)
    if dimension.data_type.is_text:
        return Bucket(dimension, width=text_width(dimension))
    unit = dimension.grain if dimension.grain in CLOCK else "day"
    zones: tuple[str, ...] = (dimension.timezone,)
    if dimension.data_type.name == "timestamp":
        own = dimension.column_timezone or "UTC"
        zones = () if own == dimension.timezone else (own, *zones)
    return Bucket(dimension, unit=unit, zones=zones)


def rows_of_partitions(
    dimensions: Sequence[Dimension], rows: Sequence[tuple[Any, ...]]
) -> dict[str, int]:
    """The number of rows of each partition by its name, and of `ALL_ROWS`.

    Args:
        dimensions: Those of the table.
        rows: The answer of the warehouse: a value for each dimension, and a number.
    """
    found = {ALL_ROWS: 0}
    for *values, number in rows:
        found[ALL_ROWS] += number
        if dimensions:
            keys = [_key(d, value) for d, value in zip(dimensions, values, strict=True)]
            name = cell_name(dimensions, keys)
            found[name] = found.get(name, 0) + number
    return found


def _key(dimension: Dimension, value: Any) -> str:
    """The key of the partition that a group of rows is in."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime) and dimension.grain is not None:
        local = value.replace(tzinfo=ZoneInfo(dimension.timezone))
        return period_key(dimension, start_of_period(dimension, local))
    padded = dimension.data_type.name == "char" and isinstance(value, str)
    try:
        return locate(dimension, value.rstrip(" ") if padded else value)
    except PlanError:  # text that is no time
        return repr(value)


@dataclass(frozen=True)
class Shrunk:
    """A partition that has lost too many rows."""

    partition: str
    """Its name; empty for all rows together."""
    before: int
    after: int


def find_shrunk(
    guards: Guards, before: Mapping[str, int], after: Mapping[str, int]
) -> list[Shrunk]:
    """The partitions that have lost too many rows, those that have lost most of them first.

    All rows together are compared too, where no partition has lost too many by itself.
    """
    found = [
        Shrunk(name, rows, after.get(name, 0))
        for name, rows in before.items()
        if guards.is_lost(rows, after.get(name, 0))
    ]
    partitions = [one for one in found if one.partition != ALL_ROWS]
    return sorted(partitions or found, key=lambda one: (one.after - one.before, one.partition))
