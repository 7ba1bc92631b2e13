"""Dagster definitions from table specs: asset specs, partitions, and attributes of assets.

    project = loader.Project.find()
    defs = with_specs(dg.Definitions(assets=[…], asset_checks=asset_checks(project)), project)

`with_specs` adds what a hand-written asset does not set itself. A table without Python code is an
external asset (`asset_spec`), or an asset of `loader.dagster_component`.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from loader.dagster_io.checks import asset_checks
from loader.dagster_io.columns import table_schema
from loader.dagster_io.managers import TableIOManager
from loader.dagster_io.metadata import SPEC, code_reference
from loader.dagster_io.names import asset_key
from loader.dagster_io.partition_defs import partitions_def
from loader.errors import PlanError
from loader.project import Project
from loader.spec.catalog import Entry
from loader.spec.dagster_options import OnCron
from loader.spec.fields import duration_seconds
from loader.spec.model import TableSpec
from loader.warehouse.registry import BUILT_IN

__all__ = ["asset_checks", "asset_spec", "asset_specs", "partitions_def", "with_specs"]

_MAX_KINDS = 10
"""Dagster's limit."""

_REFERENCES, _MANAGER = "dagster/code_references", "dagster/io_manager_key"


def asset_spec(
    project: Project,
    name: str,
    *,
    io_manager_key: str = "io_manager",
    partitions: dg.PartitionsDefinition | None = None,
    deps: Iterable[dg.AssetKey] = (),
    kind: str | None = None,
) -> dg.AssetSpec:
    """The asset spec of a table, with every attribute that the table spec declares.

    Args:
        project: The project with the table spec.
        name: The asset key, ``schema.table``, or the spec file.
        io_manager_key: The resource that loads what the asset returns.
        partitions: The partitions definition; default that of the spec, see `partitions_def`.
        deps: The upstream assets.
        kind: The type of the warehouse; default that of the project's target.

    Raises:
        PlanError: the spec does not exist, its partitions have no start, or Dagster rejects it.
        SpecError: the spec file is invalid.
    """
    entry = project.catalog.one(name)
    return _make_asset(entry, kind or _kind(project), io_manager_key, partitions, deps)


def asset_specs(
    project: Project, select: Sequence[str] = (), *, io_manager_key: str = "io_manager"
) -> list[dg.AssetSpec]:
    """The asset specs of tables; ``select`` as on the command line, default all.

    Raises:
        PlanError: see `asset_spec`.
        SpecError: a spec file is invalid; lists every problem of every file.
    """
    kind = _kind(project)
    return [_make_asset(entry, kind, io_manager_key) for entry in project.catalog.select(select)]


def with_specs(definitions: dg.Definitions, project: Project) -> dg.Definitions:
    """Add the attributes of table specs to assets; what an asset sets itself takes precedence.

    Metadata, kinds and tags are merged by name. Owners, description, group, freshness and
    automation are added only if the asset has none.

    Raises:
        PlanError: there are no specs, or Dagster rejects an attribute.
        SpecError: a spec file is invalid; lists every problem of every file.
    """
    entries = {asset_key(entry.spec): entry for entry in project.catalog.select(()) if entry.spec}

    def add_attributes(asset: dg.AssetSpec) -> dg.AssetSpec:
        entry = entries.get(asset.key)
        if entry is None:
            return asset
        manager = (definitions.resources or {}).get(asset.metadata.get(_MANAGER, "io_manager"))
        kind = _kind_of(manager) or _kind(project)
        return _merge(asset, _to_asset_spec(entry, kind))

    with warnings.catch_warnings():
        # Only its parameter `selection` is in preview, which is not used here.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return definitions.map_asset_specs(func=add_attributes)


def _make_asset(
    entry: Entry,
    kind: str | None,
    io_manager_key: str,
    partitions: dg.PartitionsDefinition | None = None,
    deps: Iterable[dg.AssetKey] = (),
) -> dg.AssetSpec:
    assert entry.spec is not None, "the catalog raises for broken entries"
    definition = partitions if partitions is not None else partitions_def(entry.spec)
    asset = _to_asset_spec(entry, kind, partitions_def=definition, deps=list(deps))
    return asset.with_io_manager_key(io_manager_key)


def _kind(project: Project) -> str | None:
    """The warehouse type of the project; None for a project without a settings file."""
    config = project.config
    return None if config.source == "the defaults" else config.settings(preview=True).type


