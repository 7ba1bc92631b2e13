"""What a Redshift database has that a PostgreSQL database lacks: functions and system views."""

from __future__ import annotations

from importlib import resources

from loader.testing.redshift.database import blanks

LOGIN_OPTIONS = (
    "-c standard_conforming_strings=off -c backslash_quote=on -c escape_string_warning=off"
    " -c bytea_output=hex -c timezone=UTC -c datestyle=ISO -c extra_float_digits=0"
    " -c redshift.client=on"
)
"""Settings of every client's session: literals with backslash escapes, as Redshift has them
(dlt-hub/dlt:dlt/common/data_writers/escape.py)."""

SERVER_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
jit = off
max_connections = 200
shared_buffers = 64MB
max_wal_size = 256MB
timezone = 'UTC'
log_timezone = 'UTC'
deadlock_timeout = 300ms
"""
"""A server for tests: nothing it holds has to survive a crash."""

REMEMBERED = (
    "pg_catalog.redshift_tables", "pg_catalog.redshift_encodings", "pg_catalog.redshift_keys",
    "pg_catalog.redshift_grantees", "pg_catalog.redshift_late_views",
    "pg_catalog.redshift_external_schemas", "pg_catalog.redshift_external_tables",
    "pg_catalog.redshift_policies", "pg_catalog.redshift_shares",
)  # fmt: skip
"""The side tables, which a reset empties."""


def bootstrap_sql() -> str:
    """What runs once in a new database, as superuser with ``allow_system_table_mods``."""
    folder = resources.files("loader.testing.redshift.database")
    files = [folder / f"{name}.sql" for name in ("functions", "layout", "catalog", "policies")]
    return "\n".join([blanks.SQL, *(file.read_text("utf-8") for file in files)])
