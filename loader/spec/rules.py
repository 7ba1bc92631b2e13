"""Rules between the fields of a table spec, for every dialect at once.

A spec is judged when it is read, so that it never fails first in production. The Redshift rules are
those of ``r_CREATE_TABLE_NEW``, ``c_Compression_encodings`` and
``copy-usage_notes-copy-from-columnar``.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations

from loader.errors import Loc, PlanError, Problem
from loader.spec import file_patterns
from loader.spec.dagster_options import PartitionKeys
from loader.spec.model import Column, Merge, PartitionBy, TableSpec
from loader.spec.partitions import CLOCK, Dimension, Partition, Window, canonical_key, parse_key
from loader.sql import lexer
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
_VALUE_TYPES = frozenset(
    {"smallint", "integer", "bigint", "decimal", "boolean", "char", "varchar", "date"}
    | {"timestamp", "timestamptz"}
)


def problems(spec: TableSpec) -> Iterator[Problem]:
    """Everything wrong between the fields of a spec whose fields are each right."""
    yield from _columns(spec)
    yield from _keys(spec)
    partitions = list(_partitions(spec))
    yield from partitions
    yield from _loading(spec)
    yield from _checks(spec)
    yield from _dagster(spec)
    if not partitions:  # what else is said of a dimension is judged once the dimension is right
        yield from _source_files(spec)
        yield from _partition_keys(spec)


def unknown(spec: TableSpec, name: str, loc: Loc) -> Iterator[Problem]:
    """A problem when ``name`` is no column of the table, with the nearest one."""
    if name not in spec.by_name:
        close = difflib.get_close_matches(name, spec.by_name, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"columns: {_listing(spec.by_name)}"
        yield Problem(f"there is no column `{name}`", loc, hint)


def _listing(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:12]) + (", …" if len(shown) > 12 else "")


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
    carriers = {"parquet": NOT_IN_PARQUET, "json": NOT_IN_JSON}.get(spec.staging.format, {})
    if kind in carriers and column.identity is None:
        yield Problem(
            f"Redshift cannot load {kind} from {spec.staging.format}",
            (*loc, "data_type"),
            f"set staging: {{format: {carriers[kind]}}}",
        )


def _keys(spec: TableSpec) -> Iterator[Problem]:
    for at, name in enumerate(spec.primary_key):
        loc = ("primary_key", at)
        yield from unknown(spec, name, loc)
        column = spec.by_name.get(name)
        if column and column.nullable:
            yield Problem(
                f"the key column `{name}` may not be nullable",
                ("columns", spec.columns.index(column), "nullable"),
                "drop `nullable: true`, or take the column out of primary_key",
            )
        if column and column.data_type.name not in KEY_TYPES:
            yield Problem(f"a {column.data_type} column cannot be a key", loc)
    yield from _repeated(spec.primary_key, "primary_key")
    yield from _dist_and_sort(spec)


def _repeated(names: Iterable[str], *loc: str) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            times = "twice" if count == 2 else f"{count} times"
            yield Problem(f"`{name}` is listed {times}", loc)


def _dist_and_sort(spec: TableSpec) -> Iterator[Problem]:
    if spec.dist is not None and spec.dist not in _DIST_WORDS:
        for found in unknown(spec, spec.dist, ("dist",)):
            words = f"dist is even, all, auto or a column; {found.hint}"
            yield Problem(found.message, found.loc, words)
        yield from _sortable(spec, spec.dist, ("dist",), "distribution key")
    for at, name in enumerate(spec.sort):
        yield from unknown(spec, name, ("sort", at))
        yield from _sortable(spec, name, ("sort", at), "sort key")
    yield from _repeated(spec.sort, "sort")
    if spec.sort_type == "auto" and spec.sort:
        yield Problem(
            "with `auto` Redshift picks the sort key itself", ("sort_type",), "leave out `sort`"
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


def _partitions(spec: TableSpec) -> Iterator[Problem]:
    names = []
    for at, entry in enumerate(spec.partition_by):
        loc = ("partition_by", at)
        names.append(entry.name)
        if len(spec.partition_by) > 1 and entry.name is None:
            yield Problem("needs a name: the table has more than one dimension", loc)
        if entry.name and re.search(r"[=|\0]", entry.name):
            yield Problem("a dimension's name may not hold `=` or `|`", (*loc, "name"))
        yield from _partition(spec, entry, loc)
    yield from _repeated([name for name in names if name], "partition_by")


def _no_expression(text: str) -> str | None:
    try:
        lexer.check_expression(text)
    except ValueError as error:
        return str(error)
    return None


def _partition(spec: TableSpec, entry: PartitionBy, loc: Loc) -> Iterator[Problem]:
    column = spec.by_name.get(entry.expr)
    if column is None and re.fullmatch(r"[^\W\d]\w*", entry.expr):
        yield from unknown(spec, entry.expr, (*loc, "expr"))
        return
    if column is None and (wrong := _no_expression(entry.expr)):
        yield Problem(wrong, (*loc, "expr"))
        return
    if column is None and entry.data_type is None:
        yield Problem(
            "the expression is not a bare column, so its type must be told",
            (*loc, "expr"),
            "add data_type, such as date or varchar(40)",
        )
        return
    if column and entry.data_type is not None and entry.data_type != column.data_type:
        yield Problem(
            f"the column `{column.name}` is {column.data_type}, not {entry.data_type}",
            (*loc, "data_type"),
            "leave it out: a bare column has its own type",
        )
    if column and column.identity is not None:
        yield Problem("an identity column cannot partition a table", (*loc, "expr"))
    yield from _grain(spec, entry, loc)


def _grain(spec: TableSpec, entry: PartitionBy, loc: Loc) -> Iterator[Problem]:
    column = spec.by_name.get(entry.expr)
    kind = column.data_type if column else entry.data_type
    assert kind is not None, "the caller has seen to it"
    if entry.grain is None:
        if kind.name not in _VALUE_TYPES:
            yield Problem(f"values of type {kind.name} cannot be partition keys", (*loc, "expr"))
        for field in ("timezone", "column_timezone", "format", "week_start"):
            if field in entry.model_fields_set:
                yield Problem("has no effect without a grain", (*loc, field), "add grain")
        return
    if not (kind.is_temporal or kind.is_text):
        yield Problem(
            f"a {kind} has no grain; date, timestamp, timestamptz and varchar have",
            (*loc, "grain"),
        )
    if kind.name == "date" and entry.grain in CLOCK:
        yield Problem(f"a date has no {entry.grain}s", (*loc, "grain"), "use grain day or coarser")
    if entry.format is not None:
        if not kind.is_text:
            yield Problem(f"a {kind.name} has no text format", (*loc, "format"))
        elif not _sorts_as_time(entry.format):
            yield Problem(
                f"text written as `{entry.format}` does not sort as time does",
                (*loc, "format"),
                "only formats from the year down, such as %Y%m%d, make windows",
            )
        elif len(re.findall("%", entry.format)) < _PARTS[entry.grain]:
            yield Problem(
                f"text written as `{entry.format}` does not tell one {entry.grain} from the next",
                (*loc, "format"),
            )
    if entry.column_timezone is not None and kind.name in ("date", "timestamptz"):
        yield Problem(f"has no effect on a {kind.name}", (*loc, "column_timezone"))
    if "week_start" in entry.model_fields_set and entry.grain != "week":
        yield Problem("has no effect without grain: week", (*loc, "week_start"))


_PARTS = {"year": 1, "quarter": 2, "month": 2, "week": 3, "day": 3, "hour": 4, "minute": 5}
"""How much of year, month, day, hour, minute text must write to tell one period from the next."""


def _sorts_as_time(text: str) -> bool:
    directives = re.findall(r"%(.)", text)
    return bool(directives) and directives == list("YmdHMSf")[: len(directives)]


def _loading(spec: TableSpec) -> Iterator[Problem]:
    merge = spec.merge
    if spec.write_disposition == "merge":
        if not spec.primary_key:
            yield Problem(
                "merge brings rows together by key, and there is none",
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
            "add header: false; columns: {…} says what the file calls a column of the table",
        )
    if not source.header and not source.names:
        staged = [source.columns.get(column.name, column.name) for column in spec.staged_columns()]
        yield Problem(
            "files without a header need the names of their columns, in the files' order",
            ("source", "header"),
            f"add names: [{_listing(staged)}]",
        )
    yield from _repeated(source.names, "source", "names")


def _merged_by(spec: TableSpec) -> Iterator[Problem]:
    """Problems of the columns by which rows are compared."""
    merge = spec.merge
    if "on_older" in merge.model_fields_set and not merge.order_by:
        yield Problem("has no effect without order_by", ("merge", "on_older"), "add order_by")
    for at, name in enumerate(merge.order_by):
        loc = ("merge", "order_by", at)
        yield from unknown(spec, name, loc)
        column = spec.by_name.get(name)
        if column and column.data_type.name not in KEY_TYPES:
            yield Problem(f"{column.data_type.name} values have no order", loc)
        if column and column.identity is not None:
            yield Problem(f"the identity column `{name}` is not in the data", loc)
    yield from _repeated(merge.order_by, "merge")
    for at, name in enumerate(spec.primary_key):
        column = spec.by_name.get(name)
        if column and column.identity is not None:
            yield Problem(
                f"rows cannot be merged by the identity column `{name}`: it is not in the data",
                ("primary_key", at),
                "name the columns of the data that tell rows apart",
            )


def _source_columns(spec: TableSpec) -> Iterator[Problem]:
    renamed = spec.source.columns
    for name in renamed:
        yield from unknown(spec, name, ("source", "columns", name))
    takers: dict[str, str] = {}
    for column in sorted(spec.staged_columns(), key=lambda column: column.name in renamed):
        taken = renamed.get(column.name, column.name)
        other = takers.setdefault(taken, column.name)
        if other != column.name:
            yield Problem(
                f"the file's column `{taken}` is read as `{other}` already",
                ("source", "columns", column.name),
                "each column of a file fills one column of the table",
            )


def _checks(spec: TableSpec) -> Iterator[Problem]:
    for at, check in enumerate(spec.checks):
        if check.column is not None:
            yield from unknown(spec, check.column, ("checks", at, "column"))
        for position, name in enumerate(check.columns):
            yield from unknown(spec, name, ("checks", at, "columns", position))
        low, high = check.bound[0], check.bound[-1]
        if low > high:
            yield Problem("the range is empty", ("checks", at, check.operator))


_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _dagster(spec: TableSpec) -> Iterator[Problem]:
    freshness = spec.dagster.freshness
    if freshness and freshness.warn:
        fail, warn = (
            int(text[:-1]) * _SECONDS[text[-1]] for text in (freshness.fail, freshness.warn)
        )
        if warn >= fail:
            yield Problem("`warn` must be less than `fail`", ("dagster", "freshness", "warn"))


def _source_files(spec: TableSpec) -> Iterator[Problem]:
    for at, name in enumerate(spec.source.files):
        for message, hint in file_patterns.problems(name, spec.dimensions):
            yield Problem(message, ("source", "files", at), hint)


def _partition_keys(spec: TableSpec) -> Iterator[Problem]:
    known = {dimension.name: dimension for dimension in spec.dimensions}
    for name, listed in spec.dagster.partitions.items():
        loc = ("dagster", "partitions", name)
        if name in known:
            yield from _window_keys(known[name], listed, loc)
            yield from _value_keys(known[name], listed, loc, several=len(known) > 1)
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"dimensions: {_listing(known)}"
        if not known:
            hint = "the table has no partitions; add partition_by"
        yield Problem(f"there is no dimension `{name}`", loc, hint, on_key=True)


def _window_keys(dimension: Dimension, listed: PartitionKeys, loc: Loc) -> Iterator[Problem]:
    """Problems of the keys of a dimension with a grain."""
    if dimension.grain is None:
        return
    for field in ("keys", "dynamic"):
        if getattr(listed, field):
            yield Problem(
                f"`{dimension.name}` has a grain, so its partitions are windows of time",
                (*loc, field),
                "give the first of them: start",
            )
    found: dict[str, Partition] = {}
    for field in ("start", "end"):
        key = getattr(listed, field)
        if key is not None:
            try:
                found[field] = parse_key(dimension, key)
            except PlanError as error:
                yield Problem(error.message, (*loc, field), error.hint)
    if len(found) == 2:
        start, end = found["start"].cell, found["end"].cell
        assert isinstance(start, Window)
        assert isinstance(end, Window)
        if not start < end:
            yield Problem(
                f"the partitions end at `{listed.end}` before there is one",
                (*loc, "end"),
                "end is the first key that is not among them any more",
            )


def _value_keys(
    dimension: Dimension, listed: PartitionKeys, loc: Loc, *, several: bool
) -> Iterator[Problem]:
    """Problems of the keys of a dimension without a grain."""
    if dimension.grain is not None:
        return
    if listed.start is not None:
        yield Problem(
            f"`{dimension.name}` has no grain, so its partitions have no start",
            (*loc, "start"),
            "give keys: […], or grain in partition_by",
        )
    first: dict[str, int] = {}
    for at, key in enumerate(listed.keys):
        place = (*loc, "keys", at)
        try:
            partition = parse_key(dimension, key)
        except PlanError as error:
            unquoted = dimension.data_type.is_text and not isinstance(key, str)
            yield Problem(error.message, place, "put quotes around it" if unquoted else error.hint)
            continue
        other = first.setdefault(canonical_key(partition), at)
        if other != at:
            yield Problem(f"the key `{key}` is already there at keys[{other}]", place)
        marks = _NOT_IN_KEYS + (_NOT_IN_CROSSED_KEYS if several else ())
        wrong = [mark for mark in marks if mark in partition.key]
        if wrong or not partition.key:
            shown = " or ".join(repr(mark) for mark in wrong)
            yield Problem(f"Dagster takes no key with {shown}" if wrong else "is empty", place)


_NOT_IN_KEYS = ("...", "\a", "\b", "\f", "\n", "\r", "\t", "\v", "\0")
_NOT_IN_CROSSED_KEYS = ("|", ",", "[", "]")
"""In the keys of a dimension that is crossed with another."""
