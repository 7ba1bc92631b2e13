"""Sheets of Excel workbooks as frames: exact cells, header rules, and what odd workbooks get."""

from __future__ import annotations

import io
import random
import re
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from loader.data.chunk import UnsupportedValue
from loader.data.files import excel, excel_worker
from loader.data.files.open import open_files
from loader.errors import ConfigError, FrameError, LoaderError, SourceError
from loader.inference.from_files import infer_files
from loader.spec.model import Source
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject

Rows = Sequence[Sequence[object]]


def workbook(*sheets: Rows, change: Callable[[Any], None] | None = None) -> bytes:
    """A workbook with the sheets `One`, `Two` and so on."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in zip(("One", "Two", "Three"), sheets, strict=False):
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    if change is not None:
        change(book)
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def edited(content: bytes, edits: Mapping[bytes, bytes], part: str = "xl/worksheets/") -> bytes:
    """A workbook with other bytes in some of its parts."""
    sink = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            data = old.read(info)
            for before, after in edits.items() if info.filename.startswith(part) else ():
                assert before in data
                data = data.replace(before, after)
            new.writestr(info.filename, data)
    return sink.getvalue()


ROWS: Rows = [["id", "name"], [1, "Ada"], [2, None]]
READ: list[dict[str, object]] = [{"id": 1, "name": "Ada"}, {"id": 2, "name": None}]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a workbook of rows or bytes."""

    def make(content: bytes | Rows, name: str = "t.xlsx") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else workbook(content))
        return path

    return make


def read(*patterns: Path | str, stdin: Any = None, **options: Any) -> list[dict[str, object]]:
    """All rows of some files."""
    found = []
    for chunk in open_files([str(p) for p in patterns], Source(**options), stdin).chunks:
        columns = {
            name: values if isinstance(values, list) else values.to_pylist()
            for name, values in chunk.columns.items()
        }
        found += [{name: columns[name][row] for name in columns} for row in range(chunk.rows)]
    return found


def refusal(*patterns: Path | str, **options: Any) -> str:
    """What reading some files is refused with."""
    with pytest.raises(SourceError) as caught:
        read(*patterns, **options)
    return str(caught.value)


# Where workbooks are read


def test_a_workbook_is_read_wherever_files_are(
    write: Callable[..., Path], stand_in: RedshiftStandIn
) -> None:
    """From a path, by its bytes, from standard input, an archive and S3, and with others."""
    content = workbook(ROWS)
    assert read(write(content)) == READ
    assert read(write(content, "without_suffix")) == READ
    assert read("-", stdin=io.BytesIO(content)) == READ
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("in/book.xlsx", content)
    assert read(write(sink.getvalue(), "t.zip")) == READ
    assert read(stand_in.write_object("book.xlsx", content)) == READ
    both = write(b"name,id\nBob,3\n", "u.csv")
    assert read(write(content), both)[2] == {"id": "3", "name": "Bob"}


def test_a_workbook_is_loaded_and_its_rows_are_named(
    write: Callable[..., Path], make_project: MakeProject, each_target: dict[str, Any]
) -> None:
    """Values arrive exactly in the table; an error names the workbook, the sheet and its row."""
    columns = {
        "id": "bigint",
        "amount": "decimal(9,2)",
        "ratio": "double precision",
        "day": "date",
        "at": "timestamp",
        "ok": "boolean",
        "code": "varchar(9)",
        "doc": "super",
    }
    rows: Rows = [
        list(columns),
        [
            1,
            19.9,
            0.1,
            date(2026, 1, 2),
            datetime(2026, 1, 2, 3, 4, 5, 678_000),
            True,
            "007",
            "[1]",
        ],
        [-2, "7.50", 1e300, "2026-01-03", "2026-01-03 10:00", "no", None, None],
        [],
        [3.0, 7, 2, datetime(2026, 1, 4), date(2026, 1, 5), 0, "NA", '{"a": 1}'],
    ]
    listed = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    spec = {"schema": "s", "name": "t", "columns": listed, "source": {"null_values": ["", "NA"]}}
    staged = {"staging": {"format": "json"}}
    project = make_project({"t.yml": {**spec, **staged}}, **each_target)
    loaded = project.spec("s/t")
    project.load(loaded, open_files([str(write(rows))], loaded.source))
    found: Any = project.read(loaded, as_="arrow")
    texts = []
    for row in sorted(found.to_pylist(), key=lambda row: row["id"]):
        doc = row.pop("doc")
        texts.append([*row.values(), doc and doc.replace(" ", "")])
    assert texts == [
        [-2, Decimal("7.50"), 1e300, date(2026, 1, 3), datetime(2026, 1, 3, 10), False, None, None],
        [
            *(1, Decimal("19.90"), 0.1, date(2026, 1, 2)),
            *(datetime(2026, 1, 2, 3, 4, 5, 678_000), True, "007", "[1]"),
        ],
        [3, Decimal(7), 2.0, date(2026, 1, 4), datetime(2026, 1, 5), False, None, '{"a":1}'],
    ]
    rows = [*rows, [4, 1.005, 0, None, None, None, 5, None]]
    with pytest.raises(FrameError) as caught:
        project.load(loaded, open_files([str(write(rows))], loaded.source))
    told = str(caught.value)
    assert re.search(r"1 row of .*t\.xlsx\[One\] does not fit s\.t", told)
    assert "amount  row 6: 1.005 has 3 decimals, decimal(9,2) holds 2" in told
    assert re.search(r"code +row 6: 5 is a number", told)


