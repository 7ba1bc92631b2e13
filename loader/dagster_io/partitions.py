"""Converts Dagster partition keys to partitions of a table, and checks that the specs agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import product
from zoneinfo import ZoneInfo

import dagster as dg

from loader.errors import PlanError
from loader.spec.model import TableSpec
from loader.spec.partition_keys import canonical_key, cell_name, parse_key
from loader.spec.periods import CLOCK, Dimension, Grain, Partition, partitions_between
from loader.sql.datatypes import DataType

Cell = Mapping[str, tuple[Partition, ...]]
"""The partitions of the table for one Dagster key: dimension → partitions."""


@dataclass(frozen=True)
class Selection:
    """The partitions of a step."""

    spec: TableSpec
    cells: Mapping[str, Cell]
    """By Dagster key."""

    @property
    def request(self) -> list[Cell]:
        """All partitions, as an argument of `Project.load` and `Project.read`."""
        return list(self.cells.values())

    def rows(self, by_cell: Mapping[str, int]) -> dict[str, int]:
        """The row count of each Dagster key, from the row count of each cell name."""
        return {
            key: sum(by_cell.get(name, 0) for name in self._names(cell))
            for key, cell in self.cells.items()
        }

    def _names(self, cell: Cell) -> list[str]:
        dimensions = self.spec.dimensions
        keys = [[canonical_key(partition) for partition in cell[d.name]] for d in dimensions]
        return [cell_name(dimensions, row) for row in product(*keys)]


def select(
    spec: TableSpec,
    definition: dg.PartitionsDefinition,
    keys: Iterable[str],
    instance: dg.DagsterInstance | None = None,
) -> Selection:
    """The partitions of a table for Dagster partition keys.

    Args:
        spec: The table.
        definition: The partitions of its asset.
        keys: Those of a run.
        instance: Where the keys of dynamic partitions are.

    Raises:
        PlanError: the definition does not match the spec's `partition_by`, a key is invalid, or
            two keys are one partition of the table.
    """
    definitions = by_dimension(spec, definition)
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        for dimension in spec.dimensions:
            _check_distinct(spec, dimension, definitions[dimension.name], instance)
    cells: dict[str, Cell] = {}
    for key in keys:
        texts = _keys_by_dimension(spec, definition, key)
        cells[key] = {
            dimension.name: _parse_partitions(
                spec, dimension, definitions[dimension.name], texts[dimension.name]
            )
            for dimension in spec.dimensions
        }
    return Selection(spec, cells)


def selection_of(spec: TableSpec, context: dg.OutputContext | dg.InputContext) -> Selection | None:
    """The partitions of a step; None if its asset has no partitions.

    Uses the context's list of keys, which every run has, unlike a single key or a range.

    Raises:
        PlanError: see `select`.
    """
    if not context.has_asset_partitions:
        return None
    instance = None
    with suppress(dg.DagsterInvariantViolationError):  # build_output_context may leave it out
        instance = context.step_context.instance
    return select(spec, context.asset_partitions_def, context.asset_partition_keys, instance)


def by_dimension(
    spec: TableSpec, definition: dg.PartitionsDefinition
) -> dict[str, dg.PartitionsDefinition]:
    """Dagster's definition of each dimension of the table.

    Raises:
        PlanError: the definition and the spec have different dimensions.
    """
    names = [dimension.name for dimension in spec.dimensions]
    if not names:
        raise PlanError(
            f"the asset `{spec.asset_key}` has partitions ({describe(definition)}), but the spec"
            f" of {spec.table} has none",
            hint="add partition_by to the spec, or remove partitions_def from the asset",
        )
    if isinstance(definition, dg.MultiPartitionsDefinition):
        found = {one.name: one.partitions_def for one in definition.partitions_defs}
    elif len(names) == 1:
        return {names[0]: definition}
    else:
        found = {}
    if set(found) != set(names):
        actual = _list_names(found) if found else f"one dimension ({describe(definition)})"
        raise PlanError(
            f"the partitions of the asset `{spec.asset_key}` have {actual}, but those of"
            f" {spec.table} have {_list_names(names)}",
            hint="give both the same dimension names: partition_by: [{name: …}]",
        )
    return found


def describe(definition: dg.PartitionsDefinition) -> str:
    """Describe a partitions definition, for messages."""
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return f"`{definition.cron_schedule}` in {definition.timezone}"
    name = type(definition).__name__.removesuffix("PartitionsDefinition").lower()
    return f"{name} keys"


def _list_names(names: Iterable[str]) -> str:
    shown = [f"`{name}`" for name in names]
    return f"the dimension{'s' * (len(shown) != 1)} {', '.join(shown)}"


def _keys_by_dimension(
    spec: TableSpec, definition: dg.PartitionsDefinition, key: str
) -> Mapping[str, str]:
    if not isinstance(definition, dg.MultiPartitionsDefinition):
        return {spec.dimensions[0].name: key}
    if not isinstance(key, dg.MultiPartitionKey):
        key = definition.get_partition_key_from_str(key)
    return key.keys_by_dimension


def _parse_partitions(
    spec: TableSpec, dimension: Dimension, definition: dg.PartitionsDefinition, key: str
) -> tuple[Partition, ...]:
    if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        try:
            return (parse_key(dimension, key),)
        except PlanError as error:
            why = error.message
            raise _conflict(spec, dimension, definition, why, error.hint or _SAME) from error
    if dimension.grain is None:
        if dimension.data_type.name in ("timestamp", "timestamptz"):
            why = "these are time windows, but without a grain the spec's keys are single values"
            raise _conflict(spec, dimension, definition, why, "add its grain to partition_by")
        return (parse_key(dimension, key),)
    if dimension.grain not in CLOCK and not _is_same_zone(dimension.timezone, definition.timezone):
        why = "the time zones differ"
        raise _conflict(spec, dimension, definition, why, _SAME)
    window = definition.time_window_for_partition_key(key)
    try:
        return partitions_between(dimension, window.start, window.end)
    except PlanError as error:
        why = f"`{key}` reaches from {window.start} to {window.end}: {error.message}"
        raise _conflict(spec, dimension, definition, why, _SAME) from error


def _check_distinct(
    spec: TableSpec,
    dimension: Dimension,
    definition: dg.PartitionsDefinition,
    instance: dg.DagsterInstance | None,
) -> None:
    """Reject two keys of one partition, such as 7 and 07: each load would replace the other's."""
    is_dynamic = isinstance(definition, dg.DynamicPartitionsDefinition) and instance is not None
    is_listed = isinstance(definition, dg.StaticPartitionsDefinition) or is_dynamic
    if not is_listed or dimension.data_type.is_text:
        return
    seen: dict[object, str] = {}
    for key in definition.get_partition_keys():
        try:
            partition = parse_key(dimension, key)
        except PlanError:
            continue  # reported when a run uses this key
        other = seen.setdefault(partition.cell, key)  # 1.5 and 1.50 are one value
        if other != key:
            why = f"its keys `{other}` and `{key}` are the same partition"
            raise _conflict(spec, dimension, definition, why, "remove one of them")


