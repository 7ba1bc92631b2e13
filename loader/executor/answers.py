"""Holds the answers of statements against what they must be, before anything is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from loader.errors import VerifyError
from loader.executor.check_results import judge, unexpected_answer, whole_number
from loader.executor.results import CheckResult
from loader.plan.dispositions import MergeCounts
from loader.plan.expectations import (
    AFTER,
    BEFORE,
    DELETED,
    STAGED,
    CheckHolds,
    MergeCounted,
    NotLoaded,
    Number,
    RowCount,
    Values,
    Zero,
)
from loader.plan.figures import Figure, Value, parse_figure, same, show_figure
from loader.plan.model import Statement
from loader.text_tables import align
from loader.warehouse.base import Row
from loader.warehouse.ledger import LoadRecord

_HIDDEN = "(classified)"


class AlreadyLoadedError(Exception):
    """Leaves the transaction: the ledger has this load id, and there is nothing to do."""

    def __init__(self, record: LoadRecord) -> None:
        super().__init__()
        self.record = record


@dataclass
class Answers:
    """The answers of one transaction's statements: each is checked, its numbers are kept."""

    table: str
    """As people write it; for errors."""
    state: Callable[[], str]
    """What the table holds once an error has rolled everything back; the errors' last line."""
    figures: Mapping[Figure, Value] = field(default_factory=dict)
    """Those of the staged rows."""
    classified: frozenset[str] = frozenset()
    """Columns of which no value is shown."""
    numbers: dict[str, int] = field(default_factory=dict)
    """By name; `loader.plan.expectations` has the names."""
    merge_counts: MergeCounts | None = None
    failed_checks: list[tuple[Statement, CheckResult]] = field(default_factory=list)
    """Checks that do not hold; the caller tells all of them at once."""
    copied_by: str = "the copy"
    """The template of the last copy."""

    @property
    def rows_deleted(self) -> int:
        """Rows that statements have reported as deleted."""
        return self.numbers.get(DELETED, 0)

    @property
    def rows_after(self) -> int | None:
        """Rows now in the slice, or in the whole table; None when nobody has counted them."""
        return self.numbers.get(AFTER)

    def take(self, statement: Statement, rows: list[Row]) -> None:
        """Check an answer and keep its numbers.

        Raises:
            AlreadyLoadedError: the ledger has the load.
            VerifyError: the answer is not what it must be.
        """
        if statement.role == "copy":
            self.copied_by = statement.template
        match statement.expects:
            case NotLoaded():
                if record := LoadRecord.of(rows):
                    raise AlreadyLoadedError(record)
            case Number(name, optional):
                if rows or not optional:
                    self._keep(name, self.numbers.get(name, 0) + whole_number(statement, rows))
            case RowCount() as expected:
                if rows or not expected.optional:
                    self._check_rows(statement, whole_number(statement, rows), expected)
            case Zero() as expected:
                self._check_zero(statement, rows, expected)
            case Values() as expected:
                self._check_values(statement, rows, expected)
            case MergeCounted():
                self._count_merge(statement, rows)
            case CheckHolds(check):
                result = judge(check, statement, rows)
                if not result.holds:
                    self.failed_checks.append((statement, result))

    def _keep(self, name: str | None, number: int) -> None:
        if name is not None:
            self.numbers[name] = number

    def _check_rows(self, statement: Statement, number: int, expected: RowCount) -> None:
        wanted = sum(self.numbers.get(name, 0) for name in expected.of)
        if number == wanted:
            self._keep(expected.keep, number)
            return
        before = self.numbers.get(BEFORE, 0) if STAGED in expected.of[1:] else 0
        more = f" after {before:,} before" if before else ""
        hint = (expected.hint_if_fewer if number < wanted else None) or expected.hint
        message = f"{number:,} {expected.found}{more}, {wanted:,} {expected.expected}"
        raise self._error(statement, f"`{statement.name}` of {self.table}: {message}", hint)

    def _check_zero(self, statement: Statement, rows: list[Row], expected: Zero) -> None:
        number = whole_number(statement, [row[:1] for row in rows])
        if number == 0:
            return
        count = f"{number:,} {expected.noun}{'s' * (number != 1)}"
        examples = ", ".join(repr(value) for value in rows[0][1:])
        message = expected.problem.replace("<count>", count) + (f": {examples}" * bool(examples))
        because = f"\n{expected.because}" * bool(expected.because)
        raise self._error(statement, message + because, expected.hint)

    def _count_merge(self, statement: Statement, rows: list[Row]) -> None:
        """Keep the counts of a merge; each row of the load may meet one row of the table."""
        names = [one.name for one in fields(MergeCounts)]
        if len(rows) != 1 or len(rows[0]) != len(names) + 1:
            raise unexpected_answer(statement, rows, "the counts of a merge")
        *counts, before = (whole_number(statement, [(one,)]) for one in rows[0])
        self.merge_counts = MergeCounts(*counts)
        self.numbers |= {**dict(zip(names, counts, strict=True)), BEFORE: before}
        excess = sum(counts) - self.numbers[STAGED]
        if excess:
            raise self._error(
                statement,
                f"`{statement.name}` of {self.table}: the rows of the load meet {excess:,} rows of"
                " the table too many: keys of the load are in the table more than once",
                "remove the duplicates of the primary key from the table, or replace it whole with"
                " --full-refresh",
            )

    def _check_values(self, statement: Statement, rows: list[Row], expected: Values) -> None:
        """Compare the warehouse's figures with those of the staged rows; all that differ."""
        if len(rows) != 1 or len(rows[0]) != 1 + len(expected.figures):
            wanted = f"one row of {1 + len(expected.figures):,} figures"
            raise unexpected_answer(statement, rows, wanted)
        count, *answers = rows[0]
        number = whole_number(statement, [(count,)])
        staged = RowCount((STAGED,), hint_if_fewer=expected.hint_if_fewer, keep=expected.keep)
        self._check_rows(statement, number, staged)
        differences = []
        for figure, answer in zip(expected.figures, answers, strict=True):
            try:
                found = parse_figure(figure, answer)
            except ValueError as error:
                wanted = f"the {figure.kind} of `{figure.column}`"
                raise unexpected_answer(statement, [(answer,)], wanted) from error
            if not same(self.figures[figure], found):
                differences.append(self._difference(figure, found))
        if differences:
            cells = [list(differences[0]), *(list(row.values()) for row in differences)]
            raise self._error(
                statement,
                f"the values of {self.table} are not those that were staged:\n"
                + "\n".join(f"  {line}" for line in align(cells)),
                f"{self.copied_by} stored other values than the staged files hold",
                differences,
            )

    def _difference(self, figure: Figure, found: Value) -> dict[str, str]:
        hidden = figure.column in self.classified and figure.kind in ("minimum", "maximum")
        staged, there = (
            _HIDDEN if hidden else str(show_figure(figure, value))
            for value in (self.figures[figure], found)
        )
        return {"column": figure.column, "figure": figure.kind, "staged": staged, "found": there}

    def _error(
        self,
        statement: Statement,
        message: str,
        hint: str,
        details: Sequence[Mapping[str, str | int]] = (),
    ) -> VerifyError:
        return VerifyError(
            f"{message}\n{self.state()}",
            hint=hint,
            details=details,
            statement=statement.sql,
            rolled_back=True,
        )
