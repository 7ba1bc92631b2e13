"""Reads data contracts of the Open Data Contract Standard (ODCS), versions 3.0 and 3.1.

Spec keys that ODCS does not have are read from custom properties ``loader.<key>``, which take
precedence over the rest of the contract. The contract's id, version, status and so on are kept in
``meta.odcs`` of the spec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loader.contracts import columntypes
from loader.contracts.draft import UNKNOWN, Draft, fold_name, infer_command, read_tags, sort_checks
from loader.contracts.odcs_contract import (
    IDENTITY,
    PREFIX,
    Contract,
    Customs,
    custom_properties,
    defaults,
    loader_extensions,
    read_contract,
)
from loader.contracts.odcs_quality import quality_origin, read_quality
from loader.contracts.odcs_rules import Tables, read_options, read_relationships, tables_of
from loader.contracts.sections import Findings, Section
from loader.errors import Loc
from loader.sql import datatypes


def read(findings: Findings, schema: str | None = None) -> list[Draft]:
    """Read the tables that a contract declares.

    Args:
        findings: The document; receives its problems and notes.
        schema: The schema of tables whose contract names none, or several.
    """
    section = Section(findings.document.data, (), findings)
    if not _check_version(section):
        return []
    contract = read_contract(section, schema)
    tables = tables_of(findings)
    drafts = [_table(entry, contract, tables) for entry in section.sections("schema")]
    several = ", ".join(contract.schemas)
    findings.report_missing_schemas(f"the contract's servers name {several or 'none'}")
    if not drafts and not findings.problems:
        message = "the contract declares no table"
        findings.add_problem(message, ("schema",), "add `schema` with one entry")
    section.drop_unread()
    return drafts


def _check_version(section: Section) -> bool:
    version, kind = section.take("apiVersion"), section.take("kind")
    add_problem = section.findings.add_problem
    if kind not in (None, "DataContract"):
        add_problem(f"`{kind}` documents are not supported", ("kind",), _KIND)
    elif version is None:
        add_problem("`apiVersion` is missing", (), "contracts start with apiVersion: v3.1.0")
    elif not re.fullmatch(r"v?3\.[01](\.\d+)?", str(version)):
        old = str(version).lstrip("v").startswith(("0", "1", "2"))
        hint = "convert the contract to v3.1.0 first" if old else "write it as v3.1.0"
        add_problem(
            f"version `{version}` is not supported; expected 3.0 or 3.1", ("apiVersion",), hint
        )
    else:
        return True
    return False


_KIND = "a contract has `kind: DataContract`"


def _table(section: Section, contract: Contract, tables: Tables) -> Draft:
    findings, draft = section.findings, Draft(section.loc)
    customs = custom_properties(section)
    extensions = loader_extensions(customs)
    _name(section, draft, contract, extensions.pop("schema", None))
    _about(section, draft, contract, customs)
    properties = _Properties(section, draft, contract)
    if not properties.names:
        message = f"`{draft.data.get('name', '?')}` has no properties, but a table needs columns"
        hint = f"{infer_command(draft)} drafts the spec from the existing table"
        findings.add_problem(message, section.at("properties"), hint)
    _checks(section, draft, properties, extensions, tables)
    _partitions(draft, properties, extensions, findings)
    draft.override((), extensions)
    section.drop_unread(logicalType="object", physicalType="table")
    return draft


def _name(section: Section, draft: Draft, contract: Contract, own: tuple[Any, Loc] | None) -> None:
    findings = section.findings
    logical, physical = section.text("name"), section.text("physicalName")
    origin = section.at("physicalName" if physical else "name")
    name, schema = physical or logical, contract.schema
    if name is None:
        section.report_missing("name")
        return
    if physical and logical and logical != physical:
        findings.drop(section.at("name"))
    if own is not None:
        draft.put(("schema",), *own)
    elif not contract.schemas and name.count(".") == 1:
        schema, name = name.split(".")
    if own is None and schema is None:
        findings.tables_without_schema.append((name, section.loc))
        schema = UNKNOWN
    if own is None and schema is not None:
        draft.put(("schema",), fold_name(schema, ("servers",), findings), ("servers",))
    draft.put(("name",), fold_name(name, origin, findings), origin)


def _about(section: Section, draft: Draft, contract: Contract, customs: Customs) -> None:
    description = section.text("description")
    if description is not None:
        draft.put(("description",), description, section.at("description"))
    draft.put(("tags",), read_tags(section.words("tags"), section.findings), section.at("tags"))
    meta = {k: value for k, (value, _) in customs.items() if not k.startswith(PREFIX)}
    ordinary = defaults(str(draft.data.get("schema")))
    identity = {k: v for k, v in contract.identity.items() if ordinary.get(k) != v}
    if identity:
        if IDENTITY in meta:
            section.findings.drop(customs[IDENTITY][1])
        meta[IDENTITY] = identity
    draft.put(("meta",), meta, section.at("customProperties"))


class _Properties:
    """The columns of a table, and the keys and partitions that their properties declare."""

    def __init__(self, table: Section, draft: Draft, contract: Contract) -> None:
        self.names: dict[str, str] = {}
        """The names of properties → the names of columns."""
        self.partitioned: list[tuple[int, str]] = []
        self.rules: dict[str, list[tuple[dict[str, Any], Loc]]] = {}
        """The checks that options of logical types are, by column."""
        self._keys: list[tuple[int, str, Loc]] = []
        self._contract = contract
        self._draft = draft
        draft.put(("columns",), [], table.at("properties"))
        self.sections = table.sections("properties")
        """The properties that are columns, in the order of the table."""
        self.sections = [one for one in self.sections if self._column(one)]
        keys = sorted(self._keys, key=lambda key: key[0])
        draft.put(("primary_key",), [name for _, name, _ in keys], table.at("properties"))
        for at, (_, _, origin) in enumerate(keys):
            draft.set_origin(("primary_key", at), origin)

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The columns of the draft so far."""
        listed: list[dict[str, Any]] = self._draft.data["columns"]
        return listed

    def _column(self, section: Section) -> bool:
        findings = section.findings
        logical, physical = section.text("name"), section.text("physicalName")
        if physical is None and logical is None:
            section.report_missing("name")
            section.drop_unread()
            return False
        if physical and logical and logical != physical:
            findings.drop(section.at("name"))
        origin = section.at("physicalName" if physical else "name")
        name = fold_name(physical or logical or "", origin, findings)
        at = len(self.columns)
        self.columns.append({})
        self._draft.set_origin(("columns", at), section.loc)
        self._draft.put(("columns", at, "name"), name, origin)
        self.names[logical or name] = name
        self._type(section, at)
        self._flags(section, at, name)
        for key in ("description", "classification"):
            text = section.text(key)
            if text is not None:
                self._draft.put(("columns", at, key), text, section.at(key))
        customs = custom_properties(section)
        self._draft.override(("columns", at), loader_extensions(customs))
        for key, (_, loc) in customs.items():
            if not key.startswith(PREFIX):
                findings.drop(loc[:-1])
        return True

    def _type(self, section: Section, at: int) -> None:
        """Choose the column's type from its physical and logical types."""
        findings = section.findings
        physical, logical = section.text("physicalType"), section.text("logicalType")
        options = section.section("logicalTypeOptions")
        given = {key: options.take(key) for key, _ in list(options.items())}
        origin = section.at("physicalType" if physical else "logicalType")
        chosen, problem = self._choose_type(physical, logical, given)
        if chosen is None:
            hint = "add physicalType, such as varchar(40)" if physical is None else None
            loc = origin if physical or logical else section.loc
            findings.add_problem(problem or "", loc, hint)
            # A placeholder, so that the rest is validated too.
            self._draft.put(("columns", at, "data_type"), "varchar(256)", origin)
            return
        note = chosen.note
        if problem:
            note = f"`{physical}` is not a Redshift type; {logical} becomes {chosen.data_type}"
        if note:
            findings.note(origin, note)
        self._draft.put(("columns", at, "data_type"), chosen.data_type, origin)
        says, implied = columntypes.logical_type(datatypes.parse(chosen.data_type))
        alike = {("array", "object"), ("number", "integer")}
        if logical not in (None, says) and (logical, says) not in alike:
            findings.drop(section.at("logicalType"))
        name = self.columns[at]["name"]
        rules = read_options(name, chosen.data_type, given)
        self.rules[name] = [(rule, section.at("logicalTypeOptions")) for rule in rules]
        kept = {*chosen.used, *(key for rule in rules for key in rule)}
        for key, value in given.items():
            if key not in kept and _is_lost(key, value, implied):
                findings.drop(options.at(key))

    def _choose_type(
        self, physical: str | None, logical: str | None, given: Mapping[str, Any]
    ) -> tuple[columntypes.TypeChoice | None, str | None]:
        """The column's type, and the problem if the physical type, or both types, are not valid.

        ``given`` are the options of the logical type.
        """
        problem: str | None = None
        lengthened = logical == "string" and "maxLength" in given
        if physical is not None and not (lengthened and columntypes.is_unsized(physical)):
            try:
                return columntypes.from_physical(physical, native=self._contract.native), None
            except ValueError as error:
                problem = str(error)
        if logical is None:
            if physical is None:
                problem = "physicalType or logicalType is missing"
            return None, problem
        try:
            return columntypes.from_logical(logical, given), problem
        except ValueError as error:
            return None, problem or str(error)

    def _flags(self, section: Section, at: int, name: str) -> None:
        required, key = section.flag("required"), section.flag("primaryKey")
        place = section.integer("primaryKeyPosition")
        if key:
            self._keys.append((_position(place), name, section.at("primaryKey")))
            if required is False:
                section.findings.note(
                    section.at("required"),
                    f"`{name}` is in the primary key, so it becomes NOT NULL",
                )
        elif place not in (None, -1):
            section.findings.drop(section.at("primaryKeyPosition"))
        if required:
            self._draft.put(("columns", at, "nullable"), False, section.at("required"))
        partitioned, place = section.flag("partitioned"), section.integer("partitionKeyPosition")
        if partitioned:
            self.partitioned.append((_position(place), name))
        elif place not in (None, -1):
            section.findings.drop(section.at("partitionKeyPosition"))


