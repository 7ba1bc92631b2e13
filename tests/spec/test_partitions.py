"""Slices: which part of a table keys name, in every grain, type and time zone."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, product
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loader.errors import PlanError
from loader.spec import periods, ranges
from loader.spec.partition_keys import canonical_key, cell_name, locate, parse_key
from loader.spec.partitions import Box, Part, Slice, make_slice, placeholder
from loader.spec.periods import (
    KEYS_OF_GRAIN,
    WEEKDAYS,
    Dimension,
    Grain,
    Partition,
    Window,
    partitions_between,
)
from loader.spec.ranges import parse_range
from loader.sql import datatypes

ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Havana",
    "Pacific/Auckland",
]


def dimension(data_type: str = "date", grain: str | None = None, **options: Any) -> Dimension:
    """A dimension over the column ``d``."""
    parsed = datatypes.parse(data_type)
    return Dimension("d", "d", parsed, column="d", grain=grain, **options)  # type: ignore[arg-type]  # a literal from a table of cases


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(dim: Dimension, key: object) -> Window:
    cell = parse_key(dim, key).cell
    assert isinstance(cell, Window)
    return cell


NEW_YORK, SAO_PAULO = "America/New_York", "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("grain", "key", "start", "end"),
    [
        ("day", "2013-01-31", date(2013, 1, 31), date(2013, 2, 1)),
        ("day", date(2012, 2, 28), date(2012, 2, 28), date(2012, 2, 29)),
        ("day", datetime(2013, 1, 1), date(2013, 1, 1), date(2013, 1, 2)),
        ("day", "2013-01-01T00:00:00", date(2013, 1, 1), date(2013, 1, 2)),
        ("day", "2013-01-01 00:00", date(2013, 1, 1), date(2013, 1, 2)),
        ("day", "2013-01-01T00:00:00Z", date(2013, 1, 1), date(2013, 1, 2)),
        ("week", "2013-01-07", date(2013, 1, 7), date(2013, 1, 14)),
        ("week", "2013-W01", date(2012, 12, 31), date(2013, 1, 7)),
        ("week", "2020-W53", date(2020, 12, 28), date(2021, 1, 4)),
        ("month", "2013-12", date(2013, 12, 1), date(2014, 1, 1)),
        ("month", "2013-12-01", date(2013, 12, 1), date(2014, 1, 1)),
        ("quarter", "2013-Q4", date(2013, 10, 1), date(2014, 1, 1)),
        ("quarter", "2013-q1", date(2013, 1, 1), date(2013, 4, 1)),
        ("quarter", "2013-07-01", date(2013, 7, 1), date(2013, 10, 1)),
        ("year", "2013", date(2013, 1, 1), date(2014, 1, 1)),
        ("year", "2013-01-01", date(2013, 1, 1), date(2014, 1, 1)),
        ("year", "0999", date(999, 1, 1), date(1000, 1, 1)),
    ],
)
def test_keys_of_dates(grain: str, key: object, start: date, end: date) -> None:
    """A key of a date column is the half-open range of days of its period."""
    assert window(dimension("date", grain), key) == Window(start, end)


@pytest.mark.parametrize(
    ("zone", "grain", "key", "start", "end"),
    [
        ("UTC", "minute", "2013-01-01-23:59", "2013-01-01T23:59", "2013-01-02T00:00"),
        (NEW_YORK, "minute", "2013-03-10-01:59", "2013-03-10T06:59", "2013-03-10T07:00"),
        (NEW_YORK, "minute", "2013-11-03-01:59-0400", "2013-11-03T05:59", "2013-11-03T06:00"),
        ("UTC", "hour", "2013-01-01-23:00", "2013-01-01T23:00", "2013-01-02T00:00"),
        ("UTC", "hour", "2013-01-01T23:00:00", "2013-01-01T23:00", "2013-01-02T00:00"),
        # 23 and 25 hours
        (NEW_YORK, "day", "2013-03-10", "2013-03-10T05:00", "2013-03-11T04:00"),
        (NEW_YORK, "day", "2013-11-03", "2013-11-03T04:00", "2013-11-04T05:00"),
        (NEW_YORK, "week", "2013-11-04", "2013-11-04T05:00", "2013-11-11T05:00"),
        (NEW_YORK, "month", "2013-03", "2013-03-01T05:00", "2013-04-01T04:00"),
        (NEW_YORK, "quarter", "2013-Q1", "2013-01-01T05:00", "2013-04-01T04:00"),
        (NEW_YORK, "year", "2013", "2013-01-01T05:00", "2014-01-01T05:00"),
        (NEW_YORK, "hour", "2013-03-10-01:00", "2013-03-10T06:00", "2013-03-10T07:00"),
        (NEW_YORK, "hour", "2013-03-10-03:00", "2013-03-10T07:00", "2013-03-10T08:00"),
        # the repeated hour, by its offset
        (NEW_YORK, "hour", "2013-11-03-01:00-0400", "2013-11-03T05:00", "2013-11-03T06:00"),
        (NEW_YORK, "hour", "2013-11-03-01:00-05:00", "2013-11-03T06:00", "2013-11-03T07:00"),
        (NEW_YORK, "hour", "2013-11-03T06:00Z", "2013-11-03T06:00", "2013-11-03T07:00"),
        # no midnight: the day starts at 01:00
        (SAO_PAULO, "day", "2018-11-03", "2018-11-03T03:00", "2018-11-04T03:00"),
        (SAO_PAULO, "day", "2018-11-04", "2018-11-04T03:00", "2018-11-05T02:00"),
        (SAO_PAULO, "month", "2018-11", "2018-11-01T03:00", "2018-12-01T02:00"),
        # clocks that move by half an hour
        ("Australia/Lord_Howe", "hour", "2013-04-07-01:00", "2013-04-06T14:00", "2013-04-06T15:30"),
        ("Australia/Lord_Howe", "hour", "2013-10-06-02:00", "2013-10-05T15:30", "2013-10-05T16:00"),
        ("Asia/Kolkata", "hour", "2013-01-01-05:00", "2012-12-31T23:30", "2013-01-01T00:30"),
    ],
)
def test_keys_of_instants(zone: str, grain: str, key: str, start: str, end: str) -> None:
    """A key of a timestamptz column is the range of instants of its local period."""
    found = window(dimension("timestamptz", grain, timezone=zone), key)
    assert found == Window(utc(start), utc(end))


@pytest.mark.parametrize(
    ("data_type", "grain", "options", "key", "start", "end"),
    [
        ("timestamp", "day", {}, "2013-01-01", datetime(2013, 1, 1), datetime(2013, 1, 2)),
        (
            "timestamp",
            "day",
            {"timezone": NEW_YORK},
            "2013-03-10",
            datetime(2013, 3, 10, 5),
            datetime(2013, 3, 11, 4),
        ),
        (
            "timestamp",
            "day",
            {"timezone": NEW_YORK, "column_timezone": NEW_YORK},
            "2013-03-10",
            datetime(2013, 3, 10),
            datetime(2013, 3, 11),
        ),
        ("varchar", "day", {}, "2013-12-31", "2013-12-31", "2014-01-01"),
        ("char(8)", "day", {"format": "%Y%m%d"}, "2013-12-31", "20131231", "20140101"),
        ("varchar", "month", {"format": "%Y-%m"}, "2013-12", "2013-12", "2014-01"),
        ("varchar", "hour", {}, "2013-01-01-05:00", "2013-01-01 05:00:00", "2013-01-01 06:00:00"),
        (
            "varchar",
            "hour",
            {"timezone": NEW_YORK, "column_timezone": "UTC", "format": "%Y%m%d%H"},
            "2013-01-01-05:00",
            "2013010110",
            "2013010111",
        ),
    ],
)
def test_bounds_are_in_the_columns_own_terms(
    data_type: str, grain: str, options: dict[str, Any], key: str, start: object, end: object
) -> None:
    """Bounds compare with the bare column: naive in its zone, or text in its format."""
    assert window(dimension(data_type, grain, **options), key) == Window(start, end)  # type: ignore[arg-type]  # bounds from a table of cases


@pytest.mark.parametrize(
    ("dim", "key", "message"),
    [
        (dimension("date", "day"), "2013-1-1", "the partition key `2013-1-1` of `d` is not a day"),
        (
            dimension("date", "day"),
            "2013-02-30",
            "the partition key `2013-02-30` of `d` is not a day",
        ),
        (dimension("date", "day"), "", "the partition key `` of `d` is not a day"),
        (dimension("date", "day"), "2013-01", "the partition key `2013-01` of `d` is not a day"),
        (
            dimension("date", "month"),
            "2013-13",
            "the partition key `2013-13` of `d` is not a month",
        ),
        (
            dimension("date", "day"),
            "2013-01-01T05:00",
            "the partition key `2013-01-01T05:00` of `d` is not the start of a day",
        ),
        (
            dimension("date", "week"),
            "2013-01-08",
            "the partition key `2013-01-08` of `d` is not the start of a week"
            " (weeks start on monday; partition_by has week_start)",
        ),
        (
            dimension("date", "week", week_start="sunday"),
            "2013-W02",
            "the partition key `2013-W02` of `d` is not the start of a week (weeks start on sunday;"
            " partition_by has week_start)",
        ),
        (
            dimension("date", "month"),
            "2013-01-02",
            "the partition key `2013-01-02` of `d` is not the start of a month",
        ),
        (
            dimension("date", "week"),
            "2013-W54",
            "the partition key `2013-W54` of `d` is not a week",
        ),
        (
            dimension("timestamptz", "hour", timezone=NEW_YORK),
            "2013-03-10-02:00",
            "the hour `2013-03-10-02:00` does not exist in America/New_York: the clocks skipped it",
        ),
        (
            dimension("timestamptz", "day", timezone="Pacific/Apia"),
            "2011-12-30",
            "there was no `2011-12-30` in Pacific/Apia: the clocks skipped it",
        ),
        (
            dimension("timestamp", "hour", timezone=NEW_YORK, column_timezone=NEW_YORK),
            "2013-11-03-01:00-0500",
            "the partition `2013-11-03-01:00-0500` is ambiguous in `d`: the clocks of"
            " America/New_York show that hour twice",
        ),
        (
            dimension("timestamp", "hour", timezone=NEW_YORK, column_timezone=NEW_YORK),
            "2013-11-03-01:00-0400",
            "the partition `2013-11-03-01:00-0500` is ambiguous in `d`: the clocks of"
            " America/New_York show that hour twice",
        ),
        (
            dimension("date", "day"),
            "9999-12-31",
            "the partition `9999-12-31` reaches past the dates there are",
        ),
        (
            dimension("timestamptz", "year", timezone="Asia/Tokyo"),
            "0001",
            "the partition `0001` reaches past the dates there are",
        ),
        (
            dimension("date", "week", week_start="sunday"),
            "0001-01-03",
            "the week of `0001-01-03` starts before the dates there are",
        ),
    ],
)
def test_keys_that_name_no_period_are_refused(dim: Dimension, key: str, message: str) -> None:
    """A key that is not written as its grain, or not its period's start, is refused in words."""
    with pytest.raises(PlanError) as error:
        make_slice([dim], key)
    assert error.value.message == message


