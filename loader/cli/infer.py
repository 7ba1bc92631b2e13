"""`loader infer`: drafts a spec from data files or an existing table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loader.cli.drafts import describe_draft, draft_files
from loader.cli.framework import Context, common_options, main
from loader.cli.infer_tables import infer_tables
from loader.errors import LoaderError
from loader.text_files import is_folder
from loader.text_tables import format_count

if TYPE_CHECKING:
    from loader.inference.infer import Draft, Remarks
    from loader.spec.model import TableSpec


@main.command()
@click.argument("files", metavar="[FILE...]", nargs=-1)
@click.option("--table", metavar="S.T", help="An existing table of the target, instead of files.")
@click.option("--query", metavar="SQL", help="A SELECT on another database, instead of files.")
@click.option(
    "--connection", metavar="NAME", help="Its database: a name of the settings, or a URL."
)
@click.option("--name", metavar="S.T", help="The spec's table; default public and the file name.")
@click.option(
    "--encoding", default="utf-8", show_default=True, help="The encoding of CSV and JSON files."
)
@click.option("--sheet", metavar="NAME", help="The sheet of Excel files, or its number from 1.")
@click.option(
    "-o", "--output", metavar="DIR", help="Write DIR/SCHEMA/TABLE.yml for each table in the files."
)
@click.option("--schema", metavar="NAME", help="With -o: the tables' schema; default public.")
@click.option("--force", is_flag=True, help="With -o: overwrite existing files.")
@common_options(
    examples=[
        "infer data/orders.csv > specs/shop/orders.yml",
        "infer 's3://acme-lake/raw/*' -o specs --schema raw",
        "infer --table shop.orders --target prod",
        "infer --query 'SELECT * FROM orders' --connection crm",
    ],
)
def infer(
    context: Context,
    files: tuple[str, ...],
    table: str | None,
    query: str | None,
    connection: str | None,
    name: str | None,
    encoding: str,
    sheet: str | None,
    output: str | None,
    schema: str | None,
    force: bool,
) -> None:
    """Draft a spec from files, an existing table, or a query on another database.

    FILE is as for load. Column types of CSV are inferred from the first million rows: 007 is text,
    and a word such as NA is NULL in a column whose other values are numbers or times. Comments in
    the draft list the evidence, and possible primary keys and partitions. Review the draft.

    With -o, FILE may also be a folder, or FOLDER/*: files whose names differ only in numbers and
    dates are of one table, and so are those in one folder with the same columns. Each spec names
    its files, which `loader run` loads.
    """
    from loader.inference.infer import declared, to_yaml  # noqa: PLC0415  # pyarrow is slow to import

    if output is not None:
        _check_usage(files, name, output)
        infer_tables(context, files, Path(output), schema or "public", encoding, sheet, force=force)
        return
    if schema or force:
        raise click.UsageError("--schema and --force are for -o; name one table with --name S.T")
    if sum(map(bool, (files, table, query))) != 1:
        raise click.UsageError("name either files, or a table with --table, or a --query")
    if bool(query) != bool(connection):
        raise click.UsageError("a --query needs a --connection, and the other way round")
    if files:
        spec, remarks = _infer_from_files(context, files, name, encoding, sheet)
    elif query and connection:
        spec, remarks = _infer_from_query(context, query, connection, name)
    else:
        spec, remarks = _infer_from_table(context, table or "", name)
    data = {**declared(spec), "evidence": remarks.to_dict()}
    context.print_result(data, to_yaml(spec, remarks).rstrip("\n"), exact=True)


def _check_usage(files: Sequence[str], name: str | None, output: str) -> None:
    if not files or "-" in files:
        raise click.UsageError("-o is for files and folders")
    if name:
        raise click.UsageError("with -o tables are named after their files; name their --schema")
    if output.endswith((".yml", ".yaml")):
        raise click.UsageError(f"-o names a folder; for one spec write > {output}")


def _infer_from_files(
    context: Context, files: Sequence[str], name: str | None, encoding: str, sheet: str | None
) -> tuple[TableSpec, Remarks]:
    from loader.inference.infer import table_name  # noqa: PLC0415

    for file in files:
        if is_folder(Path(file)):
            raise LoaderError(
                f"{file} is a folder",
                hint=f"write a spec for each table in it: loader infer {file} -o specs; or one spec"
                f" for files of the same columns: loader infer '{Path(file) / '*.csv'}'",
            )
    schema, table = _parse_name(name or table_name(files[0]) or "")
    stdin = sys.stdin.buffer if "-" in files else None
    draft = draft_files(files, schema, table, encoding=encoding, sheet=sheet, stdin=stdin)
    _notify_rows(context, draft)
    for line in describe_draft(draft):
        context.notify(line)
    return draft.spec, draft.remarks


def _infer_from_query(
    context: Context, query: str, connection: str, name: str | None
) -> tuple[TableSpec, Remarks]:
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.executor.source_query import open_any_query  # noqa: PLC0415
    from loader.inference.infer import infer_frame  # noqa: PLC0415
    from loader.spec.connections import check_connection  # noqa: PLC0415

    block_pandas_import()
    if name is None:
        raise click.UsageError("a query gives no table name; give one with --name SCHEMA.TABLE")
    schema, table = _parse_name(name)
    source = {"query": query, "connection": connection}
    try:
        check_connection(connection)
    except ValueError:  # it has a password, which is no matter of a spec
        source = {}
    frame = open_any_query(query, connection, context.project().config)
    draft = infer_frame(frame, schema=schema, name=table, source=source)
    _notify_rows(context, draft)
    for note in draft.notes:
        context.notify(note)
    return draft.spec, draft.remarks


def _notify_rows(context: Context, draft: Draft) -> None:
    rows = format_count(draft.rows, "row")
    context.notify(f"read {rows}" if draft.complete else f"read only the first {rows}")


def _infer_from_table(context: Context, named: str, name: str | None) -> tuple[TableSpec, Remarks]:
    from loader.inference.infer import draft_live  # noqa: PLC0415
    from loader.plan.live_table import LiveTable  # noqa: PLC0415

    schema, bare = _parse_name(named)
    project = context.project()
    live = project.live(schema, bare, target=context.target)
    if not isinstance(live, LiveTable):
        target = context.target or project.config.target
        missing = f"table {schema}.{bare}" if live == "absent" else f"schema {schema}"
        raise LoaderError(f"the target `{target}` has no {missing}")
    schema, bare = _parse_name(name) if name else (schema.lower(), bare.lower())
    dialect = project.renderer(context.target).dialect
    return draft_live(live, dialect=dialect, schema=schema, name=bare)


def _parse_name(name: str) -> tuple[str, str]:
    """Split ``schema.table``; the default schema is public."""
    schema, dot, table = name.partition(".")
    if not dot:
        schema, table = "public", name
    if not schema or not table or "." in table:
        wrong = f"`{name}` is not a valid table name; write SCHEMA.TABLE"
        raise click.UsageError(wrong if name else _NAMELESS)
    return schema, table


_NAMELESS = "the file names give no table name; give one with --name SCHEMA.TABLE"
