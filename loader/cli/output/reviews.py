"""Live tables under review: what differs, what would fix it, and the loads after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from loader.cli.output.plans import (
    COMMENT_LIMIT,
    Style,
    counted,
    plan_lines,
    statement_lines,
    transaction_lines,
)
from loader.escaping import fenced, one_line
from loader.escaping import markdown as escape
from loader.plan.drift.difference import Difference
from loader.plan.live_table import LiveTable
from loader.plan.review import Review
from loader.plan.table_changes import TableChange, told
from loader.text_tables import align

_WIDTH = 36
"""Characters of a cell; what is longer is told in full by the statements."""

_NAMED = 200
"""Tables that the last lines name."""

_COLOURS = {"+": "green", "~": "yellow", "!": "red", "x": "red"}


def text(reviews: Sequence[Review], style: Style, *, verbose: bool = False) -> str:
    """Reviews for a terminal: what differs, the statements that fix it, then the load."""
    lines: list[str] = []
    for review in reviews:
        lines += [*_change_lines(review.change, review, style, verbose=verbose), ""]
        if review.load_waits:
            lines += [style(f"The load below {_waits(review)}:", fg="yellow"), ""]
        gone = review.rows_to_delete if review.asked else None
        lines += [*plan_lines(review.load, style, verbose=verbose, deletes=gone), ""]
    return "\n".join([*lines, *_summary(reviews)])


def changes(pending: Sequence[TableChange], style: Style, *, verbose: bool = False) -> str:
    """Changes alone, for whoever is about to apply them."""
    lines: list[str] = []
    for change in pending:
        lines += [*_change_lines(change, None, style, verbose=verbose), ""]
    return "\n".join([*lines, _totals(pending)])


def _change_lines(
    change: TableChange, review: Review | None, style: Style, *, verbose: bool
) -> Iterator[str]:
    yield style(one_line(_title(change)), bold=True)
    rows = list(_rows(change, review, verbose=verbose))
    yield from (f"  {line}" for line in _columns(rows, style))
    if isinstance(change.live, LiveTable) and change.live.is_table:
        yield f"    {_agreeing(change)}"
    for reason in change.blocked:
        yield style(f"  x CANNOT BE DONE: {one_line(reason)}", fg="red", bold=True)
    for reason in change.unproven:
        yield style(f"  ! NOT PROVEN: {one_line(reason)}", fg="red")
    for note in change.drift.notes:
        yield style(f"  note: {one_line(note)}", fg="yellow")
    if isinstance(change.live, LiveTable) and change.live.dependants:
        yield f"  bound to it: {one_line(', '.join(change.live.dependants))}"
    if not (change.outside or change.statements):
        return
    if review is not None and review.load_changes:
        yield "  its load makes the changes that it needs"
        if not _beyond_load(change):
            return
    yield ""
    for statement in change.outside:
        yield from statement_lines(None, statement, style, verbose=verbose)
    if change.statements:
        yield from transaction_lines(change.statements, style, verbose=verbose)


def _waits(review: Review) -> str:
    """What has to be done before the load can be had."""
    change = review.change
    if change.blocked:
        return "fails as long as the live table differs like that"
    return f"fails until `loader apply {change.spec.asset_key}` is done"


def _beyond_load(change: TableChange) -> bool:
    """Whether there is something that the load leaves alone."""
    if not isinstance(change.live, LiveTable):
        return False
    return any(not one.stops_loads for one in change.differences)


def _title(change: TableChange) -> str:
    place = f"{change.spec.table} on {change.target.name} ({change.target.dialect})"
    if not change.differences:
        return f"= {place}: the live table is what its spec says"
    if not isinstance(change.live, LiveTable):
        return f"+ {place}: there is no such table yet"
    if change.blocked:
        return f"x {place}: the live table differs, and not all of it can be fixed"
    mark = "!" if change.destructive else "~"
    rows = f", of {counted(change.rows, 'row')}" if change.rows is not None else ""
    anew = f" and is rebuilt{rows}" if change.drift.rebuilds else ""
    return f"{mark} {place}: the live table differs{anew}"


Row = tuple[str, str, str, str, str, str]


def _rows(change: TableChange, review: Review | None, *, verbose: bool) -> Iterator[Row]:
    """The table of columns: mark, name, spec, live, frame, and what happens."""
    frame = review.frame if review is not None else {}
    shown: set[str] = set()
    for one in change.differences:
        if one.kind in ("create table", "relation"):
            continue
        if one.column:
            shown.add(one.column)
        name = one.column or "(table)"
        spec, live = _cell(one.spec), _cell(one.live)
        yield _mark(one), name, spec, live, _cell(frame.get(one.column or "")), _what(one)
    if not frame and not verbose:
        return
    there = {}
    if isinstance(change.live, LiveTable):
        there = {column.name.lower(): column.data_type for column in change.live.columns}
    for column in change.spec.columns:
        if column.name not in shown:
            found = there.get(column.name)
            yield (
                " ",
                column.name,
                str(column.data_type),
                _cell(found),
                _cell(frame.get(column.name)),
                "",
            )
    for name, kind in frame.items():
        if name.lower() not in change.spec.by_name:
            yield " ", name, "-", "-", _cell(kind), "not in the spec"


def _mark(one: Difference) -> str:
    if one.blocked:
        return "x"
    if one.loss:
        return "!"
    return "+" if one.live is None else "~"


def _cell(text: str | None) -> str:
    if not text:
        return "-"
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _what(one: Difference) -> str:
    how = {
        "outside": ", before the transaction",
        "rebuild": ", by rebuilding the table",
        "swap": ", by a column in its place",
    }
    reason = f", as {one.reason}" if one.reason else ""
    loss = f": {one.loss}" if one.loss else ""
    return f"{one.kind}{how.get(one.remedy, '')}{reason}{loss}"


def _columns(rows: Sequence[Row], style: Style) -> Iterator[str]:
    if not rows:
        return
    framed = any(row[4] != "-" for row in rows)
    head: Row = ("", "column", "spec", "live", "frame", "")
    kept = [at for at in range(1, 6) if at != 4 or framed]
    table = [head, *(tuple(map(one_line, row)) for row in rows)]
    for row, cells in zip(table, align([[row[at] for at in kept] for row in table]), strict=True):
        line = f"{row[0] or ' '} {cells}"
        yield style(line, fg=_COLOURS[row[0]]) if row[0] in _COLOURS else line


def _agreeing(change: TableChange) -> str:
    different = {one.column for one in change.differences if one.column}
    count = sum(column.name not in different for column in change.spec.columns)
    return f"{counted(count, 'column')} {'agrees' if count == 1 else 'agree'}"


def _summary(reviews: Sequence[Review]) -> Iterator[str]:
    changes = [review.change for review in reviews]
    yield _totals(changes)
    asked = [review for review in reviews if review.asked]
    deleted = [one.rows_to_delete for one in asked if one.rows_to_delete is not None]
    loaded = [one.load.rows for one in asked if one.load.rows is not None]
    parts = [counted(len(asked), "load") if asked else "none asked for"]
    if deleted:
        parts.append(f"{counted(sum(deleted), 'row')} to delete")
    if loaded:
        parts.append(f"{counted(sum(loaded), 'row')} to load")
    yield f"Load: {', '.join(parts)}."
    touched = [one.change.spec.table for one in reviews if one.asked or one.change.differences]
    more = f" and {len(touched) - _NAMED:,} more" if len(touched) > _NAMED else ""
    yield f"Touched: {one_line(', '.join(touched[:_NAMED])) or 'nothing'}{more}"
    target = changes[0].target if changes else None
    where = f" of {target.name} ({target.dialect})" if target else ""
    yield f"Live: {counted(len(changes), 'table')}{where} looked at; nothing was changed."


_TOTALS = (
    ("create table", "table to create", "tables to create"),
    ("add column", "column to add", "columns to add"),
    ("widen column", "column to widen", "columns to widen"),
    ("drop column", "column to drop", "columns to drop"),
)


def _totals(changes: Sequence[TableChange]) -> str:
    kinds: Counter[str] = Counter(one.kind for change in changes for one in change.differences)
    if not kinds:
        return "Plan: nothing to change; the live tables are what their specs say."
    parts = [
        f"{kinds[kind]:,} {one if kinds[kind] == 1 else many}"
        for kind, one, many in _TOTALS
        if kinds[kind]
    ]
    other = sum(kinds.values()) - sum(kinds[kind] for kind, _, _ in _TOTALS)
    if other:
        parts.append(counted(other, "other change"))
    anew = sum(change.drift.rebuilds for change in changes)
    if anew:
        parts.append(f"{counted(anew, 'table')} rebuilt")
    destructive = sum(bool(one.loss) for change in changes for one in change.differences)
    blocked = sum(bool(change.blocked) for change in changes)
    parts.append(f"{destructive} destructive")
    if blocked:
        parts.append(f"{counted(blocked, 'table')} that cannot be fixed")
    return f"Plan: {', '.join(parts)}."


def sql(reviews: Sequence[Review]) -> str:
    """Reviews as scripts for a SQL client: the changes, and the loads that were asked for."""
    parts = []
    for review in reviews:
        if not (review.asked and review.load_changes) or _beyond_load(review.change):
            parts.append(review.change.sql)
        if review.asked:
            parts.append(review.load.sql)
    if not any(parts):
        return "-- nothing to change"
    return "\n".join(part for part in parts if part).rstrip("\n")


def markdown(reviews: Sequence[Review]) -> str:
    """Reviews for a pull-request comment, the SQL folded away."""
    head = [f"### `loader plan --live`: {counted(len(reviews), 'table')}", ""]
    summary = [
        f"**{escape(line)}**" if at == 0 else escape(line)
        for at, line in enumerate(_summary(reviews))
    ]
    head += ["  \n".join(summary), ""]
    whole = [*head]
    for review in reviews:
        whole += _markdown(review, script=True)
    if len("\n".join(whole)) <= COMMENT_LIMIT:
        return "\n".join(whole)
    # Tables that need nothing are told in a word, then scripts are left out, then tables.
    note = "_Shortened: the whole plan is longer than a comment may be; run it to see all._"
    short = [*head, note, ""]
    for review in sorted(reviews, key=lambda one: not one.change.differences):
        piece = _markdown(review, script=False)
        if len("\n".join([*short, *piece])) > COMMENT_LIMIT - 40:
            short.append("…")
            break
        short += piece
    return "\n".join(short)


def _markdown(review: Review, *, script: bool) -> list[str]:
    change = review.change
    lines = [f"#### {escape(_title(change))}", ""]
    rows = list(_rows(change, review, verbose=False))
    if rows:
        lines += ["| | column | spec | live | frame | |", "|---|---|---|---|---|---|"]
        lines += [f"| {' | '.join(_markdown_cell(cell) for cell in row)} |" for row in rows]
        lines.append("")
    lines += [f"- **cannot be done**: {escape(reason)}" for reason in change.blocked]
    lines += [f"- **not proven**: {escape(reason)}" for reason in change.unproven]
    lines += [f"- {escape(note)}" for note in change.drift.notes]
    lines += [f"- load: {escape(line)}" for line in _load_lines(review)]
    lines.append("")
    if script:
        scripts = "\n".join(part for part in (review.change.sql, review.load.sql) if part)
        lines += ["<details><summary>SQL</summary>", "", fenced(scripts), "", "</details>", ""]
    return lines


def _load_lines(review: Review) -> Iterator[str]:
    yield from review.load.header()
    if review.load_waits:
        yield _waits(review)
    if review.asked and review.rows_to_delete is not None:
        yield f"{counted(review.rows_to_delete, 'row')} to delete"
    if review.load.rows is not None:
        yield f"{counted(review.load.rows, 'row')} to load"


def _markdown_cell(text: str) -> str:
    return escape(text)


def exit_code(reviews: Iterable[Review]) -> int:
    """For ``--detailed-exitcode``: 0 nothing to change, 2 changes, 3 destructive changes."""
    reviews = list(reviews)
    if any(one.change.destructive or (one.asked and one.load.full_refresh) for one in reviews):
        return 3
    return 2 if any(one.change.differences or one.asked for one in reviews) else 0


def applied(changes: Sequence[TableChange]) -> str:
    """What was done, table by table."""
    if not changes:
        return "nothing to change; the live tables are what their specs say"
    lines = []
    for change in changes:
        what = "; ".join(told(one) for one in change.differences)
        lines.append(one_line(f"{change.spec.table}: {what}"))
        if change.kept and not change.after:
            lines.append(one_line(f"  kept as {change.kept.schema}.{change.kept.name}"))
    return "\n".join([*lines, f"{counted(len(changes), 'table')} changed"])
