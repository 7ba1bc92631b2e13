"""Which tables are made of which, as far as specs say it in ``meta: {upstream: […]}``."""

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
    """A table, or something outside of the site."""

    key: str
    href: str | None
    """Its page, or its address elsewhere; None when it has none."""
    external: bool


@dataclass(frozen=True)
class Around:
    """A table between what it is made of and what is made of it."""

    node: Node
    upstream: tuple[Node, ...]
    downstream: tuple[Node, ...]

    def __bool__(self) -> bool:
        """Whether anything is said at all."""
        return bool(self.upstream or self.downstream)


def upstream(spec: TableSpec) -> tuple[str, ...]:
    """The asset keys that a spec says its table is made of."""
    found = spec.meta.get(KEY, ())
    return tuple(dict.fromkeys(found)) if _is_listed(found) else ()


def problems(entries: Iterable[Entry]) -> list[Problem]:
    """The specs that say it in another form."""
    return [
        Problem(
            "is no list of asset keys",
            ("meta", KEY),
            hint="write it like `meta: {upstream: [shop/orders, shop/customers]}`",
            path=entry.shown,
        )
        for entry in entries
        if entry.spec is not None and not _is_listed(entry.spec.meta.get(KEY, ()))
    ]


def _is_listed(found: object) -> bool:
    return isinstance(found, list | tuple) and all(isinstance(one, str) and one for one in found)


class Lineage:
    """All that is said of what is made of what."""

    def __init__(self, upstream: Mapping[str, Sequence[str]], files: Mapping[str, str]) -> None:
        """From what each table is made of, and the pages of tables, both by asset key."""
        self._upstream, self._files = upstream, files
        self._downstream: dict[str, list[str]] = defaultdict(list)
        for key in sorted(upstream):
            for above in upstream[key]:
                self._downstream[above].append(key)

    def around(self, key: str) -> Around:
        """The direct neighbours of a table."""
        return Around(
            self._node(key),
            tuple(map(self._node, self._upstream.get(key, ()))),
            tuple(map(self._node, self._downstream.get(key, ()))),
        )

    def _node(self, key: str) -> Node:
        if key in self._files:
            return Node(key, f"../{self._files[key]}", external=False)
        return Node(key, key if key.startswith("https://") else None, external=True)


_MOST = 8
"""How many neighbours of one side are drawn; the list beside the drawing has all of them."""
_WIDTH, _HEIGHT, _GAP, _BETWEEN, _LETTERS = 232, 34, 10, 72, 27


def graph(around: Around) -> Markup:
    """The neighbours as a drawing that is part of the page; nothing when there are none.

    Who cannot see it has the list beside it, so nothing of it takes the focus or is read out.
    """
    if not around:
        return Markup("")
    sides = [side for side in (around.upstream, (around.node,), around.downstream) if side]
    here = sides.index((around.node,)) if around.upstream else 0
    rows = max(min(len(side), _MOST + 1) for side in sides)
    height = rows * (_HEIGHT + _GAP) - _GAP
    width = len(sides) * _WIDTH + (len(sides) - 1) * _BETWEEN
    middle = height // 2
    lines, boxes = [], []
    for number, side in enumerate(sides):
        x = number * (_WIDTH + _BETWEEN)
        for node, y in zip(_drawn(side), _tops(side, height), strict=True):
            boxes.append(_box(node, x, y, here=number == here))
            if number < here:
                lines.append(_line(x + _WIDTH, y + _HEIGHT // 2, x + _WIDTH + _BETWEEN, middle))
            elif number > here:
                lines.append(_line(x - _BETWEEN, middle, x, y + _HEIGHT // 2))
    return Markup(
        '<svg class="graph" viewBox="-1 -1 {} {}" width="{}" aria-hidden="true">{}</svg>'
    ).format(width + 2, height + 2, width + 2, Markup("").join([*lines, *boxes]))


def _drawn(side: Sequence[Node]) -> list[Node]:
    if len(side) <= _MOST + 1:
        return list(side)
    more = Node(f"and {len(side) - _MOST:,} more", "#lineage", external=True)
    return [*side[:_MOST], more]


def _tops(side: Sequence[Node], height: int) -> list[int]:
    count = min(len(side), _MOST + 1)
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
