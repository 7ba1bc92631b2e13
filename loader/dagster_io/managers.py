"""The IO managers: an asset returns a frame, and its table spec says the rest."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import PrivateAttr, field_validator

from loader.catalog import Entry
from loader.config import TargetSettings, given_settings
from loader.dagster_io import inputs
from loader.dagster_io.metadata import (
    Place,
    failure,
    load_metadata,
    plan_metadata,
    table_metadata,
)
from loader.dagster_io.partitions import Selection, select
from loader.dagster_io.unspecified import (
    key_of,
    missing_spec,
    no_table,
    spec_of_data,
    spec_of_table,
)
from loader.errors import (
    ExecuteError,
    LoaderError,
    PlanError,
    SourceError,
    SpecError,
    StageError,
)
from loader.plan import LiveTable
from loader.project import Project
from loader.results import LoadResult
from loader.spec import TableSpec

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
            metadata, by_partition = self._load(context, obj)
            _tell(context, metadata, by_partition)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the partitions of the upstream table that the input is about.

        Raises:
            Failure: the table or a partition is not there, or cannot be made into what the
                annotation asks for.
            ExecuteError, StageError: the warehouse failed for a reason that may pass.
        """
        with _failing():
            return self._read(context)

    def _load(
        self, context: dg.OutputContext, obj: Any
    ) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
        """The metadata of the load, and of each partition."""
        if not context.has_asset_key:
            raise PlanError(
                f"the output `{context.name}` belongs to no asset, so there is no table for it",
                hint="give outputs between the ops of a graph another io_manager_key",
            )
        spec, frame = self._spec_for(context, () if obj is None else obj)
        options: Mapping[str, Any] = context.config or {}
        whole = bool(options.get("full_refresh"))
        selection = self._selected(context, spec)
        if selection is None and spec.partition_by and not whole:
            raise _unpartitioned(spec)
        if selection is not None and not selection.cells:
            context.log.info(f"{spec.table}: the run is about no partition, so nothing is loaded")
            return {"status": "no partitions"}, {}
        partition = None if selection is None or whole else selection.request
        about = table_metadata(spec, self._place(), self._source(spec))
        if options.get("dry_run"):
            plan = self.project.plan(spec, partition, full_refresh=whole, frame=frame)
            context.log.info(f"{spec.table}: dry run, nothing was written\n{plan.sql}")
            return {**about, **plan_metadata(plan)}, {}
        result = self.project.load(
            spec,
            frame,
            partition,
            full_refresh=whole,
            load_id=_load_id(context, spec, selection, whole=whole),
        )
        _log(context, result)
        metadata = {**about, **load_metadata(result)}
        if selection is not None and "dagster/row_count" in metadata:
            metadata["dagster/partition_row_count"] = metadata["dagster/row_count"]
        return metadata, _by_partition(result, spec, selection)

    def _read(self, context: dg.InputContext) -> Any:
        options = context.definition_metadata or {}
        want = inputs.wanted(context.dagster_type.typing_type, self.default_frame)
        columns, limit = _columns(options), _limit(options)
        # An asset that reads what it has made before has made nothing at first.
        own = context.asset_key in _assets_of(context)
        spec = self._spec_to_read(context)

        def nothing(form: inputs.Form) -> Any:
            return inputs.empty(spec, form, columns)

        if own and (spec is None or not self._exists(spec)):
            return want.make(nothing, {})
        if spec is None:
            raise no_table(key_of(context))
        table, selection = spec, self._selected(context, spec)

        def read(partition: Any, form: inputs.Form) -> Any:
            frame: Any = self.project.read(
                table, partition, columns=columns, limit=limit, as_=inputs.READ_AS[form]
            )
            return inputs.finished(frame, form)

        if selection is None:
            return want.make(partial(read, None), {})
        lenient = own or bool(options.get("allow_missing_partitions"))
        missing = self._missing(context, selection)
        if missing and not lenient:
            raise _missing_partitions(spec, missing)
        if missing:
            context.log.warning(f"{spec.table}: {_missing_text(missing)} not there; left out")
        cells = {key: cell for key, cell in selection.cells.items() if key not in missing}
        return want.make(
            partial(read, list(cells.values())) if cells else nothing,
            {key: partial(read, [cell]) for key, cell in cells.items()},
        )

    def _exists(self, spec: TableSpec) -> bool:
        return isinstance(self.project.live(spec.schema_name, spec.name), LiveTable)

    def _missing(self, context: dg.InputContext, selection: Selection) -> list[str]:
        """The partitions that Dagster never materialized and the table has no rows of."""
        done: set[str] = set()
        # Without an instance, and for tables that others fill, the table alone knows.
        with suppress(Exception):
            done = set(context.instance.get_materialized_partitions(context.asset_key))
        open_ = [key for key in selection.cells if key not in done]
        if not open_:
            return []
        requests = [[selection.cells[key]] for key in open_]
        (rows,) = self.project.count(selection.spec, [[cell for (cell,) in requests]])
        if not rows:
            return open_
        counts = self.project.count(selection.spec, requests)
        return [key for key, rows in zip(open_, counts, strict=True) if not rows]

    def _selected(
        self, context: dg.OutputContext | dg.InputContext, spec: TableSpec
    ) -> Selection | None:
        """The partitions the step is about; None when its asset has none."""
        if not context.has_asset_partitions:
            return None
        return select(spec, context.asset_partitions_def, context.asset_partition_keys)

    def _entry(self, key: str) -> Entry | None:
        """The spec file of an asset.

        Raises:
            SpecError: it is wrong.
        """
        found = [entry for entry in self.project.catalog.entries if entry.name == key]
        unnamed = [entry for entry in self.project.catalog.entries if not entry.name]
        problems = [problem for entry in found or unnamed for problem in entry.problems]
        if problems:
            raise SpecError(problems)
        return found[0] if found else None

    def _spec_for(self, context: dg.OutputContext, obj: Any) -> tuple[TableSpec, Any]:
        """The asset's spec, and its data, of which nothing is lost when the spec comes from it."""
        key = key_of(context)
        entry = self._entry(key)
        if entry is not None:
            assert entry.spec is not None
            return entry.spec, obj
        if self.on_missing_spec == "fail":
            raise missing_spec(self.project, key)
        return spec_of_data(self.project, context, obj)

    def _spec_to_read(self, context: dg.InputContext) -> TableSpec | None:
        """The upstream asset's spec; None when it has none and there is no table to infer it of."""
        key = key_of(context)
        entry = self._entry(key)
        if entry is not None:
            return entry.spec
        if self.on_missing_spec == "fail":
            raise missing_spec(self.project, key)
        return spec_of_table(self.project, context)

    def _source(self, spec: TableSpec) -> tuple[Path, int] | None:
        entry = self._entry(spec.asset_key)
        return (entry.path, entry.line) if entry else None