def test_a_key_inside_a_period_gets_its_start() -> None:
    """A time inside a period is answered with the key of that period."""
    with pytest.raises(PlanError) as error:
        parse_key(dimension("date", "quarter"), "2013-05-17")
    assert error.value.hint == "the quarter that holds it starts at `2013-Q2`"


@pytest.mark.parametrize(
    ("data_type", "key", "value"),
    [
        ("smallint", "7", 7),
        ("integer", "-7", -7),
        ("bigint", 2**40, 2**40),
        ("decimal(9,2)", "1.50", Decimal("1.50")),
        ("decimal(9,2)", 2, Decimal(2)),
        ("boolean", "TRUE", True),
        ("boolean", False, False),
        ("varchar", "it's; \\ \n", "it's; \\ \n"),
        ("varchar", "", ""),
        ("date", "2013-01-01", date(2013, 1, 1)),
        ("date", date(2013, 1, 1), date(2013, 1, 1)),
        ("timestamp", "2013-01-01T05:00", datetime(2013, 1, 1, 5)),
        ("timestamptz", "2013-01-01T05:00+01:00", datetime(2013, 1, 1, 4, tzinfo=UTC)),
    ],
)
def test_keys_without_a_grain_are_values(data_type: str, key: object, value: object) -> None:
    """Without a grain a key is one value of the column's type."""
    found = parse_key(dimension(data_type), key).cell
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("data_type", "key"),
    [
        ("integer", "1.5"),
        ("integer", "x"),
        ("integer", "٣"),
        ("integer", "1_000"),
        ("integer", True),
        ("decimal(9,2)", "nan"),
        ("decimal(9,2)", "1e5"),
        ("boolean", "yes"),
        ("boolean", ""),
        ("date", "01.02.2013"),
        ("date", datetime(2013, 1, 1)),
        ("timestamp", "2013-01-01T00:00Z"),
        ("timestamptz", "2013-01-01T00:00"),
        ("timestamptz", datetime(2013, 1, 1)),
        ("varchar", "a\0b"),
        ("varchar", None),
        ("varchar", b"x"),
    ],
)
def test_values_of_another_type_are_refused(data_type: str, key: object) -> None:
    """A key that is no value of the column's type is refused with an example."""
    with pytest.raises(PlanError, match="is not a") as error:
        parse_key(dimension(data_type), key)
    assert error.value.hint is not None


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("2013-01-30..2013-02-02", "d=2013-01-30..2013-02-02"),
        (["2013-01-01", "2013-01-02"], "d=2013-01-01..2013-01-02"),
        (["2013-01-03", "2013-01-01"], "d=2013-01-01, d=2013-01-03"),
        (["2013-01-01", "2013-01-01"], "d=2013-01-01"),
        ("2013-01-01..2013-01-01", "d=2013-01-01"),
        ({"d": ["2013-01-01", "2013-01-05"]}, "d=2013-01-01, d=2013-01-05"),
        ([{"d": "2013-01-01"}, {"d": "2013-01-02"}], "d=2013-01-01..2013-01-02"),
        (
            ["2013-01-01", "2013-01-03", "2013-01-05", "2013-01-07"],
            "d=2013-01-01, d=2013-01-03, … d=2013-01-07 (4 partitions)",
        ),
        ((key for key in ["2013-01-01"]), "d=2013-01-01"),
    ],
)
def test_ranges_and_lists(request_: Any, text: str) -> None:
    """Ranges hold both ends, lists are united, and what touches becomes one window."""
    found = make_slice([dimension("date", "day")], request_)
    assert str(found) == text
    assert len(found.boxes) == 1


