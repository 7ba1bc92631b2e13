"""Spark DataFrames on a real Spark: slow, so with `uv run --extra spark pytest -m slow`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import FrameError, LoaderError, SourceError, StageError
from loader.project import Project
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target, stored_keys

pytest.importorskip("pyspark")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("spark"),
    # Sockets of py4j and of Connect are left to the garbage collector.
    pytest.mark.filterwarnings("ignore"),
]

ROWS = 20_000


def _session(builder: Any, **options: str) -> Any:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "America/New_York",
        "spark.sql.shuffle.partitions": "3",
        **options,
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@pytest.fixture(scope="module")
def spark(_redshift_server: RedshiftStandIn) -> Iterator[Any]:
    """A session with two executor processes, which find the S3 of the stand-in."""
    from pyspark.sql import SparkSession

    variables = _redshift_server.environment().items()
    executors = {f"spark.executorEnv.{name}": value for name, value in variables}
    session = _session(SparkSession.builder.master("local-cluster[2,1,1024]"), **executors)
    yield session
    session.stop()


@pytest.fixture
def make(each_target: dict[str, Any], make_project: MakeProject) -> Callable[..., Project]:
    """Makes a project with the table `s.t`, on each target."""
    return lambda **changes: make_project({"t.yml": spec(**changes)}, **each_target)


def spec(**changes: Any) -> dict[str, Any]:
    columns = {"id": "bigint", "day": "date", "x": "varchar(9)"}
    listed = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    return {"schema": "s", "name": "t", "columns": listed, **changes}


def frame_of(spark: Any, rows: int = ROWS, partitions: int = 6, x: str = "'a'") -> Any:
    day = "date_add(date'2026-01-01', cast(id % 3 as int)) AS day"
    return spark.range(0, rows, 1, partitions).selectExpr("id", day, f"{x} AS x")


def facts(project: Project) -> tuple[Any, ...]:
    """The number, the sum and the number of different ids in the table."""
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    column = found["id"]
    return len(column), sum(column.to_pylist()), len(column.unique())


ALL = (ROWS, ROWS * (ROWS - 1) // 2, ROWS)


def test_executors_stage_and_one_copy_loads(make: Callable[..., Project], spark: Any) -> None:
    """Many, empty and uneven partitions become one verified load, and nothing is left behind."""
    project = make(partition_by=[{"expr": "day", "grain": "day"}], primary_key=["id"])
    frame = frame_of(spark).unionAll(frame_of(spark, 0, 5))
    result = project.load(project.spec("s/t"), frame, "auto")
    assert facts(project) == ALL
    assert (result.rows_read, result.rows_loaded) == (ROWS, ROWS)
    assert sum((result.partition_rows or {}).values()) == ROWS
    assert result.statistics["id"] == {
        "nulls": 0,
        "minimum": 0,
        "maximum": ROWS - 1,
        "sum": ALL[1],
    }
    assert stored_keys(project, "s.t", "rejects") == []


def test_rows_of_a_shuffle_are_loaded_once(make: Callable[..., Project], spark: Any) -> None:
    """A frame behind joins and aggregates, with skew and AQE, is loaded as what it is."""
    left = frame_of(spark)
    skewed = left.withColumn("k", left.id % 2 * left.id % 7)
    small = spark.range(0, 7).withColumnRenamed("id", "k")
    frame = skewed.join(small, "k").repartition("k").drop("k")
    project = make()
    project.load(project.spec("s/t"), frame)
    assert facts(project) == (frame.count(), *ALL[1:])


TYPES: Mapping[str, tuple[str, str, Any]] = {
    "i2": ("smallint", "cast(-7 AS smallint)", -7),
    "i8": ("bigint", "9007199254740993", 2**53 + 1),
    "d": ("decimal(38,10)", "cast('1234567890.0000000001' AS decimal(38,10))", None),
    "f": ("double precision", "cast('0.1' AS double)", 0.1),
    "b": ("boolean", "true", True),
    "t": ("varchar(99)", "'ünï'", "ünï"),
    "day": ("date", "date'1582-10-04'", date(1582, 10, 4)),
    "ts": ("timestamp", "timestamp_ntz'2026-01-01 00:00:00.000001'", None),
    "tz": ("timestamptz", "timestamp'2026-07-01 00:00:00'", datetime(2026, 7, 1, 4, tzinfo=UTC)),
    "v": ("varbyte(4)", "X'00ff'", b"\x00\xff"),
    "s": ("super", "named_struct('a', array(1, null), 'b', 'x')", '{"a":[1,null],"b":"x"}'),
    "n": ("bigint", "cast(null AS bigint)", None),
}


def test_each_type_of_spark_arrives(make_project: MakeProject, spark: Any) -> None:
    """Values of Spark's types are stored exactly, times in the zone of the session."""
    columns = [{"name": name, "data_type": kind} for name, (kind, _, _) in TYPES.items()]
    project = make_project({"t.yml": {"schema": "s", "name": "t", "columns": columns}})
    frame = spark.range(1).selectExpr(*(f"{sql} AS {name}" for name, (_, sql, _) in TYPES.items()))
    project.load(project.spec("s/t"), frame)
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    (row,) = found.to_pylist()
    wanted = {name: value for name, (_, _, value) in TYPES.items()}
    wanted |= {"d": Decimal("1234567890.0000000001"), "ts": datetime(2026, 1, 1, 0, 0, 0, 1)}
    assert row == wanted


