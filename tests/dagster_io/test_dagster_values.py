"""What assets may return and what their inputs may ask for, on DuckDB and in real runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Optional  # noqa: UP035  as people write it

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from tests.dagster_io.dagsterkit import Bench, Reader, made, reader, returning, several

DAILY = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06")
LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c"])
DAYS: dict[str, Any] = {
    "columns": {"day": "date", "v": "integer"},
    "partition_by": [{"expr": "day", "grain": "day"}],
}
ROWS = [(1, "a"), (2, "b"), (3, None)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def table(rows: list[tuple[Any, ...]] = ROWS) -> pa.Table:
    ids, texts = zip(*rows, strict=True) if rows else ((), ())
    return pa.table({"id": pa.array(ids, pa.int64()), "v": pa.array(texts, pa.string())})


def jan(day: int) -> date:
    return date(2024, 1, day)


def day_rows(context: dg.AssetExecutionContext) -> pa.Table:
    days = [date.fromisoformat(key) for key in context.partition_keys]
    return pa.table({"day": days, "v": [day.day for day in days]})


def days(**options: Any) -> dg.AssetsDefinition:
    """An asset with a row for each day of its run, whose value is its number."""
    return made(day_rows, partitions_def=DAILY, **options)


# Outputs.

FRAMES: Mapping[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame({"id": [1, 2, 3], "v": ["a", "b", None]}),
    "pandas, objects": lambda: pd.DataFrame(
        {"id": [Decimal(1), 2, 3.0], "v": ["a", "b", float("nan")]}, dtype=object
    ),
    "pandas, its own types": lambda: table().to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(table()),
    "polars, lazy": lambda: pl.LazyFrame(pl.DataFrame(table())).filter(pl.col("id") > 0),
    "pyarrow.Table": table,
    "pyarrow.RecordBatch": lambda: table().to_batches()[0],
    "pyarrow.RecordBatchReader": lambda: table().to_reader(1),
    "pyarrow dataset": lambda: ds.dataset(table()),
    "pyarrow scanner": lambda: ds.dataset(table()).scanner(),
    "DuckDB relation": lambda: duckdb.sql(
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL)) t(id, v)"
    ),
    "a list": lambda: [table(ROWS[:1]), pl.DataFrame(table(ROWS[1:]))],
    "a list of dicts": lambda: [{"id": i, "v": v} for i, v in ROWS],
    "Output of a generator of dicts": lambda: dg.Output({"v": v, "id": i} for i, v in ROWS),
    "iter(…)": lambda: iter([table(ROWS[:1]), table(ROWS[1:])]),
    "Output": lambda: dg.Output(table()),
    "Output of a generator": lambda: dg.Output(table([row]) for row in ROWS),
    "MaterializeResult": lambda: dg.MaterializeResult(value=table()),
    "MaterializeResult of a generator": lambda: dg.MaterializeResult(
        value=(table([row]) for row in ROWS)
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_is_loaded(bench: Bench, kind: str) -> None:
    """Whatever holds rows in columns may be returned, whole or as a stream, wrapped or not."""
    bench.spec()
    metadata = bench.metadata(bench.run(made(lambda _: FRAMES[kind]())))
    assert bench.rows() == ROWS
    assert metadata["dagster/row_count"] == metadata["rows_loaded"] == 3


def test_annotated_outputs_are_loaded(bench: Bench) -> None:
    """An output may be annotated with what it is."""
    bench.spec()

    @dg.asset(key=["s", "t"])
    def pandas() -> pd.DataFrame:
        return pd.DataFrame({"id": [1], "v": ["a"]})

    @dg.asset(key=["s", "t"])
    def lazy() -> pl.LazyFrame:
        return pl.LazyFrame({"id": [2], "v": ["b"]})

    @dg.asset(key=["s", "t"])
    def wrapped() -> dg.Output[pl.DataFrame]:
        return dg.Output(pl.DataFrame({"id": [3], "v": ["c"]}))

    @dg.asset(key=["s", "t"])
    def result() -> dg.MaterializeResult[pa.Table]:
        return dg.MaterializeResult(value=table([(4, "d")]))

    @dg.asset(key=["s", "t"])
    def yielded() -> Iterator[dg.Output[pa.Table]]:
        yield dg.Output(table([(5, "e")]))

    for at, asset in enumerate([pandas, lazy, wrapped, result, yielded], 1):
        bench.run(asset)
        assert bench.rows() == [(at, "abcde"[at - 1])]


def test_assets_without_a_value_are_not_the_managers(bench: Bench) -> None:
    """An asset that fills its table itself returns None or a bare result, and is left alone."""
    bench.spec(on_empty="clear")
    bench.run(returning(table()))

    @dg.asset(key=["s", "t"])
    def nothing() -> None:
        return None

    for asset in (nothing, returning(dg.MaterializeResult(metadata={"rows": 3}))):
        assert "load_id" not in bench.metadata(bench.run(asset))
        assert bench.rows() == ROWS


EMPTY: Mapping[str, Any] = {
    "None": None,
    "pandas": pd.DataFrame({"day": [], "v": []}),
    "pandas, bare": pd.DataFrame(),
    "polars": pl.DataFrame({"day": [], "v": []}),
    "a list": [],
    "an iterator": iter(()),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_no_rows_are_what_on_empty_says(bench: Bench, kind: str) -> None:
    """`on_empty` keeps or clears the slice of the run and no other, or fails."""
    asset = returning(EMPTY[kind], partitions_def=DAILY)
    bench.spec(**DAYS)
    bench.run(asset, key="2024-01-01")
    assert bench.rows() == []
    assert bench.types() == {"day": "DATE", "v": "INTEGER"}
    bench.run(days(), keys=("2024-01-01", "2024-01-02"))
    metadata = bench.metadata(bench.run(asset, key="2024-01-01"))
    assert metadata["status"] == "empty"
    assert bench.rows() == [(jan(1), 1), (jan(2), 2)]
    bench.spec(**DAYS, on_empty="clear")
    bench.run(asset, key="2024-01-01")
    assert bench.rows() == [(jan(2), 2)]
    bench.spec(**DAYS, on_empty="fail")
    assert "on_empty: fail" in bench.fails(asset, key="2024-01-02").text
    assert bench.rows() == [(jan(2), 2)]


def test_the_outputs_of_one_op_go_to_their_own_tables(bench: Bench) -> None:
    """Each output of a multi-asset is loaded by its own spec, those that are selected."""
    bench.spec("s/one")
    bench.spec("s/two", columns={"p": "varchar(9)"})

    @dg.multi_asset(
        outs={
            "one": dg.AssetOut(key=["s", "one"], is_required=False),
            "two": dg.AssetOut(key=["s", "two"], is_required=False),
        },
        can_subset=True,
    )
    def both(context):  # type: ignore[no-untyped-def]  # Dagster takes no text for the annotation
        if "one" in context.op_execution_context.selected_output_names:
            yield dg.Output(table(), "one")
        if "two" in context.op_execution_context.selected_output_names:
            yield dg.Output(pd.DataFrame({"p": ["x"]}), "two")

    bench.run(both, selection=[dg.AssetKey(["s", "two"])])
    assert bench.rows("s.two") == [("x",)]
    result = bench.run(both)
    assert bench.rows("s.one") == ROWS
    assert bench.metadata(result, "s/one")["dagster/row_count"] == 3
    assert bench.metadata(result, "s/two")["dagster/row_count"] == 1


def test_specs_with_a_manager_of_their_own_are_loaded(bench: Bench) -> None:
    """An op made of asset specs hands its values over by `with_io_manager_key`."""
    bench.spec("s/one")
    bench.spec("s/two")
    keys = [dg.AssetKey(["s", name]) for name in ("one", "two")]
    specs = [dg.AssetSpec(key).with_io_manager_key("io_manager") for key in keys]

    @dg.multi_asset(specs=specs)
    def both() -> Iterator[dg.MaterializeResult[pa.Table]]:
        for key in keys:
            yield dg.MaterializeResult(asset_key=key, value=table())

    bench.run(both)
    assert bench.rows("s.one") == bench.rows("s.two") == ROWS


def test_the_first_of_two_outputs_stays_when_the_second_fails(bench: Bench) -> None:
    """A multi-asset of which one output fails leaves the other loaded, and can be run again."""
    bench.spec("s/one")
    bench.spec("s/two")
    values = [table(), table([(1, "a" * 41)])]
    failed = bench.fails(several(lambda _: values, "s/one", "s/two"))
    assert "varchar(40)" in failed.text
    assert bench.rows("s.one") == ROWS
    values[1] = table([])
    bench.run(several(lambda _: values, "s/one", "s/two"))
    assert bench.rows("s.one") == ROWS
    assert bench.rows("s.two") == []


def test_what_passes_between_ops_is_no_table(bench: Bench) -> None:
    """Inside of a graph-backed asset only its last output is a table; the others say so."""
    bench.spec()

    def graph(out: dg.Out) -> dg.AssetsDefinition:
        @dg.op(out=out)
        def first() -> Any:
            return table()

        @dg.op
        def second(value: Any) -> Any:
            return value.slice(0, 2)

        @dg.graph_asset(key=["s", "t"])
        def whole() -> Any:
            return second(first())

        return whole

    failed = bench.fails(graph(dg.Out()))
    assert "has no asset key" in failed.text
    assert "another io_manager_key" in failed.text
    between = {"between": dg.mem_io_manager}
    bench.run(graph(dg.Out(io_manager_key="between")), resources=between)
    assert bench.rows() == ROWS[:2]


def test_outputs_of_plain_ops_are_no_tables(bench: Bench) -> None:
    """An op outside of any asset has no table either, nor has each of its dynamic outputs."""

    @dg.op
    def plain() -> Any:
        return table()

    @dg.op(out=dg.DynamicOut())
    def dynamic() -> Iterator[dg.DynamicOutput[Any]]:
        yield dg.DynamicOutput(table(), mapping_key="one")

    for op in (plain, dynamic):

        @dg.job(resource_defs={"io_manager": bench.manager()})
        def job() -> None:
            op()  # noqa: B023  called right here

        with pytest.raises(dg.Failure, match="has no asset key"):
            job.execute_in_process(instance=bench.instance)


NO_FRAMES = [7, 1.5, "text", b"bytes", {"id": [1]}, object(), [1, 2], pd.DataFrame, {1}]
COLUMNS = [pd.Series([1]), pl.Series([1]), pa.chunked_array([[1]]), pa.array([1])]


@pytest.mark.parametrize(
    "value",
    [*NO_FRAMES, *COLUMNS],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_what_is_no_frame_is_refused_with_what_is(bench: Bench, value: Any) -> None:
    """Anything else gets an error that says what it is, and lists what may be returned."""
    bench.spec()
    bench.run(returning(table()))
    down = reader()
    failed = bench.fails(returning(value), down.asset)
    first = next(iter(value)) if isinstance(value, list | set) else value
    assert type(first).__name__ in failed.text
    for name in ("pandas", "Polars", "PyArrow", "DuckDB", "LazyFrame", "RecordBatchReader"):
        assert name in failed.text
    assert bench.rows() == ROWS
    assert not down.seen


# Inputs: what is made of a table.

PANDAS = {"id": [1, 2, 3], "v": ["a", "b", None]}


def plain(value: Any) -> Any:
    """Rows of any kind of frame, with the kind."""
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if isinstance(value, pa.RecordBatchReader):
        value = value.read_all()
    if isinstance(value, duckdb.DuckDBPyRelation):
        value = value.to_arrow_table()
    if isinstance(value, pd.DataFrame):
        rows = [tuple(None if pd.isna(x) else x for x in row) for row in value.values.tolist()]
        return kind, sorted(rows, key=repr)
    rows = (
        value.rows()
        if isinstance(value, pl.DataFrame)
        else list(zip(*value.to_pydict().values(), strict=True))
    )
    return kind, sorted(rows, key=repr)


KINDS: Mapping[str, Any] = {
    "pandas.DataFrame": pd.DataFrame,
    "polars.DataFrame": pl.DataFrame,
    "polars.LazyFrame": pl.LazyFrame,
    "pyarrow.Table": pa.Table,
    "pyarrow.RecordBatchReader": pa.RecordBatchReader,
    "duckdb.DuckDBPyRelation": duckdb.DuckDBPyRelation,
}


def test_an_input_is_what_its_annotation_says(bench: Bench) -> None:
    """Every supported class, also as Optional, in either spelling."""
    bench.spec()
    wanted: dict[str, tuple[str, Reader]] = {}
    for kind, annotation in KINDS.items():
        for how, each in {
            "plain": annotation,
            "optional": Optional[annotation],  # noqa: UP045  as people write it
            "or_none": annotation | None,
        }.items():
            name = f"{kind}_{how}".replace(".", "_")
            wanted[name] = kind, reader(each, name=name, use=plain)
    bench.run(returning(table()), *(down.asset for _, down in wanted.values()))
    for name, (kind, down) in wanted.items():
        assert down.seen == [(kind, ROWS)], name


BY_PARTITION: list[tuple[str, Any]] = [
    ("pandas.DataFrame", dict[str, pd.DataFrame]),
    ("pandas.DataFrame", Dict[str, pd.DataFrame]),  # noqa: UP006  as people write it
    ("pandas.DataFrame", Optional[dict[str, pd.DataFrame]]),  # noqa: UP045
    ("polars.DataFrame", dict[str, pl.DataFrame]),
    ("polars.LazyFrame", dict[str, pl.LazyFrame] | None),
    ("pyarrow.Table", dict[str, pa.Table]),
    ("pyarrow.RecordBatchReader", dict[str, pa.RecordBatchReader]),
]


def test_a_mapping_has_a_frame_for_each_partition(bench: Bench) -> None:
    """`dict[str, X]`, in every spelling, is by partition key, in the order of the partitions."""
    bench.spec(**DAYS)
    bench.run(days(), keys=("2024-01-01", "2024-01-05"))
    downs: dict[str, tuple[str, Reader]] = {}
    for at, (kind, annotation) in enumerate(BY_PARTITION):
        downs[f"down_{at}"] = kind, reader(annotation, name=f"down_{at}", use=plain)
    bench.run(days().to_source_asset(), *(down.asset for _, down in downs.values()))
    for name, (kind, down) in downs.items():
        parts = {f"2024-01-0{n}": (kind, [(jan(n), n)]) for n in range(1, 6)}
        assert down.seen == [parts], name
        assert list(down.value) == sorted(parts), name


@pytest.mark.parametrize(
    ("default", "kind"),
    [("pandas", "pandas.DataFrame"), ("polars", "polars.DataFrame"), ("arrow", "pyarrow.Table")],
)
def test_without_an_annotation_the_manager_decides(bench: Bench, default: str, kind: str) -> None:
    """`default_frame` is what an input without an annotation, or of any type, is handed."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-01")
    one: dict[str, Any] = {"partitions_def": DAILY, "use": plain}
    downs = [
        reader(**one, name="bare"),
        reader(Any, **one, name="any"),
        reader(dict, **one, name="parts"),
    ]
    manager = bench.manager(default_frame=default)
    bench.run(
        days().to_source_asset(), *(d.asset for d in downs), key="2024-01-01", manager=manager
    )
    rows = (kind, [(jan(1), 1)])
    assert [down.value for down in downs] == [rows, rows, {"2024-01-01": rows}]


