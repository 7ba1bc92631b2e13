"""Tells whether the first row of a CSV file names its columns, or is a row of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.inference.guesses import Guess
from loader.inference.text_formats import NUMBERS
from loader.inference.texts import guess_text

_YEARS = range(1900, 2101)


def is_row_of_data(cells: Sequence[str], guesses: Mapping[str, Guess]) -> bool:
    """Whether a first row is data, as the columns below it are.

    It is, when the cells above all numbers and times are such themselves; but years in order, above
    other numbers, are names, as of a table with a column for each year.

    Args:
        cells: The first row.
        guesses: What the rows below hold, by cell; empty if there are none.
    """
    own = {cell: guess_text(pa.array([cell])) for cell in cells}
    if not guesses:
        return any(_family(guess) for guess in own.values())
    typed = {cell: family for cell in cells if (family := _family(guesses[cell]))}
    given = [cell for cell in typed if own[cell].kind != "null"]
    if not given or any(_family(own[cell]) != typed[cell] for cell in given):
        return False
    return not _are_years(given, guesses)


def find_delimiter(cells: Sequence[str], columns: Sequence[Any]) -> str | None:
    """Another delimiter, which is in all rows as often as in the first one: ``1,5;2,5``.

    Args:
        cells: The first row.
        columns: The text of the rows below, by column.
    """
    for delimiter in (";", "\t", "|"):
        counts = [pc.count_substring(values, delimiter).fill_null(0) for values in columns]
        wanted = sum(cell.count(delimiter) for cell in cells)
        found = reduce(pc.add, counts) if counts else pa.array([], pa.int32())
        if wanted and pc.all(pc.equal(found, wanted), min_count=0).as_py():
            return delimiter
    return None


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


def _are_years(cells: Sequence[str], guesses: Mapping[str, Guess]) -> bool:
    """Whether cells are years that follow each other, or a single one above other numbers."""
    if not all(cell.isdecimal() and int(cell) in _YEARS for cell in cells):
        return False
    steps = {int(later) - int(earlier) for earlier, later in pairwise(cells)}
    return len(steps) == 1 and steps != {0} if steps else guesses[cells[0]].whole != 4


def number_names(count: int) -> list[str]:
    """Names for the columns of a file without a header.

    >>> number_names(2)
    ['column_1', 'column_2']
    """
    return [f"column_{number}" for number in range(1, count + 1)]
