"""The tables of an IO manager: each asset's spec, found by its key or inferred from its data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from loader.dagster_io.metadata import Place
from loader.dagster_io.partitions import grain_of, told
from loader.errors import ExecuteError, PlanError, SpecError
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.spec.catalog import Entry
from loader.spec.model import TableSpec
from loader.spec.periods import CLOCK, WEEKDAYS

Form = Literal["pandas", "polars", "polars lazy", "arrow", "batches"]
"""What frames are handed over as."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Tables:
    """The tables that an IO manager keeps."""

    project: Project
    place: Place
    infers: bool
    """Whether an asset may do without a spec."""
    default_form: Form
    """What an input without an annotation is handed."""

    def exists(self, spec: TableSpec) -> bool:
        """Whether the warehouse has the table."""
        return isinstance(self.project.live(spec.schema_name, spec.name), LiveTable)

    def source(self, spec: TableSpec) -> tuple[Path, int] | None:
        """The file and line of a spec; None for one that was inferred."""
        entry = self._entry(spec.asset_key)
        return (entry.path, entry.line) if entry else None

    def spec_of_output(self, context: dg.OutputContext, obj: object) -> tuple[TableSpec, object]:
        """The asset's spec, and its data, of which nothing is lost when the spec comes from it.

        Raises:
            SpecError, PlanError: its spec is wrong, or there is none.
        """
        spec = self._spec(key_of(context))
        return (spec, obj) if spec else _spec_of_data(self.project, context, obj)

    def spec_of_input(self, context: dg.InputContext) -> TableSpec | None:
        """The upstream asset's spec; None when it has none, nor a table to infer it from.

        Raises:
            SpecError, PlanError: its spec is wrong, or there is none.
        """
        return self._spec(key_of(context)) or _spec_of_table(self.project, context)

    def _spec(self, key: str) -> TableSpec | None:
        entry = self._entry(key)
        if entry is None and not self.infers:
            raise _missing_spec(self.project, key)
        return entry.spec if entry else None

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


def key_of(context: dg.OutputContext | dg.InputContext) -> str:
    """The asset's key as specs write it."""
    return "/".join(context.asset_key.path)


def _missing_spec(project: Project, key: str) -> PlanError:
    """The error of an asset that has no spec."""
    folder = project.config.specs
    names = [entry.name for entry in project.catalog.entries if entry.name]
    near = difflib.get_close_matches(key, names, n=3)
    there = f"in {folder.resolve()}" if folder.is_dir() else f": there is no folder {folder}"
    meant = f"did you mean {' or '.join(f'`{name}`' for name in near)}? Or " if near else ""
    schema, _, name = key.rpartition("/")
    table = f"{schema.replace('/', '_') or 'public'}.{name}"
    return PlanError(
        f"the asset `{key}` has no table spec {there}",
        hint=f"{meant}write one: loader infer FILE --name {table} > {folder / key}.yml; or let its"
        ' data decide: on_missing_spec="infer"',
    )


def no_table(key: str) -> ExecuteError:
    """The error of reading an asset that has neither a spec nor a table."""
    return ExecuteError(
        f"the asset `{key}` has no table spec, and there is no table of its name to read",
        hint="materialize it first",
    )


def _spec_of_data(
    project: Project, context: dg.OutputContext, obj: object
) -> tuple[TableSpec, object]:
    """The spec that data suggests, and the data, of which nothing is lost.

    The types of a table that is there go before those of the data.

    Raises:
        PlanError: the data cannot be made into a table, or its partitions are not told.
        FrameError, SourceError: it is no frame, or holds what no type takes.
    """
    from loader.inference.infer import infer_spec  # noqa: PLC0415  # pyarrow is slow to import

    metadata = _plain(context.definition_metadata)
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


def _spec_of_table(project: Project, context: dg.InputContext) -> TableSpec | None:
    """The spec of a table that is there; None when it is not."""
    from loader.inference.infer import infer_live  # noqa: PLC0415  # pyarrow is slow to import

    upstream = context.upstream_output
    metadata = _plain(upstream.definition_metadata if upstream is not None else None)
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


def _plain(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name: value.value if isinstance(value, dg.MetadataValue) else value
        for name, value in (metadata or {}).items()
    }


def _table(key: dg.AssetKey, metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Schema and name of an asset's table; Redshift folds both to lower case."""
    schema = metadata.get("schema") or "_".join(key.path[:-1]) or "public"
    return str(schema).lower(), key.path[-1].lower()


def _partition_by(
    context: dg.OutputContext | dg.InputContext, metadata: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The partition expressions that Dagster's metadata and definition come to."""
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
                f"the partitions {told(definition)} are no whole minutes",
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
        f"the asset `{key_of(context)}` has partitions ({told(context.asset_partitions_def)}), and"
        " neither a table spec nor the metadata `partition_expr` says where they are in its data",
        hint=f"give it metadata={{'partition_expr': {example}}}, or a table spec",
    )
