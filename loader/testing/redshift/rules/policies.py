"""Rules of policies: who sees which rows and values, and what takes policies along."""

from __future__ import annotations

from loader.testing.redshift.rules.rule import Rule, imitated

_T = "CREATE TABLE t (a integer, b varchar(10))"
_ROWS = "INSERT INTO t VALUES (1, 'x'), (2, 'y')"
_OWN = "redshift.attach_rls_policy('{schema}.t', 'ones', 'a = 1', to='etl')"
_OTHERS = "redshift.attach_rls_policy('{schema}.t', 'ones', 'a = 1', to='reader')"
_MASK = "redshift.attach_masking_policy('{schema}.t', 'b', 'stars', \"'***'\", to='etl')"
_PLAIN = "redshift.set_secadmin('etl', granted=False)"
_ATTACHED = "SELECT count(*) FROM svv_rls_attached_policy WHERE relschema = '{schema}'"
_ADMIN = "redshift.set_secadmin('etl')"

POLICIES: tuple[Rule, ...] = (
    imitated(
        "a policy hides rows from the owner of the table too", "t_rls_ownership",
        _T, _ROWS, _OWN, _PLAIN, "SELECT a FROM t", gives="1",
    ),
    imitated(
        "under row-level security, a user without a policy sees no rows", "t_rls_ownership",
        _T, _ROWS, _OTHERS, _PLAIN, "SELECT a FROM t", gives="",
    ),
    imitated(
        "INSERT is under no policy", "t_rls_usage",
        _T, _OWN, _PLAIN, "INSERT INTO t VALUES (3, 'z')",
        _ADMIN, "SELECT a FROM t", gives="3",
    ),
    imitated(
        "DELETE leaves the rows that a policy hides", "t_rls_usage",
        _T, _ROWS, _OWN, _PLAIN, "DELETE FROM t", _ADMIN, "SELECT a FROM t", gives="2",
    ),
    imitated(
        "DROP detaches the policies of a table without a word", "t_rls_ownership",
        _T, _OWN, "DROP TABLE t", _T, _ATTACHED, gives="0",
    ),
    imitated(
        "who lacks sys:secadmin finds the views of policies empty", "r_SVV_RLS_ATTACHED_POLICY",
        _T, _OWN, _PLAIN, _ATTACHED, gives="0",
    ),
    imitated(
        "who is under a masking policy reads and copies masks", "t_ddm",
        _T, _ROWS, _MASK, "CREATE TABLE copied AS SELECT b FROM {schema}.t", "SELECT b FROM copied",
        gives="***; ***",
    ),
)  # fmt: skip
