"""Shows some rows that break an expectation, read before the rollback."""

from __future__ import annotations

from collections.abc import Mapping

from loader.data.cast.errors import show
from loader.errors import ExecuteError
from loader.executor.check_results import HIDDEN
from loader.plan.model import Sample
from loader.plan.shown_columns import shown_columns
from loader.spec.model import TableSpec
from loader.text_tables import align
from loader.warehouse.base import Session


def read_sample(
    sample: Sample, involved: tuple[str, ...], spec: TableSpec, session: Session
) -> list[Mapping[str, str]]:
    """Read some rows that break an expectation, with formatted values by column.

    Values of columns with a classification are hidden. An error of the warehouse gives no rows: it
    would say less than what the rows are shown for.

    Args:
        sample: The statements.
        involved: The columns that are bad; empty where the sample says them itself.
        spec: The table.
        session: The session of the transaction.
    """
    bad = involved or sample.involved
    columns = {column.name: column for column in (*spec.columns, *spec.input_columns)}
    shown: tuple[str, ...] = sample.names
    if involved and not columns.keys().isdisjoint(shown):  # and not whole lines of text
        shown = tuple(column.name for column in shown_columns(spec, bad, columns.values()))
    hidden = {name: HIDDEN for name in bad if name in spec.classified}
    found: list[Mapping[str, str]] = []
    try:
        for statement in sample.statements:
            rows = session.execute(statement.sql)
        for row in rows:
            values = dict(zip(sample.names, row, strict=True))
            found.append({name: show(values[name]) for name in shown if name in values} | hidden)
    except ExecuteError:
        return []
    return found


def format_rows(rows: list[Mapping[str, str]]) -> str:
    """Rows as lines of a message, below their columns."""
    if not rows:
        return ""
    names = list(rows[0])
    cells = [names, *([row[name] for name in names] for row in rows)]
    return "".join(f"\n  {line}" for line in align(cells))
