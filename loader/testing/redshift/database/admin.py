"""A superuser's own connection to PostgreSQL, past the gateway."""

from __future__ import annotations

import threading
from typing import Any

import psycopg


class Admin:
    """One autocommit connection that any thread may use; it never waits long for a lock."""

    def __init__(self, uri: str) -> None:
        self._lock = threading.Lock()
        self._connection = psycopg.connect(
            uri,
            autocommit=True,
            options="-c lock_timeout=20s -c statement_timeout=60s -c timezone=UTC"
            " -c allow_system_table_mods=on -c client_min_messages=error",
        )
        self._connection.prepare_threshold = None

    def query(self, sql: str, *args: object) -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it has any."""
        with self._lock:
            cursor = self._connection.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
