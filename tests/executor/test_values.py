"""Values are verified before COMMIT: what a copy changes is found on every target, and rolled back.

Each plant changes values as a copy might: on DuckDB in a copy template of the project's own, on
Redshift in the stand-in's COPY. A load that only counts rows commits each of them, which shows
that the plant is one.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.dagster_io.metadata import load_metadata
from loader.data.cast.layout import arrow_schema
from loader.errors import LoaderError, VerifyError
from loader.executor.results import LoadResult, Progress
from loader.plan.expectations import Values
from loader.project import Project
from loader.spec.model import TableSpec
from loader.staging.encoders.open import open_writer
from loader.testing.redshift.faults import ChangeCopied
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.registry import open_warehouse
from tests.conftest import MakeProject, redshift_target
from tests.test_properties import project_of, tables

COLUMNS = {
    "id": "integer",
    "n": "integer",
    "m": "integer",
    "big": "bigint",
    "a": "varchar(20)",
    "b": "varchar(20)",
    "code": "char(3)",
    "amount": "decimal(20,4)",
    "wide": "decimal(38,10)",
    "day": "date",
    "stamp": "timestamp",
    "seen": "timestamptz",
    "ok": "boolean",
    "f": "double precision",
    "r": "real",
    "bin": "varbyte(20)",
}

_ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "n": 40_000,
        "m": 7,
        "big": 1 << 53 | 1,
        "a": "alpha ",
        "b": "beta",
        "code": "EUR",
        "amount": Decimal("1234567890123456.7891"),
        "wide": Decimal("1234567890123456789012345678.0123456789"),
        "day": date(2024, 2, 29),
        "stamp": datetime(2024, 2, 29, 23, 59, 59, 999_999),
        "seen": datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
        "ok": True,
        "f": 0.1,
        "r": 0.5,
        "bin": b"\x00\xff",
    },
    {
        "id": 2,
        "n": -1,
        "m": 8,
        "big": -(1 << 60),
        "a": "",
        "b": "Ünïcode 😀",
        "code": "USD",
        "amount": Decimal("-0.0001"),
        "wide": Decimal("-1234567890123456789012345678.0000000001"),
        "day": date(1, 1, 1),
        "stamp": datetime(1, 1, 1),
        "seen": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        "ok": False,
        "f": -1e300,
        "r": 1e-30,
        "bin": b"",
    },
    {**dict.fromkeys(COLUMNS), "id": 3},
]


@dataclass(frozen=True)
class Plant:
    """A change of values: an expression of each changed column, for DuckDB and for PostgreSQL."""

    name: str
    changes: dict[str, str]
    """In DuckDB's words; the stand-in's where they are the same."""
    stand_in: dict[str, str] | None = None
    level: str = "values"
    """The level that sees it."""


PLANTS = [
    Plant("two integers swapped", {"n": "m", "m": "n"}),
    Plant("two texts swapped", {"a": "b", "b": "a"}),
    Plant("a value of a folder's name", {"b": "'eu'"}),
    Plant(
        "a decimal through a double",
        {"amount": "CAST(amount AS DOUBLE)"},
        {"amount": "amount::float8::numeric"},
    ),
    Plant(
        "a wide decimal through a double",
        {"wide": "CAST(CAST(wide AS DOUBLE) AS DECIMAL(38,10))"},
        {"wide": "wide::float8::numeric"},
    ),
    Plant("a decimal cut", {"amount": "trunc(amount)"}),
    Plant("a time stamp in another zone", {"stamp": "stamp + INTERVAL '1 hour'"}),
    Plant("an instant in another zone", {"seen": "seen - INTERVAL '5 hours'"}),
    Plant("microseconds lost", {"stamp": "date_trunc('second', stamp)"}),
    Plant("a day too many", {"day": "day + CASE WHEN id = 1 THEN 1 ELSE 0 END"}),
    Plant("text cut", {"a": "left(a, 3)"}),
    Plant("text padded", {"b": "b || ' '"}),
    Plant("text stripped", {"a": "rtrim(a)"}),
    Plant("'' for NULL", {"a": "coalesce(a, '')"}),
    Plant("NULL for ''", {"a": "nullif(a, '')"}),
    Plant("an integer wrapped", {"n": "CASE WHEN n > 32767 THEN n - 65536 ELSE n END"}),
    Plant(
        "an integer through a double",
        {"big": "CAST(CAST(big AS DOUBLE) AS BIGINT)"},
        {"big": "big::float8::int8"},
    ),
    Plant("a truth for NULL", {"ok": "coalesce(ok, TRUE)"}),
    Plant("a truth turned", {"ok": "NOT ok OR ok"}),
    Plant("a float through 32 bits", {"f": "CASE WHEN f > 0 THEN CAST(f AS REAL) ELSE f END"}),
    Plant("the last bit of a float", {"f": "CASE WHEN f > 0 THEN f + 1e-17 * 2 ELSE f END"}),
    Plant("a small float lost", {"r": "CASE WHEN r < 0.1 THEN 0 ELSE r END"}),
    Plant("binary lost", {"bin": "nullif(bin, '\\x00\\xff')"}, {"bin": r"nullif(bin, E'\\x00ff')"}),
    Plant("a code changed", {"code": "CASE WHEN id = 1 THEN 'GBP' ELSE code END"}),
    Plant("a byte changed", {"b": "replace(b, 'e', 'x')"}, level="checksums"),
    Plant(
        "a byte of binary changed",
        {"bin": "CASE WHEN id = 1 THEN '\\x00\\xfe'::BLOB ELSE bin END"},
        {"bin": r"CASE WHEN id = 1 THEN E'\\x00fe'::bytea ELSE bin END"},
        level="checksums",
    ),
]

STAGED = ("parquet", "csv")

Planted = Callable[..., tuple[Project, TableSpec]]


def _copy_template(staged: str, changes: dict[str, str]) -> str:
    """Loader's own template with other expressions for some columns."""
    own = (Path(__file__).parents[2] / "templates/duckdb" / f"copy_{staged}.sql.j2").read_text()
    from_ = own[own.index("\nFROM ") :] if staged != "csv" else own[own.index("FROM read_") :]
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    read = {"bin": "unhex(bin)"} if staged == "csv" else {}
    whole = ", ".join(f'{read.get(name, name)} AS "{name}"' for name in COLUMNS)
    values = ", ".join(f'{changes.get(name, name)} AS "{name}"' for name in COLUMNS)
    return (
        f"INSERT INTO {{{{ target|table }}}} ({names})\n"
        f"SELECT {values} FROM (SELECT {whole} {from_.strip()}) AS files"
    )