def test_rows_that_do_not_fit_are_told_by_partition(
    make: Callable[..., Project], spark: Any
) -> None:
    """Bad rows of all tasks are counted, the first is named, and nothing is loaded or left."""
    project = make()
    frame = frame_of(spark, 100, 4, "CASE WHEN id % 30 = 29 THEN 'much too long' ELSE 'a' END")
    with pytest.raises(FrameError) as refused:
        project.load(project.spec("s/t"), frame)
    assert "3 rows do not fit s.t" in refused.value.message
    assert "partition 1 row 5: 'much too long'" in refused.value.message
    assert stored_keys(project, "s.t", "rejects") == []


def test_keys_of_two_partitions_are_found(make: Callable[..., Project], spark: Any) -> None:
    """A primary key that two tasks have staged fails the load in the warehouse."""
    project = make(primary_key=["id"], write_disposition="append")
    frame = frame_of(spark).unionAll(frame_of(spark, 5, 1))
    with pytest.raises(LoaderError, match="has 5 primary keys more than once"):
        project.load(project.spec("s/t"), frame)
    assert project.live("s", "t") in ("absent", "no schema")


def _passing(marker: Path, act: Callable[[], None]) -> Callable[[Any], Iterator[Any]]:
    """A function for `mapInArrow` that acts once, amid the rows of one partition."""
    name = str(marker)

    def passing(batches: Any) -> Iterator[Any]:
        from pyspark import TaskContext

        context = TaskContext.get()
        for number, batch in enumerate(batches):
            if number == 2 and context.partitionId() == 1:
                try:
                    os.close(os.open(name, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    act()
            yield batch

    return passing


def _kill_executor() -> None:
    """Kill the JVM of the executor whose Python worker runs this."""
    import time

    time.sleep(1)  # the files of the rows so far are written
    daemon = os.getppid()
    stat = Path(f"/proc/{daemon}/stat").read_text()
    os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    time.sleep(60)


def _fail() -> None:
    raise ValueError("this attempt fails")


@pytest.mark.parametrize("act", [_kill_executor, _fail])
def test_lost_attempts_leave_nothing(
    make: Callable[..., Project], spark: Any, tmp_path: Path, act: Callable[[], None]
) -> None:
    """An executor that is killed, and a task that fails midway, cost time and no row."""
    # By value: executors cannot import this module.
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    project = make(staging={"keep": "always", "file_size": "64KB"})
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
    frame = frame_of(spark, x="substr(sha2(cast(id AS string), 256), 1, 9)")
    marker = tmp_path / "acted"
    broken = frame.mapInArrow(_passing(marker, act), frame.schema)
    try:
        result = project.load(project.spec("s/t"), broken)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert marker.exists()
    assert facts(project) == ALL
    files = [key for key in stored_keys(project, "s.t", "rejects") if "/part-" in key]
    assert len(files) == result.files_staged
    if project.config.settings().type == "duckdb":
        assert not any("/task-" in key for key in files)


def test_errors_are_told_without_a_traceback(
    make_project: MakeProject, spark: Any, tmp_path: Path
) -> None:
    """What fails in executors is told in a line: a user's own function, SQL, the staging folder."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    project = make_project({"t.yml": spec()})
    frame = frame_of(spark, 10, 2)

    def broken(batches: Any) -> Iterator[Any]:
        raise KeyError("a\nb")
        yield

    cases: list[tuple[Any, type[LoaderError], str]] = [
        (frame.mapInArrow(broken, frame.schema), SourceError, "KeyError"),
        (frame_of(spark, 10, 2, "raise_error('no such thing')"), SourceError, "no such thing"),
    ]
    for bad, kind, told in cases:
        with pytest.raises(kind, match=told) as failed:
            project.load(project.spec("s/t"), bad)
        assert "Traceback" not in failed.value.message
        assert "\tat " not in failed.value.message
    assert stored_keys(project, "s.t", "rejects") == []
    (tmp_path / "file").write_text("")
    project = make_project({"t.yml": spec()}, staging=str(tmp_path / "file" / "folder"))
    with pytest.raises(StageError, match="in an executor of Spark: cannot write"):
        project.load(project.spec("s/t"), frame)


def test_plans_and_drafts_fetch_rows(make_project: MakeProject, spark: Any) -> None:
    """A plan checks the rows of a frame, and an asset without a spec gets one from them."""
    from loader.inference.from_files import infer_frame

    project = make_project({"t.yml": spec()})
    assert project.plan(project.spec("s/t"), frame=frame_of(spark, 100)).rows == 100
    draft = infer_frame(frame_of(spark, 10), schema="s", name="t")
    assert [str(column.data_type) for column in draft.spec.columns][:2] == ["bigint", "date"]


def test_assets_return_and_take_it(make_project: MakeProject, spark: Any) -> None:
    """Dagster's IO manager loads a Spark DataFrame as any other frame, and reads tables as one."""
    import dagster as dg
    from pyspark.sql import DataFrame

    from loader.dagster_io import DuckDBIOManager

    total = {"name": "total", "columns": [{"name": "n", "data_type": "bigint"}]}
    project = make_project({"t.yml": spec(), "total.yml": {"schema": "s", **total}})
    root = project.config.root

    @dg.asset(key=["s", "t"])
    def rows() -> Any:
        return frame_of(spark)

    def count(rows: DataFrame) -> list[dict[str, int]]:
        return [{"n": rows.count()}]

    count.__annotations__["rows"] = DataFrame  # not its name, which only this function knows
    ins = {"rows": dg.AssetIn(["s", "t"])}
    manager = DuckDBIOManager(
        database=str(root / "warehouse.duckdb"), specs=str(root / "specs"), staging=str(root / "st")
    )
    assets = [rows, dg.asset(key=["s", "total"], ins=ins)(count)]
    done = dg.materialize(assets, resources={"io_manager": manager})
    assert done.success
    assert facts(project) == ALL
    found: Any = project.read(project.spec("s/total"), as_="arrow")
    assert found.to_pylist() == [{"n": ROWS}]


def test_connect_is_the_same(make_project: MakeProject, tmp_path: Path) -> None:
    """A frame of Spark Connect is loaded by the same code, in a process of its own."""
    pytest.importorskip("google.rpc")
    import subprocess

    project = make_project({"t.yml": spec(primary_key=["id"])})
    script = f"""
import os, sys
os.environ["PYSPARK_PYTHON"] = sys.executable
from pyspark.sql import SparkSession
from loader.errors import FrameError
from loader.project import Project
spark = SparkSession.builder.remote("local[2]").getOrCreate()
project = Project.find({str(project.config.root)!r})
frame = spark.range(0, {ROWS}, 1, 5).selectExpr(
    "id", "date'2026-01-01' AS day", "CASE WHEN id < 0 THEN 'too long to fit' END AS x")
assert type(frame).__module__ == "pyspark.sql.connect.dataframe"
print(project.load(project.spec("s/t"), frame).rows_loaded)
bad = frame.selectExpr("-id AS id", "day", "'too long to fit' AS x")
try:
    project.load(project.spec("s/t"), bad)
except FrameError as error:
    print(error.message)
spark.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith(f"{ROWS}\n{ROWS:,} rows do not fit s.t")
    assert facts(project) == ALL


def test_memory_of_the_driver_is_flat(make_project: MakeProject, spark: Any) -> None:
    """A load of 1,000 tasks takes about as much memory in this process as one of ten."""
    import tracemalloc

    project = make_project({"t.yml": spec()})
    peaks = []
    for partitions in (10, 10, 1_000):
        tracemalloc.start()
        project.load(project.spec("s/t"), frame_of(spark, partitions=partitions))
        peaks.append(tracemalloc.get_traced_memory()[1] / (1 << 20))
        tracemalloc.stop()
        assert facts(project) == ALL
    print(f"peaks of 10 and 1,000 partitions: {peaks[1]:.1f} and {peaks[2]:.1f} MB")
    assert peaks[2] < peaks[1] + 8


READ: Mapping[str, tuple[str, Any]] = {
    "i2": ("smallint", -7),
    "i8": ("bigint", 2**53 + 1),
    "d": ("decimal(38,10)", Decimal("1234567890.0000000001")),
    "f": ("double precision", 0.1),
    "b": ("boolean", True),
    "t": ("varchar(99)", "ünï"),
    "day": ("date", date(2026, 1, 2)),
    "ts": ("timestamp", datetime(2026, 1, 1, 0, 0, 0, 1)),
    "tz": ("timestamptz", datetime(2026, 7, 1, 4, tzinfo=UTC)),
    "ti": ("time", time(23, 59, 59, 999_999)),
    "v": ("varbyte(4)", b"\x00\xff"),
    "s": ("super", '{"a":[1,null]}'),
}


@pytest.mark.parametrize("unload_rows", [None, 0, 1_000])
def test_a_table_is_read_as_a_spark_frame(
    make_project: MakeProject, spark: Any, request: pytest.FixtureRequest, unload_rows: int | None
) -> None:
    """Executors read the rows of a table, from UNLOAD or from files of this process, each time."""
    target: Mapping[str, Any] = {}
    if unload_rows is not None:
        stand_in: RedshiftStandIn = request.getfixturevalue("redshift")
        target = redshift_target(stand_in, unload_rows=unload_rows)
    columns = [{"name": name, "data_type": kind} for name, (kind, _) in READ.items()]
    whole = {"schema": "s", "name": "t", "columns": columns, "staging": {"format": "csv"}}
    project = make_project({"t.yml": whole}, **target)
    values = {name: [value, None] for name, (_, value) in READ.items()}
    rows = pa.table(values)
    project.load(project.spec("s/t"), rows)
    found = project.read(project.spec("s/t"), as_="spark", spark=spark)
    assert found.columns == list(READ)
    assert found.count() == 2
    (row,) = found.where("i8 IS NOT NULL").collect()
    wanted = {name: value for name, (_, value) in READ.items()}
    wanted |= {"ti": "23:59:59.999999", "v": bytearray(b"\x00\xff")}
    zone = datetime(2026, 7, 1, 4, tzinfo=UTC).astimezone().replace(tzinfo=None)
    assert row.asDict() == wanted | {"tz": zone}
    again = project.load(project.spec("s/t"), found)
    assert again.rows_loaded == 2
    exact: Any = project.read(project.spec("s/t"), as_="arrow")
    assert sorted(map(repr, exact.to_pylist())) == sorted(map(repr, rows.to_pylist()))
    few = project.read(project.spec("s/t"), as_="spark", columns=["t"], limit=1)
    assert (few.columns, few.count()) == (["t"], 1)
    assert project.clean(dry_run=True).foreign == 0


def test_reading_takes_a_session(make_project: MakeProject, spark: Any) -> None:
    """A table without rows is an empty DataFrame; one that is not there is told at once."""
    project = make_project({"t.yml": spec()})
    with pytest.raises(LoaderError, match="there is no table"):
        project.read(project.spec("s/t"), as_="spark")
    project.load(project.spec("s/t"), frame_of(spark, 1))
    project.load(project.spec("s/t"), frame_of(spark, 0), full_refresh=True)
    found = project.read(project.spec("s/t"), as_="spark")
    assert (found.columns, found.count()) == (["id", "day", "x"], 0)
