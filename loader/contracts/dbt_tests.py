"""Converts dbt data tests to the checks of a spec, and back.

Reads the tests of dbt, dbt_utils and dbt_expectations; writes only those of dbt.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from loader.contracts.sections import Section
from loader.errors import Loc

NOT_NULL = "not_null"

_UNSUPPORTED_SETTINGS = ("where", "error_if", "warn_if", "fail_calc")
"""Settings that change a test's meaning, so that it has no equivalent check."""

_SETTINGS = ("severity", "enabled", *_UNSUPPORTED_SETTINGS)

Check = dict[str, Any]


def read_test(section: Section, item: object, loc: Loc, column: str | None) -> Check | str | None:
    """Convert a data test to a check or `NOT_NULL`; None, and reported, when there is none.

    Args:
        section: The section that contains the test.
        item: The test: its name, or its name with arguments.
        loc: Its location.
        column: The column that it tests; None for a table's test.
    """
    findings = section.findings
    if isinstance(item, str):
        name, body = item, Section({}, loc, findings)
    elif isinstance(item, dict) and "test_name" in item:
        body = Section(item, loc, findings)
        name = body.text("test_name") or ""
    elif isinstance(item, dict) and len(item) == 1:
        name = next(iter(item))
        body = Section(item[name], (*loc, name), findings)
    else:
        findings.add_problem("expected a test name, or one test name with arguments", loc)
        return None
    test = _Test(name.removeprefix("dbt."), body, column)
    check = None if test.is_unsupported else test.check()
    if check is None:
        findings.drop(loc)
        return None
    test.drop_unread()
    return test.with_settings(check)


class _Test:
    def __init__(self, name: str, body: Section, column: str | None) -> None:
        self._name, self._body, self._column = name, body, column
        self._label = body.text("name")
        self._config = body.section("config")
        # Since dbt 1.10 arguments are under a key of their own.
        self._arguments = body.section("arguments")
        self._settings = {key: self._setting(key) for key in _SETTINGS}

    def _setting(self, key: str) -> Any:
        inner, outer = self._config.take(key), self._body.take(key)
        return inner if inner is not None else outer

    @property
    def is_unsupported(self) -> bool:
        """Whether settings change the test's meaning or disable it."""
        severity = str(self._settings["severity"] or "error").lower()
        return (
            any(self._settings[key] is not None for key in _UNSUPPORTED_SETTINGS)
            or self._settings["enabled"] is False
            or severity not in ("error", "warn")
        )

    def with_settings(self, check: Check) -> Check | str:
        """The check with the test's name and severity."""
        if str(self._settings["severity"] or "").lower() == "warn":
            check = {**check, "severity": "warning"}
        elif check["metric"] == "null_values" and check.get("must_be") == 0:
            if self._label is not None:
                self._body.findings.drop(self._body.at("name"))
            return NOT_NULL
        return check if self._label is None else {**check, "name": self._label}

    def drop_unread(self) -> None:
        self._arguments.drop_unread()
        self._config.drop_unread()
        self._body.drop_unread()

    def _argument(self, key: str) -> Any:
        inner, outer = self._arguments.take(key), self._body.take(key)
        return inner if inner is not None else outer

    def check(self) -> Check | None:
        """The check without name and severity; None when there is no equivalent."""
        column = self._column
        match self._name:
            case "not_null" if column:
                return {"metric": "null_values", "column": column, "must_be": 0}
            case "unique" if column:
                return {"metric": "duplicate_values", "column": column, "must_be": 0}
            case "accepted_values" if column:
                return self._accepted_values(column)
            case "dbt_utils.not_null_proportion" if column:
                return self._not_null_proportion(column)
            case "dbt_expectations.expect_column_values_to_not_be_null" if column:
                not_null = {"metric": "null_values", "column": column, "must_be": 0}
                return self._unless_filtered(not_null)
            case "dbt_utils.unique_combination_of_columns":
                return self._columns_unique("combination_of_columns")
            case "dbt_expectations.expect_compound_columns_to_be_unique":
                return self._columns_unique("column_list")
            case "dbt_expectations.expect_table_row_count_to_equal":
                check = {"metric": "row_count", "must_be": self._argument("value")}
                return self._unless_filtered(check)
            case "dbt_expectations.expect_table_row_count_to_be_between":
                return self._row_count()
        return None

    def _unless_filtered(self, check: Check) -> Check | None:
        return None if self._argument("row_condition") or self._argument("group_by") else check

    def _accepted_values(self, column: str) -> Check | None:
        values = self._argument("values")
        quoted = self._argument("quote")
        if quoted is False and isinstance(values, list):
            values = [int(v) if isinstance(v, str) and v.isdecimal() else v for v in values]
            if any(isinstance(value, str) for value in values):
                return None  # expressions
        if not isinstance(values, list) or not values:
            return None
        if any(isinstance(v, bool) or not isinstance(v, str | int) for v in values):
            return None
        return {
            "metric": "invalid_values",
            "column": column,
            "valid_values": values,
            "must_be": 0,
        }

    def _not_null_proportion(self, column: str) -> Check | None:
        least = self._argument("at_least")
        most = self._argument("at_most")
        if most not in (None, 1, 1.0) or isinstance(least, bool):
            return None
        if not isinstance(least, int | float) or not 0 <= least <= 1:
            return None
        share = (1 - Decimal(str(least))) * 100
        number = int(share) if share == share.to_integral_value() else float(share)
        return {
            "metric": "null_values",
            "column": column,
            "unit": "percent",
            "must_be_less_or_equal_to": number,
        }

    def _columns_unique(self, key: str) -> Check | None:
        names = self._argument(key)
        if not isinstance(names, list) or not names:
            return None
        if not all(isinstance(name, str) for name in names):
            return None
        columns = [name.lower() for name in names]
        check = {"metric": "duplicate_values", "columns": columns, "must_be": 0}
        return self._unless_filtered(check)

    def _row_count(self) -> Check | None:
        least, most = self._argument("min_value"), self._argument("max_value")
        strictly = self._argument("strictly") is True
        check: Check = {"metric": "row_count"}
        if least is not None and most is not None:
            if strictly:
                return None
            return self._unless_filtered({**check, "must_be_between": [least, most]})
        if least is not None:
            key = "must_be_greater_than" if strictly else "must_be_greater_or_equal_to"
            return self._unless_filtered({**check, key: least})
        if most is not None:
            key = "must_be_less_than" if strictly else "must_be_less_or_equal_to"
            return self._unless_filtered({**check, key: most})
        return None


def write_test(check: Mapping[str, Any]) -> str | dict[str, Any] | None:
    """Convert a check to a column's test; None when dbt has no equivalent."""
    known = {"metric", "column", "name", "severity", "must_be", "valid_values"}
    if check.keys() - known or check.get("must_be") != 0 or "column" not in check:
        return None
    warns = check.get("severity") == "warning"
    body: dict[str, Any] = {}
    if "name" in check:
        body["name"] = check["name"]
    match check["metric"]:
        case "duplicate_values":
            test = "unique"
        case "invalid_values":
            test, body["arguments"] = "accepted_values", {"values": check["valid_values"]}
        case "null_values" if warns:
            test = NOT_NULL
        case _:
            return None
    if warns:
        body["config"] = {"severity": "warn"}
    return {test: body} if body else test