_CRONS: Mapping[str, Grain] = {
    r"\* \* \* \* \*": "minute",
    r"0 \* \* \* \*|@hourly": "hour",
    r"0 0 \* \* \*|@daily|@midnight": "day",
    r"0 0 \* \* \w+|@weekly": "week",
    r"0 0 1 \* \*|@monthly": "month",
    r"0 0 1 (\*/3|1,4,7,10|1/3) \*": "quarter",
    r"0 0 1 (1|jan) \*|@yearly|@annually": "year",
}
"""The cron schedules of each grain; other schedules have windows of another length."""


def _grain_of_cron(schedule: str) -> Grain | None:
    """The grain of a cron schedule; None if it has none."""
    text = " ".join(schedule.lower().split())
    return next((grain for cron, grain in _CRONS.items() if re.fullmatch(cron, text)), None)


@cache
def _is_same_zone(one: str, other: str) -> bool:
    """Whether two time zones have equal UTC offsets in every month of `_YEARS`."""
    moments = (datetime(year, month, 15, tzinfo=UTC) for year in _YEARS for month in range(1, 13))
    return one == other or all(
        moment.astimezone(ZoneInfo(one)).utcoffset()
        == moment.astimezone(ZoneInfo(other)).utcoffset()
        for moment in moments
    )


_YEARS = range(1990, 2040)

_SAME = "give both the same grain and time zone: partition_by: [{grain: …, timezone: …}]"


def _conflict(
    spec: TableSpec,
    dimension: Dimension,
    definition: dg.PartitionsDefinition,
    why: str,
    hint: str,
) -> PlanError:
    grain = f"grain {dimension.grain} in {dimension.timezone}" if dimension.grain else "no grain"
    return PlanError(
        f"the partitions of the asset `{spec.asset_key}` ({describe(definition)}) do not match"
        f" {spec.table}, whose `{dimension.name}` has {grain}: {why}",
        hint=hint,
    )


def grain_of(definition: dg.TimeWindowPartitionsDefinition, window: dg.TimeWindow) -> Grain | None:
    """The grain of a definition, else the coarsest grain that divides one of its windows."""
    return _grain_of_cron(definition.cron_schedule) or next(
        (grain for grain in _DIVISORS if _is_multiple(definition.timezone, window, grain)), None
    )


_DIVISORS: tuple[Grain, ...] = ("day", "hour", "minute")


def _is_multiple(timezone: str, window: dg.TimeWindow, grain: Grain) -> bool:
    dimension = Dimension("", "", DataType("timestamptz"), grain=grain, timezone=timezone)
    try:
        return bool(partitions_between(dimension, window.start, window.end))
    except PlanError:
        return False
