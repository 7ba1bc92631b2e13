"""Creates the ledger of a target, or adds the columns that one of an earlier version lacks."""

from __future__ import annotations

from collections.abc import Callable

from loader.errors import ExecuteError
from loader.plan.live_table import LiveTable
from loader.plan.load_plan import plan_ledger_upgrade
from loader.plan.model import Plan, Statement
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Session, transaction
from loader.warehouse.introspect import describe
from loader.warehouse.ledger import file_ledger_of, ledgers_of

Run = Callable[[Session, Statement], None]
"""Runs a statement."""


def create_ledger(session: Session, plan: Plan, table: Table, renderer: Renderer, run: Run) -> None:
    """Create or upgrade the ledger, in a transaction of its own; does nothing if it is complete.

    Args:
        session: The session of the load.
        plan: The load, whose target names the ledger.
        table: The table of the load, which may have a ledger of its own.
        renderer: Renders the queries of the catalog.
        run: Runs a statement, and checks its result.

    Raises:
        ExecuteError: it cannot be created.
    """
    missing = _missing_statements(session, plan, table, renderer)
    if not missing:
        return
    attempted: list[Statement] = []
    try:
        with transaction(session, lambda: attempted.extend(missing)):
            for statement in missing:
                run(session, statement)
    except ExecuteError:
        # Another load may have created it; after a failed COMMIT the state is unknown.
        if attempted or _missing_statements(session, plan, table, renderer):
            raise


def _missing_statements(
    session: Session, plan: Plan, table: Table, renderer: Renderer
) -> list[Statement]:
    """The statements that create or upgrade the ledger; empty if it is complete."""
    ledger = plan.target.ledger_schema
    if not ledger:
        return []
    ledgers = ledgers_of(renderer, ledger, table)
    if plan.files is not None:
        ledgers.append(file_ledger_of(renderer, ledger, table))
    found = [describe(session, renderer, one) for one in ledgers]
    missing: list[Statement] = []
    if not all(isinstance(live, LiveTable) for live in found):
        missing += [one for one in plan.setup if one.role != "schema" or "no schema" in found]
    if isinstance(found[0], LiveTable):
        missing += plan_ledger_upgrade(plan.spec, renderer, plan.target, found[0].order)
    return missing
