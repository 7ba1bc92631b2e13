"""Dynamic data masking: a user selects other values than the table holds (dg/t_ddm).

The tables that a statement selects from are replaced by queries that mask their columns. So a user
under a policy copies masks: INSERT … SELECT, UPDATE … FROM and CREATE TABLE AS store what they see.
"""

from __future__ import annotations

from collections.abc import Mapping

from loader.testing.redshift.database.admin import Admin
from loader.testing.redshift.statements.tokens import Cursor, one_statement, quote

Masked = Mapping[tuple[str, str], str]
"""Schema and name of a table → what its columns are to a user."""

_COLUMNS = """
SELECT n.nspname, c.relname, string_agg(
    CASE WHEN p.expression IS NULL THEN quote_ident(a.attname)
         ELSE p.expression || ' AS ' || quote_ident(a.attname) END, ', ' ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.redshift_policies p ON p.relation = c.oid AND p.attnum = a.attnum
    AND p.kind = 'mask' AND p.grantee IN (%s, 'public')
GROUP BY n.nspname, c.relname HAVING bool_or(p.expression IS NOT NULL)
"""


def find_masked(admin: Admin, user: str) -> Masked:
    """The tables of which a user sees masks."""
    found = admin.query(_COLUMNS, user)
    return {(str(schema), str(name)): str(columns) for schema, name, columns in found}


def with_masks(sql: str, masked: Masked) -> str:
    """The statement, reading masks instead of those tables.

    >>> with_masks("SELECT a FROM s.t x", {("s", "t"): "0 AS a"})
    'SELECT a FROM (SELECT 0 AS a FROM s.t) x'
    >>> with_masks("DELETE FROM s.t", {("s", "t"): "0 AS a"})
    'DELETE FROM s.t'
    """
    if not masked:
        return sql
    tokens = one_statement(sql)
    parts, end = [], 0
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        reads = token.says("from", "join") and not (at and tokens[at - 1].says("delete"))
        if not reads or following is None or not following.names:
            continue
        cursor = Cursor(tokens)
        cursor.place = at + 1
        names = cursor.path()
        columns = masked.get((names[-2] if len(names) > 1 else "public", names[-1]))
        if columns is None:
            continue
        last = tokens[cursor.place - 1]
        alias = cursor.peek()
        named = alias is not None and alias.names and not alias.says(*_NO_ALIAS)
        parts += [
            sql[end : following.start],
            f"(SELECT {columns} FROM {sql[following.start : last.end]})",
            "" if named else f" AS {quote(names[-1])}",
        ]
        end = last.end
    return "".join([*parts, sql[end:]])


_NO_ALIAS = (
    "where", "group", "order", "having", "limit", "union", "except", "intersect", "join", "left",
    "right", "full", "inner", "cross", "natural", "on", "using", "offset", "set",
)  # fmt: skip
"""What may follow a table that has no alias."""
