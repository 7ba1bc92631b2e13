"""Loads what an asset returns into its table, and reports the result as metadata."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import dagster as dg

from loader.dagster_io.metadata import (
    DRY_RUN,
    load_metadata,
    plan_metadata,
    table_metadata,
    table_value,
)
from loader.dagster_io.partitions import Selection, selection_of
from loader.dagster_io.runs import first_run_id, not_materialized
from loader.dagster_io.tables import Tables, hints_without_spec
from loader.errors import LoaderError, PlanError
from loader.escaping import escape_invisible
from loader.executor.results import LoadResult
from loader.project import Project
from loader.redaction import KNOWN
from loader.spec.model import TableSpec
from loader.text_tables import format_count

_MAX_PARTITIONS = 2_000
"""Maximum partitions of a run with row counts of their own; more would be slow in Dagster."""

_MAX_COUNTED = 100
"""Maximum partitions of a run whose rows are counted when a load has not done that."""

_MAX_CELL = 200
"""Maximum characters of a value in the sample rows."""

_ROWS, _PARTITION_ROWS = "dagster/row_count", "dagster/partition_row_count"

_SHARED = frozenset(
    {"dagster/column_schema", "dagster/table_name", "dagster/uri", "dagster/code_references"}
    | {_ROWS, "status", "load_id", "slice", "sql", "staged", "rejects", "warnings"}
)
"""Metadata that says the same of each partition of a run; the others are figures of the run."""


def store(tables: Tables, context: dg.OutputContext, obj: Any) -> None:
    """Load what an asset returned, and add the metadata of the load to the output.

    Raises:
        LoaderError: it cannot be loaded; the table is unchanged.
    """
    metadata, by_partition = _load(tables, context, obj)
    _add_metadata(context, metadata, by_partition)


def _load(
    tables: Tables, context: dg.OutputContext, obj: Any
) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    """Load; returns the metadata of the load, and that of each partition."""
    if not context.has_asset_key:
        raise PlanError(
            f"the output `{context.name}` has no asset key, so it has no table",
            hint="set another io_manager_key for outputs between the ops of a graph",
        )
    spec, frame = tables.spec_of_output(context, () if obj is None else obj)
    source = tables.source(context)
    with nullcontext() if source else hints_without_spec(spec):
        return _load_table(tables, context, spec, frame, source)


def _load_table(
    tables: Tables,
    context: dg.OutputContext,
    spec: TableSpec,
    frame: object,
    source: tuple[Path, int] | None,
) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
    options: Mapping[str, Any] = context.config or {}
    whole = bool(options.get("full_refresh"))
    selection = selection_of(spec, context)
    if selection is None and spec.partition_by and not whole:
        raise _unpartitioned(spec)
    if selection is not None and not selection.cells:
        context.log.info(f"{spec.table}: the run has no partitions, so nothing is loaded")
        return {"status": "no partitions"}, {}
    partition = None if selection is None or whole else selection.request
    table = table_metadata(spec, tables.place, source)
    if options.get("dry_run"):
        plan = tables.project.plan(spec, partition, full_refresh=whole, frame=frame)
        text = f"{spec.table}: dry run, nothing was written\n{plan.sql}"
        context.log.info(escape_invisible(KNOWN.hide(text)))
        return _observe_plan(context, {**table, **plan_metadata(plan)}, selection), {}
    result = tables.project.load(
        spec,
        frame,
        partition,
        full_refresh=whole,
        allow_shrink=bool(options.get("allow_shrink")),
        load_id=_load_id(context, spec, selection, whole=whole),
    )
    _log(context, result)
    keys = list(selection.cells) if selection else []
    metadata = {**table, **load_metadata(result, len(keys) or 1)}
    most = options.get("sample_rows", tables.sample_rows)
    if most > 0:
        metadata |= _read_sample(tables.project, context, spec, partition, most)
    rows, counts = _count_rows(tables.project, context, result, spec, selection)
    if rows is not None:
        metadata[_ROWS] = rows
    if len(keys) == 1:
        return {**metadata, **({_PARTITION_ROWS: counts[keys[0]]} if counts else {})}, {}
    if keys:  # these figures would be taken for those of each partition
        metadata = {
            name if name in _SHARED else f"run_{name}": value for name, value in metadata.items()
        }
    loaded = selection.rows(result.partition_rows) if selection and result.partition_rows else {}
    by_partition: dict[str, dict[str, int]] = {}
    for key in keys if len(keys) <= _MAX_PARTITIONS else ():
        own = {_PARTITION_ROWS: counts.get(key), "rows_loaded": loaded.get(key)}
        by_partition[key] = {name: number for name, number in own.items() if number is not None}
    return metadata, by_partition


def _count_rows(
    project: Project,
    context: dg.OutputContext,
    result: LoadResult,
    spec: TableSpec,
    selection: Selection | None,
) -> tuple[int | None, dict[str, int]]:
    """The rows of the table, and of each partition of the run, after a load.

    What the load has not verified is counted; if that fails, it is not told.
    """
    cells = selection.cells if selection else {}
    rows = result.rows_after if result.slice is None else None
    counts: dict[str, int] = {}
    if spec.write_disposition == "replace" and result.status == "loaded" and result.slice:
        if selection is not None and result.partition_rows is not None:
            counts = selection.rows(result.partition_rows)
        elif len(cells) == 1 and result.rows_after is not None:
            counts = dict.fromkeys(cells, result.rows_after)
    unknown = [key for key in cells if key not in counts]
    if len(unknown) > _MAX_COUNTED:
        unknown = []
    asked = [*([None] if rows is None else []), *([cells[key]] for key in unknown)]
    if asked:
        try:
            answers = project.count(spec, asked)
        except LoaderError as error:
            text = f"{spec.table} was loaded, but its rows could not be counted: {error.message}"
            context.log.warning(escape_invisible(KNOWN.hide(text)))
            return rows, counts
        if rows is None:
            rows = answers.pop(0)
        counts |= dict(zip(unknown, answers, strict=True))
    return rows, counts


def _read_sample(
    project: Project, context: dg.OutputContext, spec: TableSpec, partition: Any, most: int
) -> dict[str, Any]:
    """Some rows that are now in the slice of a load, without columns with a classification.

    If they cannot be read, the load is done all the same.
    """
    shown = [column.name for column in spec.columns if not column.classification]
    if not shown:
        return {}
    try:
        frame: Any = project.read(spec, partition, columns=shown, limit=most, as_="arrow")
    except LoaderError as error:
        text = f"{spec.table} was loaded, but sample rows could not be read: {error.message}"
        context.log.warning(escape_invisible(KNOWN.hide(text)))
        return {}
    rows = [{name: _cell(value) for name, value in row.items()} for row in frame.to_pylist()]
    return {"sample_rows": table_value(rows, most)}


def _cell(value: object) -> str | int:
    if value is None:
        return ""
    text = escape_invisible(str(value))
    return text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"


def _observe_plan(
    context: dg.OutputContext, metadata: dict[str, Any], selection: Selection | None
) -> dict[str, Any]:
    """Show a dry run as an observation of the asset; it is no materialization.

    Raises:
        Failure: Dagster would record a materialization all the same.
    """
    shown = {name: KNOWN.hide_in(value) for name, value in metadata.items()}
    asset, keys = context.asset_key, list(selection.cells) if selection else []
    if not not_materialized(context):
        raise dg.Failure(DRY_RUN, metadata=shown, allow_retries=False)
    context.log_event(
        dg.AssetObservation(
            asset_key=asset,
            partition=keys[0] if len(keys) == 1 else None,
            description=DRY_RUN,
            metadata=shown,
        )
    )
    return metadata


def _load_id(
    context: dg.OutputContext, spec: TableSpec, selection: Selection | None, *, whole: bool
) -> str:
    """The load id: the same for all attempts of a step, so that a retry does not append twice.

    Attempts of run retries and of re-executions from failure are attempts of the first run.
    """
    run_id = first_run_id(context)
    if run_id.startswith("__"):  # no run: the context is from build_output_context
        return str(uuid.uuid4())
    step = ""
    with suppress(dg.DagsterInvariantViolationError):  # build_output_context may leave it out
        step = context.step_key
    parts = [step, context.name, context.mapping_key or "", spec.asset_key, str(whole)]
    parts += sorted(selection.cells) if selection else []
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{run_id}-{digest[:16]}"


def _log(context: dg.OutputContext, result: LoadResult) -> None:
    where = f" ({result.slice})" if result.slice else ""
    if result.status == "already_loaded":
        context.log.info(
            f"{result.table}{where}: already loaded by an earlier attempt of this step:"
            f" {format_count(result.rows_loaded, 'row')}"
        )
    elif result.status == "no_new_files":
        context.log.info(f"{result.table}: no new files; {result.files_skipped:,} loaded before")
    else:
        context.log.info(
            f"{result.table}{where}: {format_count(result.rows_loaded, 'row')} {result.action},"
            " verified and committed"
        )
    for warning in result.warnings:
        context.log.warning(escape_invisible(KNOWN.hide(warning)))


def _add_metadata(
    context: dg.OutputContext, metadata: dict[str, Any], by_partition: dict[str, dict[str, int]]
) -> None:
    """Add metadata to the materialization of each partition; never replace the asset's own."""
    existing = set(context.output_metadata)
    hidden = {name: KNOWN.hide_in(value) for name, value in metadata.items()}
    if by_partition:
        # add_output_metadata gives all partitions the same values.
        with suppress(Exception):
            step = context.step_context
            for key, numbers in by_partition.items():
                used = existing | set(step.get_asset_metadata(context.asset_key, key) or ())
                added = {name: value for name, value in numbers.items() if name not in used}
                step.add_asset_metadata(added, asset_key=context.asset_key, partition_key=key)
    context.add_output_metadata(
        {name: value for name, value in hidden.items() if name not in existing}
    )


def _unpartitioned(spec: TableSpec) -> PlanError:
    names = ", ".join(f"`{dimension.name}`" for dimension in spec.dimensions)
    return PlanError(
        f"{spec.table} is partitioned by {names}, but the asset `{spec.asset_key}` has no"
        " partitions",
        hint="give the asset partitions_def=loader.dagster_io.partitions_def(spec), or run it with"
        " {full_refresh: true} on the output to replace the whole table",
    )
