"""Rules for histories (`scd2`), and for deletes in change data."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from loader.errors import Loc, Problem
from loader.spec.column_names import check_column, check_repeated, list_names
from loader.spec.filled_columns import TIMES
from loader.spec.model import Column, TableSpec
from loader.spec.scd2 import Scd2
from loader.sql.dialects.redshift import NOT_COMPARABLE
from loader.sql.lexer import SQL_WORDS, columns_in, names_in


def change_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of histories and of deletes."""
    if spec.write_disposition == "scd2":
        yield from _history(spec)
    elif spec.scd2 != Scd2():
        yield Problem(f"has no effect with write_disposition: {spec.write_disposition}", ("scd2",))
    if spec.write_disposition == "merge":
        yield from _soft_delete(spec)
    yield from _deletes(spec)
    yield from _batch_columns(spec)
    yield from _filled(spec)


def _history(spec: TableSpec) -> Iterator[Problem]:
    scd2 = spec.scd2
    if not spec.primary_key:
        yield Problem(
            "scd2 keeps the history of each primary key, but there is none",
            ("write_disposition",),
            "add primary_key",
        )
    for at, name in enumerate(spec.primary_key):
        if name in spec.by_name and spec.by_name[name].identity is not None:
            yield Problem(
                f"the identity column `{name}` is not in the data, and numbers each version",
                ("primary_key", at),
                "name the columns that identify a row",
            )
    if spec.primary_key_constraint == "always":
        yield Problem(
            "a history has several versions of a key, so the table cannot declare it",
            ("primary_key_constraint",),
            "remove it",
        )
    if spec.on_empty == "clear":
        yield Problem(
            "a load without rows leaves a history as it is",
            ("on_empty",),
            "set on_empty: fail, or remove it",
        )
    yield from _effective_at(spec)
    yield from _versions(spec)
    yield from _ignored(spec)
    if scd2.on_absent == "close" and spec.partition_by:
        yield Problem(
            "a partition is no snapshot of the whole table: keys of other partitions would be"
            " closed",
            ("scd2", "on_absent"),
            "remove partition_by, or set on_absent: keep",
        )


def _effective_at(spec: TableSpec) -> Iterator[Problem]:
    name, loc = spec.scd2.effective_at, ("scd2", "effective_at")
    if name is None:
        if "on_late" in spec.scd2.model_fields_set:
            hint = "add effective_at: the time of the load is never late"
            yield Problem("has no effect without effective_at", ("scd2", "on_late"), hint)
        return
    yield from check_column(spec, name, loc)
    column = spec.by_name.get(name)
    if column is None:
        return
    if column.data_type.name not in TIMES:
        yield Problem(
            f"versions begin at a date, timestamp or timestamptz; `{name}` is {column.data_type}",
            loc,
        )
    if column.nullable:
        yield Problem(
            f"the time `{name}` of a version may not be nullable",
            ("columns", spec.columns.index(column), "nullable"),
            "remove `nullable: true`",
        )
    if name in spec.primary_key:
        yield Problem(
            f"`{name}` is part of the key, so each row would be a key of its own",
            loc,
            f"remove `{name}` from primary_key: versions of a key are told apart by it anyway",
        )


