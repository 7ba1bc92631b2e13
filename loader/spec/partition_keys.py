"""Partition keys: from what people write to a partition, and from a value to its key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from loader.errors import PlanError
from loader.spec.periods import (
    Dimension,
    KeyValue,
    Partition,
    Window,
    parse_period,
    period_key,
    period_partition,
    start_of_period,
    to_zone,
    with_article,
)


def parse_key(dimension: Dimension, key: object) -> Partition:
    """One key of a dimension, as the partition it names.

    Raises:
        PlanError: the key does not parse as the dimension's type or grain.
    """
    if dimension.grain:
        return period_partition(dimension, parse_period(dimension, key))
    value = _parse_key_value(dimension, key)
    return Partition(key if isinstance(key, str) else _key_text(value), value)


def cell_name(dimensions: Sequence[Dimension], keys: Sequence[str]) -> str:
    """Format one cell as a request: ``2013-01-01``, or ``date=2013-01-01|origin=JFK``."""
    if len(keys) == 1:
        return keys[0]
    return "|".join(f"{d.name}={key}" for d, key in zip(dimensions, keys, strict=True))


def canonical_key(partition: Partition) -> str:
    """The key that `locate` gives for the partition's rows, however it was written."""
    return partition.key if isinstance(partition.cell, Window) else _key_text(partition.cell)


def locate(dimension: Dimension, value: KeyValue) -> str:
    """The key of the partition that holds a value of the column.

    ``value`` is in the column's own terms: a date, a naive or aware time stamp, text, a number.
    """
    if dimension.grain is None:
        return _key_text(value)
    zone = ZoneInfo(dimension.timezone)
    if isinstance(value, str):
        try:
            local = datetime.strptime(value[: text_width(dimension)], dimension.text_format)
        except ValueError:
            raise PlanError(
                f"{value!r} is not a time written as `{dimension.text_format}`, so it belongs to no"
                f" partition of `{dimension.name}`",
                hint="give the column's format: partition_by: [{expr: …, format: …}]",
            ) from None
        column_zone = ZoneInfo(dimension.column_timezone or dimension.timezone)
        local = to_zone(dimension, local.replace(tzinfo=column_zone), zone)
    elif isinstance(value, datetime):
        column_zone = ZoneInfo(dimension.column_timezone or "UTC")
        aware = value if value.tzinfo else value.replace(tzinfo=column_zone)
        local = to_zone(dimension, aware, zone)
    elif isinstance(value, date):
        local = datetime(value.year, value.month, value.day, tzinfo=zone)
    else:
        raise PlanError(f"{value!r} is not a time, so it belongs to no partition")
    return period_key(dimension, start_of_period(dimension, local))


def text_width(dimension: Dimension) -> int:
    """The characters of a time in a text column."""
    return len(datetime(2013, 12, 31, 23, 59, 59).strftime(dimension.text_format))


def _parse_key_value(dimension: Dimension, key: object) -> KeyValue:
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
    wanted = with_article(str(dimension.data_type))
    raise PlanError(
        f"the partition key {key!r} of `{dimension.name}` is not {wanted}",
        hint=f"write it like `{example_key(dimension)}`",
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
            return {"true": True, "false": False}[text.lower()] if text else _reject(text)
        case "date":
            return date.fromisoformat(text)
        case "timestamp":
            stamp = datetime.fromisoformat(text)
            return stamp if stamp.tzinfo is None else _reject(text)
        case "timestamptz":
            stamp = datetime.fromisoformat(text)
            return stamp.astimezone(UTC) if stamp.tzinfo else _reject(text)
        case _:
            return text if "\0" not in text else _reject(text)


def _reject(text: str) -> KeyValue:
    raise ValueError(text)


def _key_text(value: KeyValue) -> str:
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


def example_key(dimension: Dimension) -> str:
    """A well-formed key of the dimension, for hints and previews."""
    if dimension.grain is None:
        return _EXAMPLES.get(dimension.data_type.name, f"<{dimension.name}>")
    start = datetime(2013, 1, 1, tzinfo=ZoneInfo(dimension.timezone))
    floored = start_of_period(dimension, start)
    return period_key(dimension, floored)
