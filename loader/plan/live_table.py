"""What a warehouse has under a table's name, as far as it lets itself be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LayoutKey = Literal["", "distribution key", "sort key", "distribution and sort key"]


@dataclass(frozen=True)
class LiveColumn:
    """A column as the warehouse has it."""

    name: str
    data_type: str
    """In the spelling of the warehouse's catalog."""
    nullable: bool
    has_default: bool = False
    """Whether rows may come without it; identities count."""
    default: str | None = None
    """The SQL of its DEFAULT, as the catalog tells it; an identity has none."""
    identity: tuple[int, int] | None = None
    """Seed and step of generated numbers."""
    comment: str | None = None
    encoding: str | None = None
    """Its compression in the words of specs; None where there is none to see."""
    layout_key: LayoutKey = ""
    """What rows are laid out by, whether somebody declared it or Redshift chose it (AUTO)."""


Seen = Literal[
    "keys", "layout", "sort", "grants", "column grants", "dependants", "referrers", "policies"
]
"""What not every look at a table, and not every user, sees of it."""


UNSEEN: dict[Seen, str] = {
    "keys": "the primary key",
    "layout": "distribution, sort key and encodings",
    "sort": "whether the sort key is AUTO's choice",
    "grants": "grants",
    "column grants": "grants on columns",
    "dependants": "what is bound to the table",
    "referrers": "foreign keys that reference the table",
    "policies": "row-level security and masking policies",
}
"""What each of them is called where it could not be looked at."""


def unseen(what: Seen, why: str) -> str:
    """That something could not be looked at, and why."""
    return f"{UNSEEN[what]} cannot be seen: {why}"


def reason_unseen(table: LiveTable, what: Seen) -> str:
    """Why something of a table is not known."""
    known = (text for text in table.unseen if text.startswith(UNSEEN[what]))
    return next(known, unseen(what, "nobody looked"))


@dataclass(frozen=True)
class LiveTable:
    """A relation as the warehouse has it. What ``seen`` lacks is not known, whatever it says."""

    columns: tuple[LiveColumn, ...]
    kind: str = "table"
    """``table``; ``view``, ``external table`` and the like cannot be loaded."""
    comment: str | None = None
    owner: str | None = None
    primary_key: tuple[str, ...] = ()
    dist: str | None = None
    """``even``, ``all``, ``auto`` or the column; None where a warehouse has no such thing."""
    sort: tuple[str, ...] = ()
    sort_type: str | None = None
    """``compound``, ``interleaved`` or ``auto``."""
    grants: frozenset[tuple[str, str]] = frozenset()
    """Privileges and whom they were granted: ``("select", "role:analyst")``."""
    grant_options: frozenset[tuple[str, str]] = frozenset()
    """Those of the grants that their grantees may grant to others."""
    column_grants: frozenset[tuple[str, str, str]] = frozenset()
    """Privileges on single columns: ``("select", "email", "role:analyst")``."""
    dependants: tuple[str, ...] = ()
    """The views that are bound to it, as ``schema.name``."""
    bound_columns: tuple[str, ...] = ()
    """The columns that those views use."""
    referrers: tuple[tuple[str, str, str], ...] = ()
    """Foreign keys of other tables that reference it: schema, table and constraint."""
    policies: tuple[str, ...] = ()
    """Row-level security and masking policies that are attached to it, in words."""
    readable: bool = True
    """Whether this user may count its rows."""
    seen: frozenset[Seen] = frozenset()
    unseen: tuple[str, ...] = ()
    """What could not be looked at, and why, each as `unseen` says it."""

    @property
    def is_table(self) -> bool:
        """Whether rows can be loaded into it."""
        return self.kind == "table"

    @property
    def order(self) -> tuple[str, ...]:
        """The names of its columns, in its order."""
        return tuple(column.name for column in self.columns)


Live = LiveTable | Literal["absent", "no schema", "unseen"]
"""A live table; ``absent`` when there is none, ``no schema`` when there is no place for it either,
``unseen`` when nobody has looked."""
