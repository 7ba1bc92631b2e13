"""Stages a frame: match, cast, check and encode, as one stream in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa

from loader.data.cast.conformer import Conformer
from loader.data.cast.layout import PLAIN, Layout
from loader.data.cast.load_columns import LoadColumns, LoadFacts
from loader.data.cast.match_columns import match_columns
from loader.data.cast.report import list_reasons
from loader.data.chunk import Chunk, Frame
from loader.data.files.located import LocatedFile
from loader.data.primary_keys import KeyIndex
from loader.errors import FrameError
from loader.executor.rejects import RejectsFile
from loader.plan.figures import Figure
from loader.plan.files_in_place import FilesInPlace
from loader.plan.staging import resolve_staging
from loader.spec.model import Column, TableSpec
from loader.spec.partitions import Slice
from loader.spec.primary_key import requires_unique_keys
from loader.sql.renderer import Renderer
from loader.staging.staged import Staged
from loader.staging.stager import Stager
from loader.staging.stores.base import Store

Progress = Callable[[int, int, int], None]
"""Called with the rows staged, bytes written and files finished."""


FiguresOf = Callable[[Sequence[Column]], Sequence[Figure]]
"""Returns the figures to collect for the staged columns."""


def _no_figures(_: Sequence[Column]) -> Sequence[Figure]:
    return ()


@dataclass(frozen=True)
class Ingested:
    """The result of staging a frame."""

    staged: Staged
    present: frozenset[str]
    """The spec columns that the data had, or the load filled."""
    rows_read: int | None
    """None where the warehouse counts them."""
    rows_rejected: int
    rejects: str | None
    """The location of the rejected rows; None if there are none."""
    reasons: tuple[Mapping[str, str | int], ...]
    """Why rows were rejected, as `list_reasons` tells it."""
    keys: tuple[dict[str, str], ...]
    """The partitions found in the data, with ``discover``."""
    partition_rows: Mapping[str, int] | None = None
    """Rows staged for each partition, when there may be several."""
    keys_alike: tuple[str, ...] = ()
    """The first few different primary keys that the warehouse may treat as equal."""
    keys_unchecked: bool = False
    """Whether the warehouse has to look for duplicate primary keys."""
    in_place: FilesInPlace | None = None
    """The files that are loaded from where they lie; then none is staged."""
    located: tuple[LocatedFile, ...] = ()
    """The same files as they were when they were looked at."""
    notes: tuple[str, ...] = ()
    """What the user should know of it."""


@dataclass(frozen=True)
class Destination:
    """Where one run of a load stages its files."""

    store: Store
    prefix: str
    """Key prefix of the run's files."""
    rejects: str
    """Key of the file for rejected rows; outside the prefix, since it is kept longer."""


def make_layout(spec: TableSpec, renderer: Renderer, order: tuple[str, ...] = ()) -> Layout:
    """How a warehouse wants the rows of a table staged.

    Args:
        spec: The table.
        renderer: Of the warehouse.
        order: The live table's columns, where COPY goes by position.
    """
    staged_as, dialect = resolve_staging(spec, renderer).format, renderer.dialect
    return Layout(
        order,
        documents=dialect.documents.get(staged_as, "text"),
        format=staged_as,
        document_bytes=dialect.document_bytes.get(staged_as),
        empty_is_null=staged_as == "csv" and dialect.empty_is_null,
        nul_in_text=dialect.nul_in_text,
        ignores_trailing_blanks=dialect.ignores_trailing_blanks,
    )


@dataclass(frozen=True)
class StageOptions:
    """What the rows of a load must be, and what is taken of them."""

    slice: Slice | None = None
    """The slice that is loaded; rows outside of it are refused."""
    discover: bool = False
    """Whether the partitions are those found in the data."""
    progress: Progress | None = None
    layout: Layout = PLAIN
    figures: FiguresOf = _no_figures
    facts: LoadFacts | None = None
    """Of the load, for columns that have them."""


