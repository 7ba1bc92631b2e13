"""Live tables as read from the warehouse's catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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


Seen = Literal["keys", "layout", "grants", "dependants"]
"""The parts of a table that not every query reads, and not every user can see."""


UNSEEN: dict[Seen, str] = {
    "keys": "the primary key",
    "layout": "distribution, sort key and encodings",
    "grants": "grants",
    "dependants": "dependent objects",
}
"""Their names in messages."""


def unseen(what: Seen, why: str) -> str:
    """The message that a part could not be read, with the reason."""
    return f"{UNSEEN[what]} cannot be seen: {why}"


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
    dependants: tuple[str, ...] = ()
    """The views that depend on it, as ``schema.name``."""
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
