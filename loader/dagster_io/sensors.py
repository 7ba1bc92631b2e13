"""A sensor for new files of tables whose specs load each file once: ``source: {load: new}``."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from loader.dagster_io.names import asset_key
from loader.dagster_io.partition_defs import partitions_def
from loader.dagster_io.partitions import by_dimension
from loader.dagster_io.requirements import find_project
from loader.errors import LoaderError, NoFilesError, PlanError
from loader.project import Project
from loader.spec.file_patterns import have_places, period_start
from loader.spec.model import TableSpec
from loader.spec.partition_keys import parse_key
from loader.text_tables import format_count

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

    from loader.data.files.listing import ListedFile
    from loader.executor.context import TargetContext


def new_files_sensor(
    project: Project,
    select: Sequence[str] = (),
    *,
    io_manager_key: str = "io_manager",
    name: str = "new_files",
    minimum_interval_seconds: int = 60,
    max_runs: int = 100,
) -> dg.SensorDefinition:
    """A sensor that materializes tables when there are files that the ledger does not know.

    It watches the selected tables whose specs have `source.files` and ``load: new``. A table whose
    files are named by partition has a run for each partition with new files; others have one run.
    The same files are requested once: a run that fails is not repeated until its files change.

    Args:
        project: The project with the specs.
        select: As on the command line, default all.
        io_manager_key: The resource that loads the tables, whose ledger is asked.
        name: The sensor's name.
        minimum_interval_seconds: The time between two looks.
        max_runs: The most runs that one look requests; the others follow with the next looks.

    Raises:
        SpecError: a spec file is invalid; lists every problem of every file.
        PlanError: no table can be watched, or Dagster cannot list the partitions of one.
    """
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    watched = [(spec, partitions_def(spec)) for spec in specs if is_watched(spec)]
    if not watched:
        raise PlanError(
            "no selected table loads new files that a sensor could watch",
            hint="declare source: {files: …, load: new}; for a partitioned table the names must"
            " have its partitions, as in data/{date}.csv",
        )

    jobs = _make_jobs(watched, name)

    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        manager = getattr(context.resources, io_manager_key)
        target = find_project(manager, io_manager_key).context()
        root = project.config.root
        found, errors = _Found(context.instance, jobs), list[str]()
        for spec, definition in watched:
            try:
                found.add(spec, definition, _find_new_files(spec, root, target))
            except LoaderError as error:
                errors.append(f"{spec.table}: {error}")
        if errors and not found.pending:
            raise dg.Failure("\n\n".join(errors))
        for text in (*found.notes, *errors):
            context.log.warning(text)
        if not found.pending:
            return dg.SkipReason("; ".join(found.notes) or "no new files")
        return _request_runs(context, found.pending, max_runs)

    return dg.SensorDefinition(
        name=name,
        evaluation_fn=look,
        minimum_interval_seconds=minimum_interval_seconds,
        description=f"Loads new files of {', '.join(spec.table for spec, _ in watched)}.",
        jobs=list({job.name: job for job in jobs.values()}.values()),
        required_resource_keys={io_manager_key},
    )


def _make_jobs(
    watched: Sequence[tuple[TableSpec, dg.PartitionsDefinition | None]], name: str
) -> dict[str, UnresolvedAssetJobDefinition]:
    """The job of each asset: one for all, but a job's assets have the same partitions."""
    groups: list[tuple[dg.PartitionsDefinition | None, list[TableSpec]]] = []
    for spec, definition in watched:
        same = (group for known, group in groups if known == definition)
        group = next(same, None)
        if group is None:
            groups.append((definition, group := []))
        group.append(spec)
    jobs: dict[str, UnresolvedAssetJobDefinition] = {}
    for number, (_, group) in enumerate(groups, 1):
        selection = dg.AssetSelection.assets(*map(asset_key, group))
        job = dg.define_asset_job(name if number == 1 else f"{name}_{number}", selection)
        jobs |= dict.fromkeys((spec.asset_key for spec in group), job)
    return jobs


def is_watched(spec: TableSpec) -> bool:
    """Whether a sensor can tell what to load when a table has new files."""
    source = spec.source
    if not source.files or source.load != "new":
        return False
    return not spec.partition_by or have_places(source.files, spec.dimensions)


def _find_new_files(
    spec: TableSpec, root: Path, target: TargetContext
) -> dict[str | None, list[ListedFile]]:
    """The files that a load would take, by the name of their partition.

    Raises:
        LoaderError: they cannot be listed, or the ledger cannot be read.
    """
    from loader.executor.request import make_request  # noqa: PLC0415  # pyarrow is slow to import
    from loader.executor.source import own_source, select_files  # noqa: PLC0415

    request = make_request(spec, None, str(uuid.uuid4()), full_refresh=False)
    try:
        files = select_files(spec, own_source(spec, root), request, target).files
    except NoFilesError:
        return {}
    found: dict[str | None, list[ListedFile]] = {}
    for file in files:
        found.setdefault(file.fact.partition, []).append(file)
    return found


