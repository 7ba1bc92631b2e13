"""Rules between the checks and guards of a spec, its columns and their types."""

from __future__ import annotations

from collections.abc import Iterator

from loader.errors import Loc, Problem
from loader.spec.checks import Check
from loader.spec.column_names import check_column
from loader.spec.model import Column, TableSpec
from loader.spec.typed_values import typed_bound, typed_value
from loader.sql.dialects.redshift import KEY_TYPES, NOT_COMPARABLE

_ENDS = ("minimum", "maximum")


def check_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of the checks and the guards."""
    for at, check in enumerate(spec.checks):
        loc = ("checks", at)
        if check.column is not None:
            yield from check_column(spec, check.column, (*loc, "column"))
        for position, name in enumerate(check.columns):
            yield from check_column(spec, name, (*loc, "columns", position))
        low, high = check.bound[0], check.bound[-1]
        if low > high:
            yield Problem("the range is empty", (*loc, check.operator))
        column = spec.by_name.get(check.column) if check.column else None
        if column is not None:
            yield from _type_fits(check, column, loc)
            yield from _values_fit(check, column, loc)
    guards = spec.guards
    if "severity" in guards.model_fields_set and guards.slice_shrinks_by is None:
        yield Problem(
            "has no effect without slice_shrinks_by", ("guards", "severity"), "add slice_shrinks_by"
        )


def _type_fits(check: Check, column: Column, loc: Loc) -> Iterator[Problem]:
    """Whether the metric can be measured of a column of this type."""
    kind = column.data_type
    where = (*loc, "column")
    of = f"`{column.name}` is {kind}"
    if check.metric in ("minimum", "maximum") and not _is_number(column):
        yield Problem(
            f"{of}, but a {check.metric} is compared with a number",
            where,
            "use invalid_values with `minimum` and `maximum` for dates and times",
        )
    elif check.metric == "freshness" and not kind.is_temporal:
        yield Problem(f"{of}; freshness is of a date, timestamp or timestamptz", where)
    elif check.metric == "duplicate_values" and kind.name in NOT_COMPARABLE:
        yield Problem(f"values of {kind.name} cannot be compared", where)
    elif check.pattern is not None and not kind.is_text:
        yield Problem(f"{of}; a pattern is for char and varchar", (*loc, "pattern"))
    elif check.references is not None and kind.name not in KEY_TYPES:
        yield Problem(f"values of {kind.name} cannot refer to others", where)


def _is_number(column: Column) -> bool:
    kind = column.data_type
    return kind.is_integer or kind.name in ("decimal", "real", "double precision")


def _values_fit(check: Check, column: Column, loc: Loc) -> Iterator[Problem]:
    """Whether the values that the check names can be values of the column."""
    for at, value in enumerate(check.valid_values):
        try:
            typed_value(column.data_type, value)
        except ValueError as error:
            yield Problem(str(error), (*loc, "valid_values", at), _is_of(column))
    if check.missing_values and not column.data_type.is_text:
        message = f"`{column.name}` is {column.data_type}, so no word means NULL in it"
        yield Problem(message, (*loc, "missing_values"), "use null_values")
    ends = []
    for end in _ENDS:
        value = getattr(check, end)
        if value is None:
            continue
        try:
            ends.append(typed_bound(column.data_type, value))
        except ValueError as error:
            yield Problem(str(error), (*loc, end), _is_of(column))
    if len(ends) == len(_ENDS) and ends[0] > ends[1]:  # type: ignore[operator]  # of one type
        yield Problem("the range is empty", (*loc, "minimum"))


def _is_of(column: Column) -> str:
    return f"the column `{column.name}` is {column.data_type}"
