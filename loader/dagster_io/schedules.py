"""Schedules of tables, as their specs declare: ``dagster: {cron: "0 6 * * *"}``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product

import dagster as dg

from loader.dagster_io.names import asset_key, op_name
from loader.dagster_io.partition_defs import partitions_def
from loader.errors import PlanError
from loader.project import Project
from loader.spec.model import TableSpec


def schedules(project: Project, select: Sequence[str] = ()) -> list[dg.ScheduleDefinition]:
    """A schedule for each selected table whose spec has a `cron`.

    It materializes the table's asset: of time windows the last complete one, and all partitions
    of other dimensions. The assets must have the partitions of their specs.

    Args:
        project: The project with the specs.
        select: As on the command line, default all.

    Raises:
        SpecError: a spec file is invalid; lists every problem of every file.
        PlanError: Dagster rejects a cron expression, or cannot list the partitions of a table.
    """
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    return [_make_schedule(spec, spec.dagster.cron) for spec in specs if spec.dagster.cron]


def _make_schedule(spec: TableSpec, cron: str) -> dg.ScheduleDefinition:
    definition = partitions_def(spec)

    def request_runs(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        time = context.scheduled_execution_time
        if definition is None:
            yield dg.RunRequest(time.isoformat())
            return
        instance = context.instance
        with dg.partition_loading_context(effective_dt=time, dynamic_partitions_store=instance):
            for key in _due_keys(definition, time):
                yield dg.RunRequest(f"{time.isoformat()} {key}", partition_key=key)

    try:
        return dg.ScheduleDefinition(
            name=f"{op_name(spec.asset_key)}__schedule",
            cron_schedule=cron,
            execution_timezone=spec.dagster.timezone,
            description=f"Loads {spec.table}.",
            target=dg.AssetSelection.assets(asset_key(spec)),
            execution_fn=request_runs,
        )
    except dg.DagsterInvalidDefinitionError as error:
        raise PlanError(
            f"{spec.table}: dagster.cron: Dagster rejects `{cron}`",
            hint='write five fields, such as "0 6 * * *" for six o\'clock every day',
        ) from error


def _due_keys(definition: dg.PartitionsDefinition, time: datetime) -> list[str]:
    """The keys that a tick is for, in the current partition loading context."""
    if isinstance(definition, dg.MultiPartitionsDefinition):
        dimensions = definition.partitions_defs
        names = [one.name for one in dimensions]
        rows = product(*(_due_keys(one.partitions_def, time) for one in dimensions))
        return [dg.MultiPartitionKey(dict(zip(names, row, strict=True))) for row in rows]
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        window = definition.get_last_partition_window()
        while window is not None and window.end > time:  # with an end_offset it is not over yet
            window = definition.get_prev_partition_window(window.start)
        return [] if window is None else [window.start.strftime(definition.fmt)]
    return list(definition.get_partition_keys())
