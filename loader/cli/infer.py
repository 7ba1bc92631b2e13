"""The command that drafts a spec."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from loader.cli.framework import Context, common, main
from loader.cli.options import counted
from loader.errors import LoaderError

if TYPE_CHECKING:
    from loader.inference.infer import Remarks
    from loader.spec.model import TableSpec


@main.command()
@click.argument("files", metavar="[FILE...]", nargs=-1)
@click.option("--table", metavar="S.T", help="Instead of files: a table of the target.")
@click.option("--name", metavar="S.T", help="The table's name; default public and the file's.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of CSV and JSON files.")
@common()
def infer(
    context: Context, files: tuple[str, ...], table: str | None, name: str | None, encoding: str
) -> None:
    """Print the spec that files, or a table that is there, suggest: a draft for review.

    FILE is as for load. The types of CSV are guessed of the first million rows, with care: 007 is
    text, and a word such as NA is NULL where all other values of a column are numbers or times.
    What was seen stands in comments, and so do primary keys and partitions that the data allows.
    """
    from loader.inference.infer import declared, to_yaml  # noqa: PLC0415  # pyarrow is slow to import

    if bool(files) == bool(table):
        raise click.UsageError("name either files, or a table with --table")
    drafted = _of_files if files else _of_table
    spec, remarks = drafted(context, files or (table or "",), name, encoding)
    answer = {**declared(spec), "evidence": remarks.to_dict()}
    context.answer(answer, to_yaml(spec, remarks).rstrip("\n"), exact=True)


def _of_files(
    context: Context, files: Sequence[str], name: str | None, encoding: str
) -> tuple[TableSpec, Remarks]:
    from loader.data.files.open import EncodingError  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.inference.infer import infer_files, table_name  # noqa: PLC0415

    block_pandas_import()
    schema, table = _qualified(name or table_name(files[0]) or "")
    stdin = sys.stdin.buffer if "-" in files else None
    try:
        draft = infer_files(files, schema=schema, name=table, encoding=encoding, stdin=stdin)
    except EncodingError as error:
        error.hint = (
            f"say what it is: --encoding {error.encoding}"  # there is no spec yet to say it in
        )
        raise
    rows = counted(draft.rows, "row")
    context.say(f"looked at {rows}" if draft.complete else f"looked at the first {rows} only")
    words = [word for word in draft.spec.source.null_values if word]
    if words:
        context.say(f"read as NULL wherever it stands without quotes: {', '.join(words)}")
    return draft.spec, draft.remarks


def _of_table(
    context: Context, tables: Sequence[str], name: str | None, _: str
) -> tuple[TableSpec, Remarks]:
    from loader.inference.infer import draft_live  # noqa: PLC0415
    from loader.plan.live_table import LiveTable  # noqa: PLC0415

    schema, bare = _qualified(tables[0])
    project = context.project()
    live = project.live(schema, bare, target=context.target)
    if not isinstance(live, LiveTable):
        target = context.target or project.config.target
        told = "table" if live == "absent" else "schema of the table"
        raise LoaderError(f"the target `{target}` has no {told} {schema}.{bare}")
    schema, bare = _qualified(name) if name else (schema.lower(), bare.lower())
    dialect = project.renderer(context.target).dialect
    return draft_live(live, dialect=dialect, schema=schema, name=bare)


def _qualified(name: str) -> tuple[str, str]:
    """Schema and table of a name; without a schema it is public."""
    schema, dot, table = name.partition(".")
    if not dot:
        schema, table = "public", name
    if not schema or not table or "." in table:
        raise click.UsageError(f"`{name}` is no table; write SCHEMA.TABLE" if name else _NAMELESS)
    return schema, table


_NAMELESS = "no table is named after these files; name it with --name SCHEMA.TABLE"
