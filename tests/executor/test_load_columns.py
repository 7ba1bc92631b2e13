"""Columns about the load: what `from` says of a column is in each row, checked as any other."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from loader.dagster_io import DuckDBIOManager
from loader.data.cast.load_columns import LoadColumns, LoadFacts
from loader.data.files.open import open_files
from loader.data.in_place import open_source
from loader.errors import FrameError, LoaderError
from loader.executor.results import LoadResult
from loader.executor.spark.load import make_settings
from loader.executor.spark.outcome import decode_outcome
from loader.executor.spark.task import stage_partition
from loader.executor.stage import Destination, StageOptions
from loader.staging.stores.local import FolderStore
from tests.conftest import MakeProject

Row = dict[str, Any]
ID = {"name": "id", "data_type": "integer"}
FILE = {"name": "file", "data_type": "varchar(1024)", "from": "file"}
ROW = {"name": "file_row", "data_type": "bigint", "from": "file_row"}
AT = {"name": "loaded_at", "data_type": "timestamptz", "from": "loaded_at"}
LOAD = {"name": "load_id", "data_type": "varchar(128)", "from": "load_id"}
DAY = {"name": "day", "data_type": "date", "from": "path.day"}
PLACE = {"data_type": "varchar(9)", "from": "path.shop"}
SHOP = {"name": "shop", "data_type": "varchar(8)", "from": {"constant": "eu"}}


class Table:
    """A table that is loaded from files in the folder of its project."""

    def __init__(
        self,
        make: MakeProject,
        columns: Sequence[Mapping[str, Any]],
        target: Any = None,
        **spec: Any,
    ) -> None:
        data = {"schema": "s", "name": "t", "columns": [dict(one) for one in columns], **spec}
        self.project = make({"t.yml": data}, **(target or {}))
        (self.spec,) = self.project.catalog.specs()
        self.folder = self.project.config.root

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def load(
        self, *patterns: str, partition: Any = None, stdin: bytes = b"", **more: Any
    ) -> LoadResult:
        """Load files, which are named from the folder."""
        frame = open_source(patterns, self.spec.source, io.BytesIO(stdin))
        return self.project.load(self.spec, frame, partition, **more)

    def rows(self) -> list[Row]:
        """The rows of the table, by their first columns."""
        found: Any = self.project.read(self.spec, as_="arrow")
        return sorted(found.to_pylist(), key=lambda row: repr(list(row.values())))

    def refusal(self, *patterns: str, stdin: bytes = b"") -> str:
        """What loading files is refused with."""
        with pytest.raises(LoaderError) as caught:
            self.load(*patterns, stdin=stdin)
        return str(caught.value)


MakeTable = Callable[..., Table]


@pytest.fixture
def table(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> MakeTable:
    """Makes tables, and goes to their folder."""

    def make(columns: Sequence[Mapping[str, Any]], target: Any = None, **spec: Any) -> Table:
        made = Table(make_project, columns, target, **spec)
        monkeypatch.chdir(made.folder)
        return made

    return make


IDS = pa.table({"id": pa.array([1, 2, 3], pa.int32())})


def _buffer(write: Callable[[Any], Any]) -> bytes:
    sink = pa.BufferOutputStream()
    write(sink)
    return sink.getvalue().to_pybytes()


def _ipc(sink: Any) -> None:
    with pa.ipc.new_file(sink, IDS.schema) as writer:
        writer.write_table(IDS)


CSV = b"id\n1\n2\n3\n"
FORMATS: dict[str, bytes] = {
    "x.csv": CSV,
    "x.csv.gz": gzip.compress(CSV),
    "x.jsonl": b'{"id": 1}\n\n{"id": 2}\n{"id": 3}\n',
    "x.parquet": _buffer(lambda sink: pq.write_table(IDS, sink, row_group_size=2)),
    "x.arrow": _buffer(_ipc),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_them(name: str, table: MakeTable, each_target: dict[str, Any]) -> None:
    """Each row has its file, its number there, the folder's value and the facts of the load."""
    t = table([ID, FILE, ROW, AT, LOAD, DAY, SHOP], each_target, primary_key=["file", "file_row"])
    path = f"in/day=2026-01-02/{name}"
    t.write(path, FORMATS[name])
    before = datetime.now(UTC)
    result = t.load("in/*/*", load_id="one")
    rows = t.rows()
    at = rows[0]["loaded_at"]
    same = {"loaded_at": at, "load_id": "one", "day": date(2026, 1, 2), "shop": "eu"}
    assert rows == [{"id": n, "file": path, "file_row": n, **same} for n in (1, 2, 3)]
    assert before <= at <= datetime.now(UTC)
    assert result.statistics["file_row"]["maximum"] == 3


