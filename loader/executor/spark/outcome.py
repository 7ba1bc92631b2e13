"""What one task reports of its partition: one small row, whatever the partition holds."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from loader.data.cast.tally import Tally
from loader.errors import LoaderError, StageError
from loader.plan.figures import Value
from loader.staging.staged import StagedFile


@dataclass(frozen=True)
class TaskOutcome:
    """The result of the task attempt that Spark has chosen for a partition."""

    partition: int
    attempt: str
    """The part of file names that no other attempt has."""
    tally: Tally
    files: tuple[StagedFile, ...] = ()
    figures: tuple[Value, ...] = ()
    """In the order of the load's figures."""
    has_rejects: bool = False
    error: LoaderError | None = None
    """An error that another attempt would meet as well."""


def encode_outcome(outcome: TaskOutcome) -> bytes:
    """The outcome as bytes."""
    return zlib.compress(pickle.dumps(outcome))


def decode_outcome(data: bytes) -> TaskOutcome:
    """The outcome that an executor of this session has encoded."""
    # As Spark itself reads the rows of Python tasks; executors run the same code with our rights.
    outcome: TaskOutcome = pickle.loads(zlib.decompress(data))  # noqa: S301
    return outcome


def order_outcomes(encoded: Iterable[bytes]) -> list[TaskOutcome]:
    """The outcomes by partition.

    Raises:
        StageError: a partition has more than one, so that rows would be loaded twice.
        LoaderError: the error of the first task that has one.
    """
    outcomes = sorted(map(decode_outcome, encoded), key=lambda outcome: outcome.partition)
    for first, second in pairwise(outcomes):
        if first.partition == second.partition:
            raise StageError(f"Spark returned two results of partition {first.partition}")
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return outcomes
