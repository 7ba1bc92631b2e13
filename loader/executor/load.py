"""Runs one load: stage the frame, run one verified transaction, clean up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from loader.data.chunk import Frame
from loader.data.files.listing import find_changed
from loader.data.files.open import open_files
from loader.data.frames import open_frame
from loader.data.from_spark import is_spark_frame
from loader.data.in_place import InPlace
from loader.data.source_files import SourceFiles
from loader.errors import ExecuteError, FrameError, SourceError, StageError, VerifyError
from loader.executor.after_commit import run_after_commit
from loader.executor.answers import FilesLoadedError
from loader.executor.context import TargetContext
from loader.executor.in_place import (
    NotInPlaceError,
    Place,
    check_unchanged,
    ingest_in_place,
    inspect_files,
    report_changed,
)
from loader.executor.renames import refuse_earlier_name
from loader.executor.request import facts_of
from loader.executor.results import LoadResult, OnProgress, Progress, Status
from loader.executor.source import Selected, select_files
from loader.executor.spark.load import stage_by_executors
from loader.executor.stage import (
    Destination,
    Ingested,
    StageOptions,
    ingest,
    inspect,
    make_layout,
)
from loader.executor.transaction import Outcome, execute
from loader.plan.drift.compare import additions
from loader.plan.drift.remedies import explain_stuck_columns, fit_to_live, may_be_stuck
from loader.plan.figures import Statistics, statistics_of
from loader.plan.live_table import Live, LiveTable
from loader.plan.load_plan import compared_figures, plan_hooks, plan_load
from loader.plan.model import (
    LoadRequest,
    Plan,
    StagedFacts,
    Statement,
    ledger_slice,
    stage_prefix,
)
from loader.spec.model import TableSpec
from loader.spec.partitions import make_slice
from loader.sql.renderer import Table
from loader.staging.keep import apply_keep, clean_up_failed
from loader.staging.staged import MANIFEST, Staged
from loader.warehouse.base import Session
from loader.warehouse.introspect import describe
from loader.warehouse.introspect import inspect as inspect_tables
from loader.warehouse.ledger import LoadRecord, check_same_load, find_load
from loader.warehouse.retry import with_retries

_RUNS_AT_ONCE = 10
"""How many other loads may be faster to load files that this one has chosen."""


@dataclass(frozen=True)
class Load:
    """A requested load."""

    spec: TableSpec
    request: LoadRequest
    context: TargetContext
    resumes: bool
    """Whether the caller chose the load id, so that the ledger may have it already."""
    on_progress: OnProgress
    files: Selected | None = None
    """The files that the rows are from, once they are chosen."""

    def run(self, frame: object) -> LoadResult:
        """Stage the frame and load it.

        Raises:
            PlanError, FrameError, StageError, ExecuteError: see `Project.load`.
        """
        for _ in range(_RUNS_AT_ONCE):
            try:
                result = self._attempt(frame)
            except FilesLoadedError as found:
                example = found.example
                continue
            return result if result.status == "no_new_files" else self._run_hooks(result)
        raise ExecuteError(
            f"other loads of {self.spec.table} were always first to load its files, such as"
            f" {example}; {self.spec.table} is unchanged by this one",
            hint="run one of them at a time",
            rolled_back=True,
        )

    def _attempt(self, frame: object) -> LoadResult:
        """Stage the frame and load it, unless the ledger has the load or its files.

        Raises:
            FilesLoadedError: another load has loaded some of the files meanwhile.
        """
        if not self.request.auto and not isinstance(frame, SourceFiles):
            self._plan(self.request, "unseen")  # plan errors come before the frame is read
        with ExitStack() as stack:
            load = self
            try:
                before = with_retries(lambda: self._prepare(stack))
                if before.earlier is not None:
                    return before.earlier
                if isinstance(frame, SourceFiles):
                    load, frame = self._select_files(frame, before.session)
            except BaseException as error:
                self._add_note(error, f"nothing was loaded into {self.spec.table}")
                raise
            if isinstance(frame, LoadResult):
                return frame
            return replace(load, spec=before.spec)._run(frame, before)

    def _select_files(
        self, source: SourceFiles, session: Session | None
    ) -> tuple[Load, Frame | InPlace | LoadResult]:
        """The load of the files that are chosen, with their rows; its result if there are none."""
        selected = select_files(self.spec, source, self.request, self.context, session)
        if not selected.files:
            skipped, target = selected.choice.unchanged, self.context.target.name
            return self, LoadResult(
                "no_new_files",
                self.request.load_id,
                self.spec.table,
                target,
                None,
                files_read=0,
                files_skipped=skipped,
                warnings=selected.notes,
            )
        load = replace(self, request=selected.request, files=selected)._with_new_run()
        if not load.request.auto:
            load._plan(load.request, "unseen")
        return load, selected.open(self.spec, in_place=source.in_place)

    def _with_new_run(self) -> Load:
        """The load with another folder: staged files of an earlier attempt are being removed."""
        run = self.request.run and uuid.uuid4().hex[:12]
        return replace(self, request=replace(self.request, run=run))

    def _run_hooks(self, result: LoadResult) -> LoadResult:
        """Run the hooks after COMMIT, also for a load that an earlier run committed."""
        context = self.context
        hooks = plan_hooks(self.spec, context.renderer, context.target, self.request)
        failed = run_after_commit(
            hooks, context.warehouse, lambda hook: self.on_progress(Progress(hook.name))
        )
        warnings = (
            f"the load is committed, but its `{hook.name}` failed: {error.message}; it runs again"
            " with the next load, or when this one is run again with its id"
            for hook, error in failed
        )
        return replace(result, warnings=(*result.warnings, *warnings)) if failed else result

    def _prepare(self, stack: ExitStack) -> _BeforeStaging:
        """Look for an earlier load, and read the live table; keeps the session open if allowed."""
        warehouse = self.context.warehouse
        if not warehouse.keeps_session_open:
            earlier = self._find_earlier(None) if self.resumes else None
            if self.spec.renamed_from and earlier is None and warehouse.exists():
                with warehouse.session(write=False) as opened:
                    self._check_name(opened)
            return _BeforeStaging(earlier, self.spec)
        with ExitStack() as attempt:
            session = attempt.enter_context(warehouse.session())
            earlier = self._find_earlier(session) if self.resumes else None
            if self.spec.renamed_from and earlier is None:
                self._check_name(session)
            live = self._live(session) if earlier is None else None
            spec = fit_to_live(self.spec, self.context.renderer, live) if live else self.spec
            stack.enter_context(attempt.pop_all())
            notes = tuple(explain_stuck_columns(self.spec, spec))
            return _BeforeStaging(earlier, spec, live.order if live else (), session, notes)

    def _run(self, frame: object, before: _BeforeStaging, refused: str | None = None) -> LoadResult:
        """Stage and execute; ``refused`` is why files are staged that should be loaded in place."""
        # Other runs with this load id may be active: these keys have only this run's files.
        prefix = stage_prefix(self.spec, self.request.load_id, self.request.run)
        store = self.context.staging_store
        rejects = f"rejects/{prefix}"
        destination = Destination(store, prefix, f"{rejects}/rejects.parquet")
        started = time.perf_counter()
        try:
            ingested = self._ingest(frame, destination, before.order, refused)
        except BaseException as error:
            if isinstance(error, FrameError) and before.notes:
                error.hint = "; ".join([*before.notes, *([error.hint] if error.hint else [])])
            self._add_note(error, f"nothing was loaded into {self.spec.table}")
            raise
        staged_at = time.perf_counter()
        began: list[Statement] = []
        try:
            outcome = self._execute(ingested, before, began.append)
        except BaseException as error:
            self._add_note(error, f"rolled back; {self.spec.table} is unchanged")
            staging = self.spec.staging
            # Of files in place there is only a manifest; of files that others have loaded, nobody
            # needs to look at the rows.
            if ingested.in_place or isinstance(error, FilesLoadedError):
                staging = staging.model_copy(update={"keep": "never"})
            clean_up_failed(store, prefix, staging, error)
            if ingested.rejects:
                clean_up_failed(store, rejects, self.spec.staging, error, "the rejected rows")
            if isinstance(error, ExecuteError) and _may_be_staged(frame, error, began):
                reason = error.message.rpartition("\nrolled back; ")[0] or error.message
                return self._with_new_run()._run(frame, before, reason)
            raise
        try:
            kept = self._clean_up(prefix, outcome, in_place=ingested.in_place is not None)
        except BaseException as error:
            committed = f"the load {self.request.load_id} of {self.spec.table} is committed"
            error.add_note(f"{committed}; staged files may be left in {store.uri(prefix)}")
            raise
        seconds = {"stage": staged_at - started, "load": time.perf_counter() - staged_at}
        notes = self.files.notes if self.files else ()
        outcome.warnings += (*before.notes, *ingested.notes, *notes)
        return self._result(ingested, outcome, seconds, kept=kept)

    def _add_note(self, error: BaseException, what: str) -> None:
        """Add the outcome of the load as a note to an interrupt that has none yet."""
        if not isinstance(error, Exception) and not hasattr(error, "__notes__"):
            error.add_note(what)

    def _clean_up(self, prefix: str, outcome: Outcome, *, in_place: bool) -> bool:
        """Remove the staged files of a committed load, by `keep`; True if files remain.

        The manifest of files in place stays: it says which of their versions were loaded.
        """
        if outcome.record is not None:
            outcome.warnings += self._clear_earlier(outcome.record)
        elif in_place:
            return True
        try:
            return apply_keep(self.context.staging_store, prefix, self.spec.staging, failed=False)
        except StageError as leftover:  # the load is committed, so this is only a warning
            outcome.warnings.append(leftover.message)
            return True

    def _clear_earlier(self, record: LoadRecord) -> list[str]:
        """Remove the files of the committed run, which may have been killed after its COMMIT.

        Files of other runs stay, since these may be active. Returns warnings.
        """
        manifest = record.manifest or ""
        # The ledger has the path as that run saw it, perhaps from another working directory.
        run = manifest.removesuffix(f"/{MANIFEST}").rpartition("/")[2]
        prefix = stage_prefix(self.spec, self.request.load_id, run)
        if run == self.request.run or not manifest.endswith(f"{prefix}/{MANIFEST}"):
            return []
        try:
            apply_keep(self.context.staging_store, prefix, self.spec.staging, failed=False)
        except StageError as leftover:
            return [leftover.message]
        return []

    def _check_name(self, session: Session) -> None:
        """Check that the table does not still have an earlier name, before anything is staged."""
        live = describe(session, self.context.renderer, self._table)
        refuse_earlier_name(session, self.context.renderer, self.spec, live)

    def _live(self, session: Session) -> LiveTable | None:
        """The live table, if rows must be staged in the order of its columns.

        Fails if the table differs from its spec, before anything is staged.
        """
        renderer = self.context.renderer
        if not renderer.dialect.copies_by_position:
            return None
        live = describe(session, renderer, self._table)
        if not isinstance(live, LiveTable):
            return None
        if may_be_stuck(self.spec, renderer, live):
            # It takes more than one query to find what prevents widening a column.
            full = inspect_tables(session, renderer, [self._table])[self._table]
            live = full if isinstance(full, LiveTable) else live
        additions(self.spec, renderer, live)
        return live

    def _plan(self, request: LoadRequest, live: Live) -> Plan:
        request = replace(request, live=live)
        return plan_load(self.spec, self.context.renderer, self.context.target, request)

    def _find_earlier(self, session: Session | None) -> LoadResult | None:
        """The result of an earlier load with this id, from the ledger; None if there is none."""
        ledger = self.context.target.ledger_schema
        if not ledger:
            return None
        load_id = self.request.load_id
        context = self.context
        record = find_load(
            context.warehouse, context.renderer, ledger, self._table, load_id, session
        )
        if record is None:
            return None
        slice_ = record.slice if self.request.auto else ledger_slice(self.request.slice)
        check_same_load(record, load_id, self._table, slice_)
        warnings = self._clear_earlier(record)
        return LoadResult(
            "already_loaded",
            load_id,
            self.spec.table,
            self.context.target.name,
            slice_,
            rows_loaded=record.rows,
            warnings=tuple(warnings),
        )

    @property
    def _table(self) -> Table:
        return Table(self.spec.schema_name, self.spec.name)

    def _ingest(
        self, frame: object, destination: Destination, order: tuple[str, ...], refused: str | None
    ) -> Ingested:
        if not isinstance(frame, InPlace):
            return self._stage(frame, destination, order)
        context = self.context
        place = Place(context.adapter, context.renderer, context.target, order)
        if refused is None:
            try:
                found = inspect_files(self.spec, frame, self.request, place)
                return ingest_in_place(found, destination)
            except (NotInPlaceError, SourceError) as error:
                if not frame.otherwise_stage:
                    raise
                refused = error.message
        staged = self._stage(open_files(frame.files, self.spec.source), destination, order)
        return replace(staged, notes=(f"the files were staged: {refused}",))

    def _stage(self, frame: object, destination: Destination, order: tuple[str, ...]) -> Ingested:
        renderer, target = self.context.renderer, self.context.target
        opened = None
        if not is_spark_frame(frame):
            opened = frame if isinstance(frame, Frame) else open_frame(frame)

        def report(rows: int, size: int, files: int) -> None:
            total = opened.rows if opened else None
            share = min(rows / total, 1.0) if total else None
            if share is None and opened is not None and opened.share is not None:
                share = opened.share()
            self.on_progress(Progress("staging", rows, size, files, total, share))

        options = StageOptions(
            self.request.slice,
            self.request.auto,
            report,
            make_layout(self.spec, renderer, order),
            lambda columns: compared_figures(self.spec, renderer, target, columns),
            facts_of(self.request),
        )
        if opened is None:
            return stage_by_executors(self.spec, frame, destination, options)
        return ingest(self.spec, opened, destination, options)

    def _execute(
        self, ingested: Ingested, before: _BeforeStaging, note: Callable[[Statement], None]
    ) -> Outcome:
        staged = ingested.staged
        statistics = self._statistics(staged)
        facts = StagedFacts(
            staged.rows,
            staged.bytes,
            len(staged.files),
            statistics,
            ingested.rows_rejected,
            ingested.rejects,
            ingested.reasons,
        )
        request = replace(
            _with_partitions(self.spec, self.request, ingested.keys),
            present=ingested.present or None,
            staged=facts,
            keys_alike=ingested.keys_alike,
            keys_unchecked=ingested.keys_unchecked,
            order=before.order,
            in_place=ingested.in_place,
        )

        def report(statement: Statement) -> None:
            note(statement)
            progress = Progress(statement.name, facts.rows or 0, facts.bytes, facts.files)
            self.on_progress(progress)

        context = self.context
        with self._explain_changes(ingested):
            return execute(
                lambda live, evolved: self._plan(replace(request, evolved=evolved), live),
                table=self._table,
                warehouse=context.warehouse,
                renderer=context.renderer,
                rows=facts.rows,
                figures=staged.figures,
                session=before.session,
                explain=self._copy_explainer(),
                before_commit=lambda: self._check_unchanged(ingested),
                on_statement=report,
            )

    @contextmanager
    def _explain_changes(self, ingested: Ingested) -> Iterator[None]:
        """Tell of files in place that have changed, and not of what that has led to."""
        try:
            yield
        except (ExecuteError, VerifyError) as error:
            if ingested.located and error.rolled_back and not error.transient:
                self._check_unchanged(ingested)
            raise

    def _check_unchanged(self, ingested: Ingested) -> None:
        """Check that the files are those that were listed and read.

        Raises:
            ExecuteError: some have changed.
        """
        check_unchanged(self.spec.table, ingested.located)
        if self.files is not None:
            report_changed(self.spec.table, find_changed(self.files.files))

    def _copy_explainer(self) -> Callable[[Session, Plan, str], list[str]] | None:
        """The function that finds the rows a failed COPY rejected; None if there is none."""
        explain = self.context.adapter.copy_explainer()
        if explain is None:
            return None
        renderer, store = self.context.renderer, self.context.staging_store
        return lambda session, plan, message: explain(session, renderer, plan, store, message)

    def _result(
        self, ingested: Ingested, outcome: Outcome, seconds: Mapping[str, float], *, kept: bool
    ) -> LoadResult:
        staged = ingested.staged
        status: Status = "loaded" if staged.files else "empty"
        rows = outcome.rows_loaded if staged.rows is None else staged.rows
        # The result of another run comes only from the ledger.
        is_own = outcome.record is None
        counts: dict[str, Any] = {"rows_deleted": outcome.rows_deleted}
        if outcome.merge_counts:
            deleted = outcome.rows_deleted + outcome.merge_counts.rows_deleted
            counts = {**asdict(outcome.merge_counts), "rows_deleted": deleted}
        return LoadResult(
            status=status if is_own else "already_loaded",
            load_id=self.request.load_id,
            table=self.spec.table,
            target=self.context.target.name,
            slice=outcome.plan.slice_text,
            rows_read=rows if ingested.rows_read is None else ingested.rows_read,
            rows_rejected=ingested.rows_rejected,
            rows_staged=rows,
            rows_loaded=outcome.rows_loaded,
            rows_after=outcome.rows_after,
            partition_rows=ingested.partition_rows if is_own else None,
            bytes_staged=staged.bytes,
            files_staged=len(staged.files),
            staged=staged.prefix if kept else None,
            in_place=ingested.in_place is not None,
            files_read=len(self.files.files) if self.files else None,
            files_skipped=self.files.choice.unchanged if self.files else 0,
            rejects=ingested.rejects,
            reject_reasons=ingested.reasons,
            seconds=seconds,
            statistics=self._statistics(staged) if is_own else {},
            warnings=tuple(outcome.warnings),
            checks=outcome.checks if is_own else (),
            plan=outcome.plan if is_own else None,
            columns_added=outcome.evolution.added,
            columns_widened=outcome.evolution.widened,
            **counts,
        )

    def _statistics(self, staged: Staged) -> Statistics:
        return statistics_of(staged.figures, self.spec.classified)


def _may_be_staged(frame: object, error: ExecuteError, began: Sequence[Statement]) -> bool:
    """Whether an error only says that files cannot be loaded in place, which is as good staged."""
    if not (isinstance(frame, InPlace) and frame.otherwise_stage) or error.transient:
        return False
    return bool(began) and began[-1].tries


@dataclass(frozen=True)
class _BeforeStaging:
    """The facts from the warehouse before staging."""

    earlier: LoadResult | None
    """The result of an earlier load with this id."""
    spec: TableSpec
    """The spec, as far as a load can fulfil it in the live table."""
    order: tuple[str, ...] = ()
    """The live table's columns."""
    session: Session | None = None
    """The open session, for the load's transaction."""
    notes: tuple[str, ...] = ()
    """The columns that stay narrower than declared."""


