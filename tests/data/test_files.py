"""Files as frames: formats, compression, globs, standard input, and what bad files get."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import random
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.data.chunk import Frame
from loader.data.files import csv as csv_files
from loader.data.files import csv_quoting, encodings
from loader.data.files import json as json_files
from loader.data.files.open import open_files
from loader.data.row_columns import CHUNK_ROWS
from loader.errors import FrameError, LoaderError, SourceError
from loader.project import Project
from loader.spec.model import Source, TableSpec

TABLE = pa.table({"a": ["1", "2"], "b": ["x", None]})
ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": None}]
CSV = b"a,b\n1,x\n2,\n"
JSON = b'{"a": "1", "b": "x"}\n{"a": "2"}\n'


def parquet() -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(TABLE, sink)
    return sink.getvalue()


def arrow(kind: Any) -> bytes:
    """The table as an Arrow IPC file or stream."""
    sink = io.BytesIO()
    with kind(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def workbook(part: str) -> bytes:
    """A file as Excel writes it."""
    return zipped({"[Content_Types].xml": b"<Types/>", part: b"<x/>"})


CONTENT = {
    "csv": CSV,
    "tsv": CSV.replace(b",", b"\t"),
    "jsonl": JSON,
    "parquet": parquet(),
    "feather": arrow(pa.ipc.new_file),
    "arrow": arrow(pa.ipc.new_stream),
    "array.json": b' [ {"a": "1", "b": "x"},\n\t{"a": "2"}\r\n] \n',
    "pretty.json": b'{\n  "a": "1",\n  "b": "x"\n}\n{\n  "a": "2"}',
    "joined.json": b'{"a": "1", "b": "x"}{"a": "2"}',
}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    ".xz": lzma.compress,
    ".zip": lambda content: zipped({"folder/t": content}),
}


def read(*patterns: Path | str, stdin: Any = None, **options: Any) -> list[dict[str, object]]:
    """All rows of some files."""
    return rows_of(open_files([str(p) for p in patterns], Source(**options), stdin))


def rows_of(frame: Frame) -> list[dict[str, object]]:
    """Everything in a frame, as Python objects."""
    found = []
    for chunk in frame.chunks:
        columns = {
            name: values if isinstance(values, list) else values.to_pylist()
            for name, values in chunk.columns.items()
        }
        assert set(columns) == set(frame.columns)
        found += [{name: columns[name][row] for name in columns} for row in range(chunk.rows)]
    return found


def refusal(*patterns: Path | str, stdin: Any = None, **options: Any) -> str:
    """What reading some files is refused with."""
    with pytest.raises(SourceError) as caught:
        read(*patterns, stdin=stdin, **options)
    return str(caught.value)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a file of the given name."""

    def make(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kind", CONTENT)
def test_every_format_is_read_compressed_or_not(kind: str, suffix: str, write: Any) -> None:
    """The same rows come out, from a named file and from standard input."""
    if suffix == ".zip":
        content = zipped({f"folder/t.{kind}": CONTENT[kind]})
        assert read(write("any.zip", content)) == ROWS
    else:
        content = COMPRESS[suffix](CONTENT[kind])
        assert read(write(f"t.{kind}{suffix}", content)) == ROWS
        assert read(write(f"u.{kind}", content)) == ROWS
    if kind != "tsv" or suffix == ".zip":
        assert read("-", stdin=io.BytesIO(content)) == ROWS


def test_the_files_of_an_archive_are_one_stream(write: Any) -> None:
    """Members follow each other by name, whatever compression they have in it."""
    members = {"b.csv": CSV, "a.csv.gz": gzip.compress(b"b,a\ny,0\n"), "readme/.hidden": b"x"}
    path = write("t.zip", zipped(members))
    assert read(path) == [{"a": "0", "b": "y"}, *ROWS]
    chunks = open_files([str(path)], Source()).chunks
    assert [chunk.origin for chunk in chunks] == [f"{path}/a.csv.gz", f"{path}/b.csv"]
    both = {"1.json": b'[{"a": 1, "b": 2}]', "2.json": b'{"b": 3}'}
    assert read(write("j.zip", zipped(both))) == [{"a": 1, "b": 2}, {"a": None, "b": 3}]


def test_an_xz_file_may_have_several_streams(write: Any) -> None:
    """Streams that were put together, with padding between them, are one file."""
    content = lzma.compress(CSV) + bytes(8) + lzma.compress(b"3,z\n") + bytes(4)
    assert read(write("t.csv.xz", content)) == [*ROWS, {"a": "3", "b": "z"}]


@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.recursive(
                st.none() | st.integers() | st.text(max_size=9),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=3)
                ),
                max_leaves=6,
            ),
            min_size=1,
        ),
        min_size=1,
        max_size=8,
    ),
    block=st.integers(1, 60),
    indent=st.sampled_from([None, 1]),
    form=st.sampled_from(["lines", "joined", "array"]),
    ascii_only=st.booleans(),
)
def test_json_is_read_in_any_form_and_blocks(
    rows: list[dict[str, object]], block: int, indent: int | None, form: str, ascii_only: bool
) -> None:
    """However objects are laid out, and wherever a block ends, they are those that were written."""
    texts = [json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows]
    if form == "array":
        text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    else:
        text = ("\n" if form == "lines" else "").join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "BLOCK", block)
        content = text.encode("utf-8", "surrogatepass")
        try:
            content.decode()
        except UnicodeError:
            return
        frame = json_files.open_json(io.BytesIO(content), "t.json", Source())
        found = rows_of(frame)
    keys = dict.fromkeys(key for row in rows for key in row)
    assert found == [{key: row.get(key) for key in keys} for row in rows]


