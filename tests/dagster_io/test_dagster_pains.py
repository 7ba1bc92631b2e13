"""The twenty pains of Dagster's own database IO managers that people report most, and their cure.

Numbers are issues of dagster-io/dagster. What is no IO manager's to cure:

- 8, its half about outputs: which partitions one run is about is Dagster's to say, and it makes a
  run for each unbroken range (32335). What does reach one run is loaded by one DELETE and one COPY.
- 18, its half about definitions: an IO manager is asked for the first time when a run is on, so a
  broken spec fails the asset's step, not the code location (14376). `loader validate` is for that.
- 10, its half about results: what a check or a `MaterializeResult` says of one partition of several
  never passes an IO manager (21072).
"""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Optional
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loader.dagster_io import RedshiftIOManager
from loader.errors import ExecuteError
from tests.dagster_io.dagsterkit import Bench, breaking, made, reader, returning, several

DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-08")
DAYS: dict[str, Any] = {
    "columns": {"day": "date", "v": "integer"},
    "partition_by": [{"expr": "day", "grain": "day"}],
}
LETTERS = dg.StaticPartitionsDefinition(["c", "a", "b", "d"])
BY_P: dict[str, Any] = {"columns": {"p": "varchar(9)", "v": "integer"}} | {
    "partition_by": [{"expr": "p"}]
}
GRID = dg.MultiPartitionsDefinition({"day": DAILY, "site": LETTERS})
BY_BOTH: dict[str, Any] = {
    "columns": {"day": "date", "site": "varchar(9)", "v": "integer"},
    "partition_by": [
        {"name": "day", "expr": "day", "grain": "day"},
        {"name": "site", "expr": "site"},
    ],
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def days(v: int = 1) -> dg.AssetsDefinition:
    """An asset of one row for each day of its run."""
    return made(lambda context: day_rows(context.partition_keys, v), partitions_def=DAILY)


def day_rows(keys: Sequence[str], v: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"day": [date.fromisoformat(key) for key in keys], "v": v})


def letters(v: int = 1) -> dg.AssetsDefinition:
    """An asset of one row for each letter of its run."""
    return made(
        lambda context: pd.DataFrame({"p": context.partition_keys, "v": v}), partitions_def=LETTERS
    )


def jan(day: int) -> date:
    return date(2024, 1, day)


def full() -> ExecuteError:
    return ExecuteError("the disk is full")


def test_pain_01_a_failed_write_keeps_what_was_there(bench: Bench) -> None:
    """14091: a write that fails after its DELETE leaves the partition as it was."""
    bench.spec(**DAYS, checks=[{"metric": "duplicate_values", "column": "day", "must_be": 0}])
    bench.run(days(v=1), keys=("2024-01-01", "2024-01-02"))
    before = [(jan(1), 1), (jan(2), 1)]
    for statement in ("INSERT INTO", "SELECT count", 'INSERT INTO "loader"', "COMMIT"):
        with breaking(statement, full) as failed:
            bench.fails(days(v=2), key="2024-01-02")
        assert failed, statement
        assert bench.rows() == before, statement
    twice = made(
        lambda context: pd.concat([day_rows(context.partition_keys, 2)] * 2), partitions_def=DAILY
    )
    assert "duplicate_values day" in bench.fails(twice, key="2024-01-02").text
    words = made(
        lambda context: day_rows(context.partition_keys).assign(v="many"), partitions_def=DAILY
    )
    assert "many" in bench.fails(words, key="2024-01-02").text
    assert bench.rows() == before
    bench.run(days(v=2), key="2024-01-02")
    assert bench.rows() == [(jan(1), 1), (jan(2), 2)]


def test_pain_02_what_cannot_be_cut_out_overwrites_nothing(bench: Bench) -> None:
    """34064: a partition that cannot be told from the rest fails; it never means all rows."""
    bench.spec(columns={"p": "integer", "v": "integer"}, partition_by=[{"expr": "p"}])
    numbers = dg.StaticPartitionsDefinition(["1", "2", "three"])
    frame = pd.DataFrame({"p": [1], "v": [1]})
    bench.run(returning(frame, partitions_def=numbers), key="1")
    assert "'three'" in bench.fails(returning(frame, partitions_def=numbers), key="three").text
    whole = bench.fails(returning(frame[:0]))
    assert "has no partitions" in whole.text
    reversed_range = bench.run(returning(frame[:0], partitions_def=numbers), keys=("2", "1"))
    assert reversed_range.success
    monthly = dg.MonthlyPartitionsDefinition("2024-01-01")
    assert bench.fails(returning(frame, partitions_def=monthly), key="2024-01-01").text
    assert bench.rows() == [(1, 1)]


