"""Statements that only read a table: a slice, its row count."""

from __future__ import annotations

from collections.abc import Iterable

from loader.errors import PlanError
from loader.plan.model import Statement
from loader.plan.partition_rows import make_bucket
from loader.spec.model import TableSpec
from loader.spec.partitions import Slice, check_spelling
from loader.spec.periods import Dimension
from loader.sql.lexer import check_expression
from loader.sql.renderer import Renderer, Table


def plan_read(
    spec: TableSpec,
    renderer: Renderer,
    slice_: Slice | None,
    columns: Iterable[str] | None = None,
    limit: int | None = None,
    where: str | None = None,
) -> Statement:
    """The SELECT that reads a slice of the table, or all of it, up to ``limit`` rows.

    Args:
        spec: The table.
        renderer: Renders for its warehouse.
        slice_: None is the whole table.
        columns: Default all.
        limit: Default all rows.
        where: A SQL condition for the rows; default all.

    Raises:
        PlanError: a column is not one of the table's, or `where` is not one condition.
    """
    names = chosen_columns(spec, columns)
    check_key_spelling(slice_, renderer)
    facts = {
        "table": Table(spec.schema_name, spec.name),
        "columns": tuple(spec.by_name[name] for name in names),
        "slice": slice_,
        "limit": limit,
        "where": where,
    }
    own = spec.templates.get("select")
    if where is not None:
        _check_condition(where)
    rendered = renderer.render("select", facts, own)
    if where is not None and rendered == renderer.render("select", {**facts, "where": None}, own):
        raise PlanError(
            f"the template {rendered.path} reads rows without the condition `{where}`",
            hint='write {% include "where.sql.j2" %} after FROM',
        )
    return Statement("select", rendered.sql, "read the slice", rendered.path)


def _check_condition(where: str) -> None:
    try:
        check_expression(where)
    except ValueError as error:
        raise PlanError(
            f"`{where}` is not a SQL condition: {error}", hint="such as: amount > 10"
        ) from error


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


def plan_partition_rows(spec: TableSpec, renderer: Renderer, dimension: Dimension) -> Statement:
    """The statement that counts the rows of each partition along a dimension.

    `rows_of_partitions` reads its answer.
    """
    table, buckets = Table(spec.schema_name, spec.name), (make_bucket(dimension),)
    facts = {"table": table, "slice": None, "buckets": buckets}
    rendered = renderer.render("partition_rows", facts)
    return Statement("partition rows", rendered.sql, f"rows by {dimension.name}", rendered.path)


def check_key_spelling(slice_: Slice | None, renderer: Renderer) -> None:
    """Check that the dialect does not treat keys of the slice as equal to shorter ones.

    Raises:
        PlanError: the slice has such keys.
    """
    if slice_ is not None:
        check_spelling(slice_, renderer.dialect.equality_key)
