"""Finds the table spec of an asset by its key, or infers it from the data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from loader.dagster_io.metadata import SPEC
from loader.dagster_io.partitions import describe, grain_of
from loader.errors import ExecuteError, LoaderError, PlanError, SpecError
from loader.plan.live_table import LiveTable
from loader.project import Project
from loader.spec.catalog import Entry, read_entry
from loader.spec.model import TableSpec
from loader.spec.periods import CLOCK, WEEKDAYS
from loader.sql.renderer import Table
from loader.warehouse.adapter import DatabaseInfo
from loader.warehouse.registry import get_adapter

Form = Literal["pandas", "polars", "polars lazy", "arrow", "batches", "duckdb", "spark"]
"""The frame types of inputs."""

_TEXT = "varchar(65535)"
"""Text of any length: without one, Redshift's CAST cuts it after 256 bytes."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Tables:
    """The tables of an IO manager."""

    project: Project
    infers: bool
    """Whether specs are inferred for assets without one."""
    default_form: Form
    """The frame type of an input without an annotation."""
    sample_rows: int = 0
    """How many rows of each load its metadata shows."""
    evolve: Literal["none", "additive"] = "none"
    """What loads may change in tables whose spec is inferred."""
    carried: dict[Path, Entry] = field(default_factory=dict)
    """The spec files that assets name in their metadata, each read once."""

    @property
    def place(self) -> DatabaseInfo:
        """The database of the tables."""
        config = self.project.config
        settings = config.settings()
        return get_adapter(settings.type).describe(settings, config.root)

    def exists(self, spec: TableSpec) -> bool:
        """Whether the warehouse has the table."""
        return isinstance(self.project.live(spec.schema_name, spec.name), LiveTable)

    def source(self, context: dg.OutputContext) -> tuple[Path, int] | None:
        """The file and line of an asset's spec; None for an inferred spec."""
        entry = self._entry(key_of(context), _asset_metadata(context))
        return (entry.path, entry.line) if entry else None

    def spec_of_output(self, context: dg.OutputContext, obj: object) -> tuple[TableSpec, object]:
        """The asset's spec and its data; inferring a spec from a stream loses none of its rows.

        Raises:
            SpecError, PlanError: the spec is invalid, or does not exist.
        """
        metadata = _asset_metadata(context)
        spec = self._spec(key_of(context), metadata)
        if spec is not None:
            return spec, obj
        return _infer_from_data(self.project, context, metadata, obj, self.evolve)

    def spec_of_input(self, context: dg.InputContext) -> TableSpec | None:
        """The upstream asset's spec; None if it has neither a spec nor a table to infer it from.

        Raises:
            SpecError, PlanError: the spec is invalid, or does not exist.
        """
        metadata = _asset_metadata(context.upstream_output)
        spec = self._spec(key_of(context), metadata)
        return spec or _infer_from_table(self.project, context, metadata)

    def _spec(self, key: str, metadata: Mapping[str, Any]) -> TableSpec | None:
        entry = self._entry(key, metadata)
        if entry is None and not self.infers:
            raise _missing_spec(self.project, key)
        return entry.spec if entry else None

    def _entry(self, key: str, metadata: Mapping[str, Any]) -> Entry | None:
        """The spec that the asset's metadata names, else that of the catalog for its key.

        Raises:
            SpecError: the spec is invalid.
        """
        path = metadata.get(SPEC)
        found = [self._read(Path(path))] if path else self._in_catalog(key)
        problems = [problem for entry in found for problem in entry.problems]
        if problems:
            raise SpecError(problems)
        return found[0] if found and found[0].name else None

    def _in_catalog(self, key: str) -> list[Entry]:
        """The entries with an asset key; without any, those whose key is not known."""
        entries = self.project.catalog.entries
        found = [entry for entry in entries if entry.name == key]
        return found or [entry for entry in entries if not entry.name]

    def _read(self, path: Path) -> Entry:
        if path not in self.carried:
            self.carried[path] = read_entry(path, self.project.config.root)
        return self.carried[path]


def _asset_metadata(context: dg.OutputContext | None) -> dict[str, Any]:
    """The metadata of an asset's definition, as plain values."""
    if context is None:
        return {}
    found = dict(context.definition_metadata or {})
    with suppress(Exception):  # contexts without a run or a definition have none
        found |= context.asset_spec.metadata
    return {
        name: value.value if isinstance(value, dg.MetadataValue) else value
        for name, value in found.items()
    }


def key_of(context: dg.OutputContext | dg.InputContext) -> str:
    """The asset key as text, as in specs."""
    return "/".join(context.asset_key.path)