def test_pain_03_new_and_renamed_columns_are_told_or_added(bench: Bench) -> None:
    """13098: columns that change are named in one error, or added when the spec says so."""
    bench.spec()
    bench.run(returning(pd.DataFrame({"id": [1], "v": ["a"]})))
    new = bench.fails(returning(pd.DataFrame({"id": [1], "v": ["a"], "w": [0.5]})))
    assert new.problems == [{"column": "w", "problem": "extra"}]
    renamed = bench.fails(returning(pd.DataFrame({"idd": [1], "v": ["a"]})))
    assert [row["column"] for row in renamed.problems] == ["id", "idd"]
    assert "did you mean `id`?" in renamed.text
    wide = {"id": "integer", "v": "varchar(40)", "w": "double precision"}
    frame = pd.DataFrame({"id": [2], "v": ["b"], "w": [0.5]})
    bench.spec(columns=wide)
    assert bench.fails(returning(frame)).problems[0]["column"] == "w"
    assert bench.rows() == [(1, "a")]
    bench.spec(columns=wide, schema_contract={"evolve": "additive"}, write_disposition="append")
    bench.run(returning(frame))
    assert bench.rows() == [(1, "a", None), (2, "b", 0.5)]


def test_pain_04_append_and_merge_are_the_specs_to_say(bench: Bench) -> None:
    """32644: a spec's write disposition appends or merges, in partitioned tables too."""
    bench.spec(**BY_P, write_disposition="append")
    for _ in range(2):
        bench.run(letters(), key="a")
    assert bench.rows() == [("a", 1), ("a", 1)]
    for strategy in ("delete_insert", "merge"):
        bench.spec(
            f"m/{strategy}",
            **{**BY_P, "primary_key": ["p", "v"], "columns": {**BY_P["columns"], "w": "integer"}},
            write_disposition="merge",
            merge={"strategy": strategy},
        )
        for frame in ({"p": "a", "v": [1, 2], "w": 1}, {"p": "a", "v": [2, 3], "w": 2}):
            asset = returning(pd.DataFrame(frame), f"m/{strategy}", partitions_def=LETTERS)
            bench.run(asset, key="a")
        assert bench.rows(f"m.{strategy}") == [("a", 1, 1), ("a", 2, 2), ("a", 3, 2)]


def test_pain_05_columns_go_by_name_whatever_their_order(bench: Bench) -> None:
    """No value lands in another column because a frame has the order of the columns changed."""
    bench.spec(columns={"a": "integer", "b": "integer", "c": "varchar(9)"})
    for order in (["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]):
        frame = pd.DataFrame({"a": [1], "b": [2], "c": ["x"]})[order]
        bench.run(returning(frame))
        assert bench.rows() == [(1, 2, "x")], order
    bench.sql("DROP TABLE s.t", "CREATE TABLE s.t (c VARCHAR, b INTEGER, a INTEGER)")
    bench.run(returning(pd.DataFrame({"a": [1], "b": [2], "c": ["x"]})))
    assert bench.rows() == [("x", 2, 1)]


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame(), pd.DataFrame({"id": [], "v": []}), pl.DataFrame(), pa.table({})],
    ids=["pandas, bare", "pandas", "polars", "arrow"],
)
def test_pain_06_an_empty_frame_makes_the_table(bench: Bench, frame: Any) -> None:
    """13287: an empty first load creates the table in the spec's types, and it can be read."""
    bench.spec(columns={"id": "bigint", "v": "varchar(40)", "at": "timestamp"})
    if len(getattr(frame, "columns", ())):
        frame["at"] = []
    down = reader(pa.Table)
    bench.run(returning(frame), down.asset)
    assert bench.types() == {"id": "BIGINT", "v": "VARCHAR", "at": "TIMESTAMP"}
    assert down.value.num_rows == 0
    assert down.value.schema.types == [pa.int64(), pa.string(), pa.timestamp("us")]


