"""Keys in the paths of files: folders of Hive, placeholders, and what is not one value."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.spec import file_patterns
from loader.spec.path_keys import FilePath, PathKeyError, PathValue, keys_of


def value(path: str, key: str, *patterns: str) -> str | None:
    """The text of a key without a format."""
    found = FilePath(path, patterns).value(key)
    assert found.format == ""
    return found.text


def refusal(path: str, key: str, *patterns: str) -> str:
    """Why a path has no value of a key."""
    with pytest.raises(PathKeyError) as caught:
        FilePath(path, patterns).value(key)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("day=2026-01-01/x.csv", "day", "2026-01-01"),
        ("/data/region=eu/day=2026-01-01/x.csv", "region", "eu"),
        ("s3://b/p/day=2026-01-01/part-0.parquet", "day", "2026-01-01"),
        ("Day=5/x.csv", "day", "5"),
        ("day=1/DAY=2/x.csv", "day", "1"),
        ("day=1/x/day=1/y.csv", "day", "1"),
        ("at=2026-01-01%2010%3A00%3A00/x.csv", "at", "2026-01-01 10:00:00"),
        ("city=S%C3%A3o%20Paulo%2FSP/x.csv", "city", "São Paulo/SP"),
        ("share=50%/x.csv", "share", "50%"),
        ("a%20b=1/x.csv", "a b", "1"),
        ("x=a=b/y.csv", "x", "a=b"),
        ("x=/y.csv", "x", ""),
        ("day=__HIVE_DEFAULT_PARTITION__/x.csv", "day", None),
        ("", "day", None),
    ],
)
def test_folders_of_hive(path: str, key: str, expected: str | None) -> None:
    """A folder `key=value` is the value, percent-decoded; standard input has NULL."""
    assert value(path, key) == expected


@pytest.mark.parametrize(
    ("path", "key", "why"),
    [
        ("a/x.csv", "day", "has no `day`"),
        ("day=1/region=2/x.csv", "dai", "has no `dai`, only day, region"),
        ("data/day=1.csv", "day", "has no `day`"),
        ("=1/x.csv", "", "has no ``"),
        ("day=1/day=2/x.csv", "day", "has more than one `day`: `1` and `2`"),
        ("city=S%E3o/x.csv", "city", "has `S%E3o`, which is not percent-encoded UTF-8"),
    ],
)
def test_what_is_no_value_is_told(path: str, key: str, why: str) -> None:
    """A missing key, two values of one, and bytes that are no text are never guessed."""
    assert refusal(path, key) == why


@given(st.text(min_size=1))
def test_what_hive_writes_is_read_back(text: str) -> None:
    """Any text that is percent-encoded in a path is the value."""
    if text not in ("__HIVE_DEFAULT_PARTITION__",) and text.isprintable():
        assert value(f"k={quote(text, safe='')}/x.csv", "k") == text


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("orders/{region}/x.csv", "orders/eu/x.csv", {"region": "eu"}),
        ("orders/{region}/x.csv", "/home/p/orders/eu/x.csv", {"region": "eu"}),
        ("./orders/{region}/x.csv", "../orders/eu/x.csv", {"region": "eu"}),
        ("s3://b/{region}/*.csv", "s3://b/eu/1.csv", {"region": "eu"}),
        ("{region}-{shop}.csv", "data/eu-1.csv", {"region": "eu", "shop": "1"}),
        ("{region}/{shop}-{region}.csv", "eu/1-eu.csv", {"region": "eu", "shop": "1"}),
        ("**/{region}/[ab]?-*.csv", "x/y/eu/b1-z.csv", {"region": "eu"}),
        ("{{x}}/{region}.csv", "{x}/eu.csv", {"region": "eu"}),
        ("region={region}/x.csv", "region=a%20b/x.csv", {"region": "a b"}),
        ("{region}/x.csv", "__HIVE_DEFAULT_PARTITION__/x.csv", {"region": None}),
        ("{day:%Y}/{day}/x.csv", "2026/2026-01-02/x.csv", {"day": "2026-01-02"}),
    ],
)
def test_placeholders(pattern: str, path: str, expected: dict[str, str | None]) -> None:
    """What stands in the place of a placeholder is the value, wherever the path begins."""
    assert {key: value(path, key, pattern) for key in expected} == expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("{d:%Y%m%d}.csv", "20260102.csv", PathValue("20260102", "%Y%m%d")),
        ("{d:%Y/%m/%d}/*.csv", "x/2026/01/02/y.csv", PathValue("2026/01/02", "%Y/%m/%d")),
        ("{d:%Y}/{d:%m}-{d:%d}.csv", "2026/01-02.csv", PathValue("2026-01-02", "%Y-%m-%d")),
        ("{d:%d%b%Y}.csv", "02Jan2026.csv", PathValue("02Jan2026", "%d%b%Y")),
        ("{d:%H.%M%%}.csv", "10.30%.csv", PathValue("10.30%", "%H.%M%%")),
        ("a-{d:%Y-%m-%d}.csv", "a-2026-01-02.csv", PathValue("2026-01-02", "%Y-%m-%d")),
    ],
)
def test_placeholders_with_a_format(pattern: str, path: str, expected: PathValue) -> None:
    """The text comes with its format; several places of one date are one text and one format."""
    assert FilePath(path, (pattern,)).value("d") == expected


@pytest.mark.parametrize(
    ("pattern", "path", "why"),
    [
        ("{a}-{b}.csv", "x-y-z.csv", "has more than one `a`: `x` and `x-y`"),
        ("{a}/{a}.csv", "x/y.csv", "has no `a`"),
        ("{d:%Y%m%d}.csv", "2026-1-2.csv", "has no `d`"),
        ("orders/{a}.csv", "returns/x.csv", "has no `a`"),
        ("/orders/{a}.csv", "x/orderz/y.csv", "has no `a`"),
    ],
)
def test_paths_that_leave_a_placeholder_open(pattern: str, path: str, why: str) -> None:
    """A path of another pattern has no value, and one that can be read in two ways has none."""
    key = "d" if "{d" in pattern else "a"
    assert refusal(path, key, pattern) == why


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("orders/{region}/day=*/x.csv", {"region", "day"}),
        ("orders/d[ab]y=*/x.csv", None),
        ("orders/*/x.csv", None),
        ("orders/**/x.csv", None),
        ("orders/*.csv", set()),
        ("orders/day=1-*.csv", set()),
        ("{k}=1/x.csv", None),
        ("day={at}/{at:%Y/%m}.csv", {"day", "at"}),
    ],
)
def test_which_keys_the_files_of_a_pattern_have(pattern: str, expected: set[str] | None) -> None:
    """A pattern tells the keys of all its files, unless its folders leave it open."""
    assert keys_of(pattern) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("{region}/{d:%Y%m%d}.csv", "*/" + "[0-9]" * 8 + ".csv"),
        ("[ab]/{d:%b %d%%[}.csv", "[ab]/* [0-9][0-9]%[[].csv"),
        ("{d:%Y/%m}/*", "[0-9][0-9][0-9][0-9]/[0-9][0-9]/*"),
    ],
)
def test_a_placeholder_that_is_no_dimension_is_a_pattern(name: str, expected: str) -> None:
    """Files are listed by what a placeholder may stand for."""
    keys = set(re.findall(r"\{(\w+)", name))
    assert list(file_patterns.problems(name, (), keys)) == []
    assert file_patterns.file_name(name, (), {}) == expected
