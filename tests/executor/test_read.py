"""Reading a table back: every form, every type, as streams that stand in nobody's way."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loader.data.cast.layout import arrow_schema
from loader.data.export import write_file
from loader.errors import ExecuteError, LoaderError, PlanError, StageError
from loader.executor.read import batches_of
from loader.project import Project
from tests.conftest import redshift_target

if TYPE_CHECKING:
    from tests.conftest import MakeProject

D = Decimal

Form = Literal["pandas", "polars", "arrow", "batches"]
FORMS: tuple[Form, ...] = get_args(Form)

TYPES: Mapping[str, tuple[str, Sequence[Any]]] = {
    "i2": ("smallint", [-(2**15), None, 2**15 - 1]),
    "i4": ("integer", [-(2**31), None, 2**31 - 1]),
    "i8": ("bigint", [2**53 + 1, None, -(2**63)]),
    "n": ("decimal(38,0)", [D("9" * 38), None, D(-1)]),
    "m": ("decimal(38,37)", [D("1." + "0" * 36 + "1"), None, D("-9.5" + "0" * 36)]),
    "f4": ("real", [0.1, None, -0.0]),
    "f8": ("double precision", [0.1, None, 5e-324]),
    "b": ("boolean", [True, None, False]),
    "c": ("char(3)", ["a  ", None, "abc"]),
    "t": ("varchar(max)", ["ünï \0".strip("\0"), None, "x" * 65_535]),
    "d": ("date", [date(1, 1, 1), None, date(9999, 12, 31)]),
    "ts": ("timestamp", [datetime(1, 1, 1), None, datetime(9999, 12, 31, 23, 59, 59, 999_999)]),
    "tz": ("timestamptz", [datetime(2013, 1, 1, tzinfo=UTC), None, datetime(1, 1, 2, tzinfo=UTC)]),
    "ti": ("time", [time(0), None, time(23, 59, 59, 999_999)]),
    "tt": ("timetz", ["12:00:00+00", None, "23:59:59.5-08"]),
    "s": ("super", ['{"a":[1.50,null]}', None, "12345678901234567890"]),
    "v": ("varbyte(4)", [b"\x00\xff\n", None, b""]),
    "g": ("geometry", ["POINT (1 2)", None, "POINT EMPTY"]),
    "h": ("hllsketch", ["{}", None, "x"]),
    "iy": ("interval year to month", ["1 year 2 months", None, "-1 month"]),
    "ds": ("interval day to second", ["1 day 02:03:04.5", None, "-00:00:01"]),
}


def spec_of(types: Mapping[str, str], **rest: Any) -> dict[str, Any]:
    columns = [{"name": name, "data_type": kind} for name, kind in types.items()]
    return {"schema": "s", "name": "t", "columns": columns, **rest}


@pytest.fixture
def small(make_project: MakeProject) -> Project:
    """A table of four rows in two partitions."""
    spec = spec_of({"id": "bigint", "p": "date", "t": "varchar(9)"})
    spec["partition_by"] = [{"expr": "p", "grain": "day"}]
    project = make_project({"t.yml": spec})
    days = [date(2013, 1, 1)] * 2 + [date(2013, 1, 2)] * 2
    rows = pa.table({"id": [1, 2, 3, None], "p": days, "t": ["a", None, "c", "d"]})
    project.load(project.spec("s/t"), rows, "auto")
    return project


def ids(frame: Any) -> list[Any]:
    table = frame.read_all() if isinstance(frame, pa.RecordBatchReader) else pa.table(frame)
    return sorted(table["id"].to_pylist(), key=repr)


@pytest.mark.parametrize("name", TYPES)
def test_each_type_comes_back_exactly(make_project: MakeProject, name: str) -> None:
    """Values at the limits of each type, and NULL, are read as they were loaded, in that type."""
    kind, values = TYPES[name]
    project = make_project({"t.yml": spec_of({"x": kind}, staging={"format": "csv"})})
    spec = project.spec("s/t")
    frame = pa.Table.from_arrays([pa.array(values, arrow_schema(spec.columns)[0].type)], ["x"])
    project.load(spec, frame)
    found: Any = project.read(spec, as_="arrow")
    assert found.schema == frame.schema
    assert sorted(map(repr, found["x"].to_pylist())) == sorted(map(repr, frame["x"].to_pylist()))


def test_whole_numbers_with_nulls_stay_exact_in_pandas(small: Project) -> None:
    """A NULL among big integers turns none of them into a float."""
    spec = small.spec("s/t")
    big = 2**53 + 1
    rows = pa.table({"id": [big, None], "p": [date(2013, 1, 3)] * 2, "t": [None, "x"]})
    small.load(spec, rows, "2013-01-03")
    found: Any = small.read(spec, "2013-01-03")
    assert isinstance(found, pd.DataFrame)
    assert found["id"].dtype == pd.Int64Dtype()
    assert set(found["id"].dropna().tolist()) == {big}
    assert found["id"].isna().sum() == 1
    assert set(found["p"]) == {date(2013, 1, 3)}


def test_what_pandas_reads_loads_again(make_project: MakeProject) -> None:
    """A frame that was read in any form can be loaded as it is, and is the same."""
    names = ("i2", "i8", "n", "f8", "b", "t", "d", "ts", "tz", "ti")
    types = {name: TYPES[name][0] for name in names}
    project = make_project({"t.yml": spec_of(types, staging={"format": "csv"})})
    spec = project.spec("s/t")
    schema = arrow_schema(spec.columns)
    arrays = [pa.array(TYPES[f.name][1], f.type) for f in schema]
    project.load(spec, pa.Table.from_arrays(arrays, schema=schema))
    wanted = ids_of(project)
    # Years beyond those of nanoseconds must not be bent into them on the way.
    for form in FORMS:
        frame = project.read(spec, as_=form)
        project.load(spec, frame)
        assert ids_of(project) == wanted, form


def ids_of(project: Project) -> list[str]:
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    return sorted(map(repr, found.to_pylist()))


def test_every_form_holds_the_same_rows(small: Project) -> None:
    """pandas, Polars, Arrow and batches are one table in four forms; another form is refused."""
    spec = small.spec("s/t")
    kinds: dict[Form, type] = {
        "pandas": pd.DataFrame,
        "polars": pl.DataFrame,
        "arrow": pa.Table,
        "batches": pa.RecordBatchReader,
    }
    for form, kind in kinds.items():
        found = small.read(spec, as_=form)
        assert isinstance(found, kind)
        assert ids(found) == [1, 2, 3, None]
    with pytest.raises(PlanError, match="not as `excel`"):
        small.read(spec, as_="excel")  # type: ignore[call-overload]  # what is refused


def test_partitions_and_columns_are_picked(small: Project) -> None:
    """Only the partitions and columns that are asked for are read, in the order asked for."""
    spec = small.spec("s/t")
    found: Any = small.read(spec, "2013-01-01", columns=["t", "id"], as_="arrow")
    assert found.column_names == ["t", "id"]
    assert ids(found) == [1, 2]
    assert ids(small.read(spec, "2013-01-01..2013-01-02", as_="arrow")) == [1, 2, 3, None]
    assert ids(small.read(spec, ["2013-01-02", "2014-01-01"], as_="arrow")) == [3, None]
    for columns in (["nope"], [], ["id", "nope"]):
        with pytest.raises(PlanError, match=r"no column|columns are"):
            small.read(spec, columns=columns)
    wrong: list[Any] = ["auto", "2013-13-01", []]
    for partition in wrong:
        with pytest.raises(PlanError):
            small.read(spec, partition)


def test_a_condition_holds_beside_the_partitions(small: Project) -> None:
    """`where` narrows what is read, whatever brackets it would need beside a slice."""
    spec = small.spec("s/t")
    assert ids(small.read(spec, where="id = 1 OR t = 'd'", as_="arrow")) == [1, None]
    assert ids(small.read(spec, "2013-01-02", where="id = 1 OR t = 'd'", as_="arrow")) == [None]
    assert ids(small.read(spec, where="id > 1", limit=1, as_="arrow"))[0] in {2, 3}
    for wrong in ("", "id = 1;", "id = 1 -- x", "id = (1"):
        with pytest.raises(PlanError, match="is not a SQL condition"):
            small.read(spec, where=wrong)
    with pytest.raises(ExecuteError, match="nope"):
        small.read(spec, where="nope = 1")


def test_a_template_that_ignores_a_condition_is_refused(make_project: MakeProject) -> None:
    """A SELECT of the project's own that would read all rows is refused."""
    select = "SELECT {{ columns|map(attribute='name')|map('ident')|csv }} FROM {{ table|table }}"
    spec = spec_of({"id": "bigint"})
    project = make_project({"t.yml": spec}, templates={"duckdb/select.sql.j2": select})
    project.load(project.spec("s/t"), pa.table({"id": [1, 2]}))
    assert ids(project.read(project.spec("s/t"), as_="arrow")) == [1, 2]
    with pytest.raises(PlanError, match="without the condition"):
        project.read(project.spec("s/t"), where="id = 1")