@pytest.mark.parametrize(
    ("first", "last", "hours"),
    [
        ("2024-11-03-00:00", "2024-11-03-01:00-0400", 2),
        ("2024-11-03-00:00", "2024-11-03-01:00-0500", 3),
        ("2024-11-03-01:00-0400", "2024-11-03-01:00-0500", 2),
        ("2024-11-03-01:00-0500", "2024-11-03-02:00", 2),
        ("2024-03-10-01:00", "2024-03-10-03:00", 2),
    ],
)
def test_ranges_count_the_hours_that_clocks_show_twice(first: str, last: str, hours: int) -> None:
    """A range ends with the hour it names, not with the other one of the same name."""
    dim = dimension("timestamptz", "hour", timezone="America/New_York")
    assert len(make_slice([dim], f"{first}..{last}").keys) == hours


def test_a_span_of_time_is_its_periods() -> None:
    """A day of six hours' shift is 24 hours of the table; what cuts a period is refused."""
    hours = dimension("timestamptz", "hour", timezone="America/New_York")
    zone = ZoneInfo("America/New_York")
    start, end = datetime(2024, 11, 2, 6, tzinfo=zone), datetime(2024, 11, 3, 6, tzinfo=zone)
    assert len(partitions_between(hours, start, end)) == 25
    assert partitions_between(hours, start, start) == ()
    (found,) = make_slice([hours], {"d": partitions_between(hours, start, end)}).boxes
    assert found.parts[0].windows == (Window(utc("2024-11-02T10:00"), utc("2024-11-03T11:00")),)
    days = dimension("timestamptz", "day", timezone="America/New_York")
    with pytest.raises(PlanError, match="not the start of a day"):
        partitions_between(days, start, end)


