"""Dimensions with a grain: periods of time, their keys and their windows.

A period is given by its start, a local time that is aware, in the zone of the dimension's keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from loader.errors import PlanError
from loader.sql.datatypes import DataType

Grain = Literal["minute", "hour", "day", "week", "month", "quarter", "year"]


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


Bound = date | datetime | str
"""An end of a window, in the column's own terms."""


KeyValue = str | int | bool | Decimal | date | datetime


WEEKDAYS: tuple[Weekday, ...] = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)


CLOCK = ("minute", "hour")
"""The grains shorter than a day, which daylight saving skips or repeats."""


KEYS_OF_GRAIN = {
    "minute": "`2013-01-01-05:30`",
    "hour": "`2013-01-01-05:00`",
    "day": "`2013-01-01`",
    "week": "the date it starts on, such as `2013-01-07`",
    "month": "`2013-01`",
    "quarter": "`2013-Q1`",
    "year": "`2013`",
}
"""How a key of each grain is written; the date a period starts on is accepted for all of them."""


@dataclass(frozen=True)
class Dimension:
    """One partition expression: what it is over, and how its keys are to be read."""

    name: str
    expr: str
    data_type: DataType
    column: str | None = None
    """The column, when the expression is nothing but that column."""
    grain: Grain | None = None
    timezone: str = "UTC"
    """The zone the keys are in."""
    column_timezone: str | None = None
    """The zone of naive times in the column; None: UTC for timestamp, the keys' zone for text."""
    format: str | None = None
    """How a text column writes its times, as strftime; only with a grain over char or varchar."""
    week_start: Weekday = "monday"

    @property
    def text_format(self) -> str:
        """The strftime format of a text column."""
        return self.format or ("%Y-%m-%d %H:%M:%S" if self.grain in CLOCK else "%Y-%m-%d")

    @property
    def clock_zone(self) -> str:
        """The zone whose clocks may skip times of the column; empty where they skip no period."""
        text = self.data_type.is_text
        if self.grain not in CLOCK or not (text or self.data_type.name == "timestamp"):
            return ""
        zone = self.column_timezone or (self.timezone if text else "UTC")
        return "" if zone == "UTC" else zone


@dataclass(frozen=True, order=True)
class Window:
    """The half-open range ``start <= expr < end``."""

    start: Bound
    end: Bound


@dataclass(frozen=True)
class Partition:
    """One key of one dimension, with its value or window."""

    key: str
    cell: KeyValue | Window


MAX_PARTITIONS = 100_000
"""Partitions of one request: eleven years of hours, or 69 days of minutes, which take two seconds
to name; all the hours that there are would take half an hour, and all memory."""


def list_partitions(dimension: Dimension, start: datetime, end: datetime) -> list[Partition]:
    """The partitions from the start of one period up to another's, which is not among them.

    An hour that clocks show twice is two partitions.

    Raises:
        PlanError: there are too many of them, or one is outside Python's date range.
    """
    last = to_utc(dimension, end)
    found: list[Partition] = []
    while to_utc(dimension, start) < last:
        found.append(period_partition(dimension, start))
        check_partition_count(len(found))
        start = _next_period(dimension, start)
    return found


def check_partition_count(number: int) -> None:
    """Check that a request has at most `MAX_PARTITIONS`.

    Raises:
        PlanError: it has more.
    """
    if number > MAX_PARTITIONS:
        raise PlanError(
            f"more than {MAX_PARTITIONS:,} partitions are requested at once",
            hint="load them in several parts, or the whole table with --full-refresh",
        )


def to_utc(dimension: Dimension, local: datetime) -> datetime:
    """A local time in UTC, to compare by: Python compares times of one zone by their clock."""
    return to_zone(dimension, local, ZoneInfo("UTC"))


def partitions_between(
    dimension: Dimension, start: datetime, end: datetime
) -> tuple[Partition, ...]:
    """The partitions that a half-open span of time is made of, in order.

    Args:
        dimension: One with a grain.
        start: The start, with a time zone.
        end: When it ends, aware.

    Raises:
        PlanError: it does not start and end with a period of the grain.
    """
    first, last = parse_period(dimension, start), parse_period(dimension, end)
    return tuple(list_partitions(dimension, first, last))


