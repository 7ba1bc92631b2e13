"""Formats reviews of live tables: differences, the changes that fix them, and the loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from loader.cli.output.plans import (
    COMMENT_LIMIT,
    Style,
    plan_lines,
    statement_lines,
    transaction_lines,
)
from loader.escaping import escape_line, fence_code
from loader.escaping import escape_markdown as escape
from loader.plan.drift.difference import Difference
from loader.plan.live_table import LiveTable
from loader.plan.review import Review
from loader.plan.script import change_script, load_script
from loader.plan.table_changes import TableChange, describe_difference
from loader.sql.renderer import Renderer
from loader.text_tables import align, format_count

_WIDTH = 36
"""Maximum characters of a cell; the statements show longer text in full."""

_MAX_LISTED = 200
"""Maximum tables listed in the summary."""

_COLOURS = {"+": "green", "~": "yellow", "!": "red", "x": "red"}


def format_text(reviews: Sequence[Review], style: Style, *, verbose: bool = False) -> str:
    """Format reviews for a terminal: differences, statements that fix them, and requested loads.

    Tables that change come first; those that need nothing are one line, unless ``verbose``.
    """
    lines: list[str] = []
    shown, idle = (list(_sorted(reviews)), []) if verbose else _split(reviews)
    for review in shown:
        lines += [*_change_lines(review, style, verbose=verbose), ""]
        if not review.asked:
            continue
        if review.load_waits:
            lines += [style(f"The load below {_describe_wait(review)}:", fg="yellow"), ""]
        deletes = review.rows_to_delete
        lines += [*plan_lines(review.load, style, verbose=verbose, deletes=deletes), ""]
    if idle:
        lines += [f"= {_format_idle(idle)}", ""]
    return "\n".join([*lines, *_summary(reviews)])


def _sorted(reviews: Iterable[Review]) -> list[Review]:
    """The reviews of tables that change, then those of loads, then the others."""
    return sorted(reviews, key=lambda one: (not one.change.differences, not one.asked))


def _split(reviews: Iterable[Review]) -> tuple[list[Review], list[Review]]:
    """The reviews with something to show, those that change first; and those without."""
    idle = [one for one in reviews if _needs_nothing(one)]
    return [one for one in _sorted(reviews) if not _needs_nothing(one)], idle


def _needs_nothing(review: Review) -> bool:
    return not (review.asked or review.change.differences or review.change.drift.notes)


def _format_idle(idle: Sequence[Review]) -> str:
    return f"{format_count(len(idle), 'table')} {'needs' if len(idle) == 1 else 'need'} nothing"


def _change_lines(review: Review, style: Style, *, verbose: bool) -> Iterator[str]:
    change = review.change
    yield style(escape_line(_title(change)), bold=True)
    rows = list(_rows(review, verbose=verbose))
    yield from (f"  {line}" for line in _columns(rows, style))
    if isinstance(change.live, LiveTable) and change.live.is_table:
        yield f"    {_format_equal_columns(change)}"
    for reason in change.blocked:
        yield style(f"  x CANNOT BE DONE: {escape_line(reason)}", fg="red", bold=True)
    for reason in change.unproven:
        yield style(f"  ! NOT PROVEN: {escape_line(reason)}", fg="red")
    for note in change.drift.notes:
        yield style(f"  note: {escape_line(note)}", fg="yellow")
    if isinstance(change.live, LiveTable) and change.live.dependants:
        yield f"  dependent objects: {escape_line(', '.join(change.live.dependants))}"
    if review.load_waits and not review.asked:
        yield f"  a load {_describe_wait(review)}"
    if not (change.outside or change.statements):
        return
    if review.load_changes:
        which = "the load" if review.asked else "a load"
        yield f"  {which} itself makes the changes that it needs"
        if review.asked and not _has_other_changes(change):
            return
    yield ""
    for statement in change.outside:
        yield from statement_lines(None, statement, style, verbose=verbose)
    if change.statements:
        yield from transaction_lines(change.statements, style, verbose=verbose)


def _describe_wait(review: Review) -> str:
    """What must happen before the load can succeed."""
    change = review.change
    if change.blocked:
        return "fails while the live table differs like this"
    return f"fails until `loader apply {change.spec.asset_key}` has run"


def _has_other_changes(change: TableChange) -> bool:
    """Whether there are changes that the load does not make itself."""
    if not isinstance(change.live, LiveTable):
        return False
    return any(not one.stops_loads for one in change.differences)


def _title(change: TableChange) -> str:
    place = f"{change.spec.table} on {change.target.name} ({change.target.dialect})"
    if not change.differences:
        return f"= {place}: the live table matches its spec"
    if not isinstance(change.live, LiveTable):
        return f"+ {place}: the table does not exist yet"
    if change.blocked:
        return f"x {place}: the live table differs, and some differences cannot be fixed"
    mark = "!" if change.destructive else "~"
    rows = f" with its {format_count(change.rows, 'row')}" if change.rows is not None else ""
    rebuilt = f" and will be rebuilt{rows}" if change.drift.rebuilds else ""
    return f"{mark} {place}: the live table differs{rebuilt}"


Row = tuple[str, str, str, str, str, str]


def _rows(review: Review, *, verbose: bool) -> Iterator[Row]:
    """The rows of the table of columns: mark, name, spec, live, frame, and action."""
    change, frame = review.change, review.frame
    shown: set[str] = set()
    for one in change.differences:
        if one.kind in ("create table", "relation"):
            continue
        if one.column:
            shown.add(one.column)
        name = one.column or "(table)"
        spec, live = _cell(one.spec), _cell(one.live)
        yield _mark(one), name, spec, live, _cell(frame.get(one.column or "")), _action(one)
    if not frame and not verbose:
        return
    types = {}
    if isinstance(change.live, LiveTable):
        types = {column.name.lower(): column.data_type for column in change.live.columns}
    for column in change.spec.columns:
        if column.name not in shown:
            live, found = _cell(types.get(column.name)), _cell(frame.get(column.name))
            yield " ", column.name, str(column.data_type), live, found, ""
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


def _action(one: Difference) -> str:
    how = {
        "before_transaction": ", before the transaction",
        "rebuild": ", by rebuilding the table",
        "swap": ", by replacing the column",
    }
    reason = f", as {one.reason}" if one.reason else ""
    loss = f": {one.loss}" if one.loss else ""
    return f"{one.kind}{how.get(one.remedy, '')}{reason}{loss}"


_HEAD: Row = ("", "column", "spec", "live", "frame", "")


def _used_columns(rows: Sequence[Row]) -> list[int]:
    """The places of the columns of the table of columns; that of the frame only if there is one."""
    has_frame = any(row[4] != "-" for row in rows)
    return [at for at in range(6) if at != 4 or has_frame]


def _columns(rows: Sequence[Row], style: Style) -> Iterator[str]:
    if not rows:
        return
    used = _used_columns(rows)[1:]
    table = [_HEAD, *(tuple(map(escape_line, row)) for row in rows)]
    for row, cells in zip(table, align([[row[at] for at in used] for row in table]), strict=True):
        line = f"{row[0] or ' '} {cells}"
        yield style(line, fg=_COLOURS[row[0]]) if row[0] in _COLOURS else line


def _format_equal_columns(change: TableChange) -> str:
    different = {one.column for one in change.differences if one.column}
    count = sum(column.name not in different for column in change.spec.columns)
    return f"{format_count(count, 'column')} {'matches' if count == 1 else 'match'}"


def _summary(reviews: Sequence[Review]) -> Iterator[str]:
    changes = [review.change for review in reviews]
    yield _totals(changes)
    requested = [review for review in reviews if review.asked]
    deleted = [one.rows_to_delete for one in requested if one.rows_to_delete is not None]
    loaded = [one.load.rows for one in requested if one.load.rows is not None]
    parts = [format_count(len(requested), "load") if requested else "none requested"]
    if deleted:
        parts.append(f"{format_count(sum(deleted), 'row')} to delete")
    if loaded:
        parts.append(f"{format_count(sum(loaded), 'row')} to load")
    yield f"Load: {', '.join(parts)}."
    tables = [one.change.spec.table for one in reviews if one.asked or one.change.differences]
    more = f" and {len(tables) - _MAX_LISTED:,} more" if len(tables) > _MAX_LISTED else ""
    yield f"Tables: {escape_line(', '.join(tables[:_MAX_LISTED])) or 'none'}{more}"
    target = changes[0].target if changes else None
    where = f" of {target.name} ({target.dialect})" if target else ""
    yield f"Live: compared {format_count(len(changes), 'table')}{where}; nothing was changed."


_TOTALS = (
    ("create table", "table to create", "tables to create"),
    ("rename table", "table to rename", "tables to rename"),
    ("rename column", "column to rename", "columns to rename"),
    ("add column", "column to add", "columns to add"),
    ("widen column", "column to widen", "columns to widen"),
    ("drop column", "column to drop", "columns to drop"),
)


def _totals(changes: Sequence[TableChange]) -> str:
    kinds: Counter[str] = Counter(one.kind for change in changes for one in change.differences)
    if not kinds:
        return "Plan: nothing to change; the live tables match their specs."
    parts = [
        f"{kinds[kind]:,} {one if kinds[kind] == 1 else many}"
        for kind, one, many in _TOTALS
        if kinds[kind]
    ]
    other = sum(kinds.values()) - sum(kinds[kind] for kind, _, _ in _TOTALS)
    if other:
        parts.append(format_count(other, "other change"))
    rebuilt = sum(change.drift.rebuilds for change in changes)
    if rebuilt:
        parts.append(f"{format_count(rebuilt, 'table')} to rebuild")
    destructive = sum(bool(one.loss) for change in changes for one in change.differences)
    blocked = sum(bool(change.blocked) for change in changes)
    parts.append(f"{destructive} destructive")
    if blocked:
        parts.append(f"{format_count(blocked, 'table')} that cannot be fixed")
    return f"Plan: {', '.join(parts)}."


def format_sql(reviews: Sequence[Review], renderer: Renderer, moment: str) -> str:
    """Format reviews as one script, to run at this moment: the changes and the requested loads.

    Raises:
        PlanError: a load stages files that only Loader makes readable.
    """
    parts = []
    for review in _sorted(reviews):
        if not (review.asked and review.load_changes) or _has_other_changes(review.change):
            parts.append(change_script(review.change, renderer, moment))
        if review.asked:
            parts.append(load_script(review.load, renderer))
    if not any(parts):
        return "-- nothing to change"
    return "\n\n".join(part for part in parts if part)


def format_markdown(reviews: Sequence[Review]) -> str:
    """Format reviews as a pull-request comment, with collapsed SQL.

    What does not fit into a comment is left out: first the SQL of the last tables, since those that
    change come first, then the last tables.
    """
    shown, idle = _split(reviews)
    head = [f"### `loader plan --live`: {format_count(len(reviews), 'table')}", ""]
    summary = [
        f"**{escape(line)}**" if at == 0 else escape(line)
        for at, line in enumerate(_summary(reviews))
    ]
    head += ["  \n".join(summary), ""]
    tail = [f"{_format_idle(idle)}.", ""] if idle else []
    sections = [(_section(one), _collapsed_sql(one)) for one in shown]
    left = COMMENT_LIMIT - _length([*head, *tail, _SHORTENED.format(999_999, 999_999)])
    kept, scripts = _fitting([text for text, _ in sections], left)
    fitting, _ = _fitting(
        [sql if at in kept else "" for at, (_, sql) in enumerate(sections)], scripts
    )
    with_sql = fitting & kept
    lines = [*head]
    for at, (text, sql) in enumerate(sections):
        lines += [text] * (at in kept) + [sql] * (at in with_sql and bool(sql))
    lost = sum(bool(sql) and at not in with_sql for at, (_, sql) in enumerate(sections))
    if lost or len(kept) < len(sections):
        lines += [_SHORTENED.format(len(sections) - len(kept), lost), ""]
    return "\n".join([*lines, *tail])


_SHORTENED = (
    "_Shortened to the length of a comment: {:,} of the tables and the SQL of {:,} are left out;"
    " run it to see all._"
)


def _fitting(texts: Sequence[str], room: int) -> tuple[set[int], int]:
    """The numbers of the texts that fit, in their order, and the room that is left."""
    kept = set()
    for at, text in enumerate(texts):
        if len(text) + 1 <= room:
            kept.add(at)
            room -= len(text) + 1
    return kept, room


def _length(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _section(review: Review) -> str:
    """The Markdown of one table without its SQL."""
    change = review.change
    lines = [f"#### {escape(_title(change))}", ""]
    rows = list(_rows(review, verbose=False))
    if rows:
        used = _used_columns(rows)
        cells = [[escape(row[at]) for at in used] for row in [_HEAD, *rows]]
        head, *body = (f"| {' | '.join(line)} |" for line in cells)
        lines += [head, "|---" * len(used) + "|", *body, ""]
    lines += [f"- **cannot be done**: {escape(reason)}" for reason in change.blocked]
    lines += [f"- **not proven**: {escape(reason)}" for reason in change.unproven]
    lines += [f"- {escape(note)}" for note in change.drift.notes]
    lines += [f"- load: {escape(line)}" for line in _load_lines(review)]
    return "\n".join([*lines, ""])


def _collapsed_sql(review: Review) -> str:
    """The SQL of one table's changes and of its requested load; empty when there is none."""
    scripts = [review.change.sql, review.load.sql if review.asked else ""]
    text = "\n".join(filter(None, scripts))
    if not text:
        return ""
    lines = ["<details><summary>SQL</summary>", "", fence_code(text), "", "</details>", ""]
    return "\n".join(lines)