def test_all_files_of_a_load_have_one_instant(table: MakeTable) -> None:
    """A load is one moment, in columns with a zone and without; the next load is a later one."""
    utc = {"name": "utc", "data_type": "timestamp", "from": "loaded_at"}
    t = table([ID, AT, utc, LOAD], write_disposition="append")
    for name in ("a.csv", "b.csv"):
        t.write(name, CSV)
    first, second = t.load("*.csv"), t.load("*.csv")
    by_load: dict[str, set[datetime]] = {}
    for row in t.rows():
        by_load.setdefault(row["load_id"], set()).add(row["loaded_at"])
        assert row["loaded_at"] == row["utc"].replace(tzinfo=UTC)
    (one,), (other,) = by_load[first.load_id], by_load[second.load_id]
    assert one < other


NUMBERED: list[tuple[str, dict[str, Any], str, list[int]]] = [
    ("blank lines", {}, "id,note\n1,x\n\n2,y\n", [1, 2]),
    ("lines in quotes", {}, 'id,note\n1,"a\n\nb"\n2,y\n', [1, 2]),
    ("no end of line", {}, "id,note\n1,x\n2,y", [1, 2]),
    ("skipped lines", {"skip_rows": 2}, "#\n#\nid,note\n1,x\n2,y\n", [1, 2]),
    ("no header", {"header": False, "names": ["id", "note"]}, "1,x\n2,y\n", [1, 2]),
    (
        "neither",
        {"header": False, "names": ["id", "note"], "skip_rows": 1},
        "#\n1,x\n2,y\n",
        [1, 2],
    ),
    ("Excel", {}, "sep=,\nid,note\n1,x\n2,y\n", [1, 2]),
]


@pytest.mark.parametrize("case", NUMBERED, ids=lambda case: case[0])
def test_rows_are_counted_and_not_lines(
    case: tuple[str, dict[str, Any], str, list[int]], table: MakeTable
) -> None:
    """The first row of data is 1, whatever is before it; a row over several lines is one."""
    _, source, text, numbers = case
    t = table([ID, {"name": "note", "data_type": "varchar(9)"}, ROW], source=source)
    t.write("x.csv", text)
    t.load("x.csv")
    assert [row["file_row"] for row in t.rows()] == numbers


def test_rows_are_numbered_through_chunks_and_threads(table: MakeTable) -> None:
    """Each file begins at 1; chunks, row groups and several staged files change nothing."""
    t = table([ID, FILE, ROW], staging={"file_size": 20_000, "format": "parquet"})
    ids = pa.table({"id": pa.array(range(150_000), pa.int32())})
    pq.write_table(ids, t.folder / "a.parquet", row_group_size=7_000)
    pacsv.write_csv(ids.slice(0, 90_000), t.folder / "b.csv")
    t.write("c.csv", "id\n")
    result = t.load("*.parquet", "*.csv")
    assert result.files_staged > 1
    counts = {"a.parquet": 150_000, "b.csv": 90_000}
    found: Any = t.project.read(t.spec, as_="arrow")
    assert found.num_rows == sum(counts.values())
    for row in found.take(list(range(0, found.num_rows, 997))).to_pylist():
        assert row["file_row"] == row["id"] + 1
    ends = found.group_by("file").aggregate([("file_row", "max"), ("file_row", "count_distinct")])
    assert {
        (r["file"], r["file_row_max"], r["file_row_count_distinct"]) for r in ends.to_pylist()
    } == {(name, count, count) for name, count in counts.items()}