@pytest.mark.parametrize(
    ("dim", "listed"),
    [
        (dimension("date", "day"), True),
        (dimension("timestamp", "day"), True),
        (dimension("timestamp", "hour"), True),
        (dimension("timestamptz", "day"), False),
        (dimension("varchar(10)", "day"), False),
        (dimension("timestamp", "day", timezone="Asia/Tokyo"), False),
        (dimension("timestamp", "day", column_timezone="Asia/Tokyo"), False),
        (dimension("timestamp", "day", timezone="UTC", column_timezone="UTC"), True),
    ],
)
def test_many_windows_list_their_periods_where_the_column_shows_them(
    dim: Dimension, listed: bool
) -> None:
    """The starts are those of the periods asked for, one by one, though some windows touch."""
    for count in (10, 80):
        days = [date(2013, 1, 1) + timedelta(days=40 * n + m) for n in range(count) for m in (0, 1)]
        part = make_slice([dim], [str(day) for day in days]).boxes[0].parts[0]
        one_by_one = [window(dim, str(day)).start for day in days]
        assert list(part.starts) == (one_by_one if listed and count == 80 else [])


@pytest.mark.parametrize(
    "request_",
    [[], {"d": []}, (), {}, [{}], "2013-01-02..2013-01-01", "..", "2013-01-01..", set()],
)
def test_nothing_is_never_everything(request_: Any) -> None:
    """An empty request is an error, and never a slice without a predicate."""
    with pytest.raises(PlanError):
        make_slice([dimension("date", "day")], request_)


