"""Finds the table spec of an asset by its key, or infers it from the data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from loader.dagster_io.metadata import DatabaseInfo
from loader.dagster_io.partitions import describe, grain_of
from loader.errors import ExecuteError, PlanError, SpecError
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.spec.catalog import Entry
from loader.spec.model import TableSpec
from loader.spec.periods import CLOCK, WEEKDAYS

Form = Literal["pandas", "polars", "polars lazy", "arrow", "batches"]
"""The frame types of inputs."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Tables:
    """The tables of an IO manager."""

    project: Project
    place: DatabaseInfo
    infers: bool
    """Whether specs are inferred for assets without one."""
    default_form: Form
    """The frame type of an input without an annotation."""

    def exists(self, spec: TableSpec) -> bool:
        """Whether the warehouse has the table."""
        return isinstance(self.project.live(spec.schema_name, spec.name), LiveTable)

    def source(self, spec: TableSpec) -> tuple[Path, int] | None:
        """The file and line of a spec; None for an inferred spec."""
        entry = self._entry(spec.asset_key)
        return (entry.path, entry.line) if entry else None

    def spec_of_output(self, context: dg.OutputContext, obj: object) -> tuple[TableSpec, object]:
        """The asset's spec and its data; inferring a spec from a stream loses none of its rows.

        Raises:
            SpecError, PlanError: the spec is invalid, or does not exist.
        """
        spec = self._spec(key_of(context))
        return (spec, obj) if spec else _infer_from_data(self.project, context, obj)

    def spec_of_input(self, context: dg.InputContext) -> TableSpec | None:
        """The upstream asset's spec; None if it has neither a spec nor a table to infer it from.

        Raises:
            SpecError, PlanError: the spec is invalid, or does not exist.
        """
        return self._spec(key_of(context)) or _infer_from_table(self.project, context)

    def _spec(self, key: str) -> TableSpec | None:
        entry = self._entry(key)
        if entry is None and not self.infers:
            raise _missing_spec(self.project, key)
        return entry.spec if entry else None

    def _entry(self, key: str) -> Entry | None:
        """The catalog entry of an asset's spec.

        Raises:
            SpecError: the spec is invalid.
        """
        found = [entry for entry in self.project.catalog.entries if entry.name == key]
        unnamed = [entry for entry in self.project.catalog.entries if not entry.name]
        problems = [problem for entry in found or unnamed for problem in entry.problems]
        if problems:
            raise SpecError(problems)
        return found[0] if found else None


def key_of(context: dg.OutputContext | dg.InputContext) -> str:
    """The asset key as text, as in specs."""
    return "/".join(context.asset_key.path)


def _missing_spec(project: Project, key: str) -> PlanError:
    """The error for an asset without a spec."""
    folder = project.config.specs
    names = [entry.name for entry in project.catalog.entries if entry.name]
    near = difflib.get_close_matches(key, names, n=3)
    missing = f": the folder {folder} does not exist"
    where = f" in {folder.resolve()}" if folder.is_dir() else missing
    suggestion = f"did you mean {' or '.join(f'`{name}`' for name in near)}? Or " if near else ""
    schema, _, name = key.rpartition("/")
    table = f"{schema.replace('/', '_') or 'public'}.{name}"
    return PlanError(
        f"the asset `{key}` has no table spec{where}",
        hint=f"{suggestion}draft one: loader infer FILE --name {table} > {folder / key}.yml; or"
        ' infer it from the data: on_missing_spec="infer"',
    )


def no_table(key: str) -> ExecuteError:
    """The error for reading an asset that has neither a spec nor a table."""
    return ExecuteError(
        f"the asset `{key}` has neither a table spec nor a table to read",
        hint="materialize it first",
    )


