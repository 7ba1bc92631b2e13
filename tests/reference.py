"""What `specs/README.md` and `templates/README.md` say of the code, made from the code.

A part of a page between ``<!-- generated: NAME -->`` and ``<!-- end -->`` is the text that the
function of that name gives.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_args

import jinja2.meta
import pytest
import yaml
from jinja2 import nodes

from loader.docs.language import Section, sections
from loader.errors import PlanError
from loader.plan import figures
from loader.plan.expectations import BadValue, CheckHolds
from loader.plan.live_table import LiveTable
from loader.plan.load_plan import plan_checks, plan_load
from loader.plan.partition_rows import Bucket
from loader.plan.read_plan import plan_counts
from loader.plan.table_changes import plan_change
from loader.plan.text_files import TextFiles
from loader.spec import partitions, periods
from loader.spec.checks import Check, Reference
from loader.spec.diagnostics import diagnose
from loader.spec.fields import TemplateName
from loader.spec.json_schema import json_schema
from loader.spec.model import Column, TableSpec
from loader.sql import datatypes, sandbox, time_formats
from loader.sql import renderer as sql_renderer
from loader.sql.datatypes import DataType
from loader.sql.dialects.redshift import ENCODINGS, NOT_IN_JSON, NOT_IN_PARQUET
from loader.sql.renderer import Rendered, Renderer, Sql, Table, Unknown
from loader.sql.sandbox import Sandbox
from loader.sql.templates import read_templates
from loader.warehouse.registry import BUILT_IN, get_adapter
from tests.plan.drifted import live_of
from tests.plan.test_drift import CHANGES
from tests.plan.test_plan import TARGETS, make_plan, make_spec, renderer
from tests.sql.test_templates import PARTS, rendered

ROOT = Path(__file__).parents[1]
SPECS = ROOT / "specs" / "README.md"
TEMPLATES = ROOT / "templates" / "README.md"

MARKER = re.compile(r"<!-- generated: ([^>]+?) -->\n(.*?)<!-- end -->\n", re.DOTALL)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def with_generated(page: str) -> str:
    """The page with everything between its markers rebuilt."""
    return MARKER.sub(lambda found: _part(found[1], found[2]), page)


def _part(name: str, there: str) -> str:
    word, _, rest = name.partition(" ")
    return f"<!-- generated: {name} -->\n{GENERATED[word](rest, there)}<!-- end -->\n"


def blocks(page: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    return [text for language, text in BLOCK.findall(page) if language in languages]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


# --- the spec language


@cache
def language() -> dict[str, Section]:
    """The sections of the spec language by their path."""
    return {section.path: section for section in sections(json_schema())}


def _keys(path: str, _: str) -> str:
    rows = []
    for key in language()["" if path == "spec" else path].keys:
        default = f"`{key.default}`" if key.default else "required" if key.required else "-"
        links = [path.removesuffix("[]") for path in key.sections if "." not in path]
        more = "".join(f" ([{name}](#{name}))" for name in links if path == "spec")
        rows.append((f"`{key.name}`", _marked(key.kind) + more, default, _marked(key.description)))
    return table(("Key", "Takes", "Default", "Meaning"), rows)


def _marked(text: object) -> str:
    return html.unescape(re.sub(r"</?code>", "`", str(text)))


def _types(_: str, __: str) -> str:
    rows = []
    aliases: dict[str, list[str]] = {name: [] for name in datatypes.NAMES}
    for alias, name in datatypes._ALIASES.items():
        if alias != name:
            aliases[name].append(alias)
    for name in datatypes.NAMES:
        parsed = datatypes.parse(name)
        kinds = [_spelled(parsed, get_adapter(dialect).dialect.column_type) for dialect in BUILT_IN]
        carried = [
            format_
            for format_, missing in {
                "parquet": NOT_IN_PARQUET,
                "csv": {},
                "json": NOT_IN_JSON,
            }.items()
            if name not in missing
        ]
        parameters = {"decimal": "(p,s)"}.get(name, "(n)" if parsed.params else "")
        default = f"`{parsed}`" if parsed.params else "-"
        rows.append(
            (f"`{name}{parameters}`", *kinds, default, ", ".join(carried), _code(aliases[name]))
        )
    head = ("In the spec", "On DuckDB", "On Redshift", "Without parameters", "Staged as", "Also")
    return table(head, rows)


def _spelled(data_type: DataType, spell: Callable[[DataType], str]) -> str:
    text = spell(data_type)
    if data_type.name == "decimal":
        return f"`{text.split('(')[0]}(p,s)`"
    return "`" + re.sub(r"\(\d+\)", "(n)", text) + "`"


def _encodings(_: str, __: str) -> str:
    rows = []
    for encoding, kinds in ENCODINGS.items():
        named = "every type" if kinds is None else _code(k for k in datatypes.NAMES if k in kinds)
        rows.append((f"`{encoding}`", named))
    return table(("`encode`", "Types"), rows)


def _directives(_: str, __: str) -> str:
    rows = [(f"`%{letter}`", what) for letter, what in time_formats.ALLOWED.items()]
    return table(("Directive", "Reads"), rows)


def _refused_directives(_: str, __: str) -> str:
    rows = [(f"`%{letter}`", why, what) for letter, (why, what) in time_formats.REFUSED.items()]
    return table(("Refused", "Because", "Instead"), rows)


def example() -> dict[str, Any]:
    """The complete spec that the page begins with, into which its parts are put."""
    found: dict[str, Any] = yaml.safe_load(blocks(SPECS.read_text("utf-8"), "yaml")[0])
    return found


def spec_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """A whole spec: the part itself, or the example with what the part says in its place."""
    if {"schema", "name"} <= part.keys():
        return dict(part)
    whole = {**example(), **part}
    if "columns" in part:
        own = {column["name"]: column for column in example()["columns"]}
        own |= {column["name"]: column for column in part["columns"]}
        whole["columns"] = list(own.values())
    return whole


def judged(part: Mapping[str, Any]) -> TableSpec:
    """The spec of a block, which must be right."""
    spec, problems = diagnose(spec_of(part))
    assert spec is not None, [problem.message for problem in problems]
    assert not problems, [problem.message for problem in problems]
    return spec


def _ddl(dialect: str, there: str) -> str:
    """CREATE TABLE of the block that is marked as the layout's."""
    page = SPECS.read_text("utf-8")
    (layout,) = (text for text in blocks(page, "yaml") if "# layout" in text)
    plan = plan_load(judged(yaml.safe_load(layout)), renderer(dialect), TARGETS[dialect])
    wanted = ("create_sequence", "create_table", "grant_usage", "grant", "comment_column")
    found = [s.sql for s in plan.statements if Path(s.template).name.split(".")[0] in wanted]
    return "```sql\n" + ";\n".join(found) + ";\n```\n"


