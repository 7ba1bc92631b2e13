"""What a spec declares, in words: a heading and a few sentences for each part of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from loader.spec.checks import Check
from loader.spec.model import PartitionBy, TableSpec
from loader.spec.partitions import Part, placeholder
from loader.spec.periods import Bound
from loader.spec.primary_key import declares_key


@dataclass(frozen=True)
class Fact:
    """One part of a spec."""

    heading: str
    key: str
    """The key of the language that it stands under."""
    lines: tuple[Markup, ...]


def facts(spec: TableSpec) -> list[Fact]:
    """Everything that a spec declares, its columns aside; what has no default only where it is."""
    found = [
        Fact("Primary key", "primary_key", tuple(_primary_key(spec))),
        Fact("Partitions", "partition_by", tuple(_partitions(spec))),
        Fact("A load", "write_disposition", tuple(_load(spec))),
        Fact("Verification", "verify", (_verification(spec),)),
        Fact("Checks", "checks", tuple(_checks(spec))),
        Fact("Schema contract", "schema_contract", tuple(_contract(spec))),
        Fact("Distribution", "dist", (_distribution(spec),)),
        Fact("Sort key", "sort", (_sort(spec),)),
        Fact("Grants", "grants", tuple(_grants(spec))),
        Fact("Staging", "staging", tuple(_staging(spec))),
        Fact("Files read", "source", tuple(_pairs(_beyond_defaults(spec.source)))),
        Fact("Own templates", "templates", tuple(_pairs(spec.templates))),
        Fact("Dagster", "dagster", tuple(_pairs(_beyond_defaults(spec.dagster)))),
        Fact("Meta", "meta", tuple(_pairs(spec.meta, but="upstream"))),
    ]
    return [fact for fact in found if fact.lines]


def say(text: str, *words: object) -> Markup:
    """A sentence with words of the spec in it, as code."""
    return escape(text).format(*map(code, words))


def code(word: object) -> Markup:
    """A word of the spec, or a list of them."""
    if isinstance(word, Markup):
        return word
    if isinstance(word, tuple):
        return Markup(", ").join(map(code, word))
    return Markup("<code>{}</code>").format(word)


def _primary_key(spec: TableSpec) -> Iterator[Markup]:
    if not spec.primary_key:
        yield say("None declared.")
        return
    yield say("{}", spec.primary_key)
    yield say("Each load checks that its rows do not repeat one.")
    declares = "declare it, and trust it" if declares_key(spec) else "do not declare it"
    yield say(f"Redshift tables {declares}.")


def _partitions(spec: TableSpec) -> Iterator[Markup]:
    if not spec.partition_by:
        yield say("None: the table is one piece.")
        return
    example = placeholder(spec.dimensions)
    parts, keys = example.boxes[0].parts, example.keys[0]
    for entry, part, key in zip(spec.partition_by, parts, keys, strict=True):
        yield _partition(entry, part)
        yield from _clocks(entry)
        if part.windows:
            window = part.windows[0]
            start, end = _moment(window.start), _moment(window.end)
            expr = part.dimension.expr
            yield say("For example {}: {} ≤ {} < {}.", key, start, expr, end)


def _partition(entry: PartitionBy, part: Part) -> Markup:
    name = part.dimension.name
    of = say(" of {}", entry.expr) if name != entry.expr else Markup("")
    if entry.grain is None:
        return say("{}: each value", name) + of + " is one."
    every = "an" if entry.grain == "hour" else "a"
    return say(f"{{}}: {every} {entry.grain}", name) + of + " each."


def _clocks(entry: PartitionBy) -> Iterator[Markup]:
    if entry.timezone != "UTC":
        yield say("Keys are told by the clocks of {}.", entry.timezone)
    if entry.column_timezone:
        yield say("Values are told by the clocks of {}.", entry.column_timezone)
    if entry.format:
        yield say("The text is written as {}.", entry.format)
    if entry.grain == "week" and entry.week_start != "monday":
        yield say(f"Weeks start on {entry.week_start.capitalize()}.")


def _moment(bound: Bound) -> str:
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
        yield say("{}: adds its rows to those that are there.", disposition)
    elif disposition == "replace" and spec.partition_by:
        yield say("{}: replaces the partitions that it loads; other rows stay.", disposition)
    elif disposition == "replace":
        yield say("{}: replaces the whole table.", disposition)
    else:
        yield from _merge(spec)
    yield {
        "keep": say("Without rows it leaves the table as it is."),
        "clear": say("Without rows it empties what it would replace."),
        "fail": say("Without rows it fails."),
    }[spec.on_empty]


def _merge(spec: TableSpec) -> Iterator[Markup]:
    numbered = any(column.identity for column in spec.columns)
    if spec.merge.strategy == "merge" or numbered:
        how = "rows of known keys are updated, others inserted, by the warehouse's own MERGE."
    else:
        how = "rows with a key of the load are deleted, then all its rows are inserted."
    yield say("{}: " + how, "merge")
    yield say("Columns that a load does not bring keep their values in rows of known keys.")
    if spec.merge.order_by and spec.merge.on_older == "keep":
        yield say("A row older than the table's by {} leaves it as it is.", spec.merge.order_by)
    if spec.merge.on_duplicate == "last":
        yield say("Of the rows of one key in a load the last by {} stays.", spec.merge.order_by)
    else:
        yield say("Two rows of one key in a load fail it.")


_METRICS = {
    "row_count": "Rows",
    "null_values": "NULLs in {}",
    "missing_values": "Missing values in {}",
    "invalid_values": "Values of {} other than {}",
    "duplicate_values": "Repeated values of {}",
}
_BOUNDS = {
    "must_be": "exactly {}",
    "must_not_be": "anything but {}",
    "must_be_greater_than": "more than {}",
    "must_be_greater_or_equal_to": "at least {}",
    "must_be_less_than": "less than {}",
    "must_be_less_or_equal_to": "at most {}",
    "must_be_between": "between {} and {}",
    "must_not_be_between": "not between {} and {}",
}


def _checks(spec: TableSpec) -> Iterator[Markup]:
    for check in spec.checks:
        yield check_words(check)
    if any(check.severity == "error" for check in spec.checks):
        yield say("A load that fails one is rolled back.")


def check_words(check: Check) -> Markup:
    """A check as people say it: what is counted, and how many there may be."""
    counted = say(_METRICS[check.metric], check.counted, check.valid_values)
    if check.missing_values:
        counted += say(" (NULL or {})", tuple(map(_quoted, check.missing_values)))
    unit = " % of the rows" if check.unit == "percent" else ""
    if check.operator == "must_be" and not check.bound[0]:
        bound = "none"
    else:
        bound = _BOUNDS[check.operator].format(*map(_number, check.bound)) + unit
    named = Markup("{}: ").format(check.name) if check.name else Markup("")
    warning = Markup(" (only a warning)") if check.severity == "warning" else Markup("")
    return named + counted + Markup(": {}").format(bound) + warning + "."


def _number(value: Decimal) -> str:
    return f"{value:,f}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _verification(spec: TableSpec) -> Markup:
    if spec.verify is None:
        return say("As the project's {} says; by default the values of every column.", "verify")
    compared = {
        "counts": "only numbers of rows are",
        "values": "the values of every column are",
        "checksums": "the values of every column, and checksums of text and binary, are",
    }[spec.verify]
    return say(f"Before COMMIT {compared} compared with what was staged.")


def _contract(spec: TableSpec) -> Iterator[Markup]:
    contract = spec.schema_contract
    if contract.extra_columns == "fail":
        yield say("Data with a column that the spec lacks is refused.")
    else:
        yield say("Columns of the data that the spec lacks are left out.")
    if contract.bad_rows == "fail":
        yield say("A row that does not fit fails the load.")
    else:
        rows = "" if isinstance(contract.max_rejects, str) else " rows"
        yield say(
            f"Rows that do not fit are set aside with the reason, up to {{}}{rows}.",
            contract.max_rejects,
        )
    if contract.evolve == "none":
        yield say("Loads do not change the live table; {} does.", "loader apply")
    else:
        yield say("Loads may add columns that the live table lacks, and widen VARCHARs.")


def _distribution(spec: TableSpec) -> Markup:
    match spec.dist:
        case None:
            return say("Not declared; Redshift chooses.")
        case "auto":
            return say("{}: Redshift chooses.", "auto")
        case "even":
            return say("{}: rows go to all slices in turn.", "even")
        case "all":
            return say("{}: every node has all rows.", "all")
        case column:
            return say("By {}: rows of one value lie on one slice.", column)


def _sort(spec: TableSpec) -> Markup:
    if spec.sort:
        return say(f"{{}}, {spec.sort_type or 'compound'}", spec.sort)
    if spec.sort_type == "auto":
        return say("{}: Redshift chooses.", "auto")
    return say("Not declared; Redshift chooses.")


def _grants(spec: TableSpec) -> Iterator[Markup]:
    for privilege, grantees in spec.grants.items():
        yield say("{} to {}", privilege, grantees)


def _staging(spec: TableSpec) -> Iterator[Markup]:
    staging = spec.staging
    packed = "" if staging.compression == "none" else f" ({staging.compression})"
    kind = {"parquet": "Parquet", "csv": "CSV", "json": "JSON"}[staging.format]
    yield Markup("{}{} in files of about {}.").format(kind, packed, size_words(staging.file_size))
    yield {
        "always": say("Every load leaves its files behind."),
        "failed": say("Failed loads leave their files behind."),
        "never": say("No load leaves its files behind."),
    }[staging.keep]


def size_words(size: int) -> str:
    """A number of bytes as specs write it: ``128MB``."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= factor:
            return f"{round(size / factor, 2):g} {unit}"
    return f"{size} bytes"


def _beyond_defaults(model: Any) -> dict[str, Any]:
    told: dict[str, Any] = model.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return told


def _pairs(told: Mapping[Any, Any], but: str = "") -> Iterator[Markup]:
    for key, value in told.items():
        if key != but:
            yield Markup("{}: {}").format(key, _plain(value))


def _plain(value: Any) -> Markup:
    if isinstance(value, Mapping):
        return _joined(Markup("{} {}").format(key, _plain(item)) for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _joined(map(_plain, value))
    if isinstance(value, bool):
        return code("true" if value else "false")
    return code('""' if value == "" else "null" if value is None else value)


def _joined(pieces: Iterable[Markup]) -> Markup:
    return Markup(", ").join(pieces) or code("none")
