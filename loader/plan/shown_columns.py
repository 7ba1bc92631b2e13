"""Chooses the columns that are shown of rows that break a check."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from loader.spec.model import Column, TableSpec
from loader.sql.dialects.redshift import NOT_COMPARABLE

_FEW = 5
"""The most columns that are shown of a row, unless its key and the checked columns are more."""


def shown_columns(
    spec: TableSpec, involved: Iterable[str], columns: Iterable[Column] | None = None
) -> tuple[Column, ...]:
    """The columns that are shown of a row: its key, those that are checked, a few others.

    Columns with a classification are left out.

    Args:
        spec: The table.
        involved: The names of the columns that are checked.
        columns: The columns that the rows have; default those of the table.
    """
    there = {column.name: column for column in (spec.columns if columns is None else columns)}
    must = dict.fromkeys([*spec.primary_key, *involved])
    first = (c.name for c in there.values() if c.data_type.name not in NOT_COMPARABLE)
    names = list(dict.fromkeys([*must, *islice(first, _FEW)]))[: max(_FEW, len(must))]
    return unclassified(there[name] for name in names if name in there)


def unclassified(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns whose values may be shown."""
    return tuple(column for column in columns if not column.classification)
