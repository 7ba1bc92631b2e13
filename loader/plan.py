"""Plans: the exact statements of a load, built in one place, to be printed or run. Pure data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from loader.dispositions import Loading, Role, Step, steps
from loader.errors import PlanError, TemplateError
from loader.render import Renderer, Table, Unknown
from loader.slices import Slice, placeholder
from loader.spec import Check, Column, TableSpec
from loader.sqltext import bare_words

PREVIEW_LOAD_ID = "<load id>"
"""Stands in previews where a load puts its own id."""

_SLICE_BYTES = 4_000
"""What the ledger keeps of a slice's description."""


@dataclass(frozen=True)
class Target:
    """What a plan needs to know of where it will run; holds no secrets."""

    name: str
    dialect: str
    staging: str
    """Folder or bucket URL under which loads stage their files."""
    ledger_schema: str
    """Schema of the ledger; empty turns it off."""
    iam_role: str = ""
    """The role COPY reads the bucket with; Redshift only."""


@dataclass(frozen=True)
class LiveColumn:
    """A column as the warehouse has it, its type in the warehouse's spelling."""

    name: str
    data_type: str
    nullable: bool


@dataclass(frozen=True)
class LiveTable:
    """A relation as the warehouse has it."""

    columns: tuple[LiveColumn, ...]
    is_table: bool = True
    """False for views and the like, which cannot be loaded."""


Live = LiveTable | Literal["absent", "unseen"]
"""A live table; ``absent`` when there is none; ``unseen`` when nobody has looked."""


@dataclass(frozen=True)
class StagedFacts:
    """How much was staged for a load."""

    rows: int
    bytes: int
    files: int


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a plan."""

    name: str
    sql: str
    why: str
    template: str
    """The template file it was rendered from."""
    role: Role = "run"
    when: str | None = None
    """In a preview: the condition under which it is part of the load at all."""
    check: Check | None = None
    group: str | None = None
    """Routine that a short plan tells in these words, together with its neighbours."""

    def to_dict(self) -> dict[str, object]:
        """The statement as JSON-ready data."""
        return {
            "name": self.name,
            "sql": self.sql,
            "why": self.why,
            "template": self.template,
            "role": self.role,
            "when": self.when,
        }


@dataclass(frozen=True)
class StagePlan:
    """Where and how the rows are staged before the transaction."""

    prefix: str
    format: str
    compression: str
    file_size: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything one load will do: what it stages, then its one transaction."""

    spec: TableSpec
    target: Target
    load_id: str
    slice: Slice | None
    full_refresh: bool
    stage: StagePlan
    statements: tuple[Statement, ...]
    """What runs between BEGIN and COMMIT, in order."""
    rows: int | None = None
    """How many rows it loads, when that is known."""
    notes: tuple[str, ...] = ()
    """What a reader should know: what was made up, what is not known yet."""

    @property
    def slice_text(self) -> str | None:
        """The slice in a few words, None for the whole table."""
        return str(self.slice) if self.slice else None

    @property
    def sql(self) -> str:
        """The whole transaction as a script."""
        lines = [_comment(line) for line in self.header()]
        lines += ["", "BEGIN;", ""]
        for number, statement in enumerate(self.statements, 1):
            condition = f" ({statement.when})" if statement.when else ""
            lines.append(_comment(f"{number}. {statement.name}{condition}: {statement.why}"))
            lines += [f"{statement.sql};", ""]
        return "\n".join([*lines, "COMMIT;", ""])

    def header(self) -> Iterator[str]:
        """What the plan is about, line by line."""
        what = "full refresh" if self.full_refresh else self.spec.write_disposition
        where = f" {self.slice}" if self.slice else " of the whole table"
        yield f"{self.spec.table} on {self.target.name} ({self.target.dialect}): {what}{where}"
        yield f"stages {self.stage.format}/{self.stage.compression} files in {self.stage.prefix}"
        yield from self.notes

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON-ready data; ``plan_version`` names its form."""
        return {
            "plan_version": 1,
            "asset_key": self.spec.asset_key,
            "table": self.spec.table,
            "target": self.target.name,
            "dialect": self.target.dialect,
            "load_id": self.load_id,
            "write_disposition": self.spec.write_disposition,
            "full_refresh": self.full_refresh,
            "slice": self.slice_text,
            "placeholder": bool(self.slice and self.slice.placeholder),
            "stage": vars(self.stage) | {"columns": list(self.stage.columns)},
            "rows": self.rows,
            "statements": [statement.to_dict() for statement in self.statements],
            "notes": list(self.notes),
            "spec_hash": spec_hash(self.spec),
        }


@dataclass(frozen=True)
class LoadRequest:
    """The inputs of a load's plan, beside the spec and the target."""

    slice: Slice | None = None
    full_refresh: bool = False
    load_id: str = PREVIEW_LOAD_ID
    present: frozenset[str] | None = None
    """The spec columns that the data has; None when no data has been seen."""
    staged: StagedFacts | None = None
    """None when nothing has been staged yet."""
    rows: int | None = None
    """How many rows the data has, when it was looked at and not staged."""
    live: Live = "unseen"
    version: str = ""
    """The version of Loader that the ledger records."""
    no_partitions: bool = False
    """The partitions were to be found in the data, and it has no rows: nothing is replaced."""


