"""What the index of a pandas frame is: columns, or the numbers of its rows."""

from __future__ import annotations

import math
from typing import Any

from loader.errors import SourceError


def index_columns(obj: Any) -> dict[int, object]:
    """The levels of an index that are columns, and their names.

    A level without a name is left out when it holds whole numbers, which number the rows.

    Raises:
        SourceError: a level without a name holds anything else, or its name is a column's too.
    """
    named = {at: name for at, name in enumerate(obj.index.names) if name is not None}
    twice = [f"`{name}`" for name in named.values() if name in set(obj.columns)]
    if twice:
        raise SourceError(
            f"the frame has an index and a column of the same name: {', '.join(twice)}",
            hint="`frame.reset_index(drop=True)` leaves the index out; `frame.rename_axis(…)`"
            " gives it another name",
        )
    kinds = [obj.index.dtype] if obj.index.nlevels == 1 else list(obj.index.dtypes)
    unnamed = [
        str(kind) for at, kind in enumerate(kinds) if at not in named and kind.kind not in "iu"
    ]
    if unnamed and len(obj):
        raise SourceError(
            f"the frame has an index of {' and '.join(unnamed)} without a name",
            hint="`frame.rename_axis('<column>')` makes it a column; `frame.reset_index(drop=True)`"
            " leaves it out",
        )
    return named


def index_level(index: Any, at: int) -> Any:
    """The values of a level, of which none turns into a float because others are missing."""
    if index.nlevels > 1 and (index.codes[at] < 0).any():
        values = index.levels[at].astype(object)
        return values.take(index.codes[at], allow_fill=True, fill_value=math.nan)
    return index.get_level_values(at)
