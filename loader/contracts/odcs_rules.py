"""Converts the options and relationships of ODCS properties to checks of a spec, and back.

A range of values is an option of a property's logical type, a foreign key a relationship of the
property. Both are conditions that no value may break, so only checks of that kind become one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from loader.contracts.sections import Findings, Section
from loader.spec.typed_values import typed_bound
from loader.sql.datatypes import DataType, parse
from loader.sql.regex import portable

Check = Mapping[str, Any]
Tables = Mapping[str, tuple[str | None, str, Mapping[str, str]]]
"""A table's name in the contract → its schema, if it names one, its name, and its columns by the
names of their properties."""

_ENDS = ("minimum", "maximum")
_SHORTHAND = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)")


def read_options(column: str, data_type: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checks that the options of a logical type are; what is none is left out."""
    invalid = {"metric": "invalid_values", "column": column}
    kind = parse(data_type)
    ends = {end: value for end in _ENDS if (value := _plain(options.get(end))) is not None}
    found = []
    if ends and all(_is_bound(kind, value) for value in ends.values()):
        found.append({**invalid, **ends, "must_be": 0})
    pattern = options.get("pattern")
    if isinstance(pattern, str) and kind.is_text and _is_portable(pattern):
        found.append({**invalid, "pattern": pattern, "must_be": 0})
    return found


def _plain(value: object) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _is_bound(kind: DataType, value: Any) -> bool:
    try:
        typed_bound(kind, value)
    except (TypeError, ValueError):
        return False
    return True


def _is_portable(pattern: str) -> bool:
    try:
        portable(pattern)
    except ValueError:
        return False
    return True


def write_options(
    checks: Sequence[Check], logical: str | None
) -> tuple[dict[str, Any], list[Check]]:
    """The options that the first range of values is, and the checks that are left."""
    numbers = logical in ("integer", "number")
    for check in checks:
        ends = {end: check[end] for end in _ENDS if end in check}
        wanted = int | float if numbers else str
        fits = all(isinstance(v, wanted) and not isinstance(v, bool) for v in ends.values())
        timely = logical in ("date", "timestamp", "time")
        if ends and _is_rule(check, *ends) and fits and (numbers or timely):
            return ends, [other for other in checks if other is not check]
    return {}, list(checks)


def write_relationships(
    checks: Sequence[Check], schema: str, tables: Sequence[tuple[str, str]]
) -> tuple[list[dict[str, Any]], list[Check]]:
    """The relationships that checks are, and the checks that are left.

    Args:
        checks: Those of one column.
        schema: The schema of its table.
        tables: Schema and name of the tables of the contract.
    """
    found: list[dict[str, Any]] = []
    left: list[Check] = []
    for check in checks:
        other = check.get("references", {})
        to = f"{other.get('table')}.{other.get('column')}"
        known = (other.get("schema", schema), other.get("table")) in tables
        own_schema = "schema" not in other
        if _is_rule(check, "references") and known and own_schema and _SHORTHAND.fullmatch(to):
            found.append({"to": to})
        else:
            left.append(check)
    return found, left


def _is_rule(check: Check, *keys: str) -> bool:
    """Whether a check says that no value may break what these keys say, and nothing else."""
    plain = {"metric", "column", "must_be", *keys}
    return check.keys() == plain and check["metric"] == "invalid_values" and check["must_be"] == 0


def tables_of(findings: Findings) -> Tables:
    """The tables of a contract."""
    found = {}
    for entry in _entries(findings.document.data, "schema"):
        name = entry.get("name")
        customs = {
            one.get("property"): one.get("value") for one in _entries(entry, "customProperties")
        }
        schema = customs.get("loader.schema")
        columns = {
            one["name"]: str(one.get("physicalName") or one["name"]).lower()
            for one in _entries(entry, "properties")
            if isinstance(one.get("name"), str)
        }
        if isinstance(name, str):
            table = str(entry.get("physicalName") or name).lower()
            found[name] = (schema if isinstance(schema, str) else None, table, columns)
    return found


def _entries(data: Any, key: str) -> list[Mapping[str, Any]]:
    listed = data.get(key) if isinstance(data, Mapping) else None
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def read_relationships(
    section: Section, column: str | None, columns: Mapping[str, str], tables: Tables, schema: str
) -> Iterator[tuple[dict[str, Any], Section]]:
    """The checks that the relationships of a property or of a table are, with their entries.

    Args:
        section: The property or the table.
        column: The property's column; None for a table, whose relationships name their column.
        columns: The names of the table's properties → its columns.
        tables: Those of the contract.
        schema: The schema of the table.
    """
    for entry in section.sections("relationships"):
        kind, to = entry.text("type"), entry.take("to")
        source = column if column is not None else _column_of(entry.take("from"), columns)
        match = _SHORTHAND.fullmatch(to) if isinstance(to, str) else None
        table = tables.get(match[1]) if match else None
        target = table[2].get(match[2]) if match and table else None
        if kind not in (None, "foreignKey") or source is None or table is None or target is None:
            for _ in entry.items():
                pass  # mark all keys as read, so that the entry is reported once
            section.findings.drop(entry.loc)
            continue
        other = {"table": table[1], "column": target}
        if table[0] not in (None, schema):
            other = {"schema": str(table[0]), **other}
        entry.drop_unread()
        check = {"metric": "invalid_values", "column": source, "references": other, "must_be": 0}
        yield check, entry


def _column_of(text: object, columns: Mapping[str, str]) -> str | None:
    match = _SHORTHAND.fullmatch(text) if isinstance(text, str) else None
    return columns.get(match[2]) if match else None
