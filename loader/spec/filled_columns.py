"""Columns that loads fill, and that a spec need not list: the times of versions, soft deletes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loader.sql.datatypes import DataType, parse

TIMES = ("date", "timestamp", "timestamptz")
"""The types of the times at which versions begin and end."""

_SCD2 = {
    "valid_from": "From when this version holds.",
    "valid_to": "When this version ended; NULL in the current one.",
    "is_current": "Whether this is the current version.",
}
"""The columns of a history, by their keys in `scd2`, and what they mean."""


def add_filled_columns(data: Mapping[str, Any], columns: Sequence[Any]) -> list[Any]:
    """The columns of a document, with those that its loads fill.

    Args:
        data: The document, which may be wrong in any way.
        columns: Its columns.
    """
    disposition = data.get("write_disposition")
    section = data.get(disposition, {}) if disposition in ("scd2", "merge") else None
    if not isinstance(section, dict):
        return list(columns)
    never_null: list[object] = []
    filled: Iterator[dict[str, Any]] = iter(())
    if disposition == "scd2":
        filled = _history_columns(section, columns)
        names = (section.get(key, key) for key in ("valid_from", "is_current"))
        never_null = [*names, section.get("effective_at")]
    elif "soft_delete" in section:
        filled = iter([_soft_delete_column(section["soft_delete"])])
    listed = [column.get("name") for column in columns if isinstance(column, dict)]
    implied = {one["name"]: one for one in filled if _is_name(one["name"])}
    return [
        *(
            {"nullable": False, **column}
            if isinstance(column, dict) and column.get("name") in never_null
            else column
            for column in columns
        ),
        *(one for name, one in implied.items() if name not in listed),
    ]


def _history_columns(
    section: Mapping[str, Any], columns: Sequence[Any]
) -> Iterator[dict[str, Any]]:
    kind = _time_type(section.get("effective_at"), columns)
    for key, description in _SCD2.items():
        column = {
            "name": section.get(key, key),
            "data_type": kind,
            "nullable": key == "valid_to",
            "description": description,
        }
        if key == "is_current":  # rows of a table that becomes a history are current
            column |= {"data_type": "boolean", "default": "true"}
        yield column


def _soft_delete_column(name: object) -> dict[str, Any]:
    return {
        "name": name,
        "data_type": "boolean",
        "nullable": False,
        "default": "false",
        "description": "Whether the row is deleted.",
    }


def _time_type(name: object, columns: Sequence[Any]) -> DataType:
    """The type of a listed column, if it is one of times; else timestamptz."""
    for column in columns:
        if isinstance(column, dict) and name is not None and column.get("name") == name:
            given = column.get("data_type")
            try:
                found = given if isinstance(given, DataType) else parse(str(given))
            except ValueError:
                break
            if found.name in TIMES:
                return found
    return parse("timestamptz")


def _is_name(value: object) -> bool:
    """Whether it can be a column's name: what cannot is told where it is given."""
    return isinstance(value, str) and bool(value) and value == value.lower()
