"""Formats the results of `loader run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from loader.cli.options import format_table
from loader.cli.output.rejects import format_reasons
from loader.errors import LoaderError
from loader.escaping import escape_line
from loader.executor.results import describe_no_new_files
from loader.executor.run import RunResult, TableRun
from loader.text_tables import format_count, format_size

_OUTCOMES = {
    "loaded": "loaded",
    "empty": "no rows",
    "no_new_files": "no new files",
    "failed": "failed",
}


_COUNTED = {
    "loaded": "loaded",
    "empty": "without rows",
    "no_new_files": "without new files",
    "failed": "failed",
}


def format_table_run(table: TableRun) -> str:
    """The outcome of one table, in one line."""
    where, result = escape_line(table.table), table.result
    if table.error is not None:
        return f"{where}: failed: {escape_line(table.error.message.partition(chr(10))[0])}"
    if result is None or result.status == "no_new_files":
        return f"{where}: {describe_no_new_files(result.files_skipped if result else 0)}"
    read = result.files_read
    source = "its query" if read is None else format_count(read, "file")
    rows = format_count(result.rows_loaded, "row")
    return f"{where}: {rows} from {source} in {table.seconds:.1f} s"


def format_run(result: RunResult) -> str:
    """The table of all outcomes, the errors in full, and the totals."""
    merges = any(table.result and table.result.merge_counts for table in result.tables)
    rows = [_row(table, merges=merges) for table in result.tables]
    head = ("table", "outcome", "files", "rows", "deleted", *["merged"] * merges, "seconds")
    lines = [format_table(head, rows), ""]
    lines += [line for table in result.tables for line in _reject_lines(table)]
    lines += [line for table in result.failed for line in _error_lines(table)]
    warnings = [line for table in result.tables for line in _warning_lines(table)]
    return "\n".join([*lines, *warnings, _totals(result)])


def _row(table: TableRun, *, merges: bool) -> tuple[str, ...]:
    outcome, result = _OUTCOMES.get(table.status, table.status), table.result
    files = rows = deleted = merged = ""
    if result is not None and result.status != "no_new_files":
        files = "query" if result.files_read is None else f"{result.files_read:,}"
        rows, deleted = f"{result.rows_loaded:,}", f"{result.rows_deleted:,}"
        merged = str(result.merge_counts or "")
    cells = (table.table, outcome, files, rows, deleted, *[merged] * merges)
    return (*cells, f"{table.seconds:.1f}")


def _reject_lines(table: TableRun) -> Iterator[str]:
    result = table.result
    if result is not None and result.rows_rejected:
        rejected = format_count(result.rows_rejected, "row")
        yield f"{escape_line(table.table)} rejected {rejected}, kept in {result.rejects}:"
        yield from (f"  {line}" for line in format_reasons(result.reject_reasons))
        yield ""


def _error_lines(table: TableRun) -> Iterator[str]:
    assert isinstance(table.error, LoaderError)
    yield f"{escape_line(table.table)} failed:"
    yield from (f"  {line}" for line in table.error.message.splitlines())
    if table.error.hint:
        yield f"  hint: {table.error.hint}"
    yield ""


def _warning_lines(table: TableRun) -> Iterator[str]:
    for warning in table.result.warnings if table.result else ():
        yield f"{escape_line(table.table)} warns:"
        yield from (f"  {escape_line(line)}" for line in warning.splitlines())
        yield ""


def _totals(result: RunResult) -> str:
    counts = Counter(table.status for table in result.tables)
    words = ", ".join(
        f"{counts[status]:,} {word}" for status, word in _COUNTED.items() if counts[status]
    )
    rows = format_count(result.rows_loaded, "row")
    tables = format_count(len(result.tables), "table")
    return f"{tables}: {words}; {rows} loaded in {result.seconds:.1f} s"


def format_plan(result: RunResult, *, verbose: bool = False) -> str:
    """What a run would load: files and partitions of each table; all names with `verbose`."""
    lines: list[str] = []
    for table in result.tables:
        lines += _plan_lines(table, verbose=verbose)
    files = sum(len(table.files) for table in result.tables)
    tables = format_count(sum(table.status == "planned" for table in result.tables), "table")
    return "\n".join([*lines, f"would load {format_count(files, 'file')} into {tables}"])


def _plan_lines(table: TableRun, *, verbose: bool) -> Iterator[str]:
    where = escape_line(table.table)
    if table.error is not None:
        yield from list(_error_lines(table))[:-1]
    elif not table.files and table.status == "planned":
        yield f"{where}: its query{f' into {escape_line(table.slice)}' if table.slice else ''}"
    elif not table.files:
        yield f"{where}: {describe_no_new_files(table.files_skipped)}"
    else:
        files = format_count(len(table.files), "file")
        into = f" into {escape_line(table.slice)}" if table.slice else ""
        before = f"; {table.files_skipped:,} loaded before" if table.files_skipped else ""
        yield f"{where}: {files}, {format_size(table.bytes)}{into}{before}"
        shown = table.files if verbose else table.files[:3]
        yield from (f"  {escape_line(name)}" for name in shown)
        if len(table.files) > len(shown):
            yield f"  … {len(table.files) - len(shown):,} more; -v lists them"
    yield from (f"  warning: {escape_line(note)}" for note in table.notes)