def test_rejects_have_the_same_file_and_number(table: MakeTable) -> None:
    """A rejected row is told by the file and the number that its column would have."""
    contract = {"bad_rows": "reject", "max_rejects": 5}
    t = table([ID, FILE, ROW], schema_contract=contract, staging={"keep": "always"})
    t.write("a.csv", "id\n1\nx\n3\n")
    t.write("b.csv", "id\n4\n5\ny\n")
    result = t.load("a.csv", "b.csv")
    assert [(r["id"], r["file"], r["file_row"]) for r in t.rows()] == [
        (1, "a.csv", 1),
        (3, "a.csv", 3),
        (4, "b.csv", 1),
        (5, "b.csv", 2),
    ]
    rejected = pq.read_table(result.rejects).to_pylist()
    assert [(r["_origin"], r["_row"], r["id"]) for r in rejected] == [
        ("a.csv", 2, "x"),
        ("b.csv", 3, "y"),
    ]


PATHS: list[tuple[str, str, str, str, Any]] = [
    ("", "day=2026-01-31/x.csv", "day", "date", date(2026, 1, 31)),
    ("", "day=2026-01-31/x.csv", "day", "timestamp", datetime(2026, 1, 31)),
    ("", "day=2026-01-31%2010%3A30/x.csv", "day", "timestamp", datetime(2026, 1, 31, 10, 30)),
    ("", "day=20/x.csv", "day", "smallint", 20),
    ("", "day=20.50/x.csv", "day", "decimal(9,2)", Decimal("20.50")),
    ("", "day=true/x.csv", "day", "boolean", True),
    ("", "day=a%2Fb%20c/x.csv", "day", "varchar(9)", "a/b c"),
    ("", "day=__HIVE_DEFAULT_PARTITION__/x.csv", "day", "date", None),
    ("", "DAY=007/x.csv", "day", "varchar(3)", "007"),
    ("p/{region}/x.csv", "p/eu/x.csv", "region", "varchar(2)", "eu"),
    ("p/*/{date:%Y%m%d}.csv", "p/eu/20260131.csv", "date", "date", date(2026, 1, 31)),
    ("p/*/{date:%Y%m%d}.csv", "p/eu/20260131.csv", "date", "varchar(8)", "20260131"),
    ("p/*/{date:%Y%m%d}.csv", "p/eu/20260131.csv", "date", "integer", 20260131),
    ("{date:%Y}/{date:%d.%m}.csv", "2026/31.01.csv", "date", "date", date(2026, 1, 31)),
]


@pytest.mark.parametrize("case", PATHS, ids=lambda case: f"{case[1]} as {case[3]}")
def test_values_of_paths_are_cast(case: tuple[str, str, str, str, Any], table: MakeTable) -> None:
    """Text of a path becomes the type of its column, in ISO 8601 or the format of its place.

    What the spec says of dates, decimals and NULL inside of files is not about their paths.
    """
    files, path, key, kind, expected = case
    source = {"date_format": "%d.%m.%Y", "decimal": ",", "null_values": ["", "007"]}
    column = {"name": "v", "data_type": kind, "from": f"path.{key}"}
    t = table([ID, column], source={**source, **({"files": files} if files else {})})
    t.write(path, CSV)
    t.load(path)
    assert {row["v"] for row in t.rows()} == {expected}


