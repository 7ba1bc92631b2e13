"""Formats of strptime in which every part of the text counts, and nothing is guessed.

Python's strptime drops the name of a zone, an hour's AM or PM, a week without a weekday, and a
weekday that is not the date's; and it fills in what a format lacks. Such formats are refused when
a spec is read, and what strptime reads without looking is looked at again here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise

ALLOWED = {
    "Y": "year, four digits",
    "m": "month, 1 to 12",
    "d": "day of the month",
    "b": "month's short English name",
    "B": "month's English name",
    "j": "day of the year",
    "H": "hour, 0 to 23",
    "I": "hour, 1 to 12, with %p",
    "p": "AM or PM, with %I",
    "M": "minute",
    "S": "second",
    "f": "decimals of the second, up to 6 digits",
    "z": "offset from UTC, such as +0100, +01:00 or Z",
    "a": "weekday's short English name; it must be the date's",
    "A": "weekday's English name; it must be the date's",
    "u": "weekday, 1 (Monday) to 7; it must be the date's",
    "w": "weekday, 0 (Sunday) to 6; it must be the date's",
    "G": "year of the ISO week, with %V",
    "V": "ISO week, with %G and a weekday",
    "U": "week from Sunday on, with %Y and a weekday",
    "W": "week from Monday on, with %Y and a weekday",
    "%": "a percent sign",
}
"""Directive → what it reads."""

REFUSED = {
    "y": ("two digits have no century", "write years as four digits and use %Y"),
    "Z": (
        "strptime drops the name of the zone, which moves the time",
        "use %z for offsets; when the zone is always the same, write its name into the format, as"
        " in `%H:%M UTC`, and set source: {timezone: …}",
    ),
    "c": ("it differs between machines", "write its parts, as in %a %b %d %H:%M:%S %Y"),
    "x": ("it differs between machines and has two digits of the year", "write %d/%m/%Y"),
    "X": ("it differs between machines", "write %H:%M:%S"),
    "C": ("strptime does not read it", "use %Y"),
    "D": ("it has two digits of the year", "write %m/%d/%Y"),
    "F": ("strptime does not read it", "write %Y-%m-%d"),
    "T": ("strptime does not read it", "write %H:%M:%S"),
    "R": ("strptime does not read it", "write %H:%M"),
    "e": ("strptime does not read it", "%d reads one digit too"),
    "k": ("strptime does not read it", "%H reads one digit too"),
    "l": ("strptime does not read it", "%I reads one digit too"),
    "h": ("strptime does not read it", "use %b"),
    "L": ("strptime does not read it", "%f reads one to six decimals"),
    "N": ("strptime does not read it", "%f reads one to six decimals"),
    "s": ("strptime does not read it", "load seconds since 1970 into a bigint"),
    "-": ("strptime does not read it", "%d, %m and %H read one digit too, without `-`"),
}
"""Unsupported directive → reason and hint."""

_MONTHS, _WEEKDAYS, _HOURS = "mbB", "aAuw", "HI"
_DATES = (("Y", _MONTHS, "d"), ("Y", "j"), ("G", "V", _WEEKDAYS), ("Y", "UW", _WEEKDAYS))
"""What makes a date: one directive of each part."""
_FIXED = dict.fromkeys("mdHIMSUWV", 2) | {"Y": 4, "G": 4, "j": 3, "f": 6, "u": 1, "w": 1}
"""The most digits of a directive that is a number."""


def directives(written: str) -> list[str]:
    """The letters after the percent signs of a format, in order.

    >>> directives("%d.%m.%Y 100%%")
    ['d', 'm', 'Y', '%']
    """
    return re.findall(r"%(.?)", written, re.DOTALL)


def problems(written: str, *, zoned: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with a format: messages, which name it, and what to do about it.

    Args:
        written: A format of strptime.
        zoned: Whether values may have an offset, which dates have no place for.
    """
    found = directives(written)
    for name in dict.fromkeys(found):
        if name not in ALLOWED:
            why, hint = REFUSED.get(name, ("strptime does not read it", _listing()))
            yield f"`%{name}` is not supported in `{written}`: {why}", hint
        elif found.count(name) > 1 and name != "%":
            yield f"`%{name}` is in `{written}` twice", "write each part once"
    if not set(found) <= {*ALLOWED, "Z"}:
        return  # the meaning of the others is not known
    names = set(found) - {"%"}
    if "z" in names and not zoned:
        yield (
            f"`{written}` reads an offset from UTC, which a date loses",
            "load it into a timestamptz by timestamp_format",
        )
    yield from _date_problems(written, names)
    yield from _clock_problems(written, names)