@pytest.mark.parametrize("form", get_args(Form))
def test_an_empty_slice_has_its_types(small: Project, form: Form) -> None:
    """No rows are still a frame with the declared columns and types."""
    found: Any = small.read(small.spec("s/t"), "2020-01-01", as_=form)
    table = found.read_all() if form == "batches" else pa.table(found)
    assert table.num_rows == 0
    assert table.column_names == ["id", "p", "t"]
    if form in ("arrow", "batches"):
        assert table.schema == arrow_schema(small.spec("s/t").columns)
    assert table["id"].type == pa.int64()


def test_a_table_or_database_that_is_not_there_is_an_error(make_project: MakeProject) -> None:
    """Reading what was never loaded says how to load it, and makes no database."""
    project = make_project(
        {"t.yml": spec_of({"id": "integer"}), "u.yml": {**spec_of({"id": "integer"}), "name": "u"}}
    )
    spec = project.spec("s/t")
    for form in FORMS:
        with pytest.raises(ExecuteError, match="no table"):
            project.read(spec, as_=form)
    assert not (project.config.root / "warehouse.duckdb").exists()
    project.load(project.spec("s/u"), pa.table({"id": [1]}))
    with pytest.raises(ExecuteError, match=r"s\.t") as caught:
        project.read(spec)
    assert "loader load s/t" in str(caught.value.hint)


