"""Drafts of specs from whole files and frames, for review, with what was seen as remarks.

CSV and JSON have few types, so all rows are asked.
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
from loader.inference.building import Wanted
from loader.inference.columns import ColumnGuesses
from loader.inference.evidence import Evidence
from loader.spec.comments import Looked, Remarks
from loader.spec.model import Source, TableSpec

SAMPLE_ROWS = 1_000_000
"""After so many rows a draft is good enough to be reviewed."""


@dataclass(frozen=True)
class Draft:
    """A spec that data suggests."""

    spec: TableSpec
    rows: int
    """How many rows were looked at."""
    complete: bool
    """Whether those were all."""
    remarks: Remarks
    """What a reviewer wants to know beside it."""


def infer_files(
    patterns: Sequence[str],
    *,
    schema: str,
    name: str,
    encoding: str = "utf-8",
    stdin: BinaryIO | None = None,
) -> Draft:
    """The spec that files suggest, as a draft to be reviewed: widths fit, with headroom.

    Files are read again when a word such as ``NA`` turns out to mean NULL, to see whether the spec
    that says so reads them.

    Args:
        patterns: As for `open_files`.
        schema: The table's schema.
        name: The table.
        encoding: The text encoding of CSV and JSON files.
        stdin: Standard input, for ``-``.

    Raises:
        FrameError: columns have no type, or no name for a table; all of them are named.
        SourceError: a file is not there, or cannot be read.
        SpecError: the table cannot be called so.
    """
    options: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": _known(encoding)}
    wanted = Wanted(schema, name)
    with _kept(stdin) if stdin is not None and "-" in patterns else nullcontext() as again:
        first = _look_at(patterns, options, again, wanted, once=False)
        look, words = first, first.guesses.words
        if words:
            look = _look_at(patterns, _with(options, words), again, wanted)
            settled = first.guesses.settled(look.guesses)
            if settled != words:
                words = settled
                look = _look_at(patterns, _with(options, words), again, wanted)
    look.guesses.without_words()
    return _drafted(look, Wanted(schema, name, source=_with(options, words)))


def infer_frame(frame: object, *, schema: str, name: str) -> Draft:
    """The spec that all rows of a frame suggest, as a draft to be reviewed.

    The frame is read, up to `SAMPLE_ROWS`: what can be read only once is gone then.

    Raises:
        FrameError: columns have no type, or no name for a table; all of them are named.
        SourceError: it is no frame, or cannot be read.
        SpecError: the table cannot be called so.
    """
    wanted = Wanted(schema, name)
    look = _look(frame if isinstance(frame, Frame) else open_frame(frame), wanted)
    look.guesses.without_words()
    return _drafted(look, wanted)


def _drafted(look: _Look, wanted: Wanted) -> Draft:
    columns = look.guesses.columns(roomy=False, complete=look.looked.complete)
    shaped = all(
        look.guesses.shaped(found)
        for found, column in zip(look.guesses.names, columns, strict=True)
        if column.data_type == "super"
    )
    spec = wanted.spec(columns, look.guesses.names, shaped=shaped)
    remarks = look.evidence.remarks(spec, look.guesses.found, look.looked)
    return Draft(spec, look.looked.rows, look.looked.complete, remarks)


def _with(options: Mapping[str, Any], words: Iterable[str]) -> dict[str, Any]:
    found = sorted(words)
    return {**options, "null_values": ["", *found]} if found else dict(options)


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError:
        raise SourceError(
            f"`{encoding}` is not a text encoding", hint="most files are utf-8; else try latin-1"
        ) from None
    return encoding


@dataclass(frozen=True)
class _Look:
    """What a look at rows told."""

    guesses: ColumnGuesses
    evidence: Evidence
    looked: Looked


def _look_at(
    patterns: Sequence[str],
    options: dict[str, Any],
    stdin: BinaryIO | None,
    wanted: Wanted,
    *,
    once: bool = True,
) -> _Look:
    """Read files as the options say; a delimiter and an escape that are found are added to them."""
    while True:
        try:
            return _look(_opened(patterns, options, stdin), wanted, once=once)
        except DelimiterError as error:
            if "delimiter" in options:
                raise
            options["delimiter"] = error.delimiter
        except EscapeError as error:
            options["escape"] = error.escape


def _look(frame: Frame, wanted: Wanted, *, once: bool = True) -> _Look:
    """Look at the rows of a frame.

    Unless they are looked at only once, evidence is no longer gathered when words turn up that
    make another look needed.
    """
    guesses = ColumnGuesses(frame.columns, wanted)
    guesses.check_some()
    evidence = Evidence(frame.columns)
    rows = 0
    for chunk in frame.chunks:
        if rows >= SAMPLE_ROWS:
            return _Look(guesses, evidence, Looked(rows, complete=False))
        guesses.add(chunk)
        if once or not guesses.words:
            evidence.add(chunk, guesses.found)
        rows += chunk.rows
    return _Look(guesses, evidence, Looked(rows, complete=True))


def _opened(patterns: Sequence[str], options: Mapping[str, Any], stdin: BinaryIO | None) -> Frame:
    if stdin is not None:
        stdin.seek(0)
    return open_files(patterns, Source.model_validate(options), stdin)


@contextmanager
def _kept(stdin: BinaryIO) -> Iterator[BinaryIO]:
    """Standard input on disk, to be read more than once."""
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(stdin, kept, 1 << 20)
        yield kept


def table_name(pattern: str) -> str | None:
    """A table's name after a file's: ``flights`` of ``data/flights-*.csv.gz``."""
    path = PurePosixPath(pattern)
    for text in (stem(path.name), path.parent.name):
        name = re.sub(r"\W+", "_", text.lower()).strip("_")
        if name and pattern != "-":
            return name
    return None
