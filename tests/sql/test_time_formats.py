"""Formats of dates and time stamps: which are read, which are refused, and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from string import ascii_letters

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.sql import time_formats

GOOD = [
    "%Y-%m-%d",
    "%d/%m/%Y %H:%M:%S.%f",
    "%a, %d %b %Y %H:%M:%S %z",
    "%B %d, %Y %I:%M %p",
    "%Y%m%d%H%M%S%f",
    "%Y%j",
    "%G-W%V-%u",
    "%A %W %Y",
    "%U %w %Y",
    "%d.%m.%Y %H Uhr",
    "%Y-%m-%d %H:%M UTC",
    "%d.%m.%Y 100%%",
]
BAD = [
    ("%Y-%m-%d %H:%M %Z", "%Z.*drops.*%z.*timezone"),
    ("%Y-%m-%d %H:%M %p", "AM or PM and drops it.*%I"),
    ("%Y-%m-%d %p", "without an hour"),
    ("%Y-%m-%d %I:%M", "`%I` without `%p`"),
    ("%Y-%m-%d %H %I %p", "hour twice"),
    ("%Y-%m-%d %M", "`%M` without `%H or %I`"),
    ("%Y-%m-%d %H:%S", "`%S` without `%M`"),
    ("%Y-%m-%d %H:%M.%f", "`%f` without `%S`"),
    ("%Y-%W", "ignores the week"),
    ("%Y-%U %H:%M", "ignores the week"),
    ("%Y-%m-%d %W", "ignores the week"),
    ("%Y-%m-%d %W %a", "is repeated"),
    ("%y-%m-%d", "century.*%Y"),
    ("%x", "differs between machines"),
    ("%c", "differs between machines"),
    ("%Y-%m-%d %X", "%H:%M:%S"),
    ("%F %T", "%Y-%m-%d.*%H:%M:%S"),
    ("%-d.%-m.%Y", "%d, %m"),
    ("%Y-%m-%d%", "directives: %Y"),
    ("%d.%m.", "no year"),
    ("", "no year"),
    ("%Y", "is missing"),
    ("%Y-%m", "is missing"),
    ("%Y %d", "is missing"),
    ("%G-%m-%d", "is missing"),
    ("%Y-%m-%d %j", "is repeated"),
    ("%Y-%m-%b-%d", "is repeated"),
    ("%Y-%G-%V-%u", "is repeated"),
    ("%Y %Y-%m-%d", "`%Y` is in .* twice"),
]


@pytest.mark.parametrize("written", GOOD)
def test_formats_that_say_everything_are_read(written: str) -> None:
    """A format whose directives tell one moment, each once, is read."""
    assert time_formats.check(written, zoned=True) == written


@pytest.mark.parametrize(("written", "why"), BAD, ids=[b[0] for b in BAD])
def test_formats_that_strptime_guesses_or_drops_are_refused(written: str, why: str) -> None:
    """What strptime reads and ignores, or makes up, is refused with the reason and a way out."""
    with pytest.raises(ValueError, match=rf"(?s){why}"):
        time_formats.check(written, zoned=True)


def test_every_directive_is_allowed_or_refused_with_a_way_out() -> None:
    """There is no letter that passes unseen, and none that is both allowed and refused."""
    for name in ascii_letters:
        found = list(time_formats.problems(f"%Y-%m-%d %{name}", zoned=True))
        known = name in time_formats.ALLOWED
        assert known or (f"%{name}" in found[0][0] and found[0][1])
    assert not time_formats.ALLOWED.keys() & time_formats.REFUSED.keys()


def test_dates_take_no_offset() -> None:
    """An offset has no place in a date."""
    with pytest.raises(ValueError, match=r"offset.*a date loses"):
        time_formats.check("%Y-%m-%d %z", zoned=False)


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
stamps = st.datetimes(datetime(1000, 1, 1)) | st.datetimes(datetime(1000, 1, 1), timezones=offsets)


@given(stamp=stamps, written=st.sampled_from(GOOD))
def test_what_is_read_is_what_is_written(stamp: datetime, written: str) -> None:
    """Text of a good format gives the stamp it was written from, as far as the format tells it."""
    names = time_formats.directives(written)
    if ("z" in names) != (stamp.tzinfo is not None):
        stamp = stamp.replace(tzinfo=UTC if "z" in names else None)
    text = stamp.strftime(written)
    found = time_formats.parse(text, written)
    assert found.strftime(written) == text
    assert found.date() == stamp.date()
    assert found.tzinfo == stamp.tzinfo or found.utcoffset() == stamp.utcoffset()


@given(day=st.dates(date(1000, 1, 1)), shift=st.integers(1, 6))
def test_a_weekday_that_is_not_the_dates_is_refused(day: date, shift: int) -> None:
    """A weekday beside a date is held against it."""
    wrong = (day + timedelta(shift)).strftime("%A")
    with pytest.raises(ValueError, match="does not match"):
        time_formats.parse(f"{wrong} {day.isoformat()}", "%A %Y-%m-%d")
