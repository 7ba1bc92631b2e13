"""Drafts specs from files and frames, with remarks for the reviewer.

CSV and JSON have few types, so types are inferred from all rows, up to `SAMPLE_ROWS`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

from loader.data.cast.arrow_types import is_arrow
from loader.data.chunk import Chunk, Frame
from loader.data.column_names import RepeatedNamesError
from loader.data.files.open import (
    DataFile,
    DelimiterError,
    EscapeError,
    expand_pattern,
    format_of_name,
    open_files,
    stem,
)
from loader.data.frames import open_frame
from loader.errors import SourceError
from loader.inference.building import SpecRequest
from loader.inference.columns import ColumnGuesses
from loader.inference.evidence import Evidence
from loader.inference.headers import find_delimiter, is_row_of_data, number_names
from loader.inference.path_columns import find_path_columns
from loader.inference.text_formats import DEFAULT, Reading, choose_formats
from loader.spec.comments import Remarks, SampleSize
from loader.spec.model import Source, TableSpec
from loader.spec.path_keys import FilePath

_T = TypeVar("_T")

SAMPLE_ROWS = 1_000_000
"""The most rows that are read for one draft."""


@dataclass(frozen=True)
class Draft:
    """A spec inferred from data."""

    spec: TableSpec
    rows: int
    """How many rows were read."""
    complete: bool
    """Whether these were all rows."""
    remarks: Remarks
    """Evidence and suggestions for the reviewer."""
    notes: tuple[str, ...] = ()
    """What the reviewer has to decide, because the files leave it open."""


def infer_files(
    patterns: Sequence[str | DataFile],
    *,
    schema: str,
    name: str,
    encoding: str = "utf-8",
    sheet: str | int | None = None,
    stdin: BinaryIO | None = None,
    source: Mapping[str, Any] | None = None,
) -> Draft:
    """Draft a spec from files, for review; text and numbers get the width they need, and headroom.

    Columns get clean names; folders such as ``day=2026-01-01`` are columns too. When text is
    written in another format than the default, or a word such as ``NA`` seems to mean NULL, the
    files are read again with that in ``source``, to test that the drafted spec can read them.

    Args:
        patterns: As for `open_files`.
        schema: The table's schema.
        name: The table's name.
        encoding: The text encoding of CSV and JSON files.
        sheet: The sheet of Excel files, by name or number; None for the only one.
        stdin: Standard input, for ``-``.
        source: More of the spec's `source`, which does not change how these files are read.

    Raises:
        FrameError: columns have no type; lists all of them.
        SourceError: A file does not exist, or cannot be read.
        SpecError: the table's name is not valid in a spec.
    """
    options: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": _check_encoding(encoding)}
    options |= {} if sheet is None else {"sheet": sheet}
    request = SpecRequest(schema, name)
    with _spool(stdin) if stdin is not None and "-" in patterns else nullcontext() as stdin_copy:
        notes = _detect_header(patterns, options, stdin_copy, request)
        first = _scan_files(patterns, options, stdin_copy, request, final=False)
        choice = choose_formats(first.guesses.found)
        if choice.options:
            options |= choice.options
            first = _scan_files(patterns, options, stdin_copy, request, final=False)
        scan, words = first, first.guesses.words
        if words:
            scan = _scan_files(patterns, _add_null_words(options, words), stdin_copy, request)
            confirmed_null_words = first.guesses.confirmed_null_words(scan.guesses)
            if confirmed_null_words != words:
                words = confirmed_null_words
                scan = _scan_files(patterns, _add_null_words(options, words), stdin_copy, request)
    scan.guesses.treat_words_as_text()
    request = SpecRequest(
        schema, name, source={**_add_null_words(options, words), **(source or {})}
    )
    return _make_draft(scan, request, [*notes, *choice.notes])


def infer_frame(
    frame: object, *, schema: str, name: str, source: Mapping[str, Any] | None = None
) -> Draft:
    """Draft a spec from all rows of a frame, for review; ``source`` is where the frame is from.

    Reads the frame, up to `SAMPLE_ROWS`: a stream that can be read only once is used up.

    Raises:
        FrameError: columns have no type, or names that a table cannot have; lists all of them.
        SourceError: the data is not a frame, or cannot be read.
        SpecError: the table's name is not valid in a spec.
    """
    request = SpecRequest(schema, name, source=source or {})
    scan = _scan_frame(frame if isinstance(frame, Frame) else open_frame(frame), request)
    scan.guesses.treat_words_as_text()
    return _make_draft(scan, request)


def _make_draft(scan: _Scan, request: SpecRequest, notes: Sequence[str] = ()) -> Draft:
    columns = scan.guesses.reviewed_columns(complete=scan.sample.complete)
    has_fixed_shape = all(
        scan.guesses.has_fixed_shape(found)
        for found, column in zip(scan.guesses.names, columns, strict=True)
        if column.data_type == "super"
    )
    paths = find_path_columns(scan.files, {column.name for column in columns})
    spec = request.spec(
        [*columns, *(path.column for path in paths)], has_fixed_shape=has_fixed_shape
    )
    remarks = scan.evidence.remarks(spec, scan.guesses.found, scan.sample)
    remarks = replace(
        remarks,
        notes=(*notes, *remarks.notes),
        columns={**remarks.columns, **{path.column.name: path.remark for path in paths}},
        suggestions=(
            *remarks.suggestions,
            *(path.suggestion for path in paths if path.suggestion is not None),
        ),
    )
    return Draft(spec, scan.sample.rows, scan.sample.complete, remarks, tuple(notes))


def _add_null_words(options: Mapping[str, Any], words: Iterable[str]) -> dict[str, Any]:
    found = sorted(words)
    return {**options, "null_values": ["", *found]} if found else dict(options)


def _check_encoding(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError:
        raise SourceError(
            f"`{encoding}` is not a text encoding", hint="try utf-8 or latin-1"
        ) from None
    return encoding


@dataclass(frozen=True)
class _Scan:
    """The result of reading rows."""

    guesses: ColumnGuesses
    evidence: Evidence
    sample: SampleSize
    files: tuple[FilePath, ...] = ()


def _detect_header(
    patterns: Sequence[str | DataFile],
    options: dict[str, Any],
    stdin: BinaryIO | None,
    request: SpecRequest,
) -> list[str]:
    """Look at the first rows; adds to the options that there is no header, if so, and returns that.

    Also adds the delimiter, where commas are decimal marks in a file that has another one.
    """
    first = expand_pattern(patterns[0], stdin)[:1]
    if format_of_name(first[0].name) not in ("csv", "tsv", None) or "sheet" in options:
        return []

    def look() -> tuple[Sequence[str], Chunk | None]:
        try:
            frame = _open(first, options, stdin)
        except RepeatedNamesError as error:
            return error.names, None
        return frame.columns, next(iter(frame.chunks), None)

    cells, chunk = _detect_marks(look, options)
    columns = [] if chunk is None else list(chunk.columns.values())
    if not all(is_arrow(values) for values in columns) or (chunk and not chunk.text):
        return []  # it is no CSV
    delimiter = None if "delimiter" in options else find_delimiter(cells, columns)
    if delimiter is not None:
        options["delimiter"] = delimiter
        cells, chunk = _detect_marks(look, options)
    guesses = ColumnGuesses(cells, request)
    if chunk is not None:
        guesses.add(chunk)
    if not is_row_of_data(cells, guesses.found if chunk else {}):
        return []
    options |= {"header": False, "names": number_names(len(cells))}
    return ["the first row is like the others, so files have no header: name the columns in order"]


def peek_columns(file: DataFile, encoding: str) -> frozenset[str] | None:
    """The names of a file's columns; None where it cannot be read."""
    options: dict[str, Any] = {"encoding": encoding}
    try:
        return frozenset(_detect_marks(lambda: _open([file], options, None).columns, options))
    except SourceError:
        return None


