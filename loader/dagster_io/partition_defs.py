"""Dagster's partitions definitions from what a table spec says of its partitions."""

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
"""How keys are written; Dagster's own formats, all of which specs read."""

_CRONS = {"minute": "* * * * *", "quarter": "0 0 1 */3 *", "year": "0 0 1 1 *"}


def partitions_def(spec: TableSpec) -> dg.PartitionsDefinition | None:
    """The partitions of a table: windows of time for a grain, keys of its own without one.

    The spec says which there are: ``dagster: {partitions: {<dimension>: …}}``. A dimension without
    a grain of which nothing is said has dynamic partitions, named like ``nyc.flights.origin``.

    Returns:
        None for a table without partitions.

    Raises:
        PlanError: a dimension with a grain has no start, or Dagster has no such partitions.
    """
    dimensions = spec.dimensions
    if not dimensions:
        return None
    if len(dimensions) > 2:
        names = ", ".join(f"`{dimension.name}`" for dimension in dimensions)
        raise PlanError(
            f"{spec.table} has {len(dimensions)} partition dimensions ({names}), and Dagster's"
            " partitions have at most two",
            hint="give the asset a partitions_def of its own, or partition_by fewer expressions",
        )
    if len(dimensions) == 2 and all(dimension.grain for dimension in dimensions):
        names = " and ".join(f"`{dimension.name}`" for dimension in dimensions)
        raise PlanError(
            f"{spec.table} has windows of time in both dimensions ({names}), and Dagster's"
            " partitions have at most one such dimension",
            hint="leave the grain out of one of them in partition_by",
        )
    found = {dimension.name: _of_dimension(spec, dimension) for dimension in dimensions}
    if len(found) == 1:
        return next(iter(found.values()))
    try:
        return dg.MultiPartitionsDefinition(found)
    except Exception as error:  # Dagster refuses with errors of several kinds
        raise _refused(spec, error) from error


def _of_dimension(spec: TableSpec, dimension: Dimension) -> dg.PartitionsDefinition:
    listed = spec.dagster.partitions.get(dimension.name)
    try:
        if dimension.grain is not None:
            return _windows(spec, dimension, listed)
        if listed is not None and listed.keys:
            keys = [parse_key(dimension, key).key for key in listed.keys]
            return dg.StaticPartitionsDefinition(keys)
        name = listed.dynamic if listed is not None else None
        return dg.DynamicPartitionsDefinition(name=name or f"{spec.table}.{dimension.name}")
    except PlanError:
        raise
    except Exception as error:  # Dagster refuses with errors of several kinds
        raise _refused(spec, error) from error


def _refused(spec: TableSpec, error: Exception) -> PlanError:
    return PlanError(f"Dagster refuses the partitions of {spec.table}: {error}")


def _windows(
    spec: TableSpec, dimension: Dimension, listed: PartitionKeys | None
) -> dg.TimeWindowPartitionsDefinition:
    if listed is None or listed.start is None:
        grain = str(dimension.grain)
        raise PlanError(
            f"the spec of {spec.table} does not say which partition of `{dimension.name}` is the"
            " first one, so Dagster cannot list them",
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
    """Refuse a zone whose clocks move by half an hour: Dagster counts hours on from the change."""
    zone = ZoneInfo(dimension.timezone)
    moment, until = start, end or datetime.now(UTC) + timedelta(days=366)
    minutes = {_minutes(start)}
    while moment < until:
        moment += timedelta(days=10)
        minutes.add(_minutes(moment.astimezone(zone)))
    if len(minutes) > 1:
        raise PlanError(
            f"the clocks of {dimension.timezone} move by less than an hour, and Dagster's hours of"
            f" {spec.table} would no longer begin with theirs",
            hint=f"give `{dimension.name}` another zone: partition_by: [{{timezone: UTC, …}}]",
        )


def _minutes(moment: datetime) -> float:
    offset = moment.utcoffset()
    assert offset is not None
    return offset.total_seconds() % 3600
