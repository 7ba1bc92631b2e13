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
]


Remedy = Literal["in place", "before_transaction", "rebuild", "none"]
"""How a difference is fixed: by a statement in the transaction; by one before it, which cannot run
inside; by rebuilding the table and copying its rows; or not by Loader."""


ProbeKind = Literal["", "rows", "nulls"]
"""The rows that make a change impossible: any, or those with NULL in the column."""


@dataclass(frozen=True)
class Difference:
    """One difference between a spec and its live table."""

    kind: Kind
    column: str | None
    spec: str | None
    """The spec's value, as text or SQL; None when there is none."""
    live: str | None
    """The live table's value."""
    remedy: Remedy
    loss: str = ""
    """The data that may be lost; a difference with a loss is destructive."""
    blocked: str = ""
    """Why it cannot be fixed."""
    probe: ProbeKind = ""
    stops_loads: bool = False
    """Whether a load into the unchanged table would fail, or store wrong values."""

    @property
    def additive(self) -> bool:
        """Whether a load may fix it under ``evolve: additive``."""
        return (
            self.kind in ("add column", "widen column")
            and self.remedy in ("in place", "before_transaction")
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
            "destructive": bool(self.loss),
            "loss": self.loss or None,
            "blocked": self.blocked or None,
        }


@dataclass(frozen=True)
class Drift:
    """All differences of a table, with notes on what is not compared or not fixed."""

    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be compared, or must be fixed manually."""

    @property
    def rebuilds(self) -> bool:
        """Whether the table has to be rebuilt."""
        return any(one.remedy == "rebuild" for one in self.differences)