def _checks(_: str, __: str) -> str:
    """What each check of the page's list runs, which is the same in all dialects."""
    made = [_check_scripts("# each metric", dialect) for dialect in BUILT_IN]
    assert len(set(made)) == 1
    return f"```sql\n{made[0]}```\n"


def _dialect_checks(_: str, __: str) -> str:
    """What the checks run that differ between dialects."""
    made = {dialect: _check_scripts("# each dialect", dialect) for dialect in BUILT_IN}
    parts = [f"-- on {get_adapter(d).dialect.title}\n{text}" for d, text in made.items()]
    return "```sql\n" + "\n".join(parts) + "```\n"


def _check_scripts(mark: str, dialect: str) -> str:
    (listed,) = (t for t in blocks(SPECS.read_text("utf-8"), "yaml") if mark in t)
    statements = plan_checks(
        judged(yaml.safe_load(listed)), renderer(dialect), TARGETS[dialect], None
    )
    parts = [
        f"-- {one.expects.check.label}: {one.why}\n{one.sql};\n"
        for one in statements
        if isinstance(one.expects, CheckHolds)
    ]
    return "\n".join(parts)


# --- templates


@dataclasses.dataclass
class Seen:
    """What a template was given by the code that renders it."""

    uses: set[str] = dataclasses.field(default_factory=set)
    """load, apply or look: a statement of a load, of a change of a table, or a question."""
    always: set[str] = dataclasses.field(default_factory=set)
    """The variables that it was given each time."""