def test_a_long_array_is_a_stream() -> None:
    """Objects of an array come before the rest of it was read, and little of it is held."""

    class Endless(io.RawIOBase):
        count = 0

        def read(self, size: int = -1) -> bytes:
            self.count += 1
            return (b"[" if self.count == 1 else b",") + b",".join([b'{"a": 1}'] * 100_000)

    stream = Endless()
    chunks = json_files.open_json(stream, "t.json", Source()).chunks
    assert sum(next(chunks).rows for _ in range(4)) == 4 * CHUNK_ROWS
    assert stream.count < 4


def test_an_object_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held of one object is bounded, and reading it is linear."""
    monkeypatch.setattr(json_files, "MAX_OBJECT", 1 << 20)
    monkeypatch.setattr(encodings, "BLOCK", 1 << 16)
    text = b'{"a": [' + b"1, " * (1 << 20)
    with pytest.raises(SourceError, match="an object is longer than 1 MB"):
        json_files.open_json(io.BytesIO(text), "t.json", Source())


def test_globs_name_files_in_order_and_each_once(write: Any, tmp_path: Path) -> None:
    """Files that several patterns name are read once; the columns' order is free."""
    write("a1.csv", b"a,b\n1,x\n")
    write("a2.csv", b"b,a\nx,2\n")
    found = read(tmp_path / "a*.csv", tmp_path / "a1.csv")
    assert [row["a"] for row in found] == ["1", "2"]


def test_brackets_in_a_name_are_a_name_when_the_file_exists(write: Any) -> None:
    """A path that exists is no pattern."""
    assert read(write("a[1].csv", CSV)) == ROWS


def test_files_with_other_columns_are_refused(write: Any, tmp_path: Path) -> None:
    """All files must have the columns of the first."""
    write("a.csv", CSV)
    write("b.csv", b"a,c\n1,2\n")
    message = refusal(tmp_path / "*.csv")
    assert re.search(
        r"b\.csv has other columns than .*a\.csv: it lacks `b` and also has `c`", message
    )


def test_rows_are_known_when_files_say_so(write: Any) -> None:
    """Parquet files tell their rows before they are read."""
    path = write("t.parquet", CONTENT["parquet"])
    assert open_files([str(path)], Source()).rows == 2
    assert open_files([str(write("t.csv", CSV))], Source()).rows is None


# CSV

