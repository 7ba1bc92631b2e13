"""Opens CSV, Parquet, JSON, Excel and Arrow IPC files, compressed or not, as streams of chunks.

The format is detected by the name of a file or else by its first bytes, the compression by its
first bytes only. A zip archive is the files in it.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from loader.data.chunk import Chunk, Frame
from loader.data.column_names import check_same_columns
from loader.data.combine_batches import combine_small_chunks
from loader.data.files import archives, arrow, csv, excel, json, kinds, parquet, s3
from loader.data.files.csv import DelimiterError
from loader.data.files.csv_quoting import EscapeError
from loader.data.files.encodings import EncodingError, decode_head
from loader.data.files.excel import SheetError
from loader.data.files.inputs import Input
from loader.data.files.read_share import ReadShare, weigh
from loader.data.files.xz import XzStream
from loader.errors import LoaderError, NoFilesError, SourceError
from loader.spec.model import Source
from loader.spec.path_keys import FilePath
from loader.text_files import is_folder, path_exists

__all__ = [
    "DelimiterError",
    "EncodingError",
    "EscapeError",
    "SheetError",
    "open_files",
    "stem",
]

Format = Literal["csv", "tsv", "parquet", "json", "excel", "arrow"]

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
    ".xlsx": "excel",
    ".xlsm": "excel",
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
    ".xz": "xz",
    ".zip": "zip",
}
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ\0",
}
_PARQUET, _ARROW_FILE, _ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_HEAD = 64 << 10

READ_ERRORS = (OSError, pa.ArrowException, EOFError, UnicodeDecodeError)
"""Raised for files that cannot be read; the last one for column names."""


def open_files(
    patterns: Sequence[str | DataFile], source: Source, stdin: BinaryIO | None = None
) -> Frame:
    """Open all files that the patterns match, as one stream.

    A pattern is a path, a glob, either of them in S3 (``s3://bucket/…``), ``-`` for standard
    input, or a file that was found before. All files must have the same columns, in any order; of
    JSON, a later file may lack some, which are NULL there. A file in S3 is downloaded to a
    temporary file when its turn comes.

    Raises:
        SourceError: a pattern matches nothing, or a file cannot be read in its format. The first
            file is opened here, the others when their turn comes.
    """
    files = [file for pattern in patterns for file in expand_pattern(pattern, stdin)]
    if not files:
        raise SourceError("no file was given")
    named: dict[str, DataFile] = {}
    for file in files:
        path = file.as_path if file.as_path.name else _file_path(file, source)
        named.setdefault(_unique_name(file), replace(file, as_path=path))
    unique = list(named.values())
    share = None
    if not any(file.stream for file in unique):
        share = ReadShare(weigh([_size_of(file) for file in unique]))
        unique = [replace(file, share=share) for file in unique]
    first, _ = _open_file(unique[0], source)
    counted = [first.rows, *map(_count_rows, unique[1:])]
    rows = None if None in counted else sum(count for count in counted if count is not None)
    return Frame(
        first.columns,
        _chain_files(first, unique, source),
        rows,
        tuple(file.as_path for file in unique),
        share.value if share else None,
    )


def _size_of(file: DataFile) -> int | None:
    """The bytes of a file; None if they are not known."""
    if file.remote is not None:
        return file.remote.bytes
    try:
        return os.stat(file.name).st_size  # noqa: PTH116  # the name may be no valid path
    except (OSError, ValueError):  # reading it says why
        return None


_UNNAMED = FilePath()


@dataclass(frozen=True)
class DataFile:
    """A local file, an object in S3, a member of a zip archive, or standard input."""

    name: str
    stream: BinaryIO | None = field(default=None, compare=False)
    """Standard input; None for a path."""
    remote: s3.S3File | None = None
    """An object in S3, which has to be downloaded first."""
    local: str = ""
    """The downloaded file."""
    as_path: FilePath = _UNNAMED
    """What columns have of its path; without a name that is how the file is named here."""
    member: Callable[[], Any] | None = field(default=None, compare=False)
    """Opens the stream of a member."""
    share: ReadShare | None = field(default=None, compare=False)
    """Counts what is read of it."""

    @property
    def path(self) -> str:
        """The path of its bytes."""
        return self.local or self.name


def _file_path(file: DataFile, source: Source) -> FilePath:
    if file.stream:
        return _UNNAMED
    return FilePath(file.name, tuple(pattern for pattern in source.files if "{" in pattern))


def _unique_name(file: DataFile) -> str:
    return file.name if file.stream or file.remote else str(Path(file.name).resolve())


def _chain_files(first: Frame, files: Sequence[DataFile], source: Source) -> Iterator[Chunk]:
    yield from first.chunks
    for file in files[1:]:
        frame, kind = _open_file(file, source)
        wanted = first.columns
        if kind == "json":
            wanted = tuple(name for name in wanted if name in frame.columns)
        check_same_columns(frame.columns, wanted, file.name, files[0].name)
        for chunk in frame.chunks:
            lacking = {name: [None] * chunk.rows for name in first.columns if name not in wanted}
            yield replace(chunk, columns={**chunk.columns, **lacking})


# Names


def expand_pattern(pattern: str | DataFile, stdin: BinaryIO | None) -> list[DataFile]:
    """The files that a pattern matches.

    Raises:
        NoFilesError: there is none.
        SourceError: they cannot be listed, or the pattern is a folder.
    """
    if isinstance(pattern, DataFile):
        return [pattern]
    if pattern == "-":
        if stdin is None:
            raise SourceError("`-` means standard input, which is not available here")
        return [DataFile("standard input", stdin)]
    if s3.is_s3_url(pattern):
        return [DataFile(found.name, remote=found) for found in s3.find_files(pattern)]
    if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", pattern):
        raise SourceError(
            f"{pattern}: {scheme[0]} is not read",
            hint="name local files, or those of a bucket as s3://bucket/key; download others first",
        )
    path = Path(pattern)
    if is_folder(path):
        raise SourceError(
            f"{pattern} is a folder", hint=f"use a glob for its files: '{path / '*.csv'}'"
        )
    if path_exists(path):
        return [DataFile(pattern)]
    found = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())  # noqa: PTH207  # keeps the spelling of the pattern
    if not found:
        raise NoFilesError(f"no file matches {pattern}", hint=_suggest_files(path))
    return [DataFile(name) for name in found]


def _suggest_files(path: Path) -> str:
    folder = path.parent
    while not is_folder(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        entries = sorted(folder.iterdir())
        names = [entry.name for entry in entries]
        files = [entry.name for entry in entries if not entry.is_dir()]
    except OSError:
        return f"{folder} cannot be listed"
    similar = difflib.get_close_matches(path.name, files, n=3, cutoff=0.5)
    if similar:
        return f"did you mean {' or '.join(str(folder / name) for name in similar)}?"
    few = ", ".join(names[:5]) + (", …" if len(names) > len(names[:5]) else "")
    return f"{folder.resolve()} holds {few or 'nothing'}"


def stem(name: str) -> str:
    """A file name without the suffixes of its format and compression."""
    path = Path(name)
    if path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def detect_format(file: DataFile, head: bytes = b"") -> Format:
    """The format of a file by its name, else by its first bytes."""
    if found := format_by_name(file):
        return found
    if head.startswith(archives.MAGICS):
        return "excel"
    if head.startswith(_PARQUET):
        return "parquet"
    if head.startswith((_ARROW_FILE, _ARROW_STREAM)):
        return "arrow"
    start = decode_head(head[:4096], "utf-8").lstrip("\ufeff \t\r\n")
    return "json" if start.startswith(("{", "[")) else "csv"


def format_by_name(file: DataFile) -> Format | None:
    """The format that the suffix of a file names; None where it names none."""
    return None if file.stream else format_of_name(file.name)


def format_of_name(name: str) -> Format | None:
    """The format that a suffix says; None if it says none."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


# Bytes


def _open_file(file: DataFile, source: Source) -> tuple[Frame, Format]:
    """The rows of a file, and its format."""
    if file.remote is not None:
        return _open_downloaded(file.remote, file, source)
    try:
        plain, codec = open_bytes(file, _open_input(file))
        head = plain.peek(_HEAD)
        if not head:
            raise SourceError(f"{file.name} is empty: it decompresses to 0 bytes")
        if head.startswith(archives.MAGICS):
            return _open_archive(file, plain, source)
        kind = detect_format(file, head)
        check_format(file, kind, head, source)
        return _convert_errors(file, _READERS[kind](file, plain, source, codec is not None)), kind
    except READ_ERRORS as error:
        raise read_error(file.name, error) from error


def _open_downloaded(remote: s3.S3File, file: DataFile, source: Source) -> tuple[Frame, Format]:
    """The rows of a file in S3; the downloaded copy is removed after the last one."""
    copy = remote.download()
    try:
        frame, kind = _open_file(replace(file, remote=None, local=copy.path), source)
    except BaseException:
        copy.remove()
        raise
    return Frame(frame.columns, copy.remove_after(frame.chunks), frame.rows), kind


# Archives


def _open_archive(file: DataFile, plain: Input, source: Source) -> tuple[Frame, Format]:
    """The rows of a workbook, or of the members of a zip archive, which have one format."""
    copy = None if not file.stream and not file.member else _spool(plain)
    path = file.path if copy is None else copy.path
    try:
        archive = archives.Archive(path, file.name)
        if archive.office_kind == "excel":
            _check_suffix(file, "excel", "an Excel workbook")
            frame = _convert_errors(file, excel.open_excel(path, file.name, source))
            _measure(file, None)
            kind: Format = "excel"
        elif archive.office_kind:
            workbook = "." in archive.office_kind
            hint = kinds.WORKBOOK if workbook else kinds.DOCUMENT
            raise SourceError(f"{file.name} is {archive.office_kind}", hint=hint)
        else:
            frame, kind = _open_members(file, archive, source)
    except BaseException:
        if copy is not None:
            copy.remove()
        raise
    finally:
        if copy is None:
            plain.close()
    chunks = frame.chunks if copy is None else copy.remove_after(frame.chunks)
    return Frame(frame.columns, chunks, frame.rows), kind


def _open_members(
    file: DataFile, archive: archives.Archive, source: Source
) -> tuple[Frame, Format]:
    if file.member:
        raise SourceError(
            f"{file.name} is a zip archive inside of another one", hint="unpack the outer one"
        )
    if (wrong := SUFFIXES.get(Path(file.name).suffix.lower())) and not file.stream:
        raise SourceError(f"{file.name} is a zip archive, unlike its suffix of {wrong} files")
    members = [
        DataFile(
            f"{file.name}/{info.filename}",
            member=partial(archive.open, info),
            as_path=replace(file.as_path, member=info.filename),
            share=file.share,
        )
        for info in archive.members()
    ]
    _measure(file, sum(info.file_size for info in archive.members()))
    formats = {member.name: detect_format(member, _head_of(member)) for member in members}
    if len(set(formats.values())) > 1:
        raise SourceError(
            f"{file.name} has files of several formats: "
            + ", ".join(f"{name} is {kind}" for name, kind in list(formats.items())[:10]),
            hint="unpack it and name the files of one format",
        )
    first, kind = _open_file(members[0], source)
    return Frame(first.columns, _chain_files(first, members, source)), kind


def _head_of(member: DataFile) -> bytes:
    """The first bytes of a member; empty where its name says what it is."""
    if format_by_name(member):
        return b""
    assert member.member is not None
    try:
        with Input(member.member()) as stream:
            return stream.peek(_HEAD)
    except READ_ERRORS as error:
        raise read_error(member.name, error) from error


def _spool(plain: Input) -> s3.DownloadedFile:
    """A copy of a stream on disk."""
    handle, path = tempfile.mkstemp(prefix="loader-", suffix=".part")
    copy = s3.DownloadedFile(path)
    try:
        with plain, os.fdopen(handle, "wb") as spool:
            shutil.copyfileobj(plain, spool, 1 << 20)
    except BaseException:
        copy.remove()
        raise
    return copy


def read_error(name: str, error: Exception) -> SourceError:
    """The error for a file that cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return SourceError(f"{name} cannot be read: {error.strerror}")
    text = str(error).strip() or type(error).__name__
    if "Truncated compressed stream" in text:
        text = "the compressed data is truncated"
    if "Cannot decrypt ColumnMetadata" in text:
        return SourceError(f"{name} cannot be read: it has encrypted columns")
    return SourceError(
        f"{name} cannot be read: {text}",
        hint="the file is damaged or truncated; download or export it again",
    )


def _open_input(file: DataFile) -> Input:
    """The bytes of a file as they are, whose reading is measured."""
    if file.share is not None and not file.member:
        file.share.open_file(_size_of(replace(file, name=file.path)))
    stream = file.member() if file.member else file.stream or pa.OSFile(file.path)
    on_read = file.share.add if file.share else lambda _: None
    return Input(stream, borrowed=file.stream is not None, on_read=on_read)


def open_bytes(file: DataFile, raw: Input) -> tuple[Input, str | None]:
    """The decompressed content of a file, and its compression: gzip, zstd, bz2, xz or None.

    Raises:
        SourceError: it is empty, or of a kind that is not supported.
    """
    head = raw.peek(_HEAD)
    if not head:
        raise SourceError(f"{file.name} is empty: it has 0 bytes")
    codec = next((codec for codec, magic in _MAGIC.items() if head.startswith(magic)), None)
    plain = Input(_decompress(raw, codec)) if codec else raw
    archive = not codec and head.startswith(archives.MAGICS)
    found = None if archive else kinds.find_unsupported(plain.peek(_HEAD))
    if found:
        raise SourceError(f"{file.name} is {found.what}", hint=found.hint)
    named = _COMPRESSED.get(Path(file.name).suffix.lower()) if not file.stream else None
    if named and not codec and not (archive and named == "zip"):
        start = head[:8]
        raise SourceError(
            f"{file.name} is not compressed as {named}, despite its name: it starts with {start!r}"
        )
    return plain, codec


def _measure(file: DataFile, size: int | None) -> None:
    """Say that a file is measured in something else than its bytes, or cannot be."""
    if file.share is not None and not file.member:
        file.share.rescale(size)


def _decompress(raw: Input, codec: str) -> Any:
    if codec == "xz":
        return XzStream(raw)
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)


def _check_suffix(file: DataFile, kind: Format, what: str) -> None:
    """Refuse a file whose suffix is that of another format."""
    if format_by_name(file) not in (kind, None):
        raise SourceError(f"{file.name} is {what}, unlike its suffix")


def check_format(file: DataFile, kind: Format, head: bytes, source: Source) -> None:
    """Check that a file is what its name says.

    Raises:
        SourceError: it is not.
    """
    wanted = {
        "parquet": ("Parquet", (_PARQUET,)),
        "arrow": ("Arrow IPC", (_ARROW_FILE, _ARROW_STREAM)),
        "excel": ("an Excel workbook", archives.MAGICS),
    }
    if kind in wanted:
        label, magics = wanted[kind]
        if not head.startswith(magics):
            encrypted = head.startswith(b"PARE")
            why = "it is encrypted" if encrypted else f"it starts with {head[:8]!r}"
            raise SourceError(f"{file.name} is not {label}: {why}")
    elif head.startswith((_PARQUET, _ARROW_FILE)):
        raise SourceError(
            f"{file.name} is a {'Parquet' if head.startswith(_PARQUET) else 'Arrow'} file, unlike"
            " its suffix"
        )
    elif found := kinds.find_binary(head, source.encoding, source.delimiter + source.quote):
        if found.encoding:
            raise EncodingError(f"{file.name} is {found.what}", found.encoding)
        raise SourceError(f"{file.name} is {found.what}", hint=found.hint)


# Readers


def _open_csv(file: DataFile, plain: Input, source: Source, _: bool) -> Frame:
    return csv.open_csv(plain, file.name, source)


def _open_tsv(file: DataFile, plain: Input, source: Source, packed: bool) -> Frame:
    return _open_csv(file, plain, delimit_by_tabs(source), packed)


def delimit_by_tabs(source: Source) -> Source:
    """The options for a TSV file: its delimiter is a tab unless they name another one."""
    if source.delimiter == Source.model_fields["delimiter"].default:
        return source.model_copy(update={"delimiter": "\t"})
    return source


def _open_json(file: DataFile, plain: Input, source: Source, _: bool) -> Frame:
    return json.open_json(plain, file.name, source)


def _convert_errors(file: DataFile, frame: Frame) -> Frame:
    """The frame of one file with errors as `SourceError`, and small chunks combined.

    Where the number of its rows is known, they say how far it is read: bytes are read in no order.
    """
    share = file.share if frame.rows is not None and not file.member else None
    if share is not None:
        share.rescale(frame.rows)

    def chunks() -> Iterator[Chunk]:
        try:
            for chunk in frame.chunks:
                if share is not None:
                    share.add(chunk.rows)
                yield replace(chunk, file=file.as_path)
        except LoaderError:
            raise
        except READ_ERRORS as error:
            raise read_error(file.name, error) from error

    return Frame(frame.columns, combine_small_chunks(chunks()), frame.rows)


def _open_seekable(file: DataFile, plain: Input, packed: bool) -> Any:
    """The content with random access; a stream is spooled to disk."""
    if not file.stream and not file.member and not packed:
        plain.close()
        return pa.OSFile(file.path)
    with plain, tempfile.NamedTemporaryFile() as spool:
        shutil.copyfileobj(plain, spool, 1 << 20)
        spool.flush()
        return pa.OSFile(
            spool.name
        )  # stays readable until it is closed, though the name is removed


def _open_parquet(file: DataFile, plain: Input, _: Source, packed: bool) -> Frame:
    return parquet.open_parquet(_open_seekable(file, plain, packed), file.name)


def _open_arrow(file: DataFile, plain: Input, _: Source, packed: bool) -> Frame:
    if plain.peek(len(_ARROW_FILE)) == _ARROW_FILE:
        _measure(file, None)  # its batches are read in place
        return arrow.open_arrow_file(_open_seekable(file, plain, packed), file.name)
    return arrow.open_arrow_stream(plain, file.name)


# Workbooks are archives, which are opened before.
_READERS: dict[Format, Callable[[DataFile, Input, Source, bool], Frame]] = {
    "csv": _open_csv,
    "tsv": _open_tsv,
    "json": _open_json,
    "parquet": _open_parquet,
    "arrow": _open_arrow,
}


def _count_rows(file: DataFile) -> int | None:
    """The number of rows from the metadata of a Parquet file; None for other files."""
    if file.stream or file.remote or detect_format(file) != "parquet":
        return None
    if not os.access(file.name, os.R_OK):
        return None
    try:
        return int(pq.read_metadata(file.name).num_rows)
    except READ_ERRORS:
        return None