@pytest.mark.parametrize(
    "annotation",
    [int, str, list[int], list[pd.DataFrame], pd.Series, dict[str, dict[str, pd.DataFrame]]],
    ids=str,
)
def test_other_annotations_are_refused_with_those_there_are(bench: Bench, annotation: Any) -> None:
    """An annotation that no table can be made into is told, with the ones that work."""
    bench.spec()
    down = reader(annotation)
    failed = bench.fails(returning(table()), down.asset)
    assert failed.steps["downstream"] == [dg.DagsterEventType.STEP_FAILURE]
    for name in ("pandas.DataFrame", "polars.LazyFrame", "pyarrow.Table", "dict[str", "Optional"):
        assert name in failed.text
    assert not down.seen


def test_columns_and_limit_are_the_inputs_to_say(bench: Bench) -> None:
    """Metadata of an input narrows what is read: columns in their order, and so many rows."""
    bench.spec()
    bench.run(returning(table()))
    cases: dict[str, tuple[dict[str, Any], Callable[[pl.DataFrame], object], object]] = {
        "where": ({"where": "id >= 2 OR v = 'no'"}, lambda f: sorted(f["id"]), [2, 3]),
        "columns": ({"columns": ["v", "id"]}, lambda f: f.columns, ["v", "id"]),
        "one": ({"columns": ["v"]}, lambda f: f.columns, ["v"]),
        "word": ({"columns": "v"}, lambda f: f.columns, ["v"]),
        "limit": ({"limit": 2}, lambda f: f.height, 2),
        "none": ({"limit": 0}, lambda f: (f.height, f.columns), (0, ["id", "v"])),
        "more": ({"limit": 9}, lambda f: f.height, 3),
        "both": ({"limit": 1, "columns": ["id"]}, lambda f: (f.height, f.columns), (1, ["id"])),
    }
    downs = {
        name: reader(pl.DataFrame, metadata=metadata, name=f"down_{name}", use=use)
        for name, (metadata, use, _) in cases.items()
    }
    bench.run(returning(table()).to_source_asset(), *(down.asset for down in downs.values()))
    for name, (_, _, wanted) in cases.items():
        assert downs[name].value == wanted, name


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"columns": ["v", "w"]}, ["`w`", "id, v"]),
        ({"columns": []}, ["no columns"]),
        ({"limit": -1}, ["-1"]),
        ({"limit": "ten"}, ["ten"]),
        ({"columns": 5}, ["5"]),
        ({"columns": ["v", "V"]}, ["`v` twice"]),
        ({"allow_missing_partitions": "false"}, ["true or false", "'false'"]),
    ],
    ids=str,
)
def test_wrong_input_metadata_is_told(
    bench: Bench, metadata: dict[str, Any], told: list[str]
) -> None:
    """A column that is not there, or a limit that is no number of rows, fails with the reason."""
    bench.spec()
    down = reader(pl.DataFrame, metadata=metadata)
    failed = bench.fails(returning(table()), down.asset)
    assert all(words in failed.text for words in told), failed.text


