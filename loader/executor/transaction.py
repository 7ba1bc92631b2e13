"""The transaction of a load: runs the plan, verifies the result, commits exactly once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from loader.errors import ExecuteError, VerifyError
from loader.executor.answers import AlreadyLoadedError, Answers
from loader.executor.check_results import (
    add_sample,
    describe_failure,
    failure_details,
)
from loader.executor.create_ledger import create_ledger
from loader.executor.renames import refuse_earlier_name
from loader.executor.results import CheckResult
from loader.executor.runner import OnStatement, TransactionRunner
from loader.executor.sample_rows import format_rows, read_sample
from loader.executor.shrinkage import describe_shrunk, shrunk_details
from loader.plan.expectations import STAGED, CheckHolds, NotLoaded, NotShrunk
from loader.plan.figures import Figure, Value
from loader.plan.live_table import Live
from loader.plan.loading import Evolution
from loader.plan.merge_counts import MergeCounts
from loader.plan.model import Plan, Sample, Statement, ledger_slice
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session, Warehouse, transaction
from loader.warehouse.introspect import describe
from loader.warehouse.ledger import LoadRecord, check_same_load, find_load
from loader.warehouse.retry import CANCELLED, with_retries

_LOCK_WAIT = 60_000
"""Milliseconds to wait for the transaction of a lost connection to end."""

_CHANGED = "another job changed the table during the load: load again after it has ended"

_SHRUNK = "load all rows of these partitions, or let it through once with --allow-shrink"

_LOCKED = "another load of the table is running: load again after it has ended"

Build = Callable[[Live, Evolution], Plan]
"""Builds the plan from the live table, and the columns that were changed before."""
Explain = Callable[[Session, Plan, str], list[str]]
"""Returns one line for each row that COPY rejected."""


@dataclass
class Outcome:
    """The result of a transaction."""

    plan: Plan
    rows_loaded: int
    record: LoadRecord | None = None
    """The ledger's record, if another run has committed this load id; this run did nothing then."""
    rows_deleted: int = 0
    rows_after: int | None = None
    warnings: list[str] = field(default_factory=list)
    """Failed checks of severity warning, with sample rows."""
    checks: tuple[CheckResult, ...] = ()
    """The results of all checks."""
    merge_counts: MergeCounts | None = None
    """The counts of a merge."""
    evolution: Evolution = field(default_factory=Evolution)
    """Columns that were added or widened."""


