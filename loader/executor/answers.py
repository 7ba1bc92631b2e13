"""Checks the results of statements against their expectations, before COMMIT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from loader.errors import VerifyError
from loader.executor.check_results import HIDDEN, evaluate_check, unexpected_result, whole_number
from loader.executor.results import CheckResult
from loader.executor.shrinkage import check_counts
from loader.plan.expectations import (
    AFTER,
    BEFORE,
    DELETED,
    STAGED,
    BadValue,
    CheckHolds,
    FilesNotLoaded,
    MergeCounted,
    NoBadValues,
    NotLoaded,
    NotShrunk,
    Number,
    RowCount,
    RowsBefore,
    Values,
    Zero,
)
from loader.plan.figures import Figure, Value, parse_figure, same, show_figure
from loader.plan.files_in_place import HOW_TO_STAGE
from loader.plan.merge_counts import MergeCounts
from loader.plan.model import Statement
from loader.plan.partition_rows import Shrunk, find_shrunk, rows_of_partitions
from loader.text_tables import agree, align, format_count
from loader.warehouse.base import Row
from loader.warehouse.ledger import LoadRecord


def _describe(bad: BadValue, count: int) -> str:
    if not bad.column:
        return agree(count, bad.problem)
    return f"`{bad.column}`: {format_count(count, 'value')} {bad.problem}"


class AlreadyLoadedError(Exception):
    """Ends the transaction, because the ledger already has this load id."""

    def __init__(self, record: LoadRecord) -> None:
        super().__init__()
        self.record = record


class FilesLoadedError(Exception):
    """Ends the transaction, because another load has committed some of its files meanwhile."""

    def __init__(self, example: str) -> None:
        super().__init__(example)
        self.example = example


@dataclass
class Answers:
    """The results of one transaction's statements, which are checked; keeps their numbers."""

    table: str
    """``schema.name``, for errors."""
    state: Callable[[], str]
    """Returns the state of the table after an error, for the last line of messages."""
    figures: Mapping[Figure, Value] = field(default_factory=dict)
    """The figures of the staged rows."""
    classified: frozenset[str] = frozenset()
    """Columns whose values must not be shown."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Numbers by their names in `loader.plan.expectations`."""
    merge_counts: MergeCounts | None = None
    checks: list[CheckResult] = field(default_factory=list)
    """The results of all checks."""
    failed_checks: list[tuple[Statement, CheckResult]] = field(default_factory=list)
    """Failed checks, for the caller to report together."""
    partition_rows: Mapping[str, int] = field(default_factory=dict)
    """The rows of each partition before the load, if the spec guards them."""
    shrunk: tuple[Statement, list[Shrunk]] | None = None
    """The partitions that have lost too many rows, for the caller to report."""
    copied_by: str = "the copy"
    """The template of the last copy."""
    bad_columns: tuple[str, ...] = ()
    """The columns in which bad values were found."""

    @property
    def rows_deleted(self) -> int:
        """The number of rows that statements have deleted."""
        return self.numbers.get(DELETED, 0)

    @property
    def rows_after(self) -> int | None:
        """The number of rows in the slice or table after the load; None if not counted."""
        return self.numbers.get(AFTER)

    def take(self, statement: Statement, rows: list[Row]) -> None:
        """Check a result and keep its numbers.

        Raises:
            AlreadyLoadedError: the ledger has the load.
            FilesLoadedError: the ledger has some of its files.
            VerifyError: the result is not as expected.
        """
        if statement.role == "copy":
            self.copied_by = statement.template
        match statement.expects:
            case NotLoaded() | FilesNotLoaded() as expected:
                self._check_ledger(statement, rows, expected)
            case Number(name, optional):
                if rows or not optional:
                    self._keep(name, self.numbers.get(name, 0) + whole_number(statement, rows))
            case RowCount() as expected:
                if rows or not expected.optional:
                    self._check_rows(statement, whole_number(statement, rows), expected)
            case CheckHolds() | RowsBefore() | NotShrunk():
                self._take_check(statement, rows)
            case _:
                self._take_counts(statement, rows)

    def _take_counts(self, statement: Statement, rows: list[Row]) -> None:
        match statement.expects:
            case Zero() as expected:
                self._check_zero(statement, rows, expected)
            case Values() as expected:
                self._check_values(statement, rows, expected)
            case NoBadValues() as expected:
                self._check_bad_values(statement, rows, expected)
            case MergeCounted() as expected:
                self._count_merge(statement, rows, expected)

    def _take_check(self, statement: Statement, rows: list[Row]) -> None:
        """Keep the result of a check or guard of the spec, for the caller to report."""
        match statement.expects:
            case CheckHolds(check):
                result = evaluate_check(check, self.table, statement, rows)
                self.checks.append(result)
                if not result.holds:
                    self.failed_checks.append((statement, result))
            case RowsBefore(dimensions) | NotShrunk(_, dimensions) as expected:
                counts = rows_of_partitions(
                    dimensions, check_counts(statement, rows, len(dimensions))
                )
                if isinstance(expected, RowsBefore):
                    self.partition_rows = counts
                elif shrunk := find_shrunk(expected.guards, self.partition_rows, counts):
                    self.shrunk = (statement, shrunk)

    def _check_ledger(
        self, statement: Statement, rows: list[Row], expected: NotLoaded | FilesNotLoaded
    ) -> None:
        if isinstance(expected, FilesNotLoaded):
            if whole_number(statement, [row[:1] for row in rows]):
                raise FilesLoadedError(str(rows[0][1]))
        elif record := LoadRecord.of(rows):
            raise AlreadyLoadedError(record)

    def _keep(self, name: str | None, number: int) -> None:
        if name is not None:
            self.numbers[name] = number

    def _check_rows(self, statement: Statement, number: int, expected: RowCount) -> None:
        wanted = sum(self.numbers.get(name, 0) for name in expected.of)
        wanted -= sum(self.numbers.get(name, 0) for name in expected.less)
        if number == wanted:
            self._keep(expected.keep, number)
            return
        before = self.numbers.get(BEFORE, 0) if STAGED in expected.of[1:] else 0
        more = f" after {before:,} before" if before else ""
        hint = (expected.hint_if_fewer if number < wanted else None) or expected.hint
        message = f"{agree(number, expected.found)}{more}, {wanted:,} {expected.expected}"
        raise self._error(statement, f"`{statement.name}` of {self.table}: {message}", hint)

    def _check_zero(self, statement: Statement, rows: list[Row], expected: Zero) -> None:
        number = whole_number(statement, [row[:1] for row in rows])
        if number == 0:
            return
        count = format_count(number, expected.noun)
        examples = ", ".join(repr(value) for value in rows[0][1:])
        message = expected.problem.replace("<count>", count) + (f": {examples}" * bool(examples))
        because = f"\n{expected.because}" * bool(expected.because)
        raise self._error(statement, message + because, expected.hint)

    def _check_bad_values(
        self, statement: Statement, rows: list[Row], expected: NoBadValues
    ) -> None:
        if len(rows) != 1 or len(rows[0]) != 1 + len(expected.values):
            raise unexpected_result(
                statement, rows, f"one row of {1 + len(expected.values)} counts"
            )
        number, *counts = (whole_number(statement, [(one,)]) for one in rows[0])
        if expected.counts_rows:
            self.numbers[STAGED] = number
        else:
            self._check_rows(statement, number, RowCount((STAGED,)))
        found = [(bad, count) for bad, count in zip(expected.values, counts, strict=True) if count]
        if not found:
            return
        self.bad_columns = tuple(dict.fromkeys(bad.column for bad, _ in found if bad.column))
        lines = "".join(f"\n  {_describe(bad, count)}" for bad, count in found)
        raise self._error(
            statement,
            f"the files of {self.table} have rows that cannot be loaded:{lines}",
            f"correct the files, or {HOW_TO_STAGE}; that tells file and line",
            [{"column": bad.column, "problem": bad.problem, "rows": count} for bad, count in found],
        )

    def _count_merge(self, statement: Statement, rows: list[Row], expected: MergeCounted) -> None:
        """Keep the counts of a merge; each loaded row may match one table row."""
        names = (*expected.counts, *expected.more, BEFORE)
        if len(rows) != 1 or len(rows[0]) != len(names):
            raise unexpected_result(statement, rows, "the counts of a merge")
        numbers = (whole_number(statement, [(one,)]) for one in rows[0])
        found = dict(zip(names, numbers, strict=True))
        self.numbers |= found
        self.merge_counts = MergeCounts(**{name: found[name] for name in expected.counts})
        excess = self.merge_counts.rows - self.numbers[STAGED]
        if excess:
            raise self._error(
                statement,
                f"`{statement.name}` of {self.table}: {expected.repeated}:"
                f" {format_count(excess, 'row')} too many",
                expected.hint,
            )

    def _check_values(self, statement: Statement, rows: list[Row], expected: Values) -> None:
        """Compare the warehouse's figures with those of the staged rows; report all differences."""
        if len(rows) != 1 or len(rows[0]) != 1 + len(expected.figures):
            wanted = f"one row of {1 + len(expected.figures):,} figures"
            raise unexpected_result(statement, rows, wanted)
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
                raise unexpected_result(statement, [(answer,)], wanted) from error
            if not same(self.figures[figure], found):
                differences.append(self._difference(figure, found))
        if differences:
            cells = [list(differences[0]), *(list(row.values()) for row in differences)]
            raise self._error(
                statement,
                f"the values of {self.table} differ from the staged ones:\n"
                + "\n".join(f"  {line}" for line in align(cells)),
                f"{self.copied_by} stored values that differ from the staged files",
                differences,
            )

    def _difference(self, figure: Figure, found: Value) -> dict[str, str]:
        hidden = figure.column in self.classified and figure.kind in ("minimum", "maximum")
        staged, there = (
            HIDDEN if hidden else str(show_figure(figure, value))
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