class DuckDBIOManager(TableIOManager):
    """Tables in an embedded DuckDB database file.

    >>> DuckDBIOManager(database="warehouse.duckdb").project.config.target
    'dagster'
    """

    database: str
    """The database file."""
    staging: str | None = None
    """The folder loads stage their files in; default `.loader/staging` beside the database."""
    lock_timeout: float = 30.0
    """Seconds to wait for another process that holds the file."""
    memory_limit: str = "320MB"
    """The most memory DuckDB may use while it loads."""

    def _settings(self) -> TargetSettings:
        beside = Path(self.database).parent / ".loader" / "staging"
        return given_settings(
            {
                "type": "duckdb",
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
        if isinstance(value, dg.IntEnvVar):
            return dg.EnvVar(value.name)
        return str(value) if isinstance(value, int) else value

    def _settings(self) -> TargetSettings:
        bucket = "/".join(
            part.strip("/")
            for part in (self.bucket_name.removeprefix("s3://"), self.prefix)
            if part
        )
        return given_settings(
            {
                "type": "redshift",
                "host": self.host,
                "port": self.port,
                "database": self.database,
                "user": self.user,
                "password": self.password or "",
                "cluster_identifier": self.cluster_identifier or "",
                "work_group": self.work_group or "",
                "secret_id": self.secret_id or "",
                "region_name": self.region_name or "",
                "iam_role": self.s3_iam_role,
                "staging": f"s3://{bucket}",
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
        if _may_pass(error):
            raise
        raise failure(error) from error


def _may_pass(error: LoaderError) -> bool:
    if isinstance(error, ExecuteError | StageError):
        return error.transient
    # Whatever the asset's own stream raised: only its author knows.
    return isinstance(error, SourceError) and error.__cause__ is not None


def _load_id(
    context: dg.OutputContext, spec: TableSpec, selection: Selection | None, *, whole: bool
) -> str:
    """The same for every attempt of a step, so that a retried append happens once."""
    if context.run_id.startswith("__"):  # no run: a context that was built by hand
        return str(uuid.uuid4())
    parts = [context.step_key, context.name, context.mapping_key or "", spec.asset_key, str(whole)]
    parts += sorted(selection.cells) if selection else []
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{context.run_id}-{digest[:16]}"


def _log(context: dg.OutputContext, result: LoadResult) -> None:
    where = f" ({result.slice})" if result.slice else ""
    if result.status == "already_loaded":
        context.log.info(
            f"{result.table}{where}: an earlier attempt of this step has loaded it already"
        )
    else:
        context.log.info(
            f"{result.table}{where}: {result.rows_loaded:,} rows loaded,"
            f" {result.rows_deleted:,} deleted, verified and committed"
        )
    for warning in result.warnings:
        context.log.warning(warning)


def _by_partition(
    result: LoadResult, spec: TableSpec, selection: Selection | None
) -> dict[str, dict[str, int]]:
    """What is true of each partition alone, when the run is about several."""
    if selection is None or len(selection.cells) < 2 or result.partition_rows is None:
        return {}
    rows = selection.rows(result.partition_rows)
    names = ["rows_loaded", *(_COUNTS if spec.write_disposition == "replace" else ())]
    return {key: dict.fromkeys(names, rows[key]) for key in selection.cells}


_COUNTS = ("dagster/row_count", "dagster/partition_row_count")


def _tell(
    context: dg.OutputContext, metadata: dict[str, Any], by_partition: dict[str, dict[str, int]]
) -> None:
    """Add metadata to the materialization, or to each of them; what the user set stays."""
    theirs = set(context.output_metadata)
    left = {name: value for name, value in metadata.items() if name not in theirs}
    if by_partition:
        # Dagster gives what is added to an output to every partition alike.
        with suppress(Exception):
            step = context.step_context
            for key, numbers in by_partition.items():
                mine = {name: value for name, value in numbers.items() if name not in theirs}
                step.add_asset_metadata(mine, asset_key=context.asset_key, partition_key=key)
            told = {name for numbers in by_partition.values() for name in numbers} | set(_COUNTS)
            left = {name: value for name, value in left.items() if name not in told}
    context.add_output_metadata(left)


def _assets_of(context: dg.InputContext) -> set[dg.AssetKey]:
    """The assets that the step which reads makes."""
    with suppress(Exception):  # Dagster has no public way to tell, and contexts may have no step
        step = context.step_context
        assets = step.job_def.asset_layer.get_assets_def_for_node(step.node_handle)
        return set(assets.keys) if assets else set()
    return set()


def _columns(options: Mapping[str, Any]) -> list[str] | None:
    given = options.get("columns")
    if given is None:
        return None
    names = given.value if isinstance(given, dg.MetadataValue) else given
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _limit(options: Mapping[str, Any]) -> int | None:
    given = options.get("limit")
    number = given.value if isinstance(given, dg.MetadataValue) else given
    if number is not None and (not isinstance(number, int) or number < 0):
        raise PlanError(f"the input's `limit` is {number!r}", hint="give a number of rows")
    return number


def _unpartitioned(spec: TableSpec) -> PlanError:
    names = ", ".join(f"`{dimension.name}`" for dimension in spec.dimensions)
    return PlanError(
        f"{spec.table} is partitioned by {names}, and the asset `{spec.asset_key}` has no"
        " partitions",
        hint="give the asset partitions_def=loader.dagster_io.partitions_def(spec), or run it with"
        " {full_refresh: true} on the output to replace the whole table",
    )


def _missing_partitions(spec: TableSpec, missing: Sequence[str]) -> PlanError:
    return PlanError(
        f"{spec.table} lacks what the input asks for: {_missing_text(missing)} not there",
        hint="materialize them first, or allow it: AssetIn(metadata={'allow_missing_partitions':"
        " True})",
    )


def _missing_text(missing: Sequence[str]) -> str:
    shown = ", ".join(f"`{key}`" for key in missing[:5])
    more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
    return f"the partition {shown} is" if len(missing) == 1 else f"the partitions {shown}{more} are"