def to_zone(dimension: Dimension, moment: datetime, zone: ZoneInfo) -> datetime:
    """A moment as the clocks of a zone show it.

    Raises:
        PlanError: that is outside Python's date range.
    """
    try:
        return moment.astimezone(zone)
    except OverflowError:
        raise PlanError(
            f"{moment.replace(tzinfo=None)} is outside the supported date range: no partition"
            f" of `{dimension.name}` in {zone.key} has it"
        ) from None


def parse_period(dimension: Dimension, key: object) -> datetime:
    """The start of the period that a key names, in the zone of the keys.

    Raises:
        PlanError: it names none, does not start one, or the clocks skipped it.
    """
    zone = ZoneInfo(dimension.timezone)
    if isinstance(key, datetime):
        aware = key.tzinfo is not None
        local = (
            to_zone(dimension, key, zone)
            if aware
            else _check_exists(dimension, key, zone, str(key))
        )
    elif isinstance(key, date):
        local = datetime(key.year, key.month, key.day, tzinfo=zone)
    else:
        local = _parse_text(dimension, str(key), zone)
    if start_of_period(dimension, local) != local:
        raise PlanError(
            f"the partition key `{key}` of `{dimension.name}` is not the start of"
            f" {with_article(str(dimension.grain))}{_week_start_note(dimension)}",
            hint=f"the {dimension.grain} that holds it starts at"
            f" `{period_key(dimension, start_of_period(dimension, local))}`",
        )
    return local


def _week_start_note(dimension: Dimension) -> str:
    if dimension.grain != "week":
        return ""
    return f" (weeks start on {dimension.week_start}; partition_by has week_start)"


_PERIOD_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], datetime], Grain], ...] = (
    (re.compile(r"(\d{4})"), lambda m: datetime(int(m[1]), 1, 1), "year"),
    (re.compile(r"(\d{4})-(\d{2})"), lambda m: datetime(int(m[1]), int(m[2]), 1), "month"),
    (
        re.compile(r"(\d{4})-[Qq]([1-4])"),
        lambda m: datetime(int(m[1]), 3 * int(m[2]) - 2, 1),
        "quarter",
    ),
    (
        re.compile(r"(\d{4})-W(\d{2})"),
        lambda m: datetime.fromisocalendar(int(m[1]), int(m[2]), 1),
        "week",
    ),
)


_TIME_PATTERN = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[-T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?))?\s*(Z|[+-]\d{2}:?\d{2})?"
)


def _parse_text(dimension: Dimension, text: str, zone: ZoneInfo) -> datetime:
    try:
        for pattern, build, grain in _PERIOD_PATTERNS:
            match = pattern.fullmatch(text)
            if match and dimension.grain == grain:
                return build(match).replace(tzinfo=zone)
        match = _TIME_PATTERN.fullmatch(text)
        if match is None:
            raise ValueError
        naive = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}")
        if match[3]:
            offset = datetime.fromisoformat(f"2013-01-01T00:00{match[3]}").tzinfo
            return naive.replace(tzinfo=offset).astimezone(zone)
        return _check_exists(dimension, naive, zone, text)
    except (ValueError, OverflowError):
        wanted = str(dimension.grain)
        raise PlanError(
            f"the partition key `{text}` of `{dimension.name}` is not {with_article(wanted)}",
            hint=f"write {KEYS_OF_GRAIN[wanted]}",
        ) from None


def _check_exists(dimension: Dimension, naive: datetime, zone: ZoneInfo, text: str) -> datetime:
    """The local time in its zone, unless the clocks skipped it."""
    local = naive.replace(tzinfo=zone)
    if dimension.grain not in CLOCK:
        return local
    back = to_zone(dimension, to_zone(dimension, local, ZoneInfo("UTC")), zone)
    if start_of_period(dimension, back) != start_of_period(dimension, local):
        raise PlanError(
            f"the {dimension.grain} `{text}` does not exist in {zone.key}: the clocks skipped it"
        )
    return local


