"""Writes the Open Data Contract Standard, version 3.1, so that it reads back as the same specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loader.contracts import columntypes
from loader.contracts.draft import differences, order_of, write_tags
from loader.contracts.odcs import read
from loader.contracts.odcs_contract import DESCRIPTION, IDENTITY, PREFIX, WORDS, defaults
from loader.contracts.odcs_quality import says_the_same, write_quality
from loader.contracts.sections import Findings
from loader.spec.model import TableSpec
from loader.spec.yaml_reader import Document
from loader.spec.yaml_writer import declared

VERSION = "v3.1.0"


def write(
    specs: Sequence[TableSpec], servers: Sequence[Mapping[str, str]] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """A contract for each schema, or for each contract that tables came from, by its schema.

    Args:
        specs: The tables.
        servers: Where they are, as ``server``, ``type`` and ``database``.
    """
    groups: dict[tuple[str, str], list[TableSpec]] = {}
    for spec in specs:
        key = (spec.schema_name, repr(sorted(_identity(spec).items())))
        groups.setdefault(key, []).append(spec)
    return [(schema, _contract(group, servers)) for (schema, _), group in groups.items()]


def _identity(spec: TableSpec) -> dict[str, Any]:
    """What the contract that a table came from says of itself."""
    kept = spec.meta.get(IDENTITY)
    if not isinstance(kept, dict):
        return {}
    fits: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(WORDS, _is_text),
        "description": lambda value: (
            isinstance(value, dict)
            and value.keys() <= set(DESCRIPTION)
            and all(map(_is_text, value.values()))
        ),
        "tags": lambda value: isinstance(value, list) and all(map(_is_text, value)),
        "customProperties": lambda value: (
            isinstance(value, dict) and not any(key.startswith(PREFIX) for key in value)
        ),
    }
    right = all(key in fits and fits[key](value) for key, value in kept.items())
    return kept if right else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _contract(specs: Sequence[TableSpec], servers: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    schema, identity = specs[0].schema_name, _identity(specs[0])
    said = {**defaults(schema), **identity}
    data: dict[str, Any] = {
        "apiVersion": VERSION,
        "kind": "DataContract",
        **{key: said[key] for key in WORDS if key in said},
        "description": said.get("description"),
        "tags": said.get("tags"),
        "servers": [{**server, "schema": schema} for server in servers],
        "schema": [_table(spec) for spec in specs],
        "customProperties": _customs(identity.get("customProperties", {})),
    }
    data = {key: value for key, value in data.items() if value not in (None, [], {})}
    drafts = read(Findings(Document(data)))
    for spec, entry, draft in zip(specs, data["schema"], drafts, strict=True):
        _add_ours(spec, entry, draft.data)
    return data


def _customs(properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"property": key, "value": value} for key, value in properties.items()]


def _table(spec: TableSpec) -> dict[str, Any]:
    """A table as far as the standard has words for it."""
    meta = {k: v for k, v in spec.meta.items() if k != IDENTITY and not k.startswith(PREFIX)}
    checks = [check for check in declared(spec).get("checks", []) if _sayable(check)]
    entry = {
        "name": spec.name,
        "physicalName": spec.name,
        "physicalType": "table",
        "description": spec.description,
        "tags": write_tags(spec.tags),
        "properties": [_property(spec, at, checks) for at in range(len(spec.columns))],
        "quality": [write_quality(check) for check in checks if "column" not in check],
        "customProperties": [
            *_customs({f"{PREFIX}schema": spec.schema_name}),
            *_customs(meta),
        ],
    }
    return {key: value for key, value in entry.items() if value not in (None, [])}


def _sayable(check: Mapping[str, Any]) -> bool:
    return says_the_same(check, write_quality(check))


def _property(spec: TableSpec, at: int, checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    column = spec.columns[at]
    kind, options = columntypes.described(column.data_type)
    unique = {"metric": "duplicate_values", "column": column.name, "must_be": 0}
    entry: dict[str, Any] = {
        "name": column.name,
        "physicalName": column.name,
        "logicalType": kind,
        "logicalTypeOptions": options or None,
        "physicalType": str(column.data_type),
        "description": column.description,
        "required": None if column.nullable else True,
    }
    if column.name in spec.primary_key:
        entry |= {"primaryKey": True, "primaryKeyPosition": spec.primary_key.index(column.name) + 1}
    if unique in checks or spec.primary_key == (column.name,):
        entry["unique"] = True
    exprs = [partition.expr for partition in spec.partition_by]
    if column.name in exprs:
        entry |= {"partitioned": True, "partitionKeyPosition": exprs.index(column.name) + 1}
    entry["classification"] = column.classification
    entry["quality"] = [
        write_quality(check) for check in checks if check.get("column") == column.name
    ]
    return {key: value for key, value in entry.items() if value not in (None, [])}


def _add_ours(spec: TableSpec, entry: dict[str, Any], suggested: Mapping[str, Any]) -> None:
    """Say beside the contract what reading it would not give back."""
    actual = declared(spec)
    extra = [check for check in actual.get("checks", []) if not _sayable(check)]
    natural = [*suggested["checks"], *extra]
    ours = {} if not extra else {"checks": extra}
    order = order_of(actual.get("checks", []), natural)
    if order is not None:
        ours["check_order"] = order
    apart = ("version", "columns", "checks")
    ours |= differences(
        *({k: v for k, v in d.items() if k not in apart} for d in (actual, suggested))
    )
    _extend(entry, ours)
    for column, declaration, found, place in zip(
        spec.columns, actual["columns"], suggested["columns"], entry["properties"], strict=True
    ):
        said = {key: value for key, value in declaration.items() if key != "nullable"}
        said |= {} if column.nullable else {"nullable": False}
        _extend(place, differences(said, found))


def _extend(entry: dict[str, Any], ours: Mapping[str, Any]) -> None:
    if ours:
        named = {f"{PREFIX}{key}": value for key, value in ours.items()}
        entry["customProperties"] = [*entry.get("customProperties", []), *_customs(named)]
