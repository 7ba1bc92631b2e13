"""Converts dbt data tests to the checks of a spec: those of dbt, dbt_utils and dbt_expectations.

`loader.contracts.dbt_test_writing` converts them back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from loader.contracts.dbt_references import Resolve
from loader.contracts.sections import Section
from loader.errors import Loc
from loader.sql.regex import portable

NOT_NULL = "not_null"

_UNSUPPORTED_SETTINGS = ("where", "error_if", "warn_if", "fail_calc")
"""Settings that change a test's meaning, so that it has no equivalent check."""

_SETTINGS = ("severity", "enabled", *_UNSUPPORTED_SETTINGS)

Check = dict[str, Any]


def read_test(
    section: Section, item: object, loc: Loc, column: str | None, resolve: Resolve
) -> Check | str | None:
    """Convert a data test to a check or `NOT_NULL`; None, and reported, when there is none.

    Args:
        section: The section that contains the test.
        item: The test: its name, or its name with arguments.
        loc: Its location.
        column: The column that it tests; None for a table's test.
        resolve: Finds the schema and the table that a ``ref`` or ``source`` names.
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
    test = _Test(name.removeprefix("dbt."), body, column, resolve)
    check = None if test.is_unsupported else test.check()
    if check is None:
        findings.drop(loc)
        return None
    test.drop_unread()
    return test.with_settings(check)


class _Test:
    def __init__(self, name: str, body: Section, column: str | None, resolve: Resolve) -> None:
        self._name, self._body, self._column, self._resolve = name, body, column, resolve
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
        package, _, name = self._name.rpartition(".")
        readers = _OF_COLUMNS if self._column else _OF_TABLES
        read = readers.get((package, name), _OF_ANY.get((package, name)))
        return self._unless_filtered(read(self)) if read else None

    @property
    def column(self) -> str:
        """The column that it tests."""
        assert self._column is not None, "tests of columns have one"
        return self._column

    def not_null(self) -> Check:
        """No NULLs."""
        return {"metric": "null_values", "column": self.column, "must_be": 0}

    def unique(self) -> Check:
        """No value twice."""
        return {"metric": "duplicate_values", "column": self.column, "must_be": 0}

    def _invalid(self, **criterion: Any) -> Check:
        return {"metric": "invalid_values", "column": self.column, **criterion, "must_be": 0}

    def accepted_values(self) -> Check | None:
        """Only some values."""
        values = self._argument("values") or self._argument("value_set")
        if (self._argument("quote") is False or self._argument("quote_values") is False) and (
            isinstance(values, list)
        ):
            values = [int(v) if isinstance(v, str) and v.isdecimal() else v for v in values]
            if any(isinstance(value, str) for value in values):
                return None  # expressions
        if not isinstance(values, list) or not values:
            return None
        if not all(isinstance(value, str | int | float) for value in values):
            return None
        return self._invalid(valid_values=values)

    def relationships(self) -> Check | None:
        """Values of another table's column."""
        field, to = self._argument("field"), self._argument("to")
        found = self._resolve(to, self._body.at("to")) if isinstance(to, str) else None
        if found is None or not isinstance(field, str):
            return None
        schema, table = found
        other = {"schema": schema, "table": table, "column": field.lower()}
        return self._invalid(references={k: v for k, v in other.items() if v is not None})

    def matches(self) -> Check | None:
        """Values in which a pattern is found."""
        pattern, flags = self._argument("regex"), self._argument("flags")
        self._argument("is_raw")
        if flags not in (None, "") or not isinstance(pattern, str) or not is_portable(pattern):
            return None
        return self._invalid(pattern=pattern)

    def in_range(self) -> Check | None:
        """Values from a least to a greatest one."""
        least, most = (_literal(self._argument(key)) for key in ("min_value", "max_value"))
        inclusive, strictly = self._argument("inclusive"), self._argument("strictly")
        ends = {"minimum": least, "maximum": most}
        given = {end: value for end, value in ends.items() if value is not None}
        if not given or _UNREADABLE in given.values():
            return None
        if inclusive is not False and strictly is not True:
            return self._invalid(**given)
        # The bounds are not valid themselves: that takes an expression.
        if not all(isinstance(value, int | float) for value in given.values()):
            return None
        signs = {"minimum": ">", "maximum": "<"}
        parts = [f"{_quoted(self.column)} {signs[end]} {value}" for end, value in given.items()]
        return {"metric": "failed_rows", "expression": " AND ".join(parts), "must_be": 0}

    def extreme(self) -> Check | None:
        """A least or greatest value in a range."""
        metric = "minimum" if "_min_" in self._name else "maximum"
        return self._between({"metric": metric, "column": self.column})

    def expression(self) -> Check | None:
        """An expression that is true of each row; of a column its name goes first."""
        text = self._argument("expression")
        if not isinstance(text, str) or "{{" in text:
            return None
        whole = f"{_quoted(self.column)} {text}" if self._column else text
        return {"metric": "failed_rows", "expression": whole, "must_be": 0}

    def recency(self) -> Check | None:
        """A newest value that is not old."""
        unit = {"minute": "minutes", "hour": "hours", "day": "days"}.get(
            str(self._argument("datepart"))
        )
        field, interval = self._argument("field") or self._column, self._argument("interval")
        self._argument("ignore_time_component")
        if unit is None or not isinstance(field, str) or not _is_number(interval):
            return None
        return {
            "metric": "freshness",
            "column": field.lower(),
            "unit": unit,
            "must_be_less_or_equal_to": interval,
        }

    def rows_equal(self) -> Check:
        """A number of rows."""
        return {"metric": "row_count", "must_be": self._argument("value")}

    def rows_between(self) -> Check | None:
        """A number of rows in a range."""
        return self._between({"metric": "row_count"})

    def unique_combination(self) -> Check | None:
        """No combination of values twice."""
        names = self._argument("combination_of_columns") or self._argument("column_list")
        if not isinstance(names, list) or not names:
            return None
        if not all(isinstance(name, str) for name in names):
            return None
        columns = [name.lower() for name in names]
        return {"metric": "duplicate_values", "columns": columns, "must_be": 0}

    def not_null_proportion(self) -> Check | None:
        """At most a share of NULLs."""
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
            "column": self.column,
            "unit": "percent",
            "must_be_less_or_equal_to": number,
        }

    def _unless_filtered(self, check: Check | None) -> Check | None:
        filters = [self._argument(key) for key in ("row_condition", "group_by", "compare_group_by")]
        filters.append(self._argument("group_by_columns"))
        return None if any(filters) else check

    def _between(self, check: Check) -> Check | None:
        """A check whose metric is in the range that the test names."""
        least, most = self._argument("min_value"), self._argument("max_value")
        strictly = self._argument("strictly") is True
        if not all(value is None or _is_number(value) for value in (least, most)):
            return None
        if least is not None and most is not None:
            return None if strictly else {**check, "must_be_between": [least, most]}
        if least is not None:
            key = "must_be_greater_than" if strictly else "must_be_greater_or_equal_to"
            return {**check, key: least}
        if most is not None:
            key = "must_be_less_than" if strictly else "must_be_less_or_equal_to"
            return {**check, key: most}
        return None


