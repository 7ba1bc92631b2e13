"""The adapter: all that Loader asks of SQLite, and the one object that its entry point names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from loader.warehouse.adapter import Adapter
from loader.warehouse.base import Warehouse
from loader.warehouse.doctor import Doctor, Step, StepResult
from loader.warehouse.settings import Printed, TargetSettings
from tests.warehouse.sqlite.dialect import DIALECT


class SQLiteTarget(TargetSettings):
    """A folder of SQLite files, one for each schema."""

    type: Literal["sqlite"]
    database: Printed = ".loader/sqlite"
    """The folder, relative to the project."""
    staging: Printed = ".loader/staging"
    timeout: float = 5.0
    """Seconds to wait for another process that writes."""


class SQLiteDoctor(Doctor[SQLiteTarget]):
    """The folder of the files, and that of staged ones."""

    @property
    def location(self) -> str:
        """The staging folder."""
        return str((self.examination.root / self.settings.staging).absolute())

    def check_database(self) -> StepResult:
        """Open the files."""
        ((_, _, release, _),) = self.examination.run("session")
        return StepResult(f"{self.settings.database} is open (SQLite {release})")

    steps = (
        Step("settings", "settings", ()),
        Step("database", check_database),
        Step("ledger", "ledger", ("database",)),
        Step("staging write", "write file"),
        Step("staging read", "read file", ("staging write",)),
        Step("staging delete", "delete file", ("staging write",)),
        Step("load", "copy", ("database", "staging read")),
    )


class SQLiteAdapter(Adapter[SQLiteTarget]):
    """A folder of SQLite files."""

    dialect = DIALECT
    settings = SQLiteTarget
    templates = Path(__file__).parent / "templates"
    stages_in_folder = True

    def connect(self, settings: SQLiteTarget, root: Path) -> Warehouse:
        """The folder of a target."""
        from tests.warehouse.sqlite.driver import SQLite

        return SQLite(root / settings.database, settings.timeout)

    def doctor(self) -> type[Doctor[SQLiteTarget]]:
        """The steps that examine the folders."""
        return SQLiteDoctor


ADAPTER = SQLiteAdapter()
