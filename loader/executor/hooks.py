"""Runs what a spec wants done once its load is committed."""

from __future__ import annotations

from collections.abc import Iterable

from loader.errors import ExecuteError
from loader.executor.runner import OnStatement
from loader.plan.model import Statement
from loader.warehouse.base import Warehouse
from loader.warehouse.retry import with_retries


def run_hooks_after_commit(
    hooks: Iterable[Statement], warehouse: Warehouse, on_statement: OnStatement
) -> list[str]:
    """Run each hook by itself, and return what failed: the load stays committed."""
    failed = []
    for hook in hooks:
        on_statement(hook)
        try:
            with_retries(lambda hook=hook: _run(hook, warehouse))  # type: ignore[misc]
        except ExecuteError as error:
            failed.append(
                f"the load is committed, but its `{hook.name}` failed: {error.message}; it runs"
                " again with the next load, or when this one is run again with its id"
            )
    return failed


def _run(hook: Statement, warehouse: Warehouse) -> None:
    try:
        with warehouse.session() as session:
            session.execute(hook.sql)
    except ExecuteError as error:
        error.statement = error.statement or hook.sql
        raise
