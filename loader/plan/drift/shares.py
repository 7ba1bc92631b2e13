"""What the tables of a datashare cannot be or become, told before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from loader.errors import PlanError
from loader.plan.drift.difference import Difference
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer


def check_share(spec: TableSpec, renderer: Renderer) -> None:
    """Check that a table can be written through the datashare of the target, if it has one.

    Raises:
        PlanError: its sort key is interleaved (``considerations-datashare-reads-writes``).
    """
    refusal = _refuse_table(spec, renderer)
    if refusal:
        raise PlanError(refusal, hint="use another sort_type, or a target without `share`")


def block_in_share(
    spec: TableSpec, renderer: Renderer, found: Iterable[Difference]
) -> tuple[Difference, ...]:
    """The differences of a table, blocked where a datashare has no statement that fixes them.

    Columns are added, renamed and dropped (``multi-warehouse-writes-sql-statements``). No type is
    altered, and no table is rebuilt, since what hangs on it cannot be seen.
    """
    share = renderer.dialect.share
    if not share:
        return tuple(found)
    changed = (
        f"{spec.table} is in the datashare `{share}`, which takes no such change: alter it on the"
        " producer"
    )
    reasons = {"in place": _refuse_table(spec, renderer)}
    return tuple(
        replace(
            one,
            blocked=one.blocked
            or (changed if one.kind == "rename table" else reasons.get(one.remedy, changed)),
            unproven="",
        )
        for one in found
    )


def _refuse_table(spec: TableSpec, renderer: Renderer) -> str:
    if not renderer.dialect.share or spec.sort_type != "interleaved":
        return ""
    return (
        f"{spec.table} has an interleaved sort key, and no such table is written through a"
        f" datashare (`{renderer.dialect.share}`)"
    )