def test_pain_07_none_is_no_rows(bench: Bench) -> None:
    """None, said or meant, is what an empty frame is: `on_empty` says what becomes of the rows."""

    @dg.asset(key=["s", "t"])
    def maybe() -> Optional[pd.DataFrame]:  # noqa: UP045  as people write it
        return None

    for asset in (maybe, returning(None)):
        for on_empty, left in (("keep", [(1, "a")]), ("clear", [])):
            bench.spec(on_empty=on_empty)
            bench.run(returning(pd.DataFrame({"id": [1], "v": ["a"]})))
            metadata = bench.metadata(bench.run(asset))
            assert metadata["status"] == "empty"
            assert metadata["rows_loaded"] == 0
            assert bench.rows() == left
        bench.spec(on_empty="fail")
        assert "on_empty: fail" in bench.fails(asset).text


def test_pain_08_partitions_need_not_be_neighbours(bench: Bench) -> None:
    """15667: an input takes any set of partitions, and keys of one run are one statement each."""
    bench.spec(**DAYS)
    bench.run(days(), keys=("2024-01-01", "2024-01-07"))
    some = dg.SpecificPartitionsPartitionMapping(["2024-01-01", "2024-01-03", "2024-01-07"])
    down = reader(pl.DataFrame, mapping=some)
    bench.run(days().to_source_asset(), down.asset)
    assert sorted(down.value["day"].to_list()) == [jan(1), jan(3), jan(7)]
    bench.spec("s/u", **BY_P)
    asset = made(
        lambda context: pd.DataFrame({"p": context.partition_keys, "v": 1}),
        "s/u",
        partitions_def=LETTERS,
    )
    result = bench.run(asset, keys=("c", "b"))
    assert bench.rows("s.u") == [("a", 1), ("b", 1), ("c", 1)]
    script = bench.by_partition(result, "s/u")["a"]["sql"]
    assert script.count("DELETE FROM") == 1
    assert script.count('INSERT INTO "s"."u"') == 1
    split = dg.StaticPartitionMapping({"a": "one", "d": "one", "b": "two", "c": "two"})
    two = reader(
        pl.DataFrame,
        "s/u",
        mapping=split,
        partitions_def=dg.StaticPartitionsDefinition(["one", "two"]),
    )
    bench.run(asset, key="d")
    bench.run(asset.to_source_asset(), two.asset, key="one")
    assert sorted(two.value["p"].to_list()) == ["a", "d"]


def grid(key: str = "s/t", v: int = 1, **options: Any) -> dg.AssetsDefinition:
    """An asset of one row for each cell of its run."""

    def rows(context: dg.AssetExecutionContext) -> pa.Table:
        cells = [key.split("|") for key in context.partition_keys]
        dates = [date.fromisoformat(day) for day, _ in cells]
        return pa.table({"day": dates, "site": [site for _, site in cells], "v": [v] * len(cells)})

    return made(rows, key, partitions_def=GRID, **options)


def test_pain_09_partitions_of_several_dimensions(bench: Bench) -> None:
    """17838: rectangles load and rerun in one run, and mappings read the cells they name."""
    bench.spec(**BY_BOTH)
    result = bench.run(grid(), keys=("2024-01-01|c", "2024-01-03|b"))
    square = sorted((jan(day), site, 1) for day in (1, 2, 3) for site in "abc")
    assert bench.rows() == square
    assert len(bench.by_partition(result)) == 9
    bench.run(grid(v=2), keys=("2024-01-02|a", "2024-01-03|b"))
    changed = {(day, site) for day in (jan(2), jan(3)) for site in "ab"}
    assert bench.rows() == [(d, s, 2 if (d, s) in changed else 1) for d, s, _ in square]
    by_site = reader(
        pl.DataFrame,
        mapping=dg.MultiToSingleDimensionPartitionMapping("site"),
        metadata={"allow_missing_partitions": True},
        partitions_def=LETTERS,
    )
    bench.run(grid().to_source_asset(), by_site.asset, key="b")
    assert sorted(by_site.value.rows()) == [(jan(1), "b", 1), (jan(2), "b", 2), (jan(3), "b", 2)]


