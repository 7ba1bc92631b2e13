"""What the page of one table tells, as plain data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from loader import dialects
from loader.catalog import Entry
from loader.errors import PlanError
from loader.plan import Plan, Target
from loader.planner import plan_load
from loader.project import Project
from loader.render import Renderer
from loader.site.highlight import sql_markup
from loader.spec import Check, Column, PartitionBy, TableSpec
from loader.templates import read_templates


@dataclass(frozen=True)
class ColumnRow:
    """One line of the columns table."""

    name: str
    redshift: str
    duckdb: str
    nullable: bool
    marks: tuple[str, ...]
    """Keys and classes, in a word each."""
    details: tuple[tuple[str, str], ...]
    """Default, identity and encoding, where declared."""
    description: str


@dataclass(frozen=True)
class Script:
    """The SQL of a load, in one dialect."""

    dialect: str
    statements: tuple[tuple[str, str, Markup], ...]
    """Name, reason and marked-up SQL of each."""


@dataclass(frozen=True)
class TablePage:
    """One table."""

    key: str
    table: str
    schema: str
    file: str
    description: str | None
    tags: tuple[str, ...]
    owners: tuple[str, ...]
    upstream: tuple[str, ...]
    columns: tuple[ColumnRow, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    """Everything else that the spec says, by heading."""
    scripts: tuple[Script, ...]
    source: str
    yaml: str

    @property
    def words(self) -> tuple[str, ...]:
        """What the search finds the table by, beside its name and description."""
        names = [column.name for column in self.columns]
        texts = [column.description for column in self.columns]
        marks = [mark for column in self.columns for mark in column.marks]
        return (*names, *texts, *marks, *self.tags, *self.owners)


def table_pages(project: Project, entries: Sequence[Entry]) -> list[TablePage]:
    """The pages of specs, by asset key.

    Raises:
        PlanError: what a spec says of its lineage is no list of asset keys.
        TemplateError: a template is missing or broken.
    """
    templates = read_templates(project.config.templates)
    renderers = {name: Renderer(templates, dialects.get(name)) for name in dialects.NAMES}
    pages = [_page(entry, entry.spec, renderers) for entry in entries if entry.spec is not None]
    return sorted(pages, key=lambda page: page.key)


def _page(entry: Entry, spec: TableSpec, renderers: dict[str, Renderer]) -> TablePage:
    return TablePage(
        key=spec.asset_key,
        table=spec.table,
        schema=spec.schema_name,
        file=f"tables/{_slug(spec.asset_key)}.html",
        description=spec.description,
        tags=tuple(f"{key}: {value}" if value else key for key, value in spec.tags.items()),
        owners=spec.owners,
        upstream=_upstream(entry, spec),
        columns=tuple(_column(spec, column, renderers) for column in spec.columns),
        facts=tuple(_facts(spec)),
        scripts=tuple(_script(spec, name, renderer) for name, renderer in renderers.items()),
        source=f"{entry.shown}:{entry.line}",
        yaml=entry.path.read_text(encoding="utf-8"),
    )


def _slug(key: str) -> str:
    """An asset key as a file name that is safe anywhere, and no other key's."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip("-.")[:80] or "table"
    if safe == key.replace("/", "-") and key.count("-") == 0:
        return safe
    return f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _upstream(entry: Entry, spec: TableSpec) -> tuple[str, ...]:
    found = spec.meta.get("upstream", ())
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise PlanError(
            f"{entry.shown}: `meta.upstream` of {spec.asset_key} is no list of asset keys",
            hint="write it like `meta: {upstream: [shop/orders, shop/customers]}`",
        )
    return tuple(listed)


def _column(spec: TableSpec, column: Column, renderers: dict[str, Renderer]) -> ColumnRow:
    marks = []
    if column.name in spec.primary_key:
        marks.append("key")
    if any(entry.expr == column.name for entry in spec.partition_by):
        marks.append("partition")
    if column.name == spec.dist:
        marks.append("dist")
    if column.name in spec.sort:
        marks.append("sort")
    if column.classification:
        marks.append(column.classification)
    details = []
    if column.default:
        details.append(("default", column.default))
    if column.identity is not None:
        details.append(("identity", f"{column.identity[0]}, {column.identity[1]}"))
    if column.encode:
        details.append(("encode", column.encode))
    spell = {name: renderer.dialect.column_type for name, renderer in renderers.items()}
    return ColumnRow(
        column.name,
        spell["redshift"](column.data_type),
        spell["duckdb"](column.data_type),
        column.nullable,
        tuple(marks),
        tuple(details),
        column.description or "",
    )


