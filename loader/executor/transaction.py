"""A load's transaction: every statement in order, verified before COMMIT, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from loader.errors import ExecuteError, VerifyError
from loader.executor.answers import AlreadyLoadedError, Answers
from loader.executor.check_results import facts, finding, sampled
from loader.executor.runner import OnStatement, TransactionRunner
from loader.plan.dispositions import MergeCounts
from loader.plan.expectations import STAGED, CheckHolds, NotLoaded
from loader.plan.figures import Figure, Value
from loader.plan.live_table import Live, LiveTable
from loader.plan.load_plan import plan_ledger_upgrade
from loader.plan.model import Evolution, Plan, Statement, ledger_slice, table_ledger
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session, Warehouse, transaction
from loader.warehouse.introspect import describe
from loader.warehouse.ledger import LoadRecord, check_same_load, find_load
from loader.warehouse.retry import with_retries

_LOCK_WAIT = 60_000
"""Milliseconds to wait for the transaction of a lost connection to end."""

_CHANGED = "somebody else changed the table meanwhile: load again, once no other job does so"

_CANCELLED = "57014"
"""The SQLSTATE of a statement that took longer than statement_timeout allows."""

_LOCKED = "another load of the table is running: load again, once it has ended"

Build = Callable[[Live, Evolution], Plan]
"""Makes the plan once the live table is known, and what was changed in it before."""
Explain = Callable[[Session, Plan, str], list[str]]
"""Asks the warehouse which rows its COPY refused."""


@dataclass
class Outcome:
    """What a transaction did."""

    plan: Plan
    record: LoadRecord | None = None
    """The ledger's record of this load id, when another run has loaded it: this one did nothing."""
    rows_deleted: int = 0
    rows_loaded: int = 0
    rows_after: int | None = None
    warnings: list[str] = field(default_factory=list)
    """Checks of severity warning that did not hold, with rows that break them."""
    merge_counts: MergeCounts | None = None
    """What became of the rows of a merge."""
    evolution: Evolution = field(default_factory=Evolution)
    """Columns that were added or widened."""


def execute(
    build: Build,
    *,
    table: Table,
    warehouse: Warehouse,
    renderer: Renderer,
    rows: int,
    figures: Mapping[Figure, Value] | None = None,
    session: Session | None = None,
    on_statement: OnStatement | None = None,
    explain: Explain | None = None,
) -> Outcome:
    """Run a load's transaction, again as a whole when it fails for a passing reason.

    Args:
        build: Makes the plan; called inside the transaction, with the live table.
        table: The table it loads.
        warehouse: Where it runs.
        renderer: For the look at the live table, and into the ledger.
        rows: How many rows are staged; what every count is held against.
        figures: Those of the staged rows; what the warehouse's own are held against.
        session: One that is open already, for the first attempt.
        on_statement: Told of each statement before it runs.
        explain: Tells which rows a COPY refused, in the session where it failed.

    Raises:
        PlanError: the live table differs from the spec.
        ExecuteError: a statement failed; the table holds what it held before.
        VerifyError: a count or a check did not hold; likewise.
    """
    load = LoadTransaction(
        build, table, warehouse, renderer, rows, figures or {}, session, on_statement, explain
    )
    return with_retries(load.load)


