"""The checks of every target: settings, session, ledger, staging, and loading one row."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from loader.config import Config, TargetSettings
from loader.data.files.open import open_files
from loader.doctor.ledger import make_load_facts
from loader.errors import ConfigError, ExecuteError, LoaderError
from loader.executor.context import TargetContext
from loader.executor.stage import Destination, StageOptions, ingest, make_layout
from loader.plan.dispositions import steps
from loader.plan.live_table import LiveTable
from loader.plan.load_plan import plan_load
from loader.plan.loading import Loading
from loader.plan.model import (
    LoadRequest,
    StagedFacts,
    Statement,
    missing_ledger_columns,
    stage_prefix,
)
from loader.plan.staging import resolve_staging
from loader.project import Project
from loader.spec.model import Source, TableSpec
from loader.sql.renderer import Renderer, Table
from loader.staging.staged import Staged
from loader.staging.stores.base import Store
from loader.target_settings import find_missing
from loader.version import version
from loader.warehouse.adapter import Adapter
from loader.warehouse.base import Row, Session, run_statement
from loader.warehouse.doctor import AGAIN, CommonCheck, Doctor, Step, StepResult
from loader.warehouse.introspect import describe
from loader.warehouse.registry import open_staging, open_warehouse

RETRY = "the error may be temporary: run `loader doctor` again"


class Examination:
    """The state that the checks of one target share: session, store, and a row to load."""

    def __init__(self, project: Project, name: str, adapter: Adapter[Any] | None) -> None:
        """Prepare the checks; nothing is connected yet.

        Args:
            project: The project with the target.
            name: The name of the target.
            adapter: The warehouse adapter; None if the target's type is unknown.
        """
        self.project = project
        self.name = name
        self.config: Config = project.config
        self.settings: TargetSettings
        self.doctor: Doctor[Any]
        """The checks of the warehouse; set after the settings are validated."""
        self.token = uuid.uuid4().hex
        self.prefix = f"doctor/{self.token}"
        self._kind = adapter.doctor() if adapter is not None else None
        self._opened = ExitStack()
        self._session: Session | None = None
        self._stored = False

    @property
    def steps(self) -> Sequence[Step]:
        """The steps for this type of target."""
        return self._kind.steps if self._kind is not None else (Step("settings", "settings", ()),)

    def check(self, step: Step) -> StepResult:
        """Run the check of a step.

        Raises:
            LoaderError: the check failed.
        """
        if isinstance(step.check, str):
            return _COMMON[step.check](self)
        return step.check(self.doctor)

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_session()
        if self._stored:
            with suppress(LoaderError):
                self.store.delete(self.prefix)
        if hasattr(self, "doctor"):
            self.doctor.close()

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.config.root

    def session(self) -> Session:
        """The open session; opens one if there is none."""
        if self._session is None:
            warehouse = open_warehouse(self.doctor.connection_settings(), self.root)
            self._session = self._opened.enter_context(warehouse.session())
        return self._session

    def close_session(self) -> None:
        """Roll back and close the session."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(LoaderError):
                session.rollback()
        self._opened.close()

    @cached_property
    def store(self) -> Store:
        """The staging location."""
        return open_staging(self.doctor.location, self.settings)

    @cached_property
    def context(self) -> TargetContext:
        """The target's context, as in a load."""
        return self.project.context(self.name)

    @cached_property
    def renderer(self) -> Renderer:
        """The target's templates."""
        return self.context.renderer

    @cached_property
    def spec(self) -> TableSpec:
        """The spec of a test table, with write disposition merge; the table is never created."""
        columns = [
            {"name": "number", "data_type": "integer"},
            {"name": "word", "data_type": "varchar(64)"},
        ]
        return TableSpec.model_validate(
            {
                "schema": f"loader_doctor_{self.token[:12]}",
                "name": "probe",
                "columns": columns,
                "primary_key": ["number"],
                "write_disposition": "merge",
            }
        )

    def run(self, template: str, **facts: object) -> list[Row]:
        """Render a template and run its statement."""
        return self.session().execute(self.renderer.render(template, facts).sql)

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A transaction that is rolled back; after an error the session is closed too."""
        session = self.session()
        try:
            session.begin()
            yield
            session.rollback()
        except BaseException:
            self.close_session()
            raise

    def remove_files_later(self) -> None:
        """Have all files below `prefix` removed when the examination ends."""
        self._stored = True

    # --- steps

    def check_settings(self) -> StepResult:
        """Read the settings, which all other steps need."""
        try:
            self.settings = self.config.settings(self.name)
        except ConfigError as error:
            hint = error.hint or f"set it under {self.config.place(self.name)}"
            return StepResult(
                error.message + _list_missing(self.config, self.name, error), "failed", hint
            )
        if self._kind is not None:
            self.doctor = self._kind(self, self.settings)
        declared = self.name in self.config.targets
        source = self.config.source if declared else "the file of the running `loader sandbox`"
        return StepResult(f"complete in {source}")

    def _check_time_zone(self) -> StepResult:
        ((*_, zone),) = self.run("session")
        if str(zone).upper() in ("UTC", "ETC/UTC"):
            return StepResult(f"{zone}, as Loader sets it")
        hint = "find what changes `timezone` for this user after login"
        return StepResult(f"{zone}, although Loader sets UTC", "failed", hint)

    def _check_schemas(self) -> StepResult:
        try:
            with self.rolled_back():
                self.run("create_schema", schema=self.spec.schema_name)
        except ExecuteError as error:
            if error.transient:
                raise
            hint = "GRANT CREATE ON DATABASE to the user, or create the specs' schemas yourself"
            return StepResult(f"schemas cannot be created: {error.message}", "warning", hint)
        return StepResult("schemas can be created")

    def _check_ledger(self) -> StepResult:
        schema = self.settings.ledger_schema
        if not schema:
            return StepResult("turned off in the settings: ledger_schema is empty", "skipped")
        ledger = Table(schema, "loads")
        live = describe(self.session(), self.renderer, ledger)
        with self.rolled_back():
            if live == "no schema":
                self.run("create_schema", schema=schema)
            if isinstance(live, LiveTable):
                for column, data_type in missing_ledger_columns(live.order).items():
                    self.run("ledger_add_column", ledger=ledger, column=column, data_type=data_type)
            else:
                self.run("ledger_create", ledger=ledger)
                self._write_table_ledger(schema)
            self.write_ledger(schema)
        if not isinstance(live, LiveTable):
            return StepResult(f"{schema}.loads does not exist yet, and can be created")
        try:
            with self.rolled_back():
                self._write_table_ledger(schema)
        except ExecuteError as error:
            if error.transient:
                raise
            found = f"{schema}.loads exists, but no table can be created there: {error.message}"
            return StepResult(found, "warning", f"GRANT CREATE ON SCHEMA {schema}")
        return StepResult(f"{schema}.loads exists, and can be written")

    def write_ledger(self, schema: str) -> None:
        """Write a row to the ledger of a schema and, if loads read that one, read it back.

        Raises:
            ExecuteError: the row cannot be written, or is not found.
        """
        facts = make_load_facts(self.spec, schema, self.token)
        self.run("ledger_insert", **facts)
        if not self.renderer.has("table_ledger_create"):
            self._find_load(facts)

    def _write_table_ledger(self, schema: str) -> None:
        """Create the ledger of one table, write a row to it, and read it back."""
        if self.renderer.has("table_ledger_create"):
            facts = make_load_facts(self.spec, schema, self.token)
            self.run("table_ledger_create", **facts)
            self.run("table_ledger_insert", **facts)
            if self.renderer.dialect.share:
                self.run("lock_row", **facts)
                self.run("lock", **facts)
            self._find_load(facts)

    def _find_load(self, facts: Mapping[str, object]) -> None:
        if not self.run("ledger_find", **facts):
            raise ExecuteError("a row written to the ledger cannot be read back")

    def _check_temporary(self) -> StepResult:
        with self.rolled_back():
            self.run("create_stage", stage=self.stage_table, columns=self.spec.columns, dist=None)
        return StepResult("temporary tables can be created")

    def _check_list(self) -> StepResult:
        self.store.list(self.prefix)
        return StepResult(f"{self.doctor.location} can be listed")

    def _check_write_file(self) -> StepResult:
        self._stored = True
        with self.store.create(self._probe) as file:
            file.write(self.token.encode())
        return StepResult(f"wrote {self.store.uri(self._probe)}")

    def _check_read(self) -> StepResult:
        found = self.store.read(self._probe)
        listed = self.store.list(self.prefix)
        if found != self.token.encode() or listed != [(self._probe, len(found))]:
            detail = f"{self.doctor.location} contains other files than were written"
            hint = "find the other process that writes files there"
            return StepResult(detail, "failed", hint)
        return StepResult("the written file was read and listed")

    def _check_delete(self) -> StepResult:
        self.store.delete(self.prefix)
        if left := self.store.list(self.prefix):
            return StepResult(f"{self.store.uri(left[0][0])} still exists", "failed", AGAIN)
        return StepResult("the written file was deleted")

    @property
    def _probe(self) -> str:
        return f"{self.prefix}/probe.txt"

    def _check_copy(self) -> StepResult:
        """Stage and load one row; the transaction stays open for later steps."""
        prefix = f"{self.prefix}/{stage_prefix(self.spec, self.token, _RUN)}"
        session = self.session()
        with self.removed(prefix):
            staged = self._stage(prefix)
            session.begin()
            for statement in self._statements(staged):
                run_statement(session, statement)
            found = self.run(
                "select", table=self.stage_table, columns=self.spec.columns, slice=None, limit=None
            )
        if [tuple(row) for row in found] != [self.row]:
            return StepResult("the loaded row differs from the staged row", "failed", AGAIN)
        form = self._format.capitalize()
        return StepResult(f"a row was staged as {form}, loaded and read back")

    @contextmanager
    def removed(self, prefix: str) -> Iterator[None]:
        """Delete the files under `prefix` after the block; after an error also roll back."""
        self._stored = True
        try:
            yield
        except BaseException:
            with suppress(LoaderError):
                self.store.delete(prefix)
            self.close_session()
            raise
        self.store.delete(prefix)

    @property
    def row(self) -> tuple[int, str]:
        """The row that is staged and loaded."""
        return 1, self.token

    def _stage(self, prefix: str) -> Staged:
        line = json.dumps(dict(zip(("number", "word"), self.row, strict=True)))
        frame = open_files(["-"], Source(), io.BytesIO(line.encode()))
        rejects = f"{self.prefix}/rejects.parquet"
        options = StageOptions(layout=make_layout(self.spec, self.renderer))
        destination = Destination(self.store, prefix, rejects)
        return ingest(self.spec, frame, destination, options).staged

    def _statements(self, staged: Staged) -> list[Statement]:
        """The statements of the load that fill the temporary table."""
        request = LoadRequest(
            load_id=self.token,
            run=_RUN,
            staged=StagedFacts(staged.rows, staged.bytes, len(staged.files)),
            version=version(),
        )
        location = f"{self.doctor.location}/{self.prefix}"
        target = replace(self.context.target, staging=location, verify="values")
        plan = plan_load(self.spec, self.renderer, target, request)
        loading = ("create_stage", f"copy_{self._format}", "copied")
        names = {step.name for step in self._steps() if step.template in loading}
        return [statement for statement in plan.statements if statement.name in names]

    def _steps(self) -> Iterator[Any]:
        counts = self.renderer.has("copied")
        loading = Loading(self.spec, None, 1, self._format, counts, self.spec.columns)
        return steps(loading, full_refresh=False)

    @property
    def _format(self) -> str:
        return resolve_staging(self.spec, self.renderer).format

    @cached_property
    def stage_table(self) -> Table:
        """The temporary table that the row is loaded into."""
        create = next(step for step in self._steps() if step.template == "create_stage")
        table = create.facts["stage"]
        assert isinstance(table, Table)
        return table


_RUN = "doctor"
"""The run id of the check; its load id is unique, so the run id need not be."""


def _list_missing(config: Config, name: str, error: ConfigError) -> str:
    """Missing settings that the error does not mention, as text to append to it."""
    if error.problems:
        return ""
    try:
        settings = config.settings(name, preview=True)
    except ConfigError:
        return ""
    return "".join(
        f"; {problem.where}: {problem.message}"
        for problem in find_missing(settings, config.raw_settings(name))
    )


_COMMON: Mapping[CommonCheck, Callable[[Examination], StepResult]] = {
    "settings": Examination.check_settings,
    "time zone": Examination._check_time_zone,
    "schemas": Examination._check_schemas,
    "ledger": Examination._check_ledger,
    "temporary tables": Examination._check_temporary,
    "list": Examination._check_list,
    "write file": Examination._check_write_file,
    "read file": Examination._check_read,
    "delete file": Examination._check_delete,
    "copy": Examination._check_copy,
}