def test_pain_10_a_range_run_tells_of_each_partition(bench: Bench) -> None:
    """18123: one run of several partitions gives each its own row count."""
    bench.spec(**DAYS)
    asset = made(
        lambda context: pd.concat(
            [day_rows([key] * int(key[-1]), v=1) for key in context.partition_keys]
        ),
        partitions_def=DAILY,
    )
    found = bench.by_partition(bench.run(asset, keys=("2024-01-01", "2024-01-03")))
    counts = {key: metadata["dagster/partition_row_count"] for key, metadata in found.items()}
    assert counts == {"2024-01-01": 1, "2024-01-02": 2, "2024-01-03": 3}
    assert {metadata["rows_loaded"] for metadata in found.values()} == {1, 2, 3}
    assert {metadata["dagster/row_count"] for metadata in found.values()} == {6}
    alone = bench.metadata(bench.run(asset, key="2024-01-02"))
    assert (alone["dagster/row_count"], alone["dagster/partition_row_count"]) == (6, 2)


HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
print("open", flush=True)
sys.stdin.readline()
connection.close()
"""


@contextmanager
def held(bench: Bench, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database file open until it is sent a line."""
    command = [sys.executable, "-c", HOLDER, str(bench.database), how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


def test_pain_11_reading_needs_no_lock_and_writing_waits(bench: Bench) -> None:
    """18746: an input is read beside other readers, and a write waits until they are done."""
    bench.spec()
    asset = returning(pd.DataFrame({"id": [1], "v": ["a"]}))
    bench.run(asset)
    down = reader(pl.DataFrame)
    with held(bench, "read") as other:
        bench.run(asset.to_source_asset(), down.asset, manager=bench.manager(lock_timeout=0))
        assert down.value.rows() == [(1, "a")]
        assert other.stdin is not None
        timer = threading.Timer(0.5, lambda: print(file=other.stdin, flush=True))
        timer.start()
        bench.run(returning(pd.DataFrame({"id": [2], "v": ["b"]})))
        timer.join()
    assert bench.rows() == [(2, "b")]


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("first", ["2024-03-09", "2024-11-02"])
def test_pain_12_days_of_a_zone_are_replaced_whole(bench: Bench, kind: str, first: str) -> None:
    """30171: a rerun of a local day, of 23 to 25 hours, leaves each of its rows there once."""
    york = "America/New_York"
    bench.spec(
        columns={"at": kind, "v": "integer"},
        partition_by=[{"expr": "at", "grain": "day", "timezone": york}],
    )

    def hours(context: dg.AssetExecutionContext) -> pd.DataFrame:
        window = context.partition_time_window
        found = pd.date_range(window.start, window.end, freq="h", inclusive="left").tz_convert(UTC)
        return pd.DataFrame({"at": found if kind == "timestamptz" else found.tz_localize(None)})

    asset = made(
        lambda context: hours(context).assign(v=1),
        partitions_def=dg.DailyPartitionsDefinition(first, timezone=york),
    )
    start = date.fromisoformat(first)
    keys = [str(start + timedelta(days=day)) for day in range(3)]
    for key in [*keys, *keys]:
        bench.run(asset, key=key)
    assert len(bench.rows()) == len(set(bench.rows())) == 72 + (1 if first > "2024-06" else -1)


def test_pain_12_an_hour_that_clocks_show_twice_is_two_partitions(bench: Bench) -> None:
    """When clocks go back, each of the two hours of one name is replaced by itself."""
    york = "America/New_York"
    bench.spec(
        columns={"at": "timestamptz"},
        partition_by=[{"expr": "at", "grain": "hour", "timezone": york}],
    )
    asset = made(
        lambda context: pd.DataFrame({"at": [context.partition_time_window.start]}),
        partitions_def=dg.HourlyPartitionsDefinition("2024-11-03-00:00", timezone=york),
    )
    keys = ["2024-11-03-00:00", "2024-11-03-01:00", "2024-11-03-01:00-0500", "2024-11-03-02:00"]
    for key in [*keys, *keys]:
        bench.run(asset, key=key)
    found = sorted(row[0].astimezone(UTC).hour for row in bench.rows())
    assert found == [4, 5, 6, 7]


def test_pain_13_the_partition_expression_is_written_once_and_typed(bench: Bench) -> None:
    """25661: no metadata and no cast is needed, and a forgotten dimension is an error."""
    bench.spec(columns={"p": "integer", "v": "integer"}, partition_by=[{"expr": "p"}])
    numbers = dg.StaticPartitionsDefinition(["1", "2"])
    result = bench.run(
        returning(pd.DataFrame({"p": [2], "v": [1]}), partitions_def=numbers), key="2"
    )
    assert 'WHERE "p" IN (2)' in bench.metadata(result)["sql"]
    bench.spec("s/u", **DAYS)
    failed = bench.fails(grid("s/u"), key="2024-01-01|a")
    assert "`day`, `site`" in failed.text
    assert "u" not in {row[0] for row in bench.sql("SELECT table_name FROM duckdb_tables()")}


def test_pain_14_streams_stay_streams(bench: Bench) -> None:
    """19594: what is yielded is let go as it is loaded, and read in batches or up to a limit."""
    bench.spec(columns={"id": "bigint"})
    yielded: list[weakref.ref[pl.DataFrame]] = []
    most = 0

    def parts() -> Iterator[pl.DataFrame]:
        nonlocal most
        for start in range(0, 400_000, 20_000):
            frame = pl.DataFrame({"id": range(start, start + 20_000)})
            yielded.append(weakref.ref(frame))
            most = max(most, sum(one() is not None for one in yielded))
            yield frame

    asset = made(lambda _: dg.Output(parts()))
    batches = reader(pa.RecordBatchReader, use=lambda found: [batch.num_rows for batch in found])
    bench.run(asset, batches.asset)
    assert most <= 3
    assert sum(batches.value) == 400_000
    assert max(batches.value) < 130_000
    sample = reader(pd.DataFrame, metadata={"limit": 10})
    bench.run(asset.to_source_asset(), sample.asset)
    assert len(sample.value) == 10


def test_pain_15_names_are_quoted_and_their_case_does_not_matter(bench: Bench) -> None:
    """14129: columns match whatever their case, and any name is a name."""
    columns = {"order": "integer", "my col": "integer", "größe": "integer", 'q"x': "integer"}
    bench.spec("Sales Dept/My-Table", schema="sales dept", name="my-table", columns=columns)
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["ORDER", "My Col", "GRÖSSE", 'Q"X'])
    down = reader(pd.DataFrame, "Sales Dept/My-Table")
    bench.run(several(lambda _: [frame], "Sales Dept/My-Table"), down.asset)
    assert bench.rows('"sales dept"."my-table"') == [(1, 2, 3, 4)]
    assert list(down.value.columns) == list(columns)


