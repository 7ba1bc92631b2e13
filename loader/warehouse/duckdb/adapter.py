"""DuckDB: the embedded default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from loader.sql.dialects.duckdb import DIALECT, catalog_name
from loader.warehouse.adapter import Adapter, DatabaseInfo
from loader.warehouse.base import Warehouse
from loader.warehouse.duckdb.settings import DuckDBTarget

if TYPE_CHECKING:
    from loader.warehouse.doctor import Doctor


class DuckDBAdapter(Adapter[DuckDBTarget]):
    """A database file, and a folder that loads stage their files in."""

    dialect = DIALECT
    settings = DuckDBTarget
    stages_in_folder = True

    def connect(self, settings: DuckDBTarget, root: Path) -> Warehouse:
        """The database file of a target."""
        from loader.warehouse.duckdb.driver import connect  # noqa: PLC0415  # duckdb is slow to import

        return connect(settings, root)

    def doctor(self) -> type[Doctor[DuckDBTarget]]:
        """The steps that examine the file, the folder and the disk."""
        from loader.warehouse.duckdb.doctor import DuckDBDoctor  # noqa: PLC0415

        return DuckDBDoctor

    def refuse_in_place(self, uri: str) -> str:
        """Refuse files in S3, which take an extension of DuckDB."""
        return "DuckDB loads only files of this machine in place" if "://" in uri else ""

    def catalog(self, settings: DuckDBTarget, root: Path) -> str:
        """DuckDB's name of the database, which comes from the real path of its file."""
        return catalog_name(Path(os.path.realpath(root / settings.database)).name)

    def describe(self, settings: DuckDBTarget, root: Path) -> DatabaseInfo:
        """The database file."""
        path = (root / settings.database).absolute()
        return DatabaseInfo(path.stem, f"duckdb://{path}")


ADAPTER = DuckDBAdapter()
