"""Which part of a table a load replaces or a read returns.

A **dimension** is one partition expression. A **key** names one partition along it. A **slice** is
a union of **boxes**, and a box gives, for each dimension, either values (``expr IN (…)``) or
half-open windows (``expr >= a AND expr < b``). A slice is never empty: no key list ever becomes
"no WHERE".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import product
from math import prod
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
"""The grains that are shorter than a day, of which clocks skip and repeat some."""

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


@dataclass(frozen=True, order=True)
class Window:
    """The half-open range ``start <= expr < end``."""

    start: Bound
    end: Bound


@dataclass(frozen=True)
class Partition:
    """One key of one dimension, with the value or window it stands for."""

    key: str
    cell: KeyValue | Window


@dataclass(frozen=True)
class Part:
    """What a box asks of one dimension: values or windows, never both, never neither."""

    dimension: Dimension
    values: tuple[KeyValue, ...] = ()
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.values) == bool(self.windows):
            raise PlanError(f"no keys are given for the partition `{self.dimension.name}`")


@dataclass(frozen=True)
class Box:
    """A product of parts, one for each dimension of the table."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise PlanError("a slice needs at least one dimension")


@dataclass(frozen=True)
class Slice:
    """A union of disjoint boxes, and the keys it was made of, for people to read."""

    boxes: tuple[Box, ...]
    keys: tuple[tuple[str, ...], ...]
    placeholder: bool = False
    """Made up for a preview: it names a partition that nobody asked for."""

    def __post_init__(self) -> None:
        if not self.boxes:
            raise PlanError("no partition is given: an empty list of keys selects nothing")

    @property
    def compares_text(self) -> bool:
        """Whether it asks for values of text, which may be spelled in more than one way."""
        return any(
            part.values and part.dimension.data_type.is_text
            for box in self.boxes
            for part in box.parts
        )

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The table's dimensions, in the spec's order."""
        return tuple(part.dimension for part in self.boxes[0].parts)

    def __str__(self) -> str:
        names = [dimension.name for dimension in self.dimensions]
        cells = [
            "|".join(f"{name}={key}" for name, key in zip(names, keys, strict=True))
            for keys in self.keys
        ]
        if len(self.keys) > 1 and len(self.boxes) == 1 and len(names) == 1:
            windows = self.boxes[0].parts[0].windows
            if len(windows) == 1:  # one unbroken stretch of time
                return f"{cells[0]}..{self.keys[-1][0]}"
        if len(cells) > 3:
            return f"{cells[0]}, {cells[1]}, … {cells[-1]} ({len(cells):,} partitions)"
        return ", ".join(cells)


Request = KeyValue | Mapping[str, object] | Iterable[object]
"""What a caller may give for ``partition``: a key, a range ``A..B``, a mapping by dimension, or
any iterable of these."""


MOST = 100_000
"""Partitions of one request: eleven years of hours, or 69 days of minutes, which take two seconds
to name; all the hours that there are would take half an hour, and all memory."""


def make_slice(dimensions: Sequence[Dimension], request: Request) -> Slice:
    """The slice that a request names.

    With one dimension a request is a key, ``A..B`` (both ends included; grains only), or a list of
    these. With several, a mapping from dimension to the same, text like ``date=2013-01-01`` or
    ``date=2013-01-01|origin=JFK``, or a list: texts that name one dimension each are crossed, all
    others are united.

    Raises:
        PlanError: a key does not parse, a dimension is missing or unknown, nothing is named, or
            more than can be told one by one.
    """
    rows: set[tuple[Partition, ...]] = set()
    for mapping in _mappings(dimensions, request):
        columns = [_partitions(dimension, mapping[dimension.name]) for dimension in dimensions]
        _check_few(prod(map(len, columns)))
        rows.update(product(*columns))
    ordered = sorted(rows, key=lambda row: tuple(_order(partition.cell) for partition in row))
    boxes = tuple(Box(parts) for parts in _boxes(dimensions, ordered))
    return Slice(boxes, tuple(tuple(partition.key for partition in row) for row in ordered))


def placeholder(dimensions: Sequence[Dimension]) -> Slice:
    """A made-up slice for a preview: one well-formed key in every dimension."""
    made = make_slice(dimensions, {d.name: _example(d) for d in dimensions})
    return Slice(made.boxes, made.keys, placeholder=True)


def _mappings(dimensions: Sequence[Dimension], request: Request) -> list[dict[str, object]]:
    """The request as full mappings from dimension name to keys; their products are united."""
    items = _listed(request)
    if len(dimensions) == 1 and not any(isinstance(item, Mapping) for item in items):
        return [{dimensions[0].name: items}]
    full: list[dict[str, object]] = []
    crossed: dict[str, list[object]] = {}
    for item in items:
        mapping = dict(item) if isinstance(item, Mapping) else _parse_pairs(dimensions, item)
        _check_names(dimensions, mapping)
        if len(mapping) == len(dimensions):
            full.append(mapping)
        else:
            for name, keys in mapping.items():
                crossed.setdefault(name, []).extend(_listed(keys))
    if crossed or not full:
        missing = [dimension.name for dimension in dimensions if dimension.name not in crossed]
        if missing:
            raise PlanError(
                f"no key is given for the partition dimension {_names(missing)}",
                hint="give one for each: " + " ".join(_flag(d) for d in dimensions),
            )
        full.append(dict(crossed))
    return full


def _parse_pairs(dimensions: Sequence[Dimension], item: object) -> dict[str, object]:
    # A `|` that no dimension follows is part of the key before it.
    names = "|".join(re.escape(dimension.name) for dimension in dimensions)
    pairs = [pair.partition("=") for pair in re.split(rf"\|(?=\s*(?:{names})\s*=)", str(item))]
    if any(not equals for _, equals, _ in pairs):
        raise PlanError(
            f"the partition `{item}` does not say which dimension it is of",
            hint="write " + " ".join(_flag(dimension) for dimension in dimensions),
        )
    return {name.strip(): key for name, _, key in pairs}


def _check_names(dimensions: Sequence[Dimension], mapping: Mapping[str, object]) -> None:
    known = [dimension.name for dimension in dimensions]
    unknown = [str(name) for name in mapping if name not in known]
    if unknown:
        raise PlanError(f"there is no dimension {_names(unknown)}; there is {_names(known)}")


def _flag(dimension: Dimension) -> str:
    return f"--partition {dimension.name}={_example(dimension)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _listed(request: object) -> list[object]:
    if isinstance(request, str | bytes | Mapping) or not isinstance(request, Iterable):
        return [request]
    return list(request)


def _partitions(dimension: Dimension, keys: object) -> list[Partition]:
    found: list[Partition] = []
    for key in _listed(keys):
        if isinstance(key, Partition):
            found.append(key)
        elif dimension.grain and isinstance(key, str) and ".." in key:
            found.extend(_range(dimension, key))
        else:
            found.append(parse_key(dimension, key))
    return found


def _range(dimension: Dimension, text: str) -> list[Partition]:
    first, _, last = text.partition("..")
    start, stop = _period(dimension, first), _period(dimension, last)
    before = _periods(dimension, start, stop)
    if not before and _instant(dimension, start) != _instant(dimension, stop):
        raise PlanError(f"the range `{text}` is empty: it ends before it starts")
    return [*before, _window(dimension, stop)]


def _periods(dimension: Dimension, start: datetime, end: datetime) -> list[Partition]:
    """The partitions from a period's start to another's; an hour that clocks show twice is two."""
    last = _instant(dimension, end)
    found: list[Partition] = []
    while _instant(dimension, start) < last:
        found.append(_window(dimension, start))
        _check_few(len(found))
        start = _next(dimension, start)
    return found


def _check_few(number: int) -> None:
    if number > MOST:
        raise PlanError(
            f"more than {MOST:,} partitions are asked for at once",
            hint="load them in several parts, or the whole table with --full-refresh",
        )


def _instant(dimension: Dimension, local: datetime) -> datetime:
    """The time in UTC: times of one zone are compared by the clock, which may show one twice."""
    return _moved(dimension, local, ZoneInfo("UTC"))


def partitions_between(
    dimension: Dimension, start: datetime, end: datetime
) -> tuple[Partition, ...]:
    """The partitions that a half-open span of time is made of, in order.

    Args:
        dimension: One with a grain.
        start: When it begins, aware.
        end: When it ends, aware.

    Raises:
        PlanError: it does not begin and end with a period of the grain.
    """
    return tuple(_periods(dimension, _period(dimension, start), _period(dimension, end)))


def parse_key(dimension: Dimension, key: object) -> Partition:
    """One key of a dimension, as the partition it names.

    Raises:
        PlanError: the key does not parse as the dimension's type or grain.
    """
    if dimension.grain:
        return _window(dimension, _period(dimension, key))
    value = _value(dimension, key)
    return Partition(key if isinstance(key, str) else _text(value), value)


def check_spelling(slice_: Slice, equality_key: Callable[[str], str]) -> None:
    """Refuse keys of text that the warehouse holds equal to shorter ones.

    Whoever loads `a` and `a ` would replace the rows of the one with those of the other.

    Args:
        slice_: The slice that is asked for.
        equality_key: The text that stands for all those which the warehouse holds equal.

    Raises:
        PlanError: there are some; all of them are named.
    """
    longer = {
        (part.dimension.name, value): equality_key(value)
        for box in slice_.boxes
        for part in box.parts
        for value in part.values
        if isinstance(value, str) and value != equality_key(value)
    }
    if longer:
        lines = [
            f"the partition {value!r} of `{name}` is the partition {known!r} to the warehouse,"
            " which ignores blanks at the end of text"
            for (name, value), known in longer.items()
        ]
        names = ", ".join(repr(known) for known in dict.fromkeys(longer.values()))
        raise PlanError("\n".join(lines), hint=f"name it without them: {names}")


def cell_name(dimensions: Sequence[Dimension], keys: Sequence[str]) -> str:
    """One cell in the words of a request: ``2013-01-01``, or ``date=2013-01-01|origin=JFK``."""
    if len(keys) == 1:
        return keys[0]
    return "|".join(f"{d.name}={key}" for d, key in zip(dimensions, keys, strict=True))


def canonical_key(partition: Partition) -> str:
    """The key that `locate` gives for the partition's rows, however it was written."""
    return partition.key if isinstance(partition.cell, Window) else _text(partition.cell)


