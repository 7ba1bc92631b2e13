"""Builds load plans: every statement of a load, in order."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from loader.errors import PlanError
from loader.plan.check_plan import check_step
from loader.plan.chosen_slice import choose_slice
from loader.plan.ddl import alter, create, widen
from loader.plan.dispositions import clean_up, find_counts, steps
from loader.plan.drift.compare import additions
from loader.plan.drift.difference import Difference, Drift, Kind
from loader.plan.drift.shares import check_share
from loader.plan.expectations import FilesNotLoaded, NotLoaded
from loader.plan.figures import Figure, figures_of
from loader.plan.ledger_tables import check_no_ledger
from loader.plan.live_table import LiveTable
from loader.plan.loading import FIELDS, MERGE_COUNTS, Evolution, Loading, Step
from loader.plan.model import (
    PREVIEW_LOAD_ID,
    LoadRequest,
    Plan,
    StagePlan,
    Statement,
    Target,
    file_ledger,
    ledger_figures,
    ledger_rejects,
    ledger_slice,
    missing_ledger_columns,
    stage_prefix,
)
from loader.plan.read_plan import check_key_spelling
from loader.plan.source_files import FILE_COLUMNS, FilesOfLoad, SourceFile
from loader.plan.staging import resolve_staging
from loader.plan.statements import statement_of, table_facts
from loader.spec.model import Column, Staging, TableSpec, in_order
from loader.spec.partitions import Slice
from loader.spec.session import select_hooks
from loader.sql.renderer import Renderer, Table, Unknown

_FILES_PER_STATEMENT = 500

_FILE_FACTS = {"file_columns": FILE_COLUMNS}

_LABEL_BYTES = 320
"""The longest query group (``r_query_group``)."""


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
        PlanError: a partitioned table would be emptied, the live table differs from the spec, it
            is the ledger, or a datashare does not take it.
        TemplateError: a template is missing or broken, or would commit.
    """
    request = request or LoadRequest()
    preview = request.load_id == PREVIEW_LOAD_ID
    check_no_ledger(spec, renderer, target)
    check_share(spec, renderer)
    check_key_spelling(request.slice, renderer)
    chosen, notes = choose_slice(spec, request, preview=preview)
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
            builder.staging.format,
            builder.staging.compression,
            builder.staging.file_size,
            tuple(column.name for column in columns),
        ),
        setup=tuple(builder.setup()),
        session=tuple(builder.session()),
        outside=tuple(builder.outside()),
        before=tuple(builder.before()),
        after=plan_hooks(spec, renderer, target, request),
        statements=tuple(builder.statements()),
        rows=request.staged.rows if request.staged else request.rows,
        files=builder.files if target.ledger_schema else None,
        notes=(*request.notes, *notes, *builder.notes()),
        evolution=request.evolved + builder.evolution,
        in_place=request.in_place,
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


def plan_hooks(
    spec: TableSpec, renderer: Renderer, target: Target, request: LoadRequest
) -> tuple[Statement, ...]:
    """The spec's hooks that run after the COMMIT of a load."""
    builder = _Builder(spec, renderer, target, request, request.slice, "", spec.columns)
    return tuple(builder.hooks("after", "outside"))


