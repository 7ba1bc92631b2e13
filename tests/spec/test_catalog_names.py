"""DuckDB files whose name is that of a schema: everything works, and plans print what runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.dagster_io import DuckDBIOManager
from loader.doctor.report import check_target
from loader.errors import ConfigError, SpecError
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.sql.dialects.duckdb import catalog_name
from loader.warehouse.registry import open_warehouse

if TYPE_CHECKING:
    from tests.conftest import MakeProject

COLUMNS = [
    {"name": "id", "data_type": "integer", "description": "Its number."},
    {"name": "v", "data_type": "varchar(9)"},
    {"name": "n", "data_type": "bigint", "identity": [1, 1]},
]
ROWS = [(1, "a"), (2, "b")]

PLACES: Mapping[str, tuple[str, str, str]] = {
    "the schema": ("shop.duckdb", "shop", "loader"),
    "the ledger": ("loader.duckdb", "shop", "loader"),
    "both": ("loader.duckdb", "loader", "loader"),
    "in another case": ("Shop.v2.duckdb", "shop", "loader"),
    "temp": ("warehouse.duckdb", "temp", "system"),
    "memory": ("memory.duckdb", "memory", "main"),
    "main": ("main.duckdb", "main_db", "temp"),
    "none": ("warehouse.duckdb", "main", "memory"),
}
"""Database file, schema of the table, schema of the ledger."""


def project_at(make_project: MakeProject, place: str, **spec: Any) -> Project:
    database, schema, ledger = PLACES[place]
    whole = {
        "schema": schema,
        "name": "t",
        "description": "Things.",
        "columns": COLUMNS,
        "primary_key": ["id"],
        "checks": [
            {"metric": "row_count", "must_be_greater_than": 0},
            {"metric": "duplicate_values", "column": "id", "must_be_less_than": 9},
        ],
        **spec,
    }
    return make_project({"t.yml": whole}, database=database, ledger_schema=ledger)


def frame(rows: list[tuple[int, str]]) -> pa.Table:
    ids, texts = zip(*rows, strict=True)
    return pa.table({"id": pa.array(ids, pa.int32()), "v": texts})


def rows(project: Project) -> list[tuple[Any, ...]]:
    (spec,) = project.catalog.specs()
    found: Any = project.read(spec, columns=["id", "v"], as_="arrow")
    return sorted(tuple(row.values()) for row in found.to_pylist())


def differences(project: Project) -> list[Any]:
    return [
        one for change in project.changes(project.catalog.specs()) for one in change.differences
    ]


DISPOSITIONS: Mapping[str, Mapping[str, Any]] = {
    "replace": {},
    "append": {"write_disposition": "append", "primary_key": []},
    "delete_insert": {
        "write_disposition": "merge",
        "merge": {"on_duplicate": "last", "order_by": ["v"]},
    },
    "merge": {"write_disposition": "merge", "merge": {"strategy": "merge"}},
}


@pytest.mark.parametrize(
    ("place", "disposition"),
    [*((place, "merge") for place in PLACES), *(("both", one) for one in DISPOSITIONS)],
)
def test_loads_and_reads_work_whatever_the_file_is_called(
    make_project: MakeProject, place: str, disposition: str
) -> None:
    """Each disposition loads twice, the ledger knows it, and the rows are read back."""
    project = project_at(make_project, place, **DISPOSITIONS[disposition])
    (spec,) = project.catalog.specs()
    for load_id in ("one", "two", "two"):
        project.load(spec, frame(ROWS), load_id=load_id)
    times = 2 if disposition == "append" else 1
    assert rows(project) == sorted(ROWS * times)
    assert [entry.load_id for entry in project.history()] == ["two", "one"]
    assert [result.value for result in project.check(spec)] == [2 * times, 2 * (times - 1)]


@pytest.mark.parametrize("place", PLACES)
def test_changes_work_whatever_the_file_is_called(make_project: MakeProject, place: str) -> None:
    """A live table is looked at, altered in place, rebuilt and renamed, and checked."""
    project = project_at(make_project, place)
    (spec,) = project.catalog.specs()
    project.load(spec, frame(ROWS))
    assert not differences(project)
    columns = [
        {"name": "id", "data_type": "bigint"},
        {"name": "v", "data_type": "varchar(9)", "nullable": False, "description": "What it says."},
        {"name": "n", "data_type": "bigint", "identity": [5, 5]},
        {"name": "more", "data_type": "date", "default": "DATE '2026-01-01'"},
    ]
    project = project_at(make_project, place, columns=columns)
    (spec,) = project.catalog.specs()
    project.apply(project.changes([spec]), allow_destructive=["*"])
    assert not differences(project)
    project.load(spec, frame([(3, "c")]))
    assert rows(project) == [(3, "c")]
    live = project.live(spec.schema_name, "t")
    assert isinstance(live, LiveTable)
    assert [column.name for column in live.columns] == ["id", "v", "n", "more"]


@pytest.mark.parametrize("place", ["both", "temp"])
def test_doctor_and_infer_work_whatever_the_file_is_called(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """An examination of the target fails nowhere, and a live table is drafted as a spec."""
    project = project_at(make_project, place)
    (spec,) = project.catalog.specs()
    project.load(spec, frame(ROWS))
    assert not [one for one in check_target(project, None) if one.status == "failed"]
    monkeypatch.chdir(project.config.root)
    drafted = CliRunner().invoke(main, ["infer", "--table", spec.table])
    assert drafted.exit_code == 0, drafted.output
    assert "identity: [1, 1]" in drafted.output
    assert "description: Its number." in drafted.output


def test_dagster_works_whatever_the_file_is_called(tmp_path: Path) -> None:
    """An asset is stored and loaded where its schema is called like the database file."""
    manager = DuckDBIOManager(
        database=str(tmp_path / "shop.duckdb"),
        staging=str(tmp_path / "staging"),
        specs=str(tmp_path),
        on_missing_spec="infer",
    )

    @dg.asset(key=["shop", "t"])
    def made() -> pd.DataFrame:
        return pd.DataFrame({"id": [1, 2], "v": ["a", "b"]})

    @dg.asset(ins={"t": dg.AssetIn(key=["shop", "t"])})
    def seen(t: pd.DataFrame) -> None:
        assert t["id"].tolist() == [1, 2]

    assert dg.materialize([made, seen], resources={"io_manager": manager}).success


def test_only_what_is_ambiguous_has_three_parts(make_project: MakeProject) -> None:
    """The database is named where its name is the schema's, and nowhere else."""
    project = project_at(make_project, "the schema")
    (spec,) = project.catalog.specs()
    sql = project.plan(spec).sql
    assert '"shop"."shop"."t"' in sql
    assert '"loader"."loads"' in sql
    assert '"shop"."loader"' not in sql


