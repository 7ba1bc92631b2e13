"""Live tables as read from the warehouse's catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LayoutKey = Literal["", "distribution key", "sort key", "distribution and sort key"]


@dataclass(frozen=True)
class LiveColumn:
    """A column of a live table."""

    name: str
    data_type: str
    """In the spelling of the warehouse's catalog."""
    nullable: bool
    has_default: bool = False
    """Whether INSERT may omit it; also true for identities."""
    default: str | None = None
    """The SQL of its DEFAULT from the catalog; None for an identity."""
    identity: tuple[int, int] | None = None
    """Seed and step of generated numbers."""
    comment: str | None = None
    encoding: str | None = None
    """Its encoding, as in specs; None if not known."""
    layout_key: LayoutKey = ""
    """Whether it is a distribution or sort key, declared or chosen by Redshift (AUTO)."""


Seen = Literal[
    "keys", "layout", "sort", "grants", "column grants", "dependants", "referrers", "policies"
]
"""The parts of a table that not every query reads, and not every user can see."""


UNSEEN: dict[Seen, str] = {
    "keys": "the primary key",
    "layout": "distribution, sort key and encodings",
    "sort": "whether the sort key is AUTO's choice",
    "grants": "grants",
    "column grants": "grants on columns",
    "dependants": "dependent objects",
    "referrers": "foreign keys that reference the table",
    "policies": "row-level security and masking policies",
}
"""Their names in messages."""


def unseen(what: Seen, why: str) -> str:
    """The message that a part could not be read, with the reason."""
    return f"{UNSEEN[what]} cannot be seen: {why}"


def reason_unseen(table: LiveTable, what: Seen) -> str:
    """Why something of a table is not known."""
    known = (text for text in table.unseen if text.startswith(UNSEEN[what]))
    return next(known, unseen(what, "not read"))


@dataclass(frozen=True)
class LiveTable:
    """A live table or other relation. Parts that are not in ``seen`` are not known."""

    columns: tuple[LiveColumn, ...]
    kind: str = "table"
    """``table``; ``view``, ``external table`` and the like cannot be loaded."""
    comment: str | None = None
    owner: str | None = None
    primary_key: tuple[str, ...] = ()
    dist: str | None = None
    """``even``, ``all``, ``auto`` or the column; None if the warehouse has no distribution."""
    sort: tuple[str, ...] = ()
    sort_type: str | None = None
    """``compound``, ``interleaved`` or ``auto``."""
    grants: frozenset[tuple[str, str]] = frozenset()
    """Privileges and grantees: ``("select", "role:analyst")``."""
    grant_options: frozenset[tuple[str, str]] = frozenset()
    """The grants WITH GRANT OPTION."""
    column_grants: frozenset[tuple[str, str, str]] = frozenset()
    """Privileges on columns: ``("select", "email", "role:analyst")``."""
    dependants: tuple[str, ...] = ()
    """The views that depend on it, as ``schema.name``."""
    bound_columns: tuple[str, ...] = ()
    """The columns that those views use."""
    referrers: tuple[tuple[str, str, str], ...] = ()
    """Foreign keys of other tables that reference it: schema, table and constraint."""
    policies: tuple[str, ...] = ()
    """The row-level security and masking policies that are attached to it."""
    readable: bool = True
    """Whether this user can read its rows."""
    seen: frozenset[Seen] = frozenset()
    unseen: tuple[str, ...] = ()
    """The messages of `unseen` for parts that could not be read."""

    @property
    def is_table(self) -> bool:
        """Whether rows can be loaded into it."""
        return self.kind == "table"

    @property
    def order(self) -> tuple[str, ...]:
        """The names of its columns in order."""
        return tuple(column.name for column in self.columns)


Live = LiveTable | Literal["absent", "no schema", "unseen"]
"""A live table; ``absent`` if it does not exist, ``no schema`` if its schema does not exist either,
``unseen`` if the catalog was not read."""


def is_a_table(live: Live) -> bool:
    """Whether it exists, and rows can be loaded into it."""
    return isinstance(live, LiveTable) and live.is_table
