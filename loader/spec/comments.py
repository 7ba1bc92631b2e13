"""Remarks on a drafted spec: evidence, and suggestions for the reviewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 240
"""The most characters of a comment; longer ones are truncated."""


@dataclass(frozen=True)
class Suggestion:
    """A section that the reviewer may add to the spec, and why."""

    section: str
    value: Any
    """As in a spec's YAML."""
    why: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The reasons as data."""


@dataclass(frozen=True)
class Remarks:
    """Remarks as text, for YAML comments, and as facts, for programs."""

    notes: tuple[str, ...] = ()
    """On the whole table."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """By column name."""
    suggestions: tuple[Suggestion, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """About the whole table, for programs."""
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
    r"""Format any text as a one-line YAML comment.

    >>> comment("ENUM('a\n# b')")
    "# ENUM('a\\n# b')"
    """
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    # Bidirectional control characters are not printable either, and could hide text.
    plain = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in cut
    )
    return f"# {plain}"


@dataclass(frozen=True)
class SampleSize:
    """How many rows were read, and whether these were all."""

    rows: int
    complete: bool

    def __str__(self) -> str:
        """``27,004 rows``, or ``the first 1,000,000 rows``."""
        noun = "row" if self.rows == 1 else "rows"
        return f"{'' if self.complete else 'the first '}{self.rows:,} {noun}"

    @property
    def all_rows(self) -> str:
        """``all 27,004 rows`` when complete; else as `str`."""
        return f"all {self}" if self.complete and self.rows > 1 else str(self)