# Cells

CELLS: list[tuple[object, object]] = [
    (1, 1),
    (-0.0, 0),
    (19.9, 19.9),
    (2**53 - 1, 2**53 - 1),
    (1e300, 1e300),
    (True, True),
    ("x ", "x "),
    ("é🙂\n", "é🙂\n"),
    ("1,5", "1,5"),
    (date(1900, 1, 1), date(1900, 1, 1)),
    (date(1900, 3, 1), date(1900, 3, 1)),
    (date(9999, 12, 31), date(9999, 12, 31)),
    (datetime(2026, 3, 29, 2, 30, 0, 1_000), datetime(2026, 3, 29, 2, 30, 0, 1_000)),
    (time(10, 30, 15), time(10, 30, 15)),
    (timedelta(hours=30), timedelta(hours=30)),
]


@pytest.mark.parametrize(("value", "expected"), CELLS, ids=[repr(cell[0]) for cell in CELLS])
def test_cells_are_the_values_they_hold(
    value: object, expected: object, write: Callable[..., Path]
) -> None:
    """A cell is a value of a type, which no format of display changes."""
    [found] = read(write([["a", "b"], [value, 1]]))
    assert found["a"] == expected
    assert type(found["a"]) is type(expected)


def test_formulas_have_the_result_that_was_saved(write: Callable[..., Path]) -> None:
    """A formula is its result; an error, or no result, is no value and never NULL."""
    content = edited(
        workbook([["a", "b"], [1, "=1+1"], [2, "=1/0"], [3, "=A1"], [4, "#N/A"], [5, "=T()"]]),
        {
            b"<f>1+1</f><v></v>": b"<f>1+1</f><v>2</v>",
            b'<c r="B3"><f>1/0</f><v></v>': b'<c r="B3" t="e"><f>1/0</f><v>#DIV/0!</v>',
            b'<c r="B6"><f>T()</f>': b'<c r="B6" t="str"><f>T()</f>',
        },
    )
    found = [row["b"] for row in read(write(content))]
    assert [str(value) for value in found] == [
        "2",
        "#DIV/0!",
        "a formula without a result",
        "#N/A",
        "None",
    ]
    assert [type(value) for value in found[1:4]] == [UnsupportedValue] * 3
    rows = read(write(workbook([["a", "b"], ["=1", 2], [None, None], ["=1", None]])))
    assert [[str(value) for value in row.values()] for row in rows] == [
        ["a formula without a result", "2"],
        ["a formula without a result", "None"],
    ]


def test_a_number_that_may_have_lost_digits_is_no_value(write: Callable[..., Path]) -> None:
    """Whole numbers beyond what a float holds are refused and not rounded."""
    content = edited(workbook([["a"], [77]]), {b"<v>77</v>": b"<v>12345678901234567</v>"})
    [found] = read(write(content))
    assert isinstance(found["a"], UnsupportedValue)
    assert "more digits than Excel keeps" in found["a"].reason


def test_the_formats_of_the_spec_are_for_text(
    write: Callable[..., Path], make_project: MakeProject
) -> None:
    """Decimal commas and date formats apply to cells with text, and to no number or date."""
    source = {"decimal": ",", "date_format": "%d.%m.%Y"}
    columns = [{"name": "a", "data_type": "decimal(9,2)"}, {"name": "d", "data_type": "date"}]
    project = make_project(
        {"t.yml": {"schema": "s", "name": "t", "columns": columns, "source": source}}
    )
    spec = project.spec("s/t")
    rows: Rows = [["a", "d"], ["1234,5", "02.01.2026"], [19.9, date(2026, 1, 3)]]
    project.load(spec, open_files([str(write(rows))], spec.source))
    found: Any = project.read(spec, as_="arrow")
    assert sorted(found.to_pylist(), key=lambda row: row["d"]) == [
        {"a": Decimal("1234.50"), "d": date(2026, 1, 2)},
        {"a": Decimal("19.90"), "d": date(2026, 1, 3)},
    ]


# Headers, rows and sheets

