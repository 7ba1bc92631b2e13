"""Properties: whatever comes in is stored as it is or refused by an error of ours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loader.data.cast.layout import arrow_schema
from loader.errors import LoaderError, PlanError, VerifyError
from loader.plan.read_plan import plan_read
from loader.project import Project
from loader.spec.catalog import read_entry
from loader.spec.model import TableSpec
from loader.spec.partition_keys import locate
from loader.spec.partitions import make_slice
from loader.sql.renderer import Renderer
from loader.sql.templates import read_templates
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.registry import get_adapter
from tests.conftest import redshift_target

ROOT = Path(__file__).parents[1]


@contextmanager
def project_of(
    target: Mapping[str, Any] | None = None, **spec: Any
) -> Iterator[tuple[Project, TableSpec]]:
    """A project of one table, for one example."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "specs").mkdir()
        text = yaml.safe_dump({"schema": "s", "name": "t", **spec}, sort_keys=False)
        (Path(folder) / "specs" / "t.yml").write_text(text)
        project = Project(root=folder, targets={"local": target or {"type": "duckdb"}})
        yield project, project.spec("s/t")


# Frames.

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
INSTANT = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
JSON = st.sampled_from(['{"a": 1}', "[1, 2.50]", '"x"', "null", "7", "{", ""])


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10 ** (precision + 1)
    # A tuple is exact, whatever the context's precision.
    return st.integers(-most, most).map(
        lambda n: Decimal((n < 0, tuple(map(int, str(abs(n)))), -scale))
    )


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "smallint": st.integers(-(2**15) - 1, 2**15),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "decimal(9,2)": decimals(9, 2),
    "decimal(38,10)": decimals(37, 10),
    "real": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "char(4)": st.text(st.characters(max_codepoint=0x7F), max_size=5),
    "varchar(8)": TEXT,
    "date": st.dates(),
    "timestamp": INSTANT,
    "timestamptz": INSTANT.map(lambda at: at.replace(tzinfo=UTC)),
    "super": JSON,
    "varbyte(4)": st.binary(max_size=5),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A spec of some columns, and rows for it, some of which may not fit."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    formats = ["parquet", "csv", "json"]
    if any(kind.startswith("varbyte") for kind in kinds):
        formats.remove("json")
    columns = [
        {"name": f"c{at}", "data_type": kind, "nullable": draw(st.booleans())}
        for at, kind in enumerate(kinds)
    ]
    row = st.fixed_dictionaries({f"c{at}": st.none() | VALUES[k] for at, k in enumerate(kinds)})
    rows = draw(st.lists(row, max_size=5))
    return {"columns": columns, "staging": {"format": draw(st.sampled_from(formats))}}, rows


def as_frame(rows: list[dict[str, Any]], names: list[str], form: str) -> Any:
    import pandas as pd

    columns = {name: [row[name] for row in rows] for name in names}
    if form == "arrow":
        return pa.table({name: pa.array(values) for name, values in columns.items()})
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})


def same(found: Any, given_: Any, kind: str) -> bool:
    """Whether what was read is what was given, in the type's own terms."""
    if kind == "super" and found is not None:
        return bool(yaml.safe_load(found) == yaml.safe_load(given_))
    return bool(found == given_)


@settings(max_examples=80)
@given(tables(), st.sampled_from(["arrow", "pandas"]))
@example(
    ({"columns": [{"name": "c0", "data_type": "varchar(8)"}], "staging": {"format": "csv"}},
     [{"c0": "\\N"}, {"c0": ""}, {"c0": None}, {"c0": '"'}, {"c0": "\r\n"}]),
    "arrow",
)  # fmt: skip
def test_any_frame_is_stored_as_it_is_or_refused(
    table: tuple[dict[str, Any], list[dict[str, Any]]], form: str
) -> None:
    """A frame of any declared columns is read back equal, or refused with an error of ours."""
    _store_or_refuse(table, form, None)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), form=st.sampled_from(["arrow", "pandas"]))
def test_any_frame_is_stored_as_it_is_or_refused_on_redshift(
    table: tuple[dict[str, Any], list[dict[str, Any]]], form: str, stand_in: RedshiftStandIn
) -> None:
    """The same through S3 and COPY."""
    _store_or_refuse(table, form, stand_in)