def _is_lost(key: str, value: object, implied: Mapping[str, Any]) -> bool:
    """Whether the chosen type does not express an option of the logical type."""
    if value is None or implied.get(key) == value:
        return False
    return not (key == "timezone" and value is False and key not in implied)


def _position(place: int | None) -> int:
    return place if place is not None and place >= 0 else 1 << 30


def _checks(
    section: Section,
    draft: Draft,
    properties: _Properties,
    extensions: dict[str, tuple[Any, Loc]],
    tables: Tables,
) -> None:
    found: list[tuple[dict[str, Any], Loc]] = []
    schema = str(draft.data.get("schema"))
    for entry in section.sections("quality"):
        check = read_quality(entry, None, properties.names)
        if check is not None:
            found.append((check, quality_origin(entry)))
    related = read_relationships(section, None, properties.names, tables, schema)
    found += [(check, entry.loc) for check, entry in related]
    keys = draft.data["primary_key"]
    for column, one in zip(properties.columns, properties.sections, strict=True):
        for entry in one.sections("quality"):
            check = read_quality(entry, column["name"], properties.names)
            if check is not None:
                found.append((check, quality_origin(entry)))
        stated = [check for check, _ in found]
        rules = properties.rules.get(column["name"], [])
        found += [(check, loc) for check, loc in rules if check not in stated]
        related = read_relationships(one, column["name"], properties.names, tables, schema)
        found += [(check, entry.loc) for check, entry in related]
        unique = {"metric": "duplicate_values", "column": column["name"], "must_be": 0}
        # A primary key of one column is unique already.
        if one.flag("unique") and keys != [column["name"]] and unique not in [c for c, _ in found]:
            found.append((unique, one.at("unique")))
        one.drop_unread(criticalDataElement=False)
    extra, loc = extensions.pop("checks", (None, ()))
    if isinstance(extra, list):
        found += [(check, (*loc, at)) for at, check in enumerate(extra)]
    elif extra is not None:
        section.findings.add_problem("expected a list", loc)
    listed = sort_checks(found, extensions.pop("check_order", (None, ()))[0])
    draft.put(("checks",), [check for check, _ in listed], section.at("quality"))
    for at, (_, origin) in enumerate(listed):
        draft.set_origin(("checks", at), origin)


