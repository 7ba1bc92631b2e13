"""Which part of a table a load replaces or a read returns.

A **dimension** is one partition expression. A **key** names one partition along it. A **slice** is
a union of **boxes**, and a box gives, for each dimension, either values (``expr IN (…)``) or
half-open windows (``expr >= a AND expr < b``). A slice is never empty: no key list ever becomes
"no WHERE".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import product
from math import prod

from loader.errors import PlanError
from loader.spec.partition_keys import example_key, parse_key
from loader.spec.periods import (
    Bound,
    Dimension,
    KeyValue,
    Partition,
    Window,
    check_partition_count,
)
from loader.spec.ranges import RangeKeys, find_window, parse_range

_PERIODS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
"""Grains whose periods are all of one length."""

_MANY_WINDOWS = 50


@dataclass(frozen=True)
class Part:
    """The keys of one dimension in a box: either values or windows, never both or none."""

    dimension: Dimension
    values: tuple[KeyValue, ...] = ()
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.values) == bool(self.windows):
            raise PlanError(f"no keys are given for the partition `{self.dimension.name}`")

    @cached_property
    def starts(self) -> tuple[Bound, ...]:
        """The start of each period in many windows, where the column itself shows the period.

        A warehouse compares each row with each window, but finds a start in a list at once.
        """
        dimension = self.dimension
        length = _PERIODS.get(dimension.grain or "")
        in_utc = dimension.timezone == "UTC" == (dimension.column_timezone or "UTC")
        shown = dimension.data_type.name == "date" or (
            dimension.data_type.name == "timestamp" and in_utc
        )
        if length is None or not shown or len(self.windows) < _MANY_WINDOWS:
            return ()
        return tuple(start for window in self.windows for start in _list_starts(window, length))


def _list_starts(window: Window, length: timedelta) -> Iterator[Bound]:
    start = window.start
    while not isinstance(start, str) and start < window.end:  # type: ignore[operator]  # of one type
        yield start
        start += length


@dataclass(frozen=True)
class Box:
    """A product of parts, one for each dimension of the table."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise PlanError("a slice needs at least one dimension")


