"""Old tables that rebuilds keep: their names and comments, which identify them. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

PREFIX = "loader_old_"
"""How the names of kept tables begin."""

PREVIEW_MOMENT = "yyyymmddthhmmssz"
"""Stands for the time of a rebuild in plans, which know none."""

_NAME = re.compile(rf"{PREFIX}([0-9a-f]{{16}})_(\d{{8}}t\d{{12}}z)")
_COMMENT = re.compile(r"Kept by Loader when it rebuilt (.+)")


def digest(text: str) -> str:
    """Sixteen hexadecimal digits that stand for a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def format_moment(time: datetime) -> str:
    """Format a time for the name of a kept table: to the microsecond, so that each name is new.

    >>> format_moment(datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    '20260301t123000000000z'
    """
    return f"{time.astimezone(UTC):%Y%m%dt%H%M%S%fz}"


def backup_name(table: str, moment: str) -> str:
    """The name that a table, as ``schema.name``, is kept under."""
    return f"{PREFIX}{digest(table)}_{moment}"


def backup_comment(table: str, comment: str | None) -> str:
    """The comment of a kept table: the table it was, then its own comment."""
    first = f"Kept by Loader when it rebuilt {table}"
    return f"{first}\n{comment}" if comment else first


@dataclass(frozen=True)
class Backup:
    """A table that a rebuild has kept."""

    schema: str
    name: str
    table: str
    """The table it was, as ``schema.name``."""
    kept: datetime

    def to_dict(self) -> dict[str, str]:
        """It as JSON-ready data."""
        kept = self.kept.isoformat()
        return {"schema": self.schema, "name": self.name, "table": self.table, "kept": kept}


def read_backup(schema: str, name: str, comment: str) -> Backup | None:
    """The kept table that a live table is; None for one that Loader did not keep.

    Name and comment have to say the same, so that nobody else's table is taken for one.

    >>> name = backup_name("s.t", "20260301t123000000000z")
    >>> read_backup("s", name, backup_comment("s.t", "Mine.")).table
    's.t'
    >>> read_backup("s", name, "Mine.") is None
    True
    >>> read_backup("s", "t", backup_comment("s.t", None)) is None
    True
    """
    named = _NAME.fullmatch(name)
    described = _COMMENT.match(comment)
    if named is None or described is None or named[1] != digest(described[1]):
        return None
    try:
        kept = datetime.strptime(named[2], "%Y%m%dt%H%M%S%fz").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Backup(schema, name, described[1], kept)
