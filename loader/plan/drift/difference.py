"""One difference between a live table and its spec, and all of them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from loader.sql.renderer import Table

Kind = Literal[
    "create table",
    "rename table",
    "relation",
    "rename column",
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


Remedy = Literal["in place", "before_transaction", "rebuild", "swap", "none"]
"""How a difference is fixed: by a statement in the transaction; by one before it, which cannot run
inside; by rebuilding the table and copying its rows; by replacing the column; or not by Loader.
The rule is in `remedies`."""


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
    reason: str = ""
    """Why this remedy, where another one would be expected."""
    unproven: str = ""
    """Why it is not known whether policies are attached, which it must be first."""
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
            "reason": self.reason or None,
            "destructive": bool(self.loss),
            "loss": self.loss or None,
            "blocked": self.blocked or None,
            "unproven": self.unproven or None,
        }


@dataclass(frozen=True)
class EarlierTable:
    """The live table that has an earlier name of the spec's table."""

    table: Table
    has_loads: bool = False
    """Whether there is a ledger, which may have loads of it."""
    table_ledger: Table | None = None
    """The ledger of its own, if it has one."""
    has_new_ledger: bool = False
    """Whether there is one of the new name too."""
    file_ledger: Table | None = None
    """The ledger that may have files of its loads, if there is one."""
    new_file_ledger: Table | None = None
    """The one that has those of the spec's table; the same where all tables share it."""
    has_new_file_ledger: bool = False
    """Whether that one exists."""
    others: tuple[Table, ...] = ()
    """Further live tables that have an earlier name."""
    new_schema: bool = False
    """Whether the schema of the spec's table does not exist."""

    def __str__(self) -> str:
        return f"{self.table.schema}.{self.table.name}"


@dataclass(frozen=True)
class Drift:
    """All differences of a table, with notes on what is not compared or not fixed."""

    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be compared, or must be fixed manually."""
    renames: Mapping[str, str] = field(default_factory=dict)
    """The columns that the live table has under an earlier name: column → live name."""
    earlier: EarlierTable | None = None
    """The live table, if it has an earlier name of the table."""

    @property
    def rebuilds(self) -> bool:
        """Whether the table has to be rebuilt."""
        return any(one.remedy == "rebuild" for one in self.differences)

    @property
    def swaps(self) -> tuple[str, ...]:
        """The columns that others take the place of."""
        found = (one.column for one in self.differences if one.remedy == "swap" and one.column)
        return tuple(dict.fromkeys(found))