@dataclass(frozen=True)
class Slice:
    """A union of disjoint boxes, and the keys it was made of, for people to read."""

    boxes: tuple[Box, ...]
    keys: Sequence[tuple[str, ...]]
    placeholder: bool = False
    """Whether it is an invented partition for a preview."""

    def __post_init__(self) -> None:
        if not self.boxes:
            raise PlanError("no partition is given: an empty list of keys selects nothing")

    @property
    def compares_text(self) -> bool:
        """Whether it has text values, which may have several spellings that compare equal."""
        return any(
            part.values and part.dimension.data_type.is_text
            for box in self.boxes
            for part in box.parts
        )

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The table's dimensions, in the spec's order."""
        return tuple(part.dimension for part in self.boxes[0].parts)

    def __str__(self) -> str:
        names = [dimension.name for dimension in self.dimensions]

        def show(keys: Sequence[str]) -> str:
            return "|".join(f"{name}={key}" for name, key in zip(names, keys, strict=True))

        if self.has_several_keys and len(self.boxes) == 1 and len(names) == 1:
            windows = self.boxes[0].parts[0].windows
            if len(windows) == 1:  # one unbroken stretch of time
                return f"{show(self.keys[0])}..{self.keys[-1][0]}"
        if len(self.keys) > 3:
            first, second, last = (show(self.keys[at]) for at in (0, 1, -1))
            return f"{first}, {second}, … {last} ({len(self.keys):,} partitions)"
        return ", ".join(map(show, self.keys))

    @property
    def has_several_keys(self) -> bool:
        """Whether it has more than one partition; unlike its keys, that costs nothing."""
        return isinstance(self.keys, RangeKeys) or len(self.keys) > 1


Request = KeyValue | Mapping[str, object] | Iterable[object]
"""What a caller may give for ``partition``: a key, a range ``A..B``, a mapping by dimension, or
any iterable of these."""


def make_slice(dimensions: Sequence[Dimension], request: Request) -> Slice:
    """The slice that a request names.

    With one dimension a request is a key, ``A..B`` (both ends included; grains only), or a list of
    these. With several, a mapping from dimension to the same, text like ``date=2013-01-01`` or
    ``date=2013-01-01|origin=JFK``, or a list: texts that name one dimension each are crossed, all
    others are united.

    Raises:
        PlanError: a key does not parse, a dimension is missing or unknown, nothing is named, or
            more than can be listed.
    """
    mappings = _full_mappings(dimensions, request)
    if len(dimensions) == len(mappings) == 1:
        whole = _make_range(dimensions[0], mappings[0][dimensions[0].name])
        if whole is not None:
            return whole
    rows: set[tuple[Partition, ...]] = set()
    for mapping in mappings:
        columns = [_parse_keys(dimension, mapping[dimension.name]) for dimension in dimensions]
        check_partition_count(prod(map(len, columns)))
        rows.update(product(*columns))
    ordered = sorted(rows, key=lambda row: tuple(_sort_key(partition.cell) for partition in row))
    boxes = tuple(Box(parts) for parts in _make_boxes(dimensions, ordered))
    return Slice(boxes, tuple(tuple(partition.key for partition in row) for row in ordered))


def placeholder(dimensions: Sequence[Dimension]) -> Slice:
    """A made-up slice for a preview: one well-formed key in every dimension."""
    made = make_slice(dimensions, {d.name: example_key(d) for d in dimensions})
    return Slice(made.boxes, made.keys, placeholder=True)


def _full_mappings(dimensions: Sequence[Dimension], request: Request) -> list[dict[str, object]]:
    """The request as full mappings from dimension name to keys; their products are united."""
    items = _to_list(request)
    if len(dimensions) == 1 and not any(isinstance(item, Mapping) for item in items):
        return [{dimensions[0].name: items}]
    full: list[dict[str, object]] = []
    crossed: dict[str, list[object]] = {}
    for item in items:
        mapping = dict(item) if isinstance(item, Mapping) else _parse_pairs(dimensions, item)
        _check_names(dimensions, mapping)
        if len(mapping) == len(dimensions):
            full.append(mapping)
        else:
            for name, keys in mapping.items():
                crossed.setdefault(name, []).extend(_to_list(keys))
    if crossed or not full:
        missing = [dimension.name for dimension in dimensions if dimension.name not in crossed]
        if missing:
            raise PlanError(
                f"no key is given for the partition dimension {_list_names(missing)}",
                hint="give one for each: " + " ".join(_option(d) for d in dimensions),
            )
        full.append(dict(crossed))
    return full


def _parse_pairs(dimensions: Sequence[Dimension], item: object) -> dict[str, object]:
    # A `|` that no dimension follows is part of the key before it.
    names = "|".join(re.escape(dimension.name) for dimension in dimensions)
    pairs = [pair.partition("=") for pair in re.split(rf"\|(?=\s*(?:{names})\s*=)", str(item))]
    if any(not equals for _, equals, _ in pairs):
        raise PlanError(
            f"the partition `{item}` does not name its dimension",
            hint="write " + " ".join(_option(dimension) for dimension in dimensions),
        )
    return {name.strip(): key for name, _, key in pairs}


def _check_names(dimensions: Sequence[Dimension], mapping: Mapping[str, object]) -> None:
    known = [dimension.name for dimension in dimensions]
    unknown = [str(name) for name in mapping if name not in known]
    if unknown:
        raise PlanError(
            f"there is no dimension {_list_names(unknown)}; the table has {_list_names(known)}"
        )


def _option(dimension: Dimension) -> str:
    return f"--partition {dimension.name}={example_key(dimension)}"


def _list_names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _to_list(request: object) -> list[object]:
    if isinstance(request, str | bytes | Mapping) or not isinstance(request, Iterable):
        return [request]
    return list(request)


def _parse_keys(dimension: Dimension, keys: object) -> list[Partition]:
    found: list[Partition] = []
    for key in _to_list(keys):
        if isinstance(key, Partition):
            found.append(key)
        elif dimension.grain and isinstance(key, str) and ".." in key:
            found.extend(parse_range(dimension, key))
        else:
            found.append(parse_key(dimension, key))
    return found


def _make_range(dimension: Dimension, keys: object) -> Slice | None:
    """The slice of one range from its ends alone; None where every period is to be looked at."""
    only = keys[0] if isinstance(keys, list | tuple) and len(keys) == 1 else keys
    if not (dimension.grain and isinstance(only, str) and ".." in only):
        return None
    found = find_window(dimension, only)
    if found is None:
        return None
    window, keys = found
    return Slice((Box((Part(dimension, windows=(window,)),)),), keys)


def check_spelling(slice_: Slice, equality_key: Callable[[str], str]) -> None:
    """Check that the warehouse does not treat text keys as equal to shorter ones.

    Otherwise, loads of `a` and `a ` would replace each other's rows.

    Args:
        slice_: The requested slice.
        equality_key: Maps a text to the one that represents all equal texts in the warehouse.

    Raises:
        PlanError: there are some; all of them are named.
    """
    longer = {
        (part.dimension.name, value): equality_key(value)
        for box in slice_.boxes
        for part in box.parts
        for value in part.values
        if isinstance(value, str) and value != equality_key(value)
    }
    if longer:
        lines = [
            f"the partition {value!r} of `{name}` is the partition {known!r} to the warehouse,"
            " which ignores blanks at the end of text"
            for (name, value), known in longer.items()
        ]
        names = ", ".join(repr(known) for known in dict.fromkeys(longer.values()))
        raise PlanError("\n".join(lines), hint=f"name it without them: {names}")


# Boxes: the smallest set of products that covers exactly the requested rows.


def _sort_key(cell: KeyValue | Window) -> object:
    return cell.start if isinstance(cell, Window) else cell


def _make_boxes(
    dimensions: Sequence[Dimension], rows: Sequence[tuple[Partition, ...]]
) -> list[tuple[Part, ...]]:
    """Factor rows of partitions into disjoint products, later dimensions first."""
    first, rest = dimensions[0], dimensions[1:]
    if not rest:
        return [(_make_part(first, [row[0] for row in rows]),)] if rows else []
    tails: dict[Partition, list[tuple[Partition, ...]]] = {}
    for row in rows:
        tails.setdefault(row[0], []).append(row[1:])
    groups: dict[tuple[tuple[Partition, ...], ...], list[Partition]] = {}
    for head, tail in tails.items():
        groups.setdefault(tuple(tail), []).append(head)
    return [
        (_make_part(first, heads), *parts)
        for tail, heads in groups.items()
        for parts in _make_boxes(rest, tail)
    ]


def _make_part(dimension: Dimension, partitions: Sequence[Partition]) -> Part:
    windows = [p.cell for p in partitions if isinstance(p.cell, Window)]
    if windows:
        return Part(dimension, windows=_merge_windows(windows))
    values = dict.fromkeys(p.cell for p in partitions if not isinstance(p.cell, Window))
    return Part(dimension, values=tuple(values))


def _merge_windows(windows: Iterable[Window]) -> tuple[Window, ...]:
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and merged[-1].end == window.start:
            merged[-1] = Window(merged[-1].start, window.end)
        elif not merged or merged[-1] != window:
            merged.append(window)
    return tuple(merged)
