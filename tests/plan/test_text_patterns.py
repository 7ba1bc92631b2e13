"""Patterns of text that warehouses cast: never more than what staging takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.data.cast.errors import CastError, CastOptions
from loader.data.cast.exact import make_caster
from loader.plan.text_patterns import text_pattern
from loader.sql.datatypes import NAMES, parse

TYPES = (
    "smallint",
    "integer",
    "bigint",
    "decimal(1,0)",
    "decimal(9,2)",
    "decimal(5,5)",
    "decimal(18,0)",
    "decimal(38,37)",
    "decimal(38,0)",
    "real",
    "double precision",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
)

ALIKE = st.text("0123456789+-.,eETZ: truefalsyno\n", max_size=30)
"""Texts that look like values."""


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=20)
@given(data=st.data())
def test_what_matches_is_what_staging_takes(kind: str, decimal: str, data: st.DataObject) -> None:
    """Text that a pattern matches is cast by staging too, and fits the field that holds it."""
    data_type = parse(kind)
    pattern = text_pattern(data_type, decimal)
    assert pattern is not None
    text = data.draw(st.from_regex(pattern, fullmatch=True))
    make_caster(data_type, CastOptions(text=True, decimal=decimal))(text)
    assert len(text.encode()) < 250


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=50)
@given(text=ALIKE)
def test_what_staging_refuses_does_not_match(kind: str, text: str) -> None:
    """Text that staging refuses matches no pattern."""
    data_type = parse(kind)
    try:
        make_caster(data_type, CastOptions(text=True))(text)
    except CastError:
        assert not re.fullmatch(text_pattern(data_type) or "", text)


USUAL = {
    "smallint": ["0", "-32768", "32767", "007", "+1"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "1445078208190291973"],
    "decimal(9,2)": ["0", "-1.5", "1234567.89", "1.500", ".5", "0.10"],
    "real": ["1", "-0.5", "1e-07", "1.5e+16"],
    "double precision": ["0.1", "-1.7976931348623157e+99", "5e-324"[:4]],
    "boolean": ["true", "FALSE", "t", "0", "1", "No"],
    "date": ["2024-02-29", "0001-01-01", "9999-12-31", "2000-02-29"],
    "timestamp": ["2026-01-01 00:00:00", "2026-01-01T23:59:59.999999", "2026-01-01"],
    "timestamptz": ["2026-01-01T00:00:00Z", "2026-01-01 00:00:00.5+05:30", "9999-12-31T00:00:00Z"],
}


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, many in USUAL.items() for t in many])
def test_usual_spellings_match(kind: str, text: str) -> None:
    """What programs write is read in place."""
    assert re.fullmatch(text_pattern(parse(kind)) or "", text)


UNUSUAL = {
    "smallint": ["", " 1", "1 ", "32768", "-32769", "1.0", "1e2", "1_000", "\uff11"],
    "decimal(9,2)": ["1.005", "12345678", "1e2", "1,5", "NaN", "-", ".", "5."],
    "real": ["NaN", "inf", "1e39", "0x1p3"],
    "boolean": ["on", "off", "2", "truey"],
    "date": ["2023-02-29", "1900-02-29", "0000-01-01", "2026-1-1", "20260101", "2026-01-01 00:00"],
    "timestamp": ["2026-01-01T24:00:00", "2026-01-01 00:00:60", "2026-01-01T00:00:00Z"],
    "timestamptz": ["2026-01-01 00:00:00", "0001-01-01 00:00:00+05", "9999-12-31 23:00:00-05"],
}


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, many in UNUSUAL.items() for t in many])
def test_unusual_spellings_do_not_match(kind: str, text: str) -> None:
    """What a cast may read in another way than staging does not match."""
    assert not re.fullmatch(text_pattern(parse(kind)) or "", text)


def test_engines_read_the_patterns_alike() -> None:
    """Patterns have no backslash and no anchor, and repeat at most 255 times."""
    for kind in TYPES:
        pattern = text_pattern(parse(kind)) or ""
        assert not re.search(r"[\\$^]", pattern)
        assert all(int(count) <= 255 for count in re.findall(r"[{,](\d+)}", pattern))


def test_other_types_are_not_cast() -> None:
    """Types of which no cast is known to be exact have no pattern; text needs none."""
    known = {parse(kind).name for kind in TYPES}
    without = set(NAMES) - known - {"varchar"}
    assert {text_pattern(parse(kind)) for kind in without} == {None}
    assert text_pattern(parse("decimal(19,2)")) is None
    assert text_pattern(parse("varchar(5)")) == ""
