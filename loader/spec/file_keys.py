"""The partition keys in the names of files, found by the names that a spec gives for them."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from loader.errors import PlanError
from loader.spec.file_patterns import DIGITS, file_name, glob_of_format, split_name
from loader.spec.partition_keys import parse_key
from loader.spec.periods import Dimension, period_key, start_of_period


def glob_of(name: str) -> str:
    """The pattern of all files, whatever their placeholders stand for."""
    return "".join(
        place.before + (glob_of_format(place.format) if place.dimension else "")
        for place in split_name(name)
    )


def find_keys(name: str, dimensions: Sequence[Dimension], path: str) -> Mapping[str, str] | None:
    """The partition that a file belongs to, keys by dimension; None if its name tells none.

    Args:
        name: The name of the files in the spec, with placeholders.
        dimensions: The table's dimensions, each of which has a placeholder.
        path: The name of one file, as it follows from the spec's: relative or absolute as that is.
    """
    regex, groups = _compile(name)
    match = regex.fullmatch(path)
    if match is None:
        return None
    keys = {}
    for dimension in dimensions:
        places = [(group, format_) for group, named, format_ in groups if named == dimension.name]
        texts = [(match[group], format_) for group, format_ in places]
        key = next(_candidates(dimension, texts), None)
        if key is None:
            return None
        keys[dimension.name] = key
    return keys


def _candidates(dimension: Dimension, texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The keys that are written as these texts, each in its format; at most one in practice."""
    plain = [text for text, format_ in texts if not format_]
    for key in plain or _formatted(dimension, texts):
        try:
            if all(_write(dimension, key, format_) == glob.escape(text) for text, format_ in texts):
                yield parse_key(dimension, key).key
        except PlanError:
            continue


def _formatted(dimension: Dimension, texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    text, format_ = "\n".join(one for one, _ in texts), "\n".join(one for _, one in texts)
    # A week has no day, and strptime asks for one.
    days = ("", *map(str, range(1, 8))) if "%V" in format_ else ("",)
    for day in days:
        try:
            naive = datetime.strptime(f"{text}{day}", f"{format_}{'%u' if day else ''}")
        except ValueError:
            continue
        local = naive.replace(tzinfo=ZoneInfo(dimension.timezone))
        yield period_key(dimension, start_of_period(dimension, local))


def _write(dimension: Dimension, key: str, format_: str) -> str:
    place = f"{dimension.name}:{format_}" if format_ else dimension.name
    return file_name(f"{{{place}}}", [dimension], {dimension.name: key})


@lru_cache(maxsize=1_000)
def _compile(name: str) -> tuple[re.Pattern[str], tuple[tuple[str, str, str], ...]]:
    """A name as a regular expression; its groups, with the dimension and format of each."""
    parts: list[str] = []
    groups: list[tuple[str, str, str]] = []
    for place in split_name(name):
        parts.append(translate_glob(place.before))
        if place.dimension:
            group = f"g{len(groups)}"
            groups.append((group, place.dimension, place.format))
            parts.append(f"(?P<{group}>{translate_format(place.format) or '[^/]+?'})")
    return re.compile("".join(parts), re.DOTALL), tuple(groups)


def translate_format(format_: str) -> str:
    """A strftime format as a regular expression of the texts that it writes."""

    def replace(part: re.Match[str]) -> str:
        if part[1] is None or part[1] == "%":
            return re.escape(part[0][-1])
        return rf"\d{{{DIGITS[part[1]]}}}" if part[1] in DIGITS else r"[^/]+?"

    return re.sub(r"%(.)|[^%]", replace, format_, flags=re.DOTALL)


def translate_glob(text: str) -> str:
    """A part of a glob as a regular expression."""

    def replace(part: re.Match[str]) -> str:
        match part[0]:
            case "**/":
                return "(?:.*/)?"
            case "**":
                return ".*"
            case "*":
                return "[^/]*"
            case "?":
                return "[^/]"
        inner = re.sub(r"([\\\[&~|])", r"\\\1", part["inner"] or "")
        if not inner:
            return re.escape(part[0])
        return f"[{'^' if part['negated'] else ''}{inner}]"

    pattern = r"\*\*/|\*\*|\*|\?|\[(?P<negated>!?)(?P<inner>\]?[^\]]*)\]|."
    return re.sub(pattern, replace, text, flags=re.DOTALL)
