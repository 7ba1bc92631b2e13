"""Runs a plan's transaction: every statement in order, verified before COMMIT, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import tenacity

from loader.dispositions import MergeCounts
from loader.errors import ExecuteError, VerifyError
from loader.live import Live, LiveColumn, LiveTable
from loader.plan import Plan, Statement, ledger_slice, lock_name
from loader.render import Renderer, Table
from loader.warehouses import Row, Session, Warehouse, transaction

ATTEMPTS = 6
"""How often a transaction is tried when the warehouse says that it may work the next time."""

BUDGET = 1_800.0
"""Seconds after which no further attempt is made."""

_LOCK_WAIT = 60_000
"""Milliseconds to wait for the transaction of a lost connection to end."""

T = TypeVar("T")

Build = Callable[[Live], Plan]
"""Makes the plan once the live table is known."""
Explain = Callable[[Session, Plan, str], list[str]]
"""Asks the warehouse which rows its COPY refused."""
OnStatement = Callable[[Statement], None]
"""Told which statement runs now."""


@dataclass
class Outcome:
    """What a transaction did."""

    plan: Plan
    already_loaded: bool = False
    """The ledger had the load id: nothing was run."""
    rows_deleted: int = 0
    rows_loaded: int = 0
    rows_after: int | None = None
    warnings: list[str] = field(default_factory=list)
    """Checks of severity warning that did not hold."""
    merge_counts: MergeCounts | None = None
    """What became of the rows of a merge."""
    columns_widened: tuple[str, ...] = ()
    """Columns that were widened before the transaction."""


def execute(
    build: Build,
    *,
    table: Table,
    warehouse: Warehouse,
    renderer: Renderer,
    rows: int,
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
        session: One that is open already, for the first attempt.
        on_statement: Told of each statement before it runs.
        explain: Tells which rows a COPY refused, in the session where it failed.

    Raises:
        PlanError: the live table differs from the spec.
        ExecuteError: a statement failed; the table holds what it held before.
        VerifyError: a count or a check did not hold; likewise.
    """
    attempt = _Attempt(build, table, warehouse, renderer, rows, on_statement, session, explain)
    return patiently(attempt.run)


