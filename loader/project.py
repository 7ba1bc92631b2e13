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
from loader.errors import PlanError
from loader.executor.context import TargetContext, make_target
from loader.executor.request import choose_slice, make_request
from loader.executor.results import CheckResult, LoadResult, OnProgress
from loader.plan.chosen_slice import full_refresh_conflict
from loader.plan.live_table import Live
from loader.plan.load_plan import plan_load
from loader.plan.model import PREVIEW_LOAD_ID, LoadRequest, Plan, Target
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

    from loader.data.chunk import Frame
    from loader.data.source_files import SourceFiles
    from loader.executor.apply import OnChange
    from loader.executor.backups import CleanedBackups
    from loader.executor.history import LedgerEntry, LedgerFile
    from loader.executor.read_rejects import RejectedRows
    from loader.executor.run import OnTable, OnTableProgress, RunResult
    from loader.executor.source import Selected
    from loader.plan.review import Review
    from loader.staging.clean import Cleaned
    from loader.warehouse.adapter import Adapter

# ruff: noqa: PLC0415  # methods import on demand: plans do not need these slow modules


class Project:
    """Specs, templates and targets.

    Without ``root`` or ``targets`` the settings are those of the nearest project file; ``specs``
    and ``templates`` replace its folders. Common arguments of the methods:

    - ``spec``: a `TableSpec`, or its asset key or ``schema.table``.
    - ``partition``: a key, a range ``A..B``, a mapping by dimension, or a list of these; for loads
      also ``"auto"``, the partitions found in the data. None is the whole table; in the plan of a
      partitioned table it is a placeholder.
    - ``target``: the name of a target; None is the target that LOADER_TARGET names, or else the
      project's default target.
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
        return cls.of(find_config(Path(start) if start is not None else None), forks=forks)

    @classmethod
    def of(cls, config: Config, *, forks: bool = False) -> Project:
        """A project with the given settings."""
        project = cls.__new__(cls)
        project.config = config
        project._forks = forks
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

    def _spec(self, spec: TableSpec | str) -> TableSpec:
        return self.spec(spec) if isinstance(spec, str) else spec

    def slice(self, spec: TableSpec | str, partition: Request | None) -> Slice | None:
        """The slice of a table that a partition request names; None names the whole table."""
        return choose_slice(self._spec(spec), partition)

    def plan(
        self,
        spec: TableSpec | str,
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
        spec = self._spec(spec)
        place = self.place(target)
        request = make_request(spec, partition, load_id, full_refresh=full_refresh)
        if frame is not None:
            from loader.executor.in_place import Place
            from loader.executor.load import with_data
            from loader.executor.source import open_for_plan

            adapter = get_adapter(self.config.settings(target, preview=True).type)
            request, frame = open_for_plan(spec, frame, request, self.config.root)
            request = with_data(spec, request, frame, Place(adapter, self.renderer(target), place))
        return plan_load(spec, self.renderer(target), place, request)

    def source(
        self, spec: TableSpec | str, *, reload: bool = False, in_place: bool = False
    ) -> SourceFiles:
        """The files that a spec names in its ``source``, as the data of a load or a plan.

        With ``load: new`` in the spec, `load` loads those that the ledger does not know; with
        ``reload`` all of them. `PlanError` if the spec names no files.
        """
        from loader.executor.source import own_source

        return own_source(self._spec(spec), self.config.root, reload=reload, in_place=in_place)

    def script(self, plan: Plan) -> str:
        """A plan as a script for psql or the DuckDB shell, which stops where a check fails.

        ``plan.sql`` has the statements as Loader runs them; it looks at their answers itself.
        """
        from loader.plan.script import load_script

        return load_script(plan, self.renderer(plan.target.name))

    def load(
        self,
        spec: TableSpec | str,
        frame: object,
        partition: Request | None = None,
        *,
        target: str | None = None,
        full_refresh: bool = False,
        allow_shrink: bool = False,
        load_id: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> LoadResult:
        """Stage a frame and load it in one verified transaction; an error leaves the table as is.

        A ``load_id`` that is already in the ledger is skipped. ``allow_shrink`` loads although the
        spec's guards say that too many rows are lost, which is a warning then. ``on_progress`` is
        called with a `Progress` after each step.
        """
        from loader.executor.load import Load

        spec = self._spec(spec)
        context = self.context(target)
        chosen = load_id if load_id is not None else str(uuid.uuid4())
        request = make_request(spec, partition, chosen, full_refresh=full_refresh)
        request = replace(request, run=uuid.uuid4().hex[:12], allow_shrink=allow_shrink)
        resumes, report = load_id is not None, on_progress or (lambda _: None)
        return Load(spec, request, context, resumes, report).run(frame)

    def run(
        self,
        select: str | Sequence[str] = (),
        partition: Request | None = None,
        *,
        target: str | None = None,
        jobs: int | None = None,
        full_refresh: bool = False,
        allow_shrink: bool = False,
        reload: bool = False,
        dry_run: bool = False,
        on_table: OnTable | None = None,
        on_progress: OnTableProgress | None = None,
    ) -> RunResult:
        """Load every selected table from the files or the query of its spec, several at a time.

        ``select`` is as for `Catalog.select`, by default all tables; specs without either are
        skipped. ``partition`` is for partitioned tables. A table that fails does not stop the
        others: its error is in the result. ``reload`` loads all files, also those that the ledger
        knows; ``allow_shrink`` is as for `load`. With ``dry_run`` nothing is loaded; the result
        says what would be. ``on_table`` is called when a table is done, with the number of all;
        ``on_progress`` with the name of a table after each step of its load, in the thread that
        loads it.
        """
        from loader.executor.load import Load
        from loader.executor.run import JOBS, RunResult, plan_table, run_tables
        from loader.executor.source import find_runnable, own_source, select_files
        from loader.executor.source_query import partition_of_run

        if full_refresh and partition is not None:
            raise full_refresh_conflict()
        started = time.perf_counter()
        words = [select] if isinstance(select, str) else list(select)
        specs, skipped = find_runnable(self.catalog.select(words), words)
        if partition is not None and len(specs) > 1 and not any(s.partition_by for s in specs):
            raise PlanError(
                "partitions are given, but no selected table has some", hint="remove --partition"
            )
        context = self.context(target)

        def given(spec: TableSpec) -> Request | None:
            found = partition if spec.partition_by or len(specs) == 1 else None
            if spec.source.query is None:
                return found
            return partition_of_run(spec, found, full_refresh=full_refresh)

        def make(spec: TableSpec) -> LoadRequest:
            request = make_request(spec, given(spec), str(uuid.uuid4()), full_refresh=full_refresh)
            return replace(request, run=uuid.uuid4().hex[:12], allow_shrink=allow_shrink)

        def source(spec: TableSpec) -> SourceFiles:
            return own_source(spec, self.config.root, reload=reload)

        def load(spec: TableSpec, report: OnProgress) -> LoadResult:
            data = source(spec) if spec.source.query is None else self.open_query(spec, given(spec))
            return Load(spec, make(spec), context, False, report).run(data)

        def plan(spec: TableSpec) -> Selected | LoadRequest:
            if spec.source.query is not None:
                return make(spec)
            return select_files(spec, source(spec), make(spec), context)

        if dry_run:
            tables = tuple(plan_table(spec, plan) for spec in specs)
        else:
            tables = run_tables(
                specs,
                load,
                jobs=jobs or JOBS,
                on_table=on_table or (lambda _, __: None),
                on_progress=on_progress or (lambda _, __: None),
            )
        return RunResult(tables, time.perf_counter() - started, skipped)

    def open_query(
        self,
        spec: TableSpec | str,
        partition: Request | None = None,
        *,
        query: str | None = None,
        connection: str | None = None,
    ) -> Frame:
        """Run the query of a spec's source; its rows are a frame for `load`, in constant memory.

        ``query`` and ``connection`` replace those of the spec; a connection is the name of one in
        the settings, or a URL. Parameters such as ``:start`` get the values of the partitions.
        `PlanError` if there is no query, or it does not fit the table or the partitions;
        `SourceError` if the database cannot be reached, or refuses it.
        """
        from loader.executor.source_query import open_source_query

        return open_source_query(self._spec(spec), partition, self.config, query, connection)

    @overload
    def read(
        self,
        spec: TableSpec | str,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        where: str | None = None,
        as_: Literal["pandas", "polars", "arrow", "batches"] = "pandas",
        target: str | None = None,
    ) -> pd.DataFrame | pl.DataFrame | pa.Table | pa.RecordBatchReader: ...

    @overload
    def read(
        self,
        spec: TableSpec | str,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        where: str | None = None,
        as_: Literal["spark"],
        target: str | None = None,
        spark: SparkSession | None = None,
    ) -> SparkFrame: ...

    def read(
        self,
        spec: TableSpec | str,
        partition: Request | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        where: str | None = None,
        as_: str = "pandas",
        target: str | None = None,
        spark: SparkSession | None = None,
    ) -> Any:
        """Read a table, or a slice of it, with the spec's types.

        ``columns`` selects and orders the columns, default all; ``limit`` is the maximum number of
        rows, any of them; ``where`` is a SQL condition that they fulfil. ``as_="batches"`` returns
        a stream, in constant memory. ``as_="spark"`` returns a DataFrame of the session ``spark``,
        default the active one; its executors read files in the staging location, which `clean`
        removes after some days.
        """
        from loader.executor.read import Reading

        spec = self._spec(spec)
        chosen = choose_slice(spec, partition)
        statement = plan_read(spec, self.renderer(target), chosen, columns, limit, where)
        reading = Reading(spec, statement, chosen, columns, limit, where, self.context(target))
        return reading.read(as_, spark)

    def check(
        self, spec: TableSpec | str, partition: Request | None = None, *, target: str | None = None
    ) -> list[CheckResult]:
        """Run the spec's checks on the table; failed checks come with rows that violate them."""
        from loader.executor.checks import run_checks

        spec = self._spec(spec)
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
        self,
        spec: TableSpec | str,
        partitions: Iterable[Request | None],
        *,
        target: str | None = None,
    ) -> list[int]:
        """Count the table's rows in each of the given slices; None is the whole table."""
        from loader.executor.checks import count_rows

        spec = self._spec(spec)
        slices = [
            None if partition is None else make_slice(spec.dimensions, partition)
            for partition in partitions
        ]
        return count_rows(spec, slices, self.context(target))

    def history(
        self,
        select: str | Sequence[str] | None = None,
        limit: int = 20,
        *,
        target: str | None = None,
    ) -> list[LedgerEntry]:
        """The latest loads of a target, or of the tables that match ``select``."""
        from loader.executor.history import read_history

        return read_history(self.context(target), self._tables(select), limit)

    def history_files(
        self,
        select: str | Sequence[str] | None = None,
        limit: int = 20,
        *,
        target: str | None = None,
    ) -> list[LedgerFile]:
        """The files of the latest loads of a target, or of the tables that match ``select``."""
        from loader.executor.history import read_files

        return read_files(self.context(target), self._tables(select), limit)

    def _tables(self, select: str | Sequence[str] | None) -> list[Table]:
        words = [select] if isinstance(select, str) else list(select or ())
        specs = [entry.spec for entry in self.catalog.select(words)] if words else []
        return [Table(spec.schema_name, spec.name) for spec in specs if spec is not None]

    def rejects(
        self,
        select: str | Sequence[str] = (),
        *,
        load_id: str | None = None,
        limit: int = 20,
        target: str | None = None,
    ) -> list[RejectedRows]:
        """The rows that the last load with rejected rows of each selected table has set aside.

        ``select`` is as for `Catalog.select`, by default all tables; those without rejected rows
        are left out. ``load_id`` means the load with this id instead of the last one. Why rows were
        rejected comes from the ledger. The rows, at most ``limit`` of each table, come from the
        staging location, as do those of loads that failed; `clean` removes them after some days.
        """
        from loader.executor.read_rejects import find_rejects

        words = [select] if isinstance(select, str) else list(select)
        specs = [entry.spec for entry in self.catalog.select(words) if entry.spec is not None]
        return find_rejects(specs, self.context(target), load_id, limit)

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
