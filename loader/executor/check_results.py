"""Evaluates and reports the checks of a spec, with sample rows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from loader.data.cast.errors import show
from loader.errors import VerifyError
from loader.executor.results import CheckResult
from loader.plan.check_plan import plan_sample, sample_columns
from loader.plan.model import Statement
from loader.spec.checks import TIME_UNITS, Check
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice
from loader.sql.renderer import Renderer
from loader.text_tables import align
from loader.warehouse.base import NamesColumns, Row, Session, as_whole_number

SAMPLES = 5
"""The most sample rows of a failed check."""

HIDDEN = "(classified)"
"""What stands for a value of a column with a classification."""

WHOLE = "the whole table"


def evaluate_check(check: Check, table: str, statement: Statement, rows: list[Row]) -> CheckResult:
    """Compare the result of a check's statement with its bound.

    Args:
        check: The check.
        table: ``schema.name``, for errors.
        statement: Its statement.
        rows: The result.

    Raises:
        VerifyError: the result is not one number.
    """
    value = to_metric_value(check, table, statement, rows)
    return CheckResult(check, value, check.holds(value))


def hint_for_check(check: Check, table: str) -> str | None:
    """Which key of a check to correct when its statement fails; None if it has none."""
    return f"correct `{check.written}` of this check of {table}" if check.written else None


def add_sample(
    result: CheckResult, session: Session, spec: TableSpec, renderer: Renderer, slice_: Slice | None
) -> CheckResult:
    """Add sample rows to a failed check, if it has rows to show.

    Raises:
        ExecuteError: the rows cannot be read.
    """
    check = result.check
    if result.holds or not check.has_rows(result.value):
        return result
    sample = plan_sample(spec, renderer, slice_, check, SAMPLES)
    if check.query is not None:
        return replace(result, rows=_sample_query(session, sample.sql, spec))
    shown = sample_columns(spec, check)
    if not shown:
        return result
    names = [column.name for column in shown]
    if check.metric == "duplicate_values":
        names.append("rows")
    hidden = {name: HIDDEN for name in check.counted if spec.by_name[name].classification}
    rows = tuple(
        dict(zip(names, map(show, row), strict=True)) | hidden
        for row in session.execute(sample.sql)[:SAMPLES]
    )
    return replace(result, rows=rows)


def _sample_query(session: Session, sql: str, spec: TableSpec) -> tuple[dict[str, str], ...]:
    """Some rows that a query returns, by the names of its columns.

    Where the table has columns with a classification, which may have other names in the query,
    only columns without one are shown.
    """
    if not isinstance(session, NamesColumns):
        return ()
    names, rows = session.query(sql)
    some_hidden = any(column.classification for column in spec.columns)
    open_names = {column.name for column in spec.columns if not column.classification}
    shown = [at for at, name in enumerate(names) if not some_hidden or name in open_names]
    return tuple({names[at]: show(row[at]) for at in shown} for row in rows[:SAMPLES] if shown)


def describe_failure(result: CheckResult, spec: TableSpec, slice_text: str | None) -> str:
    """Describe a failed check as text, with its sample rows below."""
    check = result.check
    where = slice_text or WHOLE
    if check.of_whole_table:
        where = WHOLE
    lines = [
        f"the check `{check.label}` of {spec.table} ({where}) must be {check.expectation}, but"
        f" is {format_value(result)}"
    ]
    if result.rows:
        names = list(result.rows[0])
        cells = [names, *([row[name] for name in names] for row in result.rows)]
        lines += [f"  {line}" for line in align(cells)]
    return "\n".join(lines)


def failure_details(result: CheckResult) -> dict[str, str | int]:
    """A failed check as a row for a table."""
    check = result.check
    found: dict[str, str | int] = {
        "check": check.label,
        "must be": check.expectation,
        "is": format_value(result),
    }
    rows = ("; ".join(f"{name}={value}" for name, value in row.items()) for row in result.rows)
    return {**found, "rows": "\n".join(rows)} if result.rows else found


def format_value(result: CheckResult) -> str:
    """Format a measured value, with its unit."""
    if result.value is None:
        return "NULL: there is no value"
    value, unit = result.value, result.check.unit
    if unit in TIME_UNITS:
        return f"{float(value):.10g} {unit}" if value == round(value, 2) else f"{value:.2f} {unit}"
    if unit == "percent":  # warehouses divide to different numbers of digits
        return f"{round(value, 4).normalize():f}%"
    return f"{value.normalize():f}"


def whole_number(statement: Statement, rows: list[Row]) -> int:
    """The single whole number that a statement returns.

    Raises:
        VerifyError: it returns something else.
    """
    number = as_whole_number(rows[0][0]) if len(rows) == 1 and len(rows[0]) == 1 else None
    if number is None:
        raise unexpected_result(statement, rows, "one whole number")
    return number


def unexpected_result(
    statement: Statement, rows: list[Row], wanted: str, *, of: str = "", hint: str | None = None
) -> VerifyError:
    """Build the error for a statement with an unexpected result."""
    answer = ", ".join(map(repr, rows[0])) if len(rows) == 1 else f"{len(rows):,} rows"
    return VerifyError(
        f"`{statement.name}`{of} returned {answer}, expected {wanted}; rolled back",
        hint=hint or f"correct the template {statement.template}",
        statement=statement.sql,
        rolled_back=True,
    )


def to_metric_value(
    check: Check, table: str, statement: Statement, rows: list[Row]
) -> Decimal | None:
    """The value of a check's metric; None if there is no value to measure.

    The percentage of no rows is zero.

    Raises:
        VerifyError: the result is not one number.
    """
    if len(rows) == 1 and len(rows[0]) == 1:
        value = rows[0][0]
        if value is None:
            return None if check.measures_values else Decimal(0)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            number = Decimal(str(value))
            if number.is_finite():
                return number
    hint = hint_for_check(check, table)
    if hint is None and check.measures_values:
        hint = f"a check compares finite numbers: correct the values of {', '.join(check.counted)}"
    raise unexpected_result(statement, rows, "one number", of=f" of {table}", hint=hint)
