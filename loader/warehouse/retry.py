"""Tries again what may pass: conflicts, lost connections, slow-downs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from loader.errors import ExecuteError

ATTEMPTS = 6
"""How often a transaction is tried when the warehouse says that it may work the next time."""

BUDGET = 1_800.0
"""Seconds after which no further attempt is made."""

T = TypeVar("T")


def with_retries(action: Callable[[], T]) -> T:
    """Run something as a whole, again while it fails for a passing reason.

    Raises:
        ExecuteError: it failed for another reason, or too often.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_transient),
        wait=tenacity.wait_random_exponential(0.2, max=30),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(BUDGET),
        reraise=True,
    )
    return attempts(action)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ExecuteError) and error.transient and error.statement is not None