def test_an_input_of_no_asset_is_told(bench: Bench) -> None:
    """An op whose input is of no asset has no table to read, and is told so."""

    @dg.op(ins={"t": dg.In(asset_key=dg.AssetKey(["s", "t"]), input_manager_key="io_manager")})
    def plain_op(t: Any) -> None:
        pass

    @dg.job(resource_defs={"io_manager": bench.manager()})
    def job() -> None:
        plain_op()

    with pytest.raises(dg.Failure, match="has no asset key"):
        job.execute_in_process(instance=bench.instance)


# Inputs: which partitions.


def lenient(**offsets: int) -> dg.TimeWindowPartitionMapping:
    """A mapping to partitions that need not exist."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True, **offsets)


MAPPINGS: Mapping[str, tuple[dict[str, Any], str | tuple[str, str] | None, list[int]]] = {
    "the same": ({"partitions_def": DAILY}, "2024-01-03", [3]),
    "the same, a range": ({"partitions_def": DAILY}, ("2024-01-02", "2024-01-04"), [2, 3, 4]),
    "the day before": (
        {
            "partitions_def": DAILY,
            "mapping": dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1),
        },
        "2024-01-03",
        [2],
    ),
    "three days, clipped": (
        {"partitions_def": DAILY, "mapping": dg.TimeWindowPartitionMapping(start_offset=-2)},
        "2024-01-02",
        [1, 2],
    ),
    "a week of days": (
        {
            "partitions_def": dg.WeeklyPartitionsDefinition("2024-01-01", day_offset=1),
            "mapping": lenient(),
        },
        "2024-01-01",
        [1, 2, 3, 4, 5],
    ),
    "no partitions downstream": ({}, None, [1, 2, 3, 4, 5]),
    "all": (
        {"partitions_def": LETTERS, "mapping": dg.AllPartitionMapping()},
        "a",
        [1, 2, 3, 4, 5],
    ),
    "the last": ({"mapping": dg.LastPartitionMapping()}, None, [5]),
    "some": (
        {"mapping": dg.SpecificPartitionsPartitionMapping(["2024-01-05", "2024-01-01"])},
        None,
        [1, 5],
    ),
}


@pytest.mark.parametrize("how", MAPPINGS)
def test_an_input_is_the_partitions_that_its_mapping_names(bench: Bench, how: str) -> None:
    """Each partition mapping reads its partitions, whole, once, and no others."""
    options, run, wanted = MAPPINGS[how]
    bench.spec(**DAYS)
    bench.run(days(), keys=("2024-01-01", "2024-01-05"))
    down = reader(pl.DataFrame, **options)
    at = {"keys": run} if isinstance(run, tuple) else {"key": run}
    bench.run(days().to_source_asset(), down.asset, **at)
    assert sorted(down.value["v"].to_list()) == wanted


def test_one_dimension_of_several_is_read_by_a_single_one(bench: Bench) -> None:
    """An asset by day reads of a table by day and site the cells of its day."""
    bench.spec(
        columns={"day": "date", "site": "varchar(9)"},
        partition_by=[
            {"name": "day", "expr": "day", "grain": "day"},
            {"name": "site", "expr": "site"},
        ],
    )
    both = dg.MultiPartitionsDefinition({"day": DAILY, "site": LETTERS})

    def cells(context: dg.AssetExecutionContext) -> pd.DataFrame:
        rows = [key.split("|") for key in context.partition_keys]
        return pd.DataFrame([(date.fromisoformat(d), s) for d, s in rows], columns=["day", "site"])

    asset = made(cells, partitions_def=both)
    bench.run(asset, keys=("2024-01-01|a", "2024-01-02|c"))
    for options, key, wanted in (
        (
            {
                "partitions_def": DAILY,
                "mapping": dg.MultiToSingleDimensionPartitionMapping("day"),
            },
            "2024-01-02",
            [(jan(2), site) for site in "abc"],
        ),
        (
            {
                "partitions_def": LETTERS,
                "mapping": dg.MultiToSingleDimensionPartitionMapping("site"),
                "metadata": {"allow_missing_partitions": True},
            },
            "b",
            [(jan(1), "b"), (jan(2), "b")],
        ),
        ({"partitions_def": both}, "2024-01-01|c", [(jan(1), "c")]),
    ):
        down = reader(pl.DataFrame, **options)
        bench.run(asset.to_source_asset(), down.asset, key=key)
        assert sorted(down.value.rows()) == wanted
    parts = reader(
        dict[str, pl.DataFrame],
        partitions_def=DAILY,
        mapping=dg.MultiToSingleDimensionPartitionMapping("day"),
    )
    bench.run(asset.to_source_asset(), parts.asset, key="2024-01-02")
    assert {key: len(frame) for key, frame in parts.value.items()} == {
        f"2024-01-02|{site}": 1 for site in "abc"
    }


def running(seen: list[Any], annotation: Any, **options: Any) -> dg.AssetsDefinition:
    """An asset that reads the day before of itself, and adds one to its value."""

    def asset(context, before):  # type: ignore[no-untyped-def]  # annotated below
        frame = plain(before)
        seen.append(frame)
        rows = frame[1] if isinstance(frame, tuple) else []
        keys = [date.fromisoformat(key) for key in context.partition_keys]
        first = max((value for _, value in rows), default=0) + 1
        return pl.DataFrame({"day": keys, "v": range(first, first + len(keys))})

    asset.__annotations__["before"] = annotation
    before = dg.AssetIn(
        ["s", "t"],
        partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1),
    )
    return dg.asset(key=["s", "t"], partitions_def=DAILY, ins={"before": before}, **options)(asset)


def test_an_asset_reads_its_own_partitions_of_before(bench: Bench) -> None:
    """At first there is no table and an empty frame; then there is the partition before."""
    bench.spec(**DAYS)
    seen: list[Any] = []
    asset = running(seen, pl.DataFrame)
    for key in ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-02"):
        bench.run(asset, key=key)
    assert [rows for _, rows in seen] == [[], [(jan(1), 1)], [(jan(2), 2)], [(jan(1), 1)]]
    assert bench.rows() == [(jan(1), 1), (jan(2), 2), (jan(3), 3)]


def test_an_asset_may_begin_in_the_middle_of_itself(bench: Bench) -> None:
    """Where the partition before was never made it is an empty frame, in a range run too."""
    bench.spec(**DAYS)
    seen: list[Any] = []
    asset = running(seen, pd.DataFrame)
    bench.run(asset, key="2024-01-03")
    assert seen == [("pandas.DataFrame", [])]
    bench.run(asset, keys=("2024-01-04", "2024-01-05"))
    assert seen[1] == ("pandas.DataFrame", [(jan(3), 1)])
    assert bench.rows() == [(jan(3), 1), (jan(4), 2), (jan(5), 3)]


def test_an_asset_reads_itself_by_partition(bench: Bench) -> None:
    """As a mapping the first run has no partitions at all."""
    bench.spec(**DAYS)
    seen: list[Any] = []
    asset = running(seen, dict[str, pl.DataFrame])
    bench.run(asset, key="2024-01-01")
    bench.run(asset, key="2024-01-02")
    assert seen == [{}, {"2024-01-01": ("polars.DataFrame", [(jan(1), 1)])}]


def test_a_condition_narrows_the_partitions_of_a_run(bench: Bench) -> None:
    """`where` holds beside the partitions, whatever it says itself."""
    bench.spec(**DAYS)
    bench.run(days(), keys=("2024-01-01", "2024-01-05"))
    down = reader(
        pl.DataFrame,
        metadata={"where": "1 = 1 OR 1 = 2"},
        partitions_def=DAILY,
        use=plain,
    )
    bench.run(days().to_source_asset(), down.asset, key="2024-01-02")
    assert down.value == ("polars.DataFrame", [(jan(2), 2)])


@pytest.mark.parametrize("where", ["", "id = 1; DROP TABLE s.t", "id = 1 -- no", "(id = 1", 7])
def test_what_is_no_condition_is_refused(bench: Bench, where: object) -> None:
    """Nothing but one SQL expression reaches the warehouse."""
    bench.spec()
    bench.run(returning(table()))
    down = reader(pl.DataFrame, metadata={"where": where})
    failed = bench.fails(returning(table()).to_source_asset(), down.asset)
    assert "condition" in failed.text
    assert "amount > 10" in failed.metadata["next_step"]


# Inputs: what is not there.


def test_an_optional_input_of_a_missing_table_is_none(bench: Bench) -> None:
    """`X | None` is None until the table exists, and then its rows; without None it is an error."""
    bench.spec()
    source = returning(table()).to_source_asset()
    optional = reader(pl.DataFrame | None, use=lambda frame: frame)
    bench.run(source, optional.asset)
    assert optional.seen == [None]
    bench.fails(source, reader(pl.DataFrame).asset)
    bench.run(returning(table()))
    later = reader(pl.DataFrame | None, use=plain)
    bench.run(source, later.asset)
    assert later.value == ("polars.DataFrame", ROWS)


def test_a_partition_that_is_not_there_fails_or_is_left_out(bench: Bench) -> None:
    """Upstream partitions that were never made are named, unless the input allows for them."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-02")
    strict = reader(pl.DataFrame)
    failed = bench.fails(days().to_source_asset(), strict.asset)
    for day in (1, 3, 4, 5):
        assert f"`2024-01-0{day}`" in failed.text
    assert "`2024-01-02`" not in failed.text
    assert "allow_missing_partitions" in failed.text
    assert not strict.seen
    allowed = {"allow_missing_partitions": True}
    downs = [
        reader(pl.DataFrame, metadata=allowed, use=plain, name="whole"),
        reader(dict[str, pl.DataFrame], metadata=allowed, use=plain, name="parts"),
    ]
    bench.run(days().to_source_asset(), *(down.asset for down in downs))
    rows = ("polars.DataFrame", [(jan(2), 2)])
    assert [down.value for down in downs] == [rows, {"2024-01-02": rows}]


