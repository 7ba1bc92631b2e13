"""Histories: versions and counts are those of a small model, on every target, for all loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.dagster_io.metadata import load_metadata
from loader.errors import FrameError, VerifyError
from loader.executor.results import LoadResult
from loader.plan.merge_counts import MergeCounts
from loader.project import Project
from loader.warehouse.registry import open_warehouse

if TYPE_CHECKING:
    from tests.conftest import MakeProject

COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "integer"},
    {"name": "day", "data_type": "date"},
    {"name": "v", "data_type": "varchar(9)"},
    {"name": "x", "data_type": "integer", "default": 7},
    {"name": "n", "data_type": "integer"},
]
OP = [{"name": "op", "data_type": "varchar(1)"}]
Cells = tuple[Any, ...]
Projects = Callable[..., Project]


def history(name: str = "t", **scd2: Any) -> dict[str, Any]:
    """A spec with the time of each row in the data, but with ``effective_at=None``."""
    effective = {"effective_at": "day", "ignore_changes": ["n"], **scd2}
    deletes = {"batch_columns": OP} if "deleted_when" in scd2 else {}
    return {
        "schema": "s",
        "name": name,
        "columns": COLUMNS,
        "primary_key": ["id"],
        "write_disposition": "scd2",
        "scd2": {key: value for key, value in effective.items() if value is not None},
        **deletes,
    }


@pytest.fixture
def projects(
    each_target: Mapping[str, Any], make_project: MakeProject
) -> Generator[Projects, None, None]:
    """Makes projects on each of the warehouses, of one spec for each mapping."""
    with ExitStack() as opened:

        def make(*specs: dict[str, Any]) -> Project:
            project = make_project({f"{spec['name']}.yml": spec for spec in specs}, **each_target)
            if not each_target:  # most of the time of a small load goes into opening the file
                warehouse = open_warehouse(project.config.settings(), project.config.root)
                opened.enter_context(warehouse.session())
            return project

        yield make


def day(number: int | None) -> date | None:
    return date(2026, 1, number) if number else None


@dataclass(frozen=True)
class Row:
    """One row of a load."""

    id: int
    day: int
    v: str | None = "a"
    x: int | None = 7
    n: int = 0
    op: str = "U"


def frame(rows: Sequence[Row], *left_out: str) -> pa.Table:
    types = [("id", pa.int32()), ("day", pa.date32()), ("v", pa.string()), ("x", pa.int32())]
    types += [("n", pa.int32()), ("op", pa.string())]
    schema = pa.schema([one for one in types if one[0] not in left_out])
    cells = [{**asdict(row), "day": day(row.day)} for row in rows]
    return pa.Table.from_pylist(cells, schema=schema)


def in_order(rows: Iterable[Cells]) -> list[Cells]:
    return sorted(rows, key=repr)


def rows_of(project: Project, name: str = "s/t") -> list[Cells]:
    """Key, begin, end, and values of the versions; ends and the mark agree."""
    found: Any = project.read(project.spec(name), as_="arrow")
    rows = found.to_pylist()
    assert all(row["is_current"] == (row["valid_to"] is None) for row in rows)
    names = ("id", "valid_from", "valid_to", "v", "x")
    return in_order(tuple(row[name] for name in names) for row in rows)


def execute(project: Project, *statements: str) -> list[Cells]:
    """Do something to the warehouse behind the loader's back."""
    rows: list[Cells] = []
    with open_warehouse(project.config.settings(), project.config.root).session() as session:
        for statement in statements:
            rows = session.execute(statement)
    return rows


COUNTS = ("inserted", "updated", "unchanged", "skipped", "collapsed", "deleted", "closed")


def counts(result: LoadResult) -> dict[str, int]:
    """The counts that are not zero; all but the closed versions are the rows of the load."""
    assert result.merge_counts is not None
    assert result.merge_counts.rows == result.rows_staged
    found = {name: getattr(result.merge_counts, f"rows_{name}") for name in COUNTS}
    return {name: number for name, number in found.items() if number}


# The model.


