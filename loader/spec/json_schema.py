"""The JSON Schema of a table spec, for editors."""

from __future__ import annotations

from typing import Any

from loader.spec.checks import OPERATORS
from loader.spec.model import COMPRESSIONS, TableSpec

ID = "urn:loader:table-spec:v1"


def _given(key: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"not": {"enum": [None, []]}}}}


def _is(key: str, *words: str) -> dict[str, Any]:
    return {"required": [key], "properties": {key: {"enum": list(words)}}}


_BETWEEN: dict[str, dict[str, Any]] = {
    "Check": {
        "oneOf": [_given(operator) for operator in OPERATORS],
        "allOf": [
            {
                "if": _is("metric", "row_count"),
                "then": {"not": {"anyOf": [_given("column"), _given("columns")]}},
                "else": {"oneOf": [_given("column"), _given("columns")]},
            },
            {"if": _given("columns"), "then": _is("metric", "duplicate_values")},
            {
                "if": _is("metric", "invalid_values"),
                "then": _given("valid_values"),
                "else": {"not": _given("valid_values")},
            },
            {"if": _given("missing_values"), "then": _is("metric", "missing_values")},
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
