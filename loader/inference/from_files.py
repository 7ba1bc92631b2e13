"""Drafts specs from files and frames, with remarks for the reviewer.

CSV and JSON have few types, so types are inferred from all rows, up to `SAMPLE_ROWS`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from loader.data.chunk import Frame
from loader.data.files.open import DataFile, stem
from loader.data.frames import open_frame
from loader.errors import SourceError
from loader.inference.building import SpecRequest
from loader.inference.columns import ColumnGuesses
from loader.inference.evidence import Evidence
from loader.inference.files_to_read import FilesToRead
from loader.inference.format_choice import choose_formats
from loader.inference.headers import find_header
from loader.inference.path_columns import find_path_columns
from loader.inference.text_formats import DEFAULT, Reading
from loader.spec.comments import Remarks, SampleSize
from loader.spec.model import TableSpec
from loader.spec.path_keys import FilePath

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
        files = FilesToRead(patterns, options, stdin_copy)
        notes = find_header(files)
        scan = _scan_files(files, request, final=False)
        choice = choose_formats(scan.guesses.found, files.delimiter)
        if choice.options:
            options |= choice.options
            scan = _scan_files(files, request, final=False)
        first, words = scan, scan.guesses.words
        if words:
            scan = _scan_files(files, request, words)
            confirmed = first.guesses.confirmed_null_words(scan.guesses)
            if confirmed != words:
                words = confirmed
                scan = _scan_files(files, request, words)
    scan.guesses.treat_words_as_text()
    all_options = {**options, **_null_values(words), **(source or {})}
    return _make_draft(scan, replace(request, source=all_options), [*notes, *choice.notes])


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
    notes = [*notes, *scan.evidence.notes]
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


def _null_values(words: frozenset[str]) -> dict[str, list[str]]:
    return {"null_values": ["", *sorted(words)]} if words else {}


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


def _scan_files(
    files: FilesToRead,
    request: SpecRequest,
    words: frozenset[str] = frozenset(),
    *,
    final: bool = True,
) -> _Scan:
    """Read all rows, with words that mean NULL."""
    reading = Reading.of(files.options)
    return files.read(
        lambda frame: _scan_frame(frame, request, reading, final=final), **_null_values(words)
    )


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
