"""Examines a target step by step, and does what loads do: connects, writes, stages, copies.

All of it is undone: transactions are rolled back, files removed.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from loader.config import Config, DuckDBTarget, RedshiftTarget, TargetSettings
from loader.dispositions import Loading, steps
from loader.errors import ConfigError, ExecuteError, LoaderError
from loader.execute import describe
from loader.ingest import Destination, ingest
from loader.plan import (
    LiveTable,
    LoadRequest,
    StagedFacts,
    Statement,
    Target,
    lock_name,
    stage_prefix,
)
from loader.planner import plan_load
from loader.project import Project
from loader.render import Renderer, Sql, Table
from loader.sources import open_files
from loader.spec import Source, TableSpec
from loader.staging import Staged, open_staging
from loader.stores import Store
from loader.version import version
from loader.warehouses import Row, Session, open_warehouse

Status = Literal["ok", "warning", "failed", "skipped"]
Style = Callable[..., str]
"""Marks text for a terminal: ``style(text, fg="red", bold=True)``."""

CONNECT_SECONDS = 5.0
LOCK_SECONDS = 2.0
"""How long another process may hold the DuckDB file until this is a finding."""

LITTLE_SPACE = 1 << 30

_AGAIN = "mend this, then run `loader doctor` again"
_PASSES = "this may pass: run `loader doctor` again"


@dataclass(frozen=True)
class Verdict:
    """What a step found."""

    detail: str
    status: Status = "ok"
    hint: str | None = None


@dataclass(frozen=True)
class Finding:
    """The verdict of one step."""

    name: str
    status: Status
    detail: str
    """One line."""
    hint: str | None
    """What to do next, unless all is well."""
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """The finding as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class _Step:
    """A step to be: what it does, and the steps without which it is not done."""

    name: str
    check: Callable[[Any], Verdict]
    needs: tuple[str, ...] = ("settings",)


def examine(project: Project, target: str | None = None) -> Iterator[Finding]:
    """Examine a target; a step is skipped when one that it needs failed, the others go on.

    Raises:
        ConfigError: there is no such target.
    """
    name = target or project.config.target
    if name not in project.config.targets:
        project.config.settings(name)
    kind = _KINDS.get(target_type(project, name), _Examination)
    with kind(project, name) as examination:
        yield from _findings(examination)


def target_type(project: Project, target: str | None = None) -> str:
    """The type of a target as the settings have it."""
    return str(project.config.targets[target or project.config.target].get("type"))


def _findings(examination: _Examination) -> Iterator[Finding]:
    causes: dict[str, str] = {}
    for step in examination.steps:
        started = time.perf_counter()
        cause = next((causes[need] for need in step.needs if need in causes), None)
        if cause is None:
            verdict = _verdict(examination, step)
            if verdict.status == "failed":
                causes[step.name] = step.name
        else:
            causes[step.name] = cause
            verdict = Verdict(f"`{cause}` failed", "skipped", f"mend `{cause}` first")
        seconds = round(time.perf_counter() - started, 3)
        detail = _one_line(examination.hide(verdict.detail))
        hint = examination.hide(verdict.hint) if verdict.hint else None
        yield Finding(step.name, verdict.status, detail, hint, seconds)


def _verdict(examination: _Examination, step: _Step) -> Verdict:
    try:
        return step.check(examination)
    except LoaderError as error:
        examination.leave()
        transient = isinstance(error, ExecuteError) and error.transient
        return Verdict(error.message, "failed", error.hint or (_PASSES if transient else _AGAIN))
    except Exception as error:  # noqa: BLE001  what no step foresees is a finding, and others go on
        examination.leave()
        return Verdict(f"{type(error).__name__}: {error}", "failed", _AGAIN)


def _one_line(text: str) -> str:
    head, *rest = text.strip().splitlines() or [""]
    joint = ": " if rest and rest[0].startswith(" ") else "; "
    return joint.join([head, "; ".join(line.strip() for line in rest)]) if rest else head


# ---------------------------------------------------------------- every target


