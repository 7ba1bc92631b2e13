"""Runs a plan's transaction: every statement in order, verified before COMMIT, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import TypeVar

import tenacity

from loader.errors import ExecuteError, VerifyError
from loader.executor.answers import facts, finding, judge, sampled, unexpected_answer, whole_number
from loader.executor.results import CheckResult
from loader.plan.dispositions import MergeCounts
from loader.plan.figures import Figure, Value, parse_figure, same, show_figure
from loader.plan.live_table import Live, LiveColumn, LiveTable
from loader.plan.load_plan import plan_ledger_upgrade
from loader.plan.model import Plan, Statement, ledger_slice, lock_name
from loader.sql.renderer import Renderer, Table
from loader.warehouse.base import Row, Session, Warehouse, transaction

ATTEMPTS = 6
"""How often a transaction is tried when the warehouse says that it may work the next time."""

BUDGET = 1_800.0
"""Seconds after which no further attempt is made."""

_LOCK_WAIT = 60_000
"""Milliseconds to wait for the transaction of a lost connection to end."""

_MEANWHILE = "somebody else changed the table meanwhile: load again, once no other job does so"

_CANCELLED = "57014"
"""The SQLSTATE of a statement that took longer than statement_timeout allows."""

_TAKEN = "another load of the table is at work: load again, once it has ended"

T = TypeVar("T")

Build = Callable[[Live, tuple[str, ...]], Plan]
"""Makes the plan once the live table is known, and the columns that were widened for it."""
Explain = Callable[[Session, Plan, str], list[str]]
"""Asks the warehouse which rows its COPY refused."""
OnStatement = Callable[[Statement], None]
"""Told which statement runs now."""


@dataclass
class Outcome:
    """What a transaction did."""

    plan: Plan
    ledger_row: Row | None = None
    """The ledger's row of this load id, when another run has loaded it: this one did nothing."""
    rows_deleted: int = 0
    rows_loaded: int = 0
    rows_after: int | None = None
    warnings: list[str] = field(default_factory=list)
    """Checks of severity warning that did not hold, with rows that break them."""
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
    attempt = _Attempt(
        build, table, warehouse, renderer, rows, figures or {}, on_statement, session, explain
    )
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
    figures: Mapping[Figure, Value]
    on_statement: OnStatement | None
    session: Session | None
    explain: Explain | None
    committing: bool = False
    before: int = 0
    outcome: Outcome | None = None
    broken: list[tuple[Statement, CheckResult]] = field(default_factory=list)
    """Checks that do not hold."""
    live: Live = "unseen"
    """The table as the transaction saw it first."""
    widened: tuple[str, ...] = ()
    """Stays from try to try, for no rollback undoes it."""

    def run(self) -> Outcome:
        self.committing, self.before, self.outcome = False, 0, None
        self.broken, self.live = [], "unseen"
        try:
            with self._opened() as session:
                opening = self.build("unseen", ())
                self._set_up(session, opening)
                self._run_outside(session, opening)
                self._transact(session, opening)
        except _AlreadyLoadedError:
            pass
        except ExecuteError as error:
            if not self.committing:
                error.rolled_back = True
                raise
            if not self._resolved(error):
                raise
        except Exception:
            raise
        except BaseException as stop:
            # Whoever interrupts a COMMIT is told what came of it.
            if not self.committing or not self._survived(stop):
                raise
        assert self.outcome is not None
        self.outcome.columns_widened = self.widened
        return self.outcome

    def _transact(self, session: Session, opening: Plan) -> None:
        try:
            with transaction(session, self._on_commit):
                self._run_in(session, opening)
        except VerifyError:
            raise
        except ExecuteError as error:
            if not self.committing and not error.transient and self._was_changed(session):
                error.transient, error.hint = True, _MEANWHILE
            raise

    def _was_changed(self, session: Session) -> bool:
        """After a rollback: whether somebody else has made, altered or dropped the table since."""
        if self.live == "unseen":
            return False
        try:
            return describe(session, self.renderer, self.table) != self.live
        except ExecuteError:
            return False

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
        missing = self._missing(session, opening)
        if not missing:
            return
        self.outcome = Outcome(opening)
        made: list[Statement] = []
        try:
            with transaction(session, lambda: made.extend(missing)):
                for statement in missing:
                    self._told(session, statement)
        except ExecuteError:
            # Another load may have made it meanwhile; what a failed COMMIT left is not known.
            if made or self._missing(session, opening):
                raise

    def _missing(self, session: Session, opening: Plan) -> list[Statement]:
        """The statements that make what the ledger lacks."""
        ledger = opening.target.ledger_schema
        if not ledger:
            return []
        names = ["loads", lock_name(opening.spec)] if self.renderer.has("lock") else ["loads"]
        found = [describe(session, self.renderer, Table(ledger, name)) for name in names]
        missing: list[Statement] = []
        if not all(isinstance(live, LiveTable) for live in found):
            missing += [
                one for one in opening.setup if one.role != "schema" or "no schema" in found
            ]
        if isinstance(found[0], LiveTable):
            missing += plan_ledger_upgrade(
                opening.spec, self.renderer, opening.target, found[0].order
            )
        return missing

    def _run_outside(self, session: Session, opening: Plan) -> None:
        """Run what no transaction takes; each of it does nothing the second time."""
        allowed = opening.spec.schema_contract.evolve == "additive"
        if allowed and self.renderer.has("widen_column"):
            plan = self.build(describe(session, self.renderer, self.table), ())
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
        self.live = describe(session, self.renderer, self.table)
        plan = self.build(self.live, self.widened)
        self.outcome = Outcome(plan)
        for statement in plan.statements:
            if statement.role == "lock":
                continue
            if statement.role != "check":
                self._settle_checks(session)
            self._answer(statement, self._told(session, statement))
        self._settle_checks(session)

    def _told(self, session: Session, statement: Statement) -> list[Row]:
        if self.on_statement is not None:
            self.on_statement(statement)
        return self._execute(session, statement)

    def _execute(self, session: Session, statement: Statement) -> list[Row]:
        try:
            return session.execute(statement.sql)
        except ExecuteError as error:
            refused = self._refused_rows(session, statement, error)
            waited = statement.role == "lock" and error.code == _CANCELLED
            hint = _TAKEN if waited else error.hint
            raise ExecuteError(
                f"`{statement.name}` failed: {error.message}\n{refused}{self._unchanged()}",
                hint=hint or f"the statement comes from {statement.template}",
                statement=statement.sql,
                rolled_back=True,
                transient=error.transient or waited,
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
        match statement.role:
            case "find_load":
                self._found(rows)
            case "spellings":
                self._check_spellings(statement, rows)
            case "delete":
                # Not every DELETE of a project's own template answers with a count.
                self.outcome.rows_deleted += whole_number(statement, rows) if rows else 0
            case "copy" | "copied":
                if rows or statement.role == "copied":  # a COPY may leave it to the next statement
                    self._verify_loaded(statement, rows)
                self.outcome.rows_loaded = self.rows
            case "count_before":
                self.before = whole_number(statement, rows)
            case "count":
                number = whole_number(statement, rows)
                wanted = self.before + self.rows
                before = f" after {self.before:,} before" if self.before else ""
                self._verify(statement, number, wanted, f"rows are there{before}", "expected")
                self.outcome.rows_after = number
            case "verify" | "verify_stage":
                number = self._verify_values(statement, rows)
                if statement.role == "verify":
                    self.outcome.rows_after = number
            case "equal_keys":
                self._check_keys(statement, whole_number(statement, rows))
            case "check":
                self._check(statement, rows)
            case _:
                self._answer_merge(statement, rows)

    def _answer_merge(self, statement: Statement, rows: list[Row]) -> None:
        match statement.role:
            case "merge_ties":
                self._check_ties(statement, whole_number(statement, rows))
            case "merge_counts":
                self._count_merge(statement, rows)
            case "merge_missing":
                number = whole_number(statement, rows)
                self._verify(statement, number, 0, "keys are missing or there twice", "expected")
            case "merge_after":
                self._verify_merge(statement, whole_number(statement, rows))
            case "merge_skip" | "merge_delete" | "merge_write" if rows:
                # Redshift does not report what MERGE did.
                self._verify_merge(statement, whole_number(statement, rows))

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
        if len(rows) != 1 or len(rows[0]) != 1 + len(fields(MergeCounts)):
            raise unexpected_answer(statement, rows, "the counts of a merge")
        *counts, self.before = (whole_number(statement, [(one,)]) for one in rows[0])
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

    def _verify_merge(self, statement: Statement, number: int) -> None:
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
        self._verify(statement, number, wanted, "rows", "expected")
        if statement.role == "merge_after" and not self.outcome.plan.slice:
            self.outcome.rows_after = wanted

    def _verify_loaded(self, statement: Statement, rows: list[Row]) -> None:
        number = whole_number(statement, rows)
        self._verify(statement, number, self.rows, "rows were loaded", "staged")

    def _verify_values(self, statement: Statement, rows: list[Row]) -> int:
        """Hold the warehouse's figures against the staged ones; returns the number of rows.

        Raises:
            VerifyError: they differ; each that does is named.
        """
        if len(rows) != 1 or len(rows[0]) != 1 + len(statement.figures):
            wanted = f"one row of {1 + len(statement.figures):,} figures"
            raise unexpected_answer(statement, rows, wanted)
        count, *answers = rows[0]
        number = whole_number(statement, [(count,)])
        self._verify(statement, number, self.rows, "rows are there", "expected")
        differences = []
        for figure, answer in zip(statement.figures, answers, strict=True):
            try:
                found = parse_figure(figure, answer)
            except ValueError as error:
                wanted = f"the {figure.kind} of `{figure.column}`"
                raise unexpected_answer(statement, [(answer,)], wanted) from error
            if not same(self.figures[figure], found):
                differences.append((figure, found))
        if differences:
            raise self._different(statement, differences)
        return number

    def _different(
        self, statement: Statement, differences: Sequence[tuple[Figure, Value]]
    ) -> VerifyError:
        assert self.outcome is not None
        plan, spec = self.outcome.plan, self.outcome.plan.spec
        rows = []
        for figure, found in differences:
            secret = spec.by_name[figure.column].classification is not None
            hidden = secret and figure.kind in ("minimum", "maximum")
            staged, there = (
                "(classified)" if hidden else str(show_figure(figure, value))
                for value in (self.figures[figure], found)
            )
            rows.append((figure.column, figure.kind, staged, there))
        heads = ("column", "figure", "staged", "found")
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (heads, *rows)
        ]
        table = "\n".join(f"  {line}" for line in lines)
        return VerifyError(
            f"the values of {spec.table} are not those that were staged:\n{table}\n"
            f"{self._unchanged()}",
            hint=_changed_hint(plan),
            details=[dict(zip(heads, row, strict=True)) for row in rows],
            statement=statement.sql,
            rolled_back=True,
        )

    def _found(self, rows: list[Row]) -> None:
        if not rows:
            return
        assert self.outcome is not None
        plan = self.outcome.plan
        check_same_load(rows[0], plan.load_id, self.table, ledger_slice(plan.slice))
        self.outcome = Outcome(plan, ledger_row=rows[0], rows_loaded=rows[0][3])
        raise _AlreadyLoadedError

    def _verify(self, statement: Statement, found: int, wanted: int, what: str, word: str) -> None:
        if found == wanted:
            return
        assert self.outcome is not None
        hint = "look at the staged files, if they are kept, and at the table"
        plan = self.outcome.plan
        if statement.role in ("count", "verify") and plan.slice and found < wanted:
            hint = f"rows may lie outside the slice: they must satisfy it by {_exprs(plan)}"
        raise VerifyError(
            f"`{statement.name}` of {plan.spec.table}: {found:,} {what}, {wanted:,} {word}\n"
            f"{self._unchanged()}",
            hint=hint,
            statement=statement.sql,
            rolled_back=True,
        )

    def _check_spellings(self, statement: Statement, answer: list[Row]) -> None:
        """Refuse to delete rows whose key is equal to one of the slice's, and another text."""
        number = whole_number(statement, [row[:1] for row in answer])
        if number == 0:
            return
        assert self.outcome is not None
        plan = self.outcome.plan
        rows = "1 row" if number == 1 else f"{number:,} rows"
        examples = ", ".join(repr(value) for value in answer[0][1:])
        raise VerifyError(
            f"{rows} of {plan.spec.table} would be deleted with the slice {plan.slice}, and"
            f" spelled in another way: {examples}\nthe warehouse holds the two equal: it ignores"
            f" blanks at the end of text, or the collation ignores case\n{self._unchanged()}",
            hint=f"give the rows of {_exprs(plan)} one spelling with UPDATE, or partition by an"
            " expression that makes them one: partition_by: [{expr: rtrim(…), data_type: …}]",
            statement=statement.sql,
            rolled_back=True,
        )

    def _check_keys(self, statement: Statement, number: int) -> None:
        """Refuse primary keys that differ in the data and are equal in the warehouse."""
        if number == 0:
            return
        assert self.outcome is not None
        keys = "1 primary key occurs" if number == 1 else f"{number:,} primary keys occur"
        raise VerifyError(
            f"{keys} more than once in the data of {self.outcome.plan.spec.table}, since the"
            f" collation of the warehouse ignores case or accents;\n{statement.why}\n"
            f"{self._unchanged()}",
            hint="keep one row of each key, or give the column a collation that tells them apart",
            statement=statement.sql,
            rolled_back=True,
        )

    def _check(self, statement: Statement, rows: list[Row]) -> None:
        result = judge(statement, rows)
        if not result.holds:
            self.broken.append((statement, result))

    def _settle_checks(self, session: Session) -> None:
        """Tell of all checks that do not hold, with rows that break them.

        Raises:
            VerifyError: one of them is no mere warning.
        """
        broken, self.broken = self.broken, []
        if not broken:
            return
        assert self.outcome is not None
        plan = self.outcome.plan
        fatal = [statement for statement, one in broken if one.check.severity == "error"]
        found = []
        for _, result in broken:
            try:
                found.append(sampled(result, session, plan.spec, self.renderer, plan.slice))
            except ExecuteError:
                # What fails here fails the load too, unless a check does so anyway.
                if not fatal:
                    raise
                found.append(result)
        told = [finding(result, plan.spec, plan.slice_text) for result in found]
        if not fatal:
            self.outcome.warnings += told
            return
        raise VerifyError(
            "\n".join([*told, self._unchanged()]),
            hint="mend the data, or change the check in the spec",
            details=[facts(result) for result in found],
            statement=fatal[0].sql,
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
            row = patiently(lambda: self._find_after_loss(plan))
        except ExecuteError as lost:
            raise ExecuteError(
                f"{unknown}: the ledger cannot be asked: {lost.message}",
                hint=f"load again with the load id `{plan.load_id}`: nothing is loaded twice",
            ) from error
        if row is not None:
            self._take(row)
            return True
        raise ExecuteError(
            f"COMMIT failed: {error.message}\nthe ledger does not have the load:"
            f" {table} holds what it held before",
            hint=error.hint,
            statement="COMMIT",
            rolled_back=True,
            transient=error.transient,
        ) from error

    def _survived(self, stop: BaseException) -> bool:
        """After an interrupted COMMIT: whether the ledger says that it went through."""
        assert self.outcome is not None
        plan = self.outcome.plan
        unknown = f"COMMIT was interrupted; whether {plan.spec.table} was changed is not known"
        if not plan.target.ledger_schema:
            stop.add_note(f"{unknown}: the target has no ledger")
            return False
        try:
            row = self._find_after_loss(plan)
        except ExecuteError as lost:
            stop.add_note(f"{unknown}: the ledger cannot be asked: {lost.message}")
            return False
        if row is not None:
            self._take(row)
        return row is not None

    def _take(self, row: Row) -> None:
        """Take the ledger's row for what it is: this run's own, or another one's."""
        assert self.outcome is not None
        plan = self.outcome.plan
        check_same_load(row, plan.load_id, self.table, ledger_slice(plan.slice))
        own = f"{plan.stage.prefix}/manifest.json" if self.rows else None
        if row[6] != own:
            self.outcome = Outcome(plan, ledger_row=row, rows_loaded=row[3])

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


def _changed_hint(plan: Plan) -> str:
    """What to look at when a copy has changed values."""
    copies = (one.template for one in plan.statements if one.role == "copy")
    return f"{next(copies, 'the copy')} stored other values than the staged files hold"


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
