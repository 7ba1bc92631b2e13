"""Partition keys in the names of files: what a name is written from is found in it again."""

from __future__ import annotations

import fnmatch

import pytest

from loader.spec.file_keys import find_keys, glob_of
from loader.spec.file_patterns import file_name, have_places
from loader.spec.periods import Dimension, Grain
from loader.sql.datatypes import DataType


def times(grain: Grain, **options: str) -> Dimension:
    return Dimension("at", "at", DataType("timestamptz"), grain=grain, **options)  # type: ignore[arg-type]


ORIGIN = Dimension("origin", "origin", DataType("varchar"))
SHARD = Dimension("shard", "shard", DataType("integer"))


@pytest.mark.parametrize(
    ("grain", "key", "name"),
    [
        ("day", "2013-01-02", "{at}.csv"),
        ("day", "2013-01-02", "{at:%Y/%m/%d}.csv"),
        ("day", "2013-01-02", "a/{at:%Y}/{at}-{{x}}.csv"),
        ("day", "2013-02-03", "{at:%Y}/{at:%j}"),
        ("day", "2013-02-03", "{at:%y%m%d}"),
        ("day", "2013-02-03", "{at:%Y%%[%m]%d}"),
        ("hour", "2013-01-02-05:00", "{at:%Y%m%d%H}"),
        ("hour", "2013-01-02-05:00", "{at}"),
        ("minute", "2013-01-02-05:06", "{at:%Y%m%dT%H%M}"),
        ("week", "2013-01-07", "{at:%G-W%V}"),
        ("month", "2013-02", "{at}"),
        ("month", "2013-02", "{at:%Y-%b}"),
        ("quarter", "2013-Q2", "{at}"),
        ("quarter", "2013-Q2", "{at:%Y-%m}"),
        ("year", "2013", "{at}"),
        ("year", "2013", "{at:%Y}/{at}"),
    ],
)
def test_a_key_is_found_in_the_name_it_was_written_into(grain: Grain, key: str, name: str) -> None:
    """The names of all partitions match one pattern, and each tells its partition."""
    dimension = times(grain)
    written = file_name(name, [dimension], {"at": key}).replace("[[]", "[")
    assert fnmatch.fnmatchcase(written, glob_of(name))
    assert find_keys(name, [dimension], written) == {"at": key}


def test_weeks_that_begin_on_another_day() -> None:
    """The week's own first day is found, though its name is that of an ISO week."""
    week = times("week", week_start="sunday", timezone="Pacific/Auckland")
    written = file_name("{at:%G-W%V}", [week], {"at": "2013-01-06"})
    assert find_keys("{at:%G-W%V}", [week], written) == {"at": "2013-01-06"}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("in/JFK/7-a.csv", {"origin": "JFK", "shard": "7"}),
        ("in/J[F]*K/07-.csv", {"origin": "J[F]*K", "shard": "07"}),
        ("in/JFK/x-a.csv", None),
        ("in/JFK/LGA/7-a.csv", None),
        ("out/JFK/7-a.csv", None),
        ("in/JFK/7-a.csv.gz", None),
    ],
)
def test_values_are_found_as_they_are(path: str, keys: dict[str, str] | None) -> None:
    """A name that does not fit, or holds what is no key of its dimension, tells no partition."""
    assert find_keys("in/{origin}/{shard}-*.csv", [ORIGIN, SHARD], path) == keys


@pytest.mark.parametrize(
    ("name", "path", "found"),
    [
        ("**/{at}.csv", "a/b/2013.csv", True),
        ("**/{at}.csv", "2013.csv", True),
        ("a?[0-9]/{at}", "ab1/2013", True),
        ("a?[!0-9]/{at}", "ab1/2013", False),
        ("a[/{at}", "a[/2013", True),
        ("{at}/{at}", "2013/2013", True),
        ("{at}/{at}", "2013/2014", False),
        ("{at:%Y-%m}.csv", "2013-02.csv", False),
    ],
)
def test_patterns_around_a_key(name: str, path: str, found: bool) -> None:
    """Wildcards mean what they mean when files are listed; all places of a name agree."""
    assert (find_keys(name, [times("year")], path) is not None) is found


def test_names_have_places_or_none() -> None:
    """A placeholder of another name is none, and neither is one that is wrong."""
    day = [times("day")]
    assert have_places(["a.csv", "{at}.csv"], day)
    assert not have_places(["a.csv", "{other}.csv", "{", "{{at}}"], day)
    assert not have_places([], day)