def execute(
    build: Build,
    *,
    table: Table,
    warehouse: Warehouse,
    renderer: Renderer,
    rows: int | None,
    figures: Mapping[Figure, Value] | None = None,
    session: Session | None = None,
    on_statement: OnStatement | None = None,
    explain: Explain | None = None,
    before_commit: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run a load's transaction, and retry it as a whole after transient errors.

    Args:
        build: Builds the plan; called inside the transaction with the live table.
        table: The table to load.
        warehouse: The target's warehouse.
        renderer: Renders the queries of the catalog and the ledger.
        rows: The number of staged rows, for verification; None where the warehouse counts them.
        figures: The figures of the staged rows, for verification.
        session: An open session, for the first attempt.
        on_statement: Called before each statement.
        explain: Finds the rows that a COPY rejected; called in the session where it failed.
        before_commit: Called when all statements have run; what it raises rolls back.

    Raises:
        PlanError: the live table differs from the spec.
        ExecuteError: a statement failed; the table is unchanged.
        VerifyError: a count or check failed; the table is unchanged.
    """
    load = LoadTransaction(
        build,
        table,
        warehouse,
        renderer,
        rows,
        figures or {},
        session,
        on_statement,
        explain,
        before_commit,
    )
    return with_retries(load.load)


class LoadTransaction(TransactionRunner):
    """The transaction of one load; `load` can be called again to retry."""

    def __init__(
        self,
        build: Build,
        table: Table,
        warehouse: Warehouse,
        renderer: Renderer,
        rows: int | None,
        figures: Mapping[Figure, Value],
        session: Session | None,
        on_statement: OnStatement | None,
        explain: Explain | None,
        before_commit: Callable[[], None],
    ) -> None:
        self._build = build
        self._table = table
        self._renderer = renderer
        self._rows = rows
        self._figures = figures
        self._session = session
        self._explain_copy = explain
        self._before_commit = before_commit
        self._evolved = Evolution()
        """Kept between attempts, since a rollback does not undo it."""
        self._plan = self._opening = build("unseen", self._evolved)
        self._live: Live = "unseen"
        """The table at the start of the transaction."""
        self._warnings: list[str] = []
        super().__init__(warehouse, on_statement)
        self.explain = self._explain_failure

    def load(self) -> Outcome:
        """Make one attempt.

        Raises:
            PlanError, ExecuteError, VerifyError: see `execute`.
        """
        self._live, self._warnings, self._plan = "unseen", [], self._opening
        try:
            self.run()
        except AlreadyLoadedError as found:
            record = found.record
            self._check_record(record)
            return Outcome(self._plan, record.rows, record, evolution=self._evolved)
        answers = self.answers
        return Outcome(
            self._plan,
            rows_loaded=answers.numbers[STAGED],
            rows_deleted=answers.rows_deleted,
            rows_after=answers.rows_after,
            warnings=self._warnings,
            checks=tuple(answers.checks),
            merge_counts=answers.merge_counts,
            evolution=self._plan.evolution,
        )

    def new_answers(self) -> Answers:
        """New answers, which know at most the number of staged rows."""
        spec = self._opening.spec
        known = {} if self._rows is None else {STAGED: self._rows}
        return Answers(spec.table, self.state, self._figures, spec.classified, known)

    def state(self) -> str:
        """The line that says that the table is unchanged, except for changed columns."""
        return f"rolled back; {self._opening.spec.table} is unchanged{self._evolved}"

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        """The given session for the first attempt; then new ones."""
        session, self._session = self._session, None
        if session is not None:
            yield session
            return
        with self.warehouse.session() as opened:
            yield opened

    # --- before the transaction

    def run_before(self, session: Session) -> None:
        """Configure the session, create the ledger, evolve the table, and run the first hooks."""
        for statement in self._opening.session:
            self.run_statement(session, statement)
        create_ledger(session, self._opening, self._table, self._renderer, self.run_statement)
        self._evolve(session)
        for statement in self._opening.before:
            self.run_statement(session, statement)

    def _evolve(self, session: Session) -> None:
        """Change columns of the live table that the transaction does not change."""
        renderer, contract = self._renderer, self._opening.spec.schema_contract
        outside = renderer.has("widen_column") or renderer.dialect.alter_blocks_readers
        if contract.evolve != "additive" or not outside:
            return
        self._live = describe(session, self._renderer, self._table)
        plan = self._build(self._live, Evolution())
        with self._retry_if_changed(session):
            for statement in plan.outside:
                self.run_statement(session, statement)
                self._evolved += statement.evolves  # it stays, whatever becomes of the next one

    # --- the transaction

    def run_transaction(self, session: Session) -> None:
        """Run it; an error is transient if another job has changed the table."""
        with self._retry_if_changed(session):
            super().run_transaction(session)

    @contextmanager
    def _retry_if_changed(self, session: Session) -> Iterator[None]:
        """Make an error transient if another job has changed the table."""
        try:
            yield
        except VerifyError:
            raise
        except ExecuteError as error:
            if not self.committing and not error.transient and self._has_changed_since(session):
                error.transient, error.hint = True, _CHANGED
            raise

    def _has_changed_since(self, session: Session) -> bool:
        """After a rollback: whether another job has created, altered or dropped the table."""
        if self._live == "unseen":
            return False
        try:
            return describe(session, self._renderer, self._table) != self._live
        except ExecuteError:
            return False

    def run_inside(self, session: Session) -> None:
        """Take the lock, read the live table, and run the plan that is built for it."""
        self.take_lock(session, self._opening.statements)
        self._live = describe(session, self._renderer, self._table)
        refuse_earlier_name(session, self._renderer, self._opening.spec, self._live)
        self._plan = self._build(self._live, self._evolved)
        for statement in self._plan.statements:
            if statement.role == "lock":
                continue
            if not isinstance(statement.expects, CheckHolds | NotShrunk):
                self._report_checks(session)
            self.run_statement(session, statement)
        self._report_checks(session)
        self._before_commit()

    def run_statement(self, session: Session, statement: Statement) -> None:
        """Run a statement and check its result; rows that are not as expected are shown.

        Raises:
            ExecuteError, VerifyError: see `TransactionRunner.run_statement`.
        """
        try:
            super().run_statement(session, statement)
        except VerifyError as error:
            if statement.sample is None:
                raise
            raise self._with_rows(session, statement.sample, error) from error

    def _with_rows(self, session: Session, sample: Sample, error: VerifyError) -> VerifyError:
        """The error with some of the rows that it is about, if they can be read."""
        rows = read_sample(sample, self.answers.bad_columns, self._plan.spec, session)
        if not rows:
            return error
        what = error.message.removesuffix(f"\n{self.state()}")
        return VerifyError(
            f"{what}\n{sample.title}{format_rows(rows)}\n{self.state()}",
            hint=error.hint,
            details=error.details or rows,
            statement=error.statement,
            rolled_back=True,
        )

    def _explain_failure(self, session: Session, statement: Statement, error: ExecuteError) -> str:
        """The rows that a COPY rejected, one line each."""
        if statement.role == "lock" and error.code == CANCELLED:
            error.hint, error.transient = _LOCKED, True
        if statement.role != "copy" or error.transient:
            return ""
        with suppress(ExecuteError):
            session.rollback()  # an aborted transaction runs no queries
            explain = self._explain_copy
            lines = explain(session, self._plan, error.message) if explain else []
            more = "".join(f"  {line}\n" for line in lines)
            return more + self._sample_of_copy(session, statement, error)
        return ""

    def _sample_of_copy(self, session: Session, statement: Statement, error: ExecuteError) -> str:
        """Some of the rows that a COPY stopped at, as lines."""
        if statement.sample is None:
            return ""
        words = set(re.findall(r"\w+", error.message))
        named = tuple(name for name in self._plan.stage.columns if name in words)
        session.begin()
        rows = read_sample(statement.sample, named, self._plan.spec, session)
        return f"{statement.sample.title}{format_rows(rows)}\n" if rows else ""

    def _report_checks(self, session: Session) -> None:
        """Report all failed checks, with sample rows, and partitions that have lost rows.

        Raises:
            VerifyError: one of them has severity error.
        """
        answers, plan = self.answers, self._plan
        failed, answers.failed_checks = answers.failed_checks, []
        shrunk, answers.shrunk = answers.shrunk, None
        fatal = [statement for statement, one in failed if one.check.severity == "error"]
        messages, details, hint = [], [], "fix the data, or change the check in the spec"
        if shrunk is not None:
            statement, partitions = shrunk
            assert isinstance(statement.expects, NotShrunk)
            guards = statement.expects.guards
            messages.append(describe_shrunk(partitions, guards, plan.spec.table))
            details += shrunk_details(partitions)
            if guards.severity == "error":
                hint = _SHRUNK if not fatal else f"{hint}; {_SHRUNK}"
                fatal.insert(0, statement)
        for _, result in failed:
            try:
                found = add_sample(result, session, plan.spec, self._renderer, plan.slice)
            except ExecuteError:
                # Fails the load, unless a failed check does so anyway.
                if not fatal:
                    raise
                found = result
            answers.checks = [found if one is result else one for one in answers.checks]
            messages.append(describe_failure(found, plan.spec, plan.slice_text))
            details.append(failure_details(found))
        if not fatal:
            self._warnings += messages
            return
        raise VerifyError(
            "\n".join([*messages, self.state()]),
            hint=hint,
            details=details,
            statement=fatal[0].sql,
        )

    # --- after a COMMIT whose outcome is not known

    def resolve_commit(self, error: ExecuteError) -> None:
        """Look in the ledger whether the load was committed in spite of the error.

        Raises:
            ExecuteError: it was not, or there is no ledger.
        """
        plan = self._plan
        table = plan.spec.table
        unknown = f"COMMIT failed: {error.message}\nit is unknown whether {table} was changed"
        if not plan.target.ledger_schema:
            raise ExecuteError(
                f"{unknown}: the target has no ledger",
                hint="check the table, and set ledger_schema, so that Loader can find out",
            ) from error
        try:
            record = with_retries(self._find_after_loss)
        except ExecuteError as lost:
            raise ExecuteError(
                f"{unknown}: the ledger cannot be read: {lost.message}",
                hint=f"load again with the load id `{plan.load_id}`: nothing is loaded twice",
            ) from error
        if record is None:
            raise ExecuteError(
                f"COMMIT failed: {error.message}\nthe ledger does not have the load:"
                f" {table} is unchanged",
                hint=error.hint,
                statement="COMMIT",
                rolled_back=True,
                transient=error.transient,
            ) from error
        self._accept(record)

    def resolve_interrupt(self, stop: BaseException) -> bool:
        """After an interrupted COMMIT: whether the ledger has the load."""
        plan = self._plan
        unknown = f"COMMIT was interrupted; it is unknown whether {plan.spec.table} was changed"
        if not plan.target.ledger_schema:
            stop.add_note(f"{unknown}: the target has no ledger")
            return False
        try:
            record = with_retries(self._find_after_loss)
        except ExecuteError as lost:
            stop.add_note(f"{unknown}: the ledger cannot be read: {lost.message}")
            return False
        if record is not None:
            self._accept(record)
        return record is not None

    def _accept(self, record: LoadRecord) -> None:
        """Check that a record is this run's own.

        Raises:
            AlreadyLoadedError: another run with the same load id has committed first.
            ExecuteError: a load of another slice has the same load id.
        """
        self._check_record(record)
        own = f"{self._plan.stage.prefix}/manifest.json" if self._rows != 0 else None
        if record.manifest != own:
            raise AlreadyLoadedError(record)

    def _check_record(self, record: LoadRecord) -> None:
        plan = self._plan
        check_same_load(record, plan.load_id, self._table, ledger_slice(plan.slice))

    def _find_after_loss(self) -> LoadRecord | None:
        """Find the ledger's record, after the transaction of the lost connection has ended."""
        plan = self._plan
        if not self._renderer.has("lock"):
            ledger = plan.target.ledger_schema
            return find_load(self.warehouse, self._renderer, ledger, self._table, plan.load_id)
        with self.warehouse.session() as session:
            wait = self._renderer.render("lock_wait", {"milliseconds": _LOCK_WAIT})
            session.execute(wait.sql)
            rows: list[Row] = []
            with transaction(session):
                for statement in plan.statements:
                    if statement.role == "lock" or isinstance(statement.expects, NotLoaded):
                        rows = session.execute(statement.sql)
            return LoadRecord.of(rows)
