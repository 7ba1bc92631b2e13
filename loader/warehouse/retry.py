"""Retries transactions after transient errors: conflicts, lost connections, throttling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from loader.errors import ExecuteError
from loader.warehouse.base import Session

ATTEMPTS = 6
"""The most attempts of one transaction."""

BUDGET = 1_800.0
"""Seconds after which there is no further attempt."""

TURNS = 100
"""The most loads of one table that a load lets go first."""

CANCELLED = "57014"
"""The SQLSTATE of a statement that exceeded statement_timeout."""

_CONFLICT = "40001"
"""The SQLSTATE of a conflict with another transaction."""

T = TypeVar("T")


def with_retries(action: Callable[[], T]) -> T:
    """Run an action, and repeat it as a whole after transient errors.

    Raises:
        ExecuteError: the error is not transient, or the attempts are used up.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_transient),
        wait=tenacity.wait_random_exponential(0.2, max=30),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(BUDGET),
        reraise=True,
    )
    return attempts(action)


def take_turn(session: Session, action: Callable[[], T]) -> T:
    """Run the statement by which loads of one table take turns, the first of a transaction.

    Where that is an UPDATE, whoever has waited is in conflict with the load that has ended, and
    waits again in a new transaction: nothing is lost by it, so it counts for no attempt.

    Raises:
        ExecuteError: it failed otherwise, or the turns are used up.
    """
    for _ in range(TURNS):
        try:
            return action()
        except ExecuteError as error:
            if error.code != _CONFLICT:
                raise
            session.rollback()
            session.begin()
    return action()


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ExecuteError) and error.transient and error.statement is not None
