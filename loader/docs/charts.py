"""Draws numbers as SVG that is part of a page: no script, no library, readable on any paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 880, 200, 64, 24, 12


_WIDEST = 80
"""Of a bar and its gap."""


@dataclass(frozen=True)
class Bar:
    """One number, what it is of, and whether it needs a look."""

    label: str
    value: int
    text: str
    """What is told of it, as in ``2026-01-01: 2,651 rows``."""


def bar_chart(name: str, title: str, summary: str, bars: Sequence[Bar]) -> Markup:
    """A bar for each number, from left to right.

    Args:
        name: An id that no other chart of the page has.
        title: What the numbers are.
        summary: What a reader sees in it, in words, for those who do not see it.
        bars: The numbers, which are 0 or more.
    """
    top = _round_up(max(bar.value for bar in bars))
    inner = _WIDTH - _LEFT
    step = min(inner / len(bars), _WIDEST)
    height = _HEIGHT - _TOP - _BOTTOM
    parts = [_grid_line(value, top, height) for value in dict.fromkeys((0, top // 2, top))]
    gap = min(4.0, step / 4)
    for at, bar in enumerate(bars):
        x, size = _LEFT + at * step, height * bar.value / top
        kind = "bar" if bar.value else "none"
        drawn = max(size, 1.5) if bar.value else height
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                "<title>{}</title></rect>"
            ).format(kind, x + gap / 2, _TOP + height - drawn, step - gap, drawn, bar.text)
        )
    for at, anchor in _ticks(len(bars)):
        x = _LEFT + (at + {"start": 0, "middle": 0.5, "end": 1}[anchor]) * step
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
                x, _HEIGHT - 6, anchor, bars[at].label
            )
        )
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="{0}-title {0}-text" viewBox="0 0 {1} {2}">'
        '<title id="{0}-title">{3}</title><desc id="{0}-text">{4}</desc>{5}</svg>'
    ).format(name, _WIDTH, _HEIGHT, title, summary, Markup("").join(parts))


def share_bar(share: float) -> Markup:
    """A small bar that is filled to a share between 0 and 1; the number stands beside it."""
    return Markup(
        '<svg class="share" aria-hidden="true" viewBox="0 0 60 8" width="60" height="8">'
        '<rect class="whole" width="60" height="8"/><rect class="part" width="{:.1f}" height="8"/>'
        "</svg>"
    ).format(60 * share)


def _grid_line(value: int, top: int, height: int) -> Markup:
    y = _TOP + height - height * value // top
    return Markup(
        '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
        '<text class="axis" x="{3}" y="{4}" text-anchor="end">{5}</text>'
    ).format(_LEFT, _WIDTH, y, _LEFT - 8, y + 4, _short(value))


def _ticks(count: int) -> list[tuple[int, str]]:
    """The bars that have a label, and where it is."""
    if count == 1:
        return [(0, "middle")]
    if count == 2:
        return [(0, "start"), (1, "end")]
    return [(0, "start"), (count // 2, "middle"), (count - 1, "end")]


def _round_up(value: int) -> int:
    """An even number at or above the value that reads well, such as 200, 500 or 3,000."""
    if value <= 2:
        return 2
    power = 10 ** (len(str(value)) - 1)
    return next(
        found
        for found in (int(power * times) for times in (1, 2, 3, 4, 5, 6, 8, 10, 20))
        if found >= value and found % 2 == 0
    )


def _short(value: int) -> str:
    """A number of an axis: 1,500,000 is 1.5M.

    >>> _short(250), _short(1_500), _short(1_500_000), _short(2_000_000_000)
    ('250', '1.5k', '1.5M', '2G')
    """
    for unit, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:.4g}{sign}"
    return str(value)