@pytest.mark.parametrize(
    "name",
    ["a.duckdb", "a.b.c", "A-b.db", ".hidden.db", "main.x", "Temp.db", "SYSTEM", "ü ö", "x."],
)
def test_the_name_of_the_database_is_what_duckdb_calls_it(tmp_path: Path, name: str) -> None:
    """Plans are made without opening the file, so its name in SQL follows from the file's."""
    with duckdb.connect(tmp_path / name) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == (catalog_name(name),)


def test_a_link_is_named_by_its_file(make_project: MakeProject) -> None:
    """A database that is a symbolic link has the name of the file it leads to."""
    project = project_at(make_project, "the schema")
    (project.config.root / "shop.duckdb").symlink_to(project.config.root / "other.duckdb")
    (spec,) = project.catalog.specs()
    project.load(spec, frame(ROWS))
    assert rows(project) == ROWS
    assert '"shop"."shop"' not in project.plan(spec).sql


def test_other_connections_of_the_process_go_on(make_project: MakeProject) -> None:
    """A connection of the caller's own sees the rows, under the names it would use itself."""
    project = project_at(make_project, "the schema")
    (spec,) = project.catalog.specs()
    with duckdb.connect(project.config.root / "shop.duckdb") as own:
        project.load(spec, frame(ROWS))
        assert own.execute("SELECT id, v FROM shop.shop.t ORDER BY id").fetchall() == ROWS
        warehouse = open_warehouse(project.config.settings(), project.config.root)
        with warehouse.session(write=False) as session:
            assert session.execute("SELECT count(*) FROM shop.shop.t") == [(2,)]


@pytest.mark.parametrize("schema", ["pg_catalog", "information_schema", "pg_temp_1", "pg_x"])
def test_schemas_of_the_warehouse_itself_are_refused(
    make_project: MakeProject, schema: str
) -> None:
    """Nobody can create them, so specs and targets that name them are refused as they are read."""
    spec = {"schema": schema, "name": "t", "columns": COLUMNS}
    with pytest.raises(SpecError, match="reserved"):
        make_project({"t.yml": spec}).spec(f"{schema}/t")
    with pytest.raises(ConfigError, match=r"ledger_schema.*reserved"):
        make_project({}, folder="other", ledger_schema=schema).config.settings()
