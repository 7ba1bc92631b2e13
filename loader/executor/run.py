"""Loads many tables, several at a time; a table that fails does not stop the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from loader.errors import LoaderError
from loader.executor.results import LoadResult, OnProgress, Progress
from loader.plan.model import LoadRequest
from loader.spec.model import TableSpec
from loader.text_tables import format_count

if TYPE_CHECKING:
    from loader.executor.source import Selected

JOBS = 4
"""Tables that are loaded at once, if nobody says otherwise."""


@dataclass(frozen=True)
class TableRun:
    """What became of one table of a run."""

    asset_key: str
    table: str
    status: str
    """That of its `LoadResult`; failed; or planned, in a dry run."""
    seconds: float = 0.0
    result: LoadResult | None = None
    error: LoaderError | None = None
    files: tuple[str, ...] = ()
    """In a dry run: the files that would be loaded."""
    slice: str | None = None
    """In a dry run: the partitions, as far as they are known; None is the whole table."""
    bytes: int = 0
    """In a dry run: the size of the files."""
    files_skipped: int = 0
    """In a dry run: the files that the ledger knows."""
    notes: tuple[str, ...] = ()
    """In a dry run: what is to be known of files that are left out."""

    def to_dict(self) -> dict[str, object]:
        """The outcome as JSON-ready data."""
        found: dict[str, object] = {
            "asset_key": self.asset_key,
            "table": self.table,
            "status": self.status,
            "seconds": round(self.seconds, 3),
        }
        if self.result is None and self.error is None:
            found |= {"slice": self.slice, "files": list(self.files), "bytes": self.bytes}
            found |= {"files_skipped": self.files_skipped, "notes": list(self.notes)}
        if self.result is not None:
            found["result"] = self.result.to_dict()
        if self.error is not None:
            found["error"] = self.error.to_dict()
        return found


@dataclass(frozen=True)
class RunResult:
    """What became of the tables of a run."""

    tables: tuple[TableRun, ...]
    """In the order of their specs."""
    seconds: float
    skipped: tuple[str, ...] = ()
    """The asset keys of selected tables whose specs name neither files nor a query."""

    @property
    def failed(self) -> tuple[TableRun, ...]:
        """The tables that failed; each is as it was before."""
        return tuple(table for table in self.tables if table.status == "failed")

    @property
    def ok(self) -> bool:
        """Whether no table failed."""
        return not self.failed

    @property
    def rows_loaded(self) -> int:
        """The rows that were loaded into all tables."""
        return sum(table.result.rows_loaded for table in self.tables if table.result)

    def to_dict(self) -> dict[str, object]:
        """The result as JSON-ready data."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "rows_loaded": self.rows_loaded,
            "tables": [table.to_dict() for table in self.tables],
            "skipped": list(self.skipped),
        }


LoadOne = Callable[[TableSpec, OnProgress], LoadResult]
"""Loads one table."""
OnTable = Callable[[TableRun, int], None]
"""Called when a table is done, with the number of tables of the run."""
OnTableProgress = Callable[[str, Progress], None]
"""Called with the name of a table after each step of its load; from several threads."""


def run_tables(
    specs: Sequence[TableSpec],
    load_one: LoadOne,
    *,
    jobs: int = JOBS,
    on_table: OnTable = lambda _, __: None,
    on_progress: OnTableProgress = lambda _, __: None,
) -> tuple[TableRun, ...]:
    """Load tables, each in a transaction of its own.

    A table whose checks refer to another one of the run is loaded after it, whatever becomes of
    that. When the run is interrupted, the loads that are at work roll back, and no other begins.

    Args:
        specs: The tables.
        load_one: Loads one of them.
        jobs: How many are loaded at once.
        on_table: Called in the thread of the caller.
        on_progress: Called in the threads that load.
    """
    run = _Run(specs, load_one, on_progress)
    done: dict[str, TableRun] = {}
    try:
        jobs = min(jobs, len(specs))
        for table in run.in_turn() if jobs < 2 else run.at_once(jobs):
            done[table.asset_key] = table
            on_table(table, len(specs))
    except KeyboardInterrupt as stop:
        for table in run.stop():
            done[table.asset_key] = table
        failed = sum(table.status == "failed" for table in done.values())
        stop.add_note(
            f"{format_count(len(done) - failed, 'table')} of {len(specs)} done, {failed} failed;"
            " the others are unchanged"
        )
        raise
    return tuple(done[spec.asset_key] for spec in specs)


