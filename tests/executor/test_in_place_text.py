"""Files of text that are loaded from where they lie: the tables and the refusals of staging."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader import InPlace, LoaderError
from loader.cli import main
from loader.data.files.open import open_files
from loader.executor.results import LoadResult
from loader.plan.text_patterns import text_pattern
from loader.project import Project
from loader.sql.datatypes import parse
from loader.testing.redshift.faults import CutCopy
from tests.conftest import MakeProject
from tests.executor.test_in_place import Place, place  # noqa: F401  # a fixture

# ruff: noqa: F811  # the fixture is imported

COLUMNS: Mapping[str, str] = {
    "id": "integer",
    "day": "date",
    "i2": "smallint",
    "i8": "bigint",
    "d9": "decimal(9,2)",
    "d38": "decimal(38,10)",
    "b": "boolean",
    "v": "varchar(6)",
    "ts": "timestamp",
    "tz": "timestamptz",
}

ROWS = """id,day,i2,i8,d9,d38,b,v,ts,tz
1,2026-01-01,-1,9223372036854775807,1.5,0.0000000001,true,a,2026-01-01 00:00:00,2026-01-01T00:00:00Z
2,2026-01-02,+32767,-9223372036854775808,-0.25,-1,N,"",2026-01-01,0001-01-01 00:00+00