def patiently(action: Callable[[], T]) -> T:
    """Do something in the warehouse, again as a whole while it fails for a passing reason."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        wait=tenacity.wait_random_exponential(0.2, max=30),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(BUDGET),
        reraise=True,
    )
    return attempts(action)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ExecuteError) and error.transient and error.statement is not None


@dataclass
class _Attempt:
    """One try at the transaction."""

    build: Build
    table: Table
    warehouse: Warehouse
    renderer: Renderer
    rows: int
    on_statement: OnStatement | None
    session: Session | None
    explain: Explain | None
    committing: bool = False
    before: int = 0
    outcome: Outcome | None = None
    widened: tuple[str, ...] = ()
    """Stays from try to try, for no rollback undoes it."""

    def run(self) -> Outcome:
        self.committing, self.before, self.outcome = False, 0, None
        try:
            with self._opened() as session:
                opening = self.build("unseen")
                self._set_up(session, opening)
                self._run_outside(session, opening)
                with transaction(session, self._on_commit):
                    self._run_in(session, opening)
        except _AlreadyLoadedError:
            pass
        except ExecuteError as error:
            if not self.committing:
                error.rolled_back = True
                raise
            if not self._resolved(error):
                raise
        except KeyboardInterrupt:
            # Whoever interrupts a COMMIT is told what came of it.
            if not self.committing or not self._is_in_ledger():
                raise
        assert self.outcome is not None
        self.outcome.columns_widened = self.widened
        return self.outcome

    @contextmanager
    def _opened(self) -> Iterator[Session]:
        session, self.session = self.session, None
        if session is not None:
            yield session
            return
        with self.warehouse.session() as opened:
            yield opened

    def _on_commit(self) -> None:
        self.committing = True

    def _set_up(self, session: Session, opening: Plan) -> None:
        """Make the ledger where there is none; in a transaction of its own, for it stays."""
        ledger = opening.target.ledger_schema
        if not ledger:
            return
        names = ["loads", lock_name(opening.spec)] if self.renderer.has("lock") else ["loads"]
        tables = [Table(ledger, name) for name in names]
        found = [describe(session, self.renderer, table) for table in tables]
        if all(isinstance(live, LiveTable) for live in found):
            return
        self.outcome = Outcome(opening)
        with transaction(session):
            for statement in opening.setup:
                if statement.role != "schema" or "no schema" in found:
                    self._told(session, statement)

    def _run_outside(self, session: Session, opening: Plan) -> None:
        """Run what no transaction takes; each of it does nothing the second time."""
        allowed = opening.spec.schema_contract.evolve == "additive"
        if allowed and self.renderer.has("widen_column"):
            plan = self.build(describe(session, self.renderer, self.table))
            self.outcome = Outcome(plan)
            for statement in plan.outside:
                self._told(session, statement)
            self.widened = (*self.widened, *plan.columns_widened)

    def _run_in(self, session: Session, opening: Plan) -> None:
        self.outcome = Outcome(opening)
        # A snapshot is taken at the first look, so whoever takes turns does it before.
        for statement in opening.statements:
            if statement.role == "lock":
                self._told(session, statement)
        plan = self.build(describe(session, self.renderer, self.table))
        self.outcome = Outcome(plan)
        for statement in plan.statements:
            if statement.role != "lock":
                self._answer(statement, self._told(session, statement))

    def _told(self, session: Session, statement: Statement) -> list[Row]:
        if self.on_statement is not None:
            self.on_statement(statement)
        return self._execute(session, statement)

    def _execute(self, session: Session, statement: Statement) -> list[Row]:
        try:
            return session.execute(statement.sql)
        except ExecuteError as error:
            refused = self._refused_rows(session, statement, error)
            raise ExecuteError(
                f"`{statement.name}` failed: {error.message}\n{refused}{self._unchanged()}",
                hint=error.hint or f"the statement comes from {statement.template}",
                statement=statement.sql,
                rolled_back=True,
                transient=error.transient,
            ) from error

    def _refused_rows(self, session: Session, statement: Statement, error: ExecuteError) -> str:
        if self.explain is None or statement.role != "copy" or error.transient:
            return ""
        assert self.outcome is not None
        with suppress(ExecuteError):
            session.rollback()  # an aborted transaction answers no question
            lines = self.explain(session, self.outcome.plan, error.message)
            return "".join(f"  {line}\n" for line in lines)
        return ""

    def _unchanged(self) -> str:
        assert self.outcome is not None
        widened = f"; widened before: {', '.join(self.widened)}" if self.widened else ""
        return f"rolled back; {self.outcome.plan.spec.table} holds what it held before{widened}"

    def _answer(self, statement: Statement, rows: list[Row]) -> None:
        """Take a statement's answer for what its role says it is."""
        assert self.outcome is not None
        number = int(rows[0][0]) if statement.role != "check" and _is_number(rows) else 0
        match statement.role:
            case "find_load":
                self._found(rows)
            case "delete":
                self.outcome.rows_deleted += number
            case "copy":
                if _is_number(rows):
                    self._verify(statement, number, self.rows, "rows were loaded", "staged")
                self.outcome.rows_loaded = self.rows
            case "copied":
                self._verify(statement, number, self.rows, "rows were loaded", "staged")
            case "count_before":
                self.before = number
            case "count":
                wanted = self.before + self.rows
                before = f" after {self.before:,} before" if self.before else ""
                self._verify(statement, number, wanted, f"rows are there{before}", "expected")
                self.outcome.rows_after = number
            case "none":
                self._verify(statement, number, 0, "keys are missing", "expected")
            case "check":
                self._check(statement, rows)
            case "merge_ties":
                self._check_ties(statement, number)
            case "merge_counts":
                self._count_merge(statement, rows)
            case "merge_skip" | "merge_delete" | "merge_write" | "merge_after":
                self._verify_merge(statement, number if rows else None)

    def _check_ties(self, statement: Statement, number: int) -> None:
        assert self.outcome is not None
        if not number:
            return
        spec = self.outcome.plan.spec
        raise VerifyError(
            f"`{statement.name}` of {spec.table}: {number:,} rows of the load tie with another row"
            f" of their key by {', '.join(spec.merge.order_by)} and hold something else: which of"
            f" them is the last cannot be known\n{self._unchanged()}",
            hint="add a column to merge.order_by that tells them apart",
            statement=statement.sql,
            rolled_back=True,
        )

    def _count_merge(self, statement: Statement, rows: list[Row]) -> None:
        """Take the counts of a merge; each row of the load may meet one row of the table."""
        assert self.outcome is not None
        *counts, self.before = rows[0]
        self.outcome.merge_counts = MergeCounts(*counts)
        excess = sum(counts) - self.rows
        if excess:
            raise VerifyError(
                f"`{statement.name}` of {self.table.schema}.{self.table.name}: the rows of the load"
                f" meet {excess:,} rows of the table too many: keys of the load are in the table"
                f" more than once\n{self._unchanged()}",
                hint="remove the duplicates of the primary key from the table, or replace it whole"
                " with --full-refresh",
                statement=statement.sql,
                rolled_back=True,
            )

    def _verify_merge(self, statement: Statement, number: int | None) -> None:
        """Hold what a statement of a merge did against the counts taken before it."""
        assert self.outcome is not None
        counts = self.outcome.merge_counts
        assert counts is not None, "they are taken first"
        known = counts.rows_updated + counts.rows_unchanged
        wanted = {
            "merge_skip": counts.rows_skipped,
            "merge_delete": known,
            "merge_write": known + counts.rows_inserted,
            "merge_after": self.before + counts.rows_inserted,
        }[statement.role]
        if statement.role == "merge_write" and number is None:
            return  # Redshift does not report what MERGE did
        self._verify(statement, number or 0, wanted, "rows", "expected")
        if statement.role == "merge_after" and not self.outcome.plan.slice:
            self.outcome.rows_after = wanted

    def _found(self, rows: list[Row]) -> None:
        if not rows:
            return
        assert self.outcome is not None
        plan = self.outcome.plan
        check_same_load(rows[0], plan.load_id, self.table, ledger_slice(plan.slice))
        self.outcome.already_loaded = True
        raise _AlreadyLoadedError

    def _verify(self, statement: Statement, found: int, wanted: int, what: str, word: str) -> None:
        if found == wanted:
            return
        assert self.outcome is not None
        hint = "look at the staged files, which `keep` may have left, and at the table"
        plan = self.outcome.plan
        if statement.role == "count" and plan.slice and found < wanted:
            hint = f"rows may lie outside the slice: they must satisfy it by {_exprs(plan)}"
        raise VerifyError(
            f"`{statement.name}` of {plan.spec.table}: {found:,} {what}, {wanted:,} {word}\n"
            f"{self._unchanged()}",
            hint=hint,
            statement=statement.sql,
            rolled_back=True,
        )

    def _check(self, statement: Statement, rows: list[Row]) -> None:
        check = statement.check
        assert check is not None
        assert self.outcome is not None
        value = measured(rows)
        if check.holds(value):
            return
        shown = f"{value.normalize():f}{'%' if check.unit == 'percent' else ''}"
        where = self.outcome.plan.slice_text or "the whole table"
        message = (
            f"the check `{check.label}` of {self.outcome.plan.spec.table} ({where}) must be"
            f" {check.expectation}, and is {shown}"
        )
        if check.severity == "warning":
            self.outcome.warnings.append(message)
            return
        raise VerifyError(
            f"{message}\n{self._unchanged()}",
            hint="mend the data, or change the check in the spec",
            statement=statement.sql,
            rolled_back=True,
        )

    def _resolved(self, error: ExecuteError) -> bool:
        """After a failed COMMIT: whether the ledger says that it went through all the same.

        Raises:
            ExecuteError: it did not, or there is no ledger to ask.
        """
        assert self.outcome is not None
        plan = self.outcome.plan
        table, ledger = plan.spec.table, plan.target.ledger_schema
        unknown = f"COMMIT failed: {error.message}\nwhether {table} was changed is not known"
        if not ledger:
            raise ExecuteError(
                f"{unknown}: the target has no ledger",
                hint="look at the table, and set ledger_schema so that loads can be told apart",
            ) from error
        try:
            found = patiently(lambda: self._find_after_loss(plan))
        except ExecuteError as lost:
            raise ExecuteError(
                f"{unknown}: the ledger cannot be asked: {lost.message}",
                hint=f"load again with the load id `{plan.load_id}`: nothing is loaded twice",
            ) from error
        if found:
            return True
        raise ExecuteError(
            f"COMMIT failed: {error.message}\nthe ledger does not have the load:"
            f" {table} holds what it held before",
            hint=error.hint,
            statement="COMMIT",
            rolled_back=True,
            transient=error.transient,
        ) from error

    def _is_in_ledger(self) -> bool:
        assert self.outcome is not None
        plan = self.outcome.plan
        return bool(plan.target.ledger_schema) and self._find_after_loss(plan) is not None

    def _find_after_loss(self, plan: Plan) -> Row | None:
        """The ledger's row, looked for once the transaction of the lost connection has ended."""
        if not self.renderer.has("lock"):
            return find_load(self.warehouse, self.renderer, plan.target.ledger_schema, plan.load_id)
        with self.warehouse.session() as session:
            wait = self.renderer.render("lock_wait", {"milliseconds": _LOCK_WAIT})
            session.execute(wait.sql)
            with transaction(session):
                rows: list[Row] = []
                for statement in plan.statements:
                    if statement.role in ("lock", "find_load"):
                        rows = session.execute(statement.sql)
            return rows[0] if rows else None


