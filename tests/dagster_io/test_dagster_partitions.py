"""Partitions through Dagster: every kind of them, every kind of run, on every warehouse.

Whatever the partitions are, a run replaces them and no others by one DELETE and one COPY, and a run
that fails changes nothing. The cases say nothing of a warehouse.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pyarrow as pa
import pytest

from loader.dagster_io import TableIOManager
from loader.warehouse.base import Row
from tests.dagster_io.dagstertools import (
    COMMIT,
    COPY,
    DELETE,
    RANGE_END,
    RANGE_START,
    Break,
    Lab,
    MakeBench,
    Run,
    backfill_runs,
    instance,
    make_bench,
    ordered,
)

__all__ = ["instance", "make_bench"]

DAY = timedelta(days=1)
NEW_YORK = "America/New_York"
FAILED, RETRIED = dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY


# The kinds of partitions.


@dataclass(frozen=True)
class Kind:
    """A way to cut a table, and some of its partitions."""

    columns: Mapping[str, str]
    partition_by: Sequence[Mapping[str, Any]]
    definition: dg.PartitionsDefinition | None
    values: Mapping[str, Sequence[Row]]
    """What the partition columns hold in each partition, by Dagster's key and in its order."""
    one: str
    """The partition of a run of one."""
    span: Sequence[str]
    """The partitions of a run of several; a range goes from the first to the last."""
    dynamic: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Partitions that the instance has to be told of."""

    def spec(self, **changes: Any) -> dict[str, Any]:
        """The spec of a table of this kind."""
        columns = {"id": "integer", **self.columns, "word": "varchar(20)"}
        return {
            "schema": "s",
            "name": "t",
            "columns": [{"name": name, "data_type": kind} for name, kind in columns.items()],
            "partition_by": [dict(entry) for entry in self.partition_by],
            **changes,
        }

    def rows(self, keys: Sequence[str], word: str) -> list[Row]:
        """Two or three rows of each partition; without any those of the table that has none."""
        first = {key: 100 * number for number, key in enumerate(self.values)}
        return [
            (first[key] + n, *value, word)
            for key in keys or ([self.one] if self.definition is None else [])
            for n, value in enumerate(
                [*self.values[key], *self.values[key][: first[key] // 100 % 2]]
            )
        ]

    def others(self, keys: Sequence[str]) -> list[str]:
        """The partitions that are not among these."""
        return [key for key in self.values if key not in keys]


def texts(*keys: str) -> dict[str, Sequence[Row]]:
    """Partitions that are told by a text."""
    return {key: [(key,), (key,)] for key in keys}


def days(*spans: str, form: str = "%Y-%m-%d") -> dict[str, Sequence[Row]]:
    """Partitions of dates, by their first and last one."""
    found: dict[str, Sequence[Row]] = {}
    for span in spans:
        first, _, last = span.partition("..")
        ends = [date.fromisoformat(text) for text in (first, last or first)]
        found[ends[0].strftime(form)] = [(ends[0],), (ends[1],)]
    return found


def times(form: str, *starts: str, aware: bool = True) -> dict[str, Sequence[Row]]:
    """Partitions of times, each with its first and last microsecond.

    ``starts`` are keys with the UTC times when they begin; the last of them is only an end.
    """
    pairs = [start.split(" = ") for start in starts]
    instants = [datetime.fromisoformat(f"{start}+00:00") for _, start in pairs]
    found: dict[str, Sequence[Row]] = {}
    for (key, _), first, following in zip(pairs[:-1], instants[:-1], instants[1:], strict=True):
        ends = [first, following - timedelta(microseconds=1)]
        found[key.strip()] = [(e if aware else e.replace(tzinfo=None),) for e in ends]
    return found


def hours(first: str, count: int, zone: str) -> dict[str, Sequence[Row]]:
    """The hours of a zone, by Dagster's keys: an hour that comes again has its offset."""
    start = datetime.fromisoformat(f"{first}:00+00:00")
    found: dict[str, Sequence[Row]] = {}
    for number in range(count):
        begins = start + number * timedelta(hours=1)
        local = begins.astimezone(ZoneInfo(zone))
        key = local.strftime("%Y-%m-%d-%H:%M" + ("%z" if local.fold else ""))
        found[key] = [(begins,), (begins + timedelta(minutes=59, seconds=59, microseconds=999999),)]
    return found


def grain(name: str, **more: str) -> list[dict[str, str]]:
    return [{"expr": "p", "grain": name, **more}]


def cron(schedule: str, start: str, fmt: str, zone: str = "UTC") -> dg.PartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=schedule, start=start, fmt=fmt, timezone=zone
    )


EDGE = "%Y-%m-%d-%H:%M"
TODAY = datetime.now(UTC).date()
NASTY = (
    "O'Hare",
    "back\\slash\\",
    "'; DROP TABLE s.t; -- \\'",
    '"日本" é',
    " a..b=c%s{x}$1",
    "o'hare",
)
GRID = {
    f"2024-01-0{day}|{origin}": [(origin, date(2024, 1, day)), (origin, date(2024, 1, day))]
    for day in (1, 2, 3, 4)
    for origin in ("jfk", "o'x\\", "lga")
}
GRID_SPAN = ["2024-01-02|jfk", "2024-01-02|o'x\\", "2024-01-03|jfk", "2024-01-03|o'x\\"]

