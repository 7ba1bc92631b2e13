"""All rules, by what they are about. A new one is a line in one of the lists named here."""

from __future__ import annotations

from collections.abc import Mapping

from loader.testing.redshift.rules import files, policies, statements, tables
from loader.testing.redshift.rules.rule import Rule

AREAS: Mapping[str, tuple[Rule, ...]] = {
    "CREATE TABLE": tables.CREATE,
    "Types and encodings": tables.TYPES,
    "ALTER TABLE, views and the catalog": tables.ALTER,
    "Policies": policies.POLICIES,
    "Transactions": statements.TRANSACTIONS,
    "Serializable isolation": statements.SERIALIZABLE,
    "Statements and functions": statements.STATEMENTS,
    "MERGE": statements.MERGE,
    "Datashares": statements.SHARES,
    "COPY": files.COPY,
    "Values of files": files.VALUES,
    "UNLOAD": files.UNLOAD,
}
"""The lists of rules, by their headings in `loader/testing/README.md`."""
