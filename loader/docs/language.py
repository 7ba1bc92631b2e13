"""The spec language as a page: every key of the JSON Schema, with its type and meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from loader.docs.words import code, size_words
from loader.spec.checks import OPERATORS

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    name: str
    anchor: str
    kind: Markup
    sections: tuple[str, ...]
    """The paths of the sections that tell what is inside."""
    required: bool
    default: str | None
    description: Markup


@dataclass(frozen=True)
class Section:
    """One mapping of the language."""

    path: str
    """Where in a spec it stands, such as ``columns[]``; empty for the spec itself."""
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
        "The asset keys of what the table is made of, such as <code>[shop/orders]</code>:"
        " <code>loader docs</code> draws the lineage of them, both ways. A web address is a key"
        " too."
    ),
)


def sections(schema: Schema) -> list[Section]:
    """The sections of the language, the whole spec first, in the order specs have them."""
    definitions = schema["$defs"]
    paths = dict(_paths("", schema, definitions))
    told = {name: part.get("description", "") for name, part in definitions.items()}
    found = [_section("", schema, paths, told)]
    found += [_section(path, definitions[name], paths, told) for name, path in paths.items()]
    return found


def _paths(path: str, schema: Schema, definitions: Schema) -> Iterator[tuple[str, str]]:
    """The definitions that a section leads to, with where in a spec they stand."""
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
    path: str, schema: Schema, paths: Mapping[str, str], told: Mapping[str, str]
) -> Section:
    required = set(schema.get("required", ()))
    keys = []
    for name, part in schema["properties"].items():
        said = part.get("description") or _said_elsewhere(name, part, told)
        keys.append(_key(path, name, part, paths, required=name in required, told=said))
        if (path, name) == ("", "meta"):
            keys.append(_UPSTREAM)
    anchor = f"section-{path or 'spec'}"
    return Section(path, anchor, _marked(schema.get("description", "")), tuple(keys))


def _said_elsewhere(name: str, part: Schema, told: Mapping[str, str]) -> str:
    """What a key without words of its own means: what the section does, or the bound is."""
    if name in OPERATORS:
        return f"The bound: what is counted is {OPERATORS[name]} this."
    return next((told[reference] for reference, _ in _references(part)), "")


def _key(
    path: str,
    name: str,
    part: Schema,
    paths: Mapping[str, str],
    *,
    required: bool,
    told: str,
) -> Key:
    description = _marked(told)
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
        return size_words(value).replace(" ", "")
    if isinstance(value, str) and re.fullmatch(r"[\w-]+", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _marked(text: str) -> Markup:
    """A description with what stands in backticks as code."""
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
    """What a key takes, in words."""
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
