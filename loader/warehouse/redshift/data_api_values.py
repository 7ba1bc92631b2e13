"""Reads values from results of the Data API, as the values that the driver gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from loader.warehouse.base import Row


def read_rows(page: Mapping[str, Any]) -> list[Row]:
    """Read the rows of one response of GetStatementResult (``mg/data-api``).

    >>> columns = [{"typeName": "numeric"}, {"typeName": "date"}]
    >>> fields = [{"stringValue": "1.50"}, {"isNull": True}]
    >>> read_rows({"ColumnMetadata": columns, "Records": [fields]})
    [(Decimal('1.50'), None)]
    """
    readers = [
        _READERS.get(str(column.get("typeName", "")).lower(), _keep)
        for column in page["ColumnMetadata"]
    ]
    return [
        tuple(_read(field, reader) for field, reader in zip(record, readers, strict=True))
        for record in page["Records"]
    ]


def _read(field: Mapping[str, Any], read: Callable[[Any], object]) -> object:
    for kind, value in field.items():
        if kind != "isNull":
            return read(value)
    return None


def _keep(value: Any) -> object:
    return value


def _read_date(text: str) -> date:
    return _within(date, text, lambda: date.fromisoformat(text))


def _read_timestamp(text: str) -> datetime:
    return _within(datetime, text, lambda: datetime.fromisoformat(text))


def _read_timestamptz(text: str) -> datetime:
    """Read an instant; one without an offset is in the session's time zone, which is UTC."""

    def read() -> datetime:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    return _within(datetime, text, read)


def _read_timetz(text: str) -> time:
    found = time.fromisoformat(text)
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    # The offset counts, and a time alone cannot be converted.
    return datetime.combine(date(2000, 1, 2), found).astimezone(UTC).timetz()


def _within(kind: Any, text: str, read: Callable[[], Any]) -> Any:
    """A date or time, or the first or last one that Python has, as the driver does."""
    try:
        return read()
    except (ValueError, OverflowError):
        return kind.min if text.endswith("BC") else kind.max


_READERS: Mapping[str, Callable[[Any], object]] = {
    "date": _read_date,
    "float4": float,
    "float8": float,
    "numeric": Decimal,
    "time": time.fromisoformat,
    "timestamp": _read_timestamp,
    "timestamptz": _read_timestamptz,
    "timetz": _read_timetz,
}
"""Whole numbers and booleans come as such; SUPER, VARBYTE in hex digits and others as text."""
