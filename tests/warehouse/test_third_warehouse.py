"""A third warehouse, SQLite, brought from outside by one entry point: nothing of Loader's knows it.

What a warehouse brings is in `tests/warehouse/sqlite/`:

- an entry point of the group ``loader.warehouses``: the ``type`` of targets, and where the adapter
  is (`ENTRY` below);
- an `Adapter` (`loader.warehouse.adapter`): its dialect, the model of its settings, the folder of
  its templates, and how to connect and to examine; what else may differ (large reads, which rows a
  COPY refused, the encryption of staged files) has a method there that need not be written;
- a `Dialect` (`loader.sql.dialects.base`): types, literals and peculiarities of its SQL, as data;
- a driver: a `Warehouse` that opens `Session`s (`loader.warehouse.base`). Whatever fails is an
  `ExecuteError`, transient where the whole transaction may work the next time;
- templates ``<dialect>/*.sql.j2`` for what those of ``ansi`` do not say in its words: at least
  ``create_table``, ``convert``, ``describe``, ``find_schema``, ``live_columns``, ``ledger_create``,
  ``now``, a ``copy_<format>`` for each staging format that it loads, and ``units``, ``octets`` and
  ``is_nan``, from which values are verified;
- a `Doctor` (`loader.warehouse.doctor`): the steps that examine a target.

The suite of behaviours is that of DuckDB and Redshift, but for what `CANNOT` lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.errors import ExecuteError, TemplateError, VerifyError
from loader.project import Project
from loader.warehouse import registry
from tests.conftest import MakeProject
from tests.executor import test_behaviours as behaviours
from tests.executor.test_behaviours import Table, World
from tests.warehouse.sqlite.driver import SQLiteSession

ROOT = Path(__file__).parents[2]

ENTRY = "[loader.warehouses]\nsqlite = tests.warehouse.sqlite.adapter:ADAPTER\n"
"""All that makes the warehouse known."""

_MERGE = "SQLite has no MERGE, and rows that do not bring every column need it"
CANNOT = {
    r"\[(?:.*-)?merge(?: last)?\]$": _MERGE,
    r"left_out_takes_its_default\[.*(?:insert|last)\]$": _MERGE,
    r"a_merge_may_have_a_key": _MERGE,
    r"an_identity_is_numbered": "SQLite numbers rows in steps of one",
    r"floats_that_are_no_numbers": "SQLite makes NULL of NaN, which the verification finds",
    r"a_view_in_place_of_the_table": "the test has a CREATE SCHEMA of its own",
}
"""Which of the behaviours are not SQLite's, by the names of their tests, and why."""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package with the adapter is installed, as far as Python can tell."""
    package = tmp_path / "site" / "loader_sqlite-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: loader-sqlite\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(ENTRY)
    monkeypatch.syspath_prepend(package.parent)
    yield
    registry._load_from_packages.cache_clear()


@pytest.fixture(autouse=True)
def _can(request: pytest.FixtureRequest) -> None:
    name = request.node.name
    why = next((why for pattern, why in CANNOT.items() if re.search(pattern, name)), None)
    if why is not None:
        pytest.skip(why)


@pytest.fixture
def world(make_project: MakeProject) -> World:
    """Makes tables in SQLite, for the suite of behaviours."""

    def make(**spec: Any) -> Table:
        return Table(lambda data: make_project({"t.yml": data}, type="sqlite"), spec)

    return make


for _name, _test in vars(behaviours).items():
    if _name.startswith("test_"):
        globals()[_name] = _test


SPEC: dict[str, Any] = {
    "schema": "shop",
    "name": "orders",
    "columns": [
        {"name": "id", "data_type": "integer", "nullable": False},
        {"name": "day", "data_type": "date", "nullable": False},
        {"name": "price", "data_type": "decimal(12,2)"},
        {"name": "word", "data_type": "varchar(20)"},
    ],
    "primary_key": ["id"],
    "partition_by": [{"expr": "day", "grain": "day"}],
    "checks": [{"metric": "row_count", "must_be_less_than": 4}],
}
ROWS = pa.table(
    {
        "id": [1, 2],
        "day": ["2026-01-01", "2026-01-01"],
        "price": ["19.90", "7.50"],
        "word": ["x", "y"],
    }
)


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """A project on SQLite with a table of orders."""
    return make_project({"orders.yml": SPEC}, type="sqlite")


def read(project: Project) -> list[dict[str, Any]]:
    found: Any = project.read(project.spec("shop/orders"), as_="arrow")
    return sorted(found.to_pylist(), key=lambda row: row["id"])


def test_nothing_below_loader_knows_it() -> None:
    """The warehouse is one entry point: nothing but what reads rows from SQLite names it."""
    folders = (ROOT / "loader", ROOT / "templates")
    files = [file for each in folders for end in ("*.py", "*.j2") for file in each.rglob(end)]
    named = {file for file in files if "sqlite" in file.read_text().lower()}
    sources = {file for file in named if file.parent.name == "queries"}
    told = {str(file.relative_to(ROOT / "loader")) for file in named - sources}
    assert told == {"data/files/kinds.py", "spec/connections.py", "spec/model.py"}
    assert registry.warehouse_names() == ("duckdb", "redshift", "sqlite")
    assert registry.get_adapter("sqlite").dialect.title == "SQLite"


