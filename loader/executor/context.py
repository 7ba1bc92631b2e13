"""A target with all that runs on it needs: settings, templates, warehouse and staging location."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.config import Config, TargetSettings
from loader.plan.model import Target
from loader.sql.renderer import Renderer
from loader.warehouse.base import Warehouse
from loader.warehouse.registry import get_adapter, open_staging, open_warehouse

if TYPE_CHECKING:
    from loader.staging.stores.base import Store
    from loader.warehouse.adapter import Adapter


@dataclass(frozen=True)
class TargetContext:
    """Where a load, a read or a check runs. Nothing is opened before it is asked for."""

    settings: TargetSettings
    """Complete, with variables read from the environment."""
    target: Target
    """What plans know of it."""
    renderer: Renderer
    """The project's templates over Loader's, in the dialect of the target."""
    root: Path
    """The project's folder, which paths in the settings are relative to."""

    @cached_property
    def adapter(self) -> Adapter[Any]:
        """The adapter of the warehouse."""
        return get_adapter(self.settings.type)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse, not connected to yet.

        Raises:
            ExecuteError: there is no driver for it.
        """
        return open_warehouse(self.settings, self.root)

    @cached_property
    def staging_store(self) -> Store:
        """The staging location, not connected to yet.

        Raises:
            StageError: it is neither a folder nor an S3 URL.
        """
        return open_staging(self.target.staging, self.settings)


def make_target(config: Config, settings: TargetSettings, name: str | None = None) -> Target:
    """What plans need to know of a target.

    Args:
        config: The project's settings.
        settings: The target's own, in which variables may not be known yet.
        name: Its name; default the project's own target.
    """
    adapter = get_adapter(settings.type)
    return adapter.target(name or config.target, settings, config.root, config.verify)
