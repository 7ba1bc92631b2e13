"""Reads dbt property files: the tables of ``models:`` and ``sources:``.

Spec keys that dbt does not have are read from ``meta: {loader: {…}}`` of a table or column; they
take precedence over the rest of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loader.contracts import columntypes
from loader.contracts.dbt_config import read_disposition, read_physical
from loader.contracts.dbt_references import References
from loader.contracts.dbt_tests import NOT_NULL, read_test
from loader.contracts.draft import UNKNOWN, Draft, fold_name, infer_command, read_tags, sort_checks
from loader.contracts.sections import Findings, Section
from loader.errors import Loc

LOADER_KEY = "loader"
"""The key of ``meta`` that holds spec keys that dbt does not have."""

PERIODS = {"minute": "m", "hour": "h", "day": "d"}

Entries = dict[str, tuple[Any, Loc]]


def read(findings: Findings, schema: str | None = None) -> list[Draft]:
    """Read the tables that a property file declares.

    Args:
        findings: The document; receives its problems and notes.
        schema: The schema of models that do not name theirs.
    """
    section = Section(findings.document.data, (), findings)
    version = section.take("version")
    if version not in (None, 2):
        message = f"version `{version}` of property files is not supported; expected 2"
        findings.add_problem(message, ("version",))
        return []
    references = References(findings)
    drafts = [_Table(model, schema, references).model() for model in section.sections("models")]
    for source in section.sections("sources"):
        drafts += _source(source, schema, references)
    findings.report_missing_schemas("a model names it in `config: {schema: …}`")
    if not drafts and not findings.problems:
        findings.add_problem("the file declares no tables", (), "add `models:` or `sources:`")
    section.drop_unread()
    return drafts


def _source(source: Section, fallback: str | None, references: References) -> Iterator[Draft]:
    findings = source.findings
    name = source.text("name")
    schema = source.text("schema") or name
    if _is_jinja(schema) and fallback is not None:
        schema = fallback
    shared = _Properties(source)
    tables = source.sections("tables")
    if not tables:
        findings.add_problem(f"the source `{name}` has no tables", source.loc)
    for entry in tables:
        yield _Table(entry, schema, references).source(shared, source.at("schema"))
    for _, loc in shared.extensions.values():
        findings.drop(loc)
    shared.config.drop_unread()
    source.drop_unread()


def _is_jinja(text: str | None) -> bool:
    return text is not None and ("{{" in text or "{%" in text)


class _Properties:
    """``config``, ``meta`` and ``tags``; the latter two are under ``config`` since dbt 1.10."""

    def __init__(self, section: Section) -> None:
        self.config = section.section("config")
        self.tags = [*self.config.words("tags"), *section.words("tags")]
        self.meta: Entries = {}
        self.extensions: Entries = {}
        for one in (section, self.config):
            loc = one.at("meta")
            for key, value in one.section("meta").items():
                if key == LOADER_KEY and isinstance(value, dict):
                    self.extensions |= {k: (v, (*loc, key, k)) for k, v in value.items()}
                else:
                    self.meta[key] = (value, (*loc, key))
        self._section = section

    def config_or_outer(self, key: str) -> tuple[Any, Loc]:
        """A property under ``config``, or outside it as before dbt 1.10; with its location."""
        inner, outer = self.config.take(key), self._section.take(key)
        if inner is not None:
            return inner, self.config.at(key)
        return outer, self._section.at(key)


class _Table:
    """One model, or one table of a source."""

    def __init__(self, section: Section, schema: str | None, references: References) -> None:
        self._section = section
        self._references = references
        self._findings = section.findings
        self._schema = schema
        self._draft = Draft(section.loc)
        self._properties = _Properties(section)
        self._checks: list[tuple[dict[str, Any], Loc]] = []
        self._constrained: list[dict[str, Any]] = []
        """Checks from constraints; tests that repeat them are ignored."""
        self._keys: list[tuple[str, Loc]] = []

    def model(self) -> Draft:
        """Read the table of a model."""
        config = self._properties.config
        schema, origin = config.text("schema"), config.at("schema")
        self._put_name("alias", config, schema, origin)
        self._constraints()
        self._common(())
        self._columns()
        read_physical(config, self._draft)
        self._disposition(config)
        return self._finish()

    def source(self, shared: _Properties, origin: Loc) -> Draft:
        """Read the table of a source."""
        self._put_name("identifier", self._section, self._schema, origin)
        for key, entry in shared.meta.items():
            self._properties.meta.setdefault(key, entry)
        self._common(shared.tags)
        self._columns()
        self._freshness(shared)
        return self._finish()

    def _put_name(self, key: str, place: Section, schema: str | None, origin: Loc) -> None:
        section, findings = self._section, self._findings
        name, other = section.text("name"), place.text(key)
        at = section.at("name") if other is None else place.at(key)
        if other is not None and name not in (None, other, f"{schema}_{other}"):
            findings.drop(section.at("name"))
        if (other or name) is None:
            section.report_missing("name")
        self._draft.put(("name",), fold_name(other or name or UNKNOWN, at, findings), at)
        if schema is None or (_is_jinja(schema) and self._schema is not None):
            schema = self._schema
        if "schema" in self._properties.extensions:
            schema = UNKNOWN  # the extension overrides it later
        if schema is None:
            findings.tables_without_schema.append((name or "?", section.loc))
        elif _is_jinja(schema):
            findings.add_problem(
                f"the schema is a Jinja expression, which only dbt can render: `{schema}`",
                origin,
                "name it with --schema NAME",
            )
        usable = schema is not None and not _is_jinja(schema)
        shown = fold_name(schema, origin, findings) if schema is not None and usable else UNKNOWN
        self._draft.put(("schema",), shown, origin)

    def _common(self, tags: Any) -> None:
        section, draft, properties = self._section, self._draft, self._properties
        description = section.text("description")
        if description is not None:
            draft.put(("description",), description, section.at("description"))
            if _is_jinja(description):
                text = "kept unchanged; only dbt renders Jinja"
                self._findings.note(section.at("description"), text)
        words = [*properties.tags, *tags]
        draft.put(("tags",), read_tags(words, self._findings), section.at("tags"))
        meta = {key: value for key, (value, _) in properties.meta.items()}
        draft.put(("meta",), meta, section.at("meta"))
        self._tests(section, None)

    def _tests(self, section: Section, column: str | None) -> bool:
        """Collect the checks of a table's or column's tests; True when one means NOT NULL."""
        not_null = False
        for key in ("data_tests", "tests"):
            for item, loc in section.entries(key):
                check = read_test(section, item, loc, column, self._references.resolve)
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
                _drop_section(constraint)
            constraint.drop_unread()

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
        live = f"{infer_command(draft)} drafts the spec from the existing table"
        if untyped:
            has = "the column has" if len(untyped) == 1 else "these columns have"
            listed = ", ".join(f"`{name}`" for name in untyped)
            self._findings.add_problem(f"{has} no data_type: {listed}", section.at("columns"), live)
        elif not draft.data["columns"]:
            self._findings.add_problem(f"`{table}` has no columns", section.loc, live)

    def _column(self, section: Section, at: int) -> None:
        findings, draft, loc = self._findings, self._draft, ("columns", at)
        draft.data["columns"].append({})
        draft.set_origin(loc, section.loc)
        given = section.text("name")
        if given is None:
            section.report_missing("name")
        name = fold_name(given or f"unnamed_{at}", section.at("name"), findings)
        draft.put((*loc, "name"), name, section.at("name"))
        self._type(section, loc)
        description = section.text("description")
        if description is not None:
            draft.put((*loc, "description"), description, section.at("description"))
        properties = _Properties(section)
        not_null = self._column_constraints(section, properties, name)
        if self._tests(section, name) or not_null:
            draft.put((*loc, "nullable"), False, section.loc)
        draft.override(loc, properties.extensions)
        for _, place in properties.meta.values():
            findings.drop(place)
        for _, place in properties.tags:
            findings.drop(place)
        properties.config.drop_unread()
        section.drop_unread(quote=False)

    def _type(self, section: Section, loc: Loc) -> None:
        text = section.text("data_type")
        data_type, origin = "varchar(256)", section.at("data_type")
        if text is not None:
            try:
                chosen = columntypes.from_physical(text)
            except ValueError as error:
                self._findings.add_problem(str(error), origin)
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
                    _drop_section(constraint)
            constraint.drop_unread()
        return not_null

    def _disposition(self, config: Section) -> None:
        overridden = "write_disposition" in self._properties.extensions
        unique = read_disposition(config, self._draft, overridden=overridden)
        if not self._keys:
            self._keys = unique
        elif unique and [n for n, _ in self._keys] != [n for n, _ in unique] and not overridden:
            self._findings.drop(config.at("unique_key"))

    def _freshness(self, shared: _Properties) -> None:
        value, loc = self._properties.config_or_outer("freshness")
        if value is None:
            value, loc = shared.config_or_outer("freshness")
        else:
            shared.config_or_outer("freshness")
        freshness = Section(value, loc, self._findings)
        found = {}
        for key, word in (("error_after", "fail"), ("warn_after", "warn")):
            after = freshness.section(key)
            count, period = after.integer("count"), after.text("period")
            if count is not None and period in PERIODS:
                found[word] = f"{count}{PERIODS[period]}"
            elif count is not None or period is not None:
                self._findings.add_problem(
                    "expected count, and period: minute, hour or day", after.loc
                )
            after.drop_unread()
        freshness.drop_unread()
        if "fail" in found:
            self._draft.put(("dagster",), {"freshness": found}, loc)
        elif found:
            self._findings.drop((*loc, "warn_after"))

    def _finish(self) -> Draft:
        draft, extensions = self._draft, self._properties.extensions
        draft.put(("primary_key",), [name for name, _ in self._keys], draft.loc)
        for at, (_, loc) in enumerate(self._keys):
            draft.set_origin(("primary_key", at), loc)
        extra, loc = extensions.pop("checks", (None, ()))
        if isinstance(extra, list):
            own = [(check, (*loc, at)) for at, check in enumerate(extra)]
            self._checks = [*own, *self._checks]
        elif extra is not None:
            self._findings.add_problem("expected a list", loc)
        listed = sort_checks(self._checks, extensions.pop("check_order", (None, ()))[0])
        draft.put(("checks",), [check for check, _ in listed], self._section.at("data_tests"))
        for at, (_, origin) in enumerate(listed):
            draft.set_origin(("checks", at), origin)
        draft.override((), extensions)
        self._properties.config.drop_unread(enabled=True)
        self._section.drop_unread()
        return draft


def _drop_section(section: Section) -> None:
    for _ in section.items():
        pass  # mark all keys as read, so that the section is reported once
    section.findings.drop(section.loc)


def without_loader_key(meta: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's ``meta`` without the key that is reserved for Loader."""
    return {key: value for key, value in meta.items() if key != LOADER_KEY}
