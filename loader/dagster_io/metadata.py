"""Dagster metadata of loads: numbers that Dagster plots, columns, and the executed SQL."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg

from loader.dagster_io.columns import table_schema
from loader.errors import ExecuteError, LoaderError
from loader.escaping import escape_invisible, escape_markdown, fence_code
from loader.executor.check_results import format_value
from loader.executor.results import CheckResult, LoadResult
from loader.plan.figures import Kind, Statistics
from loader.plan.model import Plan
from loader.redaction import KNOWN
from loader.spec.model import TableSpec
from loader.warehouse.adapter import DatabaseInfo

Metadata = dict[str, Any]

_MAX_SQL = 200_000
"""Maximum characters of SQL in the metadata of one run, for all its partitions together."""

_MIN_SQL = 4_000
"""Characters of SQL that each partition shows at least."""

_MAX_ROWS = 100

SPEC = "loader/spec"
"""The metadata of an asset that names the file of its table spec."""

DRY_RUN = "dry run: nothing was written"
"""The metadata `status` of a dry run."""


def table_metadata(
    spec: TableSpec, place: DatabaseInfo, source: tuple[Path, int] | None
) -> Metadata:
    """The metadata of a table that every load has; ``source`` is the spec's file and line."""
    found: Metadata = {
        "dagster/column_schema": table_schema(spec),
        "dagster/table_name": f"{place.database}.{spec.table}",
        "dagster/uri": f"{place.uri}/{spec.schema_name}/{spec.name}",
    }
    if source is not None:
        found["dagster/code_references"] = code_reference(*source)
    return found


def code_reference(path: Path, line: int) -> dg.CodeReferencesMetadataValue:
    """A link to the file and line of a spec."""
    with warnings.catch_warnings():
        # Code references are still in beta, and each one raises a warning.
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(
            file_path=str(path.resolve()), line_number=line, label="table spec"
        )
        return dg.CodeReferencesMetadataValue(code_references=[reference])


def load_metadata(result: LoadResult, partitions: int = 1) -> Metadata:
    """The metadata of a load; with several partitions each of them gets all of it."""
    found: Metadata = {
        "status": result.status,
        "load_id": result.load_id,
        "slice": result.slice or "the whole table",
        "rows_loaded": result.rows_loaded,
    }
    if result.files_read is not None:
        found |= {"files_read": result.files_read, "files_skipped": result.files_skipped}
    if result.status in ("no_new_files", "already_loaded"):
        return found  # nothing was done; an earlier attempt has reported its own numbers
    found |= {
        "rows_read": result.rows_read,
        "rows_rejected": result.rows_rejected,
        "rows_deleted": result.rows_deleted,
        "bytes_staged": result.bytes_staged,
        "files_staged": result.files_staged,
    }
    if result.merge_counts:
        found |= asdict(result.merge_counts)
    for name in ("columns_added", "columns_widened"):
        if columns := getattr(result, name):
            found[name] = dg.MetadataValue.json(list(columns))
    for phase, seconds in (result.seconds or {}).items():
        found[f"{phase}_seconds"] = round(seconds, 3)
    if result.statistics:
        found["column_statistics"] = column_statistics(result.statistics)
    places = {"rejects": result.rejects, "staged": result.staged}
    found |= {name: place for name, place in places.items() if place}
    if result.reject_reasons:
        reasons = [dict(reason) for reason in result.reject_reasons]
        found["reject_reasons"] = table_value(reasons, most=len(reasons))
    if result.checks:
        found["checks"] = check_table(result.checks)
    if result.warnings:
        found["warnings"] = dg.MetadataValue.md(
            "\n".join(f"- {escape_markdown(KNOWN.hide(text))}" for text in result.warnings)
        )
    if result.plan is not None:
        found["sql"] = format_sql(result.plan, _MAX_SQL // partitions)
    return found


def check_table(results: Sequence[CheckResult]) -> dg.TableMetadataValue:
    """What each check of a load measured before COMMIT."""
    rows: list[Mapping[str, str | int]] = [
        {
            "check": result.check.label,
            "must be": result.check.expectation,
            "is": format_value(result),
            "result": "passed" if result.holds else result.check.severity,
        }
        for result in results
    ]
    return table_value(rows, most=len(rows))


def column_statistics(statistics: Statistics) -> dg.TableMetadataValue:
    """NULL count, minimum and maximum of each loaded column, as verified in the warehouse."""
    shown: tuple[Kind, ...] = ("nulls", "minimum", "maximum")
    rows = [
        {"column": column, **{kind: _cell(figures.get(kind)) for kind in shown}}
        for column, figures in statistics.items()
    ]
    return table_value(rows, most=len(rows))


def _cell(value: str | float | None) -> str | int:
    return value if isinstance(value, str | int) else "" if value is None else repr(value)


def plan_metadata(plan: Plan) -> Metadata:
    """The metadata of a dry run."""
    found: Metadata = {
        "status": DRY_RUN,
        "slice": plan.slice_text or "the whole table",
        "sql": format_sql(plan),
    }
    return found if plan.rows is None else {**found, "rows_read": plan.rows}


def format_sql(plan: Plan, most: int = _MAX_SQL) -> dg.MarkdownMetadataValue:
    """Format the SQL of a plan as Markdown, shortened to `most` characters."""
    script, most = KNOWN.hide(plan.sql), max(most, _MIN_SQL)
    if len(script) > most:
        script = f"{script[:most]}\n-- and {len(script) - most:,} characters more"
    return dg.MetadataValue.md(fence_code(script))


def failure(error: LoaderError) -> dg.Failure:
    """A `Failure` without retries for a permanent error, with a table of its details."""
    error.hint = _in_words_of_dagster(error.hint)
    found: Metadata = {"error": type(error).__name__}
    if error.hint:
        found["next_step"] = error.hint
    if error.details:
        found["problems"] = table_value(error.details)
    if isinstance(error, ExecuteError) and error.statement:
        found["statement"] = dg.MetadataValue.md(fence_code(error.statement))
    return dg.Failure(description=escape_invisible(str(error)), metadata=found, allow_retries=False)


_WORDS = (
    (r"load it first: loader load .* FILE", "materialize it first"),
    (r"name the partitions with --partition", "give the asset partitions_def"),
    (r", or pipe one: `unzip .*`", ""),
    (r"--full-refresh", "full_refresh: true on the output, in the run config"),
    (r"--allow-shrink", "allow_shrink: true on the output, in the run config"),
    (
        r"name the partitions of these rows too, or load with the partition `auto`",
        "return rows of the run's partitions only, or run the partitions of these rows too",
    ),
    (r"`database` of the target in the project's settings", "`database`"),
    (r"the target's `staging`", "where files are staged: `bucket_name` and `prefix`, or `staging`"),
)
"""What hints say of the command line, and what one does in Dagster."""


def _in_words_of_dagster(hint: str | None) -> str | None:
    for pattern, words in _WORDS if hint else ():
        hint = re.sub(pattern, words, str(hint))
    return hint


def table_value(
    rows: Sequence[Mapping[str, str | int]], most: int = _MAX_ROWS
) -> dg.TableMetadataValue:
    """The first `most` rows as a table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    records = [dg.TableRecord({name: row.get(name, "") for name in names}) for row in rows]
    columns = [dg.TableColumn(name, "text") for name in names]
    return dg.MetadataValue.table(records[:most], schema=dg.TableSchema(columns))