def with_data(spec: TableSpec, request: LoadRequest, frame: object, place: Place) -> LoadRequest:
    """Add the columns, rows and partitions of the data to a request.

    Of files in place only footers and first lines are read.

    Raises:
        FrameError: the data does not fit the spec.
        SourceError: the frame cannot be read.
        NotInPlaceError: the files cannot be loaded in place, and must be.
    """
    if isinstance(frame, InPlace):
        try:
            found = inspect_files(spec, frame, request, place)
        except (NotInPlaceError, SourceError) as error:
            if not frame.otherwise_stage:
                raise
            note = f"the files will be staged: {error.message}"
            opened = open_files(frame.files, spec.source)
            return replace(with_data(spec, request, opened, place), notes=(note,))
        return replace(request, present=found.present, rows=found.rows, in_place=found.files)
    opened = frame if isinstance(frame, Frame) else open_frame(frame)
    layout = make_layout(spec, place.renderer)
    inspected = inspect(
        spec,
        opened,
        slice_=request.slice,
        discover=request.auto,
        layout=layout,
        facts=facts_of(request),
    )
    return replace(
        _with_partitions(spec, request, inspected.keys),
        present=inspected.present or None,
        rows=inspected.rows,
        keys_alike=inspected.keys_alike,
    )


def _with_partitions(
    spec: TableSpec, request: LoadRequest, keys: tuple[dict[str, str], ...]
) -> LoadRequest:
    """Add the partitions found in the data to a request, if it is automatic."""
    if not request.auto:
        return request
    if not keys:
        return replace(request, no_partitions=True)
    return replace(request, slice=make_slice(spec.dimensions, keys))