def _load_lines(review: Review) -> Iterator[str]:
    if review.load_waits:
        yield _describe_wait(review)
    if not review.asked:
        return
    yield from review.load.header()
    if review.rows_to_delete is not None:
        yield f"{format_count(review.rows_to_delete, 'row')} to delete"
    if review.load.rows is not None:
        yield f"{format_count(review.load.rows, 'row')} to load"


def exit_code(reviews: Iterable[Review]) -> int:
    """For ``--detailed-exitcode``: 0 nothing to change, 2 changes, 3 destructive changes."""
    reviews = list(reviews)
    if any(one.change.destructive or (one.asked and one.load.full_refresh) for one in reviews):
        return 3
    return 2 if any(one.change.differences or one.asked for one in reviews) else 0


def format_applied(changes: Sequence[TableChange]) -> str:
    """Format the changes that were made, one line for each table."""
    if not changes:
        return "nothing to change; the live tables match their specs"
    lines = []
    for change in changes:
        differences = "; ".join(describe_difference(one) for one in change.differences)
        lines.append(escape_line(f"{change.spec.table}: {differences}"))
        if change.kept and not change.after:
            lines.append(escape_line(f"  kept as {change.kept.schema}.{change.kept.name}"))
    return "\n".join([*lines, f"{format_count(len(changes), 'table')} changed"])
