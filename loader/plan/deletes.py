"""The steps of deletes in a merge: rows of change data that delete the table's row, or mark it."""

from __future__ import annotations

from collections.abc import Iterator

from loader.plan.expectations import RowCount
from loader.plan.loading import Loading, Step
from loader.spec.model import Column
from loader.sql.datatypes import parse
from loader.sql.renderer import Table

MARKED = Table(None, "loader_rows")
"""The rows of the load, with a mark on deletes."""

NOTHING = "rows_nothing"
"""Deletes that change nothing: the table has no such row, or has marked it already."""

_MARK = Column(name="loader_deleted", data_type=parse("boolean"), nullable=False)
"""The mark, where the table has no column for it."""


def find_mark(loading: Loading) -> Column | None:
    """The column that marks deletes among the rows of the load; None without any deletes."""
    column = loading.spec.merge.soft_delete
    if loading.spec.deleted_when is None:
        return None
    return loading.spec.by_name[column] if column else _MARK


def written_columns(loading: Loading) -> tuple[Column, ...]:
    """The columns of the table that a merge writes."""
    column = loading.spec.merge.soft_delete
    return (*loading.table_columns, *([loading.spec.by_name[column]] if column else []))


def mark_deletes(loading: Loading, rows: Table) -> Iterator[Step]:
    """Copy the rows, with a mark on those that are deletes."""
    why = f"rows with {loading.spec.deleted_when} are deletes"
    facts = {"stage": rows, "marked": MARKED, "mark": find_mark(loading)}
    yield Step("mark the deletes", why, "merge_mark", facts=facts)


def apply_deletes(loading: Loading) -> Iterator[Step]:
    """Delete or mark rows of the table, and set the deletes apart from the other rows."""
    facts = {"stage": MARKED, "mark": find_mark(loading)}
    if loading.spec.merge.soft_delete:
        why = f"the rows stay, with a mark in {loading.spec.merge.soft_delete}"
        expects = RowCount(("rows_deleted", NOTHING), "rows", optional=True)
        marked = {**facts, "ages": loading.order_by}
        yield Step("mark deleted rows", why, "merge_soft_delete", "write", marked, expects=expects)
        found, why = "deleted rows are not marked", "every deleted row must be marked"
    else:
        expects = RowCount(("rows_deleted",), "rows", optional=True)
        why = "the load has deletes with their keys"
        yield Step("delete rows", why, "merge_deletes", "write", facts, expects=expects)
        found, why = "deleted keys are still there", "no deleted key may be left"
    left = RowCount((), found)
    yield Step("look for deleted keys", why, "merge_undeleted", "verify", facts, expects=left)
    yield Step("set the deletes apart", "the other rows are written", "merge_apart", facts=facts)
