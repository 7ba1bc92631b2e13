"""Writes data contracts (ODCS 3.1) that read back as the same specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loader.contracts import columntypes
from loader.contracts.draft import check_order, differences, write_tags
from loader.contracts.odcs import read
from loader.contracts.odcs_contract import DESCRIPTION, IDENTITY, PREFIX, WORDS, defaults
from loader.contracts.odcs_quality import write_quality
from loader.contracts.odcs_rules import write_options, write_relationships
from loader.contracts.sections import Findings
from loader.spec.model import TableSpec
from loader.spec.yaml_reader import Document
from loader.spec.yaml_writer import declared

VERSION = "v3.1.0"


def write(
    specs: Sequence[TableSpec], servers: Sequence[Mapping[str, str]] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """Write a contract for each schema, or for each imported contract; with its schema.

    Args:
        specs: The tables.
        servers: The tables' servers, as ``server``, ``type`` and ``database``.
    """
    groups: dict[tuple[str, str], list[TableSpec]] = {}
    for spec in specs:
        key = (spec.schema_name, repr(sorted(_identity(spec).items())))
        groups.setdefault(key, []).append(spec)
    return [(schema, _contract(group, servers)) for (schema, _), group in groups.items()]


def _identity(spec: TableSpec) -> dict[str, Any]:
    """The identity of the contract that a table was imported from; empty if it is not valid."""
    identity = spec.meta.get(IDENTITY)
    if not isinstance(identity, dict):
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
    right = all(key in fits and fits[key](value) for key, value in identity.items())
    return identity if right else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _contract(specs: Sequence[TableSpec], servers: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    schema, identity = specs[0].schema_name, _identity(specs[0])
    stated = {**defaults(schema), **identity}
    data: dict[str, Any] = {
        "apiVersion": VERSION,
        "kind": "DataContract",
        **{key: stated[key] for key in WORDS if key in stated},
        "description": stated.get("description"),
        "tags": stated.get("tags"),
        "servers": [{**server, "schema": schema} for server in servers],
        "schema": [_table(spec, [(one.schema_name, one.name) for one in specs]) for spec in specs],
        "customProperties": _customs(identity.get("customProperties", {})),
    }
    data = {key: value for key, value in data.items() if value not in (None, [], {})}
    drafts = read(Findings(Document(data)))
    for spec, entry, draft in zip(specs, data["schema"], drafts, strict=True):
        _add_extensions(spec, entry, draft.data)
    return data


def _customs(properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"property": key, "value": value} for key, value in properties.items()]


def _table(spec: TableSpec, tables: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The entry of a table, without Loader's extensions."""
    meta = {k: v for k, v in spec.meta.items() if k != IDENTITY and not k.startswith(PREFIX)}
    checks = declared(spec).get("checks", [])
    entry = {
        "name": spec.name,
        "physicalName": spec.name,
        "physicalType": "table",
        "description": spec.description,
        "tags": write_tags(spec.tags),
        "properties": [_property(spec, at, checks, tables) for at in range(len(spec.columns))],
        "quality": [write_quality(check) for check in checks if "column" not in check],
        "customProperties": [
            *_customs({f"{PREFIX}schema": spec.schema_name}),
            *_customs(meta),
        ],
    }
    return {key: value for key, value in entry.items() if value not in (None, [])}


def _property(
    spec: TableSpec,
    at: int,
    checks: Sequence[Mapping[str, Any]],
    tables: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    column = spec.columns[at]
    kind, options = columntypes.logical_type(column.data_type)
    own: Sequence[Mapping[str, Any]] = [c for c in checks if c.get("column") == column.name]
    ends, own = write_options(own, kind)
    related, own = write_relationships(own, spec.schema_name, tables)
    unique = {"metric": "duplicate_values", "column": column.name, "must_be": 0}
    entry: dict[str, Any] = {
        "name": column.name,
        "physicalName": column.name,
        "logicalType": kind,
        "logicalTypeOptions": {**options, **ends} or None,
        "physicalType": str(column.data_type),
        "description": column.description,
        "required": None if column.nullable else True,
    }
    if column.name in spec.row_key:
        entry |= {"primaryKey": True, "primaryKeyPosition": spec.row_key.index(column.name) + 1}
    if unique in checks or spec.row_key == (column.name,):
        entry["unique"] = True
    exprs = [partition.expr for partition in spec.partition_by]
    if column.name in exprs:
        entry |= {"partitioned": True, "partitionKeyPosition": exprs.index(column.name) + 1}
    entry["classification"] = column.classification
    entry["relationships"] = related
    entry["quality"] = [write_quality(check) for check in own]
    return {key: value for key, value in entry.items() if value not in (None, [])}


def _add_extensions(spec: TableSpec, entry: dict[str, Any], suggested: Mapping[str, Any]) -> None:
    """Add custom properties for the spec keys that reading the contract would not restore."""
    actual = declared(spec)
    extensions: dict[str, Any] = {}
    order = check_order(actual.get("checks", []), suggested["checks"])
    if order is not None:
        extensions["check_order"] = order
    apart = ("version", "columns", "checks")
    extensions |= differences(
        *({k: v for k, v in d.items() if k not in apart} for d in (actual, suggested))
    )
    _extend(entry, extensions)
    for column, declaration, found, place in zip(
        spec.columns, actual["columns"], suggested["columns"], entry["properties"], strict=True
    ):
        stated = {key: value for key, value in declaration.items() if key != "nullable"}
        stated |= {} if column.nullable else {"nullable": False}
        _extend(place, differences(stated, found))


def _extend(entry: dict[str, Any], extensions: Mapping[str, Any]) -> None:
    if extensions:
        named = {f"{PREFIX}{key}": value for key, value in extensions.items()}
        entry["customProperties"] = [*entry.get("customProperties", []), *_customs(named)]
