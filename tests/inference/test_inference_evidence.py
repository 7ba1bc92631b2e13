"""What drafts say beside the spec: evidence, suggestions, and all that a live table tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.cli import main
from loader.data.chunk import Chunk, Frame
from loader.data.files.open import open_files
from loader.data.frames import open_frame
from loader.errors import FrameError, PlanError, SpecError
from loader.executor.stage import inspect
from loader.inference import from_files, keys
from loader.inference.infer import (
    Draft,
    Remarks,
    declared,
    draft_live,
    infer_files,
    infer_frame,
    infer_live,
    infer_spec,
    to_yaml,
)
from loader.inference.names import likely_key, likely_partition
from loader.inference.table_defaults import to_spec_default
from loader.plan.drift.compare import drift
from loader.plan.live_table import LiveColumn, LiveTable, Seen
from loader.project import Project
from loader.spec.catalog import read_entry
from loader.spec.comments import comment
from loader.spec.model import TableSpec
from loader.sql.datatypes import parse
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.registry import get_adapter
from tests.conftest import MakeProject, redshift_target
from tests.plan.drifted import live_of
from tests.plan.test_plan import make_spec, renderer

DUCKDB, REDSHIFT = get_adapter("duckdb").dialect, get_adapter("redshift").dialect
ALL: frozenset[Seen] = frozenset({"keys", "layout", "grants", "dependants"})


def draft_of(frame: object) -> Draft:
    """The draft of all rows of a frame."""
    return infer_frame(frame, schema="s", name="t")


def csv_draft(folder: Path, text: str, name: str = "t.csv") -> Draft:
    """The draft of a CSV file."""
    (folder / name).write_text(text, encoding="utf-8")
    return infer_files([str(folder / name)], schema="s", name="t")


def text_of(draft: Draft) -> str:
    """What is printed of a draft."""
    return to_yaml(draft.spec, draft.remarks)


def suggested(draft: Draft, section: str) -> list[Any]:
    """What is suggested for a section."""
    return [one.value for one in draft.remarks.suggestions if one.section == section]


def read(text: str, folder: Path) -> TableSpec:
    """The spec of a file with this text, which has no problems."""
    path = folder / "read.yml"
    path.write_text(text, encoding="utf-8")
    entry = read_entry(path, folder)
    assert entry.spec is not None, (entry.problems, text)
    return entry.spec


def uncommented(text: str) -> list[tuple[str, str]]:
    """The draft once for each suggestion in it, taken up: its section, and the text then."""
    lines = text.splitlines(keepends=True)
    return [
        (section, "".join([*lines[:at], line.removeprefix("# "), *lines[at + 1 :]]))
        for at, line in enumerate(lines)
        for section in ("primary_key", "partition_by")
        if line.startswith(f"# {section}: ")
    ]


# ---------------------------------------------------------------- what is printed

ORDERS = """id,day,at,amount,code,ok,nothing,text,rate,huge
1,2026-01-01,2026-01-01 10:00,1.50,007,true,,äöü,0.12345678901,20000
2,2026-01-01,2026-01-01T10:00:00,-22.5,008,false,,,0.5,20001
3,2026-01-02,2026-01-03 00:00:00.5,3,009,true,,x,1,30000
"""


def test_a_draft_says_what_was_seen(tmp_path: Path) -> None:
    """Each column has its evidence beside it, and suggestions stand below the columns."""
    assert text_of(csv_draft(tmp_path, ORDERS)) == (
        "version: 1\n"
        "schema: s\n"
        "name: t\n"
        "columns:\n"
        "  - {name: id, data_type: smallint}  # 1..3, no NULL in 3 rows\n"
        "  - {name: day, data_type: date}  # 2026-01-01..2026-01-02, no NULL in 3 rows\n"
        "  - {name: at, data_type: timestamp}"
        "  # 2026-01-01 10:00:00..2026-01-03 00:00:00.500000, no NULL in 3 rows\n"
        '  - {name: amount, data_type: "decimal(18,2)"}'
        "  # at most 2 digits before the point and 2 after it, no NULL in 3 rows\n"
        "  - {name: code, data_type: varchar(16)}  # longest 3 bytes, no NULL in 3 rows\n"
        "  - {name: ok, data_type: boolean}  # no NULL in 3 rows\n"
        "  - {name: nothing, data_type: varchar(256)}  # no value in 3 rows\n"
        "  - {name: text, data_type: varchar(16)}  # longest 6 bytes, 1 NULL in 3 rows\n"
        "  - {name: rate, data_type: double precision}  # at most 1 digit before the point and 11"
        " after it, so taken for measurements, no NULL in 3 rows\n"
        "  - {name: huge, data_type: smallint}"
        "  # 20000..30000, uses more than half of the range of smallint, no NULL in 3 rows\n"
        "# primary_key: [id]  # unique and never NULL in all 3 rows\n"
        "# primary_key: [code]  # unique and never NULL in all 3 rows\n"
        "# primary_key: [huge]  # unique and never NULL in all 3 rows\n"
        "# partition_by: [{expr: day, grain: day}]"
        "  # 2026-01-01..2026-01-02, 2 days of about 1 row each, in 3 rows\n"
        "# partition_by: [{expr: at, grain: day}]"
        "  # 2026-01-01..2026-01-03, 2 days of about 1 row each, in 3 rows\n"
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (pa.array([1], pa.timestamp("ns")), "is finer than a microsecond"),
        (pa.array([None, 1], pa.time64("ns")), "is finer than a microsecond"),
        (pa.array([2**60], pa.timestamp("us", "UTC")), "is out of range"),
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "is out of range"),
    ],
)
def test_times_that_no_load_takes_are_told(tmp_path: Path, values: Any, problem: str) -> None:
    """A draft whose files do not load as they are says in which column, and what to do."""
    pq.write_table(pa.table({"t": values}), tmp_path / "t.parquet")
    draft = infer_files([str(tmp_path / "t.parquet")], schema="s", name="t")
    (note,) = draft.notes
    assert note in draft.remarks.notes
    assert "`t`: loads refuse such values: " in note
    assert problem in note
    with pytest.raises(FrameError, match=problem):
        inspect(draft.spec, open_files([str(tmp_path / "t.parquet")], draft.spec.source))


def test_names_of_system_columns_are_not_proposed(tmp_path: Path) -> None:
    """A column that Redshift lets no table have gets another name, which the draft tells."""
    draft = csv_draft(tmp_path, "OID,oid_,x\n1,2,3\n2,2,3\n")
    assert [column.name for column in draft.spec.columns] == ["oid__2", "oid_", "x"]
    assert str(draft.spec.columns[0].from_) == "OID"
    said = "`OID` is `oid__2` in the table: no Redshift column can be called `OID`"
    assert draft.remarks.notes == (said,)
    assert draft.remarks.suggestions[0].value == ["oid__2"]


def test_programs_read_the_same_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--format json` has the spec's keys, and `evidence` with all that comments say."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(ORDERS)
    done = CliRunner().invoke(main, ["infer", "t.csv", "--format", "json", "-q"])
    answer = json.loads(done.stdout)
    evidence = answer.pop("evidence")
    draft = infer_files(["t.csv"], schema="public", name="t")
    assert answer == declared(draft.spec)
    assert (evidence["rows"], evidence["complete"], evidence["notes"]) == (3, True, [])
    assert evidence["columns"]["id"] == {
        "nulls": 0,
        "min": 1,
        "max": 3,
        "remark": "1..3, no NULL in 3 rows",
    }
    assert evidence["columns"]["text"]["longest"] == 6
    assert evidence["suggestions"][0] == {
        "primary_key": ["id"],
        "why": "unique and never NULL in all 3 rows",
        "rows": 3,
        "complete": True,
    }
    day = next(one for one in evidence["suggestions"] if "partition_by" in one)
    assert (day["partition_by"], day["min"], day["max"], day["days"], day["months"]) == (
        [{"expr": "day", "grain": "day"}],
        "2026-01-01",
        "2026-01-02",
        2,
        1,
    )


def test_what_was_not_looked_at_is_said_of_each_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the first rows were seen every remark says so, and no type is below integer."""
    monkeypatch.setattr("loader.data.files.encodings.BLOCK", 1 << 10)
    monkeypatch.setattr("loader.data.files.csv_quoting.BLOCK", 1 << 10)
    monkeypatch.setattr("loader.data.files.csv._HEADER", 1 << 10)
    monkeypatch.setattr("loader.data.combine_batches.FULL_ROWS", 100)
    monkeypatch.setattr(from_files, "SAMPLE_ROWS", 10)
    rows = "".join(f"{n},2026-01-01,x{n}\n" for n in range(2_000))
    draft = csv_draft(tmp_path, f"id,day,code\n{rows}")
    assert not draft.complete
    said = f"in the first {draft.rows:,} rows"
    text = text_of(draft)
    assert text.startswith(f"# only the first {draft.rows:,} rows were read\n")
    assert str(draft.spec.by_name["id"].data_type) == "integer"
    assert "smallint would be enough" in draft.remarks.columns["id"]
    assert all(words.endswith(said) for words in draft.remarks.columns.values())
    assert all(one.why.endswith(said) for one in draft.remarks.suggestions)
    assert all(one.facts["complete"] is False for one in draft.remarks.suggestions)