def locate(dimension: Dimension, value: KeyValue) -> str:
    """The key of the partition that holds a value of the column.

    ``value`` is in the column's own terms: a date, a naive or aware time stamp, text, a number.
    """
    if dimension.grain is None:
        return _text(value)
    zone = ZoneInfo(dimension.timezone)
    if isinstance(value, str):
        try:
            local = datetime.strptime(value[: _text_width(dimension)], dimension.text_format)
        except ValueError:
            raise PlanError(
                f"{value!r} is not a time written as `{dimension.text_format}`, so it belongs to no"
                f" partition of `{dimension.name}`",
                hint="give the column's format: partition_by: [{expr: …, format: …}]",
            ) from None
        column_zone = ZoneInfo(dimension.column_timezone or dimension.timezone)
        local = _moved(dimension, local.replace(tzinfo=column_zone), zone)
    elif isinstance(value, datetime):
        column_zone = ZoneInfo(dimension.column_timezone or "UTC")
        aware = value if value.tzinfo else value.replace(tzinfo=column_zone)
        local = _moved(dimension, aware, zone)
    elif isinstance(value, date):
        local = datetime(value.year, value.month, value.day, tzinfo=zone)
    else:
        raise PlanError(f"{value!r} is not a time, so it belongs to no partition")
    return _label(dimension, _floor(dimension, local))


