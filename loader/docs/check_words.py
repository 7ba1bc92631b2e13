"""Describes the checks and guards of a spec in sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

from markupsafe import Markup

from loader.docs.phrases import sentence
from loader.spec.checks import Check, Guards
from loader.text_tables import format_count

_METRICS = {
    "row_count": "Rows",
    "null_values": "NULLs in {}",
    "missing_values": "Missing values in {}",
    "invalid_values": "Values of {} other than {}",
    "duplicate_values": "Repeated values of {}",
    "failed_rows": "Rows for which {} is false",
    "minimum": "The least value of {}",
    "maximum": "The greatest value of {}",
    "freshness": "The age of the newest {}",
    "sql": "The number that {} returns",
}
_BOUNDS = {
    "must_be": "exactly {}",
    "must_not_be": "anything but {}",
    "must_be_greater_than": "more than {}",
    "must_be_greater_or_equal_to": "at least {}",
    "must_be_less_than": "less than {}",
    "must_be_less_or_equal_to": "at most {}",
    "must_be_between": "between {} and {}",
    "must_not_be_between": "not between {} and {}",
}


def describe_check(check: Check) -> Markup:
    """Describe a check: what is measured, and the allowed values."""
    counted = _describe_metric(check)
    unit = {"rows": "", "percent": " % of the rows"}.get(check.unit, f" {check.unit}")
    if check.operator == "must_be" and not check.bound[0] and not check.measures_values:
        bound = "none"
    else:
        bound = _BOUNDS[check.operator].format(*map(_number, check.bound)) + unit
    named = Markup("{}: ").format(check.name) if check.name else Markup("")
    warning = Markup(" (only a warning)") if check.severity == "warning" else Markup("")
    return named + counted + Markup(": {}").format(bound) + warning + "."


def _describe_metric(check: Check) -> Markup:
    if check.metric == "failed_rows" and check.query:
        return sentence("Rows that {} returns", check.query.strip())
    if check.metric in ("failed_rows", "sql"):
        return sentence(_METRICS[check.metric], (check.expression or check.query or "").strip())
    if check.pattern is not None:
        return sentence("Values of {} without the pattern {}", check.counted, check.pattern)
    if check.references is not None:
        other = check.references
        named = ".".join(filter(None, (other.schema_name, other.table, other.column)))
        return sentence("Values of {} that are not in {}", check.counted, named)
    if check.minimum is not None or check.maximum is not None:
        return _describe_range(check)
    valid = tuple(_format_scalar(value) for value in check.valid_values)
    counted = sentence(_METRICS[check.metric], check.counted, valid)
    if check.missing_values:
        counted += sentence(" (NULL or {})", tuple(map(_quote, check.missing_values)))
    return counted


def _describe_range(check: Check) -> Markup:
    ends = [
        (f"{word} {{}}", _format_scalar(value))
        for word, value in (("less than", check.minimum), ("greater than", check.maximum))
        if value is not None
    ]
    text = " or ".join(words for words, _ in ends)
    return sentence(f"Values of {{}} {text}", check.counted, *(value for _, value in ends))


def _format_scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Decimal) -> str:
    return f"{value:,f}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def describe_guards(guards: Guards) -> Iterator[Markup]:
    """Describe what a load may not do to the rows that it replaces."""
    if guards.slice_shrinks_by is None:
        return
    most = guards.slice_shrinks_by
    limit = most if isinstance(most, str) else format_count(most, "row")
    verdict = "is reported" if guards.severity == "warning" else "is rolled back"
    yield sentence(f"A load that takes {{}} or more from a partition {verdict}.", limit)
