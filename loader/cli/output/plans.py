"""Formats plans of loads as text, SQL and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from loader.escaping import escape_line, escape_markdown, fence_code
from loader.plan.loading import Role
from loader.plan.model import Plan, Statement
from loader.text_tables import agree, format_count

Style = Callable[..., str]
"""Styles text for a terminal: ``style(text, fg="red", bold=True)``."""

_MARKS: Mapping[Role, str] = {
    "delete": "-",
    "copy": "+",
    "write": "+",
    "count": "?",
    "verify": "?",
    "check": "?",
}
_COLOURS = {"-": "red", "+": "green", "?": "cyan"}

COMMENT_LIMIT = 65_000
"""Maximum characters of a pull-request comment."""


@dataclass(frozen=True)
class FormattedPlan:
    """One plan, formatted, with its totals; much smaller than the plan itself."""

    table: str
    title: str
    body: str
    """The plan in the requested format, without the summary of all plans."""
    data: dict[str, object] | None
    replaces: Literal["slice", "table", None]
    rows: int | None
    exit_code: int
    """For ``--detailed-exitcode``: 0 nothing to change, 2 changes, 3 destructive changes."""


def format_plan(
    plan: Plan,
    form: str,
    style: Style,
    script: Callable[[Plan], str],
    *,
    verbose: bool = False,
    as_data: bool = False,
) -> FormattedPlan:
    """Format a plan as ``text``, ``sql`` or ``markdown``; other forms, and `as_data`, as data."""
    match form:
        case "sql":
            body = script(plan)
        case "markdown":
            body = "\n".join(_markdown_lines(plan))
        case "text":
            body = "\n".join([*plan_lines(plan, style, verbose=verbose), ""])
        case _:
            body = ""
    return FormattedPlan(
        table=plan.spec.table,
        title=next(plan.header()),
        body=body,
        data=plan.to_dict() if as_data else None,
        replaces=plan.replaces,
        rows=plan.rows,
        exit_code=3 if plan.full_refresh else 2 if plan.statements else 0,
    )


def join_plans(plans: Sequence[FormattedPlan], form: str) -> Iterator[str]:
    """Yield the output of several plans in pieces, followed by their summary."""
    bodies = (one.body for one in plans)
    if form == "sql":
        yield from (f"\n{body}" if at else body for at, body in enumerate(bodies))
    elif form == "text":
        yield from bodies
        yield from _summary(plans)
    else:
        yield _markdown(plans)


def _markdown(plans: Sequence[FormattedPlan]) -> str:
    first = f"### `loader plan`: {format_count(len(plans), 'load')}"
    whole = "\n".join(
        [first, "", *(one.body for one in plans), *map(escape_markdown, _summary(plans))]
    )
    if len(whole) <= COMMENT_LIMIT:
        return whole
    short = [f"- {escape_markdown(one.title)}" for one in plans]
    return "\n".join([first, "", *short, "", *map(escape_markdown, _summary(plans))])[
        :COMMENT_LIMIT
    ]


def plan_lines(
    plan: Plan, style: Style, *, verbose: bool, deletes: int | None = None
) -> Iterator[str]:
    """The lines of one load: its header, then its statements."""
    title, *rest = map(escape_line, plan.header())
    yield style(title, bold=True)
    for line in rest:
        yield style(f"  {line}", fg="yellow") if "PLACEHOLDER" in line else f"  {line}"
    if plan.rows is not None:
        found = "rows by the footers of the files" if plan.in_place else "rows match the spec"
        yield f"  {agree(plan.rows, found)}"
    if deletes is not None:
        yield f"  {format_count(deletes, 'row')} to delete"
    yield ""
    if verbose:
        for statement in plan.setup:
            yield from statement_lines(None, statement, style, verbose=True)
    elif plan.setup:
        setup = "the ledger, created if missing, before the transaction; -v shows the SQL"
        yield style(f"         {setup}", dim=True)
    for statement in (*plan.session, *plan.outside, *plan.before):
        if verbose or statement.group is None:
            yield from statement_lines(None, statement, style, verbose=verbose)
    yield from transaction_lines(plan.statements, style, verbose=verbose)
    for statement in plan.after:
        yield from statement_lines(None, statement, style, verbose=verbose)


def transaction_lines(
    statements: Sequence[Statement], style: Style, *, verbose: bool
) -> Iterator[str]:
    """The lines of a transaction; groups of routine statements are one line unless `verbose`."""
    yield style("  BEGIN", bold=True)
    numbered = list(enumerate(statements, 1))
    for group, run in groupby(numbered, lambda item: None if verbose else item[1].group):
        if group is None:
            for number, statement in run:
                yield from statement_lines(number, statement, style, verbose=verbose)
        else:
            yield _routine_line(group, list(run), style)
    yield style("  COMMIT", bold=True)


def _routine_line(group: str, run: list[tuple[int, Statement]], style: Style) -> str:
    first, last = run[0][0], run[-1][0]
    numbers = f"{first}" if first == last else f"{first}-{last}"
    when = run[0][1].when
    condition = f" ({when})" if when else ""
    return style(f"  {numbers:>5}  {group}{condition}; -v shows the SQL", dim=True)


def statement_lines(
    number: int | None, statement: Statement, style: Style, *, verbose: bool
) -> Iterator[str]:
    """The lines of one statement: its number, name and reason, then its SQL."""
    mark = _MARKS.get(statement.role, " ")
    condition = f" ({statement.when})" if statement.when else ""
    source = f" [{statement.project_template}]" if statement.project_template else ""
    place = "" if number is None else number
    head = escape_line(f"{mark} {place:>5}  {statement.name}{condition}: {statement.why}{source}")
    yield style(head, fg=_COLOURS[mark]) if mark in _COLOURS else head
    for line in statement.sql.splitlines():
        yield f"           {line}"
    if verbose:
        yield style(f"           -- {statement.template}", dim=True)


def _summary(plans: Sequence[FormattedPlan]) -> Iterator[str]:
    kinds = [one.replaces for one in plans]
    slices, whole = kinds.count("slice"), kinds.count("table")
    rows = [one.rows for one in plans if one.rows is not None]
    parts = [format_count(len(plans), "load")]
    if slices:
        parts.append(f"{format_count(slices, 'slice')} replaced")
    if whole:
        parts.append(f"{format_count(whole, 'whole table')} replaced")
    to_load = f"; {format_count(sum(rows), 'row')} to load" if rows else ""
    yield f"Plan: {', '.join(parts)}{to_load}."
    yield f"Tables: {escape_line(', '.join(one.table for one in plans))}"
    yield "Offline: the live tables were not read; --live compares them with the specs."


def _markdown_lines(plan: Plan) -> Iterator[str]:
    """The lines of a plan in a pull-request comment, with collapsed SQL."""
    title, *rest = plan.header()
    yield from (f"**{escape_markdown(title)}**", "")
    yield from (f"- {escape_markdown(line)}" for line in rest)
    yield from ("", "<details><summary>SQL</summary>", "", fence_code(plan.sql.rstrip("\n")))
    yield from ("", "</details>", "")
