"""What `loader infer` drafts from awkward files is loaded from the same files, without an edit."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.data.files.open import open_files
from loader.inference.infer import infer_files
from loader.project import Project
from loader.spec.model import Column, Source

JAN, FEB, DEC = date(2026, 1, 1), date(2026, 2, 1), date(2026, 12, 31)


def run(*arguments: str) -> tuple[int, str, str]:
    """A command's exit code, its output, and what it says beside that."""
    done = CliRunner().invoke(main, arguments, prog_name="loader")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project on DuckDB, in which commands run."""
    folder = tmp_path / "project"
    write(folder, {"loader.toml": '[targets.local]\ntype = "duckdb"\n'})
    monkeypatch.chdir(folder)
    return folder


def rows(table: str) -> list[tuple[Any, ...]]:
    """The rows of a table, in order."""
    project = Project.find()
    found: Any = project.read(project.spec(table), as_="arrow")
    return sorted(
        (tuple(row.values()) for row in found.to_pylist()), key=lambda row: [*map(str, row)]
    )


@dataclass(frozen=True)
class Case:
    """Files, and what is right for them."""

    files: Mapping[str, str | bytes]
    types: str
    """The columns and their types."""
    rows: list[tuple[Any, ...]]
    source: Mapping[str, Any] = field(default_factory=dict)
    told: str = ""
    """A part of what is said about what they leave open."""


AMBIGUOUS = "text, for no value tells whether it is written as %d/%m/%Y or %m/%d/%Y"
MANY = {f"day=2026-0{month}-01/part-{month}.csv": f"id\n{month}\n" for month in (1, 2)}

CASES: dict[str, Case] = {
    "days with points": Case(
        {"t.csv": "d\n31.12.2026\n1.1.2026\n"},
        "d: date",
        [(JAN,), (DEC,)],
        {"date_format": "%d.%m.%Y"},
    ),
    "days before months": Case(
        {"t.csv": "d\n31/12/2026\n01/02/2026\n"},
        "d: date",
        [(FEB,), (DEC,)],
        {"date_format": "%d/%m/%Y"},
    ),
    "months before days": Case(
        {"t.csv": "d\n12/31/2026\n02/01/2026\n"},
        "d: date",
        [(FEB,), (DEC,)],
        {"date_format": "%m/%d/%Y"},
    ),
    "one column tells of another": Case(
        {"t.csv": "d,e\n01/02/2026,31/12/2026\n"},
        "d: date, e: date",
        [(FEB, DEC)],
        {"date_format": "%d/%m/%Y"},
    ),
    "days or months first": Case(
        {"t.csv": "d\n01/02/2026\n03/04/2026\n"},
        "d: varchar(16)",
        [("01/02/2026",), ("03/04/2026",)],
        told=f"`d`: {AMBIGUOUS}",
    ),
    "days and months first": Case(
        {"t.csv": "d,e\n31/12/2026,12/31/2026\n"},
        "d: varchar(16), e: varchar(16)",
        [("31/12/2026", "12/31/2026")],
        told="and a spec has one date_format",
    ),
    "dates in two ways": Case(
        {"t.csv": "d,e\n2026-12-31,31.12.2026\n"},
        "d: date, e: varchar(16)",
        [(DEC, "31.12.2026")],
        told="`e`: text, for it is written as %d.%m.%Y, and `d` in ISO 8601",
    ),
    "two ways in one column": Case(
        {"t.csv": "d\n2026-12-31\n31.12.2026\n"},
        "d: varchar(16)",
        [("2026-12-31",), ("31.12.2026",)],
    ),
    "no such day": Case({"t.csv": "d\n31.02.2026\n"}, "d: varchar(16)", [("31.02.2026",)]),
    "years of two digits": Case({"t.csv": "d\n31.12.26\n"}, "d: varchar(16)", [("31.12.26",)]),
    "names of months": Case(
        {"t.csv": "d\n31 Dec 2026\n1 Jan 2026\n"},
        "d: date",
        [(JAN,), (DEC,)],
        {"date_format": "%d %b %Y"},
    ),
    "nothing but May": Case(
        {"t.csv": "d\n1 May 2026\n"}, "d: date", [(date(2026, 5, 1),)], {"date_format": "%d %b %Y"}
    ),
    "full names of months": Case(
        {"t.csv": 'd\n"May 1, 2026"\n"December 31, 2026"\n'},
        "d: date",
        [(date(2026, 5, 1),), (DEC,)],
        {"date_format": "%B %d, %Y"},
    ),
    "dates and words for NULL": Case(
        {"t.csv": "d,x\n31.12.2026,a\nNA,b\n"},
        "d: date, x: varchar(16)",
        [(DEC, "a"), (None, "b")],
        {"date_format": "%d.%m.%Y", "null_values": ["", "NA"]},
    ),
    "time stamps": Case(
        {"t.csv": "at\n31.12.2026 10:00\n01.01.2026 09:30\n"},
        "at: timestamp",
        [(datetime(2026, 1, 1, 9, 30),), (datetime(2026, 12, 31, 10),)],
        {"timestamp_format": "%d.%m.%Y %H:%M"},
    ),
    "time stamps of twelve hours": Case(
        {"t.csv": "at\n12/31/2026 10:05:00 PM\n01/01/2026 9:30:00 AM\n"},
        "at: timestamp",
        [(datetime(2026, 1, 1, 9, 30),), (datetime(2026, 12, 31, 22, 5),)],
        {"timestamp_format": "%m/%d/%Y %I:%M:%S %p"},
    ),
    "time stamps that may be two": Case(
        {"t.csv": "at\n01/02/2026 10:00\n"},
        "at: varchar(32)",
        [("01/02/2026 10:00",)],
        told="as %d/%m/%Y %H:%M or %m/%d/%Y %H:%M; write the right one",
    ),
    "dates beside time stamps": Case(
        {"t.csv": "d,at,iso\n31.12.2026,31.12.2026 10:00,2026-12-31T10:00:00Z\n"},
        "d: date, at: varchar(32), iso: timestamptz",
        [(DEC, "31.12.2026 10:00", datetime(2026, 12, 31, 10, tzinfo=UTC))],
        {"date_format": "%d.%m.%Y"},
        told="`at`: text, for it is written as %d.%m.%Y %H:%M, and `iso` in ISO 8601",
    ),
    "decimal commas": Case(
        {"t.csv": "a;n\n1,5;2\n-1234,25;3\n"},
        "a: decimal(18,2), n: smallint",
        [(Decimal("-1234.25"), 3), (Decimal("1.50"), 2)],
        {"delimiter": ";", "decimal": ","},
    ),
    "decimal commas between tabs": Case(
        {"t.tsv": "a\tn\n1,5\t2\n"},
        "a: decimal(18,1), n: smallint",
        [(Decimal("1.5"), 2)],
        {"decimal": ","},
    ),
    "decimal commas without a header": Case(
        {"t.csv": "1,5;2,5\n2,75;3,5\n"},
        "column_1: decimal(18,2), column_2: decimal(18,1)",
        [(Decimal("1.50"), Decimal("2.5")), (Decimal("2.75"), Decimal("3.5"))],
        {"delimiter": ";", "decimal": ",", "header": False, "names": ["column_1", "column_2"]},
        told="no header",
    ),
    "another mark in all rows": Case(
        {"t.csv": "id,a|b\n1,x|y\n"}, "id: smallint, a_b: varchar(16)", [(1, "x|y")]
    ),
    "another mark in all quotes": Case(
        {"t.csv": 'id,"a;b"\n1,"x;y"\n'}, "id: smallint, a_b: varchar(16)", [(1, "x;y")]
    ),
    "commas in a header": Case(
        {"t.csv": "Betrag, EUR;n\n1,5;2\n"},
        "betrag_eur: decimal(18,1), n: smallint",
        [(Decimal("1.5"), 2)],
        {"delimiter": ";", "decimal": ","},
    ),
    "decimal commas in quotes": Case(
        {"t.csv": 'a,n\n"1,5",2\n'},
        "a: varchar(16), n: smallint",
        [("1,5", 2)],
        told="`a`: text, for 1,234 may be more than a thousand or less than two",
    ),
    "commas and points": Case(
        {"t.csv": "a;b\n1,5;2.5\n"},
        "a: varchar(16), b: decimal(18,1)",
        [("1,5", Decimal("2.5"))],
        {"delimiter": ";"},
        told="`a`: decimal commas, it seems, but `b` has decimal points",
    ),
    "thousands or decimals, by commas": Case(
        {"t.csv": "a;b\n1,234;x\n12,500;y\n"},
        "a: varchar(16), b: varchar(16)",
        [("1,234", "x"), ("12,500", "y")],
        {"delimiter": ";"},
        told="`a`: text, for 1,234 may be more than a thousand or less than two",
    ),
    "another column has the decimal commas": Case(
        {"t.csv": "a;b\n1,234;1,5\n"},
        "a: decimal(18,3), b: decimal(18,1)",
        [(Decimal("1.234"), Decimal("1.5"))],
        {"delimiter": ";", "decimal": ","},
    ),
    "thousands by points": Case(
        {"t.csv": "a;b\n1.234;1,5\n"},
        "a: varchar(16), b: decimal(18,1)",
        [("1.234", Decimal("1.5"))],
        {"delimiter": ";", "decimal": ","},
        told="`a`: text, for loads read no thousands separators",
    ),
    "thousands or decimals, by points": Case(
        {"t.csv": "a;b\n1.234;x\n"},
        "a: decimal(18,3), b: varchar(16)",
        [(Decimal("1.234"), "x")],
        {"delimiter": ";"},
        told="`a`: 1.234 is read as less than two",
    ),
    "thousands and decimals": Case(
        {"t.csv": "a;n\n1.234,50;1\n3,5;2\n"},
        "a: varchar(16), n: smallint",
        [("1.234,50", 1), ("3,5", 2)],
        {"delimiter": ";"},
        told="`a`: text, for loads read no thousands separators",
    ),
    "thousands in quotes": Case(
        {"t.csv": 'a,b\n"1,234.50",2.5\n'},
        "a: varchar(16), b: decimal(18,1)",
        [("1,234.50", Decimal("2.5"))],
        told="`a`: text, for loads read no thousands separators",
    ),
    "more digits than a decimal has": Case(
        {"t.csv": f"a,b,c\n{'9' * 40},1.5,{'9' * 28}.12345678901\n"},
        "a: varchar(64), b: decimal(18,1), c: varchar(64)",
        [("9" * 40, Decimal("1.5"), f"{'9' * 28}.12345678901")],
    ),
    "names to be cleaned": Case(
        {
            "t.csv": "Order Date,ID,Größe (m),order-date,2026,,file,Path.x\n"
            "2026-01-01,1,2,3,4,5,6,7\n"
        },
        "order_date: date, id: smallint, größe_m: smallint, order_date_2: smallint, "
        "_2026: smallint, column_6: smallint, file: smallint, path_x: smallint",
        [(JAN, 1, 2, 3, 4, 5, 6, 7)],
    ),
    "a name twice": Case(
        {"t.csv": "\nBetrag;Betrag;n;n_2;;n;\n1,5;x;1;2;3;4;5\n"},
        "betrag: decimal(18,1), betrag_2: varchar(16), n: smallint, n_2: smallint, "
        "column_5: smallint, n_3: smallint, column_7: smallint",
        [(Decimal("1.5"), "x", 1, 2, 3, 4, 5)],
        {"delimiter": ";", "decimal": ",", "skip_rows": 2},
        told="columns have the same name",
    ),
    "names that differ in case": Case(
        {"t.csv": "A,a,B\n1,2,3\n"}, "a_2: smallint, a: smallint, b: smallint", [(1, 2, 3)]
    ),
    "names of systems and of SQL": Case(
        {"t.csv": "oid,xmin,select,user,Table\n1,2,3,4,5\n"},
        "oid_: smallint, xmin_: smallint, select: smallint, user: smallint, table: smallint",
        [(1, 2, 3, 4, 5)],
    ),
    "long names": Case(
        {"t.csv": f"{'é' * 100},{'é' * 101}\n1,2\n"},
        f"{'é' * 63}: smallint, {'é' * 62}_2: smallint",
        [(1, 2)],
    ),
    "names in other scripts": Case(
        {"t.csv": "हिन्दी नाम,日付\n1,2\n"}, "हिन्दी_नाम: smallint, 日付: smallint", [(1, 2)]
    ),
    "names in JSON": Case(
        {"t.jsonl": '{"Order ID": 1, "": 2, "path": 3}\n'},
        "order_id: smallint, column_2: smallint, path: smallint",
        [(1, 2, 3)],
    ),
    "no header": Case(
        {"t.csv": "1,Ada,2026-01-01\n2,Bob,2026-02-01\n"},
        "column_1: smallint, column_2: varchar(16), column_3: date",
        [(1, "Ada", JAN), (2, "Bob", FEB)],
        {"header": False, "names": ["column_1", "column_2", "column_3"]},
        told="no header, for the first row is like the others",
    ),
    "no header, and a value twice": Case(
        {"t.csv": "1,1,x\n2,3,y\n"},
        "column_1: smallint, column_2: smallint, column_3: varchar(16)",
        [(1, 1, "x"), (2, 3, "y")],
        told="no header",
    ),
    "decimal commas in some rows": Case(
        {"t.csv": "1,5;x\n2;y\n"},
        "column_1: decimal(18,1), column_2: varchar(16)",
        [(Decimal("1.5"), "x"), (Decimal("2.0"), "y")],
        {"delimiter": ";", "decimal": ","},
    ),
    "commas in quoted names": Case(
        {"t.csv": '"Name, Vorname";"Betrag"\n"x, y";"1,5"\n'},
        "name_vorname: varchar(16), betrag: decimal(18,1)",
        [("x, y", Decimal("1.5"))],
        {"delimiter": ";", "decimal": ","},
    ),
    "one row without a header": Case(
        {"t.csv": "7;1,5;x\n"},
        "column_1: smallint, column_2: decimal(18,1), column_3: varchar(16)",
        [(7, Decimal("1.5"), "x")],
        {"delimiter": ";", "decimal": ",", "header": False},
    ),
    "nothing but text": Case(
        {"t.csv": "Ada,Berlin\nBob,Paris\n"},
        "ada: varchar(16), berlin: varchar(16)",
        [("Bob", "Paris")],
    ),
    "years as names": Case(
        {"t.csv": "product,2024,2025\nx,10,20\n"},
        "product: varchar(16), _2024: smallint, _2025: smallint",
        [("x", 10, 20)],
    ),
    "a year as a name": Case(
        {"t.csv": "product,2026\nx,10\n"}, "product: varchar(16), _2026: smallint", [("x", 10)]
    ),
    "a year as a name, and no rows": Case(
        {"t.csv": "product,2026\n"}, "product: varchar(256), _2026: varchar(256)", []
    ),
    "a year as a value": Case(
        {"t.csv": "Ada,2001\nBob,1999\n"},
        "column_1: varchar(16), column_2: smallint",
        [("Ada", 2001), ("Bob", 1999)],
        told="no header",
    ),
    "numbers as names": Case(
        {"t.csv": "0,1,2\n7,x,8\n"}, "_0: smallint, _1: varchar(16), _2: smallint", [(7, "x", 8)]
    ),
    "a JSON array": Case(
        {"t.json": '[{"Id": 1, "on": "31.12.2026"}, {"Id": 2, "on": null}]'},
        "id: smallint, on: date",
        [(1, DEC), (2, None)],
        {"date_format": "%d.%m.%Y"},
    ),
    "numbers in JSON's text": Case(
        {"t.json": '[{"a": "1,5", "b": 2}]'}, "a: varchar(16), b: smallint", [("1,5", 2)]
    ),
    "folders by day": Case(
        {f"t/{name}": text for name, text in MANY.items()},
        "id: smallint, day: date",
        [(1, JAN), (2, FEB)],
    ),
    "one folder by day": Case(
        {"t/day=2026-01-01/part-0.csv": "id\n1\n"}, "id: smallint, day: date", [(1, JAN)]
    ),
    "folders by country, month and hour": Case(
        {
            "t/Land=DE/month=01/hour=07/0.csv": "id\n1\n",
            "t/Land=__HIVE_DEFAULT_PARTITION__/month=02/hour=8/0.csv": "id\n2\n",
            "t/Land=a%2Fb/month=12/hour=9/0.csv": "id\n3\n",
        },
        "id: smallint, land: varchar(16), month: varchar(16), hour: varchar(16)",
        [(1, "DE", "01", "07"), (2, None, "02", "8"), (3, "a/b", "12", "9")],
    ),
    "a key that is a column too": Case(
        {"t/id=1/0.csv": "id\n1\n", "t/id=2/0.csv": "id\n2\n"}, "id: smallint", [(1,), (2,)]
    ),
    "days of paths beside dates of files": Case(
        {"t/day=2026-01-01/0.csv": "d\n31.12.2026\n", "t/day=2026-02-01/0.csv": "d\n1.1.2026\n"},
        "d: date, day: date",
        [(JAN, FEB), (DEC, JAN)],
        {"date_format": "%d.%m.%Y"},
    ),
    "files with a space": Case(
        {"Sales Report [1].csv": "a,b\n1,x\n"}, "a: smallint, b: varchar(16)", [(1, "x")]
    ),
    "files with braces": Case(
        {"t/{a}.csv": "a,b\n1,x\n"}, "a: smallint, b: varchar(16)", [(1, "x")]
    ),
}


def described(path: Path) -> str:
    columns = yaml.safe_load(path.read_text())["columns"]
    return ", ".join(f"{column['name']}: {column['data_type']}" for column in columns)


def test_whole_numbers_leave_no_mark_open(project: Path) -> None:
    """Whole numbers that are too long for a decimal are text, without a word about commas."""
    write(project / "data", {"t.csv": f"a,b\n{'9' * 40},1.5\n7,2.5\n"})
    _, text, said = run("infer", "data/t.csv", "--name", "raw.one")
    assert "a, data_type: varchar(64)" in text
    assert "`a`" not in said


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_drafted_is_loaded_as_it_is(case: Case, project: Path) -> None:
    """A draft of any files loads them unchanged, and the table holds what the files hold."""
    write(project / "data", case.files)
    names = [f"data/{name}" for name in case.files]
    code, text, said = run("infer", *names, "--name", "raw.one")
    assert code == 0, said
    assert case.told in said
    assert case.told in text
    draft = project / "specs/raw/one.yml"
    write(project, {"specs/raw/one.yml": text})
    assert described(draft) == case.types
    source = yaml.safe_load(text).get("source", {})
    assert {key: source.get(key) for key in case.source} == case.source
    assert set(source) <= {*case.source, "header", "names"}
    assert run("load", "raw.one", *names)[0] == 0
    assert rows("raw.one") == case.rows

    assert run("infer", "data", "-o", "specs", "--schema", "many")[0] == 0
    (written,) = (project / "specs/many").iterdir()
    assert described(written) == case.types
    code, _, said = run("run", "many/*")
    assert code == 0, said
    assert rows(f"many.{written.stem}") == case.rows


def test_files_above_the_project_give_no_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in the path of the project itself is no column of its tables."""
    folder = tmp_path / "env=prod/project"
    write(folder, {"loader.toml": '[targets.local]\ntype = "duckdb"\n', "data/t.csv": "id\n1\n"})
    monkeypatch.chdir(folder)
    assert run("infer", str(folder / "data"), "-o", "specs", "--schema", "raw")[0] == 0
    assert described(folder / "specs/raw/t.yml") == "id: smallint"
    assert run("run")[0] == 0


