"""Writes dbt property files that read back as the same specs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loader.contracts.dbt import LOADER_KEY, PERIODS, read, without_loader_key
from loader.contracts.dbt_config import grantee
from loader.contracts.dbt_test_writing import TableNames, is_of_column, write_test
from loader.contracts.dbt_tests import NOT_NULL
from loader.contracts.draft import Draft, check_order, differences, write_tags
from loader.contracts.sections import Findings
from loader.spec.checks import Check
from loader.spec.model import TableSpec
from loader.spec.yaml_reader import Document
from loader.spec.yaml_writer import declared


def write_models(specs: Sequence[TableSpec], *, packages: bool = False) -> dict[str, Any]:
    """Write a file of models, one for each table.

    Args:
        specs: The tables.
        packages: Whether tests of dbt_utils and dbt_expectations are used.
    """
    # dbt requires unique model names across schemas.
    counts = Counter(spec.name for spec in specs)
    names = {
        _key(spec): spec.name if counts[spec.name] == 1 else f"{spec.schema_name}_{spec.name}"
        for spec in specs
    }
    tests = _Tests({key: f"ref('{name}')" for key, name in names.items()}, packages)
    models = [_model(spec, names[_key(spec)], tests) for spec in specs]
    data = {"version": 2, "models": models}
    drafts = read(Findings(Document(data)))
    for spec, entry, draft in zip(specs, models, drafts, strict=True):
        _add_extensions(spec, entry, draft, tests)
    return data


def write_sources(specs: Sequence[TableSpec], *, packages: bool = False) -> dict[str, Any]:
    """Write a file of sources, one for each schema.

    Args:
        specs: The tables.
        packages: Whether tests of dbt_utils and dbt_expectations are used.
    """
    calls = {_key(spec): f"source('{spec.schema_name}', '{spec.name}')" for spec in specs}
    tests = _Tests(calls, packages)
    groups = _by_schema(specs)
    sources: list[dict[str, Any]] = [
        {"name": schema, "schema": schema, "tables": [_source_table(spec, tests) for spec in group]}
        for schema, group in groups.items()
    ]
    data = {"version": 2, "sources": sources}
    entries = [entry for source in sources for entry in source["tables"]]
    tables = [spec for group in groups.values() for spec in group]
    drafts = read(Findings(Document(data)))
    for spec, entry, draft in zip(tables, entries, drafts, strict=True):
        _add_extensions(spec, entry, draft, tests)
    return data


def checks_without_test(specs: Sequence[TableSpec], data: Mapping[str, Any]) -> Iterator[str]:
    """The checks that a file of models or sources keeps in ``meta: {loader: …}``.

    Args:
        specs: The tables.
        data: The file.

    Yields:
        ``schema.table: check``.
    """
    entries = [*data.get("models", ())]
    entries += [table for source in data.get("sources", ()) for table in source["tables"]]
    ordered = specs
    if "sources" in data:
        ordered = [spec for _, group in _by_schema(specs).items() for spec in group]
    for spec, entry in zip(ordered, entries, strict=True):
        own = entry.get("config", {}).get("meta", {}).get(LOADER_KEY, {})
        for check in own.get("checks", ()):
            yield f"{spec.table}: {Check.model_validate(check).label}"


@dataclass(frozen=True)
class _Tests:
    """Writes checks as tests."""

    tables: TableNames
    packages: bool

    def write(self, spec: TableSpec, check: Mapping[str, Any]) -> str | dict[str, Any] | None:
        """The test of a check; None when dbt has none."""
        return write_test(check, spec.schema_name, self.tables, packages=self.packages)

    def of_columns(self, spec: TableSpec) -> list[tuple[str, Any]]:
        """The tests that stand at columns: column and test."""
        checks = declared(spec).get("checks", [])
        written = ((check, self.write(spec, check)) for check in checks if is_of_column(check))
        return [(check["column"], test) for check, test in written if test is not None]

    def of_table(self, spec: TableSpec) -> list[Any]:
        """The tests that stand at the table."""
        checks = declared(spec).get("checks", [])
        written = (self.write(spec, check) for check in checks if not is_of_column(check))
        return [test for test in written if test is not None]


def _by_schema(specs: Sequence[TableSpec]) -> dict[str, list[TableSpec]]:
    groups: dict[str, list[TableSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.schema_name, []).append(spec)
    return groups


def _key(spec: TableSpec) -> tuple[str, str]:
    return spec.schema_name, spec.name


def _model(spec: TableSpec, name: str, tests: _Tests) -> dict[str, Any]:
    config: dict[str, Any] = {
        "schema": spec.schema_name,
        "alias": None if name == spec.name else spec.name,
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
    elif config.get("materialized") == "incremental":
        config["on_schema_change"] = "fail"  # dbt requires one of the two with a contract
    keys = [{"type": "primary_key", "columns": list(spec.row_key)}] if spec.row_key else []
    return _without_empty(
        {
            "name": name,
            "description": spec.description,
            "config": _without_empty(config),
            "constraints": keys,
            "data_tests": tests.of_table(spec),
            "columns": _columns(spec, tests, models=True),
        }
    )


def _source_table(spec: TableSpec, tests: _Tests) -> dict[str, Any]:
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
            "data_tests": tests.of_table(spec),
            "columns": _columns(spec, tests, models=False),
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


def _columns(spec: TableSpec, tests: _Tests, *, models: bool) -> list[dict[str, Any]]:
    written = tests.of_columns(spec)
    columns = []
    for column in spec.columns:
        own = [test for name, test in written if name == column.name]
        # Sources have no constraints: NOT NULL is a test there.
        not_null = not column.nullable
        columns.append(
            _without_empty(
                {
                    "name": column.name,
                    "description": column.description,
                    "data_type": str(column.data_type),
                    "constraints": [{"type": "not_null"}] if not_null and models else [],
                    "data_tests": [*([NOT_NULL] if not_null and not models else []), *own],
                }
            )
        )
    return columns


def _add_extensions(spec: TableSpec, entry: dict[str, Any], draft: Draft, tests: _Tests) -> None:
    """Add ``meta: {loader: …}`` with the spec keys that reading the entry would not restore."""
    actual, suggested = declared(spec), draft.data
    extra = [check for check in actual.get("checks", []) if tests.write(spec, check) is None]
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