03,2024-02-29,,,.5,,1,"x,""y",2026-12-31T23:59:59.999999,2026-01-01 00:00:00.5+05:30
4,0001-01-01,,,1.500000,,0,,,
5,9999-12-31,"5","","","",""," é ",1969-07-20 20:17,9999-12-31T23:59:59Z
6,2026-01-01,1,1,1,1,1,é"a,,
"""


def project_of(place: Place, columns: Mapping[str, str] = COLUMNS, **spec: Any) -> Project:
    described = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    return place.project(**{"columns": described, **spec})


SMALL = {"id": "integer", "v": "varchar(6)", "day": "date"}


def small(place: Place, **spec: Any) -> Project:
    """A project with a small table."""
    return project_of(place, SMALL, **{"primary_key": ["id"], **spec})


def writer(folder: Path) -> Callable[[str, bytes], str]:
    """A function that writes files to a folder."""

    def write(name: str, data: bytes) -> str:
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        return str(folder / name)

    return write


def local(make_project: MakeProject, tmp_path: Path) -> Place:
    """DuckDB with files in a folder."""
    return Place(make_project, {}, writer(tmp_path / "files"))


def load(project: Project, *files: str, **options: Any) -> LoadResult:
    frame = InPlace(files, otherwise_stage=options.pop("otherwise_stage", False))
    return project.load(project.spec("s/t"), frame, options.pop("partition", None), **options)


class Twin:
    """The same table on a target and on DuckDB, where the same file is staged: what is right."""

    def __init__(
        self, place: Place, staged: Place, columns: Mapping[str, str], **spec: Any
    ) -> None:
        self.project = project_of(place, columns, **spec)
        self._staged = project_of(staged, columns, **spec)
        self._places = place, staged

    def load(self, name: str, data: bytes, **options: Any) -> LoadResult:
        """Load a file in place; the table is then that of a staged load."""
        files = [place.write(name, data) for place in self._places]
        result = load(self.project, files[0], **options)
        spec = self._staged.spec("s/t")
        self._staged.load(spec, open_files([files[1]], spec.source))
        assert rows_of(self.project) == rows_of(self._staged) != []
        return result


@pytest.fixture
def staged(make_project: MakeProject, tmp_path: Path) -> Place:
    """DuckDB, for what is staged."""
    return Place(make_project, {"folder": "staged"}, writer(tmp_path / "staged-files"))


def rows_of(project: Project) -> list[dict[str, Any]]:
    found: Any = project.read(project.spec("s/t"), as_="arrow")
    return sorted(found.to_pylist(), key=repr)


@pytest.mark.parametrize("disposition", ["replace", "append", "merge"])
def test_the_table_is_that_of_a_staged_load(place: Place, staged: Place, disposition: str) -> None:
    """CSV in place makes the table that the same file makes when it is staged."""
    spec = {"write_disposition": disposition, "primary_key": ["id"]}
    twin = Twin(place, staged, COLUMNS, **spec)
    result = twin.load("a.csv", ROWS.encode())
    assert (result.in_place, result.rows_loaded, result.rows_staged) == (True, 6, 6)
    assert twin.project.history(limit=1)[0].rows_loaded == 6
    twin.load("a.csv", ROWS.encode())
    assert len(rows_of(twin.project)) == (12 if disposition == "append" else 6)


FORMS: Mapping[str, tuple[Mapping[str, Any], str, bytes]] = {
    "carriage returns": ({}, "a.csv", b"id,v,day\r\n1,a,\r\n\r\n2,,2026-01-01\r\n"),
    "no line end": ({}, "a.csv", b"id,v,day\n1,a,2026-01-01"),
    "tabs": ({}, "a.tsv", b"id\tv\tday\n1\ta,b\t2026-01-01\n"),
    "a mark": ({}, "a.csv", b"\xef\xbb\xbfid,v,day\n1,a,2026-01-01\n"),
    "another order": ({}, "a.csv", b'day,v,id\n2026-01-01,"x",1\n'),
    "other names": (
        {"source": {"columns": {"v": "Text", "day": "D y"}}},
        "a.csv",
        b"id,Text,D y\n1,a,2026-01-01\n",
    ),
    "more columns": (
        {"schema_contract": {"extra_columns": "ignore"}},
        "a.csv",
        b'more,id,"o,r",v,day\n"x,y",1,,a,2026-01-01\n',
    ),
    "no header": (
        {"source": {"header": False, "names": ["v", "id", "day"]}},
        "a.csv",
        b"a,1,2026-01-01\n",
    ),
    "semicolons and single quotes": (
        {"source": {"delimiter": ";", "quote": "'"}},
        "a.csv",
        b"id;v;day\n1;'a;''b';2026-01-01\n",
    ),
    "words for NULL": (
        {"source": {"null_values": ["", "NA", "\\N"]}},
        "a.csv",
        b'id,v,day\n1,NA,NA\n2,"NA",\n3,\\N,""\n4,N\\A,\n',
    ),
    "no words for NULL": (
        {"source": {"null_values": []}},
        "a.csv",
        b'id,v,day\n1,,2026-01-01\n2,"",2026-01-01\n3,NULL,2026-01-01\n',
    ),
}


def test_each_form_of_csv_is_read_as_staging_reads_it(place: Place, staged: Place) -> None:
    """Delimiters, quotes, words for NULL, compression and names are those of the spec."""
    for spec, name, data in FORMS.values():
        assert Twin(place, staged, SMALL, **spec).load(name, data).in_place


def test_decimal_commas(place: Place, staged: Place) -> None:
    """With `decimal: ","` numbers have a comma, and none has a point."""
    columns = {"id": "integer", "d": "decimal(9,2)"}
    twin = Twin(place, staged, columns, source={"decimal": ",", "delimiter": ";"})
    twin.load("a.csv", b"id;d\n1;1,50\n2;-,5\n")
    with pytest.raises(LoaderError, match="`d`: 1 value not read exactly"):
        twin.load("b.csv", b"id;d\n1;1.50\n")


def test_whatever_matches_is_cast_as_staging_casts_it(place: Place, staged: Place) -> None:
    """Casts of the warehouse give the values of staging for all text that they are given."""
    kinds = ("decimal(9,2)", "decimal(38,37)", "bigint", "date", "timestamp", "timestamptz")
    columns = {"id": "integer", **{f"x{at}": kind for at, kind in enumerate(kinds)}}
    lines: list[str] = []
    patterns = [text_pattern(parse(kind)) or "" for kind in kinds]

    @settings(max_examples=60)
    @given(st.tuples(*(st.from_regex(pattern, fullmatch=True) for pattern in patterns)))
    def collect(texts: tuple[str, ...]) -> None:
        lines.append(",".join([str(len(lines)), *texts]))

    collect()
    text = "\n".join([",".join(columns), *lines])
    Twin(place, staged, columns).load("a.csv", text.encode())


DAYS = {"partition_by": [{"expr": "day", "grain": "day"}]}

BAD: Mapping[str, tuple[str, str]] = {
    "too few fields": ("2,b", "1 line is not CSV with 3 fields\nfor example\n  line"),
    "too many fields": ("2,b,,", "1 line is not CSV with 3 fields"),
    "a field of two lines": ('2,"b\nc",', "2 lines are not CSV with 3 fields"),
    "text after a quote": ('2,"b"c,', "1 line is not CSV with 3 fields"),
    "a quote that never closes": ('2,b,"', "1 line is not CSV with 3 fields"),
    "no number": ("x,b,", "`id`: 1 value not read exactly as integer by a cast"),
    "blanks": (" 2,b,", "`id`: 1 value not read exactly as integer by a cast"),
    "too large": ("2147483648,b,", "`id`: 1 value not read exactly as integer by a cast"),
    "no date": ("2,b,2026-02-30", "for example\n  id   day           v\n  '2'  '2026-02-30'"),
    "another date": ("2,b,01/02/2026", "`day`: 1 value not read exactly as date by a cast"),
    "NULL in a key": (",b,", "`id`: 1 value NULL in a NOT NULL column"),
    "a value too long": ("2,bbbbbbb,", "`v`: 1 value longer than the 6 bytes of varchar(6)"),
    "blanks too long": ("2,b        ,", "`v`: 1 value longer than the 6 bytes"),
    "much too long": (f"2,{'é' * 900},", "`v`: 1 value longer than the 6 bytes"),
    "a key twice": ("1,b,", "1 primary key more than once"),
    "another day": (
        "2,b,2026-01-02",
        "for example\n  id  day         v\n  2   2026-01-02  'b'",
    ),
}


def test_rows_that_staging_would_refuse_are_refused(place: Place) -> None:
    """All bad values are counted and some shown; the table is as it was, and so is the place."""
    first = place.write("first.csv", b"id,v,day\n9,first,2026-01-01\n")
    load(small(place), first)
    for case, (line, told) in BAD.items():
        day = case == "another day"
        project = small(place, **DAYS if day else {})
        data = f"id,v,day\n1,a,2026-01-01\n{line}\n".encode()
        with pytest.raises(LoaderError) as refused:
            load(project, place.write("a.csv", data), partition="2026-01-01" if day else None)
        assert told in refused.value.message, case
        assert refused.value.message.endswith("rolled back; s.t is unchanged"), case
    assert [one["id"] for one in rows_of(project)] == [9]
    assert len(project.context().staging_store.list("s.t")) == 1


def test_all_bad_values_are_told_at_once(place: Place) -> None:
    """Each kind of bad value is counted, in all columns; classified values are not shown."""
    columns = {"id": "integer", "v": "varchar(2)", "day": "date"}
    described = [{"name": name, "data_type": kind} for name, kind in columns.items()]
    described[1]["classification"] = "pii"
    project = place.project(columns=described)
    with pytest.raises(LoaderError) as refused:
        load(project, place.write("a.csv", b"id,v,day\nx,secret,\ny,a,today\n3,b,\n"))
    for told in ("`id`: 2 values not", "`v`: 1 value longer", "`day`: 1 value not", "(classified)"):
        assert told in refused.value.message
    assert "secret" not in str(refused.value) + str(refused.value.details)
    assert [one["rows"] for one in refused.value.details] == [2, 1, 1]
    with pytest.raises(LoaderError) as lines:
        load(project, place.write("b.csv", b"id,v,day\n1,secret\n"))
    assert "secret" not in str(lines.value)


REFUSED: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str], Mapping[str, bytes], str]] = {
    "another header": (
        {},
        {},
        {"b.csv": b"id,day,v\n"},
        "b.csv has other columns, or in another order, unlike",
    ),
    "another compression": (
        {},
        {},
        {"b.csv.gz": gzip.compress(b"id,v,day\n")},
        "is compressed as gzip, unlike",
    ),
    "another format": ({}, {}, {"b.json": b'{"id": 1}\n'}, "is json, unlike"),
    "UTF-16": ({}, {}, {"a.csv": "id,v,day\n1,a,\n".encode("utf-16")}, "is utf-16, and not UTF-8"),
    "a line of Excel": ({}, {}, {"a.csv": b"sep=;\nid;v;day\n"}, "has 2 lines before its rows"),
    "escapes": ({"escape": "\\"}, {}, {}, "source.escape: quotes must be doubled"),
    "lines before the header": (
        {"skip_rows": 1},
        {},
        {"a.csv": b"x\nid,v,day\n"},
        "2 lines before",
    ),
    "an encoding": ({"encoding": "latin-1"}, {}, {}, "{encoding: latin-1}"),
    "a format of dates": ({"date_format": "%d.%m.%Y"}, {}, {}, "source.date_format"),
    "a time zone": ({"timezone": "UTC"}, {"day": "timestamptz"}, {}, "source.timezone"),
    "a delimiter": ({"delimiter": "^"}, {}, {"a.csv": b"id^v^day\n"}, "source.delimiter: `^`"),
    "a type": ({}, {"v": "super"}, {}, "`v`: no cast from text to super is known to be exact"),
    "one column": ({}, {"v": "", "day": ""}, {"a.csv": b"id\n1\n"}, "have one column"),
}


def test_what_sql_cannot_read_is_refused_by_name(make_project: MakeProject, tmp_path: Path) -> None:
    """What the declaration and the first lines cannot prove is named."""
    place = local(make_project, tmp_path)
    for case, (source, types, files, told) in REFUSED.items():
        columns = {"id": "integer", "v": "varchar(6)", "day": "date", **types}
        kept = {name: kind for name, kind in columns.items() if kind}
        project = project_of(place, kept, source=source)
        data = {"a.csv": b"id,v,day\n", **files}
        names = [place.write(name, content) for name, content in data.items()]
        with pytest.raises(LoaderError) as refused:
            load(project, *names)
        assert told in refused.value.message, case
        assert "without --in-place" in str(refused.value.hint), case


TIE = "1.00000017881393432617187499"
"""Nearly halfway between two reals: as a double it is halfway, and then rounded up."""


PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "a.csv.gz": gzip.compress,
    "a.csv.zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


@pytest.mark.parametrize("name", PACKED)
def test_compressed_text_is_read_where_damage_is_noticed(
    place: Place, staged: Place, name: str
) -> None:
    """DuckDB takes what it can unpack of a damaged file for the whole: such files are staged."""
    twin = Twin(place, staged, SMALL)
    rows = b"".join(b"%d,v%d,\n" % (at, at * 7919 % 10007) for at in range(20_000))
    whole = PACKED[name](b"id,v,day\n" + rows)
    in_place = twin.load(name, whole, otherwise_stage=True).in_place
    assert in_place == (twin.project.config.settings().type == "redshift")
    for damaged in (whole[: len(whole) // 2], whole[:-5]):
        with pytest.raises(LoaderError):
            load(twin.project, place.write(name, damaged), otherwise_stage=True)
    assert len(rows_of(twin.project)) == 20_000


def test_a_mark_at_the_beginning_of_a_row_is_text(place: Place, staged: Place) -> None:
    """A byte order mark is one only at the beginning of a file."""
    twin = Twin(place, staged, SMALL)
    for data in (b"v,id,day\n\xef\xbb\xbfab,1,\n", b"\xef\xbb\xbfv,id,day\n\xef\xbb\xbfab,1,\n"):
        twin.load("a.csv", data)
        assert rows_of(twin.project)[0]["v"] == "\ufeffab"


def test_floats_are_read_in_place_where_casts_are_exact(place: Place, staged: Place) -> None:
    """DuckDB casts text to the nearest number, as staging does; of Redshift that is not known."""
    twin = Twin(place, staged, {"id": "integer", "r": "real", "f": "double precision"})
    numbers = [
        "0.1",
        "1e-07",
        "-3.4028234663852886e18",
        "16777217",
        "0.1000000000000000055",
        TIE,
        "",
    ]
    lines = "".join(f"{at},{one},{one}\n" for at, one in enumerate(numbers))
    data = f"id,r,f\n{lines}".encode()
    if twin.project.config.settings().type == "redshift":
        with pytest.raises(LoaderError, match="may round the last digit of a double precision"):
            twin.load("a.csv", data)
        return
    twin.load("a.csv", data)
    with pytest.raises(LoaderError, match="`r`: 1 value not read exactly as real"):
        twin.load("b.csv", b"id,r,f\n1,1e39,1\n")


def test_line_ends_of_several_kinds_are_told(make_project: MakeProject, tmp_path: Path) -> None:
    """A carriage return within a line is told as a fault of the file, which staging may read."""
    place = local(make_project, tmp_path)
    project = project_of(place, SMALL)
    for data in (b'id,v,day\n1,"a\rb",\n', b"id,v,day\n1,a,\r\n2,b,\n", b"id,v,day\r\n1,a\nb,\r\n"):
        with pytest.raises(LoaderError, match=r"lines of \S+a\.csv end in different ways") as told:
            load(project, place.write("a.csv", data))
        assert "leave out --in-place, or set source: {in_place: never}" in str(told.value.hint)
    assert load(project, place.write("a.csv", b'id,v,day\n1,"a\rb",\n'), otherwise_stage=True)


def test_no_end_of_a_line_is_dropped(place: Place, staged: Place) -> None:
    """Control characters at the end of a line are a part of its last field."""
    twin = Twin(place, staged, SMALL)
    for end in (b"\x01", b"\x02", b"\x01\x02"):
        twin.load("a.csv", b"id,day,v\n1,,abc" + end + b"\n", otherwise_stage=True)


def test_what_turns_out_not_to_be_readable_is_staged(place: Place, staged: Place) -> None:
    """With `auto`, lines and values that SQL cannot read are left to staging, which may."""
    twin = Twin(place, staged, {**SMALL, "d": "decimal(9,2)"})
    for line, told in {'2,"b\nc",,': "line", "2,b,,1e3": "`d`: 1 value"}.items():
        result = twin.load("a.csv", f"id,v,day,d\n1,a,,\n{line}\n".encode(), otherwise_stage=True)
        assert not result.in_place
        assert result.warnings[0].startswith("the files were staged: ")
        assert told in result.warnings[0]
    with pytest.raises(LoaderError, match=r"nothing was loaded(?s:.*)'today' is not a date"):
        twin.load("a.csv", b"id,v,day,d\n1,a,today,\n", otherwise_stage=True)


def test_files_without_rows_do_what_on_empty_says(place: Place) -> None:
    """Headers alone are no rows; among others such files are not read."""
    project = small(place)
    header = place.write("empty.csv", b"id,v,day\n\n")
    assert load(project, header).status == "empty"
    assert load(project, header, place.write("a.csv", b"id,v,day\n1,a,\n")).rows_loaded == 1
    with pytest.raises(LoaderError, match="on_empty: fail"):
        load(small(place, on_empty="fail"), header)
    with pytest.raises(LoaderError, match="is empty: it has 0 bytes"):
        load(project, place.write("none.csv", b""))


def test_a_file_that_changes_meanwhile_fails_the_load(place: Place) -> None:
    """A file that is another one at COMMIT than when it was looked at rolls the load back."""
    project = small(place)
    name = place.write("a.csv", b"id,v,day\n1,a,\n")

    def change(progress: Any) -> None:
        if progress.phase == "record the load":
            place.write("a.csv", b"id,v,day\n2,a,\n")

    with pytest.raises(LoaderError, match=r"files changed while they were loaded(?s:.*)a\.csv"):
        load(project, name, on_progress=change)
    assert project.live("s", "t") in ("absent", "no schema")


def test_lines_that_copy_loses_are_missed(redshift: Any, make_project: MakeProject) -> None:
    """The lines that COPY says it has read are those that are there."""
    project = small(Place(make_project, redshift.target(), redshift.write_object))
    name = redshift.write_object("lake/a.csv", b"id,v,day\n" + b"1,a,\n" * 1000)
    redshift.faults.add("COPY", "before", CutCopy(1000))
    with pytest.raises(LoaderError):
        load(project, name, otherwise_stage=False)
    assert project.live("s", "t") in ("absent", "no schema")


JSON_ROWS = r"""{"id": 1, "v": "a", "d": "1.50", "b": true, "f": 0.1, "ts": "2026-01-01T00:00:00"}
{"id": "2", "v": "é\u0031\n\"", "d": 12, "b": "no", "f": 1e-7}

