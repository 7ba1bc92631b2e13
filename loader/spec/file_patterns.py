"""Names of files with placeholders: ``data/{region}/orders-{date}.csv``, ``{day:%Y/%m}/*``.

A placeholder that is the name of a dimension is replaced by the partition key. Any other stands for
whatever is there, for a column with ``from: path.<placeholder>``. After a colon, a placeholder can
have a strftime format, for dimensions with a grain and for dates. Literal braces are doubled.
"""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from string import Formatter
from zoneinfo import ZoneInfo

from loader.errors import PlanError
from loader.redaction import find_credentials
from loader.spec.partition_keys import parse_key
from loader.spec.periods import Dimension, Window
from loader.sql.datatypes import DataType


@dataclass(frozen=True)
class Place:
    """A placeholder, and the text before it."""

    before: str
    dimension: str | None
    """What it is called, also where it is no dimension; None at the end of the name."""
    format: str


def have_places(names: Sequence[str], dimensions: Sequence[Dimension]) -> bool:
    """Whether file names hold partition keys, so that each partition has its own files."""
    known = {dimension.name for dimension in dimensions}
    for name in names:
        with suppress(ValueError):  # what is wrong with a name is found by `problems`
            if any(place.dimension in known for place in split_name(name)):
                return True
    return False


def problems(
    name: str, dimensions: Sequence[Dimension], keys: Collection[str] = (), *, placed: bool = True
) -> Iterator[tuple[str, str | None]]:
    """What is wrong with a file name for a table with these dimensions: messages and hints.

    Args:
        name: The name, or pattern, of files.
        dimensions: Those of the table.
        keys: What columns take from the paths of files; these may have placeholders too.
        placed: Whether every dimension has a placeholder, so that each partition has its own files.
    """
    if any(True for _ in find_credentials(name)):
        yield (
            "a file name contains a password or a key, which everybody can read in the spec",
            "write s3://bucket/key; boto3 finds the credentials",
        )
        return
    try:
        places = [place for place in split_name(name) if place.dimension is not None]
    except ValueError as error:
        yield f"`{name}`: {error}", "write {{ and }} for braces that are no placeholder"
        return
    known = {dimension.name: dimension for dimension in dimensions}
    wrong = False
    for place in places:
        assert place.dimension is not None
        dimension = known.get(place.dimension)
        if dimension is None:
            if place.dimension not in keys:
                wrong = True
                yield _unknown(place.dimension, [*known, *sorted(keys)])
        elif place.format and dimension.grain is None:
            yield (
                f"`{place.dimension}` has no grain, so `{place.format}` cannot write its keys",
                f"write {{{place.dimension}}}",
            )
    if wrong or not placed:
        return
    for dimension in dimensions:
        formats = [place.format for place in places if place.dimension == dimension.name]
        if not formats:
            yield (
                f"`{name}` has no place for the partitions of `{dimension.name}`",
                f"write {{{dimension.name}}} where the files of one partition differ from those of"
                " the next",
            )
        elif dimension.grain and all(formats) and not _tells_apart(dimension, formats):
            yield (
                f"`{name}` gives several partitions of `{dimension.name}` the same file",
                f"its format must be different for each {dimension.grain}",
            )


def file_name(name: str, dimensions: Sequence[Dimension], keys: Mapping[str, str]) -> str:
    """The file name, or pattern, of one partition; keys by dimension.

    A placeholder that is no dimension becomes a pattern of what it may stand for.

    Raises:
        PlanError: a key is not valid for its dimension, or not in a file name.
    """
    known = {dimension.name: dimension for dimension in dimensions}
    parts = []
    for place in split_name(name):
        parts.append(place.before)
        if place.dimension in known:
            dimension = known[place.dimension]
            parts.append(_written(dimension, keys[dimension.name], place.format))
        elif place.dimension is not None:
            parts.append(glob_of_format(place.format))
    return "".join(parts)


def period_start(dimension: Dimension, key: object) -> datetime:
    """The start of a partition of a dimension with a grain, in the time zone of its keys.

    Raises:
        PlanError: the key is not one of the grain.
    """
    cell = parse_key(replace(dimension, data_type=DataType("timestamptz")), key).cell
    assert isinstance(cell, Window)
    assert isinstance(cell.start, datetime)
    return cell.start.astimezone(ZoneInfo(dimension.timezone))


def split_name(name: str) -> list[Place]:
    """The placeholders of a name; the last may be text alone.

    Raises:
        ValueError: braces are not closed, or hold something else.
    """
    found = []
    for before, field, format_, conversion in Formatter().parse(name):
        if field is not None and (not field or conversion or "{" in (format_ or "")):
            raise ValueError("a placeholder holds a name, and a format behind a colon")
        found.append(Place(before, field, format_ or ""))
    return found


def _unknown(name: str, known: Sequence[str]) -> tuple[str, str | None]:
    to_column = f"give a column `from: path.{name}`"
    if not known:
        return (
            f"`{{{name}}}` is no partition of the table, and no column takes it from the path",
            f"add partition_by, or {to_column}",
        )
    close = difflib.get_close_matches(name, known, n=1)
    return (
        f"`{{{name}}}` is no dimension, and no column takes it from the path",
        f"did you mean `{{{close[0]}}}`?" if close else f"{to_column}; known: {', '.join(known)}",
    )


def glob_of_format(format_: str) -> str:
    """A pattern of the texts in a format; of any text without one."""
    if not format_:
        return "*"

    def replace_part(part: re.Match[str]) -> str:
        if part[1] is None:
            return glob.escape(part[0])
        return "%" if part[1] == "%" else "[0-9]" * DIGITS.get(part[1], 0) or "*"

    return re.sub(r"%(.)|[*?\[]", replace_part, format_)


DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3, "y": 2, "G": 4, "V": 2}
"""Directives that strftime writes with so many digits."""


def _written(dimension: Dimension, key: str, format_: str) -> str:
    if format_:
        text = period_start(dimension, key).strftime(format_)
    else:
        text = parse_key(dimension, key).key
        if text in (".", "..") or any(mark in text for mark in "/\\\0"):
            raise PlanError(
                f"the partition key `{text}` of `{dimension.name}` cannot be used in the name of a"
                " file",
                hint="keys of partitions that are read from files are without slashes",
            )
    return glob.escape(text)


def _tells_apart(dimension: Dimension, formats: Sequence[str]) -> bool:
    """Whether no two periods of a sample are written alike."""
    first = datetime(2013, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=day) for day in range(31)]
    months = [first.replace(month=month) for month in range(1, 13)]
    years = [first.replace(year=year) for year in (2012, 2014)]
    hours = [first + timedelta(hours=hour) for hour in range(24)]
    match dimension.grain:
        case "minute":
            sample = [first + timedelta(minutes=minute) for minute in range(60)]
            sample += hours + days + months
        case "hour":
            sample = hours + days + months
        case "day":
            sample = days + months
        case "week":
            sample = [first + timedelta(weeks=week) for week in range(52)]
        case "month":
            sample = months
        case "quarter":
            sample = months[::3]
        case _:
            sample = []
    distinct = dict.fromkeys([first, *sample, *years])
    return len({tuple(map(moment.strftime, formats)) for moment in distinct}) == len(distinct)
