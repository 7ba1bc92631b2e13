"""One difference between a live table and its spec, and all of them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "create table",
    "relation",
    "add column",
    "widen column",
    "type",
    "nullability",
    "default",
    "identity",
    "drop column",
    "encoding",
    "dist",
    "sort",
    "comment",
    "grant",
    "column grants",
]


Remedy = Literal["in place", "outside", "rebuild", "swap", "none"]
"""A statement in the transaction; one before it, since it cannot run inside; the table rebuilt
and its rows copied; a column in place of the column; nothing that Loader would do. `remedies` has
the rule."""


Probe = Literal["", "rows", "nulls"]
"""What makes a change impossible when the table has it: any rows, or NULL in the column."""


@dataclass(frozen=True)
class Difference:
    """One thing that a spec says and the live table does not, or the reverse."""

    kind: Kind
    column: str | None
    spec: str | None
    """What the spec says, in words or SQL; None for nothing."""
    live: str | None
    """What the live table says."""
    remedy: Remedy
    loss: str = ""
    """What may be lost; a difference with a loss is destructive."""
    blocked: str = ""
    """Why it cannot be fixed."""
    probe: Probe = ""
    reason: str = ""
    """Why it is this remedy, where another one would be expected."""
    unproven: str = ""
    """What has to be known first and cannot be seen: whether policies are attached."""
    stops_loads: bool = False
    """Whether a load into the table as it is would fail, or put values where they do not fit."""

    @property
    def additive(self) -> bool:
        """Whether a load may fix it by itself under ``evolve: additive``."""
        return (
            self.kind in ("add column", "widen column")
            and self.remedy in ("in place", "outside")
            and not self.blocked
        )

    def to_dict(self) -> dict[str, object]:
        """The difference as JSON-ready data."""
        return {
            "kind": self.kind,
            "column": self.column,
            "spec": self.spec,
            "live": self.live,
            "remedy": self.remedy,
            "reason": self.reason or None,
            "destructive": bool(self.loss),
            "loss": self.loss or None,
            "blocked": self.blocked or None,
            "unproven": self.unproven or None,
        }


@dataclass(frozen=True)
class Drift:
    """All differences of a table, and what cannot or need not be fixed."""

    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be compared, or is left to people."""

    @property
    def rebuilds(self) -> bool:
        """Whether the table has to be rebuilt."""
        return any(one.remedy == "rebuild" for one in self.differences)

    @property
    def swaps(self) -> tuple[str, ...]:
        """The columns that others take the place of."""
        found = (one.column for one in self.differences if one.remedy == "swap" and one.column)
        return tuple(dict.fromkeys(found))
