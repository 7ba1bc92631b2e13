"""Files as frames: CSV, Parquet, JSON lines and Arrow IPC, compressed or not, as constant streams.

What a file is, is told by its name and, where that says nothing, by its first bytes; how it is
compressed, by its first bytes alone. CSV is in `csvfiles`, JSON lines in `jsonlines`, Parquet in
`parquetfiles`, and what is in S3 comes through `s3files`.
"""

from __future__ import annotations

import difflib
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_same_columns
from loader.data.combine_batches import combine_small_chunks
from loader.data.files import arrow, csv, json_lines, kinds, parquet, s3
from loader.data.files.csv import DelimiterError
from loader.data.files.csv_quoting import EscapeError
from loader.data.files.encodings import EncodingError, decoded
from loader.data.files.inputs import Input
from loader.errors import LoaderError, SourceError
from loader.spec.model import Source
from loader.text_files import is_folder, is_there

__all__ = ["DelimiterError", "EncodingError", "EscapeError", "open_files", "stem"]

Format = Literal["csv", "tsv", "parquet", "json", "arrow"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSED = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bz2",
}
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
_PARQUET, _ARROW_FILE, _ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_HEAD = 64 << 10

_BROKEN = (OSError, pa.ArrowException, EOFError, UnicodeDecodeError)
"""What is raised of files that cannot be read; the last of names of columns."""


def open_files(patterns: Sequence[str], source: Source, stdin: BinaryIO | None = None) -> Frame:
    """The rows of all files that the patterns name, one file after the other.

    A pattern is a path, a glob, either of them in S3 (``s3://bucket/…``), or ``-`` for standard
    input. All files must have the same columns, in any order; of JSON lines, a later file may lack
    some, which are NULL there. A file in S3 is fetched to a temporary file when its turn comes.

    Raises:
        SourceError: a pattern names nothing, or a file cannot be read as what it is. The first
            file is opened here, the others when their turn comes.
    """
    files = [file for pattern in patterns for file in _expand(pattern, stdin)]
    if not files:
        raise SourceError("no file is given")
    named: dict[str, _File] = {}
    for file in files:
        named.setdefault(_identity(file), file)
    unique = list(named.values())
    first = _open(unique[0], source)
    counted = [first.rows, *map(_count, unique[1:])]
    rows = None if None in counted else sum(count for count in counted if count is not None)
    return Frame(first.columns, _joined(first, unique, source), rows)


@dataclass(frozen=True)
class _File:
    """A file as it was named, an object in S3, or standard input."""

    name: str
    stream: BinaryIO | None = field(default=None, compare=False)
    """Standard input; None for a path."""
    remote: s3.Remote | None = None
    """What has to be fetched before it is read."""
    local: str = ""
    """The file that holds what was fetched."""

    @property
    def path(self) -> str:
        """Where its bytes are."""
        return self.local or self.name


def _identity(file: _File) -> str:
    return file.name if file.stream or file.remote else str(Path(file.name).resolve())


def _joined(first: Frame, files: Sequence[_File], source: Source) -> Iterator[Chunk]:
    yield from first.chunks
    for file in files[1:]:
        frame = _open(file, source)
        wanted = first.columns
        if _format(file) == "json":
            wanted = tuple(name for name in wanted if name in frame.columns)
        check_same_columns(frame.columns, wanted, file.name, files[0].name)
        for chunk in frame.chunks:
            lacking = {name: [None] * chunk.rows for name in first.columns if name not in wanted}
            yield Chunk(
                {**chunk.columns, **lacking}, chunk.rows, chunk.origin, chunk.first_row, chunk.text
            )


# Names


def _expand(pattern: str, stdin: BinaryIO | None) -> list[_File]:
    if pattern == "-":
        if stdin is None:
            raise SourceError("`-` means standard input, and there is none here")
        return [_File("standard input", stdin)]
    if s3.is_meant(pattern):
        return [_File(found.name, remote=found) for found in s3.find(pattern)]
    path = Path(pattern)
    if is_folder(path):
        raise SourceError(f"{pattern} is a folder", hint=f"name its files: '{path / '*.csv'}'")
    if is_there(path):
        return [_File(pattern)]
    found = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())  # noqa: PTH207  # names stay as they were written
    if not found:
        raise SourceError(f"no file matches {pattern}", hint=_near(path))
    return [_File(name) for name in found]


def _near(path: Path) -> str:
    folder = path.parent
    while not is_folder(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return f"{folder} cannot be listed"
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(str(folder / name) for name in near)}?"
    few = ", ".join(names[:5]) + (", …" if len(names) > len(names[:5]) else "")
    return f"{folder.resolve()} holds {few or 'nothing'}"


def stem(name: str) -> str:
    """A file's name without what tells its format and compression."""
    path = Path(name)
    if path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _format(file: _File, head: bytes = b"") -> Format:
    """What a file is by its name, else by its first bytes."""
    if not file.stream:
        suffixes = [suffix.lower() for suffix in Path(file.name).suffixes]
        if suffixes and suffixes[-1] in _COMPRESSED:
            suffixes.pop()
        if suffixes and suffixes[-1] in SUFFIXES:
            return SUFFIXES[suffixes[-1]]
    if head.startswith(_PARQUET):
        return "parquet"
    if head.startswith((_ARROW_FILE, _ARROW_STREAM)):
        return "arrow"
    start = decoded(head[:4096], "utf-8").lstrip("\ufeff \t\r\n")
    return "json" if start.startswith(("{", "[")) else "csv"


# Bytes


