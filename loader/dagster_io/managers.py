"""The IO managers: they load the frames that assets return, as their table specs declare."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import PrivateAttr, field_validator, model_validator

from loader.config import TargetSettings, make_settings
from loader.dagster_io.inputs import fetch
from loader.dagster_io.metadata import failure
from loader.dagster_io.outputs import store
from loader.dagster_io.runs import forbid_run_retries
from loader.dagster_io.tables import Tables
from loader.errors import ConfigError, LoaderError, SourceError
from loader.project import Project

_TARGET = "dagster"


class TableIOManager(dg.ConfigurableIOManager):
    """Loads the frames that assets return into their tables, and reads them for downstream assets.

    Use one of its subclasses: `ProjectIOManager`, `DuckDBIOManager` or `RedshiftIOManager`.
    """

    specs: str = "specs"
    """The folder of the table specs."""
    templates: str | None = None
    """A folder of SQL templates that override Loader's own."""
    on_missing_spec: Literal["fail", "infer"] = "fail"
    """For an asset without a spec: raise an error, or infer the table from the data."""
    evolve: Literal["none", "additive"] = "none"
    """For an asset without a spec: what a load may change in its table: nothing, or add columns."""
    default_frame: Literal["pandas", "polars", "arrow"] = "pandas"
    """The frame type of an input without an annotation."""
    sample_rows: int = 0
    """How many rows of the loaded partitions, or of the table, the page of a load shows; columns
    with a classification are left out."""

    _project: Project | None = PrivateAttr(default=None)
    _tables: Tables | None = PrivateAttr(default=None)

    warehouse: ClassVar[str | None] = None
    """The type of the target; None for that of the project's settings."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        # Dagster ignores unknown fields, and pydantic's error would show their values.
        for name in data if isinstance(data, dict) else ():
            if name not in cls.model_fields:
                close = difflib.get_close_matches(name, cls.model_fields, n=1)
                fields = f"its fields are {', '.join(cls.model_fields)}"
                hint = f"did you mean `{close[0]}`?" if close else fields
                raise ConfigError(f"{cls.__name__} has no field `{name}`", hint=hint)
        return data

    @property
    def project(self) -> Project:
        """The project of the specs, with one target; specs are read once, on first use."""
        if self._project is None:
            self._project = self._make_project()
        return self._project

    @property
    def kind(self) -> str | None:
        """The type of the warehouse; None if it is not known before a run."""
        return self.warehouse

    def check_fields(self) -> None:
        """Check the fields without a run, which those from the environment must wait for.

        Raises:
            ConfigError: a value is wrong or missing; lists every problem.
        """
        self._settings()

    def _make_project(self) -> Project:
        targets = {_TARGET: self._settings()}
        return Project(self.specs, self.templates, root=os.curdir, targets=targets, target=_TARGET)

    def _settings(self) -> TargetSettings:
        """The settings of the target."""
        raise NotImplementedError

    def _find_tables(self) -> Tables:
        if self._tables is None:
            infers = self.on_missing_spec == "infer"
            self._tables = Tables(
                self.project, infers, self.default_frame, self.sample_rows, self.evolve
            )
        return self._tables

    @classmethod
    def output_config_schema(cls) -> Mapping[str, dg.Field]:
        """The run config of an output: ``ops: {x: {outputs: {result: {dry_run: true}}}}``."""
        return {
            "full_refresh": dg.Field(
                bool,
                default_value=False,
                description="Replace the whole table, not only the partitions of the run.",
            ),
            "allow_shrink": dg.Field(
                bool,
                default_value=False,
                description="Load although the spec's guards find that too many rows are lost.",
            ),
            "dry_run": dg.Field(
                bool,
                default_value=False,
                description="Validate the data and show the plan; write and materialize nothing.",
            ),
            "sample_rows": dg.Field(
                int,
                is_required=False,
                description="How many rows of the partitions to show, instead of the manager's.",
            ),
        }

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Load what the asset returned, all partitions of the run in one verified transaction.

        Raises:
            Failure: it cannot be loaded, and a retry would fail too; the table is unchanged.
            ExecuteError, StageError, SourceError: a retry may succeed, or the asset's own stream
                raised an error; the asset's retry policy applies.
        """
        with _convert_errors(context):
            store(self._find_tables(), context, obj)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the partitions of the upstream table for an input.

        Raises:
            Failure: the table or a partition does not exist, or the annotation is not supported.
            ExecuteError, StageError: the warehouse failed, and a retry may succeed.
        """
        with _convert_errors(context):
            return fetch(self._find_tables(), context)


class ProjectIOManager(TableIOManager):
    """Tables of a target in the project's settings, `loader.toml` or `[tool.loader]`.

    The settings are those of the nearest project above the specs, or the working directory.
    """

    specs: str = ""
    """The folder of the table specs; default that of the project's settings."""
    target: str = ""
    """The name of the target; default the project's default target."""

    @property
    def kind(self) -> str | None:
        """The type of the target's warehouse; None if its settings are not known yet."""
        try:
            return self.project.config.settings(preview=True).type
        except LoaderError:
            return None

    def _make_project(self) -> Project:
        return Project(self.specs or None, self.templates, target=self.target or None)


