"""The IO manager that a component brings: for a target of the settings, or from its own fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from loader.dagster_io.managers import (
    DuckDBIOManager,
    ProjectIOManager,
    RedshiftIOManager,
    TableIOManager,
)
from loader.dagster_io.names import op_name
from loader.errors import PlanError
from loader.project import Project
from loader.redaction import is_secret_name

_MANAGERS: Mapping[str, type[TableIOManager]] = {
    "duckdb": DuckDBIOManager,
    "redshift": RedshiftIOManager,
}

_VARIABLE = re.compile(r"\{\{\s*env(?:\.(\w+)|\(\s*(['\"])(\w+)\2\s*\))\s*\}\}")
"""Text that is one variable of the environment and nothing else."""

_PATHS = ("database", "staging", "templates")
"""Fields of `DuckDBIOManager` that are paths."""


def resolve_fields(context: dg.ResolutionContext, fields: Any) -> dict[str, Any] | None:
    """Resolve the fields of an IO manager in YAML.

    A field that is just ``{{ env.NAME }}`` becomes an `EnvVar`: it is read when a run needs it, and
    Dagster's pages show its name, not its value.
    """
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise PlanError(
            f"io_manager: expected fields, found `{fields}`",
            hint="write {type: duckdb, database: …} or {type: redshift, …}, or set target",
        )
    manager = _MANAGERS.get(str(fields.get("type")))
    return {
        name: _resolve(context, value, _kind_of_field(manager, name))
        for name, value in fields.items()
    }


def _kind_of_field(manager: type[TableIOManager] | None, name: str) -> object:
    field = manager.model_fields.get(name) if manager is not None else None
    return field.annotation if field is not None else str


def _resolve(context: dg.ResolutionContext, value: Any, kind: object) -> Any:
    variable = _VARIABLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if variable is None or kind in (bool, float):
        return context.resolve_value(value)
    name = variable[1] or variable[3]
    return dg.EnvVar.int(name) if kind is int else dg.EnvVar(name)


def make_manager(
    target: str | None, fields: Mapping[str, Any] | None, specs: Path, root: Path
) -> TableIOManager | None:
    """The IO manager of a component; None if it brings none.

    Args:
        target: The name of a target of the project's settings.
        fields: The fields of an IO manager, and the type of its warehouse.
        specs: The folder of the component's specs.
        root: The folder of the Dagster project, which paths are relative to.

    Raises:
        PlanError: there are no settings for a target, or it is not clear which manager is meant.
        ConfigError: the target does not exist, or a field or its value is wrong.
    """
    if target is not None and fields is not None:
        raise PlanError("target and io_manager are both set", hint="remove one of them")
    if target is not None:
        config = Project(specs=specs, target=target).config
        if config.source == "the defaults":
            raise PlanError(
                f"target: `{target}` is a target of the project's settings, but there is no"
                f" loader.toml, and no pyproject.toml with [tool.loader], above {specs}",
                hint="write one, as `loader init` does, or set io_manager instead",
            )
        config.settings(preview=True)
        return ProjectIOManager(specs=str(specs), target=target)
    if fields is None:
        return None
    manager = _MANAGERS.get(str(fields.get("type")))
    if manager is None:
        found = f"not `{fields['type']}`" if "type" in fields else "which is missing"
        raise PlanError(
            f"io_manager: type must be one of {', '.join(_MANAGERS)}, {found}",
            hint="of another warehouse make a target of the project's settings, and set target",
        )
    given = {name: value for name, value in fields.items() if name != "type"}
    if "specs" in given:
        raise PlanError("io_manager: specs is an attribute of the component itself")
    for name, value in given.items():
        if is_secret_name(name) and value is not None and not isinstance(value, dg.EnvVar):
            raise PlanError(
                f"io_manager: `{name}` must come from the environment, because Dagster shows the"
                " values of fields in its pages",
                hint=f'write {name}: "{{{{ env.NAME }}}}"',
            )
    if manager is DuckDBIOManager:
        given |= {name: _absolute(root, given[name]) for name in _PATHS if name in given}
    made = manager(specs=str(specs), **given)
    if not any(isinstance(value, dg.EnvVar) for value in given.values()):
        made.check_fields()
    return made


def _absolute(root: Path, value: Any) -> Any:
    plain = isinstance(value, str) and not isinstance(value, dg.EnvVar)
    return str(root / value) if plain else value


def component_name(context: dg.ComponentLoadContext) -> str:
    """What names in a component begin with: its place below the folder of defs."""
    path = context.component_path
    try:
        place = path.get_relative_key(context.defs_module_path)
    except ValueError:  # a component that a test made is elsewhere
        place = path.file_path.name
    # The first component of a folder is `tables[0]`, the next `tables[1]`.
    place = place.replace("/defs.yaml", "").removesuffix("[0]")
    return op_name(place)
