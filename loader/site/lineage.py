"""Which tables are made of which, as far as specs say it in ``meta: {upstream: […]}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup


@dataclass(frozen=True)
class Node:
    """A table, or something outside of the site."""

    key: str
    href: str | None
    """Its page; None when it has none."""


@dataclass(frozen=True)
class Around:
    """A table between what it is made of and what is made of it."""

    node: Node
    upstream: tuple[Node, ...]
    downstream: tuple[Node, ...]


@dataclass(frozen=True)
class Lineage:
    """All that is said of what is made of what."""

    upstream: Mapping[str, Sequence[str]]
    files: Mapping[str, str]

    def around(self, key: str) -> Around:
        """The direct neighbours of a table."""
        downstream = sorted(other for other, above in self.upstream.items() if key in above)
        return Around(
            self._node(key),
            tuple(self._node(one) for one in dict.fromkeys(self.upstream.get(key, ()))),
            tuple(self._node(one) for one in downstream),
        )

    def _node(self, key: str) -> Node:
        file = self.files.get(key)
        if file is not None:
            return Node(key, f"../{file}")
        return Node(key, key if key.startswith("https://") else None)


_WIDTH, _HEIGHT, _GAP, _BETWEEN = 210, 30, 12, 90


def graph(around: Around) -> Markup:
    """The neighbours as a drawing that is part of the page; nothing when there are none."""
    if not (around.upstream or around.downstream):
        return Markup("")
    columns = [column for column in (around.upstream, (around.node,), around.downstream) if column]
    rows = max(len(column) for column in columns)
    height = rows * (_HEIGHT + _GAP) - _GAP
    width = len(columns) * _WIDTH + (len(columns) - 1) * _BETWEEN
    places = [
        [(number * (_WIDTH + _BETWEEN), _top(at, len(column), height)) for at in range(len(column))]
        for number, column in enumerate(columns)
    ]
    lines = [
        _line(left, right)
        for before, after in pairwise(places)
        for left in before
        for right in after
    ]
    boxes = [
        _box(node, place, here=node.key == around.node.key)
        for column, spots in zip(columns, places, strict=True)
        for node, place in zip(column, spots, strict=True)
    ]
    return Markup(
        '<svg class="lineage" viewBox="-1 -1 {} {}" width="{}" role="img"'
        ' aria-label="Lineage of {}">{}</svg>'
    ).format(width + 2, height + 2, width + 2, around.node.key, Markup("").join([*lines, *boxes]))


def _top(at: int, count: int, height: int) -> int:
    used = count * (_HEIGHT + _GAP) - _GAP
    return (height - used) // 2 + at * (_HEIGHT + _GAP)


def _line(left: tuple[int, int], right: tuple[int, int]) -> Markup:
    x1, y1 = left[0] + _WIDTH, left[1] + _HEIGHT // 2
    x2, y2 = right[0], right[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}"
    return Markup('<path d="{}"/>').format(path)


def _box(node: Node, place: tuple[int, int], *, here: bool) -> Markup:
    x, y = place
    shown = node.key.removeprefix("https://")
    shown = shown if len(shown) <= 28 else f"{shown[:27]}…"
    box = Markup(
        '<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="4"/>'
        '<text x="{}" y="{}">{}</text></g>'
    ).format(
        "here" if here else "there",
        node.key,
        x,
        y,
        _WIDTH,
        _HEIGHT,
        x + _WIDTH // 2,
        y + _HEIGHT // 2 + 4,
        shown,
    )
    if here or node.href is None:
        return box
    return Markup('<a href="{}">{}</a>').format(node.href, box)