CSVS: list[tuple[bytes, dict[str, Any], list[list[str | None]]]] = [
    (b'a,b\n"",NA\n"NA",\n', {"null_values": ("", "NA")}, [["", None], ["NA", None]]),
    (b'a,b\n"x\ny","say ""hi"""\n', {}, [["x\ny", 'say "hi"']]),
    (b"a;b\n1;2", {"delimiter": ";"}, [["1", "2"]]),
    (b"a,b\n'1,5',2\n", {"quote": "'"}, [["1,5", "2"]]),
    (b"a,b\r" + b"1,2\r" * 2, {}, [["1", "2"]] * 2),
    (b"note\n\na,b\n1,2\n", {"skip_rows": 1}, [["1", "2"]]),
    (b"\xef\xbb\xbfa,b\r\n1,2\r\n", {}, [["1", "2"]]),
    ("a,b\né,2\n".encode("latin-1"), {"encoding": "latin-1"}, [["é", "2"]]),
    ("a,b\né,2\n".encode("utf-16"), {"encoding": "utf-16"}, [["é", "2"]]),
    (codecs.BOM_UTF16_LE + "a,b\né,2\n".encode("utf-16-le"), {}, [["é", "2"]]),
    (codecs.BOM_UTF16_BE + "a,b\né,2\n".encode("utf-16-be"), {}, [["é", "2"]]),
    ("a,b\né,2\n".encode("utf-32"), {}, [["é", "2"]]),
    ("a,b\né,2\n".encode("utf-16"), {"encoding": "latin-1"}, [["é", "2"]]),
    ("a,b\né,2\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, [["é", "2"]]),
    ("a,b\né,2\n".encode("utf-8-sig"), {"encoding": "latin-1"}, [["é", "2"]]),
    (b"sep=;\r\na;b\r\n1;2\r\n", {}, [["1", "2"]]),
    (b'"sep=\t"\na\tb\n1\t2\n', {}, [["1", "2"]]),
    (b"\xef\xbb\xbfSEP=;\na;b\n1;2\n", {"delimiter": ";"}, [["1", "2"]]),
    (b"sep=;\na;b\n1;2\n", {"skip_rows": 1}, [["1", "2"]]),
    (b"1,x\n2,y\n", {"header": False, "names": ("a", "b")}, [["1", "x"], ["2", "y"]]),
    (b'"1","x\ny"\n', {"header": False, "names": ("a", "b")}, [["1", "x\ny"]]),
    (b"note\n1,x\n", {"header": False, "names": ("a", "b"), "skip_rows": 1}, [["1", "x"]]),
    (b"sep=;\n1;x\n", {"header": False, "names": ("a", "b")}, [["1", "x"]]),
    (b"note\n", {"header": False, "names": ("a", "b"), "skip_rows": 1}, []),
    (b"a,b", {}, []),
    (b"a,b\n", {}, []),
    (b"a,b\n\n1,2\n\n", {}, [["1", "2"]]),
    (b'a,b\n5" disk,2\n', {}, [['5" disk', "2"]]),
    (b'a,"b\n"\n1,2\n', {}, [["1", "2"]]),
]


@pytest.mark.parametrize(("content", "options", "expected"), CSVS, ids=[str(c[0]) for c in CSVS])
def test_csv_is_read_as_text(
    content: bytes, options: dict[str, Any], expected: list[list[str | None]], write: Any
) -> None:
    """Every value is text, and NULL only an unquoted null word."""
    assert [list(row.values()) for row in read(write("t.csv", content), **options)] == expected


def test_an_empty_line_is_a_row_of_a_file_of_one_column(write: Any) -> None:
    """Where a row is one field, an empty line is a row that is NULL, and is not dropped."""
    assert read(write("t.csv", b"a\n1\n\n2\n")) == [{"a": "1"}, {"a": None}, {"a": "2"}]


def encrypted(archive: bytes) -> bytes:
    """An archive whose members say that they have a password."""
    found = bytearray(archive)
    found[6] |= 1
    found[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(found)


HUGE_XZ = lzma.compress(CSV, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 512 << 20}])
"""A small file that wants half a gigabyte of memory."""

