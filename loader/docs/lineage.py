"""The lineage of tables, from ``meta: {upstream: […]}`` of their specs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from loader.errors import Problem
from loader.spec.catalog import Entry
from loader.spec.model import TableSpec

KEY = "upstream"
"""The key of `meta` that lists asset keys."""


@dataclass(frozen=True)
class Node:
    """A table of the site, or an external source."""

    key: str
    href: str | None
    """Its page or web address; None if it has none."""
    external: bool


@dataclass(frozen=True)
class Neighbours:
    """A table with its direct upstream and downstream neighbours."""

    node: Node
    upstream: tuple[Node, ...]
    downstream: tuple[Node, ...]

    def __bool__(self) -> bool:
        """Whether there are any neighbours."""
        return bool(self.upstream or self.downstream)


def upstream(spec: TableSpec) -> tuple[str, ...]:
    """The upstream asset keys of a spec."""
    found = spec.meta.get(KEY, ())
    return tuple(dict.fromkeys(found)) if _is_text_list(found) else ()


def problems(entries: Iterable[Entry]) -> list[Problem]:
    """An error for each spec whose `upstream` is not a list of text."""
    return [
        Problem(
            "is not a list of asset keys",
            ("meta", KEY),
            hint="write it like `meta: {upstream: [shop/orders, shop/customers]}`",
            path=entry.shown,
        )
        for entry in entries
        if entry.spec is not None and not _is_text_list(entry.spec.meta.get(KEY, ()))
    ]


def _is_text_list(found: object) -> bool:
    return isinstance(found, list | tuple) and all(isinstance(one, str) and one for one in found)


class Lineage:
    """The lineage of all tables of a site."""

    def __init__(self, upstream: Mapping[str, Sequence[str]], files: Mapping[str, str]) -> None:
        """Takes the upstream keys, and the page, of each table, both by asset key."""
        self._upstream, self._files = upstream, files
        self._downstream: dict[str, list[str]] = defaultdict(list)
        for key in sorted(upstream):
            for above in upstream[key]:
                self._downstream[above].append(key)

    def neighbours(self, key: str) -> Neighbours:
        """A table with its direct neighbours."""
        return Neighbours(
            self._node(key),
            tuple(map(self._node, self._upstream.get(key, ()))),
            tuple(map(self._node, self._downstream.get(key, ()))),
        )

    def _node(self, key: str) -> Node:
        if key in self._files:
            return Node(key, f"../{self._files[key]}", external=False)
        return Node(key, key if key.startswith("https://") else None, external=True)


_MAX_DRAWN = 8
"""Maximum neighbours drawn on each side; the list next to the drawing has all of them."""
_WIDTH, _HEIGHT, _GAP, _BETWEEN, _LETTERS = 232, 34, 10, 72, 27


def graph(neighbours: Neighbours) -> Markup:
    """Draw the neighbours as SVG; empty if there are none.

    The drawing is hidden from screen readers and the keyboard: the list next to it has the same.
    """
    if not neighbours:
        return Markup("")
    sides = [
        side for side in (neighbours.upstream, (neighbours.node,), neighbours.downstream) if side
    ]
    here = sides.index((neighbours.node,)) if neighbours.upstream else 0
    rows = max(min(len(side), _MAX_DRAWN + 1) for side in sides)
    height = rows * (_HEIGHT + _GAP) - _GAP
    width = len(sides) * _WIDTH + (len(sides) - 1) * _BETWEEN
    middle = height // 2
    lines, boxes = [], []
    for number, side in enumerate(sides):
        x = number * (_WIDTH + _BETWEEN)
        for node, y in zip(_limit(side), _top_positions(side, height), strict=True):
            boxes.append(_box(node, x, y, here=number == here))
            if number < here:
                lines.append(_line(x + _WIDTH, y + _HEIGHT // 2, x + _WIDTH + _BETWEEN, middle))
            elif number > here:
                lines.append(_line(x - _BETWEEN, middle, x, y + _HEIGHT // 2))
    return Markup(
        '<svg class="graph" viewBox="-1 -1 {} {}" width="{}" aria-hidden="true">{}</svg>'
    ).format(width + 2, height + 2, width + 2, Markup("").join([*lines, *boxes]))


def _limit(side: Sequence[Node]) -> list[Node]:
    if len(side) <= _MAX_DRAWN + 1:
        return list(side)
    more = Node(f"and {len(side) - _MAX_DRAWN:,} more", "#lineage", external=True)
    return [*side[:_MAX_DRAWN], more]


def _top_positions(side: Sequence[Node], height: int) -> list[int]:
    count = min(len(side), _MAX_DRAWN + 1)
    used = count * (_HEIGHT + _GAP) - _GAP
    return [(height - used) // 2 + at * (_HEIGHT + _GAP) for at in range(count)]


def _line(x1: int, y1: int, x2: int, y2: int) -> Markup:
    middle = (x1 + x2) // 2
    path = f"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2 - 5} {y2}"
    tip = f"M{x2 - 6} {y2 - 4} L{x2 - 1} {y2} L{x2 - 6} {y2 + 4}"
    return Markup('<path d="{}"/><path d="{}"/>').format(path, tip)


def _box(node: Node, x: int, y: int, *, here: bool) -> Markup:
    shown = node.key.removeprefix("https://")
    shown = shown if len(shown) <= _LETTERS else f"{shown[:14]}…{shown[-12:]}"
    kind = "here" if here else "outside" if node.external else "inside"
    box = Markup(
        '<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="5"/>'
        '<text x="{}" y="{}">{}</text></g>'
    ).format(kind, node.key, x, y, _WIDTH, _HEIGHT, x + 14, y + _HEIGHT // 2 + 4, shown)
    if here or node.href is None:
        return box
    return Markup('<a href="{}" tabindex="-1">{}</a>').format(node.href, box)
