"""Runs the checks of table specs on the live table, as Dagster asset checks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import dagster as dg

from loader.dagster_io.metadata import failure, table_value
from loader.dagster_io.names import asset_key, op_name
from loader.dagster_io.partition_defs import partitions_def
from loader.dagster_io.partitions import Selection, select
from loader.dagster_io.requirements import find_project, require_manager
from loader.errors import ExecuteError, LoaderError
from loader.executor.check_results import format_value
from loader.executor.results import CheckResult, to_plain_number
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.spec.checks import Check
from loader.spec.model import TableSpec

_WHOLE = "the whole table"

_MAX_PARTITIONS = 100
"""Maximum partitions of a run with results of their own."""


def asset_checks(
    project: Project,
    select: Sequence[str] = (),
    *,
    io_manager_key: str = "io_manager",
    partitioned: bool = False,
) -> list[dg.AssetChecksDefinition]:
    """The asset checks of tables; they query the warehouse of the IO manager.

    A run with partitions checks these partitions, any other run the whole table. Checks of severity
    error are blocking: if one fails, downstream assets do not run.

    Args:
        project: The project with the specs.
        select: The tables, as on the command line; default all.
        io_manager_key: The resource key of one of Loader's IO managers.
        partitioned: Whether checks of partitioned tables have the partitions of their spec, so that
            Dagster keeps a result of each one; a preview in Dagster 1.13. The asset must have the
            same partitions.

    Raises:
        PlanError: a pattern matches no table.
        SpecError: a spec file is invalid; lists every problem of every file.
    """
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    return [
        _definition(spec, io_manager_key, partitions_def(spec) if partitioned else None)
        for spec in specs
        if spec.checks
    ]


def _definition(
    spec: TableSpec, io_manager_key: str, partitions: dg.PartitionsDefinition | None
) -> dg.AssetChecksDefinition:
    named = _name_checks(spec.checks)
    asset = asset_key(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitions of checks are a preview
        declared = {
            name: dg.AssetCheckSpec(
                name,
                asset=asset,
                description=_describe(check),
                blocking=check.severity == "error",
                metadata={"metric": check.metric, "expectation": _format_expected(check)},
                partitions_def=partitions,
            )
            for name, check in named.items()
        }

    def run(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        checks = {name: check for name, check in named.items() if name in chosen}
        project = find_project(getattr(context.resources, io_manager_key), io_manager_key)
        yield from _run_checks(context, spec, checks, project, partitions is not None)

    # Not with Dagster's decorator: it names outputs after the asset key, which may be invalid.
    run.__annotations__["context"] = dg.AssetCheckExecutionContext
    op = dg.op(
        name=f"{op_name(spec.asset_key)}_checks",
        description=f"Runs the checks of {spec.table}.",
        ins={"table": dg.In(dg.Nothing)},
        out={name: dg.Out(dg.Nothing, is_required=False) for name in named},
        required_resource_keys={io_manager_key},
    )(run)
    require_manager(op, io_manager_key)
    return dg.AssetChecksDefinition.create(
        keys_by_input_name={"table": asset},
        node_def=op,
        check_specs_by_output_name=declared,
        can_subset=True,
    )


def _name_checks(checks: Sequence[Check]) -> dict[str, Check]:
    """The checks by unique names that Dagster allows."""
    named: dict[str, Check] = {}
    for check in checks:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", check.label).strip("_") or check.metric
        name, number = plain, 2
        while name in named:
            name, number = f"{plain}_{number}", number + 1
        named[name] = check
    return named


def _describe(check: Check) -> str:
    columns = f" of {', '.join(check.counted)}" if check.counted else ""
    criterion = f" ({check.criterion})" if check.criterion else ""
    text = f"{check.metric}{columns}{criterion} must be {_format_expected(check)}"
    return text if check.name is None else f"{check.name}: {text}"


def _format_expected(check: Check) -> str:
    return check.expectation + (" percent of the rows" if check.unit == "percent" else "")


def _run_checks(
    context: dg.AssetCheckExecutionContext,
    spec: TableSpec,
    checks: Mapping[str, Check],
    project: Project,
    partitioned: bool,
) -> Iterator[dg.AssetCheckResult]:
    selected = spec.model_copy(update={"checks": tuple(checks.values())})
    try:
        selection = _selection(context, spec)
        if selection is not None and not selection.cells:
            context.log.info(f"{spec.table}: the run has no partitions, so nothing is checked")
            return
        results = project.check(selected, None if selection is None else selection.request)
        if partitioned and selection is not None:
            _log_partitions(context, selected, checks, project, selection)
    except LoaderError as error:
        if isinstance(error, ExecuteError) and _is_table_missing(project, spec, error):
            yield from (_missing_table(spec, name, check, error) for name, check in checks.items())
            return
        if error.transient:
            raise
        raise failure(error) from error
    where = _WHOLE if selection is None else _format_keys(list(selection.cells))
    for name, result in zip(checks, results, strict=True):
        yield _result(spec, name, result, where)


def _log_partitions(
    context: dg.AssetCheckExecutionContext,
    spec: TableSpec,
    checks: Mapping[str, Check],
    project: Project,
    selection: Selection,
) -> None:
    """Log the result of each partition of a run of several, which is not one of Dagster's own."""
    if context.has_partition_key:  # Dagster keeps the result for it
        return
    if len(selection.cells) > _MAX_PARTITIONS:
        context.log.info(
            f"{spec.table}: the run has more than {_MAX_PARTITIONS} partitions, so its"
            " checks have one result for all of them"
        )
        return
    for key, cell in selection.cells.items():
        for name, result in zip(checks, project.check(spec, [cell]), strict=True):
            told = _result(spec, name, result, key)
            assert told.asset_key is not None
            evaluation = dg.AssetCheckEvaluation(
                asset_key=told.asset_key,
                check_name=name,
                passed=told.passed,
                severity=told.severity,
                description=told.description,
                metadata=told.metadata,
                partition=key,
            )
            # Dagster takes it, and says only in the types of this method that it does not.
            context.op_execution_context.log_event(evaluation)  # type: ignore[arg-type]