def test_a_placeholder_of_a_dimension_is_a_column_too(table: MakeTable) -> None:
    """Partitions in the names of files fill the column that the table is partitioned by."""
    t = table(
        [ID, {**DAY, "from": "path.date"}, {"name": "r", "data_type": "char(2)", "from": "path.r"}],
        partition_by=[{"name": "date", "expr": "day", "grain": "day"}],
        source={"files": "orders/{r}/{date:%Y/%m/%d}.csv"},
    )
    t.write("orders/eu/2026/01/31.csv", CSV)
    t.write("orders/us/2026/02/01.csv", CSV)
    t.load("orders/*/*/*/*.csv", partition="auto")
    found = {(row["day"].isoformat(), row["r"]) for row in t.rows()}
    assert found == {("2026-01-31", "eu"), ("2026-02-01", "us")}
    t.load("orders/eu/2026/01/31.csv", partition="2026-01-31")
    with pytest.raises(FrameError, match="outside the slice date=2026-01-31"):
        t.load("orders/us/2026/02/01.csv", partition="2026-01-31")
    assert len(t.rows()) == 6


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_run_loads_the_files_of_the_spec_with_all_placeholders(
    elsewhere: bool, table: MakeTable, each_target: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placeholders that are no dimension stand for anything; files are named as in the spec."""
    t = table(
        [ID, FILE, {**DAY, "from": "path.date"}, {"name": "shop", **PLACE}],
        each_target,
        partition_by=[{"name": "date", "expr": "day", "grain": "day"}],
        source={"files": ["in/{shop}/{date:%Y%m%d}.csv"], "load": "new"},
    )
    for name in ("eu/20260131", "us/20260131", "us/20260201", "us/notes"):
        t.write(f"in/{name}.csv", "id\n1\n")
    if elsewhere:
        monkeypatch.chdir("/")
    result = t.project.load(t.spec, t.project.source(t.spec))
    assert result.files_read == 3
    assert [(r["file"], r["day"].isoformat(), r["shop"]) for r in t.rows()] == [
        ("in/eu/20260131.csv", "2026-01-31", "eu"),
        ("in/us/20260131.csv", "2026-01-31", "us"),
        ("in/us/20260201.csv", "2026-02-01", "us"),
    ]
    listed = [file.path for file in t.project.history_files("s/t")]
    assert sorted(listed) == [row["file"] for row in t.rows()]


def test_files_of_a_table_without_partitions_may_have_placeholders(table: MakeTable) -> None:
    """They are patterns, and braces that are doubled are braces."""
    t = table([ID, {"name": "shop", **PLACE}], source={"files": "in/{{x}}/{shop}.csv"})
    t.write("in/{x}/eu.csv", "id\n1\n")
    t.write("in/{x}/us.csv", "id\n2\n")
    t.project.load(t.spec, t.project.source(t.spec))
    assert t.rows() == [{"id": 1, "shop": "eu"}, {"id": 2, "shop": "us"}]


def test_a_renamed_column_is_found_by_all_of_its_names(table: MakeTable) -> None:
    """The name in the data goes first, then the table's, then an earlier one."""
    t = table([{**ID, "from": "Order ID", "renamed_from": "number"}])
    for header in ("Order ID", "id", "NUMBER"):
        t.write("x.csv", f"{header}\n7\n")
        t.load("x.csv")
        assert t.rows() == [{"id": 7}]


@pytest.mark.parametrize(
    ("columns", "more", "files", "facts"),
    [
        ([DAY], {}, {"x.csv": "id\n1\n"}, ["day", "`from: path.day`", "x.csv has no `day`"]),
        (
            [DAY],
            {},
            {f"{n}.csv": "id\n1\n" for n in range(9)},
            ["0.csv has no `day`", "4.csv has no `day`", "and 4 more files"],
        ),
        ([DAY], {}, {"day=1/day=2/x.csv": "id\n1\n"}, ["more than one `day`: `1` and `2`"]),
        ([DAY], {}, {"day=soon/x.csv": "id\n1\n2\n"}, ["row 1: 'soon' is not a date (1 more row)"]),
        (
            [{**DAY, "nullable": False}],
            {},
            {"day=__HIVE_DEFAULT_PARTITION__/x.csv": "id\n1\n"},
            ["day", "row 1: NULL, but it is NOT NULL"],
        ),
        (
            [{**FILE, "data_type": "varchar(5)"}],
            {},
            {"x.csv": "id\n1\n", "long-name.csv": "id\n1\n2\n"},
            ["'long-name.csv' has 13 bytes, varchar(5) holds 5"],
        ),
        (
            [{**ROW, "data_type": "smallint"}],
            {},
            {"x.csv": "id\n" + "1\n" * 32_768},
            ["row 32,768: 32768"],
        ),
        ([LOAD], {"primary_key": ["load_id"]}, {"x.csv": "id\n1\n2\n"}, ["load_id"]),
        ([AT], {}, {"x.csv": "id,Loaded_At\n1,2\n"}, ["Loaded_At", "`from: loaded_at`"]),
        (
            [{"name": "at", "data_type": "timestamptz", "from": "load_at"}],
            {},
            {"x.csv": "id\n1\n"},
            ["at", "looked for as `load_at`", "file, file_row, loaded_at, load_id and path.<key>"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) and len(value) < 3 else "",
)
def test_what_does_not_fit_is_refused(
    columns: list[dict[str, Any]],
    more: dict[str, Any],
    files: dict[str, str],
    facts: list[str],
    table: MakeTable,
) -> None:
    """Values of the load are judged as those of data: by type, NOT NULL, key, and name."""
    t = table([ID, *columns], **more)
    for name, text in files.items():
        t.write(name, text)
    told = t.refusal("**/*.csv")
    assert [fact for fact in facts if fact not in told] == []


def test_a_column_of_the_file_may_have_the_name_of_a_keyword(table: MakeTable) -> None:
    """`{column: file}` reads the file's own column; `from: file` fills it, and `extra` is told."""
    own = {"name": "own", "data_type": "varchar(9)", "from": {"column": "file"}}
    t = table([{**ID, "from": "Order ID"}, own, FILE])
    t.write("x.csv", "order id,file\n1,inner\n")
    t.load("x.csv")
    assert t.rows() == [{"id": 1, "own": "inner", "file": "x.csv"}]


@pytest.mark.parametrize("by", ["from", "columns"])
def test_a_name_in_the_file_is_found_either_way(by: str, table: MakeTable) -> None:
    """`from: name` does what `source.columns` does, also where the data has the table's name."""
    renamed = {**ID, "from": "Order ID"} if by == "from" else ID
    t = table([renamed], source={} if by == "from" else {"columns": {"id": "Order ID"}})
    for header in ("Order ID", "ORDER ID", "id"):
        t.write("x.csv", f"{header}\n7\n")
        t.load("x.csv")
        assert t.rows() == [{"id": 7}]


CONSTANTS: list[tuple[str, Any, Any]] = [
    ("varchar(9)", "", ""),
    ("varchar(9)", "007", "007"),
    ("varchar(9)", 7, "7"),
    ("smallint", -5, -5),
    ("decimal(9,3)", 1.5, Decimal("1.500")),
    ("double precision", 0.1, 0.1),
    ("boolean", True, True),
    ("date", date(2026, 1, 31), date(2026, 1, 31)),
    ("timestamp", "2026-01-31 10:00:00", datetime(2026, 1, 31, 10)),
    ("timestamptz", "2026-01-31 10:00:00+01:00", datetime(2026, 1, 31, 9, tzinfo=UTC)),
]


@pytest.mark.parametrize("case", CONSTANTS, ids=lambda case: f"{case[0]} {case[1]}")
def test_constants_are_values_of_their_types(case: tuple[str, Any, Any], table: MakeTable) -> None:
    """What the spec accepts is loaded as it says, whatever the files say of formats and NULL."""
    kind, constant, expected = case
    source = {"date_format": "%d.%m.%Y", "decimal": ",", "null_values": ["", "007"]}
    column = {"name": "c", "data_type": kind, "from": {"constant": constant}, "nullable": False}
    t = table([ID, column], source=source)
    t.write("x.csv", CSV)
    t.load("x.csv")
    assert {row["c"] for row in t.rows()} == {expected}


def test_frames_have_what_is_not_of_files(table: MakeTable, each_target: dict[str, Any]) -> None:
    """A frame has no file: its columns are NULL, or what their default says."""
    default = {"name": "d", "data_type": "varchar(9)", "from": "file", "default": "'frame'"}
    t = table([ID, FILE, ROW, DAY, AT, LOAD, SHOP, default], each_target)
    t.project.load(t.spec, IDS, load_id="one")
    rows = t.rows()
    assert [row["id"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert (row["file"], row["file_row"], row["day"]) == (None, None, None)
        assert (row["load_id"], row["shop"], row["d"]) == ("one", "eu", "frame")
        assert timedelta(0) <= datetime.now(UTC) - row["loaded_at"] < timedelta(minutes=5)


def test_frames_are_refused_where_a_file_is_needed(table: MakeTable) -> None:
    """NOT NULL columns of files are told at once, before a row is read."""
    t = table([ID, FILE, ROW, {**DAY, "nullable": False}], primary_key=["file", "file_row"])

    def never() -> Any:
        yield IDS.slice(0, 0)
        raise AssertionError("a row was read")

    with pytest.raises(FrameError) as caught:
        t.project.load(t.spec, never())
    assert [detail["column"] for detail in caught.value.details] == ["file", "file_row", "day"]
    told = t.refusal("-", stdin=CSV)
    assert "standard input has no path" in told
    assert "file_row" not in told


def test_standard_input_has_rows_and_no_name(table: MakeTable) -> None:
    """Rows of standard input are numbered; it has no path, so what is of one is NULL."""
    t = table([ID, FILE, ROW, DAY])
    t.load("-", stdin=CSV)
    assert [tuple(row.values()) for row in t.rows()] == [(n, None, n, None) for n in (1, 2, 3)]


def test_files_of_an_archive_are_told_apart(table: MakeTable) -> None:
    """A file in an archive has the archive's path before its name, and row numbers of its own."""
    t = table([ID, FILE, ROW, DAY], primary_key=["file", "file_row"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "id\n1\n2\n")
        archive.writestr("sub/b.csv", "id\n3\n")
    t.write("day=2026-01-31/x.zip", packed.getvalue())
    t.load("day=2026-01-31/x.zip")
    path, day = "day=2026-01-31/x.zip", date(2026, 1, 31)
    assert [tuple(row.values()) for row in t.rows()] == [
        (1, f"{path}/a.csv", 1, day),
        (2, f"{path}/a.csv", 2, day),
        (3, f"{path}/sub/b.csv", 1, day),
    ]


def test_an_empty_load_fills_nothing(table: MakeTable) -> None:
    """A header without rows, and a stream without frames, load no row."""
    t = table([ID, FILE, AT])
    t.write("x.csv", "id\n")
    assert t.load("x.csv").status == "empty"
    assert t.project.load(t.spec, ()).status == "empty"


def test_a_merge_can_be_ordered_by_the_load(table: MakeTable) -> None:
    """The rows of a later load win by `loaded_at`, within a load by the number of their row."""
    t = table(
        [ID, {"name": "note", "data_type": "varchar(9)"}, AT, ROW],
        primary_key=["id"],
        write_disposition="merge",
        merge={"on_duplicate": "last", "order_by": ["loaded_at", "file_row"]},
    )
    t.write("x.csv", "id,note\n1,a\n1,b\n2,c\n")
    t.load("x.csv")
    t.write("x.csv", "id,note\n1,later\n")
    t.load("x.csv")
    assert [(row["id"], row["note"]) for row in t.rows()] == [(1, "later"), (2, "c")]


def test_another_load_of_the_same_row_is_no_new_version(
    table: MakeTable, each_target: dict[str, Any]
) -> None:
    """A history has a version for each change of the data, and not for each load of it."""
    note = {"name": "note", "data_type": "varchar(9)"}
    t = table(
        [ID, note, FILE, ROW, AT, LOAD, SHOP],
        each_target,
        primary_key=["id"],
        write_disposition="scd2",
    )
    for name, text in (("a.csv", "1,x\n2,y"), ("b.csv", "2,y\n1,x"), ("c.csv", "1,z\n2,y")):
        t.write(name, f"id,note\n{text}\n")
        t.load(name)
    assert [(r["id"], r["note"], r["file"], r["file_row"]) for r in t.rows()] == [
        (1, "x", "a.csv", 1),
        (1, "z", "c.csv", 1),
        (2, "y", "a.csv", 2),
    ]


def test_rows_are_partitioned_by_the_time_of_their_load(table: MakeTable) -> None:
    """`auto` and the slice know columns of the load as they know others."""
    t = table([ID, AT], partition_by=[{"expr": "loaded_at", "grain": "year"}])
    t.write("x.csv", CSV)
    result = t.load("x.csv", partition="auto")
    assert result.slice == f"loaded_at={datetime.now(UTC).year}"
    assert t.project.plan(t.spec, "auto", frame=open_source(["x.csv"], t.spec.source)).slice_text


def test_files_are_not_loaded_in_place(table: MakeTable) -> None:
    """COPY reads only what is in the files, so rows are staged, and every reason is told."""
    t = table([{**ID, "from": "key"}, FILE, AT], source={"in_place": "auto"})
    pq.write_table(IDS.rename_columns(["key"]), t.folder / "x.parquet")
    result = t.load("x.parquet")
    assert not result.in_place
    (note,) = result.warnings
    assert [f"`from: {word}`" in note for word in ("file", "loaded_at")] == [True, True]
    assert "`id` is `key` in the files" in note
    assert [row["file"] for row in t.rows()] == ["x.parquet"] * 3


def test_a_folder_is_no_column_by_itself(table: MakeTable) -> None:
    """Without `from` a folder `region=eu` is part of a path; a column of that name is missing."""
    t = table([ID])
    t.write("region=eu/x.csv", CSV)
    t.load("region=eu/x.csv")
    assert t.rows() == [{"id": n} for n in (1, 2, 3)]
    t = table([ID, {"name": "region", "data_type": "varchar(9)"}])
    assert "missing" in t.refusal("region=eu/x.csv")


def test_tasks_of_a_cluster_get_the_facts_of_their_load(table: MakeTable, tmp_path: Path) -> None:
    """The tasks of Spark write the same instant and id, which are sent to them."""
    t = table([ID, FILE, AT, LOAD, SHOP])
    at = datetime(2026, 1, 31, 10, tzinfo=UTC)
    store = FolderStore(tmp_path / "store")
    settings = pickle.loads(
        pickle.dumps(
            make_settings(
                t.spec,
                ["id"],
                Destination(store, "p", "r/rejects.parquet"),
                StageOptions(facts=LoadFacts("one", at)),
                None,
            )
        )
    )
    for partition in (0, 1):
        (batch,) = stage_partition(settings, partition, IDS.to_batches())
        outcome = decode_outcome(batch["outcome"][0].as_py())
        assert outcome.error is None
    found = pa.concat_tables(
        pq.read_table(path) for path in (tmp_path / "store").rglob("*.parquet")
    ).to_pylist()
    assert len(found) == 6
    assert {tuple(row.values())[1:] for row in found} == {(None, at, "one", "eu")}


def test_an_asset_of_dagster_has_them(table: MakeTable) -> None:
    """A run of Dagster fills columns of the load, with the load id that its ledger has."""
    t = table([ID, FILE, AT, LOAD, SHOP])

    @dg.asset(key=["s", "t"], io_manager_key="warehouse")
    def rows() -> pa.Table:
        return IDS

    manager = DuckDBIOManager(
        database=str(t.folder / "warehouse.duckdb"), specs=str(t.folder / "specs")
    )
    assert dg.materialize([rows], resources={"warehouse": manager}).success
    (entry,) = t.project.history("s/t")
    assert {row["load_id"] for row in t.rows()} == {entry.load_id}
    assert {row["shop"] for row in t.rows()} == {"eu"}


def test_all_files_are_checked_before_the_first_is_read(table: MakeTable) -> None:
    """A path without a key is told although its file cannot be read."""
    t = table([ID, DAY])
    t.write("day=1/x.csv", CSV)
    t.write("y.csv", b"\xff\xfe\x00")
    frame = open_files(["day=1/x.csv", "y.csv"], t.spec.source)
    with pytest.raises(FrameError, match=r"y\.csv has no `day`"):
        LoadColumns(t.spec, None, frame.files).check()


def test_json_lines_may_lack_keys_in_later_files(table: MakeTable) -> None:
    """Chunks that are filled up with NULL keep their file."""
    t = table([ID, {"name": "a", "data_type": "integer"}, FILE, ROW])
    t.write("1.jsonl", json.dumps({"id": 1, "a": 2}))
    t.write("2.jsonl", json.dumps({"id": 2}))
    t.load("*.jsonl")
    assert [tuple(row.values()) for row in t.rows()] == [
        (1, 2, "1.jsonl", 1),
        (2, None, "2.jsonl", 1),
    ]
