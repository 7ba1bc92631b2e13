"""Writes the checks of a spec as dbt data tests that read back as the same checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from loader.contracts.dbt_tests import NOT_NULL, read_test
from loader.contracts.sections import Findings, Section
from loader.spec.yaml_reader import Document

Check = Mapping[str, Any]
Body = dict[str, Any]
Written = tuple[str, Body]
"""A test's name and its arguments."""

TableNames = Mapping[tuple[str, str], str]
"""Schema and table → ``ref('…')`` or ``source('…', '…')``, for tables that dbt knows."""

_COLUMN_TESTS = frozenset(
    {"null_values", "duplicate_values", "invalid_values", "minimum", "maximum"}
)
_UNITS = {"minutes": "minute", "hours": "hour", "days": "day"}


def write_test(
    check: Check, schema: str, tables: TableNames, *, packages: bool
) -> str | dict[str, Any] | None:
    """Convert a check to a test; None when dbt has no equivalent.

    Args:
        check: The check, as declared.
        schema: The schema of its table.
        tables: What dbt calls the tables that a check may refer to.
        packages: Whether tests of dbt_utils and dbt_expectations are used too.
    """
    found = _core_test(check, schema, tables)
    if found is None and packages:
        found = _package_test(check)
    if found is None:
        return None
    name, arguments = found
    body: Body = {"name": check["name"]} if "name" in check else {}
    if arguments:
        body["arguments"] = arguments
    if check.get("severity") == "warning":
        body["config"] = {"severity": "warn"}
    test = {name: body} if body else name
    return test if _reads_back(test, check, schema, tables) else None


def is_of_column(check: Check) -> bool:
    """Whether the test of a check stands at its column, and not at the table."""
    return check["metric"] in _COLUMN_TESTS and "column" in check


def _reads_back(test: Any, check: Check, schema: str, tables: TableNames) -> bool:
    calls = {call: name for name, call in tables.items()}

    def resolve(text: str, _: object) -> tuple[str | None, str] | None:
        found = calls.get(text)
        return (None, found[1]) if found and found[0] == schema else found

    findings = Findings(Document({}))
    column = check["column"] if is_of_column(check) else None
    found = read_test(Section({}, (), findings), test, (), column, resolve)
    if found == NOT_NULL:
        return False  # NOT NULL is a property of the column
    return _with_own_schema(found, schema) == _with_own_schema(check, schema)


def _with_own_schema(check: Any, schema: str) -> Any:
    """A check whose reference names its schema."""
    if not isinstance(check, Mapping) or "references" not in check:
        return check
    return {**check, "references": {"schema": schema, **check["references"]}}


def _core_test(check: Check, schema: str, tables: TableNames) -> Written | None:
    if check.get("must_be") != 0 or "column" not in check or "unit" in check:
        return None
    match check["metric"]:
        case "duplicate_values":
            return "unique", {}
        case "null_values":
            return NOT_NULL, {}
        case "invalid_values" if "valid_values" in check:
            if any("'" in str(value) for value in check["valid_values"]):
                return None  # dbt puts values into quotes as they are
            return "accepted_values", {"values": check["valid_values"]}
        case "invalid_values" if "references" in check:
            other = check["references"]
            to = tables.get((other.get("schema", schema), other["table"]))
            return None if to is None else ("relationships", {"to": to, "field": other["column"]})
    return None


def _package_test(check: Check) -> Written | None:
    writer = _WRITERS.get(check["metric"])
    return writer(check) if writer else None


def _invalid(check: Check) -> Written | None:
    if check.get("must_be") != 0 or "unit" in check:
        return None
    if "pattern" in check:
        arguments = {"regex": check["pattern"]}
        return "dbt_expectations.expect_column_values_to_match_regex", arguments
    ends = {"min_value": check.get("minimum"), "max_value": check.get("maximum")}
    found = {key: _sql_value(value) for key, value in ends.items() if value is not None}
    return ("dbt_utils.accepted_range", found) if found else None


def _sql_value(value: Any) -> Any:
    """A number, or text as a SQL literal, which is what the test compares with."""
    return f"'{value}'" if isinstance(value, str) else value


def _nulls(check: Check) -> Written | None:
    most = check.get("must_be_less_or_equal_to")
    if most is None or check.get("unit") != "percent":
        return None
    share = 1 - Decimal(str(most)) / 100
    return "dbt_utils.not_null_proportion", {"at_least": float(share)}


def _duplicates(check: Check) -> Written | None:
    if check.get("must_be") != 0 or "columns" not in check or "unit" in check:
        return None
    columns = check["columns"]
    return "dbt_utils.unique_combination_of_columns", {"combination_of_columns": columns}


def _failed_rows(check: Check) -> Written | None:
    if check.get("must_be") != 0 or "expression" not in check or "unit" in check:
        return None
    return "dbt_utils.expression_is_true", {"expression": check["expression"]}


def _row_count(check: Check) -> Written | None:
    if "must_be" in check:
        return "dbt_expectations.expect_table_row_count_to_equal", {"value": check["must_be"]}
    return _between("dbt_expectations.expect_table_row_count_to_be_between", check)


def _minimum(check: Check) -> Written | None:
    return _between("dbt_expectations.expect_column_min_to_be_between", check)


def _maximum(check: Check) -> Written | None:
    return _between("dbt_expectations.expect_column_max_to_be_between", check)


def _between(test: str, check: Check) -> Written | None:
    for key, end in (("greater", "min_value"), ("less", "max_value")):
        if (bound := check.get(f"must_be_{key}_or_equal_to")) is not None:
            return test, {end: bound}
        if (bound := check.get(f"must_be_{key}_than")) is not None:
            return test, {end: bound, "strictly": True}
    if "must_be_between" in check:
        least, most = check["must_be_between"]
        return test, {"min_value": least, "max_value": most}
    return None


def _freshness(check: Check) -> Written | None:
    interval = check.get("must_be_less_or_equal_to")
    if interval is None:
        return None
    arguments = {"datepart": _UNITS[check["unit"]], "field": check["column"], "interval": interval}
    return "dbt_utils.recency", arguments


_WRITERS: dict[str, Callable[[Check], Written | None]] = {
    "row_count": _row_count,
    "null_values": _nulls,
    "duplicate_values": _duplicates,
    "invalid_values": _invalid,
    "failed_rows": _failed_rows,
    "minimum": _minimum,
    "maximum": _maximum,
    "freshness": _freshness,
}
"""Metric → the test of dbt_utils or dbt_expectations that counts the same."""