KINDS: Mapping[str, Kind] = {
    "static": Kind(
        {"p": "varchar(40)"},
        [{"expr": "p"}],
        dg.StaticPartitionsDefinition(["c", "a", "d", "b", "B"]),
        texts("c", "a", "d", "b", "B"),
        "b",
        ["a", "d", "b"],
    ),
    "static, odd characters": Kind(
        {"p": "varchar(40)"},
        [{"expr": "p"}],
        dg.StaticPartitionsDefinition(NASTY),
        texts(*NASTY),
        "back\\slash\\",
        NASTY[1:5],
    ),
    "static numbers": Kind(
        {"p": "integer"},
        [{"expr": "p"}],
        dg.StaticPartitionsDefinition(["-1", "007", "10", "2"]),
        {key: [(int(key),), (int(key),)] for key in ("-1", "007", "10", "2")},
        "007",
        ["007", "10"],
    ),
    "days": Kind(
        {"p": "date"},
        grain("day"),
        dg.DailyPartitionsDefinition("2024-02-28", end_date="2024-03-09"),
        days("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"),
        "2024-02-29",
        ["2024-02-29", "2024-03-01"],
    ),
    "days by equality": Kind(
        {"p": "date"},
        [{"expr": "p"}],
        dg.DailyPartitionsDefinition("2024-02-28", end_date="2024-03-09"),
        days("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"),
        "2024-02-29",
        ["2024-02-29", "2024-03-01"],
    ),
    "days in another form": Kind(
        {"p": "date"},
        grain("day"),
        dg.DailyPartitionsDefinition("28.02.2024", end_date="09.03.2024", fmt="%d.%m.%Y"),
        days("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", form="%d.%m.%Y"),
        "29.02.2024",
        ["29.02.2024", "01.03.2024"],
    ),
    "hours of a day of 23": Kind(
        {"p": "timestamptz"},
        grain("hour", timezone=NEW_YORK),
        dg.HourlyPartitionsDefinition(
            "2024-03-09-20:00", end_date="2024-03-12-00:00", timezone=NEW_YORK
        ),
        hours("2024-03-10T04", 25, NEW_YORK),
        "2024-03-10-03:00",
        list(hours("2024-03-10T05", 23, NEW_YORK)),
    ),
    "hours of a day of 25": Kind(
        {"p": "timestamptz"},
        grain("hour", timezone=NEW_YORK),
        dg.HourlyPartitionsDefinition(
            "2024-11-01-00:00", end_date="2024-11-06-00:00", timezone=NEW_YORK
        ),
        hours("2024-11-03T03", 27, NEW_YORK),
        "2024-11-03-01:00-0500",
        list(hours("2024-11-03T04", 25, NEW_YORK)),
    ),
    "days of a zone, times in UTC": Kind(
        {"p": "timestamp"},
        grain("day", timezone=NEW_YORK),
        dg.DailyPartitionsDefinition("2024-11-01", "2024-11-09", timezone=NEW_YORK),
        times(
            "%Y-%m-%d",
            "2024-11-01 = 2024-11-01T04:00",
            "2024-11-02 = 2024-11-02T04:00",
            "2024-11-03 = 2024-11-03T04:00",
            "2024-11-04 = 2024-11-04T05:00",
            "2024-11-05 = 2024-11-05T05:00",
            aware=False,
        ),
        "2024-11-03",
        ["2024-11-02", "2024-11-03"],
    ),
    "days that begin at one": Kind(
        {"p": "timestamptz"},
        grain("day", timezone="Africa/Cairo"),
        dg.DailyPartitionsDefinition("2024-04-01", "2024-05-01", timezone="Africa/Cairo"),
        times(
            "%Y-%m-%d",
            "2024-04-24 = 2024-04-23T22:00",
            "2024-04-25 = 2024-04-24T22:00",
            "2024-04-26 = 2024-04-25T22:00",
            "2024-04-27 = 2024-04-26T21:00",
            "2024-04-28 = 2024-04-27T21:00",
        ),
        "2024-04-26",
        ["2024-04-25", "2024-04-26"],
    ),
    "weeks from Sunday": Kind(
        {"p": "date"},
        grain("week", week_start="sunday"),
        dg.WeeklyPartitionsDefinition("2023-12-24"),
        days("2023-12-24..2023-12-30", "2023-12-31..2024-01-06", "2024-01-07..2024-01-13"),
        "2023-12-31",
        ["2023-12-31", "2024-01-07"],
    ),
    "weeks of a zone from Thursday": Kind(
        {"p": "timestamptz"},
        grain("week", week_start="thursday", timezone=NEW_YORK),
        dg.WeeklyPartitionsDefinition("2024-02-29", day_offset=4, timezone=NEW_YORK),
        times(
            "%Y-%m-%d",
            "2024-02-29 = 2024-02-29T05:00",
            "2024-03-07 = 2024-03-07T05:00",
            "2024-03-14 = 2024-03-14T04:00",
            "2024-03-21 = 2024-03-21T04:00",
        ),
        "2024-03-07",
        ["2024-02-29", "2024-03-07"],
    ),
    "months": Kind(
        {"p": "date"},
        grain("month"),
        dg.MonthlyPartitionsDefinition("2024-01-01"),
        days("2024-01-01..2024-01-31", "2024-02-01..2024-02-29", "2024-03-01..2024-03-31"),
        "2024-02-01",
        ["2024-02-01", "2024-03-01"],
    ),
    "quarters by cron": Kind(
        {"p": "date"},
        grain("quarter"),
        cron("0 0 1 */3 *", "2023-10", "%Y-%m"),
        days(
            "2023-10-01..2023-12-31",
            "2024-01-01..2024-03-31",
            "2024-04-01..2024-06-30",
            form="%Y-%m",
        ),
        "2024-01",
        ["2023-10", "2024-01"],
    ),
    "every sixth hour by cron": Kind(
        {"p": "timestamptz"},
        grain("hour", timezone=NEW_YORK),
        cron("0 */6 * * *", "2024-11-01-00:00", EDGE, NEW_YORK),
        times(
            EDGE,
            "2024-11-02-18:00 = 2024-11-02T22:00",
            "2024-11-03-00:00 = 2024-11-03T04:00",
            "2024-11-03-06:00 = 2024-11-03T11:00",
            "2024-11-03-12:00 = 2024-11-03T17:00",
            "2024-11-03-18:00 = 2024-11-03T23:00",
        ),
        "2024-11-03-00:00",
        ["2024-11-03-00:00", "2024-11-03-06:00"],
    ),
    "working days by cron": Kind(
        {"p": "date"},
        grain("day"),
        cron("0 0 * * 1-5", "2024-01-01", "%Y-%m-%d"),
        days("2024-01-04", "2024-01-05..2024-01-07", "2024-01-08", "2024-01-09"),
        "2024-01-05",
        ["2024-01-05", "2024-01-08"],
    ),
    "days from six in the morning": Kind(
        {"p": "timestamp"},
        grain("hour"),
        dg.DailyPartitionsDefinition("2024-01-01", hour_offset=6),
        times(
            "%Y-%m-%d",
            "2024-01-01 = 2024-01-01T06:00",
            "2024-01-02 = 2024-01-02T06:00",
            "2024-01-03 = 2024-01-03T06:00",
            "2024-01-04 = 2024-01-04T06:00",
            "2024-01-05 = 2024-01-05T06:00",
            aware=False,
        ),
        "2024-01-02",
        ["2024-01-02", "2024-01-03"],
    ),
    "days with that of today": Kind(
        {"p": "date"},
        grain("day"),
        dg.DailyPartitionsDefinition(str(TODAY - 2 * DAY), end_offset=1),
        days(*(str(TODAY - n * DAY) for n in (2, 1, 0))),
        str(TODAY),
        [str(TODAY - DAY), str(TODAY)],
    ),
    "dynamic": Kind(
        {"p": "varchar(40)"},
        [{"expr": "p"}],
        dg.DynamicPartitionsDefinition(name="things"),
        texts("z", "a'\\", 'm"日', "b"),
        "a'\\",
        ["a'\\", 'm"日'],
        {"things": ["z", "a'\\", 'm"日', "b"]},
    ),
    "days and origins": Kind(
        {"q": "varchar(9)", "p": "date"},
        [{"name": "origin", "expr": "q"}, {"name": "date", "expr": "p", "grain": "day"}],
        dg.MultiPartitionsDefinition(
            {
                "date": dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-09"),
                "origin": dg.StaticPartitionsDefinition(["jfk", "o'x\\", "lga"]),
            }
        ),
        GRID,
        "2024-01-02|o'x\\",
        GRID_SPAN,
    ),
    "dynamic names and hours": Kind(
        {"q": "varchar(9)", "p": "timestamptz"},
        [
            {"name": "name", "expr": "q"},
            {"name": "at", "expr": "p", "grain": "hour", "timezone": NEW_YORK},
        ],
        dg.MultiPartitionsDefinition(
            {
                "name": dg.DynamicPartitionsDefinition(name="names"),
                "at": dg.HourlyPartitionsDefinition(
                    "2024-11-03-00:00", end_date="2024-11-05-00:00", timezone=NEW_YORK
                ),
            }
        ),
        {
            f"{hour}|{name}": [(name, *value) for value in values]
            for hour, values in hours("2024-11-03T04", 4, NEW_YORK).items()
            for name in ("y'", "x")
        },
        "2024-11-03-01:00-0500|x",
        [f"2024-11-03-{hour}|{name}" for hour in ("01:00-0500", "02:00") for name in ("y'", "x")],
        {"names": ["y'", "x"]},
    ),
}
UNCUT = Kind({"p": "integer"}, [], None, {"": [(1,), (2,)]}, "", [])

