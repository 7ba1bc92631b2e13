"""The page of the spec language: every key of the JSON Schema, with its type and meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from loader.docs.phrases import code
from loader.docs.words import format_size
from loader.spec.checks import OPERATORS

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    name: str
    anchor: str
    kind: Markup
    sections: tuple[str, ...]
    """The paths of the sections that document the keys inside."""
    required: bool
    default: str | None
    description: Markup


@dataclass(frozen=True)
class Section:
    """One mapping of the language."""

    path: str
    """The path in a spec, such as ``columns[]``; empty for the spec itself."""
    anchor: str
    description: Markup
    keys: tuple[Key, ...]


_UPSTREAM = Key(
    name="meta.upstream",
    anchor="key-meta.upstream",
    kind=Markup("list of text"),
    sections=(),
    required=False,
    default=None,
    description=Markup(
        "The asset keys of the upstream tables, such as <code>[shop/orders]</code>, or web"
        " addresses. <code>loader docs</code> draws the lineage, upstream and downstream."
    ),
)


def sections(schema: Schema) -> list[Section]:
    """The sections of the language: the spec itself, then its mappings in order."""
    definitions = schema["$defs"]
    paths = dict(_paths("", schema, definitions))
    descriptions = {name: part.get("description", "") for name, part in definitions.items()}
    named = [("", schema), *((path, definitions[name]) for name, path in paths.items())]
    return [_section(path, part, paths, descriptions) for path, part in named]


def _paths(path: str, schema: Schema, definitions: Schema) -> Iterator[tuple[str, str]]:
    """The definitions that a section refers to, with their paths in a spec."""
    for key, part in schema["properties"].items():
        for name, suffix in _references(part):
            inner = f"{path}.{key}{suffix}".removeprefix(".")
            yield name, inner
            yield from _paths(inner, definitions[name], definitions)


def _references(part: Schema, suffix: str = "") -> Iterator[tuple[str, str]]:
    if "$ref" in part:
        yield part["$ref"].rpartition("/")[2], suffix
    for one in (*part.get("allOf", ()), *part.get("anyOf", ())):
        yield from _references(one, suffix)
    if isinstance(part.get("items"), Mapping):
        yield from _references(part["items"], f"{suffix}[]")
    if isinstance(part.get("additionalProperties"), Mapping):
        yield from _references(part["additionalProperties"], f"{suffix}.*")


def _section(
    path: str, schema: Schema, paths: Mapping[str, str], descriptions: Mapping[str, str]
) -> Section:
    required = set(schema.get("required", ()))
    keys = []
    for name, part in schema["properties"].items():
        text = part.get("description") or _find_description(name, part, descriptions)
        keys.append(_key(path, name, part, paths, required=name in required, text=text))
        if (path, name) == ("", "meta"):
            keys.append(_UPSTREAM)
    anchor = f"section-{path or 'spec'}"
    return Section(path, anchor, _mark_code(schema.get("description", "")), tuple(keys))


def _find_description(name: str, part: Schema, descriptions: Mapping[str, str]) -> str:
    """The meaning of a key without a description: that of its section, or of its operator."""
    if name in OPERATORS:
        return f"The bound: the metric must be {OPERATORS[name]} this."
    return next((descriptions[reference] for reference, _ in _references(part)), "")


def _key(
    path: str,
    name: str,
    part: Schema,
    paths: Mapping[str, str],
    *,
    required: bool,
    text: str,
) -> Key:
    description = _mark_code(text)
    if part.get("examples"):
        description += Markup(" One of {}.").format(code(tuple(part["examples"])))
    inside = tuple(paths[reference] for reference, _ in _references(part))
    default = None if inside else _default(part.get("default"))
    anchor = f"key-{path}.{name}" if path else f"key-{name}"
    return Key(name, anchor, _kind(part), inside, required, default, description)


def _default(value: object) -> str | None:
    if value in (None, [], {}, ""):
        return None
    if isinstance(value, int) and value >= 1 << 20:
        return format_size(value).replace(" ", "")
    if isinstance(value, str) and re.fullmatch(r"[\w-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _mark_code(text: str) -> Markup:
    """A description as HTML, with text in backquotes as code."""
    return Markup("").join(
        code(piece) if at % 2 else escape(piece) for at, piece in enumerate(text.split("`"))
    )


_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
}


def _kind(part: Schema) -> Markup:
    """Describe the values that a key takes."""
    if "$ref" in part:
        return Markup("mapping")
    if "anyOf" in part:
        kinds = [_kind(one) for one in part["anyOf"] if one.get("type") != "null"]
        return Markup(" or ").join(dict.fromkeys(kinds))
    if "enum" in part:
        return code(tuple(part["enum"]))
    if "const" in part:
        return code(part["const"])
    match part.get("type", "anything"):
        case "array":
            return Markup("list of {}").format(_items(part))
        case "object":
            return _mapping(part)
        case list() as kinds:
            return Markup(" or ").join(_WORDS.get(kind, kind) for kind in kinds)
        case kind:
            return escape(_WORDS.get(kind, kind))


def _items(part: Schema) -> Markup:
    if "prefixItems" in part:
        kinds = sorted({_kind(one) for one in part["prefixItems"]})
        return Markup("{} {}s").format(len(part["prefixItems"]), Markup(" or ").join(kinds))
    inner = _kind(part.get("items", {}))
    return Markup("mappings") if inner == "mapping" else inner


def _mapping(part: Schema) -> Markup:
    inner = part.get("additionalProperties")
    if "patternProperties" in part:
        inner = next(iter(part["patternProperties"].values()))
    names = part.get("propertyNames", {}).get("enum")
    of = _kind(inner) if isinstance(inner, Mapping) else Markup("anything")
    if names:
        return Markup("mapping of {} to {}").format(code(tuple(names)), of)
    return Markup("mapping of text to {}").format(of)
