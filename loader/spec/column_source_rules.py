"""Rules for `from` of columns: what a source of values goes with."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime
from decimal import Decimal

from loader.errors import Loc, Problem
from loader.spec.column_names import list_names
from loader.spec.column_source import MAX_LOAD_ID, ColumnSource, Constant
from loader.spec.model import Column, TableSpec
from loader.spec.path_keys import format_of, keys_of
from loader.sql import time_formats
from loader.sql.datatypes import DataType

_DOCUMENTS = ("super", "varbyte", "geometry", "geography", "hllsketch")
"""Types that have no plain values, as paths and constants are."""


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
        yield from _type_problems(spec, column, source, loc)
        if source.kind == "path":
            yield from _path_problems(spec, column, source, loc)
    if spec.source.in_place == "always" and spec.load_columns:
        names = list_names(column.name for column in spec.load_columns)
        yield Problem(
            f"files that are loaded in place have only their own columns, and not {names}",
            ("source", "in_place"),
            "write `in_place: auto` or `never`, so that rows are staged",
        )


def _type_problems(
    spec: TableSpec, column: Column, source: ColumnSource, loc: Loc
) -> Iterator[Problem]:
    kind = column.data_type
    wrong = _TYPES[source.kind](kind) if source.kind in _TYPES else None
    if wrong is not None:
        what, fitting = wrong
        yield Problem(f"{what}, not {kind}", (*loc[:2], "data_type"), f"write data_type: {fitting}")
    elif source.kind in ("path", "constant") and kind.name in _DOCUMENTS:
        yield Problem(f"a {source.kind} has no {kind.name} values", loc)
    elif source.kind == "constant":
        assert source.value is not None, "the field has seen to it"
        if problem := _constant_problem(source.value, spec, kind):
            yield Problem(problem[0], (*loc, "constant"), problem[1])


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


def _constant_problem(
    value: Constant, spec: TableSpec, kind: DataType
) -> tuple[str, str | None] | None:
    """Why a constant is no value of a type, and what to do; None where it is one.

    A load casts it as any other value, and is the last judge.
    """
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    if kind.is_text and isinstance(value, str):
        size = len(value.encode(errors="replace"))
        too_long = f"`{shown}` has {size} bytes, more than {kind}"
        return (too_long, None) if size > kind.length else None
    if kind.name == "timestamptz" and spec.source.timezone is None and _is_naive(value):
        return f"`{shown}` has no offset from UTC", 'write "2026-12-31 23:59:59Z"'
    if _is_value(value, kind):
        return None
    wanted = next((how for names, how in _WRITTEN if kind.name in names), "put quotes around it")
    return f"`{shown}` is no value of {kind}", wanted


_BITS = {"smallint": 15, "integer": 31, "bigint": 63}
_FRACTIONS = ("decimal", "real", "double precision")
_WRITTEN: tuple[tuple[Collection[str], str], ...] = (
    (("boolean",), "write true or false"),
    (_BITS, "write a whole number in its range, without quotes"),
    (_FRACTIONS, "write a number with its digits, without quotes"),
    (("date",), "write it like 2026-12-31"),
    (("timestamp", "timestamptz"), 'write it like "2026-12-31 23:59:59"'),
)
"""Types, and how their values are written."""


def _is_value(value: Constant, kind: DataType) -> bool:
    if isinstance(value, bool) or kind.name == "boolean":
        return isinstance(value, bool) and kind.name == "boolean"
    match kind.name, value:
        case "smallint" | "integer" | "bigint", int():
            half = 1 << _BITS[kind.name]
            return -half <= value < half
        case "decimal", int() | Decimal():
            return _fits(Decimal(value), kind)
        case "real" | "double precision", int() | Decimal():
            return True
        case "date", str():
            return _parse_iso(value, date) is not None
        case "timestamp", str():
            return _is_naive(value)
        case "timestamptz", str():
            return _parse_iso(value, datetime) is not None
        case _, str():
            return kind.name not in (*_BITS, *_FRACTIONS)
    return False


def _fits(value: Decimal, kind: DataType) -> bool:
    _, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int), "the field has seen to it"
    return -exponent <= kind.scale and len(digits) + exponent <= kind.precision - kind.scale


def _is_naive(value: Constant) -> bool:
    """Whether a constant is a date or time without an offset."""
    found = _parse_iso(value, datetime) if isinstance(value, str) else None
    return isinstance(found, datetime) and found.tzinfo is None


def _parse_iso(text: str, kind: type[date]) -> date | None:
    try:
        return kind.fromisoformat(text) if "-" in text else None
    except ValueError:
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
