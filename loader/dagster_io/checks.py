"""The checks of table specs as Dagster's asset checks, asked of the live table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import dagster as dg

from loader.dagster_io.metadata import failure, table_value
from loader.dagster_io.partition_defs import partitions_def
from loader.dagster_io.partitions import Selection, select
from loader.errors import ExecuteError, LoaderError, PlanError
from loader.executor.results import CheckResult
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.spec.checks import Check
from loader.spec.model import TableSpec

_WHOLE = "the whole table"


def asset_checks(
    project: Project, select: Sequence[str] = (), *, io_manager_key: str = "io_manager"
) -> list[dg.AssetChecksDefinition]:
    """The checks of tables, which ask the warehouse of the IO manager.

    In a run that is about partitions they are asked of these partitions, else of the whole table.
    Those of severity error keep what is downstream from running.

    Args:
        project: The project that has the specs.
        select: Which tables, as on the command line; default all of them.
        io_manager_key: The resource with the warehouse, one of Loader's IO managers.

    Raises:
        PlanError: a pattern names no table.
        SpecError: a file is wrong; with every problem of every file.
    """
    specs = [entry.spec for entry in project.catalog.select(select) if entry.spec is not None]
    return [_definition(spec, io_manager_key) for spec in specs if spec.checks]


def op_name(key: str) -> str:
    """A name for the op of an asset, with what Dagster allows in it; no two keys share one."""
    if re.fullmatch(rf"{_WORDS}(/{_WORDS})*", key):
        return key.replace("/", "__")
    plain = re.sub(r"[^A-Za-z0-9_]", "_", key)
    return f"{plain}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"


_WORDS = "[A-Za-z0-9]+(_[A-Za-z0-9]+)*"


def _definition(spec: TableSpec, io_manager_key: str) -> dg.AssetChecksDefinition:
    named = _named(spec.checks)
    asset = dg.AssetKey(spec.asset_key.split("/"))
    declared = {
        name: dg.AssetCheckSpec(
            name,
            asset=asset,
            description=_described(check),
            blocking=check.severity == "error",
            metadata={"metric": check.metric, "expectation": _expected(check)},
        )
        for name, check in named.items()
    }

    def ask(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        wanted = {name: check for name, check in named.items() if name in chosen}
        project = _project(getattr(context.resources, io_manager_key), io_manager_key)
        yield from _asked(context, spec, wanted, project)

    # The decorator would name outputs by the asset's key, which may hold what names may not.
    ask.__annotations__["context"] = dg.AssetCheckExecutionContext
    op = dg.op(
        name=f"{op_name(spec.asset_key)}_checks",
        description=f"What the checks of {spec.table} find.",
        ins={"table": dg.In(dg.Nothing)},
        out={name: dg.Out(dg.Nothing, is_required=False) for name in named},
        required_resource_keys={io_manager_key},
    )(ask)
    return dg.AssetChecksDefinition.create(
        keys_by_input_name={"table": asset},
        node_def=op,
        check_specs_by_output_name=declared,
        can_subset=True,
    )


def _named(checks: Sequence[Check]) -> dict[str, Check]:
    """The checks by names that Dagster takes, each once."""
    named: dict[str, Check] = {}
    for check in checks:
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", check.label).strip("_") or check.metric
        name, number = plain, 2
        while name in named:
            name, number = f"{plain}_{number}", number + 1
        named[name] = check
    return named


def _described(check: Check) -> str:
    counted = f" of {', '.join(check.counted)}" if check.counted else ""
    told = f"{check.metric}{counted} must be {_expected(check)}"
    return told if check.name is None else f"{check.name}: {told}"


def _expected(check: Check) -> str:
    return check.expectation + (" percent of the rows" if check.unit == "percent" else "")


def _project(manager: object, io_manager_key: str) -> Project:
    project = getattr(manager, "project", None)
    if isinstance(project, Project):
        return project
    raise failure(
        PlanError(
            f"the resource `{io_manager_key}` is a {type(manager).__name__}, and the checks of"
            " table specs are asked of one of Loader's IO managers",
            hint="use DuckDBIOManager or RedshiftIOManager, or give asset_checks its"
            " io_manager_key",
        )
    )


def _asked(
    context: dg.AssetCheckExecutionContext,
    spec: TableSpec,
    wanted: Mapping[str, Check],
    project: Project,
) -> Iterator[dg.AssetCheckResult]:
    asked = spec.model_copy(update={"checks": tuple(wanted.values())})
    try:
        selection = _selection(context, spec)
        if selection is not None and not selection.cells:
            context.log.info(f"{spec.table}: the run is about no partition, so nothing is checked")
            return
        results = project.check(asked, None if selection is None else selection.request)
    except LoaderError as error:
        if isinstance(error, ExecuteError) and _absent(project, spec, error):
            yield from (_unanswered(spec, name, check, error) for name, check in wanted.items())
            return
        if error.transient:
            raise
        raise failure(error) from error
    where = _WHOLE if selection is None else _told(list(selection.cells))
    for name, result in zip(wanted, results, strict=True):
        yield _result(spec, name, result, where)


def _absent(project: Project, spec: TableSpec, error: ExecuteError) -> bool:
    """Whether a question failed since there is no table."""
    if error.transient:
        return False
    try:
        return not isinstance(project.live(spec.schema_name, spec.name), LiveTable)
    except LoaderError:
        return False


def _selection(context: dg.AssetCheckExecutionContext, spec: TableSpec) -> Selection | None:
    """The partitions that the run is about, if it is and the table has any."""
    if not spec.partition_by:
        return None
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    definition = _asset_partitions(context, spec) or partitions_def(spec)
    assert definition is not None
    return select(spec, definition, context.partition_keys)


def _asset_partitions(
    context: dg.AssetCheckExecutionContext, spec: TableSpec
) -> dg.PartitionsDefinition | None:
    """The partitions of the asset as it is defined, which may not be by its spec."""
    with suppress(Exception):  # Dagster has no public way to tell
        graph = context.job_def.asset_layer.asset_graph
        return graph.get(dg.AssetKey(spec.asset_key.split("/"))).partitions_def
    return None


def _told(keys: Sequence[str]) -> str:
    return ", ".join(keys) if len(keys) <= 3 else f"{keys[0]}, … {keys[-1]} ({len(keys):,})"


def _result(spec: TableSpec, name: str, result: CheckResult, where: str) -> dg.AssetCheckResult:
    check = result.check
    expected = _expected(check)
    found = _number(result.value)
    metadata: dict[str, Any] = {"value": found, "expectation": expected, "slice": where}
    if result.rows:
        metadata["rows"] = table_value(result.rows)
    return dg.AssetCheckResult(
        passed=result.holds,
        asset_key=dg.AssetKey(spec.asset_key.split("/")),
        check_name=name,
        severity=_severity(check),
        description=f"{check.label} is {found}, and must be {expected}",
        metadata=metadata,
    )


def _unanswered(
    spec: TableSpec, name: str, check: Check, error: LoaderError
) -> dg.AssetCheckResult:
    """A check of a table that is not there."""
    metadata: dict[str, Any] = {"expectation": _expected(check)}
    return dg.AssetCheckResult(
        passed=False,
        asset_key=dg.AssetKey(spec.asset_key.split("/")),
        check_name=name,
        severity=_severity(check),
        description=f"{error.message}, so {check.label} cannot be told; materialize it first",
        metadata=metadata,
    )


def _severity(check: Check) -> dg.AssetCheckSeverity:
    error = check.severity == "error"
    return dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN


def _number(value: Decimal) -> int | float:
    """A number that Dagster plots."""
    return int(value) if value == value.to_integral_value() else float(value)
