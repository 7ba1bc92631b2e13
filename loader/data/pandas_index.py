"""Decides which levels of a pandas index are columns, and which only number the rows."""

from __future__ import annotations

import math
from typing import Any

from loader.errors import SourceError


def index_columns(obj: Any) -> dict[int, object]:
    """The levels of an index that are columns: position → name.

    A level without a name is left out when it holds whole numbers, which number the rows.

    Raises:
        SourceError: a level without a name holds other values, or a level has the name of a column.
    """
    named = {at: name for at, name in enumerate(obj.index.names) if name is not None}
    shared = [f"`{name}`" for name in named.values() if name in set(obj.columns)]
    if shared:
        raise SourceError(
            f"the frame has an index and a column of the same name: {', '.join(shared)}",
            hint="drop the index with `frame.reset_index(drop=True)`, or rename it with"
            " `frame.rename_axis(…)`",
        )
    kinds = [obj.index.dtype] if obj.index.nlevels == 1 else list(obj.index.dtypes)
    unnamed = [
        str(kind) for at, kind in enumerate(kinds) if at not in named and kind.kind not in "iu"
    ]
    if unnamed and len(obj):
        raise SourceError(
            f"the frame has an unnamed index of {' and '.join(unnamed)}",
            hint="make it a column with `frame.rename_axis('<column>')`, or drop it with"
            " `frame.reset_index(drop=True)`",
        )
    return named


def index_level(index: Any, at: int) -> Any:
    """The values of a level; missing ones do not turn integers into floats."""
    if index.nlevels > 1 and (index.codes[at] < 0).any():
        values = index.levels[at].astype(object)
        return values.take(index.codes[at], allow_fill=True, fill_value=math.nan)
    return index.get_level_values(at)
