"""The JSON Schema of a table spec, for editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loader.spec.checks import CRITERIA, NEEDS_COLUMN, OPERATORS, TIME_UNITS
from loader.spec.model import COMPRESSIONS, TableSpec

ID = "urn:loader:table-spec:v1"


def _given(key: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"not": {"enum": [None, []]}}}}


def _is(key: str, *words: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"enum": list(words)}}}


def _any_given(*keys: str) -> dict[str, Any]:
    return _given(keys[0]) if len(keys) == 1 else {"anyOf": [_given(key) for key in keys]}


def _when(condition: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": condition, "then": then}


def _criteria() -> Iterator[dict[str, Any]]:
    """What each metric needs one of, and which metric each of these keys is for."""
    owners: dict[str, list[str]] = {}
    for metric, choices in CRITERIA.items():
        yield _when(_is("metric", metric), {"oneOf": [_any_given(*keys) for keys in choices]})
        for key in (key for keys in choices for key in keys):
            owners.setdefault(key, []).append(metric)
    for key, metrics in owners.items():
        yield _when(_given(key), _is("metric", *metrics))


_OF_VALUES = ("minimum", "maximum", "freshness", "sql")

_BETWEEN: dict[str, dict[str, Any]] = {
    "Merge": {"if": _given("soft_delete"), "then": _given("deleted_when")},
    "Scd2": {
        "if": {"required": ["on_late"]},
        "then": _given("effective_at"),
    },
    "Check": {
        "oneOf": [_given(operator) for operator in OPERATORS],
        "allOf": [
            {
                "if": _is("metric", *NEEDS_COLUMN),
                "then": {"oneOf": [_given("column"), _given("columns")]},
                "else": {"not": _any_given("column", "columns")},
            },
            _when(_given("columns"), _is("metric", "duplicate_values")),
            _when(_given("missing_values"), _is("metric", "missing_values")),
            *_criteria(),
            {
                "if": _is("metric", "freshness"),
                "then": _is("unit", *TIME_UNITS),
                "else": {"not": _is("unit", *TIME_UNITS)},
            },
            _when(
                {"anyOf": [_is("metric", *_OF_VALUES), _given("query")]},
                {"not": _is("unit", "percent")},
            ),
        ],
    },
    "PartitionKeys": {
        "oneOf": [_given(key) for key in ("start", "keys", "dynamic")],
        "if": {
            "anyOf": [
                _given("end"),
                {"required": ["end_offset"], "properties": {"end_offset": {"not": {"const": 0}}}},
            ]
        },
        "then": _given("start"),
    },
    "Staging": {
        "allOf": [
            {
                "if": _is("format", form),
                "then": {"properties": {"compression": {"enum": ["auto", *compressions]}}},
            }
            for form, compressions in COMPRESSIONS.items()
        ],
        "anyOf": [
            _is("format", *COMPRESSIONS),
            {"properties": {"compression": {"enum": ["auto", *COMPRESSIONS["parquet"]]}}},
        ],
    },
}
"""The rules of the models' validators that involve several keys."""


def json_schema() -> dict[str, Any]:
    """The schema of one spec file, as JSON Schema 2020-12."""
    schema = TableSpec.model_json_schema(by_alias=True)
    for name, rules in _BETWEEN.items():
        schema["$defs"][name] |= rules
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **schema,
        "title": "Loader table spec, version 1",
    }
