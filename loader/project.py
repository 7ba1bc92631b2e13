"""A project: its specs, templates and targets, and what can be done with them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from loader.config import Config, TargetSettings, find_config, given_config
from loader.executor.context import TargetContext, make_target
from loader.executor.request import choose_slice, make_request
from loader.executor.results import CheckResult, LoadResult, OnProgress
from loader.plan.live_table import Live
from loader.plan.load_plan import plan_load
from loader.plan.model import PREVIEW_LOAD_ID, Plan, Target
from loader.plan.read_plan import plan_read
from loader.plan.table_changes import TableChange, allowed
from loader.spec.catalog import Catalog, read_catalog
from loader.spec.model import TableSpec
from loader.spec.partitions import Request, Slice, make_slice
from loader.sql.renderer import Renderer, Table, Template
from loader.sql.templates import read_templates
from loader.warehouse.registry import adapters_for, get_adapter

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from loader.executor.apply import OnChange
    from loader.executor.backups import CleanedBackups
    from loader.executor.history import LedgerEntry
    from loader.plan.review import Review
    from loader.staging.clean import Cleaned
    from loader.warehouse.adapter import Adapter

# ruff: noqa: PLC0415  # plans need nothing of what methods import, and it is slow to import


class Project:
    """Specs, templates and targets.

    Without ``root`` or ``targets`` the settings are those of the nearest project file; ``specs``
    and ``templates`` replace its folders. Arguments that methods share: ``partition`` is a key, a
    range ``A..B``, a mapping by dimension, a list of these, or, of loads, ``"auto"`` for exactly
    the partitions found in the data; None is the whole table, and in plans of tables that need a
    partition a placeholder. ``target`` is a target's name, default the project's own. ``frame`` is
    anything with ``__arrow_c_stream__``, a pandas or Polars frame, a record batch reader, a
    dataset, or an iterable of these, which is streamed.

    Errors: `ConfigError` where settings are wrong, `PlanError` where what is asked for is not
    possible, `TemplateError` where a template is broken, `FrameError` where data does not fit,
    `StageError` where files cannot be staged, `ExecuteError` where the warehouse refuses.
    """

    _forks = False

    def __init__(
        self,
        specs: str | os.PathLike[str] | None = None,
        templates: str | os.PathLike[str] | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        targets: Mapping[str, Mapping[str, Any] | TargetSettings] | None = None,
        target: str | None = None,
    ) -> None:
        self.config = given_config(specs, templates, root, targets, target)

    @classmethod
    def find(cls, start: str | os.PathLike[str] | None = None, *, forks: bool = False) -> Project:
        """The project of the nearest settings file at or above a folder, default the working one.

        ``forks`` lets all cores read very many specs: for programs of one thread.
        """
        project = cls.of(find_config(Path(start) if start is not None else None))
        project._forks = forks
        return project

    @classmethod
    def of(cls, config: Config) -> Project:
        """The project of settings that are at hand."""
        project = cls.__new__(cls)
        project.config = config
        return project

    @cached_property
    def catalog(self) -> Catalog:
        """All specs, read once."""
        return read_catalog(self.config.specs, self.config.root, forks=self._forks)

    def spec(self, name: str) -> TableSpec:
        """The spec of an asset key, ``schema.table``, or spec file; `SpecError` if it is wrong."""
        found = self.catalog.one(name).spec
        assert found is not None, "the catalog raises for broken entries"
        return found

    @property
    def adapters(self) -> tuple[Adapter[Any], ...]:
        """Loader's own warehouses, and those of the project's targets that others have made."""
        written = (self.config.written(name) for name in self.config.targets)
        return adapters_for(str(target.get("type")) for target in written)

    def renderer(self, target: str | None = None) -> Renderer:
        """The templates in the dialect of a target, read and compiled once."""
        settings = self.config.settings(target, preview=True)
        adapter = get_adapter(settings.type)
        key = (settings.type, adapter.catalog(settings, self.config.root))
        if key not in self._renderers:
            templates = read_templates(self.config.templates, adapter.templates)
            self._renderers[key] = Renderer(templates, adapter.dialect, key[1], time.thread_time)
        return self._renderers[key]

    @cached_property
    def _renderers(self) -> dict[tuple[str, str], Renderer]:
        return {}

    @property
    def templates(self) -> Mapping[str, Template]:
        """The templates, the project's own over Loader's."""
        folders = (adapter.templates for adapter in self.adapters)
        return read_templates(self.config.templates, *folders)

    def place(self, target: str | None = None) -> Target:
        """What plans need to know of a target; the secrets in its settings are not read."""
        return make_target(self.config, self.config.settings(target, preview=True), target)

    def context(self, target: str | None = None) -> TargetContext:
        """A target with all that runs on it needs; connects to nothing."""
        settings = self.config.settings(target)
        place = make_target(self.config, settings, target)
        return TargetContext(settings, place, self.renderer(target), self.config.root)

    def slice(self, spec: TableSpec, partition: Request | None) -> Slice | None:
        """The slice of a table that a partition request names; None names the whole table."""
        return choose_slice(spec, partition)

    def plan(
        self,
        spec: TableSpec,
        partition: Request | None = None,
        *,
        target: str | None = None,
        full_refresh: bool = False,
        load_id: str = PREVIEW_LOAD_ID,
        frame: object = None,
    ) -> Plan:
        """What a load would run, without looking at the warehouse: no network, no credentials.

        A ``frame`` is read and held against the spec, and not written.
        """
        place = self.place(target)
        request = make_request(spec, partition, load_id, full_refresh=full_refresh)
        if frame is not None:
            from loader.executor.load import with_data

            request = with_data(spec, request, frame, self.renderer(target).dialect)
        return plan_load(spec, self.renderer(target), place, request)

    def load(
        self,
        spec: TableSpec,
        frame: object,
        partition: Request | None = None,
        *,
        target: str | None = None,
        full_refresh: bool = False,
        load_id: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> LoadResult:
        """Stage a frame and load it in one verified transaction; after an error all is as it was.

        A load whose ``load_id`` the ledger has is not done again; ``on_progress`` is told of each
        step.
        """
        from loader.executor.load import Load

        context = self.context(target)
        chosen = load_id if load_id is not None else str(uuid.uuid4())
        request = make_request(spec, partition, chosen, full_refresh=full_refresh)
        request = replace(request, run=uuid.uuid4().hex[:12])
        resumes, report = load_id is not None, on_progress or (lambda _: None)
        return Load(spec, request, context, resumes, report).run(frame)

    def read(
        self,
        spec: TableSpec,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        as_: Literal["pandas", "polars", "arrow", "batches"] = "pandas",
        target: str | None = None,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table | pa.RecordBatchReader:
        """Read the table, or a slice of it, in the spec's types.

        ``columns`` are read in their order, default all; ``limit`` is the most rows, the warehouse
        chooses which; ``as_="batches"`` is a stream, in constant memory.
        """
        from loader.executor.read import Reading

        chosen = choose_slice(spec, partition)
        statement = plan_read(spec, self.renderer(target), chosen, columns, limit)
        return Reading(spec, statement, chosen, columns, limit, self.context(target)).read(as_)

    def check(
        self, spec: TableSpec, partition: Request | None = None, *, target: str | None = None
    ) -> list[CheckResult]:
        """What the spec's checks find in the table, and rows that break those that do not hold."""
        from loader.executor.checks import run_checks

        return run_checks(spec, choose_slice(spec, partition), self.context(target))

    def clean(
        self,
        older_than: timedelta | None = None,
        *,
        dry_run: bool = False,
        target: str | None = None,
    ) -> Cleaned:
        """Remove staged files of runs that wrote nothing for ``older_than``, by default seven days.

        With ``dry_run`` it only tells what would be removed.
        """
        from loader.staging.clean import DEFAULT_AGE, clean

        age = DEFAULT_AGE if older_than is None else older_than
        return clean(self.context(target).staging_store, age, dry_run=dry_run)

    def clean_backups(
        self,
        older_than: timedelta | None = None,
        *,
        dry_run: bool = False,
        target: str | None = None,
    ) -> CleanedBackups:
        """Drop the tables that rebuilds have kept for ``older_than``, by default seven days.

        With ``dry_run`` it only says what would be dropped.
        """
        from loader.executor.backups import clean_backups
        from loader.staging.clean import DEFAULT_AGE

        age = DEFAULT_AGE if older_than is None else older_than
        return clean_backups(self.context(target), age, dry_run=dry_run)

    def count(
        self, spec: TableSpec, partitions: Iterable[Request], *, target: str | None = None
    ) -> list[int]:
        """How many rows the table has in each of some slices."""
        from loader.executor.checks import count_rows

        slices = [make_slice(spec.dimensions, partition) for partition in partitions]
        return count_rows(spec, slices, self.context(target))

    def history(
        self, select: str | None = None, limit: int = 20, *, target: str | None = None
    ) -> list[LedgerEntry]:
        """The newest loads of a target, or of the tables that ``select`` names."""
        from loader.executor.history import read_history

        specs = [entry.spec for entry in self.catalog.select([select])] if select else []
        tables = [Table(spec.schema_name, spec.name) for spec in specs if spec is not None]
        return read_history(self.context(target), tables, limit)

    def live(self, schema: str, name: str, *, target: str | None = None) -> Live:
        """What the warehouse has under the name of a table."""
        from loader.executor.review import inspect_table

        return inspect_table(Table(schema, name), self.context(target))

    def changes(
        self, specs: Sequence[TableSpec], *, target: str | None = None
    ) -> list[TableChange]:
        """What would make live tables what their specs say: `find_changes` on a target."""
        from loader.executor.review import find_changes

        return find_changes(specs, self.context(target))

    def review(
        self,
        specs: Sequence[TableSpec],
        partition: Request | None = None,
        *,
        target: str | None = None,
        full_refresh: bool = False,
        load_id: str = PREVIEW_LOAD_ID,
        frame: object = None,
    ) -> list[Review]:
        """What loads would run, held against live tables: `review_loads` on a target."""
        from loader.executor.review import review_loads

        return review_loads(
            specs, partition, self.context(target), load_id, full_refresh=full_refresh, frame=frame
        )

    def apply(
        self,
        changes: Iterable[TableChange],
        *,
        allow_destructive: Sequence[str] = (),
        assume_no_policies: bool = False,
        drop_old: bool = False,
        target: str | None = None,
        on_statement: OnChange | None = None,
    ) -> list[TableChange]:
        """Make live tables what their specs say, each in a transaction of its own.

        ``changes`` are what `changes` found, ``allow_destructive`` globs of tables whose changes
        may lose something. A table is not rebuilt where policies may be attached to it, unless
        ``assume_no_policies`` says that there are none. ``drop_old`` drops what a rebuild keeps of
        a table. ``on_statement`` is told of each statement before it runs. Returns the changes that
        were made; when a table fails, `ApplyError` says what was done before it.
        """
        from loader.executor.apply import apply_all

        context = self.context(target)
        pending = allowed(changes, allow_destructive, assume_no_policies=assume_no_policies)
        return apply_all(
            pending, context.warehouse, context.renderer, on_statement, drop_old=drop_old
        )