def _infer_from_data(
    project: Project, context: dg.OutputContext, obj: object
) -> tuple[TableSpec, object]:
    """Infer a spec from the data; returns the spec and the complete data.

    Columns of an existing table keep their types.

    Raises:
        PlanError: no table can be created for the data, or `partition_expr` is missing.
        FrameError, SourceError: it is not a frame, or has values that no data type supports.
    """
    from loader.inference.infer import infer_spec  # noqa: PLC0415  # pyarrow is slow to import

    metadata = _unwrap(context.definition_metadata)
    schema, name = _table(context.asset_key, metadata)
    live = project.live(schema, name)
    return infer_spec(
        obj,
        live if isinstance(live, LiveTable) else None,
        dialect=project.renderer().dialect,
        schema=schema,
        name=name,
        asset_key=key_of(context),
        partition_by=_partition_by(context, metadata),
    )


def _infer_from_table(project: Project, context: dg.InputContext) -> TableSpec | None:
    """Infer a spec from an existing table; None if the table does not exist."""
    from loader.inference.infer import infer_live  # noqa: PLC0415  # pyarrow is slow to import

    upstream = context.upstream_output
    metadata = _unwrap(upstream.definition_metadata if upstream is not None else None)
    schema, name = _table(context.asset_key, metadata)
    live = project.live(schema, name)
    if not isinstance(live, LiveTable):
        return None
    return infer_live(
        live,
        dialect=project.renderer().dialect,
        schema=schema,
        name=name,
        asset_key=key_of(context),
        partition_by=_partition_by(context, metadata),
    )


def _unwrap(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name: value.value if isinstance(value, dg.MetadataValue) else value
        for name, value in (metadata or {}).items()
    }


def _table(key: dg.AssetKey, metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Schema and name of an asset's table, in lower case, as Redshift stores them."""
    schema = metadata.get("schema") or "_".join(key.path[:-1]) or "public"
    return str(schema).lower(), key.path[-1].lower()


def _partition_by(
    context: dg.OutputContext | dg.InputContext, metadata: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The `partition_by` entries for the asset's partitions definition and `partition_expr`."""
    if not context.has_asset_partitions:
        return []
    definition = context.asset_partitions_def
    given = metadata.get("partition_expr")
    if isinstance(definition, dg.MultiPartitionsDefinition):
        parts = {one.name: one.partitions_def for one in definition.partitions_defs}
        if not isinstance(given, Mapping) or set(given) != set(parts):
            raise _no_expression(context, f"{{{', '.join(f'{name!r}: …' for name in parts)}}}")
        return [{"name": name, **_entry(str(given[name]), part)} for name, part in parts.items()]
    if not isinstance(given, str) or not given:
        raise _no_expression(context, "'<column>'")
    return [_entry(given, definition)]


def _entry(expression: str, definition: dg.PartitionsDefinition) -> dict[str, str]:
    bare = _NAME.fullmatch(expression) is not None
    entry = {"expr": expression.lower() if bare else expression}
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        window = definition.time_window_for_partition_key(definition.get_partition_keys()[0])
        grain = grain_of(definition, window)
        if grain is None:
            raise PlanError(
                f"the partitions {describe(definition)} do not begin at full minutes",
                hint="write a table spec for the asset",
            )
        entry |= {"grain": grain, "timezone": definition.timezone}
        if grain == "week":
            entry["week_start"] = WEEKDAYS[window.start.weekday()]
        if not bare:
            of_days = grain not in CLOCK and re.search(r"\bdate\b", expression, re.IGNORECASE)
            entry["data_type"] = "date" if of_days else "timestamp"
    elif not bare:
        entry["data_type"] = "varchar(65535)"
    return entry


def _no_expression(context: dg.OutputContext | dg.InputContext, example: str) -> PlanError:
    return PlanError(
        f"the asset `{key_of(context)}` has partitions ({describe(context.asset_partitions_def)}),"
        " but neither a table spec nor the metadata `partition_expr`",
        hint=f"give it metadata={{'partition_expr': {example}}}, or a table spec",
    )
