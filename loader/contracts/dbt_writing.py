"""Writes dbt property files that read back as the same specs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from loader.contracts.dbt import LOADER_KEY, PERIODS, read, without_loader_key
from loader.contracts.dbt_config import grantee
from loader.contracts.dbt_tests import NOT_NULL, write_test
from loader.contracts.draft import Draft, check_order, differences, write_tags
from loader.contracts.sections import Findings
from loader.spec.model import TableSpec
from loader.spec.yaml_reader import Document
from loader.spec.yaml_writer import declared


def write_models(specs: Sequence[TableSpec]) -> dict[str, Any]:
    """Write a file of models, one for each table.

    Args:
        specs: The tables.
    """
    # dbt requires unique model names across schemas.
    names = Counter(spec.name for spec in specs)
    models = [_model(spec, alone=names[spec.name] == 1) for spec in specs]
    data = {"version": 2, "models": models}
    drafts = read(Findings(Document(data)))
    for spec, entry, draft in zip(specs, models, drafts, strict=True):
        _add_extensions(spec, entry, draft)
    return data


def write_sources(specs: Sequence[TableSpec]) -> dict[str, Any]:
    """Write a file of sources, one for each schema.

    Args:
        specs: The tables.
    """
    groups: dict[str, list[TableSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.schema_name, []).append(spec)
    sources: list[dict[str, Any]] = [
        {"name": schema, "schema": schema, "tables": [_source_table(spec) for spec in group]}
        for schema, group in groups.items()
    ]
    data = {"version": 2, "sources": sources}
    entries = [entry for source in sources for entry in source["tables"]]
    tables = [spec for group in groups.values() for spec in group]
    drafts = read(Findings(Document(data)))
    for spec, entry, draft in zip(tables, entries, drafts, strict=True):
        _add_extensions(spec, entry, draft)
    return data


def _model(spec: TableSpec, *, alone: bool) -> dict[str, Any]:
    config: dict[str, Any] = {
        "schema": spec.schema_name,
        "alias": None if alone else spec.name,
        **_materialization(spec),
        "dist": spec.dist,
        "sort": list(spec.sort),
        "sort_type": spec.sort_type,
        "grants": {
            privilege: [_grantee(name) for name in names]
            for privilege, names in spec.grants.items()
        },
        "contract": {"enforced": True},
        "tags": write_tags(spec.tags),
        "meta": without_loader_key(spec.meta),
    }
    if spec.schema_contract.evolve == "additive":
        config["on_schema_change"] = "append_new_columns"
    keys = [{"type": "primary_key", "columns": list(spec.row_key)}] if spec.row_key else []
    return _without_empty(
        {
            "name": spec.name if alone else f"{spec.schema_name}_{spec.name}",
            "description": spec.description,
            "config": _without_empty(config),
            "constraints": keys,
            "columns": _columns(spec, models=True),
        }
    )


def _source_table(spec: TableSpec) -> dict[str, Any]:
    config = {
        "tags": write_tags(spec.tags),
        "meta": without_loader_key(spec.meta),
        "freshness": _freshness(spec),
    }
    return _without_empty(
        {
            "name": spec.name,
            "description": spec.description,
            "config": _without_empty(config),
            "columns": _columns(spec, models=False),
        }
    )


def _without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in (None, [], {})}


def _materialization(spec: TableSpec) -> dict[str, Any]:
    """The materialization that is closest to the write disposition."""
    incremental = {"materialized": "incremental"}
    if spec.write_disposition == "append":
        return {**incremental, "incremental_strategy": "append"}
    if spec.write_disposition == "merge":
        strategy = "merge" if spec.merge.strategy == "merge" else "delete+insert"
        key = list(spec.primary_key)
        return {**incremental, "incremental_strategy": strategy, "unique_key": key}
    if spec.write_disposition == "scd2":
        return {}  # dbt keeps histories in snapshots, which are no models
    if not spec.partition_by:
        return {"materialized": "table"}
    exprs = [entry.expr for entry in spec.partition_by]
    if not all(expr in spec.by_name for expr in exprs):
        return {}  # dbt has no strategy that replaces the values of an expression
    return {**incremental, "incremental_strategy": "delete+insert", "unique_key": exprs}


def _grantee(name: str) -> str:
    bare = name.removeprefix("user:")
    return bare if grantee(bare) == name else name


def _freshness(spec: TableSpec) -> dict[str, Any] | None:
    freshness = spec.dagster.freshness
    periods = {letter: period for period, letter in PERIODS.items()}
    found = {}
    for key, text in (
        ("error_after", freshness.fail if freshness else None),
        ("warn_after", freshness.warn if freshness else None),
    ):
        if text is not None and text[-1] in periods:
            found[key] = {"count": int(text[:-1]), "period": periods[text[-1]]}
    return found or None


def _columns(spec: TableSpec, *, models: bool) -> list[dict[str, Any]]:
    checks = _column_tests(spec)
    columns = []
    for column in spec.columns:
        tests = [test for name, test in checks if name == column.name]
        # Sources have no constraints: NOT NULL is a test there.
        not_null = not column.nullable
        columns.append(
            _without_empty(
                {
                    "name": column.name,
                    "description": column.description,
                    "data_type": str(column.data_type),
                    "constraints": [{"type": "not_null"}] if not_null and models else [],
                    "data_tests": [*([NOT_NULL] if not_null and not models else []), *tests],
                }
            )
        )
    return columns


def _column_tests(spec: TableSpec) -> list[tuple[str, Any]]:
    """The checks that dbt has tests for: column and test."""
    checks = declared(spec).get("checks", [])
    return [(check["column"], test) for check in checks if (test := write_test(check)) is not None]


def _add_extensions(spec: TableSpec, entry: dict[str, Any], draft: Draft) -> None:
    """Add ``meta: {loader: …}`` with the spec keys that reading the entry would not restore."""
    actual, suggested = declared(spec), draft.data
    extra = [check for check in actual.get("checks", []) if write_test(check) is None]
    order = check_order(actual.get("checks", []), [*extra, *suggested["checks"]])
    extensions: dict[str, Any] = {} if not extra else {"checks": extra}
    if order is not None:
        extensions["check_order"] = order
    apart = ("version", "columns", "checks")
    extensions |= differences(
        *({k: v for k, v in d.items() if k not in apart} for d in (actual, suggested))
    )
    if extensions.get("write_disposition", "") is None:
        extensions["write_disposition"] = spec.write_disposition  # clearer than null
    _extend(entry, extensions)
    for column, declaration, found, place in zip(
        spec.columns, actual["columns"], suggested["columns"], entry["columns"], strict=True
    ):
        stated = {key: value for key, value in declaration.items() if key != "nullable"}
        stated |= {} if column.nullable else {"nullable": False}
        _extend(place, differences(stated, found))


def _extend(entry: dict[str, Any], extensions: Mapping[str, Any]) -> None:
    if extensions:
        config = entry.setdefault("config", {})
        config["meta"] = {**config.get("meta", {}), LOADER_KEY: dict(extensions)}