def _facts(spec: TableSpec) -> list[tuple[str, tuple[str, ...]]]:
    found: dict[str, list[str]] = {
        "Primary key": [", ".join(spec.primary_key)] if spec.primary_key else [],
        "Partitions": [_partition(entry) for entry in spec.partition_by],
        "A load": _disposition(spec),
        "Distribution": [spec.dist] if spec.dist else [],
        "Sort key": _sort(spec),
        "Checks before commit": [_check(check) for check in spec.checks],
        "Grants": [
            f"{privilege} to {', '.join(grantees)}" for privilege, grantees in spec.grants.items()
        ],
        "Staging": [_staging(spec)],
        "Contract": _contract(spec),
        "Dagster": _dagster(spec),
        "Meta": [
            f"{key}: {_plain(value)}" for key, value in spec.meta.items() if key != "upstream"
        ],
    }
    return [(heading, tuple(lines)) for heading, lines in found.items() if lines]


def _partition(entry: PartitionBy) -> str:
    name = entry.name or entry.expr
    if entry.grain is None:
        return f"{name}: each value of {entry.expr}"
    zone = f", in {entry.timezone}" if entry.timezone != "UTC" else ""
    return f"{name}: one {entry.grain} of {entry.expr} each{zone}"


def _disposition(spec: TableSpec) -> list[str]:
    what = {
        "replace": "replaces its partitions" if spec.partition_by else "replaces the whole table",
        "append": "adds its rows",
        "merge": f"merges by key ({spec.merge.strategy.replace('_', ' and ')})",
    }
    empty = {
        "keep": "leaves the table as it is",
        "clear": "empties what it would replace",
        "fail": "fails",
    }
    return [what[spec.write_disposition], f"without rows it {empty[spec.on_empty]}"]


def _sort(spec: TableSpec) -> list[str]:
    if spec.sort:
        return [f"{spec.sort_type or 'compound'}: {', '.join(spec.sort)}"]
    return ["chosen by Redshift"] if spec.sort_type == "auto" else []


def _check(check: Check) -> str:
    unit = " percent" if check.unit == "percent" else ""
    severity = " (a warning)" if check.severity == "warning" else ""
    return f"{check.label} must be {check.expectation}{unit}{severity}"


def _staging(spec: TableSpec) -> str:
    staging = spec.staging
    size = staging.file_size >> 20
    return f"{staging.format}, {staging.compression}, files of up to {size:,} MB"


def _contract(spec: TableSpec) -> list[str]:
    contract = spec.schema_contract
    lines = []
    if contract.extra_columns == "ignore":
        lines.append("columns that the spec lacks are ignored")
    if contract.bad_rows == "reject":
        lines.append(f"rows that do not fit are set aside, up to {contract.max_rejects}")
    if contract.evolve == "additive":
        lines.append("loads may add columns and widen VARCHARs")
    return lines


def _dagster(spec: TableSpec) -> list[str]:
    told = spec.dagster.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return [f"{key}: {_plain(value)}" for key, value in told.items()]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)


_PLACES = {
    "duckdb": Target("local", "duckdb", ".loader/staging", "loader"),
    "redshift": Target("prod", "redshift", "s3://bucket/loader", "loader", "iam-role"),
}
"""Where the scripts are imagined to run; settings of real targets do not belong on pages."""


def _script(spec: TableSpec, dialect: str, renderer: Renderer) -> Script:
    plan: Plan = plan_load(spec, renderer, _PLACES[dialect])
    told = tuple(
        (
            statement.name,
            f"{statement.why}{f' ({statement.when})' if statement.when else ''}",
            sql_markup(statement.sql, backslash=renderer.dialect.backslash),
        )
        for statement in plan.statements
        if statement.group is None
    )
    return Script(dialect, told)
