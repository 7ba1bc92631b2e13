"""What the checks of a spec find: the number, its bound, and rows that break it."""

from __future__ import annotations

from decimal import Decimal

from loader.data.cast.errors import show
from loader.errors import VerifyError
from loader.executor.results import CheckResult
from loader.plan.model import Statement
from loader.plan.read_plan import plan_sample, sample_columns
from loader.spec.checks import Check
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.renderer import Renderer
from loader.text_tables import align
from loader.warehouse.base import Row, Session, as_whole_number

SAMPLES = 5
"""Rows that are shown of a check that does not hold."""

_HIDDEN = "(classified)"


def judge(check: Check, statement: Statement, rows: list[Row]) -> CheckResult:
    """The answer to the statement of a check, compared with its bound.

    Raises:
        VerifyError: the answer is not one number.
    """
    value = measured(statement, rows)
    return CheckResult(check, value, check.holds(value))


def sampled(
    result: CheckResult, session: Session, spec: TableSpec, renderer: Renderer, slice_: Slice | None
) -> CheckResult:
    """The result with rows that break the check, where it is one that rows can break.

    Raises:
        ExecuteError: the warehouse does not tell them.
    """
    check = result.check
    shown = sample_columns(spec, check)
    if result.holds or not check.has_rows(result.value) or not shown:
        return result
    sample = plan_sample(spec, renderer, slice_, check, SAMPLES)
    names = [column.name for column in shown]
    if check.metric == "duplicate_values":
        names.append("rows")
    hidden = {name: _HIDDEN for name in check.counted if spec.by_name[name].classification}
    rows = tuple(
        dict(zip(names, map(show, row), strict=True)) | hidden
        for row in session.execute(sample.sql)[:SAMPLES]
    )
    return CheckResult(check, result.value, result.holds, rows)


def finding(result: CheckResult, spec: TableSpec, slice_text: str | None) -> str:
    """What a check that does not hold has found, in words, with rows that break it below."""
    check = result.check
    where = slice_text or "the whole table"
    lines = [
        f"the check `{check.label}` of {spec.table} ({where}) must be {check.expectation}, and is"
        f" {shown_value(result)}"
    ]
    if result.rows:
        names = list(result.rows[0])
        cells = [names, *([row[name] for name in names] for row in result.rows)]
        lines += [f"  {line}" for line in align(cells)]
    return "\n".join(lines)


def facts(result: CheckResult) -> dict[str, str | int]:
    """The same as a row of a table."""
    check = result.check
    told: dict[str, str | int] = {
        "check": check.label,
        "must be": check.expectation,
        "is": shown_value(result),
    }
    rows = ("; ".join(f"{name}={value}" for name, value in row.items()) for row in result.rows)
    return {**told, "rows": "\n".join(rows)} if result.rows else told


def shown_value(result: CheckResult) -> str:
    """A measured value as people write it."""
    return f"{result.value.normalize():f}{'%' if result.check.unit == 'percent' else ''}"


def whole_number(statement: Statement, rows: list[Row]) -> int:
    """The one whole number that a statement answers with.

    Raises:
        VerifyError: it answers with something else, of which nothing can be concluded.
    """
    number = as_whole_number(rows[0][0]) if len(rows) == 1 and len(rows[0]) == 1 else None
    if number is None:
        raise unexpected_answer(statement, rows, "one whole number")
    return number


def unexpected_answer(statement: Statement, rows: list[Row], wanted: str) -> VerifyError:
    """The error of a statement that answers with something else than its kind does."""
    answer = ", ".join(map(repr, rows[0])) if len(rows) == 1 else f"{len(rows):,} rows"
    return VerifyError(
        f"`{statement.name}` answered {answer}, and {wanted} was expected; rolled back",
        hint=f"correct the template {statement.template}",
        statement=statement.sql,
        rolled_back=True,
    )


def measured(statement: Statement, rows: list[Row]) -> Decimal:
    """The value of a check's metric; a share of no rows is zero.

    Raises:
        VerifyError: the answer is not one number.
    """
    if len(rows) == 1 and len(rows[0]) == 1:
        value = rows[0][0]
        if value is None:
            return Decimal(0)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            number = Decimal(str(value))
            if number.is_finite():
                return number
    raise unexpected_answer(statement, rows, "one number")
