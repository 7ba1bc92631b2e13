"""Converts the quality rules of ODCS to the checks of a spec, and back.

Checks that ODCS has no metric for are written as rules of type ``custom`` with the engine
``loader``, whose implementation is the check itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loader.contracts.sections import Findings, Section
from loader.errors import Loc
from loader.spec.checks import OPERATORS
from loader.spec.yaml_reader import Document
from loader.sql.dialects.redshift import check_functions
from loader.sql.queries import check_query, fill_places, find_places
from loader.sql.regex import portable

_METRICS = {
    "rowCount": "row_count",
    "nullValues": "null_values",
    "missingValues": "missing_values",
    "invalidValues": "invalid_values",
    "duplicateValues": "duplicate_values",
}
_RULES = {
    "rowCount": "rowCount",
    "nullCheck": "nullValues",
    "nullValues": "nullValues",
    "duplicateCount": "duplicateValues",
    "validValues": "invalidValues",
}
"""The rules of version 3.0 → the metrics of 3.1."""

ENGINE = "loader"
"""The engine of rules that only Loader runs."""

_IN_LIBRARY = {
    *("metric", "name", "column", "columns", "missing_values", "valid_values", "pattern"),
    *("unit", "severity", *OPERATORS),
}
"""The keys of checks that the library has."""

_ERRORS = ("", "error", "critical", "high", "blocker", "fail")
_WARNINGS = ("warning", "warn", "info", "low", "medium")


def _camel(word: str) -> str:
    head, *rest = word.split("_")
    return head + "".join(part.capitalize() for part in rest)


_BOUNDS = {_camel(operator): operator for operator in OPERATORS}


def read_quality(
    entry: Section, column: str | None, names: Mapping[str, str]
) -> dict[str, Any] | None:
    """Convert an entry of ``quality`` to a check; None, and reported, when there is no equivalent.

    Args:
        entry: The entry.
        column: The column that it belongs to; None for the table.
        names: Property names → column names.
    """
    kind = entry.text("type")
    if kind == "custom" and entry.text("engine") == ENGINE:
        return _read_own(entry)
    if kind == "sql":
        return _read_sql(entry, column)
    metric = _metric(entry)
    check: dict[str, Any] = {"metric": _METRICS.get(metric or ""), "name": entry.text("name")}
    if (metric == "rowCount") == (column is not None) and metric != "duplicateValues":
        metric = None  # a column's metric at a table, or vice versa
    arguments = entry.section("arguments")
    if metric is not None:
        check |= _read_arguments(metric, column, arguments, entry, names) or {"metric": None}
    return _finish(entry, check if metric else {"metric": None}, arguments)


def quality_origin(entry: Section) -> Loc:
    """The location of the check in an entry of ``quality``."""
    return entry.at("implementation") if entry.take("engine") == ENGINE else entry.loc


def _finish(
    entry: Section, check: dict[str, Any], arguments: Section | None = None
) -> dict[str, Any] | None:
    """Add bound, unit and severity to a check whose metric is known."""
    bounds = {operator: entry.take(key) for key, operator in _BOUNDS.items() if key in entry}
    is_invalid = check["metric"] is not None and not _is_one_bound(entry, bounds)
    unit, severity = _unit(entry), _severity(entry)
    if check["metric"] is None or unit is None or severity is None:
        _drop_section(entry)
        return None
    check |= bounds | {"unit": unit, "severity": severity}
    if arguments is not None:
        arguments.drop_unread()
    entry.drop_unread()
    if is_invalid:
        return None
    defaults = {"unit": "rows", "severity": "error"}
    return {k: v for k, v in check.items() if v is not None and defaults.get(k) != v}


def _read_own(entry: Section) -> dict[str, Any] | None:
    """A check that was written as it is."""
    check = entry.take("implementation")
    if not isinstance(check, dict):
        entry.findings.add_problem("expected a check of Loader's", entry.at("implementation"))
        return None
    for key in ("name", "severity", "unit"):
        entry.take(key)
    entry.drop_unread()
    return dict(check)


_TABLE_PLACES = ("object", "table", "model")
_COLUMN_PLACES = ("property", "column", "field")


def _read_sql(entry: Section, column: str | None) -> dict[str, Any] | None:
    """A query that returns a number, with ODCS's places for the table and the column."""
    text = entry.text("query") or ""
    column_name = None if column is None else '"' + column.replace('"', '""') + '"'
    names = dict.fromkeys(_TABLE_PLACES, "{table}")
    if column_name is not None:
        names |= dict.fromkeys(_COLUMN_PLACES, column_name)
    query = re.sub(r"\$\{(\w+)\}", r"{\1}", text).strip().removesuffix(";").strip()
    try:
        query = fill_places(query, names)
        check_query(query)
        check_functions(query)
    except ValueError as error:
        entry.findings.note(entry.at("query"), f"left out: {error}")
        _drop_section(entry)
        return None
    bounds = [entry.take(key) for key in _BOUNDS if key in entry]
    if _unit(entry) != "rows" or any(isinstance(bound, bool | str) for bound in bounds):
        _drop_section(entry)
        return None
    return _finish(entry, {"metric": "sql", "name": entry.text("name"), "query": query})


