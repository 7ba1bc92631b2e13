"""A DuckDB target: its file, its folder, its disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from loader.config import DuckDBTarget, TargetSettings
from loader.doctor.checks import LITTLE_SPACE, LOCK_SECONDS, Examination, Step, Verdict
from loader.sql.renderer import Table
from loader.text_files import is_there


class OfDuckDB(Examination):
    """A database file. One that is not there is not made: another beside it stands for it."""

    settings: DuckDBTarget

    def __enter__(self) -> OfDuckDB:
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if hasattr(self, "settings"):
            for path in (self._stand_in, Path(f"{self._stand_in}.wal")):
                with suppress(OSError):
                    path.unlink()
        for folder, there in self._folders.items():
            _prune(folder, there)

    @cached_property
    def _folders(self) -> dict[Path, Path]:
        """The folders that files are written to, and the nearest to each that was there before."""
        if not hasattr(self, "settings"):
            return {}
        return {folder: _nearest(folder) for folder in (self._path.parent, Path(self.location))}

    @property
    def _path(self) -> Path:
        return Path(os.path.realpath(self.config.root / self.settings.database))

    @property
    def _stand_in(self) -> Path:
        return self._path.with_name(f"{self._path.name}.doctor-{self.token}")

    @cached_property
    def _is_there(self) -> bool:
        return os.path.lexists(self._path)  # a circle of links is in the way

    @property
    def location(self) -> str:
        """The staging folder."""
        return str((self.config.root / self.settings.staging).absolute())

    def _connecting(self) -> TargetSettings:
        changes: dict[str, object] = {
            "lock_timeout": min(self.settings.lock_timeout, LOCK_SECONDS),
            "database": str(self._path if self._is_there else self._stand_in),
        }
        return self.settings.model_copy(update=changes)

    def _check_settings(self) -> Verdict:
        verdict = super()._check_settings()
        assert self._folders is not None  # looked at before anything is made
        return verdict

    def _check_database(self) -> Verdict:
        ((_, _, release, _),) = self.run("session")
        name, engine = self.settings.database, f"DuckDB {release}"
        if not self._is_there:
            return Verdict(f"{name} is not there yet, and can be made ({engine})")
        size = self._path.stat().st_size / 1e6
        return Verdict(f"{name} is open for writing, {size:,.1f} MB ({engine})")

    def _check_write(self) -> Verdict:
        schema = self.spec.schema_name
        ledger = Table(schema, "loads")
        with self.undone():
            self.run("create_schema", schema=schema)
            self.run("ledger_create", ledger=ledger)
            self._write_ledger(ledger)
        return Verdict("a schema, a table and a row were made and rolled back")

    def _check_space(self) -> Verdict:
        free: dict[int, tuple[int, Path]] = {}
        for folder, there in self._folders.items():
            free[there.stat().st_dev] = (shutil.disk_usage(there).free, folder)
        detail = "; ".join(
            f"{size / 1e9:,.1f} GB free in {folder}" for size, folder in free.values()
        )
        if min(size for size, _ in free.values()) < LITTLE_SPACE:
            hint = "free some space: a load stages its rows before they are loaded"
            return Verdict(detail, "warning", hint)
        return Verdict(detail)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    while not is_there(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _prune(folder: Path, there: Path) -> None:
    """Remove the folders that were made on the way, as far as they are empty."""
    with suppress(OSError):
        while folder != there:
            folder.rmdir()
            folder = folder.parent


OfDuckDB.steps = (
    Step("settings", OfDuckDB._check_settings, ()),
    Step("database", OfDuckDB._check_database),
    Step("time zone", OfDuckDB._check_time_zone, ("database",)),
    Step("write", OfDuckDB._check_write, ("database",)),
    Step("ledger", OfDuckDB._check_ledger, ("database",)),
    Step("disk space", OfDuckDB._check_space),
    Step("staging write", OfDuckDB._check_write_file),
    Step("staging read", OfDuckDB._check_read, ("staging write",)),
    Step("staging delete", OfDuckDB._check_delete, ("staging write",)),
    Step("load", OfDuckDB._check_copy, ("database", "staging read", "staging delete")),
)