def _open(file: _File, source: Source) -> Frame:
    if file.remote is not None:
        return _open_fetched(file.remote, file, source)
    try:
        plain, packed = _bytes(file)
        head = plain.peek(_HEAD)
        if not head:
            raise SourceError(f"{file.name} is empty: nothing is in it but compression")
        kind = _format(file, head)
        _check_magic(file, kind, head, source)
        return _guarded(file, _READERS[kind](file, plain, source, packed))
    except _BROKEN as error:
        raise _unreadable(file.name, error) from error


def _open_fetched(remote: s3.Remote, file: _File, source: Source) -> Frame:
    """The rows of a file in S3; what was fetched is removed with the last of them."""
    fetched = remote.fetch()
    try:
        frame = _open(replace(file, remote=None, local=fetched.path), source)
    except BaseException:
        fetched.remove()
        raise
    return Frame(frame.columns, fetched.until_read(frame.chunks), frame.rows)


def _unreadable(name: str, error: Exception) -> SourceError:
    if isinstance(error, OSError) and error.strerror:
        return SourceError(f"{name} cannot be read: {error.strerror}")
    text = str(error).strip() or type(error).__name__
    if "Truncated compressed stream" in text:
        text = "the compressed data ends too early; the file is cut off"
    return SourceError(
        f"{name} cannot be read: {text}", hint="the file is damaged or cut off; get it anew"
    )


def _bytes(file: _File) -> tuple[Input, bool]:
    """The content of a file without its compression, and whether it had one."""
    raw = Input(file.stream or pa.OSFile(file.path), borrowed=file.stream is not None)
    head = raw.peek(_HEAD)
    if not head:
        raise SourceError(f"{file.name} is empty: it has 0 bytes")
    codec = next((codec for codec, magic in _MAGIC.items() if head.startswith(magic)), None)
    plain = Input(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)) if codec else raw
    found = kinds.foreign(plain.peek(_HEAD))
    if found:
        raise SourceError(f"{file.name} is {found.what}", hint=found.hint)
    named = _COMPRESSED.get(Path(file.name).suffix.lower()) if not file.stream else None
    if named and not codec:
        start = head[:8]
        raise SourceError(f"{file.name} is not {named}, as its name says: it starts with {start!r}")
    return plain, codec is not None


def _check_magic(file: _File, kind: Format, head: bytes, source: Source) -> None:
    wanted = {
        "parquet": ("Parquet", (_PARQUET,)),
        "arrow": ("Arrow IPC", (_ARROW_FILE, _ARROW_STREAM)),
    }
    if kind in wanted:
        label, magics = wanted[kind]
        if not head.startswith(magics):
            raise SourceError(f"{file.name} is not {label}: it starts with {head[:8]!r}")
    elif head.startswith((_PARQUET, _ARROW_FILE)):
        raise SourceError(
            f"{file.name} is a {'Parquet' if head.startswith(_PARQUET) else 'Arrow'} file, not what"
            " its name says"
        )
    elif found := kinds.not_text(head, source.encoding, source.delimiter + source.quote):
        if found.encoding:
            raise EncodingError(f"{file.name} is {found.what}", found.encoding)
        raise SourceError(f"{file.name} is {found.what}", hint=found.hint)


# Readers


def _csv(file: _File, plain: Input, source: Source, _: bool) -> Frame:
    return csv.open_csv(plain, file.name, source)


def _tsv(file: _File, plain: Input, source: Source, packed: bool) -> Frame:
    if source.delimiter == Source.model_fields["delimiter"].default:
        source = source.model_copy(update={"delimiter": "\t"})
    return _csv(file, plain, source, packed)


def _json(file: _File, plain: Input, source: Source, _: bool) -> Frame:
    return json_lines.open_json(plain, file.name, source)


def _guarded(file: _File, frame: Frame) -> Frame:
    """The frame of one file: what the system raises is a `SourceError`, small chunks are joined."""

    def chunks() -> Iterator[Chunk]:
        try:
            yield from frame.chunks
        except LoaderError:
            raise
        except _BROKEN as error:
            raise _unreadable(file.name, error) from error

    return Frame(frame.columns, combine_small_chunks(chunks()), frame.rows)


def _seekable(file: _File, plain: Input, packed: bool) -> Any:
    """The content as something with random access; a stream is spooled to disk."""
    if not file.stream and not packed:
        plain.close()
        return pa.OSFile(file.path)
    with plain, tempfile.NamedTemporaryFile() as spool:
        shutil.copyfileobj(plain, spool, 1 << 20)
        spool.flush()
        return pa.OSFile(spool.name)  # what is open stays readable, and is gone when it is closed


def _parquet(file: _File, plain: Input, _: Source, packed: bool) -> Frame:
    return parquet.open_parquet(_seekable(file, plain, packed), file.name)


def _arrow(file: _File, plain: Input, _: Source, packed: bool) -> Frame:
    if plain.peek(len(_ARROW_FILE)) == _ARROW_FILE:
        return arrow.open_arrow_file(_seekable(file, plain, packed), file.name)
    return arrow.open_arrow_stream(plain, file.name)


_READERS: dict[Format, Callable[[_File, Input, Source, bool], Frame]] = {
    "csv": _csv,
    "tsv": _tsv,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
}


def _count(file: _File) -> int | None:
    """The rows of a file that says so at its end, without reading it."""
    if file.stream or file.remote or _format(file) != "parquet":
        return None
    if not os.access(file.name, os.R_OK):
        return None
    try:
        return int(pq.read_metadata(file.name).num_rows)
    except _BROKEN:
        return None
