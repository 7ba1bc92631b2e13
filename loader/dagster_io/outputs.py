"""Loads what an asset returns into its table, and reports the result as metadata."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import dagster as dg

from loader.dagster_io.metadata import DRY_RUN, load_metadata, plan_metadata, table_metadata
from loader.dagster_io.partitions import Selection, selection_of
from loader.dagster_io.runs import first_run_id, not_materialized
from loader.dagster_io.tables import Tables
from loader.errors import PlanError
from loader.escaping import escape_invisible
from loader.executor.results import LoadResult
from loader.redaction import KNOWN
from loader.spec.model import TableSpec
from loader.text_tables import format_count

_MAX_PARTITIONS = 2_000
"""Maximum partitions of a run with row counts of their own; more would be slow in Dagster."""

_COUNTS = ("dagster/row_count", "dagster/partition_row_count")


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
    options: Mapping[str, Any] = context.config or {}
    whole = bool(options.get("full_refresh"))
    selection = selection_of(spec, context)
    if selection is None and spec.partition_by and not whole:
        raise _unpartitioned(spec)
    if selection is not None and not selection.cells:
        context.log.info(f"{spec.table}: the run has no partitions, so nothing is loaded")
        return {"status": "no partitions"}, {}
    partition = None if selection is None or whole else selection.request
    table = table_metadata(spec, tables.place, tables.source(context))
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
    partitions = len(selection.cells) if selection else 1
    metadata = {**table, **load_metadata(result, partitions)}
    rows = metadata.pop("dagster/row_count", None) if selection else None
    if rows is not None and partition is not None and partitions == 1:
        metadata |= dict.fromkeys(_COUNTS, rows)
    if partitions > 1:
        del metadata["rows_loaded"]  # each partition has its own
    return metadata, _by_partition(result, spec, selection)


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
        action = f"loaded, {result.rows_deleted:,} deleted"
        if result.merge_counts:
            action = f"merged: {result.merge_counts}"
        context.log.info(
            f"{result.table}{where}: {format_count(result.rows_loaded, 'row')} {action}, verified"
            " and committed"
        )
    for warning in result.warnings:
        context.log.warning(escape_invisible(KNOWN.hide(warning)))


def _by_partition(
    result: LoadResult, spec: TableSpec, selection: Selection | None
) -> dict[str, dict[str, int]]:
    """The row counts of each partition, in a run of several partitions."""
    if selection is None or result.partition_rows is None:
        return {}
    if not 1 < len(selection.cells) <= _MAX_PARTITIONS:
        return {}
    rows = selection.rows(result.partition_rows)
    names = ["rows_loaded", *(_COUNTS if spec.write_disposition == "replace" else ())]
    return {key: dict.fromkeys(names, rows[key]) for key in selection.cells}


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