@dataclasses.dataclass
class Recording:
    """What all templates were given, and what the variables held."""

    templates: dict[str, Seen] = dataclasses.field(default_factory=dict)
    types: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    keys: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    """Of variables that are mappings."""


@cache
def recording() -> Recording:
    """What templates are given in all plans, changes and questions that the tests have."""
    found = Recording()
    real = Renderer.render

    def record(
        self: Renderer, name: str, facts: Mapping[str, object], file: str | None = None
    ) -> Rendered:
        seen = found.templates.setdefault(name, Seen())
        seen.always = seen.always & facts.keys() if seen.uses else set(facts)
        seen.uses.add(_use(name, facts))
        for fact, value in facts.items():
            kind = _kind(value)
            if kind:
                found.types.setdefault(fact, set()).add(kind)
            if isinstance(value, Mapping) and fact == "load":
                found.keys.setdefault(fact, set()).update(value)
        return real(self, name, facts, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Renderer, "render", record)
        for dialect in BUILT_IN:
            deque(rendered(dialect), maxlen=0)
            plan_counts(make_spec(), renderer(dialect), [None])
            plan_change(make_spec(), renderer(dialect), TARGETS[dialect], "no schema")
            for before, after in CHANGES.values():
                additive = {**after, "schema_contract": {"evolve": "additive"}}
                with suppress(PlanError):  # other changes are no load's
                    make_plan(make_spec(**additive), dialect, live=_live(before, dialect))
    return found


def _live(fields: Mapping[str, Any], dialect: str) -> LiveTable:
    return live_of(make_spec(**fields), dialect)


def _use(name: str, facts: Mapping[str, object]) -> str:
    if "disposition" in facts or name.startswith("ledger_add"):
        return "load"
    return "apply" if "spec_hash" in facts else "look"


def _kind(value: object) -> str | None:
    """What a variable holds, in the words of the page; None for what tells nothing."""
    match value:
        case Unknown():
            return None
        case None:
            return "none"
        case bool():
            return "true or false"
        case Sql():
            return "SQL"
        case str():
            return "text"
        case int():
            return "number"
        case list() | tuple():
            inner = [_kind(one) or "" for one in value]
            if isinstance(value, tuple) and len(set(inner)) > 1:
                return f"({', '.join(inner)})"
            return f"list of {inner[0]}" if inner else None
        case Mapping():
            return "mapping"
    return f"`{type(value).__name__}`"


@cache
def facts_of_tables() -> frozenset[str]:
    """The variables of every statement about a table."""
    return frozenset(recording().templates["drop_table"].always)


@cache
def facts_of_loads() -> frozenset[str]:
    """The variables of every statement of a load."""
    return frozenset(recording().templates["delete_all"].always)


@cache
def folders() -> dict[str, list[str]]:
    """The templates by name, each with the folders that have it, the one for all first."""
    found: dict[str, list[str]] = {}
    for path in read_templates():
        folder, _, file = path.partition("/")
        found.setdefault(file.removesuffix(".sql.j2"), []).append(folder)
    return dict(sorted(found.items()))


@cache
def _trees(name: str) -> tuple[nodes.Template, ...]:
    environment = renderer("duckdb")._environment
    sources = [read_templates()[f"{folder}/{name}.sql.j2"].source for folder in folders()[name]]
    return tuple(environment.parse(source) for source in sources)


@cache
def included(name: str) -> frozenset[str]:
    """The templates that a template includes."""
    names = {
        one.template.value.removesuffix(".sql.j2")
        for tree in _trees(name)
        for one in tree.find_all(nodes.Include)
        if isinstance(one.template, nodes.Const)
    }
    return frozenset(names)