def _store_or_refuse(
    table: tuple[dict[str, Any], list[dict[str, Any]]], form: str, running: RedshiftStandIn | None
) -> None:
    fields, rows = table
    rows = [{"n": at, **row} for at, row in enumerate(rows)]
    columns = [{"name": "n", "data_type": "integer"}, *fields["columns"]]
    target = {"type": "duckdb"} if running is None else redshift_target(running)
    if running is not None:
        running.reset()
    with project_of(target, **{**fields, "columns": columns}) as (project, spec):
        try:
            frame = as_frame(rows, list(spec.by_name), form)
        except (pa.ArrowException, OverflowError):
            return  # Arrow itself cannot hold it
        try:
            project.load(spec, frame)
        except VerifyError:
            raise  # what the copy keeps is never refused after it
        except LoaderError:
            return
        found: Any = project.read(spec, as_="arrow")
        assert found.schema == arrow_schema(spec.columns)
        by_number = {row["n"]: row for row in found.to_pylist()}
        assert len(by_number) == len(rows)
        for row in rows:
            for column in spec.columns:
                there = by_number[row["n"]][column.name]
                assert same(there, row[column.name], str(column.data_type)), (row, there)


# Specs.

GOOD = (ROOT / "specs" / "nyc" / "flights.yml").read_text(encoding="utf-8")
WORDS = st.sampled_from(
    [
        *("", "null", "~", "[]", "{}", "- x", "x: y", "&a", "*a", "!!python/object:os.x y"),
        *("1", "-1", "1e999", ".nan", "0x10", "2013-01-01", "true", "'", '"', "\t", "\0", "\ud7ff"),
        *("name", "data_type", "date", "varchar(-1)", "varchar(99999)", "decimal(99,9)", "select"),
        *("flight_date", "partition_by", "grain", "hour", "Mars/Olympus", "100%", "1TB", "---\n"),
        *("%", ";", "#", "<<: {}"),
    ]
)


@settings(max_examples=250)
@given(st.data())
def test_any_mutation_of_a_spec_is_accepted_or_has_a_place(data: st.DataObject) -> None:
    """A spec with words and lines swapped, cut or doubled is read, or told with line and column."""
    lines = GOOD.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line, other = lines[at], lines[data.draw(st.integers(0, len(lines) - 1))]
        cut = data.draw(st.integers(0, len(line)))
        word = data.draw(WORDS)
        change = data.draw(st.sampled_from(["cut", "word", "value", "drop", "double", "swap"]))
        lines[at : at + 1] = {
            "cut": [line[:cut]],
            "word": [line[:cut] + word + line[cut:]],
            "value": [line.partition(":")[0] + ": " + word],
            "drop": [],
            "double": [line, line],
            "swap": [other],
        }[change]
        lines = lines or [""]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.yml"
        path.write_text("\n".join(lines), encoding="utf-8")
        entry = read_entry(path, Path(folder))
    if entry.spec is None:
        assert entry.problems
        for problem in entry.problems:
            assert problem.line > 0, problem
            assert problem.column > 0, problem
            assert problem.line <= max(len("\n".join(lines).splitlines()), 1) + 1


# Slices.

DAYS = [date(2013, 12, 29) + timedelta(days=n) for n in range(9)]
HOURS = [datetime(2013, 11, 2, 20, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(110)]
MONTHS = [date(2012, 11, 15) + timedelta(days=20 * n) for n in range(9)]
WORDS_OF_Q = ["a", "b'; --", "", " ", "ü"]


def slice_spec(partition_by: list[dict[str, Any]]) -> TableSpec:
    types = {"id": "integer", "d": "date", "m": "date", "z": "timestamptz", "q": "varchar(9)"}
    columns = [{"name": name, "data_type": kind} for name, kind in types.items()]
    return TableSpec.model_validate(
        {"schema": "s", "name": "t", "columns": columns, "partition_by": partition_by}
    )


DIMENSIONS: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "days": ({"expr": "d", "grain": "day"}, "d", DAYS),
    "months": ({"expr": "m", "grain": "month"}, "m", MONTHS),
    "weeks": ({"expr": "d", "grain": "week", "week_start": "thursday"}, "d", DAYS),
    "values": ({"expr": "q"}, "q", WORDS_OF_Q),
    "days of a zone": (
        {"expr": "z", "grain": "day", "timezone": "America/New_York"},
        "z",
        HOURS,
    ),
    "hours of a zone": (
        {"expr": "z", "grain": "hour", "timezone": "America/New_York"},
        "z",
        HOURS,
    ),
}
PAIRS = [
    (first, second)
    for first in DIMENSIONS
    for second in [None, *DIMENSIONS]
    if second is None or DIMENSIONS[first][1] < DIMENSIONS[second][1]
]