def test_parts_and_boxes_are_never_empty() -> None:
    """The types themselves refuse to hold nothing."""
    dim = dimension("date", "day")
    for made in (
        lambda: Part(dim),
        lambda: Part(dim, (1,), (Window(1, 2),)),  # type: ignore[arg-type]  # both at once is the point
        lambda: Box(()),
        lambda: Slice((), ()),
    ):
        with pytest.raises(PlanError):
            made()


DATE = Dimension("date", "day", datatypes.parse("date"), "day", "day")
ORIGIN = Dimension("origin", "origin", datatypes.parse("varchar(3)"), "origin")


@pytest.mark.parametrize(
    ("request_", "boxes", "keys"),
    [
        ({"date": "2013-01-01", "origin": "JFK"}, 1, 1),
        ("date=2013-01-01|origin=JFK", 1, 1),
        (["date=2013-01-01..2013-01-03", "origin=JFK", "origin=EWR"], 1, 6),
        ({"date": ["2013-01-01", "2013-01-03"], "origin": ["JFK", "EWR"]}, 1, 4),
        (["date=2013-01-01|origin=JFK", "date=2013-01-02|origin=EWR"], 2, 2),
        (["date=2013-01-01|origin=JFK", "date=2013-01-02|origin=JFK"], 1, 2),
        (
            [
                "date=2013-01-01|origin=JFK",
                "date=2013-01-01|origin=EWR",
                "date=2013-01-02|origin=EWR",
            ],
            2,
            3,
        ),
        ([{"date": "2013-01-01", "origin": "JFK"}, {"date": "2013-01-02", "origin": "EWR"}], 2, 2),
    ],
)
def test_two_dimensions(request_: Any, boxes: int, keys: int) -> None:
    """Single dimensions are crossed, full keys are united, in as few boxes as it takes."""
    found = make_slice([DATE, ORIGIN], request_)
    assert (len(found.boxes), len(found.keys)) == (boxes, keys)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("2013-01-01", "the partition `2013-01-01` does not name its dimension"),
        ("date=2013-01-01", "no key is given for the partition dimension `origin`"),
        (
            "day=2013-01-01|origin=JFK",
            "there is no dimension `day`; the table has `date`, `origin`",
        ),
        ({"date": "2013-01-01", "origin": []}, None),
        ([], "no key is given for the partition dimension `date`, `origin`"),
        ("date=2013-01-01|", "no key is given for the partition dimension `origin`"),
        ("JFK|date=2013-01-01", "the partition `JFK|date=2013-01-01` does not name its dimension"),
    ],
)
def test_two_dimensions_need_both(request_: Any, message: str | None) -> None:
    """A dimension that is missing, unknown or empty is an error."""
    with pytest.raises(PlanError) as error:
        make_slice([DATE, ORIGIN], request_)
    assert message is None or error.value.message.startswith(message)


@pytest.mark.parametrize("origin", ["B|2", "|", "a|b|", "dat=e|origins=1", "x=|=y"])
def test_a_bar_that_no_dimension_follows_is_part_of_the_key(origin: str) -> None:
    """With several dimensions a key may hold `|`, alone, before and behind another dimension."""
    wanted = make_slice([DATE, ORIGIN], {"date": "2013-01-01", "origin": origin})
    for request in (
        ["date=2013-01-01", f"origin={origin}"],
        f"date=2013-01-01|origin={origin}",
        f"origin={origin}|date=2013-01-01",
    ):
        assert make_slice([DATE, ORIGIN], request) == wanted


def test_a_placeholder_is_marked() -> None:
    """What a preview makes up says so, in every grain and type."""
    for grain in get_args(Grain):
        assert placeholder([dimension("timestamptz", grain, timezone=SAO_PAULO)]).placeholder
    assert str(placeholder([DATE, ORIGIN])) == "date=2013-01-01|origin=<origin>"
    assert not make_slice([DATE], "2013-01-01").placeholder
    assert set(KEYS_OF_GRAIN) == set(get_args(Grain))


