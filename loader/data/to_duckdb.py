"""Arrow tables as DuckDB relations, for those who ask for one."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from loader.interrupts import run_interruptibly


def to_relation(table: pa.Table) -> duckdb.DuckDBPyRelation:
    """A relation of DuckDB's default connection with the rows of a table."""
    return run_interruptibly(lambda: duckdb.from_arrow(table), duckdb.interrupt)