def test_a_partition_that_was_loaded_empty_is_there(bench: Bench) -> None:
    """What Dagster has materialized is no gap, though it has no rows."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-01")
    bench.run(returning(pd.DataFrame(), partitions_def=DAILY), key="2024-01-02")
    down = reader(pl.DataFrame, partitions_def=DAILY)
    bench.run(days().to_source_asset(), down.asset, key="2024-01-02")
    assert down.value.height == 0


def test_a_partition_that_others_filled_is_there(bench: Bench) -> None:
    """Rows that came into the table without Dagster are no gap either."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-01")
    bench.sql("INSERT INTO s.t VALUES (DATE '2024-01-02', 7)")
    down = reader(pl.DataFrame, partitions_def=DAILY)
    bench.run(days().to_source_asset(), down.asset, key="2024-01-02")
    assert down.value.rows() == [(jan(2), 7)]


TYPES: Mapping[str, tuple[str, pl.DataType, str]] = {
    "s": ("smallint", pl.Int16(), "Int16"),
    "i": ("integer", pl.Int32(), "Int32"),
    "b": ("bigint", pl.Int64(), "Int64"),
    "f": ("double precision", pl.Float64(), "float64"),
    "n": ("decimal(12,2)", pl.Decimal(12, 2), "object"),
    "ok": ("boolean", pl.Boolean(), "boolean"),
    "x": ("varchar(9)", pl.String(), ""),
    "d": ("date", pl.Date(), "object"),
    "at": ("timestamp", pl.Datetime("us"), "datetime64[us]"),
    "z": ("timestamptz", pl.Datetime("us", "UTC"), "datetime64[us, UTC]"),
}