def _missing_spec(project: Project, key: str) -> PlanError:
    """The error for an asset without a spec."""
    folder = project.config.specs
    names = [entry.name for entry in project.catalog.entries if entry.name]
    near = difflib.get_close_matches(key, names, n=3)
    missing = f": the folder {folder.absolute()} does not exist"
    where = f" in {folder.resolve()}" if folder.is_dir() else missing
    suggestion = f"did you mean {' or '.join(f'`{name}`' for name in near)}? Or " if near else ""
    schema, _, name = key.rpartition("/")
    table = f"{schema.replace('/', '_') or 'public'}.{name}"
    return PlanError(
        f"the asset `{key}` has no table spec{where}",
        hint=f"{suggestion}draft one: loader infer FILE --name {table} > {folder / key}.yml; or"
        ' infer it from the data: on_missing_spec="infer"',
    )


_SPEC_WORDS = re.compile(
    r"\b(schema_contract|source|staging|partition_by|columns|merge|checks|verify)\b: "
    r"|\bloader (apply|plan|load|validate)\b"
)


@contextmanager
def hints_without_spec(spec: TableSpec) -> Iterator[None]:
    """Turn hints about the file of an inferred spec into what can be done without one."""
    try:
        yield
    except LoaderError as error:
        hint = error.hint or ""
        if "evolve: additive" in hint:
            error.hint = 'with evolve="additive" on the IO manager, loads add such columns'
        elif _SPEC_WORDS.search(hint):
            error.hint = (
                f"this takes a table spec; draft one: loader infer FILE --name {spec.table} >"
                f" specs/{spec.asset_key}.yml; then {hint}"
            )
        raise


def no_table(key: str) -> ExecuteError:
    """The error for reading an asset that has neither a spec nor a table."""
    return ExecuteError(
        f"the asset `{key}` has neither a table spec nor a table to read",
        hint="materialize it first",
    )


def _infer_from_data(
    project: Project,
    context: dg.OutputContext,
    metadata: Mapping[str, Any],
    obj: object,
    evolve: Literal["none", "additive"],
) -> tuple[TableSpec, object]:
    """Infer a spec from the data; returns the spec and the complete data.

    Columns of an existing table keep their types.

    Raises:
        PlanError: no table can be created for the data, `partition_expr` is missing, or another
            asset has loaded the table.
        FrameError, SourceError: it is not a frame, or has values that no data type supports.
    """
    from loader.inference.infer import infer_spec  # noqa: PLC0415  # pyarrow is slow to import

    schema, name = _table(context.asset_key, metadata)
    full_refresh = bool((context.config or {}).get("full_refresh"))
    live = project.live(schema, name)
    if isinstance(live, LiveTable) and not full_refresh:
        _check_owner(project, Table(schema, name), key_of(context))
    return infer_spec(
        obj,
        live if isinstance(live, LiveTable) else None,
        dialect=project.renderer().dialect,
        schema=schema,
        name=name,
        asset_key=key_of(context),
        partition_by=_partition_by(context, metadata),
        evolve=evolve,
    )


def _check_owner(project: Project, table: Table, key: str) -> None:
    """Check that no other asset has loaded an inferred table, whose rows this one would replace.

    Raises:
        PlanError: one has, by the ledger.
    """
    from loader.executor.history import read_history  # noqa: PLC0415  # only for inferred tables

    if not project.place().ledger_schema:
        return
    for last in read_history(project.context(), [table], 1):
        if last.asset_key != key:
            raise PlanError(
                f"the table {table.schema}.{table.name} of the asset `{key}` was loaded by the"
                f" asset `{last.asset_key}`: each would replace the rows of the other",
                hint="give one of them another schema: metadata={'schema': …}. If the asset was"
                " renamed, run it once with {full_refresh: true} on the output, which replaces the"
                " whole table",
            )


def _infer_from_table(
    project: Project, context: dg.InputContext, metadata: Mapping[str, Any]
) -> TableSpec | None:
    """Infer a spec from an existing table; None if the table does not exist."""
    from loader.inference.infer import infer_live  # noqa: PLC0415  # pyarrow is slow to import

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
        window = _first_window(definition)
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
    elif not bare:  # its type is not known, and keys are text
        entry |= {"expr": f"CAST({expression} AS {_TEXT})", "data_type": _TEXT}
    return entry


def _first_window(definition: dg.TimeWindowPartitionsDefinition) -> dg.TimeWindow:
    """The first window of a definition, which may not be over yet."""
    later = definition.start + timedelta(days=4_000)  # more than the longest window
    with dg.partition_loading_context(effective_dt=later):
        window = definition.get_first_partition_window()
    assert window is not None, "windows are shorter than that"
    return window


def _no_expression(context: dg.OutputContext | dg.InputContext, example: str) -> PlanError:
    return PlanError(
        f"the asset `{key_of(context)}` has partitions ({describe(context.asset_partitions_def)}),"
        " but neither a table spec nor the metadata `partition_expr`",
        hint=f"give it metadata={{'partition_expr': {example}}}, or a table spec",
    )