def _moved(dimension: Dimension, moment: datetime, zone: ZoneInfo) -> datetime:
    try:
        return moment.astimezone(zone)
    except OverflowError:
        raise PlanError(
            f"{moment.replace(tzinfo=None)} is outside the supported date range: no partition"
            f" of `{dimension.name}` in {zone.key} has it"
        ) from None


def _text_width(dimension: Dimension) -> int:
    return len(datetime(2013, 12, 31, 23, 59, 59).strftime(dimension.text_format))


# Periods: the local start of a window, aware in the zone of the keys.


def _period(dimension: Dimension, key: object) -> datetime:
    zone = ZoneInfo(dimension.timezone)
    if isinstance(key, datetime):
        there = key.tzinfo is not None
        local = _moved(dimension, key, zone) if there else _existing(dimension, key, zone, str(key))
    elif isinstance(key, date):
        local = datetime(key.year, key.month, key.day, tzinfo=zone)
    else:
        local = _parse_period(dimension, str(key), zone)
    if _floor(dimension, local) != local:
        raise PlanError(
            f"the partition key `{key}` of `{dimension.name}` is not the start of"
            f" {_article(str(dimension.grain))}{_week_note(dimension)}",
            hint=f"the {dimension.grain} that holds it starts at"
            f" `{_label(dimension, _floor(dimension, local))}`",
        )
    return local


def _week_note(dimension: Dimension) -> str:
    if dimension.grain != "week":
        return ""
    return f" (weeks start on {dimension.week_start}; partition_by has week_start)"


