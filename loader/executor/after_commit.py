"""Runs the statements that follow a COMMIT, whose failure does not undo it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from loader.errors import ExecuteError
from loader.executor.runner import OnStatement
from loader.plan.model import Statement
from loader.warehouse.base import Warehouse
from loader.warehouse.retry import with_retries


def run_after_commit(
    statements: Iterable[Statement], warehouse: Warehouse, on_statement: OnStatement
) -> list[tuple[Statement, ExecuteError]]:
    """Run each statement by itself, with retries; returns those that failed."""
    failed = []
    for statement in statements:
        on_statement(statement)
        try:
            with_retries(partial(_run, statement, warehouse))
        except ExecuteError as error:
            failed.append((statement, error))
    return failed


def _run(statement: Statement, warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        session.execute(statement.sql)
