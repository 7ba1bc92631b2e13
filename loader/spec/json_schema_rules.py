"""The rules between keys of a table spec, as far as JSON Schema can express them.

What compares names or values, such as a key that must be one of the columns, it cannot:
`loader validate` finds that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loader.spec.checks import CRITERIA, NEEDS_COLUMN, OPERATORS, TIME_UNITS
from loader.spec.fields import Model
from loader.spec.model import COMPRESSIONS, Merge, TableSpec
from loader.spec.query_rules import OF_QUERIES
from loader.spec.scd2 import Scd2

Schema = dict[str, Any]


def _given(key: str) -> Schema:
    return {"required": [key], "properties": {key: {"not": {"enum": [None, []]}}}}


def _is(key: str, *words: str) -> Schema:
    return {"required": [key], "properties": {key: {"enum": list(words)}}}


def _any_given(*keys: str) -> Schema:
    return _given(keys[0]) if len(keys) == 1 else {"anyOf": [_given(key) for key in keys]}


def _set(*keys: str) -> Schema:
    """Whether a key is written at all, be it with its default."""
    return {"anyOf": [{"required": [key]} for key in keys]}


def _when(condition: Schema, then: Schema) -> Schema:
    return {"if": condition, "then": then}


def _criteria() -> Iterator[Schema]:
    """What each metric needs one of, and which metric each of these keys is for."""
    owners: dict[str, list[str]] = {}
    for metric, choices in CRITERIA.items():
        yield _when(_is("metric", metric), {"oneOf": [_any_given(*keys) for keys in choices]})
        for key in (key for keys in choices for key in keys):
            owners.setdefault(key, []).append(metric)
    for key, metrics in owners.items():
        yield _when(_given(key), _is("metric", *metrics))


_KEEPING = ("append", "merge", "scd2")
"""The dispositions that keep the rows of earlier files."""

_OF_VALUES = ("minimum", "maximum", "freshness", "sql")

_UNIQUE: Schema = {"uniqueItems": True}
_CALL = r"^[A-Za-z_]+\(.*\)$"
_WHOLE = r"^\s*([Ii][Nn][Tt]([48]|[Ee][Gg][Ee][Rr])?|[Bb][Ii][Gg][Ii][Nn][Tt])\s*$"


def _inside(key: str, rule: Schema) -> Schema:
    return {"required": [key], "properties": {key: rule}}


def _differs(model: type[Model]) -> Schema:
    """Whether a key is not as it is by default."""
    defaults = model().model_dump(mode="json")
    return {"anyOf": [_inside(key, {"not": {"const": value}}) for key, value in defaults.items()]}


RULES: dict[str, Schema] = {
    "TableSpec": {
        "properties": {
            "columns": {"maxItems": 1_600},
            "primary_key": _UNIQUE,
            "sort": {**_UNIQUE, "maxItems": 400},
        },
        "allOf": [
            _when(_set("primary_key_constraint"), _given("primary_key")),
            _when(_is("write_disposition", "merge", "scd2"), _given("primary_key")),
            _when(_inside("merge", _differs(Merge)), _is("write_disposition", "merge")),
            _when(_inside("scd2", _differs(Scd2)), _is("write_disposition", "scd2")),
            _when(_inside("scd2", _is("on_absent", "close")), {"not": _given("partition_by")}),
            _when(
                _is("write_disposition", "scd2"), {"not": _is("primary_key_constraint", "always")}
            ),
            _when(
                _given("batch_columns"),
                {
                    "anyOf": [
                        _inside("merge", _given("deleted_when")),
                        _inside("scd2", _given("deleted_when")),
                    ]
                },
            ),
            _when(_is("sort_type", "auto"), {"not": _given("sort")}),
            _when(_is("sort_type", "compound", "interleaved"), _given("sort")),
            _when(_is("sort_type", "interleaved"), {"properties": {"sort": {"maxItems": 8}}}),
            _when(
                _inside("partition_by", {"minItems": 2}),
                {"properties": {"partition_by": {"items": _given("name")}}},
            ),
            _when(
                _inside("source", _is("load", "new")),
                {"anyOf": [_given("partition_by"), _is("write_disposition", *_KEEPING)]},
            ),
            _when(
                _is("write_disposition", "append"),
                {"not": _inside("source", _is("changed", "reload"))},
            ),
        ],
    },
    "Column": _when(
        _given("identity"),
        {
            "properties": {
                "data_type": {"pattern": _WHOLE},
                "nullable": {"const": False},
                "identity": {"prefixItems": [{}, {"not": {"const": 0}}]},
                "default": {"type": "null"},
            }
        },
    ),
    "Merge": {
        "allOf": [
            _when(_given("soft_delete"), _given("deleted_when")),
            _when(_is("on_duplicate", "last"), _given("order_by")),
            _when(_set("on_older"), _given("order_by")),
        ],
        "properties": {"order_by": _UNIQUE},
    },
    "Scd2": {
        **_when(_set("on_late"), _given("effective_at")),
        "properties": {"ignore_changes": _UNIQUE},
    },
    "SchemaContract": _when(
        _inside("max_rejects", {"not": {"const": 0}}), _is("bad_rows", "reject")
    ),
    "Guards": _when(_set("severity"), _given("slice_shrinks_by")),
    "PartitionBy": {
        "allOf": [
            _when(_set("timezone", "column_timezone", "format", "week_start"), _given("grain")),
            _when(_set("week_start"), _is("grain", "week")),
            _when(_inside("expr", {"pattern": _CALL}), _given("data_type")),
        ]
    },
    "Source": {
        "allOf": [
            _when(_set("changed"), _is("load", "new")),
            _when(_is("load", "new"), _given("files")),
            {"dependentRequired": {"connection": ["query"], "query": ["connection"]}},
            _when(_inside("header", {"const": False}), _given("names")),
            _when(_given("names"), _inside("header", {"const": False})),
            _when(_given("query"), {"propertyNames": {"enum": sorted(OF_QUERIES)}}),
        ]
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


def add_rules(schema: Schema) -> Schema:
    """Add the rules to the schema of a table spec and of its parts, in place."""
    for name, rules in RULES.items():
        part = schema if name == TableSpec.__name__ else schema["$defs"][name]
        for key, keywords in rules.get("properties", {}).items():
            part["properties"][key] |= keywords
        part |= {key: rule for key, rule in rules.items() if key != "properties"}
    return schema