BAD: list[tuple[str, bytes, str]] = [
    ("t.csv", b"", "is empty: it has 0 bytes"),
    ("t.csv", b"\n\n", "has no header"),
    ("t.csv", b'"a, x";"b"\n1;2\n', 'header is not CSV.*hint: set source: {delimiter: ";"}'),
    ("t.csv", b"a;b\n1;2\n", 'separated by `;`.*hint: set source: {delimiter: ";"}'),
    ("t.csv", b"a\tb\n1\t2\n", r"separated by `\\t`"),
    ("t.csv", b"a,a\n1,2\n", "the header of .* has more than one column named `a`"),
    ("t.csv", b'a,b\n"x\ny",1\n2\n', r"t\.csv:4: the header has 2 fields, this row has 1: 2"),
    ("t.csv", b"a\n1,2\n", r"t\.csv:2: the header has 1 field, this row has 2"),
    ("t.csv", b"a,b\n1,2,3\n", r"t\.csv:2: the header has 2 fields, this row has 3"),
    ("t.csv", b'a,b\n1,"x\n2,y\n', 'a quote `"` is opened and never closed'),
    ("t.csv", b'a,b\n1,"x\n2,y', 'a quote `"` is opened and never closed'),
    ("t.csv", b"a,b\n1,2\n3,\xff\n", r"t\.csv:3: the text is not utf-8.*encoding: latin-1"),
    ("t.csv", CONTENT["parquet"], "is a Parquet file, unlike its suffix"),
    ("t.parquet", b"a,b\n", "is not Parquet: it starts with b'a,b"),
    ("t.parquet", b"PAR1" + b"x" * 100, "cannot be read"),
    ("t.parquet", CONTENT["parquet"][:-20], "cannot be read"),
    ("t.arrow", CONTENT["arrow"][:300], "cannot be read"),
    ("t.arrow", b"nonsense", "is not Arrow IPC"),
    ("t.csv.gz", CSV, "is not compressed as gzip"),
    ("t.csv.gz", gzip.compress(CSV * 1, mtime=0)[:-4], "truncated"),
    ("t.csv.gz", gzip.compress(b"", mtime=0), "decompresses to 0 bytes"),
    ("t.csv.bz2", b"BZh9garbage", "cannot be read"),
    ("t.csv.xz", CSV, "is not compressed as xz, despite its name"),
    ("t.csv.xz", lzma.compress(CSV)[:-4], "the compressed data is truncated"),
    ("t.csv.xz", lzma.compress(CSV) + b"more", "the compressed data is damaged"),
    ("t.csv.xz", lzma.compress(lzma.compress(CSV)), "compressed twice"),
    ("t.csv.xz", HUGE_XZ, "needs more than 256 MB to decompress; compress it with xz -9 or less"),
    ("t.zip", CSV, "is not compressed as zip, despite its name"),
    ("t.zip", b"PK\x03\x04" + b"x" * 60, "not a whole zip archive"),
    ("t.zip", zipped({"t.csv": CSV})[:-10], "not a whole zip archive"),
    ("t.zip", zipped({}), "zip archive without files"),
    ("t.zip", zipped({"__MACOSX/t.csv": CSV, ".x": CSV, "d/": b""}), "archive without files"),
    ("t.zip", zipped({"a.csv": CSV, "b.jsonl": JSON}), "several formats: .*a.csv is csv, .*json"),
    ("t.zip", zipped({"a": CSV, "b": JSON}), "several formats: .*zip/a is csv, .*zip/b is json"),
    ("t.zip", zipped({"a.csv": CSV, "b.csv": b"a,c\n"}), r"t\.zip/b\.csv has other columns than"),
    ("t.zip", zipped({"a.csv": CSV, "b.csv": b"a,b\n1\n"}), r"t\.zip/b\.csv:2: the header has 2"),
    ("t.zip", zipped({"b.csv": b""}), r"t\.zip/b\.csv is empty: it has 0 bytes"),
    ("t.zip", zipped({"b.zip": zipped({"t.csv": CSV})}), "zip archive inside of another one"),
    ("t.zip", zipped({"b.pdf": b"%PDF-1.7"}), r"t\.zip/b\.pdf is a PDF document"),
    ("t.zip", encrypted(zipped({"t.csv": CSV})), r"t\.zip/t\.csv is encrypted"),
    ("t.zip", zipped({"t.csv": CSV}).replace(b"1,x", b"1,y"), r"t\.zip/t\.csv cannot be .*CRC"),
    ("t.csv", zipped({"t.csv": CSV}), "is a zip archive, unlike its suffix of csv files"),
    ("t.csv", b"sep=;\na,b\n1,2\n", "separated by `,`"),
    ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte.*encoding: utf-16-le"),
    ("t.csv", "a,b\n1,2\n".encode("utf-16-be"), "UTF-16 without a byte.*encoding: utf-16-be"),
    ("t.csv", codecs.BOM_UTF16_LE + b"a\0,\0b\0\n\0x", r"t\.csv:\d: the text is not utf-16"),
    ("t.csv", bytes(range(256)) * 9, "not text.*many control characters"),
    ("t.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(200)), "not text"),
    ("t.csv", workbook("xl/workbook.xml"), "an Excel workbook, unlike its suffix"),
    ("t.xlsx", CSV, "is not an Excel workbook: it starts with b'a,b"),
    ("t.xlsx", workbook("xl/workbook.xml"), "not a workbook that can be read"),
    ("t.xlsb", workbook("xl/workbook.bin"), r"an Excel workbook \(\.xlsb\).*save it as \.xlsx"),
    ("t.docx", workbook("word/document.xml"), "an Office document.*export the data"),
    ("t.ods", zipped({"mimetype": b"x", "content.xml": b"x"}), r"\(\.ods\).*save it as \.xlsx"),
    ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"\.xls, or \.xlsx with a pass"),
    ("t.csv.gz", gzip.compress(zipped({"t.csv": CSV})), "a zip archive or a workbook inside"),
    ("t.csv.gz", gzip.compress(gzip.compress(CSV)), "compressed twice"),
    ("t.csv", b"%PDF-1.7\n...", "a PDF document"),
    ("t.csv", b"\xef\xbb\xbf \n<!DOCTYPE html>\n<html>", "an HTML page.*a login or an error"),
    ("t.json", b"<html><body>403</body></html>", "an HTML page"),
    ("t.csv", "<HTML>".encode("utf-16"), "an HTML page"),
    ("t.csv", b"<?xml version='1.0'?><Error/>", "an XML document"),
    ("t.csv", b"SQLite format 3\0" + bytes(100), "an SQLite database"),
    ("t.csv", bytes(257) + b"ustar\x0000", "a tar archive"),
    ("t.jsonl", b'{"a": 1}\n{"a": }\n', r"t\.jsonl:2: not a JSON object: Expecting value"),
    ("t.jsonl", b'{"a": 1}\n\n[1]\n', r"t\.jsonl:3: not a JSON object.*one object on each line"),
    ("t.jsonl", b'{"a": NaN}\n', r"t\.jsonl:1: .*NaN is not JSON"),
    ("t.jsonl", b'{"a": 1, "a": 2}\n', "the key 'a' occurs twice"),
    ("t.jsonl", b'{"a": "\xff"}\n', r"t\.jsonl:1: the text is not utf-8"),
    ("t.jsonl", b"\n\n", "it has no JSON objects"),
    ("t.json", b"[]", "it has no JSON objects"),
    ("t.json", b'[{"a": 1}', r"t\.json:1: the array that starts here never closes"),
    ("t.json", b'\n[{"a": 1},\n', r"t\.json:2: the array that starts here never closes"),
    ("t.json", b'[{"a": 1},\n]', r"t\.json:2: an object is missing after a `,`"),
    ("t.json", b'[{"a": 1}\n{"a": 2}]', r"t\.json:2: a `,` or `\]` is missing after an object"),
    ("t.json", b'[{"a": 1}]\n[{"a": 1}]', r"t\.json:2: there is text after the end of the array"),
    ("t.json", b'[{"a": 1},\n 2]', r"t\.json:2: not a JSON object: 2"),
    ("t.json", b'[["a"], [1]]', r"t\.json:1: not a JSON object.*or one array of objects"),
    ("t.json", b'{"a": 1},\n{"a": 2}', r"t\.json:1: not a JSON object: Expecting value"),
    ("t.json", b'[{\n "a": 1,\n  "b": }]', r"t\.json:3: .*Expecting value at column 8.*at line 1"),
    ("t.json", b'{\n "a": "x\ny"}', r"t\.json:2: .*Invalid control character at column 9"),
    ("t.json", b'{"a": "x', r"t\.json:1: .*Invalid control character"),
    ("t.jsonl", b"[" * 100_000, "not a JSON object"),
    ("t.json", b"1" * 5000, "not a JSON object"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[b[2] for b in BAD])
def test_a_bad_file_is_named_with_what_is_wrong(
    name: str, content: bytes, message: str, write: Any
) -> None:
    """A file that cannot be read gets its name, the line where known, and a way out."""
    assert re.search(message, refusal(write(name, content)), re.DOTALL)


def test_a_row_longer_than_a_block_is_refused(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is bounded, since an open quote would otherwise swallow the file."""
    for module in (encodings, csv_quoting):
        monkeypatch.setattr(module, "BLOCK", 1 << 20)
    path = write("t.csv", b'a,b\n1,"' + b"x\n" * (1 << 20) + b'"\n')
    assert "a row is longer than 1 MB" in refusal(path)


def test_a_file_that_is_not_there_is_answered_with_its_neighbours(
    write: Any, tmp_path: Path
) -> None:
    """No match names near files, a folder says how its files are named."""
    write("flights.csv", CSV)
    assert "did you mean" in refusal(tmp_path / "flight.csv")
    assert "flights.csv" in refusal(tmp_path / "none" / "f*.parquet")
    (tmp_path / "flightz").mkdir()
    assert f"did you mean {tmp_path / 'flights.csv'}?" in refusal(tmp_path / "flightz.csv")
    assert "is a folder" in refusal(tmp_path)
    assert "https:// is not read" in refusal("https://example.com/flights.csv")
    assert "standard input" in refusal("-")


# JSON lines


def test_json_keeps_numbers_exact_and_missing_keys_null(write: Any) -> None:
    """Numbers are exact, a key that is not there is NULL, nested values stay."""
    path = write(
        "t.jsonl", b'{"a": 0.10, "b": {"c": [1]}}\n\n{"b": null}\n{"a": 12345678901234567890}'
    )
    found = read(path)
    assert found == [
        {"a": Decimal("0.10"), "b": {"c": [1]}},
        {"a": None, "b": None},
        {"a": 12345678901234567890, "b": None},
    ]


NUMBERS = [("1.10", Decimal("1.10")), ("1e2", Decimal("1e2")), ('"1.10"', "1.10"), ("12", 12)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(("written", "value"), NUMBERS)
def test_json_with_a_byte_order_mark_is_read(
    written: str, value: object, encoding: str, write: Any
) -> None:
    """JSON lines say by their mark how they are encoded; numbers keep their digits."""
    content = f'{{"a": {written}, "é": "ü"}}\n'.encode(encoding)
    assert read(write("t.jsonl", content)) == [{"a": value, "é": "ü"}]
    assert read(write("t.jsonl.gz", gzip.compress(content))) == [{"a": value, "é": "ü"}]
    assert read("-", stdin=io.BytesIO(content)) == [{"a": value, "é": "ü"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_transcoded_as_a_stream(encoding: str) -> None:
    """A character that lies across two blocks is read, and no more is held than is asked for."""
    text = "a,b\n" + "".join(f"{number},é🙂\n" for number in range(9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "BLOCK", 5)
        blocks = list(encodings.Utf8(io.BytesIO(text.encode(encoding)), "t.csv", "utf-8"))
    assert b"".join(blocks).decode() == text
    assert max(map(len, blocks)) < 16


def test_a_row_of_a_file_without_header_has_the_names(write: Any) -> None:
    """Rows of another width than `source.names` are refused with their line."""
    options: dict[str, Any] = {"header": False, "names": ("a", "b")}
    assert re.search(
        r"t\.csv:2: .*names.* 2 fields", refusal(write("t.csv", b"1,2\n3\n"), **options)
    )
    assert "separated by `;`" in refusal(write("t.csv", b"1;2\n"), **options)


def test_the_line_of_excel_and_the_spec_have_to_agree(write: Any) -> None:
    """`sep=;` in the file and another delimiter in the spec are refused."""
    path = write("t.csv", b"sep=;\na;b\n")
    assert "declares the delimiter `;`" in refusal(path, delimiter="|")


def test_a_late_key_is_an_error(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that first occurs after the first chunk is named with its line."""
    monkeypatch.setattr(json_files, "CHUNK_ROWS", 2)
    path = write("t.jsonl", b'{"a": 1}\n{"b": 1}\n{"a": 2}\n{"c": 1}\n')
    assert "t.jsonl:4: the key 'c' first occurs here" in refusal(path)


def test_a_later_json_file_may_lack_keys(write: Any) -> None:
    """In JSON lines a key that is not there is NULL, in any file."""
    one, two = write("1.jsonl", b'{"a": 1, "b": 2}\n'), write("2.jsonl", b'{"b": 3}\n')
    assert read(one, two) == [{"a": 1, "b": 2}, {"a": None, "b": 3}]
    assert "also has `a`" in refusal(two, one)


def test_no_bytes_make_anything_but_our_errors(write: Any) -> None:
    """Files with random damage are read or refused, never a crash."""
    dice = random.Random(7)  # the same damage every time
    for number in range(400):
        kind = dice.choice(list(CONTENT))
        content = bytearray(COMPRESS[dice.choice(list(COMPRESS))](CONTENT[kind]))
        for _ in range(dice.randint(1, 4)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path = write(f"{number}.{kind}", bytes(content[: dice.randint(1, len(content))]))
        try:
            read(path)
        except LoaderError:
            continue


# Quotes and escapes

BACKSLASH = {"escape": "\\"}
QUOTED: list[tuple[bytes, dict[str, Any], str]] = [
    (b'Ada "x" L,1', {}, 'Ada "x" L'),
    (b'x"y"z,1', {}, 'x"y"z'),
    (b' "x",1', {}, ' "x"'),
    (b'"say ""hi"" ok",1', {}, 'say "hi" ok'),
    (b'"""x""",1', {}, '"x"'),
    (b'"a""\r\n,b",1', {}, 'a"\r\n,b'),
    (b'"say \\"hi\\" ok",1', BACKSLASH, 'say "hi" ok'),
    (b'"\\"","1"', BACKSLASH, '"'),
    (b'"a""b",1', BACKSLASH, 'a"b'),
    (b'"\\\\",1', BACKSLASH, "\\"),
    (b"a\\,b,1", BACKSLASH, "a,b"),
    (b'\\"a,1', BACKSLASH, '"a'),
    (b'a\\\nb,"1"', BACKSLASH, "a\nb"),
    (b'"C:\\new",1', {}, "C:\\new"),
    (b'"C:\\",1', {}, "C:\\"),
    (b'"say ~"hi~"",1', {"escape": "~"}, 'say "hi"'),
    ('"é""ü",1'.encode(), {}, 'é"ü'),
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(("row", "options", "value"), QUOTED, ids=[str(q[0]) for q in QUOTED])
def test_quotes_and_escapes_are_read_as_they_are_meant(
    row: bytes, options: dict[str, Any], value: str, line_end: bytes, write: Any
) -> None:
    """Doubled quotes and escapes give the character itself; quotes in unquoted fields are text."""
    content = line_end.join([b"a,b", row, row, b""])
    assert read(write("t.csv", content), **options) == [{"a": value, "b": "1"}] * 2


BAD_QUOTES: list[tuple[bytes, dict[str, Any], str]] = [
    (b'1,2\n3,"Ada" Lovelace\n', {}, r"t\.csv:3:7: text follows the quote.*3:3: 3,\"Ada\" Love"),
    (b'"x"y"z",1\n', {}, r"t\.csv:2:3: text follows"),
    (b'"x" ,1\n', {}, r"t\.csv:2:3: text follows"),
    ('é,"ü"x\n'.encode(), {}, r"t\.csv:2:5: text follows"),
    (b'1,"a\r\nb"c\r\n', {}, r"t\.csv:3:2: text follows"),
    (b'1,"a\rb"c\r', {}, r"t\.csv:3:2: text follows"),
    (b'5" disk,1\n"x"y,1\n', {}, r"t\.csv:3:3: text follows"),
    (b'"say \\"hi\\" ok",1\n', {}, r't\.csv:2:7: .*hint: set source: \{escape: "\\\\"\}'),
    (b"a\\nb,1\n", BACKSLASH, r"t\.csv:2:2: `\\n` is not an escape: .*`\\\\`"),
    (b'1,"x\n2,y\n', {}, r"t\.csv:2:3: a quote `\"` is opened and never closed"),
    (b'1,"\n', {}, r"t\.csv:2:3: a quote `\"` is opened and never closed"),
    (b'"a","b\\"\n', BACKSLASH, r"t\.csv:2:5: a quote `\"` is opened and never closed"),
]


@pytest.mark.parametrize("compress", [lambda content: content, gzip.compress])
@pytest.mark.parametrize(("text", "options", "message"), BAD_QUOTES, ids=[b[2] for b in BAD_QUOTES])
def test_quotes_that_readers_take_differently_are_refused(
    text: bytes, options: dict[str, Any], message: str, compress: Any, write: Any
) -> None:
    """What follows a closing quote, and an escape that is none, have file, line and column."""
    path = write("t.csv", compress(b"a,b\n" + text))
    assert re.search(message, refusal(path, **options), re.DOTALL)


FIELD = st.text(st.sampled_from('ab"é\\'), max_size=5) | st.text(
    st.sampled_from('ab",\n\r\\'), max_size=5
).map(lambda text: '"' + text.replace('"', '""') + '"')


@given(
    rows=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=6),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    block=st.integers(1, 40),
    escape=st.sampled_from([None, "~"]),
)
def test_csv_is_read_as_a_strict_reader_reads_it(
    rows: list[tuple[str, str]], line_end: str, block: int, escape: str | None
) -> None:
    """Whatever blocks a file is read in, it gives the values of Python's strict CSV, or neither."""
    text = "".join(f"{one},{other}{line_end}" for one, other in rows)
    try:
        wanted = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        wanted = None
    if wanted and any(len(row) != 2 for row in wanted):
        wanted = None
    source = Source(header=False, names=("a", "b"), null_values=(), escape=escape)
    content = text.encode()
    found: list[list[object]] | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "BLOCK", block)
        with suppress(SourceError):
            opened = csv_files.open_csv(io.BytesIO(content), "t.csv", source)
            found = [list(row.values()) for row in rows_of(opened)]
    assert found == wanted


@given(
    values=st.lists(
        st.lists(st.text(st.sampled_from('ab",\n\r\\é'), min_size=1, max_size=6), min_size=2)
        .map(lambda row: row[:2])
        .map(tuple),
        min_size=1,
        max_size=6,
    ),
    block=st.integers(1, 40),
)
def test_what_is_written_with_escapes_is_read_back(
    values: list[tuple[str, ...]], block: int
) -> None:
    """`source.escape` undoes what CSV writers do with an escape character instead of doubling."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\").writerows(values)
    source = Source(header=False, names=("a", "b"), escape="\\")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "BLOCK", block)
        frame = csv_files.open_csv(io.BytesIO(text.getvalue().encode()), "t.csv", source)
        assert [tuple(row.values()) for row in rows_of(frame)] == values


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_export_of_sql_server_is_loaded_as_it_was_meant(
    encoding: str, write: Any, tmp_path: Path
) -> None:
    """Quoted NULLs, seven digits of a second and decimal commas arrive in the table exactly."""
    spec = TableSpec.model_validate(
        {
            "schema": "s",
            "name": "t",
            "columns": [
                {"name": "id", "data_type": "bigint"},
                {"name": "amount", "data_type": "decimal(9,2)"},
                {"name": "at", "data_type": "timestamp"},
                {"name": "note", "data_type": "varchar(40)"},
            ],
            "source": {
                "delimiter": ";",
                "decimal": ",",
                "escape": "\\",
                "header": False,
                "names": ["id", "amount", "at", "note"],
            },
        }
    )
    content = (
        '"1";"1234,50";"2024-01-01 12:00:00.1234560";"say \\"hi\\"; é"\r\n"";"";"";""\r\n'
    ).encode(encoding)
    path = write("t.csv.gz", gzip.compress(content))
    project = Project(root=tmp_path, targets={"local": {"type": "duckdb"}})
    project.load(spec, open_files([str(path)], spec.source))
    stamp = datetime(2024, 1, 1, 12, 0, 0, 123_456)
    loaded: Any = project.read(spec, as_="arrow")
    assert loaded.to_pylist() == [
        {"id": 1, "amount": Decimal("1234.50"), "at": stamp, "note": 'say "hi"; é'},
        {"id": None, "amount": None, "at": None, "note": ""},
    ]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_file_without_columns_lacks_those_of_the_table(suffix: str, tmp_path: Path) -> None:
    """A file without any column is no load of no rows, which would empty the table."""
    path, none = tmp_path / f"none.{suffix}", pa.table({})
    if suffix == "parquet":
        pq.write_table(none, path)
    else:
        with pa.ipc.new_file(path, none.schema) as writer:
            writer.write_table(none)
    spec = TableSpec.model_validate(
        {"schema": "s", "name": "t", "columns": [{"name": "id", "data_type": "integer"}]}
    )
    project = Project(root=tmp_path, targets={"local": {"type": "duckdb"}})
    project.load(spec, [{"id": 1}])
    with pytest.raises(FrameError, match=r"missing +id"):
        project.load(spec, open_files([str(path)], spec.source))
    with pytest.raises(FrameError, match=r"missing +id"):
        project.plan(spec, frame=open_files([str(path)], spec.source))
    loaded: Any = project.read(spec, as_="arrow")
    assert loaded.num_rows == 1
    assert project.load(spec, []).status == "empty"
