"""Files that are loaded from where they lie: the same tables, the same refusals, no row staged."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from loader import InPlace, LoaderError
from loader.cli import main
from loader.executor.results import LoadResult
from loader.project import Project
from loader.testing.redshift.faults import ChangeCopied
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target

D = Decimal
COLUMNS: Mapping[str, str] = {
    "id": "integer",
    "day": "date",
    "i2": "smallint",
    "i8": "bigint",
    "d9": "decimal(9,2)",
    "d38": "decimal(38,10)",
    "f4": "real",
    "f8": "double precision",
    "b": "boolean",
    "v": "varchar(6)",
    "ts": "timestamp",
    "tz": "timestamptz",
    "vb": "varbyte(4)",
}
TYPES: Mapping[str, pa.DataType] = {
    "id": pa.int32(),
    "day": pa.date32(),
    "i2": pa.int16(),
    "i8": pa.int64(),
    "d9": pa.decimal128(9, 2),
    "d38": pa.decimal128(38, 10),
    "f4": pa.float32(),
    "f8": pa.float64(),
    "b": pa.bool_(),
    "v": pa.string(),
    "ts": pa.timestamp("us"),
    "tz": pa.timestamp("us", "UTC"),
    "vb": pa.binary(),
}
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "day": FIRST,
        "i2": -number,
        "i8": 2**40 + number,
        "d9": D(number) / 4,
        "d38": D("1e-10") * number,
        "f4": number / 2,
        "f8": number / 3,
        "b": number % 2 == 0,
        "v": f"é{number}",
        "ts": datetime(1900 + number % 100, 1, 1, 12, 0, 0, number),
        "tz": datetime(2026, 3, 29, 1, 30, 0, number, tzinfo=UTC),
        "vb": bytes([number % 256, 0]),
        **changes,
    }


EMPTY_ROW = dict.fromkeys(list(COLUMNS)[2:])


class Place:
    """A target with a table, and a place for files that it can read."""

    def __init__(
        self,
        make: MakeProject,
        target: Mapping[str, Any],
        write: Callable[[str, bytes], str],
    ) -> None:
        self._make, self._target, self.write = make, target, write

    def project(self, **spec: Any) -> Project:
        """A project with the table `s.t`."""
        columns = [{"name": name, "data_type": kind} for name, kind in COLUMNS.items()]
        whole = {"schema": "s", "name": "t", "columns": columns, **spec}
        return self._make({"t.yml": whole}, **self._target)

    def file(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        types: Mapping[str, pa.DataType] = TYPES,
        **options: Any,
    ) -> str:
        """Write rows as a Parquet file; returns what names it."""
        sink = pa.BufferOutputStream()
        schema = pa.schema(list(types.items()))
        pq.write_table(pa.Table.from_pylist(list(rows), schema), sink, **options)
        return self.write(name, sink.getvalue().to_pybytes())


@pytest.fixture(params=["duckdb", "redshift"])
def place(request: pytest.FixtureRequest, make_project: MakeProject, tmp_path: Path) -> Place:
    """DuckDB with files in a folder, or the stand-in with files in its bucket."""
    if request.param == "redshift":
        stand_in: RedshiftStandIn = request.getfixturevalue("redshift")
        return Place(
            make_project,
            redshift_target(stand_in),
            lambda name, data: stand_in.write_object(f"lake/{name}", data),
        )

    def write(name: str, data: bytes) -> str:
        path = tmp_path / "lake" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return str(path)

    return Place(make_project, {}, write)


def load(project: Project, *files: str, **options: Any) -> LoadResult:
    """Load files in place."""
    partition = options.pop("partition", None)
    frame = InPlace(files, otherwise_stage=options.pop("otherwise_stage", False))
    return project.load(project.spec("s/t"), frame, partition, **options)


def rows_of(project: Project) -> list[dict[str, Any]]:
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    return sorted(found.to_pylist(), key=lambda one: (one["id"], one["day"]))


DISPOSITIONS: Mapping[str, Mapping[str, Any]] = {
    "replace": {},
    "replace a day": {"partition_by": [{"expr": "day", "grain": "day"}]},
    "append": {"write_disposition": "append"},
    "merge": {"write_disposition": "merge", "primary_key": ["id"]},
    "merge by MERGE": {
        "write_disposition": "merge",
        "primary_key": ["id"],
        "merge": {"strategy": "merge"},
    },
}


@pytest.mark.parametrize("disposition", DISPOSITIONS)
def test_the_table_is_that_of_a_staged_load(place: Place, disposition: str) -> None:
    """In place or staged, each disposition makes the same table of the same files."""
    spec = DISPOSITIONS[disposition]
    partition = "2026-01-01" if "partition_by" in spec else None
    loads = [
        [[row(1), row(2, **EMPTY_ROW)], [row(3)]],
        [[row(3, v="new"), row(4)]],
    ]
    project = place.project(**spec)
    for number, files in enumerate(loads):
        names = [place.file(f"{number}-{at}.parquet", rows) for at, rows in enumerate(files)]
        result = load(project, *names, partition=partition)
        assert result.in_place
        assert result.rows_loaded == result.rows_staged == sum(map(len, files))
        nulls = sum(one["i8"] is None for rows in files for one in rows)
        assert result.statistics["i8"]["nulls"] == nulls
    found = rows_of(project)
    staged = place.project(**{**spec, "name": "u"})
    for files in loads:
        rows = pa.Table.from_pylist([r for f in files for r in f], pa.schema(list(TYPES.items())))
        staged.load(staged.spec("s/u"), rows, partition)
    wanted: Any = staged.read(staged.spec("s/u"), as_="arrow")
    assert found == sorted(wanted.to_pylist(), key=lambda one: (one["id"], one["day"]))


def test_no_row_is_staged(place: Place) -> None:
    """What is staged is a manifest that names exactly the files, and their versions; it stays."""
    project = place.project(staging={"keep": "never"})
    name = place.file("a.parquet", [row(1)])
    place.file("b.parquet", [row(2)])
    result = load(project, name)
    store = project.context().staging_store
    assert result.staged is not None
    ((key, _),) = store.list("s.t")
    assert (
        project.history(limit=1)[0].manifest == f"{result.staged}/manifest.json" == store.uri(key)
    )
    manifest = json.loads(store.read(key))
    (url,) = (entry["url"] for entry in manifest["entries"])
    assert url.endswith("/lake/a.parquet")
    assert set(manifest["versions"][url]) in ({"etag"}, {"modified_ns", "inode", "bytes"})
    assert [one["id"] for one in rows_of(project)] == [1]
    assert project.clean(timedelta(0)).manifests == 1
    assert store.list("s.t") == [(key, len(store.read(key)))]


REFUSED: Mapping[str, tuple[Mapping[str, Any], Mapping[str, pa.DataType], str]] = {
    "a wider integer": ({}, {"i2": pa.int32()}, "`i2`: it is int32, and has to be int16"),
    "another scale": ({}, {"d9": pa.decimal128(9, 3)}, "decimal128(9, 3)"),
    "nanoseconds": ({}, {"ts": pa.timestamp("ns")}, "timestamp[ns]"),
    "no time zone": (
        {"source": {"timezone": "UTC"}},
        {"tz": pa.timestamp("us")},
        "timestamp[us]",
    ),
    "text for a date": ({}, {"day": pa.string()}, "`day`: it is string"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_a_cast_is_refused_by_name(place: Place, case: str) -> None:
    """A column of another type is named with both types, or its file is staged."""
    spec, changes, told = REFUSED[case]
    project = place.project(**spec)
    values = row(1)
    if pa.string() in changes.values():
        values["day"] = str(values["day"])
    name = place.file("a.parquet", [values], {**TYPES, **changes})
    with pytest.raises(LoaderError) as refused:
        load(project, name)
    assert told in refused.value.message
    assert "without --in-place" in str(refused.value.hint)
    result = load(project, name, otherwise_stage=True)
    assert not result.in_place
    assert told in result.warnings[0]
    assert rows_of(project) == [row(1)]


def test_values_that_python_has_not_are_no_traceback(place: Place) -> None:
    """Times past the year 9999 are refused in place by name, and ignored in other columns."""
    columns = {"id": pa.int32(), "ts": pa.timestamp("us")}
    project = place.project(
        columns=[{"name": name, "data_type": COLUMNS[name]} for name in columns],
        schema_contract={"extra_columns": "ignore"},
    )
    far = pa.array([2**60], pa.timestamp("us"))
    table = pa.table({"id": pa.array([1], pa.int32()), "ts": far})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    name = place.write("a.parquet", sink.getvalue().to_pybytes())
    with pytest.raises(LoaderError, match="`ts`: it has values outside of the years 1 to 9999"):
        load(project, name)
    with pytest.raises(LoaderError, match="out of range"):  # staging reads the rows
        load(project, name, otherwise_stage=True)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_statistics=["id"])
    silent = place.write("silent.parquet", sink.getvalue().to_pybytes())
    with pytest.raises(LoaderError, match="`ts`: no statistics say that its values are in the"):
        load(project, silent)
    other = place.project(
        columns=[{"name": "id", "data_type": "integer"}],
        schema_contract={"extra_columns": "ignore"},
    )
    with pytest.raises(LoaderError, match="other columns: ts"):
        load(other, name)
    assert load(other, name, otherwise_stage=True).rows_loaded == 1


def test_damaged_footers_are_no_traceback(place: Place) -> None:
    """A footer that cannot be parsed is told with its file, whether or not it may be staged."""
    project = place.project()
    name = place.write("a.parquet", b"PAR1" + bytes(4) + b"PAR1")
    with pytest.raises(LoaderError, match=r"a\.parquet is not a Parquet file"):
        load(project, name)
    with pytest.raises(LoaderError, match=r"a\.parquet"):
        load(project, name, otherwise_stage=True)


class _Keys(encryption.KmsClient):
    """Wraps keys in nothing."""

    def wrap_key(self, key_bytes: bytes, _: str) -> str:
        return base64.b64encode(key_bytes).decode()

    def unwrap_key(self, wrapped_key: str, _: str) -> bytes:
        return base64.b64decode(wrapped_key)


def encrypt_column(name: str) -> bytes:
    """A file with two columns, one of them encrypted, and a footer that is not."""
    factory = encryption.CryptoFactory(lambda _: _Keys())
    settings = encryption.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": [name]}, plaintext_footer=True
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), settings)
    sink = pa.BufferOutputStream()
    table = pa.table({"id": pa.array([1], pa.int32()), "v": ["a"]})
    pq.write_table(table, sink, encryption_properties=properties)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_files_with_encrypted_columns_are_not_loaded_in_place(place: Place) -> None:
    """They are told as such though their footers can be read, and cannot be staged either."""
    name = place.write("a.parquet", encrypt_column("v"))
    columns = [{"name": "id", "data_type": "integer"}, {"name": "v", "data_type": "varchar(6)"}]
    project = place.project(columns=columns)
    with pytest.raises(LoaderError, match=r"a\.parquet has encrypted columns"):
        load(project, name)
    with pytest.raises(LoaderError, match=r"a\.parquet cannot be read: it has encrypted columns"):
        load(project, name, otherwise_stage=True)


def test_text_that_is_not_utf_8_is_not_called_a_time(place: Place) -> None:
    """Extremes of text that Python cannot read say nothing of years."""
    columns = [{"name": "id", "data_type": "integer"}, {"name": "v", "data_type": "varchar(6)"}]
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": pa.array([1], pa.int32()), "v": bad}), sink)
    name = place.write("a.parquet", sink.getvalue().to_pybytes())
    with pytest.raises(LoaderError) as refused:
        load(place.project(columns=columns), name)
    assert "years" not in refused.value.message


def test_nanoseconds_are_no_traceback_without_pandas(tmp_path: Path) -> None:
    """Footers of nanoseconds are read in a process that imports no pandas, as commands do."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}), path)
    code = (
        "import sys; from loader.data.files.footers import read_footers;"
        " from loader.data.files.located import expand_patterns;"
        " from loader.data.from_pandas import block_pandas_import; block_pandas_import();"
        " (footer,) = read_footers(expand_patterns(sys.argv[1:]));"
        " print(footer.columns['t'].extremes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_two_columns_of_one_name_are_refused(place: Place) -> None:
    """A Parquet file with a name twice is refused as when it is staged."""
    one = pa.array([1], pa.int32())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays([one, one], names=["id", "id"]), sink)
    name = place.write("a.parquet", sink.getvalue().to_pybytes())
    for options in ({}, {"otherwise_stage": True}):
        with pytest.raises(LoaderError, match="has more than one column named `id`"):
            load(place.project(), name, **options)


