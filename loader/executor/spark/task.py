"""What runs in an executor: the rows of one partition are cast, checked and staged.

Spark may run a task several times: after a failure, beside a slow attempt, or on another machine.
Each attempt writes under names of its own, and only the names in the outcome that Spark returns
are ever copied.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.data.batches import number_batches
from loader.data.cast.conformer import Conformer
from loader.data.cast.layout import Layout
from loader.data.cast.load_columns import LoadColumns, LoadFacts
from loader.data.cast.tally import Tally
from loader.data.combine_batches import combine_small_chunks
from loader.errors import ConfigError, FrameError, PlanError
from loader.executor.rejects import RejectsFile
from loader.executor.spark.outcome import TaskOutcome, encode_outcome
from loader.executor.stage import stage_chunks
from loader.plan.figures import Figure
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.staging.staged import StagedFile
from loader.staging.stager import Stager
from loader.staging.stores.base import Store
from loader.version import version


@dataclass(frozen=True)
class TaskSettings:
    """What a task is told of the load; it is pickled, so it has no secrets of the warehouse."""

    spec: TableSpec
    matched: Mapping[str, str]
    """Table column → data column."""
    slice: Slice | None
    discover: bool
    layout: Layout
    shapes: Mapping[str, Any]
    """The nested Parquet types of documents, which are the same in all tasks."""
    figures: tuple[Figure, ...]
    store: Store
    prefix: str
    """Key prefix of the load's files."""
    rejects: str
    """Key prefix of the files of rejected rows."""
    version: str
    """The version of Loader that the task must be of."""
    facts: LoadFacts | None = None
    """Of the load, for columns that have them."""


def stage_partition(
    settings: TaskSettings, partition: int, batches: Iterable[Any]
) -> Iterator[Any]:
    """Stage one partition; yields a batch with its encoded `TaskOutcome` as the only value.

    Raises:
        StageError: the files cannot be written; Spark tries again.
    """
    attempt = f"{partition:05d}-{secrets.token_hex(4)}"
    try:
        _check_version(settings.version)
        outcome = _stage(settings, batches, partition, attempt)
    except (ConfigError, FrameError, PlanError) as error:
        outcome = TaskOutcome(partition, attempt, Tally(), error=error)
    pa.default_memory_pool().release_unused()  # the next task of this process may need little
    encoded = pa.array([encode_outcome(outcome)], pa.binary())
    yield pa.RecordBatch.from_arrays([encoded], names=["outcome"])


def _check_version(expected: str) -> None:
    if version() != expected:
        raise ConfigError(
            f"the executors of Spark have Loader {version()}, and the driver has {expected}",
            hint="install the same version on both sides",
        )


def _stage(
    settings: TaskSettings, batches: Iterable[Any], partition: int, attempt: str
) -> TaskOutcome:
    spec, store = settings.spec, settings.store
    chunks = combine_small_chunks(number_batches(batches, f"partition {partition}"))
    conformer = Conformer(
        spec,
        settings.matched,
        settings.slice,
        discover=settings.discover,
        layout=settings.layout,
        shapes=settings.shapes,
        filled=LoadColumns(spec, settings.facts),
    )
    with ExitStack() as stack:
        stager = stack.enter_context(
            Stager(
                store,
                f"{settings.prefix}/task-{attempt}",
                conformer.schema,
                # An attempt that fails has a successor, whatever is kept of failed loads.
                spec.staging.resolve(settings.layout.format).model_copy(update={"keep": "never"}),
                writers=1,  # Spark decides how many tasks use the cores
                figures=settings.figures,
            )
        )
        key = f"{settings.rejects}/rejects-{attempt}.parquet"
        rejects = stack.enter_context(RejectsFile(store, key))
        stage_chunks(chunks, conformer, stager, rejects)
        files: tuple[StagedFile, ...] = ()
        if conformer.failed:
            stager.discard()
        else:
            files = stager.close_files()
        figures = tuple(stager.figures[figure] for figure in settings.figures)
    has_rejects = rejects.uri is not None
    return TaskOutcome(partition, attempt, conformer.tally, files, figures, has_rejects)