@dataclass(frozen=True)
class Stored:
    """Rows in a database, and the same rows at hand."""

    connection: duckdb.DuckDBPyConnection
    columns: dict[str, list[Any]]


@pytest.fixture(scope="module")
def stored() -> Iterator[Stored]:
    """Some rows over many combinations of partition values, and one of nothing but NULL."""
    count = 1_500
    columns: dict[str, list[Any]] = {
        "id": list(range(count)),
        "d": [DAYS[n % 9] for n in range(count)],
        "m": [MONTHS[n // 9 % 9] for n in range(count)],
        "z": [HOURS[n * 7 % 110] for n in range(count)],
        "q": [WORDS_OF_Q[n * 3 % 5] for n in range(count)],
    }
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA s")
        connection.register("frame", pa.table(columns))
        connection.execute("CREATE TABLE s.t AS SELECT * FROM frame")
        connection.execute("INSERT INTO s.t VALUES (-1, NULL, NULL, NULL, NULL)")
        yield Stored(connection, columns)


@settings(max_examples=150)
@given(data=st.data())
def test_a_slice_selects_exactly_the_rows_it_names(stored: Stored, data: st.DataObject) -> None:
    """The predicate of keys, ranges and unions holds for the rows that are named, and no other."""
    names = [name for name in data.draw(st.sampled_from(PAIRS)) if name]
    entries = [{"name": f"x{at}", **DIMENSIONS[name][0]} for at, name in enumerate(names)]
    spec = slice_spec(entries)
    keys = [
        sorted({locate(d, value) for value in DIMENSIONS[name][2]})
        for d, name in zip(spec.dimensions, names, strict=True)
    ]
    wanted: set[tuple[str, ...]] = set()
    request: list[dict[str, Any]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        part: dict[str, Any] = {}
        chosen: list[list[str]] = []
        for dimension, known in zip(spec.dimensions, keys, strict=True):
            first = data.draw(st.integers(0, len(known) - 1))
            last = data.draw(st.integers(first, min(first + 3, len(known) - 1)))
            run = known[first : last + 1]
            ranged = dimension.grain is not None and data.draw(st.booleans())
            part[dimension.name] = f"{run[0]}..{run[-1]}" if ranged else run
            chosen.append(run)
        request.append(part)
        wanted |= {(a, *rest) for a in chosen[0] for rest in _tails(chosen[1:])}
    try:
        made = make_slice(spec.dimensions, request)
    except PlanError as error:
        raise AssertionError(f"{request}: {error}") from error
    renderer = Renderer(read_templates(), get_adapter("duckdb").dialect)
    sql = plan_read(spec, renderer, made, ["id"]).sql
    found = {row[0] for row in stored.connection.execute(sql).fetchall()}
    located = []
    for dimension, name in zip(spec.dimensions, names, strict=True):
        values = stored.columns[DIMENSIONS[name][1]]
        key_of = {value: locate(dimension, value) for value in set(values)}
        located.append([key_of[value] for value in values])
    assert found == {at for at, row in enumerate(zip(*located, strict=True)) if row in wanted}


def _tails(rest: list[list[str]]) -> list[tuple[str, ...]]:
    return [(key,) for key in rest[0]] if rest else [()]


@settings(max_examples=100)
@given(
    INSTANT.filter(lambda at: 1970 < at.year < 2100),
    st.sampled_from(["hour", "day", "week", "month", "quarter", "year"]),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_every_moment_lies_in_the_partition_it_is_located_in(
    at: datetime, grain: Any, zone: str
) -> None:
    """The key found for a value names a window that holds the value, in any zone and grain."""
    entry = {"expr": "z", "grain": grain, "timezone": zone}
    (dimension,) = slice_spec([entry]).dimensions
    moment = at.replace(tzinfo=UTC)
    key = locate(dimension, moment)
    (box,) = make_slice([dimension], key).boxes
    (window,) = box.parts[0].windows
    assert window.start <= moment < window.end  # type: ignore[operator]  # time stamps with zones
    assert moment.astimezone(ZoneInfo(zone)).strftime("%Y") == key[:4] or grain == "week"
