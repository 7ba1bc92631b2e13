"""Table specs as Dagster definitions: assets, their partitions, and what hand-written assets lack.

    project = loader.Project.find()
    defs = with_specs(dg.Definitions(assets=[…], asset_checks=asset_checks(project)), project)

A hand-written asset with a spec gets what it does not say itself; without code of its own a table
is an asset that others fill, or one of `loader.dagster_component`.
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
from loader.dagster_io.metadata import code_reference
from loader.dagster_io.partition_defs import partitions_def
from loader.errors import PlanError
from loader.project import Project
from loader.spec.catalog import Entry
from loader.spec.dagster_options import OnCron
from loader.spec.model import TableSpec
from loader.warehouse.registry import BUILT_IN

__all__ = ["asset_checks", "asset_spec", "asset_specs", "partitions_def", "with_specs"]

_MOST_KINDS = 10
"""Dagster's limit."""

_REFERENCES, _MANAGER = "dagster/code_references", "dagster/io_manager_key"
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def asset_spec(
    project: Project,
    name: str,
    *,
    io_manager_key: str = "io_manager",
    partitions: dg.PartitionsDefinition | None = None,
    deps: Iterable[dg.AssetKey] = (),
) -> dg.AssetSpec:
    """A table as an asset: all that its spec says of it.

    Args:
        project: The project that has the spec.
        name: Its asset key, ``schema.table``, or the spec file.
        io_manager_key: The resource that loads what the asset returns.
        partitions: Its partitions; default those of the spec, see `partitions_def`.
        deps: The assets that it is made of.

    Raises:
        PlanError: there is no such spec, its partitions have no start, or Dagster refuses it.
        SpecError: its file is wrong.
    """
    entry = project.catalog.one(name)
    return _asset(entry, _kind(project), io_manager_key, partitions, deps)


def asset_specs(
    project: Project, select: Sequence[str] = (), *, io_manager_key: str = "io_manager"
) -> list[dg.AssetSpec]:
    """Tables as assets; ``select`` as on the command line, default all of them.

    Raises:
        PlanError: see `asset_spec`.
        SpecError: a file is wrong; with every problem of every file.
    """
    kind = _kind(project)
    return [_asset(entry, kind, io_manager_key) for entry in project.catalog.select(select)]


def with_specs(definitions: dg.Definitions, project: Project) -> dg.Definitions:
    """Definitions whose assets have what their table specs say of them.

    That is what the asset does not say itself: metadata, kinds and tags by name; owners,
    description, group, freshness and automation as a whole.

    Raises:
        PlanError: there are no specs, or Dagster refuses what one says.
        SpecError: a file is wrong; with every problem of every file.
    """
    entries = {_key(entry.spec): entry for entry in project.catalog.select(()) if entry.spec}

    def enriched(theirs: dg.AssetSpec) -> dg.AssetSpec:
        entry = entries.get(theirs.key)
        if entry is None:
            return theirs
        manager = (definitions.resources or {}).get(theirs.metadata.get(_MANAGER, "io_manager"))
        kind = _kind_of(manager) or _kind(project)
        return _joined(theirs, _described(entry, kind))

    with warnings.catch_warnings():
        # It is in preview since it takes a selection, which is not used.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return definitions.map_asset_specs(func=enriched)


def _asset(
    entry: Entry,
    kind: str | None,
    io_manager_key: str,
    partitions: dg.PartitionsDefinition | None = None,
    deps: Iterable[dg.AssetKey] = (),
) -> dg.AssetSpec:
    assert entry.spec is not None, "the catalog raises for broken entries"
    definition = partitions if partitions is not None else partitions_def(entry.spec)
    made = _described(entry, kind, partitions_def=definition, deps=list(deps))
    return made.with_io_manager_key(io_manager_key)


def _key(spec: TableSpec) -> dg.AssetKey:
    return dg.AssetKey(spec.asset_key.split("/"))


def _kind(project: Project) -> str | None:
    """Where the project's tables are; None for a project without settings of its own."""
    config = project.config
    return None if config.source == "the defaults" else config.settings(preview=True).type


def _kind_of(manager: object) -> str | None:
    """Where the tables of one of Loader's IO managers are."""
    return manager.warehouse if isinstance(manager, TableIOManager) else None


def _described(entry: Entry, kind: str | None, **more: Any) -> dg.AssetSpec:
    """What a spec says of its asset; ``kind`` is where its table is."""
    spec = entry.spec
    assert spec is not None
    try:
        return dg.AssetSpec(
            _key(spec),
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
    except Exception as error:  # Dagster refuses with errors of several kinds
        text = re.sub(r"\s+", " ", str(error)).strip()
        raise PlanError(
            f"{entry.shown}:{entry.line}: Dagster refuses the asset `{spec.asset_key}`: {text}",
            hint="change it in the spec",
        ) from error


def _kinds(spec: TableSpec, kind: str | None) -> set[str]:
    """The spec's kinds, and where the table is, when they do not tell it and there is room."""
    kinds = set(spec.dagster.kinds)
    if kind is not None and kinds.isdisjoint((kind, *BUILT_IN)) and len(kinds) < _MOST_KINDS:
        kinds.add(kind)
    return kinds


def _metadata(entry: Entry) -> dict[str, Any]:
    spec = entry.spec
    assert spec is not None
    return {
        **{name: _plain(value) for name, value in spec.meta.items()},
        "dagster/column_schema": table_schema(spec),
        "dagster/table_name": spec.table,
        _REFERENCES: code_reference(entry.path, entry.line),
    }


def _plain(value: Any) -> Any:
    """A value of `meta` as Dagster takes it; YAML has dates, and JSON has none."""
    if isinstance(value, str) and re.match(r"https?://", value):
        return dg.MetadataValue.url(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
    return value


def _freshness(spec: TableSpec) -> dg.FreshnessPolicy | None:
    wanted = spec.dagster.freshness
    if wanted is None:
        return None
    return dg.FreshnessPolicy.time_window(
        fail_window=_duration(wanted.fail),
        warn_window=_duration(wanted.warn) if wanted.warn else None,
    )


def _duration(text: str) -> timedelta:
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


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


def _joined(theirs: dg.AssetSpec, ours: dg.AssetSpec) -> dg.AssetSpec:
    """What somebody says of an asset, and of what they do not say, what its spec does."""
    kinds = set(theirs.kinds)
    kinds |= set(sorted(ours.kinds - kinds)[: _MOST_KINDS - len(kinds)])
    default = theirs.group_name in (None, "default")
    return theirs.replace_attributes(
        description=theirs.description or ours.description,
        owners=list(theirs.owners or ours.owners),
        tags={**_tags(ours), **_tags(theirs)},
        kinds=kinds,
        group_name=ours.group_name if default and ours.group_name else theirs.group_name,
        metadata=_joined_metadata(theirs.metadata, ours.metadata),
        freshness_policy=theirs.freshness_policy or ours.freshness_policy,
        automation_condition=theirs.automation_condition or ours.automation_condition,
    )


def _tags(spec: dg.AssetSpec) -> dict[str, str]:
    """The tags without those that are kinds."""
    return {key: value for key, value in spec.tags.items() if not key.startswith("dagster/kind/")}


def _joined_metadata(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**ours, **theirs}
    references = theirs.get(_REFERENCES)
    if isinstance(references, dg.CodeReferencesMetadataValue):
        # The code of the asset first, and then the spec.
        both = [*references.code_references, *ours[_REFERENCES].code_references]
        joined[_REFERENCES] = references.model_copy(update={"code_references": both})
    return joined