Window = tuple[str | None, str | None, Sequence[str]]
"""The first and last partition of a run, and all of them; without a last one it is a single."""

RUNS: Mapping[str, Callable[[Kind], list[Window]]] = {
    "one by one": lambda kind: [
        (kind.one, None, [kind.one]),
        (kind.span[0], kind.span[0], [kind.span[0]]),
    ],
    "a range": lambda kind: [(kind.span[0], kind.span[-1], kind.span)] * 2,
}
BREAKS = {"one by one": COPY, "a range": COMMIT}
"""Where the first try of each kind of run breaks."""


class Story(Lab):
    """A table of a kind, whose rows say when they were made."""

    def __init__(
        self, make: MakeBench, instance: dg.DagsterInstance, kind: Kind, **changes: Any
    ) -> None:
        self.kind, self.word = kind, "old"
        names = ("t", "u")
        super().__init__(
            make({name: kind.spec(name=name, **changes) for name in names}),
            instance,
            kind.definition,
            lambda keys: kind.rows(keys, self.word),
        )
        for name, keys in kind.dynamic.items():
            instance.add_dynamic_partitions(name, list(keys))

    def full(self) -> list[Row]:
        """The rows of all partitions, put into the table without Dagster."""
        rows = self.kind.rows(list(self.kind.values), "old")
        self.fill(rows)
        return rows


