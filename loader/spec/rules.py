"""Rules between the fields of a table spec, for every dialect at once.

A spec is validated when it is read, so that it does not fail first in production. The Redshift
rules are those of ``r_CREATE_TABLE_NEW``, ``c_Compression_encodings`` and
``copy-usage_notes-copy-from-columnar``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from loader.errors import Loc, Problem
from loader.spec.change_rules import change_problems
from loader.spec.check_rules import check_problems
from loader.spec.column_names import check_column, check_repeated, list_names
from loader.spec.column_source_rules import column_source_problems
from loader.spec.fields import duration_seconds
from loader.spec.model import Column, Merge, TableSpec
from loader.spec.partition_rules import key_problems, partition_problems
from loader.spec.rename_rules import rename_problems
from loader.sql.dialects.redshift import (
    ENCODINGS,
    KEY_TYPES,
    MAX_COLUMNS,
    MAX_COMPOUND_SORT,
    MAX_INTERLEAVED_SORT,
    NOT_IN_JSON,
    NOT_IN_PARQUET,
)

_DIST_WORDS = ("even", "all", "auto")


def problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems between the fields of a spec; each field is valid by itself."""
    yield from _columns(spec)
    yield from rename_problems(spec)
    yield from _keys(spec)
    partitions = list(partition_problems(spec))
    yield from partitions
    yield from _loading(spec)
    yield from change_problems(spec)
    yield from check_problems(spec)
    yield from _dagster(spec)
    if not partitions:  # keys and files are checked once the dimensions are right
        yield from key_problems(spec)


def _columns(spec: TableSpec) -> Iterator[Problem]:
    if len(spec.columns) > MAX_COLUMNS:
        yield Problem(f"Redshift tables have at most {MAX_COLUMNS} columns", ("columns",))
    seen: dict[str, int] = {}
    for at, column in enumerate(spec.columns):
        if column.name in seen:
            first = seen[column.name]
            message = f"the column `{column.name}` is already declared at columns[{first}]"
            yield Problem(message, ("columns", at, "name"))
        seen.setdefault(column.name, at)
        yield from _column(spec, column, ("columns", at))
    if all(column.identity is not None for column in spec.columns):
        yield Problem("every column is an identity: there is nothing to load", ("columns",))
    elif not any(column.is_in_data for column in spec.columns):
        yield Problem("no column is in the data: there is nothing to load", ("columns",))
    yield from column_source_problems(spec)


def _column(spec: TableSpec, column: Column, loc: Loc) -> Iterator[Problem]:
    kind = column.data_type.name
    allowed = ENCODINGS[column.encode] if column.encode else None
    if allowed is not None and kind not in allowed:
        fitting = [name for name, types in ENCODINGS.items() if types is None or kind in types]
        yield Problem(
            f"Redshift has no `{column.encode}` encoding for {kind}",
            (*loc, "encode"),
            f"encodings of {kind}: {', '.join(fitting)}",
        )
    if column.identity is not None:
        if kind not in ("integer", "bigint"):
            yield Problem("an identity column is integer or bigint", (*loc, "data_type"))
        if column.identity[1] == 0:
            yield Problem("the step of an identity may not be 0", (*loc, "identity"))
        if column.default is not None:
            yield Problem("an identity column has no default", (*loc, "default"))
        if column.nullable:
            yield Problem("an identity column is never null", (*loc, "nullable"))
    staged_as = spec.staging.resolve().format
    instead = find_other_format(kind, staged_as)
    if instead and column.identity is None:
        yield Problem(
            f"Redshift cannot load {kind} from {staged_as}",
            (*loc, "data_type"),
            f"set staging: {{format: {instead}}}",
        )


def find_other_format(kind: str, staging: str) -> str | None:
    """The format to stage a type in, by its name, if this format cannot carry it."""
    return {"parquet": NOT_IN_PARQUET, "json": NOT_IN_JSON}.get(staging, {}).get(kind)


def _keys(spec: TableSpec) -> Iterator[Problem]:
    for at, name in enumerate(spec.primary_key):
        loc = ("primary_key", at)
        yield from check_column(spec, name, loc)
        column = spec.by_name.get(name)
        if column and column.nullable:
            yield Problem(
                f"the key column `{name}` may not be nullable",
                ("columns", spec.columns.index(column), "nullable"),
                "remove `nullable: true`, or remove the column from primary_key",
            )
        if column and column.data_type.name not in KEY_TYPES:
            yield Problem(f"a {column.data_type} column cannot be a key", loc)
    yield from check_repeated(spec.primary_key, "primary_key")
    if "primary_key_constraint" in spec.model_fields_set and not spec.primary_key:
        yield Problem(
            "has no effect without primary_key", ("primary_key_constraint",), "add primary_key"
        )
    yield from _dist_and_sort(spec)


