"""What the answer of a statement must be: said by the planner, checked by the executor.

Numbers of earlier answers are kept by name, so that later expectations can refer to them.
``staged``, the rows that were staged, is known from the start.
"""

from __future__ import annotations

from dataclasses import dataclass

from loader.plan.figures import Figure
from loader.spec.checks import Check

STAGED, BEFORE, AFTER, DELETED = "staged", "before", "after", "deleted"
"""Names of numbers: rows staged, rows there before and after the load, rows deleted."""

_LOOK = "look at the staged files, if they are kept, and at the table"


@dataclass(frozen=True)
class NotLoaded:
    """No row. A row is the ledger's row of this load id: the load is done already."""


@dataclass(frozen=True)
class Number:
    """One whole number, added to the one that is kept by its name."""

    name: str
    optional: bool = False
    """Whether no answer is fine too: not every statement reports how many rows it touched."""


@dataclass(frozen=True)
class RowCount:
    """As many rows as the kept numbers of these names add up to."""

    of: tuple[str, ...]
    found: str = "rows are there"
    """What follows the number that was found, in the error."""
    expected: str = "expected"
    """What follows the number that was expected."""
    hint: str = _LOOK
    hint_if_fewer: str | None = None
    """In place of the hint, where rows are missing."""
    keep: str | None = None
    """The name that the number is kept by."""
    optional: bool = False


@dataclass(frozen=True)
class Zero:
    """Zero of what was looked for. Further columns of the answer are an example of it."""

    problem: str
    """The error's first line, with ``<count>`` where the number goes."""
    noun: str
    """What is counted, in the singular."""
    because: str
    """The error's second line."""
    hint: str


@dataclass(frozen=True)
class Values:
    """The number of rows staged, then the figures that were taken of them while staging."""

    figures: tuple[Figure, ...]
    hint_if_fewer: str | None = None
    keep: str | None = None


@dataclass(frozen=True)
class MergeCounted:
    """The `MergeCounts`, which add up to the rows staged, then the table's rows before."""


@dataclass(frozen=True)
class CheckHolds:
    """A number within the bound of one of the spec's checks."""

    check: Check


Expectation = NotLoaded | Number | RowCount | Zero | Values | MergeCounted | CheckHolds