@pytest.fixture(params=["duckdb", "redshift"])
def planted(request: pytest.FixtureRequest, make_project: MakeProject) -> Planted:
    """Makes a project whose copies change values, on each of the targets."""
    stand_in: RedshiftStandIn | None = None
    target: dict[str, Any] = {"type": "duckdb"}
    if request.param == "redshift":
        stand_in = request.getfixturevalue("stand_in")
        target = redshift_target(stand_in)

    def make(plant: Plant | None, staged: str = "", **spec: Any) -> tuple[Project, TableSpec]:
        staged = staged or ("arrow" if stand_in is None else "parquet")
        data = {
            "schema": "s",
            "name": "t",
            "columns": [{"name": name, "data_type": kind} for name, kind in COLUMNS.items()],
            "staging": {"format": staged},
            **spec,
        }
        templates = {}
        if plant is not None and stand_in is None:
            data["templates"] = {f"copy_{staged}": "changed.sql.j2"}
            templates["duckdb/changed.sql.j2"] = _copy_template(staged, plant.changes)
        if plant is not None and stand_in is not None:
            changes = plant.stand_in or plant.changes
            assignments = ", ".join(f'"{name}" = {value}' for name, value in changes.items())
            stand_in.faults.add("COPY ", "before", ChangeCopied(assignments), times=9)
        project = make_project({"t.yml": data}, templates, **target)
        return project, project.spec("s/t")

    return make


