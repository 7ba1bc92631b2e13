"""The spec language as a page: every key of the JSON Schema, with its type and meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    name: str
    kind: str
    section: str | None
    """The section that tells what is inside, if one does."""
    required: bool
    default: str | None
    description: Markup


@dataclass(frozen=True)
class Section:
    """One mapping of the language."""

    name: str
    title: str
    description: Markup
    keys: tuple[Key, ...]


def sections(schema: Mapping[str, Any]) -> list[Section]:
    """The sections of the language, the whole spec first."""
    definitions = schema["$defs"]
    found = [_section("spec", "A table spec", schema, definitions)]
    found += [
        _section(name, _heading(name), part, definitions)
        for name, part in definitions.items()
        if "properties" in part
    ]
    return found


def _heading(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _section(
    name: str, title: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Section:
    required = set(schema.get("required", ()))
    keys = tuple(
        _key(key, part, definitions, required=key in required)
        for key, part in schema["properties"].items()
    )
    return Section(name, title, _marked(schema.get("description", "")), keys)


def _key(
    name: str, part: Mapping[str, Any], definitions: Mapping[str, Any], *, required: bool
) -> Key:
    kind, section = _kind(part)
    default = part.get("default")
    shown = None if default in (None, [], {}, "") else json.dumps(default, ensure_ascii=False)
    if section is not None and isinstance(default, dict):
        shown = None
    told = part.get("description") or definitions.get(section or "", {}).get("description", "")
    return Key(name, kind, section, required, shown, _marked(told))


def _marked(text: str) -> Markup:
    """A description with what stands in backticks as code."""
    pieces = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if at % 2 else escape(piece)
        for at, piece in enumerate(pieces)
    )


def _kind(part: Mapping[str, Any]) -> tuple[str, str | None]:
    """What a key takes, in words, and the section of what is inside."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return "mapping", name
    if "allOf" in part:
        return _kind(part["allOf"][0])
    if "anyOf" in part:
        kinds = [_kind(one) for one in part["anyOf"] if one.get("type") != "null"]
        section = next((found for _, found in kinds if found), None)
        return " or ".join(dict.fromkeys(kind for kind, _ in kinds)), section
    if "enum" in part:
        return ", ".join(map(str, part["enum"])), None
    if "const" in part:
        return str(part["const"]), None
    kind = part.get("type", "anything")
    if kind == "array":
        inner, section = _kind(part.get("items", {})) if "items" in part else ("anything", None)
        return f"list of {'mappings' if section else inner}", section
    if kind == "object":
        inner, section = (
            _kind(part["additionalProperties"])
            if isinstance(part.get("additionalProperties"), dict)
            else ("anything", None)
        )
        return f"mapping of {inner}", section
    words = {"string": "text", "integer": "number", "boolean": "true or false"}
    if isinstance(kind, list):
        return " or ".join(str(words.get(one, one)) for one in kind), None
    return str(words.get(kind, kind)), None
