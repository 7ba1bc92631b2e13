"""`loader infer -o`: a folder of specs, one for each table that files are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.atomic_write import write_text
from loader.cli.framework import Context
from loader.cli.options import format_table
from loader.cli.spec_files import check_free, make_folder, spec_file
from loader.config import read_config
from loader.errors import ConfigError, LoaderError
from loader.text_tables import format_count

if TYPE_CHECKING:
    from loader.inference.infer import Draft

_SHOWN = 5


def infer_tables(
    context: Context,
    patterns: Sequence[str],
    folder: Path,
    schema: str,
    encoding: str,
    sheet: str | None,
    *,
    force: bool,
) -> None:
    """Draft and write the specs of all tables; those that have none are told at the end.

    Raises:
        LoaderError: files would be overwritten, or some tables have no spec.
    """
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.inference.infer import (  # noqa: PLC0415  # pyarrow is slow to import
        find_tables,
        infer_files,
        name_files,
        peek_columns,
        to_yaml,
    )

    block_pandas_import()
    options: dict[str, Any] = {"encoding": encoding}
    if sheet:
        options["sheet"] = int(sheet) if sheet.isdecimal() else sheet
    found = find_tables(patterns, lambda file: peek_columns(file, encoding))
    files = {table.name: spec_file(folder, schema, table.name) for table in found.tables}
    check_free(files.values(), force=force)
    if found.skipped:
        shown = ", ".join(found.skipped[:_SHOWN]) + (", …" if len(found.skipped) > _SHOWN else "")
        count = format_count(len(found.skipped), "file")
        context.notify(f"left out {count} without the name of data: {shown}")
    root = _find_root(context)
    written: list[dict[str, Any]] = []
    failed: list[str] = []
    for table in found.tables:
        named = name_files(table, found, root)
        source = {"files": named[0] if len(named) == 1 else list(named)} if named else {}
        try:
            draft = infer_files(
                table.files, schema=schema, name=table.name, source=source, **options
            )
        except LoaderError as error:
            failed.append(f"{schema}.{table.name}: {error}")
            continue
        file = files[table.name]
        make_folder(file.parent)
        write_text(file, to_yaml(draft.spec, draft.remarks))
        for line in describe_draft(draft):
            context.notify(f"{draft.spec.table}: {line}")
        written.append(
            {
                "table": draft.spec.table,
                "spec": str(file),
                "files": len(table.files),
                "rows": draft.rows,
                "complete": draft.complete,
                "notes": list(draft.notes),
            }
        )
    rows = [(one["table"], f"{one['files']:,}", f"{one['rows']:,}", one["spec"]) for one in written]
    text = format_table(("table", "files", "rows read", "spec"), rows) if rows else ""
    context.print_result(written, *([text] if text else []))
    if failed:
        count = format_count(len(failed), "table")
        told = "\n".join(f"  {line}" for one in failed for line in one.splitlines())
        raise LoaderError(f"{count} of {len(found.tables):,} could not be inferred:\n{told}")


def describe_draft(draft: Draft) -> Iterator[str]:
    """What was found in files beside their types, and what they leave open."""
    source = draft.spec.source
    words = [word for word in source.null_values if word]
    if words:
        yield f"read as NULL where it is not quoted: {', '.join(words)}"
    for key in ("delimiter", "decimal", "date_format", "timestamp_format"):
        if key in source.model_fields_set:
            yield f"read with {key}: {getattr(source, key)}"
    yield from draft.notes


def _find_root(context: Context) -> Path:
    """The project's folder; without a project that of the command."""
    start = (context.folder or Path.cwd()).resolve()
    try:
        return read_config(start).root
    except ConfigError:
        return start
