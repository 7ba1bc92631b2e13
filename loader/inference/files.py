"""Drafts of specs from files, for review: CSV and JSON have few types, so all rows are asked."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from loader.errors import SourceError
from loader.frames import Frame
from loader.inference.building import Wanted
from loader.inference.columns import ColumnGuesses
from loader.sources import DelimiterError, open_files, stem
from loader.spec import Source, TableSpec

SAMPLE_ROWS = 1_000_000
"""After so many rows a draft is good enough to be reviewed."""


@dataclass(frozen=True)
class Draft:
    """A spec that files suggest."""

    spec: TableSpec
    rows: int
    """How many rows were looked at."""
    complete: bool
    """Whether those were all."""


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
        first = _look(patterns, options, again, wanted)
        look, words = first, first.guesses.words
        if words:
            look = _look(patterns, _with(options, words), again, wanted)
            settled = first.guesses.settled(look.guesses)
            if settled != words:
                words = settled
                look = _look(patterns, _with(options, words), again, wanted)
    look.guesses.without_words()
    columns = look.guesses.columns(roomy=False)
    shaped = all(
        look.guesses.shaped(found)
        for found, column in zip(look.guesses.names, columns, strict=True)
        if column.data_type == "super"
    )
    spec = Wanted(schema, name, source=_with(options, words)).spec(
        columns, look.guesses.names, shaped=shaped
    )
    return Draft(spec, look.rows, look.complete)


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
    """What a look at the rows of files told."""

    guesses: ColumnGuesses
    rows: int
    complete: bool
    """Whether those were all rows."""


def _look(
    patterns: Sequence[str], options: dict[str, Any], stdin: BinaryIO | None, wanted: Wanted
) -> _Look:
    """Read files as the options say; a delimiter that is found is added to them."""
    try:
        frame = _opened(patterns, options, stdin)
    except DelimiterError as error:
        options["delimiter"] = error.delimiter
        frame = _opened(patterns, options, stdin)
    guesses = ColumnGuesses(frame.columns, wanted)
    guesses.check_some()
    rows = 0
    for chunk in frame.chunks:
        if rows >= SAMPLE_ROWS:
            return _Look(guesses, rows, complete=False)
        guesses.add(chunk)
        rows += chunk.rows
    return _Look(guesses, rows, complete=True)


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