def ingest(
    spec: TableSpec,
    frame: Frame,
    destination: Destination,
    options: StageOptions = StageOptions(),  # it cannot be changed
) -> Ingested:
    """Stage a frame for its table, and collect the figures of its columns.

    After a bad row, nothing more is staged, but the stream is read to its end, so that the error
    reports all bad rows.

    Raises:
        FrameError: columns or rows do not fit the spec or the slice, or keys are duplicated.
        SourceError: the frame cannot be read.
        StageError: the files cannot be written.
    """
    matched = _match(spec, frame)
    filled = LoadColumns(spec, options.facts, frame.files)
    filled.check()
    chunks = iter(frame.chunks)
    first = list(islice(chunks, 1))
    layout, discover = options.layout, options.discover
    conformer = Conformer(
        spec,
        matched,
        options.slice,
        discover=discover,
        layout=layout,
        first=next(iter(first), None),
        filled=filled,
    )
    with ExitStack() as stack:
        stager = stack.enter_context(
            Stager(
                destination.store,
                destination.prefix,
                conformer.schema,
                spec.staging.resolve(layout.format),
                figures=options.figures(conformer.columns),
                progress=options.progress,
            )
        )
        keys = stack.enter_context(_key_index(spec, layout)) if requires_unique_keys(spec) else None
        kept = spec.staging.keep != "never"
        rejects = stack.enter_context(
            RejectsFile(destination.store, destination.rejects, kept_by_failures=kept)
        )
        try:
            stage_chunks(chain(first, chunks), conformer, stager, rejects, keys)
            conformer.finish()
            alike = keys.check(spec.table) if keys is not None else ()
            check_not_empty(spec, conformer.rows_read > conformer.rows_rejected)
        except FrameError:
            stager.discard()
            raise
        staged = stager.finish()
    # Release memory for the warehouse.
    pa.default_memory_pool().release_unused()
    return Ingested(
        staged,
        frozenset(matched) | filled.names if matched else frozenset(),
        conformer.rows_read,
        conformer.rows_rejected,
        rejects.uri,
        tuple(list_reasons(conformer.tally.report.reasons)),
        tuple(conformer.tally.partition_keys(spec.dimensions)) if discover else (),
        conformer.tally.partition_rows(spec.dimensions),
        alike,
    )


def stage_chunks(
    chunks: Iterable[Chunk],
    conformer: Conformer,
    stager: Stager,
    rejects: RejectsFile,
    keys: KeyIndex | None = None,
) -> None:
    """Cast and stage chunks; after too many bad rows, only look for further ones.

    Raises:
        StageError: files cannot be written.
    """
    rejects.reasons = conformer.tally.report.reasons
    for chunk in chunks:
        conformed = conformer.conform(chunk)
        if conformed.rejects is not None:
            rejects.write(conformed.rejects)
        if not conformer.failed and conformed.batch.num_rows:
            stager.write(conformed.batch)
            if keys is not None:
                keys.add(conformed.batch)


@dataclass(frozen=True)
class Inspected:
    """The result of checking a frame without staging it."""

    present: frozenset[str]
    rows: int
    rows_rejected: int
    keys: tuple[dict[str, str], ...]
    keys_alike: tuple[str, ...] = ()


def inspect(
    spec: TableSpec,
    frame: Frame,
    *,
    slice_: Slice | None = None,
    discover: bool = False,
    layout: Layout = PLAIN,
    facts: LoadFacts | None = None,
) -> Inspected:
    """Check a frame against its spec without writing anything, for plans.

    Raises:
        FrameError: columns or rows do not fit, or keys are duplicated.
        SourceError: the frame cannot be read.
    """
    matched = _match(spec, frame)
    filled = LoadColumns(spec, facts, frame.files)
    filled.check()
    conformer = Conformer(spec, matched, slice_, discover=discover, layout=layout, filled=filled)
    with ExitStack() as stack:
        keys = stack.enter_context(_key_index(spec, layout)) if requires_unique_keys(spec) else None
        for chunk in frame.chunks:
            batch = conformer.conform(chunk).batch
            if keys is not None and not conformer.failed:
                keys.add(batch)
        conformer.finish()
        alike = keys.check(spec.table) if keys is not None else ()
        check_not_empty(spec, conformer.rows_read > conformer.rows_rejected)
    return Inspected(
        frozenset(matched) | filled.names if matched else frozenset(),
        conformer.rows_read - conformer.rows_rejected,
        conformer.rows_rejected,
        tuple(conformer.tally.partition_keys(spec.dimensions)),
        alike,
    )


def _match(spec: TableSpec, frame: Frame) -> dict[str, str]:
    # Nothing at all from Python is no rows; a file without columns lacks them.
    return match_columns(spec, frame.columns) if frame.columns or frame.files else {}


def check_not_empty(spec: TableSpec, there_are_rows: bool) -> None:
    """Check that there are rows where the spec demands some.

    Raises:
        FrameError: there are none.
    """
    if spec.on_empty == "fail" and not there_are_rows:
        raise FrameError(
            f"there are no rows for {spec.table}, and its spec has `on_empty: fail`",
            hint="nothing was changed",
        )


def _key_index(spec: TableSpec, layout: Layout) -> KeyIndex:
    return KeyIndex(spec.primary_key, ignores_trailing_blanks=layout.ignores_trailing_blanks)
