"""Reads a sheet of an Excel workbook (.xlsx) as chunks of Python objects.

A cell is the value it has, not how it is shown: numbers are 64-bit floats, dates and times are
exact to the millisecond, and empty cells are NULL. Rows keep their numbers in the sheet.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from loader.data.chunk import Chunk, Frame, UnsupportedValue
from loader.data.column_names import check_names
from loader.data.files.excel_worker import MEMORY, Head
from loader.data.files.kinds import WORKBOOK
from loader.errors import ConfigError, SourceError
from loader.spec.model import Source
from loader.text_tables import format_count

CHUNK_ROWS = 8_192
_EXACT = 1 << 53
"""Whole numbers from here on are not all floats, so that a cell may have lost digits."""

_LARGEST = 10**38
"""No integer or decimal column has numbers of this size, and a float column takes them."""

_WORKER = "from loader.data.files.excel_worker import main; main()"


class SheetError(SourceError):
    """A workbook has several sheets, or not the one that is named."""


def open_excel(path: str, name: str, source: Source) -> Frame:
    """The rows of a sheet: the one that `source.sheet` names, or the only one.

    Args:
        path: The workbook.
        name: Its name, for messages.
        source: Its sheet, header and NULL words.

    Raises:
        ConfigError: the extra is not installed.
        SheetError: there is no such sheet, or there are several.
        SourceError: the workbook is damaged, or its header is invalid; from the chunks, that cells
            are merged or lie outside of the columns.
    """
    if importlib.util.find_spec("python_calamine") is None:
        raise ConfigError(
            f"{name} is an Excel workbook, which needs the package python-calamine",
            hint="pip install 'loader[excel]'",
        )
    reading = _read(path, name, source)
    columns = next(reading)
    return Frame(columns, reading)


def _read(path: str, name: str, source: Source) -> Iterator[Any]:
    """The names of the columns, then the chunks."""
    with _start_worker(path, source.sheet) as worker:
        try:
            head: Head = _receive(worker, name)
            if head.problem:
                wrong = SheetError if "sheet" in head.problem else SourceError
                raise wrong(f"{name} {head.problem}", hint=head.hint)
            sheet = _Sheet(f"{name}[{head.sheet}]", head, source)
            rows = _number_rows(_receive_rows(worker, name), head)
            yield sheet.read_header(rows)
            yield from sheet.chunks(rows)
        finally:
            worker.kill()


def _start_worker(path: str, sheet: str | int | None) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(entry or "." for entry in sys.path)
    return subprocess.Popen(  # noqa: S603  # our own module; the path is an argument
        [sys.executable, "-c", _WORKER, os.path.abspath(path), json.dumps(sheet)],  # noqa: PTH100  # a name
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _receive(worker: subprocess.Popen[bytes], name: str) -> Any:
    assert worker.stdout is not None
    try:
        message = pickle.load(worker.stdout)  # noqa: S301  # written by our own process
    except (EOFError, pickle.UnpicklingError) as error:
        raise SourceError(
            f"{name} cannot be read: the workbook is damaged, or needs more than"
            f" {MEMORY >> 30} GB of memory",
            hint="open it in a spreadsheet program and save it again, or as CSV UTF-8",
        ) from error
    if isinstance(message, str):
        raise SourceError(f"{name} cannot be read: {message}", hint=WORKBOOK)
    return message


def _receive_rows(worker: subprocess.Popen[bytes], name: str) -> Iterator[list[Any]]:
    while (group := _receive(worker, name)) is not None:
        yield from group


Row = tuple[int, Sequence[Any]]
"""The number of a row in its sheet, from 1, and its values."""


def _number_rows(rows: Iterator[list[Any]], head: Head) -> Iterator[Row]:
    """The rows that are not empty, with errors in the places of cells that seem to be."""
    errors: dict[int, list[tuple[int, str]]] = {}
    for (row, column), text in sorted(head.errors.items()):
        errors.setdefault(row + 1, []).append((column, text))
    last, before = 0, [None] * head.first_column
    for last, cells in enumerate(rows, 1):
        whole = _with_errors(before + cells, errors.pop(last, ()))
        if any(value is not None for value in whole):
            yield last, whole
    for number, found in errors.items():
        yield number, _with_errors([], found)


def _with_errors(cells: list[Any], errors: Sequence[tuple[int, str]]) -> list[Any]:
    for at, text in errors:
        cells += [None] * (at + 1 - len(cells))
        cells[at] = UnsupportedValue(text, _ERROR if text.startswith("#") else _NOT_COMPUTED)
    return cells


_ERROR = "is an error of the workbook, not a value"
_NOT_COMPUTED = "has never been computed; open the workbook in a spreadsheet program and save it"


@dataclass
class _Sheet:
    """The rules by which the cells of a sheet are rows of columns."""

    name: str
    head: Head
    source: Source
    columns: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    """The place of each column in a row."""

    def read_header(self, rows: Iterator[Row]) -> tuple[str, ...]:
        """The names of the columns, from the first row that is not skipped or from the spec.

        Raises:
            SourceError: there is no header, or a cell of it is not a name.
        """
        if not self.source.header:
            self.columns = check_names(self.source.names, "source: {names: …}")
            self.places = tuple(range(len(self.columns)))
            return self.columns
        number, cells = next(
            (row for row in rows if row[0] > self.source.skip_rows), (0, cast("Sequence[Any]", ()))
        )
        found = [
            (at, self._column_name(number, at, value))
            for at, value in enumerate(cells)
            if value is not None
        ]
        if not found:
            raise SourceError(
                f"{self.name} has no header: it is empty after"
                f" {format_count(self.source.skip_rows, 'row')}"
            )
        self.columns = check_names([text for _, text in found], f"the header of {self.name}")
        self.places = tuple(at for at, _ in found)
        self._check_merged(number, number)
        return self.columns

    def chunks(self, rows: Iterator[Row]) -> Iterator[Chunk]:
        """The rows after the header; those that follow each other in the sheet are one chunk.

        Raises:
            SourceError: cells are merged, or have no column.
        """
        start, group = 0, list[Sequence[Any]]()
        for number, row in rows:
            if number <= self.source.skip_rows:
                continue
            if group and (number != start + len(group) or len(group) == CHUNK_ROWS):
                yield self._chunk(start, group)
                group = []
            if not group:
                start = number
            group.append(row)
        if group:
            yield self._chunk(start, group)

    def _chunk(self, start: int, rows: Sequence[Sequence[Any]]) -> Chunk:
        self._check_merged(start, start + len(rows) - 1)
        self._check_extra(start, rows)
        columns = {
            name: self._values([row[at] if at < len(row) else None for row in rows])
            for name, at in zip(self.columns, self.places, strict=True)
        }
        return Chunk(columns, len(rows), self.name, start, text=True)

    def _values(self, values: list[Any]) -> Any:
        """The values of a column; as an array of text, if all are, which the formats apply to."""
        kinds = set(map(type, values)) - {type(None)}
        if str in kinds:
            nulls = frozenset(self.source.null_values)
            values = [None if isinstance(each, str) and each in nulls else each for each in values]
        if kinds == {str}:
            return pa.array(values, pa.string())
        return list(map(_exact, values)) if float in kinds else values

    # Checks

    def _column_name(self, number: int, at: int, value: object) -> str:
        if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
            return str(int(value))  # a year, as a rule
        if not isinstance(value, str):
            raise SourceError(
                f"{self._cell(number, at)}: the header is {value}, which is not the name of a"
                " column",
                hint="write the names as text; lines before the header are skipped with source:"
                " {skip_rows: …}, and without a header set source: {header: false, names: […]}",
            )
        return value

    def _check_extra(self, start: int, rows: Sequence[Sequence[Any]]) -> None:
        known = set(self.places)
        extra = [at for at in range(max(map(len, rows))) if at not in known]
        for offset, row in enumerate(rows):
            for at in extra:
                if at < len(row) and row[at] is not None:
                    what = "header" if self.source.header else "name in source: {names: …}"
                    raise SourceError(
                        f"{self._cell(start + offset, at)}: there is a value, and its column has no"
                        f" {what}",
                        hint="give the column a name, or remove what is beside the table",
                    )

    def _check_merged(self, first: int, last: int) -> None:
        """Refuse merged cells in the table's columns, between two rows."""
        columns = range(self.places[0], self.places[-1] + 1)
        for (top, left), (bottom, right) in self.head.merged:
            beside = right < columns.start or left >= columns.stop
            if top + 1 <= last and bottom + 1 >= first and not beside:
                place = f"{_letters(left)}{top + 1}:{_letters(right)}{bottom + 1}"
                raise SourceError(
                    f"{self.name}: the cells {place} are merged, so all but the first are empty",
                    hint="unmerge them and fill each cell; lines before the header are skipped with"
                    " source: {skip_rows: …}",
                )

    def _cell(self, number: int, at: int) -> str:
        return f"{self.name}!{_letters(at)}{number}"


def _letters(column: int) -> str:
    """The letters of a column, counted from 0.

    >>> _letters(0), _letters(25), _letters(26), _letters(16_383)
    ('A', 'Z', 'AA', 'XFD')
    """
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text


def _exact(value: object) -> object:
    """A whole number as such; one that may have lost digits is no value."""
    if not isinstance(value, float) or not value.is_integer():
        return value
    if abs(value) >= _LARGEST:
        return value
    if abs(value) >= _EXACT:
        return UnsupportedValue(
            f"{value:.0f}", "has more digits than Excel keeps; store it as text in the workbook"
        )
    return int(value)
