"""Sources byte by byte: short reads, sizes around buffers, files that are cut off or damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import re
import threading
import time
import zipfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from loader.data.files import csv as csv_files
from loader.data.files.open import open_files
from loader.errors import SourceError
from loader.spec.model import Source
from loader.testing.redshift.server import RedshiftStandIn


def csv(values: list[str]) -> bytes:
    """A CSV file of one column."""
    return "".join(f"{value}\n" for value in ["a", *values]).encode()


def jsonl(values: list[str]) -> bytes:
    """JSON lines with one key."""
    return "".join(f'{{"a": "{value}"}}\n' for value in values).encode()


def parquet(values: list[str]) -> bytes:
    """A Parquet file that is as long as its values."""
    sink = io.BytesIO()
    options: Any = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table({"a": values}), sink, write_statistics=False, **options)
    return sink.getvalue()


def arrow(kind: Any) -> Callable[[list[str]], bytes]:
    """Arrow IPC, with a batch for each value."""

    def make(values: list[str]) -> bytes:
        sink = io.BytesIO()
        table = pa.table({"a": values})
        with kind(sink, table.schema) as writer:
            for batch in table.to_batches(max_chunksize=1):
                writer.write_batch(batch)
        return sink.getvalue()

    return make


FORMATS: dict[str, Callable[[list[str]], bytes]] = {
    "csv": csv,
    "jsonl": jsonl,
    "parquet": parquet,
    "feather": arrow(pa.ipc.new_file),
    "arrows": arrow(pa.ipc.new_stream),
}
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda content: content,
    ".gz": lambda content: gzip.compress(content, 1, mtime=0),
    ".bz2": lambda content: bz2.compress(content, 1),
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    ".xz": lambda content: lzma.compress(content, preset=0),
    ".zip": lambda content: zipped(content),  # noqa: PLW0108  # defined below
}


def zipped(content: bytes) -> bytes:
    """A zip archive with one member."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t", content)
    return sink.getvalue()


def array(values: list[str]) -> bytes:
    """An array of JSON objects."""
    return b"[" + b",".join(jsonl([value])[:-1] for value in values) + b"]"


FORMATS["json"] = array


class Dribble(io.RawIOBase):
    """A stream that delivers few bytes at a time, as pipes and sockets do."""

    def __init__(self, content: bytes, sizes: tuple[int, ...] = (1, 4_096, 7, 65_536, 100)) -> None:
        self._content, self._sizes = io.BytesIO(content), cycle(sizes)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """A few bytes."""
        part = self._content.read(min(len(buffer), next(self._sizes)))
        buffer[: len(part)] = part
        return len(part)


def read(*patterns: Path | str, stdin: Any = None, **options: Any) -> list[object]:
    """All values of the column `a` of some files."""
    frame = open_files([str(pattern) for pattern in patterns], Source(**options), stdin)
    values = (chunk.columns["a"] for chunk in frame.chunks)
    return [v for each in values for v in (each if isinstance(each, list) else each.to_pylist())]


def refusal(*patterns: Path | str, stdin: Any = None) -> str:
    """What reading some files is refused with."""
    with pytest.raises(SourceError) as caught:
        read(*patterns, stdin=stdin)
    return str(caught.value)


def told(path: Path) -> str:
    """What reading a file is refused with, or its name when it can be read."""
    try:
        for chunk in open_files([str(path)], Source()).chunks:
            for values in chunk.columns.values():
                assert isinstance(values, list) or len(pc.binary_length(values)) == chunk.rows
    except SourceError as error:
        return str(error)
    return str(path)


SIZES = [
    *((64 << 10) + by for by in (-9, -8, -1, 0, 1, 8)),
    *((1 << 20) + by for by in (-1, 0, 1)),
    *((4 << 20) - by for by in (2, 1, 0)),
]
"""What is looked at ahead; what is read at once of JSON; of CSV."""


