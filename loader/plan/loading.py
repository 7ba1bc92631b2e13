"""What a load consists of: its inputs, its steps, and the counts of a merge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from loader.plan.expectations import Expectation
from loader.plan.figures import Figure
from loader.plan.files_in_place import FilesInPlace
from loader.spec.model import Column, TableSpec, in_order
from loader.spec.partitions import Slice
from loader.sql.dialects.redshift import NOT_COMPARABLE
from loader.sql.renderer import Table

Role = Literal[
    "run", "schema", "lock", "find_load", "delete", "copy", "write", "count", "verify", "check"
]
"""The purpose of a statement, for the display of plans.

schema: creates a schema. lock: makes loads of one table run one after another. find_load: looks for
the load in the ledger. delete, copy, write, count: rows. verify: looks for wrong rows. check:
measures a check of the spec. run: anything else.
"""

STAGE = Table(None, "loader_stage")
"""The stage table, for merges and for appends whose values are verified."""
STAGE_LAST = Table(None, "loader_stage_last")
"""The last row of each key in the stage table, with `on_duplicate: last`."""
LINES = Table(None, "loader_lines")
"""The lines of text files that are loaded in place."""
FIELDS = Table(None, "loader_fields")
"""The fields of these lines, as text."""
MERGE_COUNTS = Table(None, "loader_merge")
"""The counts of a merge or a history, in one row, which is copied to the ledger."""


@dataclass(frozen=True)
class Evolution:
    """Columns of a live table that a load changes, as its `schema_contract` allows."""

    added: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()

    def __add__(self, other: Evolution) -> Evolution:
        return Evolution(self.added + other.added, self.widened + other.widened)

    def __str__(self) -> str:
        return "".join(
            f"; {change} before: {', '.join(columns)}"
            for change, columns in (("widened", self.widened), ("added", self.added))
            if columns
        )


@dataclass(frozen=True)
class Step:
    """A statement before it is rendered: name, reason, template and the template's facts."""

    name: str
    why: str
    template: str
    role: Role = "run"
    facts: Mapping[str, object] = field(default_factory=dict)
    group: str | None = None
    """Text that a short plan shows instead of this step and neighbours of the same group."""
    expects: Expectation | None = None
    """The expected result; None when the result does not matter."""
    evolves: Evolution = Evolution()
    """The column of the live table that it adds or widens."""
    attaches: bool = False
    """Whether the session makes the staged files readable first, under the name of their path."""
    sample: StepSample | None = None
    """How to find some rows that are not as expected."""
    tries: bool = False
    """Whether its failure only means that the files cannot be loaded in place."""


@dataclass(frozen=True)
class StepSample:
    """How some rows are found that break an expectation, before the rollback."""

    steps: tuple[Step, ...]
    """The last one selects the rows; the others prepare that."""
    names: tuple[str, ...]
    """What it selects."""
    involved: tuple[str, ...] = ()
    """The columns that the expectation is about; the others only show which rows these are."""
    title: str = "for example"
    """What is written above the rows."""


@dataclass(frozen=True)
class Loading:
    """The inputs for the steps of a disposition."""

    spec: TableSpec
    slice: Slice | None
    """None means the whole table."""
    rows: int | None
    """Rows staged; None when not known yet, which is planned like more than zero."""
    staging_format: str
    """The format of the staged files."""
    counts_copied: bool
    """Whether the number of rows that COPY loaded needs a query of its own."""
    columns: tuple[Column, ...]
    """The columns that the load has values for."""
    figures: tuple[Figure, ...] = ()
    """The figures that are compared before COMMIT; empty when only rows are counted."""
    live_columns: tuple[str, ...] = ()
    """All columns of the live table, if known."""
    keys_alike: tuple[str, ...] = ()
    """Some different primary keys of the load that the warehouse may treat as equal."""
    in_place: FilesInPlace | None = None
    """The files that are copied from where they lie; None for staged files. Rows that were not
    staged are checked in the warehouse."""
    copy_in_place: str = ""
    """The template that copies Parquet files from where they lie."""
    keys_unchecked: bool = False
    """Whether duplicate primary keys have to be looked for in the warehouse, as for files in
    place."""
    allow_shrink: bool = False
    """Whether partitions that lose too many rows are only reported."""

    @property
    def table_columns(self) -> tuple[Column, ...]:
        """The columns of the table that the load has values for."""
        batch = {column.name for column in self.spec.batch_columns}
        return tuple(column for column in self.columns if column.name not in batch)

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """The table's columns that the load has no values for."""
        brought = {column.name for column in self.table_columns} | self.spec.managed_columns
        columns = (*self.spec.by_name, *(name.lower() for name in self.live_columns))
        return tuple(name for name in dict.fromkeys(columns) if name not in brought)

    def comparison(self, columns: Iterable[Column], *ignored: str) -> Mapping[str, object]:
        """The columns by which rows are compared, and whether these are all of them.

        Args:
            columns: The columns of the rows; keys are equal anyway.
            ignored: The names of columns that do not count.
        """
        apart = {*self.spec.primary_key, *ignored}
        others = [column for column in columns if column.name not in apart]
        compared = tuple(c for c in others if c.data_type.name not in NOT_COMPARABLE)
        return {"compared": compared, "comparable": len(compared) == len(others)}

    @property
    def staged_order(self) -> tuple[Column, ...]:
        """The columns in the order of a stage table, which is that of files in place."""
        return in_order(self.columns, self.in_place.order) if self.in_place else self.columns

    @property
    def order_by(self) -> tuple[Column, ...]:
        """The columns that decide which of two rows with the same key is the later."""
        return tuple(self.spec.by_name[name] for name in self.spec.merge.order_by)

    @property
    def table(self) -> Table:
        """The table that is loaded."""
        return Table(self.spec.schema_name, self.spec.name)

    @property
    def where(self) -> str:
        """The slice in a few words."""
        return f"the slice {self.slice}" if self.slice else "the whole table"

    @property
    def expressions(self) -> str:
        """The partition expressions as text."""
        return ", ".join(f"`{dimension.expr}`" for dimension in self.spec.dimensions)

    @property
    def outside_hint(self) -> str | None:
        """The hint when the slice has fewer rows than were copied."""
        text = f"rows may be outside the slice: check {self.expressions} of the rows"
        return text if self.slice else None
