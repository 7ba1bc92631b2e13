"""Plans of loads, as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from loader.escaping import fenced, markdown, one_line
from loader.plan.dispositions import Role
from loader.plan.model import Plan, Statement

Style = Callable[..., str]
"""Marks text for a terminal: ``style(text, fg="red", bold=True)``."""

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
"""Characters a pull-request comment may have."""


@dataclass(frozen=True)
class Told:
    """What is shown of one plan, which needs far less room than the plan."""

    table: str
    title: str
    body: str
    """The plan as its form has it; only the summary is told of several plans together."""
    data: dict[str, object] | None
    replaces: Literal["slice", "table", None]
    rows: int | None
    exit_code: int
    """For ``--detailed-exitcode``: 0 nothing to change, 2 changes, 3 destructive changes."""


def tell(
    plan: Plan, form: str, style: Style, *, verbose: bool = False, as_data: bool = False
) -> Told:
    """One plan in a form: text for a terminal, sql for a SQL client, markdown, or only data."""
    match form:
        case "sql":
            body = plan.sql.rstrip("\n")
        case "markdown":
            body = "\n".join(_markdown_lines(plan))
        case "text":
            body = "\n".join([*plan_lines(plan, style, verbose=verbose), ""])
        case _:
            body = ""
    return Told(
        table=plan.spec.table,
        title=next(plan.header()),
        body=body,
        data=plan.to_dict() if as_data else None,
        replaces=plan.replaces,
        rows=plan.rows,
        exit_code=3 if plan.full_refresh else 2 if plan.statements else 0,
    )


def answer(told: Sequence[Told], form: str) -> Iterator[str]:
    """Everything that is shown of some plans, piece by piece, with what they come to."""
    bodies = (one.body for one in told)
    if form == "sql":
        yield from (f"\n{body}" if at else body for at, body in enumerate(bodies))
    elif form == "text":
        yield from bodies
        yield from _summary(told)
    else:
        yield _markdown(told)


def _markdown(told: Sequence[Told]) -> str:
    first = f"### `loader plan`: {counted(len(told), 'load')}"
    whole = "\n".join([first, "", *(one.body for one in told), *map(markdown, _summary(told))])
    if len(whole) <= COMMENT_LIMIT:
        return whole
    short = [f"- {markdown(one.title)}" for one in told]
    return "\n".join([first, "", *short, "", *map(markdown, _summary(told))])[:COMMENT_LIMIT]


def plan_lines(
    plan: Plan, style: Style, *, verbose: bool, deletes: int | None = None
) -> Iterator[str]:
    """One load: what it is about, then its statements."""
    title, *rest = map(one_line, plan.header())
    yield style(title, bold=True)
    for line in rest:
        yield style(f"  {line}", fg="yellow") if "PLACEHOLDER" in line else f"  {line}"
    if plan.rows is not None:
        yield f"  {plan.rows:,} rows fit the spec"
    if deletes is not None:
        yield f"  {deletes:,} rows to delete"
    yield ""
    if verbose:
        for statement in plan.setup:
            yield from statement_lines(None, statement, style, verbose=True)
    elif plan.setup:
        told = "the ledger, made when it is missing, before the transaction; -v shows the SQL"
        yield style(f"         {told}", dim=True)
    for statement in (*plan.session, *plan.outside, *plan.before):
        if verbose or statement.group is None:
            yield from statement_lines(None, statement, style, verbose=verbose)
    yield from transaction_lines(plan.statements, style, verbose=verbose)
    for statement in plan.after:
        yield from statement_lines(None, statement, style, verbose=verbose)


def transaction_lines(
    statements: Sequence[Statement], style: Style, *, verbose: bool
) -> Iterator[str]:
    """What runs between BEGIN and COMMIT, routine in a word."""
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
    """One statement, with its number and its reason."""
    mark = _MARKS.get(statement.role, " ")
    condition = f" ({statement.when})" if statement.when else ""
    source = f" [{statement.project_template}]" if statement.project_template else ""
    place = "" if number is None else number
    head = one_line(f"{mark} {place:>5}  {statement.name}{condition}: {statement.why}{source}")
    yield style(head, fg=_COLOURS[mark]) if mark in _COLOURS else head
    for line in statement.sql.splitlines():
        yield f"           {line}"
    if verbose:
        yield style(f"           -- {statement.template}", dim=True)


def _summary(told: Sequence[Told]) -> Iterator[str]:
    kinds = [one.replaces for one in told]
    slices, whole = kinds.count("slice"), kinds.count("table")
    rows = [one.rows for one in told if one.rows is not None]
    parts = [counted(len(told), "load")]
    if slices:
        parts.append(f"{counted(slices, 'slice')} replaced")
    if whole:
        parts.append(f"{counted(whole, 'whole table')} replaced")
    to_load = f"; {sum(rows):,} rows to load" if rows else ""
    yield f"Plan: {', '.join(parts)}{to_load}."
    yield f"Touched: {one_line(', '.join(one.table for one in told))}"
    yield "Offline: no live table was looked at, so what it lacks or holds is not known."


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _markdown_lines(plan: Plan) -> Iterator[str]:
    """For a pull-request comment, the SQL folded away."""
    title, *rest = plan.header()
    yield from (f"**{markdown(title)}**", "")
    yield from (f"- {markdown(line)}" for line in rest)
    yield from ("", "<details><summary>SQL</summary>", "", fenced(plan.sql.rstrip("\n")))
    yield from ("", "</details>", "")