_UNREADABLE = object()


def _literal(value: object) -> Any:
    """A number, or the text of a SQL literal; anything else is not readable."""
    if value is None or _is_number(value):
        return value
    match = re.fullmatch(r"'([^']*)'", value.strip()) if isinstance(value, str) else None
    return match[1] if match else _UNREADABLE


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _quoted(name: str) -> str:
    """A column's name in an expression."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def is_portable(pattern: str) -> bool:
    """Whether a pattern means the same to all warehouses."""
    try:
        portable(pattern)
    except ValueError:
        return False
    return True


_UTILS, _EXPECTATIONS = "dbt_utils", "dbt_expectations"

_OF_COLUMNS: dict[tuple[str, str], Callable[[_Test], Check | None]] = {
    ("", "not_null"): _Test.not_null,
    ("", "unique"): _Test.unique,
    ("", "accepted_values"): _Test.accepted_values,
    ("", "relationships"): _Test.relationships,
    (_UTILS, "not_null_proportion"): _Test.not_null_proportion,
    (_UTILS, "accepted_range"): _Test.in_range,
    (_EXPECTATIONS, "expect_column_values_to_not_be_null"): _Test.not_null,
    (_EXPECTATIONS, "expect_column_values_to_be_unique"): _Test.unique,
    (_EXPECTATIONS, "expect_column_values_to_be_in_set"): _Test.accepted_values,
    (_EXPECTATIONS, "expect_column_values_to_match_regex"): _Test.matches,
    (_EXPECTATIONS, "expect_column_values_to_be_between"): _Test.in_range,
    (_EXPECTATIONS, "expect_column_min_to_be_between"): _Test.extreme,
    (_EXPECTATIONS, "expect_column_max_to_be_between"): _Test.extreme,
    (_EXPECTATIONS, "expect_row_values_to_have_recent_data"): _Test.recency,
}
"""Package and test → what it becomes, for tests of a column."""

_OF_TABLES: dict[tuple[str, str], Callable[[_Test], Check | None]] = {
    (_UTILS, "recency"): _Test.recency,
}

_OF_ANY: dict[tuple[str, str], Callable[[_Test], Check | None]] = {
    (_UTILS, "expression_is_true"): _Test.expression,
    (_UTILS, "unique_combination_of_columns"): _Test.unique_combination,
    (_EXPECTATIONS, "expect_compound_columns_to_be_unique"): _Test.unique_combination,
    (_EXPECTATIONS, "expect_table_row_count_to_equal"): _Test.rows_equal,
    (_EXPECTATIONS, "expect_table_row_count_to_be_between"): _Test.rows_between,
}
"""Those of a table, some of which are written at a column too."""
