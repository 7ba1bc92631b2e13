"""Rules of `renamed_from`: the earlier names of tables and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loader.errors import Problem
from loader.spec.column_names import check_repeated
from loader.spec.model import TableSpec


def rename_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of the earlier names of a table and its columns."""
    if spec.table in spec.renamed_from:
        message = f"`{spec.table}` is the table's own name"
        yield Problem(message, ("renamed_from",), "write its earlier name")
    yield from check_repeated(spec.renamed_from, "renamed_from")
    takers: dict[str, str] = {}
    for at, column in enumerate(spec.columns):
        loc = ("columns", at, "renamed_from")
        for name in dict.fromkeys(column.renamed_from):
            other = takers.setdefault(name, column.name)
            if name == column.name:
                hint = "write its earlier name"
                yield Problem(f"`{name}` is the column's own name", loc, hint)
            elif other != column.name:
                message = f"`{name}` is the earlier name of `{other}` already"
                yield Problem(message, loc, "one column takes the values of another one")
        yield from check_repeated(column.renamed_from, *loc)
    yield from _circles(spec, takers)


def _circles(spec: TableSpec, takers: Mapping[str, str]) -> Iterator[Problem]:
    """Columns that swap their names: a live table does not tell whether they have."""
    found: set[str] = set()
    for at, column in enumerate(spec.columns):
        path = [column.name]
        while (taker := takers.get(path[-1])) in spec.by_name and taker not in path:
            path.append(taker)
        if taker == column.name and len(path) > 1 and not found & {*path}:
            found |= {*path}
            names = " and ".join(f"`{name}`" for name in sorted(path))
            yield Problem(
                f"{names} take each other's names: a live table does not tell whether they have",
                ("columns", at, "renamed_from"),
                f"in two steps: call `{column.name}` something else first, and run `loader apply`",
            )