@dataclass(frozen=True)
class Version:
    """What holds from a day up to another one."""

    begins: int
    ends: int | None
    v: str | None
    x: int | None

    def holds(self, at: int) -> bool:
        return self.begins <= at and (self.ends is None or at < self.ends)


Table = dict[int, list[Version]]


class RefusedError(Exception):
    """The load is refused."""


@dataclass(frozen=True)
class Model:
    """What a load does to histories, row by row, in the order of their times."""

    on_late: str = "insert"
    deletes: bool = False
    closes: bool = False
    brings_x: bool = True

    def load(self, table: Table, rows: Sequence[Row]) -> tuple[Table, dict[str, int]]:
        found = dict.fromkeys(COUNTS, 0)
        distinct = {(row.id, row.day): row for row in rows}
        if any(self._told(row) != self._told(distinct[row.id, row.day]) for row in rows):
            raise RefusedError
        found["collapsed"] = len(rows) - len(distinct)
        after = {key: list(versions) for key, versions in table.items()}
        for row in sorted(distinct.values(), key=lambda row: row.day):
            found[self._apply(after.setdefault(row.id, []), row, table.get(row.id, []))] += 1
        if self.closes and rows:
            self._close_absent(table, after, rows)
        for key, versions in table.items():
            ends = {one.begins: one.ends for one in after[key]}
            found["closed"] += sum(ends.get(one.begins, one.ends) != one.ends for one in versions)
        kept = {key: versions for key, versions in after.items() if versions}
        return kept, {name: number for name, number in found.items() if number}

    def _told(self, row: Row) -> Cells:
        """What may not differ in rows of one time."""
        return row.v, self.brings_x and row.x, self.deletes and row.op

    def _apply(self, versions: list[Version], row: Row, before: Sequence[Version]) -> str:
        there = next((one for one in versions if one.holds(row.day)), None)
        known = [at for one in before for at in (one.begins, one.ends) if at is not None]
        deletes = self.deletes and row.op == "D"
        earlier = [one for one in before if one.begins <= row.day]
        x = row.x if self.brings_x else max(earlier, key=lambda one: one.begins).x if earlier else 7
        same = there is not None and there.v == row.v and (not self.brings_x or there.x == row.x)
        if (there is None and deletes) or (same and not deletes):
            return "unchanged"
        if known and row.day < max(known) and self.on_late != "insert":
            if self.on_late == "fail":
                raise RefusedError
            return "skipped"
        new = Version(row.day, None, row.v, x)
        if there is not None:
            versions.remove(there)
            if there.begins < row.day:
                versions.append(replace(there, ends=row.day))
            elif not deletes:
                versions.append(replace(there, v=row.v, x=x if self.brings_x else there.x))
                return "updated"
            if deletes:
                return "deleted"
            versions.append(replace(new, ends=there.ends))
            return "inserted"
        later = [one.begins for one in versions if one.begins > row.day]
        later += [at for at in known if at > row.day]
        versions.append(replace(new, ends=min(later, default=None)))
        return "inserted"

    def _close_absent(self, table: Table, after: Table, rows: Sequence[Row]) -> None:
        days, present = {row.day for row in rows}, {row.id for row in rows}
        times = [at for versions in table.values() for one in versions for at in _times(one)]
        if len(days) > 1 or any(at > max(days) for at in times):
            raise RefusedError
        for key in table.keys() - present:
            ended = [one if one.ends else replace(one, ends=max(days)) for one in after[key]]
            after[key] = [one for one in ended if one.begins != one.ends]


def _times(version: Version) -> list[int]:
    return [at for at in (version.begins, version.ends) if at is not None]


def begins(table: Table) -> set[tuple[int, int]]:
    return {(key, one.begins) for key, versions in table.items() for one in versions}