class LoadTransaction(TransactionRunner):
    """The transaction of one load, which may take several attempts."""

    def __init__(
        self,
        build: Build,
        table: Table,
        warehouse: Warehouse,
        renderer: Renderer,
        rows: int,
        figures: Mapping[Figure, Value],
        session: Session | None,
        on_statement: OnStatement | None,
        explain: Explain | None,
    ) -> None:
        self._build = build
        self._table = table
        self._renderer = renderer
        self._rows = rows
        self._figures = figures
        self._session = session
        self._explain_copy = explain
        self._evolved = Evolution()
        """Stays from attempt to attempt, for no rollback undoes it."""
        self._plan = self._opening = build("unseen", self._evolved)
        self._live: Live = "unseen"
        """The table as the transaction saw it first."""
        self._warnings: list[str] = []
        super().__init__(warehouse, on_statement)
        self.explain = self._explain_failure

    def load(self) -> Outcome:
        """Make one attempt.

        Raises:
            PlanError, ExecuteError, VerifyError: see `execute`.
        """
        self._live, self._warnings, self._plan = "unseen", [], self._opening
        record = None
        try:
            self.run()
        except AlreadyLoadedError as found:
            record = self._check_record(found.record)
        except _CommittedByAnother as found:
            record = found.record
        if record is not None:
            return Outcome(self._plan, record, rows_loaded=record.rows, evolution=self._evolved)
        answers = self.answers
        return Outcome(
            self._plan,
            rows_deleted=answers.rows_deleted,
            rows_loaded=self._rows if self._copies else 0,
            rows_after=answers.rows_after,
            warnings=self._warnings,
            merge_counts=answers.merge_counts,
            evolution=self._plan.evolution,
        )

    @property
    def _copies(self) -> bool:
        return any(statement.role == "copy" for statement in self._plan.statements)

    def new_answers(self) -> Answers:
        """Nothing is known but how many rows are staged."""
        spec = self._opening.spec
        hidden = frozenset(column.name for column in spec.columns if column.classification)
        return Answers(spec.table, self.state, self._figures, hidden, {STAGED: self._rows})

    def state(self) -> str:
        """That nothing was changed, but for columns that were added or widened before."""
        return f"rolled back; {self._opening.spec.table} holds what it held before{self._evolved}"

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        """The session that is open already, once; then new ones."""
        session, self._session = self._session, None
        if session is not None:
            yield session
            return
        with self.warehouse.session() as opened:
            yield opened

    # --- before the transaction

    def run_before(self, session: Session) -> None:
        """Set up session and ledger, change columns, and run the hooks before BEGIN."""
        for statement in self._opening.session:
            self.run_statement(session, statement)
        self._make_ledger(session)
        self._evolve(session)
        for statement in self._opening.before:
            self.run_statement(session, statement)

    def _evolve(self, session: Session) -> None:
        """Change the columns of the live table that are not changed in the transaction."""
        if self._opening.spec.schema_contract.evolve != "additive":
            return
        self._live = describe(session, self._renderer, self._table)
        plan = self._build(self._live, Evolution())
        if plan.outside:
            with self._retried_if_changed(session):
                for statement in plan.outside:
                    self.run_statement(session, statement)
            self._evolved += plan.evolution

    def _make_ledger(self, session: Session) -> None:
        """In a transaction of its own, for it stays."""
        missing = self._missing(session)
        if not missing:
            return
        made: list[Statement] = []
        try:
            with transaction(session, lambda: made.extend(missing)):
                for statement in missing:
                    self.run_statement(session, statement)
        except ExecuteError:
            # Another load may have made it meanwhile; what a failed COMMIT left is not known.
            if made or self._missing(session):
                raise

    def _missing(self, session: Session) -> list[Statement]:
        """The statements that make what the ledger lacks."""
        plan, ledger = self._opening, self._opening.target.ledger_schema
        if not ledger:
            return []
        tables = [Table(ledger, "loads")]
        if self._renderer.has("table_ledger_create"):
            tables.append(table_ledger(ledger, self._table))
        found = [describe(session, self._renderer, table) for table in tables]
        missing: list[Statement] = []
        if not all(isinstance(live, LiveTable) for live in found):
            missing += [one for one in plan.setup if one.role != "schema" or "no schema" in found]
        if isinstance(found[0], LiveTable):
            missing += plan_ledger_upgrade(plan.spec, self._renderer, plan.target, found[0].order)
        return missing

    # --- the transaction

    def run_transaction(self, session: Session) -> None:
        """Run it; a table that others changed meanwhile may be fine the next time."""
        with self._retried_if_changed(session):
            super().run_transaction(session)

    @contextmanager
    def _retried_if_changed(self, session: Session) -> Iterator[None]:
        """Let a statement that failed be tried again where the table is not as it was."""
        try:
            yield
        except VerifyError:
            raise
        except ExecuteError as error:
            if not self.committing and not error.transient and self._was_changed(session):
                error.transient, error.hint = True, _CHANGED
            raise

    def _was_changed(self, session: Session) -> bool:
        """After a rollback: whether somebody else has made, altered or dropped the table since."""
        if self._live == "unseen":
            return False
        try:
            return describe(session, self._renderer, self._table) != self._live
        except ExecuteError:
            return False

    def run_inside(self, session: Session) -> None:
        """Take turns, look at the live table, and run the plan that is made for it."""
        self.take_turns(session, self._opening.statements)
        self._live = describe(session, self._renderer, self._table)
        self._plan = self._build(self._live, self._evolved)
        for statement in self._plan.statements:
            if statement.role == "lock":
                continue
            if not isinstance(statement.expects, CheckHolds):
                self._settle_checks(session)
            self.run_statement(session, statement)
        self._settle_checks(session)

    def _explain_failure(self, session: Session, statement: Statement, error: ExecuteError) -> str:
        """The rows that a COPY refused, line by line."""
        if statement.role == "lock" and error.code == _CANCELLED:
            error.hint, error.transient = _LOCKED, True
        if self._explain_copy is None or statement.role != "copy" or error.transient:
            return ""
        with suppress(ExecuteError):
            session.rollback()  # an aborted transaction answers no question
            lines = self._explain_copy(session, self._plan, error.message)
            return "".join(f"  {line}\n" for line in lines)
        return ""

    def _settle_checks(self, session: Session) -> None:
        """Report all checks that do not hold, with rows that break them.

        Raises:
            VerifyError: one of them is no mere warning.
        """
        failed, self.answers.failed_checks = self.answers.failed_checks, []
        if not failed:
            return
        plan = self._plan
        fatal = [statement for statement, one in failed if one.check.severity == "error"]
        found = []
        for _, result in failed:
            try:
                found.append(sampled(result, session, plan.spec, self._renderer, plan.slice))
            except ExecuteError:
                # What fails here fails the load too, unless a check does so anyway.
                if not fatal:
                    raise
                found.append(result)
        messages = [finding(result, plan.spec, plan.slice_text) for result in found]
        if not fatal:
            self._warnings += messages
            return
        raise VerifyError(
            "\n".join([*messages, self.state()]),
            hint="fix the data, or change the check in the spec",
            details=[facts(result) for result in found],
            statement=fatal[0].sql,
            rolled_back=True,
        )

    # --- after a COMMIT whose outcome is not known

    def resolve_commit(self, error: ExecuteError) -> None:
        """Ask the ledger whether the load was committed all the same.

        Raises:
            ExecuteError: it was not, or there is no ledger to ask.
        """
        plan = self._plan
        table = plan.spec.table
        unknown = f"COMMIT failed: {error.message}\nwhether {table} was changed is not known"
        if not plan.target.ledger_schema:
            raise ExecuteError(
                f"{unknown}: the target has no ledger",
                hint="look at the table, and set ledger_schema so that loads can be told apart",
            ) from error
        try:
            record = with_retries(self._find_after_loss)
        except ExecuteError as lost:
            raise ExecuteError(
                f"{unknown}: the ledger cannot be asked: {lost.message}",
                hint=f"load again with the load id `{plan.load_id}`: nothing is loaded twice",
            ) from error
        if record is None:
            raise ExecuteError(
                f"COMMIT failed: {error.message}\nthe ledger does not have the load:"
                f" {table} holds what it held before",
                hint=error.hint,
                statement="COMMIT",
                rolled_back=True,
                transient=error.transient,
            ) from error
        self._accept(record)

    def resolve_interrupt(self, stop: BaseException) -> bool:
        """After an interrupted COMMIT: whether the ledger says that it went through."""
        plan = self._plan
        unknown = f"COMMIT was interrupted; whether {plan.spec.table} was changed is not known"
        if not plan.target.ledger_schema:
            stop.add_note(f"{unknown}: the target has no ledger")
            return False
        try:
            record = self._find_after_loss()
        except ExecuteError as lost:
            stop.add_note(f"{unknown}: the ledger cannot be asked: {lost.message}")
            return False
        if record is not None:
            self._accept(record)
        return record is not None

    def _accept(self, record: LoadRecord) -> None:
        """Tell this run's own record from that of another run of the load id."""
        self._check_record(record)
        own = f"{self._plan.stage.prefix}/manifest.json" if self._rows else None
        if record.manifest != own:
            raise _CommittedByAnother(record)

    def _check_record(self, record: LoadRecord) -> LoadRecord:
        plan = self._plan
        check_same_load(record, plan.load_id, self._table, ledger_slice(plan.slice))
        return record

    def _find_after_loss(self) -> LoadRecord | None:
        """The ledger's record, looked for once the lost connection's transaction has ended."""
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


class _CommittedByAnother(Exception):  # noqa: N818  # it is an outcome, no error
    """Another run of the load id was quicker with its COMMIT."""

    def __init__(self, record: LoadRecord) -> None:
        super().__init__()
        self.record = record
