"""Statements that clients have sent: what was asked for, and how PostgreSQL is to run it."""

from __future__ import annotations

from dataclasses import dataclass, field

from loader.testing.redshift.statements.translate import Translation


@dataclass
class Statement:
    """A statement of a client; ``ok`` is None if the client got no answer."""

    connection: int
    sql: str
    ok: bool | None = None


@dataclass
class Prepared:
    """A statement a client has prepared."""

    sql: str
    kind: str
    translation: Translation | None
    in_transaction: bool = False
    special: dict[int, int] = field(default_factory=dict)
    """The columns of its result whose text Redshift writes differently, and their types."""
