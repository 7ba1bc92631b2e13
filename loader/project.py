"""`Project`: the specs, templates and targets of a project, and the operations on them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from loader.config import Config, TargetSettings, find_config, make_config
from loader.executor.context import TargetContext, make_target
from loader.executor.request import choose_slice, make_request
from loader.executor.results import CheckResult, LoadResult, OnProgress
from loader.plan.live_table import Live
from loader.plan.load_plan import plan_load
from loader.plan.model import PREVIEW_LOAD_ID, Plan, Target
from loader.plan.read_plan import plan_read
from loader.plan.table_changes import TableChange, select_allowed
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
    from pyspark.sql import DataFrame as SparkFrame
    from pyspark.sql import SparkSession

    from loader.executor.apply import OnChange
    from loader.executor.backups import CleanedBackups
    from loader.executor.history import LedgerEntry
    from loader.plan.review import Review
    from loader.staging.clean import Cleaned
    from loader.warehouse.adapter import Adapter

# ruff: noqa: PLC0415  # methods import on demand: plans do not need these slow modules


class Project:
    """Specs, templates and targets.

    Without ``root`` or ``targets`` the settings are those of the nearest project file; ``specs``
    and ``templates`` replace its folders. Common arguments of the methods:

    - ``partition``: a key, a range ``A..B``, a mapping by dimension, or a list of these; for loads
      also ``"auto"``, the partitions found in the data. None is the whole table; in the plan of a
      partitioned table it is a placeholder.
    - ``target``: the name of a target; None is the project's default target.
    - ``frame``: an object with ``__arrow_c_stream__``, a pandas or Polars frame, a record batch
      reader, a dataset, or an iterable of these, which is streamed; or a Spark DataFrame.

    Errors: `ConfigError` for invalid settings, `PlanError` for an impossible request,
    `TemplateError` for an invalid template, `FrameError` for data that does not match its spec,
    `StageError` for files that cannot be staged, `ExecuteError` for a failure of the warehouse.
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
        self.config = make_config(specs, templates, root, targets, target)

    @classmethod
    def find(cls, start: str | os.PathLike[str] | None = None, *, forks: bool = False) -> Project:
        """Find the nearest project, in `start` (default the working directory) or its parents.

        With ``forks`` a large number of specs is read by several processes; single-threaded
        programs only.
        """
        project = cls.of(find_config(Path(start) if start is not None else None))
        project._forks = forks
        return project

    @classmethod
    def of(cls, config: Config) -> Project:
        """A project with the given settings."""
        project = cls.__new__(cls)
        project.config = config
        return project

    @cached_property
    def catalog(self) -> Catalog:
        """All specs, read once."""
        return read_catalog(self.config.specs, self.config.root, forks=self._forks)

    def spec(self, name: str) -> TableSpec:
        """Find a spec by asset key, ``schema.table`` or file; `SpecError` if it is invalid."""
        found = self.catalog.one(name).spec
        assert found is not None, "the catalog raises for broken entries"
        return found

    @property
    def adapters(self) -> tuple[Adapter[Any], ...]:
        """The built-in warehouse adapters, and third-party ones that the targets use."""
        targets = map(self.config.raw_settings, self.config.targets)
        return adapters_for(str(target.get("type")) for target in targets)

    def renderer(self, target: str | None = None) -> Renderer:
        """The template renderer for the dialect of a target; templates are compiled once."""
        settings = self.config.settings(target, preview=True)
        adapter = get_adapter(settings.type)
        dialect = adapter.dialect_of(settings)
        key = (settings.type, adapter.catalog(settings, self.config.root), dialect.share)
        if key not in self._renderers:
            templates = read_templates(self.config.templates, adapter.templates)
            self._renderers[key] = Renderer(templates, dialect, key[1], time.thread_time)
        return self._renderers[key]

    @cached_property
    def _renderers(self) -> dict[tuple[str, str, str], Renderer]:
        return {}

    @property
    def templates(self) -> Mapping[str, Template]:
        """The SQL templates by name; the project's own override Loader's."""
        folders = (adapter.templates for adapter in self.adapters)
        return read_templates(self.config.templates, *folders)

    def place(self, target: str | None = None) -> Target:
        """The facts about a target that plans contain; secrets in its settings are not read."""
        return make_target(self.config, self.config.settings(target, preview=True), target)

    def context(self, target: str | None = None) -> TargetContext:
        """The settings, templates and folder needed to run on a target; does not connect yet."""
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
        """Plan a load without connecting to the warehouse: no network, no credentials.

        A ``frame`` is read and validated against the spec, but not written.
        """
        place = self.place(target)
        request = make_request(spec, partition, load_id, full_refresh=full_refresh)
        if frame is not None:
            from loader.executor.in_place import Place
            from loader.executor.load import with_data

            adapter = get_adapter(self.config.settings(target, preview=True).type)
            request = with_data(spec, request, frame, Place(adapter, self.renderer(target), place))
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
        """Stage a frame and load it in one verified transaction; an error leaves the table as is.

        A ``load_id`` that is already in the ledger is skipped. ``on_progress`` is called with a
        `Progress` after each step.
        """
        from loader.executor.load import Load

        context = self.context(target)
        chosen = load_id if load_id is not None else str(uuid.uuid4())
        request = make_request(spec, partition, chosen, full_refresh=full_refresh)
        request = replace(request, run=uuid.uuid4().hex[:12])
        resumes, report = load_id is not None, on_progress or (lambda _: None)
        return Load(spec, request, context, resumes, report).run(frame)

    @overload
    def read(
        self,
        spec: TableSpec,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        as_: Literal["pandas", "polars", "arrow", "batches"] = "pandas",
        target: str | None = None,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table | pa.RecordBatchReader: ...

    @overload
    def read(
        self,
        spec: TableSpec,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        as_: Literal["spark"],
        target: str | None = None,
        spark: SparkSession | None = None,
    ) -> SparkFrame: ...

    def read(
        self,
        spec: TableSpec,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        as_: str = "pandas",
        target: str | None = None,
        spark: SparkSession | None = None,
    ) -> Any:
        """Read a table, or a slice of it, with the spec's types.

        ``columns`` selects and orders the columns, default all; ``limit`` is the maximum number of
        rows, any of them; ``as_="batches"`` returns a stream, in constant memory. ``as_="spark"``
        returns a DataFrame of the session ``spark``, default the active one; its executors read
        files in the staging location, which `clean` removes after some days.
        """
        from loader.executor.read import Reading

        chosen = choose_slice(spec, partition)
        statement = plan_read(spec, self.renderer(target), chosen, columns, limit)
        return Reading(spec, statement, chosen, columns, limit, self.context(target)).read(
            as_, spark
        )

    def check(
        self, spec: TableSpec, partition: Request | None = None, *, target: str | None = None
    ) -> list[CheckResult]:
        """Run the spec's checks on the table; failed checks come with rows that violate them."""
        from loader.executor.checks import run_checks

        return run_checks(spec, choose_slice(spec, partition), self.context(target))

    def clean(
        self,
        older_than: timedelta | None = None,
        *,
        dry_run: bool = False,
        target: str | None = None,
    ) -> Cleaned:
        """Remove staged files of runs that wrote nothing for ``older_than``, default seven days.

        With ``dry_run`` nothing is removed; the result says what would be.
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
        """Count the table's rows in each of the given slices."""
        from loader.executor.checks import count_rows

        slices = [make_slice(spec.dimensions, partition) for partition in partitions]
        return count_rows(spec, slices, self.context(target))

    def history(
        self, select: str | None = None, limit: int = 20, *, target: str | None = None
    ) -> list[LedgerEntry]:
        """The latest loads of a target, or of the tables that match ``select``."""
        from loader.executor.history import read_history

        specs = [entry.spec for entry in self.catalog.select([select])] if select else []
        tables = [Table(spec.schema_name, spec.name) for spec in specs if spec is not None]
        return read_history(self.context(target), tables, limit)

    def live(self, schema: str, name: str, *, target: str | None = None) -> Live:
        """Describe the live table, or say that the table or its schema does not exist."""
        from loader.executor.review import inspect_table

        return inspect_table(Table(schema, name), self.context(target))

    def changes(
        self, specs: Sequence[TableSpec], *, target: str | None = None
    ) -> list[TableChange]:
        """The changes that would make live tables match their specs."""
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
        """Plan loads and compare the specs with the live tables."""
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
        """Make live tables match their specs, with one transaction for each table.

        ``changes`` come from `changes`. ``allow_destructive`` holds globs of tables whose changes
        may lose data. ``assume_no_policies`` allows rebuilds where policies cannot be seen,
        ``drop_old`` drops the old tables of rebuilds. ``on_statement`` is called before each
        statement. Returns the changes that were made; if a table fails, `ApplyError` lists the
        changes made before it.
        """
        from loader.executor.apply import apply_all

        context = self.context(target)
        pending = select_allowed(changes, allow_destructive, assume_no_policies=assume_no_policies)
        return apply_all(
            pending, context.warehouse, context.renderer, on_statement, drop_old=drop_old
        )
