"""File names with places for partition keys; what is refused is in ``cases/specs/bad``."""

from __future__ import annotations

import pytest

from loader.errors import PlanError
from loader.spec import file_patterns
from loader.spec.periods import Dimension, Grain
from loader.sql.datatypes import DataType


def times(grain: Grain, timezone: str = "UTC", kind: str = "timestamptz") -> Dimension:
    return Dimension("at", "at", DataType(kind), grain=grain, timezone=timezone)


ORIGIN = Dimension("origin", "origin", DataType("varchar"))


@pytest.mark.parametrize(
    ("grain", "key", "name", "expected"),
    [
        ("day", "2013-01-02", "{at}.csv", "2013-01-02.csv"),
        ("day", "2013-01-02", "{at:%Y/%m/%d}.csv", "2013/01/02.csv"),
        ("day", "2013-01-02", "{at:%Y}/{at}-{{x}}.csv", "2013/2013-01-02-{x}.csv"),
        ("hour", "2013-01-02-05:00", "{at:%Y%m%d%H}", "2013010205"),
        ("hour", "2013-01-02-05:00", "{at}", "2013-01-02-05:00"),
        ("minute", "2013-01-02-05:06", "{at:%Y%m%dT%H%M}", "20130102T0506"),
        ("week", "2013-01-07", "{at:%G-W%V}", "2013-W02"),
        ("month", "2013-02-01", "{at}", "2013-02"),
        ("quarter", "2013-04-01", "{at}", "2013-Q2"),
        ("year", "2013-01-01", "{at}", "2013"),
    ],
)
def test_a_name_of_a_period(grain: Grain, key: str, name: str, expected: str) -> None:
    """A place holds the key as messages write it, or the period's start in a format."""
    assert list(file_patterns.problems(name, [times(grain)])) == []
    assert file_patterns.file_name(name, [times(grain)], {"at": key}) == expected


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz", "varchar"])
def test_a_format_is_in_the_zone_of_the_keys(kind: str) -> None:
    """Whatever the column is, a name tells the day on the clocks of its partition keys."""
    day = times("day", "Pacific/Auckland", kind)
    assert file_patterns.file_name("{at:%d %H}", [day], {"at": "2013-01-02"}) == "02 00"


def test_keys_are_no_patterns() -> None:
    """A key with the characters of a pattern stands for itself; those of the name stay."""
    found = file_patterns.file_name("[ab]/{origin}-*.csv", [ORIGIN], {"origin": "J*K?[1]"})
    assert found == "[ab]/J[*]K[?][[]1]-*.csv"


@pytest.mark.parametrize("key", ["..", ".", "a/b", "a\\b"])
def test_keys_that_would_leave_the_folder(key: str) -> None:
    """A key is a part of a name, never of a path."""
    with pytest.raises(PlanError, match="cannot be used in the name of a file"):
        file_patterns.file_name("data/{origin}", [ORIGIN], {"origin": key})


@pytest.mark.parametrize(
    ("grain", "name", "fine"),
    [
        ("day", "{at:%y%m%d}", True),
        ("day", "{at:%Y}/{at:%j}", True),
        ("day", "{at:%Y%m}", False),
        ("day", "{at:%m%d}", False),
        ("day", "{at:%Y-%m-%a}", False),
        ("hour", "{at:%Y%m%d%H}", True),
        ("hour", "{at:%Y%m%d}", False),
        ("minute", "{at:%Y%m%d%H%M}", True),
        ("minute", "{at:%Y%m%d%H}", False),
        ("week", "{at:%G%V}", True),
        ("week", "{at:%Y%m}", False),
        ("month", "{at:%Y-%b}", True),
        ("month", "{at:%Y}", False),
        ("quarter", "{at:%Y-%m}", True),
        ("year", "{at:%Y}", True),
        ("year", "{at:%m}", False),
        ("month", "{at:%Y}/{at}", True),
    ],
)
def test_a_format_tells_partitions_apart(grain: Grain, name: str, fine: bool) -> None:
    """Two partitions never have the same file, so a format tells all that the grain does."""
    messages = [message for message, _ in file_patterns.problems(name, [times(grain)])]
    assert messages == (
        [] if fine else [f"`{name}` gives several partitions of `at` the same file"]
    )