_SHORT: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], datetime], Grain], ...] = (
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

_LONG = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[-T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?))?\s*(Z|[+-]\d{2}:?\d{2})?"
)


def _parse_period(dimension: Dimension, text: str, zone: ZoneInfo) -> datetime:
    try:
        for pattern, build, grain in _SHORT:
            match = pattern.fullmatch(text)
            if match and dimension.grain == grain:
                return build(match).replace(tzinfo=zone)
        match = _LONG.fullmatch(text)
        if match is None:
            raise ValueError
        naive = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}")
        if match[3]:
            offset = datetime.fromisoformat(f"2013-01-01T00:00{match[3]}").tzinfo
            return naive.replace(tzinfo=offset).astimezone(zone)
        return _existing(dimension, naive, zone, text)
    except (ValueError, OverflowError):
        wanted = str(dimension.grain)
        raise PlanError(
            f"the partition key `{text}` of `{dimension.name}` is not {_article(wanted)}",
            hint=f"write {KEYS_OF_GRAIN[wanted]}",
        ) from None


def _existing(dimension: Dimension, naive: datetime, zone: ZoneInfo, text: str) -> datetime:
    """The local time in its zone, unless the clocks skipped it."""
    local = naive.replace(tzinfo=zone)
    if dimension.grain not in CLOCK:
        return local
    back = _moved(dimension, _moved(dimension, local, ZoneInfo("UTC")), zone)
    if _floor(dimension, back) != _floor(dimension, local):
        raise PlanError(
            f"the {dimension.grain} `{text}` does not exist in {zone.key}: the clocks skipped it"
        )
    return local


def _floor(dimension: Dimension, local: datetime) -> datetime:
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
            return _minus(midnight, days=(midnight.weekday() - start) % 7)
        case "month":
            return midnight.replace(day=1)
        case "quarter":
            return midnight.replace(day=1, month=midnight.month - (midnight.month - 1) % 3)
        case "year":
            return midnight.replace(day=1, month=1)
        case _:
            return midnight


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aio" or noun.startswith("hour") else f"a {noun}"


def _minus(midnight: datetime, days: int) -> datetime:
    try:
        return midnight - timedelta(days=days)
    except OverflowError:
        day = midnight.date()
        raise PlanError(f"the week of `{day}` starts before the dates there are") from None


