"""Builds load plans: every statement of a load, in order."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from loader.errors import PlanError
from loader.plan.ddl import alter, create, widen
from loader.plan.dispositions import MERGE_COUNTS, Loading, Role, Step, clean_up, steps
from loader.plan.drift.compare import additions
from loader.plan.drift.difference import Difference, Drift, Kind
from loader.plan.expectations import CheckHolds, NotLoaded
from loader.plan.figures import Figure, figures_of
from loader.plan.live_table import LiveTable
from loader.plan.model import (
    PREVIEW_LOAD_ID,
    LoadRequest,
    Plan,
    StagePlan,
    Statement,
    Target,
    ledger_figures,
    ledger_slice,
    missing_ledger_columns,
    stage_prefix,
)
from loader.plan.read_plan import check_key_spelling
from loader.plan.statements import statement_of, table_facts
from loader.spec.model import Column, TableSpec, in_order
from loader.spec.partitions import Slice, placeholder
from loader.sql.renderer import Renderer, Unknown


def plan_load(
    spec: TableSpec,
    renderer: Renderer,
    target: Target,
    request: LoadRequest | None = None,
    found: Drift | None = None,
) -> Plan:
    """Plan a load. Without a request, the plan is a preview with placeholders.

    Args:
        spec: The table.
        renderer: In the dialect of the target.
        target: Where it will run.
        request: The load.
        found: The drift of the request's live table, if it is known already.

    Raises:
        PlanError: a partitioned table would be emptied, or the live table differs from the spec.
        TemplateError: a template is missing or broken, or would commit.
    """
    request = request or LoadRequest()
    preview = request.load_id == PREVIEW_LOAD_ID
    check_key_spelling(request.slice, renderer)
    chosen, notes = _choose_slice(spec, request, preview=preview)
    prefix = f"{target.staging.rstrip('/')}/{stage_prefix(spec, request.load_id, request.run)}"
    columns = in_order(spec.staged_columns(request.present), request.order)
    builder = _Builder(spec, renderer, target, request, chosen, prefix, columns, found)
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
        setup=tuple(builder.setup()),
        outside=tuple(builder.outside()),
        statements=tuple(builder.statements()),
        rows=request.staged.rows if request.staged else request.rows,
        notes=notes,
        columns_added=builder.changed("add column"),
        columns_widened=builder.changed("widen column"),
    )


def plan_ledger_upgrade(
    spec: TableSpec, renderer: Renderer, target: Target, present: Collection[str]
) -> tuple[Statement, ...]:
    """The statements that add missing columns to a ledger of an earlier version."""
    facts = table_facts(spec, target)
    return tuple(
        statement_of(
            Step(
                f"add {column} to the ledger",
                "missing in a ledger of an earlier version",
                "ledger_add_column",
                facts={"column": column, "data_type": data_type},
            ),
            spec,
            renderer,
            facts,
        )
        for column, data_type in missing_ledger_columns(present).items()
    )


def compared_figures(
    spec: TableSpec, renderer: Renderer, target: Target, columns: Iterable[Column]
) -> tuple[Figure, ...]:
    """The figures that a load compares before COMMIT, for some columns."""
    kept = ((column.name, column.data_type) for column in columns)
    return figures_of(kept, renderer.dialect, spec.verify or target.verify)


def plan_checks(
    spec: TableSpec, renderer: Renderer, target: Target, slice_: Slice | None
) -> tuple[Statement, ...]:
    """The statements of the spec's checks, for a slice or the whole table."""
    check_key_spelling(slice_, renderer)
    request = LoadRequest(slice=slice_)
    builder = _Builder(spec, renderer, target, request, slice_, "", spec.columns)
    return tuple(builder.checks())


def full_refresh_conflict() -> PlanError:
    """The error for a full refresh with a partition."""
    return PlanError(
        "a full refresh replaces the whole table, so it cannot have a partition",
        hint="remove either --full-refresh or --partition",
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
            f"{spec.table} is partitioned by {names}, but no partition is given",
            hint="give --partition KEY, --partition auto for the partitions in the data, or"
            " --full-refresh to replace the whole table",
        )
    example = placeholder(spec.dimensions)
    why = "no partition is given"
    if request.auto:
        why = "`auto` uses the partitions in the data, but no data is given with --from"
    return example, (f"{why}: {example} is a PLACEHOLDER for the one you load",)


