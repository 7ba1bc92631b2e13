"""`loader load`, `loader read` and `loader history`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common_options, main, stdout_errors, style
from loader.cli.options import (
    ALLOW_SHRINK,
    FULL_REFRESH,
    PARTITION,
    RELOAD,
    format_table,
    parse_partitions,
    select_tables,
    show_progress,
)
from loader.cli.output.rejects import format_reasons
from loader.text_tables import format_count, format_size

if TYPE_CHECKING:
    from loader.executor.results import LoadResult
    from loader.project import Project
    from loader.spec.model import TableSpec
    from loader.spec.partitions import Request


@main.command()
@click.argument("select")
@click.argument("files", metavar="[FILE...]", nargs=-1)
@click.option("--query", metavar="SQL", help="A SELECT on another database, instead of files.")
@click.option(
    "--connection",
    metavar="NAME",
    help="Its database: a name of the settings, or a URL; default that of the spec.",
)
@PARTITION
@FULL_REFRESH
@ALLOW_SHRINK
@click.option(
    "--in-place",
    is_flag=True,
    help="Have the warehouse read Parquet files from where they lie; no row is staged.",
)
@click.option("--reload", is_flag=True, help=RELOAD)
@click.option("--load-id", metavar="ID", help="Skip the load if this id is already in the ledger.")
@common_options(
    examples=[
        "load shop/orders data/orders.csv --partition auto",
        "load shop/orders 'data/*.parquet' --partition 2026-01-01..2026-01-31",
        "load shop/orders 's3://bucket/orders/*.parquet' --full-refresh --load-id orders-1",
        "load shop/orders - --partition 2026-01-01 < orders.csv",
        "load shop/orders --query 'SELECT * FROM orders' --connection crm --partition auto",
    ],
)
def load(
    context: Context,
    select: str,
    files: tuple[str, ...],
    query: str | None,
    connection: str | None,
    partitions: tuple[str, ...],
    full_refresh: bool,
    allow_shrink: bool,
    in_place: bool,
    reload: bool,
    load_id: str | None,
) -> None:
    """Load files or the rows of a query into a table in one verified transaction.

    FILE is CSV, Parquet, JSON, Excel or Arrow IPC, compressed or not; a zip archive; a glob; or -
    for standard input. Default are the files or the query of the spec's source; in a query,
    :start and :end are the window of --partition.
    """
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    spec = project.spec(select)
    partition = parse_partitions(partitions)
    if (query or connection) and (files or in_place or reload):
        raise click.UsageError("name either files, or a query with --query and --connection")
    with show_progress(context) as on_progress:
        result = project.load(
            spec,
            _open_query(project, spec, partition, query, connection)
            if query or connection or (spec.source.query and not files)
            else _open_files(project, spec, files, in_place=in_place, reload=reload),
            partition,
            target=context.target,
            full_refresh=full_refresh,
            allow_shrink=allow_shrink,
            load_id=load_id,
            on_progress=on_progress,
        )
    for warning in result.warnings:
        context.notify(f"{style('warning:', fg='yellow', bold=True, err=True)} {warning}")
    context.print_result(result.to_dict(), _format_result(result))


def _open_query(
    project: Project,
    spec: TableSpec,
    partition: Request | None,
    query: str | None,
    connection: str | None,
) -> object:
    """The rows of a query: the given one, or that of the spec."""
    if query is None and spec.source.query is None:
        raise click.UsageError("--connection is for a --query, or for the query of the spec")
    return project.open_query(spec, partition, query=query, connection=connection)


def _open_files(
    project: Project, spec: TableSpec, files: Sequence[str], *, in_place: bool, reload: bool
) -> object:
    """The data of a load: the given files, standard input, or the files of the spec."""
    from loader.data.in_place import open_source  # noqa: PLC0415
    from loader.data.source_files import SourceFiles  # noqa: PLC0415

    if not files:
        if not spec.source.files:
            name = f"the spec of {spec.asset_key} has no source: {{files: …}}, and no query"
            raise click.UsageError(f"Missing argument 'FILE...' or --query: {name}")
        return project.source(spec, reload=reload, in_place=in_place)
    if reload:
        raise click.UsageError("--reload is for the files of the spec; FILE is always loaded")
    if "-" in files:
        return open_source(files, spec.source, sys.stdin.buffer, in_place=in_place)
    return SourceFiles(tuple(files), in_place=in_place)


def _format_result(result: LoadResult) -> str:
    lines = [result.outcome]
    if result.status == "loaded":
        kept = f", kept in {result.staged}" if result.staged else ""
        how = "in place" if result.in_place else "staged  "
        lines += [
            f"  {how} {format_count(result.files_staged, 'file')},"
            f" {format_size(result.bytes_staged)}{kept}",
            f"  load id  {result.load_id}",
        ]
    if result.files_skipped and result.status != "no_new_files":
        lines.append(f"  skipped  {format_count(result.files_skipped, 'file')} loaded before")
    if result.columns_added:
        lines.append(f"  columns  added: {', '.join(result.columns_added)}")
    if result.columns_widened:
        lines.append(f"  columns  widened: {', '.join(result.columns_widened)}")
    if result.rows_rejected:
        rejected = format_count(result.rows_rejected, "row")
        lines.append(f"  rejected {rejected}, kept in {result.rejects}")
        lines += [f"    {line}" for line in format_reasons(result.reject_reasons)]
    return "\n".join(lines)


@main.command()
@click.argument("select")
@click.option(
    "--partition",
    "partitions",
    metavar="P",
    multiple=True,
    help="A key, A..B or DIM=KEY; default all.",
)
@click.option("--columns", metavar="A,B", help="The columns to read, in this order; default all.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    help="The maximum number of rows, any of them.",
)
@click.option("--where", metavar="SQL", help="A condition for the rows, such as 'amount > 10'.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write a file of the format that its end says: .csv, .jsonl, .parquet or .arrow.",
)
@common_options(
    "csv",
    examples=[
        "read shop/orders --partition 2026-01-01",
        "read shop/orders --columns order_id,amount --where 'amount > 10' --limit 10",
        "read shop/orders -o orders.parquet",
    ],
)
def read(
    context: Context,
    select: str,
    partitions: tuple[str, ...],
    columns: str | None,
    limit: int | None,
    where: str | None,
    output: str | None,
) -> None:
    """Read a table, or some of its partitions.

    Prints CSV, or JSON lines with --format json.
    """
    from loader.data.export import (  # noqa: PLC0415
        Plain,
        format_of_file,
        write_file,
        write_stream,
    )
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.executor.read import batches_of  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    spec = project.spec(select)
    form: Plain | None = "json" if context.json else "csv" if context.form == "csv" else None
    if output is not None:
        format_of_file(Path(output), form)  # before the warehouse is asked
    names = None if columns is None else [n.strip() for n in columns.split(",") if n.strip()]
    reader = project.read(
        spec,
        list(partitions) or None,
        columns=names,
        limit=limit,
        where=where,
        as_="batches",
        target=context.target,
    )
    batches = batches_of(reader)
    if output is None:
        with stdout_errors():
            write_stream(batches, reader.schema, spec, sys.stdout.buffer, form or "csv")
        return
    rows = write_file(batches, reader.schema, spec, Path(output), form)
    context.notify(f"{format_count(rows, 'row')} in {output}")


@main.command()
@select_tables()
@click.option(
    "--limit",
    metavar="N",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="The maximum number of loads to show.",
)
@click.option("--files", is_flag=True, help="Show the files of these loads.")
@common_options(
    examples=[
        "history",
        "history shop/orders --limit 5 --format json",
        "history 'shop/*' --files",
    ],
)
def history(context: Context, select: tuple[str, ...], limit: int, files: bool) -> None:
    """Show the loads in the ledger, newest first."""
    if files:
        _print_files(context, select, limit)
        return
    entries = context.project().history(select, limit, target=context.target)
    data = [entry.to_dict() for entry in entries]
    merges = any(entry.merge_counts for entry in entries)
    rejects = any(entry.rows_rejected for entry in entries)
    rows = [
        (
            f"{entry.loaded_at:%Y-%m-%d %H:%M:%S}",
            entry.table,
            # For a load without rows the ledger does not say whether it replaced anything.
            entry.slice or ("whole table" if entry.rows_loaded else "-"),
            entry.write_disposition,
            f"{entry.rows_loaded:,}",
            *([str(entry.merge_counts or "")] if merges else []),
            *([f"{entry.rows_rejected or 0:,}"] if rejects else []),
            format_size(entry.bytes_staged),
            entry.load_id,
        )
        for entry in entries
    ]
    head: tuple[str, ...] = ("loaded (UTC)", "table", "slice", "disposition", "rows")
    head += (*(["merged"] if merges else []), *(["rejected"] if rejects else []))
    head += ("staged", "load id")
    context.print_result(data, format_table(head, rows) if rows else "no loads in the ledger")


def _print_files(context: Context, select: Sequence[str], limit: int) -> None:
    files = context.project().history_files(select, limit, target=context.target)
    rows = [
        (
            f"{file.load.loaded_at:%Y-%m-%d %H:%M:%S}",
            file.load.table,
            file.path,
            format_size(file.bytes),
            file.load.load_id,
            file.replaced_by or "",
        )
        for file in files
    ]
    head = ("loaded (UTC)", "table", "file", "size", "load id", "replaced by load")
    empty = "no files in the ledger"
    context.print_result(
        [file.to_dict() for file in files], format_table(head, rows) if rows else empty
    )