def measured(rows: list[Row]) -> Decimal:
    """The value of a check's metric; a share of no rows is zero."""
    return Decimal(str(rows[0][0] if rows and rows[0][0] is not None else 0))


def check_same_load(row: Row, load_id: str, table: Table, slice_: str | None) -> None:
    """Refuse a load id that an earlier load of something else has.

    Raises:
        ExecuteError: the ledger's row is about another table or slice.
    """
    schema, name, earlier = row[:3]
    if (schema, name, earlier) == (table.schema, table.name, slice_):
        return
    raise ExecuteError(
        f"the load id `{load_id}` is that of an earlier load of {schema}.{name}"
        f" ({earlier or 'the whole table'})",
        hint="give each load an id of its own, or none",
        rolled_back=True,
    )


class _AlreadyLoadedError(Exception):
    """Leaves the transaction when there is nothing to do."""


def _is_number(rows: list[Row]) -> bool:
    return bool(rows) and isinstance(rows[0][0], int)


def _exprs(plan: Plan) -> str:
    return ", ".join(f"`{dimension.expr}`" for dimension in plan.spec.dimensions)


def describe(session: Session, renderer: Renderer, table: Table) -> Live:
    """The live table, as the warehouse tells it."""
    rows = session.execute(renderer.render("describe", {"table": table}).sql)
    if not rows:
        schemas = session.execute(renderer.render("find_schema", {"table": table}).sql)
        return "absent" if schemas else "no schema"
    columns = tuple(
        LiveColumn(name, kind, bool(nullable), bool(has_default))
        for name, kind, nullable, has_default, _ in rows
    )
    return LiveTable(columns, kind="table" if rows[0][4] else "view")


def find_load(
    warehouse: Warehouse,
    renderer: Renderer,
    ledger_schema: str,
    load_id: str,
    session: Session | None = None,
) -> Row | None:
    """The ledger's row of a load: its table's schema and name, its slice, rows, bytes, files."""
    if session is None:
        if not warehouse.exists():
            return None
        with warehouse.session(write=False) as opened:
            return find_load(warehouse, renderer, ledger_schema, load_id, opened)
    ledger = Table(ledger_schema, "loads")
    if not isinstance(describe(session, renderer, ledger), LiveTable):
        return None
    facts = {"ledger": ledger, "load": {"id": load_id}}
    rows = session.execute(renderer.render("ledger_find", facts).sql)
    return rows[0] if rows else None
