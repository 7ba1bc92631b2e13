"""Reads one sheet of a workbook in a process of its own.

Calamine holds a sheet as a whole, and a damaged or hostile file can make it ask for any amount of
memory, or end the process. So the memory of this process is limited, and whoever started it only
sees it fail. It writes pickles to standard output: a `Head`, then lists of rows, then None; or the
text of an error that was not foreseen.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from xml.etree import ElementTree

MEMORY = 4 << 30
"""The most bytes of memory."""

_ROWS = 1_024
"""Rows in one pickle."""

_WINDOW = 64 << 10
"""Bytes of a sheet that are looked at again, since a cell may lie across two reads."""

Cell = tuple[int, int]
"""Row and column, from 0."""


@dataclass
class Head:
    """What is known of a sheet before its rows are."""

    problem: str = ""
    """Why there are no rows; empty where there are."""
    hint: str | None = None
    sheet: str = ""
    """Its name."""
    first_column: int = 0
    """The column of the first cell of each row."""
    merged: Sequence[tuple[Cell, Cell]] = ()
    """The first and last cells of merged ranges."""
    errors: dict[Cell, str] = field(default_factory=dict)
    """Cells without a value that could be loaded, and what they have instead."""


class SheetError(Exception):
    """There are no rows to read."""

    def __init__(self, problem: str, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


def read_sheet(path: str, wanted: str | int | None, out: BinaryIO) -> None:
    """Write the head and the rows of a sheet.

    Args:
        path: The workbook.
        wanted: The sheet, by name or by number from 1; None for the only one.
        out: Where the pickles go.
    """
    try:
        head, rows = _open_sheet(path, wanted)
    except SheetError as error:
        pickle.dump(Head(error.problem, error.hint), out)
        return
    pickle.dump(head, out)
    group = []
    for row in rows:
        group.append([None if value == "" else value for value in row])
        if len(group) == _ROWS:
            pickle.dump(group, out)
            group = []
    pickle.dump(group, out)
    pickle.dump(None, out)


def _open_sheet(path: str, wanted: str | int | None) -> tuple[Head, Iterator[Any]]:
    import python_calamine  # noqa: PLC0415  # an extra

    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        name = _choose_sheet(book.sheets_metadata, wanted)
        errors = _find_errors(path, name)
        sheet = book.get_sheet_by_name(name)
        start = sheet.start or (0, 0)
        merged = sheet.merged_cell_ranges or []
    except python_calamine.CalamineError as error:
        raise SheetError(f"is not a workbook that can be read: {error}", _AGAIN) from error
    except (zipfile.BadZipFile, ElementTree.ParseError, OSError, EOFError, KeyError) as error:
        raise SheetError(f"is damaged: {error}", _AGAIN) from error
    head = Head(sheet=name, first_column=start[1], merged=merged, errors=errors)
    return head, iter(sheet.iter_rows()) if sheet.height else iter(())


_AGAIN = "open it in a spreadsheet program, and save it again as .xlsx"


def _choose_sheet(sheets: Sequence[Any], wanted: str | int | None) -> str:
    from python_calamine import SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415  # an extra

    names = [sheet.name for sheet in sheets if sheet.typ == SheetTypeEnum.WorkSheet]
    visible = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
    listed = ", ".join(f"`{name}`" for name in names[:20])
    if not names:
        raise SheetError("has no sheets with cells")
    if isinstance(wanted, int):
        if wanted > len(names):
            raise SheetError(f"has no sheet {wanted}", f"its sheets are {listed}")
        return str(names[wanted - 1])
    if wanted is not None:
        if wanted not in names:
            raise SheetError(f"has no sheet `{wanted}`", f"its sheets are {listed}")
        return wanted
    candidates = [name for name in names if name in visible] or names
    if len(candidates) > 1:
        shown = ", ".join(f"`{name}`" for name in candidates[:20])
        raise SheetError(
            f"has {len(candidates)} sheets: {shown}",
            f"name the one to read: source: {{sheet: {json.dumps(candidates[0])}}}",
        )
    return str(candidates[0])


# Cells that Calamine takes for empty: errors, and formulas without a result.

_P = rb"(?:\w+:)?"
_ERROR = re.compile(
    rb"<%bc\b(?P<tag>[^<>]*\bt=[\"']e[\"'][^<>]*)>(?:(?!</%bc>).)*?<%bv[^<>]*>(?P<text>[^<]*)<"
    % (_P, _P, _P),
    re.DOTALL,
)
_NEVER_COMPUTED = re.compile(
    rb"<%bc\b(?P<tag>(?![^<>]*\bt=[\"']str[\"'])[^<>]*)>\s*<%bf\b(?:[^<>]*/>|[^<>]*>[^<]*</%bf>)\s*"
    rb"(?:<%bv\s*/>|<%bv\s*>\s*</%bv>|(?=</%bc>))" % ((_P,) * 7)
)
_ADDRESS = re.compile(rb"\br=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")


def _find_errors(path: str, sheet: str) -> dict[Cell, str]:
    """The cells of a sheet that have an error such as ``#N/A``, or a formula without a result.

    Raises:
        SheetError: one of them has no address.
    """
    found: dict[Cell, str] = {}
    with zipfile.ZipFile(path) as archive, archive.open(_part_of(archive, sheet)) as part:
        held = b""
        while block := part.read(1 << 20):
            held = held[-_WINDOW:] + block
            # The patterns are slow, and most sheets have none of it.
            for match in _ERROR.finditer(held if b't="e"' in held or b"t='e'" in held else b""):
                found[_cell(match["tag"])] = match["text"].decode(errors="replace")
            formulas = held if b"<f" in held or b":f" in held else b""
            for match in _NEVER_COMPUTED.finditer(formulas):
                found[_cell(match["tag"])] = "a formula without a result"
    return found


def _cell(tag: bytes) -> Cell:
    address = _ADDRESS.search(tag)
    if address is None:
        raise SheetError("has cells with errors, and without an address", _AGAIN)
    column = 0
    for letter in address[1]:
        column = column * 26 + letter - 64
    return int(address[2]) - 1, column - 1


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """The file of a sheet inside the workbook."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314  # expat bounds entities
    keys = [
        value
        for element in book.iter()
        if element.tag.rpartition("}")[2] == "sheet" and element.get("name") == sheet
        for name, value in element.attrib.items()
        if name.rpartition("}")[2] == "id" and name != "sheetId"
    ]
    links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314  # likewise
    targets = {element.get("Id"): element.get("Target", "") for element in links}
    target = targets[keys[0] if keys else ""]
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def main() -> None:
    """Read the sheet that the arguments name."""
    with suppress(ImportError, ValueError, OSError):  # not on every system
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        read_sheet(sys.argv[1], json.loads(sys.argv[2]), out)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except BaseException as error:  # noqa: BLE001  # a panic of Rust is not an `Exception`
        pickle.dump(f"{type(error).__name__}: {error}", out)
    out.flush()
