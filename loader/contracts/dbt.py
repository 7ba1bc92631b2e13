"""Reads dbt's property files: the tables of ``models:`` and ``sources:``.

What a spec says beyond dbt stands in ``meta: {loader: {…}}`` of a table and of its columns, under
the spec's own keys, and goes before what the rest suggests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loader.contracts import columntypes
from loader.contracts.dbt_config import read_disposition, read_physical
from loader.contracts.dbt_tests import NOT_NULL, read_test
from loader.contracts.draft import UNKNOWN, Draft, folded, ordered, read_tags, to_infer
from loader.contracts.sections import Findings, Section
from loader.errors import Loc

OURS = "loader"
"""The key of ``meta`` that holds what dbt has no word for."""

PERIODS = {"minute": "m", "hour": "h", "day": "d"}

Entries = dict[str, tuple[Any, Loc]]


def read(findings: Findings, schema: str | None = None) -> list[Draft]:
    """The tables that a property file declares.

    Args:
        findings: The document, and where to tell of it.
        schema: The schema of models that do not tell theirs.
    """
    section = Section(findings.document.data, (), findings)
    version = section.take("version")
    if version not in (None, 2):
        message = f"version `{version}` of property files is not one that is read: 2 is"
        findings.wrong(message, ("version",))
        return []
    drafts = [_Table(model, schema).model() for model in section.sections("models")]
    for source in section.sections("sources"):
        drafts += _source(source, schema)
    findings.ask_for_schema("a model tells it as config: {schema: …}")
    if not drafts and not findings.problems:
        findings.wrong("no table is declared here", (), "models: or sources: declare tables")
    section.rest()
    return drafts


def _source(source: Section, fallback: str | None) -> Iterator[Draft]:
    findings = source.findings
    name = source.text("name")
    schema = source.text("schema") or name
    if _jinja(schema) and fallback is not None:
        schema = fallback
    shared = _Properties(source)
    tables = source.sections("tables")
    if not tables:
        findings.wrong(f"the source `{name}` has no tables", source.loc)
    for entry in tables:
        yield _Table(entry, schema).source(shared, source.at("schema"))
    for _, loc in shared.ours.values():
        findings.drop(loc)
    shared.config.rest()
    source.rest()


def _jinja(text: str | None) -> bool:
    return text is not None and ("{{" in text or "{%" in text)


class _Properties:
    """``config``, ``meta`` and ``tags``, which stand under ``config`` since dbt 1.10."""

    def __init__(self, section: Section) -> None:
        self.config = section.section("config")
        self.tags = [*self.config.words("tags"), *section.words("tags")]
        self.meta: Entries = {}
        self.ours: Entries = {}
        for one in (section, self.config):
            loc = one.at("meta")
            for key, value in one.section("meta").items():
                if key == OURS and isinstance(value, dict):
                    self.ours |= {k: (v, (*loc, key, k)) for k, v in value.items()}
                else:
                    self.meta[key] = (value, (*loc, key))
        self._section = section

    def either(self, key: str) -> tuple[Any, Loc]:
        """A property that stands under ``config``, or, as it used to, outside."""
        inner, outer = self.config.take(key), self._section.take(key)
        if inner is not None:
            return inner, self.config.at(key)
        return outer, self._section.at(key)


class _Table:
    """One model, or one table of a source."""

    def __init__(self, section: Section, schema: str | None) -> None:
        self._section = section
        self._findings = section.findings
        self._schema = schema
        self._draft = Draft(section.loc)
        self._properties = _Properties(section)
        self._checks: list[tuple[dict[str, Any], Loc]] = []
        self._constrained: list[dict[str, Any]] = []
        """Checks of constraints; a test that says one again adds nothing."""
        self._keys: list[tuple[str, Loc]] = []

    def model(self) -> Draft:
        """The table of a model."""
        config = self._properties.config
        schema, origin = config.text("schema"), config.at("schema")
        self._named("alias", config, schema, origin)
        self._constraints()
        self._common(())
        self._columns()
        read_physical(config, self._draft)
        self._disposition(config)
        return self._done()

    def source(self, shared: _Properties, origin: Loc) -> Draft:
        """The table of a source."""
        self._named("identifier", self._section, self._schema, origin)
        for key, entry in shared.meta.items():
            self._properties.meta.setdefault(key, entry)
        self._common(shared.tags)
        self._columns()
        self._freshness(shared)
        return self._done()

    def _named(self, key: str, place: Section, schema: str | None, origin: Loc) -> None:
        section, findings = self._section, self._findings
        name, other = section.text("name"), place.text(key)
        at = section.at("name") if other is None else place.at(key)
        if other is not None and name not in (None, other, f"{schema}_{other}"):
            findings.drop(section.at("name"))
        if (other or name) is None:
            findings.wrong("`name` is missing", section.loc)
        else:
            self._draft.put(("name",), folded(other or name or "", at, findings), at)
        if schema is None or (_jinja(schema) and self._schema is not None):
            schema = self._schema
        if "schema" in self._properties.ours:
            schema = UNKNOWN  # said better in a moment
        if schema is None:
            findings.tables_without_schema.append((name or "?", section.loc))
        elif _jinja(schema):
            findings.wrong(
                f"the schema is an expression of Jinja, `{schema}`, which only dbt can tell",
                origin,
                "name it with --schema NAME",
            )
        usable = schema is not None and not _jinja(schema)
        told = folded(schema, origin, findings) if schema is not None and usable else UNKNOWN
        self._draft.put(("schema",), told, origin)

    def _common(self, tags: Any) -> None:
        section, draft, properties = self._section, self._draft, self._properties
        description = section.text("description")
        if description is not None:
            draft.put(("description",), description, section.at("description"))
            if _jinja(description):
                told = "kept as it is written; only dbt renders Jinja"
                self._findings.note(section.at("description"), told)
        words = [*properties.tags, *tags]
        draft.put(("tags",), read_tags(words, self._findings), section.at("tags"))
        meta = {key: value for key, (value, _) in properties.meta.items()}
        draft.put(("meta",), meta, section.at("meta"))
        self._tests(section, None)

    def _tests(self, section: Section, column: str | None) -> bool:
        """Collect the checks of a table's or a column's tests; whether one says NOT NULL."""
        not_null = False
        for key in ("data_tests", "tests"):
            for item, loc in section.entries(key):
                check = read_test(section, item, loc, column)
                if check == NOT_NULL:
                    not_null = True
                elif isinstance(check, dict) and check not in self._constrained:
                    self._checks.append((check, loc))
        return not_null

    def _constraints(self) -> None:
        both = [*self._section.sections("constraints")]
        both += self._properties.config.sections("constraints")
        for constraint in both:
            kind = constraint.text("type")
            columns = [(name.lower(), loc) for name, loc in constraint.words("columns")]
            if kind == "primary_key" and columns:
                self._keys += columns
            elif kind == "unique" and columns:
                self._unique([name for name, _ in columns], constraint.loc)
            else:
                _drop_whole(constraint)
            constraint.rest()

    def _unique(self, names: list[str], loc: Loc) -> None:
        over = {"column": names[0]} if len(names) == 1 else {"columns": names}
        check = {"metric": "duplicate_values", **over, "must_be": 0}
        if check not in [known for known, _ in self._checks]:
            self._checks.append((check, loc))
            self._constrained.append(check)

    def _columns(self) -> None:
        section, draft = self._section, self._draft
        draft.put(("columns",), [], section.at("columns"))
        untyped = []
        for at, column in enumerate(section.sections("columns")):
            self._column(column, at)
            if "data_type" not in column:
                untyped.append(str(draft.data["columns"][at].get("name", f"columns[{at}]")))
        table = draft.data.get("name", "?")
        live = f"{to_infer(draft)} drafts the spec from the table itself"
        if untyped:
            has = "the column has" if len(untyped) == 1 else "these columns have"
            listed = ", ".join(f"`{name}`" for name in untyped)
            self._findings.wrong(f"{has} no data_type: {listed}", section.at("columns"), live)
        elif not draft.data["columns"]:
            self._findings.wrong(f"`{table}` has no columns", section.loc, live)

    def _column(self, section: Section, at: int) -> None:
        findings, draft, loc = self._findings, self._draft, ("columns", at)
        draft.data["columns"].append({})
        draft.came(loc, section.loc)
        given = section.text("name")
        if given is None:
            findings.wrong("`name` is missing", section.loc)
        name = folded(given or f"unnamed_{at}", section.at("name"), findings)
        draft.put((*loc, "name"), name, section.at("name"))
        self._type(section, loc)
        description = section.text("description")
        if description is not None:
            draft.put((*loc, "description"), description, section.at("description"))
        properties = _Properties(section)
        not_null = self._column_constraints(section, properties, name)
        if self._tests(section, name) or not_null:
            draft.put((*loc, "nullable"), False, section.loc)
        draft.override(loc, properties.ours)
        for _, place in properties.meta.values():
            findings.drop(place)
        for _, place in properties.tags:
            findings.drop(place)
        properties.config.rest()
        section.rest(quote=False)

    def _type(self, section: Section, loc: Loc) -> None:
        text = section.text("data_type")
        data_type, origin = "varchar(256)", section.at("data_type")
        if text is not None:
            try:
                chosen = columntypes.physical(text)
            except ValueError as error:
                self._findings.wrong(str(error), origin)
            else:
                data_type = chosen.data_type
                if chosen.note:
                    self._findings.note(origin, chosen.note)
        self._draft.put((*loc, "data_type"), data_type, origin)

    def _column_constraints(self, section: Section, properties: _Properties, name: str) -> bool:
        not_null = False
        for constraint in [
            *section.sections("constraints"),
            *properties.config.sections("constraints"),
        ]:
            match constraint.text("type"):
                case "not_null":
                    not_null = True
                case "primary_key":
                    self._keys.append((name, constraint.loc))
                case "unique":
                    self._unique([name], constraint.loc)
                case _:
                    _drop_whole(constraint)
            constraint.rest()
        return not_null

    def _disposition(self, config: Section) -> None:
        overridden = "write_disposition" in self._properties.ours
        unique = read_disposition(config, self._draft, overridden=overridden)
        if not self._keys:
            self._keys = unique
        elif unique and [n for n, _ in self._keys] != [n for n, _ in unique] and not overridden:
            self._findings.drop(config.at("unique_key"))

    def _freshness(self, shared: _Properties) -> None:
        value, loc = self._properties.either("freshness")
        if value is None:
            value, loc = shared.either("freshness")
        else:
            shared.either("freshness")
        freshness = Section(value, loc, self._findings)
        found = {}
        for key, word in (("error_after", "fail"), ("warn_after", "warn")):
            after = freshness.section(key)
            count, period = after.whole("count"), after.text("period")
            if count is not None and period in PERIODS:
                found[word] = f"{count}{PERIODS[period]}"
            elif count is not None or period is not None:
                self._findings.wrong("needs count, and period: minute, hour or day", after.loc)
            after.rest()
        freshness.rest()
        if "fail" in found:
            self._draft.put(("dagster",), {"freshness": found}, loc)
        elif found:
            self._findings.drop((*loc, "warn_after"))

    def _done(self) -> Draft:
        draft, ours = self._draft, self._properties.ours
        draft.put(("primary_key",), [name for name, _ in self._keys], draft.loc)
        for at, (_, loc) in enumerate(self._keys):
            draft.came(("primary_key", at), loc)
        extra, loc = ours.pop("checks", (None, ()))
        if isinstance(extra, list):
            own = [(check, (*loc, at)) for at, check in enumerate(extra)]
            self._checks = [*own, *self._checks]
        elif extra is not None:
            self._findings.wrong("expected a list", loc)
        listed = ordered(self._checks, ours.pop("check_order", (None, ()))[0])
        draft.put(("checks",), [check for check, _ in listed], self._section.at("data_tests"))
        for at, (_, origin) in enumerate(listed):
            draft.came(("checks", at), origin)
        draft.override((), ours)
        self._properties.config.rest(enabled=True)
        self._section.rest()
        return draft


def _drop_whole(section: Section) -> None:
    for _ in section.items():
        pass  # asked for, so that it is told once and not key by key
    section.findings.drop(section.loc)


def of_ours(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a spec's ``meta`` that dbt's can hold beside ours."""
    return {key: value for key, value in meta.items() if key != OURS}