def _next(dimension: Dimension, local: datetime) -> datetime:
    zone = local.tzinfo
    match dimension.grain:
        case "minute":
            return (local.astimezone(UTC) + timedelta(minutes=1)).astimezone(zone)
        case "hour":
            # Through UTC, so that a repeated hour is two partitions and a skipped one is none.
            # Where clocks move by half an hour, the hour of the change has 30 or 90 minutes.
            start = local.astimezone(UTC)
            following = _floor(dimension, (start + timedelta(hours=1)).astimezone(zone))
            if following.astimezone(UTC) <= start:
                following = _floor(dimension, (start + timedelta(hours=2)).astimezone(zone))
            return following
        case "week":
            return local + timedelta(days=7)
        case "month" | "quarter" | "year":
            months = {"month": 1, "quarter": 3, "year": 12}[dimension.grain]
            total = local.year * 12 + local.month - 1 + months
            return local.replace(year=total // 12, month=total % 12 + 1)
        case _:
            return local + timedelta(days=1)


def _label(dimension: Dimension, local: datetime) -> str:
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


def _window(dimension: Dimension, local: datetime) -> Partition:
    label = _label(dimension, local)
    try:
        following = _next(dimension, local)
        start, end = _bound(dimension, local), _bound(dimension, following)
    except (OverflowError, ValueError):
        raise PlanError(f"the partition `{label}` reaches past the dates there are") from None
    if start == end:
        raise PlanError(f"there was no `{label}` in {dimension.timezone}: the clocks skipped it")
    return Partition(label, Window(start, end))


def _bound(dimension: Dimension, local: datetime) -> Bound:
    """An end of a window in the column's own terms, so that the bare column is compared."""
    match dimension.data_type.name:
        case "date":
            return local.date()
        case "timestamptz":
            return local.astimezone(UTC)
        case "timestamp":
            return _naive(dimension, local, dimension.column_timezone or "UTC")
        case _:
            zone = dimension.column_timezone or dimension.timezone
            return _naive(dimension, local, zone).strftime(dimension.text_format)


def _naive(dimension: Dimension, local: datetime, zone: str) -> datetime:
    """The time on the clocks of a zone, unless they show it for the second time."""
    shown = local.astimezone(ZoneInfo(zone))
    if shown.fold and shown.utcoffset() != shown.replace(fold=0).utcoffset():
        raise PlanError(
            f"the partition `{_label(dimension, local)}` cannot be told apart in"
            f" `{dimension.expr}`: the clocks of {zone} show that hour twice",
            hint="use a timestamptz column, or time stamps in UTC",
        )
    return shown.replace(tzinfo=None)


# Values: keys compared by equality.


def _value(dimension: Dimension, key: object) -> KeyValue:
    name = dimension.data_type.name
    try:
        match key:
            case str():
                return _parse_value(name, key)
            case bool() if name == "boolean":
                return key
            case int() if dimension.data_type.is_integer and not isinstance(key, bool):
                return key
            case int() | Decimal() if name == "decimal" and not isinstance(key, bool):
                return Decimal(key)
            case datetime() if name == "timestamp" and key.tzinfo is None:
                return key
            case datetime() if name == "timestamptz" and key.tzinfo is not None:
                return key.astimezone(UTC)
            case date() if name == "date" and not isinstance(key, datetime):
                return key
    except (ValueError, KeyError, InvalidOperation):
        pass
    wanted = _article(str(dimension.data_type))
    raise PlanError(
        f"the partition key {key!r} of `{dimension.name}` is not {wanted}",
        hint=f"write it like `{_example(dimension)}`",
    )


def _parse_value(name: str, text: str) -> KeyValue:
    match name:
        case "smallint" | "integer" | "bigint":
            if not re.fullmatch(r"[+-]?[0-9]+", text):
                raise ValueError(text)
            return int(text)
        case "decimal":
            if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
                raise ValueError(text)
            return Decimal(text)
        case "boolean":
            return {"true": True, "false": False}[text.lower()] if text else _refuse(text)
        case "date":
            return date.fromisoformat(text)
        case "timestamp":
            stamp = datetime.fromisoformat(text)
            return stamp if stamp.tzinfo is None else _refuse(text)
        case "timestamptz":
            stamp = datetime.fromisoformat(text)
            return stamp.astimezone(UTC) if stamp.tzinfo else _refuse(text)
        case _:
            return text if "\0" not in text else _refuse(text)


def _refuse(text: str) -> KeyValue:
    raise ValueError(text)


def _text(value: KeyValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


_EXAMPLES = {
    "date": "2013-01-01",
    "timestamp": "2013-01-01T00:00:00",
    "timestamptz": "2013-01-01T00:00:00+00:00",
    "boolean": "true",
    "smallint": "1",
    "integer": "1",
    "bigint": "1",
    "decimal": "1",
}


def _example(dimension: Dimension) -> str:
    if dimension.grain is None:
        return _EXAMPLES.get(dimension.data_type.name, f"<{dimension.name}>")
    start = datetime(2013, 1, 1, tzinfo=ZoneInfo(dimension.timezone))
    floored = _floor(dimension, start)
    return _label(dimension, floored)


# Boxes: the fewest products that cover exactly the rows asked for.


def _order(cell: KeyValue | Window) -> object:
    return cell.start if isinstance(cell, Window) else cell


def _boxes(
    dimensions: Sequence[Dimension], rows: Sequence[tuple[Partition, ...]]
) -> list[tuple[Part, ...]]:
    """Factor rows of partitions into disjoint products, later dimensions first."""
    first, rest = dimensions[0], dimensions[1:]
    if not rest:
        return [(_part(first, [row[0] for row in rows]),)] if rows else []
    tails: dict[Partition, list[tuple[Partition, ...]]] = {}
    for row in rows:
        tails.setdefault(row[0], []).append(row[1:])
    groups: dict[tuple[tuple[Partition, ...], ...], list[Partition]] = {}
    for head, tail in tails.items():
        groups.setdefault(tuple(tail), []).append(head)
    return [
        (_part(first, heads), *parts)
        for tail, heads in groups.items()
        for parts in _boxes(rest, tail)
    ]


def _part(dimension: Dimension, partitions: Sequence[Partition]) -> Part:
    windows = [p.cell for p in partitions if isinstance(p.cell, Window)]
    if windows:
        return Part(dimension, windows=_merged(windows))
    values = dict.fromkeys(p.cell for p in partitions if not isinstance(p.cell, Window))
    return Part(dimension, values=tuple(values))


def _merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and merged[-1].end == window.start:
            merged[-1] = Window(merged[-1].start, window.end)
        elif not merged or merged[-1] != window:
            merged.append(window)
    return tuple(merged)
