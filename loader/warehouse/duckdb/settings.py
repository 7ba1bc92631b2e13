"""The settings of a DuckDB target."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from loader.warehouse.settings import TargetSettings, matching

LocalPath = Annotated[
    str,
    matching(
        # One letter and a colon is a drive of Windows.
        r"(?s)(?!:memory:|[A-Za-z][\w.+-]+:).+",
        "a path on this machine, neither a URL nor `:memory:`",
    ),
]


class DuckDBTarget(TargetSettings):
    """An embedded DuckDB database file."""

    type: Literal["duckdb"]
    database: LocalPath = ".loader/warehouse.duckdb"
    """The database file, relative to the project."""
    staging: LocalPath = ".loader/staging"
    """The folder for staged files, relative to the project."""
    lock_timeout: float = Field(default=30.0, ge=0)
    """Seconds to wait for another process that holds the file."""
    memory_limit: Annotated[str, matching(r"[\d.]+ *([KMGT]?i?B|%)", "a size, such as 320MB")] = (
        "320MB"
    )
    """DuckDB's memory limit; below 300MB it uses one core."""
