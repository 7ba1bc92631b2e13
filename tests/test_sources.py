"""Files as frames: formats, compression, globs, standard input, and what bad files get."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import LoaderError, SourceError
from loader.frames import Frame
from loader.sources import csvfiles, jsonlines, open_files
from loader.spec import Source

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


CONTENT = {
    "csv": CSV,
    "tsv": CSV.replace(b",", b"\t"),
    "jsonl": JSON,
    "parquet": parquet(),
    "feather": arrow(pa.ipc.new_file),
    "arrow": arrow(pa.ipc.new_stream),
}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


def read(*patterns: Path | str, stdin: Any = None, **options: Any) -> list[dict[str, object]]:
    """All rows of some files."""
    return rows(open_files([str(p) for p in patterns], Source(**options), stdin))


def rows(frame: Frame) -> list[dict[str, object]]:
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
    content = COMPRESS[suffix](CONTENT[kind])
    path = write(f"t.{kind}{suffix}", content)
    assert read(path) == ROWS
    if kind != "tsv":
        assert read("-", stdin=io.BytesIO(content)) == ROWS
    assert read(write(f"u.{kind}", content)) == ROWS


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
    assert re.search(r"b\.csv has other columns than .*a\.csv: it lacks `b` and has `c`", message)


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
    (b"note\n\na,b\n1,2\n", {"skip_rows": 1}, [["1", "2"]]),
    (b"\xef\xbb\xbfa,b\r\n1,2\r\n", {}, [["1", "2"]]),
    ("a,b\né,2\n".encode("latin-1"), {"encoding": "latin-1"}, [["é", "2"]]),
    ("a,b\né,2\n".encode("utf-16"), {"encoding": "utf-16"}, [["é", "2"]]),
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


BAD: list[tuple[str, bytes, str]] = [
    ("t.csv", b"", "is empty: it has 0 bytes"),
    ("t.csv", b"\n\n", "has no header"),
    ("t.csv", b"a;b\n1;2\n", 'looks separated by `;`.*hint: set source: {delimiter: ";"}'),
    ("t.csv", b"a\tb\n1\t2\n", r"looks separated by `\\t`"),
    ("t.csv", b"a,a\n1,2\n", "the header of .* has more than one column named `a`"),
    ("t.csv", b'a,b\n"x\ny",1\n2\n', r"t\.csv:4: the header has 2 fields, this row has 1: 2"),
    ("t.csv", b"a,b\n1,2,3\n", r"t\.csv:2: the header has 2 fields, this row has 3"),
    ("t.csv", b'a,b\n1,"x\n2,y\n', 'a quote `"` opens and never closes'),
    ("t.csv", b'a,b\n1,"x\n2,y', 'a quote `"` opens and never closes'),
    ("t.csv", b"a,b\n1,2\n3,\xff\n", r"t\.csv:3: the text is not utf-8.*encoding: latin-1"),
    ("t.csv", CONTENT["parquet"], "is a Parquet file, not what its name says"),
    ("t.parquet", b"a,b\n", "is not Parquet: it starts with b'a,b"),
    ("t.parquet", b"PAR1" + b"x" * 100, "cannot be read"),
    ("t.parquet", CONTENT["parquet"][:-20], "cannot be read"),
    ("t.arrow", CONTENT["arrow"][:300], "cannot be read"),
    ("t.arrow", b"nonsense", "is not Arrow IPC"),
    ("t.csv.gz", CSV, "is not gzip, as its name says"),
    ("t.csv.gz", gzip.compress(CSV * 1, mtime=0)[:-4], "the file is cut off"),
    ("t.csv.gz", gzip.compress(b"", mtime=0), "nothing is in it but compression"),
    ("t.csv.bz2", b"BZh9garbage", "cannot be read"),
    ("t.csv.xz", lzma.compress(CSV), "as xz, which is not supported.*gzip, zstd, bz2"),
    ("t.csv", lzma.compress(CSV), "is compressed as xz"),
    ("t.zip", b"PK\x03\x04" + b"x" * 60, "is compressed as zip"),
    ("t.jsonl", b'{"a": 1}\n{"a": }\n', r"t\.jsonl:2: not a JSON object: Expecting value"),
    ("t.jsonl", b'{"a": 1}\n\n[1]\n', r"t\.jsonl:3: not a JSON object.*one object on each line"),
    ("t.jsonl", b'{"a": NaN}\n', r"t\.jsonl:1: .*NaN is not JSON"),
    ("t.jsonl", b'{"a": 1, "a": 2}\n', "the key 'a' occurs twice"),
    ("t.jsonl", b'{"a": "\xff"}\n', r"t\.jsonl:1: the text is not utf-8"),
    ("t.jsonl", b"\n\n", "no line that is not blank"),
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
    monkeypatch.setattr(csvfiles, "BLOCK", 1 << 20)
    path = write("t.csv", b'a,b\n1,"' + b"x\n" * (1 << 20) + b"\n")
    assert "a row is longer than 1 MB" in refusal(path)


def test_a_file_that_is_not_there_is_answered_with_its_neighbours(
    write: Any, tmp_path: Path
) -> None:
    """No match names near files, a folder says how its files are named."""
    write("flights.csv", CSV)
    assert "did you mean" in refusal(tmp_path / "flight.csv")
    assert "flights.csv" in refusal(tmp_path / "none" / "f*.parquet")
    assert "is a folder" in refusal(tmp_path)
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


def test_a_late_key_is_an_error(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that first occurs after the first chunk is named with its line."""
    monkeypatch.setattr(jsonlines, "CHUNK_ROWS", 2)
    path = write("t.jsonl", b'{"a": 1}\n{"b": 1}\n{"a": 2}\n{"c": 1}\n')
    assert "t.jsonl:4: the key 'c' is new here" in refusal(path)


def test_a_later_json_file_may_lack_keys(write: Any) -> None:
    """In JSON lines a key that is not there is NULL, in any file."""
    one, two = write("1.jsonl", b'{"a": 1, "b": 2}\n'), write("2.jsonl", b'{"b": 3}\n')
    assert read(one, two) == [{"a": 1, "b": 2}, {"a": None, "b": 3}]
    assert "has `a` besides" in refusal(two, one)


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
