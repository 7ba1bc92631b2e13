"""Statements that only read a table: a slice, its row count, the rows that a check counts."""

from __future__ import annotations

from collections.abc import Iterable

from loader.errors import PlanError
from loader.plan.model import Statement
from loader.plan.shown_columns import shown_columns, unclassified
from loader.spec.checks import Check
from loader.spec.model import Column, TableSpec
from loader.spec.partitions import Slice, check_spelling
from loader.sql.renderer import Renderer, Table


def plan_read(
    spec: TableSpec,
    renderer: Renderer,
    slice_: Slice | None,
    columns: Iterable[str] | None = None,
    limit: int | None = None,
) -> Statement:
    """The SELECT that reads a slice of the table, or all of it, up to ``limit`` rows.

    Raises:
        PlanError: a column is not one of the table's.
    """
    names = chosen_columns(spec, columns)
    check_key_spelling(slice_, renderer)
    facts = {
        "table": Table(spec.schema_name, spec.name),
        "columns": tuple(spec.by_name[name] for name in names),
        "slice": slice_,
        "limit": limit,
    }
    rendered = renderer.render("select", facts, spec.templates.get("select"))
    return Statement("select", rendered.sql, "read the slice", rendered.path)


def chosen_columns(spec: TableSpec, columns: Iterable[str] | None) -> list[str]:
    """The requested columns; by default all.

    Raises:
        PlanError: a column is not one of the table's.
    """
    names = list(columns) if columns is not None else [column.name for column in spec.columns]
    unknown = [name for name in names if name not in spec.by_name]
    if unknown or not names:
        given = ", ".join(f"`{name}`" for name in unknown)
        raise PlanError(
            f"{spec.table} has no column {given}" if given else "no columns are requested",
            hint=f"its columns are {', '.join(spec.by_name)}",
        )
    return names


def plan_sample(
    spec: TableSpec, renderer: Renderer, slice_: Slice | None, check: Check, limit: int
) -> Statement:
    """The SELECT of some rows that a check counts, with their `sample_columns`.

    For `duplicate_values`, it selects the duplicated values and their counts.
    """
    facts = {
        "table": Table(spec.schema_name, spec.name),
        "slice": slice_,
        "check": check,
        "columns": sample_columns(spec, check),
        "keys": spec.primary_key,
        "limit": limit,
    }
    rendered = renderer.render("check_sample", facts)
    return Statement(f"rows of {check.label}", rendered.sql, "sample of bad rows", rendered.path)


def sample_columns(spec: TableSpec, check: Check) -> tuple[Column, ...]:
    """The columns that are shown of a row that a check counts: key, checked columns, a few others.

    Columns with a classification are left out.
    """
    if check.metric == "duplicate_values":
        return unclassified(spec, check.counted)
    return shown_columns(spec, check.counted)


def plan_counts(
    spec: TableSpec, renderer: Renderer, slices: Iterable[Slice | None]
) -> tuple[Statement, ...]:
    """The statements that count the rows of some slices; None is the whole table."""
    table = Table(spec.schema_name, spec.name)
    found = []
    for slice_ in slices:
        check_key_spelling(slice_, renderer)
        facts = {"table": table, "slice": slice_}
        rendered = renderer.render("count", facts, spec.templates.get("count"))
        found.append(
            Statement("count", rendered.sql, f"rows of {slice_ or 'the table'}", rendered.path)
        )
    return tuple(found)


def check_key_spelling(slice_: Slice | None, renderer: Renderer) -> None:
    """Check that the dialect does not treat keys of the slice as equal to shorter ones.

    Raises:
        PlanError: the slice has such keys.
    """
    if slice_ is not None:
        check_spelling(slice_, renderer.dialect.equality_key)