def told(table: Table) -> list[Cells]:
    return in_order(
        (key, day(one.begins), day(one.ends), one.v, one.x)
        for key, versions in table.items()
        for one in versions
    )


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "skip": {"on_late": "skip"},
    "fail": {"on_late": "fail"},
    "cdc": {"deleted_when": "op = 'D'"},
    "cdc_skip": {"deleted_when": "op = 'D'", "on_late": "skip"},
    "snapshot": {"on_absent": "close"},
}


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, list[tuple[list[Row], bool]]]:
    variant = draw(st.sampled_from(list(VARIANTS)))
    small = st.sampled_from([None, 1, 7])
    whole = {"n": st.integers(0, 1), "op": st.sampled_from("UUD"), "x": small}
    value = st.sampled_from([None, "a", "b"])
    loads = []
    for _ in range(draw(st.integers(1, 3))):
        on = st.just(draw(st.integers(2, 6))) if variant == "snapshot" else st.integers(2, 9)
        row = st.builds(Row, id=st.integers(1, 5), day=on, v=value, **whole)
        unique = None if draw(st.integers(0, 9)) == 0 else lambda row: (row.id, row.day)
        rows = draw(st.lists(row, min_size=1, max_size=16, unique_by=unique))
        same = [replace(row, n=2) for row in draw(st.lists(st.sampled_from(rows), max_size=2))]
        loads.append(([*rows, *same], draw(st.booleans())))
    return variant, loads


@pytest.mark.parametrize("examples", [5, pytest.param(150, marks=pytest.mark.slow)])
def test_a_history_is_what_the_model_says(projects: Projects, examples: int) -> None:
    """Whatever rows come late, twice, at once or with NULLs: the model's versions and counts, and
    the same rows again, with another load id, change nothing.
    """
    project = projects(*(history(name, **options) for name, options in VARIANTS.items()))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(stories())
    def holds(story: tuple[str, list[tuple[list[Row], bool]]]) -> None:
        variant, loads = story
        spec, options = project.spec(f"s/{variant}"), VARIANTS[variant]
        table: Table = {}
        if project.live("s", variant) not in ("absent", "no schema"):
            execute(project, f"DELETE FROM s.{variant}")
        for rows, brings_x in loads:
            model = Model(
                options.get("on_late", "insert"),
                "deleted_when" in options,
                "on_absent" in options,
                brings_x,
            )
            left_out = [*([] if brings_x else ["x"]), *([] if model.deletes else ["op"])]
            data = frame(rows, *left_out)
            before = table
            try:
                table, wanted = model.load(table, rows)
            except RefusedError:
                with pytest.raises(VerifyError, match="unchanged"):
                    project.load(spec, data)
                continue
            result = project.load(spec, data)
            assert counts(result) == wanted
            assert rows_of(project, f"s/{variant}") == told(table)
            assert result.rows_after == sum(map(len, table.values()))
            if model.on_late != "insert" and begins(before) - begins(table):
                continue  # what is taken back is forgotten, and late no more
            again = counts(project.load(spec, data))
            assert again.keys() <= {"unchanged", "collapsed", "skipped"}
            assert rows_of(project, f"s/{variant}") == told(table)

    holds()


# Named cases.

FOREVER = None
Told = list[tuple[int, int, int | None, str | None]]
"""Key, begin, end, and the value of ``v``."""

Story = tuple[dict[str, Any], list[tuple[list[Row], dict[str, int]]], Told]
"""Options, loads with their counts, and the versions at the end."""

