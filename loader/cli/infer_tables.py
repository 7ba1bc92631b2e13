"""`loader infer -o`: a folder of specs, one for each table that files are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.atomic_write import write_text
from loader.cli.drafts import describe_draft, draft_files
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
    from loader.inference.infer import (  # noqa: PLC0415  # pyarrow is slow to import
        find_tables,
        name_files,
        peek_columns,
        to_yaml,
    )

    found = find_tables(patterns, _find_root(context), lambda file: peek_columns(file, encoding))
    specs = {table.name: spec_file(folder, schema, table.name) for table in found.tables}
    check_free(specs.values(), force=force)
    if found.skipped:
        shown = ", ".join(found.skipped[:_SHOWN]) + (", …" if len(found.skipped) > _SHOWN else "")
        count = format_count(len(found.skipped), "file")
        context.notify(f"left out {count} not named as data: {shown}")
    written: list[dict[str, Any]] = []
    failed: list[str] = []
    for table in found.tables:
        names = name_files(table, found)
        source = {"files": names[0] if len(names) == 1 else names} if names else {}
        try:
            draft = draft_files(
                table.files, schema, table.name, encoding=encoding, sheet=sheet, source=source
            )
        except LoaderError as error:
            told = f"{schema}.{table.name}: {error}".splitlines()
            failed += [f"  {line}" for line in told if line]
            continue
        path = specs[table.name]
        make_folder(path.parent)
        write_text(path, to_yaml(draft.spec, draft.remarks))
        for line in describe_draft(draft):
            context.notify(f"{draft.spec.table}: {line}")
        if not names:
            context.notify(f"{draft.spec.table}: name its files as source: {{files: …}}")
        written.append(_summarize(draft, path, len(table.files)))
    rows = [(one["table"], f"{one['files']:,}", f"{one['rows']:,}", one["spec"]) for one in written]
    lines = [format_table(("table", "files", "rows read", "spec"), rows)] if rows else []
    context.print_result(written, *lines)
    if written:
        context.notify(f"review the specs, then load the tables: loader run {folder / schema}")
    if failed:
        count = format_count(len(found.tables) - len(written), "table")
        head = f"{count} of {len(found.tables):,} could not be inferred:"
        raise LoaderError(
            "\n".join([head, *failed]),
            hint="fix what is told, and infer these tables again",
        )


def _summarize(draft: Draft, path: Path, files: int) -> dict[str, Any]:
    return {
        "table": draft.spec.table,
        "spec": str(path),
        "files": files,
        "rows": draft.rows,
        "complete": draft.complete,
        "notes": list(draft.notes),
    }


def _find_root(context: Context) -> Path:
    """The project's folder; without a project that of the command."""
    start = (context.folder or Path.cwd()).resolve()
    try:
        return read_config(start).root
    except ConfigError:
        return start