@dataclass(frozen=True)
class _Builder:
    """Renders the statements of one load, in order."""

    spec: TableSpec
    renderer: Renderer
    target: Target
    request: LoadRequest
    slice: Slice | None
    prefix: str
    columns: tuple[Column, ...]
    drift: Drift | None = None
    """The drift of the live table, if it is known already."""

    def setup(self) -> Iterator[Statement]:
        if not self.target.ledger_schema:
            return
        routine = [
            ("create the ledger's schema", "for the ledger", "create_schema"),
            ("create the ledger", "the record of all loads", "ledger_create"),
        ]
        if self.renderer.has("lock"):
            why = "loads of one table wait for each other; readers never wait"
            routine.append(("create the table's lock", why, "lock_create"))
        facts = {"schema": self.target.ledger_schema}
        for name, why, template in routine:
            role: Role = "schema" if template == "create_schema" else "run"
            step = Step(name, why, template, role, facts, group="the ledger")
            yield self._statement(step, when="only when it is missing")

    def statements(self) -> Iterator[Statement]:
        if self.target.ledger_schema:
            yield from self._ledger_lookup()
        yield from self._table()
        staged = self.request.staged
        rows = staged.rows if staged else self.request.rows
        counts_copied = self.renderer.has("copied")
        live = self.request.live
        there = live.order if isinstance(live, LiveTable) else ()
        figures = compared_figures(self.spec, self.renderer, self.target, self.columns)
        loading = Loading(
            self.spec,
            self.slice,
            rows,
            counts_copied,
            self.columns,
            figures,
            there,
            self.request.keys_alike,
        )
        nothing = self.request.no_partitions
        work = [] if nothing else list(steps(loading, full_refresh=self.request.full_refresh))
        for step in work:
            yield self._statement(step)
        if work:
            yield from self.checks()
        if self.target.ledger_schema:
            why, group = (
                "its id commits together with its rows: exactly once",
                "record the load in the ledger",
            )
            counted = any(step.template == "merge_compare" for step in work)
            facts = {"counts": MERGE_COUNTS if counted else None}
            step = Step("record the load", why, "ledger_insert", facts=facts, group=group)
            yield self._statement(step)
        for step in clean_up(work):
            yield self._statement(step)

    def outside(self) -> Iterator[Statement]:
        """The changes of the live table that cannot run inside the transaction."""
        for step in widen(self.spec, self.additions):
            yield statement_of(step, self.spec, self.renderer, self._facts, inside=False)

    @cached_property
    def additions(self) -> tuple[Difference, ...]:
        """The changes of the live table that the load needs first."""
        live = self.request.live
        if not isinstance(live, LiveTable):
            return ()
        return additions(self.spec, self.renderer, live, self.drift)

    def changed(self, kind: Kind) -> tuple[str, ...]:
        """The columns that are changed in one way."""
        return tuple(one.column for one in self.additions if one.kind == kind and one.column)

    def _ledger_lookup(self) -> Iterator[Statement]:
        group = "lock the table, and look for this load in the ledger"
        if self.renderer.has("lock"):
            why = "loads of one table wait for each other; readers never wait"
            yield self._statement(Step("take the table's lock", why, "lock", "lock", group=group))
        else:
            group = "look for this load in the ledger"
        why = "a committed load is not repeated"
        found = NotLoaded()
        yield self._statement(
            Step("look for this load", why, "ledger_find", "find_load", group=group, expects=found)
        )

    def _table(self) -> Iterator[Statement]:
        live = self.request.live
        if isinstance(live, LiveTable):
            yield from self._evolve(live)
            return
        when = "only when it is missing" if live == "unseen" else None
        for step in create(self.spec, self.renderer):
            # A user may have the right to create tables in a schema, but not schemas.
            if live != "absent" or step.template not in ("create_schema", "grant_usage"):
                yield self._statement(step, when=when)

    def _evolve(self, live: LiveTable) -> Iterator[Statement]:
        if self.request.order and self.request.order != live.order:
            raise PlanError(
                f"the columns of {self.spec.table} have changed since its rows were staged",
                hint="load again: rows are staged in the order of the live table's columns",
                transient=True,
            )
        for step in alter(self.spec, self.renderer, self.additions):
            yield self._statement(step)

    def checks(self) -> Iterator[Statement]:
        for check in self.spec.checks:
            why = f"must be {check.expectation}"
            facts, expects = {"check": check}, CheckHolds(check)
            yield self._statement(
                Step(f"check {check.label}", why, "check", "check", facts, expects=expects)
            )

    def _statement(self, step: Step, *, when: str | None = None) -> Statement:
        return statement_of(step, self.spec, self.renderer, self._facts, when=when)

    @cached_property
    def _facts(self) -> Mapping[str, object]:
        spec = self.spec
        return {
            **table_facts(spec, self.target),
            "columns": self.columns,
            "keys": spec.primary_key,
            "slice": self.slice,
            "compression": spec.staging.compression,
            "disposition": "replace" if self.request.full_refresh else spec.write_disposition,
            "null_marker": "\\N",
            "load": self._load_facts(),
            "version": self.request.version,
        }

    def _columns_changed(self) -> str | None:
        """The columns that the load added or widened, as JSON; None when there are none."""
        changes = {"added": self.changed("add column"), "widened": self.request.widened}
        found = {change: columns for change, columns in changes.items() if columns}
        return json.dumps(found, ensure_ascii=False) if found else None

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
            "figures": ledger_figures(staged.statistics)
            if staged
            else Unknown("figures of the columns"),
            "columns_changed": self._columns_changed(),
            "manifest": f"{self.prefix}/manifest.json" if staged is None or staged.files else None,
            "files_glob": f"{self.prefix}/part-*",
            "iam_role": self.target.iam_role,
        }