def test_all_reasons_are_told_at_once(place: Place) -> None:
    """What the spec asks for and what the files are is one list."""
    project = place.project(
        schema_contract={"bad_rows": "reject"},
        partition_by=[{"expr": "day", "grain": "day"}],
    )
    types = {**TYPES, "i2": pa.int32(), "f4": pa.float64()}
    with pytest.raises(LoaderError) as refused:
        load(project, place.file("a.parquet", [row(1)], types), partition="auto")
    for word in ("--partition auto", "bad_rows", "`i2`", "`f4`"):
        assert word in refused.value.message


def test_columns_that_are_missing_or_foreign_are_named(place: Place) -> None:
    """Names are held against the spec as those of any frame, and no file may have others."""
    project = place.project()
    names = place.file("a.parquet", [row(1)], {**TYPES, "more": pa.int32()})
    with pytest.raises(LoaderError, match="more"):
        load(project, names)
    few = {name: kind for name, kind in TYPES.items() if name != "v"}
    with pytest.raises(LoaderError, match=r"missing +v"):
        load(project, place.file("b.parquet", [row(1)], few))
    ignoring = place.project(schema_contract={"extra_columns": "ignore"})
    with pytest.raises(LoaderError, match="other columns: more"):
        load(ignoring, names)
    assert load(ignoring, names, otherwise_stage=True).rows_loaded == 1
    second = place.file("c.parquet", [row(2)], few)
    with pytest.raises(LoaderError, match="`v`: it is missing"):
        load(project, place.file("d.parquet", [row(1)]), second)


