"""Reads the top level of a data contract: identity, servers, custom properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loader.contracts.sections import Section
from loader.errors import Loc

PREFIX = "loader."


IDENTITY = "odcs"
"""The key of a spec's ``meta`` that keeps the contract's identity."""


WORDS = ("id", "name", "version", "status", "domain", "tenant", "dataProduct", "contractCreatedTs")


DESCRIPTION = ("purpose", "limitations", "usage")


Customs = Mapping[str, tuple[Any, Loc]]
"""Custom properties: name → value and location."""


def defaults(schema: str) -> dict[str, str]:
    """The default identity of the contract for a schema."""
    return {
        "id": f"urn:datacontract:{schema}",
        "name": schema,
        "version": "1.0.0",
        "status": "active",
    }


@dataclass(frozen=True)
class Contract:
    """The parts of a contract that all of its tables share."""

    identity: Mapping[str, Any]
    schemas: tuple[str, ...]
    schema: str | None
    """The schema of tables that do not name theirs."""
    native: bool
    """Whether physical types are Redshift types."""


def read_contract(section: Section, schema: str | None) -> Contract:
    """Read the parts of a contract that all of its tables share.

    Args:
        section: The whole contract.
        schema: The schema of its tables when its servers do not name exactly one.
    """
    identity = _read_identity(section)
    schemas: dict[str, bool] = {}
    """Schema → whether a Redshift server names it."""
    kinds = []
    for server in section.sections("servers"):
        kinds.append(server.text("type"))
        named = server.text("schema")
        if named:
            schemas[named] = schemas.get(named, False) or kinds[-1] == "redshift"
        if server.has_unread_keys():
            section.findings.drop(server.loc)
    native = "redshift" in kinds
    names = tuple(name for name, redshift in schemas.items() if redshift) or tuple(schemas)
    if kinds and not native:
        listed = ", ".join(sorted({kind for kind in kinds if kind}))
        section.findings.notes.append(
            f"the contract is for {listed or 'another warehouse'}: Redshift counts text lengths in"
            " bytes, so varchar(n) may need more"
        )
    return Contract(identity, names, names[0] if len(names) == 1 else schema, native)


def _read_identity(section: Section) -> dict[str, Any]:
    """Read the contract's identity, for the spec's ``meta``; empty entries are left out."""
    identity: dict[str, Any] = {word: section.text(word) for word in WORDS}
    description = section.section("description")
    identity["description"] = {
        key: text for key in DESCRIPTION if (text := description.text(key)) is not None
    }
    description.drop_unread()
    identity["tags"] = [word for word, _ in section.words("tags")]
    customs = custom_properties(section)
    identity["customProperties"] = {
        name: value for name, (value, _) in customs.items() if not name.startswith(PREFIX)
    }
    for name, (_, loc) in customs.items():
        if name.startswith(PREFIX):
            section.findings.drop(loc)
    return {key: value for key, value in identity.items() if value not in (None, [], {})}


def custom_properties(section: Section) -> dict[str, tuple[Any, Loc]]:
    """Read the custom properties of a contract, table or column; reports problems."""
    found: dict[str, tuple[Any, Loc]] = {}
    for entry in section.sections("customProperties"):
        name = entry.text("property")
        value = entry.take("value")
        if name is None:
            entry.report_missing("property")
        elif name in found:
            message = f"the custom property `{name}` is listed twice"
            entry.findings.add_problem(message, entry.at("property"))
        else:
            found[name] = (value, entry.at("value"))
        entry.drop_unread()
    return found


def loader_extensions(customs: Customs) -> dict[str, tuple[Any, Loc]]:
    """The custom properties ``loader.<key>``, by the spec's key."""
    return {
        name.removeprefix(PREFIX): entry
        for name, entry in customs.items()
        if name.startswith(PREFIX)
    }