STORIES: dict[str, Story] = {
    "changed, unchanged and repeated rows": (
        {},
        [
            ([Row(1, 1), Row(2, 1), Row(3, 1)], {"inserted": 3}),
            (
                [Row(1, 2, "b"), Row(2, 2), Row(3, 1), Row(3, 1)],
                {"inserted": 1, "unchanged": 2, "collapsed": 1, "closed": 1},
            ),
        ],
        [(1, 1, 2, "a"), (1, 2, FOREVER, "b"), (2, 1, FOREVER, "a"), (3, 1, FOREVER, "a")],
    ),
    "several versions in one load": (
        {},
        [
            (
                [Row(1, 3, "c"), Row(1, 1), Row(1, 4, "c"), Row(1, 2, "b")],
                {"inserted": 3, "unchanged": 1},
            )
        ],
        [(1, 1, 2, "a"), (1, 2, 3, "b"), (1, 3, FOREVER, "c")],
    ),
    "NULL is a value like others": (
        {},
        [
            ([Row(1, 1, None)], {"inserted": 1}),
            ([Row(1, 2, None)], {"unchanged": 1}),
            ([Row(1, 3, "")], {"inserted": 1, "closed": 1}),
            ([Row(1, 4, None)], {"inserted": 1, "closed": 1}),
        ],
        [(1, 1, 3, None), (1, 3, 4, ""), (1, 4, FOREVER, None)],
    ),
    "late rows are inserted where they belong": (
        {},
        [
            ([Row(1, 5, "e"), Row(1, 9, "i")], {"inserted": 2}),
            ([Row(1, 7, "g")], {"inserted": 1, "closed": 1}),
            ([Row(1, 2, "b"), Row(1, 6, "e")], {"inserted": 1, "unchanged": 1}),
        ],
        [(1, 2, 5, "b"), (1, 5, 7, "e"), (1, 7, 9, "g"), (1, 9, FOREVER, "i")],
    ),
    "late rows are skipped": (
        {"on_late": "skip"},
        [
            ([Row(1, 5, "e")], {"inserted": 1}),
            (
                [Row(1, 2, "b"), Row(1, 3, "b"), Row(1, 5, "e"), Row(1, 6, "f")],
                {"inserted": 1, "unchanged": 1, "skipped": 2, "closed": 1},
            ),
        ],
        [(1, 5, 6, "e"), (1, 6, FOREVER, "f")],
    ),
    "another value at the same time corrects the version": (
        {},
        [
            ([Row(1, 1), Row(1, 3, "c")], {"inserted": 2}),
            ([Row(1, 1, "z"), Row(1, 3, "y")], {"updated": 2}),
        ],
        [(1, 1, 3, "z"), (1, 3, FOREVER, "y")],
    ),
    "a delete ends the version, and the key comes back": (
        {"deleted_when": "op = 'D'"},
        [
            ([Row(1, 1), Row(2, 1)], {"inserted": 2}),
            ([Row(1, 3, op="D"), Row(9, 3, op="D")], {"deleted": 1, "unchanged": 1, "closed": 1}),
            ([Row(1, 5)], {"inserted": 1}),
            ([Row(2, 2, op="D"), Row(2, 4, "b")], {"deleted": 1, "inserted": 1, "closed": 1}),
        ],
        [(1, 1, 3, "a"), (1, 5, FOREVER, "a"), (2, 1, 2, "a"), (2, 4, FOREVER, "b")],
    ),
    "a row between a delete and the version before it ends with the delete": (
        {"deleted_when": "op = 'D'"},
        [
            ([Row(1, 1), Row(1, 6, op="D")], {"inserted": 1, "deleted": 1}),
            ([Row(1, 3, "c")], {"inserted": 1, "closed": 1}),
            ([Row(1, 8, "h")], {"inserted": 1}),
        ],
        [(1, 1, 3, "a"), (1, 3, 6, "c"), (1, 8, FOREVER, "h")],
    ),
    "a delete at the time of a version takes it back": (
        {"deleted_when": "op = 'D'"},
        [
            ([Row(1, 1), Row(1, 3, "c")], {"inserted": 2}),
            ([Row(1, 3, op="D")], {"deleted": 1}),
        ],
        [(1, 1, 3, "a")],
    ),
    "a snapshot closes absent keys, which may come back": (
        {"on_absent": "close"},
        [
            ([Row(1, 1), Row(2, 1)], {"inserted": 2}),
            ([Row(2, 2)], {"unchanged": 1, "closed": 1}),
            ([Row(1, 4), Row(2, 4, "b")], {"inserted": 2, "closed": 1}),
        ],
        [(1, 1, 2, "a"), (1, 4, FOREVER, "a"), (2, 1, 4, "a"), (2, 4, FOREVER, "b")],
    ),
    "changes of an ignored column make no version": (
        {},
        [([Row(1, 1, n=1)], {"inserted": 1}), ([Row(1, 2, n=2)], {"unchanged": 1})],
        [(1, 1, FOREVER, "a")],
    ),
}


