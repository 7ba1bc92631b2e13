"""Scripts of plans that run as they are, in psql and in the DuckDB shell.

A script has the statements that Loader runs, and where Loader looks at an answer, a guard: the
same query in a statement that fails unless the answer is right. An error aborts the transaction, so
that COMMIT rolls back. The figures of `verify: values` are not in it: their row counts are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from loader.errors import PlanError
from loader.plan.expectations import (
    BEFORE,
    STAGED,
    CheckHolds,
    FilesNotLoaded,
    MergeCounted,
    NoBadValues,
    NotLoaded,
    Number,
    RowCount,
    Values,
    Zero,
)
from loader.plan.loading import MERGE_COUNTS
from loader.plan.model import Plan, Statement
from loader.plan.staging import can_load, resolve_staging
from loader.plan.table_changes import TableChange, set_moment
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer, Sql, Table


def load_script(plan: Plan, renderer: Renderer) -> str:
    """A load as a script: its session, its transaction with guards, and what follows.

    Raises:
        PlanError: its files are staged in a format that only Loader makes readable.
    """
    lines = [f"-- {' '.join(line.splitlines())}" for line in plan.header()]
    lines += ["-- an error rolls the whole transaction back", ""]
    attached = [one.name for one in plan.statements if one.attached]
    if attached:
        raise PlanError(
            f"the script of {plan.spec.table} would read {plan.stage.format} files, which only"
            " Loader itself makes readable",
            hint="set staging: {format: parquet} for loads whose scripts run elsewhere",
        )
    for statement in (*plan.session, *plan.setup, *plan.outside, *plan.before):
        lines += [statement.script(), ""]
    lines += _transaction(plan.statements, renderer, plan.rows)
    for statement in plan.after:
        lines += [statement.script(), ""]
    return "\n".join(lines).rstrip("\n")


def change_script(change: TableChange, renderer: Renderer, moment: str) -> str:
    """The changes of a table as a script; empty when there are none.

    ``moment`` is when it runs, for the name of a table that a rebuild keeps.
    """
    if not change.statements:
        return change.sql.rstrip("\n")
    change = set_moment(change, renderer, moment)
    before, _, rest = change.sql.partition("BEGIN;\n")
    after = rest.rpartition("COMMIT;\n")[2]
    inside = "\n".join(_transaction(change.statements, renderer, None))
    return f"{before}{inside}{after}".rstrip("\n")


def readable_spec(spec: TableSpec, renderer: Renderer) -> TableSpec:
    """The spec as a script needs it: staged in Parquet, if Loader would choose another format."""
    chosen = resolve_staging(spec, renderer).format
    if chosen == "arrow" and spec.staging.format == "auto" and can_load(renderer, "parquet"):
        parquet = spec.staging.resolve("parquet")
        return spec.model_copy(update={"staging": parquet})
    return spec


def _transaction(
    statements: Iterable[Statement], renderer: Renderer, rows: int | None
) -> Iterator[str]:
    yield from ("BEGIN;", "")
    guards = _Guards(renderer, rows)
    for number, statement in enumerate(statements, 1):
        for guarded in guards.guarded(statement):
            yield from (guarded.script(f"{number}. "), "")
    for kept in guards.kept:
        yield from (f"{renderer.render('drop_stage', {'stage': kept}).sql};", "")
    yield from ("COMMIT;", "")


class _Guards:
    """Puts guards in the place of queries, and knows the numbers that were kept so far."""

    def __init__(self, renderer: Renderer, rows: int | None) -> None:
        self._renderer = renderer
        self._numbers: dict[str, int | tuple[Table, str]] = {} if rows is None else {STAGED: rows}
        self.kept: list[Table] = []
        """The tables of the script's own that hold numbers."""

    def guarded(self, statement: Statement) -> Iterator[Statement]:
        """The statement, failing where its answer is not the expected one.

        A query whose answer cannot be told before it runs stays as it is.
        """
        query = Sql(statement.sql)
        if not statement.sql.upper().startswith(("SELECT", "WITH")):
            yield statement  # what it does is looked at by later ones
        elif isinstance(statement.expects, NoBadValues):
            yield from self._bad_values(statement, query, statement.expects)
        else:
            yield self._one(statement, query)

    def _one(self, statement: Statement, query: Sql) -> Statement:
        match statement.expects:
            case NotLoaded():
                rows = Sql(self._renderer.render("guard_rows", {"query": query}).sql)
                return self._guard(statement, rows, "must_be", (0,))
            case Number(name):
                return self._keep(statement, name, query)
            case RowCount(of):
                return self._count(statement, query, of)
            case Values():
                return self._count(statement, query, (STAGED,))
            case Zero() | FilesNotLoaded():
                return self._guard(statement, query, "must_be", (0,))
            case MergeCounted() as expected:
                return self._merge(statement, query, expected)
            case CheckHolds(check) if check.severity == "error":
                return self._guard(statement, query, check.operator, check.bound)
        return statement

    def _bad_values(
        self, statement: Statement, query: Sql, expected: NoBadValues
    ) -> Iterator[Statement]:
        if expected.counts_rows:
            yield self._keep(statement, STAGED, self._sum(query, ("rows_found",)))
        names = tuple(f"bad_{number}" for number, _ in enumerate(expected.values, 1))
        yield self._guard(statement, self._sum(query, names), "must_be", (0,))

    def _keep(self, statement: Statement, name: str, query: Sql) -> Statement:
        kept = Table(None, f"loader_{name}")
        self._numbers[name] = (kept, "n")
        self.kept.append(kept)
        return self._replace(statement, "guard_keep", {"query": query, "kept": kept})

    def _sum(self, query: Sql, columns: tuple[str, ...]) -> Sql:
        facts: Mapping[str, object] = {"query": query, "columns": columns}
        return Sql(self._renderer.render("guard_sum", facts).sql)

    def _merge(self, statement: Statement, query: Sql, expected: MergeCounted) -> Statement:
        names = (*expected.counts, *expected.more)
        self._numbers |= {name: (MERGE_COUNTS, name) for name in names}
        self._numbers[BEFORE] = (MERGE_COUNTS, "rows_before")
        return self._count(statement, self._sum(query, expected.counts), (STAGED,))

    def _count(self, statement: Statement, query: Sql, of: tuple[str, ...]) -> Statement:
        known = [self._numbers.get(name) for name in of]
        if None in known:
            return statement
        total = sum(one for one in known if isinstance(one, int))
        plus = [one for one in known if isinstance(one, tuple)]
        return self._guard(statement, query, "must_be", (total,), plus)

    def _guard(
        self,
        statement: Statement,
        query: Sql,
        operator: str,
        bound: tuple[int | Decimal, ...],
        plus: Iterable[tuple[Table, str]] = (),
    ) -> Statement:
        facts = {
            "query": query,
            "operator": operator,
            "bound": [Decimal(one) for one in bound],
            "plus": list(plus),
            "message": f"{statement.name}: {statement.why}",
        }
        return self._replace(statement, "guard", facts)

    def _replace(
        self, statement: Statement, template: str, facts: Mapping[str, object]
    ) -> Statement:
        return replace(statement, sql=self._renderer.render(template, facts).sql)