def frame(rows: list[dict[str, Any]] | None = None) -> pa.Table:
    """The rows, in the types of the columns."""
    spec = TableSpec.model_validate(
        {
            "schema": "s",
            "name": "t",
            "columns": [{"name": name, "data_type": kind} for name, kind in COLUMNS.items()],
        }
    )
    return pa.Table.from_pylist(_ROWS if rows is None else rows, arrow_schema(spec.columns))


def stored(project: Project, spec: TableSpec) -> list[dict[str, Any]]:
    """What the table holds."""
    found: Any = project.read(spec, as_="arrow")
    return sorted(found.to_pylist(), key=lambda row: row["id"])


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_changed_value_is_found_and_rolled_back(planted: Planted, plant: Plant) -> None:
    """A copy that changes values fails the load, which names each column, and leaves the table."""
    project, spec = planted(plant, verify=plant.level)
    with pytest.raises(VerifyError, match="differ from the staged ones") as caught:
        project.load(spec, frame())
    assert {row["column"] for row in caught.value.details} == set(plant.changes)
    assert all(row["staged"] != row["found"] for row in caught.value.details)
    assert caught.value.rolled_back
    with pytest.raises(LoaderError, match="there is no table"):
        stored(project, spec)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_each_plant_is_one(planted: Planted, plant: Plant) -> None:
    """Counting rows alone commits each change, and so other values than the frame's."""
    project, spec = planted(plant, verify="counts")
    result = project.load(spec, frame())
    assert not result.statistics
    changed, given_ = stored(project, spec), frame().to_pylist()
    differing = {
        name for name in COLUMNS for x, y in zip(changed, given_, strict=True) if x[name] != y[name]
    }
    assert differing == set(plant.changes)


@pytest.mark.parametrize("found", ["0", "CASE WHEN f > 0 THEN 1 ELSE -1 END"])
def test_an_infinity_is_no_other_number(planted: Planted, found: str) -> None:
    """Infinities are no extremes of a column, and yet nothing else may be stored for them."""
    plant = Plant("no infinity", {"f": f"CASE WHEN abs(f) > 1e308 THEN {found} ELSE f END"})
    project, spec = planted(plant)
    values = (1.0, -1.0, float("inf"), float("-inf"))
    # One at a time, since the figures of both cancel each other out.
    for value in values[2:]:
        rows = [
            {**dict.fromkeys(COLUMNS), "id": at, "f": f}
            for at, f in enumerate((*values[:2], value))
        ]
        with pytest.raises(VerifyError, match="differ from the staged ones"):
            project.load(spec, frame(rows))


SWAPPED = PLANTS[0]


@pytest.mark.parametrize("staged", STAGED)
@pytest.mark.parametrize(
    "disposition",
    [
        {"write_disposition": "replace"},
        {"write_disposition": "append"},
        {"write_disposition": "merge", "primary_key": ["id"]},
        {
            "write_disposition": "merge",
            "primary_key": ["id"],
            "merge": {"strategy": "merge"},
        },
    ],
    ids=["replace", "append", "delete_insert", "merge"],
)
def test_every_disposition_verifies_values(
    planted: Planted, disposition: dict[str, Any], staged: str
) -> None:
    """Whatever a load does to the table, changed values fail it, and the table stays as it was."""
    before, spec = planted(None, staged, **disposition)
    before.load(spec, frame([{**row, "bin": b"x"} for row in _ROWS]))
    was = stored(before, spec)
    project, spec = planted(SWAPPED, staged, **disposition)
    with pytest.raises(VerifyError, match="differ from the staged ones"):
        project.load(spec, frame([{**_ROWS[0], "id": 4}]))
    assert stored(project, spec) == was


def test_an_append_reads_only_the_new_rows(planted: Planted) -> None:
    """Values of an append are verified in a stage; of the table itself only rows are counted."""
    project, spec = planted(None, write_disposition="append")
    plan = project.plan(spec)
    (verify,) = [one for one in plan.statements if isinstance(one.expects, Values)]
    assert "loader_stage" in verify.sql
    project.load(spec, frame())
    result = project.load(spec, frame([{**_ROWS[0], "id": 9}]))
    assert (result.rows_loaded, result.rows_after) == (1, 4)
    assert result.statistics["id"]["minimum"] == 9