def test_histories_of_each_kind(projects: Projects) -> None:
    """Late, repeated, several at once, deleted and returned: the versions and counts they give."""
    names = {f"t{at}": name for at, name in enumerate(STORIES)}
    project = projects(*(history(table, **STORIES[name][0]) for table, name in names.items()))
    for table, name in names.items():
        options, loads, wanted = STORIES[name]
        left_out = () if "deleted_when" in options else ("op",)
        for rows, expected in loads:
            result = project.load(project.spec(f"s/{table}"), frame(rows, *left_out))
            assert counts(result) == expected, name
        found = [row[:4] for row in rows_of(project, f"s/{table}")]
        assert found == in_order((key, day(a), day(b), v) for key, a, b, v in wanted), name


REFUSED: dict[str, tuple[dict[str, Any], list[Row], tuple[str, ...]]] = {
    "ties": ({}, [Row(1, 7), Row(1, 7, "b")], ("the load has 1 row with the same key and day",)),
    "late rows": (
        {"on_late": "fail"},
        [Row(1, 3, "z"), Row(1, 6), Row(2, 1, "z")],
        ("2 rows", "before the latest version", "'1 at 2026-01-03'"),
    ),
    "a snapshot of several days": (
        {"on_absent": "close"},
        [Row(1, 7), Row(2, 8)],
        ("'2026-01-07', '2026-01-08'",),
    ),
    "an old snapshot": (
        {"on_absent": "close"},
        [Row(1, 4), Row(2, 4)],
        ("the snapshot is older than s.", "2 versions"),
    ),
}


def test_loads_that_cannot_be_told_apart_are_refused(projects: Projects) -> None:
    """What the history would not be sure of is refused with what it is, and nothing is changed."""
    names = {f"t{at}": name for at, name in enumerate(REFUSED)}
    project = projects(*(history(table, **REFUSED[name][0]) for table, name in names.items()))
    for table, name in names.items():
        spec = project.spec(f"s/{table}")
        _, rows, words = REFUSED[name]
        project.load(spec, frame([Row(1, 5), Row(2, 5)], "op"))
        before = rows_of(project, f"s/{table}")
        with pytest.raises(VerifyError) as caught:
            project.load(spec, frame(rows, "op"))
        for word in words:
            assert word in caught.value.message, name
        assert caught.value.rolled_back
        assert caught.value.hint
        assert rows_of(project, f"s/{table}") == before


# The time of the load.


