"""How a live table differs from its spec."""

from __future__ import annotations

from loader.errors import PlanError
from loader.live import LiveTable
from loader.render import Renderer
from loader.spec import Column, TableSpec


def columns_to_add(spec: TableSpec, renderer: Renderer, live: LiveTable) -> list[Column]:
    """The columns to add to a live table, when that is allowed and is all there is to do."""
    if not live.is_table:
        raise PlanError(
            f"{spec.table} is a view, and rows cannot be loaded into a view",
            hint="name a table in the spec, or drop the view: the load then makes the table",
        )
    found = {column.name.lower(): column for column in live.columns}
    missing = [column for column in spec.columns if column.name not in found]
    rows = []
    for column in spec.columns:
        wanted = renderer.dialect.column_type(column.data_type)
        there = found.get(column.name)
        if there is not None and renderer.dialect.differs(column.data_type, there.data_type):
            live_type = renderer.dialect.spelling(there.data_type)
            rows.append((column.name, wanted, live_type, "type differs"))
    for other in live.columns:
        if other.name.lower() not in spec.by_name and not (other.nullable or other.has_default):
            live_type = renderer.dialect.spelling(other.data_type)
            rows.append((other.name, "-", live_type, "NOT NULL, and the spec lacks it"))
    additive = spec.schema_contract.evolve == "additive"
    for column in missing:
        wanted = renderer.dialect.column_type(column.data_type)
        if column.identity is not None or (not column.nullable and not column.default):
            rows.append(
                (column.name, wanted, "-", "missing; cannot be added to rows that are there")
            )
        elif not additive:
            rows.append((column.name, wanted, "-", "missing"))
    if rows:
        raise _error(spec, rows, additive=additive)
    return missing


def _error(spec: TableSpec, rows: list[tuple[str, str, str, str]], *, additive: bool) -> PlanError:
    table = [("column", "spec", "live", ""), *rows]
    widths = [max(len(row[at]) for row in table) for at in range(3)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        for row in table
    ]
    hint = "change the spec to match the table, or alter the table"
    if not additive and all(row[3] == "missing" for row in rows):
        hint = "set schema_contract: {evolve: additive} to let loads add these columns"
    shown = "\n".join(line.rstrip() for line in lines)
    names = ("column", "spec", "live", "problem")
    return PlanError(
        f"the live table {spec.table} differs from its spec\n{shown}",
        hint=hint,
        details=[dict(zip(names, row, strict=True)) for row in rows],
    )
