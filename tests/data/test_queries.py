"""Queries on other databases as sources: exact values, read only, and what bad ones get."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time as time_module
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pymysql
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.data.chunk import Frame
from loader.data.queries.open import Query, open_query
from loader.errors import ConfigError, FrameError, LoaderError, PlanError, SourceError
from loader.project import Project
from loader.spec.query_parameters import problems, split_query
from loader.testing.redshift.database.postgres import start_postgres
from tests.conftest import MakeProject


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    with ExitStack() as opened:
        server = start_postgres(tmp_path_factory.mktemp("postgres"), opened)
        yield server.get_uri()


def run(url: str, *statements: str) -> list[Any]:
    """Run statements on PostgreSQL; the rows of the last one, if it has any."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def rows_of(frame: Frame) -> list[dict[str, object]]:
    """Everything in a frame, as Python objects."""
    found = []
    for chunk in frame.chunks:
        columns = {
            name: values if isinstance(values, list) else values.to_pylist()
            for name, values in chunk.columns.items()
        }
        found += [{name: columns[name][row] for name in columns} for row in range(chunk.rows)]
    return found


def read(url: str, text: str, root: Path = Path(), **values: Any) -> list[dict[str, object]]:
    """All rows of a query."""
    return rows_of(open_query(Query(text, url, root), [values]))


def refusal(url: str, text: str, root: Path = Path()) -> str:
    """What a query is refused with."""
    with pytest.raises(LoaderError) as caught:
        read(url, text, root)
    return str(caught.value)