def rows_of(found: Slice, universe: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    """Which rows the predicate of a slice is true for; every row by one box at most."""
    chosen = []
    for row in universe:
        hits = sum(
            all(
                value in part.values or any(w.start <= value < w.end for w in part.windows)
                for value, part in zip(row, box.parts, strict=True)
            )
            for box in found.boxes
        )
        assert hits <= 1, "boxes overlap"
        chosen += [row] * hits
    return set(chosen)


DAYS = [date(2013, 1, day) for day in range(1, 7)]
CELLS = list(product(DAYS, "ABC"))


@given(st.sets(st.sampled_from(CELLS), min_size=1))
def test_boxes_cover_exactly_the_cells_asked(cells: set[tuple[date, str]]) -> None:
    """Any union of cells becomes disjoint boxes that hold these cells and no other."""
    found = make_slice([DATE, ORIGIN], [{"date": day, "origin": name} for day, name in cells])
    assert rows_of(found, CELLS) == cells
    assert len(found.keys) == len(cells)


@given(st.sets(st.sampled_from(DAYS), min_size=1), st.sets(st.sampled_from("ABC"), min_size=1))
def test_a_grid_is_one_box(days: set[date], names: set[str]) -> None:
    """A full grid of keys is one box, whatever order it comes in."""
    found = make_slice([DATE, ORIGIN], {"date": list(days), "origin": list(names)})
    assert len(found.boxes) == 1
    assert rows_of(found, CELLS) == set(product(days, names))


MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2040, 1, 1))
GRAINS = st.sampled_from(get_args(Grain))


def dimensions(data_type: str, zone: str, grain: str, start: str) -> Dimension:
    options: dict[str, Any] = {"timezone": zone}
    if grain == "week":
        options["week_start"] = start
    return dimension(data_type, grain, **options)


@given(MOMENTS, st.sampled_from(ZONES), GRAINS, st.sampled_from(WEEKDAYS))
def test_locate_is_the_inverse_of_parse_key(
    moment: datetime, zone: str, grain: str, start: str
) -> None:
    """An instant lies in the window of the key that locate gives it, and its ends do not."""
    dim = dimensions("timestamptz", zone, grain, start)
    instant = moment.replace(tzinfo=UTC)
    found = window(dim, locate(dim, instant))
    assert isinstance(found.start, datetime)
    assert isinstance(found.end, datetime)
    assert found.start <= instant < found.end
    assert locate(dim, found.start) == locate(dim, instant)
    assert locate(dim, found.end - timedelta(microseconds=1)) == locate(dim, instant)
    assert locate(dim, found.end) != locate(dim, instant)


def holds_where_told_apart(dim: Dimension, value: Any) -> None:
    """The window of a value's key holds it, unless the clocks show that hour twice."""
    key = locate(dim, value)
    try:
        found = window(dim, key)
    except PlanError:
        with pytest.raises(PlanError, match="show that hour twice"):
            parse_key(dim, key)
        return
    assert found.start <= value < found.end


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(ZONES), GRAINS)
def test_locate_agrees_for_naive_columns(
    moment: datetime, zone: str, column_zone: str, grain: str
) -> None:
    """A naive time stamp lies in the window of its key, unless clocks show its hour twice."""
    dim = dimension("timestamp", grain, timezone=zone, column_timezone=column_zone)
    local = moment.replace(tzinfo=ZoneInfo(column_zone))
    back = local.astimezone(UTC).astimezone(ZoneInfo(column_zone)).replace(tzinfo=None)
    assume(back == moment)
    holds_where_told_apart(dim, moment)


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(ZONES), GRAINS)
def test_locate_agrees_for_text(moment: datetime, zone: str, column_zone: str, grain: str) -> None:
    """Text that writes a time lies in the window of its key, whatever zone it is written in."""
    written = "%Y%m%d%H%M%S"
    dim = dimension("varchar", grain, timezone=zone, column_timezone=column_zone, format=written)
    local = moment.replace(tzinfo=ZoneInfo(column_zone))
    back = local.astimezone(UTC).astimezone(ZoneInfo(column_zone)).replace(tzinfo=None)
    assume(back == moment)
    text = moment.strftime(written)
    holds_where_told_apart(dim, text)


@given(MOMENTS, st.integers(1, 30), st.sampled_from(ZONES), GRAINS, st.sampled_from(WEEKDAYS))
def test_consecutive_windows_tile(
    moment: datetime, count: int, zone: str, grain: str, start: str
) -> None:
    """The windows of a range follow one another without a gap or an overlap."""
    dim = dimensions("timestamptz", zone, grain, start)
    hours = {
        "minute": 1 / 60,
        "hour": 1,
        "day": 24,
        "week": 168,
        "month": 730,
        "quarter": 2190,
        "year": 8766,
    }
    first = moment.replace(tzinfo=UTC)
    last = first + timedelta(hours=hours[grain] * count)
    found = make_slice([dim], f"{locate(dim, first)}..{locate(dim, last)}")
    windows = [window(dim, key) for (key,) in found.keys]
    assert all(one.end == other.start for one, other in pairwise(windows))
    assert found.boxes[0].parts[0].windows == (Window(windows[0].start, windows[-1].end),)
    assert len({key for (key,) in found.keys}) == len(found.keys)