def content_of(kind: str, size: int) -> tuple[bytes, list[str]]:
    """A file of so many bytes, or of about so many where a format is padded, and its values."""
    make = FORMATS[kind]
    values = ["first", "x" * (size - 3_000), "last"]
    values[1] += "y" * max(0, size - len(make(values)))
    return make(values), values


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("kind", FORMATS)
def test_files_of_every_size_are_read(kind: str, suffix: str, tmp_path: Path) -> None:
    """A file as long as a buffer, or a little longer or shorter, comes whole from path and pipe."""
    for size in SIZES:
        content, values = content_of(kind, size)
        assert abs(len(content) - size) < 16, "the test is no longer about this size"
        path = tmp_path / f"t.{kind}{suffix}"
        path.write_bytes(CODECS[suffix](content))
        assert read(path) == values
        assert read("-", stdin=io.BytesIO(path.read_bytes())) == values
        assert read("-", stdin=Dribble(path.read_bytes(), (4_096, 65_536))) == values


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_stream_that_delivers_few_bytes_is_read_whole(kind: str, suffix: str) -> None:
    """How many bytes a read of standard input gives makes no difference."""
    content, values = content_of(kind, 100_000)
    for sizes in ((1, 2, 30), (1, 4_096, 7, 65_536, 100)):
        assert read("-", stdin=Dribble(CODECS[suffix](content), sizes)) == values


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stream_that_does_not_block_is_waited_for(kind: str) -> None:
    """That nothing has come yet is not the end: all of a slow pipe is read."""
    content, values = content_of(kind, 70_000)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            for start in range(0, len(content), 30_000):
                time.sleep(0.01)
                pipe.write(content[start : start + 30_000])
                pipe.flush()

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as stdin:
        assert read("-", stdin=stdin) == values
    writer.join()


@pytest.mark.parametrize("kind", FORMATS)
def test_files_in_s3_of_every_size_are_read(kind: str, stand_in: RedshiftStandIn) -> None:
    """What is fetched from S3 is read as a file is."""
    content, values = content_of(kind, (64 << 10) + 1)
    packed = gzip.compress(content, 1)
    assert read(stand_in.write_object(f"t.{kind}", content)) == values
    assert read(stand_in.write_object(f"t.{kind}.gz", packed)) == values
    url = stand_in.write_object(f"t.{kind}.gz", packed[:-9])
    assert f"{url} cannot be read" in refusal(url)


# Files that are not whole

WHOLE = {kind: make(["one", "two", "three"]) for kind, make in FORMATS.items()}


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_is_cut_off_is_refused(kind: str, suffix: str, tmp_path: Path) -> None:
    """Wherever a file is cut off, it is refused by its name, unless what is left is a whole one."""
    content = CODECS[suffix](WHOLE[kind])
    path = tmp_path / f"t.{kind}{suffix}"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        if not suffix and ((kind == "csv" and length) or content[:length].endswith((b"}", b"}\n"))):
            continue  # a text may end behind any line
        assert str(path) in refusal(path)
        if length >= 8:  # fewer bytes do not tell what they are
            assert "standard input" in refusal("-", stdin=Dribble(content[:length]))


@pytest.mark.parametrize("rubbish", [b"\0", b"x", b"rubbish\n" * 20], ids=["NUL", "x", "text"])
@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("kind", ["parquet", "feather", "arrows"])
def test_what_follows_a_binary_file_is_refused(
    kind: str, suffix: str, rubbish: bytes, tmp_path: Path
) -> None:
    """Bytes behind the end of a file are not ignored: they may be rows that somebody misses."""
    path = tmp_path / f"t.{kind}{suffix}"
    for content in (CODECS[suffix](WHOLE[kind] + rubbish), CODECS[suffix](WHOLE[kind]) + rubbish):
        path.write_bytes(content)
        assert str(path) in refusal(path)
        assert "standard input" in refusal("-", stdin=Dribble(content))


def test_two_arrow_streams_in_one_are_refused(tmp_path: Path) -> None:
    """The rows of a second stream, as `cat` makes it, are not silently left out."""
    path = tmp_path / "t.arrows"
    path.write_bytes(WHOLE["arrows"] * 2)
    assert "after the end" in refusal(path)