@cache
def used(name: str) -> frozenset[str]:
    """The variables that a template reads, and those it includes, beside what it sets itself."""
    own: set[str] = set()
    for tree in _trees(name):
        own |= jinja2.meta.find_undeclared_variables(tree)
    inner = set().union(*(used(one) for one in included(name)))
    names = {n.name for t in _trees(name) for n in t.find_all(nodes.Name) if n.ctx != "load"}
    set_here = {
        node.target.name
        for tree in _trees(name)
        for node in tree.find_all(nodes.Assign)
        if isinstance(node.target, nodes.Name)
    }
    return frozenset((own - set_here | inner - names) - {"newline", "loop", "exact"})


def given(name: str) -> tuple[str, tuple[str, ...]]:
    """Whether a template gets the variables of loads or tables, and which ones beside them."""
    seen = recording().templates.get(name, Seen())
    if name in PARTS or (seen.uses <= {"look"} and name not in get_args(TemplateName)):
        return "", tuple(sorted(used(name)))
    if "look" in seen.uses:
        return "", tuple(sorted(seen.always))
    common = facts_of_loads() if seen.uses == {"load"} else facts_of_tables()
    if not common <= seen.always:
        return "", tuple(sorted(used(name)))
    word = "load" if common == facts_of_loads() else "table"
    return word, tuple(sorted(seen.always - common))


def purpose(name: str) -> str:
    """The comment that a template begins with."""
    source = read_templates()[f"{folders()[name][0]}/{name}.sql.j2"].source
    found = re.match(r"\{#-?(.*?)-?#\}", source, re.DOTALL)
    assert found, f"templates/{folders()[name][0]}/{name}.sql.j2 begins with no comment"
    return found[1].strip()


def _listed(which: str, _: str) -> str:
    """Some of the templates: those that specs name, other statements, or parts."""
    named = get_args(TemplateName)
    chosen = {
        "named": list(named),
        "others": [name for name in folders() if name not in named and name not in PARTS],
        "parts": [name for name in folders() if name in PARTS],
    }[which]
    rows = []
    for name in chosen:
        if which == "parts":
            runs = _code(sorted(one for one in folders() if name in included(one)))
            has = _code(sorted(used(name)))
        else:
            runs = ", ".join(sorted(recording().templates[name].uses))
            word, own = given(name)
            has = ", ".join(filter(None, [f"*{word}*" if word else "", _code(own)]))
        rows.append((f"`{name}`", ", ".join(folders()[name]), runs, has or "-", purpose(name)))
    third = "Included by" if which == "parts" else "Runs in"
    return table(("Template", "Folders", third, "Variables", "What it is"), rows)


def _variables(_: str, there: str) -> str:
    """Every variable with what it holds; what it means is kept as it is written."""
    meanings = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+?) \|$", there, re.MULTILINE))
    names: dict[str, str] = dict.fromkeys(sorted(facts_of_tables()), "*table*, *load*")
    names |= dict.fromkeys(sorted(facts_of_loads() - facts_of_tables()), "*load*")
    own: dict[str, list[str]] = {}
    for name in folders():
        if name not in PARTS:
            for variable in given(name)[1]:
                own.setdefault(variable, []).append(name)
    for variable, where in sorted(own.items()):
        if variable in names and names[variable] == "*load*":
            names[variable] = f"*load*, {_code(where)}"
        elif variable not in names:
            names[variable] = _code(where)
    rows = [
        (f"`{name}`", _kinds(name), places, meanings.get(name, "?"))
        for name, places in names.items()
    ]
    return table(("Variable", "Holds", "In", "Meaning"), rows)


def _kinds(name: str) -> str:
    kinds = sorted(recording().types.get(name, ()), key=lambda kind: (kind == "none", kind))
    return ", or ".join(kinds) or "?"


OBJECTS = {
    "Table": Table,
    "TableSpec": TableSpec,
    "Column": Column,
    "DataType": DataType,
    "Check": Check,
    "Reference": Reference,
    "Bucket": Bucket,
    "Figure": figures.Figure,
    "BadValue": BadValue,
    "TextFiles": TextFiles,
    "Slice": partitions.Slice,
    "Box": partitions.Box,
    "Part": partitions.Part,
    "Dimension": periods.Dimension,
    "Window": periods.Window,
}
"""What variables hold that has attributes."""