@dataclass(frozen=True)
class _PendingRun:
    """A run for new files."""

    request: dg.RunRequest
    dynamic_keys: frozenset[tuple[str, str]] = frozenset()
    """Its keys of dynamic partitions, each after the name of its definition."""

    @property
    def key(self) -> str:
        """The key by which Dagster knows a run that it has started already."""
        return self.request.run_key or ""


def _request_runs(
    context: dg.SensorEvaluationContext, pending: Sequence[_PendingRun], max_runs: int
) -> dg.SensorResult:
    """Request some of the runs: first those that no look has requested yet.

    The cursor has the keys of those that were: runs that fail would else stand in the way of
    others for good.
    """
    requested = set(json.loads(context.cursor or "[]"))
    chosen = sorted(pending, key=lambda one: one.key in requested)[:max_runs]
    keys = {one.key for one in chosen} | (requested & {one.key for one in pending})
    if len(keys) < len(pending):
        left = format_count(len(pending) - len(keys), "run")
        context.log.info(f"{left} for new files will be requested by the next looks")
    added: dict[str, list[str]] = {}
    for name, key in sorted(set().union(*(one.dynamic_keys for one in chosen))):
        if not context.instance.has_dynamic_partition(name, key):
            added.setdefault(name, []).append(key)
    return dg.SensorResult(
        run_requests=[one.request for one in chosen],
        dynamic_partitions_requests=[
            dg.AddDynamicPartitionsRequest(name, keys) for name, keys in added.items()
        ],
        cursor=json.dumps(sorted(keys)),
    )


@dataclass(frozen=True)
class _Found:
    """What a look has found."""

    instance: dg.DagsterInstance
    jobs: Mapping[str, UnresolvedAssetJobDefinition]
    """The job of each asset."""
    pending: list[_PendingRun] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        spec: TableSpec,
        definition: dg.PartitionsDefinition | None,
        found: Mapping[str | None, Sequence[ListedFile]],
    ) -> None:
        """Add a run for each partition of a table that has new files."""
        if definition is None:
            every = [file for some in found.values() for file in some]
            if every:
                self.pending.append(_PendingRun(self._make_request(spec, every)))
            return
        parts = by_dimension(spec, definition)
        waiting: list[str] = []
        with dg.partition_loading_context(dynamic_partitions_store=self.instance):
            for name, files in found.items():
                keys = _dagster_keys(spec, parts, files[0])
                if not all(_is_there(parts[at], key) for at, key in keys.items()):
                    waiting.append(str(name))
                    continue
                several = isinstance(definition, dg.MultiPartitionsDefinition)
                key = dg.MultiPartitionKey(keys) if several else next(iter(keys.values()))
                request = self._make_request(spec, files, key)
                self.pending.append(_PendingRun(request, _dynamic_keys(parts, keys)))
        if waiting:
            count = format_count(len(waiting), "partition")
            self.notes.append(
                f"{spec.table} has files of {count} that Dagster does not have yet, such as"
                f" {waiting[0]}"
            )

    def _make_request(
        self, spec: TableSpec, files: Sequence[ListedFile], partition: str | None = None
    ) -> dg.RunRequest:
        return dg.RunRequest(
            _run_key(spec, files),
            job_name=self.jobs[spec.asset_key].name,
            asset_selection=[asset_key(spec)],
            partition_key=partition,
        )


def _dynamic_keys(
    parts: Mapping[str, dg.PartitionsDefinition], keys: Mapping[str, str]
) -> frozenset[tuple[str, str]]:
    return frozenset(
        (part.name, keys[name])
        for name, part in parts.items()
        if isinstance(part, dg.DynamicPartitionsDefinition) and part.name is not None
    )


def _dagster_keys(
    spec: TableSpec, parts: Mapping[str, dg.PartitionsDefinition], file: ListedFile
) -> dict[str, str]:
    """Dagster's key of a file's partition in each dimension."""
    assert file.keys is not None, "files of partitioned tables are named by them"
    found = {}
    for dimension in spec.dimensions:
        part, key = parts[dimension.name], file.keys[dimension.name]
        if isinstance(part, dg.TimeWindowPartitionsDefinition):
            found[dimension.name] = period_start(dimension, key).strftime(part.fmt)
        else:
            found[dimension.name] = parse_key(dimension, key).key
    return found


def _is_there(part: dg.PartitionsDefinition, key: str) -> bool:
    """Whether a run of a partition can be requested; dynamic ones are added with the request."""
    return isinstance(part, dg.DynamicPartitionsDefinition) or part.has_partition_key(key)


def _run_key(spec: TableSpec, files: Sequence[ListedFile]) -> str:
    """The same for the same files, so that Dagster requests their run once."""
    facts = sorted((one.fact.path, one.fact.bytes, one.fact.version or "") for one in files)
    digest = hashlib.sha256(repr((spec.asset_key, facts)).encode()).hexdigest()
    return f"{spec.asset_key} {digest[:16]}"
