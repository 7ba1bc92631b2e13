"""Assets without a table spec: their tables are as their data suggests."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loader.dagster_io import DuckDBIOManager, TableIOManager
from tests.dagster_io.dagstertools import redshift_manager

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
ONE, TWO = "2026-01-01", "2026-01-02"


MakeManager = Callable[..., TableIOManager]


@pytest.fixture(params=["duckdb", "redshift"])
def make_manager(request: pytest.FixtureRequest, tmp_path: Path) -> MakeManager:
    """Makes managers that infer, on each of the warehouses; there is no folder of specs."""
    fields: dict[str, Any] = {"specs": str(tmp_path / "specs"), "on_missing_spec": "infer"}
    if request.param == "duckdb":
        return partial(DuckDBIOManager, database=str(tmp_path / "warehouse.duckdb"), **fields)
    return partial(redshift_manager, request.getfixturevalue("stand_in"), **fields)


@pytest.fixture
def manager(make_manager: MakeManager) -> TableIOManager:
    """A manager that infers."""
    return make_manager()


@pytest.fixture
def runs(manager: TableIOManager) -> Callable[..., dg.ExecuteInProcessResult]:
    """Materializes assets, in runs of one instance."""
    instance = dg.DagsterInstance.ephemeral()

    def run(*assets: dg.AssetsDefinition, **options: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*assets],
            resources={"io_manager": manager, "memory": dg.mem_io_manager},
            instance=instance,
            raise_on_error=False,
            **options,
        )

    return run


def asset(
    key: str, make: Callable[..., Any], metadata: Mapping[str, Any] | None = None, **options: Any
) -> dg.AssetsDefinition:
    """An asset of a key like ``raw/orders``."""

    @dg.asset(key=key.split("/"), metadata=metadata, **options)  # type: ignore[untyped-decorator]  # its options are Any here
    def made(context: dg.AssetExecutionContext) -> Any:
        return make(context)

    return made


def reader(key: str, seen: list[Any], annotation: Any = pl.DataFrame) -> dg.AssetsDefinition:
    """An asset that keeps what it is handed."""

    def read(upstream: Any) -> None:
        seen.append(upstream)

    read.__annotations__["upstream"] = annotation
    decorate = dg.asset(
        name="reader", ins={"upstream": dg.AssetIn(key.split("/"))}, io_manager_key="memory"
    )
    return decorate(read)


def described(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The columns of the table that a run made."""
    (event,) = result.get_asset_materialization_events()
    schema = event.materialization.metadata["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    return {column.name: column.type for column in schema.columns}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


FRAME = pa.table(
    {
        "n": pa.array([1, None], pa.int16()),
        "x": [1.5, 2.5],
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
        "day": [date(2026, 1, 1)] * 2,
        "price": pa.array([1, 2], pa.decimal128(12, 2)),
        "who": ["Ada", None],
    }
)


def test_columns_have_the_types_of_the_data(runs: Any) -> None:
    """Nothing is made text that is none, and what is read is what was stored."""
    made = asset("raw/shop/orders", lambda _: FRAME)
    assert described(runs(made)) == {
        "n": "smallint",
        "x": "double precision",
        "at": "timestamptz",
        "day": "date",
        "price": "decimal(12,2)",
        "who": "varchar(65535)",
    }
    seen: list[Any] = []
    assert runs(made, reader("raw/shop/orders", seen), selection=["reader"]).success
    assert seen[0].equals(pl.from_arrow(FRAME))


class Status(str, Enum):  # noqa: UP042  # prints as Status.OPEN, which StrEnum does not
    OPEN = "open"


def test_an_index_with_a_name_and_enum_members_are_kept(runs: Any) -> None:
    """A named index is a column of the table, and an enum member is its value."""
    frame = pd.DataFrame({"id": [7, 8], "status": pd.Series([Status.OPEN, None], dtype=object)})
    made = asset("raw/shop/orders", lambda _: frame.set_index("id"))
    assert described(runs(made)) == {"id": "bigint", "status": "varchar(65535)"}
    seen: list[Any] = []
    assert runs(made, reader("raw/shop/orders", seen), selection=["reader"]).success
    assert seen[0].rows() == [(7, "open"), (8, None)]


def test_an_index_without_a_name_is_not_dropped_in_silence(runs: Any) -> None:
    """Labels without a name are refused, with what to do."""
    made = asset("raw/shop/orders", lambda _: pd.DataFrame({"n": [1]}, index=["x"]))
    assert "rename_axis" in failure(runs(made))


def test_the_key_and_the_metadata_name_the_table(runs: Any, manager: TableIOManager) -> None:
    """The schema is the prefix joined by _, or metadata; the table is the last part."""
    for key, metadata, table in (
        ("raw/shop/orders", {}, ("raw_shop", "orders")),
        ("raw/other", {"schema": "mart"}, ("mart", "other")),
        ("alone", {}, ("public", "alone")),
        ("raw/Odd-Name.1", {}, ("raw", "odd-name.1")),
    ):
        assert runs(asset(key, lambda _: FRAME, metadata)).success
        assert manager.project.live(*table) not in ("absent", "no schema")


def test_a_table_that_is_there_decides_the_types(runs: Any) -> None:
    """A NULL that makes floats of integers, or a column of NULLs, is no other table."""

    def frame(context: dg.AssetExecutionContext) -> pd.DataFrame:
        day = [date.fromisoformat(context.partition_key)] * 2
        if context.partition_key == ONE:
            return pd.DataFrame({"day": day, "n": [1, 2], "t": ["a", "b"]})
        return pd.DataFrame({"day": day, "n": [3, None], "t": [None, None]})

    made = asset("raw/orders", frame, {"partition_expr": "day"}, partitions_def=DAYS)
    for key in (ONE, TWO, TWO):
        assert runs(made, partition_key=key).success
    seen: list[Any] = []
    mapping = dg.SpecificPartitionsPartitionMapping([ONE, TWO])

    @dg.asset(
        ins={"orders": dg.AssetIn(["raw", "orders"], partition_mapping=mapping)},
        io_manager_key="memory",
    )
    def down(orders: pl.DataFrame) -> None:
        seen.append(orders)

    assert runs(made, down, selection=["down"]).success
    assert seen[0].schema["n"] == pl.Int64
    assert sorted(seen[0]["n"].to_list(), key=str) == [1, 2, 3, None]


def test_partitions_are_where_the_metadata_says(runs: Any, manager: TableIOManager) -> None:
    """A column for each dimension; grain and zone are those of Dagster's partitions."""
    both = dg.MultiPartitionsDefinition(
        {"date": DAYS, "shop": dg.StaticPartitionsDefinition(["a", "b"])}
    )

    def frame(context: dg.AssetExecutionContext) -> pa.Table:
        keys = [key.keys_by_dimension for key in context.partition_keys]
        at = [datetime.fromisoformat(key["date"]) for key in keys]
        return pa.table({"at": at, "shop": [key["shop"] for key in keys]})

    metadata = {"partition_expr": {"date": "at", "shop": "shop"}}
    made = asset("raw/visits", frame, metadata, partitions_def=both)
    for day, shop in ((ONE, "a"), (TWO, "a"), (TWO, "b"), (ONE, "a")):
        key = dg.MultiPartitionKey({"date": day, "shop": shop})
        assert runs(made, partition_key=key).success
    seen: list[Any] = []
    readable = reader("raw/visits", seen, pa.Table)
    options = {"allow_missing_partitions": True}

    @dg.asset(
        ins={"visits": dg.AssetIn(["raw", "visits"], metadata=options)}, io_manager_key="memory"
    )
    def lenient(visits: pa.Table) -> None:
        seen.append(visits)

    assert "are missing" in failure(runs(made, readable, selection=["reader"]))
    assert runs(made, lenient, selection=["lenient"]).success
    assert len(seen[0]) == 3


def test_partitions_that_nobody_places_are_an_error(runs: Any) -> None:
    """The message tells which metadata is missing, and nothing is written."""
    told = failure(runs(asset("raw/t", lambda _: FRAME, partitions_def=DAYS), partition_key=ONE))
    assert "the asset `raw/t` has partitions" in told
    assert "'partition_expr': '<column>'" in told
    wrong = asset("raw/t", lambda _: FRAME, {"partition_expr": "dya"}, partitions_def=DAYS)
    assert "dya" in failure(runs(wrong, partition_key=ONE))


def test_an_asset_that_reads_itself_begins_with_nothing(runs: Any) -> None:
    """The first partition is handed an empty frame, the next one what the first one made."""
    before = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
    seen: list[int] = []

    @dg.asset(
        key=["raw", "sums"],
        partitions_def=DAYS,
        metadata={"partition_expr": "day"},
        ins={"earlier": dg.AssetIn(["raw", "sums"], partition_mapping=before)},
    )
    def sums(context: dg.AssetExecutionContext, earlier: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(earlier))
        return pd.DataFrame({"day": [date.fromisoformat(context.partition_key)], "n": [1]})

    assert runs(sums, partition_key=ONE).success
    assert runs(sums, partition_key=TWO).success
    assert seen == [0, 1]


def test_what_no_table_can_be_made_of_is_refused(runs: Any) -> None:
    """No columns, or values without a type: the error names them."""
    assert "has no columns" in failure(runs(asset("raw/t", lambda _: None)))
    odd = pa.table({"took": pa.array([1], pa.duration("s"))})
    assert "took" in failure(runs(asset("raw/t", lambda _: odd)))


def test_loads_add_columns_where_the_manager_lets_them(
    runs: Any, make_manager: MakeManager
) -> None:
    """A new column is refused with the field that allows it, which then adds the column."""
    assert runs(asset("raw/t", lambda _: pd.DataFrame({"a": [1]}))).success
    wider = asset("raw/t", lambda _: pd.DataFrame({"a": [2], "b": ["x"]}))
    told = failure(runs(wider))
    assert 'evolve="additive"' in told
    assert "loader apply" not in told
    done = dg.materialize([wider], resources={"io_manager": make_manager(evolve="additive")})
    assert described(done) == {"a": "bigint", "b": "varchar(65535)"}


def test_hints_about_a_spec_begin_with_drafting_one(runs: Any) -> None:
    """Where only a spec can set what a hint names, the hint says how to get one."""
    assert runs(asset("raw/t", lambda _: pd.DataFrame({"a": [1]}))).success
    told = failure(runs(asset("raw/t", lambda _: pd.DataFrame({"a": ["x"]}))))
    assert "loader infer FILE --name raw.t > specs/raw/t.yml" in told


@pytest.mark.parametrize(("one", "other"), [("a/b/t", "a_b/T"), ("shop/orders", "shop/Orders")])
def test_two_assets_do_not_share_a_table(runs: Any, one: str, other: str) -> None:
    """Each would replace the other's rows; one that was renamed takes the table by full refresh."""
    assert runs(asset(one, lambda _: pa.table({"n": [1]}))).success
    refused = runs(asset(other, lambda _: pa.table({"n": [2]})))
    told = failure(refused)
    assert f"of the asset `{other}` was loaded by the asset `{one}`" in told
    assert runs(asset(one, lambda _: pa.table({"n": [3]}))).success
    config = {"ops": {other.replace("/", "__"): {"outputs": {"result": {"full_refresh": True}}}}}
    assert runs(asset(other, lambda _: pa.table({"n": [4]})), run_config=config).success


def test_partitions_by_an_expression_that_is_no_text(runs: Any) -> None:
    """Keys are text, and so is what they are compared with, whatever the expression gives."""
    days = {"2025": date(2025, 5, 1), "2026": date(2026, 5, 1)}
    made = asset(
        "s/t",
        lambda context: pa.table({"d": [days[context.partition_key]]}),
        {"partition_expr": "extract(year from d)"},
        partitions_def=dg.StaticPartitionsDefinition(list(days)),
    )
    for key in ("2025", "2026", "2025"):
        assert runs(made, partition_key=key).success
    seen: list[Any] = []
    assert runs(made, reader("s/t", seen), selection=["reader"]).success
    assert sorted(seen[0]["d"].to_list()) == sorted(days.values())


def test_partitions_that_have_not_begun(runs: Any) -> None:
    """A table is read as one without partitions yet, where Dagster has no key for today."""
    whole = asset("s/t", lambda _: pa.table({"day": [date(2026, 1, 1)]}))
    assert runs(whole).success
    later = dg.DailyPartitionsDefinition("2099-01-01")
    upstream = asset("s/t", lambda _: None, {"partition_expr": "day"}, partitions_def=later)
    seen: list[Any] = []
    assert runs(upstream, reader("s/t", seen), selection=["reader"]).success
    assert len(seen[0]) == 0
