"""What hangs on a table: policies, column privileges, foreign keys, views, and what they refuse."""

from __future__ import annotations

import pytest

from loader.testing.redshift.server import RedshiftStandIn
from tests.testing.redshift.test_layout import Client, Connect, run

__all__ = ["run"]

VIEWS = ("svv_rls_relation", "svv_rls_attached_policy", "svv_attached_masking_policy")


@pytest.fixture
def table(run: Client) -> str:
    """A table with two rows, which belongs to the user."""
    run("CREATE TABLE t (a int, v varchar(9))", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    return "t"


def test_row_level_security_filters_each_user(
    warehouse: RedshiftStandIn, run: Client, table: str
) -> None:
    """A policy filters SELECT, UPDATE and DELETE, the owner's too; sys:secadmin is under none."""
    warehouse.attach_rls_policy(table, "ones", "a = 1", to="etl")
    assert run("SELECT count(a) FROM t") == [(2,)]
    warehouse.set_secadmin("etl", granted=False)
    assert run("SELECT count(*) FROM t") == [(1,)]
    run("INSERT INTO t VALUES (3, 'z')", "DELETE FROM t", "ALTER TABLE t RENAME TO u")
    assert run("SELECT count(*) FROM u") == [(0,)]
    assert warehouse.query("SELECT a FROM u ORDER BY a") == [(2,), (3,)]


def test_a_table_under_row_level_security_hides_all_from_others(
    warehouse: RedshiftStandIn, run: Client, table: str
) -> None:
    """Where row-level security is on, a user without a policy sees no rows."""
    warehouse.add_user("analyst", "Of-tests-2")
    warehouse.attach_rls_policy(table, "ones", "a = 1", to="analyst")
    warehouse.set_secadmin("etl", granted=False)
    assert run("SELECT count(*) FROM t") == [(0,)]


def test_policies_go_with_drop_and_stay_with_rename(
    warehouse: RedshiftStandIn, run: Client, table: str
) -> None:
    """RENAME takes policies along, DROP detaches them without a word."""
    warehouse.attach_rls_policy(table, "ones", "a = 1", to="etl")
    warehouse.attach_masking_policy(table, "v", "stars", "'***'", to="etl")
    run("ALTER TABLE t RENAME TO u")
    rls, mask = (
        run("SELECT relname, polname, grantee, granteekind FROM svv_rls_attached_policy"),
        run("SELECT table_name, policy_name, grantee_type FROM svv_attached_masking_policy"),
    )
    assert rls == [("u", "ones", "etl", "user")]
    assert mask == [("u", "stars", "user")]
    assert run("SELECT relname, is_rls_on FROM svv_rls_relation") == [("u", True)]
    run("DROP TABLE u", "CREATE TABLE u (a int)")
    assert [run(f"SELECT count(*) FROM {view}") for view in VIEWS] == [[(0,)]] * 3


def test_policies_are_shown_to_those_with_the_right(
    warehouse: RedshiftStandIn, run: Client, connect: Connect, table: str
) -> None:
    """Without sys:secadmin the views are empty, which proves nothing."""
    warehouse.attach_rls_policy(table, "ones", "a = 1", to="etl")
    warehouse.attach_masking_policy(table, "v", "stars", "'***'", to="etl")
    ask = "SELECT user_is_member_of(current_user, 'sys:secadmin')"
    assert run(ask) == [(True,)]
    assert [run(f"SELECT count(*) FROM {view}") for view in VIEWS] == [[(1,)]] * 3
    warehouse.set_secadmin("etl", granted=False)
    assert run(ask) == [(False,)]
    assert [run(f"SELECT count(*) FROM {view}") for view in VIEWS] == [[(0,)]] * 3
    warehouse.add_user("analyst", "Of-tests-2")
    run.refuses("SELECT user_is_member_of('analyst', 'sys:secadmin')", "permission denied")
    run.refuses("SELECT user_is_member_of(current_user, 'nobody')", "does not exist")


@pytest.mark.parametrize(
    "copied",
    [
        "CREATE TABLE c AS SELECT v FROM t",
        "CREATE TABLE c AS SELECT x.v FROM public.t AS x WHERE a > 0",
        "CREATE TABLE c AS SELECT t.v FROM (SELECT 1 AS n) AS one JOIN t ON t.a > 0",
    ],
)
def test_masks_are_what_a_user_copies(
    warehouse: RedshiftStandIn, run: Client, table: str, copied: str
) -> None:
    """Whoever is under a masking policy stores masks, and nobody tells them."""
    warehouse.attach_masking_policy(table, "v", "stars", "'***'", to="etl")
    run(copied)
    assert warehouse.query("SELECT DISTINCT v FROM c") == [("***",)]
    assert warehouse.query("SELECT v FROM t ORDER BY a") == [("x",), ("y",)]


def test_column_privileges_are_shown_and_lost(
    warehouse: RedshiftStandIn, run: Client, table: str
) -> None:
    """Grants on columns stand in a view of their own, and go with the table."""
    warehouse.add_role("bi")
    run("GRANT SELECT (v), UPDATE (a) ON t TO ROLE bi")
    ask = (
        "SELECT column_name, privilege_type, identity_type, identity_name"
        " FROM svv_column_privileges WHERE relation_name = 't' ORDER BY 1"
    )
    assert run(ask) == [("a", "UPDATE", "role", "bi"), ("v", "SELECT", "role", "bi")]
    lists = "SELECT count(*) FROM pg_attribute_info WHERE attacl IS NOT NULL AND attname = 'v'"
    assert run(lists) == [(1,)]
    run("DROP TABLE t", "CREATE TABLE t (a int, v varchar(9))")
    assert run(ask) == []


def test_grant_options_are_for_users(warehouse: RedshiftStandIn, run: Client, table: str) -> None:
    """WITH GRANT OPTION is shown as admin_option, and refused for roles, groups and columns."""
    warehouse.add_user("ann", "Of-tests-2")
    warehouse.add_role("bi")
    run("GRANT SELECT ON t TO ann WITH GRANT OPTION", "GRANT INSERT ON t TO ann")
    shown = run(
        "SELECT privilege_type, admin_option FROM svv_relation_privileges"
        " WHERE relation_name = 't' AND identity_name = 'ann' ORDER BY 1"
    )
    assert shown == [("INSERT", False), ("SELECT", True)]
    individual = "grant options can only be granted to individual users"
    run.refuses("GRANT SELECT ON t TO ROLE bi WITH GRANT OPTION", individual, "0LP01")
    run.refuses("GRANT SELECT ON t TO PUBLIC WITH GRANT OPTION", individual, "0LP01")
    run.refuses("GRANT SELECT (v) ON t TO ann WITH GRANT OPTION", "syntax error")


def test_foreign_keys_of_others_stop_a_drop(run: Client) -> None:
    """A table that others reference is dropped with CASCADE, which takes the constraints along."""
    run("CREATE TABLE p (a int PRIMARY KEY)", "CREATE TABLE c (a int REFERENCES p (a))")
    refused = "cannot drop table p because other objects depend on it"
    run.refuses("DROP TABLE p", refused, "2BP01")
    run("ALTER TABLE p RENAME TO q", "CREATE TABLE p (a int PRIMARY KEY)")
    target = (
        "SELECT t.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
        " JOIN pg_class t ON t.oid = k.confrelid WHERE c.relname = 'c' AND k.contype = 'f'"
    )
    assert run(target) == [("q",)]
    run("DROP TABLE p", "DROP TABLE q CASCADE")
    assert run(target) == []
    run("CREATE TABLE p (a int PRIMARY KEY)", "CREATE TABLE d (a int REFERENCES p (a))")
    run("DROP TABLE IF EXISTS p, d")


KEYS = {
    "a declared sort key": ("SORTKEY (v)", {}),
    "a declared dist key": ("DISTKEY (v)", {}),
    "a sort key that AUTO chose": ("SORTKEY AUTO", {"sortkey": ["v"]}),
    "a dist key that AUTO chose": ("DISTSTYLE AUTO", {"distkey": "v"}),
}


@pytest.mark.parametrize("name", KEYS)
def test_key_columns_are_neither_widened_nor_dropped(
    warehouse: RedshiftStandIn, run: Client, name: str
) -> None:
    """ALTER TYPE and DROP COLUMN refuse dist and sort keys, those that AUTO chose too."""
    words, chosen = KEYS[name]
    run(f"CREATE TABLE t (a int, v varchar(9)) {words}")
    if chosen:
        warehouse.manage("t", **chosen)  # type: ignore[arg-type]  # rows of a table
    unexpected = "found unexpected dependency for column"
    run.refuses("ALTER TABLE t ALTER COLUMN v TYPE varchar(20)", unexpected, "XX000")
    kind = "distkey" if "dist" in name else "sortkey"
    run.refuses("ALTER TABLE t DROP COLUMN v", f'cannot drop {kind} column "v"')


def test_columns_of_views_are_not_altered(run: Client, table: str) -> None:
    """A bound view keeps its columns' types and the columns; a late-binding one keeps nothing."""
    run("CREATE VIEW w AS SELECT v FROM t")
    run.refuses("ALTER TABLE t ALTER COLUMN v TYPE varchar(20)", "used by a view or rule")
    run.refuses("ALTER TABLE t DROP COLUMN v", "other objects depend on it")
    run("DROP VIEW w", "CREATE VIEW w AS SELECT v FROM public.t WITH NO SCHEMA BINDING")
    run("ALTER TABLE t ALTER COLUMN v TYPE varchar(20)")


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("ALTER TABLE t ALTER DISTSTYLE EVEN", True),
        ("ALTER TABLE public.t ALTER DISTKEY a", True),
        ("ALTER TABLE t ALTER COMPOUND SORTKEY (a)", True),
        ("ALTER TABLE t ADD COLUMN n int", False),
    ],
)
def test_layouts_are_not_altered_while_vacuum_runs(
    warehouse: RedshiftStandIn, run: Client, table: str, sql: str, refused: bool
) -> None:
    """ALTER DISTSTYLE, DISTKEY and SORTKEY fail as long as VACUUM runs on the table."""
    warehouse.faults.vacuum(table)
    if refused:
        run.refuses(sql, "while VACUUM is running on it", "XX000")
    run(sql)
