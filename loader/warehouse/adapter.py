"""What Loader asks of a warehouse: all that differs from one to the next is here.

`loader.warehouse.registry` finds the adapters. This module imports no driver, and adapters import
theirs in the method that needs it, so that plans need neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from loader.plan.model import Plan, Target
from loader.sql.dialects.base import Dialect
from loader.warehouse.base import Session, Warehouse
from loader.warehouse.settings import TargetSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from loader.plan.figures import Level
    from loader.spec.model import TableSpec
    from loader.spec.partitions import Slice
    from loader.sql.renderer import Renderer
    from loader.staging.stores.base import Store
    from loader.warehouse.doctor import Doctor

S = TypeVar("S", bound=TargetSettings)

ExplainCopy = Callable[[Session, "Renderer", Plan, "Store", str], list[str]]
"""Which rows a failed COPY refused, a line for each: asked in its session, after the rollback.

It gets the plan of the load, the store of the staged files and the message of the error.
"""


@dataclass(frozen=True)
class Read:
    """A read of a table, or of a slice of it."""

    spec: TableSpec
    sql: str
    """The SELECT."""
    schema: pa.Schema
    """The columns that are read, in this order, with the Arrow types they are wanted in."""
    slice: Slice | None
    limit: int | None
    renderer: Renderer
    open_store: Callable[[], Store]
    """Opens the target's staging location, for reads that go by way of it."""
    own_select: bool = False
    """Whether the SELECT is of the project's own template, so that no other query will do."""


class Adapter(ABC, Generic[S]):
    """One warehouse. What a new one does not say is as most have it."""

    dialect: ClassVar[Dialect]
    """Its SQL as facts; the dialect's name is the folder of its templates."""

    settings: type[S]
    """The model of its targets' settings."""

    templates: ClassVar[Path | None] = None
    """A folder that has the folder of its templates, ``<dialect>/*.sql.j2``; None for Loader's own.
    They are laid over the ``ansi`` ones, and a project's own over them."""

    stages_in_folder: ClassVar[bool] = False
    """Whether ``staging`` is a folder, relative to the project's; else it is a URL."""

    @abstractmethod
    def connect(self, settings: S, root: Path) -> Warehouse:
        """The warehouse of a target; connects to nothing yet.

        Args:
            settings: The target's settings.
            root: The project's folder, which paths in them are relative to.
        """

    @abstractmethod
    def doctor(self) -> type[Doctor[S]]:
        """The steps that examine its targets."""

    def catalog(self, settings: S, root: Path) -> str:  # noqa: ARG002
        """The database that SQL runs in, where a schema of its name needs it in front; else empty.

        Args:
            settings: The target's settings, in which variables may not be known yet.
            root: The project's folder.
        """
        return ""

    def target(self, name: str, settings: S, root: Path, verify: Level = "values") -> Target:
        """What plans need to know of a target; no secrets. A folder is as seen from here.

        Args:
            name: The target's name in the project.
            settings: Its settings, in which variables may not be known yet.
            root: The project's folder.
            verify: What is compared before COMMIT, for tables whose specs do not say.
        """
        folder = root / settings.staging
        staging = shorten_path(folder) if self.stages_in_folder else settings.staging
        return Target(name, self.dialect.name, staging, settings.ledger_schema, verify=verify)

    def example_target(self) -> Target:
        """A target that is made up, for pages that show the SQL of a load."""
        return Target("local", self.dialect.name, ".loader/staging", "loader")

    def open_staging(self, location: str, settings: S) -> Store:  # noqa: ARG002
        """The store of a staging location; connects to nothing yet.

        Raises:
            StageError: the location is neither a folder nor an S3 URL.
        """
        from loader.staging.stores.open import open_store  # noqa: PLC0415  # plans open none

        return open_store(location)

    def stream(
        self,
        settings: S,  # noqa: ARG002
        session: Session,
        read: Read,
    ) -> Generator[pa.RecordBatch, None, None]:
        """The rows of a read, in batches that are not all in memory at once.

        Raises:
            ExecuteError: they cannot be read.
        """
        return session.stream(read.sql, read.schema)

    def copy_explainer(self) -> ExplainCopy | None:
        """What finds out which rows a failed COPY refused; None when its error says it all."""
        return None

    def contract_server(self, settings: S) -> Mapping[str, str] | None:  # noqa: ARG002
        """A target as the server of a data contract, ``type`` and all; None when there is none."""
        return None


def shorten_path(path: Path) -> str:
    """A path as short as it can be said in the working directory."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