def test_pain_16_times_come_back_as_they_went(bench: Bench) -> None:
    """13097: time stamps keep their moment, their zone's meaning, and their type."""
    bench.spec(
        columns={
            "at": "timestamp",
            "seen": "timestamptz",
            "day": "date",
            "far": "timestamp",
            "none": "timestamp",
        }
    )
    at, far = datetime(2024, 1, 1, 12, 34, 56, 123456), datetime(9999, 12, 31, 23, 59, 59)
    seen = datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    rows = {"at": [at], "seen": [seen], "day": [at.date()], "far": [far], "none": [None]}
    frames = [
        pd.DataFrame(
            {
                **{name: pd.Series(rows[name]) for name in ("at", "seen", "day")},
                "far": pd.Series(rows["far"], dtype=object),
                "none": pd.Series([pd.NaT]),
            }
        ),
        pl.DataFrame(rows),
        pa.table(rows),
    ]
    for frame in frames:
        kinds = {"one": pd.DataFrame, "two": pl.DataFrame, "three": pa.Table}
        downs = [reader(kind, name=name) for name, kind in kinds.items()]
        bench.run(returning(frame), *(down.asset for down in downs))
        assert bench.rows() == [(at, seen.astimezone(UTC), at.date(), far, None)]
        pandas, polars, arrow = (down.value for down in downs)
        assert polars.rows() == [(at, seen, at.date(), far, None)]
        assert arrow.to_pylist() == [
            {"at": at, "seen": seen, "day": at.date(), "far": far, "none": None}
        ]
        assert pandas["at"].iloc[0] == pd.Timestamp(at)
        assert pandas["seen"].iloc[0] == pd.Timestamp(seen)
        assert pandas["far"].iloc[0].year == 9999
        assert pandas["none"].isna().all()


