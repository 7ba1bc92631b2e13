"""Tells whether the first row of CSV files names their columns, or is a row of data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa

from loader.data.cast.arrow_types import is_arrow
from loader.inference.clean_names import clean_name, distinct_name
from loader.inference.files_to_read import FilesToRead
from loader.inference.first_rows import number_names, read_first_rows
from loader.inference.guesses import Guess
from loader.inference.text_formats import NUMBERS
from loader.inference.texts import guess_text

_YEARS = range(1900, 2101)
_NO_HEADER = (
    "no header, for the first row is like the others: give the columns names, in `columns` and in"
    " source: {names: …}"
)
_REPEATED = "columns have the same name in the files: check their names in source: {names: …}"


def find_header(files: FilesToRead) -> list[str]:
    """Find out from the first rows whether CSV files have a header.

    Adds their delimiter to the options; and names for their columns, where they have no header, or
    one with a name twice.

    Returns:
        Notes for the reviewer.

    Raises:
        SourceError: the first file does not exist, or cannot be read.
    """
    if files.delimiter is None:
        return []
    rows = read_first_rows(files.first)
    if not all(is_arrow(column) and pa.types.is_string(column.type) for column in rows.below):
        return []  # it is no CSV, whatever its name says
    if is_row_of_data(rows.cells, [guess_text(column) for column in rows.below]):
        files.options.update(header=False, names=number_names(len(rows.cells)))
        return [_NO_HEADER]
    if rows.lines:
        files.options.update(header=False, skip_rows=rows.lines, names=_distinct_names(rows.cells))
        return [_REPEATED]
    return []


def is_row_of_data(cells: Sequence[str], below: Sequence[Guess]) -> bool:
    """Whether a first row is data, as the columns below it are.

    It is, when the cells above all numbers and times are such themselves. But numbers that count up
    are names, 0, 1, 2, …, as pandas writes them, and years, as of a table with a column for each.

    Args:
        cells: The first row.
        below: What the rows below it hold, by column; empty if there are none.
    """
    own = [guess_text(pa.array([cell])) for cell in cells]
    typed = [
        (cell, guess, like)
        for cell, guess, like in zip(cells, own, below or own, strict=True)
        if _family(like) and guess.kind != "null"
    ]
    if any(_family(guess) != _family(like) for _, guess, like in typed):
        return False
    given = [cell for cell in cells if cell]
    if not typed or given == list(map(str, range(len(given)))):
        return False
    return not _are_years([cell for cell, *_ in typed], typed[0][2].whole if below else 0)


def _family(guess: Guess) -> str:
    """What a column holds, if its values tell it from a name: numbers, times or booleans."""
    if guess.kind in ("whole", "number", "double precision"):
        return "number"
    if guess.kind in ("date", "timestamp", "timestamptz"):
        return "time"
    if guess.kind == "varchar":
        formats = guess.formats or frozenset()
        return "time" if formats - NUMBERS else "number" if formats else ""
    return "boolean" if guess.kind == "boolean" else ""


def _are_years(cells: Sequence[str], digits: int) -> bool:
    """Whether cells are years that follow each other, or one above numbers of other ``digits``."""
    if not all(cell.isdecimal() and int(cell) in _YEARS for cell in cells):
        return False
    steps = {int(later) - int(earlier) for earlier, later in pairwise(cells)}
    return len(steps) == 1 and steps != {0} if steps else digits != len(cells[0])


def _distinct_names(cells: Sequence[str]) -> list[str]:
    found: list[str] = []
    for at, cell in enumerate(cells, 1):
        found.append(distinct_name(clean_name(cell, at), set(found)))
    return found