def test_an_empty_slice_has_the_specs_types(bench: Bench) -> None:
    """No rows are read in the types of the spec, in each kind of frame: of a table, or of none."""
    columns = {"p": "varchar(9)", **{name: kind for name, (kind, _, _) in TYPES.items()}}
    bench.spec(columns=columns, partition_by=[{"expr": "p"}])
    asset = returning(None, partitions_def=LETTERS)
    allowed = {"allow_missing_partitions": True}
    bench.run(asset, key="a")
    for key in ("a", "b"):  # there and empty; not there, and allowed for
        downs = {
            kind: reader(
                annotation, partitions_def=LETTERS, metadata=allowed, name=kind.replace(".", "_")
            )
            for kind, annotation in KINDS.items()
        }
        bench.run(asset.to_source_asset(), *(down.asset for down in downs.values()), key=key)
        polars = {name: kind for name, (_, kind, _) in TYPES.items()}
        assert dict(downs["polars.DataFrame"].value.schema) == {"p": pl.String(), **polars}
        assert downs["polars.LazyFrame"].value.collect_schema() == {"p": pl.String(), **polars}
        arrow = pl.DataFrame(schema={"p": pl.String(), **polars}).to_arrow(
            compat_level=pl.CompatLevel.oldest()
        )
        for kind in ("pyarrow.Table", "pyarrow.RecordBatchReader"):
            schema = downs[kind].value.schema
            assert [str(f.type).replace("large_", "") for f in schema] == [
                str(f.type).replace("large_", "") for f in arrow.schema
            ]
        pandas = downs["pandas.DataFrame"].value.dtypes
        assert {n: str(pandas[n]) for n, (_, _, kind) in TYPES.items() if kind} == {
            name: kind for name, (_, _, kind) in TYPES.items() if kind
        }


