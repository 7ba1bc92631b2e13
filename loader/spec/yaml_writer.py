"""Writes specs and contracts as YAML that reads back unchanged, with one line for each column."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import yaml

from loader.spec.comments import NO_REMARKS, Remarks, comment
from loader.spec.model import COMPRESSIONS, Staging, TableSpec

_LISTED = ("columns", "partition_by", "checks")
"""Sections with one line for each entry."""

_WIDE = 1 << 30
"""A line ends where an entry ends, and nowhere else."""


def declared(spec: TableSpec) -> dict[str, Any]:
    """A spec without default values, as plain data that reads back as the same spec."""
    data = spec.model_dump(by_alias=True, exclude_defaults=True)
    found = {"version": spec.version, **data}
    if spec.asset_key == f"{spec.schema_name}/{spec.name}":
        found.pop("asset_key", None)
    for column, entry in zip(spec.columns, found["columns"], strict=True):
        # Keys and identities are never null, without a word.
        if column.name in spec.primary_key or column.identity is not None:
            entry.pop("nullable", None)
            if column.nullable:
                entry["nullable"] = True
    if "staging" in found:
        found["staging"] = _staging(spec.staging, found["staging"])
    plain: dict[str, Any] = _plain(found)
    return plain


def _staging(staging: Staging, data: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(data)
    if staging.compression == COMPRESSIONS.get(staging.format, ("auto",))[0]:
        found.pop("compression", None)
    if "file_size" in found and staging.file_size % (1 << 20) == 0:
        found["file_size"] = f"{staging.file_size >> 20}MB"
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def to_yaml(spec: TableSpec, remarks: Remarks = NO_REMARKS) -> str:
    """The spec as YAML text that reads back as the same spec, with remarks as comments.

    Suggestions are commented out, each on one line that is valid without its
    mark.
    """
    parts = [f"{comment(note)}\n" for note in remarks.notes]
    for key, value in declared(spec).items():
        if key not in _LISTED:
            parts.append(f"{key}: {_flow(value)}\n")
            continue
        parts.append(f"{key}:\n")
        for item in value:
            remark = remarks.columns.get(item["name"]) if key == "columns" else None
            parts.append(f"  - {_flow(item)}{f'  {comment(remark)}' if remark else ''}\n")
        if key == "columns":
            parts += [
                f"# {one.section}: {_flow(one.value)}  {comment(one.why)}\n"
                for one in remarks.suggestions
            ]
    return "".join(parts)


def dump(data: Mapping[str, Any]) -> str:
    """A contract as YAML text, a line for each property of what has a name."""
    return _written(data, None, _BlockDumper)


class _Dumper(yaml.SafeDumper):
    """Double quotes where any are needed, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # specs have none
        return True

    def choose_scalar_style(self) -> Any:
        chosen = super().choose_scalar_style()
        return '"' if chosen == "'" else chosen

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent lists below their key, as most contracts do."""
        super().increase_indent(flow, indentless=False)


class _BlockDumper(_Dumper):
    """One line for what is small and has no name, such as a check or a custom property."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> Any:
        node = super().represent_mapping(tag, mapping, flow_style)
        if len(mapping) > 4 or "name" in mapping:
            node.flow_style = False
        return node


def _flow(value: Any) -> str:
    return _written(value, True, _Dumper).removesuffix("\n").removesuffix("\n...")


def _written(value: Any, flow: bool | None, dumper: type[_Dumper]) -> str:
    text: str = yaml.dump(
        value,
        Dumper=dumper,
        default_flow_style=flow,
        allow_unicode=True,
        width=_WIDE,
        sort_keys=False,
    )
    return text