@pytest.mark.parametrize(
    ("kind", "how"),
    # A run of one partition goes the same way whatever its kind.
    [(kind, how) for how in RUNS for kind in (KINDS if how == "a range" else list(KINDS)[::4])],
)
def test_a_run_replaces_its_partitions_at_once_or_not_at_all(
    make_bench: MakeBench, instance: dg.DagsterInstance, kind: str, how: str
) -> None:
    """One DELETE and one COPY replace the partitions of a run, each told its rows, or nothing."""
    story = Story(make_bench, instance, KINDS[kind])
    bench, held = story.bench, dict.fromkeys(KINDS[kind].values, "old")
    story.full()
    before = bench.contents()
    for number, (start, end, keys) in enumerate(RUNS[how](story.kind)):
        if number == 0:
            fired = bench.fail(BREAKS[how])
            failed = story.run(start, end)
            assert fired() == 1
            assert not failed.success
            assert failed.steps(FAILED) == ["s__t"]
            assert story.below == 0
            assert bench.contents() == before
        bench.forget()
        story.word = f"new {number}"
        told = story.succeed(start, end).told()
        for counted in ("dagster/partition_row_count", "rows_loaded"):
            counts = {key: entries[counted] for key, entries in told.items()}
            assert counts == {key: len(story.kind.rows([key], "")) for key in keys}
        assert set(story.made[-1]) == set(keys)
        assert story.changes() == (1, 1)
        assert story.below == number + 1
        held |= dict.fromkeys(keys, story.word)
        wanted = [row for key, word in held.items() for row in story.kind.rows([key], word)]
        assert story.held() == ordered(wanted)
        assert {entries["dagster/row_count"] for entries in told.values()} == {len(wanted)}


@pytest.mark.parametrize("broken", [COPY, COMMIT], ids=["COPY", "COMMIT"])
def test_an_asset_without_partitions_replaces_its_table_at_once_or_not_at_all(
    make_bench: MakeBench, instance: dg.DagsterInstance, broken: re.Pattern[str]
) -> None:
    """Without partitions one DELETE and one COPY replace the whole table, or nothing changes."""
    story = Story(make_bench, instance, UNCUT)
    bench = story.bench
    bench.fail(broken)
    assert not story.run().success  # the first load of all
    assert not bench.contents().get("s.t")
    for story.word in ("new", "newer"):
        before = bench.contents()
        bench.fail(broken)
        assert not story.run().success
        assert story.below == 0
        assert bench.contents().get("s.t") == before.get("s.t")
        bench.forget()
        told = story.succeed().told()
        assert told["None"]["dagster/row_count"] == len(UNCUT.rows([], ""))
        assert "dagster/partition_row_count" not in told["None"]
        assert story.changes()[1] == 1
        assert story.held() == ordered(UNCUT.rows([], story.word))
        story.below = 0


@pytest.mark.parametrize(
    "kind", ["static", "days", "hours of a day of 25", "dynamic", "days and origins"]
)
def test_a_range_that_ends_before_it_starts_changes_nothing(
    make_bench: MakeBench, instance: dg.DagsterInstance, kind: str
) -> None:
    """A run of no partition at all succeeds, deletes nothing, and copies nothing."""
    story = Story(make_bench, instance, KINDS[kind])
    rows = story.full()
    before = story.bench.contents()
    story.succeed(story.kind.span[-1], story.kind.span[0])
    assert story.made == [[]]
    assert story.changes() == (0, 0)
    assert story.bench.contents() == before
    assert story.held() == ordered(rows)


BACKFILLS: Mapping[str, tuple[str, Sequence[str], int]] = {
    "one stretch": ("days", ["2024-02-28", "2024-02-29", "2024-03-01"], 1),
    "a gap": ("days", ["2024-02-28", "2024-03-01", "2024-03-02"], 2),
    "odd keys": ("static, odd characters", [NASTY[1], NASTY[2], NASTY[5]], 2),
    "a rectangle": ("days and origins", GRID_SPAN, 2),
    "no rectangle": ("days and origins", GRID_SPAN[:3], 2),
}
"""A kind, the partitions that are asked for, and in how many runs Dagster makes them."""


@pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`")
@pytest.mark.parametrize("case", BACKFILLS)
def test_the_runs_of_a_single_run_backfill_replace_what_was_asked_for(
    make_bench: MakeBench, instance: dg.DagsterInstance, case: str
) -> None:
    """Whatever runs Dagster makes of a backfill, each is one DELETE and one COPY, and all fit."""
    kind, keys, count = BACKFILLS[case]
    story = Story(make_bench, instance, KINDS[kind])
    story.full()
    story.backfill = dg.BackfillPolicy.single_run()
    story.word = "new"
    requests = backfill_runs(story.assets(), keys, instance)
    assert len(requests) == count
    for request in requests:
        story.bench.forget()
        run = story.materialize(story.assets(), request.partition_key, request.tags)
        assert run.success, run.errors
        assert story.changes() == (1, 1)
    assert sorted(key for made in story.made for key in made) == sorted(keys)
    kept = story.kind.rows(story.kind.others(keys), "old")
    assert story.held() == ordered([*kept, *story.kind.rows(keys, "new")])


@pytest.mark.parametrize("kind", ["days and origins", "hours of a day of 25"])
def test_the_first_range_of_all_makes_the_table_or_nothing(
    make_bench: MakeBench, instance: dg.DagsterInstance, kind: str
) -> None:
    """A first range that fails leaves no table behind, and the next try makes it with one copy."""
    story = Story(make_bench, instance, KINDS[kind])
    keys = story.kind.span
    story.bench.fail(COPY)
    assert not story.run(keys[0], keys[-1]).success
    assert "s.t" not in story.bench.contents()
    story.succeed(keys[0], keys[-1])
    assert story.held() == ordered(story.kind.rows(keys, "old"))


def test_a_partition_without_rows_in_a_range_is_emptied_and_told_as_such(
    make_bench: MakeBench, instance: dg.DagsterInstance
) -> None:
    """In a range that has rows, a partition without any loses those it had, and counts zero."""
    story = Story(make_bench, instance, KINDS["days"])
    story.full()
    first, second = story.kind.span
    story.rows = lambda keys: story.kind.rows([second], "new")
    told = story.succeed(first, second).told()
    rows = story.kind.rows([second], "new")
    counts = {key: entries["dagster/partition_row_count"] for key, entries in told.items()}
    assert counts == {first: 0, second: len(rows)}
    others = story.kind.rows(story.kind.others([first, second]), "old")
    assert story.held() == ordered([*others, *rows])


# Failures in mid-write.

LOSSES: Mapping[str, tuple[re.Pattern[str], Break]] = {
    "lost before DELETE": (DELETE, "lost"),
    "lost before COPY": (COPY, "lost"),
    "lost in COPY": (COPY, "cut"),
    "lost after COPY": (COPY, "lost after"),
    "lost before COMMIT": (COMMIT, "lost"),
    "lost after COMMIT": (COMMIT, "lost after"),
}


@pytest.mark.parametrize(
    ("loss", "disposition"),
    [
        (loss, disposition)
        for loss, (at, _) in LOSSES.items()
        for disposition in ("replace", "append")
        if disposition == "replace" or at is not DELETE  # an append deletes nothing
    ],
)
def test_a_lost_connection_is_made_good_within_the_step(
    make_bench: MakeBench, instance: dg.DagsterInstance, loss: str, disposition: str
) -> None:
    """A connection that is lost on the way costs nobody anything: one attempt, and one copy."""
    at, how = LOSSES[loss]
    story = Story(make_bench, instance, KINDS["days"], write_disposition=disposition)
    story.full()
    start, *_, end = keys = story.kind.span
    fired = story.bench.fail(at, how)
    story.word = "new"
    run = story.succeed(start, end)
    assert fired() == 1
    assert run.steps(RETRIED) == []
    assert len(story.made) == story.below == 1
    gone = keys if disposition == "replace" else []
    kept = story.kind.rows(story.kind.others(gone), "old")
    assert story.held() == ordered([*kept, *story.kind.rows(keys, "new")])


def test_a_warehouse_that_stays_away_leaves_it_to_the_retry_policy(
    make_bench: MakeBench, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every attempt inside is lost the step fails, and only a retry policy tries it again."""
    monkeypatch.setattr("loader.warehouse.retry.ATTEMPTS", 2)
    story = Story(make_bench, instance, KINDS["days"], write_disposition="append")
    rows = story.full()
    before = story.bench.contents()
    story.bench.fail(COPY, "lost", times=2)
    failed = story.run(story.kind.one)
    assert not failed.success
    assert failed.failures == []
    assert story.below == 0
    assert story.bench.contents() == before
    story.retry = dg.RetryPolicy(max_retries=1)
    story.bench.fail(COPY, "lost", times=2)
    run = story.succeed(story.kind.one)
    assert run.steps(RETRIED) == ["s__t"]
    assert story.held() == ordered([*rows, *story.kind.rows([story.kind.one], "old")])


def test_a_check_that_fails_before_commit_leaves_the_table_as_it_was(
    make_bench: MakeBench, instance: dg.DagsterInstance
) -> None:
    """Rows that a check of the spec refuses were never there, and trying again is left alone."""
    checks = [{"metric": "row_count", "must_be_less_than": 6}]
    story = Story(make_bench, instance, KINDS["days"], checks=checks)
    story.retry = dg.RetryPolicy(max_retries=2)
    first, second = story.kind.span
    story.succeed(first, second)
    before = story.bench.contents()
    story.rows = lambda keys: [(n, *story.kind.values[first][0], "many") for n in range(6)]
    failed = story.run(first, second)
    assert not failed.success
    assert failed.steps(RETRIED) == []
    (text,) = failed.failures
    assert "row_count" in text
    assert "must be < 6, but is 6" in text
    assert story.below == 1
    assert story.bench.contents() == before
    story.rows = lambda keys: story.kind.rows(keys, "new")
    story.succeed(second)
    assert story.held() == ordered(
        [*story.kind.rows([first], "old"), *story.kind.rows([second], "new")]
    )


def test_a_stream_that_breaks_halfway_leaves_the_table_as_it_was(
    make_bench: MakeBench, instance: dg.DagsterInstance
) -> None:
    """What a stream gave before it broke is not loaded, and a retry loads all of it once."""
    story = Story(make_bench, instance, KINDS["days"])
    story.full()
    before = story.bench.contents()
    breaks = iter([True, True, False])

    def stream(table: pa.Table) -> Iterator[pa.Table]:
        yield table.slice(0, 2)
        if next(breaks):
            raise OSError("the source has gone")
        yield table.slice(2)

    story.wrap = lambda table: dg.MaterializeResult(value=stream(table))
    start, *_, end = keys = story.kind.span
    failed = story.run(start, end)
    assert not failed.success
    assert "the source has gone" in failed.errors[0]
    assert story.below == 0
    assert story.bench.contents() == before
    story.retry = dg.RetryPolicy(max_retries=1)
    story.word = "new"
    run = story.succeed(start, end)
    assert run.steps(RETRIED) == ["s__t"]
    kept = story.kind.rows(story.kind.others(keys), "old")
    assert story.held() == ordered([*kept, *story.kind.rows(keys, "new")])


# A step that is tried again.


@pytest.mark.parametrize("broken", ["the function", "the other output"])
@pytest.mark.parametrize("how", ["one", "a range"])
def test_an_append_of_a_step_that_is_retried_happens_once(
    make_bench: MakeBench, instance: dg.DagsterInstance, how: str, broken: str
) -> None:
    """What an attempt has appended before it failed the next attempt does not append again."""
    story = Story(make_bench, instance, KINDS["static"], write_disposition="append")
    keys = story.kind.span if how == "a range" else [story.kind.one]
    tries = []

    def fails() -> Iterator[pa.Table]:
        yield story.frame(story.kind.rows(keys, "half"))
        raise OSError("it broke")

    @dg.multi_asset(
        outs={name: dg.AssetOut(key=["s", name]) for name in ("t", "u")},
        partitions_def=story.partitions,
        retry_policy=dg.RetryPolicy(max_retries=1),
    )
    def both() -> Iterator[dg.Output[Any]]:
        tries.append(1)
        yield dg.Output(story.frame(story.kind.rows(keys, "new")), "t")
        if len(tries) == 1 and broken == "the function":
            raise OSError("it broke")
        if len(tries) == 1:
            yield dg.Output(fails(), "u")
        yield dg.Output(story.frame(story.kind.rows(keys, "new")), "u")

    tags = {RANGE_START: keys[0], RANGE_END: keys[-1]} if how == "a range" else {}
    rows = story.kind.rows(keys, "new")
    for runs in (1, 2):
        tries.clear()
        story.bench.forget()
        run = story.materialize([both], None if tags else keys[0], tags)
        assert run.success, run.errors
        assert run.steps(RETRIED) == ["both"]
        assert story.changes() == (0, 1)
        assert {entries["status"] for entries in run.told().values()} == {"already_loaded"}
        for key in ("s/t", "s/u"):
            assert story.held(key=key) == ordered(rows * runs)


# A spec and an asset that do not fit.

BY_MOMENT = Kind({"p": "timestamp"}, [{"expr": "p"}], None, {"": [(datetime(2024, 1, 1),)]}, "", [])
DAILY = dg.DailyPartitionsDefinition("2024-01-01", "2024-12-01")
ORIGINS = dg.StaticPartitionsDefinition(["jfk", "lga"])

CONFLICTS: Mapping[str, tuple[Kind, dg.PartitionsDefinition | None, str | None, Sequence[str]]] = {
    "a spec without partitions": (
        UNCUT,
        DAILY,
        "2024-01-02",
        ["the asset `s/t` has partitions (`0 0 * * *` in UTC)", "the spec of s.t has none"],
    ),
    "an asset without partitions": (
        KINDS["days"],
        None,
        None,
        ["s.t is partitioned by `p`", "the asset `s/t` has no partitions"],
    ),
    "months for days": (
        KINDS["days"],
        dg.MonthlyPartitionsDefinition("2024-01-01", "2024-12-01"),
        "2024-02-01",
        ["`s/t` (`0 0 1 * *` in UTC)", "s.t, whose `p` has grain day in UTC"],
    ),
    "weeks for days": (
        KINDS["days"],
        dg.WeeklyPartitionsDefinition("2024-01-07", "2024-12-01"),
        "2024-02-04",
        ["`s/t` (`0 0 * * 0` in UTC)", "s.t, whose `p` has grain day in UTC"],
    ),
    "hours for days": (
        KINDS["days"],
        dg.HourlyPartitionsDefinition("2024-01-01-00:00", "2024-02-01-00:00"),
        "2024-01-02-00:00",
        ["`s/t` (`0 * * * *` in UTC)", "s.t, whose `p` has grain day in UTC"],
    ),
    "days for months": (
        KINDS["months"],
        DAILY,
        "2024-02-01",
        ["`s/t` (`0 0 * * *` in UTC)", "s.t, whose `p` has grain month in UTC"],
    ),
    "days for hours": (
        KINDS["days from six in the morning"],
        DAILY,
        "2024-02-01",
        ["`s/t` (`0 0 * * *` in UTC)", "s.t, whose `p` has grain hour in UTC"],
    ),
    "weeks from another day": (
        KINDS["weeks from Sunday"],
        dg.WeeklyPartitionsDefinition("2024-01-01", "2024-12-01", day_offset=1),
        "2024-01-08",
        ["`s/t` (`0 0 * * 1` in UTC)", "s.t, whose `p` has grain week in UTC", "sunday"],
    ),
    "days of another zone": (
        KINDS["days of a zone, times in UTC"],
        DAILY,
        "2024-11-03",
        ["`s/t` (`0 0 * * *` in UTC)", "s.t, whose `p` has grain day in America/New_York"],
    ),
    "hours from a quarter past": (
        KINDS["days from six in the morning"],
        dg.HourlyPartitionsDefinition("2024-01-01-00:15", "2024-02-01-00:15", minute_offset=15),
        "2024-01-02-00:15",
        ["`s/t` (`15 * * * *` in UTC)", "s.t, whose `p` has grain hour in UTC"],
    ),
    "windows for moments": (
        BY_MOMENT,
        DAILY,
        "2024-01-02",
        ["`s/t` (`0 0 * * *` in UTC)", "s.t, whose `p` has no grain"],
    ),
    "names for days": (
        KINDS["days"],
        ORIGINS,
        "jfk",
        ["`s/t`", "s.t, whose `p` has grain day in UTC", "`jfk`"],
    ),
    "other dimensions": (
        KINDS["days and origins"],
        dg.MultiPartitionsDefinition({"date": DAILY, "airport": ORIGINS}),
        "jfk|2024-01-02",
        ["`s/t` have the dimensions `airport`, `date`", "s.t have the dimensions `origin`, `date`"],
    ),
    "one dimension for two": (
        KINDS["days and origins"],
        DAILY,
        "2024-01-02",
        ["`s/t` have one dimension (`0 0 * * *` in UTC)", "s.t have the dimensions `origin`"],
    ),
    "two dimensions for one": (
        KINDS["days"],
        dg.MultiPartitionsDefinition({"date": DAILY, "origin": ORIGINS}),
        "2024-01-02|jfk",
        ["`s/t` have the dimensions `date`, `origin`", "s.t have the dimension `p`"],
    ),
}
"""A table, the partitions of an asset that do not fit it, one of them, and what is said."""


@pytest.mark.parametrize("make_bench", ["duckdb"], indirect=True)
@pytest.mark.parametrize("case", CONFLICTS)
def test_partitions_that_are_not_those_of_the_spec_are_refused(
    make_bench: MakeBench, instance: dg.DagsterInstance, case: str
) -> None:
    """A spec and an asset with other partitions: one Failure names both, and nothing changes."""
    kind, definition, key, words = CONFLICTS[case]
    story = Story(make_bench, instance, kind)
    rows = story.full()
    before = story.bench.contents()
    story.partitions, story.rows = definition, lambda keys: rows[:1]
    story.retry = dg.RetryPolicy(max_retries=2)
    refused_for_good(story, story.run(key), words)
    assert story.bench.contents() == before


def refused_for_good(story: Story, run: Run, words: Sequence[str]) -> None:
    """The run failed once, with one `Failure` that says these words, and nothing ran after it."""
    assert not run.success
    assert run.steps(RETRIED) == []
    assert run.steps(FAILED) == ["s__t"]
    assert len(story.made) == 1
    assert story.below == 0
    (text,) = run.failures
    for word in words:
        assert word in text


UNSTEADY: Mapping[str, tuple[Sequence[Mapping[str, Any]], dg.PartitionsDefinition]] = {
    "days of London for days in UTC": (
        grain("day"),
        dg.DailyPartitionsDefinition("2024-01-01", "2024-12-01", timezone="Europe/London"),
    ),
    "days of London for hours in UTC": (
        grain("hour"),
        dg.DailyPartitionsDefinition("2024-01-01", "2024-12-01", timezone="Europe/London"),
    ),
    "quarters of months for days": (
        grain("day"),
        cron("0 0 1,8,15,22 * *", "2024-01-01", "%Y-%m-%d"),
    ),
}


@pytest.mark.parametrize("make_bench", ["duckdb"], indirect=True)
@pytest.mark.parametrize("case", UNSTEADY)
def test_whether_partitions_fit_the_spec_is_the_same_for_all_keys(
    make_bench: MakeBench, instance: dg.DagsterInstance, case: str
) -> None:
    """A definition fits a spec or it does not: no key loads while a sister of it is a conflict."""
    partition_by, definition = UNSTEADY[case]
    keys = ["2024-01-01", "2024-06-22"]
    values = {key: [(datetime.fromisoformat(f"{key}T12:00:00+00:00"),)] for key in keys}
    kind = Kind({"p": "timestamptz"}, partition_by, definition, values, keys[0], keys)
    story = Story(make_bench, instance, kind)
    runs = [story.run(key) for key in keys]
    assert len({run.success for run in runs}) == 1, [run.failures for run in runs]


# Rows of another partition.

STRAYS: Mapping[str, tuple[str, Sequence[str], str, str]] = {
    "another day": ("days", ["2024-02-29"], "2024-03-01", "2024-03-01"),
    "a day after the range": ("days", ["2024-02-28", "2024-02-29"], "2024-03-02", "2024-03-02"),
    "another text": ("static, odd characters", [NASTY[0]], NASTY[5], "o'hare"),
    "the hour that came before": (
        "hours of a day of 25",
        ["2024-11-03-01:00-0500"],
        "2024-11-03-01:00",
        "2024-11-03 05:00:00",
    ),
    "a window of six hours": (
        "every sixth hour by cron",
        ["2024-11-03-00:00"],
        "2024-11-03-06:00",
        "2024-11-03 11:00:00",
    ),
    "a corner of no rectangle": ("days and origins", GRID_SPAN, "2024-01-02|lga", "lga"),
    "a side of the rectangle": ("days and origins", GRID_SPAN, "2024-01-04|jfk", "2024-01-04"),
}
"""A kind, the partitions of the run, the one that a row is of, and its value."""


@pytest.mark.parametrize("case", STRAYS)
def test_rows_of_another_partition_are_refused(
    make_bench: MakeBench, instance: dg.DagsterInstance, case: str
) -> None:
    """A row of a partition that is not of the run is told by column, number and value."""
    name, keys, other, value = STRAYS[case]
    story = Story(make_bench, instance, KINDS[name])
    story.full()
    before = story.bench.contents()
    good, stray = story.kind.rows(keys, "new"), story.kind.rows([other], "new")[:1]
    story.rows = lambda _: [*good, *stray]
    story.retry = dg.RetryPolicy(max_retries=2)
    run = story.run(keys[0], keys[-1] if len(keys) > 1 else None)
    column = ", ".join(entry.name for entry in story.spec.dimensions)
    refused_for_good(
        story, run, ["s.t", column, f"row {len(good) + 1}", value, "outside the slice"]
    )
    assert story.bench.contents() == before


# Many partitions.


def many(count: int, sort: str) -> Kind:
    """A table of that many hours, or names."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    if sort == "names":
        names = [f"{'long ' * 20}{n}" for n in range(count)]
        definition: dg.PartitionsDefinition = dg.StaticPartitionsDefinition(names)
        values: dict[str, Sequence[Row]] = {name: [(name,)] for name in names}
        return Kind({"p": "varchar(120)"}, [{"expr": "p"}], definition, values, names[0], names)
    moments = [start + n * timedelta(hours=1) for n in range(count + 1)]
    keys = [moment.strftime(EDGE) for moment in moments]
    definition = dg.HourlyPartitionsDefinition(keys[0], end_date=keys[-1])
    values = {key: [(moment,)] for key, moment in zip(keys[:-1], moments[:-1], strict=True)}
    return Kind({"p": "timestamptz"}, grain("hour"), definition, values, keys[0], keys[:-1])


def test_five_thousand_partitions_are_one_delete_and_one_copy(
    make_bench: MakeBench, instance: dg.DagsterInstance
) -> None:
    """5,000 hours without a gap are one DELETE of one window and one COPY."""
    story = Story(make_bench, instance, many(5_000, "hours"))
    keys = story.kind.span
    story.fill(story.kind.rows(keys[:3], "old"))
    rows = story.kind.rows(keys, "new")
    # Dagster itself takes its time to note 5,000 partitions, so this is no run of its own.
    context = dg.build_output_context(
        asset_key=dg.AssetKey(["s", "t"]),
        asset_partitions_def=story.partitions,
        asset_partition_key_range=dg.PartitionKeyRange(keys[0], keys[-1]),
    )
    story.bench.manager.handle_output(context, story.frame(rows))
    assert story.changes() == (1, 1)
    (delete,) = [sql for sql in story.bench.asked() if DELETE.match(sql)]
    assert delete.count("2024") == 2
    assert story.held() == ordered(rows)


@pytest.mark.parametrize("make_bench", ["duckdb"], indirect=True)
def test_what_a_partition_is_told_is_no_longer_for_being_told_to_many(
    make_bench: MakeBench, instance: dg.DagsterInstance
) -> None:
    """Each of many partitions is told about itself: the SQL of all is not written once for each."""
    story = Story(make_bench, instance, many(90, "names"))
    keys = story.kind.span
    told = [story.succeed(keys[0], keys[count - 1]).told() for count in (30, 90)]
    written = [sum(len(str(entries)) for entries in one.values()) for one in told]
    assert written[1] < 5 * written[0]


@pytest.mark.slow
@pytest.mark.parametrize("make_bench", ["duckdb"], indirect=True)
def test_the_work_grows_with_the_partitions_and_no_faster(
    make_bench: MakeBench, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five times the partitions are no 25 times the calls, and no count told is of another one."""
    calls: list[int] = []
    plain = TableIOManager.handle_output

    def counted(manager: TableIOManager, context: dg.OutputContext, obj: Any) -> None:
        def count(*_: object) -> None:
            calls[-1] += 1

        calls.append(0)
        sys.setprofile(count)
        try:
            plain(manager, context, obj)
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(TableIOManager, "handle_output", counted)
    story = Story(make_bench, instance, many(5_000, "hours"))
    keys = story.kind.span
    told: dict[str, dict[str, Any]] = {}
    for count in (1, 1_000, 5_000):  # the first one imports what is needed
        told = story.succeed(keys[0], keys[count - 1]).told()
        assert len(told) == count
    assert calls[2] < 8 * calls[1]
    for number, key in enumerate(keys):
        own = 1 + number % 2
        for name in ("dagster/row_count", "dagster/partition_row_count", "rows_loaded"):
            assert told[key].get(name, own) == own, (key, name)
