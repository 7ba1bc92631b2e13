"""`loader run`: loads every selected table from the files that its spec names."""

from __future__ import annotations

import click

from loader.cli.framework import FAILED, OK, Context, common_options, main
from loader.cli.options import (
    ALLOW_SHRINK,
    FULL_REFRESH,
    PARTITION,
    RELOAD,
    parse_partitions,
    select_tables,
    show_run_progress,
)


@main.command()
@select_tables()
@PARTITION
@FULL_REFRESH
@ALLOW_SHRINK
@click.option("--reload", is_flag=True, help=RELOAD)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many tables are loaded at once; default 4.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be loaded, and load nothing.")
@common_options(
    examples=[
        "run",
        "run 'shop/*' --tag tier=gold --dry-run",
        "run --partition 2026-01-01 --jobs 8 --target prod",
    ],
)
def run(
    context: Context,
    select: tuple[str, ...],
    partitions: tuple[str, ...],
    full_refresh: bool,
    allow_shrink: bool,
    reload: bool,
    jobs: int | None,
    dry_run: bool,
) -> int:
    """Load tables from the files or queries that their specs name, several tables at a time.

    SELECT is an asset key, schema.table, a glob, a spec file, or a folder of specs; default all
    tables. Each table is one verified transaction of its own: a table that fails is unchanged, and
    does not stop the others. Of a spec with `load: new` only files are loaded that the ledger does
    not know. A partitioned table is loaded by the partitions of its files or rows, or those that
    --partition names.
    """
    from loader.cli.output.runs import format_plan, format_run, format_table_run  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.executor.run import TableRun  # noqa: PLC0415

    block_pandas_import()
    project = context.project()
    done: list[TableRun] = []

    def on_table(table: TableRun, number: int) -> None:
        done.append(table)
        with end_line(table.table):
            context.notify(f"[{len(done):{len(str(number))}}/{number}] {format_table_run(table)}")

    with show_run_progress(context) as (on_progress, end_line):
        result = project.run(
            select,
            parse_partitions(partitions),
            target=context.target,
            jobs=jobs,
            full_refresh=full_refresh,
            allow_shrink=allow_shrink,
            reload=reload,
            dry_run=dry_run,
            on_table=on_table,
            on_progress=on_progress,
        )
    if result.skipped:
        names = ", ".join(result.skipped)
        context.notify(f"skipped, since their specs name neither files nor a query: {names}")
    shown = format_plan(result, verbose=context.verbose) if dry_run else format_run(result)
    context.print_result(result.to_dict(), shown)
    return OK if result.ok else FAILED