@given(st.text(max_size=25), GRAINS)
def test_any_key_parses_or_is_refused(key: str, grain: str) -> None:
    """No text makes the key parser fail in another way than by refusing it."""
    dim = dimension("timestamptz", grain, timezone=NEW_YORK)
    try:
        found = make_slice([dim], key)
    except PlanError:
        return
    assert found.boxes


@given(st.dates(), GRAINS, st.sampled_from(ZONES))
def test_any_date_parses_or_is_refused(day: date, grain: str, zone: str) -> None:
    """Dates at the ends of time are refused, not crashed on."""
    moment = datetime(day.year, day.month, day.day)
    for data_type in ("timestamp", "timestamptz", "varchar"):
        dim = dimension(data_type, grain, timezone=zone, column_timezone=NEW_YORK)
        with suppress(PlanError):
            assert make_slice([dim], day).boxes
        with suppress(PlanError):
            assert locate(dim, str(moment) if data_type == "varchar" else moment)


def test_a_text_that_is_no_time_is_in_no_partition() -> None:
    """A text column's value that does not follow its format belongs to no partition."""
    dim = dimension("varchar", "day")
    with pytest.raises(PlanError, match="is not a time written as `%Y-%m-%d`"):
        locate(dim, "01/02/2013")
    with pytest.raises(PlanError, match="is not a time"):
        locate(dim, 7)
    assert locate(dim, "2013-01-02T03:04:05") == "2013-01-02"


def test_located_values_are_keys() -> None:
    """Without a grain a value is its own key, written so that it parses again."""
    for data_type, value in [
        ("integer", 7),
        ("decimal(9,2)", Decimal("1.50")),
        ("boolean", True),
        ("date", date(2013, 1, 1)),
        ("timestamp", datetime(2013, 1, 1, 5)),
        ("timestamptz", datetime(2013, 1, 1, 5, tzinfo=UTC)),
        ("varchar", "a..b"),
    ]:
        dim = dimension(data_type)
        assert parse_key(dim, locate(dim, value)).cell == value  # type: ignore[arg-type]  # values from a table of cases
    assert parse_key(dimension("varchar"), "a..b") == Partition("a..b", "a..b")


# How keys and slices are written.


@pytest.mark.parametrize(
    ("data_type", "key", "text", "canonical"),
    [
        ("bigint", "007", "007", "7"),
        ("bigint", 7, "7", "7"),
        ("boolean", "FALSE", "FALSE", "false"),
        ("boolean", True, "true", "true"),
        ("varchar(9)", "A", "A", "A"),
        ("timestamp", datetime(2013, 1, 1, 5), "2013-01-01T05:00:00", "2013-01-01T05:00:00"),
        (
            "timestamptz",
            datetime(2013, 1, 1, 5, tzinfo=ZoneInfo("Asia/Kolkata")),
            "2012-12-31T23:30:00+00:00",
            "2012-12-31T23:30:00+00:00",
        ),
    ],
)
def test_a_key_is_shown_as_it_was_written(
    data_type: str, key: Any, text: str, canonical: str
) -> None:
    """A text stays as it is, a value gets one form; `canonical_key` is what `locate` gives."""
    dim = dimension(data_type)
    partition = parse_key(dim, key)
    assert not isinstance(partition.cell, Window)
    assert (partition.key, canonical_key(partition)) == (text, canonical)
    assert locate(dim, partition.cell) == canonical


@pytest.mark.parametrize(
    ("data_type", "key"),
    [
        ("timestamp", datetime(2013, 1, 1, tzinfo=UTC)),
        ("timestamptz", datetime(2013, 1, 1)),
        ("date", datetime(2013, 1, 1)),
        ("bigint", datetime(2013, 1, 1)),
        ("timestamp", date(2013, 1, 1)),
    ],
)
def test_a_time_with_or_without_a_zone_is_no_other(data_type: str, key: date) -> None:
    """An instant is no key of a naive column, nor a naive time one of instants."""
    with pytest.raises(PlanError, match="is not a"):
        parse_key(dimension(data_type), key)


def test_a_window_has_its_label_as_canonical_key() -> None:
    """A period is one partition, however its key was written."""
    assert canonical_key(parse_key(dimension(grain="month"), "2013-01-01")) == "2013-01"


def test_a_cell_is_written_as_a_request() -> None:
    """One dimension needs no name, several do, and the request names the same cell."""
    one, other = dimension(), Dimension("o", "o", datatypes.parse("varchar(3)"), column="o")
    assert cell_name([one], ["2013-01-01"]) == "2013-01-01"
    name = cell_name([one, other], ["2013-01-01", "JFK"])
    assert name == "d=2013-01-01|o=JFK"
    assert make_slice([one, other], name).keys == (("2013-01-01", "JFK"),)


