"""Drafts specs from files and frames, with remarks for the reviewer.

CSV and JSON have few types, so types are inferred from all rows, up to `SAMPLE_ROWS`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from loader.data.chunk import Frame
from loader.data.files.open import DelimiterError, EscapeError, open_files, stem
from loader.data.frames import open_frame
from loader.errors import SourceError
from loader.inference.building import SpecRequest
from loader.inference.columns import ColumnGuesses
from loader.inference.evidence import Evidence
from loader.spec.comments import Remarks, SampleSize
from loader.spec.model import Source, TableSpec

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


def infer_files(
    patterns: Sequence[str],
    *,
    schema: str,
    name: str,
    encoding: str = "utf-8",
    sheet: str | int | None = None,
    stdin: BinaryIO | None = None,
) -> Draft:
    """Draft a spec from files, for review; text and numbers get the width they need, and headroom.

    When a word such as ``NA`` seems to mean NULL, the files are read again with that word in
    ``null_values``, to test that the drafted spec can read them.

    Args:
        patterns: As for `open_files`.
        schema: The table's schema.
        name: The table's name.
        encoding: The text encoding of CSV and JSON files.
        sheet: The sheet of Excel files, by name or number; None for the only one.
        stdin: Standard input, for ``-``.

    Raises:
        FrameError: columns have no type, or names that a table cannot have; lists all of them.
        SourceError: A file does not exist, or cannot be read.
        SpecError: the table's name is not valid in a spec.
    """
    options: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": _check_encoding(encoding)}
    options |= {} if sheet is None else {"sheet": sheet}
    request = SpecRequest(schema, name)
    with _spool(stdin) if stdin is not None and "-" in patterns else nullcontext() as stdin_copy:
        first = _scan_files(patterns, options, stdin_copy, request, final=False)
        scan, words = first, first.guesses.words
        if words:
            scan = _scan_files(patterns, _add_null_words(options, words), stdin_copy, request)
            confirmed_null_words = first.guesses.confirmed_null_words(scan.guesses)
            if confirmed_null_words != words:
                words = confirmed_null_words
                scan = _scan_files(patterns, _add_null_words(options, words), stdin_copy, request)
    scan.guesses.treat_words_as_text()
    return _make_draft(scan, SpecRequest(schema, name, source=_add_null_words(options, words)))


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


def _make_draft(scan: _Scan, request: SpecRequest) -> Draft:
    columns = scan.guesses.columns(roomy=False, complete=scan.sample.complete)
    has_fixed_shape = all(
        scan.guesses.has_fixed_shape(found)
        for found, column in zip(scan.guesses.names, columns, strict=True)
        if column.data_type == "super"
    )
    spec = request.spec(columns, scan.guesses.names, has_fixed_shape=has_fixed_shape)
    remarks = scan.evidence.remarks(spec, scan.guesses.found, scan.sample)
    return Draft(spec, scan.sample.rows, scan.sample.complete, remarks)


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


def _scan_files(
    patterns: Sequence[str],
    options: dict[str, Any],
    stdin: BinaryIO | None,
    request: SpecRequest,
    *,
    final: bool = True,
) -> _Scan:
    """Read files with options; adds the delimiter and escape that are detected to the options."""
    while True:
        try:
            return _scan_frame(_open(patterns, options, stdin), request, final=final)
        except DelimiterError as error:
            if "delimiter" in options:
                raise
            options["delimiter"] = error.delimiter
        except EscapeError as error:
            options["escape"] = error.escape


def _scan_frame(frame: Frame, request: SpecRequest, *, final: bool = True) -> _Scan:
    """Guess types and gather evidence from the rows of a frame.

    Unless this is the final read, evidence is not gathered any more once a word is found that may
    mean NULL, because the files are then read again.
    """
    guesses = ColumnGuesses(frame.columns, request)
    guesses.check_has_columns()
    evidence = Evidence(frame.columns)
    rows = 0
    for chunk in frame.chunks:
        if rows >= SAMPLE_ROWS:
            return _Scan(guesses, evidence, SampleSize(rows, complete=False))
        guesses.add(chunk)
        if final or not guesses.words:
            evidence.add(chunk, guesses.found)
        rows += chunk.rows
    return _Scan(guesses, evidence, SampleSize(rows, complete=True))


def _open(patterns: Sequence[str], options: Mapping[str, Any], stdin: BinaryIO | None) -> Frame:
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