def _is_table_missing(project: Project, spec: TableSpec, error: ExecuteError) -> bool:
    """Whether the query failed because the table does not exist."""
    if error.transient:
        return False
    try:
        return not isinstance(project.live(spec.schema_name, spec.name), LiveTable)
    except LoaderError:
        return False


def _selection(context: dg.AssetCheckExecutionContext, spec: TableSpec) -> Selection | None:
    """The partitions of the run; None if the run or the table has none."""
    if not spec.partition_by:
        return None
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    definition = _asset_partitions(context, spec) or partitions_def(spec)
    assert definition is not None
    return select(spec, definition, context.partition_keys, context.instance)


def _asset_partitions(
    context: dg.AssetCheckExecutionContext, spec: TableSpec
) -> dg.PartitionsDefinition | None:
    """The partitions definition of the asset, which may differ from its spec's."""
    with suppress(Exception):  # Dagster has no public API for it
        graph = context.job_def.asset_layer.asset_graph
        return graph.get(asset_key(spec)).partitions_def
    return None


def _format_keys(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= 3 else f"{keys[0]}, … {keys[-1]} ({len(keys):,})"


def _result(spec: TableSpec, name: str, result: CheckResult, where: str) -> dg.AssetCheckResult:
    check = result.check
    expected = _format_expected(check)
    where = _WHOLE if check.of_whole_table else where
    metadata: dict[str, Any] = {"expectation": expected, "slice": where}
    if result.value is not None:
        metadata["value"] = to_plain_number(result.value)
    if result.rows:
        metadata["rows"] = table_value(result.rows)
    return dg.AssetCheckResult(
        passed=result.holds,
        asset_key=asset_key(spec),
        check_name=name,
        severity=_severity(check),
        description=f"{check.label} is {format_value(result)}, must be {expected}",
        metadata=metadata,
    )


def _missing_table(
    spec: TableSpec, name: str, check: Check, error: LoaderError
) -> dg.AssetCheckResult:
    """The failed result of a check whose table does not exist."""
    metadata: dict[str, Any] = {"expectation": _format_expected(check)}
    return dg.AssetCheckResult(
        passed=False,
        asset_key=asset_key(spec),
        check_name=name,
        severity=_severity(check),
        description=f"{error.message}, so {check.label} cannot be checked; materialize the asset",
        metadata=metadata,
    )


def _severity(check: Check) -> dg.AssetCheckSeverity:
    error = check.severity == "error"
    return dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN
