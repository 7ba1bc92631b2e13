"""Compares the footers of Parquet files with the table that they are loaded into in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa

from loader.data.cast.arrow_types import arrow_type
from loader.data.cast.match_columns import match_columns
from loader.data.files.footers import Footer
from loader.plan.figures import Figure, Value
from loader.plan.files_in_place import FilesInPlace
from loader.plan.load_plan import compared_figures
from loader.plan.model import Target
from loader.spec.model import Column, TableSpec
from loader.sql.renderer import Renderer
from loader.staging.figures.collector import FigureCollector
from loader.staging.staged import StagedFile

_TYPES = frozenset(
    {
        *("smallint", "integer", "bigint", "decimal", "real", "double precision", "boolean"),
        *("date", "timestamp", "timestamptz", "varchar", "varbyte"),
    }
)
"""Types whose values lie in Parquet files as warehouses store them."""

_WITH_EXTREMES = frozenset(
    {"smallint", "integer", "bigint", "decimal", "date", "timestamp", "timestamptz"}
)

_DATED = frozenset({"date", "timestamp", "timestamptz"})
"""Types whose values in files may be outside of the years 1 to 9999."""

_SHOWN = 5


@dataclass(frozen=True)
class FoundFiles:
    """What is known of files, and why they cannot be loaded in place."""

    problems: Sequence[str]
    files: FilesInPlace | None = None
    """Without the names of the files."""
    staged: tuple[StagedFile, ...] = ()
    """The files with rows."""
    present: frozenset[str] = frozenset()
    figures: Mapping[Figure, Value] = field(default_factory=dict)


def find_parquet(
    spec: TableSpec,
    footers: Sequence[Footer],
    renderer: Renderer,
    target: Target,
    order: tuple[str, ...],
) -> FoundFiles:
    """Compare footers with a table.

    Args:
        spec: The table.
        footers: Of all files.
        renderer: Of the warehouse.
        target: The target.
        order: The live table's columns, where COPY goes by position; empty for a new table.

    Raises:
        FrameError: columns are missing or unexpected.
    """
    matched = match_columns(spec, footers[0].schema.names)
    columns = [column for column in spec.input_columns if column.name in matched]
    problems = _find_differences(footers, columns, matched, renderer)
    if problems:
        return FoundFiles(problems)
    files_order = tuple(footers[0].schema.names)
    batch = (column.name for column in spec.batch_columns)
    table_order = [name for name in (*(order or spec.by_name), *batch) if name in matched]
    turned = renderer.dialect.copies_by_position and list(files_order) != table_order
    may_be_null = tuple(
        column.name
        for column in columns
        if not column.nullable and any(footer.columns[column.name].nulls != 0 for footer in footers)
    )
    files = FilesInPlace((), order=files_order if turned else (), may_be_null=may_be_null)
    staged = tuple(
        StagedFile(footer.uri, footer.rows, footer.bytes, footer.version)
        for footer in footers
        if footer.rows
    )
    figures = dict(_read_figures(footers, columns, spec, renderer, target))
    return FoundFiles((), files, staged, frozenset(matched), figures)


def _find_differences(
    footers: Sequence[Footer],
    columns: Sequence[Column],
    matched: Mapping[str, str],
    renderer: Renderer,
) -> list[str]:
    """The columns that are called otherwise, or whose values would have to be converted, each with
    the first such file.
    """
    dialect = renderer.dialect
    names, first = frozenset(matched.values()), footers[0].schema.names
    by_column = {
        name: f"`{name}` is `{found}` in the files, and Parquet is read by the names of the table"
        for name, found in matched.items()
        if name != found
    }
    by_file: dict[str, str] = {}
    for footer in footers:
        present = footer.schema.names
        for column in columns:
            if column.name in by_column:
                continue
            if problem := _compare(column, footer, dialect.parquet_types):
                by_column.setdefault(column.name, f"`{column.name}`: {problem} in {footer.uri}")
        if extra := [name for name in present if name not in names]:
            shown = ", ".join(extra[:_SHOWN])
            by_file.setdefault("extra", f"{footer.uri} has other columns: {shown}")
        elif dialect.copies_by_position and present != first:
            problem = f"has its columns in another order than {footers[0].uri}"
            by_file.setdefault("order", f"{footer.uri} {problem}")
    return [*by_column.values(), *by_file.values()]


def _compare(column: Column, footer: Footer, physical: Mapping[str, str]) -> str | None:
    """How a column in a file differs from the one in the table, if it does."""
    name = column.data_type.name
    if column.name not in footer.schema.names:
        return "it is missing"
    if name not in _TYPES:
        return f"{column.data_type} values have to be converted"
    found, wanted = footer.schema.field(column.name).type, arrow_type(column.data_type)
    if found != wanted:
        return f"it is {found}, and has to be {wanted} for {column.data_type}"
    in_file = footer.columns[column.name]
    if name in _DATED and in_file.unrepresentable:
        return "it has values outside of the years 1 to 9999"
    if name in _DATED and footer.rows and in_file.extremes is None:
        return "no statistics say that its values are in the years 1 to 9999"
    if physical.get(name, in_file.physical_type) != in_file.physical_type:
        return (
            f"it is stored as {in_file.physical_type}, and COPY reads {physical[name]} for {name}"
        )
    return None


def _read_figures(
    footers: Sequence[Footer],
    columns: Sequence[Column],
    spec: TableSpec,
    renderer: Renderer,
    target: Target,
) -> Iterator[tuple[Figure, Value]]:
    """The figures of all rows that the footers have."""
    for figure in compared_figures(spec, renderer, target, columns):
        in_files = [footer.columns[figure.column] for footer in footers]
        if figure.kind == "nulls":
            counts = [one.nulls for one in in_files if one.nulls is not None]
            if len(counts) == len(in_files):
                yield figure, sum(counts)
        elif figure.kind in ("minimum", "maximum") and figure.data_type.name in _WITH_EXTREMES:
            extremes = [one.extremes for one in in_files if one.extremes is not None]
            if len(extremes) == len(in_files):
                yield figure, _reduce(figure, list(chain.from_iterable(extremes)))


def _reduce(figure: Figure, values: Sequence[object]) -> Value:
    """The extreme of the extremes of files."""
    if not values:
        return None
    collector = FigureCollector([figure])
    array = pa.array(values, arrow_type(figure.data_type))
    collector.add(pa.RecordBatch.from_arrays([array], names=[figure.column]))
    return collector.values[figure]
