"""Describes a spec in sentences: a heading and a few lines for each part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from markupsafe import Markup

from loader.docs.check_words import describe_check, describe_guards
from loader.docs.phrases import code, sentence
from loader.spec.model import PartitionBy, TableSpec
from loader.spec.partitions import Part, placeholder
from loader.spec.periods import Bound
from loader.spec.primary_key import declares_key, requires_unique_keys
from loader.spec.session import Hook


@dataclass(frozen=True)
class Fact:
    """One part of a spec."""

    heading: str
    key: str
    """The key of the spec language that it describes."""
    lines: tuple[Markup, ...]


def describe_spec(spec: TableSpec) -> list[Fact]:
    """Describe all keys of a spec except columns; unset keys without a default are left out."""
    found = [
        Fact("Primary key", "primary_key", tuple(_primary_key(spec))),
        Fact("Partitions", "partition_by", tuple(_partitions(spec))),
        Fact("Load", "write_disposition", tuple(_load(spec))),
        Fact("Verification", "verify", (_verification(spec),)),
        Fact("Checks", "checks", tuple(_checks(spec))),
        Fact("Guards", "guards", tuple(describe_guards(spec.guards))),
        Fact("Schema contract", "schema_contract", tuple(_contract(spec))),
        Fact("Distribution", "dist", (_distribution(spec),)),
        Fact("Sort key", "sort", (_sort(spec),)),
        Fact("Grants", "grants", tuple(_grants(spec))),
        Fact("Staging", "staging", tuple(_staging(spec))),
        Fact("Session", "session", tuple(_format_pairs(_non_defaults(spec.session)))),
        Fact("Hooks", "hooks", tuple(map(_hook, spec.hooks))),
        Fact("Source files", "source", tuple(_format_pairs(_non_defaults(spec.source)))),
        Fact("Custom templates", "templates", tuple(_format_pairs(spec.templates))),
        Fact("Dagster", "dagster", tuple(_format_pairs(_non_defaults(spec.dagster)))),
        Fact("Meta", "meta", tuple(_format_pairs(spec.meta, but="upstream"))),
    ]
    return [fact for fact in found if fact.lines]


def _primary_key(spec: TableSpec) -> Iterator[Markup]:
    if not spec.primary_key:
        yield sentence("None declared.")
        return
    yield sentence("{}", spec.primary_key)
    if spec.write_disposition == "scd2":
        yield sentence("A version of a key is identified by it and {}.", spec.scd2.valid_from)
    if requires_unique_keys(spec):
        yield sentence("Each load checks its rows for duplicate keys.")
    declares = "declare it, and trust it" if declares_key(spec) else "do not declare it"
    yield sentence(f"Redshift tables {declares}.")


def _partitions(spec: TableSpec) -> Iterator[Markup]:
    if not spec.partition_by:
        yield sentence("None.")
        return
    example = placeholder(spec.dimensions)
    parts, keys = example.boxes[0].parts, example.keys[0]
    for entry, part, key in zip(spec.partition_by, parts, keys, strict=True):
        yield _partition(entry, part)
        yield from _time_zones(entry)
        if part.windows:
            window = part.windows[0]
            start, end = _format_bound(window.start), _format_bound(window.end)
            expr = part.dimension.expr
            yield sentence("For example {}: {} ≤ {} < {}.", key, start, expr, end)


def _partition(entry: PartitionBy, part: Part) -> Markup:
    name = part.dimension.name
    of = sentence(" of {}", entry.expr) if name != entry.expr else Markup("")
    if entry.grain is None:
        return sentence("{}: one for each value", name) + of + "."
    return sentence(f"{{}}: one for each {entry.grain}", name) + of + "."


def _time_zones(entry: PartitionBy) -> Iterator[Markup]:
    if entry.timezone != "UTC":
        yield sentence("Partition keys are in the time zone {}.", entry.timezone)
    if entry.column_timezone:
        yield sentence("Column values are in the time zone {}.", entry.column_timezone)
    if entry.format:
        yield sentence("The text has the format {}.", entry.format)
    if entry.grain == "week" and entry.week_start != "monday":
        yield sentence(f"Weeks start on {entry.week_start.capitalize()}.")


def _format_bound(bound: Bound) -> str:
    match bound:
        case datetime():
            return bound.isoformat(" ")
        case date():
            return bound.isoformat()
        case _:
            return bound


def _load(spec: TableSpec) -> Iterator[Markup]:
    disposition = spec.write_disposition
    if disposition == "append":
        yield sentence("{}: adds its rows to the existing rows.", disposition)
    elif disposition == "replace" and spec.partition_by:
        yield sentence("{}: replaces the loaded partitions; other rows are kept.", disposition)
    elif disposition == "replace":
        yield sentence("{}: replaces the whole table.", disposition)
    elif disposition == "scd2":
        yield from _history(spec)
    else:
        yield from _merge(spec)
    yield {
        "keep": sentence("A load without rows leaves the table unchanged."),
        "clear": sentence("A load without rows empties what it would replace."),
        "fail": sentence("A load without rows fails."),
    }[spec.on_empty]


def _merge(spec: TableSpec) -> Iterator[Markup]:
    numbered = any(column.identity for column in spec.columns)
    if spec.merge.strategy == "merge" or numbered:
        how = "rows with existing keys are updated, others inserted, by a MERGE statement."
    else:
        how = "existing rows with the same keys are deleted, then all loaded rows are inserted."
    yield sentence("{}: " + how, "merge")
    yield sentence("Columns that are missing in a load keep their values in existing rows.")
    order_by = spec.merge.order_by
    if order_by and spec.merge.on_older == "keep":
        yield sentence("A row that is older than the existing row by {} is ignored.", order_by)
    if spec.merge.on_duplicate == "last":
        yield sentence("If a load has several rows for a key, the last by {} is kept.", order_by)
    else:
        yield sentence("A load with several rows for a key fails.")
    mark = spec.merge.soft_delete
    if mark:
        yield sentence("Rows with {} mark existing rows in {}.", spec.deleted_when, mark)
    elif spec.deleted_when:
        yield sentence("Rows with {} delete existing rows.", spec.deleted_when)


def _history(spec: TableSpec) -> Iterator[Markup]:
    scd2 = spec.scd2
    yield sentence("{}: keeps every version of a row.", "scd2")
    times = code(scd2.effective_at) if scd2.effective_at else Markup("the time of the load")
    yield sentence("A version begins at {}.", times)
    yield sentence("It holds from {} until {}.", scd2.valid_from, scd2.valid_to)
    yield sentence("{} is NULL in the current one, and {} is true.", scd2.valid_to, scd2.is_current)
    if scd2.ignore_changes:
        yield sentence("Changes of {} alone make no new version.", scd2.ignore_changes)
    if scd2.effective_at:
        yield {
            "insert": sentence("Late rows become versions where they belong."),
            "skip": sentence("Late rows are ignored."),
            "fail": sentence("A load with late rows fails."),
        }[scd2.on_late]
    if scd2.on_absent == "close":
        yield sentence("Each load is a full snapshot: versions of absent keys end.")
    if scd2.deleted_when:
        yield sentence("Rows with {} end the version of their key.", scd2.deleted_when)


def _checks(spec: TableSpec) -> Iterator[Markup]:
    for check in spec.checks:
        yield describe_check(check)
    severities = {check.severity for check in spec.checks}
    if severities == {"error", "warning"}:
        yield sentence("If one fails that is not only a warning, the load is rolled back.")
    elif severities == {"error"}:
        yield sentence("If one fails, the load is rolled back.")


def _verification(spec: TableSpec) -> Markup:
    if spec.verify is None:
        return sentence("As set by the project's {}; default all column values.", "verify")
    compared = {
        "counts": "only row counts are",
        "values": "the values of every column are",
        "checksums": "the values of every column, and checksums of text and binary, are",
    }[spec.verify]
    return sentence(f"Before COMMIT {compared} compared with the staged rows.")


def _contract(spec: TableSpec) -> Iterator[Markup]:
    contract = spec.schema_contract
    if contract.extra_columns == "fail":
        yield sentence("A load with columns that are not in the spec fails.")
    else:
        yield sentence("Columns that are not in the spec are ignored.")
    if contract.bad_rows == "fail":
        yield sentence("A load with an invalid row fails.")
    else:
        rows = "" if isinstance(contract.max_rejects, str) else " rows"
        yield sentence(
            f"Invalid rows are written to a rejects file with the reason, up to {{}}{rows}.",
            contract.max_rejects,
        )
    if contract.evolve == "none":
        yield sentence("Loads do not change the live table; {} does.", "loader apply")
    else:
        yield sentence("Loads may add columns to the live table, and widen VARCHAR columns.")


def _distribution(spec: TableSpec) -> Markup:
    match spec.dist:
        case None:
            return sentence("Not declared; Redshift chooses.")
        case "auto":
            return sentence("{}: Redshift chooses.", "auto")
        case "even":
            return sentence("{}: rows are distributed round-robin.", "even")
        case "all":
            return sentence("{}: every node has all rows.", "all")
        case column:
            return sentence("By {}: rows with the same value are on the same slice.", column)


def _sort(spec: TableSpec) -> Markup:
    if spec.sort:
        return sentence(f"{{}}, {spec.sort_type or 'compound'}", spec.sort)
    if spec.sort_type == "auto":
        return sentence("{}: Redshift chooses.", "auto")
    return sentence("Not declared; Redshift chooses.")


def _grants(spec: TableSpec) -> Iterator[Markup]:
    for privilege, grantees in spec.grants.items():
        yield sentence("{} to {}", privilege, grantees)


_STAGED_AS = {
    "auto": "Arrow on DuckDB, Parquet on Redshift",
    "arrow": "Arrow",
    "parquet": "Parquet",
    "csv": "CSV",
    "json": "JSON",
}
"""The words for staging formats."""


def _staging(spec: TableSpec) -> Iterator[Markup]:
    staging = spec.staging
    packed = "" if staging.compression in ("none", "auto") else f" ({staging.compression})"
    kind = _STAGED_AS[staging.format]
    yield Markup("{}{} in files of about {}.").format(kind, packed, format_size(staging.file_size))
    yield {
        "always": sentence("Staged files are always kept."),
        "failed": sentence("Staged files are kept if the load fails."),
        "never": sentence("Staged files are always deleted."),
    }[staging.keep]


def _hook(hook: Hook) -> Markup:
    place = {
        ("before", "inside"): "in the transaction, before the rows",
        ("after", "inside"): "in the transaction, after the rows",
        ("before", "outside"): "before BEGIN",
        ("after", "outside"): "after COMMIT",
    }[hook.when, hook.transaction]
    values = list(_format_pairs(hook.values))
    with_values = Markup(" with {}").format(_join_list(values)) if values else ""
    return Markup("{}{}: {}.").format(code(hook.template), with_values, place)


def format_size(size: int) -> str:
    """Format a number of bytes with its unit: ``128 MB``."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor:
            return f"{round(size / factor, 2):g} {unit}"
    return f"{size} bytes"


def _non_defaults(model: Any) -> dict[str, Any]:
    data: dict[str, Any] = model.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return data


def _format_pairs(data: Mapping[Any, Any], but: str = "") -> Iterator[Markup]:
    for key, value in data.items():
        if key != but:
            yield Markup("{}: {}").format(key, _format_value(value))


def _format_value(value: Any) -> Markup:
    if isinstance(value, Mapping):
        return _join_list(
            Markup("{} {}").format(key, _format_value(item)) for key, item in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _join_list(map(_format_value, value))
    if isinstance(value, bool):
        return code("true" if value else "false")
    return code('""' if value == "" else "null" if value is None else value)


def _join_list(pieces: Iterable[Markup]) -> Markup:
    return Markup(", ").join(pieces) or code("none")
