"""The expected results of statements: set by the planner, checked by the executor.

Numbers from earlier results are kept by name, so that later expectations can refer to them.
``staged``, the number of staged rows, is known from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from loader.plan.figures import Figure
from loader.plan.merge_counts import COUNTS_OF_MERGES
from loader.spec.checks import Check, Guards
from loader.spec.periods import Dimension
from loader.sql.datatypes import DataType

STAGED, BEFORE, AFTER, DELETED, LINES = "staged", "before", "after", "deleted", "lines_copied"
"""Names of numbers: rows staged, rows before and after the load, rows deleted, lines of text that
COPY has read."""

_LOOK = "compare the staged files, if they are kept, with the table"


@dataclass(frozen=True)
class NotLoaded:
    """No row. A row means that the ledger has this load id: the load is committed already."""


@dataclass(frozen=True)
class FilesNotLoaded:
    """A count of zero, then a name: files that another load has committed meanwhile."""


@dataclass(frozen=True)
class Number:
    """One whole number, which is added to the number of its name."""

    name: str
    optional: bool = False
    """Whether a missing number is accepted: not every warehouse reports row counts."""


@dataclass(frozen=True)
class RowCount:
    """A number of rows that equals the sum of the numbers with these names."""

    of: tuple[str, ...]
    less: tuple[str, ...] = field(default=(), kw_only=True)
    """Names of numbers that are subtracted."""
    found: str = "rows are there"
    """The text after the found number in the error."""
    expected: str = "expected"
    """The text after the expected number."""
    hint: str = _LOOK
    hint_if_fewer: str | None = None
    """Replaces the hint when rows are missing."""
    keep: str | None = None
    """The name under which the number is kept."""
    optional: bool = False


@dataclass(frozen=True)
class Zero:
    """A count of zero. Further columns of the result are an example of what was counted."""

    problem: str
    """The error's first line, with ``<count>`` for the number."""
    noun: str
    """The singular noun for what is counted."""
    because: str
    """The error's second line."""
    hint: str


@dataclass(frozen=True)
class Values:
    """The number of staged rows, then the figures from staging."""

    figures: tuple[Figure, ...]
    hint_if_fewer: str | None = None
    keep: str | None = None


@dataclass(frozen=True)
class BadValue:
    """What must not be in the rows of files that are loaded in place, and how to find it."""

    column: str
    """Its column; empty for whole lines of text."""
    data_type: DataType
    kind: Literal["null", "long", "pattern", "line", "json type"]
    """NULL; more bytes than the type takes; text that does not match the pattern; a line that is
    no row; a value of JSON of another type than these."""
    problem: str
    """What it is, in the error."""
    pattern: str = ""
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoBadValues:
    """A number of rows, then for each kind of bad value how many there are, which must be none."""

    values: tuple[BadValue, ...]
    counts_rows: bool = False
    """Whether these are the staged rows from now on; if not, they must be as many."""


@dataclass(frozen=True)
class MergeCounted:
    """The counts of a merge, which add up to the staged rows, then the table's rows before."""

    counts: tuple[str, ...] = COUNTS_OF_MERGES
    """The fields of `MergeCounts` that are counted."""
    more: tuple[str, ...] = ()
    """Names of further numbers, between these and the rows before."""
    repeated: str = "keys of the load are in the table more than once"
    """What it means when too many rows are counted."""
    hint: str = (
        "remove the duplicates of the primary key from the table, or replace all of it with"
        " --full-refresh"
    )


@dataclass(frozen=True)
class CheckHolds:
    """A number within the bound of one of the spec's checks."""

    check: Check


@dataclass(frozen=True)
class RowsBefore:
    """The number of rows of each partition, before any are deleted."""

    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True)
class NotShrunk:
    """The number of rows of each partition, which the spec's guards compare with those before."""

    guards: Guards
    dimensions: tuple[Dimension, ...]


Expectation = (
    NotLoaded
    | FilesNotLoaded
    | Number
    | RowCount
    | Zero
    | Values
    | NoBadValues
    | MergeCounted
    | CheckHolds
    | RowsBefore
    | NotShrunk
)
