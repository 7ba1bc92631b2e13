"""Commands that move rows: load, read, and the history of loads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, answering, common, main, style
from loader.cli.options import (
    FULL_REFRESH,
    PARTITION,
    counted,
    megabytes,
    open_data,
    partition_request,
    progress,
    tabulated,
)
from loader.escaping import one_line

if TYPE_CHECKING:
    from loader.executor.results import LoadResult


@main.command()
@click.argument("select")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@PARTITION
@FULL_REFRESH
@click.option("--load-id", metavar="ID", help="A load whose id is in the ledger is not done again.")
@common()
def load(
    context: Context,
    select: str,
    files: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    load_id: str | None,
) -> None:
    """Load files into a table, in one verified transaction.

    FILE is CSV, Parquet, JSON lines or Arrow IPC, compressed or not; a glob; or - for standard
    input.
    """
    project = context.project()
    spec = project.spec(select)
    with progress(context) as on_progress:
        result = project.load(
            spec,
            open_data(spec, files),
            partition_request(partitions),
            target=context.target,
            full_refresh=full_refresh,
            load_id=load_id,
            on_progress=on_progress,
        )
    for warning in result.warnings:
        context.say(f"{style('warning:', fg='yellow', bold=True, err=True)} {warning}")
    context.answer(result.to_dict(), _told(result))


def _told(result: LoadResult) -> str:
    lines = [_outcome(result)]
    if result.status == "loaded":
        kept = f", kept in {result.staged}" if result.staged else ""
        lines += [
            f"  staged   {counted(result.files_staged, 'file')},"
            f" {megabytes(result.bytes_staged)}{kept}",
            f"  load id  {result.load_id}",
        ]
    if result.columns_added:
        lines.append(f"  columns  added: {', '.join(result.columns_added)}")
    if result.columns_widened:
        lines.append(f"  columns  widened: {', '.join(result.columns_widened)}")
    if result.rows_rejected:
        lines.append(f"  rejected {counted(result.rows_rejected, 'row')}, kept in {result.rejects}")
    return "\n".join(lines)


def _outcome(result: LoadResult) -> str:
    where = one_line(f"{result.table} ({result.slice})" if result.slice else result.table)
    if result.status == "already_loaded":
        rows = counted(result.rows_loaded, "row")
        return f"{where}: load id `{result.load_id}` is already committed, with {rows}; skipped"
    if result.status == "empty":
        deleted = f"; {result.rows_deleted:,} deleted" if result.rows_deleted else ""
        return f"{where}: no rows to load{deleted}"
    seconds = sum((result.seconds or {}).values())
    did = f"loaded, {result.rows_deleted:,} deleted"
    if result.merge_counts:
        did = f"merged: {result.merge_counts}"
    return (
        f"{where}: {counted(result.rows_loaded, 'row')} {did},"
        f" {'' if result.statistics else 'counts '}verified and committed in {seconds:.1f} s"
    )


@main.command()
@click.argument("select")
@click.option(
    "--partition", "partitions", metavar="P", multiple=True, help="Which partitions; default all."
)
@click.option("--columns", metavar="A,B", help="Which columns, in this order; default all.")
@click.option("-o", "--output", metavar="FILE", help="CSV, Parquet, JSON or Arrow, by suffix.")
@common("csv")
def read(
    context: Context,
    select: str,
    partitions: tuple[str, ...],
    columns: str | None,
    output: str | None,
) -> None:
    """Read a table, or a slice of it: CSV on standard output, JSON lines with --format json."""
    from loader.data.export import Plain, write_file, write_stream  # noqa: PLC0415
    from loader.data.frames import spare_pandas  # noqa: PLC0415
    from loader.executor.read import batches_of  # noqa: PLC0415

    spare_pandas()
    project = context.project()
    spec = project.spec(select)
    names = None if columns is None else [n.strip() for n in columns.split(",") if n.strip()]
    reader = project.read(
        spec, list(partitions) or None, columns=names, as_="batches", target=context.target
    )
    batches = batches_of(reader)
    form: Plain = "json" if context.json else "csv"
    if output is None:
        with answering():
            write_stream(batches, reader.schema, spec, sys.stdout.buffer, form)
        return
    rows = write_file(batches, reader.schema, spec, Path(output), form)
    context.say(f"{counted(rows, 'row')} in {output}")


@main.command()
@click.argument("select", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@common()
def history(context: Context, select: str | None, limit: int) -> None:
    """What was loaded, newest first: the ledger."""
    entries = context.project().history(select, limit, target=context.target)
    data = [entry.to_dict() for entry in entries]
    merges = any(entry.merge_counts for entry in entries)
    rows = [
        (
            f"{entry.loaded_at:%Y-%m-%d %H:%M:%S}",
            entry.table,
            # Of a load without rows the ledger does not tell whether it replaced anything.
            entry.slice or ("whole table" if entry.rows_loaded else "-"),
            entry.write_disposition,
            f"{entry.rows_loaded:,}",
            *([str(entry.merge_counts or "")] if merges else []),
            megabytes(entry.bytes_staged),
            entry.load_id,
        )
        for entry in entries
    ]
    head: tuple[str, ...] = ("loaded (UTC)", "table", "slice", "disposition", "rows")
    head += (*(["merged"] if merges else []), "staged", "load id")
    context.answer(data, tabulated(head, rows) if rows else "nothing was loaded yet")