def spec_of(columns: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """A spec with these columns: name → type."""
    listed = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    return {"schema": "shop", "name": "t", "columns": listed, **more}


def load(project: Project, url: str, text: str, partition: Any = None) -> Any:
    """Load a query into the table of a project; its rows as they are then."""
    spec = project.spec("shop/t")
    frame = project.open_query(spec, partition, query=text, connection=url)
    project.load(spec, frame, partition)
    rows: Any = project.read(spec, as_="arrow")
    return rows.to_pylist()


# Every database


@pytest.fixture
def databases(tmp_path: Path, postgres: str) -> dict[str, str]:
    """The same three rows in a table of each database: URL by kind."""
    made = "CREATE TABLE orders (id integer, day date, name text, amount numeric(9,2))"
    rows = (
        "INSERT INTO orders VALUES (1, '2026-01-01', 'Ada', 19.90), (2, '2026-01-02', NULL, 7.5),"
        " (3, '2026-01-03', 'it''s', -0.01)"
    )
    run(postgres, "DROP TABLE IF EXISTS orders", made, rows)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(f"{made}; {rows}")
    with sqlite3.connect(tmp_path / "shop.db") as lite:
        lite.execute(made)
        lite.execute(rows)
    lite.close()
    return {
        "postgresql": postgres,
        "duckdb": f"duckdb:///{tmp_path}/shop.duckdb",
        "sqlite": f"sqlite:///{tmp_path}/shop.db",
    }


ORDERS = {"id": "bigint", "day": "date", "name": "varchar(20)", "amount": "decimal(9,2)"}
DAYS = {"partition_by": [{"expr": "day", "grain": "day"}]}
WINDOW = "SELECT * FROM orders WHERE day >= :start AND day < :end"


@pytest.mark.parametrize("kind", ["postgresql", "duckdb", "sqlite"])
def test_a_window_of_each_database_is_loaded_into_each_target(
    kind: str, databases: dict[str, str], make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """`:start` and `:end` are the window; the rows arrive exactly, and nothing else is touched."""
    project = make_project({"t.yml": spec_of(ORDERS, **DAYS)}, **each_target)
    found = load(project, databases[kind], WINDOW, "2026-01-01..2026-01-02")
    day = date(2026, 1, 1)
    assert sorted(found, key=lambda row: row["id"]) == [
        {"id": 1, "day": day, "name": "Ada", "amount": Decimal("19.90")},
        {"id": 2, "day": day.replace(day=2), "name": None, "amount": Decimal("7.50")},
    ]
    found = load(project, databases[kind], WINDOW, ["2026-01-01", "2026-01-03"])
    assert sorted(row["amount"] for row in found) == list(map(Decimal, ("-0.01", "7.50", "19.90")))


@pytest.mark.parametrize("kind", ["postgresql", "duckdb", "sqlite"])
def test_keys_are_bound_and_never_pasted(kind: str, databases: dict[str, str]) -> None:
    """A key is a value, whatever is in it."""
    url = databases[kind]
    by_name = "SELECT id, ':name' AS quoted -- :name\nFROM orders WHERE name = :name;\n"
    assert read(url, by_name, name="it's") == [{"id": 3, "quoted": ":name"}]
    for hostile in ("'; DROP TABLE orders; --", "\\' OR 1=1 --", "$$ OR true", "%s", "?", "$1"):
        assert read(url, by_name, name=hostile) == []
    assert len(read(url, "SELECT * FROM orders WHERE 0 -:number < 6", number=-5)) == 3


WRITES = {
    "postgresql": [
        ("WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x", "read-only transaction"),
        ("CREATE TABLE copied AS SELECT 1 AS a", "read-only transaction"),
        ("SELECT 1; DELETE FROM orders", "multiple commands"),
    ],
    "duckdb": [
        ("DELETE FROM orders", "one SELECT; this is DELETE"),
        ("COPY (SELECT 1) TO 'x.csv'", "one SELECT; this is COPY"),
        ("SELECT 1; DELETE FROM orders", "this is SELECT, DELETE"),
    ],
    "sqlite": [
        ("DELETE FROM orders", "readonly database"),
        ("DELETE FROM orders RETURNING *", "readonly database"),
        ("SELECT 1; DELETE FROM orders", "one statement"),
    ],
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_query_that_writes_is_refused_by_the_database(
    kind: str, databases: dict[str, str]
) -> None:
    """Sessions are read-only, whatever the check of a spec has let through."""
    for text, message in WRITES[kind]:
        assert message in refusal(databases[kind], text)
    assert len(read(databases[kind], "SELECT * FROM orders")) == 3


WRONG = {
    "postgresql": r"postgresql://[^@]*failed: relation \"nope\" does not exist \(SQLSTATE 42P01\),"
    r" at line 2 column 6 of the query",
    "duckdb": r"duckdb:///.*shop\.duckdb failed: Catalog Error: Table with name nope",
    "sqlite": r"sqlite:///.*shop\.db failed: no such table: nope",
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_query_is_told_in_the_words_of_its_database(
    kind: str, databases: dict[str, str]
) -> None:
    """The error names the database and the query, and what the database says."""
    message = refusal(databases[kind], "SELECT *\nFROM nope")
    assert re.search(WRONG[kind], message, re.DOTALL), message
    assert "SELECT * FROM nope" in message
    twice = refusal(databases[kind], "SELECT id, id FROM orders")
    assert "the result of the query has more than one column named `id`" in twice


def test_files_that_are_no_databases_are_told(tmp_path: Path) -> None:
    """A missing file is not made, and a file of another kind is named."""
    (tmp_path / "x.db").write_bytes(b"a,b\n" * 5_000)
    for kind in ("sqlite", "duckdb"):
        assert f"no database {tmp_path}/none.db" in refusal(
            f"{kind}:///none.db", "SELECT 1", tmp_path
        )
        message = refusal(f"{kind}:///x.db", "SELECT 1", tmp_path)
        assert re.search(r"x\.db failed: .*not a (valid DuckDB )?database", message)
        assert "three slashes" in refusal(f"{kind}://none.db", "SELECT 1", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]
    assert "names no file" in refusal("sqlite://", "SELECT 1")
    assert "`mssql` is not a database that Loader reads" in refusal("mssql://h/d", "SELECT 1")


@pytest.mark.parametrize(
    ("module", "url"), [("adbc_driver_postgresql", "postgresql://h/d"), ("pymysql", "mysql://h/d")]
)
def test_a_missing_driver_says_which_extra_has_it(
    module: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra that the message names has the driver."""
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as caught:
        read(url, "SELECT 1")
    assert re.search(rf"need the package {module}.*loader\[sql\]", str(caught.value), re.DOTALL)
    import tomllib

    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    packages = extras["project"]["optional-dependencies"]["sql"]
    assert any(each.startswith(module.replace("_", "-")) for each in packages)


# PostgreSQL

EXACT: list[tuple[str, str, object]] = [
    ("1.10::numeric(9,2)", "decimal(9,2)", Decimal("1.10")),
    ("12345678901234567890.123456789::numeric", "decimal(38,9)", None),
    ("(10::numeric ^ 37 + 1)", "decimal(38,0)", Decimal(10**37 + 1)),
    ("0.1::numeric", "double precision", 0.1),
    ("'NaN'::numeric", "double precision", "nan"),
    ("'-Infinity'::numeric", "real", float("-inf")),
    ("1.5::real", "real", 1.5),
    ("0.1::float8", "double precision", 0.1),
    ("'NaN'::float8", "double precision", "nan"),
    ("9223372036854775807", "bigint", 2**63 - 1),
    ("4000000000::oid", "bigint", 4_000_000_000),
    ("12.5::money", "decimal(9,2)", Decimal("12.50")),
    ("true", "boolean", True),
    ("E'é\\n'::text", "varchar(9)", "é\n"),
    ("'x '::char(2)", "varchar(9)", "x "),
    ("'b'::mood", "varchar(9)", "b"),
    ("'10.0.0.1'::inet", "varchar(20)", "10.0.0.1/32"),
    ("int4range(1, 3)", "varchar(20)", "[1,3)"),
    ("'b3a1f0c2-0000-4000-8000-000000000001'::uuid", "varchar(36)", None),
    ("'\\xdead00'::bytea", "varbyte(9)", b"\xde\xad\x00"),
    ("'0001-01-01'::date", "date", date(1, 1, 1)),
    ("'9999-12-31'::date", "date", date(9999, 12, 31)),
    ("'10:30:00.000001'::time", "time", time(10, 30, 0, 1)),
    ("'10:30+02'::timetz", "timetz", None),
    ("'2026-03-29 02:30:00.5'::timestamp", "timestamp", datetime(2026, 3, 29, 2, 30, 0, 500_000)),
    ("'2026-01-01 10:00+02'::timestamptz", "timestamptz", datetime(2026, 1, 1, 8, tzinfo=UTC)),
    ("'9999-12-31 23:59:59+00'::timestamptz", "timestamptz", None),
    ("""'{"b": [1.10, null], "a": "é"}'::json""", "super", '{"b":[1.10,null],"a":"é"}'),
    ("""'{"b": 12345678901234567890.10}'::jsonb""", "super", None),
    ("ARRAY[1, NULL, 3]", "super", "[1,null,3]"),
    ("ARRAY[[1, 2], [3, 4]]", "super", "[[1,2],[3,4]]"),
    ("ARRAY[0.10::numeric]", "super", "[0.10]"),
    ("ARRAY['b'::mood]", "super", '["b"]'),
    ("ROW(1, 'x')::pair", "super", '{"a":1,"b":"x"}'),
    ("'7'::positive", "integer", 7),
    ("NULL", "varchar(9)", None),
    ("NULL::numeric", "decimal(9,2)", None),
    ("NULL::mood", "varchar(9)", None),
]


@pytest.fixture
def types(postgres: str) -> str:
    """The URL of a PostgreSQL with types of its own."""
    run(
        postgres,
        "DROP TYPE IF EXISTS mood, pair CASCADE",
        "DROP DOMAIN IF EXISTS positive",
        "CREATE TYPE mood AS ENUM ('a', 'b')",
        "CREATE TYPE pair AS (a integer, b text)",
        "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    )
    return postgres


def test_every_type_of_postgresql_arrives_exactly(
    types: str, make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """What a table holds is what PostgreSQL itself says the value is."""
    columns = {f"c{at}": kind for at, (_, kind, _) in enumerate(EXACT)}
    project = make_project({"t.yml": spec_of(columns, staging={"format": "csv"})}, **each_target)
    listed = ", ".join(f"{value} AS c{at}" for at, (value, _, _) in enumerate(EXACT))
    [found] = load(project, types, f"SELECT {listed}")
    texts = run(types, f"SELECT {', '.join(f'({value})::text' for value, _, _ in EXACT)}")[0]
    for at, (value, kind, expected) in enumerate(EXACT):
        actual = found[f"c{at}"]
        if kind == "super":
            assert parsed(actual) == parsed(expected or texts[at]), value
        elif expected == "nan":
            assert math.isnan(actual), value
        elif expected is not None or texts[at] is None:
            assert actual == expected, value
        elif kind.startswith("decimal"):
            assert actual == Decimal(texts[at]), value
        elif kind == "timestamptz":
            assert actual == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), value
        else:
            assert str(actual).replace(":00+", "+") == texts[at].replace(":00+", "+"), value


def parsed(text: object) -> object:
    """A document whose numbers keep their digits; no digit of a number may differ."""
    return json.loads(str(text), parse_float=str)


REFUSED: list[tuple[str, str, str]] = [
    ("'NaN'::numeric", "decimal(9,2)", r"nan is not a finite number"),
    ("'Infinity'::numeric", "decimal(9,2)", r"inf is not a finite number"),
    ("1.005::numeric", "decimal(9,2)", r"1\.005 has 3 decimals, decimal\(9,2\) holds 2"),
    ("'infinity'::date", "date", r"infinity is no day or time of the calendar"),
    ("'-infinity'::timestamp", "timestamp", r"-infinity is no day or time"),
    ("'infinity'::timestamptz", "timestamptz", r"infinity is no day or time"),
    ("'0044-03-15 BC'::date", "date", r"out of range"),
    ("'24:00'::time", "time", r"24:00:00 is not between midnight"),
    ("interval '1 month 2 days'", "varchar(40)", r"is an interval, not a varchar"),
    ("interval '1 month 2 days'", "interval day to second", r"has months"),
    ("'2026-01-01'::timestamptz", "timestamp", r"has a time zone"),
    ("4::bigint", "varchar(9)", r"4 is a number"),
    ("'(1,2)'::point", "super", r"is not JSON|not valid JSON|Extra data"),
]


@pytest.mark.parametrize(("value", "kind", "message"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_a_column_cannot_hold_is_refused_in_words(
    value: str, kind: str, message: str, postgres: str, make_project: MakeProject
) -> None:
    """A value is never rounded, truncated or replaced; the row and the reason are told."""
    project = make_project({"t.yml": spec_of({"x": kind}, staging={"format": "csv"})})
    with pytest.raises(FrameError) as caught:
        load(project, postgres, f"SELECT {value} AS x")
    assert re.search(rf"x +row 1: .*{message}", str(caught.value)), caught.value


@settings(max_examples=20)
@given(
    numbers=st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40)
        | st.decimals(places=2, min_value=-(10**9), max_value=10**9)
        | st.none(),
        min_size=1,
        max_size=20,
    )
)
def test_numerics_arrive_with_all_their_digits(
    numbers: Sequence[Decimal | None], postgres: str
) -> None:
    """A numeric is the number that PostgreSQL prints, whatever others are in its column."""
    listed = ", ".join(
        "(NULL::numeric)" if number is None else f"({number:f}::numeric)" for number in numbers
    )
    found = [row["x"] for row in read(postgres, f"SELECT x FROM (VALUES {listed}) AS v (x)")]
    texts = [row[0] for row in run(postgres, f"SELECT x::text FROM (VALUES {listed}) AS v (x)")]
    assert found == [None if text is None else Decimal(text) for text in texts]


def test_a_session_is_in_utc_and_sees_one_state(postgres: str) -> None:
    """All windows of a load see the data as it was when the first of them was read."""
    run(postgres, "DROP TABLE IF EXISTS n", "CREATE TABLE n AS SELECT 1 AS i")
    text = "SELECT i, :k AS k, current_setting('TimeZone') AS zone FROM n"
    frame = open_query(Query(text, postgres, Path()), [{"k": "a"}, {"k": "b"}])
    run(postgres, "INSERT INTO n VALUES (2)")
    assert [(row["i"], row["k"], row["zone"]) for row in rows_of(frame)] == [
        (1, "a", "UTC"),
        (1, "b", "UTC"),
    ]


def test_a_connection_that_is_lost_in_the_middle_loads_nothing(
    postgres: str, make_project: MakeProject
) -> None:
    """The table is as it was, and the error says that trying again may help."""
    project = make_project({"t.yml": spec_of({"i": "bigint", "x": "varchar(99)"})})
    load(project, postgres, "SELECT 1 AS i, 'before' AS x")
    spec = project.spec("shop/t")
    big = "SELECT g AS i, repeat('x', 90) AS x FROM generate_series(1, 2000000) g"
    frame = project.open_query(spec, query=big, connection=postgres)
    next(frame.chunks)
    run(
        postgres,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'COPY%generate_series%' AND pid <> pg_backend_pid()",
    )
    with pytest.raises(SourceError, match=r"failed: .*server closed the connection") as caught:
        project.load(spec, frame)
    assert caught.value.transient
    rows: Any = project.read(spec, as_="arrow")
    assert rows.to_pylist() == [{"i": 1, "x": "before"}]


def test_an_error_in_the_middle_loads_nothing(postgres: str, make_project: MakeProject) -> None:
    """What a row does to the query is told in PostgreSQL's words."""
    project = make_project({"t.yml": spec_of({"i": "bigint"})})
    text = "SELECT 1 / (g - 200000) AS i FROM generate_series(1, 300000) g"
    with pytest.raises(SourceError, match=r"failed: division by zero"):
        load(project, postgres, text)


def test_a_frame_that_nobody_reads_leaves_no_connection(postgres: str) -> None:
    """A connection ends with its frame."""
    frame = open_query(Query("SELECT 1 AS left_open", postgres, Path()), [{}])
    assert frame.columns == ("left_open",)
    del frame
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%left_open%' AND pid <>"
    assert run(postgres, f"{open_ones} pg_backend_pid()") == [(0,)]


def test_a_table_without_rows_is_empty(postgres: str) -> None:
    """A result without rows has its columns."""
    frame = open_query(Query("SELECT 1 AS a, 'x' AS b WHERE false", postgres, Path()), [{}])
    assert frame.columns == ("a", "b")
    assert rows_of(frame) == []
    assert "no columns" in refusal(postgres, "SELECT")


# SQLite and DuckDB


def test_values_of_sqlite_keep_the_types_they_have(
    tmp_path: Path, make_project: MakeProject
) -> None:
    """A column of SQLite may mix types, and its first rows say nothing of the others."""
    with sqlite3.connect(tmp_path / "shop.db") as lite:
        lite.execute("CREATE TABLE n (amount NUMERIC, flag, at, data, doc)")
        lite.execute("INSERT INTO n VALUES (NULL, NULL, NULL, NULL, NULL)")
        many = [(20, 1, "2026-01-01 10:00:00", b"\0\xff", '{"a": 1}')] * 20_000
        lite.executemany("INSERT INTO n VALUES (?, ?, ?, ?, ?)", many)
        lite.execute("INSERT INTO n VALUES (19.9, 0, '2026-01-02', x'00', '[1]')")
    lite.close()
    columns = {
        "amount": "decimal(9,2)",
        "flag": "boolean",
        "at": "timestamp",
        "data": "varbyte(2)",
        "doc": "super",
    }
    project = make_project({"t.yml": spec_of(columns)})
    found = load(project, f"sqlite:///{tmp_path}/shop.db", "SELECT * FROM n")
    assert len(found) == 20_002
    last = {
        "amount": Decimal("19.90"),
        "flag": False,
        "at": datetime(2026, 1, 2),
        "data": b"\0",
        "doc": "[1]",
    }
    assert last in found
    assert dict.fromkeys(columns) in found


def test_broken_text_of_sqlite_is_refused(tmp_path: Path) -> None:
    """Text that is not UTF-8 is an error and not replaced."""
    with sqlite3.connect(tmp_path / "shop.db") as lite:
        lite.execute("CREATE TABLE n AS SELECT CAST(x'ff' AS TEXT) AS a")
    lite.close()
    assert "Could not decode" in refusal("sqlite:///shop.db", "SELECT * FROM n", tmp_path)


def test_duckdb_reads_the_files_that_a_query_names(tmp_path: Path) -> None:
    """`duckdb://` is a database in memory, for queries on files."""
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    found = read("duckdb://", f"FROM '{tmp_path}/a.csv'")
    assert found == [{"a": 1, "b": "x"}]


def test_the_table_of_the_target_can_be_read(databases: dict[str, str], tmp_path: Path) -> None:
    """A DuckDB file may be the source and the target, one after the other."""
    root = tmp_path / "own"
    project = Project(
        root=root,
        targets={"local": {"type": "duckdb", "database": f"{tmp_path}/shop.duckdb"}},
    )
    from loader.spec.model import TableSpec

    spec = TableSpec.model_validate(spec_of(ORDERS))
    frame = project.open_query(spec, query="SELECT * FROM orders", connection=databases["duckdb"])
    assert project.load(spec, frame).rows_loaded == 3


# Parameters

QUERIES: list[tuple[str, list[str]]] = [
    ("SELECT :a, ':b', \":c\", $$:d$$ /* :e */ -- :f", ["a"]),
    ("SELECT x::date, a[1:n], a[m:n], f(x)::int, :a::date", ["a"]),
    ("SELECT E'\\':a', :b", ["b"]),
    ("SELECT a\n:b", ["b"]),
]


@pytest.mark.parametrize(("query", "names"), QUERIES)
def test_parameters_are_found_outside_of_quotes(query: str, names: list[str]) -> None:
    """Casts, slices, quoted text and comments hold none; the rest of the text is unchanged."""
    pieces = split_query(query)
    assert [piece.name for piece in pieces if not isinstance(piece, str)] == names
    text = "".join(piece if isinstance(piece, str) else f":{piece.name}" for piece in pieces)
    assert text == query


@given(st.text(st.sampled_from(":'\"$-/*a1 \n;\\")))
def test_no_text_of_a_query_is_lost(query: str) -> None:
    """Whatever a query is, its pieces are the whole of it, and problems are found, not raised."""
    pieces = split_query(query)
    text = "".join(piece if isinstance(piece, str) else f":{piece.name}" for piece in pieces)
    assert text == query
    assert all(message for message, _ in problems(query, []))


TWO = {
    "partition_by": [
        {"name": "day", "expr": "day", "grain": "day"},
        {"name": "name", "expr": "name"},
    ]
}


def test_each_cell_of_several_dimensions_is_one_run(
    databases: dict[str, str], make_project: MakeProject
) -> None:
    """A key without a grain is `:NAME`; windows and keys are crossed."""
    project = make_project({"t.yml": spec_of(ORDERS, **TWO)})
    text = f"{WINDOW} AND name = :name"
    request = {"day": "2026-01-01..2026-01-03", "name": ["Ada", "it's"]}
    found = load(project, databases["postgresql"], text, request)
    assert sorted(row["id"] for row in found) == [1, 3]


def test_a_query_that_does_not_fit_the_table_is_refused(make_project: MakeProject) -> None:
    """Before anything connects: unknown parameters, half a window, no partition, no query."""
    project = make_project(
        {"t.yml": spec_of(ORDERS, **DAYS), "u.yml": {**spec_of(ORDERS), "name": "u"}}
    )
    spec = project.spec("shop/t")

    def told(query: str | None, partition: Any = "2026-01-01", **options: Any) -> str:
        with pytest.raises(PlanError) as caught:
            project.open_query(
                spec, partition, query=query, **{"connection": "sqlite:///x.db", **options}
            )
        return str(caught.value)

    assert "no parameter `:strt`" in told("SELECT :strt")
    assert "has no :end" in told("SELECT * FROM o WHERE day >= :start")
    assert "no partition is named" in told(WINDOW, None)
    assert "no partition is named" in told(WINDOW, "auto")
    assert "more than one statement" in told("SELECT 1; SELECT 2")
    assert "starts with DELETE" in told("DELETE FROM o")
    assert "has INTO" in told("SELECT * INTO x FROM o")
    assert "has no query" in told(None)
    assert "needs the database" in told("SELECT 1", connection=None)
    with pytest.raises(PlanError, match="only tables with partition_by"):
        project.open_query(project.spec("shop/u"), query="SELECT :a", connection="x")


# Connections


def test_a_connection_of_the_settings_has_its_password_from_the_environment(
    postgres: str, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name stands for a URL; the password may have any characters, and is never shown."""
    project = make_project({"t.yml": spec_of({"a": "integer"})})
    socket = postgres.partition("host=")[2]
    password = "p@ss/w:rd 1%"
    run(
        postgres,
        "DROP ROLE IF EXISTS reader",
        f"CREATE ROLE reader LOGIN PASSWORD '{password}'",
    )
    path = project.config.root / "loader.toml"
    url = f"postgresql://reader:${{SHOP_PASSWORD}}@/postgres?host={socket}"
    path.write_text(f"{path.read_text()}\n[connections]\nshop = '{url}'\n")
    project = Project.find(project.config.root)
    spec = project.spec("shop/t")
    with pytest.raises(ConfigError, match=r"variables that are not set: .*SHOP_PASSWORD"):
        project.open_query(spec, query="SELECT 1 AS a", connection="shop")
    monkeypatch.setenv("SHOP_PASSWORD", password)
    frame = project.open_query(spec, query="SELECT current_user AS a", connection="shop")
    assert rows_of(frame) == [{"a": "reader"}]
    with pytest.raises(SourceError, match="query on `shop` failed") as caught:
        project.open_query(spec, query=f"SELECT '{password}' FROM nope", connection="shop")
    assert password not in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean `shop`"):
        project.open_query(spec, query="SELECT 1 AS a", connection="shops")


BAD_CONNECTIONS = [
    ("[connections]\nshop = 'postgresql://bob:hunter22@h/d'", "a connection with a password"),
    ("[connections]\nshop = 'db'", "connections.shop: must be a URL"),
    ("[connections]\nshop = 1", "connections.shop: must be a URL"),
    ("[connections]\nshop = 'postgre://h/d'", "did you mean `postgres://`"),
    ("connections = 1", "must have a URL for each name"),
]


@pytest.mark.parametrize(("text", "message"), BAD_CONNECTIONS, ids=[b[1] for b in BAD_CONNECTIONS])
def test_wrong_settings_of_connections_are_told(text: str, message: str, tmp_path: Path) -> None:
    """Settings are judged when they are read; a password in them is not shown."""
    (tmp_path / "loader.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Project.find(tmp_path)
    assert message in str(caught.value)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_cannot_be_reached_is_told_without_its_password(scheme: str) -> None:
    """The message has host and port, and no login."""
    message = refusal(f"{scheme}://bob:hunter22@127.0.0.1:1/shop", "SELECT 1")
    assert f"the query on {scheme}://127.0.0.1:1/shop failed" in message
    assert "refused" in message
    assert "hunter22" not in message


# The command line


def command(arguments: list[str]) -> tuple[int, str, str]:
    """A command in this process: its exit code, standard output and standard error."""
    done = CliRunner().invoke(main, arguments, prog_name="loader")
    return done.exit_code, done.stdout, done.stderr


def test_the_command_loads_a_query(
    databases: dict[str, str], make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`loader load` takes the query of the spec, or another one; files exclude both."""
    source = {"query": WINDOW, "connection": "${SHOP_URL}"}
    spec = spec_of(ORDERS, **DAYS, source=source)
    project = make_project({"t.yml": spec, "u.yml": {**spec_of(ORDERS), "name": "u"}})
    monkeypatch.chdir(project.config.root)
    monkeypatch.setenv("SHOP_URL", databases["sqlite"])
    code, out, _ = command(["load", "shop/t", "--partition", "2026-01-01"])
    assert (code, out.splitlines()[0].partition(":")[2][:13]) == (0, " 1 row loaded")
    assert command(["load", "shop/t"])[0] == 1
    lite = ["--connection", databases["sqlite"]]
    code, out, _ = command(["load", "shop/u", "--query", "SELECT * FROM orders;", *lite])
    assert (code, "3 rows loaded" in out) == (0, True)
    for wrong in (
        ["load", "shop/u"],
        ["load", "shop/u", "x.csv", "--query", "SELECT 1"],
        ["load", "shop/u", "x.csv", *lite],
    ):
        code, _, told = command(wrong)
        assert (code, "--query" in told) == (64, True)
    code, _, told = command(["load", "shop/u", "--query", "SELECT 1 AS x", *lite])
    assert (code, "extra    x" in told) == (1, True)


def test_a_spec_is_drafted_from_a_query(
    databases: dict[str, str], make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`loader infer --query` has the types of the result, and a source without a password."""
    monkeypatch.chdir(make_project({}).config.root)
    url = databases["postgresql"].replace(":@", "@")
    asked = ["infer", "--query", "SELECT * FROM orders", "--connection"]
    code, out, _ = command([*asked, url, "--name", "shop.t"])
    assert code == 0
    found = yaml.safe_load(out)
    kinds = {column["name"]: column["data_type"] for column in found["columns"]}
    assert kinds["day"] == "date"
    assert kinds["amount"].startswith("decimal(")
    assert found["source"] == {"query": "SELECT * FROM orders", "connection": url}
    secret = url.replace("postgres@", "postgres:hunter22@")
    code, out, told = command([*asked, secret, "--name", "shop.t"])
    assert (code, "source" in yaml.safe_load(out)) == (0, False)
    assert "hunter22" not in out + told
    for wrong in ([*asked, url], ["infer", "--query", "SELECT 1"], [*asked, url, "x.csv"]):
        assert command(wrong)[0] == 64
    code, _, told = command([*asked[:2], "SELECT :a", "--connection", url, "--name", "s.t"])
    assert (code, "no parameter `:a`" in told) == (1, True)


def test_a_run_loads_tables_from_their_queries(
    databases: dict[str, str],
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    each_target: dict[str, Any],
) -> None:
    """`loader run` runs queries too: for named partitions, for all in the rows, or the table."""
    monkeypatch.setenv("SHOP_URL", databases["postgresql"])
    whole = {"query": "SELECT * FROM orders", "connection": "${SHOP_URL}"}
    parts = {"window": {**whole, "query": WINDOW}, "auto": whole}
    specs = {
        f"{name}.yml": {**spec_of(ORDERS, **DAYS, source=source), "name": name}
        for name, source in parts.items()
    }
    specs["plain.yml"] = {**spec_of(ORDERS, source=whole), "name": "plain"}
    specs["csv.yml"] = {**spec_of(ORDERS), "name": "csv"}
    project = make_project(specs, **each_target)
    monkeypatch.chdir(project.config.root)
    code, out, told = command(["run"])
    assert code == 1
    assert "skipped, since their specs name neither files nor a query: shop/csv" in told
    assert "shop.plain: 3 rows from its query" in told
    assert "shop.auto: 3 rows from its query" in told
    assert "no partition is named" in out + told
    code, out, told = command(["run", "--partition", "2026-01-02", "shop/window"])
    assert (code, "shop.window: 1 row from its query" in told) == (0, True)
    code, out, _ = command(["run", "--dry-run", "--partition", "2026-01-01", "shop/window"])
    assert (code, "shop.window: its query into day=2026-01-01" in out) == (0, True)
    assert command(["run", "--dry-run"])[0] == 1


def test_no_output_has_a_password(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a password comes from, no command shows it, encoded or not."""
    project = make_project({"t.yml": spec_of({"a": "integer"})})
    monkeypatch.chdir(project.config.root)
    monkeypatch.setenv(
        "SHOP_URL", "postgresql://bob:hunter%2022@127.0.0.1:1/d?sslpassword=top%21secret"
    )
    monkeypatch.setenv("SHOP_PASSWORD", "hunter 22")
    for url in (
        "postgresql://bob:hunter%2022@127.0.0.1:1/d",
        "postgresql://bob:${SHOP_PASSWORD}@127.0.0.1:1/d",
        "mysql://bob:${SHOP_PASSWORD}@127.0.0.1:1/d?nope=1",
        "${SHOP_URL}",
        "oracle://bob:${SHOP_PASSWORD}@h/d",
        "sqlite://bob:${SHOP_PASSWORD}@h/d",
    ):
        for form in ("text", "json"):
            query = "SELECT 'hunter 22' AS a"
            arguments = ["load", "shop/t", "--query", query, "--connection", url, "--format", form]
            code, out, told = command(arguments)
            assert code == 1
            assert not re.search(r"hunter(%20| )22|top(%21|!)secret", out + told)


# Large results


@pytest.mark.slow
def test_a_million_rows_take_constant_memory(postgres: str, tmp_path: Path) -> None:
    """A load of a long result holds no more of it than one of a short result."""
    (tmp_path / "specs").mkdir()
    columns = {"id": "bigint", "amount": "decimal(12,2)", "name": "varchar(99)", "at": "timestamp"}
    (tmp_path / "specs" / "t.yml").write_text(yaml.safe_dump(spec_of(columns)))
    script = (
        "import resource, sys; from loader.project import Project;"
        "project = Project.find(); spec = project.spec('shop/t');"
        "frame = project.open_query(spec, query=sys.argv[2], connection=sys.argv[1]);"
        "print(project.load(spec, frame).rows_loaded,"
        " resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = {}
    for rows in (100_000, 1_000_000, 4_000_000):
        text = (
            "SELECT g AS id, (g * 1.01)::numeric(12,2) AS amount, repeat('x', 60) || g AS name,"
            f" '2026-01-01'::timestamp + g * interval '1 second' AS at"
            f" FROM generate_series(1, {rows}) g"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, postgres, text],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        loaded, peaks[rows] = map(int, done.stdout.split())
        assert loaded == rows
    print(peaks)
    assert peaks[4_000_000] < peaks[1_000_000] + 100


# MySQL: the real server, from Debian's mariadb-server


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MariaDB, with a user of its own."""
    server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
    if not Path(server).exists():
        pytest.skip("there is no MariaDB on this machine")
    folder = tmp_path_factory.mktemp("mariadb")
    base = ["--no-defaults", f"--datadir={folder}/data"]
    made = ["mariadb-install-db", *base, "--auth-root-authentication-method=normal"]
    subprocess.run([*made, "--user=root"], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listening = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/s"]
    running = subprocess.Popen([server, *base, *listening, "--user=root"], stderr=subprocess.PIPE)
    try:
        url = f"mysql://root@127.0.0.1:{port}/test"
        for _ in range(200):
            with suppress(SourceError):
                read(f"mysql://root@127.0.0.1:{port}/", "SELECT 1 AS a")
                break
            assert running.poll() is None
            time_module.sleep(0.1)
        yield url
    finally:
        running.terminate()
        running.communicate(timeout=30)


def mysql(url: str, *statements: str) -> None:
    """Run statements on MariaDB."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    connection = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


MYSQL: list[tuple[str, str, object]] = [
    ("CAST(1.10 AS DECIMAL(9,2))", "decimal(9,2)", Decimal("1.10")),
    (
        "CAST(12345678901234567890.12 AS DECIMAL(30,2))",
        "decimal(30,2)",
        Decimal("12345678901234567890.12"),
    ),
    ("CAST(0.1 AS DOUBLE)", "double precision", 0.1),
    ("18446744073709551615", "decimal(20,0)", Decimal(2**64 - 1)),
    ("TRUE", "boolean", True),
    ("'é'", "varchar(9)", "é"),
    ("x'00ff'", "varbyte(2)", b"\x00\xff"),
    ("DATE '2026-01-01'", "date", date(2026, 1, 1)),
    ("CAST('10:30:00.5' AS TIME(1))", "time", time(10, 30, 0, 500_000)),
    ("TIMESTAMP '2026-01-01 10:00:00'", "timestamp", datetime(2026, 1, 1, 10)),
    ("FROM_UNIXTIME(0)", "timestamp", datetime(1970, 1, 1)),
    ("""'{"a": [1]}'""", "super", '{"a": [1]}'),
    ("NULL", "date", None),
]


@pytest.mark.slow
def test_every_type_of_mysql_arrives_exactly(mariadb: str, make_project: MakeProject) -> None:
    """Values are those of the server; FLOAT and zero dates, which are not exact, are refused."""
    columns = {f"c{at}": kind for at, (_, kind, _) in enumerate(MYSQL)}
    project = make_project({"t.yml": spec_of(columns, staging={"format": "csv"})})
    listed = ", ".join(f"{value} AS c{at}" for at, (value, _, _) in enumerate(MYSQL))
    [found] = load(project, mariadb.removesuffix("test"), f"SELECT {listed};")
    assert [found[f"c{at}"] for at in range(len(MYSQL))] == [expected for *_, expected in MYSQL]


@pytest.mark.slow
def test_windows_and_refusals_of_mysql(mariadb: str, make_project: MakeProject) -> None:
    """Keys are bound, nothing is written, and a lost connection loads nothing."""
    mysql(
        mariadb,
        "CREATE DATABASE IF NOT EXISTS test",
        "CREATE OR REPLACE TABLE test.orders (id INT, day DATE, name TEXT, amount DECIMAL(9,2))",
        "INSERT INTO test.orders VALUES (1, '2026-01-01', 'Ada', 19.9), (2, '2026-01-02', NULL, 7),"
        " (3, '2026-01-03', 'it\\'s', -0.01)",
        "CREATE OR REPLACE TABLE test.odd (f FLOAT, t TIMESTAMP, d TIME, z DATE)",
        "SET SESSION sql_mode = ''",
        "SET SESSION time_zone = '+02:00'",
        "INSERT INTO test.odd VALUES (0.1, '2026-01-01 02:00:00', '30:00:00', '0000-00-00')",
    )
    project = make_project({"t.yml": spec_of(ORDERS, **DAYS)})
    found = load(project, mariadb, f"{WINDOW};", "2026-01-01..2026-01-02")
    assert [row["id"] for row in found] == [1, 2]
    by_name = "SELECT id FROM orders WHERE name = :name AND ':n' <> 'it\\'s :n'"
    assert read(mariadb, by_name, name="it's") == [{"id": 3}]
    for hostile in ("\\' OR 1=1 -- ", "' OR '1'='1", "%s"):
        assert read(mariadb, by_name, name=hostile) == []
    for text in ("DELETE FROM orders", "INSERT INTO orders (id) VALUES (9) RETURNING id"):
        assert "READ ONLY transaction" in refusal(mariadb, text)
    assert "SQL syntax" in refusal(mariadb, "SELECT 1; SELECT 2")
    assert "Table 'test.nope' doesn't exist (error 1146)" in refusal(mariadb, "SELECT * FROM nope")
    assert re.search("rounds FLOAT.*`f`.*AS DOUBLE", refusal(mariadb, "SELECT f FROM odd"), re.S)
    assert read(mariadb, "SELECT t, d FROM odd") == [
        {"t": datetime(2026, 1, 1, tzinfo=UTC), "d": "1 day, 6:00:00"}
    ]
    assert read(mariadb, "SELECT z FROM odd") == [{"z": "0000-00-00"}]
    assert "Access denied" in refusal(mariadb.replace("root@", "bob:hunter22@"), "SELECT 1")
    frame = open_query(
        Query("SELECT seq, repeat('x', 90) AS x FROM seq_1_to_3000000", mariadb, Path()), [{}]
    )
    next(frame.chunks)
    mysql(
        mariadb,
        "SELECT GROUP_CONCAT('KILL ', id) INTO @kill FROM information_schema.processlist"
        " WHERE info LIKE '%seq_1_to%' AND id <> connection_id()",
        "EXECUTE IMMEDIATE @kill",
    )
    with pytest.raises(SourceError, match="Lost connection") as caught:
        list(frame.chunks)
    assert caught.value.transient
