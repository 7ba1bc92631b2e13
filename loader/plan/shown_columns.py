"""Chooses the columns that are shown of rows that break a check."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from loader.spec.model import Column, TableSpec
from loader.sql.dialects.redshift import NOT_COMPARABLE

_FEW = 5
"""The most columns that are shown of a row, unless its key and the checked columns are more."""


def shown_columns(spec: TableSpec, involved: Iterable[str]) -> tuple[Column, ...]:
    """The columns that are shown of a row: its key, those that are checked, a few others.

    Columns with a classification are left out.
    """
    must = dict.fromkeys([*spec.primary_key, *involved])
    first = (c.name for c in spec.columns if c.data_type.name not in NOT_COMPARABLE)
    names = list(dict.fromkeys([*must, *islice(first, _FEW)]))[: max(_FEW, len(must))]
    return unclassified(spec, names)


def unclassified(spec: TableSpec, names: Iterable[str]) -> tuple[Column, ...]:
    """The columns of these names whose values may be shown."""
    columns = (spec.by_name[name] for name in dict.fromkeys(names))
    return tuple(column for column in columns if not column.classification)
