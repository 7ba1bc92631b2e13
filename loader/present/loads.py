"""Plans of loads, as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from loader.dispositions import Role
from loader.plan import Plan, Statement

Style = Callable[..., str]
"""Marks text for a terminal: ``style(text, fg="red", bold=True)``."""

_COLOURS: dict[Role, str] = {
    "delete": "red",
    "copy": "green",
    "copied": "cyan",
    "count": "cyan",
    "none": "cyan",
    "check": "cyan",
}
_MARKS: dict[Role, str] = {"delete": "-", "copy": "+", "check": "?", "count": "?", "none": "?"}

COMMENT_LIMIT = 65_000
"""Characters a pull-request comment may have."""


def text(plans: Sequence[Plan], style: Style, *, verbose: bool = False) -> str:
    """Plans for a terminal: what will happen, then the exact SQL of each statement."""
    lines = [line for plan in plans for line in (*plan_lines(plan, style, verbose=verbose), "")]
    return "\n".join([*lines, *_summary(plans)])


def plan_lines(
    plan: Plan, style: Style, *, verbose: bool, deletes: int | None = None
) -> Iterator[str]:
    """One load: what it is about, then its statements."""
    title, *rest = plan.header()
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
    for statement in plan.outside:
        yield from statement_lines(None, statement, style, verbose=verbose)
    yield from transaction_lines(plan.statements, style, verbose=verbose)


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
    own = statement.template.startswith("loader/templates/")
    source = "" if own else f" [{statement.template}]"
    place = "" if number is None else number
    head = f"{mark} {place:>5}  {statement.name}{condition}: {statement.why}{source}"
    yield style(head, fg=_COLOURS.get(statement.role)) if statement.role in _COLOURS else head
    for line in statement.sql.splitlines():
        yield f"           {line}"
    if verbose:
        yield style(f"           -- {statement.template}", dim=True)


def _summary(plans: Sequence[Plan]) -> Iterator[str]:
    names = [statement.name for plan in plans for statement in plan.statements]
    slices, whole = names.count("delete the slice"), names.count("delete all rows")
    rows = [plan.rows for plan in plans if plan.rows is not None]
    told = [counted(len(plans), "load")]
    if slices:
        told.append(f"{counted(slices, 'slice')} replaced")
    if whole:
        told.append(f"{counted(whole, 'whole table')} replaced")
    to_load = f"; {sum(rows):,} rows to load" if rows else ""
    yield f"Plan: {', '.join(told)}{to_load}."
    yield f"Touched: {', '.join(plan.spec.table for plan in plans)}"
    yield "Offline: no live table was looked at, so what it lacks or holds is not known."


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def sql(plans: Sequence[Plan]) -> str:
    """Plans as scripts for a SQL client."""
    return "\n".join(plan.sql for plan in plans).rstrip("\n")


def markdown(plans: Sequence[Plan]) -> str:
    """Plans for a pull-request comment, the SQL folded away."""
    parts = [f"### `loader plan`: {counted(len(plans), 'load')}", ""]
    for plan in plans:
        title, *rest = plan.header()
        parts += [f"**{escape(title)}**", ""]
        parts += [f"- {escape(line)}" for line in rest]
        fence = fence_of(plan.sql)
        parts += ["", "<details><summary>SQL</summary>", "", f"{fence}sql", plan.sql.rstrip("\n")]
        parts += [fence, "", "</details>", ""]
    parts += list(_summary(plans))
    whole = "\n".join(parts)
    if len(whole) <= COMMENT_LIMIT:
        return whole
    short = [f"- {escape(next(plan.header()))}" for plan in plans]
    listed = "\n".join([parts[0], "", *short, "", *_summary(plans)])
    return listed[:COMMENT_LIMIT]


def escape(line: str) -> str:
    """A line that Markdown leaves as it is."""
    return line.replace("<", "&lt;").replace("*", "\\*")


def fence_of(script: str) -> str:
    """A fence that nothing in the script closes."""
    longest = max((len(run) for run in re.findall("`+", script)), default=0)
    return "`" * max(3, longest + 1)


def exit_code(plans: Sequence[Plan]) -> int:
    """For ``--detailed-exitcode``: 0 nothing to change, 2 changes, 3 destructive changes."""
    if any(plan.full_refresh for plan in plans):
        return 3
    return 2 if any(plan.statements for plan in plans) else 0
