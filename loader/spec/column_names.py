"""Problems of the column names that a table spec lists: unknown and repeated ones."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator

from loader.errors import Loc, Problem
from loader.spec.model import TableSpec


def check_column(spec: TableSpec, name: str, loc: Loc) -> Iterator[Problem]:
    """A problem if ``name`` is not a column of the table; its hint names the nearest one."""
    if name not in spec.by_name:
        close = difflib.get_close_matches(name, spec.by_name, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"columns: {list_names(spec.by_name)}"
        yield Problem(f"there is no column `{name}`", loc, hint)


def list_names(names: Iterable[str]) -> str:
    """The first twelve names, for a message."""
    shown = list(names)
    return ", ".join(shown[:12]) + (", …" if len(shown) > 12 else "")


def check_repeated(names: Iterable[str], *loc: str | int) -> Iterator[Problem]:
    """A problem for each name that is listed more than once, at the key `loc`."""
    for name, count in Counter(names).items():
        if count > 1:
            times = "twice" if count == 2 else f"{count} times"
            yield Problem(f"`{name}` is listed {times}", loc)