class DuckDBIOManager(TableIOManager):
    """Tables in an embedded DuckDB database file.

    >>> DuckDBIOManager(database="warehouse.duckdb").project.config.target
    'dagster'
    """

    warehouse = "duckdb"

    database: str
    """The database file."""
    staging: str | None = None
    """The folder for staged files; default `warehouse.staging` for `warehouse.duckdb`."""
    ledger_schema: str = "loader"
    """The schema of the ledger; empty turns the ledger off."""
    lock_timeout: float = 30.0
    """Seconds to wait for another process that has locked the file."""
    memory_limit: str = "320MB"
    """The maximum memory of DuckDB during a load."""

    def _settings(self) -> TargetSettings:
        path = Path(self.database)
        beside = path.with_suffix(".staging") if path.name else path / ".staging"
        return make_settings(
            {
                "type": self.warehouse,
                "database": self.database,
                "staging": self.staging or str(beside),
                "ledger_schema": self.ledger_schema,
                "lock_timeout": self.lock_timeout,
                "memory_limit": self.memory_limit,
            },
            type(self).__name__,
        )


class RedshiftIOManager(TableIOManager):
    """Tables in an Amazon Redshift cluster or Serverless workgroup, staged in S3.

    Without a password it logs in with IAM credentials for `cluster_identifier` or `work_group`, or
    with the secret `secret_id`.
    """

    warehouse = "redshift"

    transport: Literal["driver", "data_api"] = "driver"
    """A connection, or the Data API, which needs no network path to the warehouse."""
    host: str = ""
    port: str = "5439"
    """A number, as text or int; text so that it can be an `EnvVar`."""
    database: str
    user: str = ""
    password: str | None = None
    cluster_identifier: str | None = None
    """The provisioned cluster, for IAM credentials."""
    work_group: str | None = None
    """The Serverless workgroup, for IAM credentials."""
    secret_id: str | None = None
    """The Secrets Manager secret with user and password."""
    region_name: str | None = None
    s3_iam_role: str
    """The IAM role of COPY and UNLOAD: its ARN, or `default`."""
    bucket_name: str
    prefix: str = "loader"
    """The folder in the bucket for staged files."""
    ledger_schema: str = "loader"
    """The schema of the ledger; empty turns the ledger off."""
    ssl: bool = True
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """Server-side encryption of staged files; empty uses the bucket's default."""
    kms_key_id: str | None = None
    share: str | None = None
    """The database of a datashare that all tables and the ledger are in."""
    unload_rows: int = 100_000
    """Reads of more rows than this use UNLOAD and the bucket."""

    @field_validator("port", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if not isinstance(value, int):
            return value
        variable = getattr(value, "name", None)  # EnvVar.int returns a subclass of int
        return str(value) if variable is None else dg.EnvVar(variable)

    def _settings(self) -> TargetSettings:
        bucket = self.bucket_name.removeprefix("s3://").strip("/")
        prefix = self.prefix.strip("/")
        return make_settings(
            {
                "type": self.warehouse,
                "transport": self.transport,
                "host": self.host,
                "port": self.port or "5439",
                "database": self.database,
                "user": self.user,
                "password": self.password or "",
                "cluster_identifier": self.cluster_identifier or "",
                "work_group": self.work_group or "",
                "secret_id": self.secret_id or "",
                "region_name": self.region_name or "",
                "iam_role": self.s3_iam_role,
                "staging": f"s3://{bucket}/{prefix}".rstrip("/") if bucket else "",
                "ssl": self.ssl,
                "ledger_schema": self.ledger_schema,
                "encryption": self.encryption,
                "kms_key_id": self.kms_key_id or "",
                "share": self.share or "",
                "unload_rows": self.unload_rows,
            },
            type(self).__name__,
            names={"iam_role": "s3_iam_role", "staging": "bucket_name"},
        )


class RedshiftPandasIOManager(RedshiftIOManager):
    """`RedshiftIOManager` under the name of many hand-written IO managers."""


@contextmanager
def _convert_errors(context: dg.OutputContext | dg.InputContext) -> Iterator[None]:
    """Raise permanent errors as a `Failure` without retries; transient errors are unchanged."""
    try:
        yield
    except LoaderError as error:
        cause = error.__cause__
        if isinstance(cause, dg.Failure | dg.RetryRequested):
            raise cause from None  # raised by the asset's own stream
        # Other errors of the asset's stream may be transient: its retry policy applies.
        if error.transient or (isinstance(error, SourceError) and cause is not None):
            raise
        forbid_run_retries(context)
        raise failure(error) from error
