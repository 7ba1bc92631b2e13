"""A project: its specs, templates and targets, and what can be done with them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from loader.config import Config, DuckDBTarget, TargetSettings, find_config
from loader.errors import ConfigError, PlanError
from loader.executor.results import CheckResult, LoadResult, OnProgress
from loader.plan.ddl import table_of
from loader.plan.live_table import Live, LiveTable
from loader.plan.load_plan import full_refresh_conflict, plan_checks, plan_load
from loader.plan.model import PREVIEW_LOAD_ID, LoadRequest, Plan, Target
from loader.plan.read_plan import plan_counts, plan_read
from loader.plan.review import Review, deletes, live_for_load
from loader.plan.table_changes import (
    Question,
    TableChange,
    allowed,
    is_complete,
    plan_change,
    questions,
)
from loader.spec.catalog import Catalog, read_catalog
from loader.spec.model import TableSpec
from loader.spec.partitions import Request, Slice, make_slice
from loader.sql import dialects
from loader.sql.dialects.duckdb import catalog_name
from loader.sql.renderer import Renderer, Table, Template
from loader.sql.templates import read_templates
from loader.version import version

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from loader.executor.apply import OnChange
    from loader.executor.history import LedgerEntry
    from loader.staging.clean import Cleaned

AUTO = "auto"
"""As a partition: exactly the partitions found in the data."""


class Project:
    """Specs, templates and targets.

    Without ``root`` or ``targets`` the settings are those of the nearest project file; ``specs``
    and ``templates`` replace its folders.
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
        self.config = _configured(specs, templates, root, targets, target)

    @classmethod
    def find(cls, start: str | os.PathLike[str] | None = None, *, forks: bool = False) -> Project:
        """The project of the nearest settings file at or above a folder.

        Args:
            start: The folder; default the working one.
            forks: Let all cores read very many specs; for programs of one thread.

        Raises:
            ConfigError: there is none, or it is wrong.
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
        """The spec of an asset key, ``schema.table``, or spec file.

        Raises:
            PlanError: there is none; with the nearest names.
            SpecError: its file is wrong.
        """
        found = self.catalog.one(name).spec
        assert found is not None, "the catalog raises for broken entries"
        return found

    def renderer(self, target: str | None = None) -> Renderer:
        """The templates, the project's own over Loader's, in the dialect of a target.

        They are read and compiled once, as the specs are.
        """
        settings = self.config.settings(target, preview=True)
        catalog = ""
        if isinstance(settings, DuckDBTarget):
            # By its real name, as the file is opened.
            path = Path(os.path.realpath(self.config.root / settings.database))
            catalog = catalog_name(path.name)
        place = (settings.type, catalog)
        if place not in self._renderers:
            templates = read_templates(self.config.templates)
            dialect = dialects.get(settings.type)
            self._renderers[place] = Renderer(templates, dialect, catalog, time.thread_time)
        return self._renderers[place]

    @cached_property
    def _renderers(self) -> dict[tuple[str, str], Renderer]:
        return {}

    @property
    def templates(self) -> Mapping[str, Template]:
        """The templates, the project's own over Loader's."""
        return read_templates(self.config.templates)

    def place(self, target: str | None = None) -> Target:
        """What plans need to know of a target; the secrets in its settings are not read."""
        return self._target(target, self.config.settings(target, preview=True))

    def slice(self, spec: TableSpec, partition: Request | None) -> Slice | None:
        """The slice of a table that a partition request names; None names the whole table.

        Raises:
            PlanError: the table has no partitions, or the request does not parse.
        """
        if partition is None:
            return None
        if not spec.partition_by:
            raise PlanError(
                f"{spec.table} has no partitions, and one was asked for",
                hint="leave the partition out, or add partition_by to the spec",
            )
        return make_slice(spec.dimensions, partition)

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

        Args:
            spec: The table.
            partition: The partitions to be loaded; a placeholder when the table needs one.
            target: Where to; default the project's own target.
            full_refresh: Replace the whole table.
            load_id: The id of the load; a placeholder by default.
            frame: The data to be loaded; it is read and held against the spec, and not written.

        Raises:
            ConfigError, PlanError, TemplateError: it cannot be planned.
            FrameError: the data does not fit.
        """
        settings = self.config.settings(target, preview=True)
        request, auto = self._request(spec, partition, full_refresh, load_id)
        if frame is not None:
            from loader.executor.load import with_data  # noqa: PLC0415  # pyarrow is slow to import

            dialect = self.renderer(target).dialect
            request = with_data(spec, request, frame, dialect, auto=auto)
        return plan_load(spec, self.renderer(target), self._target(target, settings), request)

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
        """Stage a frame and load it in one verified transaction.

        Args:
            spec: The table.
            frame: Anything with ``__arrow_c_stream__``, a pandas or Polars frame, a record batch
                reader, a dataset, or an iterable of these, which is streamed.
            partition: Key, range ``A..B``, mapping by dimension, list of these, or ``"auto"`` for
                the partitions found in the data.
            target: Where to; default the project's own target.
            full_refresh: Replace the whole table, partitioned or not.
            load_id: An id of the caller's; a load whose id the ledger has is not done again.
            on_progress: Told of every step.

        Raises:
            PlanError: what is asked for is not possible.
            FrameError: the data does not fit; nothing was written.
            ExecuteError: the warehouse refused; the table is as it was.
        """
        from loader.executor.load import Load  # noqa: PLC0415  # pyarrow is slow to import, plan needs none

        settings = self.config.settings(target)
        chosen = load_id if load_id is not None else str(uuid.uuid4())
        request, auto = self._request(spec, partition, full_refresh, chosen)
        return Load(
            spec=spec,
            request=replace(request, run=uuid.uuid4().hex[:12]),
            settings=settings,
            target=self._target(target, settings),
            renderer=self.renderer(target),
            root=self.config.root,
            auto=auto,
            resumes=load_id is not None,
            on_progress=on_progress or (lambda _: None),
        ).run(frame)

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

        Args:
            spec: The table.
            partition: As for `load`, without ``"auto"``; None reads the whole table.
            columns: Which columns, in this order; default all.
            limit: The most rows to read; which ones is the warehouse's choice.
            as_: What to make of it; ``batches`` is a stream, in constant memory.
            target: Where from; default the project's own target.

        Raises:
            PlanError: a partition or column is unknown, or there is no such form.
            ExecuteError: the table is not there, or cannot be read.
        """
        from loader.executor.read import Reading  # noqa: PLC0415  # pyarrow is slow to import

        renderer = self.renderer(target)
        chosen = self.slice(spec, partition)
        statement = plan_read(spec, renderer, chosen, columns, limit)
        settings = self.config.settings(target)
        root = self.config.root
        reading = Reading(spec, statement, chosen, columns, limit, settings, root, renderer)
        return reading.read(as_)

    def check(
        self, spec: TableSpec, partition: Request | None = None, *, target: str | None = None
    ) -> list[CheckResult]:
        """What the spec's checks find in a slice of the table, or in all of it.

        Of those that do not hold there are some of the rows that break them.

        Raises:
            PlanError: a partition is unknown.
            ExecuteError: the table is not there, or cannot be read.
        """
        from loader.executor.checks import check  # noqa: PLC0415  # drivers are slow to import

        settings, renderer = self.config.settings(target), self.renderer(target)
        place, chosen = self._target(target, settings), self.slice(spec, partition)
        statements = plan_checks(spec, renderer, place, chosen)
        return check(statements, spec, settings, self.config.root, renderer, chosen)

    def clean(
        self,
        older_than: timedelta | None = None,
        *,
        dry_run: bool = False,
        target: str | None = None,
    ) -> Cleaned:
        """Remove what loads that have ended left in a target's staging location.

        Args:
            older_than: How long a run must not have written anything; longer than any load takes,
                by default seven days.
            dry_run: Only tell what would be removed.
            target: Whose location; default the project's own target.

        Raises:
            ConfigError: the target's settings are wrong.
            StageError: something cannot be listed or removed.
        """
        from loader.staging.clean import DEFAULT_AGE, clean  # noqa: PLC0415  # stores are slow to import
        from loader.staging.stager import open_staging  # noqa: PLC0415

        settings = self.config.settings(target)
        store = open_staging(self._target(target, settings).staging, settings)
        return clean(store, DEFAULT_AGE if older_than is None else older_than, dry_run=dry_run)

    def count(
        self, spec: TableSpec, partitions: Iterable[Request], *, target: str | None = None
    ) -> list[int]:
        """How many rows the table has in each of some slices.

        Raises:
            PlanError: a partition is unknown.
            ExecuteError: the table is not there, or cannot be read.
        """
        from loader.executor.checks import ask, counted  # noqa: PLC0415  # drivers are slow to import

        settings, renderer = self.config.settings(target), self.renderer(target)
        slices = [make_slice(spec.dimensions, partition) for partition in partitions]
        statements = plan_counts(spec, renderer, slices)
        answers = ask(statements, spec, settings, self.config.root, renderer)
        return counted(statements, answers)

    def history(
        self, select: str | None = None, limit: int = 20, *, target: str | None = None
    ) -> list[LedgerEntry]:
        """The newest loads of a target, or of the tables that ``select`` names.

        Raises:
            PlanError: the target has no ledger, or ``select`` names no table.
            ExecuteError: the ledger cannot be read.
        """
        from loader.executor.history import read_history  # noqa: PLC0415  # drivers are slow to import

        settings = self.config.settings(target)
        if not settings.ledger_schema:
            name = target or self.config.target
            raise PlanError(f"the target `{name}` has no ledger", hint="set its ledger_schema")
        entries = self.catalog.select([select]) if select else []
        tables = [table_of(entry.spec) for entry in entries if entry.spec is not None]
        return read_history(settings, self.config.root, self.renderer(target), tables, limit)

    def live(self, schema: str, name: str, *, target: str | None = None) -> Live:
        """What the warehouse has under the name of a table.

        Raises:
            ExecuteError: it cannot be asked.
        """
        from loader.warehouse.base import open_warehouse  # noqa: PLC0415
        from loader.warehouse.introspect import inspect  # noqa: PLC0415  # drivers are slow to import

        warehouse = open_warehouse(self.config.settings(target), self.config.root)
        if not warehouse.exists():
            return "no schema"
        table = Table(schema, name)
        with warehouse.session(write=False) as session:
            return inspect(session, self.renderer(target), [table])[table]

    def changes(
        self, specs: Sequence[TableSpec], *, target: str | None = None
    ) -> list[TableChange]:
        """What would make the live tables what their specs say; only looks, and asks little.

        Args:
            specs: The tables; how many there are does not change how often the warehouse is asked.
            target: Where they are; default the project's own target.

        Raises:
            ExecuteError: the warehouse cannot be asked.
            TemplateError: a template is missing, broken, or would commit by itself.
        """
        renderer = self.renderer(target)
        place = self._target(target, self.config.settings(target))
        looked = self._look(specs, target, lambda spec, live: questions(spec, renderer, live))
        return [
            plan_change(spec, renderer, place, live, answers)
            for spec, (live, answers) in zip(specs, looked, strict=True)
        ]

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
        """What loads would run, held against the live tables; only looks, and asks little.

        Args:
            specs: The tables.
            partition: The partitions to be loaded, where tables have partitions.
            target: Where to; default the project's own target.
            full_refresh: Replace the whole tables.
            load_id: The id of the load; a placeholder by default.
            frame: The data to be loaded, of one table; it is read and not written.

        Raises:
            ConfigError, PlanError, TemplateError: it cannot be planned.
            FrameError: the data does not fit.
            ExecuteError: the warehouse cannot be asked.
        """
        renderer = self.renderer(target)
        place = self._target(target, self.config.settings(target))
        types: Mapping[str, str] = {}
        requests = []
        for spec in specs:
            wanted = partition if spec.partition_by or len(specs) == 1 else None
            request, auto = self._request(spec, wanted, full_refresh, load_id)
            if frame is not None:
                from loader.data.frames import peek  # noqa: PLC0415  # pyarrow is slow to import
                from loader.executor.load import with_data  # noqa: PLC0415

                opened, types = peek(frame)
                request = with_data(spec, request, opened, renderer.dialect, auto=auto)
            requests.append(request)
        counted = {
            spec.table: plan_counts(spec, renderer, [request.slice])[0].sql
            for spec, request in zip(specs, requests, strict=True)
            if deletes(spec, request)
        }

        def wanted_of(spec: TableSpec, live: Live) -> tuple[Question, ...]:
            asked = questions(spec, renderer, live)
            if spec.table in counted and is_complete(spec, live):
                asked = (*asked, Question("deleted", counted[spec.table]))
            return asked

        asked = partition is not None or full_refresh or frame is not None
        reviews = []
        looked = self._look(specs, target, wanted_of)
        for spec, request, (live, answers) in zip(specs, requests, looked, strict=True):
            change = plan_change(spec, renderer, place, live, answers)
            found = live_for_load(change, renderer)
            load = plan_load(spec, renderer, place, replace(request, live=found))
            gone = answers.get("deleted") if isinstance(live, LiveTable) else 0
            reviews.append(Review(change, load, asked, gone, types))
        return reviews

    def _look(
        self,
        specs: Sequence[TableSpec],
        target: str | None,
        wanted: Callable[[TableSpec, Live], tuple[Question, ...]],
    ) -> list[tuple[Live, dict[str, int | None]]]:
        """The live tables of some specs, and the answers of what is asked of each."""
        from loader.warehouse.base import open_warehouse  # noqa: PLC0415
        from loader.warehouse.introspect import ask, inspect  # noqa: PLC0415  # drivers are slow to import

        warehouse = open_warehouse(self.config.settings(target), self.config.root)
        if not warehouse.exists():
            return [("no schema", {}) for _ in specs]
        renderer = self.renderer(target)
        with warehouse.session(write=False) as session:
            found = inspect(session, renderer, [table_of(spec) for spec in specs])
            lives = [found[table_of(spec)] for spec in specs]
            asked = [wanted(spec, live) for spec, live in zip(specs, lives, strict=True)]
            flat = [question.sql for some in asked for question in some]
            answers = iter(ask(session, renderer, flat))
            told = [{question.what: next(answers) for question in some} for some in asked]
        return list(zip(lives, told, strict=True))

    def apply(
        self,
        changes: Iterable[TableChange],
        *,
        allow_destructive: Sequence[str] = (),
        target: str | None = None,
        on_statement: OnChange | None = None,
    ) -> list[TableChange]:
        """Make live tables what their specs say, each in a transaction of its own.

        Args:
            changes: As `changes` found them.
            allow_destructive: Globs of the tables whose changes may lose something.
            target: Where they are; default the project's own target.
            on_statement: Told of each statement before it runs.

        Returns:
            What was done; the tables that needed nothing aside.

        Raises:
            PlanError: something cannot be done, or would lose something and is not allowed;
                nothing was done.
            ApplyError: a table failed; it says what was done before it.
        """
        from loader.executor.apply import apply_all  # noqa: PLC0415  # drivers are slow to import
        from loader.warehouse.base import open_warehouse  # noqa: PLC0415

        warehouse = open_warehouse(self.config.settings(target), self.config.root)
        pending = allowed(changes, allow_destructive)
        return apply_all(pending, warehouse, self.renderer(target), on_statement)

    def _request(
        self, spec: TableSpec, partition: Request | None, full_refresh: bool, load_id: str
    ) -> tuple[LoadRequest, bool]:
        """The inputs of a load's plan, and whether its partitions are to be found in the data."""
        _check_load_id(load_id)
        auto = partition == AUTO and bool(spec.partition_by)
        if auto and full_refresh:
            raise full_refresh_conflict()
        slice_ = None if auto else self.slice(spec, partition)
        request = LoadRequest(
            slice=slice_,
            full_refresh=full_refresh,
            load_id=load_id,
            version=version(),
            auto=auto,
        )
        return request, auto

    def _target(self, name: str | None, settings: TargetSettings) -> Target:
        staging = settings.staging
        if isinstance(settings, DuckDBTarget):
            staging = _near(self.config.root / staging)
        role = "" if isinstance(settings, DuckDBTarget) else settings.iam_role
        return Target(
            name or self.config.target,
            settings.type,
            staging,
            settings.ledger_schema,
            role,
            self.config.verify,
        )


def _near(path: Path) -> str:
    """A path as short as it can be said from here."""
    absolute = path.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _configured(
    specs: str | os.PathLike[str] | None,
    templates: str | os.PathLike[str] | None,
    root: str | os.PathLike[str] | None,
    targets: Mapping[str, Mapping[str, Any] | TargetSettings] | None,
    target: str | None,
) -> Config:
    if root is None and targets is None:
        try:
            found = find_config(Path(specs).resolve() if specs is not None else None)
        except ConfigError:
            if specs is None:
                raise
            found = Config(Path(specs).resolve().parent, Path(specs), None)
    else:
        base = Path(root if root is not None else Path.cwd()).resolve()
        found = Config(base, base / "specs", base / "templates", source="the given targets")
    return replace(
        found,
        specs=Path(specs) if specs is not None else found.specs,
        templates=Path(templates) if templates is not None else found.templates,
        target=target or (next(iter(targets)) if targets else found.target),
        targets=targets if targets is not None else found.targets,
    )


def _check_load_id(load_id: str) -> None:
    if not load_id or len(load_id.encode()) > 128 or "\0" in load_id:
        raise PlanError(
            f"{load_id!r} cannot be a load id", hint="it has 1 to 128 bytes and no NUL character"
        )
