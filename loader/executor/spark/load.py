"""Stages a Spark DataFrame by its executors; this process handles one small row per task."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from loader.data.cast.conformer import Conformer
from loader.data.cast.layout import Layout
from loader.data.cast.load_columns import LoadColumns
from loader.data.cast.match_columns import match_columns
from loader.data.cast.report import list_reasons
from loader.data.cast.tally import Tally
from loader.data.chunk import Chunk
from loader.data.column_names import check_names
from loader.data.from_spark import open_spark
from loader.errors import FrameError, add_line
from loader.executor.spark.errors import to_loader_error
from loader.executor.spark.files import gather_files, keep_only
from loader.executor.spark.outcome import TaskOutcome, order_outcomes
from loader.executor.spark.task import TaskSettings, stage_partition
from loader.executor.stage import Destination, Ingested, StageOptions, check_not_empty
from loader.plan.figures import Figure, Value
from loader.spec.model import TableSpec
from loader.spec.primary_key import requires_unique_keys
from loader.staging.figures.collector import FigureCollector
from loader.staging.keep import clean_up_failed
from loader.staging.staged import write_manifest
from loader.version import version

_SAMPLE_ROWS = 1_000
"""Rows that give nested documents their Parquet type."""


def stage_by_executors(
    spec: TableSpec,
    frame: Any,
    destination: Destination,
    options: StageOptions,
) -> Ingested:
    """Stage a Spark DataFrame for its table, one task for each of its partitions.

    Primary keys are not compared: the warehouse does so before COMMIT.

    Raises:
        FrameError: columns or rows do not fit the spec or the slice.
        SourceError: Spark cannot compute the rows.
        StageError: executors cannot write the files, or this process cannot see them.
    """
    columns = _find_columns(frame)
    first = _first_chunk(spec, frame, options.layout)
    settings = make_settings(spec, columns, destination, options, first)
    rejects = settings.rejects
    try:
        outcomes = order_outcomes(_run_tasks(frame, settings))
        tally = _check_rows(spec, outcomes, settings)
        files = gather_files(destination.store, destination.prefix, outcomes)
        merged = _merge_figures(settings.figures, outcomes)
        staged = write_manifest(destination.store, destination.prefix, files, merged)
    except FrameError:
        destination.store.delete(destination.prefix)
        raise
    except BaseException as error:
        clean_up_failed(destination.store, destination.prefix, spec.staging, error)
        clean_up_failed(destination.store, rejects, spec.staging, error, "the rejected rows")
        raise
    if options.progress is not None:
        options.progress(staged.rows, staged.bytes, len(files))
    return Ingested(
        staged,
        frozenset(settings.matched) | LoadColumns(spec, None).names,
        tally.rows_read,
        tally.rows_rejected,
        destination.store.uri(rejects) if _has_rejects(outcomes) else None,
        tuple(list_reasons(tally.report.reasons)),
        tuple(tally.partition_keys(spec.dimensions)) if options.discover else (),
        tally.partition_rows(spec.dimensions),
        keys_unchecked=requires_unique_keys(spec),
    )


def make_settings(
    spec: TableSpec,
    columns: Sequence[str],
    destination: Destination,
    options: StageOptions,
    first: Chunk | None,
) -> TaskSettings:
    """What the tasks of a load are told.

    Args:
        spec: The table.
        columns: The columns of the data.
        destination: Where the files go.
        options: How rows are staged.
        first: Some rows, which give nested documents their Parquet type.

    Raises:
        FrameError: columns do not fit the spec, or the documents have no one type.
        SourceError: a column name occurs twice.
    """
    matched = match_columns(spec, check_names(columns, "the frame"))
    layout, discover = options.layout, options.discover
    filled = LoadColumns(spec, options.facts)
    filled.check()
    conformer = Conformer(
        spec, matched, options.slice, discover=discover, layout=layout, first=first, filled=filled
    )
    return TaskSettings(
        spec,
        matched,
        options.slice,
        discover,
        layout,
        conformer.shapes,
        tuple(options.figures(conformer.columns)),
        destination.store,
        destination.prefix,
        destination.rejects.rpartition("/")[0],
        version(),
        options.facts,
    )


def _find_columns(frame: Any) -> tuple[str, ...]:
    try:
        return tuple(frame.columns)
    except Exception as error:  # Connect analyses a frame only when it is asked for its columns
        raise to_loader_error(error) from error


def _first_chunk(spec: TableSpec, frame: Any, layout: Layout) -> Chunk | None:
    """Some rows, where documents need one Parquet type in the files of all tasks."""
    nested = any(column.data_type.name == "super" for column in spec.input_columns)
    if layout.documents != "nested" or not nested:
        return None
    return next(iter(open_spark(frame.limit(_SAMPLE_ROWS)).chunks), None)


def _run_tasks(frame: Any, settings: TaskSettings) -> Iterator[bytes]:
    """The encoded outcomes: Spark returns one for each partition, of one of its attempts."""
    try:
        with _cancelled_with(frame):
            rows = frame.mapInArrow(_make_task(settings), "outcome binary").collect()
    except Exception as error:
        raise to_loader_error(error) from error
    return (bytes(row[0]) for row in rows)


@contextmanager
def _cancelled_with(frame: Any) -> Iterator[None]:
    """Cancel the jobs of this block when it is interrupted, where the session has tags for that."""
    session: Any = getattr(frame, "sparkSession", None)
    if not hasattr(session, "addTag"):
        yield
        return
    tag = f"loader-{uuid.uuid4()}"
    session.addTag(tag)
    try:
        yield
    except Exception:
        raise
    except BaseException:
        with suppress(Exception):
            session.interruptTag(tag)
        raise
    finally:
        session.removeTag(tag)


def _make_task(settings: TaskSettings) -> Callable[[Iterable[Any]], Iterator[Any]]:
    # A closure, which is all that is pickled: `loader` itself is imported in the executors.
    def stage_rows(batches: Iterable[Any]) -> Iterator[Any]:
        from pyspark import TaskContext  # noqa: PLC0415  # it is there where this runs

        return stage_partition(settings, TaskContext.get().partitionId(), batches)

    return stage_rows


def _check_rows(spec: TableSpec, outcomes: Sequence[TaskOutcome], settings: TaskSettings) -> Tally:
    """Add up what the tasks read and refused; keep only the rejects of these attempts.

    Raises:
        FrameError: too many rows were refused, or there are none and must be some.
    """
    tally = Tally.total(outcome.tally for outcome in outcomes)
    kept = [
        f"{settings.rejects}/rejects-{outcome.attempt}.parquet"
        for outcome in outcomes
        if outcome.has_rejects
    ]
    keep_only(settings.store, settings.rejects, kept)
    try:
        tally.check(spec)
        check_not_empty(spec, tally.rows_kept > 0)
    except FrameError as error:
        if kept and spec.staging.keep != "never":
            add_line(error, f"the rejected rows are kept in {settings.store.uri(settings.rejects)}")
        else:
            settings.store.delete(settings.rejects)
        raise
    return tally


def _merge_figures(
    figures: Sequence[Figure], outcomes: Iterable[TaskOutcome]
) -> dict[Figure, Value]:
    collector = FigureCollector(figures)
    for outcome in outcomes:
        collector.merge(dict(zip(figures, outcome.figures, strict=True)))
    return dict(collector.values)


def _has_rejects(outcomes: Iterable[TaskOutcome]) -> bool:
    return any(outcome.has_rejects for outcome in outcomes)
