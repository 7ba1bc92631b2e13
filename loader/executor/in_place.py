"""Prepares a load of Parquet files from where they lie: what their footers prove, and what not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
from loader.staging.staged import MANIFEST, Staged, StagedFile, encode_manifest

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
        order: The live table's columns, where the files' must lie in this order.

    Raises:
        NotInPlaceError: they cannot be loaded in place; all reasons are told.
        FrameError: columns are missing or unexpected, or there are no rows and must be some.
        SourceError: a file is not there, or is not Parquet.
        StageError: the manifest cannot be written.
    """
    footers = read_footers(files.files)
    problems = [*_find_obstacles(spec, request), *_find_unreadable(footers, context)]
    matched = match_columns(spec, footers[0].schema.names)
    columns = [column for column in spec.columns if column.name in matched]
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
        keys=(),
        footers=tuple(footers),
    )


def check_unchanged(table: str, footers: Sequence[Footer]) -> None:
    """Check that files are what they were when their footers were read.

    Raises:
        ExecuteError: some are not.
    """
    changed = list(changed_files(footers))
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
    """What asks for the rows themselves."""
    if request.auto:
        yield "`--partition auto` looks for the partitions in the rows: name them"
    if spec.schema_contract.bad_rows == "reject":
        yield "schema_contract: {bad_rows: reject} writes rows to a file of their own"
    if spec.source.columns:
        yield "source.columns names columns anew, which a copy of the files cannot"


def _find_unreadable(footers: Sequence[Footer], context: TargetContext) -> Iterator[str]:
    """Files that the warehouse does not reach."""
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
) -> Iterator[str]:
    """Columns that are not in the files as the table stores them, each with the first such file."""
    dialect = context.renderer.dialect
    told: set[str] = set()
    for footer in footers:
        schema = footer.schema
        for column in columns:
            problem = _compare(column, schema, footer, dialect.parquet_types)
            if problem and column.name not in told:
                told.add(column.name)
                yield f"`{column.name}`: {problem} in {footer.uri}"
        extra = [name for name in schema.names if name not in {one.name for one in columns}]
        if extra and "" not in told:
            told.add("")
            yield f"{footer.uri} has other columns: {', '.join(extra[:_SHOWN])}"
        wanted = [name for name in order if name in schema.names] if order else schema.names
        if dialect.copies_by_position and wanted != schema.names and not told:
            told.add("")
            yield f"{footer.uri} has its columns in another order than the table"


def _compare(
    column: Column, schema: pa.Schema, footer: Footer, physical: Mapping[str, str]
) -> str | None:
    """How a column in a file differs from the one in the table, if it does."""
    name = column.data_type.name
    if column.name not in schema.names:
        return "it is missing"
    if name not in _TYPES:
        return f"{column.data_type} values have to be converted"
    found, wanted = schema.field(column.name).type, arrow_type(column.data_type)
    if found != wanted:
        return f"it is {found}, and has to be {wanted} for {column.data_type}"
    stored = footer.physical_type(column.name)
    if physical.get(name, stored) != stored:
        return f"it is stored as {stored}, and COPY reads {physical[name]} for {name}"
    nulls = footer.statistics(column.name).nulls
    if nulls and not column.nullable:
        return f"it may not be NULL, and is in {nulls:,} rows"
    return None


def _read_figures(
    footers: Sequence[Footer],
    columns: Sequence[Column],
    spec: TableSpec,
    context: TargetContext,
) -> Iterator[tuple[Figure, Value]]:
    """The figures of the rows that the footers prove."""
    for figure in compared_figures(spec, context.renderer, context.target, columns):
        if figure.kind == "nulls":
            counts = [footer.statistics(figure.column).nulls for footer in footers]
            if None not in counts:
                yield figure, sum(count for count in counts if count is not None)
            elif not spec.by_name[figure.column].nullable:
                yield figure, 0
        elif figure.kind in ("minimum", "maximum") and figure.data_type.name in _WITH_EXTREMES:
            found = [footer.statistics(figure.column).extremes for footer in footers]
            if None not in found:
                yield figure, _reduce(figure, [value for some in found for value in some or ()])


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
    store, key = destination.store, f"{destination.prefix}/{MANIFEST}"
    with store.create(key) as sink:
        sink.write(encode_manifest(files))
    return Staged(store.uri(destination.prefix), store.uri(key), files, figures)