class _Examination:
    """What steps share: the session, the store, and a row that goes the way of a load."""

    steps: ClassVar[Sequence[_Step]] = ()

    def __init__(self, project: Project, name: str) -> None:
        self.project = project
        self.name = name
        self.config: Config = project.config
        self.settings: TargetSettings
        self.token = uuid.uuid4().hex
        self.prefix = f"doctor/{self.token}"
        self._secrets = [os.environ.get(n, "") for n in _SECRET_VARIABLES]
        self._opened = ExitStack()
        self._session: Session | None = None
        self._stored = False

    def __enter__(self) -> _Examination:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        if self._stored:
            with suppress(LoaderError):
                self.store.delete(self.prefix)

    def hide(self, text: str) -> str:
        """The text without secrets, whoever put one there."""
        for secret in filter(None, self._secrets):
            text = text.replace(secret, "***")
        return text

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

    def check_settings(self) -> Verdict:
        try:
            self.settings = self.config.settings(self.name)
        except ConfigError as error:
            where = f"[tool.loader.targets.{self.name}] in {self.config.source}"
            hint = error.hint or f"set it under {where}"
            return Verdict(
                error.message + _also_missing(self.config, self.name, error), "failed", hint
            )
        self._secrets.append(getattr(self.settings, "password", ""))
        return Verdict(f"complete in {self.config.source}")

    def check_time_zone(self) -> Verdict:
        ((*_, zone),) = self.run("session")
        if str(zone).upper() in ("UTC", "ETC/UTC"):
            return Verdict(f"{zone}, as Loader sets it")
        hint = "see what sets `timezone` for this user after Loader did"
        return Verdict(f"{zone}, although Loader sets UTC", "failed", hint)

    def check_schemas(self) -> Verdict:
        try:
            with self.undone():
                self.run("create_schema", schema=self.spec.schema_name)
        except ExecuteError as error:
            if error.transient:
                raise
            hint = "GRANT CREATE ON DATABASE to the user, or make the schemas of the specs yourself"
            return Verdict(f"schemas cannot be created: {error.message}", "warning", hint)
        return Verdict("schemas can be created")

    def check_ledger(self) -> Verdict:
        schema = self.settings.ledger_schema
        if not schema:
            return Verdict("turned off by the settings: ledger_schema is empty", "skipped")
        ledger = Table(schema, "loads")
        live = describe(self.session(), self.renderer, ledger)
        with self.undone():
            if live == "no schema":
                self.run("create_schema", schema=schema)
            if not isinstance(live, LiveTable):
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
            load={**load, "manifest": None},
            asset_key=self.spec.asset_key,
            disposition=self.spec.write_disposition,
            spec_hash="doctor",
            version=version(),
        )
        if len(self.run("ledger_find", ledger=ledger, load=load)) != 1:
            raise ExecuteError(f"a row written to {ledger.schema}.{ledger.name} is not found there")

    def check_temporary(self) -> Verdict:
        with self.undone():
            self.run("create_stage", stage=self._stage_table, columns=self.spec.columns)
        return Verdict("temporary tables can be made")

    def check_list(self) -> Verdict:
        self.store.list(self.prefix)
        return Verdict(f"{self.location} can be listed")

    def check_write_file(self) -> Verdict:
        self._stored = True
        with self.store.create(self._probe) as file:
            file.write(self.token.encode())
        return Verdict(f"wrote {self.store.uri(self._probe)}")

    def check_read(self) -> Verdict:
        found = self.store.read(self._probe)
        listed = self.store.list(self.prefix)
        if found != self.token.encode() or listed != [(self._probe, len(found))]:
            hint = "see what else writes or changes files there"
            return Verdict(f"{self.location} holds other files than were written", "failed", hint)
        return Verdict("what was written is read and listed")

    def check_delete(self) -> Verdict:
        self.store.delete(self.prefix)
        if left := self.store.list(self.prefix):
            return Verdict(f"{self.store.uri(left[0][0])} is still there", "failed", _AGAIN)
        return Verdict("nothing is left of it")

    @property
    def _probe(self) -> str:
        return f"{self.prefix}/probe.txt"

    def check_copy(self) -> Verdict:
        """Bring one row the way of a load; the transaction stays open, for what comes after."""
        prefix = f"{self.prefix}/{stage_prefix(self.spec, self.token)}"
        session = self.session()
        with self._removed(prefix):
            staged = self._stage(prefix)
            session.begin()
            for statement in self._statements(staged):
                session.execute(statement.sql)
            found = self.run(
                "select", table=self._stage_table, columns=self.spec.columns, slice=None
            )
        if [tuple(row) for row in found] != [self._row]:
            return Verdict(
                "the row that was staged is not the one that was loaded", "failed", _AGAIN
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
        return steps(Loading(self.spec, None, 1, counts, self.spec.columns))

    @cached_property
    def _stage_table(self) -> Table:
        made = next(step for step in self._steps() if step.template == "create_stage")
        table = made.facts["stage"]
        assert isinstance(table, Table)
        return table


_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

_LOADING = ("create_stage", "copy_parquet", "copied")


def _also_missing(config: Config, name: str, error: ConfigError) -> str:
    """What the settings lack besides the variables that an error is about."""
    try:
        settings = config.settings(name, preview=True)
    except ConfigError:
        return ""
    lacks = settings.lacks() if isinstance(settings, RedshiftTarget) else {}
    return "".join(
        f"; {key}: {why}{_looked_for(settings, key, config.targets[name])}"
        for key, why in lacks.items()
        if f"  {key}: " not in error.message
    )


def _looked_for(settings: TargetSettings, key: str, raw: Mapping[str, Any]) -> str:
    if getattr(settings, key):
        return ""
    return f" ({raw[key]} is empty)" if "${" in str(raw.get(key)) else " (not set)"


# ---------------------------------------------------------------- DuckDB


class _OfDuckDB(_Examination):
    """A database file. One that is not there is not made: another beside it stands for it."""

    settings: DuckDBTarget

    def __enter__(self) -> _OfDuckDB:
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if hasattr(self, "settings"):
            for path in (self._stand_in, Path(f"{self._stand_in}.wal")):
                path.unlink(missing_ok=True)
        for folder, there in self._folders.items():
            _prune(folder, there)

    @cached_property
    def _folders(self) -> dict[Path, Path]:
        """The folders that files are written to, and the nearest to each that was there before."""
        if not hasattr(self, "settings"):
            return {}
        return {folder: _nearest(folder) for folder in (self._path.parent, Path(self.location))}

    @property
    def _path(self) -> Path:
        return (self.config.root / self.settings.database).resolve()

    @property
    def _stand_in(self) -> Path:
        return self._path.with_name(f"{self._path.name}.doctor-{self.token}")

    @cached_property
    def _is_there(self) -> bool:
        return self._path.exists()

    @property
    def location(self) -> str:
        """The staging folder."""
        return str((self.config.root / self.settings.staging).absolute())

    def _connecting(self) -> TargetSettings:
        changes: dict[str, object] = {
            "lock_timeout": min(self.settings.lock_timeout, LOCK_SECONDS),
            "database": str(self._path if self._is_there else self._stand_in),
        }
        return self.settings.model_copy(update=changes)

    def check_settings(self) -> Verdict:
        verdict = super().check_settings()
        assert self._folders is not None  # looked at before anything is made
        return verdict

    def check_database(self) -> Verdict:
        ((_, _, release, _),) = self.run("session")
        if not self._is_there:
            return Verdict(f"{self._path} is not there yet, and can be made (DuckDB {release})")
        size = self._path.stat().st_size / 1e6
        return Verdict(f"{self._path} is open for writing, {size:,.1f} MB (DuckDB {release})")

    def check_write(self) -> Verdict:
        schema = self.spec.schema_name
        ledger = Table(schema, "loads")
        with self.undone():
            self.run("create_schema", schema=schema)
            self.run("ledger_create", ledger=ledger)
            self._write_ledger(ledger)
        return Verdict("a schema, a table and a row were made and rolled back")

    def check_space(self) -> Verdict:
        free: dict[int, tuple[int, Path]] = {}
        for folder, there in self._folders.items():
            free[there.stat().st_dev] = (shutil.disk_usage(there).free, folder)
        detail = "; ".join(
            f"{size / 1e9:,.1f} GB free in {folder}" for size, folder in free.values()
        )
        if min(size for size, _ in free.values()) < LITTLE_SPACE:
            hint = "free some space: a load stages its rows before they are loaded"
            return Verdict(detail, "warning", hint)
        return Verdict(detail)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _prune(folder: Path, there: Path) -> None:
    """Remove the folders that were made on the way, as far as they are empty."""
    with suppress(OSError):
        while folder != there:
            folder.rmdir()
            folder = folder.parent


# ---------------------------------------------------------------- Redshift


class _OfRedshift(_Examination):
    """A cluster or workgroup, and its bucket."""

    settings: RedshiftTarget

    def check_network(self) -> Verdict:
        host, port = self.settings.host, self.settings.port
        if not host:
            return Verdict("the settings name no host: the login asks AWS for it", "skipped")
        try:
            socket.create_connection((host, port), CONNECT_SECONDS).close()
        except OSError as error:
            why = error.strerror or str(error)
            hint = "check `host`, `port`, the security group, and whether the cluster is paused"
            return Verdict(f"{host}:{port} does not answer: {why}", "failed", hint)
        return Verdict(f"{host}:{port} answers")

    def check_login(self) -> Verdict:
        self.session()
        user = f"as {self.settings.user} " if self.settings.user else ""
        return Verdict(f"{user}{_way(self.settings)}{'' if self.settings.ssl else ', without TLS'}")

    def check_session(self) -> Verdict:
        ((user, database, release, _),) = self.run("session")
        release = re.sub(r".*(?=Redshift )", "", str(release))
        return Verdict(f"{user} in {database}, {release}")

    def check_isolation(self) -> Verdict:
        found = self._isolation()
        if not found:
            views = "stv_db_isolation_level and pg_database_info"
            return Verdict(f"not visible to this user in {views}", "skipped")
        if "SERIALIZABLE" in found.upper() or "concurrency_model=2" in found:
            hint = "ALTER DATABASE … ISOLATION LEVEL SNAPSHOT, where nothing relies on the other"
            return Verdict("serializable: loads at once may be retried more often", "warning", hint)
        return Verdict("snapshot" if "concurrency_model=1" in found else found)

    def _isolation(self) -> str:
        for view in ("isolation", "isolation_config"):
            try:
                rows = self.run(view, database=self.settings.database)
            except ExecuteError as error:
                if error.transient:
                    raise
                continue
            if rows and rows[0][0]:
                return str(rows[0][0]).strip()
        return ""

    def check_region(self) -> Verdict:
        from loader.stores.s3region import bucket_region  # noqa: PLC0415  # boto3 is slow to import

        bucket = bucket_region(self.location, self.settings.region_name)
        told = _HOST_REGION.search(self.settings.host)
        warehouse = told[1] if told else self.settings.region_name
        if not (bucket and warehouse):
            lacking = (
                "S3 does not tell where the bucket is"
                if not bucket
                else (f"the bucket is in {bucket}, and where the warehouse is is not known")
            )
            return Verdict(lacking, "warning", "set region_name, and let s3:ListBucket be allowed")
        if bucket != warehouse:
            hint = f"stage in a bucket of {warehouse}: COPY reads Parquet from its own region only"
            return Verdict(
                f"the bucket is in {bucket}, the warehouse in {warehouse}", "failed", hint
            )
        return Verdict(f"bucket and warehouse are in {bucket}")

    def check_unload(self) -> Verdict:
        """Unload the row that COPY has left in its open transaction."""
        prefix = f"{self.prefix}/unload"
        query = self.renderer.render(
            "select_unload",
            {"table": self._stage_table, "columns": self.spec.columns, "slice": None},
        )
        with self._removed(prefix):
            url, role = f"{self.store.uri(prefix)}/", {"iam_role": self.settings.iam_role}
            self.run("unload", query=Sql(query.sql), url=url, load=role)
            manifest = json.loads(self.store.read(f"{prefix}/manifest"))
            found = [row for entry in manifest["entries"] for row in self._rows(entry["url"])]
        if found != [self._row]:
            return Verdict(
                "the row that was unloaded is not the one that was there", "failed", _AGAIN
            )
        return Verdict("the row was unloaded as Parquet and read back")

    def _rows(self, url: str) -> Iterator[tuple[object, ...]]:
        data = self.store.read(url.removeprefix(f"{self.store.root}/"))
        for chunk in open_files(["-"], Source(), io.BytesIO(data)).chunks:
            columns = [values.to_pylist() for values in chunk.columns.values()]
            yield from zip(*columns, strict=True)


_HOST_REGION = re.compile(r"\.([a-z]+(?:-[a-z]+)+-\d)\.redshift(?:-serverless)?\.amazonaws\.com")


def _way(settings: RedshiftTarget) -> str:
    """How the driver logs in, as `loader.warehouses.redshift` decides it."""
    if settings.password:
        return "with a password"
    if settings.secret_id:
        return f"with the secret {settings.secret_id}"
    if settings.work_group:
        return f"with IAM credentials of the workgroup {settings.work_group}"
    if settings.cluster_identifier:
        return f"with IAM credentials of the cluster {settings.cluster_identifier}"
    return "with IAM credentials of the workgroup that the host names"


# ---------------------------------------------------------------- which steps there are

_Examination.steps = (_Step("settings", _Examination.check_settings, ()),)

_OfDuckDB.steps = (
    _Step("settings", _OfDuckDB.check_settings, ()),
    _Step("database", _OfDuckDB.check_database),
    _Step("time zone", _OfDuckDB.check_time_zone, ("database",)),
    _Step("write", _OfDuckDB.check_write, ("database",)),
    _Step("ledger", _OfDuckDB.check_ledger, ("database",)),
    _Step("disk space", _OfDuckDB.check_space),
    _Step("staging write", _OfDuckDB.check_write_file),
    _Step("staging read", _OfDuckDB.check_read, ("staging write",)),
    _Step("staging delete", _OfDuckDB.check_delete, ("staging write",)),
    _Step("load", _OfDuckDB.check_copy, ("database", "staging read", "staging delete")),
)

_OfRedshift.steps = (
    _Step("settings", _OfRedshift.check_settings, ()),
    _Step("network", _OfRedshift.check_network),
    _Step("login", _OfRedshift.check_login, ("network",)),
    _Step("session", _OfRedshift.check_session, ("login",)),
    _Step("time zone", _OfRedshift.check_time_zone, ("login",)),
    _Step("isolation", _OfRedshift.check_isolation, ("login",)),
    _Step("schemas", _OfRedshift.check_schemas, ("login",)),
    _Step("ledger", _OfRedshift.check_ledger, ("login",)),
    _Step("temporary tables", _OfRedshift.check_temporary, ("login",)),
    # Before the first write, for what is written is only found again by listing.
    _Step("bucket list", _OfRedshift.check_list),
    _Step("bucket write", _OfRedshift.check_write_file, ("bucket list",)),
    _Step("bucket read", _OfRedshift.check_read, ("bucket write",)),
    _Step("bucket delete", _OfRedshift.check_delete, ("bucket write",)),
    _Step("bucket region", _OfRedshift.check_region),
    _Step(
        "COPY",
        _OfRedshift.check_copy,
        ("login", "temporary tables", "bucket read", "bucket delete"),
    ),
    _Step("UNLOAD", _OfRedshift.check_unload, ("COPY",)),
)

_KINDS: Mapping[str, type[_Examination]] = {"duckdb": _OfDuckDB, "redshift": _OfRedshift}


# ---------------------------------------------------------------- for people

_MARKS: Mapping[Status, tuple[str, str, str]] = {
    "ok": ("✓", "+", "green"),
    "warning": ("!", "!", "yellow"),
    "failed": ("✗", "x", "red"),
    "skipped": ("-", "-", "bright_black"),
}
"""Marks, those where only ASCII can be written, and their colours."""

_WIDTH = max(len(step.name) for kind in _KINDS.values() for step in kind.steps)


def line(finding: Finding, style: Style, encoding: str = "utf-8", *, verbose: bool = False) -> str:
    """A finding as a line for a terminal, and its hint as another."""
    mark, plain, colour = _MARKS[finding.status]
    shown = style(mark if _has(encoding, mark) else plain, fg=colour, bold=True)
    detail = f"skipped: {finding.detail}" if finding.status == "skipped" else finding.detail
    took = f" ({finding.seconds:.1f} s)" if verbose else ""
    told = f"{shown} {finding.name:<{_WIDTH}}  {detail}{took}"
    if finding.hint is None or finding.status == "skipped":
        return told
    return f"{told}\n  {'':<{_WIDTH}}  {style('hint:', fg='cyan', bold=True)} {finding.hint}"


def _has(encoding: str, mark: str) -> bool:
    try:
        mark.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def summary(findings: Sequence[Finding], style: Style) -> str:
    """All findings in one line."""
    counts = {status: sum(f.status == status for f in findings) for status in _MARKS}
    told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    if counts["failed"]:
        return f"{style('not fine', fg='red', bold=True)}: {told}"
    return f"{style('fine', fg='green', bold=True)}: {told}"