def _detect_marks(read: Callable[[], _T], options: dict[str, Any]) -> _T:
    """Read files; adds the delimiter and escape that are detected to the options."""
    while True:
        try:
            return read()
        except DelimiterError as error:
            if "delimiter" in options:
                raise
            options["delimiter"] = error.delimiter
        except EscapeError as error:
            options["escape"] = error.escape


def _scan_files(
    patterns: Sequence[str | DataFile],
    options: dict[str, Any],
    stdin: BinaryIO | None,
    request: SpecRequest,
    *,
    final: bool = True,
) -> _Scan:
    """Read files with options; adds the delimiter and escape that are detected to the options."""

    def scan() -> _Scan:
        frame = _open(patterns, options, stdin)
        return _scan_frame(frame, request, Reading.of(options), final=final)

    return _detect_marks(scan, options)


def _scan_frame(
    frame: Frame, request: SpecRequest, reading: Reading = DEFAULT, *, final: bool = True
) -> _Scan:
    """Guess types and gather evidence from the rows of a frame.

    Unless this is the final read, evidence is not gathered any more once a word is found that may
    mean NULL, because the files are then read again.
    """
    guesses = ColumnGuesses(frame.columns, request, reading)
    guesses.check_has_columns()
    evidence = Evidence(frame.columns, reading)
    rows = 0
    for chunk in frame.chunks:
        if rows >= SAMPLE_ROWS:
            return _Scan(guesses, evidence, SampleSize(rows, complete=False), frame.files)
        guesses.add(chunk)
        if final or not guesses.words:
            evidence.add(chunk, guesses.found)
        rows += chunk.rows
    return _Scan(guesses, evidence, SampleSize(rows, complete=True), frame.files)


def _open(
    patterns: Sequence[str | DataFile], options: Mapping[str, Any], stdin: BinaryIO | None
) -> Frame:
    if stdin is not None:
        stdin.seek(0)
    return open_files(patterns, Source.model_validate(options), stdin)


@contextmanager
def _spool(stdin: BinaryIO) -> Iterator[BinaryIO]:
    """Copy standard input to disk, so that it can be read more than once."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stdin, copy, 1 << 20)
        yield copy


def table_name(pattern: str) -> str | None:
    """Derive a table's name from a path: ``data/flights-*.csv.gz`` gives ``flights``."""
    path = PurePosixPath(pattern)
    for text in (stem(path.name), path.parent.name):
        name = re.sub(r"\W+", "_", text.lower()).strip("_")
        if name and pattern != "-":
            return name
    return None
