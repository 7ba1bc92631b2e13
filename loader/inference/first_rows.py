"""Reads the first rows of a CSV file, with the delimiter that makes sense of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.data.chunk import Frame
from loader.data.column_names import RepeatedNamesError
from loader.errors import SourceError
from loader.inference.files_to_read import FilesToRead
from loader.inference.text_formats import COMMA
from loader.inference.texts import guess_text

_DELIMITERS = (";", "\t", "|")


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a file."""

    cells: Sequence[str]
    """Those of the first row."""
    below: list[Any]
    """The columns of some rows below it."""
    lines: int = 0
    """The lines to the end of the first row, if it has a cell twice."""


def read_first_rows(files: FilesToRead) -> FirstRows:
    """The first rows, read with the usual delimiter, unless only another one can be right.

    That is so where rows cannot be read, and where it leaves decimal commas: ``1,5;2,5``. What is
    found is added to the options.

    Raises:
        SourceError: the file does not exist, or cannot be read.
    """
    try:
        rows = _read_rows(files)
    except SourceError:
        other = _read_otherwise(files, _DELIMITERS, lambda _: True)
        if other is None:
            raise
        return other
    if "delimiter" in files.options:
        return rows
    inside = [mark for mark in _DELIMITERS if any(mark in cell for cell in rows.cells)]
    return _read_otherwise(files, inside, _has_decimal_commas) or rows


def _read_otherwise(
    files: FilesToRead, delimiters: Sequence[str], fits: Callable[[FirstRows], bool]
) -> FirstRows | None:
    """The rows with the first delimiter that fits; adds it to the options."""
    for delimiter in delimiters:
        with suppress(SourceError):
            rows = _read_rows(files, delimiter=delimiter)
            if len(rows.cells) > 1 and fits(rows):
                files.options["delimiter"] = delimiter
                return rows
    return None


def _has_decimal_commas(rows: FirstRows) -> bool:
    guesses = map(guess_text, rows.below or [pa.array([cell]) for cell in rows.cells])
    return any(guess.kind == "varchar" and COMMA in (guess.formats or ()) for guess in guesses)


def _read_rows(files: FilesToRead, **more: Any) -> FirstRows:
    def columns_of(frame: Frame) -> list[Any]:
        chunk = next(iter(frame.chunks), None)
        return [] if chunk is None else list(chunk.columns.values())

    try:
        return files.read(lambda frame: FirstRows(frame.columns, columns_of(frame)), **more)
    except RepeatedNamesError as error:
        names = number_names(len(error.names))
        more |= {"header": False, "skip_rows": error.lines, "names": names}
        return FirstRows(error.names, files.read(columns_of, **more), error.lines)


def number_names(count: int) -> list[str]:
    """Names for columns that have none.

    >>> number_names(2)
    ['column_1', 'column_2']
    """
    return [f"column_{number}" for number in range(1, count + 1)]