def test_an_empty_range_reads_an_empty_frame(bench: Bench) -> None:
    """A mapping that names no partitions at all reads none, and not the whole table."""
    bench.spec(**DAYS)
    bench.run(days(), keys=("2024-01-01", "2024-01-05"))
    down = reader(
        pl.DataFrame,
        partitions_def=DAILY,
        mapping=lenient(start_offset=-1, end_offset=-1),
    )
    bench.run(days().to_source_asset(), down.asset, key="2024-01-01")
    assert down.value.height == 0
    assert down.value.columns == ["day", "v"]


def test_a_table_that_is_not_there_is_told(bench: Bench) -> None:
    """An input without its table, or its database, fails and says what to do, and makes none."""
    bench.spec()
    asset = returning(table())
    down = reader(pl.DataFrame)
    assert "no table s.t" in bench.fails(asset.to_source_asset(), down.asset).text
    assert not bench.database.exists()
    bench.spec("s/other")
    bench.run(returning(table(), "s/other"))
    failed = bench.fails(asset.to_source_asset(), down.asset)
    assert "no table s.t" in failed.text
    assert "first" in failed.metadata["next_step"]
    assert bench.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 't'") == [(0,)]
    assert not down.seen


# Reading outside of runs, and of tables that others fill.


def test_values_are_loaded_outside_of_runs(bench: Bench) -> None:
    """`Definitions.load_asset_value` reads the table, or a partition of it, as it is asked to."""
    bench.spec(**DAYS)
    bench.spec("s/whole")
    bench.run(days(), keys=("2024-01-01", "2024-01-02"))
    bench.run(returning(table(), "s/whole"))
    defs = dg.Definitions(
        assets=[days(), returning(table(), "s/whole")], resources={"io_manager": bench.manager()}
    )
    key = dg.AssetKey(["s", "t"])
    one = defs.load_asset_value(
        key, python_type=pl.DataFrame, instance=bench.instance, partition_key="2024-01-02"
    )
    assert plain(one) == ("polars.DataFrame", [(jan(2), 2)])
    whole = defs.load_asset_value(dg.AssetKey(["s", "whole"]), instance=bench.instance)
    assert plain(whole) == ("pandas.DataFrame", ROWS)
    with pytest.raises(dg.Failure, match="2024-01-04"):
        defs.load_asset_value(key, instance=bench.instance, partition_key="2024-01-04")


