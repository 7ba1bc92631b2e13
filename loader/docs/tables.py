"""The content of a table's page, as plain data."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from loader.docs import lineage
from loader.docs.highlight import sql_markup, yaml_markup
from loader.docs.live import LivePage
from loader.docs.names import slug
from loader.docs.words import Fact, describe_spec
from loader.errors import ConfigError
from loader.plan.load_plan import plan_load
from loader.plan.model import LoadRequest, Statement
from loader.project import Project
from loader.spec.catalog import Entry
from loader.spec.model import Column, TableSpec
from loader.sql.renderer import Renderer
from loader.version import version
from loader.warehouse.registry import BUILT_IN, get_adapter

WAREHOUSES = tuple(reversed(BUILT_IN))
"""The warehouses on the pages, Redshift first: specs use its types."""


@dataclass(frozen=True)
class ColumnRow:
    """One line of the columns table."""

    name: str
    anchor: str
    types: tuple[str, ...]
    """Its type on each of `WAREHOUSES`."""
    nullable: bool
    roles: tuple[str, ...]
    """Any of ``key``, ``partition``, ``dist`` and ``sort``."""
    classification: str
    encode: str
    details: tuple[tuple[str, str], ...]
    """Where its values come from, default and identity, if declared."""
    description: str


@dataclass(frozen=True)
class Line:
    """One statement of a script."""

    number: int | None
    """Its place in the transaction; None outside of it."""
    name: str
    why: str
    when: str | None
    own_template: str | None
    """The project's own template that it comes from; None for Loader's templates."""
    sql: Markup


@dataclass(frozen=True)
class Group:
    """A named group of routine statements, or a run of other statements (`routine` is None)."""

    routine: str | None
    lines: tuple[Line, ...]

    @property
    def numbers(self) -> str:
        """The first and the last statement number."""
        first, last = self.lines[0].number, self.lines[-1].number
        return str(first) if first == last else f"{first}-{last}"


@dataclass(frozen=True)
class Script:
    """The SQL of a load, in one dialect."""

    dialect: str
    title: str
    before: tuple[Line, ...]
    """What configures the session, and hooks before BEGIN."""
    groups: tuple[Group, ...]
    """The transaction."""
    after: tuple[Line, ...]
    """Hooks after COMMIT."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TablePage:
    """The page of one table."""

    key: str
    table: str
    schema: str
    file: str
    description: str
    load: str
    """Write disposition and partitions, such as ``replace by day``."""
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    upstream: tuple[str, ...]
    columns: tuple[ColumnRow, ...]
    facts: tuple[Fact, ...]
    scripts: tuple[Script, ...]
    source: str
    yaml: Markup
    live: LivePage | None = None
    """What a target knows of the table, if there is one."""

    @property
    def warehouses(self) -> tuple[str, ...]:
        """The display names of the warehouses."""
        return tuple(script.title for script in self.scripts)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classifications of its columns."""
        found = {column.classification for column in self.columns}
        return tuple(sorted(found - {""}))

    @property
    def has_encodings(self) -> bool:
        """Whether any column declares an encoding."""
        return any(column.encode for column in self.columns)


def table_pages(project: Project, entries: Sequence[Entry]) -> list[TablePage]:
    """The pages of specs, sorted by asset key.

    Raises:
        TemplateError: a template is missing or invalid.
        ConfigError: a spec file was changed while this runs, and cannot be read.
    """
    templates = project.templates
    renderers = [
        Renderer(templates, get_adapter(name).dialect, clock=time.thread_time)
        for name in WAREHOUSES
    ]
    pages = [_page(entry, entry.spec, renderers) for entry in entries if entry.spec is not None]
    return sorted(pages, key=lambda page: page.key)


def _page(entry: Entry, spec: TableSpec, renderers: Sequence[Renderer]) -> TablePage:
    return TablePage(
        key=spec.asset_key,
        table=spec.table,
        schema=spec.schema_name,
        file=f"tables/{slug(spec.asset_key)}.html",
        description=spec.description or "",
        load=_load(spec),
        tags=tuple(f"{key}: {value}" if value else key for key, value in spec.tags.items()),
        owners=spec.owners,
        upstream=lineage.upstream(spec),
        columns=tuple(_column(spec, column, renderers) for column in spec.columns),
        facts=tuple(describe_spec(spec)),
        scripts=tuple(_script(spec, renderer) for renderer in renderers),
        source=f"{entry.shown}:{entry.line}",
        yaml=yaml_markup(_read_spec(entry)),
    )


def _read_spec(entry: Entry) -> str:
    try:
        return entry.path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{entry.shown} was changed during this run: {error}") from error


def _load(spec: TableSpec) -> str:
    names = [entry.grain or entry.name or entry.expr for entry in spec.partition_by]
    return f"{spec.write_disposition} by {', '.join(names)}" if names else spec.write_disposition


def _column(spec: TableSpec, column: Column, renderers: Sequence[Renderer]) -> ColumnRow:
    roles = {
        "key": column.name in spec.primary_key,
        "partition": any(dimension.column == column.name for dimension in spec.dimensions),
        "dist": column.name == spec.dist,
        "sort": column.name in spec.sort,
    }
    details = []
    if column.from_ is not None:
        details.append(("from", str(column.from_)))
    if column.default is not None:
        details.append(("default", column.default))
    if column.identity is not None:
        seed, step = column.identity
        details.append(("identity", f"({seed}, {step})"))
    return ColumnRow(
        name=column.name,
        anchor=f"column-{slug(column.name)}",
        types=tuple(one.dialect.column_type(column.data_type).lower() for one in renderers),
        nullable=column.nullable,
        roles=tuple(role for role, given in roles.items() if given),
        classification=column.classification or "",
        encode=column.encode or "",
        details=tuple(details),
        description=column.description or "",
    )


def _script(spec: TableSpec, renderer: Renderer) -> Script:
    dialect = renderer.dialect
    # An example target: pages must not show settings of real targets.
    place = get_adapter(dialect.name).example_target()
    plan = plan_load(spec, renderer, place, LoadRequest(version=version()))
    numbered = [_line(at, one, dialect.backslash) for at, one in enumerate(plan.statements, 1)]
    before, after = (
        tuple(_line(None, one, dialect.backslash) for one in statements)
        for statements in ((*plan.session, *plan.before), plan.after)
    )
    groups = tuple(_group(plan.statements, numbered))
    return Script(dialect.name, dialect.title, before, groups, after, plan.notes)


def _line(number: int | None, statement: Statement, backslash: bool) -> Line:
    return Line(
        number=number,
        name=statement.name,
        why=statement.why,
        when=statement.when,
        own_template=statement.project_template,
        sql=sql_markup(statement.sql, backslash=backslash),
    )


def _group(statements: Sequence[Statement], lines: Sequence[Line]) -> Iterator[Group]:
    for routine, run in groupby(zip(statements, lines, strict=True), lambda pair: pair[0].group):
        yield Group(routine, tuple(line for _, line in run))