def _kind_of(manager: object) -> str | None:
    """The warehouse type of an IO manager; None if it is not one of Loader's."""
    return manager.kind if isinstance(manager, TableIOManager) else None


def _to_asset_spec(entry: Entry, kind: str | None, **more: Any) -> dg.AssetSpec:
    """Convert a table spec to an asset spec; ``kind`` is the warehouse type."""
    spec = entry.spec
    assert spec is not None
    try:
        return dg.AssetSpec(
            asset_key(spec),
            description=spec.description,
            owners=list(spec.owners),
            tags=dict(spec.tags),
            kinds=_kinds(spec, kind),
            group_name=spec.dagster.group,
            metadata=_metadata(entry),
            freshness_policy=_freshness(spec),
            automation_condition=_automation(spec),
            **more,
        )
    except Exception as error:  # Dagster raises errors of several types
        text = re.sub(r"\s+", " ", str(error)).strip()
        raise PlanError(
            f"{entry.shown}:{entry.line}: Dagster rejects the asset `{spec.asset_key}`: {text}",
            hint="change it in the spec",
        ) from error


def _kinds(spec: TableSpec, kind: str | None) -> set[str]:
    """The spec's kinds, and the warehouse type if none of them is one and the limit allows it."""
    kinds = set(spec.dagster.kinds)
    if kind is not None and kinds.isdisjoint((kind, *BUILT_IN)) and len(kinds) < _MAX_KINDS:
        kinds.add(kind)
    return kinds


def _metadata(entry: Entry) -> dict[str, Any]:
    spec = entry.spec
    assert spec is not None
    return {
        **{name: _plain(value) for name, value in spec.meta.items()},
        "dagster/column_schema": table_schema(spec),
        "dagster/table_name": spec.table,
        SPEC: dg.MetadataValue.path(str(entry.path.resolve())),
        _REFERENCES: code_reference(entry.path, entry.line),
    }


def _plain(value: Any) -> Any:
    """Convert a value of `meta` to a type that Dagster accepts; dates become text."""
    if isinstance(value, str) and re.match(r"https?://", value):
        return dg.MetadataValue.url(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
    return value


def _freshness(spec: TableSpec) -> dg.FreshnessPolicy | None:
    freshness = spec.dagster.freshness
    if freshness is None:
        return None
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(seconds=duration_seconds(freshness.fail)),
        warn_window=timedelta(seconds=duration_seconds(freshness.warn)) if freshness.warn else None,
    )


def _automation(spec: TableSpec) -> dg.AutomationCondition[Any] | None:
    match spec.dagster.automation:
        case OnCron() as cron:
            return dg.AutomationCondition.on_cron(cron.on_cron, cron.timezone)
        case "eager":
            return dg.AutomationCondition.eager()
        case "on_missing":
            return dg.AutomationCondition.on_missing()
        case _:
            return None


def _merge(asset: dg.AssetSpec, declared: dg.AssetSpec) -> dg.AssetSpec:
    """Add the attributes that the table spec declares to those that the asset sets itself."""
    kinds = set(asset.kinds)
    kinds |= set(sorted(declared.kinds - kinds)[: _MAX_KINDS - len(kinds)])
    default = asset.group_name in (None, "default")
    return asset.replace_attributes(
        description=asset.description or declared.description,
        owners=list(asset.owners or declared.owners),
        tags={**_tags(declared), **_tags(asset)},
        kinds=kinds,
        group_name=declared.group_name if default and declared.group_name else asset.group_name,
        metadata=_merge_metadata(asset.metadata, declared.metadata),
        freshness_policy=asset.freshness_policy or declared.freshness_policy,
        automation_condition=asset.automation_condition or declared.automation_condition,
    )


def _tags(spec: dg.AssetSpec) -> dict[str, str]:
    """The tags, without Dagster's tags for kinds."""
    return {key: value for key, value in spec.tags.items() if not key.startswith("dagster/kind/")}


def _merge_metadata(asset: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**declared, **asset}
    references = asset.get(_REFERENCES)
    if isinstance(references, dg.CodeReferencesMetadataValue):
        # The code of the asset first, then the spec.
        both = [*references.code_references, *declared[_REFERENCES].code_references]
        merged[_REFERENCES] = references.model_copy(update={"code_references": both})
    return merged
