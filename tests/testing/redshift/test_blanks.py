"""Blanks at the end of VARCHAR are stored, and comparisons ignore them (r_Character_types)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loader.testing.redshift.server import RedshiftStandIn

FOUND = [
    ("SELECT count(*) FROM s.t WHERE k = 'a'", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k = 'a   '", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE 'a ' = k", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k <> 'a'", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k IN ('a', 'c')", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k NOT IN ('a  ', 'c')", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k IN (SELECT k || ' ' FROM s.u)", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k >= 'a  ' AND k <= 'a'", [(2,)]),
    ("SELECT count(*) FROM s.t WHERE k < 'a '", [(0,)]),
    ("SELECT count(*) FROM s.t WHERE k > 'a'", [(2,)]),
    ("SELECT count(*) FROM s.t JOIN s.u ON t.k = u.k", [(2,)]),
    ("SELECT count(*) FROM s.t AS x JOIN s.t AS y ON x.k = y.k", [(8,)]),
    ("SELECT count(*) FROM s.t JOIN s.u ON t.k = u.c", [(2,)]),
    ("SELECT count(*) FROM (SELECT k FROM s.t GROUP BY k) AS g", [(2,)]),
    ("SELECT count(*) FROM (SELECT DISTINCT k FROM s.t) AS d", [(2,)]),
    ("SELECT count(DISTINCT k) FROM s.t", [(2,)]),
    ("SELECT count(*) FROM (SELECT k FROM s.t UNION SELECT k FROM s.u) AS d", [(2,)]),
    ("SELECT max(n) FROM (SELECT row_number() OVER (PARTITION BY k) AS n FROM s.t) AS w", [(2,)]),
    # What sees them, for they are stored.
    ("SELECT count(*) FROM s.t WHERE k LIKE 'a'", [(1,)]),
    ("SELECT DISTINCT length(k) AS l FROM s.t ORDER BY l", [(1,), (2,), (3,)]),
    ("SELECT count(DISTINCT md5(k)) FROM s.t", [(4,)]),
    ("SELECT count(DISTINCT k || '.') FROM s.t", [(4,)]),
    # Only U+0020 is a blank, and only at the end.
    ("SELECT count(*) FROM s.t WHERE k = 'b\t'", [(0,)]),
    ("SELECT count(*) FROM s.t WHERE k = ' a'", [(0,)]),
]


@pytest.fixture
def ask(connect: Callable[..., Any]) -> Callable[[str], list[tuple[Any, ...]]]:
    """Runs SQL, with two tables to run it on."""
    cursor = connect().cursor()
    for sql in (
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (k VARCHAR(10), v INTEGER)",
        "CREATE TABLE s.u (k VARCHAR(10), c CHAR(4))",
        "INSERT INTO s.t VALUES ('a', 1), ('a ', 2), ('b', 3), ('b  ', 4)",
        "INSERT INTO s.u VALUES ('a', 'a')",
    ):
        cursor.execute(sql)

    def run(sql: str) -> list[tuple[Any, ...]]:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    return run


@pytest.mark.parametrize(("sql", "found"), FOUND)
def test_comparisons(ask: Callable[[str], Any], sql: str, found: list[tuple[Any, ...]]) -> None:
    """Comparing, joining and grouping do not see blanks at the end; LIKE and lengths do."""
    assert ask(sql) == found


def test_changes(ask: Callable[[str], Any], warehouse: RedshiftStandIn) -> None:
    """DELETE and MERGE take every row whose key differs by blanks at the end only."""
    ask("DELETE FROM s.t WHERE k IN ('b')")
    ask(
        "MERGE INTO s.t USING s.u ON t.k = u.k WHEN MATCHED THEN UPDATE SET v = 9"
        " WHEN NOT MATCHED THEN INSERT (k) VALUES (u.k)"
    )
    assert sorted(ask("SELECT k, v FROM s.t")) == [("a", 9), ("a ", 9)]
    ask("DELETE FROM s.t USING s.u WHERE t.k = u.k")
    assert ask("SELECT count(*) FROM s.t") == [(0,)]