BROKEN: Mapping[str, tuple[Mapping[str, Any], list[dict[str, Any]], str]] = {
    "a value too long": (
        {},
        [row(1), row(2, v="éééé")],
        "for example\n  v       id",
    ),
    "bytes too long": ({}, [row(1, vb=b"12345")], "longer than"),
    "a key twice": (
        {"primary_key": ["id"]},
        [row(1), row(2), row(1)],
        "for example\n  id  rows\n  1   2",
    ),
    "NULL in a key": (
        {"primary_key": ["id"]},
        [row(1), row(8, id=None)],
        "`id`: 1 value NULL in a NOT NULL column\nfor example\n  id    day",
    ),
    "NULL where the footer does not count them": (
        {"primary_key": ["id"]},
        [row(1), row(8, id=None)],
        "`id`: 1 value NULL in a NOT NULL column",
    ),
    "another day": (
        {"partition_by": [{"expr": "day", "grain": "day"}]},
        [row(1), row(2, day=SECOND)],
        "outside the slice, for example\n  day         id",
    ),
    "another day, appended": (
        {"partition_by": [{"expr": "day", "grain": "day"}], "write_disposition": "append"},
        [row(1), row(2, day=SECOND)],
        "outside the slice, for example\n  day         id",
    ),
    "another key, as text": (
        {"partition_by": [{"expr": "v"}], "primary_key": ["id"]},
        [row(1, v="k"), row(2, v="other")],
        "outside the slice, for example\n  id  v",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_rows_that_staging_would_refuse_are_refused(place: Place, case: str) -> None:
    """Nothing of a load is committed whose rows do not fit, and the table is as it was."""
    spec, rows, told = BROKEN[case]
    project = place.project(**spec)
    partition = {"day": "2026-01-01", "v": "k"}.get(_partition_column(spec))
    load(project, place.file("first.parquet", [row(9, v="k")]), partition=partition)
    described = [name for name in TYPES if name != "id"] if "footer" in case else True
    options: dict[str, Any] = {"write_statistics": described}
    with pytest.raises(LoaderError) as refused:
        load(project, place.file("a.parquet", rows, **options), partition=partition)
    assert told in refused.value.message
    assert refused.value.message.endswith("rolled back; s.t is unchanged")
    hint = str(refused.value.hint)  # a spec may say it, and not only the option
    assert ("--in-place" in hint) == ("set source: {in_place: never}" in hint)
    assert rows_of(project) == [row(9, v="k")]
    assert len(project.context().staging_store.list("s.t")) == 1


def _partition_column(spec: Mapping[str, Any]) -> str:
    return str(spec["partition_by"][0]["expr"]) if "partition_by" in spec else ""


def test_classified_values_are_not_shown(place: Place) -> None:
    """Rows that fail are shown without the values of columns with a classification."""
    columns = [{"name": name, "data_type": kind} for name, kind in COLUMNS.items()]
    columns[list(COLUMNS).index("v")]["classification"] = "pii"
    project = place.project(columns=columns)
    with pytest.raises(LoaderError) as refused:
        load(project, place.file("a.parquet", [row(1, v="secret!")]))
    assert "(classified)" in refused.value.message
    assert "secret" not in str(refused.value) + str(refused.value.details)


@pytest.mark.parametrize("disposition", ["replace", "append", "merge"])
def test_columns_in_another_order_go_by_name(place: Place, disposition: str) -> None:
    """Where COPY goes by position, files go through a stage table in their own order."""
    project = place.project(write_disposition=disposition, primary_key=["id"])
    turned = dict(reversed(list(TYPES.items())))
    for number in (1, 2):  # the first load creates the table
        result = load(project, place.file(f"{number}.parquet", [row(number)], turned))
        assert result.in_place
    assert rows_of(project) == [row(1), row(2)][disposition == "replace" :]
    assert result.statistics["i8"]["maximum"] == row(2)["i8"]


def test_a_plan_knows_the_order_of_the_live_table(place: Place) -> None:
    """`plan --live` shows the statements that a load of the same files runs."""
    columns = [{"name": name, "data_type": kind} for name, kind in COLUMNS.items()]
    name = place.file("a.parquet", [row(1)])
    load(place.project(columns=columns[::-1]), name)
    project = place.project()
    (planned,) = project.review([project.spec("s/t")], frame=InPlace((name,)))
    ran = load(project, name).plan
    assert ran is not None
    assert [one.name for one in planned.load.statements] == [one.name for one in ran.statements]


def test_files_in_two_orders_are_not_mixed_up(place: Place) -> None:
    """One COPY takes one order: files with another one are refused by name, or loaded by name."""
    project = place.project()
    names = [
        place.file("a.parquet", [row(1)]),
        place.file("b.parquet", [row(2)], dict(reversed(list(TYPES.items())))),
    ]
    if project.config.settings().type == "redshift":
        with pytest.raises(LoaderError, match=r"b\.parquet has its columns in another order than"):
            load(project, *names)
    load(project, *names, otherwise_stage=True)
    assert rows_of(project) == [row(1), row(2)]


def test_a_file_that_changes_meanwhile_fails_the_load(place: Place) -> None:
    """A file that is another one at COMMIT than when it was listed rolls the load back."""
    project = place.project()
    name = place.file("a.parquet", [row(1)])

    def change(progress: Any) -> None:
        if progress.phase == "record the load":
            place.file("a.parquet", [row(1)], row_group_size=1, compression="none")

    with pytest.raises(LoaderError, match=r"files changed while they were loaded(?s:.*)a\.parquet"):
        load(project, name, on_progress=change)
    assert project.live("s", "t") in ("absent", "no schema")


def test_values_that_the_copy_changes_are_found(
    redshift: RedshiftStandIn, make_project: MakeProject
) -> None:
    """What the footers tell of the values is held against what is in the table."""
    place = Place(make_project, redshift_target(redshift), redshift.write_object)
    project = place.project()
    name = place.file("lake/a.parquet", [row(1), row(2)])
    for change in ("i8 = i8 + 1", "d9 = NULL", "ts = ts + interval '1 hour'", "v = NULL"):
        redshift.faults.add("COPY", "before", ChangeCopied(change))
        with pytest.raises(LoaderError, match="differ from the staged ones"):
            load(project, name)


def test_files_without_rows_do_what_on_empty_says(place: Place) -> None:
    """A file without rows is no error, and one among others is not copied."""
    project = place.project()
    empty = place.file("empty.parquet", [])
    assert load(project, empty).status == "empty"
    load(project, empty, place.file("a.parquet", [row(1)]))
    assert rows_of(project) == [row(1)]
    with pytest.raises(LoaderError, match="on_empty: fail"):
        load(place.project(on_empty="fail"), empty)


def test_a_warehouse_reads_what_it_can_reach(
    redshift: RedshiftStandIn, make_project: MakeProject, tmp_path: Path
) -> None:
    """DuckDB reads the files of this machine, Redshift those in S3."""
    on_redshift = Place(make_project, redshift_target(redshift), redshift.write_object)
    url = on_redshift.file("lake/a.parquet", [row(1)])
    path = tmp_path / "a.parquet"
    path.write_bytes(redshift.read_object("lake/a.parquet"))
    with pytest.raises(LoaderError, match="only files in S3"):
        load(on_redshift.project(), str(path))
    local = Place(make_project, {}, lambda _, __: "").project()
    with pytest.raises(LoaderError, match="only files of this machine"):
        load(local, url)


@pytest.mark.parametrize(
    "name", ["odd [1] name.parquet", "*.parquet", "it's.parquet", "a?.parquet"]
)
def test_names_are_names_and_no_patterns(
    make_project: MakeProject, tmp_path: Path, name: str
) -> None:
    """A file whose name looks like a pattern is loaded, and no other."""
    place = Place(make_project, {}, lambda _, data: str(_written(tmp_path / "lake" / name, data)))
    _written(tmp_path / "lake" / "ab.parquet", b"no Parquet file")
    project = place.project()
    path = place.file("", [row(1)])
    load(project, path)
    assert rows_of(project) == [row(1)]


def _written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_command_loads_in_place(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`--in-place` and `source.in_place` choose it; `auto` stages what is no Parquet."""
    project = place.project(source={"in_place": "auto"})
    folder = str(project.config.root)
    name = place.file("a.parquet", [row(1)])

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["load", "s/t", *words, "--project", folder])
        told = capsys.readouterr()
        assert left.value.code == 0, told.err
        return told.out + told.err

    assert "in place 1 file" in run(name)
    assert "in place 1 file" in run(name, "--in-place")
    csv = _written(project.config.root / "rows.csv", ",".join(COLUMNS).encode() + b"\n")
    with csv.open("a") as file:
        file.write("7,2026-01-01" + "," * (len(COLUMNS) - 2) + "\n")
    assert "staged" in run(str(csv))
    assert [one["id"] for one in rows_of(project)] == [7]
