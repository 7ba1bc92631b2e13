"""Rules for partition expressions, and for the file names and Dagster keys that use them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from loader.errors import Loc, PlanError, Problem
from loader.spec import file_patterns
from loader.spec.column_names import check_column, check_repeated, list_names
from loader.spec.dagster_options import PartitionKeys
from loader.spec.model import PartitionBy, TableSpec
from loader.spec.partition_keys import canonical_key, parse_key
from loader.spec.periods import CLOCK, Dimension, Partition, Window
from loader.spec.query_rules import query_problems
from loader.spec.source_rules import source_problems
from loader.sql import lexer
from loader.sql.dialects.redshift import check_functions

_VALUE_TYPES = frozenset(
    {"smallint", "integer", "bigint", "decimal", "boolean", "char", "varchar", "date"}
    | {"timestamp", "timestamptz"}
)


def partition_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of the partition expressions."""
    names = []
    for at, entry in enumerate(spec.partition_by):
        loc = ("partition_by", at)
        names.append(entry.name)
        if len(spec.partition_by) > 1 and entry.name is None:
            yield Problem("needs a name: the table has more than one dimension", loc)
        if entry.name and re.search(r"[=|\0]", entry.name):
            yield Problem("a dimension's name may not hold `=` or `|`", (*loc, "name"))
        yield from _partition_expression(spec, entry, loc)
    yield from check_repeated([name for name in names if name], "partition_by")


def _expression_error(text: str) -> str | None:
    try:
        lexer.check_expression(text)
        check_functions(text)
    except ValueError as error:
        return str(error)
    return None


def _partition_expression(spec: TableSpec, entry: PartitionBy, loc: Loc) -> Iterator[Problem]:
    column = spec.by_name.get(entry.expr)
    if column is None and re.fullmatch(r"[^\W\d]\w*", entry.expr):
        yield from check_column(spec, entry.expr, (*loc, "expr"))
        return
    if column is None and (wrong := _expression_error(entry.expr)):
        yield Problem(wrong, (*loc, "expr"))
        return
    if column is None and entry.data_type is None:
        yield Problem(
            "the expression is not a bare column, so it needs a `data_type`",
            (*loc, "expr"),
            "add data_type, such as date or varchar(40)",
        )
        return
    if column and entry.data_type is not None and entry.data_type != column.data_type:
        yield Problem(
            f"the column `{column.name}` is {column.data_type}, not {entry.data_type}",
            (*loc, "data_type"),
            "remove it: a bare column has its own type",
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
            f"a {kind} cannot have a grain; date, timestamp, timestamptz and varchar can",
            (*loc, "grain"),
        )
    if kind.name == "date" and entry.grain in CLOCK:
        yield Problem(f"a date has no {entry.grain}s", (*loc, "grain"), "use grain day or coarser")
    if entry.format is not None:
        if not kind.is_text:
            yield Problem(f"a {kind.name} has no text format", (*loc, "format"))
        elif not _sorts_as_time(entry.format):
            yield Problem(
                f"text in the format `{entry.format}` does not sort by time",
                (*loc, "format"),
                "use a format that starts with the year, such as %Y%m%d",
            )
        elif len(re.findall("%", entry.format)) < _NEEDED_DIRECTIVES[entry.grain]:
            yield Problem(
                f"text in the format `{entry.format}` is not different for each {entry.grain}",
                (*loc, "format"),
            )
    if entry.column_timezone is not None and kind.name in ("date", "timestamptz"):
        yield Problem(f"has no effect on a {kind.name}", (*loc, "column_timezone"))
    if "week_start" in entry.model_fields_set and entry.grain != "week":
        yield Problem("has no effect without grain: week", (*loc, "week_start"))


_NEEDED_DIRECTIVES = {
    "year": 1,
    "quarter": 2,
    "month": 2,
    "week": 3,
    "day": 3,
    "hour": 4,
    "minute": 5,
}
"""The parts of year, month, day, hour, minute that text needs to be different for each period."""


def _sorts_as_time(text: str) -> bool:
    directives = re.findall(r"%(.)", text)
    return bool(directives) and directives == list("YmdHMSf")[: len(directives)]


def key_problems(spec: TableSpec) -> Iterator[Problem]:
    """Find problems of file names and Dagster keys, if the dimensions are valid."""
    yield from _source_files(spec)
    yield from query_problems(spec)
    yield from _dagster_keys(spec)


def _source_files(spec: TableSpec) -> Iterator[Problem]:
    found = list(_file_names(spec))
    yield from found or source_problems(spec)


def _file_names(spec: TableSpec) -> Iterator[Problem]:
    files, dimensions = spec.source.files, spec.dimensions
    placed = file_patterns.have_places(files, dimensions)
    for at, name in enumerate(files):
        found = file_patterns.problems(name, dimensions, spec.path_keys, placed=placed)
        for message, hint in found:
            yield Problem(message, ("source", "files", at), hint)


def _dagster_keys(spec: TableSpec) -> Iterator[Problem]:
    known = {dimension.name: dimension for dimension in spec.dimensions}
    for name, listed in spec.dagster.partitions.items():
        loc = ("dagster", "partitions", name)
        if name in known:
            yield from _window_keys(known[name], listed, loc)
            yield from _value_keys(known[name], listed, loc, several=len(known) > 1)
            continue
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"dimensions: {list_names(known)}"
        if not known:
            hint = "the table has no partitions; add partition_by"
        yield Problem(f"there is no dimension `{name}`", loc, hint, on_key=True)


def _window_keys(dimension: Dimension, listed: PartitionKeys, loc: Loc) -> Iterator[Problem]:
    """Find problems of the keys of a dimension with a grain."""
    if dimension.grain is None:
        return
    for field in ("keys", "dynamic"):
        if getattr(listed, field):
            yield Problem(
                f"`{dimension.name}` has a grain, so its partitions are time windows",
                (*loc, field),
                "add `start`, the first of them",
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
                f"there are no partitions before the end `{listed.end}`",
                (*loc, "end"),
                "`end` is the first key after the last partition",
            )


def _value_keys(
    dimension: Dimension, listed: PartitionKeys, loc: Loc, *, several: bool
) -> Iterator[Problem]:
    """Find problems of the keys of a dimension without a grain."""
    if dimension.grain is not None:
        return
    if listed.start is not None:
        yield Problem(
            f"`{dimension.name}` has no grain, so its partitions have no start",
            (*loc, "start"),
            "add `keys: […]`, or a grain in partition_by",
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
            yield Problem(f"the key `{key}` is already listed at keys[{other}]", place)
        marks = _NOT_IN_KEYS + (_NOT_IN_CROSSED_KEYS if several else ())
        wrong = [mark for mark in marks if mark in partition.key]
        if wrong or not partition.key:
            shown = " or ".join(repr(mark) for mark in wrong)
            yield Problem(
                f"Dagster does not allow keys with {shown}" if wrong else "is empty", place
            )


_NOT_IN_KEYS = ("...", "\a", "\b", "\f", "\n", "\r", "\t", "\v", "\0")


_NOT_IN_CROSSED_KEYS = ("|", ",", "[", "]")
"""Not allowed in keys of a table with several dimensions."""