def test_nothing_is_said_of_no_rows(tmp_path: Path) -> None:
    """A header alone proves nothing, and one row is unique in everything."""
    empty = csv_draft(tmp_path, "id,day\n")
    assert empty.remarks.columns == {"id": "no rows", "day": "no rows"}
    assert not empty.remarks.suggestions
    single = csv_draft(tmp_path, "id,day\n1,2026-01-01\n")
    assert not suggested(single, "primary_key")
    assert suggested(single, "partition_by") == [[{"expr": "day", "grain": "day"}]]


def test_evidence_is_of_the_values_as_a_load_reads_them(tmp_path: Path) -> None:
    """A word that means NULL is counted as NULL, though the file is read twice to know it."""
    draft = csv_draft(tmp_path, "id,n\n1,NA\n2,5\nNA,7\n")
    assert draft.remarks.columns == {
        "id": "1..2, 1 NULL in 3 rows",
        "n": "5..7, 1 NULL in 3 rows",
    }
    quoted = csv_draft(tmp_path, 'id,n\n1,"NA"\n2,5\nNA,7\n')
    assert quoted.remarks.columns["n"] == "longest 2 bytes, no NULL in 3 rows"


def test_typed_data_keeps_its_types_and_says_what_would_do() -> None:
    """What a Parquet file or a frame declares is no accident, so it stays and is told."""
    at = datetime(2026, 1, 1, 12, 30)
    table = pa.table(
        {
            "n": pa.array([1, None, 3], pa.int64()),
            "u": pa.array([1, 2, 2**63], pa.uint64()),
            "d": [Decimal("1.25"), None, None],
            "at": pa.array([at, at, None], pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([at, at, None], pa.date64()),
            "code": pa.array(["a", "b", None]).dictionary_encode(),
            "raw": [b"1", b"22", b"333"],
        }
    )
    draft = draft_of(table)
    assert [str(column.data_type) for column in draft.spec.columns[:3]] == [
        "bigint",
        "decimal(20,0)",
        "decimal(3,2)",
    ]
    assert draft.remarks.columns == {
        "n": "1..3, smallint would be enough, 1 NULL in 3 rows",
        "u": "no NULL in 3 rows",
        "d": "2 NULLs in 3 rows",
        "at": "2026-01-01 12:30:00Z, 1 NULL in 3 rows",
        "day": "2026-01-01, 1 NULL in 3 rows",
        "code": "longest 1 byte, 1 NULL in 3 rows",
        "raw": "longest 3 bytes, no NULL in 3 rows",
    }


def test_objects_have_evidence_too(tmp_path: Path) -> None:
    """Values of JSON and of pandas columns of objects are seen as those of typed arrays."""
    rows = [{"id": n, "day": f"2026-01-0{n}", "o": {"a": n}, "s": "x"} for n in (1, 2, 3)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    draft = infer_files([str(tmp_path / "t.jsonl")], schema="s", name="t")
    assert draft.remarks.columns["id"] == "1..3, no NULL in 3 rows"
    assert draft.remarks.columns["day"] == "2026-01-01..2026-01-03, no NULL in 3 rows"
    assert suggested(draft, "primary_key") == [["id"], ["day"]]
    mixed = pd.Series([date(2026, 1, 1), datetime(2026, 1, 2, 3)], dtype=object)
    frame = draft_of(pd.DataFrame({"at": mixed, "n": pd.Series([1, None], dtype=object)}))
    assert frame.remarks.columns == {
        "at": "2026-01-01 00:00:00..2026-01-02 03:00:00, no NULL in 2 rows",
        "n": "1, 1 NULL in 2 rows",
    }


def test_values_beyond_python_are_no_evidence() -> None:
    """Years that no date has and text that is none are left to the load, which names the row."""
    far = pa.array([2**62, 1], pa.int64()).cast(pa.timestamp("us"))
    draft = draft_of(pa.table({"at": far, "n": [1, 2]}))
    assert draft.remarks.columns["at"] == "no NULL in 2 rows"
    half = draft_of(pd.DataFrame({"a": pd.Series(["\ud800", "x"], dtype=object)}))
    assert half.remarks.columns["a"].endswith("no NULL in 2 rows")


def test_what_an_asset_infers_pays_for_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of Dagster's assets are looked at once, and no further than before."""

    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("loader.inference.evidence.Evidence.__init__", forbidden)
    monkeypatch.setattr("loader.inference.keys.KeySearch.__init__", forbidden)
    infer_spec(pa.table({"a": [1]}), dialect=DUCKDB, schema="s", name="t")


# ---------------------------------------------------------------- primary keys


def found_keys(columns: dict[str, Any]) -> list[Any]:
    """The keys that are suggested for a table."""
    return suggested(draft_of(pa.table(columns)), "primary_key")


def test_the_smallest_and_likeliest_keys_come_first() -> None:
    """One column goes before two, and a column that is called an id before a measure."""
    assert found_keys({"price": [1, 2, 3], "order_id": [7, 8, 9], "iata": ["a", "b", "c"]}) == [
        ["order_id"],
        ["iata"],
        ["price"],
    ]
    pair = {"name": ["a", "b", "c"], "order_id": [1, 1, 2], "line": [1, 2, 1]}
    assert found_keys(pair) == [["name"], ["order_id", "line"]]
    three = {
        "day": pa.array([1, 1, 1, 2, 2, 2], pa.date32()),
        "carrier": ["x", "x", "y", "x", "y", "x"],
        "flight": [1, 2, 1, 1, 1, 2],
        "delay": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
    }
    assert found_keys(three) == [["day", "carrier", "flight"]]


def test_a_key_has_no_null_and_no_measured_number() -> None:
    """NULL is no value of a key, and floats, booleans and documents are none by nature."""
    assert found_keys({"id": [1, None, 3]}) == []
    assert found_keys({"id": [1.5, 2.5]}) == []
    assert found_keys({"id": [[1], [2]], "code": [b"a", b"b"]}) == []
    assert found_keys({"code": ["x" * 200, "y" * 200]}) == []


@pytest.mark.parametrize(
    "values",
    [
        ("2026-01-01 10:00", "2026-01-01T10:00:00"),
        ("2026-01-01 10:00:00Z", "2026-01-01T11:00:00+01:00"),
        ("2026-01-01", "2026-01-01 00:00"),
        ("0", "-0"),
    ],
)
def test_equal_values_are_equal_however_they_are_written(
    values: tuple[str, str], tmp_path: Path
) -> None:
    """Unique is judged of what a load would store, not of how a file writes it."""
    text = "".join(f"{value},x\n" for value in values)
    assert not suggested(csv_draft(tmp_path, f"code,other\n{text}"), "primary_key")


CELLS = st.none() | st.integers(-3, 3) | st.integers(2**62, 2**62 + 2)
TEXTS = st.none() | st.sampled_from(["", "a", "b", "A", "ä", "a "])


@settings(max_examples=150)
@given(
    data=st.integers(0, 14).flatmap(
        lambda rows: st.tuples(
            st.lists(st.lists(CELLS, min_size=rows, max_size=rows), min_size=1, max_size=3),
            st.lists(st.lists(TEXTS, min_size=rows, max_size=rows), max_size=2),
            st.integers(1, 14),
        )
    )
)
def test_what_is_called_unique_is_unique(data: Any) -> None:
    """No suggested key has NULL or two equal rows, none has a needless column, none is missed."""
    numbers, words, cut = data
    columns = {f"n{at}": pa.array(one, pa.int64()) for at, one in enumerate(numbers)}
    columns |= {f"s{at}": pa.array(one, pa.string()) for at, one in enumerate(words)}
    table = pa.table(columns)
    batches = [table.slice(at, cut) for at in range(0, max(table.num_rows, 1), cut)]
    found = [tuple(key) for key in suggested(draft_of(iter(batches)), "primary_key")]

    def unique(names: Sequence[str]) -> bool:
        rows = list(zip(*(columns[name].to_pylist() for name in names), strict=True))
        return len(set(rows)) == len(rows) and all(None not in row for row in rows)

    right = [some for size in (1, 2, 3) for some in combinations(columns, size) if unique(some)]
    smallest = [one for one in right if len(one) == len(right[0])]
    assert set(found) <= set(right)
    if table.num_rows > 1:
        assert found == smallest[:3]


def test_a_search_that_is_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and time have limits, and what they hide is told."""
    columns = {f"c{at}": [*range(50), 0] for at in range(5)} | {"id": [*range(51)]}
    table = pa.table(columns)
    monkeypatch.setattr(keys, "KEPT_BYTES", 2 * 51 * 8)
    draft = draft_of(table)
    assert suggested(draft, "primary_key") == [["id"]]
    assert draft.remarks.notes == (
        "there may be other primary keys: not all combinations were tried",
    )
    monkeypatch.setattr(keys, "KEPT_BYTES", 1 << 20)
    monkeypatch.setattr(keys, "_EFFORT", 51)
    assert "there may be other" in text_of(draft_of(table.drop_columns(["id"])))


def test_a_column_that_turns_out_to_be_text_is_no_key(tmp_path: Path) -> None:
    """Values of two chunks that were read in two ways are not compared with each other."""
    chunks = [
        Chunk({"code": pa.array(["1", "2"])}, 2, "t.csv", 1, text=True),
        Chunk({"code": pa.array(["1", "x"])}, 2, "t.csv", 3, text=True),
    ]
    draft = draft_of(Frame(("code",), iter(chunks)))
    assert str(draft.spec.columns[0].data_type) == "varchar(16)"
    assert not draft.remarks.suggestions


def test_many_rows_are_compared_in_full() -> None:
    """Two equal rows far apart are found, whatever the first rows look like."""
    many = list(range(200_000))
    assert found_keys({"id": many, "code": [str(n) for n in many]}) == [["id"], ["code"]]
    many[-1] = 0
    assert found_keys({"id": many}) == []


@pytest.mark.parametrize(
    ("name", "family", "more_than"),
    [("id", "whole", "code"), ("ORDER-ID", "text", "flight"), ("day", "time", "origin")],
)
def test_names_tell_keys(name: str, family: str, more_than: str) -> None:
    """Words of a name rank it, whatever stands between them."""
    assert likely_key(name, family) > likely_key(more_than, family)


# ---------------------------------------------------------------- partitions


def days(count: int, each: int = 1, start: date = date(2020, 1, 1)) -> list[date]:
    """So many days, each so often."""
    return [start + timedelta(days=at) for at in range(count) for _ in range(each)]


@pytest.mark.parametrize(
    ("values", "grain"),
    [
        (days(31), "day"),
        (days(1), "day"),
        (days(40, 100), "day"),
        (days(40, 10), "month"),
        (days(900, 1), "month"),
        (days(365 * 10, 5), "month"),
        (days(365 * 10, 1), "year"),
    ],
)
def test_a_grain_makes_windows_that_are_worth_a_load(values: list[date], grain: str) -> None:
    """Days where they have rows enough, or where the data is of one month; else coarser."""
    draft = draft_of(pa.table({"d": values}))
    assert suggested(draft, "partition_by") == [[{"expr": "d", "grain": grain}]]
    assert draft.remarks.suggestions[-1].facts["days"] == len(set(values))


def test_only_times_that_rows_may_come_by_are_suggested() -> None:
    """No NULL, no birthdays, no times of change; dates go first, and there are not too many."""
    some = days(3)
    clock = [datetime(2026, 1, 1, hour) for hour in range(3)]
    frame = {"at": clock, "birth_date": some, "updated_at": clock, "d": some, "n": [1, 2, 3]}
    draft = draft_of(pa.table({**frame, "gone": [None, *some[1:]], "e": some}))
    assert suggested(draft, "partition_by") == [
        [{"expr": "at", "grain": "day"}],
        [{"expr": "d", "grain": "day"}],
    ]
    assert likely_partition("expires_at") < 0


def test_too_many_days_are_no_partitions() -> None:
    """A column with days of centuries is something else than the day of a row."""
    draft = draft_of(pa.table({"d": days(20_001, start=date(1900, 1, 1))}))
    assert not suggested(draft, "partition_by")


# ---------------------------------------------------------------- comments

HOSTILE = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r#:{}[]\"'\\\x85\u2028\u202e\t"),
    min_size=1,
    max_size=12,
).filter(lambda name: name == name.lower() and "\0" not in name)


@settings(max_examples=200)
@given(names=st.lists(HOSTILE, min_size=3, max_size=3, unique_by=str.casefold))
def test_every_suggestion_is_right_when_it_is_taken_up(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A draft reads as its spec, and with any one suggestion as a spec that has it."""
    columns = [pa.array([1, 2]), pa.array(days(2)), pa.array(["a", "b"])]
    draft = draft_of(pa.table(columns, names=names))
    folder, text = tmp_path_factory.mktemp("yaml"), text_of(draft)
    assert read(text, folder) == draft.spec
    taken = uncommented(text)
    assert len(taken) == len(draft.remarks.suggestions) >= 3
    for (section, changed), one in zip(taken, draft.remarks.suggestions, strict=True):
        spec = read(changed, folder)
        found = declared(spec)[section]
        assert (section, found) == (one.section, one.value)
        assert [str(column.data_type) for column in spec.columns] == [
            str(column.data_type) for column in draft.spec.columns
        ]


@pytest.mark.parametrize("name", ["flights-2013-01.csv.gz", "weather.csv.gz", "airports.csv"])
def test_suggestions_for_real_data_are_right(name: str, tmp_path: Path) -> None:
    """The drafts of this repository's data read as specs, as they are and with each suggestion."""
    folder = Path(__file__).parents[2] / "specs" / "nyc" / "data"
    found = sorted(folder.glob(f"{name.partition('.')[0]}*"))
    draft = infer_files([str(found[0])], schema="s", name="t")
    assert read(text_of(draft), tmp_path) == draft.spec
    assert uncommented(text_of(draft))
    for section, text in uncommented(text_of(draft)):
        assert declared(read(text, tmp_path))[section]
    if "flights" in name:
        assert suggested(draft, "primary_key")[0] == ["flight_date", "carrier", "flight"]


@given(text=st.text(max_size=300))
def test_a_comment_is_one_line_whatever_is_in_it(text: str) -> None:
    """Line ends, marks of direction and half characters are written out, and length has a limit."""
    line = comment(text)
    assert line.startswith("# ")
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert yaml.safe_load(f"a: 1  {line}\nb: 2\n") == {"a": 1, "b": 2}


# ---------------------------------------------------------------- live tables


def column_of(data_type: str, nullable: bool = True, **fields: Any) -> LiveColumn:
    """A column `a` of a live table."""
    return LiveColumn("a", data_type, nullable, **fields)


def live_draft(live: LiveTable, dialect: Any = REDSHIFT) -> tuple[TableSpec, Remarks]:
    """The draft of a live table."""
    return draft_live(live, dialect=dialect, schema="s", name="t")


FULL = LiveTable(
    columns=(
        LiveColumn("ID", "bigint", False, True, identity=(5, 2), encoding="az64"),
        LiveColumn("day", "date", False, encoding="raw", comment="Local."),
        LiveColumn(
            "state",
            "character varying(9)",
            False,
            True,
            "'new'::character varying",
            encoding="zstd",
        ),
        LiveColumn("n", "numeric(9,2)", True, True, "((0)::numeric)::numeric(18,0)"),
        LiveColumn("x", "double precision", True, encoding="raw"),
        LiveColumn("doc", "super", True, encoding="zstd"),
    ),
    comment='One "row".\nAnd # more.',
    owner="etl",
    primary_key=("ID", "day"),
    dist="State",
    sort=("day",),
    sort_type="compound",
    grants=frozenset({("select", "role:bi"), ("select", "public"), ("insert", "user:etl")}),
    dependants=("s.v",),
    seen=ALL,
)


def test_all_that_a_live_table_tells_is_in_its_spec(tmp_path: Path) -> None:
    """Columns, defaults, identities, comments, key, layout and grants; AUTO's choices are not."""
    spec, remarks = live_draft(FULL)
    text = to_yaml(spec, remarks)
    assert text == (
        "# encodings are not declared, since ENCODE AUTO may have chosen them; `encode: …` of a"
        " column keeps one\n"
        "# dependent objects: s.v\n"
        "version: 1\n"
        "schema: s\n"
        "name: t\n"
        'description: "One \\"row\\".\\nAnd # more."\n'
        "columns:\n"
        "  - {name: id, data_type: bigint, identity: [5, 2]}\n"
        "  - {name: day, data_type: date, description: Local.}\n"
        "  - {name: state, data_type: varchar(9), nullable: false, default: \"'new'\"}"
        "  # encoding: zstd\n"
        '  - {name: n, data_type: "decimal(9,2)", default: "0"}\n'
        "  - {name: x, data_type: double precision}\n"
        "  - {name: doc, data_type: super}\n"
        "primary_key: [id, day]\n"
        "dist: state\n"
        "sort: [day]\n"
        "staging: {format: json}\n"
        'grants: {select: [public, "role:bi"]}\n'
    )
    assert read(text, tmp_path) == spec
    assert infer_live(FULL, dialect=REDSHIFT, schema="s", name="t") == spec
    evidence = remarks.to_dict()
    assert (evidence["live"], evidence["unseen"]) == ("table", [])
    assert json.dumps(evidence)


def test_what_redshift_manages_is_not_declared() -> None:
    """AUTO distribution, sort keys and encodings may change any night, and are no one's will."""
    auto = replace(FULL, dist="auto", sort_type="auto")
    spec, _ = live_draft(auto)
    assert (spec.dist, spec.sort, spec.sort_type) == (None, (), None)
    assert all(column.encode is None for column in spec.columns)
    spec, _ = live_draft(replace(FULL, dist="even", sort=("day", "n"), sort_type="interleaved"))
    assert (spec.dist, spec.sort, spec.sort_type) == ("even", ("day", "n"), "interleaved")


def test_what_was_not_seen_is_told_and_not_declared() -> None:
    """A record says nothing of a group that it has not seen, whatever stands there."""
    blind = replace(FULL, seen=frozenset(), unseen=("grants cannot be seen: no\nright",))
    spec, remarks = live_draft(blind)
    assert (spec.primary_key, spec.dist, spec.sort, spec.grants) == ((), None, (), {})
    assert remarks.notes == ("not seen: grants cannot be seen: no\nright",)
    assert to_yaml(spec, remarks).startswith(
        "# not seen: grants cannot be seen: no\\nright\nversion"
    )
    assert live_draft(replace(FULL, seen=frozenset()))[1].notes == (
        "not read: its primary key, distribution, sort key and encodings, grants, dependent"
        " objects",
    )
    plain = LiveTable((column_of("INTEGER"),), seen=frozenset({"keys", "dependants"}))
    assert live_draft(plain, DUCKDB)[1].notes == ()


def test_types_that_would_drift_are_told() -> None:
    """What only DuckDB has is said to be rebuilt as what the spec says, on one line."""
    live = LiveTable(
        (
            LiveColumn("u", "UUID", True),
            LiveColumn("e", "ENUM('a\n# b', 'c')", True),
            LiveColumn("h", "HUGEINT", True),
            LiveColumn("i", "INTEGER", True),
        ),
        seen=ALL,
    )
    spec, remarks = live_draft(live, DUCKDB)
    assert remarks.columns["u"] == "live: UUID; `loader apply` would rebuild it as VARCHAR"
    assert remarks.columns["h"] == "live: HUGEINT; `loader apply` would rebuild it as DECIMAL(38,0)"
    assert not remarks.columns.get("i")
    assert [str(column.data_type) for column in spec.columns] == [
        "varchar(36)",
        "varchar(5)",
        "decimal(38,0)",
        "integer",
    ]
    text = to_yaml(spec, remarks)
    assert "# live: ENUM('a\\n# b', 'c'); `loader apply`" in text
    assert yaml.safe_load(text)["columns"][1] == {"name": "e", "data_type": "varchar(5)"}


DEFAULTS: list[tuple[Any, str, str, str | None]] = [
    (REDSHIFT, "character varying(9)", "'x'::character varying", "'x'"),
    (REDSHIFT, "character varying(9)", "('x'::character varying)::character varying(9)", "'x'"),
    (REDSHIFT, "character varying(9)", "'a'::text || 'b'::text", "'a'::text || 'b'::text"),
    (REDSHIFT, "integer", "(1) + (2)", "(1) + (2)"),
    (
        REDSHIFT,
        "character varying(9)",
        "'abcd'::character varying(3)",
        "'abcd'::character varying(3)",
    ),
    (REDSHIFT, "numeric(9,2)", "1.55::numeric(9,1)", "1.55::numeric(9,1)"),
    (REDSHIFT, "numeric(9,2)", "((0)::numeric)::numeric(18,0)", "0"),
    (DUCKDB, "VARCHAR", "(CAST('a' AS VARCHAR) || 'b')", "(CAST('a' AS VARCHAR) || 'b')"),
    (REDSHIFT, "character varying(9)", "'it''s'::text", "'it''s'"),
    (REDSHIFT, "integer", "0", "0"),
    (REDSHIFT, "integer", "(-1)", "-1"),
    (REDSHIFT, "numeric(9,2)", "'1.50'::numeric(9,2)", "1.50"),
    (REDSHIFT, "boolean", "'t'::boolean", "true"),
    (REDSHIFT, "boolean", "false", "false"),
    (REDSHIFT, "date", "'2026-01-01'::date", "'2026-01-01'"),
    (REDSHIFT, "timestamp without time zone", "getdate()", "getdate()"),
    (REDSHIFT, "timestamp without time zone", "'now'::text", "'now'"),
    (REDSHIFT, "character varying(9)", "NULL::character varying", None),
    (DUCKDB, "VARCHAR", "CAST('x' AS VARCHAR)", "'x'"),
    (DUCKDB, "VARCHAR", "'CAST(''x'' AS VARCHAR)'", "'CAST(''x'' AS VARCHAR)'"),
    (DUCKDB, "INTEGER", "CAST('1' AS INTEGER)", "1"),
    (DUCKDB, "DECIMAL(18,2)", "1.50", "1.50"),
    (DUCKDB, "BOOLEAN", "true", "true"),
    (DUCKDB, "BOOLEAN", "CAST('t' AS BOOLEAN)", "true"),
    (DUCKDB, "VARCHAR", "NULL", None),
    (DUCKDB, "DATE", "CAST('2020-01-01' AS DATE)", "'2020-01-01'"),
    (DUCKDB, "TIMESTAMP", "CAST(timezone('UTC', current_timestamp) AS TIMESTAMP)", "getdate()"),
    (DUCKDB, "TIMESTAMP WITH TIME ZONE", "now()", "now()"),
    (DUCKDB, "INTEGER", "(1 + 2)", "(1 + 2)"),
    (DUCKDB, "VARCHAR", "COALESCE(NULL, 'x')", "COALESCE(NULL, 'x')"),
]


@pytest.mark.parametrize(("dialect", "kind", "live", "wanted"), DEFAULTS)
def test_a_default_is_said_as_simply_as_can_be(
    dialect: Any, kind: str, live: str, wanted: str | None
) -> None:
    """Casts and brackets of a catalog go, and what is left means the same to drift."""
    table = LiveTable((column_of(kind, has_default=True, default=live),), seen=ALL)
    spec, _ = live_draft(table, dialect)
    if wanted is not None:
        assert spec.columns[0].default == wanted
    assert not [
        one
        for one in drift(spec, renderer(dialect.name), table).differences
        if one.kind == "default"
    ]


def test_defaults_that_specs_cannot_say_are_told() -> None:
    """A backslash, and what cannot be seen, are left out with the reason; words are marked."""
    for default, said in (
        ("'a\\\\b'::text", "left out: a backslash in a literal"),
        ("f('a;--')", "the default is an expression in the redshift dialect"),
        ("a -- b", "left out: an expression may not hold a comment"),
        (None, "has a default that this user cannot see"),
    ):
        table = LiveTable((column_of("text", has_default=True, default=default),), seen=ALL)
        assert said in live_draft(table)[1].columns["a"]
    with pytest.raises(ValueError, match="comment"):
        to_spec_default("1 -- x", parse("integer"), REDSHIFT)


def test_what_specs_refuse_is_left_out_and_told() -> None:
    """No catalog is so odd that there is no draft of its table."""
    odd = LiveTable(
        (
            LiveColumn("a", "super", True),
            LiveColumn("b", "smallint", False, True, identity=(0, 1)),
            LiveColumn("c", "integer", True),
        ),
        primary_key=("c", "a"),
        dist="a",
        sort=("gone",),
        sort_type="interleaved",
        grants=frozenset({("truncate", "user:x"), ("select", "martian:y")}),
        seen=ALL,
    )
    spec, remarks = live_draft(odd)
    assert (spec.primary_key, spec.dist, spec.sort, spec.grants) == ((), None, (), {})
    assert spec.by_name["b"].identity is None
    said = "\n".join(remarks.notes)
    for part in ("left out: primary_key", "left out: dist a", "left out: sort", "left out: grants"):
        assert part in said
    assert "left out: identity [0, 1]: an identity column is" in remarks.columns["b"]
    assert "in the primary key, but nullable" in remarks.columns["c"]
    with pytest.raises(SpecError, match="write `s`"):
        draft_live(odd, dialect=REDSHIFT, schema="S", name="t")


def test_what_has_no_columns_makes_no_draft() -> None:
    """Of a table in another database nothing but its name is known."""
    with pytest.raises(PlanError, match=r"from s\.t: this external table shows no columns"):
        live_draft(LiveTable((), kind="external table"))


def test_views_and_unsure_grants_are_told() -> None:
    """A view makes a draft that says what it is; who may be a user or a role is not guessed."""
    unsure = {("select", f"{kind}:bob") for kind in ("user", "role", "group")}
    view = LiveTable(
        (column_of("integer"),),
        kind="view",
        grants=frozenset({*unsure, ("select", "group:x")}),
        seen=ALL,
    )
    spec, remarks = live_draft(view)
    assert spec.grants == {"select": ("group:x",)}
    assert remarks.notes == (
        "this is a view: rows cannot be loaded into it",
        "granted to a user or to a role; the catalog does not tell which: select to bob",
    )


# ---------------------------------------------------------------- round trips

KINDS = [
    *("smallint", "integer", "bigint", "real", "double precision", "boolean", "date", "time"),
    *("timetz", "timestamp", "timestamptz", "super", "decimal(9,2)", "decimal(38,0)"),
    *("varchar(9)", "char(3)", "varbyte(20)"),
]
LITERALS = {
    "smallint": ["0", "-1"],
    "decimal(9,2)": ["1.50"],
    "boolean": ["true", "false"],
    "date": ["'2026-01-01'"],
    "timestamp": ["getdate()"],
    "varchar(9)": ["'x'", "'it''s'", "''"],
}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Tables with all that catalogs tell."""
    names = draw(
        st.lists(
            st.sampled_from(["a", "b c", 'd"e', "ä", "select", "f_1", "g#h", "i: j"]),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    columns: list[dict[str, Any]] = []
    for name in names:
        kind = draw(st.sampled_from(KINDS))
        column: dict[str, Any] = {"name": name, "data_type": kind}
        if draw(st.booleans()):
            column["nullable"] = False
        if draw(st.booleans()):
            column["description"] = draw(st.sampled_from(["What?", 'a "b"\n# c', "it's", "é"]))
        if kind in LITERALS and draw(st.booleans()):
            column["default"] = draw(st.sampled_from(LITERALS[kind]))
        columns.append(column)
    if draw(st.booleans()):
        columns.append({"name": "the_id", "data_type": "bigint", "identity": [7, 3]})
    columns.append({"name": "key", "data_type": "integer", "nullable": False})
    extra: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "description": st.sampled_from(["One row.", "two\nlines"]),
                "primary_key": st.just(["key"]),
                "dist": st.sampled_from(["even", "all", "auto", "key"]),
                "sort": st.just(["key"]),
                "grants": st.just({"select": ["public"]}),
            },
        )
    )
    return {"columns": columns, "staging": {"format": "csv"}, **extra}


def same_columns(found: TableSpec, wanted: TableSpec, dialect: str) -> None:
    """What a catalog tells of columns is in the inferred spec as it was in the first."""
    known = get_adapter(dialect).dialect
    for one, other in zip(found.columns, wanted.columns, strict=True):
        assert known.column_type(one.data_type) == known.column_type(other.data_type)
        if dialect == "redshift":
            assert one.data_type == other.data_type
        assert (one.name, one.nullable, one.default, one.identity, one.description) == (
            other.name,
            other.nullable,
            other.default,
            other.identity,
            other.description,
        )
    assert found.description == wanted.description


@settings(max_examples=120)
@given(data=specs(), dialect=st.sampled_from(["duckdb", "redshift"]))
def test_a_recorded_table_is_its_spec_again(
    data: dict[str, Any], dialect: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From a spec to the record of its table and back, nothing is to be changed."""
    wanted = make_spec(**data)
    live = live_of(wanted, dialect)
    spec, remarks = draft_live(
        live, dialect=get_adapter(dialect).dialect, schema=wanted.schema_name, name=wanted.name
    )
    same_columns(spec, wanted, dialect)
    assert drift(spec, renderer(dialect), live).differences == ()
    assert read(to_yaml(spec, remarks), tmp_path_factory.mktemp("yaml")) == spec
    if dialect == "redshift":
        assert (spec.primary_key, spec.sort) == (wanted.primary_key, wanted.sort)
        assert spec.dist == (None if wanted.dist == "auto" else wanted.dist)
        assert spec.grants == wanted.grants


def round_trip(project: Project, data: dict[str, Any], at: int) -> None:
    """Make a table, infer it, and find nothing to change."""
    wanted = make_spec(**data, schema="s", name=f"t{at}")
    project.apply(project.changes([wanted]))
    live = project.live("s", f"t{at}")
    assert isinstance(live, LiveTable)
    dialect = project.renderer().dialect
    spec, remarks = draft_live(live, dialect=dialect, schema="s", name=f"t{at}")
    same_columns(spec, wanted, dialect.name)
    change = project.changes([spec])[0]
    assert change.differences == (), (change.differences, to_yaml(spec, remarks))


@settings(max_examples=8)
@given(many=st.lists(specs(), min_size=2, max_size=4))
def test_a_table_of_duckdb_is_its_spec_again(
    many: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A table that Loader made on DuckDB is inferred, planned, and needs nothing."""
    folder = tmp_path_factory.mktemp("project")
    project = Project(root=folder, targets={"local": {"type": "duckdb"}})
    for at, data in enumerate(many):
        round_trip(project, data, at)


RICH: dict[str, Any] = {
    "description": "It's \\ all.",
    "columns": [
        {"name": "id", "data_type": "bigint", "identity": [5, 2]},
        {"name": "day", "data_type": "date", "nullable": False, "description": 'a "b"\n# c'},
        {"name": "state", "data_type": "varchar(9)", "default": "'it''s'", "encode": "zstd"},
        {"name": "n", "data_type": "decimal(9,2)", "default": "0"},
        {"name": "ok", "data_type": "boolean", "default": "true"},
        {"name": "at", "data_type": "timestamp", "default": "getdate()"},
        {"name": "x", "data_type": "double precision"},
        {"name": "c", "data_type": "char(3)", "nullable": False},
        {"name": "b", "data_type": "varbyte(20)"},
        {"name": "tz", "data_type": "timestamptz"},
    ],
    "primary_key": ["day", "c"],
    "dist": "c",
    "sort": ["day", "c"],
    "grants": {"select": ["public"]},
}


def test_a_table_of_redshift_is_its_spec_again(stand_in: RedshiftStandIn, tmp_path: Path) -> None:
    """The same on Redshift, with grants; the stand-in forgets keys and layout."""
    project = Project(root=tmp_path, targets={"prod": redshift_target(stand_in)})
    round_trip(project, RICH, 1)
    live = project.live("s", "t1")
    assert isinstance(live, LiveTable)
    spec = infer_live(live, dialect=REDSHIFT, schema="s", name="t1")
    assert spec.grants == {"select": ("public",)}


def test_the_command_drafts_a_table_that_needs_nothing(make_project: MakeProject) -> None:
    """`loader infer --table` on a table of Loader's, saved as a spec: a plan finds no change."""
    data = {**RICH, "schema": "s", "name": "t"}
    project = make_project({"t.yml": data})
    folder = ["--project", str(project.config.root)]
    project.apply(project.changes([project.spec("s/t")]))
    done = CliRunner().invoke(main, ["infer", "--table", "s.t", *folder])
    assert done.exit_code == 0, done.stderr
    assert "# DuckDB stores no lengths" in done.stdout
    (project.config.specs / "t.yml").write_text(done.stdout)
    again = Project.find(project.config.root)
    assert again.changes([again.spec("s/t")])[0].differences == ()
    planned = CliRunner().invoke(main, ["plan", "s/t", "--live", "--detailed-exitcode", *folder])
    assert planned.exit_code in (0, 2), planned.stderr
    told = CliRunner().invoke(main, ["infer", "--table", "s.t", "--format", "json", *folder])
    assert json.loads(told.stdout)["evidence"]["columns"]["day"]["live"] == "DATE"


def test_parquet_files_and_streams_are_looked_at_whole(tmp_path: Path) -> None:
    """Evidence is of all row groups and files, and a frame is read to its end."""
    table = pa.table({"id": [1, 2, 3, 4]})
    pq.write_table(table, tmp_path / "1.parquet", row_group_size=2)
    pq.write_table(pa.table({"id": [5, 1]}), tmp_path / "2.parquet")
    one = infer_files([str(tmp_path / "1.parquet")], schema="s", name="t")
    both = infer_files([str(tmp_path / "*.parquet")], schema="s", name="t")
    assert suggested(one, "primary_key") == [["id"]]
    assert not suggested(both, "primary_key")
    assert both.remarks.columns["id"].startswith("1..5, ")
    assert draft_of(open_frame(table)).rows == 4