def _is_one_bound(entry: Section, bounds: Mapping[str, Any]) -> bool:
    """Whether a metric has exactly one valid bound; reports a problem otherwise."""
    if len(bounds) != 1:
        message = f"expected one bound, found {len(bounds)}"
        entry.findings.add_problem(message, entry.loc, f"the bounds are {', '.join(_BOUNDS)}")
        return False
    ((operator, value),) = bounds.items()
    numbers = value if isinstance(value, list) else [value]
    most = 2 if operator.endswith("between") else 1
    right = len(numbers) == most and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in numbers
    )
    if not right or isinstance(value, list) != (most == 2):
        wanted = "a list of two numbers" if most == 2 else "a number"
        key = next(key for key, name in _BOUNDS.items() if name == operator)
        entry.findings.add_problem(f"expected {wanted}, found `{value}`", entry.at(key))
        return False
    return True


def _drop_section(entry: Section) -> None:
    for _ in entry.items():
        pass  # mark all keys as read, so that the entry is reported once
    entry.findings.drop(entry.loc)


def _metric(entry: Section) -> str | None:
    kind = entry.text("type") or "library"
    rule = entry.text("rule")
    metric = entry.text("metric") or _RULES.get(rule or "")
    return metric if kind == "library" and metric in _METRICS else None


def _unit(entry: Section) -> str | None:
    unit = (entry.text("unit") or "rows").lower()
    return {"rows": "rows", "percent": "percent", "%": "percent"}.get(unit)


def _severity(entry: Section) -> str | None:
    given = entry.text("severity") or ""
    word = given.lower()
    if word not in (*_ERRORS, *_WARNINGS):
        return None
    severity = "warning" if word in _WARNINGS else "error"
    if word not in ("", "error", "warning"):
        entry.findings.note(entry.at("severity"), f"`{given}` becomes {severity}")
    return severity


def _read_arguments(
    metric: str,
    column: str | None,
    arguments: Section,
    entry: Section,
    names: Mapping[str, str],
) -> dict[str, Any] | None:
    """The check's column, columns and values; None when there is no equivalent."""
    check: dict[str, Any] = {"column": column}
    if metric == "duplicateValues" and column is None:
        listed = [names.get(name, name) for name, _ in arguments.words("properties")]
        return {"columns": listed} if listed else None
    if metric == "missingValues":
        values = arguments.take("missingValues")
        words = [value for value in values or [] if value is not None]
        if not (values is None or isinstance(values, list)) or not _are_all(words, str):
            return None
        if values is not None and None not in values:
            entry.findings.note(entry.at("arguments"), "NULL counts as missing too")
        return {**check, "missing_values": words or None}
    if metric == "invalidValues":
        # Version 3.0 has the values next to the rule.
        values = arguments.take("validValues") or entry.take("validValues")
        pattern = arguments.take("pattern") or entry.take("pattern")
        if pattern is not None:
            return None if values else _read_pattern(pattern, check, entry)
        if not isinstance(values, list) or not all(
            isinstance(v, str | int | float) for v in values
        ):
            return None
        return {**check, "valid_values": values}
    return check


def _read_pattern(
    pattern: object, check: Mapping[str, Any], entry: Section
) -> dict[str, Any] | None:
    if not isinstance(pattern, str):
        return None
    try:
        portable(pattern)
    except ValueError as error:
        entry.findings.note(entry.loc, f"left out: {error}")
        return None
    return {**check, "pattern": pattern}


def _are_all(values: list[Any], *kinds: type) -> bool:
    return all(isinstance(value, kinds) and not isinstance(value, bool) for value in values)


def write_quality(check: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a check to an entry of ``quality``."""
    entry = _library_entry(check) or _sql_entry(check)
    if entry is not None and _reads_back(check, entry):
        return entry
    labels = {key: check[key] for key in ("name", "severity") if key in check}
    return {**labels, "type": "custom", "engine": ENGINE, "implementation": dict(check)}


def _library_entry(check: Mapping[str, Any]) -> dict[str, Any] | None:
    metric = next((key for key, name in _METRICS.items() if name == check["metric"]), None)
    if metric is None or not check.keys() <= _IN_LIBRARY:
        return None
    arguments: dict[str, Any] = {}
    if "columns" in check:
        arguments["properties"] = check["columns"]
    if check["metric"] == "missing_values":
        arguments["missingValues"] = [None, *check.get("missing_values", [])]
    if "valid_values" in check:
        arguments["validValues"] = check["valid_values"]
    if "pattern" in check:
        arguments["pattern"] = check["pattern"]
    return _entry(check, {"type": "library", "metric": metric, "arguments": arguments or None})


def _sql_entry(check: Mapping[str, Any]) -> dict[str, Any] | None:
    if check["metric"] != "sql" or "slice" in find_places(check["query"]):
        return None
    query = fill_places(check["query"], {"table": "{object}"})
    return _entry(check, {"type": "sql", "query": query})


def _entry(check: Mapping[str, Any], what: Mapping[str, Any]) -> dict[str, Any] | None:
    bound = next(key for key, operator in _BOUNDS.items() if operator in check)
    value = check[_BOUNDS[bound]]
    if isinstance(value, list) and len({*value}) != len(value):
        return None  # ODCS requires two different numbers
    entry = {
        "name": check.get("name"),
        **what,
        bound: value,
        "unit": check.get("unit"),
        "severity": check.get("severity"),
    }
    return {key: value for key, value in entry.items() if value is not None}


def _reads_back(check: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether an entry reads back as the same check."""
    findings = Findings(Document(entry))
    found = read_quality(Section(entry, (), findings), check.get("column"), {})
    return found == check and not findings.problems
