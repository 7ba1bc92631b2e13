"""An in-memory DuckDB that small computations share: opening one takes longer than these do."""

from __future__ import annotations

from functools import cache

import duckdb


def open_memory_database() -> duckdb.DuckDBPyConnection:
    """A connection of its own to the one database of this process; with one thread, in UTC."""
    connection = _database().cursor()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@cache
def _database() -> duckdb.DuckDBPyConnection:
    # One thread is the caller's, so that a fork of this process can go on using it.
    return duckdb.connect(config={"threads": "1", "enable_external_access": "false"})