def _dist_and_sort(spec: TableSpec) -> Iterator[Problem]:
    if spec.dist is not None and spec.dist not in _DIST_WORDS:
        for found in check_column(spec, spec.dist, ("dist",)):
            words = f"dist is even, all, auto or a column; {found.hint}"
            yield Problem(found.message, found.loc, words)
        yield from _sortable(spec, spec.dist, ("dist",), "distribution key")
    for at, name in enumerate(spec.sort):
        yield from check_column(spec, name, ("sort", at))
        yield from _sortable(spec, name, ("sort", at), "sort key")
    yield from check_repeated(spec.sort, "sort")
    if spec.sort_type == "auto" and spec.sort:
        yield Problem(
            "with `auto` Redshift picks the sort key itself", ("sort_type",), "remove `sort`"
        )
    if spec.sort_type in ("compound", "interleaved") and not spec.sort:
        yield Problem(f"a {spec.sort_type} sort key needs columns", ("sort_type",), "add `sort`")
    limit = MAX_INTERLEAVED_SORT if spec.sort_type == "interleaved" else MAX_COMPOUND_SORT
    if len(spec.sort) > limit:
        yield Problem(f"this sort key has at most {limit} columns", ("sort",))


def _sortable(spec: TableSpec, name: str, loc: Loc, role: str) -> Iterator[Problem]:
    column = spec.by_name.get(name)
    if column and column.data_type.name not in KEY_TYPES:
        yield Problem(f"a {column.data_type.name} column cannot be a {role}", loc)


def _loading(spec: TableSpec) -> Iterator[Problem]:
    merge = spec.merge
    if spec.write_disposition == "merge":
        if not spec.primary_key:
            yield Problem(
                "merge matches rows by primary key, but there is none",
                ("write_disposition",),
                "add primary_key",
            )
        if merge.on_duplicate == "last" and not merge.order_by:
            yield Problem(
                "`on_duplicate: last` requires `order_by`", ("merge",), "add order_by: [column]"
            )
        yield from _merged_by(spec)
    elif merge != Merge():
        yield Problem(f"has no effect with write_disposition: {spec.write_disposition}", ("merge",))
    contract = spec.schema_contract
    if contract.bad_rows == "fail" and contract.max_rejects:
        yield Problem(
            "has no effect with bad_rows: fail",
            ("schema_contract", "max_rejects"),
            "set bad_rows: reject",
        )
    yield from _source_columns(spec)
    yield from _csv_files(spec)


def _csv_files(spec: TableSpec) -> Iterator[Problem]:
    source = spec.source
    marks = {"delimiter": source.delimiter, "quote": source.quote, "escape": source.escape}
    for one, other in combinations([name for name, mark in marks.items() if mark], 2):
        if marks[one] == marks[other]:
            yield Problem(f"the {one} and the {other} are the same character", ("source",))
    if source.header and source.names:
        yield Problem(
            "has no effect with a header, which names the columns",
            ("source", "names"),
            "add `header: false`, or use `columns: {…}` to rename columns of the file",
        )
    if not source.header and not source.names:
        staged = [spec.name_in_data(column) for column in spec.columns if column.is_in_data]
        yield Problem(
            "files without a header need the names of their columns, in the files' order",
            ("source", "header"),
            f"add names: [{list_names(staged)}]",
        )
    yield from check_repeated(source.names, "source", "names")


def _merged_by(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of the columns by which rows are compared."""
    merge = spec.merge
    if "on_older" in merge.model_fields_set and not merge.order_by:
        yield Problem("has no effect without order_by", ("merge", "on_older"), "add order_by")
    for at, name in enumerate(merge.order_by):
        loc = ("merge", "order_by", at)
        yield from check_column(spec, name, loc)
        column = spec.by_name.get(name)
        if column and column.data_type.name not in KEY_TYPES:
            yield Problem(f"{column.data_type.name} values have no order", loc)
        if column and column.identity is not None:
            yield Problem(f"the identity column `{name}` is not in the data", loc)
    yield from check_repeated(merge.order_by, "merge")
    for at, name in enumerate(spec.primary_key):
        column = spec.by_name.get(name)
        if column and column.identity is not None:
            yield Problem(
                f"rows cannot be merged by the identity column `{name}`: it is not in the data",
                ("primary_key", at),
                "name the columns that identify a row",
            )


def _source_columns(spec: TableSpec) -> Iterator[Problem]:
    batch = {column.name for column in spec.batch_columns}
    for name in spec.source.columns:
        if name not in batch:
            yield from check_column(spec, name, ("source", "columns", name))
    takers: dict[str, Column] = {}
    in_data = [column for column in spec.input_columns if column.is_in_data]
    # Names that are given come last: the problem is told where one of them is.
    for column in sorted(in_data, key=lambda column: spec.name_in_data(column) != column.name):
        taken = spec.name_in_data(column)
        other = takers.setdefault(taken, column)
        if other.name != column.name:
            given: Loc = ("source", "columns", column.name)
            if column.from_:
                given = ("columns", spec.columns.index(column), "from")
            yield Problem(
                f"the file's column `{taken}` is already read as `{other.name}`",
                given,
                "each column of a file fills one column of the table",
            )


def _dagster(spec: TableSpec) -> Iterator[Problem]:
    freshness = spec.dagster.freshness
    if freshness and freshness.warn:
        fail, warn = map(duration_seconds, (freshness.fail, freshness.warn))
        if warn >= fail:
            yield Problem("`warn` must be less than `fail`", ("dagster", "freshness", "warn"))
