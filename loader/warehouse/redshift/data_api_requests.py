"""Requests to the Data API: sent again until they are answered, with one outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import tenacity

from loader.warehouse.redshift.errors import is_session_gone, is_worth_repeating

CANCEL_SECONDS = 10.0
"""Seconds to wait until a statement that was cancelled has ended."""

BUSY_SECONDS = 1.0
"""Seconds to ask for a session that is not available: the API says so of one that has ended, and of
one that is not done with its last statement yet."""

_SUBMIT_WAIT, _DESCRIBE_WAIT = 2, 20
"""Seconds that a response may wait for the end of its statement. The first one is short: a
statement can be cancelled when its id is known."""

_LONGEST_PAUSE = 2.0

_ENDED = ("FINISHED", "FAILED", "ABORTED")


class Request:
    """One statement, from its request to its end."""

    def __init__(self, client: Any, patience: float, arguments: Mapping[str, Any]) -> None:
        self._client, self._patience = client, patience
        self._arguments = {**arguments, **_waiting(client, "ExecuteStatement", _SUBMIT_WAIT)}
        self._id = ""
        self.session = ""
        """The id of the session, once it is known."""

    def run(self, *, fully: bool) -> Mapping[str, Any]:
        """Have it run; with ``fully`` the answer has the number of its rows too."""
        done = self._submit()
        if done.get("Status") == "FINISHED" and "HasResultSet" in done and not fully:
            return done
        return self._wait()

    def cancel(self) -> bool:
        """Cancel it, and wait a little; whether it has ended."""
        self._patience = CANCEL_SECONDS
        with suppress(Exception):
            if not self._id:
                self._submit()  # the same statement, whether the first request has arrived or not
            self._client.cancel_statement(Id=self._id)
        with suppress(Exception):
            found = self._wait(_SUBMIT_WAIT, time.monotonic() + CANCEL_SECONDS)
            return found["Status"] in _ENDED
        return False

    def _submit(self) -> Mapping[str, Any]:
        deadline = time.monotonic() + BUSY_SECONDS
        while not self._id:
            try:
                done = send(self._client.execute_statement, self._patience, **self._arguments)
                self._id, self.session = done["Id"], done.get("SessionId", "")
            except Exception as error:
                if not is_session_gone(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        return done

    def _wait(
        self, seconds: int = _DESCRIBE_WAIT, deadline: float = float("inf")
    ) -> Mapping[str, Any]:
        waiting = _waiting(self._client, "DescribeStatement", seconds)
        pause = 0.05
        while True:
            asked = time.monotonic()
            found: Mapping[str, Any] = send(
                self._client.describe_statement, self._patience, Id=self._id, **waiting
            )
            if found["Status"] in _ENDED or time.monotonic() > deadline:
                return found
            time.sleep(max(0.0, pause - (time.monotonic() - asked)))
            pause = min(2 * pause, _LONGEST_PAUSE)


def send(call: Callable[..., Any], patience: float, **arguments: Any) -> Any:
    """Send a request, and send it again after errors that may pass, for so many seconds."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_worth_repeating),
        wait=tenacity.wait_random_exponential(0.1, max=10),
        stop=tenacity.stop_after_delay(patience),
        reraise=True,
    )
    return retrying(call, **arguments)


def _waiting(client: Any, operation: str, seconds: int) -> dict[str, int]:
    """The argument with which a response waits for its statement; older botocore has none."""
    shape = client.meta.service_model.operation_model(operation).input_shape
    return {"WaitTimeSeconds": seconds} if "WaitTimeSeconds" in shape.members else {}