def test_a_live_table_of_other_columns_is_an_error_of_ours(make_project: MakeProject) -> None:
    """A live table that lacks a column, or has it as another type, is an error that names it."""
    project = make_project({"t.yml": spec_of({"id": "integer", "t": "varchar(9)"})})
    project.load(project.spec("s/t"), pa.table({"id": [1], "t": ["x"]}))
    for types in ({"id": "integer", "new": "date"}, {"id": "integer", "t": "bigint"}):
        project = make_project({"t.yml": spec_of(types)})
        spec = project.spec("s/t")
        for form in FORMS:
            with pytest.raises(LoaderError, match=[*types][1]):
                project.read(spec, as_=form)


@pytest.mark.parametrize("name", ["duckdb", "redshift"])
def test_a_real_of_the_spec_holds_no_larger_double(
    make_project: MakeProject, request: pytest.FixtureRequest, name: str
) -> None:
    """A double of the live table that a real would make infinite is an error that names it."""
    stand_in = request.getfixturevalue("stand_in") if name == "redshift" else None
    target = redshift_target(stand_in) if stand_in else {}
    for value, largest in ((math.inf, True), (1.5, True), (1e300, False)):
        project = make_project({"t.yml": spec_of({"x": "double precision"})}, **target)
        project.load(project.spec("s/t"), pa.table({"x": [value, None]}))
        project = make_project({"t.yml": spec_of({"x": "real"})}, **target)
        if largest:
            found: Any = project.read(project.spec("s/t"), as_="arrow")
            assert found["x"].to_pylist() == [value, None]
            continue
        with pytest.raises(ExecuteError, match=r"column `x` is double.*1e\+300") as refused:
            project.read(project.spec("s/t"), as_="arrow")
        assert "loader apply" in (refused.value.hint or "")


