"""`loader load`, `loader read` and `loader history`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common_options, main, stdout_errors, style
from loader.cli.options import (
    FULL_REFRESH,
    PARTITION,
    format_size,
    format_table,
    open_data,
    parse_partitions,
    show_progress,
)
from loader.escaping import escape_line
from loader.text_tables import format_count

if TYPE_CHECKING:
    from loader.executor.results import LoadResult


@main.command()
@click.argument("select")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@PARTITION
@FULL_REFRESH
@click.option(
    "--in-place",
    is_flag=True,
    help="Have the warehouse read the files from where they lie; no row is staged.",
)
@click.option("--load-id", metavar="ID", help="Skip the load if this id is already in the ledger.")
@common_options()
def load(
    context: Context,
    select: str,
    files: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    in_place: bool,
    load_id: str | None,
) -> None:
    """Load files into a table in one verified transaction.

    FILE is CSV, Parquet, JSON lines or Arrow IPC, compressed or not; a glob; or - for standard
    input.
    """
    project = context.project()
    spec = project.spec(select)
    with show_progress(context) as on_progress:
        result = project.load(
            spec,
            open_data(spec, files, in_place=in_place),
            parse_partitions(partitions),
            target=context.target,
            full_refresh=full_refresh,
            load_id=load_id,
            on_progress=on_progress,
        )
    for warning in result.warnings:
        context.notify(f"{style('warning:', fg='yellow', bold=True, err=True)} {warning}")
    context.print_result(result.to_dict(), _format_result(result))


def _format_result(result: LoadResult) -> str:
    lines = [_format_outcome(result)]
    if result.status == "loaded":
        kept = f", kept in {result.staged}" if result.staged else ""
        how = "staged  "
        if result.in_place:
            how, kept = "in place", f", listed in {result.staged}/manifest.json"
        lines += [
            f"  {how} {format_count(result.files_staged, 'file')},"
            f" {format_size(result.bytes_staged)}{kept}",
            f"  load id  {result.load_id}",
        ]
    if result.columns_added:
        lines.append(f"  columns  added: {', '.join(result.columns_added)}")
    if result.columns_widened:
        lines.append(f"  columns  widened: {', '.join(result.columns_widened)}")
    if result.rows_rejected:
        rejected = format_count(result.rows_rejected, "row")
        lines.append(f"  rejected {rejected}, kept in {result.rejects}")
    return "\n".join(lines)


def _format_outcome(result: LoadResult) -> str:
    where = escape_line(f"{result.table} ({result.slice})" if result.slice else result.table)
    if result.status == "already_loaded":
        rows = format_count(result.rows_loaded, "row")
        return f"{where}: load id `{result.load_id}` is already committed, with {rows}; skipped"
    if result.status == "empty":
        deleted = f"; {result.rows_deleted:,} deleted" if result.rows_deleted else ""
        return f"{where}: no rows to load{deleted}"
    seconds = sum((result.seconds or {}).values())
    action = f"loaded, {result.rows_deleted:,} deleted"
    if result.merge_counts:
        action = f"merged: {result.merge_counts}"
    return (
        f"{where}: {format_count(result.rows_loaded, 'row')} {action},"
        f" {'' if result.statistics else 'counts '}verified and committed in {seconds:.1f} s"
    )


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
@click.option("-o", "--output", metavar="FILE", help="Write a file; its extension sets the format.")
@common_options("csv")
def read(
    context: Context,
    select: str,
    partitions: tuple[str, ...],
    columns: str | None,
    output: str | None,
) -> None:
    """Read a table, or some of its partitions.

    Prints CSV, or JSON lines with --format json.
    """
    from loader.data.export import Plain, write_file, write_stream  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.executor.read import batches_of  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    spec = project.spec(select)
    names = None if columns is None else [n.strip() for n in columns.split(",") if n.strip()]
    reader = project.read(
        spec, list(partitions) or None, columns=names, as_="batches", target=context.target
    )
    batches = batches_of(reader)
    form: Plain = "json" if context.json else "csv"
    if output is None:
        with stdout_errors():
            write_stream(batches, reader.schema, spec, sys.stdout.buffer, form)
        return
    rows = write_file(batches, reader.schema, spec, Path(output), form)
    context.notify(f"{format_count(rows, 'row')} in {output}")


@main.command()
@click.argument("select", required=False)
@click.option(
    "--limit",
    metavar="N",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="The maximum number of loads to show.",
)
@common_options()
def history(context: Context, select: str | None, limit: int) -> None:
    """Show the loads in the ledger, newest first."""
    entries = context.project().history(select, limit, target=context.target)
    data = [entry.to_dict() for entry in entries]
    merges = any(entry.merge_counts for entry in entries)
    rows = [
        (
            f"{entry.loaded_at:%Y-%m-%d %H:%M:%S}",
            entry.table,
            # For a load without rows the ledger does not say whether it replaced anything.
            entry.slice or ("whole table" if entry.rows_loaded else "-"),
            entry.write_disposition,
            f"{entry.rows_loaded:,}",
            *([str(entry.merge_counts or "")] if merges else []),
            format_size(entry.bytes_staged),
            entry.load_id,
        )
        for entry in entries
    ]
    head: tuple[str, ...] = ("loaded (UTC)", "table", "slice", "disposition", "rows")
    head += (*(["merged"] if merges else []), "staged", "load id")
    context.print_result(data, format_table(head, rows) if rows else "no loads in the ledger")