def test_tables_that_others_fill_are_read(bench: Bench) -> None:
    """An external asset with the manager's key is an input like any other, partitioned or not."""
    bench.spec(**DAYS)
    bench.spec("s/whole")
    bench.sql(
        "CREATE SCHEMA s",
        "CREATE TABLE s.t AS SELECT DATE '2024-01-02' AS day, 7::INTEGER AS v",
        "CREATE TABLE s.whole AS SELECT 1::INTEGER AS id, 'a' AS v",
    )
    parted = dg.AssetSpec(["s", "t"], partitions_def=DAILY).with_io_manager_key("io_manager")
    whole = dg.AssetSpec(["s", "whole"]).with_io_manager_key("io_manager")
    downs = [
        reader(pl.DataFrame, partitions_def=DAILY, name="one"),
        reader(pl.DataFrame, "s/whole", partitions_def=DAILY, name="two"),
    ]
    bench.run(parted, whole, *(down.asset for down in downs), key="2024-01-02")
    assert [down.value.rows() for down in downs] == [[(jan(2), 7)], [(1, "a")]]
    gap = reader(pl.DataFrame, partitions_def=DAILY)
    assert "`2024-01-03`" in bench.fails(parted, gap.asset, key="2024-01-03").text


def checked(seen: list[Any], **options: Any) -> dg.AssetChecksDefinition:
    """A check of s/t that is handed its rows."""

    @dg.asset_check(asset=["s", "t"], **options)
    def whole(t: pl.DataFrame) -> dg.AssetCheckResult:
        seen.append(plain(t))
        return dg.AssetCheckResult(passed=True)

    return whole


def test_asset_checks_read_the_table(bench: Bench) -> None:
    """A check of an asset is handed its rows as any asset downstream is."""
    bench.spec()
    seen: list[Any] = []
    bench.run(returning(table()), checked(seen))
    assert seen == [("polars.DataFrame", ROWS)]


def test_asset_checks_of_partitions_read_theirs(bench: Bench) -> None:
    """A check with the asset's partitions is handed those of the run."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-01")
    seen: list[Any] = []
    bench.run(days(), checked(seen, partitions_def=DAILY), key="2024-01-02")
    assert seen == [("polars.DataFrame", [(jan(2), 2)])]


def test_asset_checks_without_partitions_read_what_there_is(bench: Bench) -> None:
    """A check can say nothing of gaps, so one of a whole table reads the partitions made so far."""
    bench.spec(**DAYS)
    bench.run(days(), key="2024-01-01")
    seen: list[Any] = []
    result = bench.run(days(), checked(seen), key="2024-01-02", raise_on_error=False)
    assert result.success
    assert seen == [("polars.DataFrame", [(jan(1), 1), (jan(2), 2)])]