# ---------------------------------------------------------------- any file

DAYS = st.dates(date(1999, 1, 1), date(2030, 12, 31))
CELLS: dict[str, st.SearchStrategy[str]] = {
    "whole": st.integers(-3000, 3000).map(str),
    "points": st.decimals(-3000, 3000, places=2).map(str),
    "commas": st.decimals(-3000, 3000, places=3).map(lambda number: str(number).replace(".", ",")),
    "thousands": st.integers(-(10**7), 10**7).map("{:,}".format),
    "german thousands": st.integers(0, 10**7).map(lambda number: f"{number:,}".replace(",", ".")),
    "words": st.sampled_from(["x", "Ada", "a;b", "1|2", 'say "so"', "007", "", "two\nlines", "é"]),
    "booleans": st.sampled_from(["true", "False"]),
    **{
        shown: DAYS.map(lambda day, shown=shown: day.strftime(shown))  # type: ignore[misc]
        for shown in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %b %Y", "%B %d, %Y")
    },
}
NOISE = st.sampled_from(["", "", "NA", "-", "x", "1", "1,5", "01.02.2026"])


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of cells, most of which are alike in each column; the first may name the columns."""
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=2, max_size=4))
    noisy = draw(st.booleans())
    cells = [CELLS[kind] | NOISE if noisy else CELLS[kind] for kind in kinds]
    found = draw(st.lists(st.tuples(*cells).map(list), min_size=1, max_size=5))
    names = draw(st.booleans()) and [f"Column {kind} ({at})" for at, kind in enumerate(kinds)]
    return [names, *found] if names else found


def value_of(text: str, column: Column, source: Source) -> object:
    """What a table has of a cell, by its draft."""
    kind = column.data_type.name
    if text in source.null_values and (text or kind != "varchar"):
        return None
    match kind:
        case "varchar":
            return text or None
        case "date":
            return datetime.strptime(text, source.date_format or "%Y-%m-%d").date()
        case "boolean":
            return text.lower() == "true"
    return Decimal(text.replace(source.decimal, "."))


@settings(max_examples=40)
@given(cells=tables(), delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([0, 1]))
def test_any_file_is_loaded_by_its_draft(
    cells: list[list[str]],
    delimiter: str,
    quoting: Literal[0, 1],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever a draft takes a CSV file for, all its rows are loaded, with the values they have."""
    folder = tmp_path_factory.mktemp("any")
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(cells)
    spec = infer_files([str(folder / "t.csv")], schema="s", name="t").spec
    project = Project(root=folder, targets={"local": {"type": "duckdb"}})
    project.load(spec, open_files([str(folder / "t.csv")], spec.source))
    start = spec.source.skip_rows or spec.source.header
    with (folder / "t.csv").open(newline="") as file:
        read = [row for row in csv.reader(file, delimiter=spec.source.delimiter) if row]
    expected = [
        tuple(value_of(cell, of, spec.source) for cell, of in zip(row, spec.columns, strict=True))
        for row in read[start:]
    ]
    found: Any = project.read(spec, as_="arrow")
    loaded = [tuple(None if v == "" else v for v in row.values()) for row in found.to_pylist()]
    assert sorted(map(repr, map(plain, loaded))) == sorted(map(repr, map(plain, expected)))


def plain(row: tuple[object, ...]) -> list[object]:
    """Values that are equal where tables say so: 1 and 1.00."""
    return [
        float(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
        for value in row
    ]
