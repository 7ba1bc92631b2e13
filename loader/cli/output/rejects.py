"""Formats rejected rows: their reasons with counts, and the first of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from loader.escaping import escape_line
from loader.text_tables import align, format_count

if TYPE_CHECKING:
    from loader.executor.read_rejects import RejectedRows
    from loader.spec.model import TableSpec

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


def format_rejects(found: Sequence[RejectedRows]) -> str:
    """For each load the reasons of all rejected rows, and its first rows as a table."""
    return "\n\n".join("\n".join(_lines(one)) for one in found)


def format_no_rejects(specs: Sequence[TableSpec], load_id: str | None) -> str:
    """Say that no rows were rejected, and how rows are, where no table has asked for it."""
    what = f"{escape_line(specs[0].table)}: no rejected rows" if len(specs) == 1 else ""
    what = what or "no rejected rows"
    if load_id is not None:
        return f"{what} of a load `{escape_line(load_id)}`"
    if any(spec.schema_contract.bad_rows == "reject" for spec in specs):
        return what
    return f"{what}; loads set them aside with schema_contract: {{bad_rows: reject}}"


def _lines(one: RejectedRows) -> Iterator[str]:
    outcome = ", which has loaded nothing" if one.committed is False else ""
    yield (
        f"{escape_line(one.table)}: {format_count(one.total, 'row')} rejected by the load"
        f" {escape_line(one.load_id)}{outcome}, {one.time:%Y-%m-%d %H:%M:%S} UTC"
    )
    yield from (f"  {line}" for line in format_reasons(one.reasons, len(one.reasons)))
    if one.rows:
        yield from ("", *_rows(one.rows), "")
        if one.total > len(one.rows):
            yield f"{len(one.rows):,} of {format_count(one.total, 'row')}; --limit shows more"
    if one.kept:
        yield f"all rows are in {escape_line(one.location)}"
    else:
        yield f"the rows are no longer in {escape_line(one.location)}"


def _rows(rows: Sequence[Mapping[str, str | int | None]]) -> list[str]:
    own = {"_origin": "origin", "_row": "row", "_reason": "reason"}
    names = [name for name in rows[0] if name not in own]
    order = ["_origin", "_row", *names, "_reason"]
    cells = [[own.get(name, name) for name in order]]
    cells += [[_cell(row[name], whole=name == "_reason") for name in order] for row in rows]
    return align([[escape_line(cell) for cell in row] for row in cells])


def _cell(value: str | int | None, *, whole: bool) -> str:
    text = "NULL" if value is None else str(value)
    return text if whole or len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