LAYOUTS: list[tuple[Rows, dict[str, Any], list[dict[str, object]]]] = [
    ([[], [], *ROWS, [], []], {}, READ),
    ([["Report"], ["made by", "us"], *ROWS], {"skip_rows": 2}, READ),
    ([[None, "id", None, "name"], [None, 1, None, "Ada"]], {}, READ[:1]),
    ([[1, "Ada"]], {"header": False, "names": ("id", "name")}, READ[:1]),
    (
        [["x"], [1]],
        {"header": False, "names": ("id", "name"), "skip_rows": 1},
        [{"id": 1, "name": None}],
    ),
    ([[2024, "b"], [1, 2]], {}, [{"2024": 1, "b": 2}]),
    ([["id", "name"]], {}, []),
    (
        [["id", "name"], [1, "NA"], ["NA", ""]],
        {"null_values": ("", "NA")},
        [{"id": 1, "name": None}, {"id": None, "name": None}],
    ),
]


@pytest.mark.parametrize(("rows", "options", "expected"), LAYOUTS, ids=range(len(LAYOUTS)))
def test_the_header_is_the_first_row_that_is_not_empty(
    rows: Rows,
    options: dict[str, Any],
    expected: list[dict[str, object]],
    write: Callable[..., Path],
) -> None:
    """Rows before it are skipped by number, as lines of CSV are; empty rows are none."""
    assert read(write(rows), **options) == expected