@pytest.mark.parametrize("name", ["t", "t.csv", "t.jsonl", "t.parquet", "t.feather", "t.csv.gz"])
def test_a_file_of_a_byte_or_none_is_named(name: str, tmp_path: Path) -> None:
    """The smallest files are refused by name, or are a header without rows."""
    path = tmp_path / name
    for byte in range(256):
        path.write_bytes(bytes([byte]))
        assert str(path) in told(path)
    path.write_bytes(b"")
    assert f"{path} is empty: it has 0 bytes" in refusal(path)
    assert "standard input is empty: it has 0 bytes" in refusal("-", stdin=Dribble(b""))


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("kind", FORMATS)
def test_rubbish_behind_a_valid_head_is_our_error(kind: str, suffix: str, tmp_path: Path) -> None:
    """Damage anywhere gives the rows that are left to read or an error with the file's name."""
    dice = random.Random(f"{kind}{suffix}")  # the same damage every time
    make = FORMATS[kind]
    content = CODECS[suffix](make([f"value {n} {dice.random()}" for n in range(300)]))
    path = tmp_path / f"t.{kind}{suffix}"
    for _ in range(60):
        start = dice.randrange(len(content))
        stop = start + dice.choice([1, 4, 100, len(content)])
        damage = dice.randbytes(len(content[start:stop]))
        path.write_bytes(content[:start] + damage + content[stop:])
        assert str(path) in told(path)


def test_a_damaged_page_of_parquet_is_refused(tmp_path: Path) -> None:
    """Where a Parquet file holds checksums of its pages, they are compared."""
    content = WHOLE["parquet"]
    path = tmp_path / "t.parquet"
    path.write_bytes(content.replace(b"three", b"thref"))
    assert re.search(r"t\.parquet cannot be read: .*(crc|checksum)", refusal(path), re.I)


def test_a_damaged_arrow_batch_is_refused(tmp_path: Path) -> None:
    """Offsets that point outside of a batch are found before anything follows them."""
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 5))
    path = tmp_path / "t.arrows"
    content = WHOLE["arrows"]
    assert offsets in content
    path.write_bytes(content.replace(offsets, b"".join([bytes(4), b"\xff\xff\xff\x7f"])))
    assert str(path) in refusal(path)


# Headers


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (4 << 20) - 1, 4 << 20, 5 << 20])
def test_a_long_header_is_read(size: int, line_end: str, tmp_path: Path) -> None:
    """A header may be longer than what is read at once, wherever its line end comes to lie."""
    names = [f"{n:07d}".ljust(60_000, "_") for n in range(size // 60_001)]
    names.append("a" * (size - sum(map(len, names)) - len(names) - len(line_end)))
    header = ",".join(names) + line_end
    assert len(header) == size
    path = tmp_path / "t.csv"
    path.write_text(header + ",".join("1" * len(names)) + line_end, newline="")
    frame = open_files([str(path)], Source())
    assert list(frame.columns) == names
    assert [chunk.rows for chunk in frame.chunks] == [1]


def test_lines_before_the_header_may_be_many(tmp_path: Path) -> None:
    """`skip_rows` skips all of its lines, however long they are, with a header and without."""
    path = tmp_path / "t.csv"
    path.write_text("note\n" * 1_200_000 + "a,b\n1,2\n")
    assert read(path, skip_rows=1_200_000) == ["1"]
    assert read(path, skip_rows=1_200_001, header=False, names=("a", "b")) == ["1"]


def test_a_header_that_is_too_long_is_told_with_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without line ends has no endless header: the limit is named."""
    monkeypatch.setattr(csv_files, "_MAX_HEADER", 2 << 20)
    path = tmp_path / "t.csv"
    path.write_bytes(b"name," * (1 << 20))
    assert re.search(r"t\.csv: the header.* limit of 2 MB", refusal(path))
    path.write_bytes(b"a," + b"x" * (1 << 20) + b"\n1,2\n")
    assert re.search(r"t\.csv:1: .*a name is longer than 131,072 characters", refusal(path))