def test_an_instant_is_a_key_in_the_zone_of_the_keys() -> None:
    """An aware key is moved to the zone; a naive one is a time there, and must exist."""
    dim = dimension("timestamptz", "hour", timezone=NEW_YORK)
    assert parse_key(dim, datetime(2013, 1, 1, 5, tzinfo=UTC)).key == "2013-01-01-00:00"
    assert parse_key(dim, datetime(2013, 1, 1, 5)).key == "2013-01-01-05:00"
    with pytest.raises(PlanError, match="does not exist"):
        parse_key(dim, datetime(2013, 3, 10, 2))


def test_a_day_starts_at_its_first_midnight() -> None:
    """Where clocks show midnight twice the day holds both."""
    dim = dimension("timestamptz", "day", timezone="America/Havana")
    second = datetime(2013, 11, 3, 0, tzinfo=ZoneInfo("America/Havana"), fold=1)
    assert locate(dim, second) == "2013-11-03"
    assert window(dim, second.replace(fold=0)).start == utc("2013-11-03 04:00")
    (found,) = partitions_between(dim, utc("2013-11-03 04:00"), utc("2013-11-04 05:00"))
    assert found.key == "2013-11-03"


def test_the_end_of_time_is_in_no_partition() -> None:
    """A moment whose local date would lie past the last date is refused, not a traceback."""
    dim = dimension("timestamptz", "day", timezone="Asia/Kolkata")
    with pytest.raises(PlanError, match="no partition"):
        locate(dim, datetime.max.replace(tzinfo=UTC))


def test_only_texts_may_be_spelled_otherwise() -> None:
    """A slice compares text when it asks for values of text: not for numbers, not for windows."""
    assert make_slice([dimension("varchar(9)")], "a").compares_text
    assert not make_slice([dimension("bigint")], "1").compares_text
    assert not make_slice([dimension("varchar(10)", "day")], "2013-01-01").compares_text


def test_a_slice_of_many_keys_is_shortened() -> None:
    """Up to three keys are named all, of more the first two, the last and how many."""
    dims = [dimension("varchar(9)")]
    assert str(make_slice(dims, ["a", "b", "c"])) == "d=a, d=b, d=c"
    many = str(make_slice(dims, ["a", "b", "c", "e"]))
    assert (many.startswith("d=a, d=b, "), "d=c" in many, "d=e (4" in many) == (True, False, True)


@given(
    MOMENTS,
    st.integers(1, 60),
    st.sampled_from(ZONES),
    GRAINS,
    st.sampled_from(WEEKDAYS),
    st.sampled_from(["timestamptz", "timestamp", "date"]),
)
def test_a_range_is_what_its_keys_are(
    moment: datetime, count: int, zone: str, grain: str, start: str, kind: str
) -> None:
    """The window of a range comes from its ends, and is that of all its keys, or both fail."""
    assume(kind != "date" or grain not in ("minute", "hour"))
    dim = dimensions(kind, zone, grain, start)
    hours = {"minute": 1 / 60, "hour": 1, "day": 24, "week": 168}.get(grain, 2190)
    first = moment.replace(tzinfo=UTC)
    text = f"{locate(dim, first)}..{locate(dim, first + timedelta(hours=hours * count))}"
    every: list[Partition] = []
    told = ""
    try:
        every = parse_range(dim, text)
    except PlanError as error:
        told = str(error)
    if told:
        with pytest.raises(PlanError) as caught:
            make_slice([dim], text)
        assert str(caught.value) == told
    else:
        found, listed = make_slice([dim], text), make_slice([dim], every)
        assert (found, str(found), repr(found.keys)) == (listed, str(listed), repr(listed.keys))
        assert hash(found) == hash(listed)


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK])
def test_a_long_range_makes_two_keys(kind: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten years of hours are one window: only the first and the last of them are made."""
    made: list[datetime] = []
    make = periods.period_partition

    def count(dim: Dimension, local: datetime) -> Partition:
        made.append(local)
        return make(dim, local)

    monkeypatch.setattr(ranges, "period_partition", count)
    monkeypatch.setattr(periods, "period_partition", count)
    dim = dimension(kind, "hour", timezone=zone)
    found = make_slice([dim], "2014-01-01-00:00..2023-12-31-23:00")
    assert str(found) == "d=2014-01-01-00:00..2023-12-31-23:00"
    assert found.has_several_keys
    assert len(made) == 2