def test_rows_keep_their_numbers(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a row is that in the sheet, whatever is empty before it."""
    monkeypatch.setattr(excel, "CHUNK_ROWS", 2)
    rows = [[], ["id"], [1], [2], [3], [], [], [4]]
    chunks = list(open_files([str(write(rows))], Source()).chunks)
    assert [(chunk.first_row, chunk.rows) for chunk in chunks] == [(3, 3), (8, 1)]


SHEETS: list[tuple[str | int, int]] = [("One", 1), ("Two", 2), (1, 1), (2, 2), ("Three", 3), (3, 3)]


@pytest.mark.parametrize(("sheet", "value"), SHEETS)
def test_a_sheet_has_a_name_and_a_number(
    sheet: str | int, value: int, write: Callable[..., Path]
) -> None:
    """Sheets are counted from 1, hidden ones too."""

    def hide(book: Any) -> None:
        book["Three"].sheet_state = "hidden"

    one: list[Rows] = [[["a"], [number]] for number in (1, 2, 3)]
    content = workbook(*one, change=hide)
    assert read(write(content), sheet=sheet) == [{"a": value}]


def test_the_only_visible_sheet_needs_no_name(write: Callable[..., Path]) -> None:
    """Hidden sheets are no reason to ask."""

    def hide(book: Any) -> None:
        book["One"].sheet_state = "hidden"

    assert read(write(workbook([["a"], [1]], [["a"], [2]], change=hide))) == [{"a": 2}]


def merge(cells: str) -> Callable[[Any], None]:
    """Merges cells of the first sheet."""
    return lambda book: book["One"].merge_cells(cells)


ODD: list[tuple[bytes, dict[str, Any], str]] = [
    (workbook(ROWS, ROWS), {}, r"has 2 sheets: `One`, `Two`.*sheet: \"One\""),
    (workbook(ROWS), {"sheet": "one"}, r"has no sheet `one`.*its sheets are `One`"),
    (workbook(ROWS), {"sheet": 2}, r"has no sheet 2.*its sheets are `One`"),
    (workbook([]), {}, r"t\.xlsx\[One\] has no header"),
    (workbook(ROWS), {"skip_rows": 9}, r"\[One\] has no header: it is empty after 9 rows"),
    (workbook([["a", "a"]]), {}, r"the header of .*\[One\] has more than one column named `a`"),
    (workbook([["a", 1.5]]), {}, r"\[One\]!B1: the header is 1\.5, which is not the name"),
    (workbook([["a", date(2026, 1, 1)]]), {}, r"\[One\]!B1: the header is 2026-01-01"),
    (workbook([["a", "=1"]]), {}, r"\[One\]!B1: the header is a formula without a result"),
    (workbook([["a", "b"], [1, 2, 3]]), {}, r"\[One\]!C2: there is a value.*has no header"),
    (workbook([[1, 2]]), {"header": False, "names": ("a",)}, r"!B1: .*has no name in source"),
    (workbook([*ROWS, [3]], change=merge("B3:B4")), {}, r"\[One\]: the cells B3:B4 are merged"),
    (workbook(ROWS, change=merge("A1:B1")), {}, r"the cells A1:B1 are merged"),
    (workbook(ROWS)[:-30], {}, "not a whole zip archive"),
    (
        edited(workbook(ROWS), {b"</sheetData>": b"</sheet"}),
        {},
        r"t\.xlsx (is not a workbook that can be read|is damaged)",
    ),
]


@pytest.mark.parametrize(("content", "options", "message"), ODD, ids=[odd[2] for odd in ODD])
def test_an_odd_workbook_is_told_with_sheet_and_cell(
    content: bytes, options: dict[str, Any], message: str, write: Callable[..., Path]
) -> None:
    """What cannot be rows is refused, with its place and a way out."""
    told = refusal(write(content), **options)
    assert re.search(message, told, re.DOTALL), told


def test_merged_cells_beside_the_table_do_not_matter(write: Callable[..., Path]) -> None:
    """Titles above the header, and cells beside the columns, may be merged."""
    rows = [["Report", None], *ROWS]
    assert read(write(workbook(rows, change=merge("A1:B1"))), skip_rows=1) == READ
    assert read(write(workbook(ROWS, change=merge("D1:E3")))) == READ


# Hostile workbooks


def test_cells_that_are_far_apart_do_not_take_all_memory(write: Callable[..., Path]) -> None:
    """A sheet of two cells whose rectangle has 17 billion is refused, and this process is fine."""
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    content = edited(workbook([["a"], [1]]), {b"</sheetData>": far})
    assert "needs more than 4 GB of memory" in refusal(write(content))


def test_a_bomb_of_text_is_refused(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file that becomes gigabytes of text meets the limit."""
    script = "import loader.data.files.excel_worker as w; w.MEMORY = 160 << 20; w.main()"
    monkeypatch.setattr(excel, "_WORKER", script)
    text = b"<is><t>" + b"x" * (100 << 20) + b"</t></is>"
    content = edited(
        workbook([["a"], [77]]), {b'<c r="A2" t="n"><v>77</v>': b'<c r="A2" t="inlineStr">' + text}
    )
    assert len(content) < 1 << 20
    assert "needs more than" in refusal(write(content))


def test_no_damage_ends_in_anything_but_our_error(write: Callable[..., Path]) -> None:
    """Workbooks that are cut off, or have other bytes anywhere, are read or refused by name."""
    dice = random.Random(7)  # the same damage every time
    content = workbook([["a", "b"], *([n, f"value {n}"] for n in range(200))])
    told: list[bool] = []
    for number in range(40):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        stop = len(content) if number % 2 else dice.randrange(4, len(content))
        path = write(bytes(damaged[:stop]))
        try:
            read(path)
        except LoaderError as error:
            told.append(str(path) in str(error))
    assert told
    assert all(told)


def test_a_missing_extra_is_named(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package the error says what to install."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(ConfigError, match=r"needs the package python-calamine") as caught:
        read(write(ROWS))
    assert caught.value.hint == "pip install 'loader[excel]'"


def test_the_worker_needs_no_library_but_its_own() -> None:
    """The process that reads a sheet starts at once."""
    import subprocess

    script = (
        "import sys; import loader.data.files.excel_worker;"
        "print([n for n in ('pyarrow', 'pydantic', 'yaml', 'click') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "[]"
    assert excel_worker.MEMORY == 4 << 30


# Drafts


def test_a_spec_is_drafted_from_a_sheet(write: Callable[..., Path]) -> None:
    """Types are those of the cells, and of text as in CSV."""
    rows: Rows = [
        ["id", "amount", "day", "ok", "code", "text_number"],
        [1, 19.9, date(2026, 1, 1), True, "007", "1.50"],
        [2, 7, date(2026, 1, 2), False, "a", "2"],
    ]
    draft = infer_files([str(write(rows))], schema="s", name="t")
    kinds = {column.name: str(column.data_type) for column in draft.spec.columns}
    assert kinds["id"] in ("smallint", "integer", "bigint")
    assert kinds["day"] == "date"
    assert kinds["ok"] == "boolean"
    assert kinds["code"].startswith("varchar")
    assert kinds["text_number"].startswith("decimal")
    with pytest.raises(SourceError, match="has 2 sheets"):
        infer_files([str(write(workbook(ROWS, ROWS)))], schema="s", name="t")
    draft = infer_files([str(write(workbook(ROWS, ROWS)))], schema="s", name="t", sheet=2)
    assert draft.spec.source.sheet == 2


def test_infer_says_which_option_names_the_sheet(
    write: Callable[..., Path], make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command has an option where a spec has a key."""
    from click.testing import CliRunner

    from loader.cli import main

    monkeypatch.chdir(make_project({}).config.root)
    path = str(write(workbook(ROWS, ROWS)))
    done = CliRunner().invoke(main, ["infer", path], prog_name="loader")
    assert 'name the one to read: --sheet "One"' in done.stderr
    done = CliRunner().invoke(main, ["infer", path, "--sheet", "One"], prog_name="loader")
    assert "sheet: One" in done.stdout
