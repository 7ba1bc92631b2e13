"""The checks of a spec as dbt's data tests, and back.

Those of dbt itself are written; those of the packages dbt_utils and dbt_expectations are read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from loader.contracts.sections import Section
from loader.errors import Loc

NOT_NULL = "not_null"

_CHANGING = ("where", "error_if", "warn_if", "fail_calc")
"""Settings that make another test of a test."""

_SETTINGS = ("severity", "enabled", *_CHANGING)

Check = dict[str, Any]


def read_test(section: Section, item: object, loc: Loc, column: str | None) -> Check | str | None:
    """The check that a data test is, or `NOT_NULL`; None, and told, when a spec cannot hold it.

    Args:
        section: What the test stands in.
        item: The test: its name, or its name and its arguments.
        loc: Its place.
        column: The column it is about; None for the table's own.
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
        findings.wrong("a data test is a name, or one name with its arguments", loc)
        return None
    test = _Test(name.removeprefix("dbt."), body, column)
    check = None if test.changed else test.check()
    if check is None:
        findings.drop(loc)
        return None
    test.rest()
    return test.settled(check)


class _Test:
    def __init__(self, name: str, body: Section, column: str | None) -> None:
        self._name, self._body, self._column = name, body, column
        self._label = body.text("name")
        self._config = body.section("config")
        # Since dbt 1.10 what a test is called with stands by itself.
        self._arguments = body.section("arguments")
        self._settings = {key: self._setting(key) for key in _SETTINGS}

    def _setting(self, key: str) -> Any:
        inner, outer = self._config.take(key), self._body.take(key)
        return inner if inner is not None else outer

    @property
    def changed(self) -> bool:
        """Whether its settings make something else of it, or nothing."""
        severity = str(self._settings["severity"] or "error").lower()
        return (
            any(self._settings[key] is not None for key in _CHANGING)
            or self._settings["enabled"] is False
            or severity not in ("error", "warn")
        )

    def settled(self, check: Check) -> Check | str:
        """The check with its name and severity."""
        if str(self._settings["severity"] or "").lower() == "warn":
            check = {**check, "severity": "warning"}
        elif check["metric"] == "null_values" and check.get("must_be") == 0:
            if self._label is not None:
                self._body.findings.drop(self._body.at("name"))
            return NOT_NULL
        return check if self._label is None else {**check, "name": self._label}

    def rest(self) -> None:
        self._arguments.rest()
        self._config.rest()
        self._body.rest()

    def _argument(self, key: str) -> Any:
        inner, outer = self._arguments.take(key), self._body.take(key)
        return inner if inner is not None else outer

    def check(self) -> Check | None:
        """What is counted, and its bound."""
        column = self._column
        match self._name:
            case "not_null" if column:
                return {"metric": "null_values", "column": column, "must_be": 0}
            case "unique" if column:
                return {"metric": "duplicate_values", "column": column, "must_be": 0}
            case "accepted_values" if column:
                return self._accepted(column)
            case "dbt_utils.not_null_proportion" if column:
                return self._proportion(column)
            case "dbt_expectations.expect_column_values_to_not_be_null" if column:
                return self._bare({"metric": "null_values", "column": column, "must_be": 0})
            case "dbt_utils.unique_combination_of_columns":
                return self._together("combination_of_columns")
            case "dbt_expectations.expect_compound_columns_to_be_unique":
                return self._together("column_list")
            case "dbt_expectations.expect_table_row_count_to_equal":
                return self._bare({"metric": "row_count", "must_be": self._argument("value")})
            case "dbt_expectations.expect_table_row_count_to_be_between":
                return self._rows()
        return None

    def _bare(self, check: Check) -> Check | None:
        return None if self._argument("row_condition") or self._argument("group_by") else check

    def _accepted(self, column: str) -> Check | None:
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

    def _proportion(self, column: str) -> Check | None:
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

    def _together(self, key: str) -> Check | None:
        names = self._argument(key)
        if not isinstance(names, list) or not names:
            return None
        if not all(isinstance(name, str) for name in names):
            return None
        columns = [name.lower() for name in names]
        return self._bare({"metric": "duplicate_values", "columns": columns, "must_be": 0})

    def _rows(self) -> Check | None:
        least, most = self._argument("min_value"), self._argument("max_value")
        strictly = self._argument("strictly") is True
        check: Check = {"metric": "row_count"}
        if least is not None and most is not None:
            if strictly:
                return None
            return self._bare({**check, "must_be_between": [least, most]})
        if least is not None:
            key = "must_be_greater_than" if strictly else "must_be_greater_or_equal_to"
            return self._bare({**check, key: least})
        if most is not None:
            key = "must_be_less_than" if strictly else "must_be_less_or_equal_to"
            return self._bare({**check, key: most})
        return None


def write_test(check: Mapping[str, Any]) -> str | dict[str, Any] | None:
    """The test of a column that a check is; None when dbt itself has none that is the same."""
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
