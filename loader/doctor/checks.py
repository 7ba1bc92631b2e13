"""What every target is examined for: settings, session, ledger, staging, one row in."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from loader.config import Config, RedshiftTarget, TargetSettings
from loader.data.files.open import open_files
from loader.errors import ConfigError, ExecuteError, LoaderError
from loader.executor.stage import Destination, ingest
from loader.executor.transaction import describe
from loader.plan.dispositions import Loading, steps
from loader.plan.live_table import LiveTable
from loader.plan.load_plan import plan_load
from loader.plan.model import (
    LoadRequest,
    StagedFacts,
    Statement,
    Target,
    lock_name,
    missing_ledger_columns,
    stage_prefix,
)
from loader.project import Project
from loader.spec.model import Source, TableSpec
from loader.sql.renderer import Renderer, Table
from loader.staging.staged import Staged
from loader.staging.stores.base import Store
from loader.staging.stores.open import open_staging
from loader.version import version
from loader.warehouse.base import Row, Session, open_warehouse

Status = Literal["ok", "warning", "failed", "skipped"]
Style = Callable[..., str]
"""Marks text for a terminal: ``style(text, fg="red", bold=True)``."""

CONNECT_SECONDS = 5.0
LOCK_SECONDS = 2.0
"""How long another process may hold the DuckDB file until this is a finding."""

LITTLE_SPACE = 1 << 30

AGAIN = "mend this, then run `loader doctor` again"
PASSES = "this may pass: run `loader doctor` again"


@dataclass(frozen=True)
class Verdict:
    """What a step found."""

    detail: str
    status: Status = "ok"
    hint: str | None = None


@dataclass(frozen=True)
class Step:
    """A step to be: what it does, and the steps without which it is not done."""

    name: str
    check: Callable[[Any], Verdict]
    needs: tuple[str, ...] = ("settings",)


class Examination:
    """What steps share: the session, the store, and a row that goes the way of a load."""

    steps: ClassVar[Sequence[Step]] = ()

    def __init__(self, project: Project, name: str) -> None:
        self.project = project
        self.name = name
        self.config: Config = project.config
        self.settings: TargetSettings
        self.token = uuid.uuid4().hex
        self.prefix = f"doctor/{self.token}"
        self._opened = ExitStack()
        self._session: Session | None = None
        self._stored = False

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        if self._stored:
            with suppress(LoaderError):
                self.store.delete(self.prefix)

    def session(self) -> Session:
        """The session, opened again when it was lost."""
        if self._session is None:
            warehouse = open_warehouse(self._connecting(), self.config.root)
            self._session = self._opened.enter_context(warehouse.session())
        return self._session

    def leave(self) -> None:
        """Close the session, and undo what it began."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(LoaderError):
                session.rollback()
        self._opened.close()

    def _connecting(self) -> TargetSettings:
        return self.settings

    @property
    def location(self) -> str:
        """Where loads stage their files."""
        return self.settings.staging.rstrip("/")

    @cached_property
    def store(self) -> Store:
        """The staging location."""
        return open_staging(self.location, self.settings)

    @cached_property
    def renderer(self) -> Renderer:
        """The target's templates."""
        return self.project.renderer(self.name)

    @cached_property
    def spec(self) -> TableSpec:
        """A table that is never made, and whose rows would be merged."""
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
        """Run the statement of a template."""
        return self.session().execute(self.renderer.render(template, facts).sql)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """A transaction that is rolled back, by ending the session where something fails in it."""
        session = self.session()
        try:
            session.begin()
            yield
            session.rollback()
        except BaseException:
            self.leave()
            raise

    # --- steps

    def _check_settings(self) -> Verdict:
        try:
            self.settings = self.config.settings(self.name)
        except ConfigError as error:
            where = f"[tool.loader.targets.{self.name}] in {self.config.source}"
            hint = error.hint or f"set it under {where}"
            return Verdict(
                error.message + _also_missing(self.config, self.name, error), "failed", hint
            )
        return Verdict(f"complete in {self.config.source}")

    def _check_time_zone(self) -> Verdict:
        ((*_, zone),) = self.run("session")
        if str(zone).upper() in ("UTC", "ETC/UTC"):
            return Verdict(f"{zone}, as Loader sets it")
        hint = "see what sets `timezone` for this user after Loader did"
        return Verdict(f"{zone}, although Loader sets UTC", "failed", hint)

    def _check_schemas(self) -> Verdict:
        try:
            with self.undone():
                self.run("create_schema", schema=self.spec.schema_name)
        except ExecuteError as error:
            if error.transient:
                raise
            hint = "GRANT CREATE ON DATABASE to the user, or make the schemas of the specs yourself"
            return Verdict(f"schemas cannot be created: {error.message}", "warning", hint)
        return Verdict("schemas can be created")

    def _check_ledger(self) -> Verdict:
        schema = self.settings.ledger_schema
        if not schema:
            return Verdict("turned off by the settings: ledger_schema is empty", "skipped")
        ledger = Table(schema, "loads")
        live = describe(self.session(), self.renderer, ledger)
        with self.undone():
            if live == "no schema":
                self.run("create_schema", schema=schema)
            if isinstance(live, LiveTable):
                for column, data_type in missing_ledger_columns(live.order).items():
                    self.run("ledger_add_column", ledger=ledger, column=column, data_type=data_type)
            else:
                self.run("ledger_create", ledger=ledger)
                self._make_lock(schema)
            self._write_ledger(ledger)
        if not isinstance(live, LiveTable):
            return Verdict(f"{schema}.loads is not there yet, and can be made")
        try:
            with self.undone():
                self._make_lock(schema)
        except ExecuteError as error:
            if error.transient:
                raise
            detail = f"{schema}.loads can be written, and locks of new tables not made beside it"
            return Verdict(
                f"{detail}: {error.message}", "warning", f"GRANT CREATE ON SCHEMA {schema}"
            )
        return Verdict(f"{schema}.loads is there, and can be written")

    def _make_lock(self, schema: str) -> None:
        if self.renderer.has("lock_create"):
            self.run("lock_create", lock=Table(schema, lock_name(self.spec)))

    def _write_ledger(self, ledger: Table) -> None:
        load = {"id": self.token, "slice": None, "rows": 0, "bytes": 0, "files": 0}
        self.run(
            "ledger_insert",
            ledger=ledger,
            table=Table(self.spec.schema_name, self.spec.name),
            load={**load, "manifest": None, "figures": None, "columns_changed": None},
            counts=None,
            asset_key=self.spec.asset_key,
            disposition=self.spec.write_disposition,
            spec_hash="doctor",
            version=version(),
        )
        if len(self.run("ledger_find", ledger=ledger, load=load)) != 1:
            raise ExecuteError(f"a row written to {ledger.schema}.{ledger.name} is not found there")

    def _check_temporary(self) -> Verdict:
        with self.undone():
            self.run("create_stage", stage=self._stage_table, columns=self.spec.columns)
        return Verdict("temporary tables can be made")

    def _check_list(self) -> Verdict:
        self.store.list(self.prefix)
        return Verdict(f"{self.location} can be listed")

    def _check_write_file(self) -> Verdict:
        self._stored = True
        with self.store.create(self._probe) as file:
            file.write(self.token.encode())
        return Verdict(f"wrote {self.store.uri(self._probe)}")

    def _check_read(self) -> Verdict:
        found = self.store.read(self._probe)
        listed = self.store.list(self.prefix)
        if found != self.token.encode() or listed != [(self._probe, len(found))]:
            hint = "see what else writes or changes files there"
            return Verdict(f"{self.location} holds other files than were written", "failed", hint)
        return Verdict("what was written is read and listed")

    def _check_delete(self) -> Verdict:
        self.store.delete(self.prefix)
        if left := self.store.list(self.prefix):
            return Verdict(f"{self.store.uri(left[0][0])} is still there", "failed", AGAIN)
        return Verdict("nothing is left of it")

    @property
    def _probe(self) -> str:
        return f"{self.prefix}/probe.txt"

    def _check_copy(self) -> Verdict:
        """Bring one row the way of a load; the transaction stays open, for what comes after."""
        prefix = f"{self.prefix}/{stage_prefix(self.spec, self.token, _RUN)}"
        session = self.session()
        with self._removed(prefix):
            staged = self._stage(prefix)
            session.begin()
            for statement in self._statements(staged):
                session.execute(statement.sql)
            found = self.run(
                "select", table=self._stage_table, columns=self.spec.columns, slice=None, limit=None
            )
        if [tuple(row) for row in found] != [self._row]:
            return Verdict(
                "the row that was staged is not the one that was loaded", "failed", AGAIN
            )
        return Verdict("a row was staged as Parquet, loaded and read back")

    @contextmanager
    def _removed(self, prefix: str) -> Iterator[None]:
        """Remove the block's files; when it fails, roll back as well, and its error is raised."""
        self._stored = True
        try:
            yield
        except BaseException:
            with suppress(LoaderError):
                self.store.delete(prefix)
            self.leave()
            raise
        self.store.delete(prefix)

    @property
    def _row(self) -> tuple[int, str]:
        return 1, self.token

    def _stage(self, prefix: str) -> Staged:
        line = json.dumps(dict(zip(("number", "word"), self._row, strict=True)))
        frame = open_files(["-"], Source(), io.BytesIO(line.encode()))
        rejects = f"{self.prefix}/rejects.parquet"
        return ingest(self.spec, frame, Destination(self.store, prefix, rejects)).staged

    def _statements(self, staged: Staged) -> list[Statement]:
        """The statements of a merge that bring its rows into the temporary table."""
        request = LoadRequest(
            load_id=self.token,
            run=_RUN,
            staged=StagedFacts(staged.rows, staged.bytes, len(staged.files)),
            version=version(),
        )
        target = Target(
            self.name,
            self.settings.type,
            f"{self.location}/{self.prefix}",
            self.settings.ledger_schema,
            getattr(self.settings, "iam_role", ""),
        )
        plan = plan_load(self.spec, self.renderer, target, request)
        names = {step.name for step in self._steps() if step.template in _LOADING}
        return [statement for statement in plan.statements if statement.name in names]

    def _steps(self) -> Iterator[Any]:
        counts = self.renderer.has("copied")
        return steps(Loading(self.spec, None, 1, counts, self.spec.columns), full_refresh=False)

    @cached_property
    def _stage_table(self) -> Table:
        made = next(step for step in self._steps() if step.template == "create_stage")
        table = made.facts["stage"]
        assert isinstance(table, Table)
        return table


_LOADING = ("create_stage", "copy_parquet", "copied")

_RUN = "doctor"
"""The one run of an examination's load id, which is an examination's own."""


def _also_missing(config: Config, name: str, error: ConfigError) -> str:
    """What the settings lack besides the variables that an error is about."""
    try:
        settings = config.settings(name, preview=True)
    except ConfigError:
        return ""
    lacks = settings.lacks() if isinstance(settings, RedshiftTarget) else {}
    return "".join(
        f"; {key}: {why}{_looked_for(settings, key, config.written(name))}"
        for key, why in lacks.items()
        if f"  {key}: " not in error.message
    )


def _looked_for(settings: TargetSettings, key: str, raw: Mapping[str, Any]) -> str:
    if getattr(settings, key):
        return ""
    return f" ({raw[key]} is empty)" if "${" in str(raw.get(key)) else " (not set)"


Examination.steps = (Step("settings", Examination._check_settings, ()),)
