"""Creates Dagster partitions definitions from `partition_by` of a table spec."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from loader.errors import PlanError
from loader.spec.dagster_options import PartitionKeys
from loader.spec.file_patterns import period_start
from loader.spec.model import TableSpec
from loader.spec.partition_keys import parse_key
from loader.spec.periods import CLOCK, KEYS_OF_GRAIN, WEEKDAYS, Dimension

_TIME, _DAY = "%Y-%m-%d-%H:%M", "%Y-%m-%d"
"""Dagster's default key formats, which specs accept too."""

_CRONS = {"minute": "* * * * *", "quarter": "0 0 1 */3 *", "year": "0 0 1 1 *"}


def partitions_def(spec: TableSpec) -> dg.PartitionsDefinition | None:
    """The partitions definition of a table: time windows for a grain, else static or dynamic keys.

    The spec declares the keys: ``dagster: {partitions: {<dimension>: …}}``. An undeclared dimension
    without a grain has dynamic partitions, with a name like ``nyc.flights.origin``.

    Returns:
        None for a table without partitions.

    Raises:
        PlanError: a dimension with a grain has no start, or Dagster does not support it.
    """
    dimensions = spec.dimensions
    if not dimensions:
        return None
    if len(dimensions) > 2:
        names = ", ".join(f"`{dimension.name}`" for dimension in dimensions)
        raise PlanError(
            f"{spec.table} has {len(dimensions)} partition dimensions ({names}), but Dagster"
            " supports at most two",
            hint="give the asset a partitions_def of its own, or use fewer partition_by entries",
        )
    if len(dimensions) == 2 and all(dimension.grain for dimension in dimensions):
        names = " and ".join(f"`{dimension.name}`" for dimension in dimensions)
        raise PlanError(
            f"{spec.table} has time windows in both dimensions ({names}), but Dagster supports at"
            " most one such dimension",
            hint="remove the grain of one of them in partition_by",
        )
    found = {dimension.name: _make_definition(spec, dimension) for dimension in dimensions}
    if len(found) == 1:
        return next(iter(found.values()))
    try:
        return dg.MultiPartitionsDefinition(found)
    except Exception as error:  # Dagster raises errors of several types
        raise _rejection(spec, error) from error


def _make_definition(spec: TableSpec, dimension: Dimension) -> dg.PartitionsDefinition:
    listed = spec.dagster.partitions.get(dimension.name)
    try:
        if dimension.grain is not None:
            return _make_time_windows(spec, dimension, listed)
        if listed is not None and listed.keys:
            keys = [parse_key(dimension, key).key for key in listed.keys]
            return dg.StaticPartitionsDefinition(keys)
        name = listed.dynamic if listed is not None else None
        return dg.DynamicPartitionsDefinition(name=name or f"{spec.table}.{dimension.name}")
    except PlanError:
        raise
    except Exception as error:  # Dagster raises errors of several types
        raise _rejection(spec, error) from error


def _rejection(spec: TableSpec, error: Exception) -> PlanError:
    return PlanError(f"Dagster rejects the partitions of {spec.table}: {error}")


def _make_time_windows(
    spec: TableSpec, dimension: Dimension, listed: PartitionKeys | None
) -> dg.TimeWindowPartitionsDefinition:
    if listed is None or listed.start is None:
        grain = str(dimension.grain)
        raise PlanError(
            f"the spec of {spec.table} has no first partition of `{dimension.name}`, so Dagster"
            " cannot list the partitions",
            hint=f"add its key to the spec, {KEYS_OF_GRAIN[grain]}: dagster: {{partitions:"
            f" {{{dimension.name}: {{start: …}}}}}}",
        )
    form = _TIME if dimension.grain in CLOCK else _DAY
    start = period_start(dimension, listed.start)
    end = None if listed.end is None else period_start(dimension, listed.end)
    if dimension.grain == "hour":
        _check_hours(spec, dimension, start, end)
    first, last = start.strftime(form), end.strftime(form) if end else None
    zone, offset = dimension.timezone, listed.end_offset
    match dimension.grain:
        case "hour":
            return dg.HourlyPartitionsDefinition(
                first, last, timezone=zone, fmt=form, end_offset=offset
            )
        case "day":
            return dg.DailyPartitionsDefinition(
                first, last, timezone=zone, fmt=form, end_offset=offset
            )
        case "week":
            sunday_is_0 = (WEEKDAYS.index(dimension.week_start) + 1) % 7
            return dg.WeeklyPartitionsDefinition(
                first,
                last,
                day_offset=sunday_is_0,
                timezone=zone,
                fmt=form,
                end_offset=offset,
            )
        case "month":
            return dg.MonthlyPartitionsDefinition(
                first, last, timezone=zone, fmt=form, end_offset=offset
            )
        case _:
            return dg.TimeWindowPartitionsDefinition(
                start=first,
                end=last,
                cron_schedule=_CRONS[str(dimension.grain)],
                timezone=zone,
                fmt=form,
                end_offset=offset,
            )


def _check_hours(
    spec: TableSpec, dimension: Dimension, start: datetime, end: datetime | None
) -> None:
    """Reject time zones with UTC offset changes of less than an hour.

    After such a change Dagster's hours no longer begin at full hours.
    """
    zone = ZoneInfo(dimension.timezone)
    moment, until = start, end or datetime.now(UTC) + timedelta(days=366)
    offsets = {_seconds_past_hour(start)}
    while moment < until:
        moment += timedelta(days=10)
        offsets.add(_seconds_past_hour(moment.astimezone(zone)))
    if len(offsets) > 1:
        raise PlanError(
            f"the UTC offset of {dimension.timezone} changes by less than an hour, so Dagster's"
            f" hours would no longer match those of {spec.table}",
            hint=f"give `{dimension.name}` another zone: partition_by: [{{timezone: UTC, …}}]",
        )


def _seconds_past_hour(moment: datetime) -> float:
    offset = moment.utcoffset()
    assert offset is not None
    return offset.total_seconds() % 3600
