"""Files in place with all that a spec may ask for: the same as staged files, or refused by name."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from loader import InPlace, LoaderError
from loader.cli import main
from loader.data.source_files import SourceFiles
from loader.executor.results import LoadResult
from loader.project import Project
from tests.conftest import MakeProject
from tests.executor.test_in_place import Place, place  # noqa: F401  # a fixture
from tests.executor.test_new_files import meanwhile

# ruff: noqa: F811  # the fixture is imported

Make = Callable[[pa.Table], bytes]

TYPES = {"id": pa.int32(), "day": pa.date32(), "v": pa.string(), "op": pa.string()}
COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "data_type": "integer"},
    {"name": "day", "data_type": "date"},
    {"name": "v", "data_type": "varchar(9)"},
]
OP = [{"name": "op", "data_type": "varchar(1)"}]
DAY = "2026-01-01"
BY_DAY = {"partition_by": [{"expr": "day", "grain": "day"}]}


def as_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def as_csv(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(table, sink)
    return bytes(sink.getvalue().to_pybytes())


FORMATS: Mapping[str, Make] = {"parquet": as_parquet, "csv": as_csv}


def table_of(*rows: tuple[Any, ...], columns: Sequence[str] = ("id", "day", "v")) -> pa.Table:
    """Rows of id, day of January, text and so on."""
    schema = pa.schema([(name, TYPES[name]) for name in columns])
    cells = [dict(zip(columns, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(
        [{**one, "day": one["day"] and date(2026, 1, one["day"])} for one in cells], schema
    )


class Bench:
    """One table on a target, and files in one format that are loaded into it."""

    def __init__(self, place: Place, kind: str) -> None:
        self.place, self.kind = place, kind
        self.project: Project

    def declare(self, **spec: Any) -> None:
        self.project = self.place.project(**{"columns": COLUMNS, **spec})

    def write(self, name: str, table: pa.Table) -> str:
        return self.place.write(f"{name}.{self.kind}", FORMATS[self.kind](table))

    def load(self, *names: str, auto: bool = False, **options: Any) -> LoadResult:
        frame: Any = InPlace(names, otherwise_stage=auto)
        return self.project.load(self.project.spec("s/t"), frame, **options)

    def rows(self) -> list[tuple[Any, ...]]:
        found: Any = self.project.read(self.project.spec("s/t"), as_="arrow")
        names = [name for name in found.column_names if name != "loader_at"]
        return sorted(zip(*(found[name].to_pylist() for name in names), strict=True), key=repr)


@pytest.fixture(params=FORMATS)
def bench(request: pytest.FixtureRequest, place: Place) -> Bench:
    """Parquet and CSV, on DuckDB and on the stand-in."""
    return Bench(place, request.param)


KEYED: Mapping[str, Any] = {"primary_key": ["id"], "batch_columns": OP}
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "merge with deletes": {
        **KEYED,
        "write_disposition": "merge",
        "merge": {"deleted_when": "op = 'D'"},
    },
    "merge with soft deletes of the last rows": {
        **KEYED,
        "write_disposition": "merge",
        "merge": {
            "deleted_when": "op = 'D'",
            "soft_delete": "gone",
            "on_duplicate": "last",
            "order_by": ["day"],
        },
    },
    "a history": {
        **KEYED,
        "write_disposition": "scd2",
        "scd2": {"effective_at": "day", "deleted_when": "op = 'D'"},
    },
}
FIRST = ((1, 1, "a", "U"), (2, 1, "b", "U"), (3, 1, None, "U"))
SECOND = ((1, 2, "A", "U"), (2, 2, "b", "D"), (4, 2, "d", "U"))


@pytest.mark.parametrize("case", CHANGES)
def test_change_data_is_what_it_is_when_it_is_staged(
    bench: Bench, make_project: MakeProject, case: str
) -> None:
    """Deletes and histories by columns that only the files have are those of staged files."""
    spec = {"schema": "s", "name": "t", "columns": COLUMNS, **CHANGES[case]}
    staged = Bench(Place(make_project, {"folder": "staged"}, lambda _, __: ""), bench.kind)
    bench.declare(**spec)
    staged.declare(**spec)
    for number, rows in enumerate((FIRST, SECOND)):
        data = table_of(*rows, columns=[*TYPES])
        # COPY of Parquet goes by position, so that this order needs a stage of its own.
        turned = data.select(["op", "v", "day", "id"]) if number else data
        result = bench.load(bench.write(str(number), turned))
        wanted = staged.project.load(staged.project.spec("s/t"), data)
        assert result.in_place
        assert result.merge_counts == wanted.merge_counts
        assert bench.rows() == staged.rows()
    assert len(bench.rows()) == {"merge with deletes": 3}.get(case, 4 if "soft" in case else 5)
    entries = {entry.load_id: entry for entry in bench.project.history()}
    entry = entries[result.load_id]
    assert (entry.rows_loaded, entry.merge_counts) == (3, result.merge_counts)


def test_bad_change_data_is_shown(bench: Bench) -> None:
    """Rows whose only bad column is not in the table are shown with it, and nothing is loaded."""
    bench.declare(**CHANGES["a history"])
    name = bench.write("a", table_of((1, 1, "a", "U"), (2, 1, "b", "DD"), columns=[*TYPES]))
    with pytest.raises(LoaderError) as refused:
        bench.load(name)
    assert re.search(r"\bop\b.* longer than", refused.value.message)
    assert "'DD'" in refused.value.message
    assert bench.project.live("s", "t") in ("absent", "no schema")


def test_guards_hold(bench: Bench) -> None:
    """A slice that would lose too many rows is kept, or let go once."""
    bench.declare(**BY_DAY, guards={"slice_shrinks_by": "20%"})
    full = bench.write("full", table_of(*((number, 1, "v") for number in range(10))))
    part = bench.write("part", table_of(*((number, 1, "v") for number in range(8))))
    bench.load(full, partition=DAY)
    with pytest.raises(LoaderError, match="20% of its rows or more"):
        bench.load(part, partition=DAY)
    assert len(bench.rows()) == 10
    result = bench.load(part, partition=DAY, allow_shrink=True)
    assert result.in_place
    assert "of its rows or more" in result.warnings[0]
    assert len(bench.rows()) == 8


CHECKS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "a pattern": (
        {"metric": "invalid_values", "column": "v", "pattern": "^[a-z]+$", "must_be": 0},
        "'B2'",
    ),
    "a range": ({"metric": "invalid_values", "column": "id", "maximum": 2, "must_be": 0}, "3"),
    "a reference": (
        {
            "metric": "invalid_values",
            "column": "id",
            "references": {"table": "t", "column": "id"},
            "must_be": 1,
        },
        "is 0",
    ),
    "an expression": (
        {"metric": "failed_rows", "expression": "id < 3 OR v IS NULL", "must_be": 0},
        "'c'",
    ),
    "a query": (
        {"metric": "failed_rows", "query": "SELECT id FROM {table} WHERE v = 'c'", "must_be": 0},
        "3",
    ),
    "a warning": (
        {"metric": "null_values", "column": "v", "must_be": 1, "severity": "warning"},
        "is 0",
    ),
}


def test_checks_of_each_kind_hold(bench: Bench) -> None:
    """Checks measure what was loaded, and show the rows that do not pass."""
    name = bench.write("a", table_of((1, 1, "a"), (2, 1, "B2"), (3, 1, "c")))
    for case, (given, told) in CHECKS.items():
        bench.declare(checks=[{"name": "mine", **given}])
        if given.get("severity") == "warning":
            assert told in bench.load(name).warnings[0], case
            continue
        with pytest.raises(LoaderError) as refused:
            bench.load(name)
        assert told in refused.value.message, case
        assert "is unchanged" in refused.value.message, case
    bench.declare(checks=[{"metric": "row_count", "must_be": 3}])
    assert bench.load(name).checks[0].holds


FACTS: Mapping[str, Mapping[str, Any]] = {
    "file": {"data_type": "varchar(200)", "from": "file"},
    "file_row": {"data_type": "bigint", "from": "file_row"},
    "loaded_at": {"data_type": "timestamptz", "from": "loaded_at"},
    "load_id": {"data_type": "varchar(128)", "from": "load_id"},
    "constant": {"data_type": "varchar(9)", "from": {"constant": "eu"}},
}


def test_columns_that_no_file_has_are_staged(bench: Bench) -> None:
    """What `from` takes from the load, the file or the spec is refused by name, or staged."""
    name = bench.write("a", table_of((1, 1, "a")))
    facts = [{"name": f"by_{word}", **column} for word, column in FACTS.items()]
    bench.declare(columns=[*COLUMNS, *facts])
    with pytest.raises(LoaderError, match="cannot be loaded into") as refused:
        bench.load(name)
    result = bench.load(name, auto=True)
    assert not result.in_place
    for word in FACTS:
        told = f"`by_{word}`: `from: "
        assert told in refused.value.message
        assert told in result.warnings[0]
    assert None not in bench.rows()[0]


RENAMED: Mapping[str, Mapping[str, Any]] = {
    "from": {"columns": [*COLUMNS[:2], {**COLUMNS[2], "name": "text", "from": "v"}]},
    "from of another case": {"columns": [*COLUMNS[:2], {**COLUMNS[2], "from": "V"}]},
    "renamed_from": {
        "columns": [*COLUMNS[:2], {**COLUMNS[2], "name": "text", "renamed_from": "v"}]
    },
    "source.columns": {
        "columns": [*COLUMNS[:2], {**COLUMNS[2], "name": "text"}],
        "source": {"columns": {"text": "v"}},
    },
}


@pytest.mark.parametrize("case", RENAMED)
def test_columns_with_other_names(bench: Bench, case: str) -> None:
    """The fields of CSV are found by any of their names; Parquet with other names is staged."""
    data = table_of((1, 1, "a"))
    data = data.rename_columns(["id", "day", "V"]) if "case" in case else data
    name = bench.write("a", data)
    bench.declare(**RENAMED[case])
    if bench.kind == "parquet":
        with pytest.raises(LoaderError, match=r"is `[vV]` in the files, and Parquet is read by"):
            bench.load(name)
    result = bench.load(name, auto=True)
    assert result.in_place == (bench.kind == "csv")
    assert bench.rows() == [(1, date(2026, 1, 1), "a")]


def test_hours_of_clocks_that_skip_times_are_staged(bench: Bench) -> None:
    """A time that clocks skip is in no hour, which only staging finds in the rows."""
    at = {"name": "at", "data_type": "timestamp"}
    by_hour = {"expr": "at", "grain": "hour", "column_timezone": "Europe/Berlin"}
    bench.declare(columns=[{"name": "id", "data_type": "integer"}, at], partition_by=[by_hour])
    # Clocks skip two to three o'clock.
    times = [datetime(2026, 3, 29, 1, 30), datetime(2026, 3, 29, 2, 30)]
    table = pa.table({"id": pa.array([1, 2], pa.int32()), "at": pa.array(times, "timestamp[us]")})
    window = "2026-03-29T00:00..2026-03-29T04:00"
    good, bad = bench.write("a", table.slice(0, 1)), bench.write("b", table)
    with pytest.raises(LoaderError, match=r"`at`: times that the clocks of Europe/Berlin skip"):
        bench.load(good, partition=window)
    assert not bench.load(good, auto=True, partition=window).in_place
    with pytest.raises(LoaderError, match="this time does not exist in Europe/Berlin"):
        bench.load(bad, auto=True, partition=window)
    assert bench.load(bad, full_refresh=True).in_place


def test_rejects_are_staged(bench: Bench) -> None:
    """Rows are set aside one by one, which only staging does."""
    bench.declare(schema_contract={"bad_rows": "reject", "max_rejects": 1})
    name = bench.write("a", table_of((1, 1, "a"), (2, 1, "much too long")))
    with pytest.raises(LoaderError, match="bad_rows: reject"):
        bench.load(name)
    result = bench.load(name, auto=True)
    assert (result.in_place, result.rows_loaded, result.rows_rejected) == (False, 1, 1)


def test_new_files_are_loaded_once(bench: Bench) -> None:
    """The ledger of files knows those in place; one that has changed is loaded again."""
    first = bench.write("in-1", table_of((1, 1, "a")))
    pattern = first.replace("in-1", "in-*")
    bench.declare(
        write_disposition="merge",
        primary_key=["id"],
        source={"files": pattern, "load": "new", "in_place": "always"},
    )
    spec = bench.project.spec("s/t")

    def load() -> tuple[str, int | None, int]:
        result = bench.project.load(spec, bench.project.source(spec))
        assert result.in_place or not result.files_read
        return result.status, result.files_read, result.files_skipped

    assert load() == ("loaded", 1, 0)
    bench.write("in-2", table_of((2, 1, "b"), (3, 1, "c")))
    assert load() == ("loaded", 1, 1)
    assert load() == ("no_new_files", 0, 2)
    bench.write("in-2", table_of((2, 1, "new"), (3, 1, "c")))
    assert load() == ("loaded", 1, 1)
    assert [row[2] for row in bench.rows()] == ["a", "new", "c"]
    plan = bench.project.plan(spec, frame=bench.project.source(spec))
    assert plan.in_place is not None
    assert len(plan.in_place.uris) == 2
    assert "record the files" in [one.name for one in plan.statements]


def test_partitions_are_those_of_the_names_of_files(bench: Bench) -> None:
    """Of files that are named by partition no row is looked at, also with `auto`."""
    names = [bench.write(f"day-2026-01-0{day}", table_of((day, day, "a"))) for day in (1, 2)]
    files = names[0].replace(DAY, "{day}")
    bench.declare(**BY_DAY, source={"files": files, "load": "new", "in_place": "always"})
    spec = bench.project.spec("s/t")
    first = bench.project.load(spec, bench.project.source(spec))
    assert (first.in_place, first.slice, first.rows_loaded) == (
        True,
        "day=2026-01-01..2026-01-02",
        2,
    )
    bench.write("day-2026-01-02", table_of((3, 2, "b"), (4, 2, "b")))
    second = bench.project.load(spec, bench.project.source(spec), "auto")
    assert (second.in_place, second.slice, second.rows_loaded) == (True, "day=2026-01-02", 2)
    assert [row[0] for row in bench.rows()] == [1, 3, 4]
    bench.write("day-2026-01-01", table_of((1, 2, "other")))
    with pytest.raises(LoaderError, match="outside the slice"):
        bench.project.load(spec, bench.project.source(spec))


def test_files_that_another_load_was_first_to_load(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load in place chooses its files again when another one commits some of them meanwhile."""
    pattern = bench.write("in-1", table_of((1, 1, "a"))).replace("in-1", "in-*")
    bench.declare(
        write_disposition="append",
        source={"files": pattern, "load": "new", "in_place": "always"},
    )
    spec = bench.project.spec("s/t")
    done: list[LoadResult] = []
    meanwhile(
        monkeypatch,
        lambda: done.append(bench.project.load(spec, bench.project.source(spec))),
    )
    result = bench.project.load(spec, bench.project.source(spec))
    assert [one.status for one in done] == ["loaded"]
    assert result.status == "no_new_files"
    assert bench.rows() == [(1, date(2026, 1, 1), "a")]
    assert len(bench.project.context().staging_store.list("s.t")) == 1  # of the load that was first


