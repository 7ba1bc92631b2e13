"""Dagster: IO managers that find an asset's table spec by its key, and specs as definitions.

    from loader.dagster_io import DuckDBIOManager, RedshiftIOManager

An asset returns a frame; the manager loads the partitions of the run in one verified transaction,
and reads them back for the assets downstream.
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
    RedshiftIOManager,
    RedshiftPandasIOManager,
    TableIOManager,
)

__all__ = [
    "DuckDBIOManager",
    "RedshiftIOManager",
    "RedshiftPandasIOManager",
    "TableIOManager",
    "asset_checks",
    "asset_spec",
    "asset_specs",
    "partitions_def",
    "with_specs",
]
