"""The registry of warehouses: Loader's own, and those of installed packages.

A package adds one with an entry point of the group ``loader.warehouses``, whose name is the
``type`` of targets and whose object is a `loader.warehouse.adapter.Adapter`:

    [project.entry-points."loader.warehouses"]
    acme = "loader_acme:ADAPTER"
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.errors import ConfigError, ExecuteError

if TYPE_CHECKING:
    from loader.staging.stores.base import Store
    from loader.warehouse.adapter import Adapter
    from loader.warehouse.base import Warehouse
    from loader.warehouse.settings import TargetSettings

BUILT_IN = ("duckdb", "redshift")
"""Loader's own warehouses: the subpackages of this package."""

GROUP = "loader.warehouses"


def warehouse_names() -> tuple[str, ...]:
    """All valid values of a target's ``type``."""
    from_packages = {entry.name for entry in entry_points(group=GROUP)}
    return (*BUILT_IN, *sorted(from_packages.difference(BUILT_IN)))


def get_adapter(name: str) -> Adapter[Any]:
    """Import and return the adapter of a warehouse.

    Args:
        name: The ``type`` of its targets.

    Raises:
        KeyError: there is no such warehouse.
        ConfigError: its package cannot be imported, or has no valid adapter.
    """
    if name in BUILT_IN:
        adapter: Adapter[Any] = importlib.import_module(f"loader.warehouse.{name}.adapter").ADAPTER
        return adapter
    return _load_from_packages(name)


def adapters_for(kinds: Iterable[str]) -> tuple[Adapter[Any], ...]:
    """Loader's own adapters, and those of further target types.

    Types that do not exist or cannot be imported are skipped; using their targets is an error.
    """
    found = [get_adapter(name) for name in BUILT_IN]
    for kind in dict.fromkeys(kinds):
        if kind not in BUILT_IN:
            with suppress(KeyError, ConfigError):
                found.append(get_adapter(kind))
    return tuple(found)


@cache
def _load_from_packages(name: str) -> Adapter[Any]:
    from loader.warehouse.adapter import Adapter  # noqa: PLC0415  # settings alone need none

    for entry in entry_points(group=GROUP, name=name):
        try:
            found = entry.load()
        except Exception as error:
            raise ConfigError(
                f"{_origin(entry)} cannot be imported: {error}",
                hint="install its dependencies, or another version of it",
            ) from error
        if not isinstance(found, Adapter):
            raise ConfigError(
                f"{_origin(entry)} is not a `loader.warehouse.adapter.Adapter`",
                hint="correct the entry point of the package",
            )
        return found
    raise KeyError(name)


def _origin(entry: EntryPoint) -> str:
    package = f" of the package {entry.dist.name}" if entry.dist else ""
    return f"the warehouse `{entry.name}`{package} ({entry.value})"


def open_warehouse(settings: TargetSettings, root: Path) -> Warehouse:
    """The warehouse of a target; connects to nothing yet.

    Args:
        settings: The target's settings.
        root: The project's folder, which paths in them are relative to.

    Raises:
        ExecuteError: the driver is not installed.
    """
    try:
        return get_adapter(settings.type).connect(settings, root)
    except ModuleNotFoundError as error:
        raise ExecuteError(
            f"loading into {settings.type} needs the module `{error.name}`, which is not installed"
        ) from error


def open_staging(location: str, settings: TargetSettings) -> Store:
    """The store of a target's staging location; connects to nothing yet.

    Raises:
        StageError: the location is neither a folder nor an S3 URL.
    """
    return get_adapter(settings.type).open_staging(location, settings)