def test_an_object_that_changes_after_its_listing_is_not_loaded(
    redshift: Any, make_project: MakeProject
) -> None:
    """What is loaded is the version that was listed, and recorded in the ledger of files."""
    place = Place(make_project, redshift.target(), redshift.write_object)
    for kind, make in FORMATS.items():
        bench = Bench(place, kind)
        bench.declare()
        name = place.write(f"lake/a.{kind}", make(table_of((1, 1, "a"))))
        spec = bench.project.spec("s/t")
        source = SourceFiles((name,), in_place=True)

        def change(progress: Any, kind: str = kind, make: Make = make) -> None:
            if progress.phase == "record the load":
                place.write(f"lake/a.{kind}", make(table_of((2, 1, "b"))))

        with pytest.raises(LoaderError, match="files changed while they were loaded"):
            bench.project.load(spec, source, on_progress=change)
        assert bench.project.load(spec, source).in_place
        assert bench.rows() == [(2, date(2026, 1, 1), "b")]


CHANGES_MEANWHILE: Mapping[str, Callable[[Make], bytes]] = {
    "other rows": lambda make: make(table_of((2, 2, "b"), (3, 3, "c"))),
    "no data": lambda make: b"nothing",
}


@pytest.mark.parametrize("change", CHANGES_MEANWHILE)
def test_files_that_change_before_they_are_copied_are_told(bench: Bench, change: str) -> None:
    """Whatever statement stumbles over them, the error says that they are others than before."""
    bench.declare()
    name = bench.write("a", table_of((1, 1, "a")))
    data = CHANGES_MEANWHILE[change](FORMATS[bench.kind])

    def write(progress: Any) -> None:
        if progress.phase in ("copy", "read the lines"):
            bench.place.write(f"a.{bench.kind}", data)

    with pytest.raises(LoaderError, match="files changed while they were loaded") as told:
        bench.load(name, on_progress=write)
    assert "load them again" in str(told.value.hint)
    with pytest.raises(LoaderError, match="there is no table"):
        bench.rows()