def ledger_slice(slice_: Slice | None) -> str | None:
    """A slice's description as the ledger keeps it, cut when it is very long."""
    text = str(slice_) if slice_ else None
    while text and len(text.encode()) > _SLICE_BYTES:
        text = text[: len(text) * 3 // 4] + "…"
    return text


def _comment(text: str) -> str:
    """A comment that stays on its line, whatever names and keys it tells."""
    return "-- " + " ".join(text.splitlines())


def spec_hash(spec: TableSpec) -> str:
    """A fingerprint of everything a spec declares."""
    declared = json.dumps(spec.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(declared.encode()).hexdigest()


def stage_prefix(spec: TableSpec, load_id: str) -> str:
    """The key under which a load stages its files: its own, and safe in any path or URL."""
    if load_id == PREVIEW_LOAD_ID:
        return f"{_slug(spec.table)}/{load_id}"
    return f"{_slug(spec.table)}/{_slug(load_id)}"


def _slug(text: str) -> str:
    """Text as a path segment; what is replaced is told apart by a digest."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:80].lstrip("._") or "_"
    if safe == text:
        return safe
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plan_load(
    spec: TableSpec, renderer: Renderer, target: Target, request: LoadRequest | None = None
) -> Plan:
    """The plan of a load. Without a request it is a preview, with placeholders that say so.

    Raises:
        PlanError: a partitioned table would be emptied, or the live table differs from the spec.
        TemplateError: a template is missing, broken, or would commit by itself.
    """
    request = request or LoadRequest()
    preview = request.load_id == PREVIEW_LOAD_ID
    chosen, notes = _choose_slice(spec, request, preview=preview)
    prefix = f"{target.staging.rstrip('/')}/{stage_prefix(spec, request.load_id)}"
    columns = spec.staged_columns(request.present)
    builder = _Builder(spec, renderer, target, request, chosen, prefix, columns)
    return Plan(
        spec=spec,
        target=target,
        load_id=request.load_id,
        slice=chosen,
        full_refresh=request.full_refresh,
        stage=StagePlan(
            prefix,
            spec.staging.format,
            spec.staging.compression,
            spec.staging.file_size,
            tuple(column.name for column in columns),
        ),
        statements=tuple(builder.statements()),
        rows=request.staged.rows if request.staged else request.rows,
        notes=notes,
    )


def plan_read(
    spec: TableSpec, renderer: Renderer, slice_: Slice | None, columns: Iterable[str] | None = None
) -> Statement:
    """The SELECT that reads a slice of the table, or all of it.

    Raises:
        PlanError: a column is not one of the table's.
    """
    names = list(columns) if columns is not None else [column.name for column in spec.columns]
    unknown = [name for name in names if name not in spec.by_name]
    if unknown or not names:
        given = ", ".join(f"`{name}`" for name in unknown)
        raise PlanError(
            f"{spec.table} has no column {given}" if given else "no columns are asked for",
            hint=f"its columns are {', '.join(spec.by_name)}",
        )
    facts = {
        "table": Table(spec.schema_name, spec.name),
        "columns": tuple(spec.by_name[name] for name in names),
        "slice": slice_,
    }
    rendered = renderer.render("select", facts, spec.templates.get("select"))
    return Statement("select", rendered.sql, "read the slice", rendered.path)


def full_refresh_conflict() -> PlanError:
    """The error of asking for the whole table and for a part of it."""
    return PlanError(
        "a full refresh replaces the whole table, so it takes no partition",
        hint="leave out either --full-refresh or --partition",
    )


def _choose_slice(
    spec: TableSpec, request: LoadRequest, *, preview: bool
) -> tuple[Slice | None, tuple[str, ...]]:
    if request.full_refresh and request.slice is not None:
        raise full_refresh_conflict()
    needed = spec.partition_by and spec.write_disposition == "replace" and not request.full_refresh
    if request.slice is not None or not needed or request.no_partitions:
        return request.slice, ()
    names = ", ".join(dimension.name for dimension in spec.dimensions)
    if not preview:
        raise PlanError(
            f"{spec.table} is partitioned by {names}, and no partition is given",
            hint="give --partition KEY, --partition auto for the partitions in the data, or"
            " --full-refresh to replace the whole table",
        )
    made_up = placeholder(spec.dimensions)
    return made_up, (f"no partition is given: {made_up} is a PLACEHOLDER for the one you load",)


_COMMENTS = "comments from the spec's descriptions"


def _column_comment(column: Column) -> Step:
    facts = {"column": column}
    why = "the spec's description"
    return Step(f"comment on {column.name}", why, "comment_column", "run", facts, _COMMENTS)


@dataclass(frozen=True)
class _Builder:
    """Renders the statements of one load, in the one order there is."""

    spec: TableSpec
    renderer: Renderer
    target: Target
    request: LoadRequest
    slice: Slice | None
    prefix: str
    columns: tuple[Column, ...]

    def statements(self) -> Iterator[Statement]:
        if self.target.ledger_schema:
            yield from self._ledger_lookup()
        yield from self._table()
        staged = self.request.staged
        rows = staged.rows if staged else self.request.rows
        counts_copied = self.renderer.has("copied")
        loading = Loading(self.spec, self.slice, rows, counts_copied, self.columns)
        nothing = self.request.no_partitions
        work = [] if nothing else list(steps(loading, full_refresh=self.request.full_refresh))
        for step in work:
            yield self._statement(step)
        if work:
            yield from self._checks()
        if self.target.ledger_schema:
            why, group = (
                "its id commits with its rows: exactly once",
                "record the load in the ledger",
            )
            yield self._statement(Step("record the load", why, "ledger_insert", group=group))

    def _ledger_lookup(self) -> Iterator[Statement]:
        schema = {"schema": self.target.ledger_schema}
        group = "the ledger, created when missing and asked for this load"
        routine = (
            ("create the ledger's schema", "the ledger's place", "create_schema", "run"),
            ("create the ledger", "what was loaded, and when", "ledger_create", "run"),
            (
                "look for this load",
                "one that is there is not done twice",
                "ledger_find",
                "find_load",
            ),
        )
        for name, why, template, role in routine:
            yield self._statement(Step(name, why, template, role, schema, group))  # type: ignore[arg-type]  # a literal in a tuple is a str

    def _table(self) -> Iterator[Statement]:
        live = self.request.live
        if isinstance(live, LiveTable):
            yield from self._evolve(live)
            return
        when = "only when it is missing" if live == "unseen" else None
        for step in self._create():
            yield self._statement(step, when=when)

    def _create(self) -> Iterator[Step]:
        spec = self.spec
        schema = {"schema": spec.schema_name}
        yield Step("create the schema", "the table's place", "create_schema", facts=schema)
        sequences = self._sequences()
        for name, sequence in sequences.items():
            facts = {"sequence": sequence, "column": spec.by_name[name]}
            yield Step(
                f"create the sequence of {name}", "numbers rows", "create_sequence", facts=facts
            )
        facts = {"columns": spec.columns, "sequences": sequences}
        yield Step("create the table", "as the spec declares it", "create_table", facts=facts)
        yield from self._comments()
        if self.renderer.has("grant"):
            yield from self._grants()

    def _comments(self) -> Iterator[Step]:
        if self.spec.description:
            facts = {"text": self.spec.description}
            why = "the spec's description"
            yield Step("comment on the table", why, "comment_table", "run", facts, _COMMENTS)
        yield from (_column_comment(column) for column in self.spec.columns if column.description)

    def _sequences(self) -> dict[str, Table]:
        if not self.renderer.has("create_sequence"):
            return {}
        return {
            column.name: Table(self.spec.schema_name, f"{self.spec.name}_{column.name}_seq")
            for column in self.spec.columns
            if column.identity is not None
        }

    def _grants(self) -> Iterator[Step]:
        for privilege, grantees in self.spec.grants.items():
            for grantee in grantees:
                kind, _, name = grantee.partition(":")
                facts = {"privilege": privilege, "kind": kind, "grantee": name}
                why = "the spec's grants"
                yield Step(f"grant {privilege} to {grantee}", why, "grant", facts=facts)

    def _evolve(self, live: LiveTable) -> Iterator[Statement]:
        missing = _differences(self.spec, self.renderer, live)
        for column in missing:
            facts = {"column": column}
            why = "the spec has it and the live table does not (evolve: additive)"
            name = f"add the column {column.name}"
            yield self._statement(Step(name, why, "add_column", facts=facts))
            if column.description:
                yield self._statement(_column_comment(column))

    def _checks(self) -> Iterator[Statement]:
        for check in self.spec.checks:
            why = f"must be {check.expectation}"
            step = Step(f"check {check.label}", why, "check", "check", {"check": check})
            yield self._statement(step, check=check)

    def _statement(
        self, step: Step, *, when: str | None = None, check: Check | None = None
    ) -> Statement:
        facts = {**self._facts(), **step.facts}
        own = self.spec.templates.get(step.template)  # type: ignore[call-overload]  # any name may be asked for
        rendered = self.renderer.render(step.template, facts, own)
        words = bare_words(rendered.sql, backslash=self.renderer.dialect.backslash)
        for pattern, reason in self.renderer.dialect.commits.items():
            if re.match(pattern, words):
                raise TemplateError(
                    f"{rendered.path}: `{' '.join(words.split()[:3])}` may not run inside the"
                    f" load's transaction: {reason}",
                    hint="a load is one transaction: all of it happens, or nothing",
                )
        return Statement(
            step.name, rendered.sql, step.why, rendered.path, step.role, when, check, step.group
        )

    def _facts(self) -> Mapping[str, object]:
        spec, target = self.spec, self.target
        return {
            "table": Table(spec.schema_name, spec.name),
            "spec": spec,
            "columns": self.columns,
            "keys": spec.primary_key,
            "primary_key": spec.primary_key,
            "dist": spec.dist,
            "sort": spec.sort,
            "sort_type": spec.sort_type,
            "slice": self.slice,
            "compression": spec.staging.compression,
            "asset_key": spec.asset_key,
            "disposition": "replace" if self.request.full_refresh else spec.write_disposition,
            "null_marker": "\\N",
            "ledger": Table(target.ledger_schema, "loads"),
            "load": self._load_facts(),
            "spec_hash": spec_hash(spec),
            "version": self.request.version,
        }

    def _load_facts(self) -> Mapping[str, object]:
        staged = self.request.staged
        return {
            "id": self.request.load_id,
            "slice": ledger_slice(self.slice),
            "rows": self.request.rows
            if staged is None and self.request.rows is not None
            else staged.rows
            if staged
            else Unknown("rows staged"),
            "bytes": staged.bytes if staged else Unknown("bytes staged"),
            "files": staged.files if staged else Unknown("files staged"),
            "manifest": f"{self.prefix}/manifest.json" if staged is None or staged.files else None,
            "files_glob": f"{self.prefix}/part-*",
            "iam_role": self.target.iam_role,
        }


def _differences(spec: TableSpec, renderer: Renderer, live: LiveTable) -> list[Column]:
    """The columns to add to a live table, when that is allowed and is all there is to do."""
    if not live.is_table:
        raise PlanError(f"{spec.table} is a view, and rows cannot be loaded into a view")
    found = {column.name.lower(): column for column in live.columns}
    missing = [column for column in spec.columns if column.name not in found]
    rows = []
    for column in spec.columns:
        wanted = renderer.dialect.column_type(column.data_type)
        there = found.get(column.name)
        if there is not None and there.data_type.upper() != wanted.upper():
            rows.append((column.name, wanted, there.data_type, "type differs"))
    additive = spec.schema_contract.evolve == "additive"
    for column in missing:
        wanted = renderer.dialect.column_type(column.data_type)
        if column.identity is not None or (not column.nullable and not column.default):
            rows.append(
                (column.name, wanted, "-", "missing; cannot be added to rows that are there")
            )
        elif not additive:
            rows.append((column.name, wanted, "-", "missing"))
    if rows:
        raise _drift(spec, rows, additive=additive)
    return missing


def _drift(spec: TableSpec, rows: list[tuple[str, str, str, str]], *, additive: bool) -> PlanError:
    table = [("column", "spec", "live", ""), *rows]
    widths = [max(len(row[at]) for row in table) for at in range(3)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        for row in table
    ]
    hint = "change the spec to match the table, or alter the table"
    if not additive and all(row[3] == "missing" for row in rows):
        hint = "set schema_contract: {evolve: additive} to let loads add these columns"
    shown = "\n".join(line.rstrip() for line in lines)
    return PlanError(f"the live table {spec.table} differs from its spec\n{shown}", hint=hint)
