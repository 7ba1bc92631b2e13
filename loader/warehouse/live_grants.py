"""Grants as catalogs have them: rows of views, and access lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from loader.plan.live_table import LiveTable, unseen

_ACL = {"r": "select", "a": "insert", "w": "update", "d": "delete", "x": "references"}
_GRANTABLE = frozenset(
    {"select", "insert", "update", "delete", "references", "drop", "alter", "truncate"}
)
"""What can be granted on a table (``r_GRANT``); catalogs list more."""


def only_granted(found: Iterable[tuple[str, str]], owner: str) -> frozenset[tuple[str, str]]:
    """The grants that somebody made: owners have every right without one."""
    return frozenset(
        (privilege, grantee)
        for privilege, grantee in found
        if privilege in _GRANTABLE and grantee != f"user:{owner}"
    )


Grants = list[set[tuple[str, str]]]
"""Each grant as all that it may be: an access list does not say what a name is."""


def parse_acl(text: str, owner: str) -> tuple[Grants, Grants]:
    """The grants of an access list such as ``etl=ar*wd/etl``, one in each line; not the owner's.

    The second list is those that may be granted on, which a star says.
    """
    listed: Grants = []
    grantable: Grants = []
    for line in text.splitlines():
        who, _, rest = line.strip().strip('"').rpartition("=")
        group = who.startswith("group ")
        name = who.removeprefix("group ").strip('"\\')
        if name == owner and not group:
            continue
        kinds = ["group"] if group else ["user", "role", "group"]
        grantees = [f"{kind}:{name}" for kind in kinds] if name else ["public"]
        for letter, star in re.findall(r"(\w)(\*?)", rest.partition("/")[0]):
            if letter in _ACL:
                granted = {(_ACL[letter], grantee) for grantee in grantees}
                listed.append(granted)
                if star:
                    grantable.append({(_ACL[letter], f"user:{name}")})
    return listed, grantable


def grantee_of(kind: object, who: object) -> str:
    """A grantee as specs write them."""
    return "public" if str(kind).lower() == "public" else f"{kind}:{who}".strip()


@dataclass(frozen=True)
class ColumnGrants:
    """Grants on columns, by table."""

    shown: Mapping[tuple[str, str], set[tuple[str, str, str]]]
    hidden: Mapping[tuple[str, str], set[str]] = field(default_factory=dict)
    """Columns with grants that this user does not see."""

    def add_to(self, key: tuple[str, str], table: LiveTable) -> LiveTable:
        """The table, without those on its columns where some are hidden."""
        if not self.hidden.get(key):
            return table
        columns = ", ".join(sorted(self.hidden[key]))
        text = unseen("column grants", f"some of {columns} are hidden from this user")
        return replace(table, seen=table.seen - {"column grants"}, unseen=(*table.unseen, text))
