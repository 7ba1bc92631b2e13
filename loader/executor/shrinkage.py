"""Reports partitions that would lose too many rows by a load."""

from __future__ import annotations

from collections.abc import Sequence

from loader.executor.check_results import WHOLE, unexpected_result
from loader.plan.model import Statement
from loader.plan.partition_rows import Shrunk
from loader.spec.checks import Guards
from loader.text_tables import align, format_count
from loader.warehouse.base import Row, as_whole_number

_SHOWN = 20
"""The most partitions that are shown."""


def check_counts(statement: Statement, rows: list[Row], keys: int) -> list[Row]:
    """The rows of a statement that counts by keys, with the counts as integers.

    Raises:
        VerifyError: a row is something else.
    """
    found: list[Row] = []
    for row in rows:
        number = as_whole_number(row[-1]) if len(row) == keys + 1 else None
        if number is None:
            raise unexpected_result(statement, [row], f"{keys} keys and one whole number")
        found.append((*row[:-1], number))
    return found


def describe_shrunk(shrunk: Sequence[Shrunk], guards: Guards, table: str) -> str:
    """Describe partitions that lose too many rows, the first of them with their numbers."""
    most = guards.slice_shrinks_by
    first = shrunk[0]
    if not first.partition:
        limit = most if isinstance(most, str) else format_count(most or 0, "row")
        return (
            f"{table} shrinks from {format_count(first.before, 'row')} to {first.after:,}; it may"
            f" not lose {limit} or more"
        )
    whose, loses = ("its", "loses") if len(shrunk) == 1 else ("their", "lose")
    limit = f"{most} of {whose} rows" if isinstance(most, str) else format_count(most or 0, "row")
    lines = [f"{format_count(len(shrunk), 'partition')} of {table} {loses} {limit} or more"]
    cells = [["partition", "before", "after", "lost"]]
    for one in shrunk[:_SHOWN]:
        lost = one.before - one.after
        share = f"{lost:,} ({100 * lost / one.before:.1f}%)"
        cells.append([one.partition, f"{one.before:,}", f"{one.after:,}", share])
    lines += [f"  {line}" for line in align(cells)]
    if len(shrunk) > _SHOWN:
        lines.append(f"  and {len(shrunk) - _SHOWN:,} more")
    return "\n".join(lines)


def shrunk_details(shrunk: Sequence[Shrunk]) -> list[dict[str, str | int]]:
    """Partitions that lose too many rows, as rows for a table."""
    return [
        {"partition": one.partition or WHOLE, "before": one.before, "after": one.after}
        for one in shrunk[:_SHOWN]
    ]
