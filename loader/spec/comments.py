"""What is said of a draft beside the spec itself: evidence, and what a reviewer may want to add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 240
"""Characters of a comment; what is longer is cut, since a comment is read and not parsed."""


@dataclass(frozen=True)
class Suggestion:
    """A section that a spec may have, and why."""

    section: str
    value: Any
    """As in a spec's YAML."""
    why: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs."""


@dataclass(frozen=True)
class Remarks:
    """What comments of a draft say, and programs read of it."""

    notes: tuple[str, ...] = ()
    """Of the whole table."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """By the column's name."""
    suggestions: tuple[Suggestion, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of the whole table, for programs."""
    column_facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """The evidence as JSON-ready data."""
        columns = {
            name: {**self.column_facts.get(name, {}), "remark": self.columns.get(name)}
            for name in dict.fromkeys([*self.column_facts, *self.columns])
        }
        return {
            **self.facts,
            "notes": list(self.notes),
            "columns": columns,
            "suggestions": [
                {one.section: one.value, "why": one.why, **one.facts} for one in self.suggestions
            ],
        }


NO_REMARKS = Remarks()


def comment(text: str) -> str:
    r"""Text as one line of a YAML comment, whatever is in it.

    >>> comment("ENUM('a\n# b')")
    "# ENUM('a\\n# b')"
    """
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    # Marks that turn the direction of writing are not printable either, and hide what is there.
    plain = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in cut
    )
    return f"# {plain}"


@dataclass(frozen=True)
class Looked:
    """How many rows were looked at, and whether those were all."""

    rows: int
    complete: bool

    def __str__(self) -> str:
        """As in ``in 27,004 rows``, or ``in the first 1,000,000 rows``."""
        noun = "row" if self.rows == 1 else "rows"
        return f"{'' if self.complete else 'the first '}{self.rows:,} {noun}"

    @property
    def all_of_them(self) -> str:
        """As in ``in all 27,004 rows``, where nothing else must be meant."""
        return f"all {self}" if self.complete and self.rows > 1 else str(self)
