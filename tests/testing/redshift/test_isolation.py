"""SERIALIZABLE: transactions that no order explains end in 1023 (``c_serial_isolation``)."""

from __future__ import annotations

from typing import Any

import pytest
from redshift_connector.error import ProgrammingError

from loader.testing import RedshiftStandIn
from loader.testing.redshift.statements.relations import relations_of
from tests.testing.redshift.conftest import Connect

READ_A, READ_B = "SELECT count(*) FROM a", "SELECT count(*) FROM s.b"
INSERT_A, INSERT_B = "INSERT INTO a VALUES (1)", "INSERT INTO s.b VALUES (1)"

SCHEDULES: dict[str, tuple[bool, list[tuple[int, str]]]] = {
    "each reads what the other writes": (
        True,
        [(0, READ_A), (1, READ_B), (0, INSERT_B), (1, INSERT_A)],
    ),
    "both read and write one table": (
        True,
        [(0, READ_A), (1, READ_A), (0, INSERT_A), (1, INSERT_A)],
    ),
    "both delete from one table": (
        True,
        [(0, "DELETE FROM a WHERE id = 1"), (1, "DELETE FROM a WHERE id = 2")],
    ),
    "three in a circle": (
        True,
        [
            *((0, READ_A), (1, READ_B), (2, "SELECT 1 FROM c")),
            *((0, INSERT_B), (1, "INSERT INTO c VALUES (1)"), (2, INSERT_A)),
        ],
    ),
    "both only insert into one table": (False, [(0, INSERT_A), (1, INSERT_A)]),
    "one only reads": (False, [(0, READ_A), (0, READ_B), (1, INSERT_A)]),
    "different tables": (False, [(0, READ_A), (1, READ_B), (0, INSERT_A), (1, INSERT_B)]),
    "temporary tables are nobody else's": (
        False,
        [
            *((at, "CREATE TEMP TABLE own (id int)") for at in (0, 1)),
            *((at, "INSERT INTO own SELECT count(*) FROM own") for at in (0, 1)),
        ],
    ),
}


@pytest.fixture
def tables(warehouse: RedshiftStandIn, connect: Connect) -> RedshiftStandIn:
    connection = connect()
    cursor = connection.cursor()
    for sql in (
        "CREATE SCHEMA s",
        *(f"CREATE TABLE {name} (id int)" for name in ("a", "s.b", "c")),
    ):
        cursor.execute(sql)
    connection.commit()
    return warehouse


def run(connect: Connect, steps: list[tuple[int, str]]) -> list[dict[str, Any]]:
    """Run the steps, commit in order, and tell the errors."""
    connections = [connect() for _ in range(3)]
    errors: list[dict[str, Any]] = []
    over: set[int] = set()
    for at, sql in [*steps, *((at, "") for at in range(3))]:
        if at in over:
            continue
        try:
            connections[at].cursor().execute(sql) if sql else connections[at].commit()
        except ProgrammingError as error:
            errors.append(error.args[0])
            connections[at].rollback()
            over.add(at)
    return errors


@pytest.mark.parametrize("name", SCHEDULES)
def test_cycles_are_refused_and_nothing_else(
    tables: RedshiftStandIn, connect: Connect, name: str
) -> None:
    """A transaction that would close a cycle ends in 1023; with snapshots none does."""
    cycle, steps = SCHEDULES[name]
    tables.isolation = "serializable"
    errors = run(connect, steps)
    assert [(error["C"], error["M"]) for error in errors] == [("XX000", "1023")] * cycle
    for error in errors:
        assert error["D"].startswith("Serializable isolation violation on table - ")
    tables.isolation = "snapshot"
    if "delete" not in name:  # rows, not tables, are what snapshots conflict by
        assert run(connect, steps) == []


def test_what_waits_for_a_lock_begins_after_it(tables: RedshiftStandIn, connect: Connect) -> None:
    """LOCK fixes no snapshot: whoever has waited for it reads what the other has committed."""
    tables.isolation = "serializable"
    first, second = connect(), connect()
    for connection in (first, second):
        cursor = connection.cursor()
        for sql in ("LOCK c", READ_A, INSERT_A):
            cursor.execute(sql)
        connection.commit()
    assert tables.query("SELECT count(*) FROM a") == [(2,)]


def test_the_level_is_shown(tables: RedshiftStandIn, connect: Connect) -> None:
    """Both views say which level the database has."""
    sql = "SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = 'dev'"
    connection = connect()
    cursor = connection.cursor()
    for level, shown in (("snapshot", "Snapshot Isolation"), ("serializable", "Serializable")):
        tables.isolation = level  # type: ignore[assignment]  # both are levels
        cursor.execute(sql)
        assert cursor.fetchone()[0].strip() == shown
        connection.rollback()


STATEMENTS = [
    ("SELECT 1", "", ""),
    ("SELECT * FROM a x, s.b AS y JOIN c ON true", '"a" "c" "s"."b"', ""),
    ("SELECT * FROM (SELECT 1 FROM a) q", '"a"', ""),
    ("INSERT INTO a SELECT * FROM s.b", '"s"."b"', '"a"'),
    ("DELETE FROM a USING s.b WHERE a.id = b.id", '"a" "s"."b"', '"a"'),
    ("UPDATE a SET id = 1 FROM c", '"a" "c"', '"a"'),
    ("MERGE INTO a USING c ON a.id = c.id WHEN MATCHED THEN DELETE", '"a" "c"', '"a"'),
    ("COPY s.b (id) FROM 's3://x/y' IAM_ROLE default", "", '"s"."b"'),
    ("UNLOAD ('SELECT * FROM a') TO 's3://x/y' IAM_ROLE default", '"a"', ""),
    ("TRUNCATE TABLE a", "", '"a"'),
    ("LOCK a", "", ""),
    ("CREATE TABLE z (id int)", "", ""),
]


@pytest.mark.parametrize(("sql", "reads", "writes"), STATEMENTS)
def test_statements_tell_their_tables(sql: str, reads: str, writes: str) -> None:
    """What a statement reads and writes is seen in its words."""
    found = relations_of(sql)
    assert (" ".join(sorted(found.reads)), " ".join(found.writes)) == (reads, writes)
