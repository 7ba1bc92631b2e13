"""Prepares a load of Parquet files in place: compares their footers with the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import pyarrow as pa

from loader.data.cast.arrow_types import arrow_type
from loader.data.cast.match_columns import match_columns
from loader.data.files.footers import Footer, changed_files, read_footers
from loader.data.in_place import InPlace
from loader.errors import ExecuteError, PlanError
from loader.executor.context import TargetContext
from loader.executor.stage import Destination, Ingested, check_not_empty
from loader.plan.figures import Figure, Value
from loader.plan.load_plan import compared_figures
from loader.plan.model import LoadRequest
from loader.spec.model import Column, TableSpec
from loader.staging.figures.collector import FigureCollector
from loader.staging.staged import Staged, StagedFile, write_manifest
from loader.text_tables import format_count

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
"""Types whose minimum and maximum are exact in footers; those of text may be cut short."""

_SHOWN = 5


class NotInPlaceError(PlanError):
    """The files cannot be loaded in place."""


def inspect_files(
    spec: TableSpec,
    files: InPlace,
    request: LoadRequest,
    context: TargetContext,
    destination: Destination,
    order: tuple[str, ...],
) -> Ingested:
    """Read the footers of files, and write the manifest that lists them for COPY.

    Args:
        spec: The table.
        files: The files.
        request: The load.
        context: The target.
        destination: Where the manifest is written.
        order: The live table's columns, where COPY goes by position; empty for a new table.

    Raises:
        NotInPlaceError: they cannot be loaded in place; all reasons are told.
        FrameError: columns are missing or unexpected, or there are no rows and must be some.
        SourceError: a file is not there, or is not Parquet.
        StageError: the manifest cannot be written.
    """
    footers = read_footers(files.files)
    problems = [*_find_obstacles(spec, request), *_find_unreadable(footers, context)]
    matched = match_columns(spec, footers[0].schema.names)
    problems += _find_earlier_names(matched)
    columns = [column for column in spec.input_columns if column.name in matched]
    batch = (column.name for column in spec.batch_columns)
    order = (*(order or tuple(spec.by_name)), *batch)
    problems += _find_differences(footers, columns, context, order)
    if problems:
        raise NotInPlaceError(
            "\n".join(
                [f"the files cannot be loaded into {spec.table} in place", *map(_indent, problems)]
            ),
            hint="load them without --in-place: they are staged then",
        )
    check_not_empty(spec, any(footer.rows for footer in footers))
    figures = dict(_read_figures(footers, columns, spec, context))
    return Ingested(
        _write_manifest(footers, destination, figures),
        frozenset(matched),
        rows_read=sum(footer.rows for footer in footers),
        rows_rejected=0,
        rejects=None,
        reasons=(),
        keys=(),
        footers=tuple(footers),
    )


def check_unchanged(table: str, footers: Sequence[Footer]) -> None:
    """Check that files are what they were when their footers were read.

    Raises:
        ExecuteError: some are not.
    """
    report_changed(table, list(changed_files(footers)))


def report_changed(table: str, changed: Sequence[str]) -> None:
    """Fail if files have changed while they were loaded.

    Args:
        table: The table that was loaded.
        changed: The names of the files that have.

    Raises:
        ExecuteError: there are some.
    """
    if changed:
        names = "".join(f"\n  {name}" for name in changed[:_SHOWN])
        more = f"\n  and {len(changed) - _SHOWN:,} more" if len(changed) > _SHOWN else ""
        raise ExecuteError(
            f"files changed while they were loaded into {table}:{names}{more}\n"
            f"rolled back; {table} is unchanged",
            hint="load them again when nobody writes them",
            rolled_back=True,
        )


def _indent(line: str) -> str:
    return f"  {line}"


def _find_obstacles(spec: TableSpec, request: LoadRequest) -> Iterator[str]:
    """Requests that need the rows themselves."""
    if request.auto:
        yield "`--partition auto` looks for the partitions in the rows: name them"
    if spec.schema_contract.bad_rows == "reject":
        yield "schema_contract: {bad_rows: reject} sets rows aside before they are loaded"
    in_data = [column for column in spec.columns if column.is_in_data]
    if any(spec.name_in_data(column) != column.name for column in in_data):
        yield "`from` or source.columns renames columns, and COPY reads them by their own names"
    for column in spec.load_columns:
        yield f"`{column.name}`: `from: {column.from_}` is not in the files, which COPY reads alone"


def _find_earlier_names(matched: Mapping[str, str]) -> Iterator[str]:
    """Columns that have another name in the files, as `renamed_from` allows."""
    for name, found in matched.items():
        if name.casefold() != found.casefold():
            yield f"`{name}` is `{found}` in the files, and COPY reads columns by their own names"


def _find_unreadable(footers: Sequence[Footer], context: TargetContext) -> Iterator[str]:
    """The files that the warehouse cannot read."""
    reasons: dict[str, list[str]] = {}
    for footer in footers:
        if reason := context.adapter.refuse_in_place(footer.uri):
            reasons.setdefault(reason, []).append(footer.uri)
    for reason, names in reasons.items():
        yield f"{names[0]}{f' and {len(names) - 1:,} more' * (len(names) > 1)}: {reason}"


def _find_differences(
    footers: Sequence[Footer],
    columns: Sequence[Column],
    context: TargetContext,
    order: tuple[str, ...],
) -> list[str]:
    """The columns whose values would have to be converted, each with the first such file."""
    dialect = context.renderer.dialect
    names = {column.name for column in columns}
    by_column: dict[str, str] = {}
    by_file: dict[str, str] = {}
    for footer in footers:
        present = footer.schema.names
        for column in columns:
            if problem := _compare(column, footer, dialect.parquet_types):
                by_column.setdefault(column.name, f"`{column.name}`: {problem} in {footer.uri}")
        if extra := [name for name in present if name not in names]:
            shown = ", ".join(extra[:_SHOWN])
            by_file.setdefault("extra", f"{footer.uri} has other columns: {shown}")
        elif dialect.copies_by_position and present != [name for name in order if name in present]:
            problem = "has its columns in another order than the table"
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
    if physical.get(name, in_file.physical_type) != in_file.physical_type:
        return (
            f"it is stored as {in_file.physical_type}, and COPY reads {physical[name]} for {name}"
        )
    if in_file.nulls and not column.nullable:
        return f"it may not be NULL, and is in {format_count(in_file.nulls, 'row')}"
    return None


def _read_figures(
    footers: Sequence[Footer],
    columns: Sequence[Column],
    spec: TableSpec,
    context: TargetContext,
) -> Iterator[tuple[Figure, Value]]:
    """The figures of all rows that the footers have."""
    nullable = {column.name for column in columns if column.nullable}
    for figure in compared_figures(spec, context.renderer, context.target, columns):
        in_files = [footer.columns[figure.column] for footer in footers]
        if figure.kind == "nulls":
            counts = [one.nulls for one in in_files if one.nulls is not None]
            if len(counts) == len(in_files):
                yield figure, sum(counts)
            elif figure.column not in nullable:
                yield figure, 0
        elif figure.kind in ("minimum", "maximum") and figure.data_type.name in _WITH_EXTREMES:
            extremes = [one.extremes for one in in_files if one.extremes is not None]
            if len(extremes) == len(in_files):
                yield figure, _reduce(figure, list(chain.from_iterable(extremes)))


def _reduce(figure: Figure, values: Sequence[object]) -> Value:
    """The extreme of the extremes of row groups."""
    if not values:
        return None
    collector = FigureCollector([figure])
    array = pa.array(values, arrow_type(figure.data_type))
    collector.add(pa.RecordBatch.from_arrays([array], names=[figure.column]))
    return collector.values[figure]


def _write_manifest(
    footers: Sequence[Footer], destination: Destination, figures: Mapping[Figure, Value]
) -> Staged:
    files = tuple(
        StagedFile(footer.uri, footer.rows, footer.bytes) for footer in footers if footer.rows
    )
    return write_manifest(destination.store, destination.prefix, files, figures)