def test_versions_begin_at_the_time_of_the_load(projects: Projects) -> None:
    """Without `effective_at` all versions of a load begin at one moment, after all that the table
    has: even where a clock is behind.
    """
    project = projects(history(effective_at=None, on_absent="close"))
    spec = project.spec("s/t")
    started = datetime.now(UTC)
    assert counts(project.load(spec, frame([Row(1, 1), Row(2, 1)], "op"))) == {"inserted": 2}
    (first,) = {row[1] for row in rows_of(project)}
    assert abs(first - started) < timedelta(minutes=5)
    execute(project, "UPDATE s.t SET valid_from = TIMESTAMP '2099-01-01 00:00:00'")
    result = project.load(spec, frame([Row(2, 1, "b"), Row(3, 1)], "op"))
    assert counts(result) == {"inserted": 2, "closed": 2}
    began, ahead = datetime(2099, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    assert rows_of(project) == in_order(
        [
            (1, began, began + ahead, "a", 7),
            (2, began, began + ahead, "a", 7),
            (2, began + ahead, None, "b", 7),
            (3, began + ahead, None, "a", 7),
        ]
    )
    assert counts(project.load(spec, frame([Row(2, 1, "b"), Row(3, 1)], "op"))) == {"unchanged": 2}


def test_a_key_twice_in_a_load_needs_a_time(projects: Projects) -> None:
    """Two rows of a key at the time of the load are refused before anything is staged."""
    project = projects(history(effective_at=None))
    with pytest.raises(FrameError, match="more than once"):
        project.load(project.spec("s/t"), frame([Row(1, 1), Row(1, 2, "b")], "op"))


# Loads of less, of nothing, and of everything again.


def test_loads_without_rows_close_nothing(projects: Projects) -> None:
    """A load of no rows leaves the history as it is, also where absent keys are closed."""
    project = projects(history(on_absent="close"))
    spec = project.spec("s/t")
    project.load(spec, frame([Row(1, 1)], "op"))
    result = project.load(spec, frame([], "op"))
    assert (result.status, result.merge_counts) == ("empty", None)
    assert rows_of(project) == [(1, day(1), None, "a", 7)]


def test_a_full_refresh_makes_the_history_anew(projects: Projects) -> None:
    """A full refresh deletes all versions and makes those of the load."""
    project = projects(history(deleted_when="op = 'D'"))
    spec = project.spec("s/t")
    project.load(spec, frame([Row(1, 1), Row(2, 1)]))
    rows = [Row(3, 1), Row(3, 2, "b"), Row(3, 4, op="D")]
    result = project.load(spec, frame(rows), full_refresh=True)
    assert (result.rows_deleted, result.rows_inserted, result.rows_after) == (3, 2, 2)
    assert rows_of(project) == [(3, day(1), day(2), "a", 7), (3, day(2), day(4), "b", 7)]


def test_columns_that_a_load_does_not_bring(projects: Projects) -> None:
    """A new version takes them from the one before it, a new key gets their defaults, and each
    version has a number of its own.
    """
    spec = history()
    spec["columns"] = [*COLUMNS, {"name": "version", "data_type": "bigint", "identity": [1, 1]}]
    project = projects(spec)
    project.load(project.spec("s/t"), frame([Row(1, 1, x=40)], "op"))
    execute(
        project,
        "ALTER TABLE s.t ADD COLUMN note varchar(9) DEFAULT 'none'",
        "UPDATE s.t SET note = 'mine'",
    )
    rows = [Row(1, 3, "c"), Row(2, 3), Row(1, 2, "b")]
    result = project.load(project.spec("s/t"), frame(rows, "op", "x"))
    assert counts(result) == {"inserted": 3, "closed": 1}
    found = execute(project, "SELECT id, v, x, note, version FROM s.t ORDER BY id, valid_from")
    assert [row[:4] for row in found] == [
        (1, "a", 40, "mine"),
        (1, "b", 40, "mine"),
        (1, "c", 40, "mine"),
        (2, "a", 7, "none"),
    ]
    assert len({row[4] for row in found}) == 4


def test_a_column_that_comes_later_makes_versions_from_then_on(projects: Projects) -> None:
    """A new column is NULL in the versions before it, which its first value ends."""
    project = projects(history())
    project.load(project.spec("s/t"), frame([Row(1, 1)], "op"))
    wider = {**history(), "schema_contract": {"evolve": "additive"}}
    wider["columns"] = [*COLUMNS, {"name": "more", "data_type": "varchar(9)"}]
    project = projects(wider)
    data = frame([Row(1, 2)], "op").append_column("more", pa.array(["m"]))
    result = project.load(project.spec("s/t"), data)
    assert (result.columns_added, counts(result)) == (("more",), {"inserted": 1, "closed": 1})
    found = execute(project, "SELECT more FROM s.t ORDER BY valid_from")
    assert found == [(None,), ("m",)]


def test_what_the_load_fills_is_not_in_the_data(projects: Projects) -> None:
    """Data that brings the columns of versions, or lacks the time, is refused with their names."""
    project = projects(history())
    data = frame([Row(1, 1)], "op", "day").append_column("Is_Current", pa.array([True]))
    with pytest.raises(FrameError, match="is filled by the load") as caught:
        project.load(project.spec("s/t"), data)
    assert [row["column"] for row in caught.value.details] == ["day", "Is_Current"]


def test_documents_bytes_and_numbers_are_compared_as_they_are(projects: Projects) -> None:
    """Documents, bytes and NaN that come again make no version; other ones do."""
    spec = {**history(), "primary_key": ["id", "code"]}
    spec["columns"] = [
        {"name": "id", "data_type": "integer"},
        {"name": "code", "data_type": "varchar(3)"},
        {"name": "day", "data_type": "date"},
        {"name": "doc", "data_type": "super"},
        {"name": "raw", "data_type": "varbyte(9)"},
        {"name": "f", "data_type": "double precision"},
    ]
    spec["scd2"] = {"effective_at": "day"}
    project = projects(spec)
    values: dict[str, list[Any]] = {
        "id": [1, 2],
        "code": ["x", "x"],
        "day": [day(1), day(1)],
        "doc": ['{"a":[1]}', None],
        "raw": [b"\0", None],
        "f": [float("nan"), None],
    }
    load = partial(project.load, project.spec("s/t"))
    assert counts(load(pa.table(values))) == {"inserted": 2}
    assert counts(load(pa.table({**values, "day": [day(2)] * 2}))) == {"unchanged": 2}
    changed = {**values, "day": [day(3)] * 2, "doc": ['{"a":[1]}', '{"a":[1]}']}
    assert counts(load(pa.table(changed))) == {"inserted": 1, "unchanged": 1, "closed": 1}


# What statements do is checked.

FAULTS = {
    "scd2_insert": ("    loader_at, loader_end,", "    loader_at, NULL,", "wrong end"),
    "scd2_close": ("= {{ work.changes|qualifier }}.loader_end,", "= NULL,", "wrong end"),
    "scd2_update": ("loader_outcome = 'updated'", "loader_outcome = 'never'", "rows"),
    "scd2_versions": (
        "{{ scd2.effective_at|ident }}{% else %}",
        "DATE '2001-01-01'{% else %}",
        "ties|rows",
    ),
    "scd2_timeline": ("'unchanged'", "'inserted'", "overlap"),
    "scd2_changes": ("WHERE loader_kind = 2", "WHERE loader_kind = 9", "rows"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_history_that_is_not_what_the_rows_say_is_undone(
    make_project: MakeProject, name: str
) -> None:
    """Whatever a template does wrong to ends, values or versions: it is found, and rolled back."""
    old, new, word = FAULTS[name]
    text = (Path(__file__).parents[2] / f"templates/ansi/{name}.sql.j2").read_text()
    assert old in text
    project = make_project({"t.yml": history()})
    project.load(project.spec("s/t"), frame([Row(1, 1), Row(2, 1), Row(3, 1)], "op"))
    before = rows_of(project)
    broken = make_project(
        {"t.yml": history()}, templates={f"ansi/{name}.sql.j2": text.replace(old, new)}
    )
    rows = [Row(1, 4, "d"), Row(1, 2, "b"), Row(2, 1, "z"), Row(3, 1)]
    with pytest.raises(VerifyError, match=word) as caught:
        broken.load(broken.spec("s/t"), frame(rows, "op"))
    assert caught.value.rolled_back
    assert rows_of(project) == before


def test_a_broken_history_is_told(projects: Projects) -> None:
    """A load of a key whose versions overlap already fails, and says what to do."""
    project = projects(history())
    spec = project.spec("s/t")
    project.load(spec, frame([Row(1, 1), Row(2, 1)], "op"))
    execute(project, "INSERT INTO s.t SELECT * FROM s.t WHERE id = 1")
    with pytest.raises(VerifyError, match="unchanged") as caught:
        project.load(spec, frame([Row(1, 2, "b")], "op"))
    assert caught.value.hint
    assert counts(project.load(spec, frame([Row(2, 2, "b")], "op"))) == {"inserted": 1, "closed": 1}


# Where it is told.


def run(project: Project, *arguments: str) -> str:
    """What a command writes to standard output."""
    options = ["--project", str(project.config.root)]
    done = CliRunner().invoke(main, [*arguments, *options], prog_name="loader")
    assert done.exit_code == 0, done.output
    return done.stdout


def test_counts_of_a_history_are_told_everywhere(projects: Projects, tmp_path: Path) -> None:
    """The result, `loader load`, its JSON, the ledger, `loader history` and Dagster agree; a load
    id that is committed changes nothing.
    """
    project = projects(history(deleted_when="op = 'D'", on_late="skip"))
    project.load(project.spec("s/t"), frame([Row(n, 2) for n in (1, 2, 3, 4)]))
    file = tmp_path / "rows.csv"
    lines = ["1,3,b,U", "2,3,a,U", "2,3,a,U", "3,3,a,D", "4,2,z,U", "4,1,a,U"]
    cells = [
        f"{key},2026-01-0{at},{v},7,0,{op}" for key, at, v, op in (x.split(",") for x in lines)
    ]
    file.write_text("\n".join(["id,day,v,x,n,op", *cells]))
    wanted = MergeCounts(1, 1, 1, 1, 1, 1, 2)
    words = "6 rows merged: 1 inserted, 1 updated, 1 unchanged, 1 deleted, 1 skipped as older, 1"
    told_by_cli = run(project, "load", "s/t", str(file), "--load-id", "one")
    assert words in told_by_cli
    assert "; 2 versions closed" in told_by_cli
    assert "already committed" in run(project, "load", "s/t", str(file), "--load-id", "one")
    entry = next(entry for entry in project.history() if entry.load_id == "one")
    assert entry.merge_counts == wanted
    assert (entry.to_dict()["rows_closed"], entry.write_disposition) == (2, "scd2")
    assert "; 2 versions closed" in run(project, "history")
    result = json.loads(run(project, "load", "s/t", str(file), "--format", "json"))
    assert (result["rows_unchanged"], result["rows_closed"]) == (4, 0)
    result = project.load(project.spec("s/t"), frame([Row(1, 8, "z")]))
    assert load_metadata(result).items() >= {"rows_inserted": 1, "rows_closed": 1}.items()
    plan = run(project, "plan", "s/t")
    assert "close versions: a newer version begins" in plan
    assert "insert versions: the rows of the load that differ from what held before" in plan
    assert "nothing to change" in run(project, "plan", "s/t", "--live")
    current = run(project, "read", "s/t", "--columns", "id,is_current")
    assert current.count("true") == 3


def test_partitions_limit_the_rows_of_a_load(projects: Projects) -> None:
    """A history may be loaded by partition: rows outside of it are refused, others are left."""
    project = projects({**history(), "partition_by": [{"expr": "day", "grain": "day"}]})
    spec = project.spec("s/t")
    project.load(spec, frame([Row(1, 1), Row(2, 1)], "op"), partition="2026-01-01")
    result = project.load(spec, frame([Row(1, 2, "b")], "op"), partition="2026-01-02")
    assert counts(result) == {"inserted": 1, "closed": 1}
    with pytest.raises(FrameError, match="outside"):
        project.load(spec, frame([Row(2, 3, "b")], "op"), partition="2026-01-02")


def test_a_table_becomes_a_history(projects: Projects) -> None:
    """The rows of a table become current versions, from the default of `valid_from` on."""
    merges = {**history(), "write_disposition": "merge", "scd2": {}}
    project = projects(merges)
    project.load(project.spec("s/t"), frame([Row(1, 1), Row(2, 1)], "op"))
    begins = {"name": "valid_from", "data_type": "date", "default": "DATE '2026-01-01'"}
    project = projects({**history(), "columns": [*COLUMNS, begins]})
    spec = project.spec("s/t")
    project.apply(project.changes([spec]))
    assert project.changes([spec])[0].statements == ()
    result = project.load(spec, frame([Row(1, 3, "b"), Row(2, 3)], "op"))
    assert counts(result) == {"inserted": 1, "unchanged": 1, "closed": 1}
    assert rows_of(project) == in_order(
        [
            (1, day(1), day(3), "a", 7),
            (1, day(3), None, "b", 7),
            (2, day(1), None, "a", 7),
        ]
    )
