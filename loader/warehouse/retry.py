"""Retries transactions after transient errors: conflicts, lost connections, throttling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from loader.errors import ExecuteError

ATTEMPTS = 6
"""The most attempts of one transaction."""

BUDGET = 1_800.0
"""Seconds after which there is no further attempt."""

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


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ExecuteError) and error.transient and error.statement is not None
