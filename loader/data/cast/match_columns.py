"""Matches the columns of the data with those of the table, by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from loader.data.cast.report import format_rows
from loader.errors import FrameError
from loader.spec.column_source import KEYWORDS
from loader.spec.model import Column, TableSpec


def match_columns(spec: TableSpec, present: Sequence[str]) -> dict[str, str]:
    """Map each staged column of the table to its column in the data.

    Names match exactly, or else ignoring case where only one column does. The name that `from` or
    `source.columns` gives is looked up first, then the table's own, then earlier ones: those of
    `renamed_from` that no other column has now. Columns that are not in the data, such as the time
    of the load, match nothing.

    Args:
        spec: The table.
        present: The column names of the data.

    Returns:
        Table column → data column, in the order of the spec.

    Raises:
        FrameError: columns are missing, unexpected or ambiguous; all of them are listed.
    """
    matched: dict[str, str] = {}
    problems: list[tuple[str, str, str]] = []
    for column in spec.input_columns:
        if column.from_ is not None and not column.from_.is_data:
            continue
        found = _find_candidates(spec, column, present)
        if len(found) > 1:
            names = ", ".join(f"`{name}`" for name in found)
            how = ", one of them by renamed_from" if column.renamed_from else ""
            problems.append(("ambiguous", column.name, f"matches {names}{how}"))
        if found and column.identity is None:
            matched[column.name] = found[0]
        elif found and spec.schema_contract.extra_columns == "fail":
            problems.append(("extra", found[0], "is an identity column, which the warehouse fills"))
        elif not found and _is_required(spec, column):
            problems.append(("missing", column.name, _describe_missing(spec, column)))
    problems.extend(_find_extra(spec, present, matched, problems))
    if problems:
        raise _mismatch_error(spec, problems)
    return matched


def _describe_missing(spec: TableSpec, column: Column) -> str:
    name = spec.name_in_data(column)
    return f"{column.data_type}{f', looked for as `{name}`' if name != column.name else ''}"


def _is_required(spec: TableSpec, column: Column) -> bool:
    """Whether the data must have the column, because the warehouse does not fill it in."""
    if column.identity is not None:
        return False
    return column.default is None or column.name in spec.compared_by


def _find_candidates(spec: TableSpec, column: Column, present: Sequence[str]) -> list[str]:
    """The data columns that may belong to a table column; more than one where it is ambiguous."""
    earlier = _earlier_names(spec, column) if column.renamed_from else []
    names = [name for old in earlier for name in _find_name(old, present)]
    for name in dict.fromkeys([spec.name_in_data(column), column.name]):
        if found := _find_name(name, present):
            return list(dict.fromkeys([*found, *names]))
    return names


def _earlier_names(spec: TableSpec, column: Column) -> list[str]:
    """The earlier names of a column that no other column has now."""
    others = [other for other in spec.columns if other.is_in_data and other is not column]
    taken = {*spec.by_name, *map(spec.name_in_data, others)}
    return [name for name in column.renamed_from if name not in taken]


def _find_name(name: str, present: Sequence[str]) -> list[str]:
    """The data columns with a name; those that differ in case only if none has it exactly."""
    if name in present:
        return [name]
    return [other for other in present if other.casefold() == name.casefold()]


def _find_extra(
    spec: TableSpec,
    present: Sequence[str],
    matched: Mapping[str, str],
    problems: Sequence[tuple[str, str, str]],
) -> list[tuple[str, str, str]]:
    """The data columns that no table column matches, as rows of `_mismatch_error`."""
    if spec.schema_contract.extra_columns == "ignore":
        return []
    missing = [name for kind, name, _ in problems if kind == "missing"]
    listed = {name for kind, name, _ in problems if kind == "extra"}
    filled = {column.name: column.from_ for column in spec.load_columns}
    rows = []
    for name in present:
        if name not in matched.values() and name not in listed:
            close = difflib.get_close_matches(name.casefold(), missing, n=1)
            text = f"did you mean `{close[0]}`?" if close else ""
            if name.casefold() in filled:
                text = f"is filled by `from: {filled[name.casefold()]}`"
            if name.casefold() in spec.managed_columns:
                text = "is filled by the load"
            rows.append(("extra", name, text))
    return rows


def _mismatch_error(spec: TableSpec, problems: Sequence[tuple[str, str, str]]) -> FrameError:
    """The error that lists all problems: rows of kind, column name and explanation."""
    order = ("missing", "ambiguous", "extra")
    rows = sorted(problems, key=lambda problem: order.index(problem[0]))
    lines = [f"the data does not match {spec.table}", *format_rows(rows)]
    extra = [name for kind, name, _ in rows if kind == "extra"]
    missing = any(kind == "missing" for kind, _, _ in rows)
    hint = None
    if extra and not missing:
        hint = "schema_contract: {extra_columns: ignore} skips columns that the spec lacks"
    elif mistaken := _find_mistaken(spec, rows):
        hint = (
            f"`from: {mistaken}` names a column of the data; the words for what is not in it are"
            f" {', '.join(KEYWORDS)} and path.<key>"
        )
    elif missing and any(re.fullmatch(r"[-+0-9.,:/ ]*[0-9][-+0-9.,:/ ]*", name) for name in extra):
        hint = "for CSV files without a header, set source: {header: false, names: […]}"
    return FrameError(
        "\n".join(lines),
        hint=hint,
        details=[
            {"column": name, "problem": f"{kind} {text}".strip()} for kind, name, text in rows
        ],
    )


_FOREIGN = ("filename", "_file", "row_number", "rownum", "current_timestamp", "now", "path")
"""What other tools call facts of the load."""


def _find_mistaken(spec: TableSpec, rows: Sequence[tuple[str, str, str]]) -> str | None:
    """A `from` of a missing column that was perhaps meant as a keyword."""
    for kind, name, _ in rows:
        column = spec.by_name.get(name) if kind == "missing" else None
        if (
            column
            and column.from_
            and difflib.get_close_matches(
                column.from_.name.casefold(), [*KEYWORDS, *_FOREIGN], n=1, cutoff=0.75
            )
        ):
            return column.from_.name
    return None
