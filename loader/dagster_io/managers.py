"""The IO managers: an asset returns a frame, and its table spec says the rest."""

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
from loader.dagster_io.metadata import Place, failure
from loader.dagster_io.outputs import store
from loader.dagster_io.tables import Tables
from loader.errors import ConfigError, LoaderError, SourceError
from loader.project import Project

_TARGET = "dagster"


class TableIOManager(dg.ConfigurableIOManager):
    """Loads what assets return into their tables, and reads it back for those downstream.

    The two managers below differ in where the tables are.
    """

    specs: str = "specs"
    """The folder of the table specs."""
    templates: str | None = None
    """A folder of SQL templates to be laid over Loader's own."""
    on_missing_spec: Literal["fail", "infer"] = "fail"
    """What becomes of an asset without a spec: an error, or a table as its data suggests."""
    default_frame: Literal["pandas", "polars", "arrow"] = "pandas"
    """What an input without an annotation is handed."""
    ledger_schema: str = "loader"
    """The schema of the ledger; empty turns it off."""

    _project: Project | None = PrivateAttr(default=None)

    warehouse: ClassVar[str | None] = None
    """The type of its target."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        # Dagster drops a field that is misspelt; pydantic's own error would show its values.
        for name in data if isinstance(data, dict) else ():
            if name not in cls.model_fields:
                close = difflib.get_close_matches(name, cls.model_fields, n=1)
                known = f"its fields are {', '.join(cls.model_fields)}"
                hint = f"did you mean `{close[0]}`?" if close else known
                raise ConfigError(f"{cls.__name__} has no field `{name}`", hint=hint)
        return data

    @property
    def project(self) -> Project:
        """The specs and the one target; specs are read once, when they are first needed."""
        if self._project is None:
            self._project = Project(
                specs=self.specs,
                templates=self.templates,
                root=os.curdir,
                targets={_TARGET: self._settings()},
            )
        return self._project

    def _tables(self) -> Tables:
        infers = self.on_missing_spec == "infer"
        return Tables(self.project, self._place(), infers, self.default_frame)

    def _settings(self) -> TargetSettings:
        """The target's settings."""
        raise NotImplementedError

    def _place(self) -> Place:
        """Where the tables are."""
        raise NotImplementedError

    @classmethod
    def output_config_schema(cls) -> Mapping[str, dg.Field]:
        """What a run may ask of an output: ``ops: {x: {outputs: {result: {dry_run: true}}}}``."""
        return {
            "full_refresh": dg.Field(
                bool,
                default_value=False,
                description="Replace the whole table, whatever partitions the run is about.",
            ),
            "dry_run": dg.Field(
                bool,
                default_value=False,
                description="Hold the data against its spec and show the plan; write nothing.",
            ),
        }

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Load what the asset returned: one verified transaction, whatever the partitions.

        Raises:
            Failure: it cannot be loaded, and another attempt would meet the same; the table is as
                it was.
            ExecuteError, StageError, SourceError: it failed for a reason that may pass, or what
                the asset returned broke while it was read; the asset's retry policy decides.
        """
        with _failing():
            store(self._tables(), context, obj)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the partitions of the upstream table that the input is about.

        Raises:
            Failure: the table or a partition is not there, or cannot be made into what the
                annotation asks for.
            ExecuteError, StageError: the warehouse failed for a reason that may pass.
        """
        with _failing():
            return fetch(self._tables(), context)


class DuckDBIOManager(TableIOManager):
    """Tables in an embedded DuckDB database file.

    >>> DuckDBIOManager(database="warehouse.duckdb").project.config.target
    'dagster'
    """

    warehouse = "duckdb"

    database: str
    """The database file."""
    staging: str | None = None
    """The folder loads stage their files in; default `warehouse.staging` for `warehouse.duckdb`."""
    lock_timeout: float = 30.0
    """Seconds to wait for another process that holds the file."""
    memory_limit: str = "320MB"
    """The most memory DuckDB may use while it loads."""

    def _settings(self) -> TargetSettings:
        beside = Path(self.database).with_suffix(".staging")
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

    def _place(self) -> Place:
        path = Path(self.database).absolute()
        return Place(path.stem, f"duckdb://{path}")


class RedshiftIOManager(TableIOManager):
    """Tables in an Amazon Redshift cluster or Serverless workgroup, staged in S3.

    Without a password IAM credentials are asked for, of `cluster_identifier` or `work_group`, or
    of the secret `secret_id`.
    """

    warehouse = "redshift"

    host: str = ""
    port: str = "5439"
    """A number or its text; text so that `EnvVar` may give it."""
    database: str
    user: str = ""
    password: str | None = None
    cluster_identifier: str | None = None
    """The provisioned cluster to ask IAM credentials for."""
    work_group: str | None = None
    """The Serverless workgroup to ask IAM credentials for."""
    secret_id: str | None = None
    """A Secrets Manager secret with user and password."""
    region_name: str | None = None
    s3_iam_role: str
    """The role COPY and UNLOAD use in the bucket: its ARN, or `default`."""
    bucket_name: str
    prefix: str = "loader"
    """The folder in the bucket that loads stage their files in."""
    ssl: bool = True
    encryption: Literal["", "AES256", "aws:kms"] = ""
    """Server-side encryption of staged files; empty is the bucket's own."""
    kms_key_id: str | None = None
    unload_rows: int = 100_000
    """Reads of more rows go through UNLOAD and the bucket."""

    @field_validator("port", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if not isinstance(value, int):
            return value
        variable = getattr(value, "name", None)  # what EnvVar.int gives is an int of sorts
        return str(value) if variable is None else dg.EnvVar(variable)

    def _settings(self) -> TargetSettings:
        bucket = self.bucket_name.removeprefix("s3://").strip("/")
        prefix = self.prefix.strip("/")
        return make_settings(
            {
                "type": self.warehouse,
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
                "unload_rows": self.unload_rows,
            },
            type(self).__name__,
            names={"iam_role": "s3_iam_role", "staging": "bucket_name"},
        )

    def _place(self) -> Place:
        name = self.host or self.cluster_identifier or self.work_group or ""
        return Place(self.database, f"redshift://{name}:{self.port}/{self.database}")


class RedshiftPandasIOManager(RedshiftIOManager):
    """`RedshiftIOManager` by the name that many hand-written ones have."""


@contextmanager
def _failing() -> Iterator[None]:
    """Errors as Dagster should take them: those that may pass as they are, others for good."""
    try:
        yield
    except LoaderError as error:
        asked = error.__cause__
        if isinstance(asked, dg.Failure | dg.RetryRequested):
            raise asked from None  # the asset's own stream wants it so
        # Whatever the asset's own stream raised: only its author knows.
        if error.transient or (isinstance(error, SourceError) and asked is not None):
            raise
        raise failure(error) from error