def _objects(_: str, __: str) -> str:
    rows = [(f"`{name}`", _code(_attributes(kind))) for name, kind in OBJECTS.items()]
    rows.append(("`load`, a mapping", _code(sorted(recording().keys["load"]))))
    return table(("Object", "Attributes"), rows)


def _attributes(kind: type) -> Iterator[str]:
    if dataclasses.is_dataclass(kind):
        yield from (field.name for field in dataclasses.fields(kind))
    else:
        yield from kind.model_fields  # type: ignore[attr-defined]  # the others are models
    for name, value in vars(kind).items():
        if isinstance(value, property | cached_property) and name[0] != "_":
            yield name


# --- the sandbox


def _filters(which: str, there: str) -> str:
    """Loader's own filters with the meanings that are written there, or Jinja's."""
    everything = renderer("duckdb")._environment.filters
    plain = Sandbox().filters
    if which == "jinja":
        return _code(sorted(name for name in plain if name[0] != "_")) + "\n"
    meanings = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", there, re.MULTILINE))
    own = [name for name in everything if name not in plain]
    rows = []
    for name in own:
        takes, _, means = meanings.get(name, "? | ?").partition(" | ")
        rows.append((f"`{name}`", takes, means))
    return table(("Filter", "Takes", "Gives"), rows)


def _methods(_: str, __: str) -> str:
    rows = []
    words = {"str": "text", "dict": "mapping", "LoopContext": "`loop`", "Cycler": "`cycler()`"}
    for kind, names in sandbox._METHODS:
        rows.append((words.get(kind.__name__, kind.__name__), _code(sorted(names))))
    own = renderer("duckdb")._environment.globals
    rows.append(("everywhere", _code(sorted(own))))
    return table(("On", "What may be called or read"), rows)


def _limits(_: str, __: str) -> str:
    rows = [
        ("rounds of loops, calls and includes", f"{sandbox.STEPS:,}"),
        ("characters of text", f"{sandbox.CHARACTERS:,}"),
        ("seconds of work", f"{sandbox.SECONDS:g}"),
        ("bits of a whole number", f"{sandbox._BITS:,}"),
        ("digits that `round` takes", f"{sandbox._DIGITS}"),
        ("lists in lists", f"{sandbox._NESTED}"),
        ("characters of an expression (`expr`)", f"{sql_renderer._LONGEST:,}"),
    ]
    return table(("Of one statement", "At most"), rows)


def _commits(dialect: str, _: str) -> str:
    found = get_adapter(dialect).dialect.commits
    rows = [(f"`{_readable(pattern)}`", why) for pattern, why in found.items()]
    return table(("Statement", "Refused, because"), rows)


def _readable(pattern: str) -> str:
    return re.sub(r"\s+", " ", pattern.replace(r"\b", "").replace(".*", " … ")).replace("?", "?")


def _needed(_: str, __: str) -> str:
    """The templates that each dialect has to bring itself, and those that only some have."""
    own = {name for name, places in folders().items() if "ansi" not in places}
    all_have = {n for n in own if set(BUILT_IN) <= set(folders()[n])}
    lines = [("every dialect", _code(sorted(all_have)))]
    for dialect in BUILT_IN:
        only = sorted(n for n in own - all_have if dialect in folders()[n])
        lines.append((f"only {dialect}", _code(only)))
        over = sorted(n for n, p in folders().items() if "ansi" in p and dialect in p)
        lines.append((f"{dialect}, in place of `ansi`", _code(over)))
    return table(("Who has it", "Templates"), lines)


GENERATED: Mapping[str, Callable[[str, str], str]] = {
    "keys": _keys,
    "types": _types,
    "encodings": _encodings,
    "directives": _directives,
    "refused": _refused_directives,
    "ddl": _ddl,
    "checks": _checks,
    "dialect_checks": _dialect_checks,
    "templates": _listed,
    "variables": _variables,
    "objects": _objects,
    "filters": _filters,
    "methods": _methods,
    "limits": _limits,
    "commits": _commits,
    "needed": _needed,
}