def test_statistics_are_reported_everywhere(planted: Planted) -> None:
    """The figures that agreed are in the result, its JSON, the ledger and Dagster's metadata."""
    project, spec = planted(None)
    result = project.load(spec, frame())
    statistics = json.loads(json.dumps(result.to_dict()))["statistics"]
    assert statistics["n"] == {"nulls": 1, "minimum": -1, "maximum": 40_000, "sum": 39_999}
    assert statistics["amount"]["maximum"] == "1234567890123456.7891"
    assert statistics["day"]["minimum"] == "0001-01-01"
    assert statistics["stamp"]["maximum"] == "2024-02-29 23:59:59.999999"
    assert statistics["seen"]["maximum"] == "9999-12-31 23:59:59+00"
    assert statistics["ok"] == {"nulls": 1, "true": 1}
    (entry,) = project.history()
    assert entry.to_dict()["column_figures"] == statistics
    table = load_metadata(result)["column_statistics"]
    records = {record.data["column"]: record.data for record in table.records}
    assert records["big"] == {
        "column": "big", "nulls": 1, "minimum": -(1 << 60), "maximum": 1 << 53 | 1,
    }  # fmt: skip


def test_classified_columns_show_no_values(planted: Planted) -> None:
    """Of a classified column neither the report nor an error shows a value; it is verified too."""
    columns = [
        {"name": name, "data_type": kind, "classification": "pii"} for name, kind in COLUMNS.items()
    ]
    project, spec = planted(None, columns=columns)
    result = project.load(spec, frame())
    assert all(not {"minimum", "maximum"} & set(one) for one in result.statistics.values())
    project, spec = planted(PLANTS[9], columns=columns)
    with pytest.raises(VerifyError) as caught:
        project.load(spec, frame())
    assert "2024-02-29" not in str(caught.value)
    assert "maximum" in str(caught.value)


def test_the_project_and_the_spec_choose_the_level(make_project: MakeProject) -> None:
    """`verify` of a spec wins over that of the project, which is `values` by default."""
    spec: dict[str, Any] = {
        "schema": "s",
        "name": "t",
        "columns": [{"name": "a", "data_type": "varchar(9)"}],
    }

    def roles(project: Project) -> str:
        (table,) = project.catalog.specs()
        return " ".join(one.sql for one in project.plan(table).statements if one.role != "run")

    project = make_project({"t.yml": spec})
    assert "strlen" in roles(project)
    assert "md5" not in roles(project)
    settings_file = project.config.root / "loader.toml"
    settings_file.write_text('verify = "checksums"\n' + settings_file.read_text())
    assert "md5" in roles(Project.find(project.config.root))
    (project.config.root / "specs" / "t.yml").write_text(json.dumps({**spec, "verify": "counts"}))
    assert "strlen" not in roles(Project.find(project.config.root))
    settings_file.write_text(settings_file.read_text().replace("checksums", "values twice"))
    with pytest.raises(LoaderError, match=r"verify: must be one of values, counts, checksums"):
        Project.find(project.config.root)


def test_a_ledger_of_an_earlier_version_gets_its_columns(planted: Planted) -> None:
    """A ledger without the newer columns is read as it is, and a load adds them to it."""
    project, spec = planted(None)
    project.load(spec, frame())
    warehouse = open_warehouse(project.config.settings(), project.config.root)
    with warehouse.session() as session:
        session.execute('ALTER TABLE "loader"."loads" DROP COLUMN "column_figures"')
    assert [entry.column_figures for entry in project.history()] == [None]
    project.load(spec, frame())
    found = [entry.column_figures for entry in project.history()]
    assert sorted(map(bool, found)) == [False, True]