def test_a_pipe_is_not_waited_for(local: Bench, tmp_path: Path) -> None:
    """What is no file of a disk has no end to look at, so it is refused at once."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    local.declare()
    with pytest.raises(LoaderError, match=r"pipe\.csv is not a file of a disk"):
        local.load(str(pipe))


@pytest.mark.parametrize("text", [pa.large_string(), pa.string_view(), None])
def test_types_that_only_arrow_knows_are_those_of_parquet(place: Place, text: Any) -> None:
    """What writers note beside the schema of a Parquet file is no reason to stage it."""
    rows = table_of((1, 1, "a"), (2, 2, None))
    values = rows["v"].cast(text) if text else rows["v"].dictionary_encode()
    times = pa.array([datetime(2026, 1, 1), None], pa.timestamp("us", "Europe/Berlin"))
    bench = Bench(place, "parquet")
    bench.declare(columns=[*COLUMNS, {"name": "at", "data_type": "timestamptz"}])
    table = rows.set_column(2, "v", values).append_column("at", times)
    assert bench.load(bench.write("a", table)).in_place
    assert [row[:3] for row in bench.rows()] == [
        (1, date(2026, 1, 1), "a"),
        (2, date(2026, 1, 2), None),
    ]


def zipped(name: str, data: bytes) -> bytes:
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, data)
    return sink.getvalue()


def workbook() -> bytes:
    sink, book = BytesIO(), openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "day", "v"])
    sheet.append([1, date(2026, 1, 1), "a"])
    book.save(sink)
    return sink.getvalue()


ONE = table_of((1, 1, "a"))
ROW = {"id": 1, "day": DAY, "v": "a"}
OTHERS: Mapping[str, tuple[bytes, str]] = {
    "a.csv.xz": (lzma.compress(as_csv(ONE)), "is compressed as xz"),
    "a.zip": (zipped("a.csv", as_csv(ONE)), "is compressed as zip"),
    "a.csv.zip": (zipped("a.csv", as_csv(ONE)), "is compressed as zip"),
    "a.parquet.gz": (gzip.compress(as_parquet(ONE)), "a file of Parquet, compressed as gzip"),
    "a.xlsx": (workbook(), "a.xlsx is a file of Excel"),
    "a.json": (json.dumps([ROW]).encode(), "first line is not one whole JSON object"),
    "b.json": (json.dumps(ROW, indent=1).encode(), "first line is not one whole JSON object"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_forms_of_files_are_staged(place: Place, name: str) -> None:
    """Archives, workbooks and JSON that is not in lines are refused by name, or staged."""
    bench = Bench(place, "")
    bench.declare()
    data, told = OTHERS[name]
    path = place.write(name, data)
    with pytest.raises(LoaderError) as refused:
        bench.load(path)
    assert told in refused.value.message
    assert "without --in-place" in str(refused.value.hint)
    result = bench.load(path, auto=True)
    assert not result.in_place
    assert told in result.warnings[0]
    assert bench.rows() == [(1, date(2026, 1, 1), "a")]


@pytest.fixture
def local(make_project: MakeProject, tmp_path: Path) -> Bench:
    """JSON on DuckDB."""

    def write(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return Bench(Place(make_project, {}, write), "json")


def test_a_key_that_comes_late_is_not_dropped(local: Bench) -> None:
    """A column gets its default only where no line of the files has a value for it."""
    columns = [*COLUMNS[:2], {**COLUMNS[2], "default": "'none'"}]
    local.declare(columns=columns, schema_contract={"extra_columns": "ignore"})
    lines = [json.dumps({"id": number, "day": DAY, "x": "y" * 50}) for number in range(2_000)]
    name = local.place.write("a.json", "\n".join(lines).encode())
    assert local.load(name).in_place
    assert {row[2] for row in local.rows()} == {"none"}
    for late in ({"v": "late"}, {"V": "late"}):
        text = "\n".join([*lines, json.dumps({"id": -1, "day": DAY, **late})])
        late_name = local.place.write("b.json", text.encode())
        with pytest.raises(LoaderError, match="1 line is not JSON with the keys of the table"):
            local.load(late_name)
        local.load(late_name, auto=True)
        assert "late" in {row[2] for row in local.rows()}


def test_keys_that_the_first_lines_lack_are_left_to_staging(local: Bench) -> None:
    """Of a column that is in no first line it is not known whether it is in the file."""
    local.declare()
    lines = [json.dumps({"id": number, "day": DAY}) for number in range(3_000)]
    name = local.place.write("a.json", "\n".join([*lines, json.dumps(ROW)]).encode())
    with pytest.raises(LoaderError, match=r"the first lines of .*a\.json(?s:.*)missing +v"):
        local.load(name)
    assert not local.load(name, auto=True).in_place
    assert len(local.rows()) == 3_001


def test_a_script_of_a_plan_loads_the_files(
    local: Bench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`plan --from … --in-place -o FILE.sql` is a whole load on DuckDB, which stops at bad rows."""
    local.declare(**BY_DAY, columns=[{**COLUMNS[0], "nullable": False}, *COLUMNS[1:]])
    root = str(local.project.config.root)
    database = local.project.config.root / "warehouse.duckdb"
    files = {
        f"a.{kind}": make(table_of((1, 1, "a"), (2, 1, None))) for kind, make in FORMATS.items()
    }
    files["a.json"] = f"{json.dumps(ROW)}\n{json.dumps({**ROW, 'id': 2, 'v': None})}\n".encode()
    bad = {
        "bad.csv": b"id,day,v\n1,today,a\n",
        "worse.csv": b"id,day,v\n1\n",
        "bad.json": b'{"id": 1, "day": "2026-01-01", "v": 1}\n',
        "bad.parquet": as_parquet(table_of((1, 1, "much too long"))),
        "none.parquet": as_parquet(table_of((None, 1, "a"))),
    }
    script = tmp_path / "load.sql"
    for name, data in {**files, **bad}.items():
        path = local.place.write(name, data)
        words = ["plan", "s/t", "--from", path, "--in-place", "--partition", DAY]
        with pytest.raises(SystemExit) as left:
            main([*words, "--load-id", name, "-o", str(script), "--project", root])
        assert left.value.code == 0, capsys.readouterr().err
        with duckdb.connect(database) as connection:
            if name in files:
                connection.execute(script.read_text())
            else:
                with pytest.raises(duckdb.Error):
                    connection.execute(script.read_text())
        if name in files:
            assert [row[:3:2] for row in local.rows()] == [(1, "a"), (2, None)]
    entries = {entry.load_id: entry for entry in local.project.history("s/t")}
    assert set(entries) == set(files)
    assert {entry.rows_loaded for entry in entries.values()} == {2}
