"""Refuses loads of a table that the warehouse still has under an earlier name."""

from __future__ import annotations

from loader.errors import PlanError
from loader.plan.drift.renames import earlier_tables
from loader.plan.live_table import Live, LiveTable, is_a_table
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer
from loader.warehouse.base import Session
from loader.warehouse.introspect import describe


def find_earlier_name(session: Session, renderer: Renderer, spec: TableSpec) -> str | None:
    """The name of a live table that is an earlier one of the spec's, as ``schema.name``.

    Raises:
        ExecuteError: the catalog cannot be read.
    """
    for table in earlier_tables(spec):
        if is_a_table(describe(session, renderer, table)):
            return f"{table.schema}.{table.name}"
    return None


def refuse_earlier_name(session: Session, renderer: Renderer, spec: TableSpec, live: Live) -> None:
    """Check that a load that finds no table would not make a second one beside the first.

    Raises:
        PlanError: a table with an earlier name exists.
        ExecuteError: the catalog cannot be read.
    """
    earlier = None if isinstance(live, LiveTable) else find_earlier_name(session, renderer, spec)
    if earlier is not None:
        raise PlanError(
            f"the live table has its earlier name, {earlier}: {spec.table} would be a second one"
            " beside it",
            hint=f"`loader apply {spec.asset_key}` renames it, with its rows and its loads in the"
            " ledger; then load again",
        )