def test_wide_tables_are_verified_in_several_statements(planted: Planted) -> None:
    """More figures than a SELECT has columns are asked for in as many statements as it takes."""
    names = [f"c{at}" for at in range(600)]
    project, spec = planted(
        None, columns=[{"name": name, "data_type": "integer"} for name in names]
    )
    rows = pa.table({name: pa.array([at, None], pa.int32()) for at, name in enumerate(names)})
    result = project.load(spec, rows)
    assert len(result.statistics) == 600
    assert len([one for one in _statements(result) if one.role == "verify"]) == 3
    (entry,) = project.history()
    assert entry.column_figures is not None
    assert len(entry.column_figures) == 600


def _statements(result: LoadResult) -> Any:
    assert result.plan is not None
    return result.plan.statements


# Answers of another kind than the statement's.

ANSWERS = ["NULL", "CAST(5.5 AS DECIMAL(9,1))", "'5'", "TRUE", "1, 2", "1 UNION ALL SELECT 1"]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("level", ["counts", "values"])
def test_an_answer_of_another_kind_is_an_error(planted: Planted, level: str, answer: str) -> None:
    """A count that is not one whole number lets nothing commit, and the template is named."""
    project, spec = planted(
        None, write_disposition="append", verify=level, templates={"count": "my.sql.j2"}
    )
    kind = project.config.settings().type
    folder = project.config.root / "templates" / kind
    folder.mkdir(parents=True)
    (folder / "my.sql.j2").write_text(f"SELECT {answer}")
    project = Project.find(project.config.root)
    with pytest.raises(VerifyError, match=r"expected one whole number") as caught:
        project.load(spec, frame())
    assert "my.sql.j2" in str(caught.value)


@pytest.mark.parametrize("answer", ["'5'", "TRUE", "CAST('nan' AS DOUBLE PRECISION)", "1, 2"])
def test_a_check_that_answers_no_number_is_an_error(planted: Planted, answer: str) -> None:
    """A check's metric that is not one number fails the load."""
    checks = [{"metric": "row_count", "must_be_greater_than": 0}]
    project, spec = planted(None, checks=checks, templates={"check": "my.sql.j2"})
    folder = project.config.root / "templates" / project.config.settings().type
    folder.mkdir(parents=True)
    (folder / "my.sql.j2").write_text(f"SELECT {answer}")
    with pytest.raises(VerifyError, match="expected one number"):
        Project.find(project.config.root).load(spec, frame())


# Properties.


@settings(max_examples=60)
@given(tables(), st.sampled_from(["replace", "append"]), st.sampled_from(["values", "checksums"]))
def test_values_that_arrive_are_never_refused(
    table: tuple[dict[str, Any], list[dict[str, Any]]], disposition: str, level: str
) -> None:
    """No frame of any columns, formats or levels fails for its values when the copy keeps them."""
    fields, rows = table
    with project_of(**fields, write_disposition=disposition, verify=level) as (project, spec):
        try:
            project.load(spec, _typed(spec, rows))
        except VerifyError:
            raise
        except (LoaderError, pa.ArrowException, OverflowError):
            return


def _typed(spec: TableSpec, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows]) for name in spec.by_name})


MUTATED = {
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "decimal(20,4)": st.integers(-(10**20) + 1, 10**20 - 1).map(
        lambda n: Decimal((n < 0, tuple(map(int, str(abs(n)))), -4))
    ),
    "decimal(38,0)": st.integers(-(2**61), 2**61).map(Decimal),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    "double precision": st.floats(-1e15, 1e15).map(lambda x: round(x, 3) + 0.0),
    "varchar(40)": st.text(st.characters(blacklist_categories=["Cs"], min_codepoint=1), max_size=8),
    "varbyte(40)": st.binary(min_size=1, max_size=8),
}
"""Types → values of which the level `checksums` sees every change."""

NOT_IN = {"parquet": set(), "csv": set(), "json": {"varbyte(40)"}}
"""Types that a staging format has no place for."""


@settings(max_examples=120)
@given(st.data())
def test_no_mutation_of_a_staged_file_commits(data: st.DataObject) -> None:
    """A cell changed or dropped, columns swapped, a row lost and another doubled: none commits."""
    _mutate(data, None)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_of_a_staged_object_commits(
    data: st.DataObject, stand_in: RedshiftStandIn
) -> None:
    """The same of objects on S3, whose manifest knows nothing of the change."""
    _mutate(data, stand_in)