def _versions(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of the columns that hold the times of versions."""
    scd2 = spec.scd2
    times = spec.by_name.get(scd2.effective_at or "")
    kinds: tuple[str, ...] = ("timestamp", "timestamptz")
    described, hint = " or ".join(kinds), None
    if times and times.data_type.name in TIMES:
        kinds, described = (str(times.data_type),), f"{times.data_type}, like `{times.name}`"
    elif times is None:
        hint = "add scd2: {effective_at: …} for versions that begin at times of the data"
    for key, allowed, what in (
        ("valid_from", kinds, described),
        ("valid_to", kinds, described),
        ("is_current", ("boolean",), "boolean"),
    ):
        column = spec.by_name.get(getattr(scd2, key))
        if column and column.name not in spec.primary_key and str(column.data_type) not in allowed:
            yield Problem(
                f"the column of `scd2.{key}` is a {what}; `{column.name}` is {column.data_type}",
                _type_loc(spec, column),
                None if key == "is_current" else hint,
            )
    last = spec.by_name.get(scd2.valid_to)
    if last and not last.nullable and last.name not in spec.primary_key:
        yield Problem(
            f"`{last.name}` is NULL in current versions",
            ("columns", spec.columns.index(last), "nullable"),
            "remove `nullable: false`",
        )
    yield from check_repeated((scd2.valid_from, scd2.valid_to, scd2.is_current), "scd2")


def _ignored(spec: TableSpec) -> Iterator[Problem]:
    ignored = spec.scd2.ignore_changes
    for at, name in enumerate(ignored):
        loc = ("scd2", "ignore_changes", at)
        yield from check_column(spec, name, loc)
        if name in (*spec.primary_key, spec.scd2.effective_at):
            yield Problem(f"`{name}` is not compared anyway", loc, "remove it")
    yield from check_repeated(ignored, "scd2", "ignore_changes")
    for at, column in enumerate(spec.columns):
        if column.data_type.name in NOT_COMPARABLE and column.name not in ignored:
            yield Problem(
                f"{column.data_type.name} values cannot be compared: each load would make a new"
                " version of every row",
                ("columns", at, "data_type"),
                f"add `{column.name}` to scd2: {{ignore_changes: […]}}",
            )


def _soft_delete(spec: TableSpec) -> Iterator[Problem]:
    name, loc = spec.merge.soft_delete, ("merge", "soft_delete")
    if name is None:
        return
    if spec.merge.deleted_when is None:
        yield Problem(
            "has no effect without deleted_when", loc, "add deleted_when, such as op = 'D'"
        )
    column = spec.by_name.get(name)
    if column and column.data_type.name not in ("boolean", "timestamp", "timestamptz"):
        yield Problem(
            "rows are marked by a boolean, or by the time of the delete in a timestamp or"
            f" timestamptz; `{name}` is {column.data_type}",
            _type_loc(spec, column),
        )
    if column and column.data_type.name != "boolean" and not column.nullable:
        yield Problem(
            f"`{name}` is NULL in rows that are not deleted",
            ("columns", spec.columns.index(column), "nullable"),
            "remove `nullable: false`",
        )


def _deletes(spec: TableSpec) -> Iterator[Problem]:
    """Find names in the expression that the data does not have."""
    if spec.deleted_when is None:
        return
    loc = (spec.write_disposition, "deleted_when")
    known = [column.name for column in spec.input_columns if column.identity is None]
    words = columns_in(spec.deleted_when)
    named = {name for name in words if name in known or name not in SQL_WORDS}
    for name in sorted(named & spec.managed_columns):
        yield Problem(f"`{name}` is not in the data: the load fills it", loc)
    for name in sorted(named - spec.managed_columns - {*known}):
        close = difflib.get_close_matches(name, known, n=1)
        declare = f"batch_columns: [{{name: {name}, data_type: …}}], if the table does not have it"
        yield Problem(
            f"there is no column `{name}`",
            loc,
            f"did you mean `{close[0]}`?" if close else f"declare it in columns, or as {declare}",
        )
    if not named:
        message = "the expression names no column, so all rows are deletes, or none"
        yield Problem(message, loc, f"columns: {list_names(known)}")


def _batch_columns(spec: TableSpec) -> Iterator[Problem]:
    if spec.batch_columns and spec.deleted_when is None:
        yield Problem(
            "has no effect without deleted_when",
            ("batch_columns",),
            "add `deleted_when` to merge or scd2, or ignore these columns with schema_contract:"
            " {extra_columns: ignore}",
        )
    seen = {column.name: f"columns[{at}]" for at, column in enumerate(spec.columns)}
    for at, column in enumerate(spec.batch_columns):
        if column.name in seen:
            yield Problem(
                f"the column `{column.name}` is already declared at {seen[column.name]}",
                ("batch_columns", at, "name"),
                "a column of the table needs no place here: deleted_when knows it",
            )
        seen.setdefault(column.name, f"batch_columns[{at}]")


def _filled(spec: TableSpec) -> Iterator[Problem]:
    """Find places that need values of the data, and name columns that loads fill."""
    for at, column in enumerate(spec.columns):
        given = {"identity": column.identity, "from": column.from_}
        for key in given if column.name in spec.managed_columns else ():
            if given[key] is not None:
                yield Problem(f"the load fills `{column.name}`", ("columns", at, key), "remove it")
    scd2 = spec.scd2
    places: list[tuple[str | None, Loc]] = [
        *((name, ("primary_key", at)) for at, name in enumerate(spec.primary_key)),
        *((name, ("merge", "order_by", at)) for at, name in enumerate(spec.merge.order_by)),
        *((name, ("source", "columns", name)) for name in spec.source.columns),
        *((name, ("scd2", "ignore_changes", at)) for at, name in enumerate(scd2.ignore_changes)),
        (scd2.effective_at, ("scd2", "effective_at")),
    ]
    for at, entry in enumerate(spec.partition_by):
        places += [(name, ("partition_by", at, "expr")) for name in sorted(names_in(entry.expr))]
    for name, loc in places:
        if name in spec.managed_columns:
            yield Problem(f"`{name}` is not in the data: the load fills it", loc)


def _type_loc(spec: TableSpec, column: Column) -> Loc:
    return ("columns", spec.columns.index(column), "data_type")
