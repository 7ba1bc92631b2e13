"""The interface of a warehouse: everything that differs between warehouses.

`loader.warehouse.registry` finds the adapters. Adapters import their driver in the method that
needs it, so that plans need no driver.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

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
"""Returns one line for each row that a failed COPY rejected; called in its session, after rollback.

The last arguments are the load's plan, the store of the staged files and the error message.
"""


@dataclass(frozen=True)
class Read:
    """A read of a table, or of a slice of it."""

    spec: TableSpec
    sql: str
    """The SELECT."""
    schema: pa.Schema
    """The columns to read, in this order, with their Arrow types."""
    slice: Slice | None
    limit: int | None
    where: str | None
    """A condition that the rows fulfil."""
    renderer: Renderer
    open_store: Callable[[], Store]
    """Opens the target's staging location, for reads that use it."""
    own_select: bool = False
    """Whether the SELECT is of the project's own template, so that no other query will do."""


class RowsFile(Protocol):
    """A file with rows of a read. It can be pickled, for processes of other machines."""

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """Its rows."""


def unload_prefix(table: str) -> str:
    """A new key prefix for the files of a read; `loader clean` knows it."""
    return f"unload/{table}/{uuid.uuid4()}"


@dataclass(frozen=True)
class DatabaseInfo:
    """The database of a target, as catalogs of assets name it."""

    database: str
    """The database name that qualifies table names."""
    uri: str
    """The URI of the database, without secrets."""


class Adapter(ABC, Generic[S]):
    """One warehouse. Methods that are not abstract have defaults that fit most warehouses."""

    dialect: ClassVar[Dialect]
    """Its SQL dialect; the dialect's name is the folder of its templates."""

    settings: type[S]
    """The model of its targets' settings."""

    templates: ClassVar[Path | None] = None
    """The folder that contains ``<dialect>/*.sql.j2``; None for Loader's own templates.
    They override the ``ansi`` templates, and a project's templates override them."""

    stages_in_folder: ClassVar[bool] = False
    """Whether ``staging`` is a folder relative to the project; otherwise it is a URL."""

    @abstractmethod
    def connect(self, settings: S, root: Path) -> Warehouse:
        """Open the warehouse of a target; does not connect yet.

        Args:
            settings: The target's settings.
            root: The project's folder, which paths in them are relative to.
        """

    @abstractmethod
    def doctor(self) -> type[Doctor[S]]:
        """The class with the steps of `loader doctor`."""

    def catalog(self, settings: S, root: Path) -> str:  # noqa: ARG002
        """The database to put before a schema that has the same name; empty if never needed.

        Args:
            settings: The target's settings, in which variables may not be known yet.
            root: The project's folder.
        """
        return ""

    def dialect_of(self, settings: S) -> Dialect:  # noqa: ARG002
        """The SQL dialect for the tables of a target.

        Args:
            settings: The target's settings, in which variables may not be known yet.
        """
        return self.dialect

    def target(self, name: str, settings: S, root: Path, verify: Level = "values") -> Target:
        """The facts about a target that plans need; no secrets. Folders are relative to the
        working directory.

        Args:
            name: The target's name in the project.
            settings: Its settings, in which variables may not be known yet.
            root: The project's folder.
            verify: The default of ``verify`` for specs without it.
        """
        folder = root / settings.staging
        staging = shorten_path(folder) if self.stages_in_folder else settings.staging
        return Target(name, self.dialect.name, staging, settings.ledger_schema, verify=verify)

    def describe(self, settings: S, root: Path) -> DatabaseInfo:  # noqa: ARG002
        """The name and URI of the target's database; no secrets.

        Args:
            settings: The target's settings, in which variables may not be known yet.
            root: The project's folder.
        """
        return DatabaseInfo(settings.database, f"{settings.type}://{settings.database}")

    def example_target(self) -> Target:
        """An invented target, for pages that show the SQL of a load."""
        return Target("local", self.dialect.name, ".loader/staging", "loader")

    def open_staging(self, location: str, settings: S) -> Store:  # noqa: ARG002
        """Open the store of a staging location; does not connect yet.

        Raises:
            StageError: the location is neither a folder nor an S3 URL.
        """
        from loader.staging.stores.open import open_store  # noqa: PLC0415  # plans open none

        return open_store(location)

    def refuse_in_place(self, uri: str) -> str:  # noqa: ARG002
        """Why a file cannot be loaded from where it lies; empty if it can.

        Args:
            uri: Its absolute path, or its URL.
        """
        return "this warehouse does not load files in place"

    def stream(
        self,
        settings: S,  # noqa: ARG002
        session: Session,
        read: Read,
    ) -> Generator[pa.RecordBatch, None, None]:
        """Stream the rows of a read in batches.

        Raises:
            ExecuteError: the rows cannot be read.
        """
        return session.stream(read.sql, read.schema)

    def unload(
        self,
        settings: S,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        read: Read,  # noqa: ARG002
    ) -> Sequence[RowsFile] | None:
        """Let the warehouse write the rows of a read to files below `unload_prefix`.

        Returns:
            The files, which stay there; None where rows are better streamed.

        Raises:
            ExecuteError: the rows cannot be written.
        """
        return None

    def copy_explainer(self) -> ExplainCopy | None:
        """The function that finds rows a failed COPY rejected; None when its error names them."""
        return None

    def contract_server(self, settings: S) -> Mapping[str, str] | None:  # noqa: ARG002
        """The target as the server of a data contract; None when there is none."""
        return None


def shorten_path(path: Path) -> str:
    """A path relative to the working directory, if it is inside; else absolute."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