def start_of_period(dimension: Dimension, local: datetime) -> datetime:
    """The start of the period that holds a local time.

    Raises:
        PlanError: it is outside Python's date range.
    """
    minute = local.replace(second=0, microsecond=0)
    hour = minute.replace(minute=0)
    midnight = hour.replace(hour=0, fold=0)
    match dimension.grain:
        case "minute":
            return minute
        case "hour":
            return hour
        case "week":
            start = WEEKDAYS.index(dimension.week_start)
            return _subtract_days(midnight, days=(midnight.weekday() - start) % 7)
        case "month":
            return midnight.replace(day=1)
        case "quarter":
            return midnight.replace(day=1, month=midnight.month - (midnight.month - 1) % 3)
        case "year":
            return midnight.replace(day=1, month=1)
        case _:
            return midnight


def with_article(noun: str) -> str:
    """A noun behind ``a`` or ``an``."""
    return f"an {noun}" if noun[0] in "aio" or noun.startswith("hour") else f"a {noun}"


def _subtract_days(midnight: datetime, days: int) -> datetime:
    try:
        return midnight - timedelta(days=days)
    except OverflowError:
        day = midnight.date()
        raise PlanError(f"the week of `{day}` starts before the dates there are") from None


def _next_period(dimension: Dimension, local: datetime) -> datetime:
    zone = local.tzinfo
    match dimension.grain:
        case "minute":
            return (local.astimezone(UTC) + timedelta(minutes=1)).astimezone(zone)
        case "hour":
            # Through UTC, so that a repeated hour is two partitions and a skipped one is none.
            # Where clocks move by half an hour, the hour of the change has 30 or 90 minutes.
            start = local.astimezone(UTC)
            following = start_of_period(dimension, (start + timedelta(hours=1)).astimezone(zone))
            if following.astimezone(UTC) <= start:
                later = (start + timedelta(hours=2)).astimezone(zone)
                following = start_of_period(dimension, later)
            return following
        case "week":
            return local + timedelta(days=7)
        case "month" | "quarter" | "year":
            months = {"month": 1, "quarter": 3, "year": 12}[dimension.grain]
            total = local.year * 12 + local.month - 1 + months
            return local.replace(year=total // 12, month=total % 12 + 1)
        case _:
            return local + timedelta(days=1)


def period_key(dimension: Dimension, local: datetime) -> str:
    """The key of a period by its start; with the UTC offset where clocks show it twice."""
    day = local.date().isoformat()
    match dimension.grain:
        case "hour" | "minute":
            other = local.replace(fold=1 - local.fold)
            repeated = other.utcoffset() != local.utcoffset()
            return f"{day}-{local:%H:%M}" + (f"{local:%z}" if repeated else "")
        case "month":
            return day[:7]
        case "quarter":
            return f"{day[:4]}-Q{(local.month + 2) // 3}"
        case "year":
            return day[:4]
        case _:
            return day


def period_partition(dimension: Dimension, local: datetime) -> Partition:
    """The partition of a period by its start.

    Raises:
        PlanError: it ends outside Python's date range, or the clocks skipped it.
    """
    label = period_key(dimension, local)
    try:
        following = _next_period(dimension, local)
        start, end = _column_value(dimension, local), _column_value(dimension, following)
    except (OverflowError, ValueError):
        raise PlanError(f"the partition `{label}` reaches past the dates there are") from None
    if start == end:
        raise PlanError(f"there was no `{label}` in {dimension.timezone}: the clocks skipped it")
    return Partition(label, Window(start, end))


def _column_value(dimension: Dimension, local: datetime) -> Bound:
    """An end of a window in the column's own terms, so that the bare column is compared."""
    match dimension.data_type.name:
        case "date":
            return local.date()
        case "timestamptz":
            return local.astimezone(UTC)
        case "timestamp":
            return _local_time(dimension, local, dimension.column_timezone or "UTC")
        case _:
            zone = dimension.column_timezone or dimension.timezone
            return _local_time(dimension, local, zone).strftime(dimension.text_format)


def _local_time(dimension: Dimension, local: datetime, zone: str) -> datetime:
    """The time on the clocks of a zone, unless they show it for the second time."""
    shown = local.astimezone(ZoneInfo(zone))
    if shown.fold and shown.utcoffset() != shown.replace(fold=0).utcoffset():
        raise PlanError(
            f"the partition `{period_key(dimension, local)}` is ambiguous in"
            f" `{dimension.expr}`: the clocks of {zone} show that hour twice",
            hint="use a timestamptz column, or time stamps in UTC",
        )
    return shown.replace(tzinfo=None)