def _partitions(
    draft: Draft, properties: _Properties, extensions: Customs, findings: Findings
) -> None:
    names = [name for _, name in sorted(properties.partitioned, key=lambda one: one[0])]
    several = len(names) > 1
    entries = [{"name": name, "expr": name} if several else {"expr": name} for name in names]
    places = {
        column["name"]: one.at("partitioned")
        for column, one in zip(properties.columns, properties.sections, strict=True)
    }
    draft.put(("partition_by",), entries, draft.loc)
    for at, name in enumerate(names):
        draft.set_origin(("partition_by", at), places[name])
    own, loc = extensions.get("partition_by", (None, ()))
    if own is None:
        if names:
            shown = ", ".join(names)
            findings.note(
                draft.loc, f"each value of {shown} is a partition; add `grain` for time windows"
            )
        return
    if not isinstance(own, list):
        return  # reported when the spec is validated
    exprs = [entry.get("expr") for entry in own if isinstance(entry, dict)]
    bare = {expr for expr in exprs if isinstance(expr, str) and expr in places}
    if bare != set(names):
        findings.add_problem(
            f"loader.partition_by names {', '.join(sorted(bare)) or 'no column'}, but `partitioned`"
            f" marks {', '.join(names) or 'none'}",
            loc,
            "make both the same, or remove one",
        )
