"""Live tables and columns that have an earlier name of the spec's.

A rename is due where the live table lacks a name and has an earlier one of it. So `renamed_from`
may stay in a spec: once the live table has the name, nothing is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from loader.plan.drift.difference import Difference, EarlierTable
from loader.plan.live_table import LiveTable
from loader.spec.model import TableSpec
from loader.sql.renderer import Renderer, Table


def earlier_tables(spec: TableSpec) -> tuple[Table, ...]:
    """The tables that may be the spec's table under an earlier name."""
    parts = (name.partition(".") for name in spec.renamed_from)
    return tuple(Table(schema, name) for schema, _, name in parts)


def find_renames(spec: TableSpec, live: LiveTable) -> dict[str, str]:
    """The columns that the live table has under an earlier name: column → live name.

    A column whose own live column is due to become another one is looked for again.
    """
    there = {column.name.lower(): column.name for column in live.columns}
    wanted = [column for column in spec.columns if column.name not in there]
    renames: dict[str, str] = {}
    for column in wanted:
        old = next((name for name in column.renamed_from if name in there), None)
        if old is None:
            continue
        renames[column.name] = there.pop(old)
        if old in spec.by_name:
            wanted.append(spec.by_name[old])
    return renames


def rename_columns(live: LiveTable, renames: Mapping[str, str]) -> LiveTable:
    """The live table as it is once its columns are renamed."""
    if not renames:
        return live
    new = {old: name for name, old in renames.items()}
    return replace(
        live,
        columns=tuple(
            replace(column, name=new.get(column.name, column.name)) for column in live.columns
        ),
        primary_key=tuple(new.get(name, name) for name in live.primary_key),
        dist=new.get(live.dist, live.dist) if live.dist else live.dist,
        sort=tuple(new.get(name, name) for name in live.sort),
        bound_columns=tuple(new.get(name, name) for name in live.bound_columns),
        column_grants=frozenset(
            (what, new.get(name, name), who) for what, name, who in live.column_grants
        ),
    )


def rename_differences(
    spec: TableSpec, live: LiveTable, renames: Mapping[str, str], earlier: EarlierTable | None
) -> Iterator[Difference]:
    """The renames that are due, as differences. No load makes them: others read by these names."""
    if earlier is not None:
        found = Difference(
            "rename table", None, spec.table, str(earlier), "in place", stops_loads=True
        )
        if earlier.table.schema != spec.schema_name:
            reason = "no table can be moved to another schema"
            found = replace(found, remedy="rebuild", reason=reason)
        if earlier.others:
            both = ", ".join(f"{one.schema}.{one.name}" for one in (earlier.table, *earlier.others))
            found = replace(
                found,
                blocked=f"{both} exist, and each is an earlier name of {spec.table}: leave one of"
                " them in renamed_from",
            )
        yield found
    there = {column.name.lower() for column in live.columns}
    for name, old in renames.items():
        known = [one for one in spec.by_name[name].renamed_from if one in there - {*spec.by_name}]
        blocked = ""
        if len(known) > 1:
            blocked = (
                f"{' and '.join(known)} are in the live table, and each is an earlier name of"
                f" {name}: leave one of them in renamed_from"
            )
        yield Difference(
            "rename column", name, name, old, "in place", blocked=blocked, stops_loads=True
        )


def rename_notes(
    spec: TableSpec, renderer: Renderer, live: LiveTable, *, renames: bool
) -> Iterator[str]:
    """What a rename leaves to others, and what looks like one that went another way."""
    there = {column.name.lower() for column in live.columns}
    for column in spec.columns:
        for name in column.renamed_from if column.name in there else ():
            if name in there and name not in spec.by_name:
                yield (
                    f"{column.name} and {name}, its earlier name, are both in the live table:"
                    f" nothing is renamed, and the values of {name} stay in {name}"
                )
    if renames:
        yield renderer.dialect.rename_note