def test_what_is_planned_is_what_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is sent the statements of the plan, in its order, between BEGIN and COMMIT."""
    sent: list[str] = []
    execute = SQLiteSession.execute

    def noted(session: SQLiteSession, sql: str) -> list[tuple[Any, ...]]:
        sent.append(sql)
        return execute(session, sql)

    monkeypatch.setattr(SQLiteSession, "execute", noted)
    spec = project.spec("shop/orders")
    preview = project.plan(spec, "2026-01-01", load_id="one", frame=ROWS)
    assert not sent
    assert preview.target.dialect == "sqlite"
    plan = project.load(spec, ROWS, "2026-01-01", load_id="one").plan
    assert plan is not None
    assert [one.name for one in preview.statements] == [one.name for one in plan.statements]
    assert {one.template.split("/")[2] for one in plan.statements} == {"ansi", "sqlite"}
    planned = {one.sql for one in plan.statements}
    begin = max(at for at, sql in enumerate(sent) if sql.startswith("BEGIN"))
    transaction = sent[begin + 1 :]
    assert [sql for sql in transaction if sql in planned] == [one.sql for one in plan.statements]
    assert transaction[-1] == "COMMIT"


def test_a_load_is_done_once(project: Project) -> None:
    """A load id that the ledger has is not loaded again, and the history tells of one load."""
    spec = project.spec("shop/orders")
    first = project.load(spec, ROWS, "2026-01-01", load_id="one")
    again = project.load(spec, ROWS.slice(1), "2026-01-01", load_id="one")
    assert (first.status, again.status, again.rows_loaded) == ("loaded", "already_loaded", 2)
    assert [row["word"] for row in read(project)] == ["x", "y"]
    (entry,) = project.history("shop/orders")
    assert (entry.load_id, entry.rows_loaded, entry.slice) == ("one", 2, "day=2026-01-01")


def test_a_check_that_fails_takes_everything_back(project: Project) -> None:
    """The slice, the ledger and the staged files are those of before."""
    spec = project.spec("shop/orders")
    project.load(spec, ROWS, "2026-01-01")
    held = read(project)
    many = pa.concat_tables(ROWS.set_column(0, "id", pa.array([n, -n])) for n in (10, 20, 30))
    with pytest.raises(VerifyError, match="must be < 4, but is 6") as caught:
        project.load(spec, many, "2026-01-01")
    assert caught.value.rolled_back
    assert read(project) == held
    assert len(project.history()) == 1


def test_values_are_verified(make_project: MakeProject) -> None:
    """A copy that stores other values than were staged is rolled back, and told by its column."""
    broken = (
        "INSERT INTO {{ target|table }} SELECT staged(value, 'id', 'integer'),"
        " staged(value, 'day', 'date'), 1, 'z' FROM"
        " json_each(read_staged({{ load.files_glob|glob }}, 'parquet'))"
    )
    project = make_project(
        {"orders.yml": SPEC}, {"sqlite/copy_parquet.sql.j2": broken}, type="sqlite"
    )
    with pytest.raises(VerifyError) as caught:
        project.load(project.spec("shop/orders"), ROWS, "2026-01-01")
    assert caught.value.details
    assert {row["column"] for row in caught.value.details} == {"word"}
    with pytest.raises(ExecuteError, match="no table"):
        read(project)


def test_what_it_cannot_keep_is_not_committed(world: World) -> None:
    """SQLite makes NULL of NaN: the figures tell, and the load is rolled back."""
    table = world(columns={"x": "double precision"})
    table.load([(1.5,)])
    with pytest.raises(VerifyError, match=r"x +nulls"):
        table.load([(float("nan"),)])
    assert table.rows() == [(1.5,)]


def test_a_statement_that_it_cannot_run_is_told(make_project: MakeProject) -> None:
    """A template that the dialect refuses inside of a transaction fails before anything runs."""
    project = make_project(
        {"orders.yml": SPEC}, {"sqlite/delete_slice.sql.j2": "VACUUM"}, type="sqlite"
    )
    with pytest.raises(TemplateError, match="it cannot run inside a transaction"):
        project.plan(project.spec("shop/orders"), "2026-01-01")


def test_a_table_follows_its_spec(make_project: MakeProject) -> None:
    """What differs is found in the catalog and fixed: in place, or by building a table anew."""
    project = make_project({"orders.yml": SPEC}, type="sqlite")
    project.load(project.spec("shop/orders"), ROWS, "2026-01-01")
    *same, word = SPEC["columns"]
    wider, seen = {**word, "data_type": "varchar(40)"}, {"name": "seen", "data_type": "boolean"}
    for columns, kinds in (
        ([*same, word], []),
        ([*same, word, seen], ["add column"]),
        ([*same, wider, seen], ["type"]),
    ):
        project = make_project({"orders.yml": {**SPEC, "columns": columns}}, type="sqlite")
        spec = project.spec("shop/orders")
        (review,) = project.review([spec], "2026-01-01")
        assert [one.kind for one in review.change.differences] == kinds
        assert review.rows_to_delete == (2 if "add column" not in kinds else None)
        project.apply(project.changes([spec]))
        assert not project.changes([spec])[0].differences
        assert [row["word"] for row in read(project)] == ["x", "y"]


def test_the_commands_take_it(project: Project, tmp_path: Path) -> None:
    """Commands do on a target of the new type what they do on others."""
    file = tmp_path / "orders.csv"
    file.write_text("id,day,price,word\n1,2026-01-01,19.90,x\n")
    root = str(project.config.root)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, [*arguments, "--project", root])
        assert done.exit_code == 0, done.output
        return done.output

    assert "on local (sqlite)" in run("plan")
    assert "all fine" in run("validate")
    assert "1 row loaded" in run("load", "shop/orders", str(file), "--partition", "auto")
    assert '1,2026-01-01,19.90,"x"' in run("read", "shop/orders")
    assert "shop.orders" in run("history")
    assert "Live: compared 1 table of local (sqlite)" in run("plan", "--live")
    assert '{name: price, data_type: "decimal(12,2)"}' in run("infer", "--table", "shop.orders")
    assert "local (sqlite) is fine: 7 ok" in run("doctor")
    assert not list((project.config.root / "staging").rglob("*.*"))