def _mutate(data: st.DataObject, running: RedshiftStandIn | None) -> None:
    staged = data.draw(st.sampled_from(["parquet", "csv", "json"]))
    kind = data.draw(st.sampled_from(sorted(set(MUTATED) - NOT_IN[staged])))
    value = st.none() | MUTATED[kind]
    rows = data.draw(
        st.lists(st.fixed_dictionaries({"a": value, "b": value}), min_size=2, max_size=6)
    )
    change = data.draw(st.sampled_from(["cell", "null", "swap", "double"]))
    at = data.draw(st.integers(0, len(rows) - 1))
    other = data.draw(st.integers(0, len(rows) - 1))
    changed = [dict(row) for row in rows]
    match change:
        case "cell":
            changed[at]["a"] = data.draw(value)
        case "null":
            changed[at]["a"] = None
        case "swap":
            changed = [{"a": row["b"], "b": row["a"]} for row in rows]
        case "double":
            changed[at] = dict(rows[other])
    # Values that only change places within their column are no mutation that figures see.
    if _columns(changed) == _columns(rows):
        return
    target = {"type": "duckdb"}
    if running is not None:
        running.reset()
        target = redshift_target(running)
    fields = {
        "columns": [{"name": name, "data_type": kind} for name in ("a", "b")],
        "staging": {"format": staged},
        "verify": "checksums",
    }
    with project_of(target, **fields) as (project, spec):
        schema = arrow_schema(spec.columns)

        def mutate(progress: Progress) -> None:
            if progress.phase == "copy":
                _restage(project, spec, pa.Table.from_pylist(changed, schema))

        with pytest.raises(VerifyError, match="differ from the staged ones"):
            project.load(spec, pa.Table.from_pylist(rows, schema), on_progress=mutate)


def _columns(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [sorted(repr(row[name]) for row in rows) for name in ("a", "b")]


def _restage(project: Project, spec: TableSpec, rows: pa.Table) -> None:
    """Put other rows in the place of the one file that was staged."""
    sink = io.BytesIO()
    writer = open_writer(spec.staging, sink, rows.schema)
    for batch in rows.to_batches():
        writer.write(batch)
    writer.close()
    content = sink.getvalue()
    settings_ = project.config.settings()
    if settings_.type == "duckdb":
        (path,) = (project.config.root / settings_.staging).rglob("part-*")
        path.write_bytes(content)
        return
    bucket, _, prefix = settings_.staging.removeprefix("s3://").partition("/")
    with closing(boto3.client("s3")) as s3:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
        keys = {Path(each["Key"]).name.split(".")[0][:4]: each["Key"] for each in found}
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=keys["mani"])["Body"].read())
        manifest["entries"][0]["meta"]["content_length"] = len(content)
        s3.put_object(Bucket=bucket, Key=keys["part"], Body=content)
        s3.put_object(Bucket=bucket, Key=keys["mani"], Body=json.dumps(manifest))


TIMES = [time(0), time(12, 30, 15, 250_000), time(23, 59, 59, 999_999), None]


@pytest.mark.parametrize("staged", ["csv"])
def test_times_are_verified(planted: Planted, staged: str) -> None:
    """Times of day are verified in microseconds."""
    project, spec = planted(None, staged, columns=[{"name": "at", "data_type": "time"}])
    result = project.load(spec, pa.table({"at": pa.array(TIMES, pa.time64("us"))}))
    assert result.statistics["at"]["maximum"] == "23:59:59.999999"
    assert result.statistics["at"]["sum"] == 131_415_249_999


def test_the_plan_shows_what_verifies(planted: Planted) -> None:
    """The plan holds the statement that asks for the figures, one line for each column."""
    project, spec = planted(None)
    (verify,) = [one for one in project.plan(spec).statements if one.role == "verify"]
    lines = verify.sql.splitlines()
    for name in COLUMNS:
        assert any(re.match(rf'    count\(\*\) - count\("{name}"\)', line) for line in lines)