def test_pain_17_the_spec_says_what_the_table_is(bench: Bench) -> None:
    """15975: types, keys, NOT NULL, defaults and comments are the spec's, and Redshift's keys."""
    columns = {
        "id": {"data_type": "bigint", "description": "Its number."},
        "price": {"data_type": "decimal(12,2)", "nullable": False},
        "day": {"data_type": "date", "default": "DATE '2024-01-01'"},
    }
    more: dict[str, Any] = {"primary_key": ["id"], "dist": "id", "sort": ["day"]}
    bench.spec(columns=columns, **more)
    asset = returning(pd.DataFrame({"id": [1], "price": [1.5]}))
    bench.run(asset)
    assert bench.types() == {"id": "BIGINT", "price": "DECIMAL(12,2)", "day": "DATE"}
    told = "SELECT column_name, is_nullable FROM duckdb_columns() WHERE schema_name = 's'"
    assert sorted(bench.sql(told)) == [("day", True), ("id", False), ("price", False)]
    assert bench.rows()[0][2] == jan(1)
    cluster = RedshiftIOManager(
        host="none.invalid",
        database="dev",
        user="etl",
        password="not used",
        s3_iam_role="default",
        bucket_name="bucket",
        specs=str(bench.specs),
    )
    config = {"ops": {"s__t": {"outputs": {"result": {"dry_run": True}}}}}
    script = bench.observed(bench.run(asset, manager=cluster, run_config=config))["sql"]
    for words in ("DISTKEY", "SORTKEY", "PRIMARY KEY", "COPY "):
        assert words in script


def test_pain_18_settings_of_a_table_are_checked_and_not_the_assets(bench: Bench) -> None:
    """14376: an asset needs no metadata, and what is wrong in a spec is told by file and line."""
    bench.spec("s/good")
    path = bench.write(
        "bad.yml", "schema: s\nname: t\ncolumns:\n- {name: id, data_type: intger}\nmode: append\n"
    )
    bench.run(returning(pd.DataFrame({"id": [1], "v": ["a"]}), "s/good"))
    failed = bench.fails(returning(pd.DataFrame({"id": [1]})))
    assert f"{path.name}:4:" in failed.text
    assert f"{path.name}:5:" in failed.text
    assert "intger" in failed.text
    assert "write_disposition" in failed.text


def test_pain_19_annotations_mean_what_they_say(bench: Bench) -> None:
    """28942: Optional[X], X | None and dict[str, X] are read as they are written."""
    bench.spec(**DAYS)
    bench.run(days(), keys=("2024-01-01", "2024-01-02"))
    one: dict[str, Any] = {"partitions_def": DAILY}
    optional = reader(Optional[pd.DataFrame], **one)  # noqa: UP045  as people write it
    for down in (optional, reader(pd.DataFrame | None, **one), reader(pd.DataFrame, **one)):
        bench.run(days().to_source_asset(), down.asset, key="2024-01-02")
        assert down.value["day"].to_list() == [jan(2)]
    both = dg.SpecificPartitionsPartitionMapping(["2024-01-01", "2024-01-02"])
    for options in ({"mapping": both}, one):
        parts = reader(dict[str, pl.DataFrame], **options)
        bench.run(
            days().to_source_asset(), parts.asset, key="2024-01-02" if options is one else None
        )
        keys = ["2024-01-02"] if options is one else ["2024-01-01", "2024-01-02"]
        assert {key: frame["day"].to_list() for key, frame in parts.value.items()} == {
            key: [date.fromisoformat(key)] for key in keys
        }


def test_pain_20_strays_are_refused_and_gaps_are_told(bench: Bench) -> None:
    """Rows of another partition load nowhere, and a partition that is not there is no empty one."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-01")
    stray = made(lambda _: day_rows(["2024-01-01", "2024-01-02"], v=2), partitions_def=DAILY)
    failed = bench.fails(stray, key="2024-01-01")
    assert "2024-01-02" in failed.text
    assert failed.problems[0]["rows"] == 1
    assert bench.rows() == [(jan(1), 1)]
    down = reader(pd.DataFrame, partitions_def=DAILY)
    gap = bench.fails(days().to_source_asset(), down.asset, key="2024-01-03")
    assert "`2024-01-03`" in gap.text
    assert not down.seen
