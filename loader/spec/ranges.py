"""Ranges of partitions: one window by its two ends, whatever the number of periods between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import overload

from loader.errors import PlanError
from loader.spec.periods import (
    CLOCK,
    MAX_PARTITIONS,
    Dimension,
    Partition,
    Window,
    list_partitions,
    parse_period,
    period_partition,
    to_utc,
)

_SHORTEST = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=28),
    "quarter": timedelta(days=90),
    "year": timedelta(days=365),
}
"""How long a period takes at least, apart from changes of the clocks."""

_REGULAR_SINCE = 1973
"""The year since which all UTC offsets are multiples of 15 minutes."""


class RangeKeys(Sequence[tuple[str, ...]]):
    """The keys of a range in order: its ends are known, and the others are made when asked for."""

    def __init__(self, dimension: Dimension, text: str, first: str, last: str) -> None:
        self._dimension, self._text = dimension, text
        self._ends = {0: (first,), -1: (last,)}

    @cached_property
    def _all(self) -> tuple[tuple[str, ...], ...]:
        return tuple((one.key,) for one in parse_range(self._dimension, self._text))

    @overload
    def __getitem__(self, at: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[tuple[str, ...], ...]: ...
    def __getitem__(self, at: int | slice) -> object:
        """One key, or several."""
        return self._ends[at] if isinstance(at, int) and at in self._ends else self._all[at]

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._all)

    def __eq__(self, other: object) -> bool:
        """Whether the keys are those of another range or tuple."""
        if isinstance(other, RangeKeys):
            return self._all == other._all
        return self._all == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        """The hash of the tuple of all keys."""
        return hash(self._all)

    def __repr__(self) -> str:
        """The keys as a tuple shows them."""
        return repr(self._all)


def find_window(dimension: Dimension, text: str) -> tuple[Window, RangeKeys] | None:
    """The window of a range ``A..B`` of several periods, and their keys.

    Returns:
        None where each period has to be looked at: `parse_range` does that.

    Raises:
        PlanError: an end does not parse, or is outside Python's date range.
    """
    first, _, last = text.partition("..")
    start, stop = parse_period(dimension, first), parse_period(dimension, last)
    if not (_is_gapless(dimension, start) and _may_be_listed(dimension, start, stop)):
        return None
    ends = period_partition(dimension, start), period_partition(dimension, stop)
    cells = [end.cell for end in ends if isinstance(end.cell, Window)]
    window = Window(cells[0].start, cells[-1].end)
    return window, RangeKeys(dimension, text, ends[0].key, ends[1].key)


def parse_range(dimension: Dimension, text: str) -> list[Partition]:
    """All partitions of a range ``A..B``.

    Raises:
        PlanError: an end does not parse, or it is empty, or has too many partitions.
    """
    first, _, last = text.partition("..")
    start, stop = parse_period(dimension, first), parse_period(dimension, last)
    before = list_partitions(dimension, start, stop)
    if not before and to_utc(dimension, start) != to_utc(dimension, stop):
        raise PlanError(f"the range `{text}` is empty: it ends before it starts")
    return [*before, period_partition(dimension, stop)]


def _is_gapless(dimension: Dimension, start: datetime) -> bool:
    """Whether each window surely ends where the next one begins, and can be told.

    Elsewhere clocks may skip a day, or a column that is not in UTC may show an hour twice.
    """
    regular = dimension.timezone == "UTC" or (
        dimension.grain in CLOCK and start.year >= _REGULAR_SINCE
    )
    match dimension.data_type.name:
        case "date" | "timestamptz":
            return regular
        case "timestamp":
            return regular and dimension.column_timezone in (None, "UTC")
        case _:
            return False


def _may_be_listed(dimension: Dimension, start: datetime, stop: datetime) -> bool:
    """Whether a range has several periods, and surely not more than can be listed."""
    span = to_utc(dimension, stop) - to_utc(dimension, start)
    # Changes of the clocks make fewer than one more of a hundred.
    longest = _SHORTEST[dimension.grain or "day"] * (MAX_PARTITIONS * 99 // 100)
    return timedelta(0) < span < longest