def _split(files: Sequence[SourceFile]) -> Iterator[Sequence[Mapping[str, object]]]:
    """The facts of files, in parts for one statement each; of an unknown one in a preview."""
    if not files:
        names = {"path": "path", "bytes": "bytes", "modified": "time", "version": "version"}
        yield [{name: Unknown(what) for name, what in (*names.items(), ("partition", "partition"))}]
    for at in range(0, len(files), _FILES_PER_STATEMENT):
        yield [vars(file) for file in files[at : at + _FILES_PER_STATEMENT]]


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

    def session(self) -> Iterator[Statement]:
        """The settings of the session: at least a label for its queries."""
        if not self.renderer.has("set_session"):
            return
        spec, why = self.spec, "the settings of the target and of the spec"
        parameters = {**self.target.session.parameters(), **spec.session.parameters()}
        label = str(parameters.pop("query_group", "loader {load_id}"))
        for word, text in (
            ("load_id", self.request.load_id),
            ("asset_key", spec.asset_key),
            ("table", spec.table),
        ):
            label = label.replace(f"{{{word}}}", text)
        step = Step("label the queries", "SYS_QUERY_HISTORY shows it as query_label", "set_session")
        named = {"query_group": label.encode()[:_LABEL_BYTES].decode(errors="ignore")}
        for name, value in (named | parameters).items():
            facts = {"name": name, "value": value}
            one = step if name == "query_group" else Step(f"set {name}", why, "set_session")
            yield self._outside(replace(one, facts=facts, group="the session's settings"))

    def before(self) -> Iterator[Statement]:
        """The statements that run right before BEGIN."""
        if self.target.ledger_schema and self.renderer.dialect.share:
            why = "a datashare has no LOCK: loads of the table update the row to take turns"
            group = "the ledger"
            yield self._outside(Step("make the row to update", why, "lock_row", group=group))
        yield from self.hooks("before", "outside")

    def hooks(self, when: str, transaction: str) -> Iterator[Statement]:
        """The hooks of the spec for one place."""
        inside = transaction == "inside"
        for hook in select_hooks(self.spec.hooks, when, transaction):
            if self.renderer.has(hook.template):
                why = f"a hook of the spec, {when} the rows are loaded"
                facts = {"values": dict(hook.values)}
                step = Step(f"hook {hook.template}", why, hook.template, facts=facts)
                yield self._statement(step) if inside else self._outside(step)

    def notes(self) -> Iterator[str]:
        """Notes about files that the ledger knows, and hooks without a template in this dialect."""
        if self.request.staged is None and self.files is not None and self.files.once:
            yield "a load takes only files that the ledger does not know (source: {load: new})"
        for hook in self.spec.hooks:
            if not self.renderer.has(hook.template):
                dialect = self.renderer.dialect.title
                yield f"the hook `{hook.template}` is skipped: it has no template for {dialect}"

    def setup(self) -> Iterator[Statement]:
        if not self.target.ledger_schema:
            return
        routine = [
            ("create the ledger's schema", "for the ledger", "create_schema"),
            ("create the ledger", "the record of all loads", "ledger_create"),
        ]
        if self.renderer.has("lock"):
            why = "loads of the table lock it to wait for each other; readers never wait"
            routine.append(("create the ledger of the table", why, "table_ledger_create"))
            why = "from a ledger that an earlier version made"
            routine.append(("copy earlier loads of the table", why, "table_ledger_fill"))
        facts: Mapping[str, object] = {"schema": self.target.ledger_schema}
        steps = [
            Step(name, why, template, "schema" if template == "create_schema" else "run", facts)
            for name, why, template in routine
        ]
        if self.files is not None:
            name, why, facts = "create the ledger of files", "the files of each load", _FILE_FACTS
            steps.append(Step(name, why, "files_create", facts=facts))
        for step in steps:
            one = replace(step, group="the ledger")
            yield self._statement(one, when="only when it is missing")

    def statements(self) -> Iterator[Statement]:
        if self.target.ledger_schema:
            yield from self._ledger_lookup()
            yield from self._record_files()
        yield from self._table()
        staged = self.request.staged
        rows = staged.rows if staged else self.request.rows
        counts_copied = self.renderer.has("copied")
        live = self.request.live
        there = live.order if isinstance(live, LiveTable) else ()
        figures = compared_figures(self.spec, self.renderer, self.target, self.columns)
        in_place = self.request.in_place
        if in_place is not None:
            figures = tuple(figure for figure in figures if figure in in_place.figures)
        has_own = self.renderer.has("copy_in_place")
        loading = Loading(
            self.spec,
            self.slice,
            rows,
            self.staging.format,
            counts_copied,
            self.columns,
            figures,
            there,
            self.request.keys_alike,
            in_place,
            "copy_in_place" if has_own else "copy_parquet",
            self.request.keys_unchecked or in_place is not None,
            self.request.allow_shrink,
        )
        nothing = self.request.no_partitions
        work = [] if nothing else list(steps(loading, full_refresh=self.request.full_refresh))
        if work:
            yield from self.hooks("before", "inside")
        for step in work:
            yield self._statement(step)
        if not nothing:  # rows that an empty load keeps are checked too
            yield from self.checks()
        if work:
            yield from self.hooks("after", "inside")
        if self.target.ledger_schema:
            why, group = (
                "its id commits together with its rows: exactly once",
                "record the load in the ledger",
            )
            counted = find_counts(work)
            text = any(step.template == "insert_fields" for step in work)
            facts = {
                "counts": MERGE_COUNTS if counted else None,
                "counted": counted,
                "fields": FIELDS if text else None,
            }
            if self.renderer.has("table_ledger_insert"):
                name, template = "record the load for the table", "table_ledger_insert"
                yield self._statement(Step(name, why, template, facts=facts, group=group))
                why = "for `loader history`; no load reads it"
            step = Step("record the load", why, "ledger_insert", facts=facts, group=group)
            yield self._statement(step)
        for step in clean_up(work):
            yield self._statement(step)

    def outside(self) -> Iterator[Statement]:
        """The changes of the live table that do not run inside the transaction."""
        steps = list(widen(self.spec, self.additions))
        if self.renderer.dialect.alter_blocks_readers:
            steps += alter(self.spec, self.renderer, self.additions)
        for step in steps:
            yield self._outside(step)

    @cached_property
    def staging(self) -> Staging:
        """How the rows are staged for this warehouse."""
        return resolve_staging(self.spec, self.renderer)

    @property
    def _files(self) -> str:
        """The staged files, as a pattern."""
        suffix = ".arrow" if self.staging.format == "arrow" else ""
        return f"{self.prefix}/part-*{suffix}"

    @cached_property
    def additions(self) -> tuple[Difference, ...]:
        """The changes of the live table that the load needs first."""
        live = self.request.live
        if not isinstance(live, LiveTable):
            return ()
        return additions(self.spec, self.renderer, live, self.drift)

    @property
    def evolution(self) -> Evolution:
        """The columns that the load changes."""
        return Evolution(self._changed("add column"), self._changed("widen column"))

    def _changed(self, kind: Kind) -> tuple[str, ...]:
        return tuple(one.column for one in self.additions if one.kind == kind and one.column)

    def _ledger_lookup(self) -> Iterator[Statement]:
        group = "lock the table, and look for this load in the ledger"
        if self.renderer.has("lock"):
            why = "loads of one table wait for each other; readers never wait"
            step = Step("lock the ledger of the table", why, "lock", "lock", group=group)
            yield self._statement(step)
        else:
            group = "look for this load in the ledger"
        why = "a committed load is not repeated"
        found = NotLoaded()
        yield self._statement(
            Step("look for this load", why, "ledger_find", "find_load", group=group, expects=found)
        )

    @property
    def files(self) -> FilesOfLoad | None:
        """The files that the load records; in a preview those that the spec names."""
        request, source = self.request, self.spec.source
        if request.files is not None or not source.files:
            return request.files
        seen = request.present is not None or request.rows is not None or request.staged is not None
        preview = request.load_id == PREVIEW_LOAD_ID and not seen
        return FilesOfLoad((), once=source.load == "new") if preview else None

    def _record_files(self) -> Iterator[Statement]:
        files, group = self.files, "record the files in the ledger"
        if files is None:
            return
        whole = self.request.full_refresh or (
            self.slice is None and self.spec.write_disposition == "replace"
        )
        facts = {
            "known": files.known,
            "partitions": files.partitions,
            "whole": files.whole or (whole and not self.request.no_partitions),
        }
        why = "they commit together with their rows"
        for part in _split(files.files):
            step = Step("record the files", why, "files_insert", facts={"files": part}, group=group)
            yield self._statement(step)
        if files.once:
            name, why = "look for files loaded meanwhile", "each file is loaded once"
            expects = FilesNotLoaded()
            yield self._statement(
                Step(name, why, "files_loaded", "verify", facts, group=group, expects=expects)
            )
        why = "the ledger knows which files the rows of the table are from"
        name = "note which files are replaced"
        yield self._statement(Step(name, why, "files_replace", facts=facts, group=group))

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
        if self.request.order and self.columns != in_order(self.columns, live.order):
            raise PlanError(
                f"the columns of {self.spec.table} have changed since its rows were staged",
                hint="load again: rows are staged in the order of the live table's columns",
                transient=True,
            )
        if self.renderer.dialect.alter_blocks_readers:
            return
        for step in alter(self.spec, self.renderer, self.additions):
            yield self._statement(step)

    def checks(self) -> Iterator[Statement]:
        for check in self.spec.checks:
            yield self._statement(check_step(self.spec, check))

    def _statement(self, step: Step, *, when: str | None = None) -> Statement:
        statement = statement_of(step, self.spec, self.renderer, self._facts, when=when)
        return replace(statement, attached=self._files) if step.attaches else statement

    def _outside(self, step: Step) -> Statement:
        return statement_of(step, self.spec, self.renderer, self._facts, inside=False)

    @cached_property
    def _facts(self) -> Mapping[str, object]:
        spec = self.spec
        return {
            **table_facts(spec, self.target),
            "columns": self.columns,
            "keys": spec.primary_key,
            "slice": self.slice,
            "compression": self.staging.compression,
            "disposition": "replace" if self.request.full_refresh else spec.write_disposition,
            "null_marker": "\\N",
            "load": self._load_facts(),
            "version": self.request.version,
            "file_ledger": file_ledger(
                self.target.ledger_schema,
                Table(spec.schema_name, spec.name),
                per_table=self.renderer.has("table_ledger_create"),
            ),
        }

    def _columns_changed(self) -> str | None:
        """The columns that the load added or widened, as JSON; None when there are none."""
        changes = vars(self.request.evolved + self.evolution)
        found = {change: columns for change, columns in changes.items() if columns}
        return json.dumps(found, ensure_ascii=False) if found else None

    def _load_facts(self) -> Mapping[str, object]:
        staged, known = self.request.staged, self.request.in_place
        return {
            "id": self.request.load_id,
            "slice": ledger_slice(self.slice),
            "rows": self.request.rows
            if staged is None and self.request.rows is not None
            else staged.rows
            if staged and staged.rows is not None
            else Unknown("rows staged"),
            "bytes": staged.bytes if staged else known.bytes if known else Unknown("bytes staged"),
            "files": staged.files
            if staged
            else len(known.uris)
            if known
            else Unknown("files staged"),
            "figures": ledger_figures(staged.statistics)
            if staged
            else Unknown("figures of the columns"),
            "columns_changed": self._columns_changed(),
            "rejected": staged.rows_rejected if staged else Unknown("rows rejected"),
            "rejects": ledger_rejects(staged) if staged else Unknown("rejected rows"),
            "manifest": f"{self.prefix}/manifest.json" if staged is None or staged.files else None,
            "files_glob": self._files,
            "uris": known.uris if known else (),
            "iam_role": self.target.iam_role,
        }
