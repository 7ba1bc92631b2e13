"""Rules for `from` of columns: what a source of values goes with."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from loader.errors import Loc, Problem
from loader.spec.column_names import list_names
from loader.spec.column_source import MAX_LOAD_ID, ColumnSource
from loader.spec.model import Column, TableSpec
from loader.spec.path_keys import format_of, keys_of
from loader.spec.typed_values import Scalar, typed_constant
from loader.sql import time_formats
from loader.sql.datatypes import DataType

_NOT_IN_PATHS = ("super", "varbyte", "geometry", "geography", "hllsketch")
_NO_CONSTANTS = (*_NOT_IN_PATHS, "timetz", "interval year to month", "interval day to second")
"""Types that have no plain values."""


def column_source_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of `from`, for each column that has it."""
    for at, column in enumerate(spec.columns):
        source = column.from_
        if source is None:
            continue
        loc = ("columns", at, "from")
        if column.identity is not None:
            yield Problem("an identity column is filled by the warehouse", loc, "remove `from`")
            continue
        if column.name in spec.source.columns:
            yield Problem(
                f"both this and source.columns say where `{column.name}` comes from",
                loc,
                f"remove `{column.name}` from source.columns",
            )
        yield from _type_problems(column, source, loc)
        if source.kind == "path":
            yield from _path_problems(spec, column, source, loc)
    if spec.source.in_place == "always" and spec.load_columns:
        names = list_names(column.name for column in spec.load_columns)
        yield Problem(
            f"files that are loaded in place have only their own columns, and not {names}",
            ("source", "in_place"),
            "write `in_place: auto` or `never`, so that rows are staged",
        )


def _type_problems(column: Column, source: ColumnSource, loc: Loc) -> Iterator[Problem]:
    kind = column.data_type
    wrong = _TYPES[source.kind](kind) if source.kind in _TYPES else None
    if wrong is not None:
        what, fitting = wrong
        yield Problem(f"{what}, not {kind}", (*loc[:2], "data_type"), f"write data_type: {fitting}")
    elif kind.name in {"path": _NOT_IN_PATHS, "constant": _NO_CONSTANTS}.get(source.kind, ()):
        yield Problem(f"a {source.kind} has no {kind.name} values", loc)
    elif source.kind == "constant":
        assert source.value is not None, "the field has seen to it"
        if wrong_value := _constant_error(source.value, kind):
            yield Problem(wrong_value, (*loc, "constant"))


def _file(kind: DataType) -> tuple[str, str] | None:
    return None if kind.is_text else ("the path of a file is text", "varchar(1024)")


def _file_row(kind: DataType) -> tuple[str, str] | None:
    fits = kind.is_integer or (kind.name == "decimal" and not kind.scale)
    return None if fits else ("the number of a row is a whole number", "bigint")


def _loaded_at(kind: DataType) -> tuple[str, str] | None:
    fits = kind.name in ("timestamp", "timestamptz")
    return None if fits else ("the time of a load is an instant in UTC", "timestamptz")


def _load_id(kind: DataType) -> tuple[str, str] | None:
    fits = kind.name == "varchar" and kind.length >= MAX_LOAD_ID
    return None if fits else (f"a load id is text of up to {MAX_LOAD_ID} bytes", "varchar(128)")


_TYPES: dict[str, Callable[[DataType], tuple[str, str] | None]] = {
    "file": _file,
    "file_row": _file_row,
    "loaded_at": _loaded_at,
    "load_id": _load_id,
}
"""Source → what is wrong with a type, and one that is right."""


def _constant_error(value: Scalar, kind: DataType) -> str | None:
    """Why a constant is no value of a type; None where it is one."""
    try:
        typed_constant(kind, value)
    except ValueError as error:
        return str(error)
    return None


def _path_problems(
    spec: TableSpec, column: Column, source: ColumnSource, loc: Loc
) -> Iterator[Problem]:
    """Find what keeps the files of the spec from having a key in their paths."""
    key = source.name
    for name in spec.source.files:
        try:
            known, (format_, parts) = keys_of(name), format_of(name, key)
        except ValueError:
            continue  # told of the file name itself
        if known is not None and key.casefold() not in map(str.casefold, known):
            close = difflib.get_close_matches(key, known, n=1)
            listed = f"it has {list_names(sorted(known))}" if known else f"write {{{key}}} into it"
            hint = f"did you mean `path.{close[0]}`?" if close else listed
            yield Problem(f"the paths of `{name}` have no `{key}`", loc, hint)
        elif format_ and column.data_type.is_temporal:
            zoned = column.data_type.name == "timestamptz"
            for message, advice in time_formats.problems(format_, zoned=zoned):
                yield Problem(f"{message} (`{key}` in `{name}`)", loc, advice)
        elif format_ and parts > 1:
            yield Problem(
                f"`{name}` has the parts of `{key}` in {parts} places",
                loc,
                "write data_type: date, or have it in one place",
            )
