"""An in-memory DuckDB that small computations share: opening one takes longer than these do."""

from __future__ import annotations

from functools import cache

import duckdb


def open_memory_database() -> duckdb.DuckDBPyConnection:
    """A connection of its own to the one database of this process, which has one thread."""
    return _database().cursor()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    # One thread is the caller's, so that a fork of this process can go on using it.
    return duckdb.connect(config={"threads": "1", "enable_external_access": "false"})