def _listing() -> str:
    return "directives: " + ", ".join(f"%{name}" for name in ALLOWED)


def _date_problems(written: str, names: set[str]) -> Iterator[tuple[str, str]]:
    of_dates = names & set("YmdbBjGVUW")
    for parts in _DATES:
        picked = [names & set(part) for part in parts]
        if all(len(part) == 1 for part in picked) and of_dates <= set().union(*picked):
            return
    ways = "%Y-%m-%d, %Y %b %d, %Y-%j, %G-W%V-%u"
    if not names & set("YG"):
        yield f"`{written}` has no year", f"write a whole date, such as {ways}"
    elif of_dates & set("UW") and not names & set(_WEEKDAYS):
        yield f"`{written}` has a week but no day, and strptime ignores the week", f"write {ways}"
    else:
        yield (
            f"`{written}` does not define one date: a part is repeated, or is missing and would be"
            " filled in by strptime",
            f"write a whole date in one way, such as {ways}",
        )


def _clock_problems(written: str, names: set[str]) -> Iterator[tuple[str, str]]:
    if "p" in names and "H" in names:
        yield f"`{written}` reads AM or PM and drops it: `%H` counts to 23", "use %I with %p"
    elif "p" in names and "I" not in names:
        yield f"`{written}` has `%p` without an hour", "use %I with %p"
    if "I" in names and "H" in names:
        yield f"`{written}` has the hour twice", "use %H, or %I with %p"
    elif "I" in names and "p" not in names:
        yield f"`{written}` has `%I` without `%p`: 1 may be 1 or 13 o'clock", "use %H, or add %p"
    for part, whole in (("M", _HOURS), ("S", "M"), ("f", "S")):
        if part in names and not names & set(whole):
            needed = " or ".join(f"%{name}" for name in whole)
            yield f"`{written}` has `%{part}` without `{needed}`", f"add {needed}"


def parse(text: str, written: str) -> datetime:
    """The time stamp of a text in a format that has no `problems`.

    Decimals of the second may be more than six when the rest are zeros.

    Raises:
        ValueError: the text is not in the format, or names a weekday that is not the date's.

    >>> parse("Sat 01.02.2020", "%a %d.%m.%Y")
    datetime.datetime(2020, 2, 1, 0, 0)
    """
    if "%f" in written:
        text = without_zeros(text)
    stamp = datetime.strptime(text, written)  # a zone is only what the text says
    exact = _exact(written)
    if exact:
        again = re.sub(r"%(.)", lambda part: _literal(part[1], stamp, exact), written)
        datetime.strptime(text, again)
    return stamp


@lru_cache
def _exact(written: str) -> frozenset[str]:
    """The directives that strptime reads without holding them against the rest.

    These are weekdays and weeks, and numbers without anything between them, of which one with a
    digit less would shift the next.
    """
    names = {name for name in directives(written) if name in "aAuwGVUW"}
    for run in re.findall(r"(?:%[a-zA-Z]){2,}", written.replace("%%", "\0")):
        parts = run[1::2]
        for left, right in pairwise(parts):
            if left in _FIXED and right in _FIXED:
                names |= {left, right}
    return frozenset(names)


def _literal(name: str, stamp: datetime, exact: frozenset[str]) -> str:
    if name not in exact:
        return f"%{name}"
    if name == "Y":
        return f"{stamp.year:04}"
    return f"{stamp.isocalendar().year:04}" if name == "G" else stamp.strftime(f"%{name}")


def without_zeros(text: str) -> str:
    """Text without the zeros that follow six decimals of a second.

    >>> without_zeros("12:00:00.1234560"), without_zeros("12:00:00.1234567")
    ('12:00:00.123456', '12:00:00.1234567')
    """
    return re.sub(r"([.,][0-9]{6})0+(?![0-9])", r"\1", text)


def check(written: str, *, zoned: bool) -> str:
    """The format, when it has no problems.

    Raises:
        ValueError: it has some; all are named, with what to do.
    """
    found = [f"{message}; {hint}" for message, hint in problems(written, zoned=zoned)]
    if found:
        raise ValueError("; ".join(dict.fromkeys(found)))
    parse(_SAMPLE.strftime(written), written)
    return written


_SAMPLE = datetime(2013, 12, 31, 23, 59, 59, tzinfo=UTC)
