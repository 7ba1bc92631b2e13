"""Casts single values to dates, times, time stamps and intervals, exactly."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from loader.data.cast.errors import (
    CastError,
    CastOptions,
    check_null_marker,
    type_mismatch,
    with_article,
)
from loader.sql import time_formats
from loader.sql.datatypes import DataType

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6}0*)?)?"
_STAMP = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"([T ](?P<clock>\d{2}(:\d{2}(:\d{2}(\.\d{1,6}0*)?)?)?)(?P<zone>Z|[+-]\d{2}(:?\d{2})?)?)?",
    re.ASCII,
)
_TIME = re.compile(_CLOCK)
_TIME_ZONED = re.compile(_CLOCK + r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)")


_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_UNITS = "d|day|h|hr|hour|m|min|minute|s|sec|second|ms|msec|millisecond|us|usec|microsecond"
_INTERVALS = {
    # Such as 3 years 2 months, or 3-2.
    "interval year to month": re.compile(
        rf"\s*(?:[+-]?[0-9]+-[0-9]+|(?:{_NUMBER}\s*(?:y|yr|year|mon|month)s?\s*)+)\s*",
        re.IGNORECASE,
    ),
    # Such as 1 day 02:03:04.5, 2 hours 30 minutes, or 1 02:03:04.
    "interval day to second": re.compile(
        rf"\s*(?=\S)(?:{_NUMBER}\s*(?:{_UNITS})s?\s*)*(?:{_NUMBER}(?:\s+|$))?"
        r"(?:[+-]?[0-9]+:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?\s*",
        re.IGNORECASE,
    ),
}


def cast_date(value: Any, data_type: DataType, options: CastOptions) -> date:
    """A date; from time stamps at midnight and from ISO text as well."""
    match value:
        case datetime():
            if value.tzinfo is not None:
                raise CastError(
                    "has a time zone, which a date cannot keep; convert it to a date in one zone"
                )
            if value.time() != time():
                raise CastError("has a time of day, which a date cannot keep")
            return value.date()
        case date():
            return date(value.year, value.month, value.day)
        case str():
            return _parse_date(value, options)
        case _:
            raise type_mismatch(value, data_type)


def _parse_date(text: str, options: CastOptions) -> date:
    written = options.date_format if options.text else None
    try:
        if written:
            stamp = time_formats.parse(text, written)
            return cast_date(stamp, DataType("date"), options)
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except CastError:
        raise
    except ValueError:
        pass
    raise CastError(f"is not a date{_describe_format(written)}")


def _describe_format(written: str | None) -> str:
    """The expected format as the end of an error, where a spec declares one."""
    return f" written as {written}" if written else ""


def cast_timestamp(value: Any, data_type: DataType, options: CastOptions) -> datetime:
    """A time stamp without a zone."""
    stamp = _to_datetime(value, data_type, options)
    if stamp.tzinfo is not None:
        raise CastError(
            "has a time zone, which a timestamp cannot keep; declare the column timestamptz"
        )
    return stamp


def cast_timestamptz(value: Any, data_type: DataType, options: CastOptions) -> datetime:
    """A time stamp in UTC; one without a zone is in the zone of the options, if they have one."""
    stamp = _to_datetime(value, data_type, options)
    if stamp.utcoffset() is None:
        if options.timezone is None:
            raise CastError(
                "has no time zone; set source: {timezone: …}, or declare the column timestamp"
            )
        stamp = _localize_time(stamp.replace(tzinfo=None), options.timezone)
    try:
        return stamp.astimezone(UTC)
    except OverflowError:
        raise CastError("is outside the years 1 to 9999 in UTC") from None


def _localize_time(stamp: datetime, zone: str) -> datetime:
    """Attach a zone to a local time that exists there exactly once."""
    first = stamp.replace(tzinfo=ZoneInfo(zone), fold=0)
    second = first.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) != stamp:
        raise CastError(f"does not exist in {zone}: the clocks skipped it")
    raise CastError(f"occurs twice in {zone}, where the clocks went back; add its UTC offset")


def _to_datetime(value: Any, data_type: DataType, options: CastOptions) -> datetime:
    match value:
        case datetime():
            return value
        case date():
            return datetime(value.year, value.month, value.day)
        case str():
            return _parse_stamp(value, data_type, options)
        case _:
            raise type_mismatch(value, data_type)


def _parse_stamp(text: str, data_type: DataType, options: CastOptions) -> datetime:
    written = options.timestamp_format if options.text else None
    try:
        if written:
            return time_formats.parse(text, written)
        if match := _STAMP.fullmatch(time_formats.without_zeros(text)):
            naive = datetime.fromisoformat(f"{match['date']}T{match['clock'] or '00'}")
            if match["zone"] is None:
                return naive
            offset = time.fromisoformat(f"00:00{match['zone']}").tzinfo
            return naive.replace(tzinfo=offset)
    except ValueError:
        pass
    _check_precision(text)
    raise CastError(f"is not {with_article(data_type)}{_describe_format(written)}")


def _check_precision(text: str) -> None:
    """Reject times with more than six decimals."""
    if re.search(r":[0-9]{2}[.,][0-9]{6}0*[1-9]", text):
        raise CastError("is finer than a microsecond")


def cast_time(value: Any, data_type: DataType, _: CastOptions) -> time:
    """A time of day without a zone."""
    match value:
        case time():
            if value.tzinfo is not None:
                raise CastError(
                    "has a time zone, which a time cannot keep; declare the column timetz"
                )
            return value
        case str():
            try:
                if _TIME.fullmatch(value):
                    return time.fromisoformat(time_formats.without_zeros(value))
            except ValueError:
                pass
            _check_precision(value)
            raise CastError("is not a time, HH:MM or HH:MM:SS with up to 6 decimals")
        case _:
            raise type_mismatch(value, data_type)


def cast_timetz(value: Any, data_type: DataType, _: CastOptions) -> str:
    """A time of day with its offset, as text."""
    match value:
        case time():
            if value.utcoffset() is None:
                raise CastError("has no offset from UTC, which a timetz needs")
            return value.isoformat()
        case str():
            try:
                if _TIME_ZONED.fullmatch(value):
                    text = time_formats.without_zeros(value)
                    time.fromisoformat(text)
                    return text
            except ValueError:
                pass
            _check_precision(value)
            raise CastError("is not a timetz, HH:MM:SS with an offset such as +01:00")
        case _:
            raise type_mismatch(value, data_type)


def cast_interval(value: Any, data_type: DataType, options: CastOptions) -> str:
    """An interval as text; a duration has days to seconds, a calendar interval only months."""
    if isinstance(value, str):
        if not _INTERVALS[data_type.name].fullmatch(value):
            raise CastError(f"is not {with_article(data_type)}")
        if re.search(r"\.[0-9]{6}0*[1-9]", value):
            raise CastError("is finer than a microsecond")
        return check_null_marker(time_formats.without_zeros(value), options)
    if type(value).__name__ == "MonthDayNano":
        return _format_calendar_interval(value, data_type)
    if not isinstance(value, timedelta):
        raise type_mismatch(value, data_type)
    if data_type.name == "interval year to month":
        raise CastError(f"is a duration of days, not {with_article(data_type)}")
    return format_interval(value)


def _format_calendar_interval(value: Any, data_type: DataType) -> str:
    months, days, nanoseconds = value
    if data_type.name == "interval year to month":
        if days or nanoseconds:
            raise CastError(f"has days or hours; {data_type} takes only months")
        return f"{months} months"
    if months or nanoseconds % 1000:
        raise CastError(
            f"has months, or is finer than a microsecond; not {with_article(data_type)}"
        )
    return format_interval(timedelta(days=days, microseconds=nanoseconds // 1000))


def format_interval(value: timedelta) -> str:
    """A duration as text that both dialects parse; every field carries the sign.

    >>> format_interval(timedelta(days=1, hours=2)), format_interval(timedelta(hours=-26))
    ('1 days 02:00:00.000000', '-1 days -02:00:00.000000')
    """
    sign, size = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(size.seconds, 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{size.microseconds:06}"
    return f"{sign}{size.days} days {sign}{clock}"