def test_a_double_is_not_rounded_to_a_decimal_of_the_spec(make_project: MakeProject) -> None:
    """What the spec's type cannot hold is told, and not read as another value."""
    for value, holds in ((1.25, True), (None, True), (1.239, False)):
        project = make_project({"t.yml": spec_of({"x": "double precision"})})
        project.load(project.spec("s/t"), pa.table({"x": pa.array([value, None], pa.float64())}))
        project = make_project({"t.yml": spec_of({"x": "decimal(9,2)"})})
        if holds:
            found: Any = project.read("s/t", as_="arrow")
            assert found["x"].to_pylist() == [value and Decimal(str(value)), None]
            continue
        with pytest.raises(ExecuteError, match=r"1\.239 has more decimals"):
            project.read("s/t", as_="arrow")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "infinity"),
        ("date", "99999-01-01"),
        ("timestamp", "0044-03-15 (BC) 00:00:00"),
        ("timestamptz", "99999-01-01 00:00:00+00"),
        ("time", "24:00:00"),
    ],
)
def test_times_that_text_does_not_hold_are_written_to_no_text(
    make_project: MakeProject, tmp_path: Path, kind: str, value: str, suffix: str
) -> None:
    """Times of other programs that text does not hold are refused, but for files that hold any."""
    fields = spec_of({"id": "integer", "x": kind}, staging={"format": "csv"})
    project = make_project({"t.yml": fields})
    spec = project.spec("s/t")
    project.load(spec, pa.table({"id": [1], "x": pa.nulls(1)}))
    with duckdb.connect(project.config.root / "warehouse.duckdb") as connection:
        connection.execute(f"INSERT INTO s.t VALUES (2, '{value}')")
    path = tmp_path / f"x.{suffix}"
    batches: Any = project.read(spec, as_="batches")
    if suffix in ("parquet", "arrow"):
        assert write_file(batches_of(batches), batches.schema, spec, path) == 2
        return
    with pytest.raises(StageError, match=r"column `x`: (csv|json) files cannot hold") as refused:
        write_file(batches_of(batches), batches.schema, spec, path)
    assert refused.value.hint == "write a Parquet file: -o x.parquet"
    assert not path.exists()


def in_time(action: Any) -> Any:
    """Run something that may hang, for a while."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(action())
        except LoaderError as error:
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert answers, "it hangs"
    return answers[0]


@pytest.mark.parametrize("how", ["dropped", "closed", "untouched and closed", "finished"])
def test_a_stream_that_is_left_early_blocks_no_load(make_project: MakeProject, how: str) -> None:
    """A reader that was read to its end, closed or dropped does not stop a later load."""
    project = make_project({"t.yml": spec_of({"id": "integer"}, write_disposition="append")})
    spec = project.spec("s/t")
    project.load(spec, pa.table({"id": pa.array(range(300_000), pa.int32())}))
    reader: Any = project.read(spec, as_="batches")
    if how in ("dropped", "closed"):
        while reader.read_next_batch().num_rows == 0:
            pass
    if how == "finished":
        reader.read_all()
    if how == "dropped":
        del reader
    elif how != "finished":
        reader.close()
    result = in_time(lambda: project.load(spec, pa.table({"id": [1]})))
    assert getattr(result, "status", result) == "loaded"
    found: Any = in_time(lambda: project.read(spec, as_="arrow"))
    assert found.num_rows == 300_001


def test_a_stream_that_is_still_open_is_told(make_project: MakeProject) -> None:
    """A load beside a half-read stream does not hang: it waits for lock_timeout and says why."""
    project = make_project({"t.yml": spec_of({"id": "integer"})}, lock_timeout=0.3)
    spec = project.spec("s/t")
    project.load(spec, pa.table({"id": pa.array(range(200_000), pa.int32())}))
    reader: Any = project.read(spec, as_="batches")
    first = reader.read_next_batch().num_rows
    refused = in_time(lambda: project.load(spec, pa.table({"id": [1]})))
    assert isinstance(refused, ExecuteError)
    assert "streams" in str(refused.hint)
    assert in_time(lambda: project.read(spec, as_="arrow")).num_rows == 200_000
    assert first + in_time(reader.read_all).num_rows == 200_000
    assert in_time(lambda: project.load(spec, pa.table({"id": [1]}))).status == "loaded"


def test_a_table_can_be_streamed_into_itself(make_project: MakeProject) -> None:
    """A stream of a table is a frame like any other, of the same database too."""
    project = make_project({"t.yml": spec_of({"id": "integer"}, write_disposition="append")})
    spec = project.spec("s/t")
    project.load(spec, pa.table({"id": pa.array(range(100_000), pa.int32())}))
    result = in_time(lambda: project.load(spec, project.read(spec, as_="batches")))
    assert getattr(result, "rows_loaded", result) == 100_000
