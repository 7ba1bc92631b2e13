"""Examines DuckDB targets: database file, staging folder and disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from loader.sql.renderer import Table
from loader.text_files import path_exists
from loader.warehouse.doctor import Doctor, Examination, Step, StepResult
from loader.warehouse.duckdb.settings import DuckDBTarget

LOCK_SECONDS = 2.0
"""Seconds to wait for another process that holds the file."""

LITTLE_SPACE = 1 << 30
"""In bytes; less free space than this is a warning."""


class DuckDBDoctor(Doctor[DuckDBTarget]):
    """Examines a database file, or a temporary file next to it if it does not exist."""

    def __init__(self, examination: Examination, settings: DuckDBTarget) -> None:
        super().__init__(examination, settings)
        self._path = Path(os.path.realpath(examination.root / settings.database))
        self._exists = os.path.lexists(
            self._path
        )  # False only if nothing is there; a cyclic link is
        self._stand_in = self._path.with_name(f"{self._path.name}.doctor-{examination.token}")
        folders = (self._path.parent, Path(self.location))
        # The folders that files are written to, each with its nearest existing parent.
        self._folders = {folder: _find_existing(folder) for folder in folders}

    @property
    def location(self) -> str:
        """The staging folder."""
        return str((self.examination.root / self.settings.staging).absolute())

    def connection_settings(self) -> DuckDBTarget:
        """Settings for the file or its stand-in, with a short lock timeout."""
        changes: dict[str, object] = {
            "lock_timeout": min(self.settings.lock_timeout, LOCK_SECONDS),
            "database": str(self._path if self._exists else self._stand_in),
        }
        return self.settings.model_copy(update=changes)

    def close(self) -> None:
        """Remove the stand-in, and the folders that were created for it."""
        for path in (self._stand_in, Path(f"{self._stand_in}.wal")):
            with suppress(OSError):
                path.unlink()
        for folder, existing in self._folders.items():
            _remove_empty(folder, existing)

    def check_database(self) -> StepResult:
        """Open the file for writing."""
        ((_, _, release, _),) = self.examination.run("session")
        name, engine = self.settings.database, f"DuckDB {release}"
        if not self._exists:
            return StepResult(f"{name} does not exist yet; it can be created ({engine})")
        size = self._path.stat().st_size / 1e6
        return StepResult(f"{name} is open for writing, {size:,.1f} MB ({engine})")

    def check_write(self) -> StepResult:
        """Create a schema, a table and a row, and roll back."""
        schema = self.examination.spec.schema_name
        with self.examination.rolled_back():
            self.examination.run("create_schema", schema=schema)
            self.examination.run("ledger_create", ledger=Table(schema, "loads"))
            self.examination.write_ledger(schema)
        return StepResult("created a schema, a table and a row, and rolled back")

    def check_space(self) -> StepResult:
        """Measure the free space of each disk that files are written to."""
        free: dict[int, tuple[int, Path]] = {}
        for folder, existing in self._folders.items():
            free[existing.stat().st_dev] = (shutil.disk_usage(existing).free, folder)
        detail = "; ".join(
            f"{size / 1e9:,.1f} GB free in {folder}" for size, folder in free.values()
        )
        if min(size for size, _ in free.values()) < LITTLE_SPACE:
            hint = "free some disk space: a load stages its rows before it loads them"
            return StepResult(detail, "warning", hint)
        return StepResult(detail)

    steps = (
        Step("settings", "settings", ()),
        Step("database", check_database),
        Step("time zone", "time zone", ("database",)),
        Step("write", check_write, ("database",)),
        Step("ledger", "ledger", ("database",)),
        Step("disk space", check_space),
        Step("staging write", "write file"),
        Step("staging read", "read file", ("staging write",)),
        Step("staging delete", "delete file", ("staging write",)),
        Step("load", "copy", ("database", "staging read", "staging delete")),
    )


def _find_existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    while not path_exists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _remove_empty(folder: Path, existing: Path) -> None:
    """Remove a folder and its parents below an existing one, as long as they are empty."""
    with suppress(OSError):
        while folder != existing:
            folder.rmdir()
            folder = folder.parent