{"id": 3, "v": null, "f": 12345678901234567890123, "b": 0}
{"v": "", "id": 9007199254740993, "d": 12345678901234567890, "f": "0.5"}
"""
JSON_COLUMNS = {
    "id": "bigint",
    "v": "varchar(9)",
    "d": "decimal(38,2)",
    "b": "boolean",
    "f": "double precision",
    "ts": "timestamp",
}


def test_json_lines_make_the_table_of_a_staged_load(
    make_project: MakeProject, tmp_path: Path, staged: Place
) -> None:
    """JSON lines in place make the table that they make when they are staged."""
    twin = Twin(local(make_project, tmp_path), staged, JSON_COLUMNS)
    assert twin.load("a.jsonl", JSON_ROWS.encode()).rows_loaded == 4


def test_keys_of_json_are_those_of_the_first_file(
    make_project: MakeProject, tmp_path: Path
) -> None:
    """A key that only another file has is refused, as it is where the files are staged."""
    place = local(make_project, tmp_path)
    project = project_of(place, SMALL, schema_contract={"extra_columns": "ignore"})
    rows = {
        "a.jsonl": b'{"id": 1, "day": null}\n',
        "b.jsonl": b'{"id": 2, "v": "x", "day": null}\n',
    }
    names = [place.write(name, data) for name, data in rows.items()]
    with pytest.raises(LoaderError, match=r"b\.jsonl begins with other keys, unlike .*a\.jsonl"):
        load(project, *names)
    with pytest.raises(LoaderError, match="missing"):
        load(project, *names, otherwise_stage=True)


def test_numbers_of_json_for_a_real_are_not_rounded_twice(
    make_project: MakeProject, tmp_path: Path, staged: Place
) -> None:
    """DuckDB reads a number with a point as a double, which rounds it before it is a real."""
    twin = Twin(local(make_project, tmp_path), staged, {"id": "integer", "r": "real"})
    text = f'{{"id": 1, "r": "{TIE}"}}\n'
    assert twin.load("a.jsonl", text.encode()).in_place
    number = text.replace(f'"{TIE}"', TIE)
    assert not twin.load("b.jsonl", number.encode(), otherwise_stage=True).in_place


JSON_BAD = {
    "no JSON": ('{"id": 1', "1 line is not JSON with the keys of the table"),
    "an array": ("[1]", "1 line is not JSON"),
    "a comma too many": ('{"id": 1,}', "1 line is not JSON"),
    "another key": ('{"id": 1, "x": 2}', "1 line is not JSON with the keys of the table"),
    "a key twice": ('{"id": 1, "id": 2}', "1 line is not JSON"),
    "a number for text": ('{"id": 1, "v": 5}', "`v`: 1 value not read exactly as varchar(9)"),
    "a decimal as a double": ('{"id": 1, "d": 1.10}', "`d`: 1 value not read exactly as decimal"),
    "NaN": ('{"id": 1, "f": NaN}', "`f`: 1 value not read exactly as double precision by a cast"),
    "an object": ('{"id": {"x": 1}}', "`id`: 1 value not read exactly as bigint by a JSON parser"),
    "a boolean for a number": ('{"id": true}', "`id`: 1 value not read exactly as bigint"),
    "a number too large": ('{"id": 9223372036854775808}', "`id`: 1 value not read exactly"),
    "too long": ('{"id": 1, "v": "0123456789"}', "`v`: 1 value longer than the 9 bytes"),
}


def test_json_that_is_not_read_exactly_is_refused(
    make_project: MakeProject, tmp_path: Path
) -> None:
    """What a JSON parser changes, drops or takes against the standard is told, and not loaded."""
    place = local(make_project, tmp_path)
    project = project_of(place, JSON_COLUMNS)
    for case, (line, told) in JSON_BAD.items():
        # More than the first lines that are looked at before.
        name = place.write("a.json", (JSON_ROWS * 400 + line + "\n").encode())
        with pytest.raises(LoaderError) as refused:
            load(project, name)
        assert told in refused.value.message, case


def test_redshift_does_not_read_json_in_place(redshift: Any, make_project: MakeProject) -> None:
    """What COPY drops from JSON without a word cannot be found again."""
    project = small(Place(make_project, redshift.target(), redshift.write_object))
    name = redshift.write_object("lake/a.json", b'{"id": 1, "v": "a", "day": null}\n')
    with pytest.raises(LoaderError, match="COPY of JSON drops keys that the table lacks"):
        load(project, name)
    assert load(project, name, otherwise_stage=True).rows_loaded == 1


PIECES = [*'a1," éx', '""', '","', "\n", "\r\n", "\r", "\x01", "\x02", "NA", "\\N"]


def test_no_text_is_read_in_another_way(
    make_project: MakeProject, tmp_path: Path, staged: Place
) -> None:
    """Whatever the text, what is loaded in place is what staging loads, or it is refused."""
    columns = dict.fromkeys("ab", "varchar(9)")
    source = {"null_values": ["", "NA"]}
    twin = Twin(local(make_project, tmp_path), staged, columns, source=source)

    @settings(max_examples=30)
    @given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join))
    def compare(text: str) -> None:
        with suppress(LoaderError):
            twin.load("a.csv", f"a,b\nfirst,\n{text}".encode())

    compare()


def test_a_plan_shows_what_will_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`plan --from … --in-place` reads only first lines, and shows the statements of the load."""
    project = small(place, source={"in_place": "auto"})
    folder = str(project.config.root)
    name = place.write("a.csv", b"id,v,day\n1,a,\nx,never read by a plan\n")

    def run(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as left:
            main(["plan", "s/t", *words, "--project", folder])
        told = capsys.readouterr()
        assert left.value.code == code, told.err
        return told.out + told.err

    for words in (["--in-place"], []):  # as the command says, and as the spec says
        shown = run("--from", name, *words)
        assert "loads 1 CSV file in place: lines of text, which SQL splits and casts" in shown
        assert "loader_fields" in shown
    assert "loader_fields" in run("--from", name, "--live")
    with pytest.raises(LoaderError):
        load(project, name)
    ran = load(project, place.write("a.csv", b"id,v,day\n1,a,\n"), load_id="one").plan
    assert ran is not None
    planned = project.plan(project.spec("s/t"), frame=InPlace((name,)), load_id="one")
    assert [one.name for one in ran.statements][-9:] == [one.name for one in planned.statements][
        -9:
    ]
    staged = run("--from", place.write("b.json", b'{"id": 1, "v": "a", "day": null}\n'))
    is_duckdb = project.config.settings().type == "duckdb"
    assert ("loads 1 JSON file" if is_duckdb else "the files will be staged: ") in staged
    assert "--in-place needs the files" in run("--in-place", code=64)
