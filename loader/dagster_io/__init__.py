"""Dagster integration: IO managers, and asset definitions from table specs.

    from loader.dagster_io import DuckDBIOManager, RedshiftIOManager

An asset returns a frame. The IO manager finds the table spec by the asset key, loads the partitions
of the run in one verified transaction, and reads them for downstream assets.
"""

from __future__ import annotations

from loader.dagster_io.definitions import (
    asset_checks,
    asset_spec,
    asset_specs,
    partitions_def,
    with_specs,
)
from loader.dagster_io.managers import (
    DuckDBIOManager,
    ProjectIOManager,
    RedshiftIOManager,
    RedshiftPandasIOManager,
    TableIOManager,
)
from loader.dagster_io.schedules import schedules
from loader.dagster_io.sensors import new_files_sensor

__all__ = [
    "DuckDBIOManager",
    "ProjectIOManager",
    "RedshiftIOManager",
    "RedshiftPandasIOManager",
    "TableIOManager",
    "asset_checks",
    "asset_spec",
    "asset_specs",
    "new_files_sensor",
    "partitions_def",
    "schedules",
    "with_specs",
]
