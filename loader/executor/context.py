"""A target with its settings, templates, warehouse and staging location."""

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
    """The target of a load, read or check. Warehouse and store are opened when first used."""

    settings: TargetSettings
    """Settings with all variables resolved."""
    target: Target
    """The facts for plans."""
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
        """The warehouse; does not connect yet.

        Raises:
            ExecuteError: the driver is not installed.
        """
        return open_warehouse(self.settings, self.root)

    @cached_property
    def staging_store(self) -> Store:
        """The store of the staging location; does not connect yet.

        Raises:
            StageError: it is neither a folder nor an S3 URL.
        """
        return open_staging(self.target.staging, self.settings)


def make_target(config: Config, settings: TargetSettings, name: str | None = None) -> Target:
    """Make the facts about a target that plans need.

    Args:
        config: The project's settings.
        settings: The target's settings, in which variables may be unresolved.
        name: Its name; by default the project's default target.
    """
    adapter = get_adapter(settings.type)
    return adapter.target(name or config.target, settings, config.root, config.verify)
