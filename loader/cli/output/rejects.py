"""Formats rejected rows: their reasons with counts, and the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from loader.escaping import escape_line
from loader.text_tables import align, format_count

if TYPE_CHECKING:
    from loader.executor.read_rejects import RejectedRows

_MOST = 10
"""The most reasons that are shown where they are not asked for."""

_WIDTH = 40
"""Maximum characters of a value; the file has all of it."""


def format_reasons(reasons: Sequence[Mapping[str, str | int]], most: int = _MOST) -> list[str]:
    """One line for each reason: how many rows, the column, and why."""
    shown = [
        (format_count(int(one["rows"]), "row"), str(one["column"]), str(one["reason"]))
        for one in reasons[:most]
    ]
    lines = align([tuple(map(escape_line, row)) for row in shown]) if shown else []
    more = len(reasons) - most
    return [*lines, f"and {format_count(more, 'more reason')}"] if more > 0 else lines


def format_rejects(table: str, found: RejectedRows) -> str:
    """The reasons of all rejected rows of a load, and its first rows as a table."""
    head = f"{escape_line(table)}: {format_count(found.total, 'row')} rejected by the load"
    lines = [f"{head} {escape_line(found.load_id)}, {found.written:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [f"  {line}" for line in format_reasons(found.reasons, len(found.reasons))]
    lines += ["", *_rows(found.rows), ""]
    if found.total > len(found.rows):
        lines.append(f"{len(found.rows):,} of {format_count(found.total, 'row')}; --limit has more")
    return "\n".join([*lines, f"all in {escape_line(found.location)}"])


def _rows(rows: Sequence[Mapping[str, str | int | None]]) -> list[str]:
    own = {"_origin": "origin", "_row": "row", "_reason": "reason"}
    names = [name for name in rows[0] if name not in own] if rows else []
    order = ["_origin", "_row", *names, "_reason"]
    cells = [[own.get(name, name) for name in order]]
    cells += [[_cell(row[name], whole=name == "_reason") for name in order] for row in rows]
    return align([[escape_line(cell) for cell in row] for row in cells])


def _cell(value: str | int | None, *, whole: bool) -> str:
    text = "NULL" if value is None else str(value)
    return text if whole or len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