def order_by_references(specs: Sequence[TableSpec]) -> TopologicalSorter[str]:
    """The names of tables, each after those whose values its checks refer to.

    Tables that refer to each other in a circle wait for nothing.
    """
    names = {spec.table for spec in specs}
    needs = {spec.table: (_referenced_tables(spec) & names) - {spec.table} for spec in specs}
    while True:
        order = TopologicalSorter(needs)
        try:
            order.prepare()
        except CycleError as error:
            needs |= {name: set() for name in error.args[1]}
        else:
            return order


def _referenced_tables(spec: TableSpec) -> set[str]:
    references = (check.references for check in spec.checks)
    return {f"{one.schema_name or spec.schema_name}.{one.table}" for one in references if one}


class _Run:
    """The tables of one run, and the threads that load them."""

    def __init__(
        self, specs: Sequence[TableSpec], load_one: LoadOne, on_progress: OnTableProgress
    ) -> None:
        self._load_one, self._on_progress = load_one, on_progress
        self._specs = {spec.table: spec for spec in specs}
        self._order = order_by_references(specs)
        self._waiting: queue.SimpleQueue[TableSpec | None] = queue.SimpleQueue()
        """Tables that can be loaded now; None for a thread that is to end."""
        self._done: queue.SimpleQueue[tuple[TableSpec, TableRun | BaseException] | None]
        self._done = queue.SimpleQueue()
        """What became of tables; None for a thread that has ended."""
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def in_turn(self) -> Iterator[TableRun]:
        """Load one table after the other in this thread."""
        while self._order.is_active():
            for table in self._order.get_ready():
                yield self._run(self._specs[table])
                self._order.done(table)

    def at_once(self, jobs: int) -> Iterator[TableRun]:
        """Load tables in threads; yields them as they are done.

        Raises:
            Exception: a load has failed in a way that it should not; the others are done first.
        """
        for _ in range(jobs):
            thread = threading.Thread(target=self._work, name="loader-run", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._release()
        yield from self._collect()

    def stop(self) -> Iterator[TableRun]:
        """Roll back the loads that are at work; yields those that were done in the meantime."""
        self._stopped.set()
        self._end_threads()
        yield from self._collect()

    def _release(self) -> None:
        """Let the threads load what waits for nothing more; they end after the last table."""
        for table in self._order.get_ready():
            self._waiting.put(self._specs[table])
        if not self._order.is_active():
            self._end_threads()

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._waiting.put(None)

    def _collect(self) -> Iterator[TableRun]:
        errors: list[BaseException] = []
        while self._threads:
            done = self._done.get()
            if done is None:
                self._threads.pop()
                continue
            spec, outcome = done
            self._order.done(spec.table)
            self._release()
            if isinstance(outcome, TableRun):
                yield outcome
            else:
                errors.append(outcome)
        if errors and not self._stopped.is_set():
            raise errors[0]

    def _work(self) -> None:
        while (spec := self._waiting.get()) is not None and not self._stopped.is_set():
            try:
                self._done.put((spec, self._run(spec)))
            except BaseException as error:  # noqa: BLE001  raised in the thread of the caller
                self._done.put((spec, error))
        self._done.put(None)

    def _run(self, spec: TableSpec) -> TableRun:
        started = time.perf_counter()

        def on_progress(step: Progress) -> None:
            if self._stopped.is_set():
                raise KeyboardInterrupt  # rolls back and cleans up, as in the main thread
            self._on_progress(spec.table, step)

        result, error = None, None
        try:
            result = self._load_one(spec, on_progress)
        except LoaderError as failure:
            error = failure
        return TableRun(
            spec.asset_key,
            spec.table,
            result.status if result else "failed",
            time.perf_counter() - started,
            result,
            error,
        )


def plan_table(spec: TableSpec, select: Callable[[TableSpec], Selected | LoadRequest]) -> TableRun:
    """What a run would load into one table; nothing is loaded.

    Args:
        spec: The table.
        select: Chooses its files, or the partitions that a query is run for.
    """
    try:
        found = select(spec)
    except LoaderError as error:
        return TableRun(spec.asset_key, spec.table, "failed", error=error)
    if isinstance(found, LoadRequest):
        shown = "the partitions in the rows" if found.auto else None
        shown = str(found.slice) if found.slice is not None else shown
        return TableRun(spec.asset_key, spec.table, "planned", slice=shown)
    facts = [file.fact for file in found.files]
    shown = "the partitions in the files" if found.request.auto else None
    if found.request.slice is not None:
        shown = str(found.request.slice)
    return TableRun(
        spec.asset_key,
        spec.table,
        "planned" if facts else "no_new_files",
        files=tuple(fact.path for fact in facts),
        slice=shown,
        bytes=sum(fact.bytes for fact in facts),
        files_skipped=found.choice.unchanged,
        notes=found.notes,
    )
